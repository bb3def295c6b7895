"""Event data: known answers, true file formats through tonic, and every fault a file can have."""

import hashlib
import io
import json
import os
import pickle
import re
import shutil
import tarfile
import urllib.error
import zipfile
from dataclasses import replace
from pathlib import Path

import event_formats as formats
import h5py
import matplotlib.pyplot as plt
import numpy as np
import pytest
from brian2.units import ms

import bioopzo as bz
from bioopzo import tasks
from bioopzo.cli import main
from bioopzo.datasets import archives as archives_
from bioopzo.datasets import recordings, simulated_nmnist
from bioopzo.datasets.events import Binning, EventInputs, joined
from bioopzo.datasets.recordings import EVENT_SETS, Archive
from bioopzo.engines.spiking import backends, feed
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.engines.spiking.feed import MOST_ROWS, TABLE_BYTES, parameter_values
from bioopzo.errors import InputError
from bioopzo.network.clock import shape_of, time_course
from bioopzo.plots import events as plots_events
from bioopzo.studies import results
from bioopzo.training.start import initial_weights

NAMES = list(EVENT_SETS)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Binned events of a test are its own."""
    monkeypatch.setenv("BIOOPZO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty data directory, BIOOPZO_DATA."""
    monkeypatch.setenv("BIOOPZO_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def compact(dense, counts=False):
    """A dense array as `EventInputs`."""
    flat = dense.reshape(len(dense), -1)
    rows, cells = np.nonzero(flat)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(dense)))])
    return EventInputs(*dense.shape[1:], offsets, cells.astype(np.uint32),
                       flat[rows, cells].astype(np.uint16) if counts else None)


