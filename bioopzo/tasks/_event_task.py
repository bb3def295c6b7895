"""From recordings to a `Task`: what tasks of event data share, and the cache of binned events."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from brian2.units import second, usecond
from brian2.units.fundamentalunits import Quantity
from tqdm.auto import tqdm

from bioopzo.arguments import choice, quantity, whole
from bioopzo.datasets import recordings
from bioopzo.datasets.cache import cached
from bioopzo.datasets.events import Binning, EventInputs, binning, joined
from bioopzo.datasets.recordings import EventSet, Recording
from bioopzo.errors import InputError
from bioopzo.tasks._splits import SPLIT_SEED, drawn_apart
from bioopzo.tasks.trials import Task, gate, one_hot

#: Split -> its recordings.
Listing = dict[str, list[Recording]]
ENGINES = ("spiking", "rate")


@dataclass(frozen=True)
class Form:
    """How a data set is presented to one engine unless the user says otherwise."""

    steps: int
    dt: Quantity
    warmup: int
    size: int | None = None
    counts: bool = False
    hidden: tuple[int, ...] = (100, 100)
    parameters: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Presentation:
    """A form with the user's options in it, checked."""

    name: str
    grid: Binning
    dt: Quantity
    mask: np.ndarray
    form: Form
    classes: int


def presentation(name: str, event_set: EventSet, forms: Mapping[str, Form], engine: str,
                 steps: int | None, dt: Quantity | None, warmup: int | None, crop: int | None,
                 size: int | None, polarities: str, counts: bool | None) -> Presentation:
    """The options that all event tasks have, checked; None stands for the form's own value."""
    form = forms[choice(name, "engine", engine, ENGINES)]
    steps = whole(name, "steps", form.steps if steps is None else steps)
    dt = quantity(name, "dt", form.dt if dt is None else dt, second)
    warmup = whole(name, "warmup", form.warmup if warmup is None else warmup, least=0)
    if engine == "spiking" and counts is True:
        raise InputError(f"{name}: counts=True is for engine='rate': an input neuron of the "
                         "spiking engine spikes once a step at most")
    dt_us = round(float(dt / usecond), 6)  # 1 ms is 1000.0 us, not 999.99...
    grid = binning(name, event_set.sensor, steps, dt_us, crop,
                   form.size if size is None else size, polarities,
                   form.counts if counts is None else counts)
    return Presentation(name, grid, dt, gate(name, steps * dt, dt, warmup * dt), form,
                        len(event_set.labels))


def recorded(shown: Presentation, event_set: EventSet, data: str | None, partial: bool,
             chosen: Callable[[Listing], Listing], description: str) -> Task:
    """The task of the recordings on disk.

    `chosen(found)` picks from the listing, {'train': [Recording], 'test': [...]}, what each split
    holds: {'train': [...], 'validation': [...], 'test': [...]}.
    """
    folder = recordings.find(event_set, data)
    found = recordings.listing(event_set, folder, flag(shown.name, "partial", partial))
    origin = {recording: split for split, part in found.items() for recording in part}
    whole, note = _with_both_splits(shown.name, folder, found)
    splits = chosen(whole)
    everything = [(origin[recording], recording) for part in splits.values() for recording in part]
    inputs = read(shown, event_set, folder, everything)
    labels = np.array([recording.label for _, recording in everything])
    sizes = {split: len(part) for split, part in splits.items()}
    return assembled(shown, inputs, labels, sizes,
                     f"{description} {recordings.stated(event_set, found)}.{note}")


