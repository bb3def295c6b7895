"""Learning dynamics of all rules: held-out accuracy while spiking networks learn the digits.

A, mean over seeds and its 95 % t-interval against training trials, presented one at a time; held
out trials have plasticity and perturbation off. B, the end: every seed, the mean and the interval.
"Readout only" is the control in which the hidden layers stay as they were drawn; the dashed line
is chance. Each rule has the learning rates that `bioopzo tune` found for it on a validation split.

Spiking engine, 64-32-32-10, 60 ms a trial.
"""

import matplotlib.pyplot as plt
import numpy as np

import bioopzo as bz
from bioopzo import plots
from bioopzo.run import Run
from bioopzo.studies import figures


def compute(parameters, jobs, progress):
    task = bz.tasks.digits()
    seeds = list(range(parameters["seeds"]))
    result = bz.compare(parameters["rules"], task, seeds, parameters["trials"], jobs=jobs,
                        evaluations=parameters["evaluations"], progress=progress)
    return {
        "task": task.name, "sizes": [task.n_in, *task.hidden, task.n_out], "seeds": seeds,
        "rules": {rule: {"trials": runs[0].arrays["curve/trials"],
                         "held_out": runs[0].arrays["curve/held_out"],
                         "accuracy": [run.arrays["curve/accuracy"] for run in runs],
                         "loss": [run.arrays["curve/loss"] for run in runs],
                         "rates_hz": [run.meta["rates_hz"] for run in runs],
                         "parameters": runs[0].meta["parameters"]}
                  for rule, runs in result.runs.items()},
    }


@plots.styled
def draw(data):
    runs = {rule: [Run({"curve/trials": found["trials"], "curve/accuracy": np.array(curve),
                        "curve/held_out": found.get("held_out", ())},
                       meta={"rule": rule, "task": data["task"], "sizes": data["sizes"],
                             "seed": seed, "test_accuracy": curve[-1]})
                   for seed, curve in zip(data["seeds"], found["accuracy"])]
            for rule, found in data["rules"].items()}
    fig = plt.figure(figsize=(plots.PAGE_CM / 2.54, 7.5 / 2.54), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=[1.55, 1])
    plots.learning_curves(runs, left)
    plots.final_accuracy(runs, right)
    plots.note(right, "points: seeds; bars: mean, interval")
    plots.letter(left, "A")
    plots.letter(right, "B")
    return fig


if __name__ == "__main__":
    figures.main(__file__)
