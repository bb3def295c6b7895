"""Many runs on one task: found where they are finished, else computed, each kept as it ends."""

import json
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from bioopzo.engines.stopping import Stopped
from bioopzo.errors import InputError, InterruptedRun, ModelWarning, NonFiniteError, NotSaved
from bioopzo.exact import digest
from bioopzo.held import run_files
from bioopzo.model import Model
from bioopzo.run import Run
from bioopzo.tasks import Task
from bioopzo.training import rate
from bioopzo.training.address import addresses
from bioopzo.training.train import ENGINES, Job, check_on, prepared, train_group
from bioopzo.training.workers import results

#: The most runs of one text that are one program of the rate engine.
MOST_TOGETHER = 64
#: Runs of the spiking engine with so many trials (some ten seconds) are kept on the way, too.
WORTH_KEEPING = 10_000
#: So many trials spared in evaluations are worth the compilation of another program, .3 s.
WORTH_BRIEF = 40_000
#: Models that a worker has made ready, by kind of run; so many are kept.
_FITTED: dict[str, Model] = {}
MOST_FITTED = 8


@dataclass(frozen=True)
class Asked:
    """One run of many: what `train` is asked for, and what has been found out about it.

    `options` are those of `train`, `place` is where it is saved, `address` says what it is,
    `backend` where it will run, `group` is what it has in common with others of one program (empty:
    it runs alone), `text` what in common with others of one text, and `long` whether it is kept on
    the way. `spare` trials are shown to no purpose where all its evaluations are as long as the
    last, which is worth a program of their own (`brief`) for many runs. `fitted` is the model as it
    is trained, which does not travel to workers; each makes it once for all runs of a `kind`.
    """

    model: Model
    seed: int
    options: Mapping[str, Any]
    address: str
    backend: str
    group: str = ""
    long: bool = False
    place: Path | None = None
    fitted: Model | None = None
    kind: str = ""
    text: str = ""
    spare: int = 0
    brief: bool = False

    @property
    def checkpoint(self) -> Path | None:
        """Where the run is kept on the way."""
        if self.place is None or not self.long:
            return None
        return self.place.with_name(f"{self.place.name}.{self.address[:12]}.checkpoint.npz")


def asked(model: Model, task: Task, seeds: Iterable[int], options: Mapping[str, Any]
          ) -> list[Asked]:
    """What is asked for, a run for every seed, everything that can be wrong with it checked.

    `options` are those of `train`. Raises `InputError`.
    """
    fitted, plan, chosen = prepared(model, task, **options)
    check_on(fitted, task)
    engine, seeds = options.get("engine", "spiking"), list(seeds)
    together = engine == "rate" and rate.side_by_side(plan, chosen)
    group = digest((options, fitted.blocks)) if together else ""
    found = addresses(fitted, task, plan, chosen, options.get("split", "test"), seeds)
    backend = ENGINES[engine].backend(chosen, plan, fitted, task)
    long = engine == "rate" or plan.trials >= WORTH_KEEPING
    # What was given counts beside the values: a default that is given is not tuned.
    kind = digest((options, model.digest, sorted(model.given), fitted.digest, task.digest))
    text = digest((options, fitted.blocks, fitted.sizes)) if engine == "rate" else ""
    spare = (len(plan.marks) - 1) * (len(plan.held_out) - len(plan.few))
    return [Asked(model, seed, options, address, backend, group, long, None, fitted, kind, text,
                  spare) for seed, address in zip(seeds, found)]


def computed(runs: Sequence[Asked], task: Task, executor: Any, at_once: int, curves: bool = False
             ) -> Iterator[tuple[int, Run | Exception]]:
    """(number, `Run` or the problem that ended it) of every one of the `runs`, as they end.

    Those that are finished come first, from their files. The `executor` computes the others:
    of the rate engine those of one text as one program on each of `at_once` workers, else each
    alone. A run is saved by its worker; it comes without its task, and of its arrays with the
    learning curve alone where only `curves` are asked for. A worker that died is a problem of its
    runs only; a run that could not be saved comes all the same, with a `ModelWarning`.
    """
    left, of_a_text = [], Counter(run.text for run in runs)
    runs = [replace(run, brief=bool(run.text) and run.spare * of_a_text[run.text] > WORTH_BRIEF)
            for run in runs]
    for number, run in enumerate(runs):
        found = known(run)
        if found is None:
            left.append(number)
        else:
            yield number, _lighter(found, curves)
    shares = _parts(runs, left, at_once)
    parts = [[replace(runs[number], fitted=None) for number in share] for share in shares]
    for k, found in results(executor, work, [(part, task, curves) for part in parts]):
        several = [found] * len(shares[k]) if isinstance(found, Exception) else found
        yield from zip(shares[k], map(_though_unsaved, several))


