"""The network of rules_speed.py without learning, in Brian2's own C++ standalone mode.

Written as one writes it from Brian2's documentation: groups, synapses that add their weights, one
long run whose trials are told apart by the time. It knows nothing of bioopzo, and leaves every
preference as Brian2 sets it. No weight changes, so there is no error, noise, trace or feedback.

Usage: python plain_brian2.py FOLDER FIRST TRIALS
FOLDER holds case.npz: `samples` (rows, inputs), a `w1`, `w2` ... for each projection, and the
parameters. Builds FOLDER/program/main, which shows FIRST trials, then TRIALS more, and writes
"clock SECONDS", its CPU time, before the latter and behind them, then "hz RATE" for each hidden
layer.
"""

import sys
from pathlib import Path

import numpy as np
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    device,
    ms,
    second,
    set_device,
)

CLOCK = r'std::cout << "clock " << double(clock())/CLOCKS_PER_SEC << std::endl;'


def main(folder, first, trials):
    """Build the program."""
    folder, first, trials = Path(folder), int(first), int(trials)
    case = np.load(folder / "case.npz")
    set_device("cpp_standalone", build_on_run=False)
    defaultclock.dt = 1*ms
    duration = float(case["duration"])*second
    samples = case["samples"]
    weights = [case[name] for name in sorted(case) if name.startswith("w")]
    namespace = {
        "tau_m": float(case["tau_m"])*second, "tau_o": float(case["tau_o"])*second,
        "theta": float(case["theta"]), "Delta": float(case["Delta"]), "b": float(case["b"]),
        "rho0": float(case["rho0"])*Hz, "start": float(case["start"])*second,
        "duration": duration, "period": len(samples)*duration,
        "stimulus": TimedArray(samples, dt=duration),
    }

    inputs = NeuronGroup(samples.shape[1], "x : 1")
    inputs.run_regularly("x = stimulus(t % period, i)", dt=duration, when="start")
    hidden = [NeuronGroup(w.shape[1], """
        du/dt = (b + drive - u)/tau_m : 1
        drive : 1
        p = 1/(1 + exp(-(u - theta)/Delta)) : 1
        """, threshold="rand() < 1 - exp(-rho0*p*dt)", reset="u -= theta", method="exact")
        for w in weights[:-1]]
    for layer in hidden:
        layer.run_regularly("u = 0\ndrive = 0", dt=duration, when="start")
    readout = NeuronGroup(weights[-1].shape[1], "do/dt = -o/tau_o : 1\ndecision : 1",
                          method="exact")
    readout.run_regularly("o = 0\ndecision = 0", dt=duration, when="start")
    readout.run_regularly("decision += int(t % duration >= start)*o", when="end")

    drive = Synapses(inputs, hidden[0], "w : 1")
    drive.connect()
    drive.run_regularly("drive_post += w*x_pre", dt=duration, when="start", order=1)
    projections = [drive]
    for source, target, variable in zip(hidden, [*hidden[1:], readout],
                                        ["u"]*(len(hidden) - 1) + ["o"]):
        projection = Synapses(source, target, "w : 1", on_pre=f"{variable}_post += w")
        projection.connect()
        projections.append(projection)
    for projection, w in zip(projections, weights):
        projection.w = w.ravel()
    counters = [SpikeMonitor(layer, record=False) for layer in hidden]
    decisions = StateMonitor(readout, "decision", record=True, dt=duration, when="start",
                             order=-1)

    network = Network(inputs, hidden, readout, projections, counters, decisions)
    network.run(first*duration, namespace=namespace)
    device.insert_code("main", CLOCK)
    network.run(trials*duration, namespace=namespace)
    device.insert_code("main", CLOCK)
    time = (first + trials)*float(case["duration"])
    for layer, counter in zip(hidden, counters):
        spikes = device.get_array_name(counter.variables["N"], access_data=False)
        device.insert_code("main", f'std::cout << "hz " << {spikes}[0]/{len(layer)*time} '
                                   "<< std::endl;")
    device.build(directory=str(folder / "program"), run=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
