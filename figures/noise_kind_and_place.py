"""OPZO's perturbation: its distribution, its place, and what a decaying alpha does to the feedback.

A, accuracy on held-out digits and B, how well the feedback synapses M know the expected Jacobian J,
for Rademacher and Gaussian noise, added to what a neuron sends (after) or to its membrane (before
the neuron). Before the neuron, M contains psi, averaged over images; the forward rule keeps psi as
the paper does ("psi kept"), which counts psi twice but tells images apart, or leaves it out ("psi
in M only", forward_psi=False). Dashed: backpropagation, the same network and seeds. C, D,
E: alpha falls linearly to a hundredth while the network learns. M as the paper's text has it, with
every estimate over its own alpha (plain), loses the Jacobian in noise; weighting the estimates by
alpha squared (momentum) or least mean squares keep it.

J is measured by regression on frozen weights at the initial alpha; the noise of the estimate is
taken out of its length, so a cosine may come out just above 1. Digits in the papers' discrete
setting (rate engine, deterministic neurons, six time steps).

Source: Xiao et al. 2024 (OPZO), sections 4.4, 5.3 and table 2, appendix C.2.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Hz

import bioopzo as bz
from bioopzo import plots
from bioopzo.measures import rate as gradients
from bioopzo.studies import figures
from bioopzo.studies.discrete import discrete

JACOBIAN_BATCH = 256
#: How the feedback is learned while alpha falls.
FORMS = ("lms", "momentum", "plain")
#: Places and forms: written name, colour, marker. OPZO's own colour is the package's default.
PLACES = {"after": ("after", plots.RULE_STYLE["opzo"][0]),
          "before": ("before, \u03c8 in M only", plots.MORE_STYLES[0][0]),
          "before, psi": ("before, \u03c8 kept", plots.MORE_STYLES[1][0])}
LOOKS = {"lms": ("least mean squares", plots.RULE_STYLE["opzo"][0], "o"),
         "momentum": ("momentum", plots.MORE_STYLES[1][0], "^"),
         "plain": ("plain", plots.MORE_STYLES[0][0], "s")}


def compute(parameters, jobs, progress):
    p, task = parameters, discrete("digits", mu=parameters["mu"])
    sizes = [task.n_in, *p["hidden"], task.n_out]
    models = {"bp": bz.Model(sizes, rule="bp")}
    for key, alpha in p["alpha_hz"].items():
        for kind in ("rademacher", "gaussian"):
            models[f"{kind}, {key}"] = bz.Model(
                sizes, place=key.split(",")[0], distribution=kind, alpha=alpha * Hz,
                forward_psi=key != "before")
    for form in FORMS:
        own = {} if form == "lms" else {"n_M": p["n_M"]}
        models[f"alpha falls, {form}"] = bz.Model(
            sizes, form=form, alpha=p["falling_alpha_hz"] * Hz, alpha_final=p["alpha_final"], **own)
    seeds = range(p["first_seed"], p["first_seed"] + p["seeds"])
    result = bz.compare(models, task, seeds, engine="rate", epochs=p["epochs"],
                        evaluations=p["evaluations"], jobs=jobs, progress=progress, settings={
                            "activity": "deterministic", "batch": p["batch"], "rate": p["rate"]})
    data = {"accuracy": {}, "cosine": {}, "curves": {}}
    for label, runs in result.runs.items():
        data["accuracy"][label] = [100 * run.test_accuracy for run in runs]
        if label.startswith("alpha falls"):
            data["curves"][label] = [[_cosines(run, p, k) for k in range(1, p["evaluations"] + 1)]
                                     for run in runs]
        elif label != "bp":
            data["cosine"][label] = [_cosines(run, p) for run in runs]
    return {"seeds": p["seeds"], "trials": runs[0].arrays["curve/trials"][1:],
            "alpha_final": p["alpha_final"], **data}


def _cosines(run, p, point=-1):
    """cos(M, J) of every layer with the weights and feedback of one point of the curve."""
    now = {f"final/{name[10:]}": values[point] for name, values in run.arrays.items()
           if name.startswith("snapshots/")}
    frozen = bz.Run({**run.arrays, **now}, run.units, run.meta, run.model, run.task)
    found = gradients.alignment(frozen, p["jacobian_batches"], seed=run.meta["seed"],
                                   batch=JACOBIAN_BATCH)
    return [found[layer][0] for layer in sorted(found)]


@plots.styled
def draw(data):
    fig = plt.figure(figsize=(plots.PAGE_CM / 2.54, 12 / 2.54), layout="constrained")
    upper, lower = fig.subfigures(2, 1, height_ratios=[1, 1])
    left, right = upper.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.05})
    _accuracy(left, data)
    _cosine(right, data)
    curves = lower.subplots(1, 3, gridspec_kw={"width_ratios": [1, 1, 0.8], "wspace": 0.08})
    _curves(curves[:2], data)
    _final(curves[2], data)
    for ax, word in zip((left, right, *curves), "ABCDE"):
        plots.letter(ax, word)
    return fig


def _rows(data):
    """Row, place and distribution of every variant, from the top."""
    labels = [label for label in data["cosine"]]
    return [(len(labels) - 1 - k, label.split(", ", 1)[1], label.split(",")[0])
            for k, label in enumerate(labels)]


def _dots(ax, row, values, colour, **look):
    """A point a seed, and beside them the mean with its interval."""
    plots.dots(ax, values, row, colour, within=(0, 100), **{"marker": "o", "ms": 3, **look})


def _limits(ax, values, least, most):
    """An axis that shows every seed; an interval of few seeds may go beyond."""
    low, high = np.min(values), np.max(values)
    room = 0.15 * (high - low) + 0.01 * (most - least)
    ax.set_xlim(max(least, low - room), min(most, high + room))


def _accuracy(ax, data):
    for row, place, kind in _rows(data):
        _dots(ax, row, data["accuracy"][f"{kind}, {place}"], PLACES[place][1])
    mean, _ = plots.interval(np.reshape(data["accuracy"]["bp"], (-1, 1)))
    ax.axvline(mean[0], color=plots.RULE_STYLE["bp"][0], lw=0.8, ls=(0, (3, 2)), zorder=1)
    ax.annotate("BP", (mean[0], 1), xycoords=("data", "axes fraction"), xytext=(0, 1),
                textcoords="offset points", ha="center", va="bottom", fontsize=plots.SMALL)
    rows = _rows(data)
    ax.set_yticks([row for row, _, _ in rows],
                  [f"{PLACES[place][0]}, {kind.capitalize()}" for _, place, kind in rows])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    _limits(ax, [x for label, found in data["accuracy"].items() for x in found
                 if not label.startswith("alpha")], 0, 100)
    plots.dress(ax, "Held-out accuracy (%)", "")
    plots.note(ax, f"points: {data['seeds']} seeds; bars: mean, 95 % interval", loc="left", pad=12)


def _cosine(ax, data):
    for row, place, kind in _rows(data):
        values = np.array(data["cosine"][f"{kind}, {place}"])
        colour = PLACES[place][1]
        for layer, shift in ((0, 0.16), (1, -0.16)):
            mean, half = plots.interval(values[:, layer:layer + 1])
            ax.errorbar(mean, [row + shift], xerr=half, marker="o", ms=4, capsize=2, elinewidth=1,
                        ls="", **plots.layer_marks(layer + 1, colour))
    ax.axvline(1, color=plots.PALE, lw=0.8, zorder=1)
    _limits(ax, [1, *(x for runs in data["cosine"].values() for x in np.ravel(runs))], -1, 1.2)
    plots.layer_key(ax, (1, 2), loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    ax.tick_params(axis="y", length=0)
    plots.dress(ax, "cos(M, J) after training", "")


def _curves(axes, data):
    trials = np.array(data["trials"])
    for layer, ax in enumerate(axes):
        ends = []
        for form, (name, colour, marker) in LOOKS.items():
            values = np.array(data["curves"][f"alpha falls, {form}"])[:, :, layer]
            line = plots.band(ax, trials / 1000, values, form, color=colour, marker=marker,
                              within=(-1, 1.1))
            ends.append((line, name))
        ax.axhline(1, color=plots.PALE, lw=0.8, zorder=1)
        ax.set_xlim(0, trials[-1] / 1000)
        ax.set_ylim(0, 1.1)
        plots.dress(ax, "Training trials (thousands)", "cos(M, J)" if layer == 0 else "")
        plots.note(ax, f"hidden {layer + 1}; \u03b1 falls to {data['alpha_final']:g} of its start"
                   if layer == 0 else f"hidden {layer + 1}; band: 95 % interval")
    handles = [plt.Line2D([], [], color=c, marker=m, mec="white", mew=0.4)
               for _, c, m in LOOKS.values()]
    axes[0].legend(handles, [name for name, _, _ in LOOKS.values()], loc="lower left")


def _final(ax, data):
    forms = list(FORMS)[::-1]
    for row, form in enumerate(forms):
        name, colour, marker = LOOKS[form]
        _dots(ax, row, data["accuracy"][f"alpha falls, {form}"], colour, marker=marker)
    ax.set_yticks(range(len(forms)), [LOOKS[form][0].replace(" mean", "\nmean")
                                      for form in forms])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.6, len(forms) - 0.4)
    _limits(ax, [x for form in FORMS for x in data["accuracy"][f"alpha falls, {form}"]], 0, 100)
    plots.dress(ax, "Held-out accuracy (%)", "")


if __name__ == "__main__":
    figures.main(__file__)
