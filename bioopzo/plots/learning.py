"""Figures of learning: every function is ``f(data, ax=None) -> ax``; rcParams stay as they were.

One style throughout: colours that colour-blind readers can tell apart (Okabe & Ito 2008), a rule
has the same colour and marker in every figure, lines carry their names, and text stays legible
at the width of a journal column (8.5 cm). Nothing is shown or saved by itself.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from bioopzo.errors import InputError
from bioopzo.network.layers import recorded
from bioopzo.plots.marks import band, dots, label_ends, layer_marks, meaning
from bioopzo.plots.styles import (
    COLUMN_CM,
    GREY,
    INK,
    PAGE_CM,
    PALE,
    SMALL,
    axes_of,
    dress,
    layer_colour,
    note,
    remark,
    style,
    styled,
)

#: Each a `Run`: of several rules, or by label.
Runs = Iterable[Any] | Mapping[str, Iterable[Any]]


@styled
def learning_curves(runs: Runs, ax: Axes | None = None, level: float = 0.95, error: bool = False,
                    early: bool = False, among: Iterable[str] | None = None) -> Axes:
    """Held-out accuracy (%) or loss against training trials, the mean over seeds.

    Parameters
    ----------
    runs : list of Run, or mapping label -> list of Run
        Of one task; a list is grouped by rule.
    ax : axes, optional
        Default: a new figure of one column.
    level : float
        Of the t-interval over seeds, drawn as a band from five seeds on; default 0.95. Fewer
        seeds are thin lines.
    error : bool
        Draw the error (100 - accuracy) on a logarithmic axis: for curves that end near 100 %.
    early : bool
        Draw trials on a logarithmic axis, from the first evaluation after the start.
    among : labels, optional
        All labels of a figure of which these are a part: they look as they do there.

    Raises `InputError` for no runs, several tasks, or curves read after different trials.
    """
    groups = _grouped(runs)
    every = [run for group in groups.values() for run in group]
    key, unit, scale = _measure(every)
    ax, untuned = axes_of(ax), _untuned(groups)
    ends, first, last, least, perfect = [], 0, 0, 0.0, False
    for label, group in groups.items():
        trials, values = _stacked(label, group, f"curve/{key}")
        values = scale * values
        if early and len(trials) > 1:  # the start has no place there
            trials, values = trials[1:], values[:, 1:]
        error = error and key == "accuracy"
        values = 100 - values if error else values
        if error:  # 0 has no place on a logarithmic axis
            least = values[values > 0].min(initial=100) / 2
            perfect |= bool((values <= 0).any())
            values = np.maximum(values, least)
        within = (least, 100) if key == "accuracy" else (0, np.inf)
        line = band(ax, trials, values, label, list(groups) if among is None else list(among),
                    level, within)
        ends.append((line, line.get_label() + untuned[label]))
        first, last = trials[0], max(last, trials[-1])
    chance = _chance(every) if key == "accuracy" else None
    if chance is not None:
        chance = 100 - chance if error else chance
        line, = ax.plot([first, last], [chance, chance], color=GREY, lw=0.8, ls=(0, (3, 2)),
                        zorder=1, label="chance")
        ends.append((line, "chance"))
    if error:
        ax.set_yscale("log")
        ax.set_ylim(top=100)
        ax.yaxis.set_major_formatter("{x:g}")
        small = ax.get_ylim()[0] > 10  # one power of ten at most: others are said, too
        if small:
            ax.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 4, 6)))
        ax.yaxis.set_minor_formatter("{x:g}" if small else "")
        key = "error"
    elif key == "accuracy":
        ax.set_ylim(0, 100)
    if early:
        ax.set_xscale("log")
    ax.set_xlim(first, last or 1)
    dress(ax, "Training trials", f"Held-out {key}{unit}")
    _note_seeds(ax, groups, level, more="; ".join(filter(None, [
        _shown(every), "no error is drawn as half of the least one" * perfect])))
    label_ends(ax, ends)
    return ax


@styled
def final_accuracy(runs: Runs, ax: Axes | None = None, level: float = 0.95) -> Axes:
    """Held-out accuracy (%) or loss at the end: a point a seed, mean and interval, best first.

    Takes `runs`, `ax` and `level`, and raises, what `learning_curves` does.
    """
    groups = _grouped(runs)
    every = [run for group in groups.values() for run in group]
    key, unit, scale = _measure(every)
    scores = {label: scale * np.array([run.meta[f"test_{key}"] for run in group], dtype=float)
              for label, group in groups.items()}
    order = sorted(groups, key=lambda label: scores[label].mean(), reverse=key == "loss")
    ax = axes_of(ax, height=1.8 + 0.65 * len(groups))
    within = (0.0, 100.0 if key == "accuracy" else np.inf)
    for row, label in enumerate(order):
        color, marker, _ = style(label, list(groups))
        dots(ax, scores[label], row, color, marker, level=level, within=within, label="seeds")
    if key == "accuracy":
        ax.set_xlim(max(0, ax.get_xlim()[0]), min(100, ax.get_xlim()[1]))
    chance = _chance(every) if key == "accuracy" else None
    lowest = -0.6
    if chance is not None and ax.get_xlim()[0] < 2 * chance:
        lowest = -1.1  # room for the word below the rows
        ax.axvline(chance, color=GREY, lw=0.8, ls=(0, (3, 2)), zorder=1)
        ax.annotate("chance", (chance, 0), xycoords=("data", "axes fraction"), xytext=(2, 2),
                    textcoords="offset points", color=GREY, fontsize=SMALL)
    untuned = _untuned(groups)
    ax.set_yticks(range(len(order)), [style(label, list(groups))[2] + untuned[label]
                                      for label in order])
    ax.set_ylim(lowest, len(order) - 0.4)
    ax.tick_params(axis="y", length=0)
    dress(ax, f"Held-out {key}{unit}", "")
    _note_seeds(ax, groups, level, points=True)
    return ax


@styled
def rates(run: Any, ax: Axes | None = None) -> Axes:
    """Firing rate (Hz) of each hidden population on held-out trials of a `run`, against trials.

    Drawn into `ax`, by default a new figure of one column. Raises `InputError` when the run holds
    no rates.
    """
    layers = _kept_rates(run)
    if not layers:
        raise InputError("the run holds no firing rates (rates/hidden_1 ...)")
    ax = axes_of(ax)
    ends = []
    for k, name in enumerate(layers):
        color = layer_colour(k, len(layers))
        line, = ax.plot(run.arrays["curve/trials"], run.arrays[name], clip_on=False,
                        **{"marker": "o", **layer_marks(k + 1, color)})
        ends.append((line, name.partition("/")[2].replace("_", " ")))
    ax.set_xlim(left=0, right=run.arrays["curve/trials"][-1])
    ax.set_ylim(bottom=0)
    dress(ax, "Training trials", "Firing rate (Hz)")
    label_ends(ax, ends)
    return ax


@styled
def alignment(curves: Mapping[str, tuple[np.ndarray, Mapping[int, np.ndarray]]],
              ax: Axes | None = None) -> Axes:
    """Cosine between each rule's update (or feedback) and that of backpropagation, over training.

    `curves` maps a label (a rule's name has that rule's colour) to ``(trials, {layer: cosines})``;
    layers differ in the dashes of their lines. Drawn into `ax`, by default a new figure of one
    column. Raises `InputError` when there is nothing to draw
    or a curve and its trials differ in length.
    """
    if not curves:
        raise InputError("alignment needs at least one curve: {label: (trials, {layer: cosines})}")
    layers = list(dict.fromkeys(layer for _, of in curves.values() for layer in of))
    dashes = dict(zip(layers, ["-", (0, (4, 1.5)), (0, (1, 1)), "-."] * len(layers)))
    ax = axes_of(ax)
    ax.axhline(0, color=PALE, lw=0.8, zorder=1)
    ends = []
    for label, (trials, of) in curves.items():
        color, marker, name = style(label, list(curves))
        for layer, values in of.items():
            if np.shape(values) != np.shape(trials):
                raise InputError(f"{label}, layer {layer}: {np.size(values)} cosines for "
                                 f"{np.size(trials)} numbers of trials")
            line, = ax.plot(trials, values, color=color, marker=marker, ls=dashes[layer],
                            clip_on=False, mec="white", mew=0.4)
        # One name a rule, where its last layer ends.
        ends.append((line, name))
    if len(layers) > 1:
        handles = [plt.Line2D([], [], color=INK, ls=dashes[layer]) for layer in layers]
        names = [f"layer {layer}" if str(layer).isdigit() else str(layer).replace("_", " ")
                 for layer in layers]
        ax.legend(handles, names, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(layers),
                  borderaxespad=0.2, handlelength=2.4)
    ax.set_ylim(-1, 1)
    ax.set_yticks([-1, -0.5, 0, 0.5, 1])
    ax.set_xlim(0, max(np.max(trials) for trials, _ in curves.values()))
    dress(ax, "Training trials", "Cosine with backpropagation")
    label_ends(ax, ends)
    return ax


@styled
def overview(run: Any) -> Figure:
    """Learning curve, firing rates, weights at start and end of one `run`; returns the figure."""
    count = len(_kept_weights(run))
    fig = plt.figure(figsize=(PAGE_CM / 2.54, max(5.6, 1 + 1.8 * count) / 2.54),
                     layout="constrained")
    grid = fig.add_gridspec(max(1, count), 3)
    learning_curves([run], fig.add_subplot(grid[:, 0]))
    if _kept_rates(run):
        rates(run, fig.add_subplot(grid[:, 1]))
    _weight_panels(run, fig, [grid[k, 2] for k in range(count)])
    return fig


@styled
def weights(run: Any, fig: Figure | None = None) -> Figure:
    """Forward weights of every layer, before (filled) and after a `run`; returns the figure.

    Drawn into `fig`, by default a new one of one column. Raises `InputError` when the run holds no
    weights over time.
    """
    count = len(_kept_weights(run))
    if not count:
        raise InputError("the run holds no weights over time (snapshots/forward_1.w ...)")
    if fig is None:
        fig = plt.figure(figsize=(COLUMN_CM / 2.54, (1 + 1.8 * count) / 2.54),
                         layout="constrained")
    grid = fig.add_gridspec(count, 1)
    _weight_panels(run, fig, [grid[k, 0] for k in range(count)])
    return fig


def _kept_rates(run):
    names = [name for name in run.arrays if name.startswith("rates/")]
    return sorted(names, key=lambda name: (len(name), name))  # hidden_10 after hidden_2


def _kept_weights(run):
    names = [f"snapshots/{name}.w" for name, told in recorded(run.meta)["projections"].items()
             if told["kind"] in ("forward", "forward_readout")]
    return [name for name in names if name in run.arrays]


def _weight_panels(run, fig, places):
    """Histograms of the weights of a projection each, at start and end."""
    names = _kept_weights(run)
    ends = [recorded(run.meta)["projections"][name[len("snapshots/"):-len(".w")]]["ends"]
            for name in names]
    targets = [target for _, target in ends]
    color = style(run.meta["rule"])[0]
    shared = None
    for k, (name, place) in enumerate(zip(names, places)):
        shared = ax = fig.add_subplot(place, sharex=shared)
        first, last = run.arrays[name][0].ravel(), run.arrays[name][-1].ravel()
        there = (first != 0) | (last != 0)  # of a sparse projection, the pairs that are connected
        first, last = first[there], last[there]
        edges = np.histogram_bin_edges(np.concatenate([first, last]), 30)
        ax.hist(first, edges, color=PALE, alpha=0.8)
        ax.hist(last, edges, histtype="step", color=color, lw=1.1)
        source, target = (end.replace("_", " ") for end in ends[k])
        only = targets.count(targets[k]) == 1
        ax.set_title(f"Into {target}" if only else f"From {source} into {target}", loc="left",
                     fontsize=SMALL, pad=2)
        ax.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        ax.tick_params(labelbottom=k == len(names) - 1)
        dress(ax, "Weight" if k == len(names) - 1 else "",
              "Synapses" if k == len(names) // 2 else "")
        if k == 0:
            for place, word, ink in ((0.84, "start", GREY), (1, "end", color)):
                ax.annotate(word, (place, 1), xycoords="axes fraction", xytext=(0, 2),
                            textcoords="offset points", ha="right", color=ink, fontsize=SMALL)


# ---------------------------------------------------------------------------- data

def _grouped(runs):
    """Runs by label, all of one task."""
    if isinstance(runs, dict):
        groups = {label: list(group) for label, group in runs.items()}
    else:
        groups = {}
        for run in runs:
            groups.setdefault(run.meta["rule"], []).append(run)
    if not groups or not all(groups.values()):
        empty = ", ".join(repr(label) for label, group in groups.items() if not group)
        raise InputError(f"no runs to draw{' for ' + empty if empty else ''}")
    tasks = sorted({run.meta["task"] for group in groups.values() for run in group})
    if len(tasks) > 1:
        raise InputError(f"runs of several tasks cannot share a figure: {', '.join(tasks)}")
    return groups


def _untuned(groups):
    """What stands behind each label: where nobody chose some labels' learning rates, their own."""
    left = {label: bool(group[0].meta.get("untuned")) for label, group in groups.items()}
    return {label: " (not tuned)" * (found and not all(left.values()))
            for label, found in left.items()}


