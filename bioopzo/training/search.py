"""Learning rates found by search on the validation split, and the search itself.

The result is a data file in the package; `train` uses it for every parameter that the user does
not give. The test split is never looked at.

Candidates are proposed by optuna: at random first, then by its tree-structured Parzen estimator
(TPE; Bergstra et al. 2011), a few at a time. How many at a time depends on nothing, so that a
search comes out the same however many runs are trained side by side. A candidate that falls behind
the median after its first seed gets no second.

For going on nothing is needed but the runs: the same seed asks for the same candidates again, and
the runs that are there are taken. What optuna hears is kept in its own journal beside them, for its
own tools.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from bioopzo.arguments import at_a_time
from bioopzo.errors import InputError, unknown
from bioopzo.files import readable, writable, write_json
from bioopzo.model import Model
from bioopzo.tasks import Task
from bioopzo.text.equations import identifiers
from bioopzo.training.effect import without_effect
from bioopzo.training.runs import asked, computed, told_of
from bioopzo.training.saving import place_of_run
from bioopzo.training.train import checked_pair
from bioopzo.training.tuned import FILE, Tuned, entries_of, key_of, tuned_parameters, with_unit
from bioopzo.training.workers import workers
from bioopzo.versions import versions

#: Lowest and highest value of a parameter, by its name.
Ranges = Mapping[str, tuple[float, float]]
#: Seeds of a search: of every candidate, and of finalists from here on. Those of final numbers (0
#: and up, 1000 and up) are others.
SEEDS, FINAL_SEEDS = (2000, 2001), 2002
#: What optuna hears of a run whose values ran away: it takes medians, which -inf has not.
LOWEST = -1e300
#: Candidates that are proposed together, once the first half is scored.
AT_ONCE = 4


@dataclass
class Candidate:
    """One setting of a search: `parameters`, name -> number in base units, and `scores` by seed.

    `pruned`: it fell behind after its first seed. `mean` is that of its scores.
    """

    parameters: dict[str, float]
    scores: dict[int, float] = field(default_factory=dict)
    pruned: bool = False

    @property
    def mean(self) -> float:
        """The mean of its scores; -inf where values ran away under one."""
        return float(np.mean(list(self.scores.values())))


def search_space(model: Model, ranges: Ranges | None = None) -> dict[str, tuple[float, float]]:
    """The parameters that are searched: name -> (lowest, highest) in base units (Hz, second).

    Those of the model's text that declare a range; where a learning rate follows from the trials
    of the model's task (see `network.regime`), its range does, too. `ranges` gives others, also for
    parameters without one. Raises `InputError` for a name that the text does not use and for an
    empty range.
    """
    used = set().union(*map(identifiers, model.blocks.values())) & model.declared.keys()
    used -= model.spread.keys()  # what differs is the user's
    space = {}
    for name, told in model.declared.items():
        if name in used and told.search:
            usual, derived = told.default, model.regime.get(name, told.default)
            share = float(derived / usual)  # type: ignore[operator]
            space[name] = (told.search[0] * share, told.search[1] * share)
    for name, limits in (ranges or {}).items():
        if name not in used:
            raise unknown("parameter to search", name, used)
        low, high = limits
        if not 0 < low < high < np.inf:
            raise InputError(f"the range of {name} needs 0 < lowest < highest, not {limits}")
        space[name] = (low, high)
    return space


def _with_effect(space, asked_for, lost):
    """The ranges of what has an effect; `InputError` where none is left, or one was asked for."""
    left = {name: limits for name, limits in space.items() if name not in lost}
    if lost & {*(asked_for or {})} or (space and not left):
        names = " and ".join(sorted(lost & space.keys()))
        raise InputError(f"{names}: the optimizer adamw divides every change by its own size, so "
                         "that they have no effect: give "
                         'optimizer="sgd", or sweep the optimizer\'s rate, bz.sweep(model, task, '
                         '{"rate": [1e-3, 3e-3]}, engine="rate")')
    return left


def propose(model: Model, count: int, seed: int, ranges: Ranges | None = None,
            journal: Path | None = None) -> Iterator[list[Candidate]]:
    """The `count` settings of a search over logarithmic `ranges`, in groups, by optuna's TPE.

    The first is the value in force, the first half, rounded up, is one group. Whoever asks for the
    next group has given all of a group their scores for the first of `SEEDS`, sent None to hear
    which were pruned, and scored the others. optuna keeps its study in the file `journal`, where
    given: as JSON lines, written anew.
    """
    # start-up: optuna takes a third of a second, and only a search needs it
    import optuna
    from optuna.storages.journal import JournalFileBackend

    space = search_space(model, ranges)
    if not space:
        yield (only := [Candidate({})])
        yield only
        return
    first = -(-count // 2)
    distributions: dict[str, Any] = {
        name: optuna.distributions.FloatDistribution(low, high, log=True)
        for name, (low, high) in space.items()}
    with _quiet(optuna):
        kept = None
        if journal is not None:
            journal.unlink(missing_ok=True)
            kept = optuna.storages.JournalStorage(JournalFileBackend(str(journal)))
        study = optuna.create_study(
            storage=kept, study_name=key_of(model), direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=first),
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=first))
    usual = {name: float(model.parameters[name]) for name in space}
    study.enqueue_trial({name: float(np.clip(value, *space[name]))
                         for name, value in usual.items()})
    for group in (first, *(min(AT_ONCE, count - k) for k in range(first, count, AT_ONCE))):
        trials = [study.ask(distributions) for _ in range(group)]
        found = [Candidate({name: float(f"{value:.4g}") for name, value in trial.params.items()}
                           if trial.number else usual) for trial in trials]
        yield found
        for trial, one in zip(trials, found):
            trial.report(max(one.scores[SEEDS[0]], LOWEST), 0)
        for trial, one in zip(trials, found):
            one.pruned = bool(trial.should_prune())
        yield found
        for trial, one in zip(trials, found):
            study.tell(trial, None if one.pruned else max(one.mean, LOWEST),
                       optuna.trial.TrialState.PRUNED if one.pruned else None)


@contextmanager
def _quiet(optuna):
    """No line of optuna's about what it makes."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def tune(model: Model, task: Task, trials: int = 4000, count: int = 24, finalists: int = 5,
         seeds: int = 3, jobs: int | None = None, seed: int = 1, backend: str | None = "standalone",
         progress: bool = True, ranges: Ranges | None = None, engine: str = "spiking",
         executor: Any = None, out: str | PathLike | None = None, **settings: Any) -> Tuned:
    """Search the learning rates (and a rule's own parameters) of a `model` on a `task`.

    Scores are those of the validation split. `count` candidates are proposed by optuna, with
    `seed`: the values in force, more at random up to the half, the others by its TPE sampler. Each
    is trained with two seeds and the full number of `trials`; one that is below the median after
    the first of them gets no second. The best `finalists` are trained with `seeds` further seeds,
    and the highest mean validation accuracy (lowest loss for a task without classes) wins: of those
    that are within its standard error over seeds the one nearest the middle of the ranges, for
    values at the ends train one network as well, and fail in another. `ranges` (name -> (lowest,
    highest)) replaces ranges of `search_space`.
    With ``engine="rate"`` the candidates are runs of that engine with the `settings` of `train`:
    as one program, where that is faster. Under its adamw, which divides changes by their size, eta
    and eta_o are not searched. Else `jobs` runs of that engine or the compiled back end
    are trained at a time, each on one core (default: as many as there are cores), or by an
    `executor` as for `sweep`; the result is the same for any. With a folder `out` every run is
    saved there, and a search that was stopped goes on where it was; what every candidate came to
    is written there, too, as ``trials-....json`` and, for the tools of optuna, as its journal
    ``optuna-....log``. `backend` is that of `train`, `progress` says whether bars are shown.

    Returns `Tuned`: parameters with their units, for `Model.edit` and `compare`, and its `trials`.
    Raises `InputError` for a task without a validation split, for a wrong range, where nothing that
    is searched has an effect, and where the values of every candidate run away; `InterruptedRun`
    with the finished `.runs` for Ctrl-C, SIGTERM and SIGHUP.

    >>> found = bz.tune(model, task)
    >>> run = bz.train(model.edit(found), task)
    """
    checked_pair(model, task)
    jobs = at_a_time(jobs)
    if len(task.splits["validation"]) == 0:
        raise InputError(f"task {task.name} has no validation split to tune on")
    found = tuned_parameters(task.name, model)
    ranges = _with_effect({**search_space(model.for_task(task)), **(ranges or {})}, ranges,
                          without_effect(engine, settings, model))
    model = model.for_task(task, found)
    options = dict(trials=trials, evaluations=1, split="validation", engine=engine,
                   backend=backend if engine == "spiking" else None, **settings)
    at_once = jobs if engine == "rate" or backend == "standalone" or executor is not None else 1
    files: dict[str, Path | None] = dict.fromkeys(("trials", "optuna"))
    if out is not None:
        address = asked(model, task, [seed], options)[0].address
        files = {name: writable("out", out, f"{name}-{address}.{end}")
                 for name, end in (("trials", "json"), ("optuna", "log"))}
    places: list[Candidate] = []
    done: dict[Any, Any] = {}

    def scored(which, run_seeds):
        """Give candidates their scores with each of some seeds."""
        runs = [(one, run) for one in which for run in asked(
            model.edit(_with_units(model, one.parameters)), task, run_seeds, options)]
        if out is not None:
            runs = [(one, replace(run, place=place_of_run("out", out, run.address)))
                    for one, run in runs]
        for number, result in computed([run for _, run in runs], task, pool,
                                       at_once if executor is not None else 1, curves=True):
            done[len(done)] = result
            runs[number][0].scores[runs[number][1].seed] = _score(result)
            bar.update()

    limits = threadpool_limits(1) if engine == "rate" and executor is None else nullcontext()
    with limits, told_of("the search", done, None, out), \
            workers(executor, at_once, processes=False) as pool, \
            tqdm(total=len(SEEDS)*count + seeds*finalists, disable=not progress, unit="run",
                 desc=f"{key_of(model)} on {task.name}") as bar:
        groups = propose(model, count, seed, ranges, files["optuna"])
        for group in groups:
            # Nobody of the first half can fall behind: both seeds at once.
            scored(group, SEEDS[:1] if places else SEEDS)
            kept = [one for one in next(groups) if not one.pruned]
            scored(kept if places else [], SEEDS[1:])
            places += group
            bar.total -= (len(SEEDS) - 1)*(len(group) - len(kept))
        best = sorted((one for one in places if not one.pruned), key=lambda one: -one.mean)
        best = best[:finalists]
        scored(best, range(FINAL_SEEDS, FINAL_SEEDS + seeds))
    winner = _chosen(best, search_space(model, ranges))
    if winner.mean == -np.inf:
        raise InputError(f"the values of every candidate ran away on {task.name}: give ranges of "
                         f"smaller values, {', '.join(winner.parameters)}")
    result = Tuned(_with_units(model, winner.parameters), {
        "parameters": winner.parameters, "validation": winner.mean, "trials": trials,
        "candidates": len(places), "seeds": seeds + len(SEEDS),
        "at_edge": _at_edge(search_space(model, ranges), winner.parameters),
        "versions": versions()}, [_told(one) for one in places])
    if files["trials"] is not None:
        write_json(files["trials"],
                   {"task": task.name, "key": key_of(model), "seed": seed, **result.entry,
                    "candidates": result.trials})
    return result


