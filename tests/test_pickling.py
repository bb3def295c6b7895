"""Models, tasks, runs and comparisons travel: pickle, copies, and fresh processes."""

import copy
import json
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from operator import attrgetter

import numpy as np
import pytest
from brian2 import Hz, ms

import bioopzo as bz
from bioopzo import rules
from bioopzo.errors import NonFiniteError
from bioopzo.training.compare import Comparison

SHORT = dict(trials=2, seed=3, backend="numpy", evaluations=1, progress=False)
OWN = '''
from bioopzo.rules import Rule


def rule(depth, beta=0.1):
    return Rule("own", "all feedback is positive", "", {
        "hidden": "delta = psi*g : 1", "readout": "delta = g : 1",
        "backward": f"g_pre = {beta}*abs(w)*delta_post : 1 (summed)"})
'''


def forgotten(tmp_path):
    """A model whose rule came from a file that is gone, in a process that never knew it."""
    path = tmp_path / "own.py"
    path.write_text(OWN)
    model = bz.Model([4, 5, 2], rule=rules.add(path), beta=0.7)
    path.unlink()
    rules._FOLDER.added.clear()
    return model


MODELS = {
    "plain": lambda: bz.Model([4, 5, 2]),
    "edited": lambda: bz.Model([4, 5, 2], rule="dfa", tau_m=7 * ms, neuron="erf", dropout=0.2).edit(
        psi="psi = 2*exp(-abs(u - theta)/Delta) : 1", eta=3 * Hz),
    "options": lambda: bz.Model([4, 5, 5, 2], rule="opzo", place="before", refractory=2 * ms),
    "convolutions": lambda: bz.Model("8x8-4C3-AP2-10", rule="bp"),
}
WAYS = {"pickle": lambda thing: pickle.loads(pickle.dumps(thing)), "copy": copy.copy,
        "deepcopy": copy.deepcopy,
        "cloudpickle": lambda thing: pickle.loads(  # as Dask and submitit do it
            pytest.importorskip("cloudpickle").dumps(thing))}


@pytest.fixture(scope="module")
def task():
    full = bz.tasks.xor()
    return full.replace(splits={k: v[:n] for (k, v), n in zip(full.splits.items(), (60, 12, 8))})


@pytest.fixture(scope="module")
def run(task):
    return bz.train(bz.Model([4, 5, 2]), task, **SHORT)


@pytest.fixture(scope="module")
def pool():
    """One fresh process, which knows nothing of this one."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as started:
        yield started


def same_run(one, other):
    assert one.arrays.keys() == other.arrays.keys() and one.units == other.units
    for name, value in one.arrays.items():
        assert np.array_equal(value, other.arrays[name]), name
    assert one.model.digest == other.model.digest
    assert one.task.digest == other.task.digest


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_the_same_after_its_travel(name, way):
    model = MODELS[name]()
    other = WAYS[way](model)
    assert other is not model and other.digest == model.digest
    assert repr(other) == repr(model) and not model.diff(other)
    edited = other.edit(theta=0.9)
    assert edited.parameters["theta"] == 0.9 and other.parameters["theta"] == 1.0
    with pytest.raises(AttributeError):
        other.sizes = (4, 6, 2)


@pytest.mark.parametrize("way", WAYS)
def test_a_task_is_the_same_after_its_travel(task, way):
    other = WAYS[way](task)
    assert other.digest == task.digest and other.parameters == task.parameters
    assert not other.inputs.flags.writeable


@pytest.mark.parametrize("way", WAYS)
def test_a_run_is_whole_after_its_travel(run, way):
    assert run.network is not None  # Brian2's objects stay where they are
    other = WAYS[way](run)
    same_run(run, other)
    assert other.meta == run.meta and "network" not in vars(other)
    assert np.array_equal(other.network["forward_1"].w[:], run.final["forward_1.w"])
    other.arrays = {**other.arrays, "final/forward_1.w": np.zeros(20)}
    again = WAYS[way](other)
    assert not again.final["forward_1.w"].any() and run.final["forward_1.w"].any()


@pytest.mark.parametrize("way", WAYS)
def test_a_comparison_is_whole_after_its_travel(run, task, way):
    found = Comparison({"opzo": [run, run]}, task)
    other = WAYS[way](found)
    assert other.table() == found.table() and repr(other) == repr(found)


@pytest.mark.parametrize("way", WAYS)
def test_a_model_takes_a_rule_of_the_users_own_along(way, tmp_path, task):
    model = forgotten(tmp_path)
    other = WAYS[way](model)
    assert "own" not in rules.available()
    assert other.digest == model.digest and other.rule.blocks == model.rule.blocks
    assert "0.7*abs((w + xbar_pre*G_w_post))" in other.equations()["forward_2"]


def test_a_fresh_process_trains_what_it_is_given(pool, run, task, tmp_path):
    """The same bits as here; also for a rule in a file that was not added there."""
    mine = pool.submit(bz.train, run.model, task, **SHORT)
    own = forgotten(tmp_path)
    theirs = pool.submit(bz.train, own, task, **SHORT)
    same_run(run, mine.result())
    assert theirs.result().complete and theirs.result().meta["rule"] == "own"
    same_run(theirs.result(), bz.train(own, task, **SHORT))


def test_a_fresh_process_sees_the_same_model(pool):
    models = [make() for make in MODELS.values()]
    assert list(pool.map(attrgetter("digest"), models)) == [model.digest for model in models]


def test_an_error_of_training_brings_its_run_along(task):
    with pytest.raises(NonFiniteError) as caught:
        bz.train(bz.Model([4, 5, 2], eta_o=1e300 * Hz), task, **SHORT)
    other = pickle.loads(pickle.dumps(caught.value))
    assert str(other) == str(caught.value)
    same_run(other.run, caught.value.run)


NEURON = """
from bioopzo.neurons import Neuron
from bioopzo.neurons.deterministic import neuron as base


def neuron():
    return base()
"""


def test_a_neuron_of_a_population_s_own_goes_with_the_model(tmp_path):
    """Only the model's own did: sweeps on several cores lost all their runs."""
    (tmp_path / "spiky.py").write_text(NEURON)
    name = bz.neurons.add(tmp_path / "spiky.py")
    network = bz.Network(inputs=4, readouts=2).population("E", 3, neuron=name).connect(
        "input", "E").connect("E", "readout")
    model = bz.Model(network)
    packed, content = pickle.dumps(model), json.loads(json.dumps(model.content()))
    del bz.neurons._FOLDER.added[name]
    for again in (pickle.loads(packed), bz.Model.from_content(content)):
        assert again.digest == model.digest
        assert again.edit(tau_m=9 * ms).check().cells[name] == model.cells[name]
