"""Guards: a run stops at the first value that is not finite, and says so where it is in vain."""

import math
import os
import warnings
from collections.abc import Mapping

import numpy as np

from bioopzo.errors import InputError, ModelWarning, NonFiniteError
from bioopzo.model import Model
from bioopzo.network.connections import Dense
from bioopzo.run import Run
from bioopzo.tasks import Task

#: State variables that are learned.
LEARNED = ("w", "M", "B")
#: Mean rates (Hz) of a layer before it learns, between which neurons differ in what they say.
LEAST_HZ, MOST_HZ = 1.0, 400.0
#: A run of so many trials should have learned something.
LONG = 1000
#: Optimisers need more batches than this.
FEW = 500
KEPT = "What was done so far is in .run of this error, marked incomplete"


def check_room(model: Model) -> None:
    """Refuse a network whose weights, held twice, are more than the memory of this machine."""
    pairs = {p.name: p.connection.pre * p.connection.post for p in model.network.projections
             if isinstance(p.connection, Dense)}
    needed = 2 * 8 * sum(pairs.values())
    there = _memory()
    if there and needed > there:
        name = max(pairs, key=lambda name: pairs[name])
        pre, post = model.network[name].connection.shape
        raise InputError(f"{name} connects {pre} neurons with {post}: with its like it takes "
                         f"{needed / 1e9:.3g} GB, and this machine has {there / 1e9:.3g} GB; give "
                         "fewer neurons, or connections with p=...")


def check_steps(model: Model, batch: int) -> None:
    """Refuse a step that is too long for the mean of a `batch`, see `Parameter.averaged`."""
    for name in model.given:
        parameter = model.declared.get(name)
        if parameter is None or not parameter.averaged or parameter.most is None:
            continue
        one = model.spread.get(name)
        largest = max(map(np.max, (one.base, *one.values()) if one else (model.parameters[name],)))
        if largest > parameter.most * batch:
            needed = math.ceil(largest / parameter.most)
            raise InputError(
                f"parameter {name} ({parameter.meaning}) is at most {parameter.most * batch:g} "
                f"with {batch} trial{'s' * (batch > 1)} at a time, not {largest:g}: give less, or, "
                f"in the rate engine, batch={needed} or more")


def _memory():
    """The memory of this machine in bytes, 0 where it does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 0


def not_finite(state: Mapping[str, np.ndarray]) -> str | None:
    """The name of an array that is not finite, or None; weights first, for they are the cause."""
    for name in sorted(state, key=lambda n: n.rpartition(".")[2] not in LEARNED):
        if state[name].dtype.kind == "f" and not np.isfinite(state[name]).all():
            return name
    return None


def stopped(name: str, values: np.ndarray, when: str, rates: str) -> NonFiniteError:
    """The `NonFiniteError` that names the first value that is not finite.

    `when` says in which trial it was, `rates` which learning rates are to be made smaller; empty
    where the same happens without any learning.
    """
    where = np.argwhere(~np.isfinite(values))[0]
    return NonFiniteError(
        f"{name} became {values[tuple(where)]} at index {', '.join(map(str, where))} {when}; "
        f"{_advice(rates)}. {KEPT}")


def check_loss(loss: float, trials: int) -> None:
    """Refuse a held-out loss that is not finite: weights may be finite and yet too large."""
    if not np.isfinite(loss):
        advice = _advice("the optimizer's, or eta and eta_o" if trials else "")
        raise NonFiniteError(f"the held-out loss became {loss} after {trials} trials; {advice}. "
                             f"{KEPT}")


def warn_of_rates(rates: Mapping[str, float], most: float = MOST_HZ, images: bool = False) -> None:
    """Warn of neurons that are silent, or fire at nearly every step, before anything is learned.

    `rates` (Hz) maps a population to its mean firing rate; above `most` (Hz) it is too high.
    `images` says whether the network is an architecture.
    """
    more = "; bioopzo.alive(model, task) finds a gain for each layer" if images else ""
    for name, rate in rates.items():
        if not LEAST_HZ <= rate <= most:
            warnings.warn(
                f"{name} fires at {rate:.3g} Hz before it learns (usual are {LEAST_HZ:g} to "
                f"{most:g} Hz), and may learn little: {'raise' if rate < LEAST_HZ else 'lower'} "
                f"its drive b, or the scale of the weights before it, gain or input_gain{more}",
                ModelWarning, stacklevel=2)


def warn_of_chance(run: Run, task: Task) -> None:
    """Warn where a long run has ended no better than an answer that is always the same."""
    accuracy, done = run.test_accuracy, run.meta["trials_done"]
    if accuracy is None or task.labels is None or done < LONG:
        return
    labels = task.labels[task.splits[run.meta["split"]]]
    chance = np.unique(labels, return_counts=True)[1].max() / len(labels)
    if accuracy > chance + 2 * math.sqrt(chance * (1 - chance) / len(labels)):
        return
    rates = ", ".join(f"{rate:.0f}" for rate in run.meta["rates_hz"].values())
    still = not any(float(run.model.parameters[name]) for name in ("eta", "eta_o"))
    batches = done // run.meta.get("settings", {}).get("batch", 1)
    right, always = (f"{float(f'{100 * share:.2g}'):g} %" for share in (accuracy, chance))
    warnings.warn(
        f"{run.meta['rule']} has learned nothing on {task.name} in {done} trials: "
        f"{right} of held-out trials, where always the same answer is right in {always}. "
        f"Hidden layers fire at {rates} Hz; " + (
            "eta and eta_o are 0, so that no forward weight learns" if still else
            f"{batches} batches are few: more epochs, or smaller batches, may help"
            if batches < FEW else
            "smaller learning rates, or those that bioopzo tune finds, may help") + (
            "; a recurrent network learns best where it is quiet, with a smaller drive b"
            if run.model.layers.recurrent else ""), ModelWarning, stacklevel=2)


def _advice(rates):
    """What to do about a value that is not finite."""
    if rates:
        return f"a smaller learning rate ({rates}) usually helps"
    return ("nothing was learned before, so no learning rate is to blame: a line of the text "
            "overflows or divides by 0, or a parameter's value makes it do so")
