"""Training: one door to both engines."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Any, overload

from tqdm.auto import tqdm

from bioopzo.arguments import whole_number
from bioopzo.checks.check import check
from bioopzo.engines import stopping
from bioopzo.errors import InputError, InterruptedRun, unknown
from bioopzo.model import Model
from bioopzo.network.clock import time_course
from bioopzo.run import Run
from bioopzo.tasks import Task
from bioopzo.training import rate, spiking
from bioopzo.training.address import addresses
from bioopzo.training.ends import Open, before_training, ended, finished
from bioopzo.training.guards import check_room, check_steps
from bioopzo.training.live import listener
from bioopzo.training.log import Listener, Log, keeps_decisions
from bioopzo.training.plan import Evaluations, Plan
from bioopzo.training.saving import place_of_run
from bioopzo.training.start import checked_start, note_holds, provenance
from bioopzo.training.tuned import tuned_parameters
from bioopzo.training.watch import checked_watch

#: What each engine says of itself: `settings`, `plan`, `fitted`, `backend`, and its `Driver`.
ENGINES = {"spiking": spiking, "rate": rate}


@overload
def train(model: Model, task: Task, trials: int | None = ..., seed: int = ...,
          **more: Any) -> Run: ...


@overload
def train(model: Model, task: Task, trials: int | None = ..., seed: Iterable[int] = ...,
          **more: Any) -> list[Run]: ...


def train(model: Model, task: Task, trials: int | None = None, seed: int | Iterable[int] = 0,
          backend: str | None = None, evaluations: Evaluations = None, split: str = "test",
          save: str | PathLike | None = None, progress: bool = True, lazy: bool = True,
          engine: str = "spiking", epochs: int | None = None, live: bool | Listener = False,
          evaluation_trials: int | None = None, start: Run | None = None, record: Any = None,
          record_trials: Any = None, **settings: Any) -> Run | list[Run]:
    """Train a model on a task, in the spiking engine (one trial at a time) or the rate engine.

    Parameters
    ----------
    model : Model
    task : Task
    trials : int
        Training trials (default 4000 in the spiking engine), from the split "train", and from
        "validation" too unless that is the split evaluated; reshuffled each time all were seen.
    seed : int, or several
        Draws the initial weights, the order of trials and all noise; not negative. Several seeds
        make a list of runs, in the rate engine as one program where that is faster (see `together`
        among its settings).
    backend : ``"numpy"``, ``"cython"``, ``"standalone"`` or None
        None: standalone for runs of ten trials and more, evaluations counted, where there is a
        compiler, and for any whose program is kept from before; else numpy.
    evaluations : int, or several
        Points of the learning curve after the start, or the numbers of trials after which there is
        one, such as [100, 300, 1000], beside the start and the end (default one in 100 trials, 2
        to 10; in the rate engine with `epochs`, one an epoch); each shows trials of `split` with
        plasticity and perturbation off: the last all of them, those before it `evaluation_trials`.
        Training is the same for any number.
    split : ``"test"`` or ``"validation"``
    save : path, optional
        Where the run is saved, also when it ends early (then marked incomplete); ``SAVE-SEED`` for
        each of several seeds. A finished run that is there already is replaced by a finished one
        only: an incomplete one is put beside it, at ``SAVE.incomplete``.
    progress : bool
        Whether a progress bar is shown.
    lazy : bool
        Of the spiking engine: False keeps every plasticity equation dense, as it is written.
    engine : ``"spiking"`` or ``"rate"``
    epochs : int
        In place of `trials`: how often every training trial is seen.
    live : bool or function
        True draws the learning curve in a notebook while it grows (elsewhere it only warns). A
        function is called with (trials, accuracy or None, loss) at every evaluation, or, if it
        takes four arguments, with all that is learned, and running statistics, by name, too:
        ``weights["forward_1.w"]``.
    evaluation_trials : int
        Held-out trials of every evaluation but the last: always the same ones, drawn evenly over
        the classes. Default: so many that all these evaluations together show half as many trials
        as training does, but 50 at least, and never more than `split` has.
    start : Run
        Go on from a trained run, of either engine: everything that is learned (weights, feedback)
        and every running statistic of it is taken over by name and shape; what cannot be is said
        in a `ModelWarning` and in ``run.meta["start"]``. Rule, edits and task may be others.
        Membranes, traces and what an optimiser keeps begin anew, and so does the schedule of the
        learning rates; ``t`` goes on.
    record : list of str
        Variables that are recorded at every step of some training trials, as `Run.record` names
        them, e.g. ``["hidden_1.a", "feedback_2.M[0, :]"]``; they come as ``run.recorded``. Training
        is the same as without.
    record_trials : sequence of int
        The numbers of these trials, from 0; default 10, evenly over the training.
    **settings
        Of the rate engine: `batch`, `activity`, `optimizer`, `rate`, `schedule` ..., see
        `engines.rate.settings.Settings`. Of both: `checkpoint`, a path that is written after every
        evaluation, and from which training goes on where it exists, to the same bits (of several
        seeds ``CHECKPOINT-SEED``); and `precision`, ``"single"`` (float32) or
        ``"double"`` (float64), in which all is computed and what comes back is given, but for
        times; default double in the spiking engine, single in the other.

    Returns
    -------
    Run, or a list with one a seed

    Raises
    ------
    InputError, EquationError
        Before anything runs; also where nothing can be written to `save`.
    NonFiniteError, InterruptedRun
        `.run` holds what was done, marked incomplete; so it does in any other error on the way. Of
        several seeds, the others are finished (and saved) first, but for an interruption.
    """
    options: dict[str, Any] = dict(
        trials=trials, backend=backend, evaluations=evaluations, split=split, lazy=lazy,
        engine=engine, epochs=epochs, live=live, evaluation_trials=evaluation_trials, start=start,
        record=record, record_trials=record_trials, **settings)
    if not isinstance(seed, Iterable) or isinstance(seed, str):
        found = train_group([Job(model, seed, save)], task, progress, **options)
    else:
        seeds = list(seed)
        if not seeds:
            raise InputError("seed is a whole number, or several: this is an empty list")
        jobs = [Job(model, s, f"{save}-{s}" if save else None,
                    f"{settings['checkpoint']}-{s}" if settings.get("checkpoint") else None)
                for s in seeds]
        found = train_group(jobs, task, progress, **options)
    for result in found:
        if isinstance(result, BaseException):
            raise result
    return found if isinstance(seed, Iterable) else found[0]  # type: ignore[return-value]


@dataclass(frozen=True)
class Job:
    """One of several runs: a `model`, a `seed`, and where it is saved and kept on the way.

    `fitted` is what `prepared` made of the model, and `address` that of the run, where they are
    known; `brief` whether evaluations before the last have a program of their own.
    """

    model: Model
    seed: int
    save: str | PathLike | None = None
    checkpoint: str | PathLike | None = None
    fitted: Model | None = None
    address: str = ""
    brief: bool = False


def train_group(jobs: Sequence[Job], task: Task, progress: bool = True, **options: Any
                ) -> list[Run | Exception]:
    """Several runs on a task, each a `Run` or the problem that ended it (`.run` of which is kept).

    Those of the rate engine with the same text run as one program where that is faster. `options`
    are further arguments of `train`. Raises `InputError` before anything runs, and what an
    interruption raises.
    """
    # What is wrong with the last is said before the first runs.
    checked = [_checked(job, task, **options) for job in jobs]
    opened = [partial(_opened, job, one, task, progress, **options)
              for job, one in zip(jobs, checked)]
    with stopping.heeded(), before_training():
        if options.get("engine", "spiking") == "rate" and len(jobs) > 1:
            return _grouped([make() for make in opened], progress)
        if any(job.checkpoint for job in jobs):  # one of another run is said before the first runs
            return [_alone(one, progress) for one in [make() for make in opened]]
        return [_alone(make(), progress) for make in opened]


def _checked(job, task, engine="spiking", live=False, start=None, record=None, record_trials=None,
             **options):
    """What a job is and says, all that can be wrong with it checked, and how long that took."""
    begin = time.perf_counter()
    seed = whole_number("seed", job.seed, least=0)
    checked_start(start)
    if job.checkpoint is not None:
        options["checkpoint"] = job.checkpoint
    model, plan, chosen = prepared(job.model, task, engine, fitted=job.fitted, **options)
    if job.fitted is None:
        check_on(model, task)
    watch = checked_watch(model, task, plan.trials, record, record_trials)
    place = place_of_run("save", job.save) if job.save else None
    return seed, model, plan, chosen, place, watch, time.perf_counter() - begin


def _opened(job, checked, task, progress, engine="spiking", split="test", live=False, start=None,
            **_):
    """A job that has been checked as a run under way."""
    seed, model, plan, chosen, place, watch, spent = checked
    begin = time.perf_counter() - spent
    log = Log(task.labels, listener(live, model, task, plan.trials), keeps_decisions(plan, task),
              watch)
    run = Run(model=model, task=task)
    run.meta.update(provenance(model, task, plan.trials, seed,
                               ENGINES[engine].backend(chosen, plan, model, task), split))
    note_holds(run, tqdm.write if progress else None)
    if start is None:  # where a run goes on from is no part of an address
        run.meta["address"] = job.address or addresses(model, task, plan, chosen, split, [seed])[0]
    driver = ENGINES[engine].Driver(run, plan, chosen, seed, log, tqdm.write if progress else None,
                                    start, watch)
    driver.brief = job.brief
    return Open(run, plan, log, driver, place, begin)


def _alone(opened, progress):
    """One run to its end: the `Run`, or the exception that ended it."""
    log = opened.log
    try:
        log.announce(0)
        with _bar([opened], progress) as bar:
            for stretch in opened.driver.stretches():
                stopping.look()
                opened.driver.run(stretch)
                bar.set_postfix_str(log.latest(), refresh=False)
                bar.update(len(stretch.samples))
    except BaseException as problem:
        stop = ended(opened, problem)
        if not isinstance(stop, Exception) or isinstance(stop, InterruptedRun):
            raise stop from (None if stop is not problem else problem.__cause__)
        return stop
    return finished(opened)


def _grouped(opened, progress):
    """Runs, those of one program side by side: each a `Run`, or the exception that ended it."""
    results: dict[int, Run | Exception] = {}
    groups: dict[Any, list[int]] = {}
    for k, one in enumerate(opened):
        groups.setdefault(rate.group_of(one.driver) or k, []).append(k)
    for members in groups.values():
        if len(members) == 1:
            results[members[0]] = _alone(opened[members[0]], progress)
        else:
            results |= _side_by_side({k: opened[k] for k in members}, progress)
    return [results[k] for k in range(len(opened))]


def _side_by_side(opened, progress):
    """Runs of one program in step; one that ends early leaves the others alone."""
    results: dict[int, Run | Exception] = {}
    going = {k: (one, one.driver.stretches()) for k, one in opened.items()}
    try:
        for one in opened.values():
            one.log.announce(0)
        with _bar(list(opened.values()), progress) as bar:
            while going:
                stopping.look()
                stretches = {k: s for k, (_, left) in going.items()
                             if (s := next(left, None)) is not None}
                if not stretches:  # all have the same plan
                    break
                problems = rate.run_together([going[k][0].driver for k in stretches],
                                             list(stretches.values()))
                for k, problem in zip(stretches, problems):
                    if problem is not None:
                        results[k] = ended(going.pop(k)[0], problem)
                bar.update(sum(len(s.samples) for s in stretches.values()))
    except BaseException as problem:
        stops = [ended(one, problem) for one, _ in going.values()]
        raise stops[0] from None
    return {**results, **{k: finished(one) for k, (one, _) in going.items()}}


def _bar(opened, progress):
    """The progress bar of a run, or of several side by side."""
    one, run = opened[0], opened[0].run
    log, plan, count = one.log, one.plan, len(opened)
    several = f", {count} runs" if count > 1 else ""
    return tqdm(total=count * plan.shown(plan.trials, len(plan.marks)), unit="trial", leave=False,
                delay=2, initial=count * plan.shown(log.trials, log.evaluations),
                disable=not progress,
                desc=f"{run.meta['rule']} on {run.meta['task']} ({run.meta['backend']}{several})")


def prepared(model: Model, task: Task, engine: str = "spiking", trials: int | None = None,
             epochs: int | None = None, evaluations: Evaluations = None, split: str = "test",
             evaluation_trials: int | None = None, fitted: Model | None = None, **settings: Any
             ) -> tuple[Model, Plan, Any]:
    """What `train` is asked for, checked: (the model for the task, the `Plan`, the settings).

    The arguments are those of `train`, `settings` those of the engine, `backend` and `lazy` among
    them; `fitted` is the model for the task, where it has been made before. Raises `InputError`.
    """
    if engine not in list(ENGINES):  # which may be given what cannot be hashed
        raise unknown("engine", engine, ENGINES)
    checked_pair(model, task)
    check_room(model)
    chosen = ENGINES[engine].settings(**settings)
    plan = ENGINES[engine].plan(task, split, trials, epochs, evaluations, evaluation_trials,
                                chosen)
    check_steps(model, plan.batch)
    if fitted is not None:
        return fitted, plan, chosen
    model = model.for_task(task, tuned_parameters(task.name, model))
    return ENGINES[engine].fitted(model, task, chosen), plan, chosen


def check_on(model: Model, task: Task) -> None:
    """Raise `InputError` for what is wrong with the text of a prepared `model`, or its `task`.

    A perturbation's holds have to fit into the task's trials, and to be long enough.
    """
    check(model, complete=False)
    time_course(model, task)


def checked_pair(model: object, task: object) -> None:
    """Refuse what is no `Model` or no `Task`, with what it could have been."""
    if isinstance(model, Task) and isinstance(task, Model):
        raise InputError("the model comes first, then the task: train(model, task)")
    if isinstance(model, Run):
        raise InputError("model is a Model, not a Run: to go on from a run, say "
                         "train(run.model, task, start=run)")
    if not isinstance(model, Model):
        raise InputError(f"model is a Model, not {named(model)}: bioopzo.Model([64, 32, 10])")
    checked_task(task)


def checked_task(task: object) -> None:
    """Refuse what is no `Task`."""
    if not isinstance(task, Task):
        raise InputError(f"task is a Task, not {named(task)}: one of bioopzo.tasks, or your own "
                         "arrays as bioopzo.tasks.from_arrays(X, y) or bioopzo.tasks.Task(...)")


def named(value: object) -> str:
    """What was given, in a word or two for a message: the value if it is short, else its type."""
    if value is None or isinstance(value, (str, int, float)):
        return repr(value)
    return f"a {type(value).__name__}"
