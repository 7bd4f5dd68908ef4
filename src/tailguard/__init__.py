"""Tailguard keeps generative models from collapsing.

>>> import tailguard
>>> gold = [f"gold document {i} speaks of {i * i} things" for i in range(40)]
>>> batch = [f"another document {i} speaks of {i * 7} things" for i in range(40)]
>>> tailguard.audit(batch, gold).exit_code
3
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tailguard.corpus import Columns, open_corpus
    from tailguard.measure.profile import Profile, profile_texts
    from tailguard.measure.store import load_profile, save_profile
    from tailguard.report.base import Verdict
    from tailguard.report.policy import Policy

__all__ = [
    "Columns",
    "Policy",
    "Profile",
    "Verdict",
    "audit",
    "load_profile",
    "open_corpus",
    "profile_texts",
    "save_profile",
]

_HOMES = {
    "Columns": "tailguard.corpus",
    "open_corpus": "tailguard.corpus",
    "Profile": "tailguard.measure.profile",
    "profile_texts": "tailguard.measure.profile",
    "load_profile": "tailguard.measure.store",
    "save_profile": "tailguard.measure.store",
    "Policy": "tailguard.report.policy",
    "Verdict": "tailguard.report.base",
}


def audit(batch: Any, gold: Any, **options: Any) -> Verdict:
    """Audit a batch of text against gold; see :func:`tailguard.auditing.audit` for the options."""
    from tailguard.auditing import audit as run

    return run(batch, gold, **options)


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `import tailguard` stays quick.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tailguard' has no attribute {name!r}")
