"""How a run ends: finished, or early with what was done; in any case saved."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import Any

from bioopzo.engines import stopping
from bioopzo.errors import InterruptedRun, NonFiniteError, NotSaved
from bioopzo.run import Run
from bioopzo.training.guards import warn_of_chance
from bioopzo.training.log import Log
from bioopzo.training.plan import Plan
from bioopzo.training.saving import save_incomplete, save_somewhere


@dataclass(frozen=True)
class Open:
    """A run under way: its `plan` and `log`, its engine's `driver`, the `place` where it is saved.

    `begin` is the time at which it began (`time.perf_counter`).
    """

    run: Run
    plan: Plan
    log: Log
    driver: Any
    place: str | PathLike | None
    begin: float


def ended(opened: Open, problem: Any) -> Any:
    """What ended a run early, with what was done in `.run`, which is saved."""
    stop: Any = _stopped(problem, f"after {opened.log.trials} of {opened.plan.trials} trials")
    opened.run.meta["stopped"] = _words(problem)
    opened.run.meta["not_finite"] = isinstance(problem, NonFiniteError)
    stop.run = _closed(opened, complete=False)
    if opened.place:
        with stopping.put_off():
            _keep(opened.run, opened.place, stop)
    return stop


def finished(opened: Open) -> Run | NotSaved:
    """A run that has come to its end, saved; or `NotSaved`, which has it."""
    run = _closed(opened, complete=True)
    try:
        with stopping.put_off():
            if opened.place:
                save_somewhere(run, opened.place)
    except NotSaved as lost:
        return lost
    except KeyboardInterrupt as problem:
        stop: Any = _stopped(problem, "when the run was finished")
        stop.run = run
        raise stop from None
    warn_of_chance(run, opened.driver.task)
    return run


@contextmanager
def before_training() -> Iterator[None]:
    """Within this context an interruption before the first trial is an `InterruptedRun`, too."""
    try:
        yield
    except KeyboardInterrupt as problem:
        if isinstance(problem, InterruptedRun):
            raise
        raise _stopped(problem, "before training began") from None


def _stopped(problem, when):
    """What is raised in place of a problem: `InterruptedRun` for Ctrl-C, else the problem."""
    if isinstance(problem, KeyboardInterrupt):
        stop = InterruptedRun(f"{_words(problem)} {when}")
        stop.number = getattr(problem, "number", stop.number)
        return stop
    return problem


def _words(problem):
    if isinstance(problem, KeyboardInterrupt):
        return str(problem) or "interrupted"
    return str(problem) or type(problem).__name__


def _closed(opened, complete):
    """The run with everything in it that the engine and the log hold."""
    run, driver = opened.run, opened.driver
    run.meta.update(driver.closing())
    opened.log.fill(run, driver.final(), complete)
    if driver.watch is not None:
        driver.watch.fill(run)
    run.meta["wall_s"] = round(time.perf_counter() - opened.begin, 3)
    return run


def _keep(run, place, stop):
    """Save a run that ended early; where that fails too, it is `stop` that is raised."""
    try:
        stop.add_note(f"the incomplete run is saved at {save_incomplete(run, place)}")
    except NotSaved as problem:
        stop.add_note(str(problem))