def _though_unsaved(found):
    """A finished run for the problem that it could not be saved."""
    if not isinstance(found, NotSaved) or found.run is None:
        return found
    warnings.warn(str(found), ModelWarning, stacklevel=4)
    return found.run


@contextmanager
def told_of(what: str, runs: Mapping[Any, Run | Exception], count: int | None,
            place: str | PathLike | None) -> Iterator[None]:
    """Within this context an interruption says what is finished of `what`, and where it is kept.

    `runs` fill up meanwhile; there will be `count` in all, where that is known, kept in the folder
    `place`. It becomes an `InterruptedRun` whose `runs` are those that are finished.
    """
    try:
        yield
    except KeyboardInterrupt as problem:
        finished = [run for run in runs.values() if isinstance(run, Run)]
        of = "" if count is None else f" of {count}"
        many = f"{len(finished)}{of} run{'s' * (len(finished) != 1 or count is not None)}"
        kept = ("and nothing is kept: give a folder for the runs (out), and the next call goes on "
                "from there" if place is None else
                f"and kept in {place}, from where the same call goes on")
        how = str(problem) if isinstance(problem, Stopped) else "interrupted"
        stop = InterruptedRun(f"{what} was {how}: {many} {'is' if many == '1 run' else 'are'} "
                              f"finished, {kept}")
        stop.runs, stop.number = finished, getattr(problem, "number", stop.number)  # type: ignore[assignment]
        raise stop from None


def _parts(runs, left, at_once):
    """Numbers of runs that are asked for at once: each alone, or those of one program."""
    groups: dict[Any, list[int]] = {}
    for number in left:
        groups.setdefault(runs[number].group or number, []).append(number)
    parts = []
    for members in groups.values():
        size = min(-(-len(members) // at_once), MOST_TOGETHER)
        parts += [members[first:first + size] for first in range(0, len(members), size)]
    return parts


def work(runs: Sequence[Asked], task: Task, curves: bool = False) -> list[Run | Exception]:
    """Compute some runs with equal options, on a worker; what another has finished is read."""
    found = {run.address: known(run) for run in runs}
    left = [run for run in runs if found[run.address] is None]
    if left:
        made = train_group(
            [Job(run.model, run.seed, run.place, run.checkpoint, _fitted(run, task), run.address,
                 run.brief) for run in left], task, progress=False, **left[0].options)
        found.update(zip((run.address for run in left), made))
    for run in runs:
        if run.checkpoint and _settled(found[run.address]):
            run.checkpoint.unlink(missing_ok=True)  # the run itself is saved now
    return [_lighter(found[run.address], curves) for run in runs]


def _fitted(run, task):
    """The model of a run as it is trained, made once for a kind; `asked` has checked it."""
    fitted = _FITTED.get(run.kind)
    if fitted is None:
        fitted, _, _ = prepared(run.model, task, **run.options)
        for old in list(_FITTED)[:-MOST_FITTED]:
            _FITTED.pop(old, None)  # another thread may have been here
        _FITTED[run.kind] = fitted
    return fitted


def known(run: Asked) -> Run | Exception | None:
    """What is known of a run: it is finished, or would end with values that are not finite.

    Else None. It is read from its file, if that is of this very address.
    """
    if run.place is None:
        return None
    if _is_left(run, run_files(run.place)[2]):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ModelWarning)  # its copy is another's: it counts itself
            found = Run.load(run.place)
    except (InputError, OSError):
        return None
    if found.meta.get("address") != run.address or not (
            found.complete or found.meta.get("not_finite")):
        return None
    if found.complete:
        return found
    problem = NonFiniteError(found.meta.get("stopped", "values that are not finite"))
    problem.run = found  # type: ignore[assignment]
    return problem


def words_of(problem: BaseException) -> str:
    """What a problem says, never nothing."""
    return str(problem) or type(problem).__name__


def _is_left(run, copy):
    """Whether the small file says that a run is this one and has still to be finished."""
    try:
        meta = json.loads(copy.read_text())
        return meta["address"] == run.address and not (meta["complete"] or meta["not_finite"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _settled(found):
    """Whether nothing more will come of a run."""
    return isinstance(found, (Run, NonFiniteError))


def _lighter(found, curves):
    """A run, or the problem that ended it, as it travels: without model and task."""
    run = found if isinstance(found, Run) else getattr(found, "run", None)
    if run is not None:
        run.model = run.task = None
        if curves:
            run = Run({name: value for name, value in run.arrays.items()
                       if name.startswith(("curve/", "rates/"))}, run.units, run.meta)
            if not isinstance(found, Run):
                found.run = run
    return run if isinstance(found, Run) else found
