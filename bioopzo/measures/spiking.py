"""What is measured: recordings of a trial, the expected Jacobian, angles between updates."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from brian2.units import Hz
from brian2.units.fundamentalunits import Quantity
from tqdm.auto import tqdm

from bioopzo.arguments import at_a_time, whole_number
from bioopzo.engines import tools
from bioopzo.engines.spiking import backends
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.engines.spiking.feed import parameter_values, rows, tables
from bioopzo.engines.spiking.numbers import MEASURE, keys
from bioopzo.engines.spiking.standalone import Standalone
from bioopzo.errors import EquationError, InputError, unknown
from bioopzo.measures.angles import cosine
from bioopzo.model import Model
from bioopzo.network.assembly import assemble
from bioopzo.network.clock import shape_of, time_course
from bioopzo.network.perturbation import PLACES
from bioopzo.tasks import Task

#: By how much learning rates are made small where weights are to stay.
SMALL = 1e-6
#: How far a neuron is perturbed, by the place of the perturbation.
EPSILON = {"after": 60 * Hz, "before": 30 * Hz}


def jacobian(model: Model, task: Task, state: Mapping[str, np.ndarray], trials: int = 128,
             epsilon: Quantity | None = None, seed: int = 0, split: str = "train",
             jobs: int | None = None, progress: bool = True) -> dict[int, np.ndarray]:
    """The expected Jacobian E[do_k/ds_j] of every hidden layer, by finite differences.

    Every hidden neuron in turn sends epsilon more and epsilon less (spikes per second) than it
    fires, over the same `trials` with the same random numbers; the difference of the readouts,
    divided by what the perturbation leaves after the filters on its path, is J. Plasticity is
    off. Where the model's rule puts its noise before the neuron, epsilon enters the membrane, and J
    is E[do_k/du_j], which is what M estimates there.

    Parameters
    ----------
    model : Model
        Its edits are in force: of neurons, and of what a spike does in its synapses.
    task : Task
    state : mapping
        Weights as in ``run.final``: ``{"forward_1.w": array, ...}``.
    trials : int
        How many are drawn, with `seed`, from the task's `split`.
    epsilon : rate
        Size of the perturbation; default 60 Hz, and before the neuron, where no weight scales it
        down, 30 Hz.
    jobs : int
        Neurons at a time (compiled back end), by default one on each core.
    progress : bool
        Whether a progress bar is shown.

    Returns ``{layer: array (readouts, neurons)}``, layers counted from 1, in the units of M.

    Raises `EquationError` where a perturbation cannot take the way that spikes take: a spike that
    depends on the membrane it adds to, a membrane that is not linear in u.
    """
    trials, jobs = whole_number("trials", trials), at_a_time(jobs)
    if split not in task.splits:
        raise unknown("split", split, task.splits)
    probe = _probe(model.for_task(task), epsilon)
    shape = shape_of(task, max(2, min(trials, rows(task))))
    engine = backends.open_backend("standalone" if tools.compiler() else "numpy", probe, shape,
                                   asked=False)
    course = time_course(probe, task)
    values = parameter_values(probe, shape)
    rng = np.random.default_rng(seed)
    samples = rng.choice(task.splits[split], trials, replace=trials > len(task.splits[split]))
    synapses = {p.name for p in probe.network.projections}
    statistics = assemble(probe).roles.statistics  # thresholds that adapt over trials, say
    there = {k: v for k, v in state.items() if k in engine.start and (
        k in statistics or k.split(".")[0] in synapses)}
    parts = [samples[k:k + shape.rows] for k in range(0, trials, shape.rows)]
    layers = dict(enumerate(probe.network.hidden, 1))
    neurons = [(layer, j) for layer, population in layers.items() for j in range(population.size)]

    def difference(which):
        layer, j = which
        total, response = 0.0, 0.0
        for p, part in enumerate(parts):
            data = {"course": course, **tables(task, shape, part, True, 0, keys(
                seed, MEASURE, p * shape.rows + np.arange(len(part))))}
            for sign in (1, -1):
                z = np.zeros(layers[layer].size)
                z[j] = sign
                start = {**engine.start, **there, f"{layers[layer].name}.z": z}
                outcome = engine.run(Chunk(len(part), start, values, data))
                total = total + sign * outcome.decision.sum(axis=0)
            response = outcome.state[f"{layers[layer].name}.Dz"][j] * -1
        return total / (2 * trials * response)

    with ThreadPoolExecutor(jobs if isinstance(engine, Standalone) else 1) as pool:
        columns = list(tqdm(pool.map(difference, neurons), total=len(neurons), delay=2,
                            desc="finite differences", disable=not progress, leave=False))
    result = {layer: np.zeros((task.n_out, population.size))
              for layer, population in layers.items()}
    for (layer, j), column in zip(neurons, columns):
        result[layer][:, j] = column
    return result


def _probe(model, epsilon):
    """The model in which single neurons are perturbed by `epsilon`, where the rule's noise acts.

    What they send more passes synapses and membranes as `network.paths` has it from their text.
    """
    place = PLACES.get(model.rule.current, "after")
    probe = model.replace(rule="_probe", options={"place": place},
                          alpha=EPSILON[place] if epsilon is None else epsilon)
    if probe.obstacles:
        raise EquationError(list(probe.obstacles))
    return probe


def alignment(run: Any, expected: Mapping[int, np.ndarray] | None = None, **options: Any
              ) -> dict[int, tuple[float, float]]:
    """cos(M, J) and |M|/|J| of every hidden layer of a run whose rule has a feedback matrix.

    `run` is a trained `Run` with model and task; `expected` is the output of `jacobian` (computed
    when not given, with `options`). Returns ``{layer: (cosine, ratio of norms)}``. Raises
    `InputError` for a rule without a matrix.
    """
    name = run.model.rule.matrix
    if not name:
        raise InputError(f"rule {run.model.rule_name} has no feedback matrix to compare with J")
    expected = expected or jacobian(run.model, run.task, run.final, **options)
    result = {}
    feedback = run.model.network.of("feedback")
    for (layer, J), projection in zip(expected.items(), feedback):
        M = run.matrix(f"{projection.name}.{name}")
        result[layer] = (cosine(M, J), float(np.linalg.norm(M) / np.linalg.norm(J)))
    return result


def mean_update(model: Model, task: Task, state: Mapping[str, np.ndarray], trials: int = 256,
                seed: int = 0, split: str = "train", backend: str | None = None
                ) -> dict[str, np.ndarray]:
    """How far a rule moves the forward weights in a trial, the mean over `trials`.

    `model` learns on `task` from the weights in `state` (as ``run.final``), on trials that `seed`
    draws from `split`; each begins with the same weights and feedback, and the weights stay there
    within it: learning rates are made small, and the change large again. `backend` is ``"numpy"``,
    ``"cython"``, ``"standalone"`` or None (standalone where there is a compiler). Returns
    ``{"forward_1.w": array (pre*post,), ...}``.
    """
    trials = whole_number("trials", trials)
    if split not in task.splits:
        raise unknown("split", split, task.splits)
    model = model.for_task(task)
    shape = shape_of(task, 2)
    chosen = backends.choose(backend, np.inf)
    engine = backends.open_backend(chosen, model, shape, asked=backend is not None)
    values = parameter_values(model, shape)
    rates = {key for key in values if key.split(".")[1].partition("_of_")[0] in ("eta", "eta_o")}
    course = time_course(model, task)
    samples = np.random.default_rng(seed).choice(task.splits[split], trials)
    begin = {**engine.start, **{k: v for k, v in state.items() if k in engine.start}}
    names = [name for name in begin if name.endswith(".w")]

    def change(number, scale):
        """What a trial does to the weights with learning rates that are `scale` times theirs."""
        # And a trial without plasticity, which settles what the first leaves open.
        data = {"course": course, **tables(
            task, shape, np.full(2, samples[number]), np.array([1.0, 0.0]), 0,
            keys(seed, MEASURE, 2 * number + np.arange(2)))}
        end = engine.run(Chunk(2, begin, {key: scale * value if key in rates else value
                                          for key, value in values.items()}, data)).state
        return {name: end[name] - begin[name] for name in names}

    # What has no learning rate, a decay say, moves weights all the same.
    apart = change(0, 0.0)
    moves = any(part.any() for part in apart.values())
    total = {name: np.zeros(part.shape) for name, part in apart.items()}
    for number in range(trials):
        learned = change(number, SMALL)
        apart = change(number, 0.0) if moves else apart
        for name in names:
            total[name] += ((learned[name] - apart[name]) / SMALL + apart[name]) / trials
    return total


def update_cosine(run: Any, trials: int = 256, seed: int = 0) -> dict[str, float]:
    """Cosine between the rule's mean update and backpropagation's, at the run's final weights.

    `run` is a `Run` of the spiking engine with model and task; each rule's update is that of
    `trials` trials drawn with `seed` (see `mean_update`). Returns ``{"forward_1.w": cosine, ...}``.
    """
    mine = mean_update(run.model, run.task, run.final, trials, seed)
    reference = run.model.replace(rule="bp")
    theirs = mean_update(reference, run.task, run.final, trials, seed)
    return {name: cosine(mine[name], theirs[name]) for name in theirs}
