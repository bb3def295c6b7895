"""From a changed equation line to a new learning curve: what a user waits for, in CPU seconds.

They are those of this process, where everything is imported, and of those it starts: compilers and
programs. A network is *cold* where no network of its declarations has been compiled; the head, what
all networks include, is compiled once a machine.
"""

import resource
import shutil
import time

import numpy as np
import pytest

import bioopzo as bz

TRIALS, EDITED_S, COLD_S, FIRST_S = 1000, 2.0, 3.5, 5.0
PSI = "psi = exp(-abs(u - theta)/Delta) : 1"


def cpu():
    """Seconds of CPU of this process and of those it waited for."""
    return sum(used.ru_utime + used.ru_stime for used in map(
        resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def curve(model, task):
    """A run, its CPU seconds and its seconds."""
    begin, clock = cpu(), time.perf_counter()
    run = bz.train(model, task, trials=TRIALS, seed=0, backend="standalone", progress=False)
    return run, cpu() - begin, time.perf_counter() - clock


@pytest.fixture
def warm(tmp_path, monkeypatch):
    """Task, model and cache: the model has been built and trained once in a cache of its own."""
    monkeypatch.setenv("BIOOPZO_CACHE", str(tmp_path))
    task = bz.tasks.digits()
    model = bz.Model([64, 32, 32, 10], rule="opzo")
    curve(model, task)
    return task, model, tmp_path


def told(what, figures, name, run, spent, seconds, limit):
    percent = ", ".join(f"{100 * a:.0f}" for a in run.arrays["curve/accuracy"])
    print(f"\n{what} to a learning curve of {TRIALS} trials on digits: {spent:.2f} s of CPU (limit "
          f"{limit:g} s), {seconds:.2f} s, of which building {run.meta['build_s']:.2f} s\n"
          f"held-out accuracy in %: {percent}")
    figures[name] = {"cpu_s": spent, "seconds": seconds, "build_s": run.meta["build_s"],
                     "trials": TRIALS, "points": len(run.arrays["curve/trials"]),
                     "test_accuracy": run.test_accuracy}
    assert run.complete and np.all(np.diff(run.arrays["curve/trials"]) > 0)
    assert run.test_accuracy > 0.3  # chance is 0.1: the rule learns
    assert spent <= limit


def test_edited_line_to_learning_curve(warm, figures):
    task, model, _ = warm
    told("edited line", figures, "edit_latency", *curve(model.edit({"psi": PSI}), task), EDITED_S)


def test_edited_line_of_a_network_that_was_never_built(warm, figures):
    task, _, _ = warm
    model = bz.Model([64, 28, 28, 10], rule="opzo").edit({"psi": PSI})
    told("edited line, new shape", figures, "cold_latency", *curve(model, task), COLD_S)


def test_edited_line_on_a_new_machine(warm, figures):
    task, model, cache = warm
    shutil.rmtree(cache)
    told("edited line, empty cache", figures, "first_latency",
         *curve(model.edit({"psi": PSI}), task), FIRST_S)
