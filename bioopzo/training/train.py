"""Training: one door to both engines."""

import time
from os import PathLike
from typing import Any

from tqdm.auto import tqdm

from bioopzo.arguments import whole_number
from bioopzo.checks.check import check
from bioopzo.errors import InputError, InterruptedRun, unknown
from bioopzo.files import writable
from bioopzo.model import Model
from bioopzo.run import Run
from bioopzo.tasks import Task
from bioopzo.training import rate, spiking
from bioopzo.training.live import listener
from bioopzo.training.log import Listener, Log
from bioopzo.training.plan import Plan
from bioopzo.training.saving import save_incomplete
from bioopzo.training.start import provenance
from bioopzo.training.tuned import tuned_parameters

#: What each engine says of itself: `settings`, `plan`, `fitted`, `backend`, and its `Driver`.
ENGINES = {"spiking": spiking, "rate": rate}


def train(model: Model, task: Task, trials: int | None = None, seed: int = 0,
          backend: str | None = None, evaluations: int | None = None, split: str = "test",
          save: str | PathLike | None = None, progress: bool = True, lazy: bool = True,
          engine: str = "spiking", epochs: int | None = None, live: bool | Listener = False,
          **settings: Any) -> Run:
    """Train a model on a task, in the spiking engine (one trial at a time) or the rate engine.

    Parameters
    ----------
    model : Model
    task : Task
    trials : int
        Training trials (default 4000 in the spiking engine), from the split "train", and from
        "validation" too unless that is the split evaluated; reshuffled each time all were seen.
    seed : int
        Draws the initial weights, the order of trials and all noise; not negative.
    backend : ``"numpy"``, ``"cython"``, ``"standalone"`` or None (by length).
    evaluations : int
        Points of the learning curve after the start (default 10; in the rate engine with
        `epochs`, one an epoch); each evaluates every trial of `split` with plasticity and
        perturbation off.
    split : ``"test"`` or ``"validation"``
    save : path, optional
        Where the run is saved, also when it ends early (then marked incomplete). A finished run
        that is there already is replaced by a finished one only: an incomplete one is put beside
        it, at ``SAVE.incomplete``.
    progress : bool
        Whether a progress bar is shown.
    lazy : bool
        Of the spiking engine: False keeps every plasticity equation dense, as it is written.
    engine : ``"spiking"`` or ``"rate"``
    epochs : int
        In place of `trials`: how often every training trial is seen (default 10 in the rate
        engine).
    live : bool or function
        True draws the learning curve in a notebook while it grows (elsewhere it only warns). A
        function is called with (trials, accuracy or None, loss) at every evaluation; the spiking
        engine reads an evaluation with the trial after it, so it comes one chunk late.
    **settings
        Of the rate engine: `batch`, `activity`, `optimizer`, `rate`, `schedule`, `checkpoint` ...,
        see `engines.rate.settings.Settings`.

    Returns
    -------
    Run

    Raises
    ------
    InputError, EquationError
        Before anything runs; also where nothing can be written to `save`.
    NonFiniteError, InterruptedRun
        `.run` holds what was done, marked incomplete; so it does in any other error on the way.
    """
    begin = time.perf_counter()
    seed = whole_number("seed", seed, least=0)
    model, plan, chosen = prepared(model, task, engine, trials, epochs, evaluations, split,
                                   backend=backend, lazy=lazy, **settings)
    check(model, complete=False)
    log = Log(task.labels, listener(live, model, task, plan.trials))
    place = writable("save", save) if save else None
    run = Run(model=model, task=task)
    run.meta.update(provenance(model, task, plan.trials, seed,
                               ENGINES[engine].backend(chosen, plan), split))
    driver = ENGINES[engine].Driver(run, plan, chosen, seed, log,
                                    tqdm.write if progress else None)
    try:
        _go(driver, run, plan, log, progress)
    except BaseException as problem:
        stop = _stopped(problem, log, plan)
        run.meta["stopped"] = _words(problem)
        stop.run = _closed(run, driver, log, begin, complete=False)
        if place:
            _keep(run, place, stop)
        if stop is problem:
            raise
        raise stop from None
    _closed(run, driver, log, begin, complete=True)
    if place:
        run.save(place)
    return run


