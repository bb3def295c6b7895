"""What a synapse costs in a step of OPZO training, in networks of 100 to 1,600 neurons a layer.

    python -m tests.benchmarks.synapses [--sizes 100 400 800 1600] [--rounds 5] [--json path]

64-N-N-10 in the compiled program on random images of 64 pixels, shown as a constant current for
60 steps of 1 ms, learning in every trial; N*N synapses between the hidden layers, 74 N others.
Weights start within gain*sqrt(3/fan-in), so that neurons spike equally often in all sizes. CPU
time on one thread, as in rules_speed.py. Where `perf` is there, its samples say where the time
goes:

- *projection*: the code of the hidden layers' projection (spikes, holds of noise, the trial's end);
- *queue*: Brian2's spike queues, which copy the index of every synapse of a neuron that spikes;
- *rest*: neurons, readout, feedback, other projections.

Each is given for each of the N*N synapses and each step. The rule's exact form visits a synapse
when its presynaptic neuron spikes, at a hold and at a trial's end: a *visit* reads a weight and,
but for a hold, writes it. Beside it stands a pass of NumPy over as many weights, in place: what
memory of this size allows.

Memory is the peak of one run: of the compiled program (10 MiB at least, which measuring takes) and
of the Python process of `bioopzo.train` that calls it. A program's state is a file between both.
"""

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace

import numpy as np

import bioopzo as bz
from bioopzo.engines.spiking import exchange
from bioopzo.network.clock import COLUMNS
from tests.benchmarks.rules_speed import STEPS, Program, images, save, take_turns

PIXELS = 64
#: A process of little memory that starts another one: what starts a process counts as its own.
APART = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
         "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
KINDS = {"projection": r"code_forward_2_(pre|hold|settle_trial)_",
         "queue": r"CSpikeQueue::push|memmove|memset|memcpy|_M_default_append|_M_range_insert"}


def case(n):
    """The case, as rules_speed.py has them; the long chunk takes about a second."""
    trials = int(1e9/(3.6*n*n + 900*n))
    return lambda: images(PIXELS), (PIXELS, n, n, 10), (trials//5, trials), {}


class Sized(Program):
    """The program of OPZO for N neurons a layer, and where its time and memory go."""

    def __init__(self, n):
        super().__init__("opzo", case(n))
        self.n, self.synapses = n, n*n + 74*n
        self._folder = tempfile.TemporaryDirectory(prefix="synapses-")
        state, constants, tables = self.given
        given = {**state, **constants, **tables, "trial.chunk": self.trials[1]*self.seconds}
        with open(os.path.join(self._folder.name, "chunk.in"), "wb") as file:
            exchange.write(file, self.engine.manifest, given, self.engine.connections)
        self.command = [str(self.engine.directory/"main"), "--results_dir",
                        self._folder.name + os.sep]

    def visits(self):
        """Visits a trial to a synapse of the hidden layers' projection."""
        holds = np.sum(self.given[2]["course"][:, COLUMNS.index("hold")] > 0)
        return self.rates()[0]*self.seconds + holds + 1

    def split(self):
        """CPU ms a trial of each of `KINDS`, the long chunk's by shares; empty without perf."""
        if not shutil.which("perf"):
            return {}
        data = os.path.join(self._folder.name, "perf.data")
        subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "4000", "-o", data,
                        *self.command], check=True, capture_output=True)
        report = subprocess.run(
            ["perf", "report", "-i", data, "-q", "--stdio", "--no-children", "-F", "sample,sym"],
            check=True, capture_output=True, text=True).stdout
        samples = [(int(found[1]), found[2])
                   for found in re.finditer(r"^\s*(\d+)\s+(\S.*)$", report, re.MULTILINE)]
        sample = 1e3*self.spent/self.trials[1]/sum(count for count, _ in samples)
        return {kind: sample*sum(count for count, symbol in samples if re.search(pattern, symbol))
                for kind, pattern in KINDS.items()}

    def memory(self):
        """Peak MiB of the program, and of the Python process of a run."""
        def peak(*command):
            done = subprocess.run([sys.executable, "-I", "-S", "-c", APART, *command], check=True,
                                  capture_output=True, text=True)
            return [int(line)/1024 for line in done.stdout.splitlines()]

        return peak(*self.command)[-1], peak(
            sys.executable, "-m", "tests.benchmarks.synapses", "--train", str(self.n))[0]


def train(n):
    """A run of few trials in this process; prints the KiB of memory at the peak."""
    task = images(PIXELS)
    shown, kept = np.split(task.splits["train"], [-64])
    task = replace(task, splits={**task.splits, "train": shown, "test": kept})
    bz.train(bz.Model([PIXELS, n, n, 10], rule="opzo"), task, trials=64, backend="standalone",
             progress=False)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def numpy_pass(n):
    """ns a weight of adding to N*N of them in place, the least of several passes."""
    w = np.zeros((n, n))
    repeats = max(3, int(1e7/n/n))
    spent = []
    for _ in range(7):
        begin = time.process_time()
        for _ in range(repeats):
            np.add(w, 1.0, out=w)
        spent.append(1e9*(time.process_time() - begin)/repeats/n/n)
    return min(spent)


def main():
    """Measure, print the table, and save it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 400, 800, 1600])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    parser.add_argument("--train", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.train:
        train(asked.train)
        return
    programs = {n: Sized(n) for n in asked.sizes}
    costs = take_turns(programs, asked.rounds)
    found = {}
    print(f"{'N':>5}{'synapses':>10}{'ms/trial':>10}{'ns/synapse/step':>17}   of N*N: "
          f"{'projection':>10}{'queue':>8}{'rest':>8}{'visits':>8}{'ns/visit':>10}{'NumPy':>7}"
          f"{'weights':>9}{'program':>9}{'Python MiB':>12}   Hz")
    for n, program in programs.items():
        ms_trial = statistics.median(costs[n])
        splits = [program.split() for _ in range(asked.rounds)]
        per = {kind: 1e6*statistics.median(one[kind] for one in splits)/STEPS/n/n
               for kind in splits[0]}
        if per:
            per["rest"] = 1e6*ms_trial/STEPS/n/n - sum(per.values())
        row = {"ms": ms_trial, "rounds": costs[n], "synapses": program.synapses,
               "ns": 1e6*ms_trial/STEPS/program.synapses, "parts": per,
               "visits": program.visits(), "numpy_ns": numpy_pass(n), "rates": program.rates(),
               "MiB": (8*n*n/2**20, *program.memory())}
        visit = (f"{per['projection']*STEPS/row['visits']:10.2f}" if per else f"{'-':>10}")
        parts = "".join(f"{per[kind]:{width}.3f}" if per else f"{'-':>{width}}"
                        for kind, width in (("projection", 10), ("queue", 8), ("rest", 8)))
        print(f"{n:5d}{row['synapses']:10d}{ms_trial:10.3f}{row['ns']:17.3f}{'':11}{parts}"
              f"{row['visits']:8.2f}{visit}{row['numpy_ns']:7.2f}"
              f"{row['MiB'][0]:9.1f}{row['MiB'][1]:9.0f}{row['MiB'][2]:12.0f}   "
              + ", ".join(f"{rate:.0f}" for rate in row["rates"]), flush=True)
        found[n] = row
    save(found, asked.json)


if __name__ == "__main__":
    main()
