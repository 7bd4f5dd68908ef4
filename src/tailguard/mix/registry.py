"""Things by name: a data sheet for each, and settings checked before anything runs."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tailguard.errors import InputError
from tailguard.mix.base import Regime

T = TypeVar("T")
Maker = TypeVar("Maker", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Sheet(Generic[T]):
    """A named thing: ``make`` takes its settings as keywords with defaults."""

    name: str
    make: Callable[..., T]
    meaning: str
    cite: str

    @property
    def settings(self) -> dict[str, Any]:
        """Settings and their defaults."""
        parameters = inspect.signature(self.make).parameters
        return {name: parameter.default for name, parameter in parameters.items()}


class Registry(Generic[T]):
    """All things of a kind; those in ``home`` (a module, or every module of a package) enter it.

    >>> REGIMES.make("fixed-real", real_frac=0.1) is not None
    True
    >>> try: REGIMES.make("replaec")
    ... except InputError as error: print(error)
    regime: expected a known name, got 'replaec'; did you mean 'replace'?
    """

    def __init__(self, kind: str, home: str) -> None:
        self.kind, self.home = kind, home
        self._sheets: dict[str, Sheet[T]] = {}
        self._loaded = False

    def register(self, name: str, *, cite: str) -> Callable[[Maker], Maker]:
        """Enter a class or function; the first line of its docstring becomes the meaning."""

        def enter(make: Maker) -> Maker:
            meaning = (inspect.getdoc(make) or "").splitlines()[0]
            self._sheets[name] = Sheet(name, make, meaning, cite)
            return make

        return enter

    def __iter__(self) -> Iterator[Sheet[T]]:
        self._load()
        return iter([self._sheets[name] for name in sorted(self._sheets)])

    def sheet(self, name: str) -> Sheet[T]:
        """The data sheet of this name; "_" and "-" are the same. InputError for an unknown one."""
        self._load()
        name = name.replace("_", "-")
        if name not in self._sheets:
            hint = nearest(name, self._sheets)
            raise InputError(self.kind, "a known name", f"'{name}'", hint)
        return self._sheets[name]

    def make(self, name: str, **settings: Any) -> T:
        """The thing of this name with these settings.

        Raises InputError for an unknown name or setting, with the nearest known one, and for a
        value of the wrong type or out of range.
        """
        sheet = self.sheet(name)
        who, known = f"{self.kind} {sheet.name}", sheet.settings
        for key, value in settings.items():
            if key not in known:
                hint = nearest(key, known) if known else "leave it out"
                raise InputError(who, "a known setting", f"'{key}'", hint)
            if not _fits(value, known[key]):
                kind = type(known[key]).__name__
                raise InputError(who, f"{key} as {kind}", f"{value!r}", f"change {key}")
        return sheet.make(**settings)

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        home = importlib.import_module(self.home)
        for found in pkgutil.iter_modules(getattr(home, "__path__", [])):
            importlib.import_module(f"{self.home}.{found.name}")


REGIMES: Registry[Regime] = Registry("regime", "tailguard.mix.regimes")


def _fits(value: Any, default: Any) -> bool:
    """Whether a setting has the type of its default; None as default takes anything."""
    if default is None:
        return True
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    return isinstance(value, (int, float) if isinstance(default, float) else type(default))


def nearest(name: str, known: Iterable[str]) -> str:
    """Advice beside an unknown name: the known one most like it, or all."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean '{close[0]}'?" if close else "choose one of " + ", ".join(known)
