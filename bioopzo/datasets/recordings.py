"""Recordings of event cameras and cochleas on disk: found, counted, checked, then read by tonic.

tonic decides that a data set is there by counting some of its files, takes files of any name, in
the order of the file system, and reads what it is given. So before it is called, this module looks
for every file, checks names, number, order and size; and every recording that tonic has read is
checked before anything is made of it.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bioopzo.datasets.extra import INSTALL, missing, needed
from bioopzo.datasets.files import data_directory
from bioopzo.errors import InputError, MissingData

EVENT_BYTES = 5  # of an N-MNIST event


@dataclass(frozen=True)
class Archive:
    """A published archive: where, its md5, and the most that it may unpack to (bytes, files)."""

    name: str
    url: str
    md5: str
    most: int
    files: int


@dataclass(frozen=True)
class Recording:
    """One recording: its file, its class, and its number where a file holds several."""

    path: Path
    label: int
    number: int = 0


@dataclass(frozen=True)
class EventSet:
    """A data set of recordings.

    field | meaning
    ----- | -------
    name | the task's name; also the folder of the data directory it is downloaded into
    reader | tonic's class, whose name is the folder that holds the recordings
    sensor | (width, height, polarities)
    pattern | what a file's path in that folder looks like: groups `split` (if any) and `label`
    example | such a path and what it says, for messages
    parts | split -> names in that folder that hold it
    labels | the words that `label` may be, in the order of the classes
    suffix | of the files
    complete | split -> recordings of the whole data set, each class
    most | bytes that no sensible file exceeds
    archives | how it is published
    """

    name: str
    reader: str
    sensor: tuple[int, int, int]
    pattern: str
    example: str
    parts: dict[str, tuple[str, ...]]
    labels: tuple[str, ...]
    suffix: str
    complete: dict[str, tuple[int, ...] | int]
    most: int
    archives: tuple[Archive, ...]

    @property
    def total(self) -> dict[str, int]:
        """Recordings of the whole data set: split -> number."""
        return {split: int(np.sum(n)) for split, n in self.complete.items()}


_MENDELEY = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/"
_FIGSHARE = "https://figshare.com/ndownloader/files/"
_ZENKE = "https://zenkelab.org/datasets/"
#: Events that no recording holds at one moment alone.
TOGETHER = 20
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
                 "truck")
EVENT_SETS = {
    "nmnist": EventSet(
        "nmnist", "NMNIST", (34, 34, 2), r"(?P<split>Train|Test)/(?P<label>[0-9])/[0-9]{5}\.bin",
        "Train/3/00008.bin: split, digit, number", {"train": ("Train",), "test": ("Test",)},
        tuple("0123456789"), ".bin",
        {"train": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
         "test": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)}, 500_000,
        (Archive("train.zip", _MENDELEY + "39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
                 "20959b8e626244a1b502305a9e6e2031", 4 * 10**9, 70_000),
         Archive("test.zip", _MENDELEY + "05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
                 "69ca8762b2fe404d9b9bad1103e97832", 10**9, 12_000))),
    "dvs_gesture": EventSet(
        "dvs_gesture", "DVSGesture", (128, 128, 2),
        r"ibmGesture(?P<split>Train|Test)/user[0-9]+_\w+/(?P<label>[0-9]+)\.npy",
        "ibmGestureTrain/user01_led/7.npy: split, user and light, gesture 0 to 10",
        {"train": ("ibmGestureTrain",), "test": ("ibmGestureTest",)},
        tuple(str(k) for k in range(11)), ".npy", {"train": 1077, "test": 264}, 10**9,
        (Archive("ibmGestureTrain.tar.gz", _FIGSHARE + "38022171",
                 "3a8f0d4120a166bac7591f77409cb105", 50 * 10**9, 3_000),
         Archive("ibmGestureTest.tar.gz", _FIGSHARE + "38020584",
                 "56070e45dadaa85fff82e0fbfbc06de5", 15 * 10**9, 1_000))),
    "cifar10_dvs": EventSet(
        "cifar10_dvs", "CIFAR10DVS", (128, 128, 2),
        rf"(?P<label>{'|'.join(CIFAR_CLASSES)})/[^/]+\.aedat4",
        "truck/cifar10_truck_8.aedat4: class, any name", {"train": CIFAR_CLASSES}, CIFAR_CLASSES,
        ".aedat4",
        {"train": (1000,) * 10}, 10**8,
        (Archive("CIFAR10DVS.zip", _FIGSHARE + "38023437",
                 "ce3a4a0682dc0943703bd8f749a7701c", 40 * 10**9, 11_000),)),
    "shd": EventSet(
        "shd", "SHD", (700, 1, 1), r"shd_(?P<split>train|test)\.h5",
        "shd_train.h5: split", {"train": ("shd_train.h5",), "test": ("shd_test.h5",)},
        tuple(str(k) for k in range(20)), ".h5", {"train": 8156, "test": 2264}, 2 * 10**9,
        (Archive("shd_train.h5.zip", _ZENKE + "shd_train.h5.zip",
                 "f3252aeb598ac776c1b526422d90eecb", 2 * 10**9, 10),
         Archive("shd_test.h5.zip", _ZENKE + "shd_test.h5.zip",
                 "1503a5064faa34311c398fb0a1ed0a6f", 10**9, 10))),
}


# ---- finding ------------------------------------------------------------------------------------


def folders(event_set: EventSet, data: str | os.PathLike | None = None) -> list[Path]:
    """Where the recordings are looked for, in order.

    `NMNIST` in `<data>/nmnist`, in `<data>/n-mnist` (or whatever differs from the name by hyphens
    and capitals), in `<data>`.
    """
    root = data_directory(data)
    plain = event_set.name.replace("_", "")
    alike = []
    if root.is_dir():
        alike = [p for p in sorted(root.iterdir()) if p.name != event_set.name and p.is_dir()
                 and re.sub("[-_ ]", "", p.name).lower() == plain and p.name != event_set.reader]
    return [folder / event_set.reader for folder in (root / event_set.name, *alike, root)]


def find(event_set: EventSet, data: str | os.PathLike | None = None) -> Path:
    """The first of `folders` that holds recordings; `MissingData` says where it was looked."""
    looked = folders(event_set, data)
    for folder in looked:
        if folder.is_dir() and next(_files_below(event_set, folder), None):
            return folder
    raise MissingData("\n  ".join([
        f"there are no recordings of {event_set.name}",
        f"get them: `bioopzo data {event_set.name}` downloads them; or set BIOOPZO_DATA (or "
        f"data=...) to the directory that has the folder {event_set.reader} as tonic lays it out",
        *(f"looked in: {folder}{'' if folder.is_dir() else ' (no such folder)'}"
          for folder in looked),
        *_misplaced(event_set, looked),
        *([f"to read them, tonic is needed, too: {INSTALL}"] if missing("tonic") else []),
        *(["without recordings: tasks.nmnist(simulate=True), made of still MNIST images"]
          if event_set.name == "nmnist" else [])]))


def _misplaced(event_set, looked):
    """Hints: recordings beside the folder they should lie in, or in folders misspelled."""
    parts = {part.lower(): part for names in event_set.parts.values() for part in names}
    for folder in looked:
        try:
            there = sorted(n for n in os.listdir(folder.parent) if n.lower() in parts)
        except OSError:
            continue
        if not there:
            continue
        if folder.parent.name == event_set.reader:
            yield (f"perhaps: {folder.parent} is the folder {event_set.reader} itself; give the "
                   f"one above it, {folder.parent.parent}")
        else:
            yield (f"perhaps: {folder.parent} holds {' and '.join(there[:2])}"
                   f"{', ...' * (len(there) > 2)}; put that into {folder}")
        yield from (f"perhaps: rename {folder.parent / name} to {parts[name.lower()]}"
                    for name in there if name != parts[name.lower()])


def skipped(name: str) -> bool:
    """Whether a file or folder is none of a data set's: hidden, or what macOS adds to archives."""
    return name.startswith(".") or name == "__MACOSX"


