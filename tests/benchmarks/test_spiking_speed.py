"""The spiking engine with learning on, against hand-written C and an ordinary Brian2 script.

All three simulate the case of spiking_case.py, in one run and on one thread, and are compared in
CPU time, which other work on the machine disturbs least. Engine and C take turns; their cost per
trial is the difference of a long and a short run, so that starting a process and reading its
tables cancel, and is given with that start included as well. Building is not counted.
"""

import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import spiking_case

from bioopzo.engines.spiking import backends

HERE = Path(__file__).parent
FLAGS = ("-O3", "-march=native", "-ffast-math")
SHORT, LONG, ROUNDS = 234, 1170, 9  # the short run is one chunk of training for this task
NAIVE_TRIALS = 30
SLOWER_THAN_C, SHARE_OF_NAIVE = 2.0, 0.1


def cpu_seconds(call, *arguments):
    """CPU seconds of a call, in child processes and in this one, and what it returned."""
    def used():
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return np.array([children.ru_utime + children.ru_stime, time.process_time()])

    before = used()
    result = call(*arguments)
    return used() - before, result


def run_program(*command):
    """What a program printed as ``name value`` lines, as a dict."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: float(value) for name, value in map(str.split, done.stdout.splitlines())}


def take_turns(programs):
    """CPU ms a trial of each program, ``{name: (without start, with start)}`` by round.

    A program is called with (trials, seed); also returns what its last long run returned.
    """
    cost, last = {name: [] for name in programs}, {}
    for seed in range(1, ROUNDS + 1):
        for name, run in programs.items():
            short, _ = cpu_seconds(run, SHORT, seed)
            long, last[name] = cpu_seconds(run, LONG, seed)
            # What the parent spends does not grow with the trials: it counts as start.
            cost[name].append((1e3 * (long - short)[0] / (LONG - SHORT),
                               1e3 * short.sum() / SHORT))
    return {name: np.array(rows).T for name, rows in cost.items()}, last


def readings(outcome, shape):
    """Of the engine, what spiking_floor.c prints: rate, training loss and squared weights."""
    state = outcome.state
    squares = np.sum(state["feedback_1.M"] ** 2)
    for k, (source, target) in enumerate((("input", "hidden_1"), ("hidden_1", "readout"))):
        w = state[f"forward_{k + 1}.w"].reshape(spiking_case.SIZES[k:k + 2])
        if f"{target}.G_w" in state:  # the lazy form's outstanding share
            w = w + np.outer(state[f"{source}.xbar"], state[f"{target}.G_w"])
        squares += np.sum(w ** 2)
    seconds = len(outcome.cost) * float(shape.duration)
    return {"hidden_hz": float(np.mean(state["hidden_1.count"])) / seconds,
            "training_loss": float(outcome.cost[1:].sum(axis=1).mean()),
            "checksum": float(squares)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The case as files."""
    path = tmp_path_factory.mktemp("spiking")
    spiking_case.write_case(path)
    return path


@pytest.fixture(scope="module")
def floor(folder):
    """The C program, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    program = folder / "spiking_floor"
    subprocess.run([compiler, *FLAGS, HERE / "spiking_floor.c", "-lm", "-o", program], check=True)
    return program


def test_spiking_engine_against_c_and_naive_brian2(folder, floor, figures):
    case = spiking_case.case()
    engine = backends.open_backend("standalone", case.model, case.shape)
    chunks = {(n, seed): spiking_case.chunk(engine, n, seed)
              for n in (SHORT, LONG) for seed in range(1, ROUNDS + 1)}
    cost, last = take_turns({"C": lambda n, seed: run_program(floor, folder, n, seed),
                             "engine": lambda n, seed: engine.run(chunks[n, seed])})
    naive = run_program(sys.executable, HERE / "naive_brian2.py", folder, NAIVE_TRIALS)
    early = run_program(floor, folder, NAIVE_TRIALS, 1)

    ms, with_start = ({name: statistics.median(values[k]) for name, values in cost.items()}
                      for k in (0, 1))
    ratios = cost["engine"][0] / cost["C"][0]
    ratio, share = statistics.median(ratios), ms["engine"] / naive["cpu_ms_per_trial"]
    shown = {"C, dense updates": (ms["C"], with_start["C"], LONG, last["C"]),
             "spiking engine": (ms["engine"], with_start["engine"], LONG,
                                readings(last["engine"], case.shape)),
             "Brian2, a run() a trial": (naive["cpu_ms_per_trial"], np.nan, NAIVE_TRIALS, naive),
             "C, as few trials": (early["cpu_ms_per_trial"], np.nan, NAIVE_TRIALS, early)}
    print(f"\n{'-'.join(map(str, case.model.sizes))}, {case.shape.steps} steps a trial, OPZO, one "
          f"thread, CPU time\n{'':24}{'ms/trial':>10}{'with start':>12}{'trials':>8}"
          f"{'hidden Hz':>11}{'loss':>8}{'sum w^2':>9}")
    for name, (cpu, started, trials, it) in shown.items():
        print(f"{name:24}{cpu:10.3f}{started:12.3f}{trials:8d}{it['hidden_hz']:11.1f}"
              f"{it['training_loss']:8.3f}{it.get('checksum', np.nan):9.1f}")
    print(f"engine/C {ratio:.2f} (limit {SLOWER_THAN_C:g}; rounds {min(ratios):.2f} to "
          f"{max(ratios):.2f}), engine/Brian2 {share:.4f} (limit {SHARE_OF_NAIVE:g})")
    figures["spiking_speed"] = {
        "c_ms": ms["C"], "engine_ms": ms["engine"], "naive_ms": naive["cpu_ms_per_trial"],
        "c_with_start_ms": with_start["C"], "engine_with_start_ms": with_start["engine"],
        "engine_over_c": ratio, "engine_over_c_rounds": [float(r) for r in ratios],
        "engine_over_naive": share, "build_s": engine.build_s, "build_cached": engine.cached}

    # The programs draw other random numbers, so they agree as two seeds do.
    for of in ("hidden_hz", "training_loss", "checksum"):
        assert shown["spiking engine"][3][of] == pytest.approx(last["C"][of], rel=0.1), of
    for of in ("hidden_hz", "training_loss"):
        assert naive[of] == pytest.approx(early[of], rel=0.1), of
    assert ratio <= SLOWER_THAN_C
    assert share <= SHARE_OF_NAIVE
