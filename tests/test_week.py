"""A week with the toolkit: ten workflows as a user types them, with public names alone.

Each is a page of a notebook, made short: small tasks, few trials, NumPy. Behind them stand the
messages that such a week meets.
"""

import ast
import re
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from brian2 import Hz, ms, second
from brian2.utils.logger import brian_excepthook

import bioopzo as bz

QUICK = dict(backend="numpy", progress=False, evaluations=1)


@pytest.fixture(autouse=True)
def quiet():
    """Rates that nobody has tuned, layers that are silent: not what these pages are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bz.errors.ModelWarning)
        yield


@pytest.fixture(scope="module")
def xor():
    """A small XOR, so that evaluations are short."""
    task = bz.tasks.xor(duration=30*ms, warmup=10*ms)
    return task.replace(splits={name: some[:n] for (name, some), n in zip(
        task.splits.items(), (40, 3, 3))})


@pytest.fixture(scope="module")
def run(xor):
    """A trained network with an adaptive threshold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bz.errors.ModelWarning)
        return bz.train(bz.Model([4, 6, 2], neuron="alif", rule="eprop"), xor, trials=8, seed=1,
                        **QUICK)


def test_1_data_in_any_form():
    """A table with text labels; noisy evidence in time, read when each trial says; spike times."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    table = pandas.DataFrame(rng.random((40, 2)), columns=["left", "right"])
    task = bz.tasks.from_arrays(table, np.where(table["left"] > table["right"], "L", "R"),
                                duration=20*ms)
    found = bz.train(bz.Model([2, 6, 2], rule="dfa"), task, trials=4, **QUICK)
    assert "0 is L, 1 is R" in task.description and task.class_names == ("L", "R")
    assert set(found.predict(table[:3])) <= {"L", "R"} and found.predict(table[:3]).shape == (3,)

    side = rng.integers(0, 2, 12)
    evidence = (2*side - 1)[:, None, None]*0.5 + rng.normal(0, 1, (12, 20, 1))
    question = np.arange(20) >= rng.choice([10, 15], 12)[:, None]
    noisy = bz.tasks.from_arrays(evidence, side, question, name="noisy")
    assert noisy.changing and len(noisy.masks) == 2
    assert bz.train(bz.Model([1, 5, 2], rule="dfa"), noisy, trials=2, **QUICK).complete

    times = [[np.sort(rng.uniform(0, 20, 3))*ms for _ in range(4)] for _ in range(12)]
    spiking = bz.tasks.from_spikes(times, side, duration=20*ms)
    assert bz.train(bz.Model([4, 5, 2], rule="dfa"), spiking, trials=2, **QUICK).complete


def test_2_cells_of_many_kinds(xor):
    """Adaptive neurons with tau of their own, excitation and inhibition, weights of one's own."""
    matrix = np.full((4, 10), 0.3)
    mask = np.random.default_rng(1).random((10, 4)) < 0.5
    net = (bz.Network(inputs=4, readouts=2)
           .population("E", 10, sign=+1, neuron="alif").population("I", 4, sign=-1)
           .connect("input", "E", weights=matrix)
           .connect("E", "I", mask=mask, weights=("lognormal", -2, 0.5))
           .connect("I", "E", weights=lambda i, j: -0.05*(i + 1))
           .connect("E", "readout"))
    model = bz.Model(net, rule="eprop", tau_m={"E": ("lognormal", 10*ms, 0.3),
                                           "I": np.linspace(5, 8, 4)*ms})
    found = bz.train(model, xor, trials=2, **QUICK)
    assert len(set(found.model.spread["tau_m"]["E"]/ms)) == 10
    assert (found.matrix("E_I.w")[mask] > 0).all() and not found.matrix("E_I.w")[~mask].any()
    start = found.at(0)
    assert (start.matrix("input_E.w") == 0.3).all()
    assert np.allclose(start.matrix("I_E.w")[1], -0.1)


