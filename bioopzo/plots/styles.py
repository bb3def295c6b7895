"""One style for all figures: colours, markers, labels, sizes."""

import functools
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from bioopzo.files import write_atomically

COLUMN_CM, PAGE_CM = 8.5, 17.4
SMALL, NORMAL = 7, 8  # points
INK, GREY, PALE = "#404040", "#707070", "#B0B0B0"
STYLE: dict[Any, Any] = {
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
    "bptt": ("#7F3C8D", "p", "BPTT"),
    "dfa": ("#0072B2", "^", "DFA"),
    "dkp": ("#56B4E9", "v", "DKP"),
    "eprop": ("#CC79A7", "P", "e-prop"),
    "node_perturbation": ("#009E73", "D", "Node pert."),
    "reinforce": ("#E69F00", "X", "REINFORCE"),
    "rstdp": ("#B22222", ">", "R-STDP"),
    "superspike": ("#4B6CB7", "h", "SuperSpike"),
    "readout_only": ("#8C8C8C", "d", "Readout only"),
}
#: For rules and labels of the user's own, by order of appearance in a figure.
MORE_STYLES = (("#882255", "<"), ("#44AA99", ">"), ("#999933", "h"), ("#332288", "*"),
               ("#AA4499", "p"), ("#117733", "H"))
#: What a plotting function takes and gives.
Given = ParamSpec("Given")
Found = TypeVar("Found")


def styled(function: Callable[Given, Found]) -> Callable[Given, Found]:
    """Run a plotting function within the style of this module; rcParams stay as they were."""
    @functools.wraps(function)
    def wrapper(*arguments: Given.args, **options: Given.kwargs) -> Found:
        with plt.rc_context(STYLE):
            found = function(*arguments, **options)
            interactive = plt.isinteractive()
        # The first figure of a notebook loads the backend, which turns this on for all that follow.
        plt.interactive(interactive)
        return found

    return wrapper


@styled
def figure(width: float = COLUMN_CM, height: float = 6.0, **options: Any) -> tuple[Figure, Any]:
    """A figure and its axes in this style; `width` and `height` in cm.

    Further keywords and what is returned are those of ``plt.subplots``.
    """
    return plt.subplots(figsize=(width / 2.54, height / 2.54), layout="constrained", **options)


@styled
def save(fig: Figure, path: str | PathLike) -> list[Path]:
    """Write the figure `fig` as ``path.png`` (300 dpi) and ``path.pdf``; returns both paths."""
    paths = [Path(f"{path}.png"), Path(f"{path}.pdf")]
    for target in paths:
        # Without a date the same figure is the same file.
        undated = {"metadata": {"CreationDate": None}} if target.suffix == ".pdf" else {}
        write_atomically(target, lambda f, t=target, o=undated: fig.savefig(  # type: ignore[misc]
            f, format=t.suffix[1:], dpi=300, **o))
    return paths


# ---------------------------------------------------------------------------- parts of figures

def band(ax: Axes, x: ArrayLike, values: ArrayLike, label: str, labels: Sequence[str] = (),
         level: float = 0.95, **options: Any) -> Line2D:
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


def remark(task: str) -> str:
    """What a picture must say of the data of a task, by its name; empty for recorded data."""
    if task == "nmnist_transfer":
        return "trained on simulated data"
    return "simulated data" if task.endswith("_simulated") else ""


def note(ax: Axes, text: str, **options: Any) -> None:
    """Small grey words, `text`, above the axes `ax`: what points, lines and bands are."""
    ax.set_title(text, **{"loc": "left", "fontsize": SMALL, "color": GREY, "pad": 4, **options})


def letter(ax: Axes, text: str) -> None:
    """The letter of a panel, `text`, at the upper left of the axes `ax`, outside of them."""
    ax.annotate(text, (0, 1), xycoords="axes fraction", xytext=(-28, 3),
                textcoords="offset points", fontsize=NORMAL + 1, fontweight="bold", color=INK,
                ha="left", va="bottom", annotation_clip=False)


def style(label: str, labels: Sequence[str] = ()) -> tuple[str, str, str]:
    """Colour, marker and written name of a rule or label; `labels` are all those in the figure."""
    if label in RULE_STYLE:
        return RULE_STYLE[label]
    own = [other for other in labels if other not in RULE_STYLE]
    color, marker = MORE_STYLES[own.index(label) % len(MORE_STYLES) if label in own else 0]
    return color, marker, str(label).replace("_", " ")


def interval(values: ArrayLike, level: float = 0.95) -> tuple[np.ndarray, np.ndarray | None]:
    """Mean over the rows (seeds) of `values` and half the t-interval, None for a single row.

    `level` is that of the interval, 0.95 for 95 %.
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    mean = values.mean(axis=0)
    if n < 2:
        return mean, None
    return mean, stdtrit(n - 1, (1 + level) / 2) * values.std(axis=0, ddof=1) / np.sqrt(n)


# ---------------------------------------------------------------------------- drawing

def axes_of(ax: Axes | None, height: float = 6.0) -> Axes:
    """`ax`, or the axes of a new figure `height` cm high where it is None."""
    return figure(height=height)[1] if ax is None else ax


def dress(ax: Axes, xlabel: str, ylabel: str | None) -> None:
    """Labels (`xlabel`, `ylabel`) and frame of `ax` in this style, wherever it was made."""
    ax.spines[["top", "right"]].set_visible(False)
    if xlabel:
        ax.set_xlabel(xlabel, fontsize=NORMAL)
    if ylabel:
        ax.set_ylabel(ylabel, fontsize=NORMAL)
    ax.tick_params(labelsize=SMALL)


def layer_colour(k: int, count: int) -> tuple[float, float, float, float]:
    """The colour of layer `k` (from 0) of `count`."""
    return plt.get_cmap("viridis")(0.15 + 0.6 * k / max(1, count - 1))


def label_ends(ax: Any, ends: Sequence[tuple[Any, Any]]) -> None:
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
