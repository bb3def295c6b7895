"""Figures of learning: every function is ``f(data, ax=None) -> ax``; rcParams stay as they were.

One style throughout: colours that colour-blind readers can tell apart (Okabe & Ito 2008), a rule
has the same colour and marker in every figure, lines carry their names, and text stays legible
at the width of a journal column (8.5 cm). Nothing is shown or saved by itself.
"""

import functools
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.ticker import MaxNLocator
from scipy import stats

from .errors import InputError
from .results import write_atomically

COLUMN_CM, PAGE_CM = 8.5, 17.4
SMALL, NORMAL = 7, 8  # points
INK, GREY, PALE = "#404040", "#707070", "#B0B0B0"
STYLE = {
    "font.size": SMALL, "axes.labelsize": NORMAL, "axes.titlesize": NORMAL,
    "xtick.labelsize": SMALL, "ytick.labelsize": SMALL, "legend.fontsize": SMALL,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 3,
    "ytick.major.size": 3, "lines.linewidth": 1.2, "lines.markersize": 3.5,
    "legend.frameon": False, "figure.dpi": 150, "savefig.dpi": 300, "pdf.fonttype": 42,
    "svg.fonttype": "none",
}
#: Colour, marker and written name of each rule, the same in every figure.
RULE_STYLE = {
    "opzo": ("#D55E00", "o", "OPZO"),
    "bp": ("#000000", "s", "BP"),
    "dfa": ("#0072B2", "^", "DFA"),
    "dkp": ("#56B4E9", "v", "DKP"),
    "eprop": ("#CC79A7", "P", "e-prop"),
    "node_perturbation": ("#009E73", "D", "Node pert."),
    "reinforce": ("#E69F00", "X", "REINFORCE"),
    "readout_only": ("#8C8C8C", "d", "Readout only"),
}
#: For rules and labels of the user's own, by order of appearance in a figure.
MORE_STYLES = (("#882255", "<"), ("#44AA99", ">"), ("#999933", "h"), ("#332288", "*"),
               ("#AA4499", "p"), ("#117733", "H"))


def styled(function):
    """Run a plotting function within the style of this module; rcParams stay as they were."""
    @functools.wraps(function)
    def wrapper(*arguments, **options):
        with plt.rc_context(STYLE):
            found = function(*arguments, **options)
            interactive = plt.isinteractive()
        # The first figure of a notebook loads the backend, which turns this on for all that follow.
        plt.interactive(interactive)
        return found

    return wrapper


@styled
def figure(width=COLUMN_CM, height=6.0, **options):
    """A figure and its axes in this style; `width` and `height` in cm.

    Further keywords and what is returned are those of ``plt.subplots``.
    """
    return plt.subplots(figsize=(width / 2.54, height / 2.54), layout="constrained", **options)


@styled
def save(fig, path):
    """Write the figure `fig` as ``path.png`` (300 dpi) and ``path.pdf``; returns both paths."""
    paths = [Path(f"{path}.png"), Path(f"{path}.pdf")]
    for target in paths:
        # Without a date the same figure is the same file.
        undated = {"metadata": {"CreationDate": None}} if target.suffix == ".pdf" else {}
        write_atomically(target, lambda f, t=target, o=undated: fig.savefig(
            f, format=t.suffix[1:], dpi=300, **o))
    return paths


