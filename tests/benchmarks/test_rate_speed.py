"""The rate engine against the machine's own matrix product and against ordinary PyTorch.

Every measurement is a process of its own (`rate_measure`), CPU time of one thread on one core;
what is compared takes turns in it, and the smallest of its rounds counts: ratios of minima hold
while others use the machine, single numbers only on one that is quiet.

Run as ``python -m pytest tests/benchmarks -s``; PyTorch (torch==2.14.1 for the CPU) is needed by
nothing else.
"""

import importlib.util
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

#: Of the products' own speed (NumPy's sgemm) at least, 784-800-800-10, T = 6.
SHARE_OF_FLOOR = {"bp": 0.70}
#: Faster than PyTorch at least so many times. The papers' network is only noted.
FASTER = {("fc", "bp"): 1.8, ("fc", "opzo"): 1.8, ("conv", "bp"): 1.0, ("conv", "opzo"): 1.0}
#: Memory at T = 100 beside that at T = 6, at most.
MEMORY_GROWTH = 1.2
#: CPU ms a trial of digits, weights moved in every step: alone, and of 32 learning rates at once.
TRIAL_MS, TRIAL_OF_MANY_MS, MANY = 0.4, 0.12, 32
#: CPU s of 20 epochs of digits, once compiled; from an edited line to a curve, with an empty cache
#: and where the program lies there.
EPOCHS_S, EDIT_COLD_S, EDIT_WARM_S = 2.0, 8.0, 3.0
CHANCE = 0.1

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None,
                                 reason="torch==2.14.1 is needed for this comparison only")


@pytest.fixture
def measure(tmp_path):
    """A function that runs `rate_measure` with an own cache: (what it found, CPU s in all)."""
    def run(*words):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("rate_measure.py")), *map(str, words)],
            env={**os.environ, "BIOOPZO_CACHE": str(tmp_path)}, capture_output=True, text=True)
        assert found.returncode == 0, found.stderr
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return json.loads(found.stdout.splitlines()[-1]), seconds
    return run


@pytest.mark.parametrize("rule", ["bp", "opzo"])
def test_a_training_step_is_near_the_floor(rule, measure, figures):
    """Products alone against the whole step; OPZO's is only noted, it has few products."""
    found, _ = measure("floor", rule)
    cost = {name: min(values) for name, values in found.items()}
    share = cost["floor"] / cost["engine"]
    figures[f"rate_floor_{rule}"] = {"engine_ms": cost["engine"], "floor_ms": cost["floor"],
                                     "share": share}
    print(f"\n{rule}: {cost['engine']:.1f} ms a step, products alone {cost['floor']:.1f}: "
          f"{share:.2f} of the floor's speed")
    assert share >= SHARE_OF_FLOOR.get(rule, 0)


@needs_torch
@pytest.mark.parametrize("network, rule", [*FASTER, ("papers", "bp")])
def test_a_training_step_against_pytorch(network, rule, measure, figures):
    """The same network, batch and optimiser."""
    found, _ = measure("torch", network, rule)
    engine, torch = min(found["engine"]), min(found["torch"])
    figures[f"rate_torch_{network}_{rule}"] = {
        "engine_ms": engine, "torch_ms": torch, "ratio": torch / engine,
        "version": found["version"]}
    print(f"\n{network}, {rule}: engine {engine:.1f} ms, PyTorch {torch:.1f} ms: "
          f"{torch / engine:.2f} times as fast")
    assert torch / engine >= FASTER.get((network, rule), 0)


@pytest.mark.parametrize("rule", ["bp", "opzo"])
def test_memory_does_not_grow_with_the_steps(rule, measure, figures):
    """What the compiled program takes, and the process beside what it took before."""
    table = {steps: measure("memory", rule, steps)[0] for steps in (6, 30, 100)}
    for steps, row in table.items():
        print(f"\n{rule}, T = {steps:3d}: {row['ms']:7.1f} ms a step, {row['program']:6.1f} MB, "
              f"{row['resident']:6.1f} MB more in the process", end="")
    print()
    figures[f"rate_memory_{rule}"] = [{"T": steps, **row} for steps, row in table.items()]
    for what in ("program", "resident"):
        assert table[100][what] <= MEMORY_GROWTH * table[6][what]


@pytest.mark.parametrize("runs, limit", [(1, TRIAL_MS), (MANY, TRIAL_OF_MANY_MS)])
def test_a_trial_alone_and_of_many_runs(runs, limit, measure, figures):
    """Digits, OPZO, batch 1, plain descent in every step; learning rates side by side."""
    found, _ = measure("many", runs)
    cost = min(found["engine"])
    figures[f"rate_trial_of_{runs}"] = {"ms": cost, "limit": limit}
    print(f"\n{runs} at once: {cost:.3f} ms a trial and run (limit {limit})")
    assert cost <= limit


def test_twenty_epochs_of_digits(measure, figures):
    """Batches of 32, once the program is compiled, with an evaluation an epoch."""
    found, _ = measure("epochs")
    seconds = min(run["cpu_s"] for run in found["rest"])
    figures["rate_epochs"] = {**found, "seconds": seconds}
    print(f"\n20 epochs of digits: {seconds:.2f} s, the first run {found['first']['cpu_s']:.2f}")
    assert all(run["accuracy"] > 5 * CHANCE for run in found["rest"])
    assert seconds <= EPOCHS_S


def test_edited_line_to_learning_curve(measure, figures):
    """To the curve of 20 epochs: nothing kept, and the program kept; the whole process is noted."""
    cost = {}
    for name in ("cold", "warm"):
        found, whole = measure("edit")
        cost[name] = {"edit_s": found["edit_s"], "process_s": whole}
        print(f"\nedited line to a curve, {name}: {found['edit_s']:.1f} s CPU, {whole:.1f} with "
              "the start of Python and all imports", end="")
        assert found["points"] == 21 and found["accuracy"] > 3 * CHANCE
    print()
    figures["rate_edit"] = cost
    assert cost["cold"]["edit_s"] <= EDIT_COLD_S and cost["warm"]["edit_s"] <= EDIT_WARM_S
