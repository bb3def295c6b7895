"""One measurement of the rate engine in a process of its own: CPU time of one thread on one core.

Usage: python rate_measure.py floor RULE | torch NETWORK RULE | memory RULE STEPS | many RUNS |
epochs | edit
prints JSON. JAX reads its flags when it starts, so they are set before anything is imported. What
is compared takes turns; of every program all rounds are printed, and the smallest is the time that
others on the machine disturbed least.
"""

import os

#: Of XLA, and of the libraries that look for a number of threads when they are loaded.
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["XLA_FLAGS"] = ONE_THREAD
os.environ.update(JAX_PLATFORMS="cpu", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
os.environ.pop("OPENBLAS_CORETYPE", None)  # no processor is forced upon OpenBLAS
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

# ruff: noqa: E402
import json
import re
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import rate_case

import bioopzo as bz
from bioopzo.engines.rate.engine import train_together

BATCH = 128
#: Batches in a call, as training puts them there (a second of work), and rounds.
COUNT = {"fc": 4, "conv": 3, "papers": 1}
BATCHES = {"fc": BATCH, "conv": BATCH, "papers": 32}
ROUNDS = {"fc": 9, "conv": 5, "papers": 3}
DIGITS, EPOCHS, TRIALS = [64, 32, 32, 10], 20, 500


def take_turns(programs, rounds):
    """CPU ms a round of each program: ``{name: [a number for every round]}``."""
    cost = {name: [] for name in programs}
    for run in programs.values():
        run(), run()
    for _ in range(rounds):
        for name, run in programs.items():
            start = time.process_time()
            run()
            cost[name].append(1e3 * (time.process_time() - start))
    return cost


def floor_step(rule, steps):
    """A function that makes the products of a training step of "fc" and nothing else.

    The static input once, every other layer forward and outward for all steps, and for
    backpropagation its transpose.
    """
    rng = np.random.default_rng(0)
    f = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    sizes, rows = rate_case.SIZES, steps * BATCH
    x, n = f(BATCH, sizes[0]), sizes[1]
    w = [f(a, b) for a, b in pairwise(sizes)]
    s, d, e = f(rows, n), f(rows, n), f(rows, 10)
    products = [(x, w[0]), (s, w[1]), (s, w[2]), (x.T, d[:BATCH]), (s.T, d), (s.T, e)]
    if rule == "bp":
        products += [(e, w[2].T), (d, w[1].T)]
    else:
        products += [(e, f(10, n)), (e, f(10, n))]
    out = [np.empty((a.shape[0], b.shape[1]), np.float32) for a, b in products]

    def step():
        for (a, b), c in zip(products, out):
            np.matmul(a, b, out=c)
    return step


def repeated(step, count):
    """A function that runs another several times."""
    def run():
        for _ in range(count):
            step()
    return run


def floor(rule):
    """ms a training step of 784-800-800-10, and of its products alone."""
    count = COUNT["fc"]
    cost = take_turns({"engine": rate_case.image_training("fc", rule, BATCH, count)[1],
                       "floor": repeated(floor_step(rule, rate_case.STEPS), count)},
                      ROUNDS["fc"])
    return {name: [ms / count for ms in values] for name, values in cost.items()}


def against_torch(network, rule):
    """ms a training step in the engine and in PyTorch."""
    import torch
    import torch_reference

    torch.set_num_threads(1)
    count, batch = COUNT[network], BATCHES[network]
    step = torch_reference.NETWORKS[network](rule, batch, rate_case.STEPS)
    cost = take_turns({"torch": repeated(step, count),
                       "engine": rate_case.image_training(network, rule, batch, count)[1]},
                      ROUNDS[network])
    return {"version": torch.__version__.partition("+")[0],
            **{name: [ms / count for ms in values] for name, values in cost.items()}}


def resident(name):
    """VmRSS (now) or VmHWM (the most) of this process, MB."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024


def memory(rule, steps):
    """What the compiled program of a batch takes, and the process's peak while it runs, MB.

    The peak is that of a second call, when nothing is compiled, above what lay there before the
    engine was made; the first call's is the compiler's.
    """
    before = resident("VmRSS")
    engine, run = rate_case.image_training("fc", rule, BATCH, 1, steps)
    run()
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    start = time.process_time()
    run()
    seconds, peak = time.process_time() - start, resident("VmHWM")
    inputs, targets = rate_case.batches_of(rate_case.image_task(784, steps, BATCH), BATCH, 1)
    asked = engine.asked(inputs, targets, None, [rate_case.RATE])
    found = engine.programs["train"].lower(*asked, np.int32(0), np.int32(1)).compile()
    sizes = found.memory_analysis()
    parts = {name: getattr(sizes, f"{name}_size_in_bytes") / 1e6
             for name in ("argument", "output", "temp", "alias")}
    return {"ms": 1e3 * seconds, "program": sum(parts.values()) - 2 * parts["alias"],
            "parts": parts, "resident": peak - before, "process": peak}


def one_trial(**training):
    """The task and the engine of digits, trial by trial, weights moved in every step."""
    task = bz.tasks.digits()
    return task, rate_case.opened(task, DIGITS, "opzo", optimizer="sgd", updates="step", batch=1,
                                  **training)


def many(runs):
    """ms a trial and run of so many learning rates at once, batch 1."""
    made = [one_trial() for _ in range(runs)]
    inputs, targets = rate_case.batches_of(made[0][0], 1, TRIALS)
    engines = [engine for _, engine in made]
    given = [(inputs, targets, None, np.full(TRIALS, rate))
             for rate in np.geomspace(0.1, 2.0, runs)]
    cost = take_turns({"engine": lambda: train_together(engines, given)}, 5)["engine"]
    return {"engine": [ms / TRIALS / runs for ms in cost]}


def trained(model, seed):
    """20 epochs of digits in batches of 32: CPU and wall seconds, accuracy."""
    cpu, wall = time.process_time(), time.perf_counter()
    run = bz.train(model, bz.tasks.digits(), engine="rate", epochs=EPOCHS, batch=32, seed=seed,
                   progress=False)
    return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall,
            "accuracy": run.test_accuracy, "points": len(run.arrays["curve/trials"])}


def epochs():
    """A run of digits once its programs are compiled, and the one before that compiles them."""
    model = bz.Model(DIGITS, rule="opzo")
    first, *rest = (trained(model, seed) for seed in range(4))
    return {"first": first, "rest": rest}


def edit():
    """From an edited line to a learning curve: `edit_s` where a notebook stands, `cpu_s` in all.

    In a notebook everything is imported and the digits are there.
    """
    model, _ = bz.Model(DIGITS, rule="opzo"), bz.tasks.digits()
    import bioopzo.training.train  # noqa: F401  imported when it is first asked for
    begin = time.process_time()
    found = trained(model.edit({"psi": "psi = exp(-abs(u - theta)/Delta) : 1"}), 0)
    return {**found, "edit_s": time.process_time() - begin, "cpu_s": time.process_time()}


MEASURES = {"floor": (floor, str), "torch": (against_torch, str, str),
            "memory": (memory, str, int), "many": (many, int), "epochs": (epochs,),
            "edit": (edit,)}


def main(name, *words):
    function, *kinds = MEASURES[name]
    print(json.dumps(function(*(kind(word) for kind, word in zip(kinds, words)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
