"""What a sweep found: curves over one parameter, a heat map over two."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from scipy.special import stdtrit

from bioopzo.arguments import ENOUGH_SEEDS
from bioopzo.errors import InputError, unknown
from bioopzo.plots.marks import label_ends, shades
from bioopzo.plots.styles import (
    INK,
    MORE_STYLES,
    SMALL,
    axes_of,
    dress,
    lettered,
    note,
    styled,
)

#: Numbers whose largest is so many times the smallest are drawn on a logarithmic axis.
FAR = 8


@styled
def sweep(data: Any, ax: Axes | None = None, value: str = "", curves: bool = False,
          level: float = 0.95, cmap: str = "viridis", **options: Any) -> Axes:
    """A number that each run of a sweep has: a curve over one parameter, a heat map over two.

    Parameters
    ----------
    data : xarray.Dataset
        What `bioopzo.sweep` returns. Of more than two parameters choose values first:
        ``data.sel(tau_m=0.01)``.
    ax : axes, optional
        Default: a new figure of one column.
    value : str
        A variable with a number for each run; default held-out accuracy (%), or loss.
    curves : bool
        Draw two parameters as curves over the first, one for each value of the second.
    level : float
        Of the t-interval over seeds, drawn as a band (curves) from five seeds on; default 0.95.
    cmap : str
        Of a heat map.
    **options
        Of the lines, or of matplotlib's `pcolormesh`.

    The mean is over the runs that are there; cells and points without any stay empty. Raises
    `InputError` for no or more than two parameters, and for an unknown `value`.
    """
    value = value or ("test_accuracy" if "test_accuracy" in data else "test_loss")
    scalars = [name for name in data.data_vars if data[name].dtype.kind in "fi"
               and "evaluation" not in data[name].dims]
    if value not in scalars:
        raise unknown("number of a run", value, scalars)
    names = [name for name in data[value].dims if name != "seed"]
    if not 1 <= len(names) <= 2:
        raise InputError(f"a sweep is drawn over one or two parameters, and this one has "
                         f"{', '.join(names) or 'none'}: choose values of the others, such as "
                         f"data.sel({(names or ['name'])[-1]}=...)")
    array = data[value] if "seed" in data[value].dims else data[value].expand_dims("seed", -1)
    seeds = array.sizes["seed"]
    values = array.transpose(*names, "seed").values.astype(float)
    values = 100 * values if value.endswith("accuracy") else values
    label = {"test_accuracy": "Held-out accuracy (%)", "test_loss": "Held-out loss"}.get(
        value, value.replace("_", " ") + " (%)" * value.endswith("accuracy"))
    ax = axes_of(ax)
    if len(names) == 2 and not curves:
        _map(ax, data, names, values, label, cmap, options)
    else:
        _curves(ax, data, names, values, label, level, options)
    lost = int(np.isnan(values).sum())
    banded = curves or len(names) == 1
    few = seeds < ENOUGH_SEEDS
    words = f"mean of {seeds} seeds" + (
        ", which are thin" if few else f", {100 * level:g} % interval") * banded
    note(ax, (words if seeds > 1 else "one seed")
         + f"; {lost} of {values.size} runs are missing" * bool(lost))
    return ax


def _map(ax, data, names, values, label, cmap, options):
    """A heat map: the first parameter to the right, the second upwards, numbers in the cells."""
    mean = _mean(values).T
    found = mean[np.isfinite(mean)]
    mesh = ax.pcolormesh(np.ma.masked_invalid(mean), cmap=cmap,
                         **{"edgecolor": "white", "linewidth": 0.5, **options})
    bar = ax.figure.colorbar(mesh, ax=ax)
    bar.set_label(label)
    bar.outline.set_visible(False)
    middle = (found.min() + found.max()) / 2 if found.size else 0
    digits = 1 if label.endswith("(%)") else 3
    for (row, column), number in np.ndenumerate(mean):
        if np.isfinite(number) and mean.size <= 100:
            light = plt.get_cmap(cmap)(mesh.norm(number))
            bright = 0.3 * light[0] + 0.6 * light[1] + 0.1 * light[2]
            ax.text(column + 0.5, row + 0.5, f"{number:.{digits if middle < 1000 else 0}f}",
                    ha="center", va="center", fontsize=SMALL,
                    color=INK if bright > 0.5 else "white")
    for axis, name in zip((ax.xaxis, ax.yaxis), names):
        axis.set_ticks(np.arange(data.sizes[name]) + 0.5, _ticks(data[name].values))
    dress(ax, _title(data, names[0]), _title(data, names[1]))
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(length=0)


def _curves(ax, data, names, values, label, level, options):
    """Curves over the first parameter, one for each value of the second."""
    x = data[names[0]].values
    numbers = x.dtype.kind in "fiu"
    places = x.astype(float) if numbers else np.arange(len(x))
    lines = values[:, None] if len(names) == 1 else values
    unit = data[names[-1]].attrs.get("units", "")
    titles = [""] if len(names) == 1 else [
        f"{lettered(names[1])}={tick} {unit}".strip() for tick in _ticks(data[names[1]].values)]
    ends, looks = [], _looks(data[names[-1]].values)
    for k in range(lines.shape[1]):
        color, marker = "#0072B2", "o"
        if len(names) == 2:
            color, marker = looks[k]
        mean, count = _mean(lines[:, k]), np.isfinite(lines[:, k]).sum(axis=-1)
        look = {"color": color, "marker": marker, "mec": "white", "mew": 0.4, **options}
        line, = ax.plot(places[count > 0], mean[count > 0], **look)
        if (count > 0).any():
            ends.append((line, titles[k]))
        if 1 < lines.shape[2] < ENOUGH_SEEDS:
            ax.plot(places, lines[:, k], color=look["color"], lw=0.5, alpha=0.45, label="_seeds")
        elif (count > 1).any():
            with np.errstate(invalid="ignore", divide="ignore"):
                spread = np.sqrt(np.nansum((lines[:, k] - mean[:, None])**2, axis=-1)
                                 / (count - 1) / count)
                half = stdtrit(np.maximum(count - 1, 1), (1 + level) / 2) * spread
            low, high = mean - half, mean + half
            if label.endswith("(%)"):
                low, high = np.clip(low, 0, 100), np.clip(high, 0, 100)
            ax.fill_between(places, low, high, where=count >= ENOUGH_SEEDS, lw=0, alpha=0.15,
                            color=look["color"])
    if numbers and places.min() > 0 and places.max() >= FAR * places.min():
        ax.set_xscale("log")
        ax.set_xticks(places, _ticks(x))
        ax.minorticks_off()
    elif not numbers:
        ax.set_xticks(places, _ticks(x))
        ax.margins(x=0.15)
    dress(ax, _title(data, names[0]), label)
    if len(names) == 2:
        label_ends(ax, ends)


def _looks(values):
    """A colour and a marker for each value of a parameter: ordered ones in order, from dark on."""
    markers = [marker for _, marker in MORE_STYLES]
    if np.asarray(values).dtype.kind in "fiu" or len(values) > len(MORE_STYLES):
        return [(color, markers[k % len(markers)]) for k, color in enumerate(shades(values))]
    return MORE_STYLES[:len(values)]


def _mean(values):
    """The mean over the last axis of what is there; NaN where nothing is."""
    count = np.isfinite(values).sum(axis=-1)
    return np.where(count, np.nansum(values, axis=-1) / np.maximum(count, 1), np.nan)


def _ticks(values):
    return [f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)
            for value in values]


def _title(data, name):
    """The name of a parameter, with its unit."""
    unit = data[name].attrs.get("units")
    name = lettered(name)
    return f"{name} ({unit})" if unit else name