def binned(events, steps, dt_us, side=34, counts=False):
    """Events as a dense array (steps, 2*side*side), event by event."""
    found = np.zeros((steps, 2 * side * side), int)
    for x, y, t, p in events[["x", "y", "t", "p"]].tolist():
        if t < steps * dt_us:
            found[int(t // dt_us), (p * side + y) * side + x] += 1
    return found if counts else (found > 0).astype(int)


# ---- inputs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [False, True])
def test_event_inputs_read_like_the_dense_array(counts):
    dense = np.random.default_rng(0).poisson(0.3, (6, 4, 5))
    dense[2] = dense[5] = 0  # silent samples, one of them the last
    dense = dense if counts else (dense > 0).astype(int)
    inputs = compact(dense, counts)
    assert inputs.shape == dense.shape and inputs.ndim == 3 and len(inputs) == 6
    for samples in (0, -1, 2, slice(1, 5), slice(None, None, -2), [3, 3, 0], np.array([5, 2]),
                    np.arange(6) % 2 == 0, np.zeros(0, int)):
        found = inputs[samples]
        assert found.dtype == inputs.dtype == (np.uint16 if counts else np.uint8)
        np.testing.assert_array_equal(found, dense[samples])
    np.testing.assert_array_equal(inputs.take([4, 1, 2])[:], dense[[4, 1, 2]])
    np.testing.assert_array_equal(joined([inputs, inputs.take([0])])[:], dense[[*range(6), 0]])
    assert inputs.most == (dense > 0).sum(axis=(1, 2)).max()
    assert inputs.mean_square == pytest.approx(np.mean(dense**2))
    again = pickle.loads(pickle.dumps(inputs))
    np.testing.assert_array_equal(again[:], dense)
    assert not any(array.flags.writeable for array in inputs.arrays)
    with pytest.raises(IndexError):
        inputs[6]


@pytest.mark.parametrize("steps, offsets, cells, message", [
    (2, [0, 2], [0, 6], "must lie within"), (2, [0, 2], [3, 3], "unique"),
    (2, [0, 2], [3, 1], "rise"), (2, [0, 3], [0, 1], "must"), (2, [1, 2], [0, 1], "must"),
    (2, [0, 2, 1], [0, 1], "must"), (2**31, [0, 0], [], "too many")])
def test_events_that_make_no_sense_are_refused(steps, offsets, cells, message):
    with pytest.raises(InputError, match=message):
        EventInputs(steps, 3, np.array(offsets), np.array(cells, np.uint32))


def test_a_task_of_events_is_checked_and_has_a_digest():
    dense = (np.random.default_rng(0).random((4, 5, 3)) < 0.4).astype(int)
    fields = {"name": "t", "targets": np.eye(2)[[0, 1, 0, 1]], "labels": np.array([0, 1, 0, 1]),
              "mask": np.ones(5), "splits": {"train": [0, 1], "validation": [2], "test": [3]},
              "coding": "spikes", "duration": 5 * ms, "dt": 1 * ms}
    task = tasks.Task(inputs=compact(dense), **fields)
    assert (task.samples, task.n_in, task.steps) == (4, 3, 5)
    other = dense.copy()
    other[0, 0, 0] ^= 1
    digests = {task.replace(inputs=i).digest for i in (
        compact(dense), compact(other), compact(dense, counts=True))}
    assert len(digests) == 3 and task.digest in digests
    with pytest.raises(InputError, match="inputs have 5 time steps.*makes 10"):
        task.replace(duration=10 * ms, mask=np.ones(10))
    with pytest.raises(InputError, match="coding 'spikes', not 'current'"):
        task.replace(coding="current")


# ---- binning ------------------------------------------------------------------------------------


def some(*rows):
    """Events from (x, y, t, p)."""
    return np.array(list(rows), formats.FIELDS)


def test_binning_known_answers():
    events = some((1, 0, 0, 1), (1, 0, 999, 1), (1, 0, 1000, 1), (2, 3, 1999, 0),
                  (0, 0, 3000, 1))
    grid = Binning((4, 4, 2), 3, 1000.0)
    # (p*4 + y)*4 + x is 17 and 14; the last event comes after the trial.
    cells, counts = grid.cells(events)
    assert cells.tolist() == [17, 32 + 14, 32 + 17] and counts.tolist() == [2, 1, 1]
    merged = replace(grid, polarities="merged")
    assert merged.cells(events)[0].tolist() == [1, 16 + 1, 16 + 14]
    late = replace(grid, start_us=1000.0)
    assert late.cells(events)[0].tolist() == [14, 17, 64 + 16]
    half = replace(grid, size=2)  # pixels (1, 0) and (2, 3) are (0, 0) and (1, 1) of 2 x 2
    assert half.n_in == 8
    assert half.cells(events)[0].tolist() == [4, 8 + 3, 8 + 4]
    inner = replace(grid, crop=2)  # of the inner 2 x 2 pixels none has events
    assert inner.cells(events)[0].tolist() == []
    moved = events.copy()
    moved["y"] = 1
    assert inner.cells(moved)[0].tolist() == [4, 8 + 1, 8 + 4]
    inputs = grid.inputs([events, events[:0], events[3:]])
    assert np.diff(inputs.offsets).tolist() == [3, 0, 1]


def test_frames_equal_those_of_tonic():
    from tonic.transforms import ToFrame

    events = formats.events(3000, duration_us=400_000)
    frames = ToFrame((34, 34, 2), time_window=10_000, start_time=0, end_time=300_000)(events)
    found = Binning((34, 34, 2), 30, 10_000.0, counts=True).inputs([events])[0]
    np.testing.assert_array_equal(found, frames[:30].reshape(30, -1))


def test_cropped_and_pooled_places_are_those_of_tonic():
    from tonic import transforms

    events = formats.events(3000, duration_us=400_000)
    theirs = transforms.MergePolarities()(transforms.Downsample(
        sensor_size=(32, 32, 2), target_size=(8, 8))(
            transforms.CenterCrop((34, 34, 2), (32, 32))(events.copy())))
    frames = transforms.ToFrame((8, 8, 1), time_window=10_000, start_time=0, end_time=300_000)(
        theirs)
    found = Binning((34, 34, 2), 30, 10_000.0, crop=32, size=8, polarities="merged",
                    counts=True).inputs([events])[0]
    np.testing.assert_array_equal(found, frames[:30].reshape(30, -1))


# ---- the four data sets, in their own formats ---------------------------------------------------


@pytest.mark.parametrize("engine, steps, dt_us", [("spiking", 300, 1000), ("rate", 30, 10_000)])
def test_nmnist_recordings_arrive_as_they_were_written(root, engine, steps, dt_us):
    written = formats.nmnist(root / "n-mnist")
    task = tasks.nmnist(engine, partial=True, validation=2)
    assert task.inputs.shape == (8, steps, 2312) and task.name == "nmnist"
    assert {k: len(v) for k, v in task.splits.items()} == {"train": 3, "validation": 2, "test": 3}
    order = np.random.RandomState(0).permutation(5)
    wanted = [*np.sort(order[:3]), *np.sort(order[3:]), 5, 6, 7]
    events = [written[path] for path in sorted(written, key=lambda p: p.stem)]
    np.testing.assert_array_equal(task.labels, np.array([0, 0, 0, 1, 1, 0, 0, 1])[wanted])
    for k, source in enumerate(wanted):
        np.testing.assert_array_equal(task.inputs[k], binned(events[source], steps, dt_us))
    assert "5 of 60000 train recordings and 3 of 10000 test" in task.description


def test_clock_overflows_of_nmnist_are_undone(root):
    formats.nmnist(root)
    path = root / "NMNIST/Train/0/00001.bin"
    simulated_nmnist.write(path, some((1, 2, 100, 1), (0, 240, 0, 0), (3, 2, 100, 0)))
    found = tasks.nmnist(partial=True, validation=0).inputs[0]
    # A mark adds 2**13 us, here in front of the second event.
    assert np.argwhere(found).tolist() == [[0, (34 + 2) * 34 + 1], [8, 2 * 34 + 3]]


def test_gestures_images_and_speech(root):
    gestures = formats.dvs_gesture(root / "dvs_gesture")
    task = tasks.dvs_gesture("rate", partial=True, validation=0, size=128)
    for k, events in enumerate(gestures[p] for p in sorted(
            gestures, key=lambda p: ("Test" in str(p), str(p)))):
        np.testing.assert_array_equal(task.inputs[k], binned(events, 20, 3e5, 128, True))
    assert sorted(set(task.labels)) == [0, 7, 10] and "1077 and 264" in task.description

    images = formats.cifar10_dvs(root)
    task = tasks.cifar10_dvs("rate", partial=True, validation=0, size=128, test=1 / 3)
    assert task.labels.tolist() == [0, 0, 9, 9, 0, 9] and len(task.splits["test"]) == 2
    total = sum(binned(events, 10, 12e4, 128, True) for events in images.values())
    np.testing.assert_array_equal(task.inputs[:].sum(axis=0), total)

    labels, trains = formats.shd(root)["test"]
    task = tasks.shd(partial=True, validation=1)
    np.testing.assert_array_equal(task.labels[task.splits["test"]], labels)
    for k, (times, units) in zip(task.splits["test"], trains):
        wanted = np.zeros((500, 700), int)
        wanted[(times.astype(float) * 500).astype(int)[times < 1], units[times < 1]] = 1
        np.testing.assert_array_equal(task.inputs[k], wanted)


@pytest.mark.parametrize("name", NAMES)
def test_no_recordings_and_a_part_of_them(root, name):
    make = tasks.available()[name]
    with pytest.raises(InputError, match=f"(?s)no recordings of {name}.*`bioopzo data {name}`"
                       ".*BIOOPZO_DATA.*looked in: .*no such folder"):
        make()
    getattr(formats, name)(root)
    with pytest.raises(InputError, match="does not hold the whole data set.* of .*partial=True"):
        make()
    with pytest.raises(InputError, match="partial must be True or False"):
        make(partial=1)
    task = make(partial=True, validation=1, samples=2)
    assert len(task.splits["train"]) == 2 and task.inputs.counts is None
    assert make("rate", partial=True).inputs.shape[1] < task.steps


@pytest.mark.parametrize("options, message", [
    ({"engine": "spikng"}, "engine must be 'spiking' or 'rate'.*mean 'spiking'"),
    ({"steps": 0}, "steps must be"), ({"dt": 5}, "dt must be a time"),
    ({"warmup": 300}, "warmup"), ({"crop": 35}, "crop must be at most the sensor's 34"),
    ({"crop": 20, "size": 21}, "size must be at most 20"), ({"polarities": "on"}, "polarities"),
    ({"counts": 1}, "counts must be"), ({"samples": 9}, "samples=9 and validation=0 need 9"),
    ({"test": 9}, "test=9 recordings"), ({"simulate": "yes"}, "simulate must be")])
def test_impossible_options_are_named(root, options, message):
    formats.nmnist(root)
    with pytest.raises(InputError, match=f"nmnist.*: .*{message}"):
        tasks.nmnist(partial=True, **{"validation": 0, **options})


# ---- faults of recordings -----------------------------------------------------------------------

GOOD = formats.events(30)


def with_events(change):
    """Good events, changed."""
    found = GOOD.copy()
    change(found)
    return found


def outside(found):
    found["y"][3] = 34


def unsorted(found):
    found["t"][4] = 299_999


@pytest.mark.parametrize("content, message", [
    (lambda path: path.write_bytes(path.read_bytes()[:-2]), "is truncated: 298 bytes"),
    (lambda path: path.write_bytes(bytes(500_005)), "too large .*500005 bytes, at most 500000"),
    (lambda path: simulated_nmnist.write(path, with_events(outside)),
     "event outside the sensor: event 3 has y = 34, the sensor 0 to 33"),
    (lambda path: simulated_nmnist.write(path, with_events(unsorted)),
     "not in the order of time: event 5 at .* comes after 299999"),
    (lambda path: path.rename(path.with_name("one.bin")), "is no recording of nmnist by its name"),
    (lambda path: path.rename(path.with_name("60001.bin")), "must be within 1 and 60000"),
    (lambda path: (path.parents[1] / "1/00001.bin").write_bytes(path.read_bytes()),
     "the same recording in two classes"),
], ids=["truncated", "large", "outside", "unsorted", "name", "number", "twice"])
def test_a_faulty_nmnist_file_is_named(root, content, message):
    formats.nmnist(root, train=(1, 1))
    path = root / "NMNIST/Train/0/00001.bin"
    simulated_nmnist.write(path, formats.events(60))
    content(path)
    with pytest.raises(InputError, match=message) as fault:
        tasks.nmnist(partial=True, validation=0)
    assert str(root / "NMNIST") in str(fault.value) and "\n" not in str(fault.value)
    assert "remove" in str(fault.value)
    assert not (Path(os.environ["BIOOPZO_CACHE"]) / "events").exists()


def test_an_empty_recording_is_a_warning_and_a_silent_trial(root):
    formats.nmnist(root)
    path = root / "NMNIST/Train/0/00002.bin"
    path.write_bytes(b"")
    for _ in range(2):  # from the file, then from the cache
        with pytest.warns(UserWarning, match="00002.bin holds no events.*silent trial"):
            task = tasks.nmnist(partial=True, validation=0)
        assert [int(task.inputs[k].sum()) for k in range(3)] == [60, 0, 60]
    root_files = formats.cifar10_dvs(root)
    next(iter(root_files)).write_bytes(formats.aedat4(GOOD, packets=0))
    with pytest.warns(UserWarning, match="airplane_0.aedat4 holds no events"):
        tasks.cifar10_dvs(partial=True, validation=0)


def array(**changes):
    """A gesture's array with a column changed."""
    found = np.stack([GOOD["x"], GOOD["y"], GOOD["p"], GOOD["t"] // 1000], axis=1).astype(float)
    for name, value in changes.items():
        found[5, "xypt".index(name)] = value
    return found


@pytest.mark.parametrize("content, message", [
    (lambda path: path.write_bytes(path.read_bytes()[:-8]), "truncated or no .npy"),
    (lambda path: path.write_bytes(path.read_bytes() + b"12345678"), "more than its header"),
    (lambda path: path.write_bytes(b""), "truncated or no .npy"),
    (lambda path: np.save(path, np.zeros((5, 3))), r"numbers \(events, 4\).* \(5, 3\)"),
    (lambda path: np.save(path, np.array([{}] * 4)), "truncated or no .npy"),
    (lambda path: np.save(path, array(t=np.nan)), "not finite"),
    (lambda path: np.save(path, array(t=-3)), "negative time: event 5 at -3 ms"),
    (lambda path: np.save(path, array(x=128)), "event 5 has x = 128, the sensor 0 to 127"),
    (lambda path: np.save(path, array(y=-1)), "event 5 has y = -1"),
    # tonic's narrower types would make sound values of these.
    (lambda path: np.save(path, array(x=65541)), "event 5 has x = 65541, the sensor 0 to 127"),
    (lambda path: np.save(path, array(x=3.7)), "no whole number as x: event 5 has x = 3.7"),
    (lambda path: np.save(path, array(p=5)), "neither 0 nor 1: event 5 has p = 5;"),
    (lambda path: np.save(path, array(p=-1)), "neither 0 nor 1: event 5 has p = -1;"),
    (lambda path: np.save(path, array().astype(np.int16)), "holds int16, in which times in us"),
    (lambda path: np.save(path, (array() % 2).astype(np.uint8)), "holds uint8"),
    (lambda path: np.save(path, array(t=3e6).astype(np.int32)),
     "too large for int32, which holds 2147483 ms at most in us: event 5 at 3000000 ms"),
    (lambda path: np.save(path, array(t=1e30)), r"too large for float64.* event 5 at 1e\+30 ms"),
    (lambda path: path.unlink() or path.mkdir(), "0.npy is no file; remove it"),
    (lambda path: path.rename(path.with_name("11.npy")), "no recording of dvs_gesture"),
])
def test_a_faulty_gesture_is_named(root, content, message):
    formats.dvs_gesture(root)
    path = root / "DVSGesture/ibmGestureTrain/user01_led/0.npy"
    content(path)
    with pytest.raises(InputError, match=message) as fault:
        tasks.dvs_gesture(partial=True, validation=0)
    assert str(path.parent) in str(fault.value)


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64, np.float32, np.float64])
def test_sound_gestures_of_every_wide_type_are_read(root, kind):
    formats.dvs_gesture(root, labels=(0,))
    wanted = tasks.dvs_gesture(partial=True, validation=0).inputs[:]
    for path in root.rglob("*.npy"):
        np.save(path, np.load(path).astype(kind))
    np.testing.assert_array_equal(tasks.dvs_gesture(partial=True, validation=0).inputs[:], wanted)


@pytest.mark.parametrize("content, message", [
    (lambda path: path.write_bytes(path.read_bytes()[:-30]), "cannot be read"),
    (lambda path: path.write_bytes(b""), "cannot be read"),
    (lambda path: path.write_bytes(formats.aedat4(formats.events(9, side=300))),
     "outside the sensor"),
    (lambda path: path.write_bytes(formats.aedat4(with_events(
        lambda found: found["t"].__setitem__(0, -5)))), "negative time: event 0 at -5 us"),
    (lambda path: path.rename(path.parents[1] / path.name), "no recording of cifar10_dvs"),
    (lambda path: path.unlink() or path.mkdir(), "is no file; remove it"),
])
def test_a_faulty_aedat_file_is_named(root, content, message):
    formats.cifar10_dvs(root)
    path = root / "CIFAR10DVS/airplane/cifar10_airplane_1.aedat4"
    content(path)
    with pytest.raises(InputError, match=message) as fault:
        tasks.cifar10_dvs(partial=True, validation=0)
    assert path.name in str(fault.value)


def test_without_aedat_the_package_is_named(root, monkeypatch):
    formats.cifar10_dvs(root)
    monkeypatch.setitem(__import__("sys").modules, "aedat", None)
    with pytest.raises(InputError, match=r"needs the package aedat .*bioopzo\[events\]"):
        tasks.cifar10_dvs(partial=True, validation=0)


TIMES = np.linspace(0.1, 0.9, 5)


@pytest.mark.parametrize("labels, trains, message", [
    ([3, 20], [(TIMES, range(5))] * 2, "the label 20 at 1, outside 0 ... 19"),
    ([3], [(TIMES, range(5))] * 2, "damaged: 1 labels, 2 lists of times"),
    ([3], [(TIMES, range(4))], "recording 0, cannot be read"),
    ([3], [(TIMES, [1, 2, 700, 3, 4])], "recording 0, has an event outside.* x = 700"),
    ([3], [(TIMES[::-1], range(5))], "recording 0, is not in the order of time"),
    ([3], [(TIMES - 0.2, range(5))], "recording 0, has a negative time"),
])
def test_a_faulty_speech_file_is_named(root, labels, trains, message):
    formats.shd(root)
    path = root / "SHD/shd_train.h5"
    formats.write_shd(path, labels, trains)
    with pytest.raises(InputError, match=message) as fault:
        tasks.shd(partial=True, validation=0)
    assert str(path) in str(fault.value)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match="shd_train.h5 is truncated or no file of SHD"):
        tasks.shd(partial=True, validation=0)


@pytest.mark.parametrize("labels", [3, [0.5], [np.nan], [b"three"], [[3]]],
                         ids=["scalar", "fraction", "nan", "text", "table"])
def test_labels_of_speech_must_be_a_list_of_whole_numbers(root, labels):
    formats.shd(root, train=1)
    path = root / "SHD/shd_train.h5"
    with h5py.File(path, "a") as file:
        del file["labels"]
        file["labels"] = labels
    with pytest.raises(InputError, match="shd_train.h5 is (damaged: its labels|truncated or no)"):
        tasks.shd(partial=True, validation=0)


@pytest.mark.parametrize("name, part", [
    ("nmnist", "NMNIST/Train"), ("dvs_gesture", "DVSGesture/ibmGestureTrain"),
    ("cifar10_dvs", "CIFAR10DVS"), ("shd", "SHD/shd_train.h5")])
def test_the_remedy_of_a_damaged_recording_is_no_circle(root, name, part):
    getattr(formats, name)(root)
    path = next(path for path in sorted((root / part).rglob("*")) or [root / part]
                if path.is_file())
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=f"move {root / part} away, then get it: `bioopzo data "
                       f"{name}`, or remove the file and .* partial=True"):
        tasks.available()[name](partial=True, validation=0)


