"""Pattern generation: turn a frozen spike pattern into a smooth movement."""

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import quantity, step_count, whole
from bioopzo.errors import InputError
from bioopzo.tasks._spike_templates import draw_templates, noisy_copies
from bioopzo.tasks.trials import Task, consecutive_splits, gate

CYCLES = np.array([1, 2, 3])  # of the sinusoids, per trial


def pattern_generation(
    patterns: int = 3,
    outputs: int = 2,
    inputs: int = 40,
    spikes_per_input: int = 10,
    jitter: Quantity = 2 * ms,
    train: int = 600,
    validation: int = 90,
    test: int = 90,
    duration: Quantity = 200 * ms,
    dt: Quantity = 1 * ms,
    warmup: Quantity = 20 * ms,
    seed: int = 0,
) -> Task:
    """Produce a smooth target curve in time from a frozen spike pattern (regression over time).

    option | default | meaning
    ------ | ------- | -------
    patterns | 3 | number of spike templates, each with its own target curves
    outputs | 2 | readout units, each with its own curve
    inputs | 40 | input neurons
    spikes_per_input | 10 | spikes of every input neuron in every template, in distinct time steps
    jitter | 2 ms | standard deviation of the Gaussian shift of each spike, clipped into the trial
    train, validation, test | 600, 90, 90 | samples
    duration, dt | 200 ms, 1 ms | trial length and time step
    warmup | 20 ms | time before the target is shown and the readout read
    seed | 0 | of templates, curves and samples

    Inputs are (samples, steps, inputs) spikes, targets (samples, steps, outputs): for each pattern
    and output a sum of three sinusoids with 1, 2 and 3 cycles per trial, random amplitudes and
    phases, scaled to a largest value of 1. `labels` is None. Patterns come in turn. Raises
    `InputError` for impossible options.

    Source: the pattern generation of Nicola & Clopath 2017 and Bellec et al. 2020, shortened. That
    of Bellec et al., for a recurrent network of 100 neurons (``Model([100, 100, 3],
    recurrent=True, rule="eprop")``): one frozen pattern of 1 s at 50 Hz, ``patterns=1, outputs=3,
    inputs=100, spikes_per_input=50, jitter=0*ms, duration=1000*ms, warmup=0*ms, train=100,
    validation=1, test=1``.
    """
    name = "pattern_generation"
    patterns = whole(name, "patterns", patterns)
    outputs = whole(name, "outputs", outputs)
    inputs = whole(name, "inputs", inputs)
    steps = step_count(name, duration, dt)
    count = whole(name, "spikes_per_input", spikes_per_input)
    if count > steps:
        raise InputError(f"{name}: spikes_per_input must be at most the {steps} steps, not {count}")
    quantity(name, "jitter", jitter, ms, zero=True)
    rng = np.random.default_rng(whole(name, "seed", seed, least=0))
    templates = draw_templates(rng, patterns, inputs, count, steps)
    curves = _curves(rng, patterns, outputs, steps)
    sizes = (whole(name, "train", train), whole(name, "validation", validation, least=0),
             whole(name, "test", test, least=0))
    which = np.concatenate([np.arange(size) % patterns for size in sizes])
    return Task(
        name=name,
        inputs=noisy_copies(name, rng, templates, which, steps, float(jitter / dt), deletion=0),
        targets=curves[which],
        labels=None,
        mask=gate(name, duration, dt, warmup),
        splits=consecutive_splits(*sizes),
        coding="spikes",
        duration=duration,
        dt=dt,
        hidden=(40,),
        parameters={
            "rho0": 500 * Hz,
            "Delta": 0.1,
            "tau_m": 7 * ms,
            "tau_o": 7 * ms,
            "b": 1.0,
            "gain": 1.5,
            "c": 1.0,  # squared error only: a curve is not a class
        },
        description=(
            f"{patterns} frozen spike templates, each with target curves made of sinusoids. "
            "After Nicola & Clopath 2017 and Bellec et al. 2020, shortened."
        ),
    )


def _curves(rng: np.random.Generator, patterns: int, outputs: int, steps: int) -> np.ndarray:
    """Target curves (patterns, steps, outputs), each with a largest absolute value of 1."""
    shape = (patterns, 1, outputs, len(CYCLES))
    amplitude = rng.uniform(0.5, 1, shape)
    phase = rng.uniform(0, 2 * np.pi, shape)
    angle = 2 * np.pi * CYCLES * (np.arange(steps) / steps)[:, None, None]
    curves = (amplitude * np.sin(angle + phase)).sum(axis=-1)
    return curves / np.abs(curves).max(axis=1, keepdims=True)
