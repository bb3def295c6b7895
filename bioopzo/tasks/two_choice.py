"""Which of two noisy streams is stronger: a choice that only its reward teaches."""

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import number, whole
from bioopzo.errors import InputError
from bioopzo.tasks.trials import Task, consecutive_splits, gate, one_hot


def two_choice(
    coherences: tuple[float, ...] = (0.064, 0.128, 0.256, 0.512),
    units: int = 10,
    noise: float = 0.3,
    train: int = 2000,
    validation: int = 200,
    test: int = 800,
    duration: Quantity = 60 * ms,
    dt: Quantity = 1 * ms,
    warmup: Quantity = 20 * ms,
    seed: int = 0,
) -> Task:
    """Choose the stronger of two noisy streams, as monkeys do with random dots; by reward only.

    option | default | meaning
    ------ | ------- | -------
    coherences | (0.064, 0.128, 0.256, 0.512) | strengths of motion, equally frequent; 0 leaves
        chance alone
    units | 10 | input neurons that prefer each of the two directions
    noise | 0.3 | standard deviation of each neuron's input, drawn anew for every trial
    train, validation, test | 2000, 200, 800 | samples, the two directions balanced
    duration, dt | 60 ms, 1 ms | trial length and time step
    warmup | 20 ms | time before the choice
    seed | 0 | of samples

    A neuron that prefers the direction of motion gets (1 + coherence)/2, one that prefers the
    other (1 - coherence)/2, plus noise, as a constant current: inputs are (samples, 2*units). The
    right choice pays 1, the other nothing. Who adds up the inputs without loss is right with the
    chance Phi(coherence/(noise*sqrt(2/units))), about 0.87 on average. Raises `InputError` for
    impossible options.

    Source: the two-choice task of Britten, Shadlen, Newsome & Movshon 1992, J Neurosci 12,
    4745-4765: directions and coherences interleaved at random, and a reward for every right answer.
    Dots are replaced by what direction-selective neurons report of them.
    """
    name = "two_choice"
    if np.ndim(coherences) != 1 or not len(coherences):
        raise InputError(f"{name}: coherences must list numbers from 0 to 1, not {coherences!r}")
    levels = [number(name, "each of coherences", level, least=0, below=1.0001)
              for level in coherences]
    units = whole(name, "units", units)
    noise = number(name, "noise", noise, least=0)
    sizes = (whole(name, "train", train), whole(name, "validation", validation, least=0),
             whole(name, "test", test, least=0))
    rng = np.random.default_rng(whole(name, "seed", seed, least=0))
    labels = np.concatenate([rng.permutation(np.arange(size) % 2) for size in sizes])
    strength = rng.choice(levels, size=len(labels))
    sides = np.repeat([0, 1], units)
    toward = np.where(labels[:, None] == sides, 1, -1)
    inputs = (1 + strength[:, None]*toward)/2
    payoffs = one_hot(labels, 2)
    return Task(
        name=name,
        inputs=inputs + noise*rng.standard_normal(inputs.shape),
        targets=payoffs,
        labels=labels,
        mask=gate(name, duration, dt, warmup),
        splits=consecutive_splits(*sizes),
        coding="current",
        duration=duration,
        dt=dt,
        hidden=(20,),
        parameters={
            "rho0": 500 * Hz,
            "Delta": 0.1,
            "tau_m": 10 * ms,
            "tau_o": 10 * ms,
            "b": 0.5,
            "gain": 2.0,
        },
        description="Which of two noisy streams is stronger, by reward only. Britten et al. 1992.",
        feedback="reward",
    )
