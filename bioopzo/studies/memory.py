"""Tasks that need a memory, in the rate engine with spikes: each rule at the rate found for it.

A study trains recurrent networks of one hidden layer. Its parameters: `task` with `task_options`,
units in the names; `hidden` neurons; `models`, label -> keywords of `Model` (the label starts with
the rule); the settings `common` to all; and the search, which is the same for every label: each of
the optimiser's `rates` is tried with `search_seeds` seeds from 0 on for `search_epochs`, and what
counts is the validation split. With the best one, networks are trained for `epochs` with `seeds`
seeds from `first_seed` on, which the search has not seen, and measured on the test split.
"""

import numpy as np

from bioopzo import tasks
from bioopzo.studies import tables
from bioopzo.studies.comparison import models_of, numbers
from bioopzo.studies.curves import curves
from bioopzo.studies.quantities import with_units
from bioopzo.training.compare import compare

#: Of every model; a mask of dropout would take part of what is kept in mind.
NETWORK = {"recurrent": True, "dropout": 0.0}
SETTINGS = {"activity": "spikes", "optimizer": "adamw"}


def compute(parameters, jobs, progress, saved):
    """The numbers of a study with these `parameters`.

    `jobs` runs at a time, with a bar where `progress`; `saved` is the folder of the saved runs.
    """
    p = parameters
    task = tasks.get(p["task"], **with_units(p["task_options"]))
    models = models_of(p, task, **NETWORK)
    common = {**SETTINGS, **p["common"]}
    options = dict(jobs=jobs, progress=progress, engine="rate")
    search = _searched(models, task, p, {**options, "out": saved / "search", "settings": common})
    best = {label: {"rate": _best(found)} for label, found in search.items()}
    seeds = range(p["first_seed"], p["first_seed"] + p["seeds"])
    result = compare(models, task, seeds=seeds, epochs=p["epochs"], evaluations=p["evaluations"],
                     out=saved, settings={**common, **best}, **options)
    return {**numbers(result), "engine": "rate", "epochs": p["epochs"], "search": {
        label: {"rate": best[label]["rate"], "validation": found}
        for label, found in search.items()}}


def _searched(models, task, p, options):
    """Scores on the validation split: label -> list of [rate, score], higher is better."""
    validation = task.replace(splits={**task.splits, "validation": np.array([], int),
                                      "test": task.splits["validation"]})
    found = {label: [] for label in models}
    for rate in p["rates"]:
        given = {**options, "out": options["out"] / f"{rate:g}",
                 "settings": {**options["settings"], "rate": rate}}
        result = compare(models, validation, seeds=range(p["search_seeds"]),
                         epochs=p["search_epochs"], evaluations=1, **given)
        for row in result.table():
            sign = 1 if row["measure"] == "test_accuracy" else -1
            found[row["label"]].append([rate, sign * row["mean"]])
    return found


def _best(found):
    """The rate with the highest score; of equal ones the lowest."""
    return max(found, key=lambda pair: (pair[1], -pair[0]))[0]


def draw(content):
    """Learning curves of a study with this `content`; of the loss, where there are no classes."""
    return curves(content)


def table(content, view=""):
    """The table of a study with this `content`: spread over seeds, interval, and the rate found."""
    return tables.scores(content)
