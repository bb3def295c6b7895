"""Delayed match to sample: whether the second stimulus is the first one again."""

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import quantity, whole
from bioopzo.tasks._populations import Populations, drawn_delays, in_steps, window
from bioopzo.tasks.trials import Task, consecutive_splits, one_hot


def delayed_match(
    stimuli: int = 2,
    sample: Quantity = 50 * ms,
    delay: Quantity | tuple[Quantity, Quantity] = (50 * ms, 100 * ms),
    test_time: Quantity = 50 * ms,
    answer: Quantity = 30 * ms,
    group: int = 10,
    rate: Quantity = 100 * Hz,
    train: int = 600,
    validation: int = 100,
    test: int = 200,
    dt: Quantity = 1 * ms,
    seed: int = 0,
) -> Task:
    """Say whether two stimuli, with a delay between them, were the same.

    option | default | meaning
    ------ | ------- | -------
    stimuli | 2 | how many stimuli there are, at least 2
    sample, test_time | 50 ms, 50 ms | how long the first and the second stimulus are shown
    delay | (50 ms, 100 ms) | between them; a time, or the shortest and the longest, between which
        every trial draws one of nine
    answer | 30 ms | the last part of the second stimulus, when the readout is read and taught
    group | 10 | input neurons of each stimulus
    rate | 100 Hz | of a stimulus that is shown
    train, validation, test | 600, 100, 200 | samples
    dt | 1 ms | time step
    seed | 0 | of stimuli and delays; spikes are drawn anew whenever a trial is shown

    Inputs are Poisson rates (samples, steps, stimuli*group). Class 1 is a match; half of the trials
    are, and a stimulus by itself says nothing. Raises `InputError` for impossible options.

    Source: delayed match to sample as in Miller, Erickson & Desimone 1996, with one test stimulus;
    their stimuli last 500 ms and their delays 1 s, ``sample=500*ms, delay=1000*ms``.
    """
    name = "delayed_match"
    stimuli = whole(name, "stimuli", stimuli, least=2)
    quantity(name, "rate", rate, Hz)
    lengths = {"sample": sample, "test_time": test_time, "answer": answer}
    first, second, read = (in_steps(name, key, lengths[key], dt) for key in lengths)
    read = min(read, second)
    sizes = (whole(name, "train", train), whole(name, "validation", validation, least=0),
             whole(name, "test", test, least=0))
    samples, rng = sum(sizes), np.random.default_rng(whole(name, "seed", seed, least=0))
    delays, longest = drawn_delays(name, delay, dt, samples, rng)
    steps = first + longest + second

    shown = rng.integers(stimuli, size=samples)
    labels = rng.permutation(np.arange(samples) % 2)
    other = (shown + rng.integers(1, stimuli, size=samples)) % stimuli
    inputs = Populations(name, samples, steps, stimuli, group)
    inputs.fire(shown, 0, first)
    inputs.fire(np.where(labels == 1, shown, other), first + delays, second)
    return Task(
        name=name,
        inputs=inputs.rates,
        targets=one_hot(labels, 2),
        labels=labels,
        mask=window(samples, steps, first + delays + second - read, read),
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
        description=(f"Two of {stimuli} stimuli with a delay between them: the same or not? After "
                     "Miller, Erickson & Desimone 1996."),
    )
