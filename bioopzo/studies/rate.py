"""Rules compared in the rate engine, on mini-batches.

A study trains models on a data set over several seeds and may measure something on the trained
networks. Its parameters: `task` with `task_options`; `hidden` layers, where not the task's;
`models`, label -> keywords of `Model` (the label starts with the rule); settings, `common` to all
models or of one label (`settings`); `epochs` and `seeds`; `runs`, the study whose saved runs are
taken, where not its own; `published` accuracies to show beside; where given, a `network` (the text
of an architecture, whose gains are those with which all layers fire, see `alive`), the
`first_seed` and a `regime`, which replaces parameters of the task's; and `measure`:
``"alignment"``, the feedback against the expected Jacobian, ``"angle"``, the update against
backpropagation's, too, ``"sparsity"``, the share of neurons whose psi is not 0 and the operations
of learning, ``"gradients"``, in place of the accuracies all that is read off the trained networks,
or empty.

With `discrete` a small task is one of the papers' discrete setting (see discrete.py); with
`on_validation` the validation split is shown in place of the test split: choices are made there.
Large networks see a part of a pass: so many training `trials` in place of `epochs`, with
`evaluations` after these numbers of trials, of the first `held_out` test trials alone; their curves
are of the loss. `batches` says of how many batches `measure` reads ``"angle"`` and ``"alignment"``.
"""

import numpy as np
from brian2 import ms

from bioopzo import tasks
from bioopzo.measures import rate as gradients
from bioopzo.measures.sparse import learning_operations
from bioopzo.studies import tables
from bioopzo.studies.comparison import models_of, numbers
from bioopzo.studies.curves import curves
from bioopzo.studies.discrete import discrete
from bioopzo.studies.quantities import with_units
from bioopzo.training.compare import compare
from bioopzo.training.living import alive

#: Of every model: deterministic neurons, as in the papers, with dropout.
NETWORK = {"dropout": 0.2}
SETTINGS = {"activity": "deterministic", "batch": 128, "optimizer": "adamw", "rate": 1e-3}


def compute(parameters, jobs, progress, saved):
    """The numbers of a study with these `parameters`.

    `jobs` runs at a time, with a bar where `progress`; `saved` is the folder of the saved runs.
    """
    p = parameters
    task = _task(p)
    models = models_of(p, task, **NETWORK)
    if p.get("network"):
        models = _alive(models, task, {**SETTINGS, **p["common"]}["activity"])
    first = p["first_seed"]
    result = compare(models, task, seeds=range(first, first + p["seeds"]), **_length(p),
                     jobs=jobs, progress=progress, engine="rate",
                     out=saved.with_name(p["runs"] or saved.name),
                     settings={**SETTINGS, **p["common"],
                               **{k: v for k, v in p["settings"].items() if k in models}})
    if p["measure"] == "gradients":
        return {"task": task.name, "dt_ms": float(task.dt / ms), "engine": "rate",
                **_gradients(result)}
    data = {**numbers(result), "engine": "rate", "epochs": p["epochs"], "settings": {
        label: runs[0].meta["settings"] for label, runs in result.runs.items()}}
    if p["published"]:
        data["published"] = p["published"]
    if p["measure"] in ("alignment", "angle"):
        data["alignment"] = _alignment(result, _batches(p, "alignment"))
    if p["measure"] == "angle":
        data["angle"] = _angles(result, _batches(p, "angle"))
    if p["measure"] == "sparsity":
        data["sparsity"] = {label: _sparsity(runs) for label, runs in result.runs.items()}
    return data


def _task(p):
    """The task of a study: with its regime, and what it shows when held out as the test split."""
    regime = with_units(p.get("regime", {}))
    task = discrete(p["task"], **regime) if p.get("discrete") else \
        tasks.get(p["task"], **p["task_options"])
    splits = dict(task.splits)
    if p.get("on_validation"):
        splits |= {"validation": splits["validation"][:0], "test": splits["validation"]}
    splits["test"] = splits["test"][:p.get("held_out")]
    return task.replace(parameters={**task.parameters, **regime}, splits=splits)


def _length(p):
    """How long the runs of a study are, and when they are evaluated: keywords of `compare`."""
    if not p.get("trials"):
        return {"epochs": p["epochs"]}
    return {"trials": p["trials"], "evaluations": p["evaluations"],
            "evaluation_trials": p["held_out"]}


def _batches(p, measure):
    """Of how many batches a measure is taken, where not of its default: a keyword of it."""
    return {"batches": p["batches"][measure]} if p.get("batches") else {}


