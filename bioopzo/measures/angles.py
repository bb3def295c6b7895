"""Angles between weights, and firing rates: what is read off a run."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bioopzo.errors import InputError
from bioopzo.network.layers import recorded


def cosine(a: ArrayLike, b: ArrayLike) -> float:
    """Cosine of the angle between the arrays `a` and `b`; NaN when one is zero."""
    a, b = np.ravel(a), np.ravel(b)
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if length else float("nan")


def weight_alignment(run: Any) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Cosine between the feedback matrix and the forward weights it should match, over training.

    Of every hidden layer: the feedback M (or B), (readouts, neurons), against the product of the
    forward weights from that layer to the readout, transposed, at every evaluation of the `Run`.
    Backpropagation sends the error through those weights (and through psi, left out here).
    Returns ``(trials, {layer: cosines})`` with arrays (evaluations,), as `plots.alignment` takes
    them.

    Source: Lillicrap et al. 2016, who measure this angle.

    Raises `InputError` for a rule without feedback matrix, a network with convolutions, or a run
    too large for its weights to be kept.
    """
    network = recorded(run.meta)
    kinds, ends = ({name: told[what] for name, told in network["projections"].items()}
                   for what in ("kind", "ends"))
    names = [name for key in run.arrays if key.startswith("snapshots/")
             and (name := key.partition("/")[2]).split(".")[0] in kinds]
    matrices = ("M", "B") if run.model is None else (run.model.rule.matrix,)
    feedback = {ends[synapses][1]: f"{synapses}.{variable}" for synapses, variable in (
        name.split(".") for name in names)
        if kinds.get(synapses) == "feedback" and variable in matrices}
    if not feedback:
        raise InputError(f"the run of {run.meta['rule']} holds no feedback matrix over time")
    hidden = [name for name, told in network["populations"].items() if told["kind"] == "hidden"]
    above = {ends[synapses][0]: f"{synapses}.w" for synapses, kind in kinds.items()
             if kind in ("forward", "forward_readout")}
    found: dict[int, list[float]] = {layer: [] for layer in range(1, len(hidden) + 1)}
    numbers = dict(zip(hidden, found))
    ways = [ends[name] for name, kind in kinds.items() if kind in ("forward", "forward_readout")]
    chain = _chain(ways, "readout")
    if len(ways) != len(hidden) + 1 or set(chain) != set(hidden):
        raise InputError("only a chain of layers has a product of weights to compare with")
    for point in range(len(run.arrays["curve/trials"])):
        weights = {name: run.matrix(name, {name: run.arrays[f"snapshots/{name}"][point]})
                   for name in names}
        path = np.eye(network["populations"]["readout"]["size"])
        for population in chain:
            forward = weights[above[population]]
            if forward.shape != (network["populations"][population]["size"], len(path)):
                raise InputError("weights of convolutions have no product to compare with")
            path = forward @ path
            found[numbers[population]].append(cosine(weights[feedback[population]], path.T))
    return run.arrays["curve/trials"], {layer: np.array(v) for layer, v in found.items()}


def _chain(ways, end):
    """The hidden populations from the one before the readout, `end`, down to the first."""
    found: list[str] = []
    before = {target: source for source, target in ways}
    while (end := before.get(end, "input")) != "input" and end not in found:
        found.append(end)
    return found


def firing_rates(run: Any) -> dict[str, tuple[float, float]]:
    """Mean rate of every layer of a `run` in Hz on held-out trials: {layer: (untrained, trained)}.

    `run` is a `Run`. The rates are those of the first and of the last evaluation.
    """
    return {name[6:]: (float(values[0]), float(values[-1]))
            for name, values in run.arrays.items() if name.startswith("rates/")}