@styled
def learning_curves(runs, ax=None, level=0.95, error=False):
    """Held-out accuracy (%) or loss against training trials, the mean over seeds.

    Parameters
    ----------
    runs : list of Run, or mapping label -> list of Run
        Of one task; a list is grouped by rule.
    ax : axes, optional
        Default: a new figure of one column.
    level : float
        Of the t-interval over seeds, drawn as a band from two seeds on; default 0.95.
    error : bool
        Draw the error (100 - accuracy) on a logarithmic axis: for curves that end near 100 %.

    Raises `InputError` for no runs, several tasks, or curves read after different trials.
    """
    groups = _grouped(runs)
    every = [run for group in groups.values() for run in group]
    key, unit, scale = _measure(every)
    ax = _axes(ax)
    ends, last = [], 0
    for label, group in groups.items():
        trials, values = _stacked(label, group, f"curve/{key}")
        values = scale * values
        error = error and key == "accuracy"
        values = 100 - values if error else values
        line = band(ax, trials, values, label, list(groups), level)
        ends.append((line, line.get_label()))
        last = max(last, trials[-1])
    chance = _chance(every) if key == "accuracy" else None
    if chance is not None:
        chance = 100 - chance if error else chance
        line, = ax.plot([0, last], [chance, chance], color=GREY, lw=0.8, ls=(0, (3, 2)), zorder=1,
                        label="chance")
        ends.append((line, "chance"))
    if error:
        ax.set_yscale("log")
        ax.set_ylim(top=100)
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("")
        key = "error"
    elif key == "accuracy":
        ax.set_ylim(0, 100)
    ax.set_xlim(0, last or 1)
    dress(ax, "Training trials", f"Held-out {key}{unit}")
    _note_seeds(ax, groups, level)
    label_ends(ax, ends)
    return ax


@styled
def final_accuracy(runs, ax=None, level=0.95):
    """Held-out accuracy (%) or loss at the end: a point a seed, mean and interval, best first.

    Takes `runs`, `ax` and `level`, and raises, what `learning_curves` does.
    """
    groups = _grouped(runs)
    every = [run for group in groups.values() for run in group]
    key, unit, scale = _measure(every)
    scores = {label: scale * np.array([run.meta[f"test_{key}"] for run in group], dtype=float)
              for label, group in groups.items()}
    order = sorted(groups, key=lambda label: scores[label].mean(), reverse=key == "loss")
    ax = _axes(ax, height=1.8 + 0.65 * len(groups))
    for row, label in enumerate(order):
        color, marker, _ = style(label, list(groups))
        mean, half = interval(scores[label][:, None], level)
        ax.plot(scores[label], np.full(len(scores[label]), row + 0.14), ls="", marker=marker,
                color=color, alpha=0.6, mew=0, clip_on=False, label="seeds")
        ax.errorbar(mean, [row - 0.14], xerr=half, color=color, marker="|", ms=7, mew=1.4,
                    capsize=2, elinewidth=1, clip_on=key != "accuracy")
    if key == "accuracy":  # an interval of few seeds may reach beyond what there is
        ax.set_xlim(max(0, ax.get_xlim()[0]), min(100, ax.get_xlim()[1]))
    chance = _chance(every) if key == "accuracy" else None
    if chance is not None and ax.get_xlim()[0] < 2 * chance:
        ax.axvline(chance, color=GREY, lw=0.8, ls=(0, (3, 2)), zorder=1)
    ax.set_yticks(range(len(order)), [style(label, list(groups))[2] for label in order])
    ax.set_ylim(-0.6, len(order) - 0.4)
    ax.tick_params(axis="y", length=0)
    dress(ax, f"Held-out {key}{unit}", "")
    _note_seeds(ax, groups, level, points=True)
    return ax


@styled
def rates(run, ax=None):
    """Firing rate (Hz) of each hidden layer on held-out trials, against training trials.

    Drawn into `ax`, by default a new figure of one column. Raises `InputError` when the run holds
    no rates.
    """
    layers = sorted(name for name in run.arrays if name.startswith("rates/hidden"))
    if not layers:
        raise InputError("the run holds no firing rates (rates/hidden_1 ...)")
    ax = _axes(ax)
    ends = []
    for k, name in enumerate(layers):
        line, = ax.plot(run.arrays["curve/trials"], run.arrays[name], marker="o", clip_on=False,
                        color=_layer_colour(k, len(layers)), mec="white", mew=0.4)
        ends.append((line, f"hidden {name.rpartition('_')[2]}"))
    ax.set_xlim(left=0, right=run.arrays["curve/trials"][-1])
    ax.set_ylim(bottom=0)
    dress(ax, "Training trials", "Firing rate (Hz)")
    label_ends(ax, ends)
    return ax


