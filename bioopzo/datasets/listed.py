"""All data sets by name: where each is, and how it is downloaded."""

import os
from pathlib import Path

from bioopzo.datasets import archives, cifar, files, recordings
from bioopzo.errors import InputError, MissingData, unknown


def names() -> list[str]:
    """The data sets that there are."""
    return [*files.DATASETS, *cifar.SETS, *recordings.EVENT_SETS]


def folders(name: str, directory: str | os.PathLike | None = None) -> list[Path]:
    """Where a data set is looked for, in order."""
    if name in recordings.EVENT_SETS:
        return recordings.folders(recordings.EVENT_SETS[name], directory)
    return (cifar if name in cifar.SETS else files).folders(name, directory)


def download(name: str, directory: str | os.PathLike | None = None) -> str:
    """Download what is missing of a data set; says where it is, and how it was checked.

    Raises `InputError` for an unknown name, and as `files.download` and `archives.download` do.
    """
    if name in recordings.EVENT_SETS:
        found = archives.download(recordings.EVENT_SETS[name], directory)
        return f"in {found}, checked (names and numbers, not contents)"
    if name in cifar.SETS:
        home = files.data_directory(directory) / name
        if not any(folder.is_dir() for folder in folders(name, directory)):
            archives.get(lambda: [cifar.SETS[name].archive], home, home)
    elif name in files.DATASETS:
        files.download(name, directory)
    else:
        raise unknown("data set", name, names())
    return f"in {located(name, directory)}, checked"


def located(name: str, directory: str | os.PathLike | None = None) -> str:
    """The folder, or folders, of a data set, its files checked; `MissingData` or `InputError`."""
    if name in recordings.EVENT_SETS:
        return recordings.located(recordings.EVENT_SETS[name], directory)
    if name in cifar.SETS:
        return str(cifar.load(name, directory).folder)
    return ", ".join(sorted({str(path.parent) for path in files.locate(name, directory)}))


def state(name: str, directory: str | os.PathLike | None = None) -> str:
    """Where a data set is, or what is wrong with it, in words."""
    try:
        return f"in {located(name, directory)}, checked"
    except MissingData:
        return f"not found; `bioopzo data {name}` downloads it"
    except InputError as fault:
        return f"faulty: {fault}"
