"""The plan of a run: what it is trained on, in which order, and when it is evaluated."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np

from bioopzo.arguments import whole_number
from bioopzo.errors import InputError
from bioopzo.tasks import Task

#: Trials of a batch where the user says nothing: the power of two with so many batches an epoch,
#: between these two, and not more than there are.
BATCHES, LEAST_BATCH, MOST_BATCH = 64, 8, 128
#: Epochs where the user says nothing: so many, more until there were so many batches, at most.
EPOCHS, UPDATES, MOST_EPOCHS = 10, 2500, 300
#: Evaluations where the user says nothing: one every so many trials, between these two; one an
#: epoch, where epochs are given, but not more than the last where nothing is.
A_PART, LEAST_EVALUATIONS, EVALUATIONS, MOST_EVALUATIONS = 100, 2, 10, 30
#: All evaluations before the last together show this share of the trials that training does, but
#: each shows at least so many: fewer say little (at 50 %, a standard error of 7 %).
SHARE, LEAST_SHOWN = 0.5, 50
SPLITS = ("test", "validation")
MOST_TRIALS = 1e12

#: How often, after how many trials, or as often as is usual.
Evaluations = int | Sequence[int] | None


@dataclass(frozen=True)
class Stretch:
    """Trials in a row with one purpose: sample indices, plastic or not, progress (0 to 1)."""

    samples: np.ndarray
    plastic: bool
    progress: float


@dataclass(frozen=True)
class Plan:
    """How long a run is, what it is trained on, and when it is evaluated.

    `total` batches of `batch` trials are drawn from `samples`, in all `epochs` passes through
    them. After each number of batches in `marks`, the first of which is 0, held-out trials are
    shown: `held_out`, all of them, after the last, and `few` of them, the same ones, before. Every
    pass is shuffled, unless the task has an order of its own (`in_order`).
    """

    samples: np.ndarray
    held_out: np.ndarray
    batch: int
    total: int
    epochs: float
    marks: tuple[int, ...]
    few: np.ndarray
    in_order: bool = False

    @property
    def trials(self) -> int:
        """Training trials in all."""
        return self.total * self.batch

    @property
    def in_epoch(self) -> int:
        """Batches of an epoch; what is left over of it is not shown."""
        return len(self.samples) // self.batch

    def shown(self, trials: int, evaluations: int) -> int:
        """Trials shown, those of evaluations too, when so much was done."""
        whole = evaluations == len(self.marks)
        return trials + (evaluations - whole) * len(self.few) + whole * len(self.held_out)

    def batches(self, generator: Callable[[int], np.random.Generator], start: int = 0
                ) -> Iterator[tuple[int, np.ndarray]]:
        """(number, sample indices) of every batch from `start` on.

        `generator(epoch)` is the random generator that shuffles an epoch.
        """
        for number in range(start, self.total):
            epoch, k = divmod(number, self.in_epoch)
            if self.in_order:
                order = self.samples
            elif k == 0 or number == start:
                order = generator(epoch).permutation(self.samples)
            yield number, order[k * self.batch:(k + 1) * self.batch]

    def stretches(self, generator: Callable[[int], np.random.Generator],
                  longest: int | Callable[[], int] = 1, steps: int | None = None,
                  start: int | None = None) -> Iterator[Stretch]:
        """The run as `Stretch`es of at most `longest` batches, and an evaluation at every mark.

        `longest` may be a function that is asked before each. With `steps`, progress moves in
        steps of so many batches, wherever stretches end: it is that of the middle of a step, and
        no stretch goes beyond its own. `start` is the number of batches done, their evaluations
        too; by default the run begins with one.
        """
        if start is None:
            yield self._evaluation(0)
        batches = self.batches(generator, start or 0)
        for first, stop in pairwise(mark for mark in self.marks if mark >= (start or 0)):
            begin = first
            while begin < stop:
                count = min(longest if isinstance(longest, int) else longest(), stop - begin)
                progress: float = begin
                if steps:
                    step = begin // steps * steps
                    count = min(count, step + steps - begin)
                    progress = (step + min(step + steps, self.total)) / 2
                samples = [part for _, part in islice(batches, count)]
                yield Stretch(np.concatenate(samples), True, progress / self.total)
                begin += count
            yield self._evaluation(stop)

    def _evaluation(self, mark):
        samples = self.held_out if mark == self.marks[-1] else self.few
        return Stretch(samples, False, mark / self.total)


def planned(task: Task, split: str = "test", trials: int | None = None,
            epochs: float | None = None, evaluations: Evaluations = None,
            batch: int | None = None, evaluation_trials: int | None = None,
            each_epoch: bool = True) -> Plan:
    """The `Plan` of a run on a task.

    `trials` or `epochs` say how long it is (default: 10 epochs, and more of a small task, until
    there were 2500 batches, at most 300). It is evaluated on `split`, at the start and
    `evaluations` times more (default once in 100 trials, 2 to 10 times; with `epochs` once in
    each, unless `each_epoch` is False; at most 30 times with neither), or after the numbers of
    trials in `evaluations` and at the end, and trained on "train", with "validation" where that is
    not what is evaluated. The last evaluation shows the whole
    split, those before it `evaluation_trials` (default so many that all of them together show half
    as many trials as training does, but 50 at least, and never more than there are). `batch` is by
    default 8 to 128, a 64th of the trials there are. Raises `InputError` for what cannot be.
    """
    if split not in SPLITS:
        raise InputError(f"split is 'test' or 'validation', not {split!r}")
    if not len(task.splits[split]):
        raise InputError(f"task {task.name} has no trials in its {split} split")
    if trials is not None and epochs is not None:
        raise InputError("give trials or epochs, not both")
    samples = task.splits["train"]
    in_order = task.order == "given"
    if split == "test":
        samples = np.concatenate([samples, task.splits["validation"]])
        samples = samples if in_order else np.sort(samples)
    trials = trials if trials is None else _length("trials", trials)
    batch = default_batch(len(samples), trials) if batch is None else batch
    in_epoch = len(samples) // batch
    if not in_epoch:
        raise InputError(f"batch={batch} is more than the {len(samples)} training trials of "
                         f"{task.name}")
    if trials is None:
        if epochs is None:
            epochs = max(EPOCHS, min(MOST_EPOCHS, -(-UPDATES // in_epoch)))
            evaluations = min(epochs, MOST_EVALUATIONS) if evaluations is None else evaluations
        epochs = _length("epochs", epochs)
        total = epochs * in_epoch
        evaluations = epochs if evaluations is None and each_epoch else evaluations
    else:
        total = trials // batch
        epochs = round(total / in_epoch, 3)
    if not total:
        raise InputError(f"trials={trials} are less than one batch of {batch}")
    if evaluations is None:
        evaluations = min(max(LEAST_EVALUATIONS, total * batch // A_PART), EVALUATIONS)
    marks = _marks(evaluations, total, batch)
    if evaluation_trials is None:
        evaluation_trials = max(LEAST_SHOWN, int(SHARE * total * batch / (len(marks) - 1)))
    few = evenly_drawn(task, split, whole_number("evaluation_trials", evaluation_trials))
    return Plan(samples, np.asarray(task.splits[split]), batch, total, epochs, tuple(marks), few,
                in_order)


def _length(name: str, value: Any) -> int:
    """A number of trials or epochs that some machine may live to see the end of."""
    if isinstance(value, (int, float)) and value > MOST_TRIALS:
        raise InputError(f"{name} is at most {MOST_TRIALS:g}, not {value!r:.60}")
    return whole_number(name, value)


def _marks(evaluations, total, batch):
    """The numbers of batches after which there is an evaluation, from 0 to all of them."""
    if not isinstance(evaluations, Iterable) or isinstance(evaluations, str):
        count = min(whole_number("evaluations", evaluations), total)
        return np.round(np.linspace(0, total, count + 1)).astype(int).tolist()
    asked = [whole_number("every one of evaluations", trials) for trials in evaluations]
    if asked and max(asked) > total * batch:
        raise InputError(f"evaluations={max(asked)}: the run has {total * batch} trials")
    return sorted({0, total, *(round(trials / batch) for trials in asked)})


def evenly_drawn(task: Task, split: str, count: int) -> np.ndarray:
    """`count` trials of a split, at most all, in its order: of each class the same share.

    They follow from the task alone, and fewer of them are among more.
    """
    members = np.asarray(task.splits[split])
    order = np.random.default_rng(0).permutation(len(members))
    rank = np.zeros(len(members))  # from 0 to 1 within a class
    labels = np.zeros(len(members)) if task.labels is None else task.labels[members[order]]
    for label in np.unique(labels):
        same = np.flatnonzero(labels == label)
        rank[same] = (np.arange(len(same)) + 0.5) / len(same)
    return members[np.sort(order[np.argsort(rank, kind="stable")[:count]])]


def default_batch(samples: int, trials: int | None = None) -> int:
    """Trials of a batch that fit a task with so many `samples` and a run of so many `trials`."""
    fitting = 1 << max(0, (samples // BATCHES).bit_length() - 1)
    return min(max(LEAST_BATCH, min(MOST_BATCH, fitting)), samples, trials or samples)
