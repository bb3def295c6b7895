"""N-MNIST simulated from still images: the three saccades of a camera over a digit.

A simulation is not a recording: every task made from it has *simulated* in its name.
Source of what is imitated: Orchard, Jayawant, Cohen & Thakor 2015 (N-MNIST). The constants below
were fitted (Nelder-Mead; events per recording, their course in time, where they fall) to 48 real
training recordings, but for the threshold, set by eye, and the noise, measured at the border;
`bioopzo results nmnist_simulation` compares with the other recordings.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

SIDE = 34
DTYPE = np.dtype([("x", np.int64), ("y", np.int64), ("t", np.int64), ("p", np.int64)])
#: Where the digit is at the ends of the saccades (pixels), and how long each takes.
CORNERS = np.array([(0.0, 0.0), (1.5, 5.9), (5.2, 0.1), (-0.3, -0.2)])
SACCADE_US = 105_000
#: When, in a saccade, the camera begins to move, and for how long it does.
START_US, MOVE_US = 1_000, 92_000
#: The digit's place at the start (pixels), its blur (pixels), the light of a black pixel (a white
#: one has this plus 1), and the change of log intensity that makes an event.
ORIGIN = (0.6, 1.1)
BLUR, BACKGROUND, THRESHOLD = 0.53, 1.48, 0.081
#: Spontaneous events a pixel and recording, all darkening: measured at the border, far from digits.
NOISE = 0.11
STEP_US = 1_000
BLOCK = 64  # images at a time

#: All that a simulation depends on beside images and seed.
CONSTANTS = {"corners": CORNERS.tolist(), "origin": ORIGIN, "saccade_us": SACCADE_US,
             "start_us": START_US, "move_us": MOVE_US, "blur": BLUR, "background": BACKGROUND,
             "threshold": THRESHOLD, "noise": NOISE, "step_us": STEP_US}


def recordings(images: np.ndarray, seed: int = 0) -> Iterator[np.ndarray]:
    """Simulated recordings of images (n, 28, 28) uint8, one after the other.

    Each is an array of events with fields x, y (0 to 33), t (microseconds, rising) and p (1 where
    it became darker), as tonic reads N-MNIST. The seed draws what a camera's start leaves open (how
    far each pixel is from its first event), the times within a millisecond, and spontaneous events.
    Recording k does not depend on how many images there are.
    """
    for first in range(0, len(images), BLOCK):
        part = images[first:first + BLOCK]
        yield from _block(part, [np.random.default_rng([seed, first + k])
                                 for k in range(len(part))])


def _block(images, rngs):
    """Events of a block of images: pixels signal whenever their log intensity has moved enough."""
    bright = gaussian_filter(images / np.float32(255), (0, BLUR, BLUR))
    frames = (_frame(bright, place) for place in path(np.arange(
        0, (len(CORNERS) - 1) * SACCADE_US + 1, STEP_US)))
    threshold = np.float32(THRESHOLD)
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
        events["t"] = np.append(time, rng.integers(0, len(CORNERS[1:]) * SACCADE_US, noise))
        events["p"] = np.append(p[own], np.ones(noise))
        yield events[np.argsort(events["t"], kind="stable")]


def path(times_us: np.ndarray) -> np.ndarray:
    """Where the digit is: (times, 2), x and y in pixels; each saccade has raised-cosine speed."""
    saccade = np.minimum(times_us // SACCADE_US, len(CORNERS) - 2)
    share = np.clip((times_us - saccade * SACCADE_US - START_US) / MOVE_US, 0, 1)
    progress = share - np.sin(2 * np.pi * share) / (2 * np.pi)
    begin, end = CORNERS[saccade], CORNERS[saccade + 1]
    return np.asarray(ORIGIN) + begin + (end - begin) * progress[:, None]


def _frame(bright, place):
    """Log intensity (n, 34, 34) of images (n, 28, 28) moved to a place, between pixels linearly."""
    columns, rows = (_shift(bright.shape[k], x) for k, x in ((2, place[0]), (1, place[1])))
    return np.log(np.float32(BACKGROUND) + rows @ bright @ columns.T)


def _shift(size, offset):
    """The matrix (34, size) that moves a row of pixels by an offset."""
    source = np.arange(SIDE)[:, None] - offset
    return np.clip(1 - np.abs(source - np.arange(size)), 0, None).astype(np.float32)


def write(path: Path, events: np.ndarray):
    """Write events as an N-MNIST file: x, y, polarity in the top bit of a 23-bit time."""
    raw = np.zeros((len(events), 5), np.uint8)
    raw[:, 0], raw[:, 1] = events["x"], events["y"]
    raw[:, 2] = (events["p"].astype(int) << 7) | (events["t"] >> 16)
    raw[:, 3], raw[:, 4] = (events["t"] >> 8) & 255, events["t"] & 255
    Path(path).write_bytes(raw.tobytes())
