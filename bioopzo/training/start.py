"""What every run begins with: weights, schedules, and a record of what it was."""

import hashlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from brian2.units import ms

from bioopzo.errors import InputError, ModelWarning
from bioopzo.measures.trials import before
from bioopzo.model import Model
from bioopzo.network.assembly import assemble
from bioopzo.network.connections import Sparse
from bioopzo.network.layers import recorded
from bioopzo.network.objects import Roles
from bioopzo.network.spread import recorded as recorded_values
from bioopzo.network.spread import values_at
from bioopzo.run import Run
from bioopzo.show.model import parameter
from bioopzo.tasks import Task
from bioopzo.versions import versions

#: Parameters that fall to a share of their value, by the prefix of the share's own name.
_FALLING = ("eta", "alpha", "mu")


def _finals(values, model, own_rate):
    """The constants that a schedule changes: name -> the share of its value at the end."""
    found = {}
    for prefix in _FALLING[own_rate:]:
        final = f"{prefix}_final"
        if final in model.parameters:
            for key in values:
                # A parameter of the user's own that begins alike is none of them.
                name = key.split(".")[1].partition("_of_")[0]
                if name in model.declared and name.split("_")[0] == prefix:
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
    rates = {key for key in values if key.split(".")[1].partition("_of_")[0] in ("eta", "eta_o")}
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


def taken_over(run: Run, model: Model, roles: Roles, here: Mapping[str, np.ndarray]
               ) -> tuple[dict[str, np.ndarray], str]:
    """What a network takes over of a trained `run`: (values by name, what it does not, in words).

    All that is learned and every running statistic, as `roles` says of `model`, where `here`, the
    network's variables, has it under the same name and in the same shape. Raises `InputError` where
    that is nothing, or not finite.
    """
    final, taken, anew = run.final, {}, []
    theirs = recorded(run.meta)["projections"]
    mine = model.network.described()["projections"]
    for name in (*roles.learned, *sorted(roles.statistics)):
        owner = name.split(".")[0]
        if name not in here:
            continue
        if name not in final:
            anew.append(f"{name} (not in the run)")
        elif np.size(final[name]) != np.size(here[name]) or (
                owner in mine and owner in theirs
                and theirs[owner]["shape"] != mine[owner]["shape"]):
            anew.append(f"{name} ({np.size(final[name])} values there, {np.size(here[name])} here)")
        elif owner in mine and _other_pairs(run, model, owner):
            anew.append(f"{name} (other pairs of neurons are connected)")
        else:
            taken[name] = np.asarray(final[name])
    if not any(name in roles.learned for name in taken):
        raise InputError(f"start: nothing that the run of {run.meta.get('rule')} on "
                         f"{run.meta.get('task')} has learned fits this model: it has "
                         f"{', '.join(anew) or 'no learned variables'}")
    broken = [name for name, value in taken.items() if not np.isfinite(value).all()]
    if broken:
        raise InputError(f"start: {broken[0]} of that run is not finite: go on from an earlier "
                         "point of it, start=run.at(0) ...")
    left = sorted(name for name in _learned(run) if name in final and name not in here)
    words = [f"anew begin {', '.join(anew)}"] * bool(anew) + [
        f"left behind are {', '.join(left)}, which this model has not"] * bool(left)
    return taken, "; ".join(words)


def checked_start(start: Any) -> Run | None:
    """`start`, a `Run` with weights, or None; else `InputError`."""
    if start is not None and not isinstance(start, Run):
        raise InputError(f"start is a Run, from which training goes on, not "
                         f"{type(start).__name__}")
    if start is not None and not len(start.final):
        raise InputError("start: this run holds no weights (final/...): it ended before its first "
                         "evaluation, or was not trained")
    return start


def note_start(run: Run, start: Run, taken: Mapping[str, np.ndarray], words: str) -> None:
    """Write into the `meta` of a run where it `start`s from, and warn of what is not `taken` over.

    `words` say what.
    """
    content = hashlib.blake2b(digest_size=8)
    for name in sorted(taken):
        content.update(name.encode() + np.ascontiguousarray(taken[name]).tobytes())
    run.meta["trials_before"] = before(start.meta)
    run.meta["start"] = {**{name: start.meta.get(name) for name in (
        "rule", "task", "seed", "digest", "changed")}, "trials": before(start.meta),
        "taken": sorted(taken), "not_taken": words, "content": content.hexdigest()}
    if words:
        warnings.warn(f"start: of the run of {start.meta.get('rule')} on {start.meta.get('task')}, "
                      f"{', '.join(sorted(taken))} are taken over; {words}", ModelWarning,
                      stacklevel=2)


def _learned(run):
    """What a run has learned, by name."""
    if run.model is not None:
        return assemble(run.model).roles.learned
    return [key.partition("/")[2] for key in run.arrays if key.startswith("snapshots/")]


def _other_pairs(run, model, owner):
    """Whether a projection connects other pairs of neurons in the model than in that of a run."""
    names = [p.name for p in run.model.network.projections] if run.model is not None else ()
    return owner in names and run.model.network[owner].connection != \
        model.network[owner].connection


def _drawn(start, size, count, rng):
    """So many values of a `Start` with the spread `size`."""
    if start.distribution == "given":
        return np.frombuffer(start.values).copy()
    if start.distribution in ("uniform", "range"):
        return start.centre + rng.uniform(-size, size, count)
    drawn = start.centre + rng.normal(0, size, count)
    return np.exp(drawn) if start.distribution == "lognormal" else drawn


def note_holds(run: Run, announce: Callable[[str], object] | None = None) -> None:
    """Let a run, and who listens, say that a perturbation's holds follow from its task's trials."""
    model, task = run.model, run.task
    if "T_z" in model.regime and not {"T_z"} & {*task.parameters, *model.given}:
        run.meta["holds"] = ", ".join(f"{n}={model.parameters[n]/ms:g} ms" for n in ("T_z", "T_w"))
        if announce:
            announce(f"{run.meta['holds']}: two holds of the perturbation fit into trials of "
                     f"{task.duration/ms:g} ms so; give T_z and T_w for others")


def provenance(model: Model, task: Task, trials: int, seed: int, backend: str, split: str
               ) -> dict[str, Any]:
    """What a run was: rule, task, settings, text and versions, as JSON holds it."""
    return {
        "rule": model.rule_name, "options": dict(model.options),
        "task": task.name, "task_digest": task.digest, "coding": task.coding,
        "rewarded": task.feedback == "reward", "sizes": list(model.sizes),
        "network": model.network.described(),
        "trials": trials, "seed": seed, "backend": backend, "split": split,
        "digest": model.digest, "edits": [list(e) for e in model.edits],
        "parameters": {k: str(v) for k, v in model.parameters.items()},
        **({"spread": {name: {"given": parameter(model, name), "values": recorded_values(one)}
                       for name, one in model.spread.items()}} if model.spread else {}),
        **({"freeze": list(model.freeze)} if model.freeze else {}),
        "state_reset": model.state_reset, "versions": versions(),
    }
