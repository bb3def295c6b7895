"""Deep networks that are alive: initial gains with which every hidden layer fires.

What a layer gives on is scattered less, layer by layer, than what comes in, and with the same gain
everywhere the fifth layer of a deep network is silent. So each layer, from the input up, gets the
gain with which it fires at a given rate on one batch of trials, before anything is learned. The
scale is that of the weights alone, no batch is normalised.

Source: Mishkin & Matas 2016, All you need is a good init, ICLR (unit variance, layer by layer);
here what is brought into its range is the rate.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bioopzo.arguments import whole_number
from bioopzo.engines.rate.feed import Masks, presented
from bioopzo.engines.rate.settings import open_engine, settings
from bioopzo.errors import InputError
from bioopzo.measures.evaluation import on_batches
from bioopzo.tasks import Task
from bioopzo.training.start import initial_weights

#: So often a gain is changed before a layer is given up, and the largest that is tried.
TRIES, MOST = 20, 1e3


def alive(model: Any, task: Task, shares: Sequence[float] = (0.1, 0.2), samples: int = 16,
          seed: int = 0, activity: str = "rates") -> Any:
    """The model with a `gain` for each projection, so that every hidden layer fires untrained.

    Layer by layer, from the input up, the gain of what comes into a layer is changed until its mean
    chance to spike lies within `shares` (of 1), in those steps of the first `samples` training
    trials of a `task` in which anything can reach it. Only trials count, not their targets. `seed`
    draws the initial weights of this look; with others the rates differ by what a few thousand
    weights differ. `activity` is what the network will be trained with, see `Settings`.

    Returns a `Model` whose gains are given, ``gain={"forward_1": 3.1, ...}``, of all projections
    that lead forward, so that they are in its text, its files and its address. Raises `InputError`
    where no gain will do (a spike needs a step for every layer: a trial of six steps does not reach
    the seventh), and for shares that are none.

    >>> model = bz.alive(bz.Model("3x32x32-64C3-AP2-64C3-AP2-64C3-10"), task)
    """
    low, high = shares
    if not 0 < low < high < 1:
        raise InputError(f"shares are the least and the most of 1, such as (0.1, 0.2), not "
                         f"{shares!r}")
    members = task.splits["train"][:whole_number("samples", samples)]
    fitted = model.for_task(task)
    if "gain" in fitted.spread:
        raise InputError("the model has gains of its own: leave them out, or keep them")
    network = fitted.layers
    usual = float(fitted.parameters["gain"])
    gains = {p.name: usual for p in network.forward if p.start and "gain" in p.start.parameters}
    last = usual
    for population in network.hidden:
        incoming = [p.name for p in network.into(population.name)
                    if p.name in gains and network.ahead(p)]
        if not incoming:  # weights that were given are left as they are
            continue
        if population.layer and population.layer > 1:  # what did for the layer below is near it
            gains.update(dict.fromkeys(incoming, last))
        last = _search(lambda asked, name=population.name: untrained_shares(
            fitted.edit(gain=asked), task, members, seed, activity)[name],
            population.name, incoming, gains, (low, high), task.steps)
    return model.edit(gain={name: float(f"{gain:.3g}") for name, gain in gains.items()})


def _search(share_with, population, incoming, gains, shares, steps):
    """Change the `gains` of what comes into a population until its share lies within `shares`.

    Returns the gain that did it.
    """
    below, above = 0.0, math.inf
    for _ in range(TRIES):
        share = share_with(dict(gains))
        gain = gains[incoming[0]]
        if shares[0] <= share <= shares[1]:
            return gain
        below, above = (gain, above) if share < shares[0] else (below, gain)
        if below >= MOST:
            break
        new = 2 * below if above == math.inf else math.sqrt(max(below, above / 4) * above)
        gains.update(dict.fromkeys(incoming, new))
    raise InputError(
        f"{population} fires in {100 * share:.2g} % of the steps with a gain of {gain:.3g}, and no "
        f"gain brings it to {100 * shares[0]:g} to {100 * shares[1]:g} %: a trial of "
        f"{steps} steps may be too short (a spike takes a step for every layer), or the drive "
        "b too large or small")


def untrained_shares(model: Any, task: Task, members: np.ndarray, seed: int = 0,
                     activity: str = "rates") -> dict[str, float]:
    """The mean chance to spike in a step, before anything is learned: hidden layer -> share of 1.

    Of the steps that the input can reach, one later for every layer below, and for delays. `model`
    has been given its `task`, the trials `members` of which are shown as one batch; `seed` draws
    the initial weights, `activity` is as for training.
    """
    chosen = settings(optimizer="sgd", compiled=False, activity=activity)
    engine = open_engine(model, task, chosen, seed)
    engine.put(initial_weights(model, np.random.default_rng(seed)))
    inputs, targets = presented(task)
    _, _, rates = on_batches(engine, task, inputs, targets, Masks(task), members, len(members))
    late = _first_steps(model.layers, float(task.dt))
    return {p.name: float(np.mean(rates[p.name])) * float(task.dt) * task.steps / max(
        1, task.steps - late.get(p.name, 0)) for p in model.layers.hidden}


def _first_steps(layers, dt):
    """The step in which the input can first reach each population; a spike takes one."""
    late = {layers.input.name: -1}
    for _ in layers.hidden:  # no shortest way is longer
        for p in layers.predicting:
            if p.source in late:
                step = late[p.source] + 1 + round(p.delay / dt)
                late[p.target] = min(step, late.get(p.target, step))
    return late
