"""The network and data that every program of the spiking benchmark simulates.

256-128-10, 50 steps of 1 ms a trial, OPZO with Rademacher noise after the neuron, an antithetic
pair of 20 ms holds after a warm-up of 10 ms, least mean squares feedback. Inputs are the task
`temporal_patterns` with 256 inputs: 2 spikes an input less 20 % deletion, 32 Hz. Weights are
learnt in all 40 steps in which the target is shown.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from brian2.units import ms

import bioopzo as bz
from bioopzo.engines.spiking import feed
from bioopzo.engines.spiking.build import assemble
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.network.clock import Shape, shape_of, time_course
from bioopzo.network.spread import constants
from bioopzo.training.start import initial_weights

SIZES = (256, 128, 10)
STEPS, WARMUP = 50, 10


@dataclass(frozen=True)
class Case:
    """A task, the model written for it, and the samples shown: `rows` trials, then again."""

    task: object
    model: object
    shape: Shape
    samples: np.ndarray
    weights: dict


@functools.cache
def case():
    """The benchmark's `Case`; `rows` is what one chunk of training holds."""
    task = bz.tasks.temporal_patterns(inputs=SIZES[0], classes=SIZES[-1],
                                      duration=STEPS * ms, warmup=WARMUP * ms)
    # One pair of holds a trial, as in the C program.
    model = bz.Model(list(SIZES), rule="opzo", T_z=20 * ms, T_w=14 * ms).for_task(task)
    rows = feed.rows(task)
    samples = np.asarray(task.presentation("train", rows, np.random.default_rng(1)))
    weights = initial_weights(model, np.random.default_rng(2))
    return Case(task, model, shape_of(task, rows), samples, weights)


def write_case(folder):
    """The case as plain files for programs that know nothing of bioopzo; see spiking_floor.c."""
    it, folder = case(), Path(folder)
    dt = it.shape.dt
    values = {
        "n_in": SIZES[0], "n_hidden": SIZES[1], "n_out": SIZES[2], "rows": it.shape.rows,
        "steps": STEPS, "dt": dt, "start": WARMUP,
        "hold": round(float(it.model.parameters["T_z"]) / dt),
        "window": round(float(it.model.parameters["T_w"]) / dt),
        **{name: float(it.model.parameters[name]) for name in (
            "tau_m", "tau_o", "theta", "b", "rho0", "Delta", "eta", "eta_o", "alpha", "mu")},
    }
    (folder / "network.txt").write_text("".join(f"{k} {v!r}\n" for k, v in values.items()))
    it.task.inputs[it.samples].astype(np.uint8).tofile(folder / "spikes.u8")
    it.task.labels[it.samples].astype(np.int32).tofile(folder / "labels.i32")
    it.weights["forward_1.w"].tofile(folder / "w1.f64")
    it.weights["forward_2.w"].tofile(folder / "w2.f64")


def chunk(engine, trials, seed):
    """A `Chunk` of the case for an engine: learning on in every trial, constant rates."""
    it = case()
    assembly = assemble(it.model, it.shape.duration, it.shape.varying, True)
    tables = {
        "course": time_course(it.model, it.task), "schedule": np.ones(it.shape.rows),
        "stimulus": it.task.inputs[it.samples].reshape(-1, SIZES[0]),
        "target": it.task.targets[it.samples],
    }
    return Chunk(trials, {**engine.start, **it.weights},
                          constants(assembly, it.model, it.shape), tables, seed)
