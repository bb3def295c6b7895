"""Learning dynamics of all rules: held-out accuracy while spiking networks learn the digits.

A, rules that send the hidden layers a vector of errors, B, those that send them a single number,
with OPZO beside them and the control in which the hidden layers stay as they were drawn: mean over
seeds and its 95 % t-interval against training trials, presented one at a time; held out trials have
plasticity and perturbation off; the dashed line is chance. C, the end: every seed, the mean and the
interval. D, of the rules that end near OPZO, the differences from it, paired by seeds: those of A
are tied. Each rule has the learning rates that `bioopzo tune` found on a validation split.

Spiking engine, 64-32-32-10, 60 ms a trial; the runs of the table `digits_4000`.
"""

from pathlib import Path

import numpy as np

from bioopzo import plots
from bioopzo.run import Run
from bioopzo.studies import figures
from bioopzo.studies.content import read

#: Picture and table are of the same runs.
INPUTS = ["data/digits_4000.json"]


def compute(parameters, jobs, progress):
    content = read(Path(__file__).parent / INPUTS[0])
    found = {row["label"]: row["seeds"] for row in content["rows"]}
    rules = parameters["rules"]
    return {"task": content["task"], "sizes": content["sizes"][rules[0]],
            "seeds": found[rules[0]], "source": f"read from figures/{INPUTS[0]}, made by "
            f"{content['command']}", "rules": {rule: content["curves"][rule] for rule in rules}}


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
