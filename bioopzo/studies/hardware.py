"""A trained convolutional network is put on noisy hardware and fine-tuned there by each rule.

The network learns by backpropagation, without noise. On the hardware every membrane has Gaussian
noise before the threshold, new in every step and as strong in held-out trials; each rule starts
from the same network and trains it on for a part of a pass. OPZO brings a perturbation of its own
beside that noise, and its feedback synapses start at zero.

Parameters: `task` with `task_options`, `network` and `regime`, as for rate.py; `common` settings
and `epochs` of the training without noise; `noise`, standard deviations, the threshold being 1;
`models`, the rules that fine-tune, label -> keywords of `Model`, for so many `trials` at one of
the `rates`: each label's is the best on the validation split with the `search_seed` under the
strongest noise. What is shown is the test split, with `seeds` seeds from `first_seed` on.

Source: Xiao et al. 2024 (OPZO), section 5.4, table 4 and appendix C.2.2.
"""

import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
from tqdm.auto import tqdm

from bioopzo import tasks
from bioopzo.errors import ModelWarning
from bioopzo.exact import digest
from bioopzo.run import Run
from bioopzo.studies.comparison import models_of
from bioopzo.studies.quantities import with_units
from bioopzo.studies.tables import spread
from bioopzo.training.compare import compare
from bioopzo.training.living import alive
from bioopzo.training.train import train

NETWORK = {"neuron": "deterministic", "dropout": 0.0}
SETTINGS = {"engine": "rate", "activity": "deterministic", "progress": False}


def compute(parameters, jobs, progress, saved):
    """The numbers of a study with these `parameters`.

    `jobs` runs at a time, with a bar where `progress`; `saved` is the folder of the saved runs.
    """
    p = parameters
    task = tasks.get(p["task"], **p["task_options"])
    task = task.replace(parameters={**task.parameters, **with_units(p["regime"])})
    validation = task.replace(splits={**task.splits, "validation": np.array([], int),
                                      "test": task.splits["validation"]})
    models = models_of(p, task, **NETWORK)
    gains = alive(models["bp"], task, activity=SETTINGS["activity"]).given["gain"]
    models = {label: model.edit(gain=gains) for label, model in models.items()}
    seeds = range(p["first_seed"], p["first_seed"] + p["seeds"])
    intact = {}
    for name, shown, of in (("test", task, seeds), ("validation", validation, [p["search_seed"]])):
        found = compare({"bp": models["bp"]}, shown, seeds=of, epochs=p["epochs"], evaluations=1,
                        jobs=jobs, progress=progress, out=saved / name, engine="rate",
                        settings={"activity": SETTINGS["activity"], **p["common"]})
        intact[name] = found.runs["bp"]
    # Around all threads: what warnings are shown is one setting for the process.
    with warnings.catch_warnings(), ThreadPoolExecutor(jobs) as pool:
        warnings.simplefilter("ignore", ModelWarning)  # that feedback begins anew is meant here

        def tuned(shown, cases):
            """Fine-tuned runs, of cases (label, noise, rate, intact run)."""
            made = pool.map(lambda case: _tuned(p, models, shown, saved / "tuned", *case), cases)
            return list(tqdm(made, desc="hardware", total=len(cases), disable=not progress))

        cases = list(product(p["models"], [max(p["noise"])], p["rates"], intact["validation"]))
        search = {label: [] for label in p["models"]}
        for (label, _, rate, _), run in zip(cases, tuned(validation, cases)):
            search[label].append([rate, run.test_accuracy])
        best = {label: max(found, key=lambda pair: (pair[1], -pair[0]))[0]
                for label, found in search.items()}
        cases = [(label, noise, best[label], run)
                 for label, noise, run in product(p["models"], p["noise"], intact["test"])]
        runs = tuned(task, cases)
    return {"task": task.name, "data": task.description, "seeds": list(seeds),
            "intact": [run.test_accuracy for run in intact["test"]],
            "search": {label: {"rate": best[label], "validation": found}
                       for label, found in search.items()},
            "noise": {str(noise): _read(noise, cases, runs) for noise in p["noise"]}}


def _tuned(p, models, task, folder, label, noise, rate, intact):
    """The run of a fine-tuning that began with the `intact` one, evaluated before and after.

    It is kept in the `folder`, and taken from there where it is finished.
    """
    noisy = models[label].edit(S=f"S = int(u + {noise!r}*randn() > theta)")
    asked = {"trials": p["trials"], **SETTINGS, **p["common"], "rate": rate}
    place = folder / digest((noisy.digest, task.digest, asked, intact.meta["address"]), 24)
    if place.with_suffix(".npz").exists() and (kept := Run.load(place)).complete:
        return kept
    return train(noisy, task, seed=intact.meta["seed"], start=intact, evaluations=1,
                 evaluation_trials=len(task.splits["test"]), save=place, **asked)


def _read(noise, cases, runs):
    """Accuracies over seeds under a noise: before fine-tuning, and after it by every label."""
    found = {"direct": [], "tuned": {}}
    for (label, size, _, _), run in zip(cases, runs):
        if size == noise:
            found["tuned"].setdefault(label, []).append(run.test_accuracy)
            if label == cases[0][0]:
                found["direct"].append(run.arrays["curve/accuracy"][0])
    return found


def table(content, view=""):
    """The table of a study with this `content`; there is one `view`."""
    labels = list(content["search"])
    heads = ["noise (s.d.)", "direct test (%)", *(f"{label} (%)" for label in labels)]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines.append("| 0 | " + " | ".join([spread(content["intact"], 2, 100),
                                        *[""] * len(labels)]) + " |")
    for noise, found in content["noise"].items():
        cells = [found["direct"], *(found["tuned"][label] for label in labels)]
        lines.append(f"| {noise} | " + " | ".join(spread(v, 2, 100) for v in cells) + " |")
    rates = [f"{content['search'][label]['rate']:g}" for label in labels]
    lines.append("| *rate found* |  | " + " | ".join(rates) + " |")
    return "\n".join(lines)
