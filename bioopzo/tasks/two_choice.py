"""Which of two noisy streams is stronger: a choice that only its reward teaches."""

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import number, whole
from bioopzo.errors import InputError
from bioopzo.tasks.trials import Task, consecutive_splits, gate, one_hot


def two_choice(
    coherences: tuple[float, ...] = (0.064, 0.128, 0.256, 0.512),
    features: int = 1,
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
    features | 1 | what the stimulus has: 1, motion; with 2, motion and colour, each with a
        direction and a strength of its own, and a cue that says which of them counts
    units | 10 | input neurons that prefer each of the two directions of a feature, and that stand
        for each cue
    noise | 0.3 | standard deviation of each neuron's input, drawn anew for every trial
    train, validation, test | 2000, 200, 800 | samples, the two directions balanced
    duration, dt | 60 ms, 1 ms | trial length and time step
    warmup | 20 ms | time before the choice
    seed | 0 | of samples

    A neuron that prefers the direction of motion gets (1 + coherence)/2, one that prefers the
    other (1 - coherence)/2, plus noise, as a constant current: inputs are (samples, 2*units). The
    right choice pays 1, the other nothing. Who adds up the inputs without loss is right with the
    chance Phi(coherence/(noise*sqrt(2/units))), about 0.87 on average. With more features there
    are units for each, and behind them those of the cues, which get 1 where they are given and 0
    else, plus noise: (samples, 3*features*units). A sum of these inputs is right where features
    agree, or where the one that counts is the stronger: in three of four trials at most, of two
    features, so that a network needs hidden neurons. Raises `InputError` for impossible options.

    Source: the two-choice task of Britten, Shadlen, Newsome & Movshon 1992, J Neurosci 12,
    4745-4765: directions and coherences interleaved at random, and a reward for every right answer.
    Dots are replaced by what direction-selective neurons report of them. With two features and a
    cue as in Mante, Sussillo, Shenoy & Newsome 2013, Nature 503, 78-84.
    """
    name = "two_choice"
    if np.ndim(coherences) != 1 or not len(coherences):
        raise InputError(f"{name}: coherences must list numbers from 0 to 1, not {coherences!r}")
    levels = [number(name, "each of coherences", level, least=0, below=1.0001)
              for level in coherences]
    features = whole(name, "features", features)
    units = whole(name, "units", units)
    noise = number(name, "noise", noise, least=0)
    sizes = (whole(name, "train", train), whole(name, "validation", validation, least=0),
             whole(name, "test", test, least=0))
    rng = np.random.default_rng(whole(name, "seed", seed, least=0))
    labels = np.concatenate([rng.permutation(np.arange(size) % 2) for size in sizes])
    strength = rng.choice(levels, size=(len(labels), features))
    direction, cues = labels[:, None], []
    if features > 1:
        counts = rng.integers(features, size=len(labels))
        direction = rng.integers(2, size=strength.shape)
        direction[np.arange(len(labels)), counts] = labels
        cues = [(counts[:, None] == np.repeat(np.arange(features), units)).astype(float)]
    prefers = np.repeat([-1, 1], units)
    report = (1 + (strength*(2*direction - 1))[:, :, None]*prefers)/2
    inputs = np.concatenate([report.reshape(len(labels), -1), *cues], axis=1)
    payoffs = one_hot(labels, 2)
    return Task(
        name=name if features == 1 else f"{name}_in_context",
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
        description="Which of two noisy streams is stronger, by reward only. Britten et al. 1992."
                    + " Of several features a cue says which counts: Mante et al. 2013."
                    * (features > 1),
        feedback="reward",
    )
