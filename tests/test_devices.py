"""Where the rate engine runs: several devices, several processes, what is not there is said."""

import inspect
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

import bioopzo as bz
from bioopzo.engines.rate.devices import Placement
from bioopzo.errors import InputError


def learned(precision, devices, checkpoint=None):
    """The arrays of a training on the digits, by precision and name."""
    task = bz.tasks.digits()
    task = task.replace(splits={k: v[:200] for k, v in task.splits.items()})
    run = bz.train(bz.Model([64, 16, 10], dropout=0.2), task, engine="rate", batch=16, trials=960,
                   evaluations=1, rate=5e-2, precision=precision, devices=devices, seed=3,
                   progress=False, checkpoint=checkpoint)
    return {f"{precision} {name}": value for name, value in run.arrays.items()}


#: Keeps what is learned: SCRIPT FILE PRECISIONS DEVICES [ADDRESS PROCESS].
SCRIPT = f"""
import sys
import jax
file, precisions, devices, *rest = sys.argv[1:]
if rest:
    jax.distributed.initialize(rest[0], 2, int(rest[1]))
import numpy as np
import bioopzo as bz

{inspect.getsource(learned)}

found = {{}}
for precision in precisions.split("-"):
    found |= learned(precision, int(devices), file + ".point" if rest else None)
np.savez(file, **found)
"""


def started(*arguments, devices=1):
    """The script in a process of its own, whose processor counts as so many devices."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *map(str, arguments)],
                            env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def arrays(process, file):
    """What a process has left."""
    try:
        out, _ = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, out[-3000:]
    with np.load(file) as stored:
        return {name: stored[name] for name in stored.files}


def same(one, other, precision, tolerance):
    keys = [key for key in one if key.startswith(precision)]
    assert keys and set(keys) == {key for key in other if key.startswith(precision)}
    for key in keys:
        np.testing.assert_allclose(other[key], one[key], rtol=tolerance, atol=tolerance,
                                   err_msg=key)
    assert one[f"{precision} curve/accuracy"][-1] > 0.5, "nothing was learned"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What one device, which is here, four of them, and two processes come to."""
    folder = tmp_path_factory.mktemp("devices")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    files = {name: folder / f"{name}.npz" for name in ("four", "first", "second")}
    runs = {"four": started(files["four"], "single-double", 4, devices=4),
            "first": started(files["first"], "double", 2, address, 0),
            "second": started(files["second"], "double", 2, address, 1)}
    one = learned("single", 1) | learned("double", 1)
    return folder, {"one": one, **{name: arrays(run, files[name]) for name, run in runs.items()}}


@pytest.mark.parametrize("precision, tolerance", [("single", 1e-5), ("double", 1e-10)])
def test_four_devices_give_the_curve_of_one(found, precision, tolerance):
    """The samples of a batch lie on four devices; sums over them are all that is exchanged."""
    same(found[1]["one"], found[1]["four"], precision, tolerance)


def test_two_processes_give_the_curve_of_one(found):
    """They find one another by an address, and each has half of every batch."""
    folder, runs = found
    for process in ("first", "second"):
        same({k: v for k, v in runs["one"].items() if k.startswith("double")}, runs[process],
             "double", 1e-10)
    points = sorted(folder.glob("*.point.npz"))
    assert len(points) == 2
    with np.load(points[0]) as one, np.load(points[1]) as other:
        for name in one.files:
            if name != "content":
                np.testing.assert_allclose(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("settings, says", [
    ({"devices": 64}, "devices=64: there are 1 .*xla_force_host_platform_device_count=64"),
    ({"devices": 0}, "devices is a whole number"), ({"devices": "all"}, "devices"),
    ({"device": "tpu"}, "unknown device.*'tpu'.*cpu, gpu"),
    ({"device": "gpu"}, "device='gpu': JAX finds none here.*jax.cuda.*device='cpu'"),
    ({"together": 3}, "together is True, False or None")])
def test_what_is_not_there_is_refused_before_anything_runs(settings, says):
    if settings.get("device") == "gpu" and Placement().found[0].platform == "gpu":
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match=says):
        bz.train(bz.Model([4, 5, 2]), bz.tasks.xor(), engine="rate", trials=8, progress=False,
                 **settings)


def test_a_batch_divides_over_its_devices(monkeypatch):
    monkeypatch.setattr(Placement, "found", [None] * 4)
    with pytest.raises(InputError, match="batch=10 does not divide over devices=4: give batch=8"):
        bz.train(bz.Model([4, 5, 2]), bz.tasks.xor(), engine="rate", trials=20, batch=10,
                 devices=4, progress=False)
