"""Tasks from a user's own arrays, and tasks put together: other labels, one after the other."""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from brian2.units import ms
from brian2.units.fundamentalunits import Quantity, is_dimensionless
from numpy.typing import ArrayLike

from bioopzo.arguments import number, step_count, whole
from bioopzo.errors import InputError, ModelWarning, nearest
from bioopzo.tasks._arrays import checked_names
from bioopzo.tasks._own_labels import said_of, wanted_of
from bioopzo.tasks.trials import SPLITS, Task, consecutive_splits, gate

#: The share of a trial after which a target is shown, where nobody says.
WARMUP = 1 / 3
#: The greatest value of a pixel of one byte.
BRIGHTEST = 255


def from_arrays(inputs: Any, targets: ArrayLike, mask: Any = None,
                duration: Quantity | None = None, dt: Quantity = 1 * ms, name: str = "own",
                classes: int | None = None, splits: Mapping[str, Any] | None = None,
                validation: float = 0.15, test: float = 0.15, seed: int = 0, **more: Any) -> Task:
    """A `Task` from arrays: what is shown in each trial, and what is wanted.

    Parameters
    ----------
    inputs : (samples, features), or (samples, steps, features) where they change within a trial
        Arrays, lists, or a DataFrame.
    targets : (samples,) labels, or (samples, outputs) or (samples, steps, outputs) numbers
        Labels are the classes: texts, booleans or whole numbers. Whole numbers from 0 are classes
        as they stand; all others are counted in their own order, and are the task's `class_names`,
        with which `Run.predict` answers. Rows with a single 1 are one-hot: classes, too. Other
        numbers are for the readouts to follow.
    mask : (steps,), or (samples, steps), optional
        1 while the target is shown and the readout is read; default the last two thirds.
    duration, dt : time
        A trial and a step; by default a trial has as many steps as the arrays, or 60 ms.
    name : str
    classes : int, optional
        How many there are; default the highest one and those below.
    splits : mapping, optional
        ``"train"``, ``"validation"``, ``"test"`` -> indices; default a random share each, of which
        `validation` and `test`, drawn with `seed`.
    **more
        Other fields of a `Task`: `coding`, `input_rate`, `order`, `hidden`, `parameters` ...

    Raises `InputError` for what does not fit together; warns of pixels from 0 to 255.
    """
    inputs = inputs if hasattr(inputs, "steps") else numbers_of(name, inputs)
    labels, wanted, names = wanted_of(name, targets, classes)
    if len(wanted) != len(inputs):
        raise InputError(f"{name}: there are {len(inputs)} trials to show, and {len(wanted)} "
                         "targets: one a trial")
    in_time = [array.shape[1] for array in (inputs, wanted) if len(array.shape) == 3]
    if duration is None:
        duration = in_time[0] * dt if in_time else 60 * ms
    if mask is None:
        mask = gate(name, duration, dt, int(WARMUP * step_count(name, duration, dt)) * dt)
    fields = [field.name for field in dataclasses.fields(Task)]
    for key in more:
        if key == "labels":
            raise InputError(f"{name}: labels are given as targets, one for each trial")
        if key not in fields:
            raise InputError(f"{name}: a Task has no field {key!r}{nearest(key, fields)}; its "
                             f"fields are {', '.join(fields)}")
    if splits is None:
        splits = _drawn(name, len(inputs), validation, test, seed)
    names = checked_names(name, more.get("class_names", names), labels, wanted.shape[-1])
    more["class_names"] = names
    more["description"] = " ".join(filter(None, [more.get("description"), said_of(names)]))
    task = Task(name=name, inputs=inputs, targets=wanted, labels=labels, mask=mask, splits=splits,
                duration=duration, dt=dt, **more)
    if task.coding == "current" and inputs.min() == 0 and inputs.max() == BRIGHTEST:
        warnings.warn(f"{name}: inputs go from 0 to 255, as pixels do: a current is a number of "
                      "about 1, so show inputs/255", ModelWarning, stacklevel=2)
    return task


def _drawn(name, samples, validation, test, seed):
    """Splits of a random share each, drawn with `seed`."""
    validation, test = (number(name, key, share, least=0, below=1) for key, share in (
        ("validation", validation), ("test", test)))
    if validation + test >= 1:
        raise InputError(f"{name}: validation={validation} and test={test} leave nothing to "
                         "learn from: together they are less than 1")
    shares = [int(share * samples) for share in (validation, test)]
    order = np.random.default_rng(whole(name, "seed", seed, least=0)).permutation(samples)
    cut = consecutive_splits(samples - sum(shares), *shares)
    return {key: np.sort(order[members]) for key, members in cut.items()}


