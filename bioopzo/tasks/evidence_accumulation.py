"""Evidence accumulation: on which side more cues were, asked after a delay."""

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import number, quantity, whole
from bioopzo.errors import InputError
from bioopzo.tasks._populations import Populations, drawn_delays, in_steps, window
from bioopzo.tasks.trials import Task, consecutive_splits, one_hot

LEFT, RIGHT, RECALL, BACKGROUND = range(4)  # the groups of inputs


def evidence_accumulation(
    n_cues: int = 5,
    cue: Quantity = 40 * ms,
    gap: Quantity = 20 * ms,
    delay: Quantity | tuple[Quantity, Quantity] = (50 * ms, 150 * ms),
    recall: Quantity = 50 * ms,
    p_group: float = 0.3,
    group: int = 10,
    rate: Quantity = 40 * Hz,
    train: int = 400,
    validation: int = 50,
    test: int = 150,
    dt: Quantity = 1 * ms,
    seed: int = 0,
) -> Task:
    """Say, after a delay, on which side more cues were shown (the cue accumulation of e-prop).

    option | default | meaning
    ------ | ------- | -------
    n_cues | 5 | cues of a trial, an odd number
    cue, gap | 40 ms, 20 ms | length of a cue, and silence before each
    delay | (50 ms, 150 ms) | from the last cue to the recall cue; a time, or the shortest and the
        longest, between which every trial draws one of nine
    recall | 50 ms | how long the recall cue is shown: only then is the readout read and taught
    p_group | 0.3 | chance of a cue on the other side
    group | 10 | neurons in each group of inputs: left, right, recall, background
    rate | 40 Hz | of a group that is shown; the background fires at a quarter of it, always
    train, validation, test | 400, 50, 150 | samples
    dt | 1 ms | time step
    seed | 0 | of cues and delays; spikes are drawn anew whenever a trial is shown

    Inputs are Poisson rates (samples, steps, 4*group). The class is the side of most cues. Raises
    `InputError` for impossible options.

    Source: Bellec et al. 2020 (e-prop), after Morcos & Harvey 2016, in a shorter form. The
    published protocol: ``n_cues=7, cue=100*ms, gap=50*ms, delay=1050*ms, recall=150*ms``.
    """
    name = "evidence_accumulation"
    cues = whole(name, "n_cues", n_cues)
    if cues % 2 == 0:
        raise InputError(f"{name}: n_cues must be odd, so that one side has more, not {cues}")
    chance = number(name, "p_group", p_group, least=0, below=0.5)
    quantity(name, "rate", rate, Hz)
    lengths = {"cue": cue, "gap": gap, "recall": recall}
    shown, silent, asked = (in_steps(name, key, lengths[key], dt) for key in lengths)
    sizes = (whole(name, "train", train), whole(name, "validation", validation, least=0),
             whole(name, "test", test, least=0))
    samples, rng = sum(sizes), np.random.default_rng(whole(name, "seed", seed, least=0))
    delays, longest = drawn_delays(name, delay, dt, samples, rng)
    begins = cues * (shown + silent) + delays
    steps = cues * (shown + silent) + longest + asked

    favoured = rng.integers(2, size=samples)
    sides = favoured[:, None] ^ (rng.random((samples, cues)) < chance)
    labels = (sides.sum(axis=1) > cues // 2).astype(int)
    inputs = Populations(name, samples, steps, 4, group)
    inputs.fire(BACKGROUND, 0, steps, 0.25)
    for k in range(cues):
        inputs.fire(sides[:, k], silent + k * (shown + silent), shown)
    inputs.fire(RECALL, begins, asked)
    return Task(
        name=name,
        inputs=inputs.rates,
        targets=one_hot(labels, 2),
        labels=labels,
        mask=window(samples, steps, begins, asked),
        splits=consecutive_splits(*sizes),
        coding="poisson",
        duration=steps * dt,
        dt=dt,
        input_rate=rate,
        hidden=(60,),
        parameters={
            "rho0": 500 * Hz,
            "Delta": 0.3,
            "tau_m": 20 * ms,
            "tau_o": 20 * ms,
            "b": 0.5,
            "gain": 1.5,
        },
        description=(f"{cues} cues left or right, then a delay, then the question which were more. "
                     "After Bellec et al. 2020, shortened."),
    )
