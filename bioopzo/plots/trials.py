"""Figures of decisions and of recorded trials: ``f(data, ax=None, **style)``.

`style` are keywords of what matplotlib draws (``color=``, ``lw=``, ``cmap=`` ...), over the style
of the package. What is drawn is computed by the function of `measures` that each names.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from bioopzo.errors import InputError
from bioopzo.plots.styles import (
    GREY,
    INK,
    NORMAL,
    PALE,
    SMALL,
    axes_of,
    dress,
    layer_colour,
    note,
    styled,
)

#: Neurons that are drawn each by its own line at most.
MOST_LINES = 12


@styled
def confusion(counts: ArrayLike, ax: Axes | None = None, labels: Sequence[Any] | None = None,
              **style: Any) -> Axes:
    """The share of each class (row) that was taken for each (column), in %.

    `counts` (class, choice) are those of `measures.confusion`; `labels` are names of the classes;
    `style` is of ``imshow``. Drawn into `ax`, by default a new figure. Raises `InputError` for what
    is no square table.
    """
    table = np.asarray(counts, float)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.size:
        raise InputError(f"a confusion matrix is square, not {table.shape}")
    shares = 100 * table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    ax = axes_of(ax, height=7.0)
    image = ax.imshow(shares, **{"cmap": "Greys", "vmin": 0, "vmax": 100, **style})
    size = len(table)
    names = [str(name) for name in (range(size) if labels is None else labels)]
    if len(names) != size:
        raise InputError(f"labels has {len(names)} names for {size} classes")
    ax.set_xticks(range(size), names)
    ax.set_yticks(range(size), names)
    for row, column in np.argwhere(shares >= 0.5) if size <= 12 else ():
        dark = float(image.norm(float(shares[row, column]))) > 0.55  # type: ignore[arg-type]
        ax.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center",
                fontsize=SMALL - 1, color="white" if dark else INK)
    ax.tick_params(length=0)
    dress(ax, "Choice", "Class")
    ax.spines[:].set_visible(False)
    note(ax, f"% of each class; {table.sum():.0f} trials, {_percent(table)} % correct")
    return ax


def _percent(counts):
    return f"{100 * np.trace(counts) / max(counts.sum(), 1):.1f}"


@styled
def psychometric(curve: Sequence[ArrayLike], ax: Axes | None = None,
                 xlabel: str = "Strength of evidence", **style: Any) -> Axes:
    """The share of trials (%) with a choice against the strength of the evidence for it.

    `curve` is (strength, share, trials) of `measures.psychometric`; bars are 95 % intervals
    (Wilson) of the share; `xlabel` says what the strength is, `style` is of the points and their
    line. Drawn into `ax`, by default a new figure.
    """
    strength, share, trials = (np.asarray(part, float) for part in curve)
    z = 1.96
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    ax = axes_of(ax)
    ax.axhline(50, color=PALE, lw=0.8, zorder=1)
    line, = ax.plot(strength, 100 * share, clip_on=False, **{
        "color": INK, "marker": "o", "mec": "white", "mew": 0.4, "zorder": 3, **style})
    ax.vlines(strength, 100 * (middle - half), 100 * (middle + half), color=line.get_color(),
              lw=0.8, clip_on=False)
    ax.set_ylim(0, 100)
    dress(ax, xlabel, "Choice (% of trials)")
    note(ax, f"{trials.sum():.0f} trials; bars: 95 % interval")
    return ax


@styled
def output_and_target(output: ArrayLike, target: ArrayLike, ax: Axes | None = None,
                      dt_ms: float | None = None, r2: float | None = None, **style: Any) -> Axes:
    """A readout and what it should follow: over time, or one against the other.

    `output` and `target` are (steps,) or (steps, readouts), drawn over time with `dt_ms`; without
    it as points, one against the other, whatever their shape. `r2` is R2, written above
    (`measures.explained`). `style` is of the output's lines or points. Raises `InputError` for
    shapes that differ. Drawn into `ax`, by default a new figure.
    """
    output, target = np.asarray(output, float), np.asarray(target, float)
    if output.shape != target.shape or not output.size:
        raise InputError(f"output and target have one shape, not {output.shape} and {target.shape}")
    ax = axes_of(ax)
    if dt_ms is None:
        ends = [min(output.min(), target.min()), max(output.max(), target.max())]
        ax.plot(ends, ends, color=PALE, lw=0.8, zorder=1)
        ax.plot(target.ravel(), output.ravel(), **{
            "ls": "", "marker": "o", "ms": 2, "mew": 0, "color": INK, "alpha": 0.5, **style})
        dress(ax, "Target", "Output")
    else:
        tables = [table.reshape(len(table), -1) for table in (output, target)]
        time = np.arange(len(output)) * dt_ms
        for k in range(tables[0].shape[1]):
            color = layer_colour(k, tables[0].shape[1])
            ax.plot(time, tables[1][:, k], color=GREY, lw=0.8, ls=(0, (3, 2)), zorder=2,
                    label="target" if not k else None)
            ax.plot(time, tables[0][:, k], **{"color": color, "zorder": 3, **style},
                    label="output" if not k else None)
        ax.set_xlim(0, time[-1])
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
        dress(ax, "Time in the trial (ms)", "Readout")
    if r2 is not None:
        note(ax, f"$R^2$ = {r2:.2f}")
    return ax


@styled
def psth(curve: Sequence[ArrayLike], ax: Axes | None = None, each: bool = False, **style: Any
         ) -> Axes:
    """Firing rate (Hz) over a trial: the mean over neurons, with the middle half of them.

    `curve` is (times, rates (bins, neurons)) of `measures.rates_over_time`; `each` draws a line a
    neuron, 12 at most. `style` is of the line. Drawn into `ax`, by default a new figure.
    """
    times, rates = (np.asarray(part, float) for part in curve)
    if rates.ndim != 2 or len(times) != len(rates):
        raise InputError(f"a PSTH is (times (bins,), rates (bins, neurons)), not {times.shape} and "
                         f"{rates.shape}")
    ax = axes_of(ax)
    if each:
        shown = min(MOST_LINES, rates.shape[1])
        for k in range(shown):
            ax.plot(times, rates[:, k], **{"color": layer_colour(k, shown), "lw": 0.9, **style})
        note(ax, f"{shown} of {rates.shape[1]} neurons")
    else:
        line, = ax.plot(times, rates.mean(axis=1), **{"color": INK, **style})
        low, high = np.percentile(rates, [25, 75], axis=1)
        ax.fill_between(times, low, high, color=line.get_color(), alpha=0.15, lw=0)
        note(ax, f"mean and middle half of {rates.shape[1]} neurons")
    ax.set_ylim(bottom=0)
    dress(ax, "Time in the trial (ms)", "Firing rate (Hz)")
    return ax


@styled
def tuning(curves: Sequence[ArrayLike], ax: Axes | None = None,
           neurons: Sequence[int] | None = None, xlabel: str = "Stimulus", **style: Any) -> Axes:
    """Firing rate (Hz) of neurons against the stimulus, mean and standard error over trials.

    `curves` is (stimuli, means, errors) of `measures.tuning`; `neurons` are those that are drawn,
    by default the six whose rate varies most. `xlabel` says what the stimulus is, `style`
    is of the lines. Drawn into `ax`, by default a new figure. Raises `InputError` for neurons that
    there are not.
    """
    stimuli, means, errors = (np.asarray(part) for part in curves)
    if neurons is None:
        neurons = np.sort(np.argsort(means.std(axis=0))[::-1][:6]).tolist()
    neurons = list(neurons)
    if not neurons or min(neurons) < 0 or max(neurons) >= means.shape[1]:
        raise InputError(f"neurons are numbers from 0 to {means.shape[1] - 1}, not {neurons}")
    ax = axes_of(ax)
    for k, neuron in enumerate(neurons):
        ax.errorbar(stimuli, means[:, neuron], errors[:, neuron], label=str(neuron), **{
            "color": layer_colour(k, len(neurons)), "marker": "o", "ms": 2.5, "capsize": 1.5,
            "elinewidth": 0.8, **style})
    ax.set_ylim(bottom=0)
    if stimuli.dtype.kind in "iu" and len(stimuli) <= 12:
        ax.set_xticks(stimuli)
    ax.legend(title="Neuron", loc="center left", bbox_to_anchor=(1, 0.5), title_fontsize=SMALL)
    dress(ax, xlabel, "Firing rate (Hz)")
    return ax


def _common_step(intervals):
    """The step that all intervals are multiples of: their smallest difference, or a part of it."""
    least = np.diff(np.unique([0.0, *np.round(intervals, 9)])).min()
    for parts in range(1, 9):
        counts = intervals * parts / least
        if np.allclose(counts, np.round(counts), rtol=0, atol=1e-3):
            return least / parts
    return least


@styled
def interval_histogram(intervals: Sequence[ArrayLike], ax: Axes | None = None,
                       cv: ArrayLike | None = None, bins: Any = None, **style: Any) -> Axes:
    """How often intervals between spikes are how long (ms), of all neurons together.

    `intervals` are an array a neuron (`measures.intervals`); `cv` their coefficients of variation
    (`measures.interval_cv`), the median of which is written above; `bins` (default one for each
    step that all intervals are multiples of) and `style` are of ``hist``. Drawn into `ax`, by
    default a new figure. Raises `InputError` where no neuron has two spikes in a trial.
    """
    every = np.concatenate([np.asarray(one, float) for one in intervals] or [np.array([])])
    if not every.size:
        raise InputError("there is no interval: no neuron spikes twice in a trial")
    ax = axes_of(ax)
    if bins is None:  # intervals are whole steps: bins of another width would beat with them
        step = _common_step(every)
        bins = np.arange(0.5 * step, every.max() + step, step)
    ax.hist(every, bins, **{"color": PALE, "edgecolor": "white", "lw": 0.3, **style})
    ax.set_xlim(left=0)
    words = f"{every.size} intervals of {len(intervals)} neurons"
    values = np.asarray([] if cv is None else cv, float)
    if np.isfinite(values).any():
        words += f"; median CV {np.nanmedian(values):.2f}"
    note(ax, words)
    dress(ax, "Interval between spikes (ms)", "Count")
    return ax


@styled
def trajectories(run: Any, name: str, ax: Axes | None = None, synapses: int = 40, **style: Any
                 ) -> Axes:
    """Values of a learned variable over training, a line a synapse, those that moved most in front.

    `name` is one of the snapshots of a `run`, ``"forward_1.w"``; so many `synapses` are drawn,
    evenly over how far they moved. `style` is of the lines. Drawn into `ax`, by default a new
    figure. Raises `InputError` for a name of which
    the run keeps no snapshots.
    """
    kept = [key[len("snapshots/"):] for key in run.arrays if key.startswith("snapshots/")]
    if name not in kept:
        raise InputError(f"the run keeps no snapshots of {name!r}; it has "
                         f"{', '.join(kept) or 'none'}")
    values = np.reshape(run.arrays[f"snapshots/{name}"], (len(run.arrays["curve/trials"]), -1))
    moved = np.abs(values[-1] - values[0])
    order = np.argsort(moved)
    order = order[(values[:, order] != 0).any(axis=0)]  # of a sparse projection, what is there
    chosen = order[np.unique(np.linspace(0, len(order) - 1, synapses).astype(int))]
    ax = axes_of(ax)
    for k, synapse in enumerate(chosen):
        ax.plot(run.arrays["curve/trials"], values[:, synapse], **{
            "color": layer_colour(k, len(chosen)), "lw": 0.7, "alpha": 0.8, **style})
    ax.set_xlim(0, run.arrays["curve/trials"][-1] or 1)
    dress(ax, "Training trials", name.replace("_", " "))
    note(ax, f"{len(chosen)} of {len(order)} values, even over how far they moved")
    return ax


@styled
def similarity(matrix: ArrayLike, ax: Axes | None = None, labels: ArrayLike | None = None,
               **style: Any) -> Axes:
    """How alike the population's responses to each two trials are, as an image of correlations.

    `matrix` (trials, trials) is that of `measures.similarity`; with `labels` (trials,) trials are
    sorted by them, and classes marked. `style` is of ``imshow``. Drawn into `ax`, by default a new
    figure. Raises `InputError` for what
    is not square, and other numbers of labels.
    """
    matrix = np.asarray(matrix, float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise InputError(f"similarities are a square table, not {matrix.shape}")
    ax = axes_of(ax, height=7.0)
    if labels is not None:
        labels = np.asarray(labels)
        if labels.shape != (len(matrix),):
            raise InputError(f"labels has {labels.shape} names for {len(matrix)} trials")
        order = np.argsort(labels, kind="stable")
        matrix = matrix[np.ix_(order, order)]
        names, counts = np.unique(labels, return_counts=True)
        ends = np.cumsum(counts)
        places = ends - counts / 2 - 0.5
        ax.set_xticks(places, [str(name) for name in names])
        ax.set_yticks(places, [str(name) for name in names])
        for end in ends[:-1]:
            ax.axhline(end - 0.5, color="white", lw=0.6)
            ax.axvline(end - 0.5, color="white", lw=0.6)
        ax.tick_params(length=0)
    image = ax.imshow(matrix, **{"cmap": "RdBu_r", "vmin": -1, "vmax": 1,
                                 "interpolation": "nearest", **style})
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.7, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, length=2)
    bar.set_label("Correlation of spike counts", fontsize=NORMAL)
    word = "Trial" if labels is None else "Trials, by class"
    dress(ax, word, word)
    ax.spines[:].set_visible(False)
    return ax