# ---- what lies in the folder besides recordings -------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_hidden_files_are_passed_over(root, name):
    getattr(formats, name)(root)
    make = tasks.available()[name]
    wanted = make(partial=True, validation=0).inputs[:]
    (folder,) = root.iterdir()
    suffix = EVENT_SETS[name].suffix
    for path in [*folder.rglob(f"*{suffix}")]:
        path.with_name(f"._{path.name}").write_bytes(b"Mac OS X")
    (folder / "__MACOSX/Train").mkdir(parents=True)
    (folder / f"__MACOSX/Train/00008{suffix}").write_bytes(b"Mac OS X")
    for path in Path(os.environ["BIOOPZO_CACHE"]).rglob("*.npz"):
        path.unlink()
    np.testing.assert_array_equal(make(partial=True, validation=0).inputs[:], wanted)


@pytest.mark.parametrize("name", NAMES)
def test_foreign_names_are_counted_and_an_example_is_shown(root, name):
    getattr(formats, name)(root)
    event_set = EVENT_SETS[name]
    assert re.fullmatch(event_set.pattern, event_set.example.split(":")[0])
    for k in range(3):
        (root / event_set.reader / f"foreign{k}{event_set.suffix}").write_bytes(b"")
    with pytest.raises(InputError) as fault:
        tasks.available()[name](partial=True)
    for words in (f"foreign0{event_set.suffix} is no recording", "nor are 2 other files",
                  f"such a name is {event_set.example}; remove them"):
        assert words in str(fault.value)


