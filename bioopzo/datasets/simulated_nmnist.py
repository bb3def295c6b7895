"""N-MNIST simulated from still images: the three saccades of a camera over a digit.

A simulation is not a recording: every task made from it has *simulated* in its name.
Source of what is imitated: Orchard, Jayawant, Cohen & Thakor 2015 (N-MNIST). Path, blur and light
were fitted to 60 real training recordings, one constant at a time, so that the events of each 5 ms
fall where they fall there (correlation of lightly blurred maps .85; straight saccades of
raised-cosine speed reach .79). The threshold gives as many events as there, the noise was measured
at the border, the spreads were set by eye; `bioopzo results nmnist_simulation` compares with the
other recordings.
"""

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np

SIDE = 34
DTYPE = np.dtype([("x", np.int64), ("y", np.int64), ("t", np.int64), ("p", np.int64)])
#: Where the digit is: time (ms), x, y (pixels); a monotone cubic in between. The camera's two
#: motors do not run alike, and overshoot.
PATH = np.array([
    (0, 0.45, 1.10), (10, 0.53, 1.21), (20, 0.38, 1.54), (30, 0.37, 2.33), (40, 0.36, 3.46),
    (50, 0.45, 4.77), (60, 1.10, 5.86), (70, 1.72, 6.57), (80, 2.08, 6.74), (90, 2.00, 6.65),
    (100, 2.08, 6.57), (110, 2.26, 6.51), (120, 2.48, 6.52), (130, 2.94, 6.33), (140, 3.67, 5.41),
    (150, 4.29, 4.20), (160, 4.49, 2.97), (170, 4.86, 1.92), (180, 5.28, 1.39), (190, 5.46, 1.29),
    (200, 5.67, 1.40), (210, 5.90, 1.48), (220, 6.03, 1.32), (230, 5.77, 1.32), (240, 4.82, 1.45),
    (250, 3.83, 1.41), (260, 2.69, 1.34), (270, 1.59, 1.22), (280, 0.98, 1.06), (290, 0.45, 0.97),
    (300, 0.30, 1.08), (315, 0.53, 1.00)])
END_US, SACCADE_US = 315_000, 105_000
#: The digit's blur (pixels), the light of a black pixel (a white one has this plus 1), and the
#: change of log intensity that makes an event.
BLUR, BACKGROUND, THRESHOLD = 0.39, 1.56, 0.089
#: What differs between recordings (sd): the place (pixels), the threshold of all pixels and of
#: each (of its logarithm).
PLACE_SPREAD, RECORDING_SPREAD, PIXEL_SPREAD = 0.1, 0.1, 0.1
#: Spontaneous events a pixel and recording, all darkening: measured at the border, far from digits.
NOISE = 0.11
STEP_US = 1_000
BLOCK = 64  # images at a time

#: All that a simulation depends on beside images and seed.
CONSTANTS = {"path": PATH.tolist(), "blur": BLUR, "background": BACKGROUND,
             "threshold": THRESHOLD, "place_spread": PLACE_SPREAD,
             "recording_spread": RECORDING_SPREAD, "pixel_spread": PIXEL_SPREAD, "noise": NOISE,
             "step_us": STEP_US}


def seen() -> list[int]:
    """The MNIST training images (from 0) whose recordings were looked at for the constants above.

    Every second one of 600; comparisons with recordings leave them out.
    """
    found = resources.files("bioopzo") / "data/nmnist_seen.json"
    return json.loads(found.read_text())["images"]


def recordings(images: np.ndarray, seed: int = 0) -> Iterator[np.ndarray]:
    """Simulated recordings of images (n, 28, 28) uint8, one after the other.

    Each is an array of events with fields x, y (0 to 33), t (microseconds, rising) and p (1 where
    it became darker), as tonic reads N-MNIST. The seed draws place and thresholds of a recording,
    how far each pixel is from its first event, times within a millisecond, and spontaneous events.
    Recording k does not depend on how many images there are; its place and thresholds are those of
    every recording k of that seed, whatever the image.
    """
    for first in range(0, len(images), BLOCK):
        part = images[first:first + BLOCK]
        yield from _block(part, [np.random.default_rng([seed, first + k])
                                 for k in range(len(part))])


