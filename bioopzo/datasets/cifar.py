"""CIFAR-10 and CIFAR-100: 32x32 colour images in the data sets' own binary or Python layout.

The folders of either layout are looked for under the data directory (see `files.data_directory`).
A record of the binary layout is its label or labels, a byte each, and 3072 bytes of pixels: 1024
red, 1024 green, 1024 blue, row by row. The Python layout holds the same as pickled arrays, of which
nothing but arrays, numbers and texts is read.

Source: Krizhevsky 2009, Learning multiple layers of features from tiny images (TR, Toronto).
"""

import hashlib
import os
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bioopzo.datasets.files import data_directory
from bioopzo.datasets.recordings import Archive
from bioopzo.errors import InputError, MissingData

#: Channels, rows and columns of an image, and its bytes.
SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
#: What a pickled array is made of; nothing else is called.
HARMLESS = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}


@dataclass(frozen=True)
class Layout:
    """The files of a data set in one layout, in its `folder`.

    field | meaning
    ----- | -------
    train, test | names of files -> records that each holds
    meta | the file with the names of the classes
    key | of the labels, and of the classes' names, in the Python layout; '' for the binary one
    label_bytes | labels before the pixels of a binary record: the last is the class
    md5 | name -> checksum, where one is published
    """

    folder: str
    train: dict[str, int]
    test: dict[str, int]
    meta: str
    key: tuple[str, str] = ("", "")
    label_bytes: int = 1
    md5: dict[str, str] | None = None


@dataclass(frozen=True)
class Cifar:
    """One of the two data sets: the archive of its binary layout, its classes and layouts."""

    name: str
    classes: int
    archive: Archive
    layouts: tuple[Layout, Layout]


@dataclass(frozen=True)
class Images:
    """What was read: `images` (n, 3, 32, 32) uint8 and `labels` (n,), training, then test ones.

    `held` are the numbers of training and test images, `names` those of the classes, `whole` says
    whether that is all of the data set, `folder` where it was.
    """

    images: np.ndarray
    labels: np.ndarray
    held: tuple[int, int]
    names: tuple[str, ...] | None
    whole: bool
    folder: Path


