"""Store and recall: keep the bit that a store cue came with until a recall cue comes."""

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import quantity, whole
from bioopzo.errors import InputError
from bioopzo.tasks._populations import Populations, in_steps, window
from bioopzo.tasks.trials import Task, consecutive_splits, one_hot

STORE, RECALL = 2, 3  # groups of inputs; 0 and 1 are those of the values


def store_recall(
    symbols: int = 6,
    symbol: Quantity = 100 * ms,
    shortest: int = 2,
    group: int = 10,
    rate: Quantity = 50 * Hz,
    train: int = 400,
    validation: int = 50,
    test: int = 150,
    dt: Quantity = 1 * ms,
    seed: int = 0,
) -> Task:
    """Remember the value that was shown with the store cue, and say it at the recall cue.

    option | default | meaning
    ------ | ------- | -------
    symbols | 6 | symbols of a trial, one after the other
    symbol | 100 ms | length of each
    shortest | 2 | fewest symbols between the two cues: a delay of at least 200 ms
    group | 10 | neurons in each group of inputs: value 0, value 1, store, recall
    rate | 50 Hz | of a group that is shown
    train, validation, test | 400, 50, 150 | samples
    dt | 1 ms | time step
    seed | 0 | of values and cues; spikes are drawn anew whenever a trial is shown

    With every symbol one of the two values is shown, but with the recall cue none. The store cue
    comes with one symbol, the recall cue with a later one; both places are drawn, and the class is
    the value at the store cue. Only at the recall cue is the readout read and taught. Inputs are
    Poisson rates (samples, steps, 4*group). Raises `InputError` for impossible options.

    Source: Bellec et al. 2018, with one store and one recall a trial. The published protocol:
    ``symbols=12, symbol=200*ms``, where cues come at random, six symbols apart on average.
    """
    name = "store_recall"
    symbols = whole(name, "symbols", symbols, least=2)
    shortest = whole(name, "shortest", shortest, least=0)
    if shortest > symbols - 2:
        raise InputError(f"{name}: shortest must leave room for both cues, at most {symbols - 2} "
                         f"of {symbols} symbols, not {shortest}")
    quantity(name, "rate", rate, Hz)
    length = in_steps(name, "symbol", symbol, dt)
    sizes = (whole(name, "train", train), whole(name, "validation", validation, least=0),
             whole(name, "test", test, least=0))
    samples, rng = sum(sizes), np.random.default_rng(whole(name, "seed", seed, least=0))

    store = rng.integers(symbols - shortest - 1, size=samples)
    recall = rng.integers(store + shortest + 1, symbols)
    values = rng.integers(2, size=(samples, symbols))
    labels = values[np.arange(samples), store]
    steps = symbols * length
    inputs = Populations(name, samples, steps, 4, group)
    for k in range(symbols):
        inputs.fire(values[recall != k, k], k * length, length, who=recall != k)
    inputs.fire(STORE, store * length, length)
    inputs.fire(RECALL, recall * length, length)
    return Task(
        name=name,
        inputs=inputs.rates,
        targets=one_hot(labels, 2),
        labels=labels,
        mask=window(samples, steps, recall * length, length),
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
        description=("A value is stored at one cue and recalled at another, with other values "
                     "between them. After Bellec et al. 2018, one store and recall a trial."),
    )