def _block(images, rngs):
    """Events of a block of images: pixels signal whenever their log intensity has moved enough."""
    # start-up: scipy.ndimage is slow, and few tasks simulate
    from scipy.ndimage import gaussian_filter

    bright = gaussian_filter(images / np.float32(255), (0, BLUR, BLUR))
    start = np.array([rng.normal(0, PLACE_SPREAD, 2) for rng in rngs])
    frames = (_frame(bright, start + place)
              for place in path(np.arange(0, END_US + 1, STEP_US)))
    threshold = THRESHOLD * np.array([_mismatch(rng) for rng in rngs], np.float32)
    reference = next(frames) + threshold * np.array(
        [rng.uniform(-0.5, 0.5, (SIDE, SIDE)) for rng in rngs], np.float32)
    found = []
    for step, frame in enumerate(frames):
        number = np.trunc((frame - reference) / threshold)
        reference += number * threshold
        image, y, x = np.nonzero(number)
        number = number[image, y, x].astype(int)
        # A pixel that moves by several thresholds within a step signals as often.
        found.append(np.repeat([image, np.full(len(x), step), x, y, number < 0], np.abs(number),
                               axis=1))
    image, step, x, y, p = np.concatenate(found, axis=1)
    for k, rng in enumerate(rngs):
        own = np.flatnonzero(image == k)
        time = step[own] * STEP_US + rng.integers(0, STEP_US, len(own))
        noise = rng.poisson(NOISE * SIDE**2)
        events = np.zeros(len(own) + noise, DTYPE)
        events["x"] = np.append(x[own], rng.integers(0, SIDE, noise))
        events["y"] = np.append(y[own], rng.integers(0, SIDE, noise))
        events["t"] = np.append(time, rng.integers(0, END_US, noise))
        events["p"] = np.append(p[own], np.ones(noise))
        yield events[np.argsort(events["t"], kind="stable")]


def _mismatch(rng):
    """What the threshold is multiplied with in the pixels (34, 34) of one recording."""
    return np.exp(rng.normal(0, RECORDING_SPREAD) + rng.normal(0, PIXEL_SPREAD, (SIDE, SIDE)))


def path(times_us: np.ndarray) -> np.ndarray:
    """Where the digit is: (times, 2), x and y in pixels."""
    # start-up: scipy.interpolate is slow, and few tasks simulate
    from scipy.interpolate import PchipInterpolator

    return PchipInterpolator(PATH[:, 0] * 1000, PATH[:, 1:])(times_us)


def _frame(bright, places):
    """Log intensity (n, 34, 34) of images (n, 28, 28) moved to places (n, 2); pixels are linear."""
    columns, rows = (_shift(bright.shape[k], x) for k, x in ((2, places[:, 0]), (1, places[:, 1])))
    return np.log(np.float32(BACKGROUND) + rows @ bright @ columns.transpose(0, 2, 1))


def _shift(size, offsets):
    """The matrices (n, 34, size) that move a row of pixels by an offset each."""
    source = np.arange(SIDE)[:, None] - offsets[:, None, None]
    return np.clip(1 - np.abs(source - np.arange(size)), 0, None).astype(np.float32)


def write(path: Path, events: np.ndarray) -> None:
    """Write events as an N-MNIST file: x, y, polarity in the top bit of a 23-bit time."""
    raw = np.zeros((len(events), 5), np.uint8)
    raw[:, 0], raw[:, 1] = events["x"], events["y"]
    raw[:, 2] = (events["p"].astype(int) << 7) | (events["t"] >> 16)
    raw[:, 3], raw[:, 4] = (events["t"] >> 8) & 255, events["t"] & 255
    Path(path).write_bytes(raw.tobytes())
