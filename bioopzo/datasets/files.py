"""Data files that tasks need: where they are looked for, how they are checked and downloaded.

Files are idx (or idx.gz), as LeCun published MNIST. They are looked for under a data directory:
environment variable BIOOPZO_DATA, else `<user cache>/bioopzo/data`. Nothing is downloaded unless
`download` (or `bioopzo data NAME`) is called.
"""

import errno
import gzip
import hashlib
import http.client
import io
import math
import os
import struct
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from bioopzo.errors import InputError, MissingData, unknown
from bioopzo.files import write_atomically

CLASSES = 10
MAGIC = {1: 0x00000801, 3: 0x00000803}  # unsigned bytes, by number of dimensions
TIMEOUT_S = 30  # without a single byte
BLOCK = 1 << 16


@dataclass(frozen=True)
class DataFile:
    """One idx file and what is known of it.

    field | meaning
    ----- | -------
    name | the published name, without .gz
    shape | (images, rows, columns), or (labels,)
    sha256 | of the uncompressed content, so that any compression of it will do; '' if not known
    md5 | of the .gz as published; '' if not needed
    """

    name: str
    shape: tuple[int, ...]
    sha256: str = ""
    md5: str = ""

    @property
    def kind(self) -> str:
        """'images' or 'labels'."""
        return "images" if len(self.shape) == 3 else "labels"

    @property
    def size(self) -> int:
        """Bytes of the uncompressed file."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)

    @property
    def most(self) -> int:
        """Bytes that no sensible .gz of the file exceeds."""
        return self.size + self.size // 100 + 4096

    @property
    def spellings(self) -> list[str]:
        """Every accepted file name; first what `download` writes, so that a download counts."""
        names = [self.name, self.name.replace("-idx", ".idx")]
        return [name + ".gz" for name in names] + names

    @property
    def checksum(self) -> str:
        """The pinned checksum in words."""
        if self.sha256:
            return f"{self.size} bytes with sha256 {self.sha256} (uncompressed)"
        return f"{self.size} bytes (uncompressed); md5 of the published .gz {self.md5}"


@dataclass(frozen=True)
class DataSet:
    """A data set: its name, its folder as torchvision lays it out, its mirror and its files.

    `files` are training images, training labels, test images, test labels.
    """

    name: str
    torchvision: str
    mirror: str
    files: tuple[DataFile, DataFile, DataFile, DataFile]


def _four(**checksums):
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
             "t10k-labels-idx1-ubyte")
    shapes = ((60000, 28, 28), (60000,), (10000, 28, 28), (10000,))
    ((kind, values),) = checksums.items()
    return tuple(DataFile(name, shape, **{kind: value})
                 for name, shape, value in zip(names, shapes, values))


DATASETS = {
    "mnist": DataSet(
        "mnist", "MNIST/raw", "https://ossci-datasets.s3.amazonaws.com/mnist/",
        _four(sha256=("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                      "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                      "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                      "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"))),
    # Its authors publish md5 sums of the .gz only: an uncompressed copy has no checksum.
    "fashion_mnist": DataSet(
        "fashion_mnist", "FashionMNIST/raw",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        _four(md5=("8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                   "25c81989df183df01b3e8a0aad5dffbe",
                   "bef4ecab320f06d8554ea6380940ec79",
                   "bb300cfdad3c16e7a12a480ee83cd310"))),
}


def data_directory(directory: str | os.PathLike | None = None) -> Path:
    """`directory`, else BIOOPZO_DATA, else `<user cache>/bioopzo/data`.

    `InputError` for what is no path, and for the home of a user that there is not (`~nobody`).
    """
    if not isinstance(directory, (str, os.PathLike, type(None))):
        raise InputError(f"data must be a directory (a string or a path), not {directory!r}")
    chosen = directory or os.environ.get("BIOOPZO_DATA") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache", "bioopzo", "data")
    try:
        return Path(chosen).expanduser().absolute()
    except RuntimeError:
        raise InputError(f"the data directory {chosen} cannot be found: there is no such user; "
                         "write the path in full") from None


def folders(name: str, directory: str | os.PathLike | None = None) -> list[Path]:
    """The folders where data set `name` is looked for, in order.

    `<directory>/<name>`, the folder torchvision makes in it, and the directory itself. In the last
    a file counts only if a pinned checksum proves it: data sets share their file names.
    `InputError` for an unknown data set.
    """
    root = data_directory(directory)
    return [root / name, root / _dataset(name).torchvision, root]


def load(name: str, directory: str | os.PathLike | None = None) -> list[np.ndarray]:
    """Training images, training labels, test images and test labels of data set `name`.

    Images are (n, rows, columns), labels (n,), all uint8, read-only, in the order of the files.
    Each file may be idx or idx.gz, spelled `train-images-idx3-ubyte` or `train-images.idx3-ubyte`.
    Header, size, checksum and the range of labels are checked: MNIST by sha256 of the content,
    Fashion-MNIST by the published md5 of the .gz, or by the folder that it is in: an uncompressed
    file has no checksum, and one that was compressed again another.
    `MissingData`, an `InputError`, names the files not found, where, and how to get them;
    `InputError` names a faulty file, what is wrong with it and a remedy.
    """
    return [array for array, _ in _read_all(name, directory)]


def locate(name: str, directory: str | os.PathLike | None = None) -> list[Path]:
    """The paths of the four files that `load` reads, checked as it does, or its errors."""
    return [path for _, path in _read_all(name, directory)]


def download(name: str, directory: str | os.PathLike | None = None, progress: bool = True) -> Path:
    """Download what is missing or faulty of data set `name` into `<directory>/<name>`.

    Returns that folder.

    Files that `load` would accept, wherever they are, stay as they are. A file is kept as the .gz
    of the mirror and appears only once its checksum is right, whole or not at all. `progress`
    shows bars. `InputError`, naming the URL or file and a remedy, when the mirror does not answer,
    sends something else, or the file cannot be written.
    """
    dataset = _dataset(name)
    folder = folders(name, directory)[0]
    for file in dataset.files:
        try:
            if _read(dataset, file, directory, []):
                continue
        except InputError:
            pass  # a faulty file: the good one goes where it is looked for first
        url = f"{dataset.mirror}{file.name}.gz"
        raw = _fetch(url, file, folder, progress)
        _checked(dataset, file, raw, True, url, "try again later, or get the file elsewhere and "
                 f"put it into {folder}")
        _write(folder / f"{file.name}.gz", raw)
    return folder


# ---- finding ------------------------------------------------------------------------------------


def _dataset(name):
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name]


def _command(name, directory):
    return f"`bioopzo data {name}{f' --dir {directory}' if directory else ''}`"


def _read_all(name, directory):
    dataset = _dataset(name)
    notes: list[str] = []
    found = [_read(dataset, file, directory, notes) for file in dataset.files]
    if None not in found:
        return found
    missing = [file for file, hit in zip(dataset.files, found) if hit is None]
    looked = [f"{folder}{'' if folder.is_dir() else ' (no such folder)'}"
              for folder in folders(name, directory)]
    raise MissingData("\n  ".join([
        f"the data set {name} is not complete: {len(missing)} of {len(found)} files are missing",
        f"get them: {_command(name, directory)} downloads them; or put them, .gz or not, into "
        f"{folders(name, directory)[0]}; or set BIOOPZO_DATA to the directory that has them",
        *(f"looked in: {line}" for line in looked),
        *(f"missing: {file.name}[.gz], {file.checksum}" for file in missing),
        *(f"passed over: {note}" for note in notes)]))


def _read(dataset, file, directory, notes):
    """The array of a file and its path, or None; `notes` takes why files of its name don't do."""
    *named, root = folders(dataset.name, directory)
    for path in (folder / spelling for folder in (*named, root) for spelling in file.spellings):
        if not os.path.isfile(path):
            continue
        packed = path.suffix == ".gz"
        if path.parent != root:
            remedy = f"replace it, or let {_command(dataset.name, directory)} download a good one"
            return _from_disk(dataset, file, path, packed, remedy, False), path
        if not (file.sha256 or packed):
            notes.append(f"{path}: nothing proves that it belongs to {dataset.name}; if it does, "
                         f"move it into {named[0]}")
            continue
        try:  # other data sets have files of the same names here
            return _from_disk(dataset, file, path, packed, ""), path
        except InputError as fault:
            notes.append(str(fault))
    return None


