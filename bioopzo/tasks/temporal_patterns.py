"""Spatio-temporal spike patterns: the class is in the spike times and nowhere else."""

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import number, quantity, step_count, whole
from bioopzo.errors import InputError
from bioopzo.tasks._spike_templates import draw_templates, noisy_copies
from bioopzo.tasks.trials import Task, consecutive_splits, gate, one_hot


def temporal_patterns(
    classes: int = 10,
    inputs: int = 80,
    spikes_per_input: int = 2,
    jitter: Quantity = 2 * ms,
    deletion: float = 0.2,
    train: int = 2400,
    validation: int = 300,
    test: int = 600,
    duration: Quantity = 60 * ms,
    dt: Quantity = 1 * ms,
    warmup: Quantity = 20 * ms,
    seed: int = 0,
) -> Task:
    """Classify noisy copies of frozen spike patterns that differ in their spike times only.

    option | default | meaning
    ------ | ------- | -------
    classes | 10 | number of templates, at least 2
    inputs | 80 | input neurons
    spikes_per_input | 2 | spikes of every input neuron in every template, in distinct time steps
    jitter | 2 ms | standard deviation of the Gaussian shift of each spike, clipped into the trial
    deletion | 0.2 | chance that a spike is left out
    train, validation, test | 2400, 300, 600 | samples, all drawn afresh, classes balanced
    duration, dt | 60 ms, 1 ms | trial length and time step
    warmup | 20 ms | time before the target is shown and the readout read
    seed | 0 | of templates and samples

    Inputs are (samples, steps, inputs) spikes. Every class has the same spike count for each input
    neuron before deletion, and deletion is the same chance for all, so counts say nothing about
    the class. Two spikes of a neuron in one step are avoided by drawing that neuron's jitter
    again, not by merging. Raises `InputError` for impossible options.

    Source: a frozen-template task in the manner of Guetig & Sompolinsky 2006 (the tempotron), made
    here.
    """
    name = "temporal_patterns"
    classes = whole(name, "classes", classes, least=2)
    inputs = whole(name, "inputs", inputs)
    steps = step_count(name, duration, dt)
    count = whole(name, "spikes_per_input", spikes_per_input)
    if count > steps:
        raise InputError(f"{name}: spikes_per_input must be at most the {steps} steps, not {count}")
    quantity(name, "jitter", jitter, ms, zero=True)
    deletion = number(name, "deletion", deletion, least=0, below=1)
    sizes = (
        whole(name, "train", train),
        whole(name, "validation", validation, least=0),
        whole(name, "test", test, least=0),
    )
    rng = np.random.default_rng(whole(name, "seed", seed, least=0))
    templates = draw_templates(rng, classes, inputs, count, steps)
    labels = np.concatenate([np.arange(size) % classes for size in sizes])
    return Task(
        name=name,
        inputs=noisy_copies(name, rng, templates, labels, steps, float(jitter / dt), deletion),
        targets=one_hot(labels, classes),
        labels=labels,
        mask=gate(name, duration, dt, warmup),
        splits=consecutive_splits(*sizes),
        coding="spikes",
        duration=duration,
        dt=dt,
        hidden=(20, 20),
        # The regular regime: little noise in the neurons, so that spike times survive the layers.
        parameters={
            "rho0": 1000 * Hz,
            "Delta": 0.1,
            "tau_m": 7 * ms,
            "tau_o": 7 * ms,
            "b": 1.0,
            "gain": 2.5,
            # Short holds: the input changes within a trial, and less so within 10 ms.
            "T_z": 10 * ms,
            "T_w": 7 * ms,
        },
        description=(
            f"{classes} frozen spike templates with jitter and deletion; spike counts carry no "
            "information. In the manner of Guetig & Sompolinsky 2006."
        ),
    )
