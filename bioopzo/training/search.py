"""Learning rates found by search on the validation split, and the search itself.

The result is a data file in the package; `train` uses it for every parameter that the user does
not give. The test split is never looked at.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib import resources
from os import PathLike
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
from bioopzo.training.runs import asked, computed, told_of
from bioopzo.training.saving import place_of_run
from bioopzo.training.start import versions
from bioopzo.training.train import checked_pair
from bioopzo.training.tuned import FILE, Tuned, entries_of, key_of, tuned_parameters, with_unit
from bioopzo.training.workers import workers

#: Lowest and highest value of a parameter, by its name.
Ranges = Mapping[str, tuple[float, float]]


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


def candidates(model: Model, count: int, seed: int, ranges: Ranges | None = None
               ) -> list[dict[str, float]]:
    """`count` settings spread evenly (Sobol) over the search ranges, on a logarithmic scale.

    The first is the value in force. Returns a list of dicts name -> number in base units.
    """
    # start-up: scipy.stats is slow, and only a search draws with it
    from scipy.stats import qmc

    space = search_space(model, ranges)
    if not space:
        return [{}]
    points = qmc.Sobol(len(space), rng=np.random.default_rng(seed)).random_base2(
        max(1, int(np.ceil(np.log2(count)))))
    low, high = np.log([s[0] for s in space.values()]), np.log([s[1] for s in space.values()])
    settings = [{n: float(model.parameters[n]) for n in space}]
    for point in low + points * (high - low):
        settings.append({n: float(f"{np.exp(v):.4g}") for n, v in zip(space, point)})
    return settings[:count]


def tune(model: Model, task: Task, trials: int = 4000, count: int = 24, finalists: int = 5,
         seeds: int = 3, jobs: int | None = None, seed: int = 1, backend: str | None = "standalone",
         progress: bool = True, ranges: Ranges | None = None, engine: str = "spiking",
         executor: Any = None, out: str | PathLike | None = None, **settings: Any) -> Tuned:
    """Search the learning rates (and a rule's own parameters) of a `model` on a `task`.

    Scores are those of the validation split. Half of the `count` candidates, drawn with `seed`, are
    spread over the ranges, half lie near the best of those; each is
    trained with two seeds and the full number of `trials`. The best `finalists` are trained with
    `seeds` further seeds, and the highest mean validation accuracy (lowest loss for a task
    without classes) wins. `ranges` (name -> (lowest, highest)) replaces ranges of `search_space`.
    With ``engine="rate"`` the candidates are runs of that engine with the `settings` of `train`:
    as one program, where that is faster. Else `jobs` runs of that engine or the compiled back end
    are trained at a time, each on one core (default: as many as there are cores), or by an
    `executor` as for `sweep`; the result is the same for any. With a folder `out` every run is
    saved there, and a search that was stopped goes on where it was. `backend` is that of `train`,
    `progress` says whether bars are shown.

    Returns `Tuned`: parameters with their units, for `Model.edit` and `compare`. Raises
    `InputError` for a task without a validation split, for a wrong range, and where the values of
    every candidate run away; `InterruptedRun` with the finished `.runs` for Ctrl-C, SIGTERM and
    SIGHUP.

    >>> found = bz.tune(model, task)
    >>> run = bz.train(model.edit(found), task)
    """
    checked_pair(model, task)
    jobs = at_a_time(jobs)
    if len(task.splits["validation"]) == 0:
        raise InputError(f"task {task.name} has no validation split to tune on")
    found = tuned_parameters(task.name, model)
    ranges = {**search_space(model.for_task(task)), **(ranges or {})}
    model = model.for_task(task, found)
    options = dict(trials=trials, evaluations=1, split="validation", engine=engine,
                   backend=backend if engine == "spiking" else None, **settings)
    at_once = jobs if engine == "rate" or backend == "standalone" or executor is not None else 1
    places = candidates(model, -(-count // 2), seed, ranges)
    done: dict[Any, Any] = {}

    def scored(which, run_seeds, stage):
        """The score of each (candidate, seed)."""
        runs = [(k, run) for k in which for run in asked(
            model.edit(_with_units(model, places[k])), task, run_seeds, options)]
        if out is not None:
            runs = [(k, replace(run, place=place_of_run("out", out, run.address)))
                    for k, run in runs]
        found = {}
        with tqdm(total=len(runs), disable=not progress, unit="run",
                  desc=f"{key_of(model)} on {task.name}, {stage}") as bar:
            for number, one in computed([run for _, run in runs], task, pool,
                                        at_once if executor is not None else 1, curves=True):
                done[stage, number] = one
                found[runs[number][0], runs[number][1].seed] = _score(one)
                bar.update()
        return found

    limits = threadpool_limits(1) if engine == "rate" and executor is None else nullcontext()
    with limits, told_of("the search", done, None, out), \
            workers(executor, at_once, processes=False) as pool:
        scores = scored(range(len(places)), (1000, 1001), "wide")
        first = [float(np.mean([scores[k, 1000], scores[k, 1001]])) for k in range(len(places))]
        near = refined(places, first, count - len(places), np.random.default_rng(seed))
        new = range(len(places), len(places) + len(near))
        places += near
        scores |= scored(new, (1000, 1001), "near")
        first += [float(np.mean([scores[k, 1000], scores[k, 1001]])) for k in new]
        best = sorted(range(len(places)), key=lambda k: -first[k])[:finalists]
        scores |= scored(best, range(1002, 1002 + seeds), "best")
    means = {k: float(np.mean([v for (j, _), v in scores.items() if j == k])) for k in best}
    winner = max(means, key=lambda k: means[k])
    if means[winner] == -np.inf:
        raise InputError(f"the values of every candidate ran away on {task.name}: give ranges of "
                         f"smaller values, {', '.join(places[winner])}")
    return Tuned(_with_units(model, places[winner]), {
        "parameters": places[winner], "validation": means[winner], "trials": trials,
        "candidates": len(places), "seeds": seeds + 2,
        "at_edge": _at_edge(search_space(model, ranges), places[winner]), "versions": versions(),
    })


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


def refined(settings: Sequence[Mapping[str, float]], scores: Sequence[float], count: int,
            rng: np.random.Generator, spread: float = 0.4, around: int = 3
            ) -> list[dict[str, float]]:
    """`count` settings near the best `around`, each value times exp(normal(0, spread))."""
    best = sorted(range(len(settings)), key=lambda k: -scores[k])[:around]
    return [{n: float(f"{v * np.exp(rng.normal(0, spread)):.4g}")
             for n, v in settings[best[k % len(best)]].items()} for k in range(count)]


def _at_edge(space, setting):
    """Parameters whose best value lies in the outer tenth of its range: widen and look again."""
    edge = []
    for name, value in setting.items():
        low, high = np.log(space[name])
        if not 0.1 <= (np.log(value) - low) / (high - low) <= 0.9:
            edge.append(name)
    return edge


def tune_file(model: Model, task: Task, path: str | PathLike | None = None, **options: Any
              ) -> tuple[str, dict[str, Any]]:
    """Tune one model and write its entry into the data file; returns (key, entry).

    Raises `InputError` before anything runs where the file cannot be written, or is no such file.
    """
    path = writable("path", path or str(resources.files("bioopzo") / FILE))
    _known_entries(path)
    entry = tune(model, task, **options).entry
    content = _known_entries(path)  # as it is now: another search may have written meanwhile
    content[task.name] = {**entries_of(content, task.name), key_of(model): entry}
    write_json(path, content)
    return key_of(model), entry


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
