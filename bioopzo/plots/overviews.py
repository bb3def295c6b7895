"""How rules learn, and where they end: curves in panels that can be read, and seeds in a row."""

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from bioopzo.arguments import ENOUGH_SEEDS
from bioopzo.errors import InputError
from bioopzo.plots.learning import final_accuracy, learning_curves
from bioopzo.plots.marks import dots, panels
from bioopzo.plots.styles import (
    GREY,
    PAGE_CM,
    dress,
    letter,
    note,
    style,
    styled,
)

#: A label that ends so many points (%) from the reference is not shown beside it.
NEAR = 5.0


@styled
def dynamics(runs: Mapping[str, list[Any]], reference: str = "opzo", level: float = 0.95,
             **options: Any) -> Figure:
    """Learning curves, ends and differences of many labels; returns the figure.

    `runs` maps a label to its runs, each a `Run` of one task. Rules that send the hidden layers a
    vector of errors and those that send a number (with the control) have a panel each, of six
    curves at most: more in one of them are points at the end alone. Then the ends, a point a seed;
    and, of those near the `reference`, the differences from it, paired by seeds, which show who is
    tied. `level` is that of intervals; `options` are those of `learning_curves`. Raises
    `InputError` as that does.
    """
    labels, groups = list(runs), panels(list(runs))
    if not labels:
        raise InputError("no runs to draw")
    near = _near(runs, reference)
    height = max(5.0, 1.8 + 0.5 * len(labels))
    fig = plt.figure(figsize=(PAGE_CM / 2.54, (height + 6.5 * bool(groups)) / 2.54),
                     layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
    rows = fig.add_gridspec(2 if groups else 1, 1, height_ratios=([6.5] if groups else []) +
                            [height])
    axes: list[Axes] = []
    upper = rows[0].subgridspec(1, max(1, len(groups)))
    for k, group in enumerate(groups):
        axes.append(fig.add_subplot(upper[k]))
        shown = group if k == 0 or reference not in runs else [reference, *group]
        learning_curves({label: runs[label] for label in shown}, axes[-1], level, among=labels,
                        **options)
        if not options.get("early"):
            axes[-1].xaxis.set_major_locator(MaxNLocator(4))
    below = rows[-1].subgridspec(1, 2 if near else 1, width_ratios=[1.3, 1] if near else [1])
    axes.append(final_accuracy(runs, fig.add_subplot(below[0]), level))
    if near:
        axes.append(_differences(runs, reference, near, fig.add_subplot(below[1]), level))
    for ax, word in zip(axes, "ABCD"):
        letter(ax, word)
        note(ax, textwrap.fill(ax.get_title(loc="left"), 36 if word == "D" else 48))
    return fig


def _scores(runs):
    return {run.meta.get("seed"): 100 * run.meta["test_accuracy"] for run in runs}


def _near(runs, reference):
    """The labels that end near the reference, of the same seeds, and not in the same numbers."""
    if reference not in runs or any(run.meta.get("test_accuracy") is None
                                    for group in runs.values() for run in group):
        return []
    theirs = _scores(runs[reference])
    means = {label: np.mean(list(_scores(group).values())) for label, group in runs.items()
             if label != reference and len(theirs) > 1 and set(_scores(group)) == set(theirs)
             and _scores(group) != theirs}
    middle = np.mean(list(theirs.values()))
    found = [label for label in means if abs(means[label] - middle) <= NEAR]
    return sorted(found, key=lambda label: means[label])


def _differences(runs, reference, near, ax, level):
    """Differences from the reference at the end, paired by seeds: about 0, a tie."""
    theirs, labels = _scores(runs[reference]), list(runs)
    for row, label in enumerate(near):
        own = _scores(runs[label])
        color, marker, _ = style(label, labels)
        dots(ax, [own[seed] - theirs[seed] for seed in theirs], row, color, marker, level=level)
    ax.axvline(0, color=GREY, lw=0.8, ls=(0, (3, 2)), zorder=1)
    ax.set_yticks(range(len(near)), [style(label, labels)[2] for label in near])
    ax.set_ylim(-0.6, len(near) - 0.4)
    ax.tick_params(axis="y", length=0)
    name = style(reference, labels)[2]
    dress(ax, f"Accuracy minus that of {name} (points)", "")
    few = len(theirs) < ENOUGH_SEEDS
    note(ax, f"same seeds; within {NEAR:g} points" if few else
         f"same seeds; bar: {100 * level:g} % interval; within {NEAR:g} points")
    return ax
