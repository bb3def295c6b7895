"""What every run begins with: weights, schedules, and a record of what it was."""

import hashlib
import importlib.metadata
import platform

import numpy as np


def task_digest(task):
    """A short hash of a task: its trials, their times and which of them are for what."""
    content = hashlib.blake2b(repr((task.name, task.coding, float(task.duration), float(task.dt),
                                    float(task.input_rate))).encode(), digest_size=8)
    inputs = getattr(task.inputs, "arrays", (task.inputs,))  # of events: those that make them up
    for array in (*inputs, task.targets, task.mask, *map(task.splits.get, sorted(task.splits))):
        content.update(np.ascontiguousarray(array))
    return content.hexdigest()








def scheduled(values, model, progress):
    """The constants when a share `progress` of the run is done.

    eta, eta_o, alpha and mu fall linearly to the share that `eta_final`, `alpha_final` and
    `mu_final` name.
    """
    values = dict(values)
    for prefix in ("eta", "alpha", "mu"):
        final = f"{prefix}_final"
        if final not in model.parameters:
            continue
        share = 1 - (1 - float(model.parameters[final])) * progress
        for key in values:
            name = key.split(".")[1]
            if name == prefix or name.startswith(prefix + "_"):
                values[key] *= share
    return values


def initial_weights(model, rng):
    """Weights uniform within gain*sqrt(3/fan-in); feedback as the rule says."""
    values = {}
    gain = float(model.parameters["gain"])
    for k, (before, after) in enumerate(zip(model.sizes[:-1], model.sizes[1:]), 1):
        connection = model.connections.get(f"forward_{k}")
        fan_in = connection.fan_in if connection else before
        count = int(np.prod(connection.shape)) if connection else before * after
        limit = gain * np.sqrt(3 / fan_in) * (model.parameters["input_gain"] if k == 1 else 1)
        values[f"forward_{k}.w"] = rng.uniform(-limit, limit, count)
    if model.rule.matrix and model.rule.feedback_scale:
        places = [("feedback", k) for k in range(1, model.depth + 1)]
        places += [("intermediate", k) for k in range(1, model.rule.intermediate or 1)]
        for kind, k in places:
            values[f"{kind}_{k}.{model.rule.matrix}"] = rng.normal(
                0, model.rule.feedback_scale, model.sizes[-1] * model.sizes[k])
    # Branches last: a rule starts from the same weights and feedback with and without them.
    for k in model.rule.branches:
        limit = gain * np.sqrt(3 / model.sizes[k])
        values[f"forward_local_{k}.w"] = rng.uniform(-limit, limit,
                                                     model.sizes[k] * model.sizes[-1])
    return values


def versions():
    """Versions of everything a result depends on."""
    names = ("bioopzo", "brian2", "numpy", "scipy", "sympy")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return {**found, "python": platform.python_version()}


def provenance(model, task, trials, seed, backend, split):
    """What a run was: rule, task, settings, text and versions, as JSON holds it."""
    return {
        "rule": model.rule_name, "options": dict(model.options),
        "task": task.name, "coding": task.coding, "sizes": list(model.sizes),
        "trials": trials, "seed": seed, "backend": backend, "split": split,
        "digest": model.digest, "edits": [list(e) for e in model.edits],
        "parameters": {k: str(v) for k, v in model.parameters.items()},
        "state_reset": model.state_reset, "versions": versions(),
    }
