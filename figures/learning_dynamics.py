"""Learning dynamics of all rules: held-out accuracy while spiking networks learn the digits.

A, rules that send the hidden layers a vector of errors, B, those that send them a single number,
with OPZO beside them and the control in which the hidden layers stay as they were drawn: mean over
seeds and its 95 % t-interval against training trials, presented one at a time; held out trials have
plasticity and perturbation off; the dashed line is chance. C, the end: every seed, the mean and the
interval. D, of the rules that end near OPZO, the differences from it, paired by seeds: those of A
are tied. Each rule has the learning rates that `bioopzo tune` found on a validation split.

Spiking engine, 64-32-32-10, 60 ms a trial.
"""

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
    return plots.dynamics(runs)


if __name__ == "__main__":
    figures.main(__file__)
