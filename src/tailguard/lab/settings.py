"""A setting as data: canonical, as JSON, as a readable name, and changed by name.

Two settings that give the same numbers have the same canonical form, so the same bytes and name.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.lab.simulate import Setting, built, truth_defaults
from tailguard.mix.registry import REGIMES

MAX_GENERATIONS = 1_000_000
MAX_NAME = 100


class RunError(InputError):
    """A saved run is damaged, incomplete, or was written by another version."""


def canonical(setting: Setting) -> Setting:
    """The same setting, with registered names, all defaults filled in, and numbers of their type.

    Raises InputError for unknown names or settings, or for values that no JSON can hold.

    >>> canonical(Setting(regime="fixed_real", regime_settings={"real_frac": 1})).regime_settings
    {'real_frac': 1.0}
    """
    made, _ = built(setting)
    family, regime = FAMILIES.sheet(setting.family), REGIMES.sheet(setting.regime)
    truth = setting.truth and FAMILIES.sheet(setting.truth).name
    return replace(
        setting,
        family=family.name,
        family_settings=_filled(setting.family_settings, family.settings),
        regime=regime.name,
        regime_settings=_filled(setting.regime_settings, regime.settings),
        truth=None if truth == family.name and not setting.family_settings else truth,
        truth_settings=_filled(setting.truth_settings, truth_defaults(setting, made)),
        measurements=tuple(setting.measurements),
        n=int(setting.n),
        generations=int(setting.generations),
        replicates=int(setting.replicates),
        seed=int(setting.seed),
    )


def _filled(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    filled = {}
    for name, value in sorted({**defaults, **given}.items()):
        default = defaults.get(name)
        if name in given or _fits_json(value):
            filled[name] = _plain(name, float(value) if isinstance(default, float) else value)
    return filled


def _fits_json(value: Any) -> bool:
    try:
        _plain("", value)
    except InputError:
        return False
    return True


def _plain(name: str, value: Any, levels: int = 3) -> Any:
    """A value that JSON gives back as it was: lists become tuples, NumPy's numbers Python's."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple) and levels:
        return tuple(_plain(name, part, levels - 1) for part in value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    got = f"{value!r}"[:60]
    raise InputError("setting", f"{name} as a number, text or list", got, f"change {name}")


def setting_json(setting: Setting) -> bytes:
    """The canonical setting as JSON: sorted keys, no spaces, UTF-8. Same setting, same bytes."""
    return as_bytes(setting_dict(setting))


def setting_dict(setting: Setting) -> dict[str, Any]:
    """The canonical setting as plain data."""
    setting = canonical(setting)
    return {f.name: getattr(setting, f.name) for f in fields(Setting)}


def given_dict(setting: Setting) -> dict[str, Any]:
    """The setting as plain data, with no more than was given."""
    found = {f.name: getattr(setting, f.name) for f in fields(Setting)}
    for name in ("family_settings", "regime_settings", "truth_settings"):
        found[name] = {key: _plain(key, value) for key, value in sorted(found[name].items())}
    return found


def as_bytes(value: Any) -> bytes:
    """Plain data as JSON in one form: sorted keys, no spaces, UTF-8.

    >>> as_bytes({"b": (1, 2.0), "a": None})
    b'{"a":null,"b":[1,2.0]}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def identifier(setting: Setting) -> str:
    """A readable name of a setting: family, regime, n, generations, and a hash of all of it.

    >>> identifier(Setting()) == identifier(Setting(family_settings={"unbiased": False}))
    True
    >>> identifier(Setting(n=50)).rsplit("-", 1)[0]
    'gaussian-replace-n50-g100'
    """
    setting = canonical(setting)
    digest = hashlib.sha256(setting_json(setting)).hexdigest()[:12]
    words = re.sub(r"[^a-z0-9-]+", "-", f"{setting.family}-{setting.regime}".lower())[:60]
    return f"{words}-n{setting.n}-g{setting.generations}-{digest}"


def json_object(who: str, data: bytes) -> dict[str, Any]:
    """A JSON object with no key twice and no number that is none; RunError for anything else."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) != len(items):
            raise ValueError("a key twice")
        return dict(items)

    def strange(name: str) -> float:
        raise ValueError(f"{name}, which is no number")

    try:
        found = json.loads(data, object_pairs_hook=pairs, parse_constant=strange)
    except (ValueError, RecursionError) as error:
        got = " ".join(str(error).split())[:80]
        raise RunError(who, "valid JSON", got, "delete the folder and run it again") from None
    if not isinstance(found, dict):
        raise RunError(who, "a JSON object", type(found).__name__, "check the path")
    return found


def setting_from(who: str, data: bytes | Mapping[str, Any]) -> Setting:
    """A setting from its JSON, every field of its type; names are not looked up."""
    found = json_object(who, data) if isinstance(data, bytes) else dict(data)
    known = {f.name for f in fields(Setting)}

    def check(ok: bool, name: str) -> None:
        if not ok:
            got = f"{found.get(name)!r}"[:60]
            raise RunError(who, f"a setting with a proper {name}", got, "run it again")

    for name in sorted(known ^ set(found)):
        raise RunError(who, "the fields of a setting", f"{name[:60]!r} too much or missing",
                       "use the version that wrote it")  # fmt: skip
    for name, low, high in (("n", 2, 2**53), ("generations", 1, MAX_GENERATIONS),
                            ("replicates", 1, 2**53), ("seed", 0, 2**128)):  # fmt: skip
        check(type(found[name]) is int and low <= found[name] <= high, name)
    for name in ("family", "regime", "path"):
        check(isinstance(found[name], str) and 0 < len(found[name]) <= MAX_NAME, name)
    truth = found["truth"]
    check(truth is None or (isinstance(truth, str) and len(truth) <= MAX_NAME), "truth")
    names = found["measurements"]
    check(isinstance(names, list | tuple) and 0 < len(names) <= 1000, "measurements")
    check(all(isinstance(m, str) and 0 < len(m) <= MAX_NAME for m in names), "measurements")
    check(len(set(names)) == len(names), "measurements")
    for name in ("family_settings", "regime_settings", "truth_settings"):
        check(isinstance(found[name], dict) and len(found[name]) <= 1000, name)
        found[name] = {key: _plain(key, value) for key, value in found[name].items()}
    return Setting(**found | {"measurements": tuple(names)})