@styled
def alignment(curves, ax=None):
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
    ax = _axes(ax)
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
def raster(recording, ax=None):
    """Spikes of one trial, layer above layer; the time in which the target is shown is shaded.

    `recording` is a `measures.Recording`; drawn into `ax`, by default a new figure of one column.
    Raises `InputError` when it holds no spikes.
    """
    layers = [name for name in ("input", *_hidden(recording)) if name in recording.spikes]
    if not layers:
        raise InputError("the recording holds no spikes")
    ax = _axes(ax)
    _shade(ax, recording)
    base, middles = 0, []
    for k, name in enumerate(layers):
        when, which = np.nonzero(recording.spikes[name])
        size = recording.spikes[name].shape[1]
        color = INK if name == "input" else _layer_colour(k - ("input" in layers), len(layers))
        ax.vlines(recording.time[when], base + which, base + which + 0.9, color=color, lw=0.9)
        if k:
            ax.axhline(base - 1, color=PALE, lw=0.5)
        middles.append(base + size / 2)
        base += size + 2
    ax.set_yticks(middles, [name.replace("_", " ") for name in layers])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-1, base - 1)
    ax.set_xlim(0, _end(recording))
    dress(ax, "Time in the trial (ms)", "")
    return ax


@styled
def anatomy(recording, neuron=None, fig=None):
    """One trial of one synapse: all that its three-factor update is made of, on one time axis.

    `recording` is a `measures.Recording`. Rows: input, membrane with threshold and spikes,
    presynaptic trace, psi, error, top-down modulator g, and the change of the weight. `neuron` is
    ``(layer, index)``, hidden layers counted from 1, or the index alone in the last hidden layer;
    default: the neuron of that layer that fired most. The synapse is the one onto it that changed
    most. Drawn into `fig`, by default a new one. Returns the figure.

    Raises `InputError` for a neuron that does not exist.
    """
    layer, index = _chosen(recording, neuron)
    name, before = f"hidden_{layer}", "input" if layer == 1 else f"hidden_{layer - 1}"
    sizes, values, time = recording.meta["sizes"], recording.values, recording.time
    weights = values[f"forward_{layer}.w"].reshape(len(time), sizes[layer - 1], sizes[layer])
    change = weights[:, :, index] - weights[0, :, index]
    pre = int(np.argmax(np.abs(change).max(axis=0)))
    if fig is None:
        fig = plt.figure(figsize=(COLUMN_CM / 2.54, 15 / 2.54), layout="constrained")
    axes = fig.subplots(7, 1, sharex=True,
                        gridspec_kw={"height_ratios": [1.3, 1.5, 1, 1, 1.3, 1, 1]})
    color = style(recording.meta["rule"])[0]
    unit = f"neuron {index}, hidden {layer}"
    _input_panel(axes[0], recording)
    theta = recording.meta["theta"]
    u = values[f"{name}.u"][:, index]
    axes[1].axhline(theta, color=PALE, lw=0.8, ls=(0, (3, 2)))
    axes[1].annotate(r"$\theta$", (1, theta), xycoords=("axes fraction", "data"), xytext=(2, 0),
                     textcoords="offset points", va="center", color=GREY)
    axes[1].plot(time, u, color=INK)
    top = max(u.max(), theta)
    fired = time[np.asarray(recording.spikes[name])[:, index] > 0]
    axes[1].vlines(fired, top + 0.12 * np.ptp([u.min(), top]), top + 0.4 * np.ptp([u.min(), top]),
                   color=INK, lw=1)
    axes[5].annotate("shaded: target shown", (1, 1), xycoords="axes fraction", xytext=(0, 2),
                     textcoords="offset points", ha="right", fontsize=SMALL, color=GREY)
    axes[2].plot(time, values[f"{before}.xbar"][:, pre], color=INK)
    axes[3].plot(time, values[f"{name}.psi"][:, index], color=INK)
    _error_panel(axes[4], recording)
    axes[5].axhline(0, color=PALE, lw=0.6)
    axes[5].plot(time, values[f"{name}.g"][:, index], color=color)
    axes[6].axhline(0, color=PALE, lw=0.6)
    axes[6].plot(time, 1e3 * change[:, pre], color=color)
    titles = (("Input", None), (f"Membrane of {unit}", "$u$ (1)"),
              (f"Presynaptic trace, {before.replace('_', ' ')}, neuron {pre}",
               r"$\bar{x}$ (spikes)"),
              ("Local surrogate derivative", r"$\psi$ (1)"), ("Error population", "err (1)"),
              ("Top-down modulator", "$g$ (1)"),
              ("Change of the weight between the two", r"$\Delta w$ ($10^{-3}$)"))
    for k, (ax, (title, label)) in enumerate(zip(axes, titles)):
        _shade(ax, recording)
        ax.set_title(title, loc="left", fontsize=SMALL, pad=2)
        if k:
            ax.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        dress(ax, "Time in the trial (ms)" if k == 6 else "", label)
        ax.yaxis.label.set_size(SMALL)
    axes[0].set_xlim(0, _end(recording))
    fig.align_ylabels(axes)
    return fig


