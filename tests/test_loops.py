"""The rewritten C++ loops: every synaptic loop is found, and nothing but its layout changes."""

import shutil

import numpy as np
import pytest

import bioopzo as bz
from bioopzo.engines import tools
from bioopzo.engines.spiking import backends, loops
from bioopzo.engines.spiking.build import assemble
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.engines.spiking.numbers import TRAINING, keys
from bioopzo.engines.spiking.sources import generate
from bioopzo.network.clock import shape_of, time_course
from bioopzo.network.spread import constants
from bioopzo.training.start import initial_weights

pytestmark = [pytest.mark.compiled,
              pytest.mark.skipif(tools.compiler() is None, reason="needs a C++ compiler")]


def small(rule):
    """A task, a model written for it and its shape; names of synapses may begin alike."""
    task = bz.tasks.temporal_patterns(classes=3, inputs=12)
    sizes = [12, 9, 8, 3] if rule != "opzo" else (
        bz.Network(inputs=12, readouts=3).population("E", 9).population("E_2", 8)
        .connect("input", "E", "to_E").connect("E", "E_2", "to_E_2").connect("E_2", "readout"))
    model = bz.Model(sizes, rule=rule).for_task(task)
    return task, model, shape_of(task, 8)


@pytest.mark.parametrize("rule", ["opzo", "bp", "dkp", "rstdp"])
@pytest.mark.parametrize("lazy", [True, False])
def test_no_synaptic_loop_is_left_as_brian2_writes_it(tmp_path, rule, lazy):
    _, model, shape = small(rule)
    generate(model, shape, lazy, tmp_path)
    codes = {path.name: path.read_text() for path in (tmp_path / "code_objects").glob("*.cpp")
             if "create_generator" not in path.name}
    assert any("for(int _post=0" in code for code in codes.values())
    assert [name for name, code in codes.items()
            if "__synaptic_pre[_idx]" in code or "__synaptic_post[_idx]" in code] == []
    network = (tmp_path / "network.cpp").read_text()
    assert network.index("elapsed_realtime = ") > network.index("_globally_running = false;\n\n")


def test_a_projection_whose_name_begins_with_another_name_keeps_its_own_sizes(tmp_path):
    task = bz.tasks.temporal_patterns(classes=3, inputs=12)
    net = (bz.Network(inputs=12, readouts=3).population("a", 9).population("b", 8)
           .connect("input", "a").connect("a", "a", name="a_a").connect("a", "b", name="a_a_b")
           .connect("b", "readout"))
    generate(bz.Model(net, rule="dfa").for_task(task), shape_of(task, 8), True, tmp_path)
    code = (tmp_path / "code_objects" / "a_a_b_pre_codeobject.cpp").read_text()
    assert "_post<8;" in code and "_post<9;" not in code
    queue = tmp_path / "code_objects" / "before_run_a_a_b_pre_push_spikes.cpp"
    assert "std::vector<int32_t> _neurons(9);" in queue.read_text()


def test_a_population_whose_name_begins_with_that_of_a_projection_is_left_alone(tmp_path):
    """Its loop over neurons became one over the pairs of that projection."""
    task = bz.tasks.temporal_patterns(classes=3, inputs=12)
    net = (bz.Network(inputs=12, readouts=3).population("a_b", 9)
           .connect("input", "a_b", name="a").connect("a_b", "readout"))
    generate(bz.Model(net, rule="dfa").for_task(task), shape_of(task, 8), True, tmp_path)
    for path in (tmp_path / "code_objects").glob("a_b_*_codeobject.cpp"):
        if not path.name.startswith("a_b_readout_"):
            assert "for(int _pre=0" not in path.read_text(), path.name


BODY = """for(int _idx=0; _idx<_N; _idx++)
    {
        const int32_t _postsynaptic_idx = _ptr_array_a__synaptic_post[_idx];
        const int32_t _presynaptic_idx = _ptr_array_a__synaptic_pre[_idx];
        double w = _ptr_array_a_w[_idx];
        double x = _ptr_array_b_x[_WHERE];
        x += w;
        _ptr_array_b_x[_WHERE] = x;
        double y = _ptr_array_b_y[_presynaptic_idx];
    }
"""


@pytest.mark.parametrize("where, apart", [
    ("postsynaptic_idx", True), ("presynaptic_idx", False), ("shared", False)])
def test_a_loop_whose_synapses_share_what_they_change_is_not_split(where, apart):
    code = loops.by_neuron(BODY.replace("WHERE", where), "a", 3, 4)
    assert "for(int _post=0; _post<4; _post++)" in code
    assert (loops.APART in code) == apart
    other = BODY.replace("WHERE", "postsynaptic_idx").replace("b_y[", "b_x[")  # one population
    assert loops.APART not in loops.by_neuron(other, "a", 3, 4)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of this file's own: its programs differ from others by more than their text."""
    return tmp_path_factory.mktemp("cache")


def test_same_results_to_rounding(cache, monkeypatch):
    task, model, shape = small("opzo")
    samples = np.arange(shape.rows)
    tables = {"course": time_course(model, task), "schedule": np.ones(shape.rows),
              "stimulus": task.inputs[samples].reshape(-1, 12), "target": task.targets[samples],
              "trials_before": samples, "trial_key": keys(5, TRAINING, samples)}
    values = constants(assemble(model, shape.duration, False, True), model, shape)
    monkeypatch.setenv("BIOOPZO_CACHE", str(cache))
    outcomes = []
    for name in ("as written", "straightened"):
        # The text is the same, so that the first would be taken for the second; of its compiled
        # parts those that are the same are.
        shutil.rmtree(cache / "builds", ignore_errors=True)
        with monkeypatch.context() as patch:
            if name == "as written":
                patch.setattr(loops, "straighten", lambda folder, synapses: None)
            engine = backends.open_backend("standalone", model, shape)
        assert not engine.cached
        weights = initial_weights(model, np.random.default_rng(1))
        outcomes.append(engine.run(Chunk(40, {**engine.start, **weights}, values, tables)))
    plain, quick = outcomes
    assert plain.state["E_2.count"].sum() > 100
    for name, start in weights.items():
        assert not name.endswith(".w") or np.abs(plain.state[name] - start).max() > 1e-4
    np.testing.assert_allclose(quick.decision, plain.decision, rtol=0, atol=1e-9)
    for name, value in plain.state.items():
        np.testing.assert_allclose(quick.state[name], value, rtol=1e-9, atol=1e-9, err_msg=name)
