"""Trained networks for other programs: the script says what the engine does, without us."""

import ast
import functools
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
from brian2 import ms

import bioopzo as bz
from bioopzo.engines.spiking import build, numbers
from bioopzo.engines.spiking.session import runtime
from bioopzo.engines.spiking.state import state_variables
from bioopzo.errors import InputError, ModelWarning
from bioopzo.export.plain import statements
from bioopzo.export.values import block, quoted, word, written

#: Scripts draw from Brian2's numbers.
pytestmark = pytest.mark.usefixtures("numbers_of_the_test")
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
    """Inputs in lists of spikes, a time that goes on, and statements that see each other.

    And synapses that tire, and rest between two trials.
    """
    rng = np.random.default_rng(0)
    task = bz.tasks.from_spikes([[np.sort(rng.uniform(0, 30, 4)) for _ in range(4)]
                                 for _ in range(8)], [0, 1]*4, unit=ms, duration=30*ms, dt=0.5*ms)
    model = bz.Model([4, 5, 2], rule="rstdp")
    model = model.edit({
        "hidden.step": "S = int(rand() < chance*(1 + 0.5*sin(t/ms)))\nS = S*(1 - int(p > 0.9))",
        "forward_readout": f"{model.blocks['forward_readout']}\ndr/dt = (1 - r)/(20*ms) : 1",
        "forward_readout.spike": "o_post += w*r\nr *= 0.7", "forward_readout.trial": "r = 1"})
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


@pytest.mark.parametrize("name, plastic", [("excitation", 0), ("excitation", 1), ("events", 0),
                                           ("events", 1)])
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


def test_no_text_of_a_run_becomes_code(tmp_path):
    """A saved run is data, and may come from anybody."""
    file = tmp_path / "mine.py"
    nasty = 'a\\""" \nboom()  # \u2028boom()\x00'
    file.write_text(f"""
from bioopzo.rules import Parameter, Rule


def rule(depth):
    return Rule("mine", {nasty!r}, "nobody", {{
        "feedback": "Q : 1\\ng_post = Q*err_pre : 1 (summed)", "feedback.trial": "Q += speed"}},
        {{"speed": Parameter(0.01, {nasty!r})}})
""")
    run = untrained(bz.Model([4, 5, 2], rule=bz.rules.add(file)))
    run.meta.update(task=nasty, versions={"numpy": nasty}, engine="rate")
    text = run.export("brian2", tmp_path / 'a "name" {of} its own.py').read_text()
    assert "feedback_1.speed = 0.01  # a/" in text
    tree = ast.parse(text)
    assert not [node for node in ast.walk(tree) if getattr(node, "id", "") == "boom"]
    assert "boom()" in ast.get_docstring(tree)
    for bad in ("a b", "x.y", "é", "x=1"):
        with pytest.raises(InputError, match="cannot be the name of an object"):
            word(bad)
    assert ast.literal_eval(quoted(nasty)) == ast.literal_eval(block(nasty, nasty)) == nasty


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


def test_a_damaged_file_in_the_place_of_the_arrays_is_left_alone(runs, tmp_path):
    """It begins as a zip file does, and ended in a BadZipFile."""
    (tmp_path / "net.npz").write_bytes(b"PK\x03\x04half")
    with pytest.raises(InputError, match="net.npz, which belongs to no export"):
        runs[0]["plain"][0].export("brian2", tmp_path / "net.py")
    assert (tmp_path / "net.npz").read_bytes() == b"PK\x03\x04half"


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


# ---------------------------------------------------------------------------- NIR

def spikes_of(graph, x, steps):
    """Spikes (steps, neurons) of the populations of a graph that is shown a constant current `x`.

    As its metadata say; of NIR's nodes this reads parameters and edges alone.
    """
    nir = pytest.importorskip("nir")
    dt = float(graph.metadata["dt"])
    cells = {name: node for name, node in graph.nodes.items() if isinstance(node, (nir.LIF,
                                                                                   nir.LI))}
    v = {name: np.zeros(len(node.tau)) for name, node in cells.items()}
    sent = {name: [] for name, node in cells.items() if isinstance(node, nir.LIF)}
    into = {name: [a for a, b in graph.edges if b == name] for name in graph.nodes}

    def arriving(name, step):
        """What a node hands on in a step: spikes of neurons; the current of the input is apart."""
        node = graph.nodes[name]
        if isinstance(node, nir.Input) or name in sent:
            return sent[name][step] * 1.0 if name in sent and step >= 0 else 0.0
        late = round(float(node.delay[0])/dt) if isinstance(node, nir.Delay) else 0
        source, = into[name]
        value = arriving(source, step - late)
        return node.weight @ value if isinstance(node, nir.Linear) and np.ndim(value) else value

    def current(name):
        node = graph.nodes[name]
        if isinstance(node, nir.Input):
            return x
        value = current(into[name][0]) if name not in cells else None
        if value is None or isinstance(node, nir.Delay):
            return None
        return node.weight @ value if isinstance(node, nir.Linear) else node.scale * value

    for step in range(steps):
        for name, node in cells.items():
            drive = sum(part for part in map(current, into[name]) if part is not None)
            rest = node.v_leak + node.r*drive
            v[name] = rest + (v[name] - rest)*np.exp(-dt/node.tau)
            if name in sent:
                sent[name].append(v[name] > node.v_threshold)
        for name, node in cells.items():
            v[name] = v[name] + node.r*dt/node.tau*sum(arriving(one, step) for one in into[name])
            if name in sent:
                v[name] = np.where(sent[name][step], node.v_reset, v[name])
    return {name: np.array(found) for name, found in sent.items()}