_BATCHES = [f"data_batch_{k}" for k in range(1, 6)]
_HOME = "https://www.cs.toronto.edu/~kriz/"
SETS = {
    "cifar10": Cifar("cifar10", 10, Archive(
        "cifar-10-binary.tar.gz", f"{_HOME}cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530", 2 * 10**8, 20), (
        Layout("cifar-10-batches-bin", {f"{name}.bin": 10000 for name in _BATCHES},
               {"test_batch.bin": 10000}, "batches.meta.txt"),
        Layout("cifar-10-batches-py", dict.fromkeys(_BATCHES, 10000), {"test_batch": 10000},
               "batches.meta", ("labels", "label_names"), md5={
                   "data_batch_1": "c99cafc152244af753f735de768cd75f",
                   "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
                   "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
                   "data_batch_4": "634d18415352ddfa80567beed471001a",
                   "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
                   "test_batch": "40351d587109b95175f43aff81a1287e"}))),
    "cifar100": Cifar("cifar100", 100, Archive(
        "cifar-100-binary.tar.gz", f"{_HOME}cifar-100-binary.tar.gz",
        "03b5dce01913d631647c71ecec9e9cb8", 2 * 10**8, 20), (
        Layout("cifar-100-binary", {"train.bin": 50000}, {"test.bin": 10000},
               "fine_label_names.txt", label_bytes=2),
        Layout("cifar-100-python", {"train": 50000}, {"test": 10000}, "meta",
               ("fine_labels", "fine_label_names"), md5={
                   "train": "16019d7e3df5f24257cddd939b257f8d",
                   "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}))),
}


def folders(name: str, directory: str | os.PathLike | None = None) -> list[Path]:
    """The folders where the data set is looked for, in order: in one of its own, or beside."""
    root = data_directory(directory)
    return [place / layout.folder for place in (root / name, root)
            for layout in SETS[name].layouts]


def located(name: str, directory: str | os.PathLike | None = None) -> Path:
    """The folder that `load` reads; `MissingData` where there is none."""
    for folder in folders(name, directory):
        if folder.is_dir():
            return folder
    looked = "\n  ".join(f"looked for {folder}" for folder in folders(name, directory))
    home = data_directory(directory) / name
    raise MissingData(
        f"the data set {name} is not there\n  get it: `bioopzo data {name}` downloads "
        f"{SETS[name].archive.name}; or unpack it (or the Python version) in {home}; or "
        f"set BIOOPZO_DATA to the directory that has it\n  {looked}")


def load(name: str, directory: str | os.PathLike | None = None, partial: bool = False) -> Images:
    """The images of ``"cifar10"`` or ``"cifar100"`` (fine labels), checked.

    All of it must be there, in the published numbers and with the published checksums where there
    are some (the Python layout has them), or as many images of every class as of any other;
    `partial` takes fewer images, or other ones, as they are. Raises `MissingData`, and `InputError`
    for a file that is truncated, foreign or damaged, naming it and a remedy.
    """
    known, folder = SETS[name], located(name, directory)
    layout = next(one for one in known.layouts if one.folder == folder.name)
    read = _pickled if layout.key[0] else _binary
    parts, held = [], []
    for files in (layout.train, layout.test):
        found = [read(folder / file, layout, known, count, partial)
                 for file, count in files.items()
                 if not partial or (folder / file).is_file()]
        if not found:
            raise MissingData(f"{folder} holds none of {', '.join(files)}")
        parts += found
        held.append(sum(len(labels) for _, labels in found))
    images, labels = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    wanted = tuple(sum(files.values()) for files in (layout.train, layout.test))
    whole = tuple(held) == wanted
    if not partial:
        _check_classes(folder, known, labels, held)
    return Images(images.reshape(-1, *SHAPE), labels.astype(np.int64), (held[0], held[1]),
                  _names(folder / layout.meta, layout, known), whole, folder)


def _bytes(path):
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise MissingData(f"{path} is missing; a part of the data set is taken with "
                          "partial=True (in the shell: --task-set partial=True)") from None
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror or problem}") from None


def _binary(path, layout, known, count, partial):
    """Images (n, 3072) and labels (n,) of a file of the binary layout."""
    raw = _bytes(path)
    size = layout.label_bytes + PIXELS
    if len(raw) % size or not raw:
        raise InputError(f"{path} is truncated, or of another data set: {len(raw)} bytes are not "
                         f"records of {size} bytes each; get {known.name} again (`bioopzo data "
                         f"{known.name}`)")
    records = np.frombuffer(raw, np.uint8).reshape(-1, size)
    labels = records[:, layout.label_bytes - 1]
    _check_labels(path, labels, known.classes)
    _check_count(path, len(labels), count, partial)
    return records[:, layout.label_bytes:], labels


class _Plain(pickle.Unpickler):
    """Reads arrays, lists, numbers and texts; calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The function of that name, where it is one of the harmless."""
        if (module, name) in HARMLESS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and holds more than arrays")


def _unpickled(path):
    """What a file of the Python layout holds, name -> value; and its bytes."""
    raw = _bytes(path)
    try:
        with path.open("rb") as file:
            content = _Plain(file, encoding="bytes").load()
        return {key.decode(): value for key, value in content.items()}, raw
    except Exception as problem:  # of a damaged pickle, anything
        raise InputError(f"{path} cannot be read as the Python version of the data set: {problem}; "
                         "get it again") from None


def _pickled(path, layout, known, count, partial):
    """Images (n, 3072) and labels (n,) of a file of the Python layout."""
    content, raw = _unpickled(path)
    try:
        images, labels = np.asarray(content["data"]), np.asarray(content[layout.key[0]])
        if images.dtype != np.uint8 or images.shape != (len(labels), PIXELS) or not len(labels):
            raise ValueError(f"its images are {images.dtype} of shape {images.shape}, with "
                             f"{len(labels)} labels, not uint8 of shape (n, {PIXELS})")
    except (KeyError, TypeError, ValueError) as problem:
        what = f"it has no {problem}" if isinstance(problem, KeyError) else problem
        raise InputError(f"{path} is not a file of {known.name}: {what}") from None
    _check_labels(path, labels, known.classes)
    _check_count(path, len(labels), count, partial)
    found, wanted = hashlib.md5(raw, usedforsecurity=False).hexdigest(), layout.md5[path.name]
    if not partial and found != wanted:
        raise InputError(f"{path} is not the published file: its md5 is {found}, not {wanted}; get "
                         "it again, or take it as it is with partial=True (in the shell: "
                         "--task-set partial=True)")
    return images, labels


def _check_labels(path, labels, classes):
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes:
        worst = labels[int(np.argmax((labels < 0) | (labels >= classes)))]
        raise InputError(f"{path} has the label {worst}: there are the classes 0 to {classes - 1}. "
                         "It is damaged, or of another data set")


def _check_count(path, found, count, partial):
    if found != count and not partial:
        raise InputError(f"{path} holds {found} images, not {count}: it is truncated, or a part; "
                         "get it again, or take a part with partial=True (in the shell: --task-set "
                         "partial=True)")


def _check_classes(folder, known, labels, held):
    """Of the whole data set every class has as many images as any other."""
    for what, part in (("training", labels[:held[0]]), ("test", labels[held[0]:])):
        counts = np.bincount(part, minlength=known.classes)
        if counts.min() != counts.max():
            raise InputError(f"{folder} is not {known.name} as it was published: its {what} images "
                             f"are {counts.min()} to {counts.max()} of a class, not "
                             f"{len(part) // known.classes} of each; get it again, or take it as "
                             "it is with partial=True (in the shell: --task-set partial=True)")


def _names(path: Path, layout: Layout, known: Cifar) -> tuple[str, ...] | None:
    """The names of the classes, where the file that has them is there and complete."""
    if not path.is_file():
        return None
    found: Iterable[Any]
    if layout.key[0]:
        found = _unpickled(path)[0].get(layout.key[1], ())
        names = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in found)
    else:
        names = tuple(_bytes(path).decode("utf-8", "replace").split())
    return names if len(set(names)) == len(names) == known.classes else None
