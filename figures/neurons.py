"""Every neuron: its answer to a step of current, and what one spike does in its membrane.

Left, the membrane u of one neuron (line) and its spikes (ticks) while a constant current flows in
from the start of a trial on; the dashed line is theta. Right, from rest and without drive, what one
presynaptic spike of a positive (red) or negative (blue) weight does in the membrane, over the size
of the weight: where the membrane is linear that is the trace which rules multiply by psi (points:
xbar of the plain neuron). The network's own text runs, one trial in the spiking engine.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2.units import Hz, ms

import bioopzo as bz
from bioopzo import plots
from bioopzo.studies import figures

NEURONS = {"logistic": {}, "alif": {}, "double_exponential": {}, "conductance": {},
           "two_compartment": {}, "eif": {}, "adex": {}, "izhikevich": {}}
TITLES = {"logistic": "leaky (logistic noise)", "alif": "adaptive threshold",
          "double_exponential": "double-exponential synapses", "conductance": "conductances",
          "two_compartment": "two compartments", "eif": "exponential",
          "adex": "adaptive exponential", "izhikevich": "Izhikevich"}
ARRIVES_MS = 5


def compute(parameters, jobs, progress):
    data = {"neurons": {}, "theta": 1.0, "arrives_ms": ARRIVES_MS}
    for name in NEURONS:
        seen = _recorded(name, "current", parameters["step_ms"], 1.0, parameters["seed"],
                         b=parameters["current"])
        found = {"step": {"u": seen.values["N.u"][:, 0],
                          "spikes_ms": seen.time[seen.spikes["N"][:, 0] > 0]}}
        for sign in ("up", "down"):
            weight = parameters["weight"] * (1 if sign == "up" else -1)
            one = _recorded(name, "spikes", parameters["spike_ms"], weight, parameters["seed"],
                            b=0.0)
            found[sign] = one.values["N.u"][:, 0] / abs(weight)
            found["xbar"] = one.values["input.xbar"][:, 0]
        data["neurons"][name] = found
    return data


def _recorded(name, coding, duration, weight, seed, b):
    """One trial of one neuron behind one input, which is a current of 0 or a single spike."""
    inputs = np.zeros((4, 1)) if coding == "current" else np.zeros((4, duration, 1), np.uint8)
    if coding == "spikes":
        inputs[:, ARRIVES_MS] = 1
    task = bz.tasks.Task("one neuron", inputs, np.zeros((4, 2)), None, np.ones(duration),
                   {"train": [0, 1], "validation": [2], "test": [3]}, coding=coding,
                   duration=duration*ms)
    network = (bz.Network(inputs=1, readouts=2).population("N", 1)
               .connect("input", "N", weights=weight).connect("N", "readout"))
    model = bz.Model(network, rule="readout_only", neuron=name, b=b, eta_o=0*Hz)
    run = bz.train(model, task, trials=1, seed=seed, evaluations=1, progress=False,
                   backend="numpy")
    return bz.measures.record(run, sample=3, seed=seed)


@plots.styled
def draw(data):
    fig, axes = plt.subplots(len(NEURONS), 2, figsize=(plots.PAGE_CM / 2.54, 19 / 2.54),
                             layout="constrained", sharex="col", width_ratios=(1.7, 1))
    up, down = "#b2182b", "#2166ac"
    for (left, right), (name, found) in zip(axes, data["neurons"].items()):
        u = np.array(found["step"]["u"])
        left.plot(np.arange(len(u)), u, color=plots.INK, lw=0.8)
        left.axhline(data["theta"], color=plots.GREY, lw=0.6, ls=(0, (3, 2)))
        left.vlines(found["step"]["spikes_ms"], 2.1, 2.5, color=plots.INK, lw=0.8)
        left.set_ylim(-0.6, 2.6)
        time = np.arange(len(found["up"])) - data["arrives_ms"]
        right.plot(time[::4], np.array(found["xbar"])[::4], ls="", marker="o", ms=1.8,
                   color=plots.GREY)
        right.plot(time, found["up"], color=up)
        right.plot(time, found["down"], color=down)
        right.set_ylim(-1.1, 1.1)
        plots.note(left, TITLES[name])
        last = left is axes[-1, 0]
        plots.dress(left, "Time (ms)" if last else "", "$u$")
        plots.dress(right, "Time since the spike (ms)" if last else "", "$u/|w|$")
    parameters = data["parameters"]
    axes[0, 0].set_title(f"A current of {parameters['current']:g} from the start", fontsize=8,
                         loc="right")
    axes[0, 1].set_title(rf"One spike, $w=\pm{parameters['weight']:g}$", fontsize=8,
                         loc="right")
    return fig


if __name__ == "__main__":
    figures.main(__file__)
