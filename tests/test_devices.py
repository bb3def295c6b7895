"""Where the rate engine runs: several devices, several processes, what is not there is said."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bioopzo as bz
from bioopzo.engines.rate.devices import Placement
from bioopzo.errors import InputError

#: Trains on the digits and keeps all arrays: SCRIPT FILE PRECISION DEVICES [ADDRESS PROCESS].
SCRIPT = """
import sys
import jax
file, precision, devices, *rest = sys.argv[1:]
if rest:
    jax.distributed.initialize(rest[0], 2, int(rest[1]))
import numpy as np
import bioopzo as bz
task = bz.tasks.digits()
task = task.replace(splits={k: v[:200] for k, v in task.splits.items()})
run = bz.train(bz.Model([64, 16, 10], dropout=0.2), task, engine="rate", batch=16, trials=1600,
               evaluations=3, rate=2e-2, precision=precision, devices=int(devices), seed=3,
               progress=False, checkpoint=file + ".point" if rest else None)
np.savez(file, **run.arrays)
"""


def started(*arguments, devices=1):
    """The script in a process of its own, whose processor counts as so many devices."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *map(str, arguments)],
                            env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def arrays(process, file):
    """What a process has left."""
    try:
        out, _ = process.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, out[-3000:]
    with np.load(file) as stored:
        return {name: stored[name] for name in stored.files}


def same(one, other, tolerance):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=tolerance, atol=tolerance,
                                   err_msg=name)
    assert one["curve/accuracy"][-1] > 0.5, "nothing was learned"


@pytest.mark.parametrize("precision, tolerance", [("single", 1e-5), ("double", 1e-10)])
def test_four_devices_give_the_curve_of_one(tmp_path, precision, tolerance):
    """The samples of a batch lie on four devices; sums over them are all that is exchanged."""
    runs = {n: started(tmp_path / f"{n}.npz", precision, n, devices=n) for n in (1, 4)}
    one, four = (arrays(run, tmp_path / f"{n}.npz") for n, run in runs.items())
    same(one, four, tolerance)


def test_two_processes_give_the_curve_of_one(tmp_path):
    """They find one another by an address, and each has half of every batch."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    alone = started(tmp_path / "alone.npz", "double", 1)
    both = [started(tmp_path / f"{k}.npz", "double", 2, address, k) for k in range(2)]
    found = [arrays(run, tmp_path / f"{k}.npz") for k, run in enumerate(both)]
    expected = arrays(alone, tmp_path / "alone.npz")
    for one in found:
        same(expected, one, 1e-10)
    points = sorted(Path(tmp_path).glob("*.point.npz"))
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
