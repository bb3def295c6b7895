"""What every task is made of: `Task`, a fixed set of trials with inputs, targets and a mask."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import choice, quantity, step_count, whole
from bioopzo.datasets.events import EventInputs
from bioopzo.errors import InputError, nearest
from bioopzo.exact import digest
from bioopzo.tasks._arrays import (
    as_array,
    check_finite,
    checked_labels,
    checked_mask,
    checked_names,
    checked_targets,
    frozen,
)

CODINGS = ("current", "poisson", "spikes")
SPLITS = ("train", "validation", "test")
FEEDBACKS = ("target", "reward")
ORDERS = ("shuffled", "given")


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """A fixed set of trials for learning: what is shown, what is wanted, and when it is read.

    Both engines read the same Task. Its arrays are private read-only copies (an array that is
    read-only already and owns its memory is taken as it is): make a changed task with `replace`.

    field | shape or unit | default | meaning
    ----- | ------------- | ------- | -------
    name | text | | used in messages and figures
    inputs | (samples, n_in) or (samples, steps, n_in) float64 (float32 stays so with coding
        'current', and in time), (samples, steps, n_in) uint8 or an `EventInputs` with coding
        'spikes' | | what the input neurons get, see `coding`; only an `EventInputs` may hold counts
        above 1, for the rate engine
    targets | (samples, m) or (samples, steps, m) float64 | | what the m readout units should show
    labels | (samples,) int64, or None | | the class of each sample; None for regression over time
    mask | (steps,) of 0 and 1, float64, or (samples, steps) where trials have their own | | 1 while
        the target is shown and the readout is read, which counts the same in every trial
    splits | 'train', 'validation', 'test' -> sample indices | | disjoint; 'train' is not empty
    coding | 'current', 'poisson', 'spikes' | 'current' | 'current': a current, which is constant
        over the trial or, with `inputs` in time, changes from step to step; 'poisson': an input of
        1 fires at `input_rate`, likewise; 'spikes': 1 is a spike in that time step
    duration | time | 60 ms | length of one trial
    dt | time | 1 ms | time step; divides `duration`
    input_rate | Hz | 200 Hz | Poisson rate of an input of 1; used with coding 'poisson' only
    hidden | whole numbers | (32, 32) | hidden layer sizes used when the user gives none
    order | 'shuffled', 'given' | 'shuffled' | how training trials are shown: each pass in another
        order, or in that of `splits` ("train", then "validation" where that is not evaluated): a
        curriculum, blocks, a reversal
    parameters | name -> number or quantity | {} | model parameters this task is known to work with
    description | text | '' | one or two sentences, with the source
    class_names | m texts or numbers, or None | None | what the classes are called: `Run.predict`
        answers with them
    feedback | 'target', 'reward' | 'target' | 'reward': `targets` (samples, m) are what each of m
        actions would pay, and only the payoff of the action that was taken comes back; `labels` are
        then the best actions

    Raises `InputError`, naming the culprit and what is allowed, for anything inconsistent.
    """

    name: str
    inputs: np.ndarray | EventInputs
    targets: np.ndarray
    labels: np.ndarray | None
    mask: np.ndarray
    splits: Mapping[str, np.ndarray]
    coding: str = "current"
    duration: Quantity = field(default_factory=lambda: 60 * ms)
    dt: Quantity = field(default_factory=lambda: 1 * ms)
    input_rate: Quantity = field(default_factory=lambda: 200 * Hz)
    hidden: tuple[int, ...] = (32, 32)
    parameters: Mapping[str, object] = field(default_factory=dict)
    description: str = ""
    order: str = "shuffled"
    feedback: str = "target"
    class_names: tuple[Any, ...] | None = None

    #: The function of `bioopzo.tasks` that made it, with its arguments and options; None for a task
    #: made in another way, or changed since.
    made: ClassVar[tuple[str, tuple[Any, ...], dict[str, Any]] | None] = None

    def __post_init__(self):
        if not isinstance(self.name, str) or not self.name:
            raise InputError(f"Task: name must be a text such as 'digits', not {self.name!r}")
        where = self.name
        steps = step_count(where, self.duration, self.dt)
        quantity(where, "input_rate", self.input_rate, Hz)
        choice(where, "coding", self.coding, CODINGS)
        choice(where, "feedback", self.feedback, FEEDBACKS)
        choice(where, "order", self.order, ORDERS)

        inputs = _checked_inputs(self, steps)
        samples = len(inputs)
        targets = checked_targets(where, self.targets, samples, steps)
        labels = self.labels
        if labels is not None:
            labels = checked_labels(where, labels, samples, targets.shape[-1])
        _set(
            self,
            inputs=inputs,
            targets=targets,
            labels=labels,
            mask=checked_mask(where, self.mask, samples, steps),
            splits=_checked_splits(where, self.splits, samples),
            hidden=_checked_hidden(where, self.hidden),
            class_names=checked_names(where, self.class_names, self.labels, targets.shape[-1]),
            parameters=_checked_parameters(where, self.parameters),
        )
        if self.feedback == "reward":
            _check_payoffs(self)

    @property
    def samples(self) -> int:
        """Number of samples over all splits."""
        return len(self.inputs)

    @property
    def steps(self) -> int:
        """Number of time steps in one trial."""
        return self.mask.shape[-1]

    @property
    def in_time(self) -> bool:
        """Whether every step of a trial has inputs of its own."""
        return self.coding == "spikes" or self.inputs.ndim == 3

    @property
    def changing(self) -> bool:
        """Whether a current or a Poisson rate changes within a trial."""
        return self.coding != "spikes" and self.in_time

    @cached_property
    def _masks(self):
        found, numbers = np.unique(np.atleast_2d(self.mask), axis=0, return_inverse=True)
        return found, np.resize(numbers, self.samples)

    @property
    def masks(self) -> np.ndarray:
        """The different masks of the trials (masks, steps)."""
        return self._masks[0]

    @property
    def mask_numbers(self) -> np.ndarray:
        """Which of the different `masks` every sample has (samples,)."""
        return self._masks[1]

    @property
    def n_in(self) -> int:
        """Number of input neurons."""
        return self.inputs.shape[-1]

    @property
    def n_out(self) -> int:
        """Number of readout units."""
        return self.targets.shape[-1]

    @property
    def classes(self) -> int | None:
        """Number of classes, or None when the task is a regression over time."""
        return None if self.labels is None else self.n_out

    @cached_property
    def digest(self) -> str:
        """A short hash of all that a run depends on: trials, labels, times, splits, order."""
        inputs = getattr(self.inputs, "arrays", self.inputs)  # of events: those that make them up
        return digest((self.name, inputs, self.targets, self.labels, self.mask, self.splits,
                       self.coding, self.duration, self.dt, self.input_rate, self.order,
                       self.feedback))

    def replace(self, **changes: Any) -> "Task":
        """A new, newly checked Task with some fields changed; `InputError` as for `Task`.

        Without labels there are no names of classes either.
        """
        names = [f.name for f in dataclasses.fields(self)]
        for name in changes:
            if name not in names:
                raise InputError(
                    f"{self.name}: a Task has no field {name!r}{nearest(name, names)}; "
                    f"its fields are {', '.join(names)}"
                )
        if "labels" in changes and changes["labels"] is None:
            changes.setdefault("class_names", None)
        return dataclasses.replace(self, **changes)

    def presentation(self, split: str, trials: int, rng: np.random.Generator) -> np.ndarray:
        """The sample shown in each of `trials` trials: epochs of a split, each in its `order`.

        Every sample of the split is shown once before any is shown again. The answer is int64,
        exactly `trials` long. `rng` is a `numpy.random.Generator`. `InputError` for an unknown or
        empty split, a number of trials below 1, or an `rng` that is something else.
        """
        choice(self.name, "split", split, SPLITS)
        trials = whole(self.name, "trials", trials)
        if not isinstance(rng, np.random.Generator):
            raise InputError(
                f"{self.name}: rng must be a numpy Generator, such as "
                f"numpy.random.default_rng(1), not {rng!r}"
            )
        members = self.splits[split]
        if not len(members):
            raise InputError(f"{self.name}: the split {split!r} is empty, nothing can be shown")
        epochs = -(-trials // len(members))
        if self.order == "given":
            return np.tile(members, epochs)[:trials]
        return np.concatenate([rng.permutation(members) for _ in range(epochs)])[:trials]

    def __repr__(self):
        sizes = ", ".join(f"{split} {len(members)}" for split, members in self.splits.items())
        kind = "targets over time" if self.labels is None else f"{self.classes} classes"
        if self.feedback == "reward":
            kind = "actions, by reward"
        return (
            f"<Task {self.name!r}: {sizes}; {self.n_in} inputs ({self.coding}), "
            f"{self.n_out} outputs ({kind}); trials of {self.duration}, {self.steps} steps>"
        )

    def __reduce__(self):
        # A mappingproxy cannot be pickled, and tasks travel to worker processes.
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["splits"], values["parameters"] = dict(self.splits), dict(self.parameters)
        return _rebuild, (values, self.made)


def gate(where: str, duration: Quantity, dt: Quantity, warmup: Quantity) -> np.ndarray:
    """The mask (steps,) of a trial: 0 in the steps before `warmup` and 1 from there on.

    `duration` and `dt` are the trial's length and time step, `where` is the task's name for
    messages. Raises `InputError` if the warm-up leaves nothing to read.
    """
    steps = step_count(where, duration, dt)
    quantity(where, "warmup", warmup, ms, zero=True)
    start = round(float(warmup / dt))
    if start >= steps:
        raise InputError(
            f"{where}: warmup={warmup} must be shorter than duration={duration}, "
            "or the readout is never read"
        )
    return (np.arange(steps) >= start).astype(float)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Targets (samples, `classes`) of the `labels`: 1 for the sample's class and 0 elsewhere."""
    return np.eye(classes)[labels]