def test_a_graph_has_our_parameters_and_spikes_as_we_do(tmp_path):
    nir = pytest.importorskip("nir")
    net = (bz.Network(inputs=4, readouts=2).population("E", 6, sign=+1).population("I", 4, sign=-1)
           .connect("input", "E", weights=("uniform", 0, 1.5))
           .connect("E", "E", p=0.4, weights=("uniform", 0, 0.4), delay=[1, 3]*ms)
           .connect("E", "I", weights=("uniform", -0.2, 0.9)).connect("E", "readout")
           .connect("I", "E", p=0.5, weights=("uniform", -0.3, 0.1), low=-0.2))
    model = bz.Model(net, rule="dfa", neuron="deterministic", reset="hard", b=0.6,
                     theta={"I": 0.8}, tau_m={"E": ("lognormal", 10*ms, 0.3)})
    run = trained(model, bz.tasks.xor())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is left out of it
        graph = nir.read(run.export("nir", tmp_path / "net"))
    E, inhibitory = graph.nodes["E"], graph.nodes["I"]
    assert np.array_equal(E.tau, np.asarray(run.model.spread["tau_m"]["E"]))
    assert (inhibitory.v_threshold == 0.8).all() and (E.v_leak == 0.6).all() and not E.v_reset.any()
    assert np.allclose(inhibitory.r*1e-3/inhibitory.tau, 1)
    assert (graph.nodes["readout"].tau == 0.01).all()
    weights = np.clip(run.matrix("I_E.w"), -0.2, 0).T
    assert np.array_equal(graph.nodes["I_E"].weight, weights) and (weights < 0).any()
    assert graph.metadata["warmup"] == 0.02 and graph.metadata["coding"] == "current"
    sample = int(run.task.splits["test"][0])
    ours = bz.measures.record(run, sample, plastic=False).spikes
    theirs = spikes_of(graph, run.task.inputs[sample], run.task.steps)
    for name in ("E", "I"):
        assert theirs[name].sum() > 5 and np.array_equal(theirs[name], ours[name] > 0)


def untrained(model, task=None):
    """A run that holds weights, and has never learned."""
    task = task or bz.tasks.xor()
    model = model.for_task(task)
    return bz.Run({f"final/{p.name}.w": np.ones(p.connection.pre*p.connection.post)
                   for p in model.network.forward}, {}, {}, model, task)


def test_what_nir_has_in_another_way_is_said(tmp_path):
    nir = pytest.importorskip("nir")
    run = untrained(bz.Model([4, 5, 2], dropout=0.2))
    with pytest.warns(ModelWarning) as said:
        graph = nir.read(run.export("nir", tmp_path / "net.nir"))
    assert ["hazard" in str(one.message) for one in said] == [True, False]
    assert "reset='hard'" in str(said[1].message)
    node = graph.nodes["hidden_1"]
    assert node.metadata["reset"] == "subtract" and node.metadata["Delta"] == 0.1
    assert (node.r == 1).all() and graph.edges[-1] == ("readout", "output")


@pytest.mark.parametrize("make, says", [
    (lambda: bz.Model([4, 5, 2], neuron="alif"), "the neuron alif, of hidden_1|dbeta|theta"),
    (lambda: bz.Model([4, 5, 2], neuron="conductance"), "of hidden_1"),
    (lambda: bz.Model([4, 5, 2], refractory=2*ms), "refractory=2"),
    (lambda: bz.Model([4, 5, 2]).edit({"hidden.reset": "u = u/2"}), "the reset u = u/2"),
    (lambda: bz.Model([4, 5, 2]).edit({"forward_2.spike": "o_post += w*w"}), "o_post .= w.w"),
    (lambda: bz.Model([4, 5, 2]).edit(u="du/dt = (b + drive - u**2)/tau_m : 1"), "u..2"),
    (lambda: bz.Model([4, 5, 2]).edit(rho="rho = rho0*p**2 : Hz"), "as it was edited"),
    (lambda: bz.texts.silence(bz.Model([4, 5, 2]), "hidden_1", [1]), "intact"),
    # Both of these were left out in silence.
    (lambda: bz.Model([4, 5, 2]).edit({"input.trial": "xbar = 0\nx *= 2"}), r"x \*= 2, of input"),
    (lambda: bz.Model([4, 5, 2], neuron="deterministic").edit({
        "hidden.step": "S = int(u > theta)\ndrive *= 0.9"}), r"drive \*= 0.9, of hidden_1")])
def test_nir_refuses_what_it_cannot_say(make, says, tmp_path):
    pytest.importorskip("nir")
    run = untrained(make())
    with pytest.raises(InputError, match=f"NIR cannot say .*({says})"):
        run.export("nir", tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_convolutions_are_exported_in_neither_form(tmp_path):
    run = untrained(bz.Model("2x2-2C3-2"))
    for form, says in (("brian2", "cannot be exported as a script"), ("nir", "NIR cannot say|pip")):
        with pytest.raises(InputError, match=says):
            run.export(form, tmp_path / "net")