def test_3_any_wiring(xor):
    """Recurrent, lateral, sparse, delayed and skipping synapses; and no hidden layer at all."""
    net = (bz.Network(inputs=4, readouts=2).population("A", 6).population("B", 5)
           .connect("input", "A").connect("A", "A", p=0.5, delay=2*ms)
           .connect("A", "B", delay=[1, 3]*ms).connect("B", "A", p=0.4, plastic=False)
           .connect("input", "B").connect("A", "readout").connect("B", "readout"))
    found = bz.train(bz.Model(net, rule="dfa"), xor, trials=2, **QUICK)
    assert {"A_A.w", "A_B_1.w", "A_B_2.w", "input_B.w"} <= set(found.final)
    assert np.array_equal(found.at(0).matrix("B_A.w"), found.matrix("B_A.w"))  # not plastic
    bare = bz.train(bz.Model([4, 2], rule="readout_only"), xor, trials=2, **QUICK)
    assert bare.matrix("forward_1.w").shape == (4, 2)


@pytest.mark.parametrize("name, options", [
    ("delayed_match", {"sample": 20*ms, "delay": (20*ms, 30*ms), "test_time": 20*ms}),
    ("store_recall", {"symbols": 3, "symbol": 20*ms, "shortest": 1}),
    ("evidence_accumulation", {"n_cues": 1, "delay": (20*ms, 40*ms)}),
    ("bandit", {})])
def test_4_memory_and_reward(name, options):
    """Tasks that need a memory, with adaptive neurons; a bandit, by reward only."""
    task = bz.tasks.get(name, **options)
    task = task.replace(splits={split: some[:4] for split, some in task.splits.items()})
    model = bz.Model([task.n_in, 8, task.n_out], recurrent=True, neuron="alif",
                     rule="reinforce" if name == "bandit" else "eprop")
    found = bz.train(model, task, trials=1, evaluation_trials=1, **QUICK)
    outcomes = found.outcomes("training")
    assert len(outcomes) == 1 and np.isfinite(outcomes.loss).all()
    assert task.feedback == ("reward" if name == "bandit" else "target")
    assert name != "bandit" or outcomes.reward.shape == (1,)


def test_5_plasticity_of_ones_own(xor):
    """R-STDP with its own post pathway; a frozen layer, rates by layer, a schedule in the text."""
    model = bz.Model([4, 6, 2], rule="rstdp", freeze=["forward_2"], eta={"forward_1": 3*Hz})
    assert "E += A_plus*xbar_pre" in model.equations()["forward_1"]
    model = model.edit({"forward.post": "E += A_plus*xbar_pre*clip(1 - w, 0, 1)"})
    found = bz.train(model, xor, trials=2, **QUICK)
    assert np.array_equal(found.at(0).matrix("forward_2.w"), found.matrix("forward_2.w"))
    assert not np.array_equal(found.at(0).matrix("forward_1.w"), found.matrix("forward_1.w"))

    falling = bz.Model([4, 6, 2], rule="dfa").edit(
        {"forward": "dw/dt = -eta*exp(-t/tau_s)*xbar_pre*psi_post*g_post : 1"}, tau_s=0.5*second)
    assert "tau_s" in falling.parameters and falling.check().diff()


def test_6_look_at_anything(run, xor):
    """Adaptation and eligibility of many trials, what is learned over training; figures of it."""
    pytest.importorskip("xarray")
    data = run.record(["hidden_1.S", "hidden_1.a", "forward_1.ebar[:, 0]"], xor.splits["train"][:8])
    assert dict(data["hidden_1.a"].sizes) == {"trial": 8, "time": 30, "hidden_1": 6}
    assert data["forward_1.ebar[:, 0]"].sizes["input"] == 4 and data["time"].attrs["units"] == "ms"
    S = data["hidden_1.S"]
    bz.plots.psth(bz.measures.rates_over_time(S), color="#0072B2", label="hidden")
    bz.plots.tuning(bz.measures.tuning(S))
    bz.plots.confusion(bz.measures.confusion(run.outcomes()), labels=["same", "different"])
    ax = bz.plots.trajectories(run, "forward_1.w", color="k")
    assert ax.lines[0].get_color() == "k"
    again = bz.train(run.model, xor, trials=3, record=["feedback_1.B[0, :]"], record_trials=[0, 2],
                     **QUICK)
    assert again.recorded["feedback_1.B[0, :]"].sizes["trial"] == 2