def _files_below(event_set, folder):
    """Every file that should be a recording: (path, bytes), in the order of the paths.

    tonic's readers do not follow links to folders: one is refused, not passed over.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as problem:
        raise InputError(f"{folder} cannot be read ({problem.strerror or problem})") from None
    for entry in entries:
        if skipped(entry.name):
            continue
        if entry.is_symlink():
            _check_link(event_set, entry)
        named = entry.name.endswith(event_set.suffix)
        if named and not entry.is_file():
            raise InputError(f"{entry.path} is no file; remove it")
        if named:
            yield Path(entry.path), entry.stat().st_size
        elif entry.is_dir():
            yield from _files_below(event_set, Path(entry.path))


def _check_link(event_set, entry):
    if not os.path.exists(entry.path):
        raise InputError(f"{entry.path} is a link that leads nowhere (to "
                         f"{os.readlink(entry.path)}); remove it, or put what it stands for there")
    if entry.is_dir():
        raise InputError(f"{entry.path} is a link to a folder, which is not followed; put the "
                         "files themselves there, or make the whole folder a link: "
                         f"{event_set.reader}")


def listing(event_set: EventSet, folder: Path, partial: bool = False,
            ) -> dict[str, list[Recording]]:
    """Every recording of a folder, in the order of its path: split -> list of `Recording`.

    `InputError` for a file whose name says that it is none, for one that is too large, for a link
    to a folder, for an N-MNIST recording that is there twice; and, unless a part is meant
    (`partial`), for a folder that does not hold the whole data set, naming what lacks. Hidden files
    and folders, and `__MACOSX`, are passed over.
    """
    files = list(_files_below(event_set, folder))
    names = _names(event_set, folder, [path for path, _ in files])
    found: dict[str, list[Recording]] = {split: [] for split in event_set.complete}
    for (path, size), name in zip(files, names):
        split = name.get("split", "train").lower()
        if size > event_set.most:
            raise InputError(f"{path} is too large for a recording of {event_set.name}: {size} "
                             f"bytes, at most {event_set.most}; {_good_one(event_set, path)}")
        if event_set.name == "shd":
            found[split] += _shd_recordings(path, event_set)
        else:
            found[split].append(Recording(path, event_set.labels.index(name["label"])))
    if event_set.name == "nmnist":
        _check_numbers(found)
    if not partial:
        _check_complete(event_set, folder, found)
    return found


def _names(event_set, folder, paths):
    """What the names of recordings say: the groups of the pattern; `InputError` for other names."""
    names, foreign = [], []
    for path in paths:
        parts = re.fullmatch(event_set.pattern, path.relative_to(folder).as_posix())
        if parts and parts.groupdict().get("label", event_set.labels[0]) in event_set.labels:
            names.append(parts.groupdict())
        else:
            foreign.append(path)
    if not foreign:
        return names
    more = f" (nor are {len(foreign) - 1} other files)" * (len(foreign) > 1)
    remedy = _respelled(event_set, folder, foreign[0]) or f"remove {'them' if more else 'it'}"
    raise InputError(f"{foreign[0]} is no recording of {event_set.name} by its name{more}; such a "
                     f"name is {event_set.example}; {remedy}")


def _respelled(event_set, folder, path):
    """What to rename if capitals are all that is wrong with a path, else None."""
    name = path.relative_to(folder)
    if not re.fullmatch(event_set.pattern, name.as_posix(), re.IGNORECASE):
        return None
    for part in (part for names in event_set.parts.values() for part in names):
        if part != name.parts[0] and part.lower() == name.parts[0].lower():
            return f"capitals count: rename {folder / name.parts[0]} to {part}"
    return None


def replaced(event_set: EventSet, folder: Path, split: str) -> Path | None:
    """What is in the way of a download of a split into `folder`, or None."""
    parts = event_set.parts[split]
    there = [folder / part for part in parts if os.path.lexists(folder / part)]
    return (there[0] if len(parts) == 1 else folder) if there else None


def _another(event_set, folder, *splits):
    """How to get splits of which what is there will not do."""
    there = [replaced(event_set, folder, split) for split in splits]
    moved = " and ".join(str(path) for path in there if path)
    return f"{f'move {moved} away, then ' * bool(moved)}get it: `bioopzo data {event_set.name}`"


def _good_one(event_set, path):
    """What to do about a file that is no good."""
    folder = path.parents[event_set.example.count("/")]
    top = path.relative_to(folder).parts[0]
    split = next(split for split, parts in event_set.parts.items() if top in parts)
    return (f"{_another(event_set, folder, split)}, or remove the file and say that a part is "
            "meant: partial=True")


def located(event_set: EventSet, data: str | os.PathLike | None = None) -> str:
    """The folder of the recordings and how many of the data set it holds, names checked."""
    folder = find(event_set, data)
    found = listing(event_set, folder, partial=True)
    return f"{folder} ({stated(event_set, found)}; names and numbers, not contents)"


def _check_numbers(found):
    """N-MNIST's file names are numbers of MNIST's images: 1 to 60000, then 60001 to 70000."""
    for split, first, last in (("train", 1, 60000), ("test", 60001, 70000)):
        seen: dict[int, Path] = {}
        for recording in found[split]:
            number = int(recording.path.stem)
            if not first <= number <= last:
                raise InputError(f"{recording.path}: the number must be within {first} and {last}; "
                                 "remove it, or put it where it belongs")
            if number in seen:
                raise InputError(f"{recording.path} and {seen[number]} are the same recording in "
                                 "two classes; remove the wrong one")
            seen[number] = recording.path


def _check_complete(event_set, folder, found):
    lacks = {}
    for split, wanted in event_set.complete.items():
        if isinstance(wanted, int):
            if len(found[split]) != wanted:
                lacks[split] = [f"{split}: {len(found[split])} of {wanted}"]
            continue
        number = Counter(recording.label for recording in found[split])
        wrong = [f"{split}, class {label}: {number[k]} of {n}"
                 for k, (label, n) in enumerate(zip(event_set.labels, wanted)) if number[k] != n]
        if wrong:
            lacks[split] = wrong
    if lacks:
        every = [lack for split in lacks.values() for lack in split]
        more = f" and {len(every) - 3} more" * (len(every) > 3)
        # A download goes into a folder of this name: others are in nothing's way.
        way = lacks if folder.parent.name == event_set.name else ()
        raise InputError(
            f"{folder} does not hold the whole data set {event_set.name}: "
            f"{stated(event_set, found)} ({'; '.join(every[:3])}{more}); "
            f"{_another(event_set, folder, *way)}, or say that a part is meant: partial=True "
            "(in the shell: --task-set partial=True)")


def stated(event_set: EventSet, found: Mapping[str, list[Recording]]) -> str:
    """How much of the data set was found, in words."""
    return " and ".join(f"{len(found[split])} of {n} {split if len(found) > 1 else ''} recordings"
                        .replace("  ", " ") for split, n in event_set.total.items())


# ---- reading ------------------------------------------------------------------------------------


def events_of(event_set: EventSet, folder: Path, recordings: list[Recording],
              split: str) -> Iterator[np.ndarray]:
    """The events of recordings of one split, read by tonic, one recording after the other.

    Each is an array with fields x, y (not for shd), t (microseconds) and p, checked: `InputError`
    naming the file for one that is damaged, an address outside the sensor, times that are negative
    or do not rise. A recording may be empty.
    """
    if not recordings:
        return
    data = _opened(event_set, folder, split, recordings)
    for k, recording in enumerate(recordings):
        _check_file(event_set, recording)
        place = recording.number if event_set.name == "shd" else k
        events = _read(event_set, data, place, recording)
        _check_events(event_set, recording, events)
        yield events


def _opened(event_set, folder, split, recordings):
    """These recordings as a data set of tonic's that neither downloads, counts nor looks."""
    tonic = needed("tonic", f"reading recordings of {event_set.name}")  # slow to import
    reader = getattr(tonic.datasets, event_set.reader)
    # tonic looks in a folder of its class's name, and stumbles over files that are none of its.
    reader = type(reader.__name__, (reader,), {"_check_exists": lambda self: True})
    options = {} if event_set.name == "cifar10_dvs" else {"train": split == "train"}
    if event_set.name == "shd":
        return reader(str(folder.parent), **options)
    data = reader(str(folder / "nowhere"), **options)
    data.data = [str(recording.path) for recording in recordings]
    data.targets = [recording.label for recording in recordings]
    return data


