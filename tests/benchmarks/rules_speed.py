"""What a trial of each rule costs in the compiled program, and the form of its plasticity.

    python -m tests.benchmarks.rules_speed [--rules bp eprop] [--rounds 5] [--json path]
                                           [--cases digits images wide] [--dense] [--precision]

64-100-100-10 on the digits, and 784-400-400-10 on random images as large as MNIST's (784-1600-
1600-10 where one asks for `wide`), pixels 0 to 1 as a constant current, 60 steps of 1 ms. CPU
milliseconds a trial on one thread, learning in every trial: the difference of a long and a short
chunk, so that starting the program and reading its tables cancel. Rules take turns, and of the
rounds the median counts. `--dense` is the text without event-driven forms; `--precision` has every
rule in double and in single precision, taking turns, too.
"""

import argparse
import json
import os
import resource
import statistics

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from brian2 import ms

import bioopzo as bz
from bioopzo.engines.spiking import backends, feed
from bioopzo.engines.spiking.build import assemble
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.engines.spiking.numbers import TRAINING, keys
from bioopzo.network.clock import shape_of, time_course
from bioopzo.tasks import Task
from bioopzo.training.start import initial_weights

PIXELS, CLASSES, STEPS, WARMUP = 784, 10, 60, 20


def images(pixels=PIXELS):
    """A task of random images, a fifth of the pixels lit."""
    rng = np.random.default_rng(0)
    count = 512
    inputs = rng.random((count, pixels)) * (rng.random((count, pixels)) < 0.2)
    labels = rng.integers(CLASSES, size=count)
    mask = (np.arange(STEPS) >= WARMUP).astype(float)
    splits = {"train": np.arange(count), "validation": np.arange(0), "test": np.arange(0)}
    return Task("images", inputs, np.eye(CLASSES)[labels], labels, mask, splits, "current",
                STEPS * ms)


#: name -> (task, sizes, trials of the short and of the long chunk, parameters)
CASES = {
    "digits": (bz.tasks.digits, (64, 100, 100, 10), (200, 1200), {}),
    "images": (images, (784, 400, 400, 10), (20, 120), {"input_gain": 0.5}),
    "wide": (images, (784, 1600, 1600, 10), (5, 25), {"input_gain": 0.5}),
}
USUAL = ("digits", "images")
#: The rules that learn in the compiled program.
RULES = [name for name in bz.rules.available() if not bz.rules.get(name, 1).gradient]


def given(rule, case):
    """A rule's model for a case (as of `CASES`), its task, and the trials' shape and inputs.

    A case may have a network in place of sizes.
    """
    make, sizes, _, values = case
    task = make()
    network = sizes if isinstance(sizes, bz.Network) else list(sizes)
    model = bz.Model(network, rule=rule).edit(values).for_task(task)
    shape = shape_of(task, max(2, min(512, feed.rows(task))))
    samples = np.asarray(task.presentation("train", shape.rows, np.random.default_rng(1)))
    return model, task, shape, samples


class Program:
    """A compiled program of a rule, and chunks of training for it."""

    def __init__(self, rule, case, lazy=True, precision="double"):
        model, task, shape, samples = given(rule, case)
        self.trials = case[2]
        self.engine = backends.open_backend("standalone", model, shape, lazy,
                                            precision=precision)
        assembly = assemble(model, shape.duration, shape.varying, lazy, step=shape.step,
                            precision=precision)
        self.forms = "; ".join(f"{name}: {s.form}" for name, s in assembly.synapses.items()
                               if s.form)
        self.given = (
            {**self.engine.start, **initial_weights(model, np.random.default_rng(2))},
            feed.parameter_values(model, shape, lazy, precision),
            {"course": time_course(model, task), **feed.tables(
                task, shape, samples, 1, np.arange(shape.rows),
                keys(3, TRAINING, np.arange(shape.rows)))})
        self.seconds = float(shape.duration)
        # Of the last long chunk: what came out, and its CPU seconds.
        self.outcome = self.spent = None

    def cost(self):
        """CPU ms a trial."""
        short, self.spent = (self._run(trials) for trials in self.trials)
        return 1e3 * (self.spent - short) / (self.trials[1] - self.trials[0])

    def _run(self, trials):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.outcome = self.engine.run(Chunk(trials, *self.given))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def rates(self):
        """Spikes a second of each hidden layer in the long chunk."""
        time = self.trials[1] * self.seconds
        return [float(np.mean(value)) / time for name, value in self.outcome.state.items()
                if name.endswith(".count")]


def take_turns(contenders, rounds):
    """CPU ms a trial of each contender (name -> what has a `cost()`) in every round."""
    costs = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            costs[name].append(contender.cost())
    return costs


def show(case, contenders, costs):
    """Print a case's table; a contender's `rates` are in Hz, its `forms` tell how it learns."""
    middle = {name: statistics.median(values) for name, values in costs.items()}
    print(f"\n{case}, {'-'.join(map(str, CASES[case][1]))}\n"
          f"{'':20}{'ms/trial':>10}{'of OPZO':>9}{'least':>9}   Hz of hidden layers; forms")
    for name, contender in contenders.items():
        rates = ", ".join(f"{rate:.0f}" for rate in contender.rates())
        print(f"{name:20}{middle[name]:10.3f}{middle[name] / middle['opzo']:9.2f}"
              f"{min(costs[name]):9.3f}   {rates}; {contender.forms}", flush=True)
    return {name: {"ms": middle[name], "rounds": costs[name], "forms": contender.forms}
            for name, contender in contenders.items()}


def save(found, path):
    """Write what was found as JSON, if a path was asked for."""
    if path:
        with open(path, "w") as file:
            json.dump(found, file, indent=1)


def main():
    """Measure, print the tables, and save them if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", nargs="+", default=RULES)
    parser.add_argument("--cases", nargs="+", default=USUAL, choices=list(CASES))
    parser.add_argument("--dense", action="store_true")
    parser.add_argument("--precision", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    asked = parser.parse_args()
    found = {}
    for case in asked.cases:
        programs = {}
        for rule in dict.fromkeys(("opzo", *asked.rules)):
            programs[rule] = Program(rule, CASES[case], not asked.dense)
            if asked.precision:
                programs[f"{rule}, single"] = Program(rule, CASES[case], not asked.dense, "single")
        found[case] = show(case, programs, take_turns(programs, asked.rounds))
    save(found, asked.json)


if __name__ == "__main__":
    main()