def test_7_many_runs_anywhere(xor, tmp_path):
    """A sweep on any executor, which finds again what it has."""
    pytest.importorskip("xarray")
    model = bz.Model([4, 5, 2], rule="dfa")
    with ThreadPoolExecutor(1) as pool:
        found = bz.sweep(model, xor, {"eta": [2, 8]*Hz}, seeds=[3], executor=pool, trials=1,
                         out=tmp_path, **QUICK)
    assert found["test_accuracy"].dims == ("eta", "seed") and found["test_accuracy"].notnull().all()
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = bz.sweep(model, xor, {"eta": [2, 8]*Hz}, seeds=[3], jobs=1, trials=1,
                     out=tmp_path, **QUICK)
    assert again.equals(found)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert bz.plots.sweep(found).get_xlabel()


def test_8_train_lesion_reverse_go_on(run, xor, tmp_path):
    """Train, test, lesion, test, reverse the labels, go on, export."""
    before = run.evaluate()
    lesioned = run.lesion("hidden_1", range(3))
    assert not lesioned.evaluate().rates["hidden_1"][:3].any()
    reversal = bz.tasks.relabelled(xor, [1, 0])
    assert run.evaluate(reversal).accuracy == pytest.approx(1 - before.accuracy)
    more = bz.train(run.model, reversal, trials=3, start=run, save=tmp_path / "more", **QUICK)
    assert np.array_equal(more.at(0).final["forward_1.w"], run.final["forward_1.w"])
    again = bz.Run.load(tmp_path / "more", task=reversal)
    assert again.evaluate().accuracy == more.test_accuracy
    assert (again.predict(xor.inputs[:5]) == more.predict(xor.inputs[:5])).all()
    script = again.export("brian2", tmp_path / "alone.py", samples=range(3))
    assert "NeuronGroup(6," in script.read_text()


def test_9_tune_and_compare(xor, tmp_path):
    """Rates from a search on a task of one's own, and what a comparison says of two rules."""
    task = bz.tasks.from_arrays(np.random.default_rng(0).random((30, 4)), [0, 1]*15, name="mine",
                                duration=20*ms)
    model = bz.Model([4, 2], rule="readout_only")
    best = bz.tune(model, task, trials=2, count=2, finalists=1, seeds=1, jobs=1, backend="numpy",
                   progress=False)
    assert best["eta_o"].dim == Hz.dim
    found = bz.compare({"mine": bz.Model([4, 4, 2], rule="dfa"), "perceptron": model}, task,
                       trials=2, seeds=range(2), tuned={"perceptron": best}, jobs=1, **QUICK)
    mine, perceptron = found.table()
    assert len(mine["scores"]) == 2 and perceptron["against"] == "mine"
    assert perceptron["difference"] == np.mean(np.subtract(perceptron["scores"], mine["scores"]))
    assert "mine (not tuned)" in repr(found) and "the comparison is not fair" in repr(found)


def test_10_equations_of_a_paper():
    """max(0, x), a sigmoid, a step and indices, as they are written here."""
    model = bz.Model([4, 6, 2], rule="dfa")
    for theirs, ours in (("max(0, 1 - abs(u - theta))", "clip(1 - abs(u - theta), 0, inf)"),
                         ("sigmoid(u)", "1/(1 + exp(-u))"), ("heaviside(u)", "int(u > 0)"),
                         ("w_ij*u_j", "u")):
        with pytest.raises(bz.EquationError):
            model.edit(psi=f"psi = {theirs} : 1").check()
        assert model.edit(psi=f"psi = {ours} : 1").check().diff()
    triangle = "dw/dt = -eta*xbar_pre*clip(1 - abs(u_post - theta), 0, inf)*g_post : 1"
    assert model.edit({"forward": triangle}).check().diff()


