"""Firing rates and synaptic operations of trained networks, by rule, before and after training.

A, B, how often a hidden neuron fires, as a share of time steps: grey line, the untrained network
(the same for all rules); dots, after training with each rule. C, the synaptic operations of a
held-out trial: the additions that its spikes cause, which is what neuromorphic hardware pays for
(spikes of a layer times the neurons they reach; the constant input costs nothing once it has been
added). D, what accuracy they buy.

Digits in the papers' discrete setting (64-100-100-10, rate engine, deterministic neurons, six time
steps, plasticity and perturbation off while reading), rates of each rule as in the figure
`accuracy`. "OPZO + local" has a readout for every hidden layer whose error is added (the papers'
local learning, LL).

Source: Xiao et al. 2024 (OPZO), appendix D.2 and table 7.
"""

import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator

import bioopzo as bz
from bioopzo import plots
from bioopzo.measures.rate import synaptic_operations
from bioopzo.studies import figures
from bioopzo.studies.discrete import discrete
from bioopzo.studies.quantities import with_units

#: Label -> the rule whose rates it takes.
RULES = {"bp": "bp", "opzo": "opzo", "OPZO + local": "opzo", "dkp": "dkp", "dfa": "dfa",
         "eprop": "eprop", "node_perturbation": "node_perturbation", "readout_only": "readout_only"}


def compute(parameters, jobs, progress):
    p, task = parameters, discrete("digits")
    sizes = [task.n_in, *p["hidden"], task.n_out]
    models = {label: bz.Model(sizes, rule=rule, **_own(p["rules"][rule]),
                              **({"local": True} if "local" in label else {}))
              for label, rule in RULES.items()}
    settings = {label: {"rate": p["rules"][rule]["rate"]} for label, rule in RULES.items()}
    result = bz.compare(models, task, range(p["seeds"]), engine="rate", epochs=p["epochs"],
                        evaluations=1, jobs=jobs, progress=progress, settings={
                            "activity": "deterministic", "batch": p["batch"], **settings})
    layers = [f"hidden_{k}" for k in range(1, len(sizes) - 1)]
    step, points = float(task.dt), {"before": 0, "after": -1}
    return {"sizes": sizes, "steps": task.steps, "seeds": p["seeds"], "rules": {
        label: {"accuracy": [100 * run.test_accuracy for run in runs],
                "rates": {when: [[step * run.arrays[f"rates/{layer}"][point] for layer in layers]
                                 for run in runs] for when, point in points.items()},
                "operations": {when: [[synaptic_operations(run, point)[layer] for layer in layers]
                                      for run in runs] for when, point in points.items()}}
        for label, runs in result.runs.items()}}


def _own(values):
    """A rule's own parameters with their units; the optimiser's rate is not among them."""
    return with_units({name: value for name, value in values.items() if name != "rate"})


@plots.styled
def draw(data):
    fig, axes = plots.figure(plots.PAGE_CM, 6.6, ncols=4,
                             gridspec_kw={"width_ratios": [1, 1, 1, 1.15]})
    fig.get_layout_engine().set(w_pad=0.03, wspace=0.03)
    labels = [label for rule in plots.RULE_STYLE for label in data["rules"]
              if RULES[label] == rule]
    for layer in range(2):
        values = {label: np.array(found["rates"]["after"])[:, layer] * 100
                  for label, found in data["rules"].items()}
        before = np.array([found["rates"]["before"] for found in data["rules"].values()])
        _rows(axes[layer], values, 100 * before[:, :, layer].mean(), labels)
        axes[layer].set_xlim(left=0)
        plots.dress(axes[layer], f"Firing, hidden {layer + 1}\n(% of steps)", "")
    totals = {label: np.sum(found["operations"]["after"], axis=1) / 1000
              for label, found in data["rules"].items()}
    before = np.sum([found["operations"]["before"] for found in data["rules"].values()], axis=2)
    _rows(axes[2], totals, before.mean() / 1000, labels)
    axes[2].set_xlim(left=0)
    plots.dress(axes[2], "Synaptic operations\na trial (thousands)", "")
    for ax in axes[1:3]:
        ax.set_yticklabels([])
    _trade(axes[3], data, totals, labels)
    for ax, word in zip(axes, "ABCD"):
        ax.annotate(word, (0, 1), xycoords="axes fraction", xytext=(-3, 4), ha="right",
                    textcoords="offset points", fontsize=plots.NORMAL + 1, fontweight="bold")
    fig.supxlabel(f"Points: {data['seeds']} seeds; bars: mean and 95 % t-interval over seeds; "
                  "grey line: the untrained network. D: axis logarithmic in the error.",
                  fontsize=plots.SMALL, color=plots.GREY, x=0.01, ha="left")
    return fig


def _look(label, labels):
    """A rule's colour, marker and name; a shade of OPZO's where learning is local."""
    if "local" in label:
        color, marker, _ = plots.style("opzo, local", ["opzo", "opzo, local"])
        return color, marker, label
    return plots.style(label, labels)


def _rows(ax, values, before, labels):
    ax.axvline(before, color=plots.PALE, lw=1.6, zorder=0)
    rows = labels[::-1]
    for row, label in enumerate(rows):
        colour, marker, _ = _look(label, labels)
        plots.dots(ax, values[label], row, colour, marker, within=(0, np.inf))
    ax.set_yticks(range(len(rows)), [_look(label, labels)[2] for label in rows])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.tick_params(axis="y", length=0)


def _trade(ax, data, totals, labels):
    """Accuracy against operations, means with intervals in both directions."""
    places = []
    errors = {label: np.maximum(100 - np.array(data["rules"][label]["accuracy"]), 0.05)
              for label in labels}
    for label in labels:
        colour, marker, name = _look(label, labels)
        x, across = plots.interval(totals[label][:, None])
        y, along = plots.interval(np.log(errors[label])[:, None])
        y, low, high = np.exp([y, y - along, y + along]) if along is not None else (y, y, y)
        ax.errorbar(x, y, yerr=[y - low, high - y], xerr=across, color=colour, marker=marker,
                    ms=4.5, capsize=1.5, elinewidth=0.8, mew=0, label=name, alpha=0.85)
        places.append((float(x[0]), float(y[0]), name, colour))
    every = np.concatenate(list(errors.values()))
    ax.set_yscale("log")
    ax.set_ylim(1.2 * every.max(), every.min() / 1.3)
    ticks = [t for t in (50, 60, 70, 80, 90, 95, 97, 98, 99) if
             every.min() / 1.3 <= 100 - t <= 1.2 * every.max()]
    ax.yaxis.set_major_locator(FixedLocator([100 - t for t in ticks]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_yticklabels([f"{t:g}" for t in ticks])
    plots.dress(ax, "Synaptic operations\na trial (thousands)", "Held-out accuracy (%)")
    ax.set_xlim(left=0)
    _names(ax, places)


def _names(ax, places):
    """Names to the right of all, in the order of their points, so that none lies on another."""
    places.sort(key=lambda place: place[1])
    for k, (x, y, name, colour) in enumerate(places):
        ax.annotate(name, (x, y), xytext=(1.06, 1 - (k + 0.5) / len(places)), color=colour,
                    textcoords="axes fraction", va="center", fontsize=plots.SMALL,
                    annotation_clip=False, arrowprops={
                        "arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 0, "shrinkB": 3,
                        "relpos": (0, 0.5)})


if __name__ == "__main__":
    figures.main(__file__)
