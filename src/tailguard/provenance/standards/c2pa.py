"""C2PA content credentials of images, read with c2pa-python (extra: c2pa), without any network.

A credential that validates under a trust anchor of the user's is evidence ``attested``; one that
validates under nobody's anchor is ``declared``: its signer is whoever they say they are. One that
does not validate says nothing. Nor does the lack of one: most pictures have none, and any program
may strip them. Remote manifests are not fetched, revocation is not asked for, and no list of trust
is brought along or downloaded: who is trusted is the user's to say.

Source: C2PA Technical Specification 2.2; c2pa-python 0.38.
"""

from __future__ import annotations

import glob
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tailguard.corpus.base import RECORD_BYTES
from tailguard.corpus.files import File, find, is_glob, is_remote, read_all, readable
from tailguard.corpus.quarantine import Quarantine
from tailguard.errors import CorpusError, InputError
from tailguard.provenance.base import ProvenanceError
from tailguard.provenance.envelope import read_bounded
from tailguard.provenance.standards.base import StandardError, load_json
from tailguard.provenance.standards.c2pa_origin import Credentials, credentials_of

LARGEST_MANIFEST_MB = 16
"""A compressed manifest that grows beyond this is refused."""

LARGEST_ANCHORS = 4 << 20
"""Files of trust anchors hold no more bytes than this together."""

OFFLINE: dict[str, dict[str, Any]] = {
    "verify": {
        "verify_after_reading": True,
        "verify_trust": True,
        "verify_timestamp_trust": True,
        "remote_manifest_fetch": False,
        "ocsp_fetch": False,
    },
    "core": {
        # An empty list permits no host at all, whatever else may want one.
        "allowed_network_hosts": [],
        "allow_redirects": False,
        "decode_identity_assertions": False,
        "max_decompressed_manifest_size_in_mb": LARGEST_MANIFEST_MB,
    },
}
"""Settings of every reading: validate all, fetch nothing."""

_BRANDS = {b"avif": "image/avif", b"avis": "image/avif"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"), "image/heic"
)
_STARTS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),
    (b"MM\0+", "image/tiff"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
)


class CredentialError(ProvenanceError):
    """A file is no image that can hold credentials, or cannot be read as one; ``got`` says why."""


