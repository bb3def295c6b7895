"""The ordinary Brian2 script for the network of spiking_floor.c: one run() a trial.

Written as one writes it from Brian2's documentation: groups, synapses whose weights follow a
differential equation, and a Python loop that sets input, target and noise before each run() and
updates the feedback after it. It knows nothing of bioopzo.

Usage: python naive_brian2.py FOLDER TRIALS [cython|numpy]
FOLDER is described in spiking_floor.c. Prints "name value" pairs, one a line; the CPU time is the
median over trials, so that building and compiling do not count.
"""

import sys
import time
from pathlib import Path

import numpy as np
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    prefs,
    second,
    seed,
)


def main(folder, trials, target="cython"):
    """Simulate `trials` trials and print what they cost and what they showed."""
    folder, trials = Path(folder), int(trials)
    prefs.codegen.target = target
    seed(1)
    lines = (folder / "network.txt").read_text().splitlines()
    net = {name: float(value) for name, value in map(str.split, lines)}
    n_in, n_hidden, n_out, rows, steps, start, hold, window = (int(net[name]) for name in (
        "n_in", "n_hidden", "n_out", "rows", "steps", "start", "hold", "window"))
    spikes = np.fromfile(folder / "spikes.u8", np.uint8).reshape(rows, steps, n_in)
    labels = np.fromfile(folder / "labels.i32", np.int32)

    tick = defaultclock.dt = net["dt"] * second
    shown, sign, reading = np.zeros(steps), np.zeros(steps), np.zeros(steps)
    shown[start:] = 1
    sign[start:start + hold], sign[start + hold:start + 2 * hold] = 1, -1
    for end in (start + hold, start + 2 * hold):
        reading[end - window:end] = sign[end - 1] / window
    alpha, duration = net["alpha"] * Hz, steps * tick
    namespace = {
        "tau_m": net["tau_m"] * second, "tau_o": net["tau_o"] * second, "rho0": net["rho0"] * Hz,
        "eta": net["eta"] * Hz, "eta_o": net["eta_o"] * Hz, "alpha": alpha, "b": net["b"],
        "theta": net["theta"], "Delta": net["Delta"], "duration": duration,
        "gate": TimedArray(shown, tick), "sigma": TimedArray(sign, tick),
        "read": TimedArray(reading, tick), "shown_steps": shown.sum(),
    }

    source = SpikeGeneratorGroup(n_in, [], [] * second)
    inputs = NeuronGroup(n_in, "dxbar/dt = -xbar/tau_m : 1\nS : 1", threshold="S > 0.5",
                         reset="S = 0; xbar += 1", method="exact")
    hidden = NeuronGroup(n_hidden, """
        du/dt = (b - u)/tau_m : 1
        dxbar/dt = -xbar/tau_m : 1
        dzbar/dt = -zbar/tau_o + sigma(t % duration)*alpha*z : 1
        p = 1/(1 + exp(-(u - theta)/Delta)) : 1
        psi = 4*p*(1 - p) : 1
        g : 1
        z : 1
        Dz : 1
        """, threshold="rand() < 1 - exp(-rho0*p*dt)", reset="u -= theta; xbar += 1",
        method="exponential_euler")
    hidden.run_regularly("Dz += read(t % duration)*zbar", when="after_groups")
    readout = NeuronGroup(n_out, """
        do/dt = -o/tau_o + sigma(t % duration)*push : 1
        expo = exp(o) : 1
        err = gate(t % duration)*(expo/Z - y) : 1
        push : Hz
        Z : 1
        y : 1
        Do : 1
        decision : 1
        cost : 1
        """, method="exponential_euler")
    readout.run_regularly("""
        Do += read(t % duration)*o
        decision += gate(t % duration)*o
        cost += gate(t % duration)*y*(log(Z) - o)/shown_steps
        """, when="after_groups")
    relay = Synapses(source, inputs, on_pre="S_post = 1")
    relay.connect(j="i")
    first = Synapses(inputs, hidden, "dw/dt = -eta*xbar_pre*psi_post*g_post : 1 (clock-driven)",
                     on_pre="u_post += w", method="euler")
    first.connect()
    second_layer = Synapses(hidden, readout,
                            "dw/dt = -eta_o*xbar_pre*err_post : 1 (clock-driven)",
                            on_pre="o_post += w", method="euler")
    second_layer.connect()
    softmax = Synapses(readout, readout, "Z_post = expo_pre : 1 (summed)")
    softmax.connect()
    feedback = Synapses(readout, hidden, "M : 1\ng_post = M*err_pre : 1 (summed)")
    feedback.connect()
    # With the default order the softmax would divide by the sum of the step before.
    for order, item in enumerate([softmax.summed_updaters["Z_post"],
                                  feedback.summed_updaters["g_post"]]):
        item.when, item.order = "after_groups", order - 2
    for synapses in (first, second_layer):
        synapses.state_updater.when = "after_groups"
    counter = SpikeMonitor(hidden, record=False)
    network = Network(source, inputs, hidden, readout, relay, first, second_layer, softmax,
                      feedback, counter)

    first.w = np.fromfile(folder / "w1.f64")
    second_layer.w = np.fromfile(folder / "w2.f64")
    readout.Z = n_out
    rng = np.random.default_rng(1)
    correct, loss, cpu = 0, 0.0, []
    for trial in range(trials):
        begin = time.process_time()
        when, which = np.nonzero(spikes[trial % rows])
        source.set_spikes(which, network.t + when * tick, sorted=True)
        label = labels[trial % rows]
        readout.y = np.arange(n_out) == label
        inputs.xbar = hidden.u = hidden.xbar = hidden.Dz = 0
        readout.o = readout.Do = readout.decision = readout.cost = 0
        perturbation = rng.choice([-1.0, 1.0], n_hidden)
        hidden.z = perturbation
        readout.push = perturbation @ np.asarray(second_layer.w).reshape(n_hidden, n_out) * alpha
        network.run(duration, namespace=namespace)
        M_now = np.asarray(feedback.M).reshape(n_out, n_hidden)
        noise, effect = np.asarray(hidden.Dz), np.asarray(readout.Do)
        miss = effect - M_now @ noise
        feedback.M = (M_now + net["mu"] * np.outer(miss, noise) / (noise @ noise)).ravel()
        correct += int(np.argmax(readout.decision) == label)
        loss += float(np.sum(readout.cost))
        cpu.append(time.process_time() - begin)

    print(f"cpu_ms_per_trial {1e3 * np.median(cpu):.6f}")
    print(f"hidden_hz {counter.num_spikes / n_hidden / (trials * float(duration)):.4f}")
    print(f"training_loss {loss / trials:.6f}")
    print(f"training_accuracy {correct / trials:.6f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
