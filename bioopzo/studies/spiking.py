"""Rules compared in the spiking engine, one trial at a time; learning rates tuned for each.

A study trains models on a task over several seeds and may measure something on the trained
networks. Its parameters: `task` with `task_options`; `test_more`, whether the validation trials are
held out with the test's, for data sets with few; `models`, label -> keywords of `Model` (the label
starts with the rule); `trials`, `evaluations` and `seeds`, how many from `first_seed` on; and
`measure`: ``"alignment"``, the feedback against the expected Jacobian, ``"costs"``, the time of a
trial, ``"reward"``, the mean reward where nothing else comes back, or empty; `reward_only` makes a
task such a one.
"""

import numpy as np

from bioopzo import tasks
from bioopzo.measures.spiking import alignment
from bioopzo.studies import tables
from bioopzo.studies.comparison import models_of, numbers
from bioopzo.studies.costs import costs
from bioopzo.studies.curves import curves, reward_curves
from bioopzo.training.compare import compare


def compute(parameters, jobs, progress, saved):
    """The numbers of a study with these `parameters`, `jobs` runs at a time.

    `progress` says whether a bar is shown; `saved` is the folder of the saved runs.
    """
    p = parameters
    task = task_of(p)
    seeds = range(p["first_seed"], p["first_seed"] + p["seeds"])
    result = compare(models_of(p, task), task, seeds=seeds, trials=p["trials"],
                     evaluations=p["evaluations"], jobs=jobs, progress=progress, out=saved)
    data = {**numbers(result), "coding": task.coding,
            "splits": {name: len(members) for name, members in task.splits.items()}}
    if p["measure"] == "alignment":
        data["alignment"] = _alignment(result, jobs, progress)
    if p["measure"] == "costs":
        data["timing"]["cpu_ms_per_trial"] = costs(task, list(task.hidden))
    return data


def task_of(parameters):
    """The task, with the splits that the `parameters` of a study ask for."""
    task = tasks.get(parameters["task"], **parameters["task_options"])
    task = tasks.with_reward(task) if parameters["reward_only"] else task
    if not parameters["test_more"]:
        return task
    held = np.concatenate([task.splits["validation"], task.splits["test"]])
    return task.replace(splits={**task.splits, "validation": np.array([], int), "test": held})


def _alignment(result, jobs, progress):
    """cos(M, J) and |M|/|J| per label, layer and seed."""
    cosines = {}
    for label, runs in result.runs.items():
        found = [alignment(run, seed=run.meta["seed"], jobs=jobs, progress=progress)
                 for run in runs]
        cosines[label] = {str(layer): {"cosine": [f[layer][0] for f in found],
                                       "ratio": [f[layer][1] for f in found]}
                          for layer in found[0]}
    return cosines


def draw(content):
    """Learning curves of a study with this `content`."""
    if content["parameters"].get("measure") == "reward":
        return reward_curves(content)
    return curves(content, early=isinstance(content["parameters"]["evaluations"], list))


def table(content, view=""):
    """The table of a study with this `content`; `view` ``"trial_costs"``: what a trial costs."""
    if view == "trial_costs":
        return tables.trial_costs(content)
    if content["parameters"].get("measure") == "reward":
        return tables.rewards(content)
    return tables.feedback(content) if "alignment" in content else tables.scores(content)
