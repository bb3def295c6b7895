"""Sweeps: a model with every combination of some values, over several seeds, on any executor."""

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from itertools import product
from os import PathLike
from typing import Any

import numpy as np
from brian2.units import second
from brian2.units.fundamentalunits import Quantity, get_unit, have_same_dimensions
from tqdm.auto import tqdm

from bioopzo import rules
from bioopzo.arguments import at_a_time, checked_seeds
from bioopzo.errors import InputError, ModelWarning
from bioopzo.exact import described
from bioopzo.model import Model
from bioopzo.run import Run
from bioopzo.show.exports import optional
from bioopzo.tasks import Task
from bioopzo.training.effect import without_effect
from bioopzo.training.plan import Evaluations
from bioopzo.training.rate import alone_on_its_device
from bioopzo.training.runs import Asked, asked, computed, told_of, words_of
from bioopzo.training.saving import place_of_run
from bioopzo.training.train import ENGINES, checked_pair, named
from bioopzo.training.workers import workers

#: What has a place in the result already, and what to give instead.
TAKEN = {"seed": "seeds=", "seeds": "seeds=", "evaluation": "evaluations=",
         "evaluations": "evaluations=", "trials": "evaluations= (numbers of trials)",
         "epochs": "evaluations= (numbers of trials)", "engine": "engine=", "split": "split=",
         "checkpoint": "out="}


def sweep(model: Model, task: Task, values: Mapping[str, Iterable[Any]],
          seeds: Iterable[int] = range(3), executor: Any = None, out: str | PathLike | None = None,
          trials: int | None = None, epochs: int | None = None, engine: str = "spiking",
          backend: str | None = None, evaluations: Evaluations = None,
          evaluation_trials: int | None = None, split: str = "test", jobs: int | None = None,
          progress: bool = True, **settings: Any) -> Any:
    """Train a model with every combination of some values, over several seeds.

    Parameters
    ----------
    model : Model
    task : Task
    values : mapping name -> values
        ``{"eta": [5, 10, 20]*Hz, "alpha": [30, 60]*Hz}``. A name is that of a parameter, of an
        option of the rule (``"place"``), of a setting of the model (``"neuron"``, ``"dropout"``,
        ``"rule"`` ...), of a setting of the engine (``"batch"``), or of a line or block of text,
        with texts as `Model.edit` takes them.
    seeds : iterable of int
    executor : concurrent.futures.Executor, optional
        Where runs are computed: ``client.get_executor()`` of a Dask client, an executor of
        submitit or mpi4py. Default: `jobs` processes of this machine; with one job, this process.
        A process takes some seconds to begin: for a few short runs of the compiled back end
        ``ThreadPoolExecutor(2)`` is faster.
    out : path, optional
        Folder in which every run is saved as it ends (``ADDRESS.npz`` and ``.json``). A run is
        found there again by its address, a hash of model, task, settings, length, seed and
        versions: what is finished is never computed again, also on another machine with this
        folder. What was stopped goes on: of the rate engine, and of the spiking engine from 10,000
        trials on, at its last evaluation.
    trials, epochs, backend, evaluations, evaluation_trials, split
        As for `train`.
    engine : ``"spiking"`` or ``"rate"``
        In the rate engine runs of one text are one program where that is faster, on each worker.
    jobs : int
        How many workers there are; default: one on each core of this machine.
    progress : bool
        Whether a progress bar is shown, one step a run.
    **settings
        Of the engine, as for `train`.

    Returns
    -------
    xarray.Dataset
        With the dimensions of `values`, ``seed`` and ``evaluation``: ``accuracy`` (a task with
        classes) and ``loss`` at every evaluation, ``rates_hidden_1`` ... (Hz); ``test_accuracy``,
        ``test_loss``, ``wall_s``; ``run``, the address, and ``problem``, the words of what ended a
        run early (its numbers are NaN). ``trials`` says after how many trials evaluations were.
        Values are in base units, which their attributes name. `plots.sweep` draws it.

    A run whose worker died, or whose values ran away, is missing, with a `ModelWarning`; the others
    go on. The next call tries again those that may end otherwise.

    Raises `InputError` before anything runs for what `train` raises, names and values that cannot
    be swept, no executor, and where xarray is not installed; `InterruptedRun` with the finished
    `.runs` for Ctrl-C, SIGTERM and SIGHUP.
    """
    checked_pair(model, task)
    xarray = optional("xarray", "sweep")
    seeds, jobs = checked_seeds(seeds, "sweep"), at_a_time(jobs)
    if "checkpoint" in settings:
        raise InputError("checkpoint: a sweep keeps one of every run in its folder, see out")
    grid = {name: _checked_values(name, given) for name, given in _checked_grid(values).items()}
    options = dict(engine=engine, trials=trials, epochs=epochs, backend=backend,
                   evaluations=evaluations, evaluation_trials=evaluation_trials, split=split,
                   **settings)
    lost = without_effect(engine, {k: v for k, v in settings.items() if k not in grid}, model) \
        & {*grid}
    if lost and "optimizer" not in grid:
        warnings.warn(f"{' and '.join(sorted(lost))}: the optimizer adamw divides every change by "
                      'its own size, so that they have no effect; give optimizer="sgd", or sweep '
                      "rate", ModelWarning, stacklevel=2)
    runs: list[Asked] = []
    for point in product(*grid.values()):
        changed, own = _at(model, dict(zip(grid, point)), engine)
        runs += asked(changed, task, seeds, {**options, **own})
    if out is not None:
        runs = [replace(run, place=place_of_run("out", out, run.address)) for run in runs]
    count = 1 if executor is None and alone_on_its_device(engine, settings) else jobs
    found: dict[int, Run | Exception] = {}
    bar = tqdm(total=len(runs), unit="run", disable=not progress,
               desc=f"{task.name} ({', '.join(sorted({run.backend for run in runs}))})")
    with bar, told_of("the sweep", found, len(runs), out), \
            workers(executor, count, processes=True) as pool:
        for number, one in computed(runs, task, pool, count, curves=True):
            found[number] = one
            bar.update()
    in_order = [found[number] for number in range(len(runs))]
    result = _dataset(xarray, model, task, grid, seeds, runs, in_order)
    _warn_of_missing(grid, seeds, in_order)
    return result


