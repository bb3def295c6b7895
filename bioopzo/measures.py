"""What is measured: recordings of a trial, the expected Jacobian, angles between updates."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from brian2.units import Hz
from tqdm.auto import tqdm

from . import backends, spiking
from .errors import InputError
from .training import parameter_values, rows, tables


@dataclass(frozen=True)
class Recording:
    """One trial, step by step, as arrays.

    `time` (steps,) in ms; `spikes` layer -> (steps, neurons) of 0 and 1; `values`
    ``"object.variable"`` -> (steps, n) in base units, as the plasticity saw them (before the
    spikes of the step act); `meta` with theta, sizes, rule, dt_ms and target.
    """

    time: np.ndarray
    spikes: dict
    values: dict
    meta: dict = field(default_factory=dict)


def record(run, sample=None, seed=0, plastic=True):
    """Record one trial of a trained network, plasticity on or off.

    `sample` is the index of the trial in the task (default: the first of the test split). The
    dense form is used, so that ``forward_k.w`` is the weight in force at every step.
    """
    model, task = run.model, run.task
    sample = int(task.splits["test"][0]) if sample is None else int(sample)
    shape = spiking.shape_of(task, 2)
    course = spiking.time_course(model, task)
    data = {"course": course, **tables(task, shape, np.array([sample]), plastic)}
    spikes, values = spiking.record(model, shape, run.final, data, seed)
    dt = 1e3 * float(task.dt)
    meta = {"theta": float(model.parameters["theta"]), "sizes": list(model.sizes),
            "rule": model.rule_name, "dt_ms": dt, "sample": sample,
            "target": task.targets[sample].tolist()}
    return Recording(np.arange(task.steps) * dt, spikes, values, meta)


def at(run, point):
    """The run with the weights and feedback of one point of its learning curve, to be measured.

    `point` is an index into ``run.arrays["curve/trials"]``; the curve itself stays whole. Raises
    `InputError` when there is no such point, or the run kept no weights (large networks do not).
    """
    kept = {name: values for name, values in run.arrays.items() if name.startswith("snapshots/")}
    points = len(run.arrays["curve/trials"])
    if not kept:
        raise InputError("the run kept no weights on its way (no arrays snapshots/...)")
    if not -points <= point < points:
        raise InputError(f"point {point}: the learning curve has the points 0 to {points - 1}")
    earlier = {f"final/{name[10:]}": values[point] for name, values in kept.items()}
    return replace(run, arrays={**run.arrays, **earlier})


def cosine(a, b):
    """Cosine of the angle between two arrays; NaN when one is zero."""
    a, b = np.ravel(a), np.ravel(b)
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if length else float("nan")


def jacobian(model, task, state, trials=128, epsilon=60 * Hz, seed=0, split="train", jobs=2,
             progress=True):
    """The expected Jacobian E[do_k/ds_j] of every hidden layer, by finite differences.

    Every hidden neuron in turn sends epsilon more and epsilon less (spikes per second) than it
    fires, over the same `trials` with the same random numbers; the difference of the readouts,
    divided by what the perturbation leaves after the filters on its path, is J. Plasticity is
    off. Returns ``{layer: array (readouts, neurons)}``, layers counted from 1, in the units of M.
    """
    kept = tuple(e for e in model.edits if e[0].split(".")[0].split(":")[0] not in
                 ("forward", "forward_readout", "feedback", "critic"))
    probe = model.for_task(task)._with(rule_name="_probe", options={}, edits=_applicable(
        model, kept), given={k: v for k, v in model.parameters.items()
                             if k in spiking_parameters(model)})
    probe = probe.edit(alpha=epsilon)
    shape = spiking.shape_of(task, min(trials, rows(task)))
    engine = backends.open_backend("standalone" if backends.compiler() else "numpy", probe, shape)
    course = spiking.time_course(probe, task)
    values = parameter_values(probe, shape)
    rng = np.random.default_rng(seed)
    samples = rng.choice(task.splits[split], trials, replace=trials > len(task.splits[split]))
    weights = {k: v for k, v in state.items() if k.endswith(".w")}
    # One row more, so that the last trial is read too.
    parts = [samples[k:k + shape.rows - 1] for k in range(0, trials, shape.rows - 1)]
    neurons = [(layer, j) for layer in range(1, model.depth + 1)
               for j in range(model.sizes[layer])]

    def difference(which):
        layer, j = which
        total, response = 0.0, 0.0
        for p, part in enumerate(parts):
            shown = np.append(part, part[-1])
            data = {"course": course, **tables(task, shape, shown, True)}
            for sign in (1, -1):
                z = np.zeros(model.sizes[layer])
                z[j] = sign
                start = {**engine.start, **weights, f"hidden_{layer}.z": z}
                outcome = engine.run(backends.Chunk(len(shown), start, values, data,
                                                    1 + seed + 1000 * p))
                total = total + sign * outcome.decision[1:].sum(axis=0)
            response = outcome.state[f"hidden_{layer}.Dz"][j] * -1
        return total / (2 * trials * response)

    with ThreadPoolExecutor(jobs if isinstance(engine, backends.Standalone) else 1) as pool:
        columns = list(tqdm(pool.map(difference, neurons), total=len(neurons), delay=2,
                            desc="finite differences", disable=not progress, leave=False))
    result = {layer: np.zeros((model.sizes[-1], model.sizes[layer]))
              for layer in range(1, model.depth + 1)}
    for (layer, j), column in zip(neurons, columns):
        result[layer][:, j] = column
    return result


def spiking_parameters(model):
    """The parameters of a model that describe its neurons, not its rule."""
    from . import neurons

    return {*neurons.PARAMETERS, *neurons.ESCAPE_PARAMETERS, *neurons.SURROGATE_PARAMETERS,
            *neurons.ERROR_PARAMETERS[model.error], "gain", "input_gain", "input_rate"}


def _applicable(model, edits):
    """The edits that make sense without the rule: those of lines that the probe has too."""
    kept = []
    for edit in edits:
        try:
            model._with(rule_name="_probe", options={}, given={}, edits=(edit,))
        except Exception:
            continue
        kept.append(edit)
    return tuple(kept)


def alignment(run, expected=None, **options):
    """cos(M, J) and |M|/|J| of every hidden layer of a run whose rule has a feedback matrix.

    `expected` is the output of `jacobian` (computed when not given, with `options`). Returns
    ``{layer: (cosine, ratio of norms)}``. Raises `InputError` for a rule without a matrix.
    """
    name = run.model.rule.matrix
    if not name:
        raise InputError(f"rule {run.model.rule_name} has no feedback matrix to compare with J")
    expected = expected or jacobian(run.model, run.task, run.final, **options)
    result = {}
    for layer, J in expected.items():
        M = run.matrix(f"feedback_{layer}.{name}")
        result[layer] = (cosine(M, J), float(np.linalg.norm(M) / np.linalg.norm(J)))
    return result


def mean_update(model, task, state, trials=256, seed=0, split="train", small=1e-6):
    """The direction in which a rule moves the forward weights, summed over `trials`.

    Learning rates are scaled by `small`, so the weights stay where they are. Returns
    ``{"forward_1.w": array, ...}``.
    """
    model = model.for_task(task)
    shape = spiking.shape_of(task, rows(task))
    engine = backends.open_backend("standalone" if backends.compiler() else "numpy", model, shape)
    values = parameter_values(model, shape)
    values = {k: v * small if k.split(".")[1] in ("eta", "eta_o") else v
              for k, v in values.items()}
    course = spiking.time_course(model, task)
    samples = np.random.default_rng(seed).choice(task.splits[split], trials)
    now = {**engine.start, **{k: v for k, v in state.items() if k in engine.start}}
    begin = {k: np.array(v) for k, v in now.items()}
    parts = [samples[k:k + shape.rows - 1] for k in range(0, trials, shape.rows - 1)]
    for p, part in enumerate(parts):
        data = {"course": course, **tables(task, shape, np.append(part, part[-1]), True)}
        data["schedule"][len(part):] = 0
        now = engine.run(backends.Chunk(len(part) + 1, now, values, data, 1 + seed + p)).state
    return {k: now[k] - begin[k] for k in now if k.endswith(".w")}


def update_cosine(run, trials=256, seed=0):
    """Cosine between the rule's mean update and backpropagation's, at the run's final weights.

    Returns ``{"forward_1.w": cosine, ...}``.
    """
    from .model import Model

    mine = mean_update(run.model, run.task, run.final, trials, seed)
    m = run.model
    reference = Model(m.sizes, rule="bp", neuron=m.neuron, reset=m.reset, refractory=m.refractory,
                      error=m.error, surrogate=m.surrogate, state_reset=m.state_reset,
                      **{k: m.parameters[k] for k in spiking_parameters(m) if k in m.parameters})
    theirs = mean_update(reference, run.task, run.final, trials, seed)
    return {name: cosine(mine[name], theirs[name]) for name in theirs}


def firing_rates(run):
    """Mean rate of every layer in Hz on the held-out trials: {layer: (untrained, trained)}."""
    return {name[6:]: (float(values[0]), float(values[-1]))
            for name, values in run.arrays.items() if name.startswith("rates/")}
