"""Published archives: downloaded when asked, checked, unpacked safely, moved into place whole."""

import errno
import gzip
import hashlib
import http.client
import os
import shutil
import stat
import tarfile
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from tqdm.auto import tqdm

from bioopzo.datasets import recordings
from bioopzo.datasets.files import TIMEOUT_S, data_directory
from bioopzo.datasets.recordings import Archive, EventSet
from bioopzo.errors import InputError

BLOCK = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)
LONGEST = 255  # bytes of a name, on all common file systems


def download(event_set: EventSet, data: str | os.PathLike | None = None,
             progress: bool = True) -> Path:
    """Get what a data set lacks into `<data>/<name>/<reader>`, and say where that is.

    An archive that lies in `<data>/<name>` already is used in place of a download. It is checked
    (md5), unpacked beside the folder, and what is in it appears in the folder only when all of it
    is there. A folder that is complete (names and numbers, not contents) stays as it is.
    `InputError`, naming the URL or file and a remedy: a part of a split in the way (said before
    anything is fetched), no network, a wrong or unsafe archive, no room.
    """
    folder = data_directory(data) / event_set.name / event_set.reader
    try:
        return _checked(event_set, recordings.find(event_set, data))
    except InputError:
        pass
    get(lambda: _lacking(event_set, folder), folder.parent, folder, progress)
    return _checked(event_set, folder)


def get(archives: Callable[[], Iterable[Archive]], home: Path, folder: Path, progress: bool = True
        ) -> None:
    """Put what is in some `archives` into `folder`; they may lie in `home` already.

    `archives` is asked when the folder is there. `InputError` as for `download`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for archive in archives():
            _one(archive, home, folder, progress)
    except OSError as problem:
        full = problem.errno in FULL
        raise InputError(f"{folder} cannot be written ({problem.strerror or problem}); "
                         f"{'make room, or ' * full}choose another directory with --dir or "
                         "BIOOPZO_DATA") from None


def _checked(event_set, folder):
    recordings.listing(event_set, folder)
    return folder


def _lacking(event_set, folder):
    """The archives of the splits that are not there; `InputError` for one that is there in part."""
    found = recordings.listing(event_set, folder, partial=True)
    lacking = []
    for split, archive in zip(event_set.complete, event_set.archives):
        total = event_set.total[split]
        if len(found[split]) == total:
            continue
        there = recordings.replaced(event_set, folder, split)
        if there:
            raise InputError(
                f"{there} is in the way of what {archive.name} holds: it has {len(found[split])} "
                f"of {total} recordings; move it away, then run this command again")
        lacking.append(archive)
    return lacking


def _one(archive, home, folder, progress):
    """Fetch, check and unpack one archive, all of it in a folder of its own until it is right."""
    with tempfile.TemporaryDirectory(dir=home, prefix=".download-") as place:
        path = home / archive.name
        if not path.is_file():
            path = Path(place) / archive.name
            _fetch(archive, path, home, progress)
        found = _md5(path)
        if found != archive.md5:
            where = archive.url if place in str(path) else path
            raise InputError(f"{where} is not the published {archive.name}: its md5 is {found}, "
                             f"not {archive.md5}; remove it, or try again later, or get it "
                             f"elsewhere and put it into {home}")
        unpacked = Path(place) / "unpacked"
        unpack(path, unpacked, archive.most, archive.files)
        for nested in sorted(unpacked.glob("*.zip")):  # CIFAR10-DVS: an archive for every class
            unpack(nested, unpacked, archive.most, archive.files)
            nested.unlink()
        for entry in sorted(unpacked.iterdir()):
            target = folder / entry.name
            if target.exists():
                raise InputError(f"{target} is in the way of what {archive.name} holds; move "
                                 "it away, then run this command again")
            os.replace(entry, target)


def _fetch(archive: Archive, path: Path, home: Path, progress: bool) -> None:
    """Download an archive to `path`."""
    try:
        request = urllib.request.Request(archive.url, headers={"User-Agent": "bioopzo"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer, open(path, "wb") as file:
            length = answer.headers.get("Content-Length")
            with tqdm(total=int(length) if length else None, desc=archive.name, unit="B",
                      unit_scale=True, disable=not progress) as bar:
                while block := answer.read(BLOCK):
                    if file.tell() > archive.most:
                        raise ValueError("it does not end")
                    file.write(block)
                    bar.update(len(block))
    except (OSError, http.client.HTTPException, ValueError) as problem:
        reason = getattr(problem, "reason", None) or problem
        raise InputError(
            f"{archive.url} could not be downloaded ({reason}); check the network and try again, "
            f"or get {archive.name} elsewhere, put it into {home} and run this command again"
        ) from None


def _md5(path):
    found = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def unpack(path: Path, folder: Path, most: int, files: int) -> None:
    """Unpack a .zip or .tar.gz into `folder`: plain files and folders, and nothing outside it.

    Hidden members and those of `__MACOSX` are left out. `InputError`, before anything is written,
    for a member with an absolute path or `..`, a link or a device, a name that is too long or
    taken by another, for more than `files` members or `most` bytes; and for a file that is no
    archive.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                inside = [(m.filename, m.is_dir(), _plain(m), m.file_size, m)
                          for m in archive.infolist()]
                _write(path, folder, inside, archive.open, most, files)
        else:
            with tarfile.open(path) as tar:
                members = [(m.name, m.isdir(), m.isreg() or m.isdir(), m.size, m)
                           for m in tar.getmembers()]
                _write(path, folder, members, tar.extractfile, most, files)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError,
            RuntimeError, gzip.BadGzipFile, zlib.error) as problem:
        raise InputError(f"{path} is no sound archive ({problem}); remove it and download it "
                         "again") from None