# ---------------------------------------------------------------------------- values

def _checked_grid(values):
    if not isinstance(values, Mapping) or not values:
        raise InputError("values is a mapping from names to their values, such as "
                         f"{{\"eta\": [5, 10]*Hz}}, not {named(values)}")
    for name in values:
        if not isinstance(name, str):
            raise InputError(f"a name in values is a text, not {name!r}")
        if name in TAKEN:
            raise InputError(f"{name} is not swept: give {TAKEN[name]}")
    return values


def _checked_values(name, given):
    """The values of one name as a list, each once."""
    single = isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable) or (
        isinstance(given, np.ndarray) and not given.ndim)
    if single:
        raise InputError(f"the values of {name} are a list, such as [{given!r:.60}], not one")
    found = list(given)
    if not found:
        raise InputError(f"the list of values of {name} is empty")
    known = [json.dumps(described(value)) for value in found]
    for k, value in enumerate(found):
        if known[k] in known[:k]:
            raise InputError(f"{value!s:.60} stands twice among the values of {name}")
    return found


def _at(model, point, engine):
    """The model at a point of the grid, and the settings of the engine there."""
    engine_names = {field.name for field in fields(ENGINES.get(engine, ENGINES["spiking"])
                                                   .Settings)}
    own = {name: value for name, value in point.items()
           if name in engine_names and name not in model.declared}
    others = {name: value for name, value in point.items() if name not in own}
    chosen = rules.options(others.get("rule", model.rule_name))
    texts = {name: value for name, value in others.items() if isinstance(value, str)
             and name not in chosen and name not in Model.__dataclass_fields__ and name != "rule"}
    changed = model.replace(**{name: value for name, value in others.items() if name not in texts})
    return changed.edit(texts) if texts else changed, own