def _with_both_splits(name, folder, found):
    """The listing, and a note: a part with only one split lends a tenth of it to the other."""
    there = [split for split, part in found.items() if part]
    if len(found) == 1 or len(there) == 2:
        return found, ""
    only, = there
    if len(found[only]) < 2:
        raise InputError(f"{name}: {folder} holds one recording; training and testing need two")
    test = max(1, len(found[only]) // 10)
    train, held = shares(name, found[only], None, test)
    note = (f" The folder holds no {'test' if only == 'train' else 'training'} recordings: {test} "
            f"of its {len(found[only])} {only} recordings (drawn, seed {SPLIT_SEED}) are the test.")
    return {"train": train, "test": held}, note


def assembled(shown: Presentation, inputs: EventInputs, labels: np.ndarray, sizes: dict,
              description: str) -> Task:
    """A task whose samples are those of train, validation and test in a row."""
    ends = np.cumsum([0, *(sizes[split] for split in ("train", "validation", "test"))])
    splits = {split: np.arange(ends[k], ends[k + 1])
              for k, split in enumerate(("train", "validation", "test"))}
    return Task(
        name=shown.name, inputs=inputs, targets=one_hot(labels, shown.classes), labels=labels,
        mask=shown.mask, splits=splits, coding="spikes",
        duration=shown.grid.steps * shown.dt, dt=shown.dt, hidden=shown.form.hidden,
        parameters={"input_gain": input_gain(inputs, shown), **shown.form.parameters},
        description=description)


def input_gain(inputs: EventInputs, shown: Presentation) -> float:
    """The gain that makes up for silent inputs: then drive is as if all of them had size 1.

    Summed over a membrane time constant, inputs of mean square m give a drive of variance
    m*tau_m/dt at most; two digits, so that a recording more or less changes little. All recordings
    count, those of the test too.
    """
    tau = shown.form.parameters["tau_m"]
    power = inputs.mean_square * max(1.0, float(tau / shown.dt))
    return float(f"{1 / math.sqrt(power):.2g}") if power else 1.0


def shares(name: str, found: list, samples: int | None, validation: int | None,
           ) -> tuple[list, list]:
    """Training and validation recordings: from the start and the end of one fixed permutation.

    `samples` None: all that are left; `validation` None: a tenth.
    """
    count = len(found)
    validation = count // 10 if validation is None else whole(name, "validation", validation, 0)
    if samples is not None:
        samples = whole(name, "samples", samples)
    train, held = drawn_apart(name, "recordings", samples, validation, count)
    return [found[k] for k in np.sort(train)], [found[k] for k in np.sort(held)]


def first(name: str, found: list, count: int | None) -> list:
    """The first `count` of some recordings; None: all of them."""
    if count is None:
        return found
    if whole(name, "test", count, least=0) > len(found):
        raise InputError(f"{name}: test={count} recordings are wanted, but there are {len(found)}")
    return found[:count]


def drawn(name: str, found: list, count: int | None) -> list:
    """`count` of some recordings by a fixed permutation (files lie class by class); None: all."""
    first(name, found, count)  # which refuses more than there are
    order = np.random.RandomState(SPLIT_SEED).permutation(len(found))
    return [found[k] for k in np.sort(order[:count])]


def flag(name: str, option: str, value: object) -> bool:
    """`value`, if it is True or False; `InputError` otherwise."""
    if not isinstance(value, bool):
        raise InputError(f"{name}: {option} must be True or False, not {value!r}")
    return value


def read(shown: Presentation, event_set: EventSet, folder: Path,
         everything: Sequence[tuple[str, Recording]]) -> EventInputs:
    """The inputs of recordings [(split, Recording)] in their order, from the cache or the files.

    Warns of recordings whose trial will be silent; `InputError` where all are.
    """
    stats = {recording.path: recording.path.stat() for _, recording in everything}
    files = [(r.path.relative_to(folder).as_posix(), r.number, stats[r.path].st_size,
              stats[r.path].st_mtime_ns) for _, r in everything]

    def make():
        bar = tqdm(total=len(everything), desc=f"reading {event_set.name}", unit="recording",
                   delay=2)
        parts = []
        for split, run in groupby(everything, key=lambda item: item[0]):  # tonic reads one split
            events = recordings.events_of(event_set, folder, [r for _, r in run], split)
            parts.append(shown.grid.inputs(_counted(events, bar)))
        bar.close()
        return joined(parts)

    inputs = cached(event_set.name, shown.grid, {"files": files}, make)
    _warn_of_silence(event_set, everything, inputs)
    return inputs


def _counted(events, bar):
    for found in events:
        yield found
        bar.update()


def _warn_of_silence(event_set, everything, inputs):
    silent = np.flatnonzero(np.diff(inputs.offsets) == 0)
    if len(silent) == len(everything):
        raise InputError(f"{event_set.name}: all {len(silent)} trials would be silent: no "
                         "recording holds events in the trial's time and window, "
                         f"{recordings.where(event_set, everything[0][1])} is the first")
    if len(silent):
        first = recordings.where(event_set, everything[silent[0]][1])
        more = f" (and {len(silent) - 1} more)" * (len(silent) > 1)
        warnings.warn(f"{first}{more} holds no events in the trial's time and window: a silent "
                      "trial", stacklevel=4)
