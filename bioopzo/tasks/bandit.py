"""A bandit whose best arm depends on what is shown: payoffs by chance, reward only."""

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import number, whole
from bioopzo.tasks.trials import Task, consecutive_splits, gate


def bandit(
    contexts: int = 4,
    cues: int = 1,
    arms: int = 4,
    best: float = 0.8,
    other: float = 0.2,
    units: int = 5,
    noise: float = 0.1,
    train: int = 2000,
    validation: int = 200,
    test: int = 400,
    duration: Quantity = 60 * ms,
    dt: Quantity = 1 * ms,
    warmup: Quantity = 20 * ms,
    seed: int = 0,
) -> Task:
    """Find out which arm pays most often in which context; payoffs are 0 or 1 by chance.

    option | default | meaning
    ------ | ------- | -------
    contexts | 4 | situations, each with a best arm; 1 is the bandit without context
    cues | 1 | how many cues are shown together, each of one of the `contexts`: with 2 the best arm
        follows from both
    arms | 4 | actions, at least 2
    best, other | 0.8, 0.2 | chance of a payoff of 1 on the best arm, and on every other
    units | 5 | input neurons that stand for each context of each cue
    noise | 0.1 | standard deviation of each neuron's input, drawn anew for every trial
    train, validation, test | 2000, 200, 400 | samples, contexts balanced
    duration, dt | 60 ms, 1 ms | trial length and time step
    warmup | 20 ms | time before an arm is pulled
    seed | 0 | of the best arms, samples and payoffs

    Inputs are (samples, cues*contexts*units) constant currents, 1 for the neurons of the context
    and 0 for all others, plus noise; targets are what each arm would pay in that sample, 0 or 1,
    labels the arm that pays most often in the context. With several cues that is the sum of their
    contexts' arms, modulo `arms`: of two cues of two contexts the exclusive or, which no sum of the
    inputs says. Which arm is best stays the same throughout; a reversal is ``in_turn(task,
    relabelled(task, [1, 0]))`` of `bioopzo.tasks`. Raises `InputError` for impossible options.

    Source: the k-armed bandit, and associative search, of Sutton & Barto 2018, Reinforcement
    Learning, 2nd edition, chapter 2, with payoffs of 0 or 1.
    """
    name = "bandit"
    contexts = whole(name, "contexts", contexts)
    cues = whole(name, "cues", cues)
    arms = whole(name, "arms", arms, least=2)
    high = number(name, "best", best, least=0, below=1.0001)
    low = number(name, "other", other, least=0, below=1.0001)
    units = whole(name, "units", units)
    noise = number(name, "noise", noise, least=0)
    sizes = (whole(name, "train", train), whole(name, "validation", validation, least=0),
             whole(name, "test", test, least=0))
    rng = np.random.default_rng(whole(name, "seed", seed, least=0))
    good = rng.permutation(arms)[np.arange(contexts) % arms]
    context = np.stack([
        np.concatenate([rng.permutation(np.arange(size) % contexts) for size in sizes])
        for _ in range(cues)], axis=1)
    labels = good[context].sum(axis=1) % arms
    shown = (context[:, :, None] == np.repeat(np.arange(contexts), units)).astype(float)
    shown = shown.reshape(len(labels), -1)
    chance = np.where(labels[:, None] == np.arange(arms), high, low)
    return Task(
        name=name if cues == 1 else f"{name}_of_{cues}_cues",
        inputs=shown + noise*rng.standard_normal(shown.shape),
        targets=(rng.random(chance.shape) < chance).astype(float),
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
        description="Which arm pays most often in which context, by reward only. "
                    "After Sutton & Barto 2018, chapter 2.",
        feedback="reward",
    )