def _plain(member):
    kind = stat.S_IFMT(member.external_attr >> 16)
    return kind in (0, stat.S_IFREG, stat.S_IFDIR)


def _write(path, folder, members, open_member, most, files):
    total = sum(size for _, _, _, size, _ in members)
    if len(members) > files or total > most:
        raise InputError(f"{path} would unpack to {len(members)} files and {total} bytes, more "
                         f"than {files} files or {most} bytes; it is not what it should be: "
                         "remove it")
    for name, _, plain, _, _ in members:
        parts = _parts(name)
        if parts.is_absolute() or ".." in parts.parts or ":" in name:
            raise InputError(f"{path} holds {name!r}, a path outside the folder it is unpacked "
                             "into; nothing was unpacked: remove it")
        if not plain:
            raise InputError(f"{path} holds {name!r}, which is no plain file but a link or a "
                             "device; nothing was unpacked: remove it")
    members = [m for m in members if not any(map(recordings.skipped, _parts(m[0]).parts))]
    _check_names(path, members)
    room = shutil.disk_usage(folder.parent).free
    if total > room:
        raise InputError(f"{path} unpacks to {total / 1e6:.0f} MB, but there are {room / 1e6:.0f} "
                         "MB left; make room, or choose another directory with --dir or "
                         "BIOOPZO_DATA")
    folder.mkdir(exist_ok=True)
    for name, directory, _, size, member in members:
        try:
            _write_member(path, folder, name, directory, size, member, open_member)
        except OSError as problem:
            if problem.errno in FULL or isinstance(problem, gzip.BadGzipFile):
                raise
            raise InputError(f"{path} holds {name!r}, which cannot be unpacked "
                             f"({problem.strerror or problem}); remove it") from None


def _parts(name):
    return PurePosixPath(name.replace("\\", "/"))


def _check_names(path, members):
    """Every member must have a name and a place of its own."""
    files: set[PurePosixPath] = set()
    folders = {PurePosixPath()}
    for name, directory, _, _, _ in members:
        parts = _parts(name)
        if "\0" in name or any(len(part.encode(errors="replace")) > LONGEST
                               for part in parts.parts):
            raise InputError(f"{path} holds {name[:60] + '...'!r}, no possible name of a file (at "
                             f"most {LONGEST} bytes); nothing was unpacked: remove it")
        folders.update(parts.parents)
        if not directory and parts in files:
            raise InputError(f"{path} holds {name!r} twice; nothing was unpacked: remove it")
        (folders if directory else files).add(parts)
    for both in sorted(files & folders):
        raise InputError(f"{path} holds {str(both)!r} as a file and as a folder; nothing was "
                         "unpacked: remove it")


def _write_member(path, folder, name, directory, size, member, open_member):
    target = folder / _parts(name)
    (target if directory else target.parent).mkdir(parents=True, exist_ok=True)
    if directory:
        return
    with open_member(member) as source, open(target, "xb") as file:
        left = size  # what the member says, which the limits were checked with
        while block := source.read(min(BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                raise InputError(f"{path} holds {name!r}, which is larger than it says; "
                                 "remove it")
            file.write(block)