@styled
def overview(run):
    """Learning curve, firing rates, and weights at start and end of one run; returns the figure."""
    count = len(_kept_weights(run))
    fig = plt.figure(figsize=(PAGE_CM / 2.54, 5.6 / 2.54), layout="constrained")
    grid = fig.add_gridspec(max(1, count), 3)
    learning_curves([run], fig.add_subplot(grid[:, 0]))
    if any(name.startswith("rates/hidden") for name in run.arrays):
        rates(run, fig.add_subplot(grid[:, 1]))
    _weight_panels(run, fig, [grid[k, 2] for k in range(count)])
    return fig


@styled
def weights(run, fig=None):
    """Forward weights of every layer, before (filled) and after training; returns the figure.

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


def _kept_weights(run):
    return sorted(name for name in run.arrays if re.match(r"snapshots/forward_\d+\.w$", name))


def _weight_panels(run, fig, places):
    """Histograms of the weights of a layer each, at start and end."""
    names = _kept_weights(run)
    color = style(run.meta["rule"])[0]
    shared = None
    for k, (name, place) in enumerate(zip(names, places)):
        shared = ax = fig.add_subplot(place, sharex=shared)
        first, last = run.arrays[name][0].ravel(), run.arrays[name][-1].ravel()
        edges = np.histogram_bin_edges(np.concatenate([first, last]), 30)
        ax.hist(first, edges, color=PALE, alpha=0.8)
        ax.hist(last, edges, histtype="step", color=color, lw=1.1)
        target = "readout" if k == len(names) - 1 else f"hidden {k + 1}"
        ax.set_title(f"Into {target}", loc="left", fontsize=SMALL, pad=2)
        ax.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        ax.tick_params(labelbottom=k == len(names) - 1)
        dress(ax, "Weight (1)" if k == len(names) - 1 else "",
              "Synapses" if k == len(names) // 2 else "")
        if k == 0:
            for place, word, ink in ((0.84, "start", GREY), (1, "end", color)):
                ax.annotate(word, (place, 1), xycoords="axes fraction", xytext=(0, 2),
                            textcoords="offset points", ha="right", color=ink, fontsize=SMALL)


# ---------------------------------------------------------------------------- parts of figures

def band(ax, x, values, label, labels=(), level=0.95, **options):
    """The mean over seeds (rows of `values`) against `x` with its t-interval; returns the line.

    Drawn into `ax`. Colour, marker and name are the label's among `labels`, see `style`; `level` is
    that of the interval; `options` are of the line.
    """
    mean, half = interval(values, level)
    color, marker, name = style(label, labels)
    look = {"color": color, "marker": marker, "label": name, "clip_on": False, "mec": "white",
            "mew": 0.4, "zorder": 3, **options}
    if half is not None:
        ax.fill_between(x, mean - half, mean + half, color=look["color"], alpha=0.15, lw=0)
    return ax.plot(x, mean, **look)[0]


def remark(task):
    """What a picture must say of the data of a task, by its name; empty for recorded data."""
    if task == "nmnist_transfer":
        return "trained on simulated data"
    return "simulated data" if task.endswith("_simulated") else ""


def note(ax, text, **options):
    """Small grey words, `text`, above the axes `ax`: what points, lines and bands are."""
    ax.set_title(text, **{"loc": "left", "fontsize": SMALL, "color": GREY, "pad": 4, **options})


def letter(ax, text):
    """The letter of a panel, `text`, at the upper left of the axes `ax`, outside of them."""
    ax.annotate(text, (0, 1), xycoords="axes fraction", xytext=(-28, 3),
                textcoords="offset points", fontsize=NORMAL + 1, fontweight="bold", color=INK,
                ha="left", va="bottom", annotation_clip=False)


def style(label, labels=()):
    """Colour, marker and written name of a rule or label; `labels` are all those in the figure."""
    if label in RULE_STYLE:
        return RULE_STYLE[label]
    own = [other for other in labels if other not in RULE_STYLE]
    color, marker = MORE_STYLES[own.index(label) % len(MORE_STYLES) if label in own else 0]
    return color, marker, str(label).replace("_", " ")


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


def interval(values, level=0.95):
    """Mean over the rows (seeds) of `values` and half the t-interval, None for a single row.

    `level` is that of the interval, 0.95 for 95 %.
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    mean = values.mean(axis=0)
    if n < 2:
        return mean, None
    return mean, stats.t.ppf((1 + level) / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)