def _sparsity(runs):
    """Of `runs` with several seeds: the share of active neurons by layer, and operations a trial.

    Lists over seeds: ``{"share": {"hidden_1": [...]}, "operations": [...], "dense": [...]}``.
    """
    found = [learning_operations(run, seed=run.meta["seed"]) for run in runs]
    return {"share": {p.name: [float(f[p.name].share.mean()) for f in found]
                      for p in runs[0].model.network.hidden},
            **{part: [sum(getattr(one, part) for one in f.values()) for f in found]
               for part in ("operations", "dense")}}


def _alive(models, task, activity):
    """Models whose layers fire untrained, with the gains that were found for the first of them."""
    gains = alive(next(iter(models.values())), task, activity=activity).given["gain"]
    return {label: model.edit(gain=gains) for label, model in models.items()}


def _with_matrix(result):
    """The runs of a comparison whose rule has a feedback matrix: label -> runs."""
    return {label: runs for label, runs in result.runs.items() if runs[0].model.rule.matrix}


def _angles(result, options):
    """Cosine of every run's update with backpropagation's: label -> layer -> list over seeds."""
    angles = {}
    for label, runs in _with_matrix(result).items():
        found = [gradients.update_angle(run, seed=run.meta["seed"], **options) for run in runs]
        angles[label] = {key.split(".")[0][8:]: [f[key][0] for f in found] for key in found[0]}
    return angles


def _alignment(result, options):
    """cos(M, J) and |M|/|J| of every run: label -> layer -> lists over seeds.

    None where noise hides J.
    """
    feedback = {}
    for label, runs in _with_matrix(result).items():
        found = [gradients.alignment(run, seed=run.meta["seed"], **options) for run in runs]
        feedback[label] = {str(layer): {part: [f[layer][k] if np.isfinite(f[layer][k]) else None
                                               for f in found]
                                        for k, part in enumerate(("cosine", "ratio"))}
                           for layer in found[0]}
    return feedback


def _gradients(result):
    """What is read off trained networks: angle to backpropagation, variance, M against J, costs."""
    angle = {}
    for label, runs in result.runs.items():
        if label in ("bp", "readout_only"):
            continue
        for name, perturbed in ((label, None), (f"{label}, noise on", True)):
            if perturbed and not (runs[0].model.rule.perturbs and runs[0].model.rule.matrix):
                continue
            found = [gradients.update_angle(run, seed=run.meta["seed"], perturbed=perturbed)
                     for run in runs]
            angle[name] = {key: [f[key][0] for f in found] for key in found[0]}
    variance = {}
    for run in result.runs["opzo"]:
        own = gradients.reference
        models = {"bp": own(run), "opzo": None, "dfa": own(run, "dfa"),
                  "node_perturbation, ZO": own(run, "node_perturbation", baseline=False),
                  "node_perturbation, two-point": own(run, "node_perturbation", points="two")}
        found = gradients.gradient_variance(run, models, seed=run.meta["seed"])
        for label, layers in found.items():
            for key, value in layers.items():
                variance.setdefault(label, {}).setdefault(key, []).append(
                    value / found["bp"][key])
    cost = {label: {"ms_per_trial": float(np.mean([1e3 * r.meta["wall_s"] / r.meta["trials"]
                                                   for r in runs])),
                    "peak_memory_mb": max(r.meta["peak_memory_mb"] for r in runs)}
            for label, runs in result.runs.items()}
    return {"angle": angle, "variance_over_bp": variance, "alignment": _alignment(result, {}),
            "synaptic_operations": _operations(result),
            "local_operations": _operations(result, kinds=["forward_local"]),
            "rates_hz": {label: _mean([r.meta["rates_hz"] for r in runs])
                         for label, runs in result.runs.items()},
            "neurons": {p.name: p.size for p in result.runs["opzo"][0].model.network.hidden},
            "timing": {"cost": cost}}


def _operations(result, **options):
    """Synaptic operations a trial, the mean over seeds: label -> layer -> number."""
    return {label: _mean([gradients.synaptic_operations(run, **options) for run in runs])
            for label, runs in result.runs.items()}


def _mean(found):
    """The mean of several dicts of numbers, by name."""
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def draw(content):
    """Learning curves of a comparison with this `content`; None where it holds no curves.

    Of the error, on a logarithmic axis, unless it comes to 0.
    """
    if "curves" not in content:
        return None
    if content.get("parameters", {}).get("trials"):
        return curves({**content, "curves": {
            label: {**told, "accuracy": [[] for _ in told["accuracy"]]}
            for label, told in content["curves"].items()}})
    best = max(np.max(told["accuracy"]) for told in content["curves"].values())
    return curves(content, error=best < 1)


def table(content, view=""):
    """The table of a study with this `content`.

    `view`: that of its ``"costs"``, or of the ``"loss"`` at every evaluation.
    """
    if view:
        return {"costs": tables.costs, "loss": tables.losses}[view](content)
    return tables.gradients(content) if "variance_over_bp" in content else \
        tables.accuracies(content)
