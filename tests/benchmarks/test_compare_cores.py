"""How busy a comparison keeps the cores: eight rules, five seeds, 500 trials of the digits.

The second comparison counts, whose programs are compiled and whose workers are there. CPU seconds
are those of this process, its workers, and the programs they started, over the seconds of all
cores. Other users of the machine take from it: run it on one that is quiet.
"""

import os
import time

import pytest

import bioopzo as bz

psutil = pytest.importorskip("psutil")

RULES = ["opzo", "bp", "dfa", "dkp", "eprop", "node_perturbation", "reinforce", "readout_only"]
SEEDS, TRIALS, BUSY = 5, 500, 0.85


def cpu():
    """CPU seconds by process: of this one and those under it, with what they have waited for."""
    own = psutil.Process()
    return {one.pid: sum(one.cpu_times()[:4]) for one in [own, *own.children(recursive=True)]}


def test_a_comparison_uses_all_cores(figures):
    task = bz.tasks.digits()
    for first in (0, SEEDS):
        before, begin = cpu(), time.perf_counter()
        bz.compare(RULES, task, seeds=range(first, first + SEEDS), trials=TRIALS, progress=False)
        seconds = time.perf_counter() - begin
        spent = sum(value - before.get(pid, 0) for pid, value in cpu().items())
    busy = spent / seconds / os.cpu_count()
    print(f"\n{len(RULES)} rules, {SEEDS} seeds, {TRIALS} trials: {seconds:.1f} s, {spent:.1f} s "
          f"of CPU, cores busy {busy:.2f} (at least {BUSY})")
    figures["compare_cores"] = {"seconds": seconds, "cpu_s": spent, "busy": busy}
    assert busy >= BUSY
