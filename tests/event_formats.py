"""Tiny recordings in the formats that tonic reads, for tests without data sets.

N-MNIST's format is written by the package's simulator, the others here.
"""

import struct
from pathlib import Path

import h5py
import numpy as np

from bioopzo.datasets import simulated_nmnist

FIELDS = [("x", int), ("y", int), ("t", int), ("p", int)]


def events(count=60, side=34, duration_us=300_000, seed=0):
    """Random events in the order of time, sorted, no two at one moment."""
    rng = np.random.default_rng(seed)
    found = np.zeros(count, FIELDS)
    found["x"], found["y"] = rng.integers(0, side, (2, count))
    found["t"] = np.sort(rng.choice(duration_us, count, replace=False))
    found["p"] = rng.integers(0, 2, count)
    return found


def nmnist(root, train=(3, 2), test=(2, 1)):
    """An N-MNIST folder with some recordings of the first classes; path -> events."""
    written, number = {}, {"Train": 1, "Test": 60001}
    for split, counts in (("Train", train), ("Test", test)):
        for label, count in enumerate(counts):
            for _ in range(count):
                path = Path(root) / "NMNIST" / split / str(label) / f"{number[split]:05d}.bin"
                path.parent.mkdir(parents=True, exist_ok=True)
                written[path] = events(seed=number[split])
                simulated_nmnist.write(path, written[path])
                number[split] += 1
    return written


def dvs_gesture(root, users=(("Train", 2), ("Test", 1)), labels=(0, 7, 10)):
    """A DVS-Gesture folder: (events, 4) numbers x, y, p and t in milliseconds; path -> events."""
    written, seed = {}, 0
    for split, count in users:
        for user in range(1, count + 1):
            for label in labels:
                path = (Path(root) / "DVSGesture" / f"ibmGesture{split}" / f"user{user:02d}_led"
                        / f"{label}.npy")
                path.parent.mkdir(parents=True, exist_ok=True)
                found = events(side=128, duration_us=5_000_000, seed=(seed := seed + 1))
                found["t"] = found["t"] // 1000 * 1000
                np.save(path, np.stack([found["x"], found["y"], found["p"],
                                        found["t"] // 1000], axis=1).astype(float))
                written[path] = found
    return written


def cifar10_dvs(root, classes=("airplane", "truck"), count=3):
    """A CIFAR10-DVS folder of .aedat4 files; path -> events."""
    written = {}
    for k, name in enumerate(classes):
        for number in range(count):
            path = Path(root) / "CIFAR10DVS" / name / f"cifar10_{name}_{number}.aedat4"
            path.parent.mkdir(parents=True, exist_ok=True)
            written[path] = events(side=128, duration_us=1_200_000, seed=10 * k + number)
            path.write_bytes(aedat4(written[path]))
    return written


INFO = """<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/">
<node name="0" path="/mainloop/Recorder/outInfo/0/">
<attr key="compression" type="string">NONE</attr>
<attr key="originalModuleName" type="string">capture</attr>
<attr key="originalOutputName" type="string">events</attr>
<attr key="typeDescription" type="string">Array of events (polarity ON/OFF).</attr>
<attr key="typeIdentifier" type="string">EVTS</attr>
<node name="info" path="/mainloop/Recorder/outInfo/0/info/">
<attr key="sizeX" type="int">128</attr><attr key="sizeY" type="int">128</attr>
<attr key="source" type="string">DVS</attr></node></node></node></dv>"""
EVENT = np.dtype({"names": ["t", "x", "y", "on"], "formats": ["<i8", "<i2", "<i2", "?"],
                  "offsets": [0, 8, 10, 12], "itemsize": 16})


def aedat4(found, packets=2):
    """Events as an AEDAT 4.0 file without compression: two kinds of flatbuffer, by hand."""
    text = INFO.encode()
    head = struct.pack("<I4s2x5HiIqiI", 20, b"IOHE", 10, 20, 16, 8, 4, 10, 16, -1, 0, len(text))
    content = b"#!AER-DAT4.0\r\n" + _sized(head + text + b"\0")
    for part in np.array_split(found, packets) if packets else []:
        raw = np.zeros(len(part), EVENT)
        for name, source in (("t", "t"), ("x", "x"), ("y", "y"), ("on", "p")):
            raw[name] = part[source]
        body = _sized(struct.pack("<I4s2x3HiII", 16, b"EVTS", 6, 8, 4, 6, 4, len(raw))
                      + raw.tobytes())
        content += struct.pack("<ii", 0, len(body)) + body
    return content


def _sized(buffer):
    return struct.pack("<I", len(buffer)) + buffer


def shd(root, train=5, test=3):
    """The two files of SHD; split -> (labels, list of (times in s, units))."""
    folder = Path(root) / "SHD"
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for seed, (split, count) in enumerate((("train", train), ("test", test))):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 20, count)
        trains = [(np.sort(rng.random(40)).astype(np.float16), rng.integers(0, 700, 40))
                  for _ in range(count)]
        write_shd(folder / f"shd_{split}.h5", labels, trains)
        written[split] = labels, trains
    return written


def write_shd(path, labels, trains):
    """One file of SHD."""
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (len(trains),), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (len(trains),), h5py.vlen_dtype(np.uint16))
        for k, (t, u) in enumerate(trains):
            times[k], units[k] = t, u
        file["labels"] = np.asarray(labels, np.uint16)
        file["extra/keys"] = np.array([b"zero"] * 20)
        file["extra/speaker"] = np.zeros(len(labels), np.uint16)