def _told(one):
    """A candidate as JSON holds it; the score of a run whose values ran away is None."""
    return {"parameters": one.parameters, "pruned": one.pruned, "scores": {
        str(seed): None if score == -np.inf else score for seed, score in one.scores.items()}}


def _with_units(model, numbers):
    """Numbers in base units as the parameters of a model."""
    return {name: with_unit(value, model.declared[name].default)
            for name, value in numbers.items()}


def _score(run):
    """Validation accuracy of a run, or less its loss; nothing for one whose values ran away."""
    if isinstance(run, FloatingPointError):
        return -np.inf
    if isinstance(run, Exception):
        raise run
    return run.test_accuracy if run.test_accuracy is not None else -run.meta["test_loss"]


def _chosen(best, space):
    """The best candidate; of those within one standard error of it the most central one."""
    top = max(best, key=lambda one: one.mean)
    scores = list(top.scores.values())
    error = np.std(scores, ddof=1) / np.sqrt(len(scores)) if np.isfinite(top.mean) else 0.0
    return min((one for one in best if one.mean >= top.mean - error), key=lambda one: sum(
        (place - 0.5)**2 for place in _places(space, one.parameters).values()))


def _places(space, setting):
    """Where in its range a value lies, on a logarithmic scale: 0 is its lower end, 1 the upper.

    A value in force of 0, which no range holds, lies without end below it.
    """
    ends = {name: np.log(space[name]) for name in setting}
    with np.errstate(divide="ignore"):
        return {name: (np.log(value) - ends[name][0]) / (ends[name][1] - ends[name][0])
                for name, value in setting.items()}


