"""Anatomy of a trial: what a network under OPZO does in 60 ms, and what one synapse learns.

Left, the network (64-32-32-10, digits): the constant current of an image and the trace it leaves,
the spikes of both hidden layers, the readout, the error population, and the perturbation that the
feedback synapses read, antithetic (z, then -z). Right, the three factors of one forward synapse
onto the neuron that fired most, and their product: presynaptic trace, local surrogate derivative
of the membrane, top-down modulator. One trial of one trained network, so there is no interval.

Source: Xiao et al. 2024 (OPZO), sections 4.1-4.4. Spiking engine; the network is trained for
`trials` trials and one held-out trial is recorded with plasticity on.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.ticker import MaxNLocator

import bioopzo as bz
from bioopzo import plots
from bioopzo.studies import figures


def compute(parameters, jobs, progress):
    task = bz.tasks.digits()
    model = bz.Model([task.n_in, *task.hidden, task.n_out], rule="opzo")
    run = bz.train(model, task, parameters["trials"], parameters["seed"], evaluations=1,
                   progress=progress)
    trial = bz.measures.record(run, seed=parameters["seed"])
    values, layer = trial.values, parameters["layer"]
    post, pre = f"hidden_{layer}", f"hidden_{layer - 1}"
    neuron = int(np.argmax(trial.spikes[post].sum(axis=0)))
    change = values[f"forward_{layer}.w"] - values[f"forward_{layer}.w"][0]
    change = change.reshape(len(trial.time), *model.sizes[layer - 1:layer + 1])[:, :, neuron]
    source = int(np.argmax(np.abs(change[-1])))
    return {
        "seed": parameters["seed"], "held_out_accuracy": run.test_accuracy,
        "time_ms": trial.time, "dt_ms": trial.meta["dt_ms"], "target": np.argmax(
            trial.meta["target"]), "target_shown": values["trial.gate"].ravel(),
        "layer": layer, "neuron": neuron, "presynaptic_neuron": source,
        "theta": trial.meta["theta"], "layer_sizes": model.sizes[1:-1],
        "input_trace": values["input.xbar"].round(4),
        "spikes": {name: np.argwhere(found) for name, found in trial.spikes.items()},
        "readout": values["readout.o"], "error": values["error.err"],
        "perturbation": values["trial.sigma"] * values[f"{post}.z"],
        "membrane": values[f"{post}.u"][:, neuron], "modulator": values[f"{post}.g"][:, neuron],
        "surrogate": values[f"{post}.psi"][:, neuron],
        "trace": values[f"{pre}.xbar"][:, source], "weight_change": change[:, source],
    }


@plots.styled
def draw(data):
    fig = plt.figure(figsize=(plots.PAGE_CM / 2.54, 17 / 2.54), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.08, h_pad=0.03)
    axes = fig.subplots(5, 2, sharex=True, gridspec_kw={
        "height_ratios": [1, 2.6, 1, 1, 1], "wspace": 0.04})
    _network(axes[:, 0], data)
    _synapse(axes[:, 1], data)
    shown = np.flatnonzero(data["target_shown"])
    for ax in axes.flat:
        ax.axvspan(data["time_ms"][shown[0]], data["time_ms"][shown[-1]] + data["dt_ms"],
                   color="#F3EFE0", lw=0, zorder=0)
    for column, word in enumerate("AB"):
        plots.letter(axes[0, column], word)
        plots.dress(axes[-1, column], "Time in the trial (ms)", "")
        fig.align_ylabels(axes[:, column])
    axes[0, 0].set_xlim(0, data["time_ms"][-1] + data["dt_ms"])
    return fig


def _network(axes, data):
    """The left column: layers from the input up, the error, and the perturbation."""
    time, step, target = np.array(data["time_ms"]), data["dt_ms"], data["target"]
    span = (time[0], time[-1] + step)
    trace = np.array(data["input_trace"]).T
    # Ink whose opacity is the trace, so that the shading shows through.
    ink = np.zeros((*trace.shape, 4))
    ink[..., 3] = np.clip(trace / trace.max(), 0, 1)
    image = {"aspect": "auto", "origin": "lower", "interpolation": "nearest", "zorder": 1}
    axes[0].imshow(ink, extent=(*span, 0, len(trace)), **image)
    axes[0].set_yticks([0, len(trace)])
    _row(axes[0], "Input: trace of a constant current", "pixel", "shaded: target shown")
    base, places = 0, []
    for k, (name, size) in enumerate(zip(data["spikes"], data["layer_sizes"])):
        when, which = np.array(data["spikes"][name]).T
        axes[1].vlines(time[when] + step / 2, base + which, base + which + 1, lw=1.6,
                       color=plots.INK if k % 2 else plots.GREY)
        places.append(base + size / 2)
        base += size + 3
    axes[1].set_yticks(places, [name.replace("_", " ") for name in data["spikes"]], rotation=90,
                       va="center")
    axes[1].tick_params(axis="y", length=0)
    axes[1].set_ylim(-1, base - 2)
    _row(axes[1], "Spikes", "")
    colour = plots.style("dfa")[0]
    for ax, name, title, label in ((axes[2], "readout", "Readout", "$o$"),
                                   (axes[3], "error", "Error population", "err")):
        values = np.array(data[name])
        ax.plot(time, values, color=plots.PALE, lw=0.7)
        ax.plot(time, values[:, target], color=colour)
        _row(ax, title, label)
    axes[2].annotate(f"class {target}, the target", (1, 1), xycoords="axes fraction",
                     xytext=(0, 2), textcoords="offset points", ha="right", color=colour,
                     fontsize=plots.SMALL)
    sent = np.array(data["perturbation"]).T
    picture = np.zeros((*sent.shape, 4))
    picture[sent > 0] = to_rgba(plots.style("opzo")[0])
    picture[sent < 0] = to_rgba(plots.style("dkp")[0])
    axes[4].imshow(picture, extent=(*span, 0, len(sent)), **image)
    axes[4].set_yticks([0, len(sent)])
    _row(axes[4], f"Perturbation of hidden {data['layer']}", "neuron")
    for place, word, rule in ((0.90, "+1", "opzo"), (1, "\N{MINUS SIGN}1", "dkp")):
        axes[4].annotate(word, (place, 1), xycoords="axes fraction", xytext=(0, 2), ha="right",
                         textcoords="offset points", color=plots.style(rule)[0],
                         fontsize=plots.SMALL, fontweight="bold")


def _synapse(axes, data):
    """The right column: the three factors of one synapse, and its weight."""
    time, layer = np.array(data["time_ms"]), data["layer"]
    colour = plots.style("opzo")[0]
    spikes = {name: np.array(found) for name, found in data["spikes"].items()}
    rows = (("trace", "presynaptic_neuron", layer - 1, r"$\bar{x}$ (spikes)",
             "1  Presynaptic trace, "), ("membrane", "neuron", layer, "$u$", "Membrane, "))
    for ax, (name, key, k, label, title) in zip(axes, rows):
        values = np.array(data[name])
        found = spikes[f"hidden_{k}"]
        fired = time[found[found[:, 1] == data[key], 0]]
        top = max(values.max(), data["theta"])
        height = top - min(values.min(), 0)
        ax.plot(time, values, color=plots.INK)
        ax.vlines(fired, top + 0.12 * height, top + 0.36 * height, color=plots.INK, lw=1)
        _row(ax, f"{title}neuron {data[key]} of hidden {k}", label)
    axes[1].axhline(data["theta"], color=plots.PALE, lw=0.8, ls=(0, (3, 2)), zorder=1)
    axes[1].annotate(r"$\theta$", (1, data["theta"]), xycoords=("axes fraction", "data"),
                     xytext=(2, 0), textcoords="offset points", va="center", color=plots.GREY)
    axes[2].plot(time, data["surrogate"], color=plots.INK)
    axes[2].set_ylim(0, 1.05)
    _row(axes[2], "2  Local surrogate derivative", r"$\psi$")
    axes[3].plot(time, data["modulator"], color=colour)
    _row(axes[3], r"3  Top-down modulator $g=\Sigma_k\,M_k\,\mathrm{err}_k$", "$g$")
    axes[4].plot(time, 1e3 * np.array(data["weight_change"]), color=colour)
    _row(axes[4], r"Weight: $\mathrm{d}w/\mathrm{d}t=-\eta\,\bar{x}\,\psi\,g$",
         r"$\Delta w$ ($10^{-3}$)")
    for ax in axes[3:]:
        ax.axhline(0, color=plots.PALE, lw=0.6, zorder=1)


def _row(ax, title, label, right=""):
    ax.set_title(title, loc="left", fontsize=plots.SMALL, pad=2)
    if right:
        ax.set_title(right, loc="right", fontsize=plots.SMALL, pad=2, color=plots.GREY)
    if not len(ax.images) and label:
        ax.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    plots.dress(ax, "", label)
    ax.yaxis.label.set_size(plots.SMALL)


if __name__ == "__main__":
    figures.main(__file__)
