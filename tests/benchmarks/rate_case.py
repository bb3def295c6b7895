"""Networks of random images for the benchmarks of the rate engine, on a CPU and on a GPU."""

import numpy as np
from brian2.units import ms

from bioopzo import Model
from bioopzo.engines.rate.settings import open_engine, settings
from bioopzo.tasks.trials import Task, one_hot
from bioopzo.training.start import initial_weights

SIZES = (784, 800, 800, 10)
LAYOUTS = {"fc": SIZES, "conv": "28x28-32C3-AP2-64C3-AP2-10",
           "papers": "3x32x32-128C3-AP2-256C3-AP2-512C3-AP2-512C3-10"}
INPUTS = {"fc": 784, "conv": 784, "papers": 3072}
STEPS, RATE = 6, 2e-4


def image_task(size, steps, n):
    """Random images as a task, every step gated, so that all do the same work."""
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=n)
    dt = 1 * ms
    return Task(
        name="random images", inputs=rng.standard_normal((n, size)).astype(np.float32),
        targets=one_hot(labels, 10), labels=labels, mask=np.ones(steps), duration=steps * dt,
        dt=dt, splits={"train": np.arange(n), "validation": np.array([], int),
                       "test": np.array([], int)},
        parameters={"tau_m": dt / np.log(2), "tau_o": dt / np.log(2), "b": 0.0, "c": 0.05,
                    "gain": 2.0, "T_z": 2 * dt, "T_w": dt, "alpha": 0.2 / dt, "mu": 10.0})


def opened(task, layout, rule, model=None, **training):
    """The engine of a model with weights to begin with, as training opens it."""
    engine = open_engine(Model(layout, rule=rule, **(model or {})).for_task(task), task,
                         settings(**training))
    for key, value in initial_weights(engine.model, np.random.default_rng(0)).items():
        engine.weights[key] = value.reshape(engine.weights[key].shape).astype(engine.dtype)
    return engine


def batches_of(task, batch, count, dtype=np.float32):
    """The first batches of a task: inputs and targets (batches, batch, n)."""
    return tuple(values[:batch * count].reshape(count, batch, -1).astype(dtype)
                 for values in (task.inputs, task.targets))


def image_training(network, rule, batch=128, count=4, steps=STEPS, **training):
    """The engine of one of the `LAYOUTS`, and a function that trains `count` batches."""
    task = image_task(INPUTS[network], steps, batch * count)
    engine = opened(task, LAYOUTS[network], rule, {"neuron": "deterministic", "dropout": 0.2},
                    activity="deterministic", optimizer="adamw", batch=batch, **training)
    inputs, targets = batches_of(task, batch, count)
    rates = np.full(count, RATE)
    return engine, lambda: engine.train(inputs, targets, rates=rates)
