"""The keys that somebody trusts, and whose they are: one small file of JSON."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tailguard.corpus.atomic import replacing
from tailguard.provenance.base import KeyFileError
from tailguard.provenance.envelope import parse_json, read_bounded
from tailguard.provenance.keys import PublicKey, load_public, parse_vkey, public_path

FORM = "tailguard-trusted-keys-v1"
"""The name of the form of a trust store."""

_LONGEST = 1 << 20


class TrustStore:
    """Public keys by publisher. A key belongs to one publisher; a publisher may have several.

    >>> from tailguard.provenance.keys import generate
    >>> store = TrustStore()
    >>> key = generate("press").public
    >>> store.add("Example Press", key)
    >>> store.publisher_of(key.key_id), len(store.keys)
    ('Example Press', 1)
    """

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[str, PublicKey]] = {}

    @property
    def keys(self) -> list[PublicKey]:
        """All keys, in the order in which they were added."""
        return [key for _, key in self._by_id.values()]

    def publisher_of(self, key_id: str) -> str | None:
        """Whose key it is, or None where it is not trusted."""
        found = self._by_id.get(key_id)
        return None if found is None else found[0]

    def add(self, publisher: str, key: PublicKey) -> None:
        """Trust a key; :class:`KeyFileError` where it is another publisher's already."""
        if not publisher or not publisher.isprintable() or len(publisher) > 200:
            got = repr(publisher)[:60]
            raise KeyFileError("publisher", "the name of one", got, "as in: Example Press")
        owner = self.publisher_of(key.key_id)
        if owner not in (None, publisher):
            raise KeyFileError(
                f"key {key.name}", f"a key of {publisher}", f"one of {owner}", "remove that first"
            )
        self._by_id[key.key_id] = (publisher, key)

    def remove(self, key_id: str) -> None:
        """Stop trusting a key; :class:`KeyFileError` where it was not trusted."""
        if self._by_id.pop(key_id, None) is None:
            raise KeyFileError("trust store", "a key that is in it", key_id[:16], "check the key")

    def save(self, path: str | Path) -> None:
        """Write the store, for its owner alone to change; its folder is made."""
        told = {
            "form": FORM,
            "keys": [
                {"publisher": publisher, "vkey": key.vkey}
                for publisher, key in self._by_id.values()
            ],
        }
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")
            temporary.chmod(0o644)


def load_store(path: str | Path) -> TrustStore:
    """The store in a file; an empty one where there is none.

    Raises :class:`KeyFileError` where others than its owner may write the file, or it is damaged.
    """
    if not os.path.lexists(path):
        return TrustStore()
    data = read_bounded(path, _LONGEST)
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if os.name == "posix" and mode & 0o022:
        raise KeyFileError(
            str(path), "a file that only its owner may write", f"{mode:04o}", f"chmod 644 {path}"
        )
    store = TrustStore()
    told = parse_json(data, who=str(path))
    try:
        if set(told) != {"form", "keys"} or told["form"] != FORM:
            raise ValueError("other fields")
        for item in told["keys"]:
            store.add(_text(item["publisher"]), parse_vkey(_text(item["vkey"])))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise KeyFileError(
            str(path), "a trust store", "something else", "restore it, or import the keys again"
        ) from None
    return store


def home() -> Path:
    """Where keys and the trust store of this user are: ``$TAILGUARD_HOME``, or the folder
    ``tailguard`` in ``$XDG_CONFIG_HOME`` (by default ``~/.config``)."""
    asked = os.environ.get("TAILGUARD_HOME")
    if asked:
        return Path(asked)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "tailguard"


def default_key() -> Path:
    """Where this user's signing key is looked for."""
    return home() / "signing.key"


def default_store() -> Path:
    """Where this user's trust store is looked for."""
    return home() / "trusted.json"


def trusted_keys(
    named: Iterable[str | Path] = (), store: str | Path | None = None
) -> list[PublicKey]:
    """The keys to believe: those in the files ``named``; without any, those of the trust store
    and this user's own."""
    files = list(named)
    if files:
        return [load_public(path) for path in files]
    own = public_path(default_key())
    mine = [load_public(own)] if store is None and own.is_file() else []
    return load_store(default_store() if store is None else store).keys + mine


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")
    return value