def image_type(data: bytes) -> str | None:
    """The MIME type of an image by its first bytes, or none; names are not believed.

    JPEG, PNG, WebP, TIFF (and raw formats built on it), GIF, JPEG XL, AVIF, HEIC.

    >>> image_type(b"GIF89a..."), image_type(b"%PDF-1.7")
    ('image/gif', None)
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12])
    return next((kind for start, kind in _STARTS if data.startswith(start)), None)


def read_anchors(paths: Iterable[str | Path]) -> str:
    """Trust anchors: the certificates (PEM) in files, as one text. Raises ``InputError`` for a
    file without any, or with a damaged one."""
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_pem_x509_certificates

    told: list[str] = []
    for path in paths:
        held = read_bounded(path, LARGEST_ANCHORS)
        try:
            found = load_pem_x509_certificates(held)
        except ValueError as error:
            raise InputError(
                str(path), "certificates in PEM form", f"an error ({str(error)[:120]})",
                "name the certificates of the authorities you trust",
            ) from None  # fmt: skip
        # Written anew: whatever else stands in the file, a secret key for one, stays there.
        told += [one.public_bytes(Encoding.PEM).decode() for one in found]
    return "".join(told)


class CredentialReader:
    """Reads the credentials of images; ``anchors`` are certificates in PEM form, or nothing.

    Needs the extra ``c2pa`` (``InputError`` without). Use it in a ``with``, or close it.
    """

    def __init__(self, anchors: str = "") -> None:
        try:
            import c2pa

            made = c2pa.Context.from_dict  # older versions have no settings of one reading
        except (ImportError, AttributeError, OSError, RuntimeError):
            raise InputError(
                "content credentials", "the extra 'c2pa'", "none, or one that is too old",
                "pip install -U 'tailguard[c2pa]'",
            ) from None  # fmt: skip
        self.anchored = bool(anchors.strip())
        trust = {"trust": {"trust_anchors": anchors}} if self.anchored else {}
        self._c2pa = c2pa
        try:
            self._context = made({**OFFLINE, **trust})
        except c2pa.C2paError as error:
            raise InputError(
                "trust anchors", "certificates in PEM form", f"an error ({_reason(error)})",
                "name the certificates of the authorities you trust",
            ) from None  # fmt: skip

    def read(self, data: bytes, at: str = "") -> Credentials:
        """The credentials in an image's bytes; ``at`` is what it is called.

        Raises :class:`CredentialError` for what is no image, and for an image whose structure or
        credentials cannot be parsed. An image without credentials has the state ``absent``.
        """
        kind = image_type(data)
        if kind is None:
            got = "an empty file" if not data else "no image that can hold credentials"
            raise CredentialError(at, "an image", got, "check the file")
        try:
            with self._c2pa.Reader(kind, io.BytesIO(data), context=self._context) as reader:
                told = reader.json()
        except self._c2pa.C2paError.ManifestNotFound:
            return Credentials(at, "absent")
        except self._c2pa.C2paError as error:
            if str(error).startswith("Remote"):
                return Credentials(
                    at, "absent", notes=("the credentials are kept elsewhere: not fetched",)
                )
            got = f"unreadable: {_reason(error)}"
            raise CredentialError(at, "an image", got, "fetch it again") from None
        try:
            store = load_json(told.encode("utf-8", "replace"), at)
        except StandardError as error:
            raise CredentialError(at, error.expected, error.got, "do not trust it") from None
        return credentials_of(store, anchored=self.anchored, at=at)

    def close(self) -> None:
        """Give back what the library holds."""
        self._context.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def images_in(paths: Sequence[str], quarantine: Quarantine) -> list[File]:
    """The files that paths, globs and folders name, called as the corpus of the same paths calls
    its records. A link that leads out of its folder is quarantined, and never followed."""
    found: list[str] = []
    for path in paths:
        pattern = is_glob(path)
        if is_remote(path) or not (pattern or os.path.isdir(path)):
            found.append(path)
            continue
        root = _root(path)
        with readable(path):
            inside = list(_matches(path) if pattern else _walked(path))
        kept = [one for one in inside if not _put_aside(one, root, quarantine)]
        if not kept:
            raise CorpusError(path, "at least one file", "none", "check the folder or the pattern")
        found += kept
    return find(found)


def scan(
    files: Iterable[File], reader: CredentialReader, quarantine: Quarantine
) -> Iterator[tuple[Credentials, bytes]]:
    """The credentials of each file and its bytes, in order; one file is in memory at a time.

    What is no image, is longer than 64 MiB, or cannot be read goes to the quarantine.
    """
    for file in files:
        data = b""
        try:
            # Bytes of a name that are no UTF-8 arrive as lone surrogates, which no column holds.
            if file.name.encode(errors="ignore").decode() != file.name:
                raise CredentialError(file.name, "a name", "a name that is no text", "rename it")
            data = read_all(file, RECORD_BYTES)
            if len(data) > RECORD_BYTES:
                got = f"longer than {RECORD_BYTES:,} bytes"
                raise CredentialError(file.name, "an image", got, "leave it out")
            yield reader.read(data, file.name), data
        except (CredentialError, CorpusError) as error:
            quarantine.add(
                error.got, file=file.name, unit="byte", at=0, raw=data[:1_000], n_bytes=file.size
            )


def _walked(folder: str) -> Iterator[str]:
    """The files and links in a folder, sorted; hidden names are passed over."""

    def refuse(error: OSError) -> None:
        raise error

    for base, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted([*names, *folders]):
            path = os.path.join(base, name)
            file = os.path.islink(path) or os.path.isfile(path)
            if file and not name.startswith("."):
                yield path


def _matches(pattern: str) -> Iterator[str]:
    """The files and links that a pattern names, sorted."""
    found = sorted(glob.glob(pattern, recursive=True))
    return (one for one in found if os.path.islink(one) or os.path.isfile(one))


def _root(path: str) -> str:
    """The folder that a path is, or that a pattern searches."""
    while glob.has_magic(path) and not os.path.exists(path):
        path = os.path.dirname(path)
    return os.path.realpath(path or ".")


def _put_aside(path: str, root: str, quarantine: Quarantine) -> bool:
    """Whether a path is a link that leads out of the folder, or to no file: it is quarantined."""
    inside = os.path.realpath(path).startswith(os.path.join(root, ""))
    if inside and os.path.isfile(path):
        return False
    reason = "a link to no file" if inside else "a link out of the folder"
    quarantine.add(reason, file=os.path.relpath(path, root), unit="byte", at=0, raw=b"")
    return True


def _reason(error: Exception) -> str:
    """The first words of the library's error: the rest may quote the file."""
    return ": ".join(" ".join(str(error).split()).split(": ")[:2])[:100]
