"""Files of a ledger: bounded reads, durable writes, one writer at a time, nothing outside.

A ledger's folder may come from a stranger. So every path is made of numbers and fixed names, no
link is followed, only regular files are read, and none is read beyond what it may hold.

Durability: when :meth:`Folder.sync` returns, the bytes and names of all files written are on the
disk as far as ``fsync`` can tell. The file replaced after that (the checkpoint) is the commit: it
appears when all that it speaks of is there.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from tailguard.provenance.ledger.base import LedgerError

LOCK_PATIENCE_S = 60.0
"""How long a writer waits for the others before it gives up."""

_TEMPORARY, _BUILDING = ".tmp", ".part"
_AT_ONCE, _SIDE_BY_SIDE = 64, 8
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
_LOCK = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)


class Folder:
    """The folder of a ledger; names are relative, with ``/`` between their parts.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = Folder(place)
    ...     folder.write("tile/0/000", b"abc")
    ...     folder.sync()
    ...     folder.read("tile/0/000", 3), folder.read("tile/0/001", 3)
    (b'abc', None)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._inside: set[str] = set()
        self._unsynced: set[str] = set()
        self._open: list[int] = []

    def read(self, name: str, limit: int) -> bytes | None:
        """The bytes of a file, None where there is none.

        Raises :class:`LedgerError` for a link, a device, or a file of more than ``limit`` bytes.
        """
        if not self._parent_inside(name, make=False):
            return None
        try:
            handle = os.open(self.path / name, _READ)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            raise self._refused(name, error) from None
        try:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode):
                raise LedgerError(self._who(name), "a file", "something else", "restore a copy")
            if state.st_size > limit:
                got = f"{state.st_size:,} bytes"
                raise LedgerError(self._who(name), f"at most {limit:,} bytes", got, _RESTORE)
            parts, left = [], limit
            while left and (part := os.read(handle, left)):
                parts.append(part)
                left -= len(part)
            return b"".join(parts)
        except OSError as error:
            raise self._refused(name, error) from None
        finally:
            os.close(handle)

    def write(self, name: str, data: bytes) -> None:
        """Write a file that no checkpoint speaks of yet; on the disk only after :meth:`sync`.

        A file of that name is replaced: an interrupted writer left it behind.
        """
        self._parent_inside(name, make=True)
        try:
            try:
                handle = os.open(self.path / name, _WRITE, 0o644)
            except FileNotFoundError:  # another writer has removed the folder meanwhile
                self._inside.clear()
                self._parent_inside(name, make=True)
                handle = os.open(self.path / name, _WRITE, 0o644)
            self._open.append(handle)
            _write_all(handle, data)
            self._unsynced.add(os.path.dirname(name))
            if len(self._open) >= _AT_ONCE:
                self._flush()
        except OSError as error:
            self._close()
            raise self._refused(name, error) from None

    def sync(self) -> None:
        """Wait until all files written so far, and their names, are on the disk."""
        try:
            self._flush()
            for name in sorted(self._unsynced):
                with suppress(FileNotFoundError):  # of a former try, and removed since
                    sync_folder(self.path / name)
        except OSError as error:
            raise self._refused(".", error) from None
        finally:
            self._close()
        self._unsynced.clear()

    def _flush(self) -> None:
        # Side by side, because a disk takes many requests in about the time of one.
        if len(self._open) > 4:
            with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
                list(pool.map(os.fsync, self._open))
        else:
            for handle in self._open:
                os.fsync(handle)
        self._close()

    def _close(self) -> None:
        for handle in self._open:
            os.close(handle)
        self._open.clear()

    def replace(self, name: str, data: bytes) -> None:
        """Put ``data`` in place of a file at once and durably: all of it, or nothing changes."""
        self._parent_inside(name, make=True)
        target = self.path / name
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_TEMPORARY}")
        try:
            handle = os.open(temporary, _WRITE | os.O_EXCL, 0o644)
            try:
                _write_all(handle, data)
                os.fsync(handle)
            finally:
                os.close(handle)
            os.replace(temporary, target)
            sync_folder(target.parent)
        except OSError as error:
            raise self._refused(name, error) from None
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    @contextmanager
    def building(self) -> Iterator[Path]:
        """A new temporary file beside the ledger's, gone at the end unless adopted."""
        self._parent_inside("x", make=True)
        self._forget_dead()
        path = self.path / f".build.{os.getpid()}.{secrets.token_hex(4)}{_BUILDING}"
        try:
            yield path
        except OSError as error:
            raise self._refused(path.name, error) from None
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def adopt(self, temporary: Path, name: str) -> None:
        """Make a file of :meth:`building` durable under its name."""
        self._parent_inside(name, make=True)
        try:
            handle = os.open(temporary, _READ)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            os.replace(temporary, self.path / name)
            sync_folder((self.path / name).parent)
            self.sync()
        except OSError as error:
            raise self._refused(name, error) from None

    def _forget_dead(self) -> None:
        """Remove what processes left that are no more."""
        for name, _ in self.names("."):
            parts = name.split(".")
            if name.startswith(".build.") and name.endswith(_BUILDING) and parts[2].isdigit():
                try:
                    os.kill(int(parts[2]), 0)
                except ProcessLookupError:
                    self.remove(name)
                except (OSError, OverflowError):
                    continue

    def names(self, name: str) -> list[tuple[str, bool]]:
        """The names in a folder, sorted, each with whether it is a folder itself (links are not).

        Empty where there is no such folder.
        """
        if name != "." and not self._parent_inside(f"{name}/x", make=False):
            return []
        try:
            with os.scandir(self.path / name) as found:
                return sorted((e.name, e.is_dir(follow_symlinks=False)) for e in found)
        except (FileNotFoundError, NotADirectoryError):  # gone since it was last looked at
            return []
        except OSError as error:
            raise self._refused(name, error) from None

    def remove(self, name: str) -> None:
        """Remove a file, or a folder of files; what is not there or cannot go stays."""
        if not self._parent_inside(name, make=False):
            return
        path = self.path / name
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                for inner in path.iterdir():
                    inner.unlink()
                path.rmdir()
                self._inside.discard(name)
            else:
                path.unlink()

    def sweep(self) -> None:
        """Remove temporary files that a killed writer left; only under :meth:`lock`."""
        with suppress(OSError), os.scandir(self.path) as found:
            left = [e.path for e in found if e.name[:1] == "." and e.name.endswith(_TEMPORARY)]
            for path in left:
                os.unlink(path)

    @contextmanager
    def lock(self, name: str = "lock", *, marked: bool = False) -> Iterator[bool]:
        """Hold the ledger for writing, by a lock on the file ``name``.

        Others wait up to ``LOCK_PATIENCE_S`` seconds, then raise :class:`LedgerError`. The system
        takes the lock back when its holder dies, however it dies: no lock is ever stale.

        With ``marked``, the file holds a byte from the beginning to a good end. Yields whether the
        last one who marked it came to no good end, and may have left files.
        """
        self._parent_inside(name, make=True)
        try:
            handle = os.open(self.path / name, _LOCK, 0o644)
        except OSError as error:
            raise self._refused(name, error) from None
        try:
            self._wait_for(handle)
            interrupted = marked and os.fstat(handle).st_size > 0
            try:
                if marked:
                    os.pwrite(handle, b"w", 0)
            except OSError as error:
                raise self._refused(name, error) from None
            yield interrupted
            if marked:
                os.ftruncate(handle, 0)
        finally:
            os.close(handle)

    def _wait_for(self, handle: int) -> None:
        import fcntl  # not on every system, and reading needs no lock

        until, pause = time.monotonic() + LOCK_PATIENCE_S, 0.001
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                pass
            if time.monotonic() > until:
                got = f"another one writing for {LOCK_PATIENCE_S:.0f} s"
                raise LedgerError(str(self.path), "to be the only writer", got, "try again later")
            time.sleep(pause)
            pause = min(2 * pause, 0.02)

    def _parent_inside(self, name: str, *, make: bool) -> bool:
        """Whether the folder of a file is there, made if asked to; raises where it is a link."""
        return self._is_inside(os.path.dirname(name), make=make)

    def _is_inside(self, folder: str, *, make: bool) -> bool:
        if folder in self._inside:
            return True
        # Whoever gives the path may have it lead through links; below it there are none.
        if folder and not self._is_inside(os.path.dirname(folder), make=make):
            return False
        path = self.path / folder
        try:
            if make and not os.path.lexists(path):
                path.mkdir(exist_ok=True)
                self._unsynced.add(os.path.dirname(folder))
            mode = os.lstat(path).st_mode if folder else os.stat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            if make:
                raise self._refused(folder, FileNotFoundError(errno.ENOENT, "no folder")) from None
            return False
        except OSError as error:
            raise self._refused(folder, error) from None
        if not stat.S_ISDIR(mode):
            raise LedgerError(self._who(folder), "a folder", "something else", _RESTORE)
        self._inside.add(folder)
        return True

    def _who(self, name: str) -> str:
        return str(self.path / name)

    def _refused(self, name: str, error: OSError) -> LedgerError:
        self._inside.clear()
        if error.errno == errno.ELOOP:
            return LedgerError(self._who(name), "a file", "a link", "put the file back in place")
        reason = (error.strerror or "an error").lower()
        return LedgerError(
            self._who(name), "to read and write the ledger", reason, "nothing entered was lost"
        )


_RESTORE = "restore it from a copy"


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
