"""One style for all figures: colours, markers, labels, sizes."""

import functools
import re
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
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
#: Markers of a rule's variants ("opzo, momentum"), by order of appearance in a figure.
VARIANT_MARKERS = ("v", "<", ">", "D", "P", "X", "h", "p")
#: The most curves that one panel can tell apart; more become points, or go into another panel.
MOST_CURVES = 6
#: Words for which figures have a letter.
GREEK = {word: chr(code) for code, words in (
    (0x3b1, "alpha"), (0x3b2, "beta"), (0x3b4, "delta"), (0x394, "Delta"), (0x3b5, "epsilon"),
    (0x3b7, "eta"), (0x3b8, "theta"), (0x3bb, "lambda"), (0x3bc, "mu"), (0x3c1, "rho"),
    (0x3c3, "sigma"), (0x3c4, "tau"), (0x3c8, "psi")) for word in words.split()}
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

def remark(task: str) -> str:
    """What a picture must say of the data of a task, by its name; empty for recorded data."""
    if task == "nmnist_transfer":
        return "trained on simulated data"
    return "simulated data" if "_simulated" in task else ""


def note(ax: Axes, text: str, **options: Any) -> None:
    """Small grey words, `text`, above the axes `ax`: what points, lines and bands are.

    They go on in a line of their own where the figure ends.
    """
    ax.set_title(text, **{"loc": "left", "fontsize": SMALL, "color": GREY, "pad": 4, "wrap": True,
                          **options})


def letter(ax: Axes, text: str) -> None:
    """The letter of a panel, `text`, at the upper left of the axes `ax`, outside of them."""
    ax.annotate(text, (0, 1), xycoords="axes fraction", xytext=(-28, 3),
                textcoords="offset points", fontsize=NORMAL + 1, fontweight="bold", color=INK,
                ha="left", va="bottom", annotation_clip=False)


def style(label: str, labels: Sequence[str] = ()) -> tuple[str, str, str]:
    """Colour, marker and written name of a rule or label; `labels` are all those in the figure.

    A variant, ``"opzo, momentum"``, has its rule's name, a shade of its colour and another marker.
    """
    rule, comma, variant = str(label).partition(", ")
    if rule not in RULE_STYLE:
        own = [other for other in labels if other.partition(", ")[0] not in RULE_STYLE]
        place = own.index(label) if label in own else 0
        (color, marker), name = MORE_STYLES[place % len(MORE_STYLES)], str(label).replace("_", " ")
        if place >= len(MORE_STYLES):  # never the same colour twice
            color = to_hex(plt.get_cmap("turbo")(place / len(own)))
        return color, marker, name
    color, marker, name = RULE_STYLE[rule]
    if not comma:
        return color, marker, name
    others = [other for other in labels if other.startswith(f"{rule}, ")] or [label]
    place = others.index(label) if label in others else 0
    shade = _shade(color, place + (rule in labels), len(others) + (rule in labels))
    return (shade, VARIANT_MARKERS[place % len(VARIANT_MARKERS)],
            f"{name}, {lettered(variant.replace(rule, name))}")


def _shade(color, place, count):
    """The colour, at place 0, or one of `count` lighter and darker ones; of many, a row of them."""
    base = np.array(to_rgb(color))
    shares = (0, 0.42, -0.4, 0.22) if base.sum() > 0.3 else (0, 0.42, 0.25, 0.55)
    share = shares[place] if count <= len(shares) else 0.9 * place / (count - 1) - 0.4
    found = base + share * (1 - base) if share > 0 else base * (1 + share)
    return to_hex(tuple(found.clip(0, 1)))


def lettered(text: str) -> str:
    """A `text` with letters for the names of Greek ones, ``"tau_a"`` with its index."""
    def letter_of(found):
        if found[0] == "_":
            return " "
        return GREEK[found[1]] + (rf"$_\mathrm{{{found[2][1:]}}}$" if found[2] else "")

    return re.sub(rf"\b({'|'.join(GREEK)})(_\w+)?\b|_", letter_of, text)


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