def prepared(model: Model, task: Task, engine: str = "spiking", trials: int | None = None,
             epochs: int | None = None, evaluations: int | None = None, split: str = "test",
             **settings: Any) -> tuple[Model, Plan, Any]:
    """What `train` is asked for, checked: (the model for the task, the `Plan`, the settings).

    The arguments are those of `train`, `settings` those of the engine, `backend` and `lazy` among
    them. Raises `InputError`.
    """
    if engine not in list(ENGINES):  # which may be given what cannot be hashed
        raise unknown("engine", engine, ENGINES)
    checked_pair(model, task)
    chosen = ENGINES[engine].settings(**settings)
    plan = ENGINES[engine].plan(task, split, trials, epochs, evaluations, chosen)
    model = model.for_task(task, tuned_parameters(task.name, model))
    return ENGINES[engine].fitted(model, task, chosen), plan, chosen


def checked_pair(model: object, task: object) -> None:
    """Refuse what is no `Model` or no `Task`, with what it could have been."""
    if isinstance(model, Task) and isinstance(task, Model):
        raise InputError("the model comes first, then the task: train(model, task)")
    if isinstance(model, Run):
        raise InputError("model is a Model, not a Run: a run's model is run.model, and it is "
                         "trained anew, not further")
    if not isinstance(model, Model):
        raise InputError(f"model is a Model, not {named(model)}: bioopzo.Model([64, 32, 10])")
    checked_task(task)


def checked_task(task: object) -> None:
    """Refuse what is no `Task`."""
    if not isinstance(task, Task):
        raise InputError(f"task is a Task, not {named(task)}: one of bioopzo.tasks, or your own "
                         "arrays as bioopzo.tasks.Task(...)")


def named(value: object) -> str:
    """What was given, in a word or two for a message: the value if it is short, else its type."""
    if value is None or isinstance(value, (str, int, float)):
        return repr(value)
    return f"a {type(value).__name__}"


def _go(driver, run, plan, log, progress):
    """Run all stretches that are left, with a bar; whoever listens hears those before, too."""
    log.announce(0)
    bar = tqdm(total=plan.shown(plan.trials, len(plan.marks)), unit="trial", leave=False, delay=2,
               initial=plan.shown(log.trials, log.evaluations), disable=not progress,
               desc=f"{run.meta['rule']} on {run.meta['task']} ({run.meta['backend']})")
    with bar:
        for stretch in driver.stretches():
            driver.run(stretch)
            bar.set_postfix_str(log.latest(), refresh=False)
            bar.update(len(stretch.samples) - stretch.last)


def _stopped(problem, log, plan):
    """What is raised in place of a problem: `InterruptedRun` for Ctrl-C, else the problem."""
    if isinstance(problem, KeyboardInterrupt):
        return InterruptedRun(f"interrupted after {log.trials} of {plan.trials} trials")
    return problem


def _words(problem):
    if isinstance(problem, KeyboardInterrupt):
        return str(problem) or "interrupted"
    return str(problem) or type(problem).__name__


def _closed(run, driver, log, begin, complete):
    """The run with everything in it that the engine and the log hold."""
    run.meta.update(driver.closing())
    log.fill(run, driver.final(), complete)
    run.meta["wall_s"] = round(time.perf_counter() - begin, 3)
    return run


def _keep(run, place, stop):
    """Save a run that ended early; where that fails too, it is `stop` that is raised."""
    try:
        kept = save_incomplete(run, place)
    except (OSError, ValueError) as problem:  # no room; a rate that JSON cannot hold
        stop.add_note(f"the incomplete run could not be saved: {problem}")
    else:
        stop.add_note(f"the incomplete run is saved at {kept}")