@pytest.mark.parametrize("place", ["Train", "Train/0"])
def test_links_to_folders_are_refused_and_others_followed(root, tmp_path, place):
    formats.nmnist(tmp_path / "other")
    root.mkdir()
    (root / "NMNIST").symlink_to(tmp_path / "other/NMNIST")
    assert tasks.nmnist(partial=True).samples == 8
    file = root / "NMNIST/Train/0/00001.bin"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert tasks.nmnist(partial=True).samples == 8
    (root / "NMNIST" / place).rename(tmp_path / "moved")
    (root / "NMNIST" / place).symlink_to(tmp_path / "moved")
    with pytest.raises(InputError, match=f"NMNIST/{place} is a link to a folder, which is not "
                       "followed; put the files themselves there, or make .* a link: NMNIST"):
        tasks.nmnist(partial=True)


@pytest.mark.parametrize("place", ["Train", "Train/0/00001.bin"])
def test_a_link_that_leads_nowhere_is_named(root, tmp_path, place):
    formats.nmnist(root)
    path = root / "NMNIST" / place
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=f"{place} is a link that leads nowhere .*/gone.; remove"):
        tasks.nmnist(partial=True)


def test_a_folder_in_the_place_of_a_recording_is_named(root):
    formats.nmnist(root)
    (root / "NMNIST/Train/3/00099.bin").mkdir(parents=True)
    with pytest.raises(InputError, match="Train/3/00099.bin is no file; remove it"):
        tasks.nmnist(partial=True)


def test_recordings_in_a_neighbouring_place_are_hinted_at(root, monkeypatch):
    formats.nmnist(root)

    def hint():
        with pytest.raises(InputError) as fault:
            tasks.nmnist(partial=True)
        return [line.strip() for line in str(fault.value).splitlines() if "perhaps: " in line]

    monkeypatch.setenv("BIOOPZO_DATA", str(root / "NMNIST"))
    assert hint() == [f"perhaps: {root}/NMNIST is the folder NMNIST itself; give the one above "
                      f"it, {root}"]
    monkeypatch.setenv("BIOOPZO_DATA", str(root))
    (root / "NMNIST").rename(root / "nmnist")
    assert hint() == [f"perhaps: {root}/nmnist holds Test and Train; put that into "
                      f"{root}/nmnist/NMNIST"]
    (root / "nmnist/Train").rename(root / "nmnist/train")
    assert hint()[1:] == [f"perhaps: rename {root}/nmnist/train to Train"]
    (root / "nmnist").rename(root / "NMNIST")
    with pytest.raises(InputError, match=f"nor are 4 other files.*capitals count: rename "
                       f"{root}/NMNIST/train to Train"):
        tasks.nmnist(partial=True)


# ---- the cache ----------------------------------------------------------------------------------


def cached_files():
    return sorted(Path(os.environ["BIOOPZO_CACHE"]).rglob("events/*"))


def test_binned_events_are_read_once_and_again_when_something_changes(root, monkeypatch):
    formats.nmnist(root)
    reads = []
    original = recordings.events_of
    monkeypatch.setattr(recordings, "events_of",
                        lambda *arguments: reads.append(1) or original(*arguments))

    def read(**options):
        reads.clear()
        return tasks.nmnist(partial=True, validation=0, **options), len(reads)

    first, count = read()
    assert count == 2  # training and test recordings
    again, count = read()
    assert count == 0
    np.testing.assert_array_equal(again.inputs[:], first.inputs[:])
    for options in ({"steps": 200}, {"dt": 2 * ms}, {"size": 17}, {"crop": 20}, {"samples": 2},
                    {"polarities": "merged"}, {"engine": "rate"},
                    {"engine": "rate", "counts": True}):
        assert read(**options)[1] == 2 and read(**options)[1] == 0
    path = root / "NMNIST/Train/0/00001.bin"
    simulated_nmnist.write(path, formats.events(60, seed=77))
    os.utime(path, ns=(0, 5))  # the same size
    changed, count = read()
    assert count == 2 and (changed.inputs[0] != first.inputs[0]).any()