def numbers_of(name: str, inputs: Any) -> np.ndarray:
    """The `inputs` of the task `name` as an array of numbers: arrays, lists, or a table of them."""
    if isinstance(inputs, Quantity) and not is_dimensionless(inputs):
        raise InputError(f"{name}: inputs are numbers without a unit, and these are in "
                         f"{inputs.dim}: currents in units of what moves a membrane by theta; "
                         "Poisson rates in units of input_rate")
    try:
        found = np.asarray(inputs)
    except ValueError:
        raise InputError(f"{name}: inputs must be a rectangular array of numbers; trials of "
                         "different lengths are padded, and have masks of their own") from None
    if found.dtype.kind in "OU":
        columns = getattr(inputs, "columns", None)
        for place, value in np.ndenumerate(found):
            if isinstance(value, str) or value is None:
                where = f"column {columns[place[1]]!r}" if columns is not None else (
                    f"inputs[{', '.join(map(str, place))}]")
                raise InputError(f"{name}: inputs must be numbers, and {where} holds '{value}': "
                                 "leave it out, or make numbers of it")
        try:
            found = found.astype(float)
        except (TypeError, ValueError) as problem:
            raise InputError(f"{name}: inputs must be numbers: {problem}") from None
    return found


def relabelled(task: Task, order: Sequence[int]) -> Task:
    """The task with other classes: what was class k is `order[k]`; ``[1, 0]`` reverses two.

    Names of classes stay with the readouts: what was right before is called wrong now.

    Raises `InputError` for a `task` without classes, and an `order` that is none.
    """
    if task.labels is None:
        raise InputError(f"{task.name} has no classes, so they cannot be changed")
    new = np.asarray(order)
    if new.shape != (task.n_out,) or sorted(new.tolist()) != list(range(task.n_out)):
        raise InputError(f"{task.name}: order names each of the classes 0 to {task.n_out - 1} "
                         f"once, not {order!r}")
    targets = np.empty_like(task.targets)
    targets[..., new] = task.targets
    return task.replace(name=f"{task.name}, relabelled", labels=new[task.labels], targets=targets)


def in_turn(*tasks: Task) -> Task:
    """Tasks of one shape, learned one after the other: a curriculum, blocks, or a reversal.

    The training trials are those of the first, then those of the second ..., each in its own order,
    shuffled with a fixed seed; they are shown in this order (``order="given"``), ``epochs=1`` of
    them shows each once (in batches all but those at the end that fill no batch). Validation and
    test are those of the last. All else is the first one's.

    >>> reversal = bz.tasks.in_turn(task, bz.tasks.relabelled(task, [1, 0]))

    Raises `InputError` for tasks that differ in shape, coding, feedback or names of classes, and
    for recordings as events.
    """
    if not tasks or not all(isinstance(task, Task) for task in tasks):
        raise InputError("in_turn takes tasks, one after the other: in_turn(easy, hard)")
    first, last = tasks[0], tasks[-1]
    for task in tasks:
        if not isinstance(task.inputs, np.ndarray):
            raise InputError(f"{task.name} holds events, which cannot be put one behind the other")
        for what in ("coding", "steps", "n_in", "n_out", "dt", "input_rate", "in_time",
                     "feedback"):
            mine, theirs = getattr(first, what), getattr(task, what)
            if mine != theirs:
                raise InputError(f"{task.name} has {what} {theirs}, and {first.name} {mine}: tasks "
                                 "in turn are learned by one network, and have the same")
        if (task.labels is None) != (first.labels is None) or task.targets.ndim != \
                first.targets.ndim:
            raise InputError(f"{task.name} and {first.name} ask for different things: classes, or "
                             "targets over time")
        if task.class_names != first.class_names:
            raise InputError(f"the classes of {task.name} are called {task.class_names}, those of "
                             f"{first.name} {first.class_names}: a readout has one name")
    offsets = np.cumsum([0, *(task.samples for task in tasks[:-1])])
    rng = np.random.default_rng(0)
    train = [rng.permutation(task.splits["train"]) if task.order == "shuffled" else
             task.splits["train"] for task in tasks]
    splits = {split: last.splits[split] + offsets[-1] for split in SPLITS}
    splits["train"] = np.concatenate([k + part for k, part in zip(offsets, train)])
    masks = [np.broadcast_to(task.mask, (task.samples, task.steps)) for task in tasks]
    same = all(np.array_equal(task.mask, first.mask) for task in tasks) and first.mask.ndim == 1
    return first.replace(
        name=" then ".join(task.name for task in tasks),
        inputs=np.concatenate([task.inputs for task in tasks]),
        targets=np.concatenate([task.targets for task in tasks]),
        labels=None if first.labels is None else np.concatenate([
            task.labels for task in tasks if task.labels is not None]),
        mask=first.mask if same else np.concatenate(masks), splits=splits, order="given")
