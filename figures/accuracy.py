"""Accuracy of all rules over data sets in the rate engine: a table drawn as dots.

One row a rule, one column a data set: held-out accuracy at the end of training, a point a seed, the
mean and the 95 % t-interval over seeds, and beside them mean +- standard deviation. The axis is
logarithmic in the error, so that the good rules come apart. Rules that a data set was not run with
have an empty cell.

Digits (64-100-100-10) and Yin-Yang (4-100-100-3) are computed here, in the papers' discrete
setting: six time steps, deterministic neurons, AdamW; REINFORCE, which needs chance in its spikes,
has neurons with escape noise, in training and in the reading. MNIST (784-800-800-10) is not
computed but read from the committed file that `bioopzo results mnist` makes (about an hour); there
node perturbation has no baseline, as the papers' ZO. The learning rate of every rule, and what it
has of its own, come from the validation splits: see parameters.py.

Source: Xiao et al. 2024 (OPZO), table 1; Kriener et al. 2022 (Yin-Yang); LeCun et al. 1998 (MNIST).
"""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator

import bioopzo as bz
from bioopzo import plots
from bioopzo.studies import figures
from bioopzo.studies.content import read
from bioopzo.studies.discrete import discrete
from bioopzo.studies.quantities import with_units

#: Read as they are; `figures/data/fashion_mnist.json` belongs here once it has been made.
INPUTS = ["data/mnist.json"]
NAMES = {"digits": "Digits", "yin_yang": "Yin-Yang", "mnist": "MNIST",
         "fashion_mnist": "Fashion-MNIST"}
TICKS = (0, 50, 80, 90, 95, 98, 99, 99.5)
SHADE = "#F5F5F5"


def compute(parameters, jobs, progress):
    p, found = parameters, {}
    for name, chosen in p["sets"].items():
        task = discrete(name, **chosen["regime"])
        sizes = [task.n_in, *p["hidden"], task.n_out]
        models = {rule: bz.Model(sizes, rule=rule, **_own(own))
                  for rule, own in chosen["rules"].items()}
        settings = {rule: {"rate": own["rate"], "activity":
                           "spikes" if rule == "reinforce" else "deterministic"}
                    for rule, own in chosen["rules"].items()}
        result = bz.compare(models, task, range(p["seeds"]), engine="rate", jobs=jobs,
                            epochs=chosen["epochs"], evaluations=1, progress=progress,
                            settings={"batch": p["batch"], **settings})
        found[name] = {
            "source": "computed", "sizes": sizes, "epochs": chosen["epochs"],
            "accuracy": {rule: [100 * run.test_accuracy for run in runs]
                         for rule, runs in result.runs.items()}}
    for path in INPUTS:
        content = read(Path(__file__).parent / path)
        found[content["task"]] = {
            "source": f"read from figures/{path}, made by {content['command']}",
            "sizes": [784, 800, 800, 10], "epochs": content["epochs"],
            "accuracy": {row["rule"]: [100 * score for score in row["scores"]]
                         for row in content["rows"]}}
    return found


def _own(values):
    """A rule's own parameters with their units; the optimiser's rate is not among them."""
    return with_units({name: value for name, value in values.items() if name != "rate"})


