"""From a changed equation line to a new learning curve: what a user waits for.

The unedited model is built first, in an empty build directory, so that the edited text, a psi of
another shape, cannot have been compiled before; then 1,000 trials are trained.
"""

import time

import numpy as np
import pytest

import bioopzo as bz

TRIALS, LIMIT_S = 1000, 20.0


@pytest.fixture
def warm(tmp_path, monkeypatch):
    """Task and model, built and trained once in a build directory of their own."""
    monkeypatch.setenv("BIOOPZO_CACHE", str(tmp_path))
    task = bz.tasks.digits()
    model = bz.Model([64, 32, 32, 10], rule="opzo")
    bz.train(model, task, trials=TRIALS, seed=0, backend="standalone", progress=False)
    return task, model


def test_edited_line_to_learning_curve(warm, figures):
    task, model = warm
    begin = time.perf_counter()
    edited = model.edit({"psi": "psi = exp(-abs(u - theta)/Delta) : 1"})
    run = bz.train(edited, task, trials=TRIALS, seed=0, backend="standalone", progress=False)
    seconds = time.perf_counter() - begin
    curve = ", ".join(f"{100 * a:.0f}" for a in run.arrays["curve/accuracy"])
    print(f"\nedited line to a learning curve of {TRIALS} trials on digits: {seconds:.1f} s "
          f"(limit {LIMIT_S:g} s), of which building {run.meta['build_s']:.1f} s\n"
          f"held-out accuracy in %: {curve}")
    figures["edit_latency"] = {"seconds": seconds, "build_s": run.meta["build_s"],
                               "trials": TRIALS, "points": len(run.arrays["curve/trials"]),
                               "test_accuracy": run.test_accuracy}
    assert run.complete and np.all(np.diff(run.arrays["curve/trials"]) > 0)
    assert run.test_accuracy > 0.3  # chance is 0.1: the edited rule learns
    assert seconds <= LIMIT_S
