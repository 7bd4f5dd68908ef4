"""Sweep files: a base setting, axes, and every combination of the axes' values.

    base: {family: gaussian, regime: fixed-real, generations: 50, replicates: 2000}
    axes: {real_frac: [0, 0.1, 0.5], n: [20, 100]}
    target: tail_mass_lost<5%

Measurements default to the usual ones of the family; that of the target is always among them.
Keys are fields of `Setting`, settings of the regime, family or truth (``regime.real_frac`` where
two have the same name). All cells share the base's seed, so that neighbours differ by their
settings more than by chance; an axis ``seed: [0, 1]`` repeats them independently.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.lab.settings import canonical, identifier
from tailguard.lab.simulate import Setting, measurable, truth_defaults
from tailguard.lab.target import parse_target
from tailguard.mix.registry import REGIMES, nearest

MAX_FILE_BYTES = 1_000_000
MAX_NESTING = 8
MAX_CELLS = 100_000
PARTS = ("regime", "family", "truth")
_NAMES = ("family", "regime", "truth")


class SweepError(InputError):
    """A sweep file is not valid, or a folder holds another sweep."""


@dataclass(frozen=True)
class Sweep:
    """A base setting, axes as (key, values), and what the report should look for.

    >>> sweep = Sweep(Setting(replicates=10), (("n", (10, 20)), ("generations", (1, 2))))
    >>> [(cell.n, cell.generations) for cell in sweep.cells()]
    [(10, 1), (10, 2), (20, 1), (20, 2)]
    """

    base: Setting
    axes: tuple[tuple[str, tuple[Any, ...]], ...]
    target: str = ""

    def points(self) -> Iterator[tuple[Any, ...]]:
        """The values of each cell on the axes; the last axis varies fastest."""
        return itertools.product(*(values for _, values in self.axes))

    def cells(self) -> list[Setting]:
        """Every combination of the axes' values, canonical; the last axis varies fastest."""
        return [self.at(point) for point in self.points()]

    def at(self, point: Sequence[Any]) -> Setting:
        """The setting of one cell."""
        setting = self.base
        keys = [key for key, _ in self.axes]
        # Names first: what other keys mean depends on them.
        for key, value in sorted(zip(keys, point, strict=True), key=lambda kv: kv[0] not in _NAMES):
            setting = assigned(setting, key, value)
        return canonical(setting)


def assigned(setting: Setting, key: str, value: Any) -> Setting:
    """``setting`` with a field, or a setting of its regime, family or truth, changed.

    Raises InputError for an unknown key, with the nearest known one, and for one that two parts
    have: then write ``regime.real_frac``, ``family.…`` or ``truth.…``.

    >>> assigned(Setting(regime="window"), "width", 3).regime_settings
    {'width': 3}
    """
    plain = [f.name for f in fields(Setting) if not f.name.endswith("_settings")]
    if key in plain:
        return replace(setting, **{key: _field(key, value)})
    inside = _settings_of(setting)
    part, dot, name = key.partition(".")
    if dot:
        homes = [part] if name in inside.get(part, {}) else []
    else:
        name, homes = key, [part for part in PARTS if key in inside[part]]
    if len(homes) > 1:
        ways = " or ".join(f"{home}.{key}" for home in homes)
        raise InputError("setting", f"{ways}", f"'{key}'", "say which")
    if not homes:
        known = [*plain, *(f"{p}.{n}" if dot else n for p in PARTS for n in inside[p])]
        raise InputError("setting", "a known key", f"'{key}'", nearest(key, known))
    held = f"{homes[0]}_settings"
    value = _number(value, inside[homes[0]][name])
    changed: dict[str, Any] = {held: {**getattr(setting, held), name: value}}
    return replace(setting, **changed)


