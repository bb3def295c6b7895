"""Events of recordings as the inputs of a task: kept as events, handed out as dense arrays."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bioopzo.arguments import choice, whole
from bioopzo.errors import InputError

POLARITIES = ("separate", "merged")
#: A time that falls on a border of two steps, in steps.
BORDER = 1e-6
MOST_CELLS = 2**32  # of a sample: they are numbered by uint32


@dataclass(frozen=True, eq=False)
class EventInputs:
    """Spikes of many samples, by event; reads like an array (samples, steps, n_in).

    field | shape | meaning
    ----- | ----- | -------
    steps, n_in | | size of a sample
    offsets | (samples + 1,) int64 | the events of sample k are offsets[k] ... offsets[k + 1] - 1
    cells | (events,) uint32 | step*n_in + neuron of each event, rising and unique in a sample
    counts | (events,) uint16, or None | events in the cell; None: one (a spike is a spike)
    grid | (width, height, polarities), or None | where inputs are in space, if that is known:
        neuron = (p*height + y)*width + x

    `inputs[samples]` (an index, a slice or an array of indices) is a dense array (steps, n_in) or
    (samples, steps, n_in), uint8 without counts and uint16 with; nothing else is ever dense. The
    arrays are made read-only. `InputError` where they do not fit together.
    """

    steps: int
    n_in: int
    offsets: np.ndarray
    cells: np.ndarray
    counts: np.ndarray | None = None
    grid: tuple[int, int, int] | None = None

    ndim = 3

    def __post_init__(self):
        size = self.steps * self.n_in
        if size >= MOST_CELLS:
            raise InputError(f"{self.steps} steps of {self.n_in} inputs are too many: reduce them "
                             "(steps, size, polarities='merged')")
        if self.grid is not None and math.prod(self.grid) != self.n_in:
            raise InputError(f"{self.n_in} inputs do not make a grid {self.grid}")
        wrong = (len(self.offsets) < 2 or self.offsets[0] != 0
                 or (np.diff(self.offsets) < 0).any() or self.offsets[-1] != len(self.cells)
                 or (self.counts is not None and self.counts.shape != self.cells.shape))
        rising = self.cells[1:] > self.cells[:-1]
        borders = self.offsets[1:-1]
        borders = borders[(borders > 0) & (borders < len(self.cells))] - 1
        rising[borders] = True
        if wrong or not rising.all() or (len(self.cells) and self.cells.max() >= size):
            raise InputError("events must lie within the trial, rise within a sample and be unique")
        for array in self.arrays:
            array.flags.writeable = False

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """Everything that makes up the inputs, for digests."""
        return tuple(a for a in (self.offsets, self.cells, self.counts) if a is not None)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(samples, steps, n_in), as of a dense array."""
        return len(self), self.steps, self.n_in

    @property
    def dtype(self) -> np.dtype:
        """What `inputs[samples]` holds."""
        return np.dtype(np.uint8 if self.counts is None else np.uint16)

    @property
    def most(self) -> int:
        """The most events of one sample."""
        return int(np.diff(self.offsets).max())

    @property
    def mean_square(self) -> float:
        """Mean square of all inputs over samples, steps and neurons."""
        total = len(self.cells) if self.counts is None else np.square(
            self.counts, dtype=np.float64).sum()
        return float(total) / (len(self) * self.steps * self.n_in)

    def __len__(self):
        return len(self.offsets) - 1

    def __getitem__(self, samples):
        chosen = np.arange(len(self))[samples]
        many = np.atleast_1d(chosen)
        found = np.zeros((len(many), self.steps * self.n_in), self.dtype)
        rows, places = self.events(many)
        found[rows, self.cells[places]] = 1 if self.counts is None else self.counts[places]
        found = found.reshape(len(many), self.steps, self.n_in)
        return found if chosen.ndim else found[0]

    def events(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The events of some samples: for each its row in `samples` and its place in `cells`."""
        lengths = np.diff(self.offsets)[samples]
        rows = np.repeat(np.arange(len(samples)), lengths)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return rows, np.repeat(self.offsets[samples], lengths) + within

    def take(self, samples: np.ndarray) -> "EventInputs":
        """The inputs of some samples only, in the order given."""
        samples = np.asarray(samples)
        _, places = self.events(samples)
        offsets = np.concatenate([[0], np.cumsum(np.diff(self.offsets)[samples])])
        counts = None if self.counts is None else self.counts[places]
        return EventInputs(self.steps, self.n_in, offsets, self.cells[places], counts, self.grid)


def joined(parts: Iterable[EventInputs]) -> EventInputs:
    """Several inputs of one kind as one, sample after sample."""
    parts = list(parts)
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    counts = None
    if parts[0].counts is not None:
        counts = np.concatenate([part.counts for part in parts])
    return EventInputs(parts[0].steps, parts[0].n_in, np.concatenate([[0], np.cumsum(lengths)]),
                       np.concatenate([part.cells for part in parts]), counts, parts[0].grid)


@dataclass(frozen=True)
class Binning:
    """How the events of a recording become inputs: a window in time, a grid in space.

    field | meaning
    ----- | -------
    sensor | (width, height, polarities) of the recordings
    steps, dt_us, start_us | number and length of the time steps, begin of the first; events
        outside are left out
    crop | side in pixels of the centred square that is kept; None: all
    size | side in pixels after pooling; None: as it is
    polarities | 'separate' (ON and OFF are inputs of their own) or 'merged'
    counts | whether an input is the number of events in its cell, or 1 where there is any
    """

    sensor: tuple[int, int, int]
    steps: int
    dt_us: float
    start_us: float = 0.0
    crop: int | None = None
    size: int | None = None
    polarities: str = "separate"
    counts: bool = False

    @property
    def grid(self) -> tuple[int, int, int]:
        """(width, height, polarities) of the inputs; neuron = (p*height + y)*width + x."""
        width, height, polarities = self.sensor
        if self.crop:
            width, height = self.crop, min(self.crop, height)
        if self.size:
            width, height = self.size, min(self.size, height)
        return width, height, 1 if self.polarities == "merged" else polarities

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        width, height, polarities = self.grid
        return width * height * polarities

    def cells(self, events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cells (step*n_in + neuron) that hold events, rising, and how many each holds.

        `events` as tonic reads them: x, y if there is one, t in microseconds, p.
        """
        # An event at a step's border belongs to that step, however the time was rounded.
        step = np.floor((events["t"].astype(np.float64) - self.start_us) / self.dt_us + BORDER)
        within = (step >= 0) & (step < self.steps)
        x, off = self._along("x", events)
        y, below = self._along("y", events)
        within &= ~(off | below)
        width, height, polarities = self.grid
        p = events["p"].astype(np.int64) if polarities > 1 else 0
        found = step.astype(np.int64) * self.n_in + (p * height + y) * width + x
        cells, counts = np.unique(found[within], return_counts=True)
        return cells.astype(np.uint32), np.minimum(counts, 65535).astype(np.uint16)

    def _along(self, name, events):
        """Events along an axis, x or y, after crop and pooling; and which are cropped away."""
        if name not in (events.dtype.names or ()):
            return 0, False
        k = "xy".index(name)
        side, place = self.sensor[k], events[name].astype(np.int64)
        kept = min(self.crop or side, side)
        place = place - (side - kept) // 2
        return place * self.grid[k] // kept, (place < 0) | (place >= kept)

    def inputs(self, recordings: Iterable[np.ndarray]) -> EventInputs:
        """The inputs made of recordings, one after the other."""
        cells, counts = [], []
        for events in recordings:
            found = self.cells(events)
            cells.append(found[0])
            counts.append(found[1])
        offsets = np.concatenate([[0], np.cumsum([len(c) for c in cells])])
        return EventInputs(self.steps, self.n_in, offsets, np.concatenate(cells),
                           np.concatenate(counts) if self.counts else None, self.grid)


def binning(where: str, sensor: tuple[int, int, int], steps: int, dt_us: float,
            crop: int | None, size: int | None, polarities: str, counts: bool) -> Binning:
    """A `Binning` of checked options; `where` is the task's name for messages."""
    side = sensor[0]
    if crop is not None:
        crop = whole(where, "crop", crop)
        if crop > side:
            raise InputError(f"{where}: crop must be at most the sensor's {side} pixels, not "
                             f"{crop}")
        side = crop
    if size is not None:
        size = whole(where, "size", size)
        if size > side:
            raise InputError(f"{where}: size must be at most {side} (pixels of the sensor, or of "
                             f"crop), not {size}")
    if not isinstance(counts, bool):
        raise InputError(f"{where}: counts must be True or False, not {counts!r}")
    grid = Binning(sensor, steps, dt_us, 0.0, crop, size,
                   choice(where, "polarities", polarities, POLARITIES), counts)
    if steps * grid.n_in >= MOST_CELLS:
        raise InputError(f"{where}: {steps} steps of {grid.n_in} inputs are too many: reduce them "
                         "(steps, size, polarities='merged')")
    return grid
