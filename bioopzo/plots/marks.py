"""What stands for numbers, the same in all figures: curves with their seeds, points, layers, names.

An interval is drawn from five seeds on; fewer seeds are drawn themselves. Nothing leaves the scale,
and seeds that lie on each other are moved apart.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from bioopzo.arguments import ENOUGH_SEEDS
from bioopzo.plots.styles import (
    INK,
    MOST_CURVES,
    SMALL,
    interval,
    style,
)

#: How far from its row a seed may be drawn, in rows.
JITTER = 0.13


def band(ax: Axes, x: ArrayLike, values: ArrayLike, label: str, labels: Sequence[str] = (),
         level: float = 0.95, within: tuple[float, float] = (-np.inf, np.inf), **options: Any
         ) -> Line2D:
    """The mean over seeds (rows of `values`) against `x` with its t-interval; returns the line.

    Drawn into `ax`. Of fewer seeds than five there is no band: each is a thin line. Colour, marker
    and name are the label's among `labels`, see `style`; `level` is that of the interval, which
    ends at the limits `within`; `options` are of the line. A variant's line is dashed.
    """
    values = np.asarray(values, float)
    mean, half = interval(values, level)
    color, marker, name = style(label, labels)
    dashes = (0, (4, 1.2)) if ", " in str(label) else "-"
    look = {"color": color, "marker": marker, "label": name, "clip_on": False, "mec": "white",
            "mew": 0.4, "zorder": 3, "ls": dashes, **options}
    if half is not None and len(values) < ENOUGH_SEEDS:
        for own in values:
            ax.plot(x, own, color=look["color"], lw=0.5, alpha=0.45, zorder=2, label="_seed",
                    clip_on=look["clip_on"])
    elif half is not None:
        low, high = (np.clip(mean + sign * half, *within) for sign in (-1, 1))
        ax.fill_between(x, low, high, color=look["color"], alpha=0.15, lw=0)
    return ax.plot(x, mean, **look)[0]


def meaning(seeds: int, level: float = 0.95, points: bool = False) -> str:
    """What points, lines and bands of so many `seeds` are, in words; empty for a single one.

    `level` is that of the interval; `points` says that seeds are points, not lines.
    """
    if seeds < 2:
        return ""
    if seeds < ENOUGH_SEEDS:
        return f"{'points' if points else 'thin lines'}: {seeds} seeds; " \
               f"{'bar' if points else 'thick'}: mean"
    if points:
        return f"points: {seeds} seeds; bar: mean, {100 * level:g} % interval"
    return f"mean, {100 * level:g} % interval, {seeds} seeds"


def jitter(values: ArrayLike, wide: float = JITTER) -> np.ndarray:
    """How far to move each of some `values` aside so that equal ones are seen: within +-`wide`.

    Neighbours on the scale go to different sides; the same values always give the same places.
    """
    values = np.asarray(values, float)
    places = np.linspace(-wide, wide, len(values)) if len(values) > 1 else np.zeros(len(values))
    spread = np.concatenate([places[::2], places[1::2]])
    found = np.empty(len(values))
    found[np.argsort(values, kind="stable")] = spread
    return found


def dots(ax: Axes, values: ArrayLike, place: float, color: str, marker: str = "o",
         along: str = "x", level: float = 0.95, within: tuple[float, float] = (-np.inf, np.inf),
         filled: bool = True, **options: Any) -> None:
    """A row of seeds, moved apart, at `place` of the axes `ax`; beside it their mean, a bar.

    The bar has the t-interval of that `level`, from five seeds on, ending at the limits `within`.
    `along` is the axis of the `values`, ``"x"`` or ``"y"``; `color`, `marker`, `filled` and
    `options` are of the points.
    """
    values = np.asarray(values, float)
    mean, half = interval(values[:, None], level)
    look = {"ls": "", "marker": marker, "ms": 3.5, "color": color, "alpha": 0.6, "clip_on": False,
            "mew": 0 if filled else 0.7, "mfc": color if filled else "white", "zorder": 3,
            **options}
    side = 1 if along == "x" else -1
    rows = place + side * 0.17 + jitter(values)
    ax.plot(*((values, rows) if along == "x" else (rows, values)), **look)
    bar: dict[str, Any] = {"color": color, "lw": 1.1, "solid_capstyle": "butt", "zorder": 3}
    at = place - side * 0.17
    if half is not None and len(values) >= ENOUGH_SEEDS:
        ends = np.clip([mean[0] - half[0], mean[0] + half[0]], *within)
        ax.plot(*((ends, [at, at]) if along == "x" else ([at, at], ends)), label="_interval", **bar)
    ax.plot(*(([mean[0]], [at]) if along == "x" else ([at], [mean[0]])), ls="", label="_mean",
            marker="|" if along == "x" else "_", ms=7, mew=1.5, color=color, zorder=3)


def layer_marks(layer: int, color: Any = INK) -> dict[str, Any]:
    """How points of a hidden `layer` (from 1) look: 1 is open, 2 is filled, deeper ones half.

    Keywords of matplotlib's `plot`, in one `color`.
    """
    fill = {1: "none", 2: "full"}.get(layer, ("left", "right", "bottom", "top")[layer % 4])
    return {"fillstyle": fill, "mec": color, "mew": 0.8, "color": color,
            **({"mfc": "white", "fillstyle": "full"} if layer == 1 else {})}


def layer_key(ax: Axes, layers: Sequence[int], marker: str = "o", **options: Any) -> None:
    """A legend in `ax` that says which fill is which of the hidden `layers`.

    `marker` is that of the points, `options` are the legend's.
    """
    handles = [Line2D([], [], ls="", marker=marker, ms=4, **layer_marks(layer))
               for layer in layers]
    ax.legend(handles, [f"hidden {layer}" for layer in layers],
              **{"handletextpad": 0.1, "columnspacing": 1, "borderaxespad": 0.2, **options})


def shades(values: Sequence[Any], cmap: str = "viridis") -> list[tuple[float, ...]]:
    """Colours in the order of some ordered `values`, from dark to light, of a sequential `cmap`."""
    return [plt.get_cmap(cmap)(0.05 + 0.8 * k / max(1, len(values) - 1))
            for k in range(len(values))]


def panels(labels: Sequence[str]) -> list[list[str]]:
    """The `labels` of curves in panels of six at most, by what hidden layers are told.

    First the rules that send them a vector of errors, then those that send a number, or nothing.
    Empty where there are too many.
    """
    scalar = ("node_perturbation", "reinforce", "rstdp", "readout_only")
    groups = [[label for label in labels if (label.partition(", ")[0] in scalar) is told]
              for told in (False, True)]
    groups = [list(labels)] if len(labels) <= MOST_CURVES else list(filter(None, groups))
    return groups if all(len(group) <= MOST_CURVES for group in groups) else []


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
