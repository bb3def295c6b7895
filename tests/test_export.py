"""Trained networks for other programs: the script says what the engine does, without us."""

import functools
import shutil
import subprocess
import sys
import warnings

import brian2 as b2
import numpy as np
import pytest
from brian2 import ms

import bioopzo as bz
from bioopzo.engines.spiking import build, numbers
from bioopzo.engines.spiking.session import runtime
from bioopzo.engines.spiking.state import state_variables
from bioopzo.errors import InputError, ModelWarning
from bioopzo.export.plain import statements
from bioopzo.export.values import written

#: Runs scripts as they are, in a Python that has none of ours, and writes down what they find.
ALONE = """
import runpy, sys
import numpy as np
from brian2.core.variables import ArrayVariable
sys.modules["bioopzo"] = None  # an import of it fails
*paths, torn, out = sys.argv[1:]
found = {}
for path in paths:
    for plastic in (0, 1):
        sys.argv = [path] + ["--plastic"] * plastic
        left = runpy.run_path(path)
        known = {"decision": left["decision"], "loss": left["loss"]}
        for thing in left["network"].objects:
            for key, variable in getattr(thing, "variables", {}).items():
                if isinstance(variable, ArrayVariable):
                    known[f"{thing.name}.{key}"] = variable.get_value()
        found.update({f"{path} {plastic} {key}": value for key, value in known.items()})
np.savez(out, **found)
try:
    runpy.run_path(torn)
except SystemExit as end:
    print(end)
"""


@pytest.fixture(autouse=True)
def numbers_of_the_test():
    """What Brian2 draws here are NumPy's numbers: put them back."""
    device = b2.all_devices["runtime"]
    before = device.get_random_state()
    yield
    device.set_random_state(before)


