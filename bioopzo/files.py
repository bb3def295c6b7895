"""Files: written whole or not at all, and where what can be made again is kept."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from bioopzo.errors import InputError


def cache_directory() -> Path:
    """Where compiled networks are kept: BIOOPZO_CACHE, else the user's cache."""
    root = os.environ.get("BIOOPZO_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bioopzo")
    return Path(root) / "builds"


def writable(name: str, place: str | os.PathLike, *parts: str) -> Path:
    """The path `place`, and `parts` in it; `InputError` when no file can be written there.

    `name` is that of the argument. Folders that are missing are made. A `place` without `parts` is
    the file itself, and no folder.
    """
    try:
        path = Path(place, *parts)
    except TypeError:
        raise InputError(f"{name} is a path, not {place!r}") from None
    if not path.name:
        raise InputError(f"{name} is the path of a file, not {str(path)!r}")
    if not parts and (path.is_dir() or os.fspath(place).endswith(os.sep)):
        raise InputError(f"{name} names a file, and {os.fspath(place)} is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as problem:
        raise InputError(f"nothing can be written to {name}={str(path)!r}: "
                         f"{problem.strerror}") from None
    return path


def write_atomically(path: str | os.PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Call `write(file)` on a temporary file beside `path`, then move it into place."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def write_json(path: str | os.PathLike, content: object) -> None:
    """Write `content` as JSON to `path`, atomically; a NaN is refused (JSON has none)."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda f: f.write(text.encode()))
