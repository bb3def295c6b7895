"""Data files: known answers, every fault a file or a download can have, and the real MNIST."""

import errno
import gzip
import hashlib
import io
import math
import os
import re
import urllib.error
from dataclasses import replace
from email.message import Message
from pathlib import Path

import numpy as np
import pytest
from brian2.units import ms

from bioopzo import tasks
from bioopzo.cli import main
from bioopzo.datasets import files as files_
from bioopzo.errors import InputError

TRAIN, TEST, SIDE = 30, 10, 4
SHAPES = ((TRAIN, SIDE, SIDE), (TRAIN,), (TEST, SIDE, SIDE), (TEST,))
NAMES = [file.name for file in files_.DATASETS["mnist"].files]
IMAGES, LABELS = NAMES[:2]


def real_directory(name):
    """Where the real data set is: BIOOPZO_DATA or ../shared/data; skips the test if nowhere."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    for directory in (os.environ.get("BIOOPZO_DATA"), beside):
        if directory:
            try:
                files_.locate(name, directory)
            except files_.MissingData:
                continue
            return directory
    pytest.skip(f"{name} is neither in BIOOPZO_DATA nor in {beside}")


def idx(array, magic=None, shape=None):
    """An array as the bytes of an idx file, with another magic number or shape if wished."""
    head = [magic or {1: 0x801, 3: 0x803}[array.ndim], *(shape or array.shape)]
    return np.array(head, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def packed(content, level=9):
    """The bytes as .gz, the same every time."""
    return gzip.compress(content, level, mtime=0)


class Tiny:
    """Two tiny data sets pinned in place of the real ones, and the folder they are put in."""

    def __init__(self, root):
        self.root, self.arrays, self.raw = root / "data", {}, {}
        self.mirror = root / "mirror"
        for seed, name in enumerate(("mnist", "fashion_mnist")):
            rng = np.random.default_rng(seed)
            self.arrays[name] = [rng.integers(256 if len(shape) == 3 else 10, size=shape)
                                 for shape in SHAPES]
            self.raw[name] = dict(zip(NAMES, map(idx, self.arrays[name])))

    def pin(self, patch):
        """Make the loader believe in these data sets."""
        for name, pins in (("mnist", "sha256"), ("fashion_mnist", "md5")):
            files = []
            for file, content in zip(NAMES, self.raw[name].values()):
                one = {"sha256": hashlib.sha256(content).hexdigest(),
                       "md5": hashlib.md5(packed(content)).hexdigest()}
                shape = SHAPES[NAMES.index(file)]
                files.append(files_.DataFile(file, shape, **{pins: one[pins]}))
            patch.setitem(files_.DATASETS, name, replace(
                files_.DATASETS[name], files=tuple(files),
                mirror=f"{self.mirror.as_uri()}/{name}/"))

    def put(self, folder, name="mnist", compress=True, spell=str):
        """Write the files of a data set into a folder of the data directory."""
        folder = self.root / folder
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in self.raw[name].items():
            path = folder / (spell(file) + ".gz" * compress)
            path.write_bytes(packed(content) if compress else content)
        return folder

    def serve(self, name="mnist"):
        """Put the files of a data set onto the mirror (a file:// URL)."""
        return self.put(self.mirror / name, name)

    def entries(self):
        """Everything below the data directory."""
        return sorted(path.name for path in self.root.rglob("*"))


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Tiny pinned data sets in an empty data directory, BIOOPZO_DATA."""
    made = Tiny(tmp_path)
    made.pin(monkeypatch)
    monkeypatch.setenv("BIOOPZO_DATA", str(made.root))
    return made


def same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


# ---- finding and reading ------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("spell", [str, lambda name: name.replace("-idx", ".idx")])
@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw", "."])
def test_files_are_read_from_every_place_and_spelling(tiny, folder, spell, compress):
    tiny.put(folder, "mnist", compress, spell)
    found = files_.load("mnist")
    same(found, tiny.arrays["mnist"])
    assert all(array.dtype == np.uint8 and not array.flags.writeable for array in found)
    assert {path.parent for path in files_.locate("mnist")} == {(tiny.root / folder).resolve()}


@pytest.mark.parametrize("folder, compress", [
    ("fashion_mnist", True), ("FashionMNIST/raw", True), ("fashion_mnist", False), (".", True)])
def test_fashion_mnist_is_known_by_its_gz_or_its_folder(tiny, folder, compress):
    tiny.put(folder, "fashion_mnist", compress)
    same(files_.load("fashion_mnist"), tiny.arrays["fashion_mnist"])


def test_files_that_were_compressed_again_are_good_in_the_folder_of_their_data_set(tiny):
    """Or anywhere, where the content is pinned; a .gz has the time of its making in its header."""
    folder = tiny.put("mnist")
    for name, content in tiny.raw["mnist"].items():
        (folder / f"{name}.gz").write_bytes(packed(content, 1))
    same(files_.load("mnist"), tiny.arrays["mnist"])
    tiny.put("fashion_mnist", "fashion_mnist")
    content = tiny.raw["fashion_mnist"][IMAGES]
    again = tiny.root / "fashion_mnist" / f"{IMAGES}.gz"
    again.write_bytes(packed(content, 0))
    same(files_.load("fashion_mnist"), tiny.arrays["fashion_mnist"])
    again.rename(tiny.root / again.name)  # where files of MNIST could be, too
    with pytest.raises(files_.MissingData, match="only its folder could say what") as fault:
        files_.load("fashion_mnist")
    for raw in (packed(content, 0), packed(content)):
        assert hashlib.md5(raw).hexdigest() in str(fault.value)
    again.write_bytes(packed(content, 0)[:-9])
    with pytest.raises(InputError, match="is a truncated gzip file"):
        files_.load("fashion_mnist")


def test_directory_is_the_argument_then_the_variable_then_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BIOOPZO_DATA", "~/here")
    assert files_.data_directory() == Path.home() / "here"
    assert files_.data_directory(tmp_path) == tmp_path
    monkeypatch.delenv("BIOOPZO_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files_.data_directory() == tmp_path / "bioopzo" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert files_.data_directory() == Path.home() / ".cache" / "bioopzo" / "data"
    with pytest.raises(InputError, match="unknown data set 'mnits'.*did you mean 'mnist'"):
        files_.load("mnits")


@pytest.mark.parametrize("directory", [2024, b"data", ["data"], False])
def test_a_directory_that_is_no_path_is_refused(directory):
    for make in (lambda data: files_.load("mnist", data), tasks.nmnist):
        with pytest.raises(InputError, match="data must be a directory .*, not "):
            make(data=directory)


def test_the_home_of_nobody_is_named(monkeypatch):
    monkeypatch.setenv("BIOOPZO_DATA", "~nobody-of-this-name/data")
    with pytest.raises(InputError, match="~nobody-of-this-name/data cannot be found: .*no such"):
        tasks.nmnist()


def test_missing_files_are_named_with_places_checksums_and_remedy(tiny):
    folder = tiny.put("mnist")
    (folder / f"{LABELS}.gz").unlink()
    with pytest.raises(files_.MissingData) as fault:
        tasks.mnist()
    message = str(fault.value)
    pinned = files_.DATASETS["mnist"].files[1]
    for words in ("1 of 4 files", "`bioopzo data mnist`", "BIOOPZO_DATA", f"looked in: {folder}\n",
                  f"{tiny.root / 'MNIST/raw'} (no such folder)", f"looked in: {tiny.root}\n",
                  f"missing: {LABELS}[.gz], {8 + TRAIN} bytes", pinned.sha256):
        assert words in message
    assert IMAGES not in message
    with pytest.raises(files_.MissingData, match=r"4 of 4.*\n.*`bioopzo data mnist --dir /no`"):
        files_.load("mnist", "/no")


# ---- one data set is never taken for the other --------------------------------------------------


@pytest.mark.parametrize("compress", [True, False])
def test_mnist_under_the_name_of_fashion_mnist_is_refused(tiny, compress):
    tiny.put("fashion_mnist", "mnist", compress)
    with pytest.raises(InputError, match=f"{IMAGES} of the data set mnist, not of fashion_mnist"):
        files_.load("fashion_mnist")


def test_fashion_mnist_under_the_name_of_mnist_is_refused(tiny):
    folder = tiny.put("mnist", "fashion_mnist")
    with pytest.raises(InputError, match=f"{IMAGES} of the data set fashion_mnist, not of mnist"):
        files_.load("mnist")
    (folder / f"{IMAGES}.gz").write_bytes(packed(tiny.raw["fashion_mnist"][IMAGES], 0))
    with pytest.raises(InputError, match="wrong content: its sha256"):
        files_.load("mnist")


def test_the_directory_itself_counts_only_if_a_checksum_proves_it(tiny):
    tiny.put(".", "mnist")
    with pytest.raises(files_.MissingData, match="passed over: .*of the data set mnist"):
        files_.load("fashion_mnist")
    for path in tiny.root.iterdir():
        path.unlink()
    tiny.put(".", "fashion_mnist", compress=False)
    with pytest.raises(files_.MissingData, match="passed over: .*nothing proves.*move it into"):
        files_.load("fashion_mnist")
    with pytest.raises(files_.MissingData, match="passed over: .*wrong content"):
        files_.load("mnist")


# ---- faults of a file ---------------------------------------------------------------------------

ARRAYS = Tiny(Path("unused")).arrays["mnist"]
GOOD = idx(ARRAYS[0])
BAD_CONTENT = [
    (GOOD[:-1], f"truncated: {len(GOOD) - 1} bytes, not {len(GOOD)}"),
    (GOOD[:7], f"truncated: 7 bytes, not {len(GOOD)}"),
    (b"", "truncated: 0 bytes"),
    (GOOD + b"x", f"more than the {len(GOOD)} bytes"),
    (idx(ARRAYS[0], magic=0x802), "magic number is 0x00000802, not 0x00000803"),
    (idx(ARRAYS[1]), "does not hold images: its magic number is 0x00000801"),
    (idx(ARRAYS[2]), "says that it holds 10 x 4 x 4 images, not 30 x 4 x 4"),
    (idx(ARRAYS[0], shape=(TRAIN, 2, 8)), "says that it holds 30 x 2 x 8"),
    (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "wrong content: its sha256 .uncompressed. is"),
]
BAD_GZIP = [
    (packed(GOOD)[:-20], "truncated gzip file"),
    (packed(GOOD)[:-1], "truncated gzip file"),
    (packed(GOOD)[:-8] + bytes(8), "not a sound gzip file .CRC"),
    (packed(GOOD)[:20] + b"zz" + packed(GOOD)[22:], "not a sound gzip file"),
    (b"<html>", "not a sound gzip file"),
    (packed(GOOD + bytes(10**6)), f"more than the {len(GOOD)} bytes"),
    (packed(GOOD) + bytes(9000), "larger than any .gz of train-images"),
]


@pytest.mark.parametrize("raw, suffix, message", [
    *((content, "", message) for content, message in BAD_CONTENT),
    *((packed(content), ".gz", message) for content, message in BAD_CONTENT),
    *((raw, ".gz", message) for raw, message in BAD_GZIP)])
def test_a_faulty_file_is_named_with_a_remedy(tiny, raw, suffix, message):
    folder = tiny.put("mnist")
    (folder / f"{IMAGES}.gz").unlink()
    path = folder / (IMAGES + suffix)
    path.write_bytes(raw)
    with pytest.raises(InputError, match=message) as fault:
        files_.load("mnist")
    assert str(fault.value).startswith(str(path)) and "\n" not in str(fault.value)
    assert "`bioopzo data mnist`" in str(fault.value)


def test_a_label_outside_its_range_is_named(tiny):
    folder = tiny.put("fashion_mnist", "fashion_mnist", compress=False)
    labels = tiny.arrays["fashion_mnist"][1].copy()
    labels[7] = 10
    (folder / LABELS).write_bytes(idx(labels))  # has no checksum, so the label itself must tell
    with pytest.raises(InputError, match=r"has the label 10 at 7, outside 0 \.\.\. 9"):
        files_.load("fashion_mnist")


def test_a_file_that_cannot_be_read_is_named(tiny, monkeypatch):
    folder = tiny.put("mnist")

    def refuse(path, mode):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files_, "open", refuse, raising=False)
    with pytest.raises(InputError, match=f"{folder}.* cannot be read: Permission denied"):
        files_.load("mnist")


# ---- downloading --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_download_makes_the_data_loadable(tiny, name):
    tiny.serve(name)
    assert files_.download(name, progress=False) == tiny.root / name
    same(files_.load(name), tiny.arrays[name])
    assert tiny.entries() == sorted([name, *(f"{file}.gz" for file in NAMES)])


def test_download_keeps_good_files_and_replaces_faulty_ones(tiny, tmp_path, capsys):
    tiny.serve()
    folder = tiny.put("mnist", compress=False)
    (folder / IMAGES).write_bytes(b"damaged")
    (folder / LABELS).unlink()
    files_.download("mnist", progress=False)
    same(files_.load("mnist"), tiny.arrays["mnist"])
    assert tiny.entries() == sorted([*NAMES[:1], *NAMES[2:], "mnist", f"{IMAGES}.gz",
                                     f"{LABELS}.gz"])
    for path in tiny.mirror.rglob("*.gz"):
        path.unlink()
    files_.download("mnist", progress=False)  # nothing to do, so the mirror is not asked
    assert capsys.readouterr() == ("", "")


def test_a_wrong_download_leaves_nothing(tiny):
    served = tiny.serve() / f"{IMAGES}.gz"
    good = served.read_bytes()
    for raw, message in [
        (packed(tiny.raw["mnist"][IMAGES][:-1] + b"x"), "wrong content: its sha256"),
        (packed(tiny.raw["fashion_mnist"][IMAGES]), "of the data set fashion_mnist, not of mnist"),
        (good[:-10], "truncated gzip"),
        (b"<html>log in first</html>", "not a sound gzip file"),
        (good + bytes(10**5), "larger than any .gz"),
    ]:
        served.write_bytes(raw)
        with pytest.raises(InputError, match=message) as fault:
            files_.download("mnist", progress=False)
        assert str(fault.value).startswith(served.as_uri())
        assert f"put it into {tiny.root / 'mnist'}" in str(fault.value)
        assert tiny.entries() == []


def test_a_missing_file_on_the_mirror_is_named(tiny):
    (tiny.serve() / f"{NAMES[3]}.gz").unlink()
    with pytest.raises(InputError, match=f"{NAMES[3]}.gz could not be downloaded"):
        files_.download("mnist", progress=False)
    assert tiny.entries() == sorted(["mnist", *(f"{file}.gz" for file in NAMES[:3])])


class Stream(io.BytesIO):
    """The answer of a server that breaks off with an exception."""

    headers = Message()

    def __init__(self, fault):
        super().__init__()
        self.parts = iter([b"some bytes", fault])

    def read(self, size):
        part = next(self.parts)
        if isinstance(part, bytes):
            return part
        raise part


@pytest.mark.parametrize("fault, says", [
    (TimeoutError("timed out"), "timed out"), (ConnectionResetError("reset"), "reset"),
    (urllib.error.URLError("Name or service not known"), "Name or service not known"),
    (KeyboardInterrupt(), None)])
@pytest.mark.parametrize("late", [True, False])
def test_a_broken_connection_leaves_nothing(tiny, monkeypatch, fault, says, late):
    def urlopen(url, timeout):
        assert 0 < timeout < 100
        if late:
            return Stream(fault)
        raise fault

    monkeypatch.setattr(files_.urllib.request, "urlopen", urlopen)
    with pytest.raises(InputError if says else KeyboardInterrupt) as caught:
        files_.download("mnist", progress=False)
    assert tiny.entries() == []
    if says:
        message = str(caught.value)
        for words in (f"/mnist/{IMAGES}.gz could not be downloaded ({says})", "check the network",
                      f"put it into {tiny.root / 'mnist'}", "BIOOPZO_DATA"):
            assert words in message


@pytest.mark.parametrize("fault, says", [
    (OSError(errno.ENOSPC, "No space left on device"), "no space for .*make room or choose"),
    (OSError(errno.EROFS, "Read-only file system"), r"cannot be written \(Read-only.*; choose"),
    (KeyboardInterrupt(), None)])
def test_a_failed_write_leaves_nothing(tiny, monkeypatch, fault, says):
    tiny.serve()

    def fsync(handle):
        raise fault

    monkeypatch.setattr("bioopzo.files.os.fsync", fsync)
    with pytest.raises(InputError if says else KeyboardInterrupt, match=says):
        files_.download("mnist", progress=False)
    assert tiny.entries() == ["mnist"]


def test_command_lists_and_downloads(tiny, tmp_path, capsys):
    tiny.serve()
    other = tmp_path / "other"
    assert main(["data"]) == 0
    out = capsys.readouterr().out
    assert out.count("not found; `bioopzo data") == 8 and str(tiny.root / "MNIST/raw") in out
    assert main(["data", "mnist", "--dir", str(other)]) == 0
    assert f"mnist: in {other / 'mnist'}, checked" in capsys.readouterr().out
    assert tiny.entries() == []
    (other / "mnist" / f"{LABELS}.gz").write_bytes(b"")
    assert main(["data", "--dir", str(other)]) == 0
    assert re.search(r"mnist +faulty: .*truncated", capsys.readouterr().out)
    assert main(["data", "mnist", "--dir", str(other)]) == main(["data", "--dir", str(other)]) == 0
    assert re.search(r"^mnist +in .*, checked$", capsys.readouterr().out, re.MULTILINE)
    assert main(["data", "fashion_mnist"]) == 2
    assert "could not be downloaded" in capsys.readouterr().err
    assert main(["data", "mnits"]) == 2
    assert "did you mean 'mnist'" in capsys.readouterr().err


# ---- tasks --------------------------------------------------------------------------------------


def test_task_holds_the_scaled_images_and_fixed_splits(tiny):
    tiny.put("mnist")
    images, labels, test_images, test_labels = tiny.arrays["mnist"]
    task = tasks.mnist("rate", validation=5)
    pixels = np.concatenate([images, test_images]).reshape(TRAIN + TEST, -1) / 255
    expected = (pixels - images.mean() / 255) / (images.std() / 255)
    assert task.inputs.dtype == np.float32
    np.testing.assert_allclose(task.inputs, expected, atol=1e-6)
    np.testing.assert_array_equal(task.labels, np.concatenate([labels, test_labels]))
    np.testing.assert_array_equal(task.targets, np.eye(10)[task.labels])
    order = np.random.RandomState(0).permutation(TRAIN)
    same(task.splits.values(), [order[:25], order[25:], np.arange(TRAIN, TRAIN + TEST)])
    fewer = tasks.mnist("rate", samples=8, validation=5, steps=10, dt=0.5 * ms, warmup=4)
    same(fewer.splits.values(), [order[:8], order[25:], np.arange(TRAIN, TRAIN + TEST)])
    assert (task.steps, task.mask.sum(), fewer.steps, fewer.mask.sum()) == (6, 3, 10, 6)
    assert fewer.duration == 5 * ms and task.duration == 6 * ms
    # Half of the membrane potential is left after one step.
    assert math.exp(-float(fewer.dt / fewer.parameters["tau_m"])) == pytest.approx(0.5)
    assert (task.hidden, task.coding, task.classes) == ((800, 800), "current", 10)


def test_the_spiking_engine_is_shown_pixels_for_longer(tiny):
    tiny.put("mnist")
    images, _, test_images, _ = tiny.arrays["mnist"]
    task, other = tasks.mnist(validation=5), tasks.mnist("rate", validation=5)
    np.testing.assert_array_equal(
        task.inputs, (np.concatenate([images, test_images]).reshape(TRAIN + TEST, -1) / 255
                      ).astype(np.float32))
    same(task.splits.values(), other.splits.values())
    assert (task.name, other.name) == ("mnist_online", "mnist")  # rates are tuned for one of them
    assert (task.steps, task.mask.sum(), task.hidden, len(task.parameters)) == (
        60, 40, (100, 100), 0)


def test_blocks_of_images_are_scaled_alike(tiny, monkeypatch):
    tiny.put("fashion_mnist", "fashion_mnist")
    whole = tasks.fashion_mnist("rate", validation=5).inputs
    monkeypatch.setattr("bioopzo.tasks._idx_images.BLOCK", 7)
    np.testing.assert_array_equal(tasks.fashion_mnist("rate", validation=5).inputs, whole)


@pytest.mark.parametrize("options, message", [
    ({"samples": 26}, "mnist: samples=26 and validation=5 need 31 training images, .* are 30"),
    ({"validation": 30}, "validation=30 need 31 training images"),
    ({"samples": 0}, "samples must be a whole number of at least 1, not 0"),
    ({"validation": -1}, "validation must be a whole number of at least 0"),
    ({"steps": 2.5}, "steps must be a whole number"),
    ({"warmup": 60}, "warmup=60. ms must be shorter than duration"),
    ({"warmup": 2 * ms}, "warmup must be a whole number of at least 0"),
    ({"engine": "jax"}, "mnist: engine must be 'spiking' or 'rate'"),
    ({"dt": 1}, "mnist: dt must be a time with its unit"),
    ({"dt": 0 * ms}, "mnist: dt must be one positive time"),
])
def test_impossible_options_are_named(tiny, options, message):
    tiny.put("mnist")
    with pytest.raises(InputError, match=message):
        tasks.mnist(**{"validation": 5, **options})


# ---- the real ones ------------------------------------------------------------------------------

PIXELS = {"mnist": (0.1307, 0.3081, 5), "fashion_mnist": (0.2860, 0.3530, 9)}


@pytest.mark.parametrize("name", PIXELS)
def test_the_real_data_set(name):
    mean, deviation, first = PIXELS[name]
    images, labels, test_images, test_labels = files_.load(name, real_directory(name))
    assert images.shape == (60000, 28, 28) and test_images.shape == (10000, 28, 28)
    assert labels[0] == first and len(labels) == 60000 and len(test_labels) == 10000
    squares = sum(int(np.square(block, dtype=np.int64).sum()) for block in np.split(images, 60))
    assert images.mean() / 255 == pytest.approx(mean, abs=5e-5)
    variance = squares / images.size - images.mean() ** 2
    assert math.sqrt(variance) / 255 == pytest.approx(deviation, abs=5e-5)
    assert set(test_labels) == set(range(10))


def test_the_real_task_is_normalised(monkeypatch):
    monkeypatch.setenv("BIOOPZO_DATA", str(real_directory("mnist")))
    task = tasks.mnist("rate", samples=1000)
    assert {split: len(members) for split, members in task.splits.items()} == {
        "train": 1000, "validation": 5000, "test": 10000}
    train = task.inputs[:60000]
    assert train.mean(dtype=np.float64) == pytest.approx(0, abs=1e-6)
    assert train.min() == pytest.approx(-0.1307 / 0.3081, abs=1e-3)
    assert train.max() == pytest.approx((1 - 0.1307) / 0.3081, abs=1e-3)
    assert task.labels[0] == 5 and task.labels[60000] == 7