def _read(event_set, data, place, recording):
    try:
        return data[place][0]
    except ImportError as problem:
        raise InputError(f"tonic needs the package {problem.name} to read {recording.path}: "
                         f"{INSTALL}") from None
    except Exception as problem:
        if event_set.name == "cifar10_dvs" and "at least one array" in str(problem):
            return np.zeros(0, [(name, int) for name in "txyp"])  # a sound file without packets
        # Whatever a damaged file makes a reader (some are compiled) say.
        raise _damaged(event_set, recording, f"cannot be read ({problem})") from None


def where(event_set: EventSet, recording: Recording) -> str:
    """A recording's file, and its number where a file holds several, for messages."""
    number = f", recording {recording.number}," if event_set.name == "shd" else ""
    return f"{recording.path}{number}"


def _damaged(event_set, recording, what):
    return InputError(f"{where(event_set, recording)} {what}; "
                      f"{_good_one(event_set, recording.path)}")


def _check_file(event_set, recording):
    """What can be told before tonic reads a file."""
    if event_set.name == "dvs_gesture":
        return _check_gesture(event_set, recording)
    size = recording.path.stat().st_size
    if event_set.name == "nmnist" and size % EVENT_BYTES:
        raise _damaged(event_set, recording, f"is truncated: {size} bytes are no whole number of "
                       f"events of {EVENT_BYTES} bytes")


