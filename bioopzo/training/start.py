"""What every run begins with: weights, schedules, and a record of what it was."""

import functools
import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from bioopzo.model import Model
from bioopzo.network.connections import Sparse
from bioopzo.network.spread import recorded, values_at
from bioopzo.show.model import parameter
from bioopzo.tasks import Task

#: Parameters that fall to a share of their value, by the prefix of the share's own name.
_FALLING = ("eta", "alpha", "mu")


def _finals(values, model, own_rate):
    """The constants that a schedule changes: name -> the share of its value at the end."""
    found = {}
    for prefix in _FALLING[own_rate:]:
        final = f"{prefix}_final"
        if final in model.parameters:
            for key in values:
                name = key.split(".")[1]
                if name == prefix or name.startswith(prefix + "_"):
                    found[key] = float(model.parameters[final])
    return found


def scheduled_names(values: Mapping[str, float], model: Model, own_rate: bool = False
                    ) -> list[str]:
    """The constants among `values` that change while a `model` is trained; as `scheduled`."""
    return [key for key, final in _finals(values, model, own_rate).items() if final != 1]


def scheduled(values: Mapping[str, float], model: Model, progress: float, own_rate: bool = False
              ) -> dict[str, float]:
    """The constants when a share `progress` of the run is done.

    eta, eta_o, alpha and mu fall linearly to the share that `eta_final`, `alpha_final` and
    `mu_final` name; but eta and eta_o stay where the optimiser has a rate and a schedule of its
    `own_rate`, or two schedules would multiply.
    """
    return {**values, **{key: values[key] * (1 - (1 - final) * progress)
                         for key, final in _finals(values, model, own_rate).items()}}


def without_learning(values: Mapping[str, float]) -> dict[str, float]:
    """The constants with every learning rate of weights, eta, eta_o ..., at 0."""
    rates = {key for key in values if key.split(".")[1].split("_")[0] == "eta"}
    return {key: 0.0 * value if key in rates else value for key, value in values.items()}


def learning_rates(model: Model, rate: float | None = None, schedule: str | None = None) -> str:
    """How the learning rates of a run fall, in words.

    `rate` and `schedule` are those of an optimiser that has its own.
    """
    if rate is None:
        final = float(model.parameters["eta_final"])
        return ("eta and eta_o, constant" if final == 1 else
                f"eta and eta_o, falling linearly to {final:g} of their value (eta_final)")
    how = "constant" if schedule == "constant" else f"falling to 0 ({schedule} schedule)"
    return f"rate {rate:g}, {how}; eta and eta_o constant, eta_final is not read"


def initial_weights(model: Model, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights uniform within gain*sqrt(3/fan-in), feedback as the rule says: name -> array.

    `rng` draws them, projection by projection, in the order of their ranks.
    """
    values = {}
    starting = [(p, p.start) for p in model.network.projections if p.start]
    for projection, start in sorted(starting, key=lambda pair: pair[1].rank):
        connection = projection.connection
        size = np.sqrt(3 / connection.fan_in) if start.distribution == "uniform" else 1.0
        there = values_at(model, projection.name)
        for factor in (start.scale, *(float(there[name]) for name in start.parameters)):
            size *= factor
        drawn = _drawn(start, size, int(np.prod(connection.shape)), rng)
        drawn = start.sign * np.abs(drawn) if start.sign else drawn
        drawn = np.clip(drawn, projection.low, projection.high)
        values[f"{projection.name}.{start.variable}"] = (
            drawn * connection.mask.ravel() if isinstance(connection, Sparse) else drawn)
    return values


def _drawn(start, size, count, rng):
    """So many values of a `Start` with the spread `size`."""
    if start.distribution == "given":
        return np.frombuffer(start.values).copy()
    if start.distribution in ("uniform", "range"):
        return start.centre + rng.uniform(-size, size, count)
    drawn = start.centre + rng.normal(0, size, count)
    return np.exp(drawn) if start.distribution == "lognormal" else drawn


def versions() -> dict[str, str]:
    """Versions of everything a result depends on."""
    names = ("bioopzo", "brian2", "jax", "jaxlib", "numpy", "scipy", "sympy")
    return {**{name: _version(name) for name in names}, "python": platform.python_version()}


@functools.cache
def _version(name):
    """The version of a package, read once: what is loaded does not change."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def provenance(model: Model, task: Task, trials: int, seed: int, backend: str, split: str
               ) -> dict[str, Any]:
    """What a run was: rule, task, settings, text and versions, as JSON holds it."""
    return {
        "rule": model.rule_name, "options": dict(model.options),
        "task": task.name, "coding": task.coding, "sizes": list(model.sizes),
        "network": model.network.described(),
        "trials": trials, "seed": seed, "backend": backend, "split": split,
        "digest": model.digest, "edits": [list(e) for e in model.edits],
        "parameters": {k: str(v) for k, v in model.parameters.items()},
        **({"spread": {name: {"given": parameter(model, name), "values": recorded(one)}
                       for name, one in model.spread.items()}} if model.spread else {}),
        **({"freeze": list(model.freeze)} if model.freeze else {}),
        "state_reset": model.state_reset, "versions": versions(),
    }
