"""A team's limits: which verdicts fail, and what loss is too small to matter."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_serializer

from tailguard.errors import PolicyError

MAX_POLICY_BYTES = 1_000_000
MAX_DEPTH = 20  # of nesting; the YAML scanner takes quadratic time in it

Damage = Literal["early", "mid", "late", "shifted", "insufficient"]


class Policy(BaseModel):
    """The limits a verdict is held to; ``Policy()`` is the default and needs no file.

    >>> Policy().alpha, sorted(Policy().fail_on)
    (0.01, ['early', 'late', 'mid'])
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    alpha: float = Field(default=0.01, ge=0.0001, lt=1)
    """Family-wise false-alarm rate: the chance that an undamaged batch raises any alarm."""
    margin: float = Field(default=0.02, ge=0, lt=1)
    """The loss too small to matter; damage is called only beyond it."""
    resolution: float = Field(default=0.25, gt=0, le=1)
    """The largest undetectable loss at which ``healthy`` may still be said."""
    fail_on: frozenset[Damage] = frozenset({"early", "mid", "late"})
    """Stages that fail."""
    warn_on: frozenset[Damage] = frozenset({"shifted"})
    """Stages that warn."""
    max_quarantined_frac: float = Field(default=0.01, ge=0, le=1)
    """Share of the batch's rows that may be unreadable."""
    max_near_duplicate_frac: float | None = Field(default=None, ge=0, le=1)
    """Share of documents that may be near-duplicates; none: no limit."""
    max_degenerate_frac: float | None = Field(default=None, ge=0, le=1)
    """Share of documents that may loop, be empty or cut short; none: no limit."""
    min_documents: int | None = Field(default=None, ge=1)
    """Fewer documents than this give ``inconclusive``; none: no limit."""
    sections: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """Limits of further sections, each by its own name."""

    @field_serializer("fail_on", "warn_on")
    def _in_order(self, stages: frozenset[Damage]) -> list[Damage]:
        # Sets of text change their order from process to process; reports must not.
        return sorted(stages)


def load_policy(path: str | Path) -> Policy:
    """The policy in a YAML file; keys left out keep their defaults.

    Raises :class:`PolicyError` when the file is missing, larger than 1 MB, no plain YAML (aliases
    are refused, for a few lines of them can fill any memory), or holds an unknown or wrong key.
    """
    who = str(path)
    try:
        if not Path(path).is_file():
            raise PolicyError(who, "a policy file", "no such file", "check the path")
        with open(path, "rb") as file:
            data = file.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        got = (error.strerror or str(error)).lower()
        raise PolicyError(who, "a readable policy file", got, "check its permissions") from None
    except ValueError as error:
        raise PolicyError(repr(path), "the path of a file", str(error), "check the path") from None
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyError(
            who, "a policy of at most 1 MB", "a larger file", "check that this is the policy"
        )
    return _validated(who, _parsed(who, data))


def _parsed(who: str, data: bytes) -> dict[Any, Any]:
    try:
        text = data.decode("utf-8-sig")
        _refuse_bombs(who, text)
        parsed = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        got = f"{error.problem or 'an error'}{line}"
        raise PolicyError(who, "valid YAML", got, "mend it") from None
    # int() and datetime() refuse some scalars with ValueError.
    except (yaml.YAMLError, ValueError) as error:
        raise PolicyError(who, "valid YAML", str(error), "mend it") from None
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        got = f"a {type(parsed).__name__}"
        raise PolicyError(who, "keys and values", got, "write lines such as 'alpha: 0.01'")
    return parsed


def _refuse_bombs(who: str, text: str) -> None:
    """Raise for what a few lines can blow up to hours or gigabytes."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise PolicyError(who, "YAML without aliases", "an alias (*name)", "write it in full")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            got = f"more than {MAX_DEPTH}"
            raise PolicyError(who, "a few levels of nesting", got, "check that this is the policy")


def _validated(who: str, data: dict[Any, Any]) -> Policy:
    known = list(Policy.model_fields)
    for key in data:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            next_step = f"did you mean {close[0]!r}?" if close else f"keys are {', '.join(known)}"
            raise PolicyError(who, "a known key", repr(key)[:80], next_step)
    try:
        return Policy.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        more = f" ({error.error_count() - 1} more errors)" if error.error_count() > 1 else ""
        got = repr(first["input"])[:80]
        reason = first["msg"][0].lower() + first["msg"][1:]
        raise PolicyError(who, f"{where}: {reason}", got, f"correct {where}{more}") from None
