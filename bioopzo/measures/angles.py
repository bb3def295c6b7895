"""Angles between weights, and firing rates: what is read off a run."""

import re

import numpy as np

from bioopzo.errors import InputError


def cosine(a, b):
    """Cosine of the angle between the arrays `a` and `b`; NaN when one is zero."""
    a, b = np.ravel(a), np.ravel(b)
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if length else float("nan")


def weight_alignment(run):
    """Cosine between the feedback matrix and the forward weights it should match, over training.

    Of every hidden layer: the feedback M (or B), (readouts, neurons), against the product of the
    forward weights from that layer to the readout, transposed, at every evaluation of the run.
    Backpropagation sends the error through those weights (and through psi, left out here).
    Returns ``(trials, {layer: cosines})`` with arrays (evaluations,), as `plots.alignment` takes
    them.

    Source: Lillicrap et al. 2016, who measure this angle.

    Raises `InputError` for a rule without feedback matrix, a network with convolutions, or a run
    too large for its weights to be kept.
    """
    names = {key.partition("/")[2] for key in run.arrays if key.startswith("snapshots/")}
    sizes = run.meta["sizes"]
    kind = next((name[-1] for name in names if re.match(r"feedback_\d+\.[MB]$", name)), None)
    if kind is None:
        raise InputError(f"the run of {run.meta['rule']} holds no feedback matrix over time")
    found = {layer: [] for layer in range(1, len(sizes) - 1)}
    for point in range(len(run.arrays["curve/trials"])):
        weights = {name: run.matrix(name, {name: run.arrays[f"snapshots/{name}"][point]})
                   for name in names}
        path = np.eye(sizes[-1])
        for layer in reversed(found):
            forward = weights[f"forward_{layer + 1}.w"]
            if forward.shape != (sizes[layer], sizes[layer + 1]):
                raise InputError("weights of convolutions have no product to compare with")
            path = forward @ path
            found[layer].append(cosine(weights[f"feedback_{layer}.{kind}"], path.T))
    return run.arrays["curve/trials"], {layer: np.array(v) for layer, v in found.items()}


def firing_rates(run):
    """Mean rate of every layer of a `run` in Hz on held-out trials: {layer: (untrained, trained)}.

    The rates are those of the first and of the last evaluation.
    """
    return {name[6:]: (float(values[0]), float(values[-1]))
            for name, values in run.arrays.items() if name.startswith("rates/")}
