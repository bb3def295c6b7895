"""What MNIST and Fashion-MNIST share: from idx images to a `Task`."""

import math
from dataclasses import dataclass

import numpy as np
from brian2.units import second
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import choice, quantity, whole
from bioopzo.datasets import files
from bioopzo.tasks._splits import drawn_apart
from bioopzo.tasks.trials import Task, gate, one_hot

BLOCK = 5000  # images converted at a time: fancy indexing makes eight bytes of each pixel


@dataclass(frozen=True)
class Form:
    """How images are shown to one engine: steps of a trial, those before the target, layers."""

    steps: int
    warmup: int
    hidden: tuple[int, ...]


#: In continuous time a neuron needs several spikes for an answer; a batch takes few steps.
FORMS = {"spiking": Form(60, 20, (100, 100)), "rate": Form(6, 3, (800, 800))}


def image_task(
    name: str,
    description: str,
    engine: str,
    samples: int | None,
    validation: int,
    steps: int | None,
    dt: Quantity,
    warmup: int | None,
) -> Task:
    """The task of data set `name`; the options are those of `tasks.mnist`.

    Sample i is image i of the training file, then come the test images. `InputError` for impossible
    options, and for missing or faulty files.
    """
    form = FORMS[choice(name, "engine", engine, tuple(FORMS))]
    steps = whole(name, "steps", form.steps if steps is None else steps)
    warmup = whole(name, "warmup", form.warmup if warmup is None else warmup, least=0)
    quantity(name, "dt", dt, second)
    mask = gate(name, steps * dt, dt, warmup * dt)
    asked = asked_of(name, samples, validation)
    train_images, train_labels, test_images, test_labels = files.load(name)
    labels = np.concatenate([train_labels, test_labels]).astype(np.int64)
    return Task(
        # What was tuned for one form is nothing for the other.
        name=f"{name}_online" if engine == "spiking" else name,
        inputs=(brightness if engine == "spiking" else normalised)(train_images, test_images),
        targets=one_hot(labels, files.CLASSES),
        labels=labels,
        mask=mask,
        splits=image_splits(name, *asked, len(train_images), len(labels)),
        coding="current",
        duration=steps * dt,
        dt=dt,
        hidden=form.hidden,
        parameters=few_steps(dt) if engine == "rate" else {},
        description=description,
    )


def asked_of(name: str, samples: int | None, validation: int) -> tuple[int | None, int]:
    """How many images to train with (None: all that are left) and to validate with, checked."""
    validation = whole(name, "validation", validation, least=0)
    return None if samples is None else whole(name, "samples", samples), validation


def image_splits(name: str, samples: int | None, validation: int, held: int, total: int
                 ) -> dict[str, np.ndarray]:
    """The splits of `held` training images, then test images up to `total`.

    Training images are the start of one fixed permutation, those of validation its end.
    """
    train, held_out = drawn_apart(name, "images", samples, validation, held)
    return {"train": train, "validation": held_out, "test": np.arange(held, total)}


def few_steps(dt: Quantity) -> dict[str, object]:
    """Parameters of the papers' networks, which have few time steps of length `dt`, in batches."""
    return {
        "tau_m": dt / math.log(2),  # half of the potential is left after a step
        "tau_o": dt / math.log(2),
        "theta": 1.0,
        "b": 0.0,
        "c": 0.05,
        "gain": 2.0,
        # A hold of two steps, read in the second: a spike takes one step a layer.
        "T_z": 2 * dt,
        "T_w": dt,
        "alpha": 0.2 / dt,
        "decay": 0.0 / dt,
        # The mean over a batch of 128 allows a step 100 times that of one trial at a time.
        "mu": 10.0,
    }


def brightness(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Training, then test images as one row each, pixels from 0 to 1.

    From uint8 (n, rows, columns) to float32 (samples, rows*columns), read-only.
    """
    return _rows(train, test, (np.arange(256) / 255).astype(np.float32))


def normalised(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Training, then test images as one row each, scaled by the training pixels.

    From uint8 (n, rows, columns) to float32 (samples, rows*columns), read-only: pixel/255 minus
    the mean of all training pixels, over their standard deviation.
    """
    counts = np.zeros(256, np.int64)
    for i in range(0, len(train), BLOCK):
        counts += np.bincount(train[i : i + BLOCK].ravel(), minlength=256)
    grey = np.arange(256) / 255
    mean = counts @ grey / counts.sum()
    deviation = math.sqrt(counts @ (grey - mean) ** 2 / counts.sum())
    return _rows(train, test, ((grey - mean) / deviation).astype(np.float32))


def _rows(train, test, values):
    """Every pixel as what `values` says of it, a block of images at a time."""
    blocks = [part[i : i + BLOCK] for part in (train, test) for i in range(0, len(part), BLOCK)]
    inputs = np.empty((len(train) + len(test), math.prod(train.shape[1:])), np.float32)
    start = 0
    for block in blocks:
        inputs[start : start + len(block)] = values[block.reshape(len(block), -1)]
        start += len(block)
    inputs.flags.writeable = False  # a Task takes a frozen array as it is, without a copy
    return inputs
