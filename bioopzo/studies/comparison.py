"""What the comparisons of both engines share: their models, and the numbers that are kept."""

from brian2 import ms

from bioopzo.model import Model
from bioopzo.studies.quantities import with_units

#: Of a row of `Comparison.table`, what a clock says.
TIMES = ("build_s", "wall_s")


def models_of(parameters, task, **common):
    """label -> `Model`, by the `parameters` of a comparison on `task`.

    ``parameters["models"]`` maps a label, which starts with the rule, to keywords, units in the
    names, of which ``"edit"`` are changes of the text and of parameters, as `Model.edit` takes
    them; ``parameters["network"]``, an architecture's text, or ``parameters["hidden"]`` replaces
    the task's hidden layers. `common` are keywords of all.
    """
    sizes = parameters.get("network") or [
        task.n_in, *(parameters.get("hidden") or task.hidden), task.n_out]
    models = {}
    for label, keywords in parameters["models"].items():
        changes = with_units(keywords.get("edit", {}))
        keywords = {k: v for k, v in keywords.items() if k != "edit"}
        models[label] = Model(sizes, rule=label.split(",")[0],
                              **{**common, **with_units(keywords)}).edit(changes)
    return models


def numbers(result):
    """What is kept of a comparison, `result`: rows, parameters as they were used, curves, times."""
    rows = result.table()
    return {
        "task": result.task.name, "data": result.task.description,
        "dt_ms": float(result.task.dt / ms),
        "rows": [{k: v for k, v in row.items() if k not in TIMES} for row in rows],
        "sizes": {label: runs[0].meta["sizes"] for label, runs in result.runs.items()},
        "models": {label: runs[0].meta["parameters"] for label, runs in result.runs.items()},
        "curves": {label: {"trials": runs[0].arrays["curve/trials"],
                           "held_out": runs[0].arrays["curve/held_out"],
                           "accuracy": [run.arrays["curve/accuracy"] for run in runs],
                           "loss": [run.arrays["curve/loss"] for run in runs]}
                   for label, runs in result.runs.items()},
        "timing": {"runs": {row["label"]: {k: row[k] for k in TIMES} for row in rows}},
    }