def _chance(runs):
    """Chance level in % for as many classes as readouts, None when the runs do not say."""
    sizes = {tuple(run.meta["sizes"])[-1] for run in runs if run.meta.get("sizes")}
    return 100 / sizes.pop() if len(sizes) == 1 else None


def _hidden(recording):
    return [name for name in sorted(recording.spikes) if name.startswith("hidden")]


def _end(recording):
    return recording.time[-1] + recording.meta["dt_ms"]


def _chosen(recording, neuron):
    """(layer, index) of the neuron to show."""
    depth = len(recording.meta["sizes"]) - 2
    if neuron is None:
        return depth, int(np.argmax(np.sum(recording.spikes[f"hidden_{depth}"], axis=0)))
    layer, index = neuron if np.ndim(neuron) else (depth, neuron)
    if not 1 <= layer <= depth or not 0 <= index < recording.meta["sizes"][layer]:
        raise InputError(f"there is no neuron {neuron!r}: the hidden layers 1 to {depth} hold "
                         f"{', '.join(map(str, recording.meta['sizes'][1:-1]))} neurons")
    return int(layer), int(index)


# ---------------------------------------------------------------------------- drawing

def _axes(ax, height=6.0):
    return figure(height=height)[1] if ax is None else ax


def dress(ax, xlabel, ylabel):
    """Labels (`xlabel`, `ylabel`) and frame of `ax` in this style, wherever it was made."""
    ax.spines[["top", "right"]].set_visible(False)
    if xlabel:
        ax.set_xlabel(xlabel, fontsize=NORMAL)
    if ylabel:
        ax.set_ylabel(ylabel, fontsize=NORMAL)
    ax.tick_params(labelsize=SMALL)


def _layer_colour(k, count):
    return plt.get_cmap("viridis")(0.15 + 0.6 * k / max(1, count - 1))


def _shade(ax, recording):
    """Shade the time in which the target is shown."""
    gate = np.ravel(recording.values.get("trial.gate", ())) > 0
    if gate.any():
        edges = np.flatnonzero(np.diff(np.concatenate([[0], gate.astype(int), [0]])))
        for begin, end in edges.reshape(-1, 2):
            ax.axvspan(recording.time[begin], recording.time[end - 1] + recording.meta["dt_ms"],
                       color="#F3EFE0", lw=0, zorder=0)


