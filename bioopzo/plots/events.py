"""Figures of event data: a cloud of events, frames, and what a network does with a recording."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import ArrayLike

from bioopzo.errors import InputError
from bioopzo.plots.styles import GREY, SMALL, note, remark, styled

#: Colours of events, as N-MNIST has them: it became darker (p = 1), brighter (p = 0). Other cameras
#: may say it the other way round.
DARKER, BRIGHTER = "#0072B2", "#D55E00"
_MAP = LinearSegmentedColormap.from_list("events", [BRIGHTER, "#FFFFFF", DARKER])


@styled
def cloud(task: Any, sample: int, ax: Any = None, size: float = 1.5) -> Any:
    """The events of one sample in space and time, a dot each; returns the axes (in 3D).

    Parameters
    ----------
    task : Task
        Of event data, with a grid.
    sample : int
    ax : axes with ``projection="3d"``, optional
    size : float
        Area of a dot in square points.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(8.5 / 2.54, 5.5 / 2.54), subplot_kw={"projection": "3d"})
    draw_cloud(events(task, sample), ax, size)
    note(ax, remark(task.name))
    return ax


@styled
def frames(task: Any, sample: int, axes: Any = None, steps: Any = None) -> Any:
    """Frames of one sample, the events of a time step as an image; returns the axes.

    Parameters
    ----------
    task : Task
        Of event data, with a grid; usually in the form of the rate engine.
    sample : int
    axes : sequence of axes, optional
        One a frame; default a row of six.
    steps : sequence of int, optional
        Which; default evenly spread.
    """
    if axes is None:
        _, axes = plt.subplots(1, 6, figsize=(17.4 / 2.54, 3.2 / 2.54), layout="constrained")
    axes = np.ravel(axes)
    if steps is None:
        steps = np.linspace(0, task.steps - 1, 2 * len(axes) + 1).round().astype(int)[1::2]
    draw_frames(images(task, sample, steps), steps, 1e3 * float(task.dt), axes)
    axes[0].set_ylabel(remark(task.name), fontsize=SMALL, color=GREY)
    return axes


def events(task: Any, sample: int) -> dict[str, np.ndarray]:
    """The events of a `sample` of a `task`: arrays `time_ms`, `x`, `y`, `p`.

    Raises `InputError` without a grid.
    """
    inputs = task.inputs
    if getattr(inputs, "grid", None) is None:
        raise InputError(f"task {task.name} has no events on a grid; e.g. tasks.nmnist has")
    _, places = inputs.events(np.atleast_1d(np.arange(len(inputs))[sample]))
    step, neuron = np.divmod(inputs.cells[places].astype(int), inputs.n_in)
    width, height, polarities = inputs.grid
    p, y, x = np.unravel_index(neuron, (polarities, height, width))
    return {"time_ms": step * 1e3 * float(task.dt), "x": x, "y": y, "p": p}


def images(task: Any, sample: int, steps: ArrayLike) -> np.ndarray:
    """Some steps of a sample as images (steps, height, width), p = 1 minus p = 0 where both are."""
    events(task, sample)  # or the error
    width, height, polarities = task.inputs.grid
    found = task.inputs[sample][np.asarray(steps)].astype(int)
    found = found.reshape(-1, polarities, height, width)
    return found[:, 1] - found[:, 0] if polarities == 2 else found[:, 0]


@styled
def draw_cloud(found: Mapping[str, Any], ax: Any, size: float = 1.5) -> Any:
    """`cloud` from what `events` gives."""
    if not hasattr(ax, "zaxis"):
        raise InputError("an event cloud needs axes with projection='3d'")
    found = {name: np.asarray(values) for name, values in found.items()}
    order = np.random.default_rng(0).permutation(len(found["x"]))  # neither colour lies on top
    ax.scatter(found["time_ms"][order], found["x"][order], -found["y"][order], s=size, lw=0,
               c=np.where(found["p"] > 0, DARKER, BRIGHTER)[order], alpha=0.7, rasterized=True)
    ax.set_box_aspect((2.4, 1, 1), zoom=1.3)
    ax.view_init(elev=18, azim=-65)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.pane.set_visible(False)
        axis._axinfo["grid"].update(color="#E4E4E4", linewidth=0.5)  # there is no public way
    ax.set_xlabel("Time (ms)", labelpad=1)
    ax.set_ylabel("x (pixel)", labelpad=-6)
    ax.set_zlabel("y (pixel)", labelpad=-7)
    ax.set_yticks([0, 15, 30])
    ax.set_zticks([0, -15, -30], ["0", "15", "30"])
    for name, pad in (("x", -2), ("y", -4), ("z", -3)):
        ax.tick_params(axis=name, pad=pad)
    return ax


@styled
def draw_frames(pictures: ArrayLike, steps: Sequence[int], dt_ms: float, axes: Sequence[Axes]
                ) -> Sequence[Axes]:
    """`frames` from what `images` gives."""
    pictures = np.asarray(pictures)
    top = max(1.0, np.abs(pictures).max())
    for ax, step, picture in zip(axes, steps, pictures):
        ax.imshow(picture, cmap=_MAP, vmin=-top, vmax=top, interpolation="nearest")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set(visible=True, color=GREY)
        ax.set_title(f"{step * dt_ms:g}\N{EN DASH}{(step + 1) * dt_ms:g} ms", fontsize=SMALL,
                     pad=2)
    return axes


@styled
def raster(recording: Any, axes: Any = None, largest: int = 300) -> Any:
    """Spikes of every layer while one recording is shown; returns the axes, input on top.

    Parameters
    ----------
    recording : measures.Recording
    axes : sequence of axes, optional
        One a layer.
    largest : int
        Layers with more neurons are shown by this many of them, evenly chosen.
    """
    layers = list(recording.spikes)
    if axes is None:
        _, axes = plt.subplots(len(layers), 1, figsize=(8.5 / 2.54, 8 / 2.54), sharex=True,
                               layout="constrained",
                               height_ratios=[1.4] + [1] * (len(layers) - 1))
    axes = np.ravel(axes)
    for ax, name in zip(axes, layers):
        spikes = recording.spikes[name]
        size = spikes.shape[1]
        chosen = np.unique(np.linspace(0, size - 1, min(size, largest)).round().astype(int))
        step, neuron = np.nonzero(spikes[:, chosen])
        ax.plot(recording.time[step], neuron, ls="", marker="|", ms=2, mew=0.5, color="#404040",
                rasterized=True)
        ax.set_ylim(-1, len(chosen))
        ax.set_yticks([])
        word = name.replace("_", " ")
        part = f", {len(chosen)} of {size}" if len(chosen) < size else f", {size}"
        ax.set_title(f"{word[0].upper()}{word[1:]}{part} neurons", loc="left", fontsize=SMALL,
                     pad=2)
    note(axes[0], remark(recording.meta.get("task", "")), loc="right", pad=2)
    axes[-1].set_xlim(0, recording.time[-1] + recording.meta["dt_ms"])
    axes[-1].set_xlabel("Time in the trial (ms)")
    return axes
