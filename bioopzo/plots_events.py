"""Figures of event data: a cloud of events, frames, and what a network does with a recording."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from .errors import InputError
from .plots import GREY, SMALL, styled

#: Colours of events: where it became darker (p = 1), where it became brighter (p = 0).
DARKER, BRIGHTER = "#0072B2", "#D55E00"
_MAP = LinearSegmentedColormap.from_list("events", [BRIGHTER, "#FFFFFF", DARKER])


@styled
def cloud(task, sample, ax=None, size=1.5):
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
    step, p, y, x = _events(task, sample)
    if ax is None:
        _, ax = plt.subplots(figsize=(8.5 / 2.54, 6.5 / 2.54), subplot_kw={"projection": "3d"})
    if not hasattr(ax, "zaxis"):
        raise InputError("an event cloud needs axes with projection='3d'")
    colours = np.where(p > 0, DARKER, BRIGHTER)
    order = np.random.default_rng(0).permutation(len(x))  # so that neither colour lies on top
    ax.scatter((step * _dt_ms(task))[order], x[order], -y[order], s=size, c=colours[order], lw=0,
               alpha=0.7, rasterized=True)
    ax.set_box_aspect((2.2, 1, 1), zoom=1.12)
    ax.view_init(elev=16, azim=-62)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.pane.set_visible(False)
    ax.set_xlabel("Time (ms)", labelpad=2)
    ax.set_ylabel("x (pixel)", labelpad=-4)
    ax.set_zlabel("y (pixel)", labelpad=-6)
    ticks = np.arange(0, task.inputs.grid[1], 10)
    ax.set_zticks(-ticks, ticks)
    for name, pad in (("x", -1), ("y", -3), ("z", -2)):
        ax.tick_params(axis=name, pad=pad)
    return ax


@styled
def frames(task, sample, axes=None, steps=None):
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
    _events(task, sample)  # or the error
    width, height, polarities = task.inputs.grid
    if axes is None:
        _, axes = plt.subplots(1, 6, figsize=(17.4 / 2.54, 3.2 / 2.54), layout="constrained")
    axes = np.ravel(axes)
    if steps is None:
        steps = np.linspace(0, task.steps - 1, 2 * len(axes) + 1).round().astype(int)[1::2]
    images = task.inputs[sample].reshape(-1, polarities, height, width).astype(float)
    images = images[:, 1] - images[:, 0] if polarities == 2 else images[:, 0]
    top = max(1.0, np.abs(images[np.asarray(steps)]).max())
    for ax, step in zip(axes, steps):
        ax.imshow(images[step], cmap=_MAP, vmin=-top, vmax=top, interpolation="nearest")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set(visible=True, color=GREY)
        begin, end = (k * _dt_ms(task) for k in (step, step + 1))
        ax.set_title(f"{begin:g}\N{EN DASH}{end:g} ms", fontsize=SMALL, pad=2)
    return axes


def _events(task, sample):
    """Step, polarity, y and x of every event of a sample."""
    inputs = task.inputs
    if getattr(inputs, "grid", None) is None:
        raise InputError(f"task {task.name} has no events on a grid; e.g. tasks.nmnist has")
    _, places = inputs.events(np.atleast_1d(np.arange(len(inputs))[sample]))
    step, neuron = np.divmod(inputs.cells[places].astype(int), inputs.n_in)
    width, height, polarities = inputs.grid
    return step, *np.unravel_index(neuron, (polarities, height, width))


def _dt_ms(task):
    return 1e3 * float(task.dt)


@styled
def raster(recording, axes=None, largest=300):
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
    axes[-1].set_xlim(0, recording.time[-1] + recording.meta["dt_ms"])
    axes[-1].set_xlabel("Time in the trial (ms)")
    return axes