def _check_gesture(event_set, recording):
    """Numbers (events, 4): x, y, p, t in ms, checked before tonic casts them to narrower types."""
    try:
        array = np.load(recording.path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as problem:
        raise _damaged(event_set, recording, f"is truncated or no .npy file ({problem})") from None
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iuf":
        raise _damaged(event_set, recording, "must hold numbers (events, 4), not "
                       f"{array.dtype} {array.shape}")
    size = recording.path.stat().st_size
    if array.offset + array.nbytes != size:
        raise _damaged(event_set, recording, f"holds more than its header announces: {size} "
                       f"bytes, not {array.offset + array.nbytes}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _damaged(event_set, recording, "holds values that are not finite")
    if array.dtype.itemsize < 4:
        raise _damaged(event_set, recording, f"holds {array.dtype}, in which times in us do not "
                       "fit; it takes a type of 4 bytes or more")
    _check_columns(event_set, recording, array)


def _check_columns(event_set, recording, array):
    def refuse(wrong, values, what):
        if wrong.any():
            k = int(np.argmax(wrong))
            raise _damaged(event_set, recording, what.format(f"event {k}", f"{values[k]:.10g}"))

    for name, side, own in zip("xyp", event_set.sensor, array.T):
        place = "a polarity that is neither 0 nor 1" if name == "p" else "outside the sensor"
        sensor = "" if name == "p" else f", the sensor 0 to {side - 1}"
        refuse(own % 1 != 0, own, f"has no whole number as {name}: {{}} has {name} = {{}}")
        refuse((own < 0) | (own >= side), own,
               f"has an event {place}: {{}} has {name} = {{}}{sensor}")
    times = array[:, 3]  # may have fractions: microseconds
    most = np.iinfo(times.dtype).max if times.dtype.kind in "iu" else 2**53
    most = min(int(most), 2**53) // 1000
    refuse(times < 0, times, "has a negative time: {} at {} ms")
    refuse(times > most, times, f"has a time too large for {times.dtype}, which holds {most} ms "
           "at most in us: {} at {} ms")


def _check_events(event_set, recording, events):
    """What must hold of the events of a recording, whoever wrote it."""
    sides = dict(zip(("x", "y"), event_set.sensor))
    for name, side in sides.items():
        if name not in events.dtype.names:
            continue
        outside = (events[name].astype(np.int64) < 0) | (events[name].astype(np.int64) >= side)
        if outside.any():
            k = int(np.argmax(outside))
            raise _damaged(event_set, recording, f"has an event outside the sensor: event {k} has "
                           f"{name} = {events[name][k]}, the sensor 0 to {side - 1}")
    times = events["t"].astype(np.int64)  # an unsigned time that wrapped around shows as negative
    if (times < 0).any():
        k = int(np.argmax(times < 0))
        raise _damaged(event_set, recording, f"has a negative time: event {k} at {times[k]} us")
    if _at_one_moment(times):
        raise _damaged(event_set, recording, f"holds {len(times)} events, all at one moment "
                       f"({times[0]} us): its times are lost")
    if (np.diff(times) < 0).any():
        k = int(np.argmax(np.diff(times) < 0)) + 1
        raise _damaged(event_set, recording, "is not in the order of time: event "
                       f"{k} at {times[k]} us comes after {times[k - 1]} us")


def _at_one_moment(times):
    """Whether so many events fall together that their times must have been lost."""
    return len(times) >= TOGETHER and times[0] == times[-1]


def _shd_recordings(path, event_set):
    """The recordings of an SHD file, after checks of the file as a whole."""
    h5py = needed("h5py", f"reading {path}")
    remedy = _good_one(event_set, path)
    try:
        with h5py.File(path, "r") as file:
            labels = np.asarray(file["labels"][:])
            lengths = [len(file[f"spikes/{name}"]) for name in ("times", "units")]
            file["extra/keys"], file["extra/speaker"]  # tonic reads them
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as problem:
        raise InputError(f"{path} is truncated or no file of SHD ({problem}); {remedy}") from None
    if labels.ndim != 1 or labels.dtype.kind not in "iuf" or (labels % 1 != 0).any():
        raise InputError(f"{path} is damaged: its labels must be a list of whole numbers, not "
                         f"{labels.dtype} {labels.shape}; {remedy}")
    if set(lengths) != {len(labels)}:
        raise InputError(f"{path} is damaged: {len(labels)} labels, {lengths[0]} lists of times, "
                         f"{lengths[1]} of units; {remedy}")
    wrong = (labels < 0) | (labels >= len(event_set.labels))
    if wrong.any():
        k = int(np.argmax(wrong))
        raise InputError(f"{path} has the label {labels[k]} at {k}, outside 0 ... "
                         f"{len(event_set.labels) - 1}; {remedy}")
    return [Recording(path, int(label), k) for k, label in enumerate(labels)]