def parsed_pair(text: str) -> tuple[str, Any]:
    """``key=value`` as on the command line, the value read as YAML: numbers, true, [0.5, 0.5].

    >>> parsed_pair("real_frac=0.1"), parsed_pair("fixed=true")
    (('real_frac', 0.1), ('fixed', True))
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise InputError("setting", "key=value", f"'{text[:80]}'", "write it as real_frac=0.1")
    try:
        found = _Strict(value[:10_000]).get_single_data()
    except (yaml.YAMLError, ValueError):
        found = object()
    if not isinstance(found, bool | int | float | str | list | None):
        raise InputError("setting", f"a value of {key}", f"'{value[:60]}'", "write a number")
    return key.strip(), tuple(found) if isinstance(found, list) else found


def _settings_of(setting: Setting) -> dict[str, dict[str, Any]]:
    made = FAMILIES.make(setting.family, **setting.family_settings)
    try:
        truth = truth_defaults(setting, made)
    except InputError:  # a family that has none is refused later, in its own words
        truth = {}
    return {
        "regime": REGIMES.sheet(setting.regime).settings,
        "family": FAMILIES.sheet(setting.family).settings,
        "truth": truth,
    }


def _field(key: str, value: Any) -> Any:
    if key == "measurements":
        names = value if isinstance(value, list | tuple) else [value]
        if not names or not all(isinstance(name, str) for name in names):
            raise InputError(
                "setting", "measurements as a list of names", f"{value!r}"[:80], "mend it"
            )
        return tuple(names)
    default = {f.name: f.default for f in fields(Setting)}[key]
    value = _number(value, default)
    if isinstance(default, str) and not isinstance(value, str):
        raise InputError("setting", f"{key} as text", f"{value!r}"[:80], f"change {key}")
    return value


def _number(value: Any, default: Any) -> Any:
    """YAML takes 1e-3 for text, and 200.0 is no int; where a number is due, both are numbers."""
    if (
        isinstance(value, str)
        and isinstance(default, int | float)
        and not isinstance(default, bool)
    ):
        try:
            value = float(value)
        except ValueError:
            return value
    whole = isinstance(value, float) and value.is_integer()
    return int(value) if whole and type(default) is int else value


def read_sweep(path: str | Path) -> Sweep:
    """The sweep in a YAML file. SweepError for a missing, oversized or invalid one.

    Refused with one line: an unknown key (and the nearest known one), a key or value twice, values
    out of range, aliases and deep nesting, more than 100,000 cells.
    """
    who = str(path)
    found = _parsed(who, _read(who, path))
    for key in found:
        if key not in ("base", "axes", "target"):
            close = nearest(str(key)[:80], ("base", "axes", "target"))
            raise SweepError(who, "a known key", f"'{key}'"[:80], close)
    base, axes, target = found.get("base", {}), found.get("axes", {}), found.get("target", "")
    for name, value in (("base", base), ("axes", axes)):
        if not isinstance(value, dict):
            got = type(value).__name__
            raise SweepError(who, f"{name}: keys and values", got, "write lines such as 'n: 100'")
    if not isinstance(target, str):
        raise SweepError(who, "target as text", f"{target!r}"[:80], "write tail_mass_lost<5%")
    try:
        made = _sweep(base, axes, target)
    except SweepError:
        raise
    except InputError as error:
        raise SweepError(
            f"{who}: {error.who}", error.expected, error.got, error.next_step
        ) from None
    return made


def _sweep(base: Mapping[Any, Any], axes: Mapping[Any, Any], target: str) -> Sweep:
    setting = Setting()
    for key, value in sorted(base.items(), key=lambda kv: str(kv[0]) not in _NAMES):
        setting = assigned(setting, str(key), value)
    made, cells = [], 1
    for key, values in axes.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"axis {key}", "a list of values", f"{values!r}"[:80], "write [1, 2]")
        values = tuple(tuple(v) if isinstance(v, list) else v for v in values)
        made.append((str(key), values))
        cells *= len(values)
    if cells > MAX_CELLS:
        raise InputError("axes", f"at most {MAX_CELLS:,} cells", f"{cells:,}", "shorten an axis")
    sweep = Sweep(setting, tuple(made), target)
    if "measurements" not in (*base, *axes):
        usual = measurable(sweep.cells()[0])
        sweep = replace(sweep, base=replace(setting, measurements=usual))
    if target:
        aim, names = parse_target(target).measurement, sweep.base.measurements
        if aim not in names:
            sweep = replace(sweep, base=replace(setting, measurements=(*names, aim)))
    settings = sweep.cells()
    if len({identifier(cell) for cell in settings}) < len(settings):
        raise InputError("axes", "other settings in every cell", "some twice", "drop a value")
    return sweep


def _read(who: str, path: str | Path) -> bytes:
    try:
        if not Path(path).is_file():
            raise SweepError(who, "a sweep file (YAML)", "no such file", "check the path")
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        got = getattr(error, "strerror", None) or str(error)
        raise SweepError(who, "a readable sweep file", got, "check the path") from None
    if len(data) > MAX_FILE_BYTES:
        raise SweepError(who, "at most 1 MB", "a larger file", "check that this is the sweep file")
    return data


class _Strict(yaml.SafeLoader):
    """A safe loader that refuses a key that comes twice, and aliases, which can fill any memory."""

    levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name); write it in full")
        self.levels += 1
        if self.levels > MAX_NESTING:
            raise yaml.YAMLError(f"more than {MAX_NESTING} levels")
        node = super().compose_node(parent, index)
        self.levels -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if not isinstance(key, str):
                raise yaml.YAMLError(f"the key {key!r}, which is no text"[:80])
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"the key '{key}' twice"[:80])
        return super().construct_mapping(node, deep)


def _parsed(who: str, data: bytes) -> dict[str, Any]:
    try:
        found = _Strict(data.decode("utf-8-sig")).get_single_data()
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        got = f"{error.problem or 'an error'}{line}"
        raise SweepError(who, "valid YAML", got, "mend it") from None
    except (yaml.YAMLError, ValueError) as error:
        raise SweepError(who, "valid YAML", str(error), "mend it") from None
    if not isinstance(found, dict):
        got = "nothing" if found is None else f"a {type(found).__name__}"
        raise SweepError(who, "keys base and axes", got, "write 'base: …' and 'axes: …'")
    return found
