"""Files: written whole or not at all, and where what can be made again is kept."""

import contextlib
import glob
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from bioopzo.errors import InputError

#: After so many seconds a file that somebody began to write, and did not end, is nobody's.
LEFT_S = 86400


def cache_directory() -> Path:
    """Where compiled networks are kept: BIOOPZO_CACHE, else the user's cache."""
    root = os.environ.get("BIOOPZO_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bioopzo")
    return Path(root) / "builds"


def writable(name: str, place: str | os.PathLike, *parts: str) -> Path:
    """The path `place`, and `parts` in it; `InputError` when no file can be written there.

    `name` is that of the argument. Folders that are missing are made. A `place` without `parts` is
    the file itself, and no folder, pipe or device.
    """
    try:
        path = Path(place, *parts)
    except TypeError:
        raise InputError(f"{name} is a path, not {place!r}") from None
    if not path.name:
        raise InputError(f"{name} is the path of a file, not {str(path)!r}")
    try:
        if not parts and (path.is_dir() or os.fspath(place).endswith(os.sep)):
            raise InputError(f"{name} names a file, and {os.fspath(place)} is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            raise InputError(f"{name} names a file, and {path} is a "
                             f"{'folder' if path.is_dir() else 'pipe or a device'}")
        _try(path)
    except (OSError, ValueError) as problem:
        if isinstance(problem, InputError):
            raise
        raise InputError(f"nothing can be written to {name}={str(path)!r}: "
                         f"{getattr(problem, 'strerror', None) or problem}") from None
    return path


def readable(path: str | os.PathLike) -> Path:
    """The path of a file to be read; `InputError` for a folder, a pipe or a device.

    Whether it is there is left to whoever opens it.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        what = "folder" if path.is_dir() else "pipe or a device"
        raise InputError(f"{path} is a {what}, no file")
    return path


def _try(path):
    """Write some bytes beside `path`, under a name as long as `write_atomically` needs."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(bytes(4096))
    finally:
        os.unlink(name)


def write_atomically(path: str | os.PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Call `write(file)` on a temporary file beside `path`, then move it into place.

    What a process that was killed left of the same file a day ago is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}-????????"):
        with contextlib.suppress(OSError):  # another process removes it, too
            if left.stat().st_mtime < time.time() - LEFT_S:
                left.unlink()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def write_json(path: str | os.PathLike, content: object) -> None:
    """Write `content` as JSON to `path`, atomically; a NaN is refused (JSON has none)."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda f: f.write(text.encode()))
