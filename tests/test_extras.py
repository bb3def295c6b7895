"""The package without its extra `events`: what needs none of it works, what does says so."""

import subprocess
import sys

import event_formats as formats
import h5py  # once in a process: a second time it does not load
import pytest

import bioopzo as bz
from bioopzo.errors import InputError, MissingData

#: Python in which packages cannot be imported; what follows runs in it.
WITHOUT = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tonic", "h5py", "librosa", "numba", "aedat"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def test_the_core_trains_without_tonic():
    """In a process of its own: here tonic may have been loaded."""
    code = WITHOUT + """
import dataclasses
import numpy as np
import bioopzo as bz
from bioopzo.cli import main
assert main(["tasks"]) == 0
task = bz.tasks.digits()
task = dataclasses.replace(task, splits={k: v[:3] for k, v in task.splits.items()})
run = bz.train(bz.Model([64, 8, 10]), task, trials=3, evaluations=1, backend="numpy")
sent = [(np.array([0, 1]), np.array([1, 2]), np.array([10, 2000]), np.array([0, 1]))] * 4
own = bz.tasks.from_events(sent, [0, 1, 0, 1], sensor=(4, 4, 2), size=2, polarities="merged",
                           validation=0, test=0.25)
print("trained:", run.meta["trials"], own.inputs.shape[2], len(own.inputs))
for block in ("tonic", "h5py"):
    assert block not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "trained: 3 4 4"


@pytest.fixture
def absent(monkeypatch, tmp_path):
    """No tonic, no h5py, and an empty data directory."""
    for name in ("tonic", "h5py"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("BIOOPZO_DATA", str(tmp_path))
    monkeypatch.setenv("BIOOPZO_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("name", ["nmnist", "shd"])
def test_recordings_without_tonic_name_the_extra(absent, name):
    with pytest.raises(MissingData, match=r"tonic is needed, too: pip install 'bioopzo\[events\]'"):
        bz.tasks.get(name, partial=True)
    with pytest.MonkeyPatch.context() as patch:  # to write the files it must be there
        patch.setitem(sys.modules, "h5py", h5py)
        getattr(formats, name)(absent)
    with pytest.raises(InputError, match=r"needs the package (tonic|h5py), which comes with the "
                                         r"extra 'events' .*pip install 'bioopzo\[events\]'"):
        bz.tasks.get(name, partial=True, validation=1)


def test_what_is_there_is_not_said_to_lack(tmp_path):
    with pytest.raises(MissingData) as problem:
        bz.tasks.nmnist(data=str(tmp_path))
    assert "bioopzo[events]" not in str(problem.value)