@plots.styled
def draw(data):
    sets = [name for name in NAMES if name in data]
    fig, axes = plots.figure(plots.PAGE_CM, 8.2, ncols=len(sets), sharey=True)
    fig.get_layout_engine().set(w_pad=0.02, wspace=0.03)
    rows = [rule for rule in list(plots.RULE_STYLE)[::-1]
            if any(rule in data[name]["accuracy"] for name in sets)]
    for ax, name in zip(axes, sets):
        control = np.mean(data[name]["accuracy"]["readout_only"])
        ax.axvline(_error(control), color=plots.PALE, lw=0.8, ls=(0, (3, 2)), zorder=1)
        for row, rule in enumerate(rows):
            if row % 2:
                ax.axhspan(row - 0.5, row + 0.5, color=SHADE, lw=0, zorder=0)
            if rule in data[name]["accuracy"]:
                _cell(ax, row, rule, data[name]["accuracy"][rule], control)
            else:
                _say(ax, row, "not run", plots.GREY)
        _axis(ax, data[name]["accuracy"])
        sizes = "-".join(map(str, data[name]["sizes"]))
        star = " *" if data[name]["source"] != "computed" else ""
        ax.annotate(f"{NAMES[name]}{star}", (0, 1), xycoords="axes fraction", xytext=(0, 15),
                    textcoords="offset points", fontweight="bold", fontsize=plots.NORMAL)
        seeds = len(next(iter(data[name]["accuracy"].values())))
        plots.note(ax, f"{sizes}, {_count(data[name]['epochs'], 'epoch')}, "
                       f"{_count(seeds, 'seed')}")
        plots.dress(ax, "Held-out accuracy (%)", "")
    axes[0].set_yticks(range(len(rows)), [plots.style(rule)[2] for rule in rows])
    axes[0].set_ylim(-0.5, len(rows) - 0.5)
    for ax in axes:
        ax.tick_params(axis="y", length=0)
    told = ("Points: seeds; numbers: mean \u00b1 standard deviation over seeds; bars: 95 % "
            "t-interval, from five seeds on. Axes are logarithmic in the error. Dashed: the "
            "control, in which the readout alone learns; \u2193: below it, what hidden layers "
            "learn costs more than it brings, in these epochs. * `bioopzo results mnist`: there "
            "node pert. has no baseline (ZO).")
    fig.supxlabel(textwrap.fill(told, 118), fontsize=plots.SMALL, color=plots.GREY, x=0.01,
                  ha="left")
    return fig


def _count(number, noun):
    return f"{number} {noun}" + "s" * (number != 1)


def _error(accuracy, held_out=1000):
    """Where an accuracy (%) lies on the axis: its error; none at all is half of one in 1000."""
    return np.maximum(100 - np.asarray(accuracy), 50 / held_out)


def _cell(ax, row, rule, values, control):
    colour, marker, _ = plots.style(rule)
    mean, half = plots.interval(np.reshape(values, (-1, 1)))
    enough = len(values) >= 5
    ax.plot(_error(values), row + 0.18 + plots.jitter(values, 0.1), ls="", marker=marker, ms=3,
            color=colour, alpha=0.6, mew=0)
    if enough:
        low, high = _error(mean[0] - half[0]), _error(mean[0] + half[0])
        ax.plot([low, high], [row - 0.18] * 2, color=colour, lw=1.2, solid_capstyle="butt")
    ax.plot(_error(mean), [row - 0.18], marker="|", ms=6, mew=1.6, color=colour)
    below = "\u2193 " if mean[0] < control and rule != "readout_only" else ""
    spread = f" \u00b1 {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    _say(ax, row, f"{below}{mean[0]:.1f}{spread}")


def _say(ax, row, text, colour=plots.INK):
    """Words at the right end of a row."""
    ax.annotate(text, (1, row), xycoords=("axes fraction", "data"), xytext=(-2, 0), ha="right",
                textcoords="offset points", va="center", fontsize=plots.SMALL, color=colour, bbox={
                    "facecolor": SHADE if row % 2 else "white", "lw": 0, "pad": 1})


def _axis(ax, accuracy):
    """Errors from large to small, so that better is further right, with room for the numbers."""
    every = _error([x for values in accuracy.values() for x in values])
    ax.set_xscale("log")
    low, high = np.log(every.min() / 1.15), np.log(every.max() * 1.25)
    ax.set_xlim(np.exp(high), np.exp(low - 0.62 * (high - low)))
    ticks = [t for t in TICKS if every.min() / 1.15 < 100 - t < every.max() * 1.25]
    ax.xaxis.set_major_locator(FixedLocator([100 - t for t in ticks]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{t:g}" for t in ticks])


if __name__ == "__main__":
    figures.main(__file__)