def _at_edge(space, setting):
    """Parameters whose best value lies in the outer tenth of its range: widen and look again."""
    return [name for name, place in _places(space, setting).items() if not 0.1 <= place <= 0.9]


def tune_file(model: Model, task: Task, path: str | PathLike | None = None, **options: Any
              ) -> tuple[str, dict[str, Any]]:
    """Tune one model and write its entry into the data file; returns (key, entry).

    Raises `InputError` before anything runs where the file cannot be written, or is no such file.
    """
    if path is None:
        _check_usual(model, task)
    path = writable("path", path or str(resources.files("bioopzo") / FILE))
    _known_entries(path)
    entry = tune(model, task, **options).entry
    content = _known_entries(path)  # as it is now: another search may have written meanwhile
    content[task.name] = {**entries_of(content, task.name), key_of(model): entry}
    write_json(path, content)
    return key_of(model), entry


def _check_usual(model, task):
    """Refuse values of another network for the package's own file: all runs of a rule take them."""
    plain = Model([task.n_in, *task.hidden, task.n_out])
    # Values of a network of its own, recurrent ones too, are kept apart (`key_of`).
    differs = [what for what, mine, usual in (
        *((name.replace("_", " "), getattr(model, name), getattr(plain, name)) for name in (
            "neuron", "neuron_options", "reset", "refractory", "surrogate", "dropout",
            "state_reset", "freeze")),
        ("edits", model.edits, ()), ("parameters", dict(model.given), {}),
        ("hidden layers", model.given_network or tuple(model.sizes),
         model.given_network or tuple(plain.sizes))) if mine != usual]
    if differs:
        raise InputError("the package's own values are those of the networks of "
                         f"{task.name} as they come, and this one has other "
                         f"{' and '.join(differs)}: give a data file of your own (path, --out)")


def _known_entries(path):
    """What a data file of `tune_file` holds, nothing where there is none."""
    try:
        content = json.loads(readable(path).read_text()) if path.exists() else {}
    except (OSError, ValueError) as problem:
        raise InputError(f"{path} cannot be read as a file of tuned values: {problem}") from None
    if not isinstance(content, dict) or not all(
            isinstance(entries, (dict, str)) for entries in content.values()):
        raise InputError(f"{path} is no file of tuned values: task, then rule, then parameters")
    return content