def test_a_damaged_cache_is_made_anew_and_a_failed_write_leaves_nothing(root, monkeypatch):
    formats.nmnist(root)
    wanted = tasks.nmnist(partial=True).inputs[:]
    (path,) = cached_files()
    good = path.read_bytes()
    for content in (good[:300], b"", good[:-100]):
        path.write_bytes(content)
        np.testing.assert_array_equal(tasks.nmnist(partial=True).inputs[:], wanted)
        assert path.read_bytes() == good
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "cells": arrays["cells"][::-1]})  # sound, but senseless
    np.testing.assert_array_equal(tasks.nmnist(partial=True).inputs[:], wanted)
    path.unlink()

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("bioopzo.files.os.fsync", full)
        with pytest.warns(UserWarning, match="cannot be written .No space left"):
            np.testing.assert_array_equal(tasks.nmnist(partial=True).inputs[:], wanted)
        assert cached_files() == []
        patch.setattr("bioopzo.files.os.fsync", lambda handle: (_ for _ in ()).throw(
            KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tasks.nmnist(partial=True)
        assert cached_files() == []


# ---- archives -----------------------------------------------------------------------------------


def zipped(members):
    """A .zip of (name, content or ZipInfo attributes)."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return raw.getvalue()


def tarred(members):
    """A .tar.gz of (TarInfo or name, content)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for member, content in members:
            member = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


@pytest.fixture
def published(tmp_path, root, monkeypatch):
    """A tiny N-MNIST on a mirror (file://), pinned in place of the real one."""
    written = formats.nmnist(tmp_path / "made")
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    archives = []
    for split, name in (("Train", "train.zip"), ("Test", "test.zip")):
        base = tmp_path / "made" / "NMNIST"
        content = zipped([(path.relative_to(base).as_posix(), path.read_bytes())
                          for path in sorted(written) if split in str(path)])
        (mirror / name).write_bytes(content)
        archives.append(Archive(name, (mirror / name).as_uri(),
                                hashlib.md5(content).hexdigest(), 10**5, 10))
    monkeypatch.setitem(EVENT_SETS, "nmnist", replace(
        EVENT_SETS["nmnist"], archives=tuple(archives), complete={
            "train": (3, 2) + (0,) * 8, "test": (2, 1) + (0,) * 8}))
    return mirror


def pin(monkeypatch, mirror, content, name="train.zip", **changes):
    """Serve other content for the first archive and believe in it."""
    (mirror / name).write_bytes(content)
    event_set = EVENT_SETS["nmnist"]
    first = replace(event_set.archives[0], md5=hashlib.md5(content).hexdigest(), **changes)
    monkeypatch.setitem(EVENT_SETS, "nmnist",
                        replace(event_set, archives=(first, event_set.archives[1])))


def entries(root):
    """Everything below the data directory."""
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*"))


def test_download_makes_the_task_loadable(published, root, capsys):
    assert main(["data"]) == 0
    assert capsys.readouterr().out.count("not found; `bioopzo data nmnist`") == 1
    assert main(["data", "nmnist"]) == 0
    assert capsys.readouterr().out == (f"nmnist: in {root}/nmnist/NMNIST, checked (names and "
                                       "numbers, not contents)\n")
    assert {k: len(v) for k, v in tasks.nmnist().splits.items()} == {
        "train": 5, "validation": 0, "test": 3}
    assert sorted(p.name for p in (root / "nmnist").iterdir()) == ["NMNIST"]
    for path in published.iterdir():
        path.unlink()
    assert main(["data", "nmnist"]) == main(["data"]) == 0  # nothing is asked of the mirror
    assert "nmnist                in" in capsys.readouterr().out


def test_an_archive_that_is_there_and_a_split_that_is_there_are_used(published, root):
    (root / "nmnist").mkdir(parents=True)
    (published / "train.zip").rename(root / "nmnist" / "train.zip")
    archives_.download(EVENT_SETS["nmnist"], progress=False)
    assert len(tasks.nmnist().splits["train"]) == 5
    for path in (root / "nmnist/NMNIST/Test").rglob("*.bin"):
        path.unlink()
    with pytest.raises(InputError, match="Test is in the way of what test.zip holds"):
        archives_.download(EVENT_SETS["nmnist"], progress=False)


def test_what_is_in_the_way_is_named_before_anything_is_fetched(published, root, monkeypatch):
    formats.nmnist(root / "nmnist", train=(3, 1))
    with pytest.raises(InputError, match=f"move {root}/nmnist/NMNIST/Train away, then get it: "
                       "`bioopzo data nmnist`, or say that a part is meant"):
        tasks.nmnist()
    formats.nmnist(root.with_name("other") / "n-mnist", train=(3, 1))  # in nothing's way
    with pytest.raises(InputError, match="; get it: `bioopzo data nmnist`, or say"):
        tasks.nmnist(data=root.with_name("other"))
    fetched = []
    original = archives_._fetch
    monkeypatch.setattr(archives_, "_fetch", lambda archive, *arguments: fetched.append(
        archive.name) or original(archive, *arguments))
    with pytest.raises(InputError, match="NMNIST/Train is in the way of what train.zip holds: it "
                       "has 4 of 5 recordings; move it away, then run this command again"):
        archives_.download(EVENT_SETS["nmnist"], progress=False)
    stray = root / "nmnist/NMNIST/Test/one.bin"
    stray.write_bytes(b"")
    with pytest.raises(InputError, match="Test/one.bin is no recording of nmnist by its name"):
        archives_.download(EVENT_SETS["nmnist"], progress=False)
    stray.unlink()
    assert not fetched
    (root / "nmnist/NMNIST/Train").rename(root / "nmnist/old")
    archives_.download(EVENT_SETS["nmnist"], progress=False)
    assert fetched == ["train.zip"] and len(tasks.nmnist().splits["train"]) == 5


def link(name="Train/0/00001.bin"):
    found = tarfile.TarInfo(name)
    found.type, found.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return found


def zip_link():
    found = zipfile.ZipInfo("Train/0/00001.bin")
    found.create_system, found.external_attr = 3, 0o120777 << 16
    return found


@pytest.mark.parametrize("content, message", [
    (zipped([("ok.bin", b"1"), ("../outside.bin", b"1")]), "'../outside.bin', a path outside"),
    (zipped([("/etc/outside.bin", b"1")]), "a path outside"),
    (zipped([("a\\..\\..\\outside.bin", b"1")]), "a path outside"),
    (zipped([(zip_link(), "/etc/passwd")]), "no plain file but a link"),
    (tarred([("ok.bin", b"1"), (link(), b"")]), "no plain file but a link"),
    (tarred([("../../outside.bin", b"1")]), "a path outside"),
    (zipped([(f"{k}.bin", b"") for k in range(11)]), "would unpack to 11 files"),
    (zipped([("big.bin", bytes(10**5 + 1))]), "100001 bytes, more than"),
    (zipped([("ok.bin", b"1")])[:-30], "no sound archive"),
    (tarred([("ok.bin", b"1" * 5000)])[:-30], "no sound archive"),
    (b"<html>log in first</html>", "no sound archive"),
    (zipped([("a", b"1"), ("a/b", b"1")]), "train.zip holds 'a' as a file and as a folder"),
    (zipped([("a/b", b"1"), ("./a", b"1")]), "train.zip holds 'a' as a file and as a folder"),
    (tarred([("a", b"1"), ("./a", b"2")]), "train.zip holds './a' twice"),
    (zipped([("n" * 300, b"1")]), "train.zip holds 'nnn.*, no possible name of a file"),
    (tarred([(("d" * 200 + "/") * 30 + "a", b"1")]), "train.zip holds 'ddd.* cannot be unpacked"),
], ids=["up", "absolute", "backslash", "link", "tar link", "tar up", "many", "big", "cut",
        "tar cut", "html", "file and folder", "folder and file", "twice", "long", "deep"])
def test_an_unsafe_archive_leaves_nothing(published, root, monkeypatch, content, message):
    pin(monkeypatch, published, content)
    with pytest.raises(InputError, match=message):
        archives_.download(EVENT_SETS["nmnist"], progress=False)
    assert entries(root) == ["nmnist", "nmnist/NMNIST"]
    assert not list(root.parent.rglob("outside.bin"))


def test_hidden_members_are_left_out(tmp_path):
    path = tmp_path / "mac.zip"
    path.write_bytes(zipped([("Train/0/00001.bin", b"1"), ("Train/0/._00001.bin", b"2"),
                             (".DS_Store", b"3"), ("__MACOSX/Train/0/00001.bin", b"4")]))
    archives_.unpack(path, tmp_path / "out", 10**6, 10)
    assert entries(tmp_path / "out") == ["Train", "Train/0", "Train/0/00001.bin"]


def test_a_member_larger_than_it_says_is_refused(tmp_path):
    content = bytearray(zipped([("a.bin", b"x" * 1000)]))
    at = content.rindex(b"PK\x01\x02")
    content[at + 24:at + 28] = (10).to_bytes(4, "little")  # the size the directory announces
    path = tmp_path / "lying.zip"
    path.write_bytes(content)
    with pytest.raises(InputError, match="larger than it says|no sound archive"):
        archives_.unpack(path, tmp_path / "out", 10**6, 10)


def test_a_wrong_checksum_and_no_network(published, root, monkeypatch):
    (published / "train.zip").write_bytes(b"other")
    with pytest.raises(InputError, match="not the published train.zip: its md5 is"):
        archives_.download(EVENT_SETS["nmnist"], progress=False)
    assert entries(root) == ["nmnist", "nmnist/NMNIST"]

    for fault in (urllib.error.URLError("Name or service not known"), TimeoutError("timed out"),
                  KeyboardInterrupt()):
        def urlopen(request, timeout, fault=fault):
            raise fault

        monkeypatch.setattr(archives_.urllib.request, "urlopen", urlopen)
        if isinstance(fault, KeyboardInterrupt):
            with pytest.raises(KeyboardInterrupt):
                archives_.download(EVENT_SETS["nmnist"], progress=False)
        else:
            with pytest.raises(InputError, match="could not be downloaded .*check the network.*"
                               f"put it into {root / 'nmnist'}"):
                archives_.download(EVENT_SETS["nmnist"], progress=False)
        assert entries(root) == ["nmnist", "nmnist/NMNIST"]
        with pytest.raises(InputError, match="no recordings"):
            tasks.nmnist()


def test_archives_within_an_archive(tmp_path, root, monkeypatch):
    written = formats.cifar10_dvs(tmp_path / "made")
    parts = {}
    for path in written:
        parts.setdefault(path.parent.name, []).append((f"{path.parent.name}/{path.name}",
                                                       path.read_bytes()))
    content = zipped([(f"{name}.zip", zipped(members)) for name, members in parts.items()])
    (tmp_path / "CIFAR10DVS.zip").write_bytes(content)
    monkeypatch.setitem(EVENT_SETS, "cifar10_dvs", replace(
        EVENT_SETS["cifar10_dvs"], complete={"train": (3,) + (0,) * 8 + (3,)},
        archives=(Archive("CIFAR10DVS.zip", (tmp_path / "CIFAR10DVS.zip").as_uri(),
                          hashlib.md5(content).hexdigest(), 10**6, 20),)))
    archives_.download(EVENT_SETS["cifar10_dvs"], progress=False)
    assert len(tasks.cifar10_dvs(validation=0, test=0.3).splits["train"]) == 4


@pytest.mark.parametrize("only", ["Train", "Test"])
def test_a_part_with_one_split_lends_a_tenth_to_the_other(root, only):
    counts = {"train": (7, 5), "test": ()} if only == "Train" else {"train": (), "test": (7, 5)}
    written = formats.nmnist(root, **counts)
    task = tasks.nmnist(partial=True, validation=2)
    sizes = {split: len(samples) for split, samples in task.splits.items()}
    assert sizes == {"train": 9, "validation": 2, "test": 1}
    lacks = {"Train": "no test recordings: 1 of its 12 train", "Test": "no training recordings"}
    assert lacks[only] in task.description
    # Every recording is in one split, with its own events and label.
    expected = sorted((int(path.parent.name), binned(events, 300, 1000).nonzero()[1].tolist())
                      for path, events in written.items())
    assert expected == sorted((label, task.inputs[k].nonzero()[1].tolist())
                              for k, label in enumerate(task.labels))


def test_one_recording_is_not_enough(root):
    formats.nmnist(root, train=(1,), test=())
    with pytest.raises(InputError, match="NMNIST holds one recording; training and testing need"):
        tasks.nmnist(partial=True)


def test_a_part_of_any_size_trains_in_the_rate_engine_without_options(root):
    formats.nmnist(root)
    task = tasks.nmnist("rate", partial=True)
    run = bz.train(bz.Model([task.n_in, 4, 10]), task, engine="rate", epochs=1, progress=False)
    assert run.meta["settings"]["batch"] == 5
    run = bz.train(bz.Model([task.n_in, 4, 10]), task, engine="rate", trials=4, progress=False)
    assert run.meta["settings"]["batch"] == 4


def test_the_back_end_is_chosen_by_all_trials_that_are_presented(root, monkeypatch):
    formats.nmnist(root)
    task, asked = tasks.nmnist(partial=True), []
    monkeypatch.setattr("bioopzo.engines.spiking.backends.choose",
                        lambda backend, trials, *_: asked.append(trials) or "numpy")
    model = bz.Model([task.n_in, 2, 10], rule="readout_only")
    bz.train(model, task, trials=1, evaluations=1, progress=False)
    assert asked[-1] == 1 + 2 * len(task.splits["test"])  # before it, the name is checked


@pytest.mark.parametrize("options, says", [
    ({"steps": 10**7}, "nmnist: 10000000 steps of 2312 inputs are too many"),
    ({"counts": True}, "nmnist: counts=True is for engine='rate'")])
def test_what_cannot_be_held_is_refused_before_recordings_are_read(root, options, says,
                                                                   monkeypatch):
    monkeypatch.setattr(recordings, "find", None)
    with pytest.raises(InputError, match=says):
        tasks.nmnist(**options)


# ---- the simulator ------------------------------------------------------------------------------


def bars():
    """Two small images: a bar in the middle, and nothing."""
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 4:24, 12:16] = 255
    return images


def test_the_simulator_is_seeded_and_every_image_on_its_own(monkeypatch):
    first, empty = simulated_nmnist.recordings(bars(), 3)
    # An empty image moves nothing: what is left is noise, all of it darkening.
    assert len(first) > 1000 and 60 < len(empty) < 200 and empty["p"].all()
    alone = next(simulated_nmnist.recordings(np.repeat(bars()[:1], 2, axis=0), 3))
    np.testing.assert_array_equal(first, alone)
    assert not np.array_equal(first, next(simulated_nmnist.recordings(bars(), 4)))
    assert (np.diff(first["t"]) >= 0).all() and 0 <= first["t"].min()
    assert first["t"].max() < 315_000 and first["x"].max() < 34 and first["y"].max() < 34
    assert 0.4 < first["p"].mean() < 0.6


def test_on_and_off_events_are_on_the_right_edges():
    # In the first two saccades the bar moves to the right: its right edge becomes brighter (p 0),
    # its left edge, which it leaves, darker (p 1).
    events = next(simulated_nmnist.recordings(bars()[:1], 0))
    events = events[(events["t"] > 5_000) & (events["t"] < 90_000) & (events["y"] > 14)
                    & (events["y"] < 20)]
    assert events["x"][events["p"] == 0].mean() > events["x"][events["p"] == 1].mean() + 2


def test_simulated_recordings_differ_in_their_thresholds():
    numbers = [len(events) for events in simulated_nmnist.recordings(
        np.repeat(bars()[:1], 40, axis=0))]
    # The number of events is close to inverse to the threshold; 95 % of sd's of 40 draws lie here.
    spread = np.std(numbers, ddof=1) / np.mean(numbers)
    assert 0.78 < spread / simulated_nmnist.RECORDING_SPREAD < 1.22


def test_a_simulated_recording_survives_its_file(root):
    formats.nmnist(root)
    made = next(simulated_nmnist.recordings(bars()))
    simulated_nmnist.write(root / "NMNIST/Train/0/00001.bin", made)
    task = tasks.nmnist("rate", partial=True, validation=0, counts=True)
    np.testing.assert_array_equal(task.inputs[0], binned(made, 30, 10_000, counts=True))


@pytest.fixture
def images(monkeypatch):
    """Twelve training and four test images in place of MNIST."""
    rng = np.random.default_rng(0)
    made = np.zeros((16, 28, 28), np.uint8)
    for k in range(16):
        x, y = rng.integers(4, 16, 2)
        made[k, y:y + 8, x:x + 3 + k % 3] = 255
    labels = np.arange(16) % 3
    monkeypatch.setattr("bioopzo.datasets.files.load", lambda name, data=None: (
        made[:12], labels[:12], made[12:], labels[12:]))
    return made, labels


def test_simulated_tasks_say_so(images):
    options = {"simulate": True, "samples": 6, "validation": 3, "test": 2}
    task = tasks.nmnist("rate", **options)
    assert task.name == "nmnist_simulated" and task.description.startswith("SIMULATED")
    assert repr(task).startswith("<Task 'nmnist_simulated': train 6, validation 3, test 2;")
    order = np.random.RandomState(0).permutation(12)
    shown = [*np.sort(order[:6]), *np.sort(order[9:])]
    np.testing.assert_array_equal(task.labels, images[1][[*shown, 12, 13]])
    wanted = next(simulated_nmnist.recordings(images[0][shown[:1]], 0))
    np.testing.assert_array_equal(task.inputs[0], binned(wanted, 30, 10_000))
    assert len(cached_files()) == 3
    other = tasks.nmnist("rate", seed=1, **options)
    assert (other.inputs[0] != task.inputs[0]).any()
    with pytest.raises(InputError, match="nmnist_simulated: samples=12 and validation=3 need 15"):
        tasks.nmnist(simulate=True, samples=12, validation=3, test=1)


def test_simulation_without_any_data(root):
    task = tasks.nmnist("rate", simulate=True, images="digits", samples=20, validation=4, test=3)
    assert task.name == "digits_simulated" and task.inputs.shape == (27, 30, 2312)
    digits = tasks.digits()
    order = np.random.RandomState(0).permutation(1437)
    wanted = [*np.sort(order[:20]), *np.sort(order[-4:]), 1437, 1438, 1439]
    np.testing.assert_array_equal(task.labels, digits.labels[wanted])
    # More ink, more events.
    ink = digits.inputs[wanted].sum(axis=1)
    assert np.corrcoef(ink, np.diff(task.inputs.offsets))[0, 1] > 0.5
    with pytest.raises(InputError, match="images must be 'mnist' or 'digits'"):
        tasks.nmnist(simulate=True, images="emnist")


def test_transfer_never_trains_on_images_it_is_tested_on(root, images):
    written = formats.nmnist(root)  # recordings 1 to 5 and 60001 to 60003
    task = tasks.nmnist_transfer(samples=6, validation=1)
    assert {k: len(v) for k, v in task.splits.items()} == {"train": 6, "validation": 1, "test": 8}
    recorded = {binned(events, 30, 10_000).tobytes() for events in written.values()}
    assert {task.inputs[k].astype(int).tobytes() for k in task.splits["test"]} == recorded
    free = np.arange(5, 12)
    order = np.random.RandomState(0).permutation(7)
    np.testing.assert_array_equal(task.labels[:6], images[1][free[np.sort(order[:6])]])
    assert "SIMULATED" in task.description and "8 real recordings" in task.description
    with pytest.raises(InputError, match="samples=7 and validation=1 need 8"):
        tasks.nmnist_transfer(samples=7, validation=1)
    assert len(tasks.nmnist_transfer(real="test", samples=7, validation=1).splits["test"]) == 3


def test_transfer_can_leave_out_what_the_simulator_was_made_by(root, images, monkeypatch):
    formats.nmnist(root)  # five recordings in Train, of the images 0 to 4; three in Test
    monkeypatch.setattr(simulated_nmnist, "seen", lambda: [0, 3])
    task = tasks.nmnist_transfer(real="unseen", samples=6, validation=1)
    assert len(task.splits["test"]) == 6
    monkeypatch.setattr(simulated_nmnist, "seen", lambda: range(5))
    shutil.rmtree(root / "NMNIST/Test")
    with pytest.raises(InputError, match="no recordings for real='unseen'; use real='all'"):
        tasks.nmnist_transfer(real="unseen", samples=6, validation=1)


def test_the_recordings_that_were_seen_are_half_of_those_at_hand():
    found = simulated_nmnist.seen()
    assert len(set(found)) == 300 and 0 <= min(found) and max(found) < 60000


# ---- both engines -------------------------------------------------------------------------------


@pytest.fixture
def learnable(root):
    """N-MNIST recordings of two classes that differ in where events are; as a small task."""
    for split, first, count in (("Train", 1, 40), ("Test", 60001, 20)):
        for k in range(count):
            found = formats.events(300, side=12, seed=first + k)
            found["x"] += 18 * (k % 2)
            path = root / f"NMNIST/{split}/{k % 2}/{first + k:05d}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            simulated_nmnist.write(path, found)
    return {"partial": True, "validation": 0, "size": 6, "polarities": "merged"}


@pytest.mark.parametrize("precision", ["double", "single"])
def test_event_lists_hand_over_every_spike(learnable, precision):
    task = tasks.nmnist(steps=30, dt=1 * ms, warmup=10, **learnable)
    dense = task.replace(inputs=task.inputs[:])
    model = bz.Model([36, 5, 10], rule="opzo", T_z=10 * ms, T_w=5 * ms).for_task(task)
    outcomes = []
    for each in (task, dense):
        shape = shape_of(each, 4)
        engine = backends.open_backend("numpy", model, shape, precision=precision)
        state = {**engine.start, **initial_weights(model, np.random.default_rng(1))}
        tables = {"course": time_course(model, each),
                  **feed.tables(each, shape, np.array([3, 50, 4]), True)}
        values = parameter_values(model, shape, precision=precision)
        outcomes.append([engine.run(Chunk(3, state, values, tables)) for _ in range(2)])
    for found, wanted in zip(*outcomes):
        assert wanted.state["hidden_1.count"].sum() > 0
        np.testing.assert_array_equal(found.decision, wanted.decision)
        for key, value in wanted.state.items():
            np.testing.assert_array_equal(found.state[key], value, err_msg=key)
    with pytest.raises(InputError, match="counts events.*counts=False"):
        bz.train(model, tasks.nmnist("rate", counts=True, **learnable), trials=2)


def test_tables_of_a_chunk_are_bounded():
    rng = np.random.default_rng(0)
    cells = [np.sort(rng.choice(300 * 2312, 7000, replace=False)) for _ in range(3)]
    inputs = EventInputs(300, 2312, np.arange(4) * 7000, np.concatenate(cells).astype(np.uint32))
    task = tasks.Task("t", inputs, np.eye(3), np.arange(3), np.ones(300),
                      {"train": [0, 1, 2], "validation": [], "test": []}, "spikes", 300 * ms,
                      1 * ms)
    rows = feed.rows(task)
    assert 100 < rows < MOST_ROWS
    tables = feed.tables(task, shape_of(task, rows), np.arange(rows) % 3, True)
    assert sum(table.nbytes for table in tables.values()) <= TABLE_BYTES


def test_both_engines_learn_from_events(learnable):
    task = tasks.nmnist("rate", **learnable)
    run = bz.train(bz.Model([36, 10, 10], rule="opzo", mu=0.5), task, engine="rate", epochs=20,
                   batch=8, rate=1e-2, evaluations=1, progress=False)
    assert run.test_accuracy > 0.9
    task = tasks.nmnist(steps=30, dt=10 * ms, warmup=10, **learnable)
    model = bz.Model([36, 10, 10], rule="opzo", T_z=50 * ms, T_w=20 * ms, tau_m=25 * ms,
                     tau_o=25 * ms)
    run = bz.train(model, task, trials=40, evaluations=1, backend="numpy", progress=False)
    assert run.test_accuracy > 0.8 > run.arrays["curve/accuracy"][0]


def test_the_same_command_in_both_engines(learnable, tmp_path, capsys):
    for engine, options in (("rate", ["--epochs", "1", "--batch", "8"]),
                            ("spiking", ["--trials", "2", "--backend", "numpy"])):
        path = tmp_path / f"{engine}.json"
        arguments = ["train", "--task", "nmnist", "--engine", engine, "--hidden", "4", "--json",
                     str(path), *options]
        for pair in ("size=6", "polarities=merged", "test=2", "steps=30", "dt=10*ms", "warmup=5"):
            arguments += ["--task-set", pair]
        assert main(arguments) == 2
        assert "say that a part is meant: partial=True" in capsys.readouterr().err
        assert main([*arguments, "--task-set", "partial=True"]) == 0
        assert json.loads(path.read_text())["task"] == "nmnist"
    assert main([*arguments, "--task-set", "partail=True"]) == 2
    assert "did you mean 'partial'" in capsys.readouterr().err
    assert main([*arguments, "--task-set", "partial"]) == 2
    assert "--task-set takes NAME=VALUE" in capsys.readouterr().err


# ---- figures and results ------------------------------------------------------------------------


def test_figures_show_the_events(root):
    written = formats.nmnist(root, train=(1,), test=(1,))
    events = written[root / "NMNIST/Train/0/00001.bin"]
    task = tasks.nmnist("rate", partial=True, counts=True)
    axes = plots_events.frames(task, 0, steps=[0, 29], axes=plt.subplots(1, 2)[1])
    for ax, step in zip(axes, (0, 29)):
        own = events[events["t"] // 10_000 == step]
        image = ax.images[0].get_array()
        assert image.sum() == 2 * own["p"].sum() - len(own) and np.abs(image).sum() > 0
    assert [ax.get_title() for ax in axes] == ["0\N{EN DASH}10 ms", "290\N{EN DASH}300 ms"]
    assert axes[0].get_ylabel() == ""
    simulated = task.replace(name="nmnist_simulated")
    assert plots_events.frames(simulated, 0)[0].get_ylabel() == "simulated data"
    assert plots_events.cloud(simulated, 0).get_title(loc="left") == "simulated data"
    ax = plots_events.cloud(task, 0)
    time, x, y = ax.collections[0]._offsets3d
    shown = sorted(zip(np.asarray(time), x, -np.asarray(y)))
    assert shown == sorted((t // 10_000 * 10.0, x, y) for x, y, t in
                           events[["x", "y", "t"]].tolist())
    with pytest.raises(InputError, match="projection='3d'"):
        plots_events.cloud(task, 0, plt.subplots()[1])
    with pytest.raises(InputError, match="task digits has no events on a grid"):
        plots_events.cloud(tasks.digits(), 0)
    plt.close("all")


def test_the_raster_shows_every_layer_and_says_what_it_leaves_out():
    rng = np.random.default_rng(0)
    spikes = {name: (rng.random((20, size)) < 0.2).astype(int)
              for name, size in (("input", 500), ("hidden_1", 10))}
    recording = bz.measures.Recording(np.arange(20.0), spikes, {},
                                      {"dt_ms": 1.0, "task": "digits_simulated"})
    axes = plots_events.raster(recording)
    assert axes[0].get_title(loc="right") == "simulated data"
    assert [ax.get_title(loc="left") for ax in axes] == ["Input, 300 of 500 neurons",
                                                         "Hidden 1, 10 neurons"]
    assert len(axes[1].lines[0].get_xdata()) == spikes["hidden_1"].sum()
    plt.close("all")


def test_the_simulator_is_compared_image_by_image(root, images, tmp_path, monkeypatch):
    monkeypatch.setattr(simulated_nmnist, "RECORDING_SPREAD", 0.0)
    monkeypatch.setattr(simulated_nmnist, "seen", lambda: [2])
    for number, image in ((1, 0), (2, 1), (3, 2)):
        path = root / f"NMNIST/Train/0/{number:05d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        simulated_nmnist.write(path, next(simulated_nmnist.recordings(
            images[0][image:image + 1], seed=9)))
    outcome = results.make(["nmnist_simulation"], tmp_path, say=lambda line: None)
    assert outcome == {"nmnist_simulation": "made"}
    content = json.loads((tmp_path / "nmnist_simulation.json").read_text())["data"]
    rows = {row[0]: row[1:] for row in content["simulated_against_real"]}
    # Other noise, and nothing else, tells these "recordings" from their simulation.
    real, simulated = rows["events per recording, mean"]
    assert simulated == pytest.approx(real, rel=0.05)
    assert rows["mean rate in bins of 10 ms, correlation"][0] > 0.99
    assert content["recordings"] == 2 and content["left_out"] == 1  # the one that was seen
    assert content["rate"]["bin_ms"] == 10 and len(content["rate"]["real"]) == 31
    assert results.table("nmnist_simulation", content).startswith(
        "| quantity | recorded | simulated |")


