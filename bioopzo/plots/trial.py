"""Figures of one trial."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bioopzo.errors import InputError
from bioopzo.network.layers import recorded
from bioopzo.plots.styles import (
    COLUMN_CM,
    GREY,
    INK,
    PALE,
    SMALL,
    axes_of,
    dress,
    layer_colour,
    style,
    styled,
)


@styled
def raster(recording: Any, ax: Axes | None = None) -> Axes:
    """Spikes of one trial, layer above layer; the time in which the target is shown is shaded.

    `recording` is a `measures.Recording`; drawn into `ax`, by default a new figure of one column.
    Raises `InputError` when it holds no spikes.
    """
    if not recording.spikes:
        raise InputError("the recording holds no spikes")
    layers = [name for name in ("input", *_hidden(recording)) if name in recording.spikes]
    ax = axes_of(ax)
    _shade(ax, recording)
    base, middles = 0, []
    for k, name in enumerate(layers):
        when, which = np.nonzero(recording.spikes[name])
        size = recording.spikes[name].shape[1]
        color = INK if name == "input" else layer_colour(k - ("input" in layers), len(layers))
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
def anatomy(recording: Any, neuron: int | tuple[int | str, int] | None = None,
            fig: Figure | None = None) -> Figure:
    """One trial of one synapse: all that its three-factor update is made of, on one time axis.

    `recording` is a `measures.Recording`. Rows: input, membrane with threshold and spikes,
    presynaptic trace, psi, error, top-down modulator g, and the change of the weight. `neuron` is
    ``(layer, index)``, hidden populations by name or counted from 1, or the index alone in the last
    of them; default: the neuron there that fired most. The synapse is the one onto it that changed
    most. Drawn into `fig`, by default a new one. Returns the figure.

    Raises `InputError` for a neuron that does not exist.
    """
    name, index = _chosen(recording, neuron)
    values, time = recording.values, recording.time
    before, pre, change = _most_changed(recording, name, index)
    if fig is None:
        fig = plt.figure(figsize=(COLUMN_CM / 2.54, 15 / 2.54), layout="constrained")
    axes = fig.subplots(7, 1, sharex=True,
                        gridspec_kw={"height_ratios": [1.3, 1.5, 1, 1, 1.3, 1, 1]})
    color = style(recording.meta["rule"])[0]
    unit = f"neuron {index}, {name.replace('_', ' ')}"
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
    axes[6].plot(time, 1e3 * change, color=color)
    titles = (("Input", None), (f"Membrane of {unit}", "$u$"),
              (f"Presynaptic trace, {before.replace('_', ' ')}, neuron {pre}",
               r"$\bar{x}$ (spikes)"),
              ("Local surrogate derivative", r"$\psi$"), ("Error population", "err"),
              ("Top-down modulator", "$g$"),
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


def _hidden(recording):
    """The names of the hidden populations, from the input on."""
    return [name for name, told in recorded(recording.meta)["populations"].items()
            if told["kind"] == "hidden"]


def _most_changed(recording, name, index):
    """(source, its neuron, change over time) of the synapse onto a neuron that changed most."""
    found = []
    for synapses, told in recorded(recording.meta)["projections"].items():
        if told["kind"] == "forward" and told["ends"][1] == name:
            weights = recording.values[f"{synapses}.w"].reshape(-1, *told["shape"])[:, :, index]
            most = int(np.argmax(np.abs(weights - weights[0]).max(axis=0)))
            found.append((told["ends"][0], most, weights[:, most] - weights[0, most]))
    if not found:
        raise InputError(f"the recording holds no forward synapses onto {name}")
    return max(found, key=lambda told: np.abs(told[2]).max())


def _end(recording):
    return recording.time[-1] + recording.meta["dt_ms"]


def _chosen(recording, neuron):
    """(population, index) of the neuron to show."""
    populations, names = recorded(recording.meta)["populations"], _hidden(recording)
    if neuron is None:
        return names[-1], int(np.argmax(np.sum(recording.spikes[names[-1]], axis=0)))
    layer, index = neuron if np.ndim(neuron) else (len(names), neuron)
    name = layer if layer in names else dict(enumerate(names, 1)).get(layer)
    if name is None or not 0 <= index < populations[name]["size"]:
        there = ", ".join(f"{n} ({populations[n]['size']})" for n in names)
        raise InputError(f"there is no neuron {neuron!r}; the hidden populations and their sizes: "
                         f"{there}")
    return name, int(index)


def _shade(ax, recording):
    """Shade the time in which the target is shown."""
    gate = np.ravel(recording.values.get("trial.gate", ())) > 0
    if gate.any():
        edges = np.flatnonzero(np.diff(np.concatenate([[0], gate.astype(int), [0]])))
        for begin, end in edges.reshape(-1, 2):
            ax.axvspan(recording.time[begin], recording.time[end - 1] + recording.meta["dt_ms"],
                       color="#F3EFE0", lw=0, zorder=0)


def _input_panel(ax, recording):
    """Spikes of the input where it has any, else the traces of its current."""
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
    ax.annotate("current (trace)", (1, 1), xycoords="axes fraction", ha="right",
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
        told = f"target (class {chosen})" if set(target) <= {0, 1} and target.sum() == 1 else \
            f"largest target (readout {chosen})"
        ax.annotate(told, (1, 1), xycoords="axes fraction", ha="right",
                    va="bottom",
                    color="#0072B2", fontsize=SMALL)