# ---------------------------------------------------------------------------- the result

def _dataset(xarray, model, task, grid, seeds, runs, found):
    """The `Dataset` of the runs, which are in the order of the grid, seeds last."""
    shape = (*map(len, grid.values()), len(seeds))
    kept = [one if isinstance(one, Run) else Run() for one in found]
    units = {key: run.units[key] for run in kept for key, values in run.arrays.items()
             if np.size(values) and key != "curve/held_out"}
    points = max((len(run.arrays["curve/trials"]) for run in kept if run.arrays), default=0)
    variables: dict[str, Any] = {}
    for key, unit in units.items():
        table = np.array([_padded(run.arrays.get(key), points) for run in kept])
        variables[key.removeprefix("curve/").replace("/", "_")] = (
            (*grid, "seed", "evaluation"), table.reshape(*shape, points), {"units": unit})
    for key in ("test_accuracy", "test_loss", "wall_s"):
        numbers = [run.meta.get(key) for run in kept]
        if any(number is not None for number in numbers):
            variables[key] = ((*grid, "seed"), np.array(numbers, float).reshape(shape))
    variables["run"] = ((*grid, "seed"), np.array([run.address for run in runs]).reshape(shape))
    variables["problem"] = ((*grid, "seed"), np.array(
        ["" if isinstance(one, Run) else words_of(one) for one in found]).reshape(shape))
    trials = variables.pop("trials", None)
    coordinates = {name: _coordinate(name, values) for name, values in grid.items()}
    coordinates["seed"] = ("seed", list(seeds))
    if trials is not None:
        rows = trials[1].reshape(-1, points)
        rows = rows[~np.isnan(rows).all(axis=1)]  # of missing runs; a shorter curve says its own
        if len(rows) and (rows == rows[0]).all():  # as long as nobody sweeps the batch
            coordinates["trials"] = ("evaluation", rows[0].astype(int))
        else:
            variables["trials"] = trials
    whole = next((run.meta for run in kept if run.meta), {})
    return xarray.Dataset(variables, coordinates, {
        "task": task.name, "rule": model.rule_name, "model": model.digest,
        "engine": whole.get("engine", "spiking"), "versions": json.dumps(whole.get("versions"))})


def _padded(values, points):
    """A curve of so many points, NaN where it has none."""
    found = np.full(points, np.nan)
    if values is not None:
        found[:len(values)] = values
    return found


def _coordinate(name, values):
    """The values of one name as a coordinate: numbers in base units, else words."""
    numbers = [isinstance(value, (int, float, np.number, Quantity)) and not np.ndim(value)
               and not isinstance(value, bool) for value in values]
    if not all(numbers) or not all(have_same_dimensions(value, values[0]) for value in values):
        return (name, [str(value) for value in values])
    if have_same_dimensions(values[0], 1):
        return (name, [value if isinstance(value, int) else float(value) for value in values])
    unit = "s" if have_same_dimensions(values[0], second) else str(get_unit(values[0].dim))
    return (name, [float(value) for value in values], {"units": unit})


def _warn_of_missing(grid, seeds, found):
    """Say which runs are missing, and why."""
    places = list(product(*grid.values(), seeds))
    lost = [f"{', '.join(f'{name}={value}' for name, value in zip([*grid, 'seed'], place))}: "
            f"{words_of(one)}" for place, one in zip(places, found) if not isinstance(one, Run)]
    if lost:
        more = f"\n... and {len(lost) - 5} more" if len(lost) > 5 else ""
        warnings.warn(f"{len(lost)} of {len(found)} runs are missing:\n" + "\n".join(lost[:5])
                      + more, ModelWarning, stacklevel=3)