def trained(model, task, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        return bz.train(model, task, **{"trials": 2, "seed": 1, "progress": False,
                                        "evaluations": 1, "evaluation_trials": 2, **more})


def excitation():
    """Sparse, recurrent and delayed synapses, bounded weights, and neurons that differ."""
    net = (bz.Network(inputs=4, readouts=2)
           .population("E", 6, sign=+1).population("input_", 3, sign=-1, neuron="alif")
           .connect("input", "E", weights=("uniform", 0, 0.8))
           .connect("E", "E", p=0.4, weights=("uniform", 0, 0.1), delay=[1, 2]*ms)
           .connect("E", "input_", p=0.5, weights=("uniform", 0, 0.9))
           .connect("input_", "E", p=0.5, weights=("uniform", -0.3, 0), low=-1)
           .connect("E", "readout"))
    return bz.Model(net, tau_m={"E": ("lognormal", 10*ms, 0.3)}, refractory=2*ms)


def events():
    """Inputs in lists of spikes, a time that goes on, and statements that see each other."""
    rng = np.random.default_rng(0)
    task = bz.tasks.from_spikes([[np.sort(rng.uniform(0, 30, 4)) for _ in range(4)]
                                 for _ in range(8)], [0, 1]*4, unit=ms, duration=30*ms, dt=0.5*ms)
    model = bz.Model([4, 5, 2], rule="rstdp").edit({
        "hidden.step": "S = int(rand() < chance*(1 + 0.5*sin(t/ms)))\nS = S*(1 - int(p > 0.9))"})
    return model, task


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs by name, with the trials that their scripts show; and what those scripts find."""
    xor, folder = bz.tasks.xor(), tmp_path_factory.mktemp("scripts")
    xor = xor.replace(splits={name: some[:3] for name, some in xor.splits.items()})
    made = {"excitation": (excitation(), xor), "events": events(),
            "plain": (bz.Model([4, 5, 2], rule="dfa", neuron="deterministic"), xor)}
    found = {}
    for name, (model, task) in made.items():
        run = trained(model, task)
        samples = [int(k) for k in task.splits["test"][:3]]
        found[name] = run, samples, str(run.export("brian2", folder / name, samples))
    torn = found["plain"][0].export("brian2", folder / "torn", found["plain"][1][:1])
    shutil.copy(folder / "plain.npz", folder / "torn.npz")
    done = subprocess.run([sys.executable, "-I", "-c", ALONE, *(p for *_, p in found.values()),
                           torn, folder / "found.npz"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "found.npz") as file:
        return found, dict(file), done.stdout


def differing(run, samples, theirs, plastic):
    """The variables in which a script differs from the network of its run after `samples`."""
    with runtime():
        net = run.network
    net.present(samples, plastic=plastic, seed=run.meta["seed"])
    mine = {key: variable.get_value() for key, variable in state_variables(net).items()
            if not key.startswith("trial.")}
    mine["decision"] = np.vstack([np.array(net["trial_decision"].decision).T[1:],
                                  np.array(net["readout"].decision)])
    assert len(mine) > 10
    return {key for key, value in mine.items() if not np.array_equal(theirs[key], value)}


@pytest.mark.parametrize("name, plastic", [("excitation", 0), ("excitation", 1), ("events", 0)])
def test_a_script_does_what_the_engine_does(runs, name, plastic, monkeypatch):
    """To the bit, step by step and in all that is learned, where both draw the same numbers."""
    monkeypatch.setattr(build, "numbered", functools.partial(numbers.numbered, draws=False))
    found, everything, _ = runs
    run, samples, path = found[name]
    head = f"{path} {plastic} "
    theirs = {key.removeprefix(head): value for key, value in everything.items()
              if key.startswith(head)}
    fresh = bz.Run(run.arrays, run.units, run.meta, run.model, run.task)
    assert not differing(fresh, samples, theirs, bool(plastic))
    if name == "excitation":
        moved = np.abs(theirs["E_E_1.w"] - everything[f"{path} 0 E_E_1.w"])
        assert moved.any() == bool(plastic)
        assert theirs["E.count"].any() and theirs["input_.count"].any()


def test_a_script_decides_as_the_run(runs):
    """Where nothing is drawn, also with numbers of the engine's own; and it says so."""
    found, everything, said = runs
    run, samples, path = found["plain"]
    shown = run.evaluate(run.task.replace(splits={
        "train": run.task.splits["train"], "validation": np.array([], int), "test": samples}))
    assert np.array_equal(everything[f"{path} 0 decision"], shown.decision)
    assert np.allclose(everything[f"{path} 0 loss"], shown.loss, rtol=1e-14)
    assert f"accuracy {100*shown.accuracy:.1f} % of 3 trials" in said


def test_the_text_is_that_of_the_model_and_reads_well(runs):
    found, _, _ = runs
    with open(found["excitation"][2]) as file:
        text = file.read()
    for line in ("S = int(rand() < chance*whole_number(not_refractory))", "theta = 1",
                 "dw/dt = xbar_pre*F_w_post : 1", "    u -= theta\n", "tau_o = 10*ms",
                 "# E_E_1: forward synapses onto hidden neurons", "u = 0\n"):
        assert line in text, line
    assert "everywhere" not in text and "bioopzo." not in text and "import bioopzo" not in text
    compile(text, "script", "exec")


def test_two_files_of_an_export_belong_together(runs):
    assert "torn.npz belongs to another script: export both again" in runs[2]


@pytest.mark.parametrize("form, path, samples, says", [
    ("nest", "a.py", None, "unknown form of an export 'nest'"),
    ("brian2", "a.nir", None, r"an export for brian2 is a file \*.py"),
    ("brian2", "a.py", [1e6], "sample is the index of a trial"),
    ("brian2", "a.py", 3, "samples is a list of indices"),
    ("brian2", "run.py", None, "would replace .*run.npz, which belongs to no export"),
    ("brian2", "file/a.py", None, "nothing can be written")])
def test_what_cannot_be_exported_is_said(runs, tmp_path, form, path, samples, says):
    run = runs[0]["plain"][0]
    (tmp_path / "file").touch()
    (tmp_path / "run.npz").write_text("of a run")
    with pytest.raises(InputError, match=says):
        run.export(form, tmp_path / path, samples)
    assert {thing.name for thing in tmp_path.iterdir()} == {"file", "run.npz"}
    assert (tmp_path / "run.npz").read_text() == "of a run"


@pytest.mark.parametrize("value, unit, text", [
    (0.01, "second", "10*ms"), (0.1 + 0.2, "1", "0.30000000000000004"), (7.607, "hertz",
                                                                         "7.607*Hz"),
    (2.0, "metre ** 2", "2.0"), (-0.07, "volt", "-70*mV"), (1e-9 / 3, "second", None)])
def test_numbers_are_written_to_the_last_bit(value, unit, text):
    found, name = written(value, unit)
    assert text in (None, found)
    units = {"ms": 1e-3, "mV": 1e-3, name: {"ms": 1e-3, "mV": 1e-3}.get(name, 1.0)}
    assert eval(found, {}, units) == value


@pytest.mark.parametrize("text, plain", [
    ("S = whole_number(rand() < chance)", "S = int(rand() < chance)"),
    ("S = whole_number(u > 0)\nS *= 0.5", "S = whole_number(u > 0)\nS *= 0.5"),
    ("S = whole_number(u > 0)**-1", "S = whole_number(u > 0)**-1"),
    ("Z = 2*whole_number(u > 0) - 1", "Z = 2*int(u > 0) - 1"),
    ("Z = whole_number(u)", "Z = whole_number(u)"),
    ("u = everywhere(0, i)\nx = everywhere(1, i)", "u = 0\nx = 1"),
    ("u = everywhere(0, i)\nu += x", "u = everywhere(0, i)\nu += x"),
    ("Z = copied(x)\nx *= 0.5", "Z = copied(x)\nx *= 0.5"),
    ("Z = copied(x)\ny *= 0.5", "Z = x\ny *= 0.5")])
def test_only_what_nothing_sees_is_left_out(text, plain):
    assert statements(text) == plain