def consecutive_splits(train: int, validation: int, test: int) -> dict[str, np.ndarray]:
    """Splits that cut the samples, in order: so many for `train`, `validation` and `test`."""
    ends = np.cumsum([0, train, validation, test])
    return {name: np.arange(ends[i], ends[i + 1]) for i, name in enumerate(SPLITS)}


# ---- what __post_init__ checks ------------------------------------------------------------------


def _rebuild(values, made=None):
    task = Task(**values)
    _set(task, made=made)
    return task


def _set(task, **values):
    for name, value in values.items():
        object.__setattr__(task, name, value)


def _checked_inputs(task, steps):
    if isinstance(task.inputs, EventInputs):  # checked when made
        if task.coding != "spikes":
            raise InputError(f"{task.name}: events are inputs of coding 'spikes', not "
                             f"{task.coding!r}")
        if task.inputs.steps != steps:
            raise _wrong_steps(task, task.inputs.steps, steps)
        return task.inputs
    where, inputs = task.name, as_array(task.name, "inputs", task.inputs)
    spikes = task.coding == "spikes"
    wanted = "" if spikes else "(samples, n_in) or, where they change within a trial, "
    wanted += "(samples, steps, n_in)"
    if inputs.ndim not in ((3,) if spikes else (2, 3)) or 0 in inputs.shape:
        raise InputError(
            f"{where}: inputs with coding {task.coding!r} must have the shape {wanted}, "
            f"none of them 0, not {inputs.shape}"
        )
    check_finite(where, "inputs", inputs)
    if inputs.ndim == 3 and inputs.shape[1] != steps:
        raise _wrong_steps(task, inputs.shape[1], steps)
    if spikes:
        if not ((inputs == 0) | (inputs == 1)).all():
            raise InputError(
                f"{where}: inputs with coding 'spikes' must be 0 or 1 (at most one spike per "
                f"neuron and step), but they span {inputs.min()} to {inputs.max()}"
            )
        return frozen(inputs, np.uint8)
    if task.coding == "poisson":
        if inputs.min() < 0:
            raise InputError(
                f"{where}: inputs with coding 'poisson' are rates in units of input_rate and must "
                f"not be negative, but the smallest is {inputs.min():g}"
            )
        if float(inputs.max() * task.input_rate * task.dt) > 1:
            raise InputError(
                f"{where}: the largest input, {inputs.max():g}, times input_rate="
                f"{task.input_rate} is more than one spike per dt={task.dt}; "
                "lower input_rate or dt"
            )
    # Big image sets, and what changes in time, come as float32: half the memory.
    single = inputs.dtype == np.float32 and (task.coding == "current" or inputs.ndim == 3)
    return frozen(inputs, np.float32 if single else np.float64)