# ---------------------------------------------------------------------------- what is said

def private(tree):
    """The names of a syntax tree that begin with _, and imports from within the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bioopzo."):
            yield node.module


def test_no_private_name_is_in_these_pages():
    assert list(private(ast.parse("from bioopzo.run import Run\nrun._with()"))) == ["bioopzo.run",
                                                                                    "_with"]
    assert not list(private(ast.parse(Path(__file__).read_text())))


MODEL = bz.Model([4, 5, 2])
X = np.zeros((6, 4))


@pytest.mark.parametrize("work, says", [
    (lambda task, run: bz.train(MODEL, (X, [0, 1]*3)), "task is a Task, not a tuple.*from_arrays"),
    (lambda task, run: bz.train(run, task), r"train\(run.model, task, start=run\)"),
    (lambda task, run: bz.compare("opzo", task), 'a list of names, such as .*not .opzo'),
    (lambda task, run: bz.compare({"a": MODEL}, task, seeds=3), r"such as range\(3\), not 3"),
    (lambda task, run: bz.compare({"a": MODEL}, task, trails=3), "'trails' .did you mean 'trials'"),
    (lambda task, run: bz.compare({"a": MODEL}, task, eta=3*Hz), "eta: for rules given by name"),
    (lambda task, run: bz.train(MODEL, task, batch=4), "batch: settings of engine='rate'"),
    (lambda task, run: bz.train(MODEL, task, trails=4), "'trails' .did you mean 'trials'"),
    (lambda task, run: bz.Model([4, 5, 2], tau_m=np.arange(1, 25)*ms), "has 24 values, and these"),
    (lambda task, run: MODEL.edit({"hiden": "v : 1"}), r"did you mean 'hidden'\?\)$"),
    (lambda task, run: MODEL.edit({"forward": "w : 1"}).check(), r"freeze=\['forward_1'\]"),
    (lambda task, run: MODEL.edit(psi="psi = max(0, u) : 1").check(), r"clip\(a, b, inf\)"),
    (lambda task, run: MODEL.edit(psi="psi = sigmoid(u) : 1").check(), r"1/\(1 \+ exp\(-x\)\)"),
    (lambda task, run: MODEL.edit(psi="psi = heaviside(u) : 1").check(), r"it is int\(x > 0\)"),
    (lambda task, run: MODEL.edit(psi="psi = u_i : 1").check(), "write u, .*every neuron"),
    (lambda task, run: MODEL.edit({"forward": "dw/dt = -eta*w_ij*xbar_pre*g_post : 1"}).check(),
     "write w, which stands for that of every synapse"),
    (lambda task, run: MODEL.edit({"forward": "dw/dt = -eta*theta_post*g_post : 1"}).check(),
     "a synapse reads it as theta"),
    (lambda task, run: bz.tasks.from_arrays(X, [0, 1]), "6 trials to show, and 2 targets"),
    (lambda task, run: run.matrix("w"), "unknown variable of the final state 'w'")])
def test_what_is_said_names_the_remedy(work, says, xor, run):
    with pytest.raises(bz.InputError) as caught:
        work(xor, run)
    assert re.search(says, str(caught.value), re.S), str(caught.value)
    assert max(map(len, str(caught.value).splitlines())) < 1200


def test_a_script_ends_in_our_error_alone(capsys, monkeypatch):
    """Brian2 headed it as an unexpected error of its own, to be reported."""
    sys.excepthook(bz.InputError, bz.InputError("unknown"), None)
    assert capsys.readouterr().err == "bioopzo.errors.InputError: unknown\n"
    monkeypatch.setattr(sys, "excepthook", print)  # somebody else's stays
    bz.errors.end_plainly()
    assert sys.excepthook is print
    monkeypatch.setattr(sys, "excepthook", brian_excepthook)
    bz.errors.end_plainly()
    assert sys.excepthook is not brian_excepthook
