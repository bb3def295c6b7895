"""CIFAR-10 and CIFAR-100: both layouts, faults in their files, the task; augmented images."""

import hashlib
import os
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from brian2 import ms

import bioopzo as bz
from bioopzo.datasets import archives, cifar, files, listed
from bioopzo.datasets.augmentation import augmented, checked_augment
from bioopzo.errors import InputError, InterruptedRun, MissingData

#: The pixels (n, 3072) and labels of every file of a small data set, whole as the real one is: in
#: five batches and a test, each with one image of every class; or a hundred.
RNG = np.random.default_rng(0)


def few(name):
    """File -> (images, labels) of a small data set of that name."""
    known = cifar.SETS[name]
    names = [*known.layouts[1].train, *known.layouts[1].test]
    return {file: (RNG.integers(0, 256, (known.classes, cifar.PIXELS), np.uint8),
                   RNG.permutation(known.classes)) for file in names}


CONTENT = {name: few(name) for name in cifar.SETS}


def packed(name, layout):
    """File -> bytes in a layout: 0 is the binary one, 1 that of Python."""
    told, found = cifar.SETS[name].layouts[layout], {}
    kinds = [f"kind_{k}" for k in range(cifar.SETS[name].classes)]
    for file, (images, labels) in CONTENT[name].items():
        if layout:
            found[file] = pickle.dumps({b"data": images, told.key[0].encode(): labels.tolist()}, 2)
        else:
            columns = [np.zeros_like(labels)[:, None], labels[:, None]][-told.label_bytes:]
            found[f"{file}.bin"] = np.hstack([*columns, images]).astype(np.uint8).tobytes()
    found[told.meta] = pickle.dumps({told.key[1].encode(): [k.encode() for k in kinds]}, 2) \
        if layout else "\n".join([*kinds, "", ""]).encode()
    return found


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty data directory, and the small data sets pinned in place of the real ones."""
    for name, known in list(cifar.SETS.items()):
        layouts = [replace(one, train=dict.fromkeys(one.train, known.classes),
                           test=dict.fromkeys(one.test, known.classes)) for one in known.layouts]
        layouts[1] = replace(layouts[1], md5={
            file: hashlib.md5(raw).hexdigest() for file, raw in packed(name, 1).items()})
        monkeypatch.setitem(cifar.SETS, name, replace(known, layouts=tuple(layouts)))
    monkeypatch.setenv("BIOOPZO_DATA", str(tmp_path))
    return tmp_path


def put(root, name="cifar10", layout=0, **changes):
    """Write the files of a data set; returns their folder."""
    folder = root / cifar.SETS[name].layouts[layout].folder
    folder.mkdir(parents=True)
    for file, raw in {**packed(name, layout), **changes}.items():
        if raw is not None:
            (folder / file).write_bytes(raw)
    return folder


# ---------------------------------------------------------------------------- reading

@pytest.mark.parametrize("name", list(cifar.SETS))
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("own", ["", "own"])
def test_both_layouts_hold_the_same_images(root, name, layout, own):
    put(root / (name if own else ""), name, layout)
    found = cifar.load(name)
    images, labels = (np.concatenate(part) for part in zip(*CONTENT[name].values()))
    assert np.array_equal(found.images.reshape(len(images), -1), images)
    assert np.array_equal(found.labels, labels) and found.whole
    assert found.held == (len(labels) - cifar.SETS[name].classes, cifar.SETS[name].classes)
    assert found.names is not None and found.names[3] == "kind_3"


def test_a_task_of_colour_images(root):
    folder = put(root)
    task = bz.tasks.cifar10(validation=5, steps=4)
    images = CONTENT["cifar10"]["data_batch_1"][0].reshape(-1, 3, 32, 32)
    train = np.concatenate([CONTENT["cifar10"][f"data_batch_{k}"][0] for k in range(1, 6)])
    red = train.reshape(-1, 3, 32, 32)[:, 0]
    shown = task.inputs[:10].reshape(-1, 3, 32, 32)[:, 0]
    np.testing.assert_allclose(shown, (images[:, 0] - red.mean())/red.std(), rtol=1e-4, atol=1e-5)
    assert {split: len(members) for split, members in task.splits.items()} == {
        "train": 45, "validation": 5, "test": 10}
    assert task.class_names is not None and task.class_names[9] == "kind_9" and task.steps == 4
    assert "A part" not in task.description and task.inputs.dtype == np.float32
    (folder / "test_batch.bin").write_bytes((folder / "test_batch.bin").read_bytes()[:3073*4])
    part = bz.tasks.cifar10(samples=20, validation=0, partial=True)
    assert "50 training and 4 test images" in part.description
    assert len(part.splits["train"]) == 20 and len(part.splits["test"]) == 4
    with pytest.raises(InputError, match="samples=51 and validation=0 need 51 training images"):
        bz.tasks.cifar10(samples=51, validation=0, partial=True)


def without(content, *names):
    """What a pickled file holds, less some of it."""
    return pickle.dumps({k: v for k, v in pickle.loads(content).items() if k not in names}, 2)


IMAGES, LABELS = CONTENT["cifar10"]["data_batch_2"]
FAULTS = {
    "cut off": (0, lambda raw: raw[:-1], "are not records of 3073 bytes.*bioopzo data cifar10"),
    "empty": (0, lambda raw: b"", "truncated, or of another data set: 0 bytes"),
    "a record short": (0, lambda raw: raw[3073:], "holds 9 images, not 10.*partial=True"),
    "another label": (0, lambda raw: b"\x0a" + raw[1:], "has the label 10: .*classes 0 to 9"),
    "a class twice": (0, lambda raw: bytes([(raw[0] + 1) % 10]) + raw[1:],
                      "training images are 4 to 6 of a class, not 5 of each"),
    "missing": (0, lambda raw: None, "data_batch_2.* is missing; a part .*partial=True"),
    "pickle cut off": (1, lambda raw: raw[:-9], "cannot be read as the Python version"),
    "not a pickle": (1, lambda raw: b"hello", "cannot be read as the Python version"),
    "a list": (1, lambda raw: pickle.dumps([1], 2), "cannot be read as the Python version"),
    "harm": (1, lambda raw: pickle.dumps({b"data": os.system}, 2), "system, and holds more than"),
    "no labels": (1, lambda raw: without(raw, b"labels"), "not a file of cifar10: it has no 'labe"),
    "other pixels": (1, lambda raw: pickle.dumps({b"data": IMAGES ^ 1, b"labels": list(LABELS)}, 2),
                     r"more than arrays|its md5 is \w+, not \w+"),
    "grey": (1, lambda raw: pickle.dumps({b"data": IMAGES[:, :1024], b"labels": []}, 2),
             r"its images are uint8 of shape \(10, 1024\), with 0 labels")}


@pytest.mark.parametrize("what", list(FAULTS))
def test_a_faulty_file_is_named(root, what):
    layout, change, says = FAULTS[what]
    file = "data_batch_2" + ("" if layout else ".bin")
    put(root, layout=layout, **{file: change(packed("cifar10", layout)[file])})
    with pytest.raises(InputError, match=f"(?s){says}"):
        cifar.load("cifar10")


def test_what_is_not_there_is_said_with_places_and_remedy(root):
    with pytest.raises(MissingData) as fault:
        bz.tasks.cifar100()
    for words in ("`bioopzo data cifar100`", "cifar-100-binary.tar.gz", "BIOOPZO_DATA",
                  str(root / "cifar100" / "cifar-100-python"), str(root / "cifar-100-binary")):
        assert words in str(fault.value)
    (root / "cifar-10-batches-bin").mkdir()
    with pytest.raises(MissingData, match="holds none of data_batch_1.bin"):
        cifar.load("cifar10", partial=True)


def test_names_that_lack_leave_numbers(root):
    put(root, **{"batches.meta.txt": b"one\ntwo\n"})
    assert bz.tasks.cifar10(validation=5).class_names is None


def test_the_archive_is_downloaded_checked_and_listed(root, monkeypatch, capsys):
    place = put(root / "made")
    with tarfile.open(root / "cifar.tar.gz", "w:gz") as archive:
        archive.add(place, place.name)
    raw = (root / "cifar.tar.gz").read_bytes()
    known = cifar.SETS["cifar10"]
    there = replace(known.archive, url=(root / "cifar.tar.gz").as_uri())
    monkeypatch.setitem(cifar.SETS, "cifar10", replace(known, archive=there))
    with pytest.raises(InputError, match="not the published cifar-10-binary.tar.gz: its md5"):
        listed.download("cifar10")
    monkeypatch.setitem(cifar.SETS, "cifar10", replace(known, archive=replace(
        there, md5=hashlib.md5(raw).hexdigest())))
    assert listed.state("cifar10") == "not found; `bioopzo data cifar10` downloads it"
    assert listed.download("cifar10") == f"in {root / 'cifar10' / place.name}, checked"
    monkeypatch.setattr(archives, "_one", None)
    assert listed.download("cifar10") and "checked" in listed.state("cifar10")
    (root / "cifar10" / place.name / "test_batch.bin").write_bytes(b"x")
    assert listed.state("cifar10").startswith("faulty: ")
    assert {*files.DATASETS, *cifar.SETS, "nmnist"} <= {*listed.names()}


# ---------------------------------------------------------------------------- augmentation

IMAGE = (2, 4, 6)


def test_a_crop_moves_and_a_flip_turns_and_a_cutout_hides():
    rng = np.random.default_rng(1)
    images = rng.uniform(1, 2, (300, 48))
    moved = augmented(images, IMAGE, {"crop": 1}, rng).reshape(300, *IMAGE)
    padded = np.pad(images.reshape(300, *IMAGE), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = [padded[:, :, down:down + 4, right:right + 6] for down in range(3)
               for right in range(3)]
    hits = np.array([(moved == window).all(axis=(1, 2, 3)) for window in windows])
    assert (hits.sum(axis=0) == 1).all() and (hits.sum(axis=1) > 15).all()  # of 33 expected
    turned = augmented(images, IMAGE, {"flip": 1}, rng).reshape(300, *IMAGE)
    flipped = (turned == images.reshape(300, *IMAGE)[..., ::-1]).all(axis=(1, 2, 3))
    assert 120 < flipped.sum() < 180 and (turned[~flipped] == images.reshape(
        300, *IMAGE)[~flipped]).all()
    cut = augmented(images, IMAGE, {"cutout": 2}, rng).reshape(300, *IMAGE)
    hidden = cut == 0
    assert (hidden[:, 0] == hidden[:, 1]).all() and (cut[~hidden] == images.reshape(
        300, *IMAGE)[~hidden]).all()
    assert set(hidden[:, 0].sum(axis=(1, 2))) == {1, 2, 4}  # smaller at a border, as published


def test_steps_of_a_sample_are_changed_alike_and_the_original_stays():
    images = np.random.default_rng(0).uniform(1, 2, (5, 48))
    whole = images.copy()
    in_time = np.repeat(images[:, None], 3, axis=1)
    asked = checked_augment("crop, flip, cutout")
    assert asked == {"crop": 4, "flip": 1, "cutout": 8}
    found = augmented(in_time, (2, 4, 6), {"crop": 1, "flip": 1, "cutout": 2},
                      np.random.default_rng(3))
    assert (found == found[:, :1]).all() and not np.array_equal(found, in_time)
    assert np.array_equal(images, whole)
    one = augmented(images, (2, 4, 6), {"flip": 1}, np.random.default_rng(3))
    both = augmented(images, (2, 4, 6), {"crop": 1, "flip": 1}, np.random.default_rng(3))
    assert not np.array_equal(one, both)  # and the same samples are turned around:
    turned = (one == images.reshape(5, 2, 4, 6)[..., ::-1].reshape(5, -1)).all(axis=1)
    padded = np.pad(images.reshape(5, 2, 4, 6), ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows = both.reshape(5, 2, 4, 6)
    for k in range(5):
        seen = rows[k, ..., ::-1] if turned[k] else rows[k]
        assert any((seen == padded[k, :, a:a + 4, b:b + 6]).all() for a in range(3)
                   for b in range(3))


@pytest.fixture(scope="module")
def pictures():
    """Twenty images of two channels, 4x4, for a network of convolutions."""
    rng = np.random.default_rng(0)
    return bz.tasks.from_arrays(rng.normal(0, 1, (20, 32)), [0, 1]*10, validation=0.2, test=0.2,
                                duration=4*ms)


def learned(task, seed=0, layout="2x4x4-3C3-AP2-2", **more):
    return bz.train(bz.Model(layout, rule="bp"), task, **{
        "engine": "rate", "batch": 4, "epochs": 2, "progress": False,
        "seed": seed, "evaluations": 2, **more})


def test_what_is_learned_from_is_augmented_the_same_in_every_run(pictures, tmp_path):
    plain, changed = learned(pictures), learned(pictures, augment={"flip": 1, "crop": 1})
    assert plain.arrays["curve/loss"][0] == changed.arrays["curve/loss"][0]  # of whole images
    assert not np.array_equal(plain.final["forward_1.w"], changed.final["forward_1.w"])
    assert changed.meta["settings"]["augment"] == {"crop": 1, "flip": 1}
    assert "augment" not in plain.meta["settings"] and \
        plain.meta["address"] != changed.meta["address"]

    def stop(trials, accuracy, loss):
        if trials == 16:
            raise KeyboardInterrupt

    asked = {"augment": {"crop": 1, "flip": 1}, "checkpoint": tmp_path / "point"}
    with pytest.raises(InterruptedRun):
        learned(pictures, live=stop, **asked)
    again = learned(pictures, **asked)
    assert np.array_equal(again.final["forward_1.w"], changed.final["forward_1.w"])


@pytest.mark.parametrize("augment, layout, says", [
    ("flop", "2x4x4-3C3-2", "unknown way to augment images 'flop'.*did you mean 'flip'"),
    (3, "2x4x4-3C3-2", "augment names what is done to images"),
    ({"crop": 0}, "2x4x4-3C3-2", "augment 'crop' is a whole number of at least 1, not 0"),
    ({"crop": 4}, "2x4x4-3C3-2", "4 pixels are not less than the 4 of an image"),
    ("flip", [32, 5, 2], "architecture that begins with one")])
def test_what_cannot_be_done_to_images_is_said_before_anything_runs(pictures, augment, layout,
                                                                    says):
    with pytest.raises(InputError, match=says):
        learned(pictures, layout=layout, augment=augment)
