"""Folders of the cache: written whole, checked when opened, pruned when there are too many.

An *entry* is a folder with a list of its files' sizes and hashes. It is moved into place in one
step, so several processes may make the same one. Whoever uses an entry holds a lock on the list:
nothing that is in use is pruned.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is locked, and what is in use cannot be removed there
    fcntl = None  # type: ignore[assignment]

from bioopzo.files import LEFT_S

LIST = "checksums.json"
#: Larger files (what is compiled once a machine) are checked by size alone.
HASHED_BYTES = 8e6
#: What all entries may weigh, in GB, where BIOOPZO_CACHE_GB does not say it.
LIMIT_GB = 4.0
KINDS = ("builds", "bases", "headers")


class Held:
    """A lock on an entry, until it is closed or forgotten; without a file it locks nothing."""

    def __init__(self, place):
        self._file = None
        with contextlib.suppress(OSError):
            self._file = open(place / LIST, "rb")  # noqa: SIM115  it is open as long as this is
            os.utime(place / LIST)  # what was used last is pruned last
        with contextlib.suppress(OSError):  # some file systems have no locks
            if self._file and fcntl:
                fcntl.flock(self._file, fcntl.LOCK_SH)

    def close(self):
        """Give the entry free."""
        if self._file:
            self._file.close()

    __del__ = close


def sound(place):
    """Whether all files of an entry are there, as they were written."""
    try:
        listed = json.loads((place / LIST).read_text())
        return bool(listed) and all(_state(place / name) == tuple(state)
                                    for name, state in listed.items())
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def _state(path):
    """Size and hash of a file."""
    size = path.stat().st_size
    if size > HASHED_BYTES:
        return size, ""
    return size, hashlib.sha256(path.read_bytes()).hexdigest()


@contextlib.contextmanager
def lent(place):
    """A sound entry, held meanwhile, or None."""
    held = Held(place)
    try:
        yield place if sound(place) else None
    finally:
        held.close()


def keep(place, folder, names):
    """Copy the files `names` of `folder` to an entry at `place`: `Held`.

    One that is there is left where it is sound, else replaced. Raises `OSError`.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".made-", dir=place.parent))
    try:
        for name in names:
            shutil.copy2(folder / name, made / name)
        (made / LIST).write_text(json.dumps({name: _state(made / name) for name in names}))
        made.chmod(0o755)
        _move(made, place)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    held = Held(place)
    prune(place.parent.parent)
    return held


def _move(made, place):
    """Move an entry into place, unless a sound one is there: another process was faster."""
    while True:
        try:
            os.rename(made, place)
            return
        except OSError:
            if sound(place):
                return
            if not place.exists():
                raise
            remove(place)


def remove(place):
    """Remove an entry or what stands in its place; nobody sees half of it."""
    away = tempfile.mkdtemp(prefix=".removed-", dir=place.parent)
    try:
        os.rename(place, Path(away) / place.name)
    except FileNotFoundError:  # another process was faster
        pass
    finally:
        shutil.rmtree(away, ignore_errors=True)


# ---------------------------------------------------------------------------- size

def limit_bytes():
    """What all entries may weigh: BIOOPZO_CACHE_GB."""
    try:
        return float(os.environ.get("BIOOPZO_CACHE_GB", "")) * 1e9
    except ValueError:
        return LIMIT_GB * 1e9


def prune(root):
    """Remove what was used longest ago until the entries in `root` weigh less than the limit."""
    found = []
    with contextlib.suppress(OSError):  # another process prunes too
        for kind in KINDS:
            for place in (root / kind).glob("*"):
                found.append(_weighed(place))
    total = sum(size for _, size, _ in found)
    for used, size, place in sorted(found):
        left = place.name.startswith(".") and used < time.time() - LEFT_S
        if left or (total > limit_bytes() and not place.name.startswith(".")):
            with contextlib.suppress(OSError):
                if _free(place):
                    remove(place)
                    total -= size


def _weighed(place):
    """When an entry was used last, what it weighs, and where it is."""
    listed = place / LIST
    used = (listed if listed.exists() else place).stat().st_mtime
    return used, sum(path.stat().st_size for path in place.rglob("*")), place


def _free(place):
    """Whether nobody holds an entry."""
    if not fcntl or not (place / LIST).exists():
        return True
    with open(place / LIST, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True