def _from_disk(dataset, file, path, packed, remedy, published=True):
    most = file.most if packed else file.size
    try:
        with open(path, "rb") as opened:
            raw = opened.read(most + 1)
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror or problem}") from None
    return _checked(dataset, file, raw, packed, path, remedy, published)


# ---- checking -----------------------------------------------------------------------------------


def _checked(dataset, file, raw, packed, where, remedy, published=True):
    """The array in the bytes `raw` of an idx file (`packed`: of a .gz), every claim checked.

    `published` says whether a .gz of which only the md5 is known must be the published one.
    """
    def fault(what, instead=""):
        return InputError("; ".join(filter(None, [f"{where} {what}", instead or remedy])))

    content = raw
    if packed:
        if len(raw) > file.most:
            raise fault(f"is larger than any .gz of {file.name} ({file.most} bytes)")
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as opened:
                content = opened.read(file.size + 1)  # no more, whatever it would unpack to
        except EOFError:
            raise fault(f"is a truncated gzip file ({len(raw)} bytes)") from None
        except (OSError, zlib.error) as problem:
            raise fault(f"is not a sound gzip file ({problem})") from None

    header = 4 + 4 * len(file.shape)
    if len(content) < header:
        raise fault(f"is truncated: {len(content)} bytes, not {file.size}")
    magic, *shape = struct.unpack(f">{header // 4}I", content[:header])
    if magic != MAGIC[len(file.shape)]:
        raise fault(f"does not hold {file.kind}: its magic number is 0x{magic:08x}, not "
                    f"0x{MAGIC[len(file.shape)]:08x}")
    # Images and labels agree in number because both must have the pinned one.
    if tuple(shape) != file.shape:
        raise fault(f"says that it holds {_times(shape)} {file.kind}, not {_times(file.shape)}")
    if len(content) < file.size:
        raise fault(f"is truncated: {len(content)} bytes, not {file.size}")
    if len(content) > file.size:
        raise fault(f"holds more than the {file.size} bytes that its header announces")

    _check_checksums(dataset, file, raw, packed, content, fault, published)
    array = np.frombuffer(content, np.uint8, offset=header).reshape(file.shape)
    if file.kind == "labels" and array.max() >= CLASSES:
        first = int(np.argmax(array >= CLASSES))
        raise fault(f"has the label {array[first]} at {first}, outside 0 ... {CLASSES - 1}")
    return array


