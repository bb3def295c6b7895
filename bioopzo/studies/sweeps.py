"""The command `bioopzo sweep`: a table, a picture and numbers of a sweep."""

import importlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bioopzo.errors import InputError
from bioopzo.files import write_json
from bioopzo.plots.styles import figure, save
from bioopzo.plots.sweeps import sweep as drawn
from bioopzo.training.sweep import sweep


def command(model, task, values, options, settings):
    """Run what was asked for, print the means, write ``sweep.json`` and draw ``sweep.png``."""
    if not values:
        raise InputError("nothing is swept: give several values, e.g. --set eta=5,10,20*Hz")
    with asked_executor(options.executor, options.out) as executor:
        found = sweep(model, task, values, range(options.seeds), executor, options.out,
                      trials=options.trials, epochs=options.epochs, engine=options.engine,
                      backend=options.backend, evaluations=options.evaluations,
                      evaluation_trials=options.evaluation_trials, jobs=options.jobs, **settings)
    rows = table(found)
    for path in (Path(options.out) / "sweep.json", options.json):
        if path:
            write_json(path, {"task": task.name, "rule": model.rule_name, "rows": rows})
    measure = "test_accuracy" if "test_accuracy" in found else "test_loss"
    if measure not in found:
        problems = dict.fromkeys(row["problem"] for row in rows if row["problem"])
        raise InputError(f"all {len(rows)} runs are missing: {'; '.join(problems)}")
    print(f"{task.name}: held-out {measure[5:]}, {options.seeds} seed(s)")
    names = list(values)
    by_point = {}
    for row in rows:
        by_point.setdefault(tuple(row[name] for name in names), []).append(row[measure])
    for point, scores in by_point.items():
        there = [score for score in scores if score is not None]
        words = f"{np.mean(there):.4f}" if there else "-"
        lost = f" ({len(scores) - len(there)} missing)" * (len(there) < len(scores))
        print(", ".join(f"{name}={value}" for name, value in zip(names, point))
              + f": {words}{lost}")
    if len(names) <= 2 and any(row[measure] is not None for row in rows):
        fig, ax = figure()
        drawn(found, ax)
        for path in save(fig, Path(options.out) / "sweep"):
            print(f"figure: {path}")


def table(found):
    """A row for every run of a sweep's `Dataset`: values in base units, seed, scores, address."""
    names = list(found["run"].dims)
    rows = []
    for place in np.ndindex(found["run"].shape):
        at = dict(zip(names, place))
        row = {name: found[name].values[k].item() for name, k in at.items()}
        for name in ("test_accuracy", "test_loss", "run", "problem"):
            if name in found:
                value = found[name].values[place].item()
                row[name] = None if value != value else value
        rows.append(row)
    return rows


@contextmanager
def asked_executor(word, out):
    """The executor that the shell names: ``dask:ADDRESS``, ``submitit``, or none."""
    kind, _, address = (word or "").partition(":")
    if not word:
        yield None
    elif kind == "dask" and address:
        client = _imported("distributed", "dask[distributed]").Client(address)
        try:
            yield client.get_executor()
        finally:
            client.close()
    elif word == "submitit":
        yield _imported("submitit", "submitit").AutoExecutor(folder=Path(out) / "submitit")
    else:
        raise InputError(f"--executor is dask:ADDRESS, such as dask:tcp://10.0.0.1:8786, or "
                         f"submitit, not {word!r}")


def _imported(package, name):
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError:
        raise InputError(f"--executor needs {name}, which is not installed; install it with: "
                         f"pip install '{name}'") from None
