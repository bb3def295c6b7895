"""Measures on mini-batches: updates of a frozen network, their variance and angle, and M against J.

Every function leaves the network as it found it: changes are read, not applied. `run` is a trained
`Run` with its model and task.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bioopzo.arguments import whole_number
from bioopzo.engines.rate.engine import Engine
from bioopzo.engines.rate.feed import Masks, presented
from bioopzo.engines.rate.settings import open_engine, settings
from bioopzo.errors import InputError, unknown
from bioopzo.measures.angles import cosine
from bioopzo.measures.trials import attached
from bioopzo.model import Model
from bioopzo.network.clock import COLUMNS
from bioopzo.network.connections import Sparse
from bioopzo.network.draft import text_of
from bioopzo.network.kinds import KINDS, ProjectionKind
from bioopzo.network.spread import in_synapses
from bioopzo.text.equations import defines

#: The kinds whose weights another rule does not take over: they are what it learns by.
OF_A_RULE = ("feedback", "intermediate")


@dataclass(frozen=True)
class Frozen:
    """An engine with a network's weights in it, and the order of samples to show it.

    `inputs` and `targets` are those of the task, by sample; `samples` (trials,) are the indices to
    show, `batch` at a time; `masks` tells which of the task's each has.
    """

    engine: Engine
    inputs: Any
    targets: Any
    samples: np.ndarray
    batch: int
    masks: Masks

    def trials(self, batches: int) -> Iterator[tuple[dict[str, np.ndarray], ...]]:
        """Show so many batches with plasticity on; nothing is applied.

        Yields (changes, values): what each asks of every weight, and what the variables that the
        engine looks at held when it was over.
        """
        for k in range(batches):
            part = self.samples[k * self.batch:(k + 1) * self.batch]
            yield self.engine.changes(self.inputs[part], self.targets[part],
                                      masks=self.masks[part])


def freeze(run: Any, model: Model | None = None, batches: int = 50, seed: int = 0,
           split: str = "train", look: Iterable[str] = (), **given: Any) -> Frozen:
    """A `Frozen` network with the final weights of a run, ready for mini-batches.

    A run of the spiking engine is read with ``activity="spikes"``: the same text in batches.
    `model` is what learns in it (default the run's own): another rule on the same weights, fixed
    ones and running statistics included. Its feedback is drawn anew, with `seed`, unless it is the
    run's own. `seed` also draws the samples of `batches` batches from the task's `split`. Dropout
    is on as in training; its masks are the same for every rule, as is every random number of the
    same variable. `look` names variables to be looked at. Keywords are those of
    `engines.rate.settings.Settings`.

    Raises `InputError` for a run whose task is not known, a `model` that is none, an unknown
    or empty `split`, and no `batches`.
    """
    attached(run)
    batches = whole_number("batches", batches)
    members = _members(run.task, split)
    # Changes are read when the trial has ended: within it, plain descent would apply them.
    theirs = run.meta.get("settings", {"activity": "spikes"})
    chosen = settings(**{**{k: v for k, v in theirs.items()
                            if k not in ("optimizer", "rate", "schedule", "updates")},
                         "optimizer": "sgd", **given})
    own = model is None
    model = _fitted(run, model)
    engine = open_engine(model, run.task, chosen, seed, look)
    needed = batches * chosen.batch
    rng = np.random.default_rng(seed)
    # Before the feedback: rules that draw one and those that do not are shown the same samples.
    samples = np.concatenate([rng.permutation(members) for _ in range(-(-needed // len(members)))])
    kinds = {p.name: p.kind for p in engine.model.network.projections}
    kept = {key: value for key, value in run.final.items()
            if own or kinds.get(key.split(".")[0]) not in OF_A_RULE}
    if model.rule.feedback_scale:
        kept |= {key: rng.normal(0, model.rule.feedback_scale, weights.shape)
                 for key, weights in engine.weights.items()
                 if key not in kept and key.endswith(f".{model.rule.matrix}")}
    engine.put(kept)
    inputs, targets = presented(run.task)
    return Frozen(engine, inputs, targets, samples[:needed], chosen.batch, Masks(run.task))


def _members(task, split):
    """The samples of a split of a task."""
    if split not in list(task.splits):  # which may be given what cannot be hashed
        raise unknown(f"split of {task.name}", split, task.splits)
    if not len(task.splits[split]):
        raise InputError(f"task {task.name} has no trials in its {split} split")
    return task.splits[split]


def _fitted(run, model):
    """What learns in the network of a run: its own model, or another, written for the task."""
    if not isinstance(model, (Model, type(None))):
        raise InputError(f"model is a Model, e.g. reference(run, \"bp\"), or None for the run's "
                         f"own, not {model!r}")
    if model is None and run.model.coding is not None:
        return run.model
    return (run.model if model is None else model).for_task(run.task)


def reference(run: Any, rule: str = "bp", **options: Any) -> Model:
    """The model of a `run` under another `rule`: its network, edits and parameters.

    Further keywords (`options`) are options of that rule; see `Model.replace`.
    """
    return run.model.replace(rule=rule, **options)


def updates(frozen: Frozen, batches: int) -> Iterator[dict[str, np.ndarray]]:
    """The change each of so many `batches` asks of every forward weight, per unit of learning rate.

    `frozen` is a `Frozen` network. Yields ``{"forward_1.w": array (pre, post), ...}``; those whose
    learning rate is 0 are left out, like frozen ones, and where it is 0 for a neuron so is this.
    """
    rates = _learning_rates(frozen.engine.model)
    for changes, _ in frozen.trials(batches):
        yield {key: np.divide(change, rates[key], out=np.zeros_like(change),
                              where=np.broadcast_to(rates[key], change.shape) != 0)
               for key, change in changes.items() if key.endswith(".w") and np.any(rates[key])}


def _learning_rates(model):
    """The learning rate of the weights of every projection: a number, or one for each neuron."""
    network = model.network
    hidden = {f"{p.name}.w" for population in network.hidden
              for p in network.into(population.name)}
    return {f"{p.name}.w": in_synapses(model, "eta" if f"{p.name}.w" in hidden else "eta_o", p)
            for p in network.projections}


def gradient_variance(run: Any, models: Mapping[str, Model | None], batches: int = 50, **given: Any
                      ) -> dict[str, dict[str, float]]:
    """Variance of the update over batches, averaged over the weights that learn, for several rules.

    The weights are the run's final ones and stay there. `models` maps a label to a `Model`, or None
    for the run's own; further keywords are those of `freeze`. Returns
    ``{label: {"forward_1.w": variance, ...}}``. Raises `InputError` for fewer than two `batches`.

    Source: Xiao et al. 2024 (OPZO), section 5.2.
    """
    batches = whole_number("batches", batches, least=2)
    result = {}
    for label, model in models.items():
        frozen = freeze(run, model, batches, **given)
        count = 0
        mean: dict[str, np.ndarray] = {}
        square: dict[str, float] = {}
        for found in updates(frozen, batches):
            count += 1
            for key, change in found.items():
                off = change - mean.setdefault(key, np.zeros(change.shape))
                mean[key] += off / count  # Welford: no batch is kept
                square[key] = square.get(key, 0.0) + float(np.vdot(off, change - mean[key]))
        result[label] = {key: square[key] / (count - 1) / members
                         for key, members in _that_learn(frozen.engine.model, mean).items()}
    return result


def _that_learn(model, changes):
    """How many weights there are whose learning rate is not 0, by name."""
    rates, found = _learning_rates(model), {}
    for key, change in changes.items():
        connection = model.network[key.removesuffix(".w")].connection
        there = connection.mask if isinstance(connection, Sparse) else True
        found[key] = np.count_nonzero(np.broadcast_to(rates[key] != 0, change.shape) & there)
    return found


def update_angle(run: Any, model: Model | None = None, batches: int = 20,
                 perturbed: bool | None = None, against: str | Model = "bp", **given: Any
                 ) -> dict[str, tuple[float, float]]:
    """Cosine between the rule's update and backpropagation's on the same batch, averaged.

    The average is over `batches`; `model` is another rule on the weights of the `run` (default its
    own); `against` is ``"bp"``, through space, ``"bptt"``, the gradient of the trial's loss, or a
    model, as `reference` makes it (to edit its ``dampening``, say);
    further keywords are those of `freeze`. Both draw the same random numbers for the same
    variables. Backpropagation has no perturbation. With `perturbed` False the rule's is silent,
    too, so that both see the same activity and only the feedback differs; default for rules with a
    feedback matrix. With True it is on, as in training: it makes another activity and another
    error. Returns ``{"forward_1.w": (mean, sd), ...}``. A batch in which one of both updates is
    zero has no angle and is left out; NaN where no batch is left, and as the sd of a single one.
    """
    frozen = freeze(run, model, batches, **given)
    perturbed = not frozen.engine.model.rule.matrix if perturbed is None else perturbed
    if not perturbed:
        frozen.engine.course = frozen.engine.course.copy()
        frozen.engine.course[:, COLUMNS.index("sigma")] = 0
    other = freeze(run, reference(run, against) if isinstance(against, str) else against, batches,
                   **given)
    found: dict[str, list[float]] = {}
    for a, b in zip(updates(frozen, batches), updates(other, batches)):
        for key in b:
            found.setdefault(key, []).append(cosine(a[key], b[key]) if key in a else np.nan)
    told = {key: [cos for cos in cosines if not np.isnan(cos)] or [np.nan]
            for key, cosines in found.items()}
    return {key: (float(np.mean(v)), float(np.std(v, ddof=1)) if len(v) > 1 else float("nan"))
            for key, v in told.items()}


def jacobian(run: Any, batches: int = 400, **given: Any
             ) -> dict[int, tuple[np.ndarray, ...]]:
    """The expected Jacobian E[do/ds] of the run's network, in the holds in which M is read.

    With weights and feedback frozen, the readout's deviation Do is regressed on what the
    perturbation leaves after its path, Dz, over batches * batch trials. The perturbation is the
    rule's: of one that acts before the neuron, J is E[do/du], as M is. The network of a rule
    that does not perturb in pairs of holds is perturbed as under OPZO. Returns
    ``{layer: (J, J')}``, each (readouts, neurons) from one half of the trials: J.J' is the squared
    length without the noise of the estimate. Raises `InputError` for fewer than two `batches`.
    """
    batches = whole_number("batches", batches, least=2)
    own = all(defines(run.model.blocks[block], name) for block, name in (("hidden", "Dz"),
                                                                         ("error", "Do")))
    layers = dict(enumerate(run.model.network.hidden, 1))
    look = ["error.Do", *(f"{layer.name}.Dz" for layer in layers.values())]
    frozen = freeze(run, None if own else reference(run, "opzo"), batches, look=look, **given)
    sums: dict[int, list[list[Any]]] = {layer: [[0.0, 0.0], [0.0, 0.0]] for layer in layers}
    for k, (_, values) in enumerate(frozen.trials(batches)):
        Do = values["error.Do"].astype(float)
        if len(Do) > 1:  # the mean has a share of each trial's own Do: so much of J goes with it
            Do = (Do - Do.mean(axis=0)) * len(Do) / (len(Do) - 1)
        for layer, halves in sums.items():
            Dz = values[f"{layers[layer].name}.Dz"].astype(float)
            half = halves[k % 2]
            half[0] = half[0] + Do.T @ Dz
            half[1] = half[1] + (Dz**2).sum(axis=0)
    return {layer: tuple(cross / power for cross, power in halves)
            for layer, halves in sums.items()}


def alignment(run: Any, batches: int = 400, **given: Any) -> dict[int, tuple[float, float]]:
    """cos(M, J) and |M|/|J| of every layer of a `run`, free of the noise in the estimate of J.

    J comes from `batches` batches, see `jacobian`, which also takes the further keywords. Returns
    ``{layer: (cosine, ratio)}``; a matrix that is still zero has the cosine NaN, and both are NaN
    where noise hides J (J.J' is not above zero: take more batches). Raises `InputError` for a rule
    without a feedback matrix, and for fewer than two `batches`.
    """
    name = run.model.rule.matrix
    if not name:
        raise InputError(f"rule {run.model.rule_name} has no feedback matrix to compare with J")
    found = {}
    feedback = run.model.network.of("feedback")
    for (layer, (J, K)), synapses in zip(jacobian(run, batches, **given).items(), feedback):
        M = np.asarray(run.matrix(f"{synapses.name}.{name}"), float)
        square = float(np.vdot(J, K))
        length = np.sqrt(square) if square > 0 else float("nan")
        size = np.linalg.norm(M)
        cos = float(np.vdot(M, (J + K) / 2) / (size * length)) if size else float("nan")
        found[layer] = (cos, float(size / length))
    return found


def synaptic_operations(run: Any, evaluation: int = -1, kinds: Iterable[str] | None = None
                        ) -> dict[str, float]:
    """Additions that hidden spikes cause in a trial of a `run`: spikes of a layer times targets.

    Returns ``{"hidden_1": operations, ...}`` on the held-out trials of the trained network, or of
    `evaluation`, another point of the learning curve (0: untrained); a constant input costs nothing
    once it has been added, and what an input that spikes sends is not counted. `kinds` are those of
    the projections that count: default (None) all that act at a spike on hidden neurons or the
    readout, which is what a prediction needs; ``["forward_local"]``, readouts of single layers,
    which only learning needs.
    In a convolution a spike has targets in all pixels whose kernel sees its own, which at a border
    are fewer. A run keeps the mean rate of a population: where its neurons have unlike numbers of
    targets (sparse projections), each counts as if it fired at that. Raises `InputError` for a kind
    that there is not. Source: OPZO, appendix D.2.
    """
    duration, network = float(run.task.duration), run.model.network
    counted = network.predicting if kinds is None else _of_kinds(network, kinds)
    acting = [p for p in counted if text_of(run.model.blocks, p, "spike").strip()]
    found = {}
    for population in network.hidden:
        rate = float(run.arrays[f"rates/{population.name}"][evaluation])
        fan_out = sum(p.connection.fan_out for p in acting if p.source == population.name)
        found[population.name] = rate * duration * population.size * fan_out
    return found


def _of_kinds(network, kinds):
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    known = [*dict.fromkeys([name for name, kind in KINDS.items()
                             if isinstance(kind, ProjectionKind)]
                            + [p.kind for p in network.projections])]
    for kind in kinds:
        if kind not in known:
            raise unknown("kind of projection", kind, known)
    return [p for p in network.projections if p.kind in kinds]