def test_two_recordings_are_the_least_that_the_simulator_is_compared_with(root, images, tmp_path):
    path = root / "NMNIST/Train/0/00001.bin"
    path.parent.mkdir(parents=True)
    path.touch()
    outcome = results.make(["nmnist_simulation"], tmp_path, say=lambda line: None)
    with pytest.raises(InputError, match="holds 0 recordings to compare with .* it takes two"):
        raise outcome["nmnist_simulation"]
    assert not list(tmp_path.glob("*.json"))


# ---- the real ones ------------------------------------------------------------------------------


def real_recordings():
    """The data directory that holds N-MNIST recordings; skips the test if there is none."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    for directory in (os.environ.get("BIOOPZO_DATA"), beside):
        if (directory and directory != str(beside)) or beside.is_dir():
            try:
                recordings.find(EVENT_SETS["nmnist"], directory)
            except InputError:
                continue
            return directory
    pytest.skip(f"no N-MNIST recordings, neither in BIOOPZO_DATA nor in {beside}")


def test_real_recordings_load(tmp_path):
    task = tasks.nmnist("rate", data=real_recordings(), partial=True, counts=True)
    events = np.diff(task.inputs.offsets)
    assert 1500 < events.mean() < 4000 and events.min() > 300
    on = np.add.reduce([task.inputs[k].sum(axis=0) for k in range(50)])
    assert 0.45 < on[1156:].sum() / on.sum() < 0.55
    assert task.samples == sum(len(members) for members in task.splits.values())
    spiking_task = tasks.nmnist(data=real_recordings(), partial=True, samples=20, test=0,
                                validation=0)
    assert 1500 < np.diff(spiking_task.inputs.offsets).mean() < 8000
