"""Many runs on one task: found where they are finished, else computed, each kept as it ends."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bioopzo.errors import NonFiniteError
from bioopzo.exact import digest
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


@dataclass(frozen=True)
class Asked:
    """One run of many: what `train` is asked for, and what has been found out about it.

    `options` are those of `train`, `place` is where it is saved, `address` says what it is,
    `backend` where it will run, `group` is what it has in common with others of one program (empty:
    it runs alone), and `long` whether it is kept on the way. `fitted` is the model as it is
    trained, which does not travel to workers.
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

    @property
    def checkpoint(self) -> Path | None:
        """Where the run is kept on the way."""
        if self.place is None or not self.long:
            return None
        return self.place.with_name(f"{self.place.name}.checkpoint.npz")


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
    return [Asked(model, seed, options, address, backend, group, long, fitted=fitted)
            for seed, address in zip(seeds, found)]


def computed(runs: Sequence[Asked], task: Task, executor: Any, at_once: int, curves: bool = False
             ) -> Iterator[tuple[int, Run | Exception]]:
    """(number, `Run` or the problem that ended it) of every one of the `runs`, as they end.

    Those that are finished come first, from their files. The `executor` computes the others:
    of the rate engine those of one text as one program on each of `at_once` workers, else each
    alone. A run is saved by its worker; it comes without its task, and of its arrays with the
    learning curve alone where only `curves` are asked for. A worker that died is a problem of its
    runs only.
    """
    left = []
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
        yield from zip(shares[k], several)


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
        made = train_group([Job(run.model, run.seed, run.place, run.checkpoint) for run in left],
                           task, progress=False, **left[0].options)
        found.update(zip((run.address for run in left), made))
    for run in runs:
        if run.checkpoint and _settled(found[run.address]):
            run.checkpoint.unlink(missing_ok=True)  # the run itself is saved now
    return [_lighter(found[run.address], curves) for run in runs]


def known(run: Asked) -> Run | Exception | None:
    """What is known of a run: it is finished, or would end with values that are not finite.

    Else None. It is read from its file, if that is of this very address.
    """
    if run.place is None:
        return None
    try:
        # The small file tells in most cases.
        meta = json.loads(run.place.with_name(f"{run.place.name}.json").read_text())
        if meta["address"] != run.address or not (meta["complete"] or meta.get("not_finite")):
            return None
        found = Run.load(run.place)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if found.complete:
        return found
    problem = NonFiniteError(found.meta["stopped"])
    problem.run = found  # type: ignore[assignment]
    return problem


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
