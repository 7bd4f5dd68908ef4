"""What the options of ``tailguard lab`` mean: settings, and where a page goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tailguard.cli.outputs import check_output
from tailguard.errors import InputError
from tailguard.lab.simulate import Setting, measurable
from tailguard.lab.sweep_file import assigned, parsed_pair
from tailguard.report.lab.page import check_page_path


def setting_of(
    fields: dict[str, Any],
    *,
    regime: Sequence[str] | None,
    family: Sequence[str] | None,
    truth: Sequence[str] | None,
    measurements: str,
) -> Setting:
    """The setting of a command line; measurements default to the usual ones of the family."""
    setting = Setting(**fields)
    for part, pairs in (("family", family), ("regime", regime), ("truth", truth)):
        seen: set[str] = set()
        for pair in pairs or ():
            key, value = parsed_pair(pair)
            if key in seen:
                raise InputError(f"{part} setting", "each key once", f"'{key}' twice", "drop one")
            seen.add(key)
            setting = assigned(setting, f"{part}.{key}", value)
    if not measurements.strip():
        return replace(setting, measurements=measurable(setting))
    names = tuple(dict.fromkeys(name.strip() for name in measurements.split(",")))
    return replace(setting, measurements=names)


def page_of(folders: Sequence[Path], output: Path | None) -> Path:
    """Where the page goes: ``output``, or the name of the only folder with .html."""
    if output is None:
        if len(folders) != 1:
            raise InputError("lab report", "-o for several folders", "none", "name a page")
        whole = folders[0].resolve()
        output = whole.with_name(whole.name + ".html")
    check_page_path(output)
    check_output(output)
    return output