def _check_checksums(dataset, file, raw, packed, content, fault, published):
    sha256 = hashlib.sha256(content).hexdigest()
    md5 = hashlib.md5(raw, usedforsecurity=False).hexdigest() if packed else None
    for other in DATASETS.values():
        for its in other.files if other is not dataset else ():
            if sha256 == its.sha256 or (md5 is not None and md5 == its.md5):
                raise fault(f"is {its.name} of the data set {other.name}, not of {dataset.name}")
    if file.sha256 and sha256 != file.sha256:
        raise fault(f"has the wrong content: its sha256 (uncompressed) is {sha256}, not "
                    f"{file.sha256}")
    if published and file.md5 and packed and md5 != file.md5:
        raise fault(f"is not the published .gz: its md5 is {md5}, not {file.md5}; size and form "
                    "are right, but only its folder could say what a copy that was compressed "
                    "again is of", f"move it into {folders(dataset.name)[0]}")


def _times(shape):
    return " x ".join(str(n) for n in shape)


# ---- downloading --------------------------------------------------------------------------------


def _fetch(url, file, folder, progress):
    """The bytes at `url`; `InputError` when they cannot be had or are too many."""
    raw = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            length = answer.headers.get("Content-Length")
            with tqdm(total=int(length) if length else None, desc=file.name, unit="B",
                      unit_scale=True, disable=not progress) as bar:
                while len(raw) <= file.most and (block := answer.read(BLOCK)):
                    raw += block
                    bar.update(len(block))
    except (OSError, http.client.HTTPException, ValueError) as problem:
        reason = getattr(problem, "reason", None) or problem
        raise InputError(
            f"{url} could not be downloaded ({reason}); check the network and try again, or get "
            f"{file.name}.gz elsewhere and put it into {folder}, or set BIOOPZO_DATA to a "
            "directory that has the data") from None
    return bytes(raw)


def _write(path, raw):
    try:
        write_atomically(path, lambda opened: opened.write(raw))
    except OSError as problem:
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
        what = (f"there is no space for {path} ({len(raw) / 1e6:.1f} MB)" if full
                else f"{path} cannot be written ({problem.strerror or problem})")
        raise InputError(f"{what}; {'make room or ' * full}choose another directory with --dir or "
                         "BIOOPZO_DATA") from None