def _measure(runs):
    """What there is to draw: ("accuracy", " (%)", 100), or the loss."""
    with_accuracy = [np.size(run.arrays.get("curve/accuracy", ())) > 0 for run in runs]
    return ("accuracy", " (%)", 100) if all(with_accuracy) else ("loss", "", 1)


def _stacked(label, group, key):
    """Trials, and a row of values a run."""
    trials = [np.asarray(run.arrays["curve/trials"]) for run in group]
    for run, own in zip(group, trials):
        if not np.array_equal(own, trials[0]):
            seed = run.meta.get("seed")
            raise InputError(f"{label}: the run of seed {seed} was read after other "
                             "numbers of trials than the rest (or is incomplete)")
    return trials[0], np.array([run.arrays[key] for run in group])


def _chance(runs):
    """Chance level in % for as many classes as readouts, None when the runs do not say."""
    sizes = {tuple(run.meta["sizes"])[-1] for run in runs if run.meta.get("sizes")}
    return 100 / sizes.pop() if len(sizes) == 1 else None


def _shown(runs):
    """How many held-out trials the points are of, where the last is of more than those before."""
    shown = {tuple(run.arrays.get("curve/held_out", ())) for run in runs}
    few = {count for counts in shown for count in counts[:-1]}
    last = {count for counts in shown for count in counts[-1:]}
    if len(few) != 1 or len(last) != 1 or few == last:
        return ""
    return f"{few.pop()} of {last.pop()} trials before the end"


def _note_seeds(ax, groups, level, points=False, more=""):
    """Say above the axes what points, lines and bands are, and of which data, if simulated."""
    counts: dict[str, list[str]] = {}
    for label, group in groups.items():
        counts.setdefault(meaning(len(group), level, points), []).append(label)
    words = [f"{', '.join(labels)}: {told or 'one seed'}" if len(counts) > 1 else told
             for told, labels in counts.items() if told or len(counts) > 1]
    words += filter(None, [more, remark(next(iter(groups.values()))[0].meta["task"])])
    if words:
        note(ax, "; ".join(words))