def _wrong_steps(task, found, steps):
    return InputError(
        f"{task.name}: inputs have {found} time steps, but duration={task.duration} "
        f"with dt={task.dt} makes {steps}"
    )


def _check_payoffs(task):
    """Refuse payoffs that change within a trial, one action, and a gate too short to act in."""
    if task.targets.ndim != 2 or task.n_out < 2:
        raise InputError(f"{task.name}: with feedback 'reward' targets are the payoffs of at least "
                         f"2 actions, (samples, actions), not {task.targets.shape}")
    if task.mask.sum(axis=-1).min() < 2:
        raise InputError(f"{task.name}: with feedback 'reward' the mask needs 2 steps at least: "
                         "one in which an action is taken, and one in which it is rewarded")


def _checked_splits(where, splits, samples):
    if not isinstance(splits, Mapping) or set(splits) != set(SPLITS):
        got = sorted(map(str, splits)) if isinstance(splits, Mapping) else repr(splits)
        raise InputError(
            f"{where}: splits must map {', '.join(SPLITS)} to sample indices, not {got}"
        )
    checked = {}
    owner = np.full(samples, -1)
    for number, split in enumerate(SPLITS):
        members = as_array(where, f"splits[{split!r}]", splits[split])
        if members.ndim != 1 or (members.dtype.kind not in "iu" and members.size):
            raise InputError(
                f"{where}: splits[{split!r}] must be a list of sample indices, "
                f"not {members.dtype} of shape {members.shape}"
            )
        members = members.astype(np.int64)
        if members.size and (members.min() < 0 or members.max() >= samples):
            raise InputError(
                f"{where}: splits[{split!r}] must hold indices in 0 ... {samples - 1}, "
                f"but they span {members.min()} to {members.max()}"
            )
        taken = members[owner[members] >= 0]
        if taken.size:
            other = SPLITS[owner[taken[0]]]
            raise InputError(
                f"{where}: splits must be disjoint, but sample {taken[0]} is in both "
                f"{other!r} and {split!r} ({taken.size} such samples)"
            )
        owner[members] = number
        checked[split] = frozen(members, np.int64)
    if not checked["train"].size:
        raise InputError(f"{where}: splits['train'] is empty, nothing can be learned")
    return MappingProxyType(checked)


def _checked_hidden(where, hidden):
    if isinstance(hidden, (str, bytes)) or not np.iterable(hidden):
        raise InputError(f"{where}: hidden must list layer sizes, such as (32, 32), not {hidden!r}")
    return tuple(whole(where, "each hidden layer size", size) for size in hidden)


def _checked_parameters(where, parameters):
    good = isinstance(parameters, Mapping) and all(
        isinstance(name, str) and name.isidentifier() for name in parameters
    )
    if not good:
        raise InputError(
            f"{where}: parameters must map names to values, such as {{'tau_m': 10*ms}}, "
            f"not {parameters!r}"
        )
    return MappingProxyType(dict(parameters))