def label_ends(ax, ends):
    """Write each line's name beside its end, moved apart where names would overlap.

    `ends` are pairs (line, name) of the axes `ax`.
    """
    share = ax.transAxes.inverted().transform
    points = ax.figure.get_size_inches()[1] * 72 * ax.get_position().height
    step = 1.25 * SMALL / points
    wanted = np.array([share(ax.transData.transform((0, line.get_ydata()[-1])))[1]
                       for line, _ in ends])  # whatever the scale of the axis
    order = np.argsort(wanted, kind="stable")
    for k, place in zip(order, _apart(wanted[order], step)):
        line, name = ends[k]
        moved = abs(place - wanted[k]) > 0.4 * step
        leader = {"arrowstyle": "-", "color": line.get_color(), "lw": 0.5, "shrinkA": 0,
                  "shrinkB": 3, "relpos": (0, 0.5)}
        ax.annotate(name, (line.get_xdata()[-1], line.get_ydata()[-1]), xytext=(1.05, place),
                    textcoords="axes fraction", color=line.get_color(), va="center",
                    fontsize=SMALL, annotation_clip=False, arrowprops=leader if moved else None)


def _note_seeds(ax, groups, level, points=False):
    """Say above the axes what points, lines and bands are, and of which data, if simulated."""
    counts = sorted({len(group) for group in groups.values()})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    words = [] if counts == [1] else [
        f"{'points: seeds; ' * points}mean, {100 * level:g} % interval, {seeds} seeds"]
    words += filter(None, [remark(next(iter(groups.values()))[0].meta["task"])])
    if words:
        note(ax, "; ".join(words))


def _apart(places, step):
    """Sorted places moved as little as possible so that neighbours are `step` apart."""
    offsets = step * np.arange(len(places))
    blocks = []  # pool neighbours that collide: least squares under an order constraint
    for value in places - offsets:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [[(a * n + b * m) / (n + m), n + m]]
    moved = np.concatenate([np.full(n, value) for value, n in blocks])
    return np.clip(moved, 0, max(0, 1 - offsets[-1])) + offsets


def _input_panel(ax, recording):
    """Spikes of the input where it has any, else a word about the constant current."""
    if "input" in recording.spikes:
        when, which = np.nonzero(recording.spikes["input"])
        ax.vlines(recording.time[when], which - 0.3, which + 1.3, color=INK, lw=0.9)
        ax.set_yticks([0, recording.spikes["input"].shape[1]])
        ax.set_ylabel("neuron", fontsize=SMALL)
        return
    # Ink whose opacity is the trace, so that the shading shows through.
    trace = recording.values["input.xbar"].T
    image = np.zeros((*trace.shape, 4)) + to_rgba(INK)
    image[..., 3] = np.clip(trace, 0, None) / max(trace.max(), 1e-12)
    ax.imshow(image, aspect="auto", origin="lower", interpolation="nearest",
              extent=(0, _end(recording), 0, len(trace)), zorder=1)
    ax.set_yticks([0, len(trace)])
    ax.set_ylabel("neuron", fontsize=SMALL)
    ax.annotate("constant current (trace)", (1, 1), xycoords="axes fraction", ha="right",
                va="bottom", fontsize=SMALL, color=GREY)


def _error_panel(ax, recording):
    """The error of every readout, that of the target's class in front."""
    error = recording.values["error.err"]
    ax.axhline(0, color=PALE, lw=0.6)
    ax.plot(recording.time, error, color=PALE, lw=0.7)
    target = np.asarray(recording.meta.get("target", ()))
    if target.ndim == 1 and target.size == error.shape[1] and target.max() > 0:
        chosen = int(np.argmax(target))
        ax.plot(recording.time, error[:, chosen], color="#0072B2")
        ax.annotate(f"target (class {chosen})", (1, 1), xycoords="axes fraction", ha="right",
                    va="bottom",
                    color="#0072B2", fontsize=SMALL)
