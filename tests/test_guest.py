"""A good guest in Brian2: the user's groups, `run`, device, seed and settings stay as they were."""

import contextlib
import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import warnings

import brian2 as b2
import numpy as np
import pytest
from brian2 import Hz, ms
from brian2.codegen import translation
from brian2.codegen.generators import base
from brian2.devices.device import previous_devices, reset_device
from brian2.utils.logger import BrianLogger, catch_logs

import bioopzo as bz
from bioopzo.engines.spiking.build import build
from bioopzo.engines.spiking.code import dry_run
from bioopzo.engines.spiking.session import runtime
from bioopzo.engines.spiking.state import get_array, state_variables
from bioopzo.errors import EquationError, InputError
from bioopzo.files import cache_directory
from bioopzo.network.clock import shape_of

COLLECTS_AS_USERS_DO = True  # common: what is collected belongs to the session

#: Scripts below draw from Brian2's numbers.
pytestmark = pytest.mark.usefixtures("numbers_of_the_test")


@pytest.fixture(scope="module")
def task():
    """A small XOR: 8 training trials, 2 to validate, 2 held out."""
    full = bz.tasks.xor()
    return full.replace(splits={k: v[:n] for (k, v), n in zip(full.splits.items(), (8, 2, 2))})


@pytest.fixture(scope="module")
def model(task):
    return bz.Model([4, 5, 2]).for_task(task)


def train(task, backend="numpy", trials=3):
    return bz.train(bz.Model([4, 5, 2]), task, trials=trials, seed=3, backend=backend,
                    evaluations=1, progress=False)


@pytest.fixture(scope="module")
def run(task):
    return train(task)


COMPILED = pytest.param("standalone", marks=pytest.mark.compiled)
WORK = ["check", "dry_run", "numpy", COMPILED, "network", "present", "record", "rate"]


@pytest.fixture
def work(request, pieces):
    """A piece of work of this package, as a function."""
    return pieces[request.param]


@pytest.fixture
def pieces(task, model, run):
    """Pieces of work of this package, by name, as functions."""
    fresh = bz.Run(run.arrays, run.units, run.meta, run.model, run.task)
    return {
        "check": lambda: bz.Model([4, 6, 2], tau_m=11 * ms).check(),
        "dry_run": lambda: dry_run(model.edit(psi="psi = exp(-(u - theta)**2) : 1")),
        "numpy": lambda: train(task), "standalone": lambda: train(task, "standalone"),
        "network": lambda: fresh.network, "present": lambda: fresh.network.present([0, 1]),
        "record": lambda: bz.measures.record(run),
        "rate": lambda: bz.train(bz.Model([4, 7, 2]), task, engine="rate", epochs=1,
                                 progress=False),
    }


# ---------------------------------------------------------------------------- the user's script

def script(between=lambda: None):
    """A user's own network in the magic way, run in two parts; what its monitors hold."""
    group = b2.NeuronGroup(3, "dv/dt = (1.2 - v)/ms + .2*xi*ms**-.5 : 1", threshold="v > 1",
                           reset="v = rand()/2", method="euler", name="hidden_1")
    other = b2.NeuronGroup(2, "x : 1", name="trial")
    synapses = b2.Synapses(group, other, on_pre="x_post += 1", name="forward_1")
    synapses.connect()
    trace = b2.StateMonitor(group, "v", record=True, name="network")
    spikes = b2.SpikeMonitor(group)
    b2.seed(7)
    between()
    b2.run(2 * ms)
    between()
    b2.run(3 * ms)
    return np.array(trace.v), np.array(spikes.t), np.array(spikes.i), np.array(other.x)


@pytest.mark.parametrize("before, between", [
    (["numpy"], ["check", "network", "present", "rate"]),
    pytest.param([], ["standalone"], marks=pytest.mark.compiled)], ids=str)
def test_a_script_beside_us_gives_what_it_gives_alone(pieces, before, between):
    """Before and between its runs: every step is recorded, every random number is the same."""
    places = iter([before, between])

    def at_work():
        for name in next(places):
            with unchanged():
                pieces[name]()

    alone, beside = script(), script(at_work)
    assert beside[0].shape == (3, 50) and len(beside[1]) > 3 and not list(places)
    for mine, theirs in zip(alone, beside):
        np.testing.assert_array_equal(theirs, mine)


def test_our_objects_in_the_users_hands_are_not_run_by_magic(task, run):
    """Today's notebooks bind objects of `run.network` to names; a magic run passes them over."""
    net = bz.Run(run.arrays, run.units, run.meta, run.model, task).network
    group = b2.NeuronGroup(1, "dv/dt = 1/ms : 1", method="euler")
    own = b2.StateMonitor(group, "v", record=True)
    hidden, updater, synapses = net["hidden_1"], net["hidden_1"].state_updater, net["forward_1"]
    readings = net["trial_decision"]
    added = b2.SpikeMonitor(hidden)
    net.network.add(added)
    net.present(0)
    before, count = hidden.u[:], added.num_spikes
    assert b2.collect() == {group, own}
    b2.run(1 * ms)
    assert own.v[0, -1] == pytest.approx(0.9) and np.array_equal(hidden.u[:], before)
    assert count == added.num_spikes > 0
    assert updater in set(hidden.contained_objects) and len(synapses) == 20 and len(readings.t)


# ---------------------------------------------------------------------------- the session

def session():
    """What of Brian2, NumPy and Python a guest must leave as it is."""
    device, runtime_device = b2.get_device(), b2.all_devices["runtime"]
    handlers = [BrianLogger.console_handler, BrianLogger.file_handler]
    return {
        "device": (id(device), device.build_on_run, dict(device.build_options)),
        "devices": {name: id(one) for name, one in b2.all_devices.items()},
        "previous devices": list(previous_devices), "clock": float(b2.defaultclock.dt),
        "preferences": b2.prefs.as_file,
        "numbers": {name: np.array(value, dtype=object).tolist() if isinstance(value, tuple)
                    else value.tolist() for name, value in
                    runtime_device.get_random_state().items()},
        "scope": b2.BrianObject._scope_current_key,
        "running": (b2.Network._globally_running, b2.Network._globally_stopped),
        "magic": (b2.magic_network.id, set(b2.magic_network.objects)),
        "log": [(one.level, list(one.filters)) for one in handlers if one] + [
            (logging.getLogger(name).level, list(logging.getLogger(name).filters))
            for name in ("", "brian2", "py.warnings")],
        "warnings": list(warnings.filters),
        "garbage": (gc.get_freeze_count(), gc.get_threshold(), gc.isenabled()),
        "signal": signal.getsignal(signal.SIGINT),
        "statements": (translation.make_statements, base.make_statements),
    }


@contextlib.contextmanager
def unchanged():
    before = session()
    yield
    after = session()
    for name, value in before.items():
        assert str(after[name]) == str(value), name


@pytest.fixture
def peculiar():
    """A user who has set everything: target, precision, clock, build options, numbers drawn."""
    b2.prefs.codegen.target = "cython"
    b2.prefs.core.default_float_dtype = np.float32
    dt = b2.defaultclock.dt
    b2.defaultclock.dt = 0.05 * ms
    b2.seed(11)
    np.random.rand(5)
    b2.all_devices["runtime"].rand_buffer_index[:] = 3
    yield
    b2.defaultclock.dt = dt
    b2.prefs.codegen.target = "numpy"
    b2.prefs.core.default_float_dtype = np.float64


@pytest.mark.parametrize("work", ["numpy", COMPILED, "present"], indirect=True)
def test_the_session_is_as_it_was_after_work(work, peculiar):
    with unchanged():
        work()


@pytest.mark.parametrize("work", WORK, indirect=True)
def test_the_session_is_as_it_was_after_ctrl_c(work, peculiar, monkeypatch):
    """The interrupt comes while Brian2 prepares a run: of a check, a program or a trial."""
    def interrupted(*_):
        b2.Network._globally_running = True
        raise KeyboardInterrupt

    monkeypatch.setattr(b2.Network, "before_run", interrupted)
    monkeypatch.setattr("bioopzo.engines.spiking.code._ABSTRACT_CODE", {})
    monkeypatch.setattr("bioopzo.engines.spiking.code._kept", lambda place: None)
    monkeypatch.setenv("BIOOPZO_CACHE", "/nonexistent")
    with unchanged(), pytest.raises(KeyboardInterrupt):
        work()


def test_the_session_is_as_it_was_after_an_error_in_the_equations(task, model, peculiar):
    wrong = {"building": {"hidden.threshold": "S > 0.5*ms"},
             "preparing": {"hidden.reset": "u = 5*ms"}}
    for edit in wrong.values():
        with unchanged(), pytest.raises(EquationError, match="hidden_1"):
            dry_run(model.edit(edit))
    with unchanged(), pytest.raises(EquationError):
        bz.Model([4, 5, 2]).edit(psi="psi = exp(-v) : 1").check()


def test_a_refused_text_leaves_no_page_of_warnings_and_the_users_own_remain(model):
    """Brian2 warns of objects that no network ever had: of the user's, not of ours."""
    gc.collect()
    with catch_logs() as logs:
        for edit in ({"hidden.threshold": "S > 0.5*ms"}, {"hidden.reset": "u = 5*ms"}):
            with pytest.raises(EquationError):
                dry_run(model.edit(edit))
        gc.collect()
        assert not logs
        b2.NeuronGroup(1, "v : 1", name="forgotten")
        b2.Equations("asked_next : 1")  # pyparsing holds on to who asked last
        gc.collect()
    assert ["forgotten" in message for _, _, message in logs] == [True]


def test_an_import_changes_nothing_in_brian2():
    code = """
import warnings, brian2, numpy, scipy.sparse, scipy.special  # scipy adds filters of its own
from brian2.utils.logger import BrianLogger
def state():
    return [str(one) for one in (
        brian2.prefs.as_file, BrianLogger.console_handler.filters, warnings.filters,
        brian2.get_device(), brian2.BrianObject._scope_current_key,
        numpy.random.get_state()[1].tolist())]
before = state()
from bioopzo.engines.spiking import backends, code, trained
for mine, theirs in zip(before, state()):
    assert mine == theirs, (mine, theirs)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------- names

def test_networks_of_the_same_names_live_side_by_side(task, model, run):
    """Several networks and the user's objects share names; each keeps its own numbers."""
    first = bz.Run(run.arrays, run.units, run.meta, run.model, run.task)
    theirs = [b2.NeuronGroup(1, "v : 1", name=name) for name in ("hidden_1", "trial", "network")]
    with runtime():
        built = [build(model, shape_of(task, 2)) for _ in range(2)]
    again = train(task)
    first.network.present(0)
    again.network.present(0)
    for name, value in first.final.items():
        np.testing.assert_array_equal(again.final[name], value)
    for name in state_variables(first.network):
        np.testing.assert_array_equal(get_array(again.network, name),
                                      get_array(first.network, name))
    assert built[0]["hidden_1"] is not built[1]["hidden_1"] and theirs[0].N == 1
    b2.Network(theirs).run(0 * ms)


@pytest.mark.compiled
def test_a_program_is_the_same_beside_objects_of_the_same_names(task, monkeypatch, tmp_path):
    alone = train(task, "standalone", trials=20)
    theirs = [b2.NeuronGroup(2, "dv/dt = -v/ms : 1", threshold="v > 1", method="euler", name=name)
              for name in ("hidden_1", "input", "error")]
    theirs.append(b2.Synapses(theirs[0], theirs[1], "w : 1", on_pre="v_post += w",
                              name="forward_1"))
    shutil.copytree(cache_directory().with_name("headers"), tmp_path / "headers",
                    copy_function=os.link)  # what is compiled once a machine
    monkeypatch.setenv("BIOOPZO_CACHE", str(tmp_path))
    beside = train(task, "standalone", trials=20)
    assert beside.meta["build_s"] > 1 and len(theirs) == 4
    for name, value in alone.final.items():
        np.testing.assert_array_equal(beside.final[name], value)


# ---------------------------------------------------------------------------- standalone sessions

@pytest.fixture
def project():
    """The user has begun a standalone project: a group, a monitor and a run of 5 ms."""
    b2.set_device("cpp_standalone", build_on_run=False)
    device = b2.get_device()
    group = b2.NeuronGroup(2, "dv/dt = (1 - v)/ms : 1", method="euler", name="hidden_1")
    trace = b2.StateMonitor(group, "v", record=True)
    group.v = [0.1, 0.2]
    b2.run(5 * ms)
    yield device, group, trace
    reset_device()
    device.reinit()


@pytest.mark.parametrize("work", ["numpy", COMPILED, "record"], indirect=True)
def test_a_standalone_project_is_left_untouched(project, work, tmp_path):
    device, group, trace = project

    def content():
        return {name: str(value) for name, value in vars(device).items()}

    before = content()
    with unchanged():
        work()
    assert content() == before
    b2.run(5 * ms)
    device.build(directory=str(tmp_path / "project"), compile=False, run=False)
    assert "hidden_1_stateupdater" in (tmp_path / "project" / "main.cpp").read_text()
    assert trace.source.name == group.name


def test_our_networks_can_be_read_within_a_standalone_project(project, run):
    net = bz.Run(run.arrays, run.units, run.meta, run.model, run.task).network
    net.present(0)
    assert np.abs(net["readout"].decision[:]).max() > 0
    assert np.array_equal(net["forward_1"].w[:], run.final["forward_1.w"])


# ---------------------------------------------------------------------------- trials with input

@pytest.fixture
def net(run):
    return bz.Run(run.arrays, run.units, run.meta, run.model, run.task).network


@pytest.mark.parametrize("plastic", [False, True])
def test_what_is_presented_is_what_is_recorded(net, run, plastic):
    """The user's monitors see the very trial that `measures.record` shows, weights included."""
    spikes = b2.SpikeMonitor(net["hidden_1"])
    weights = b2.StateMonitor(net["forward_2"], "w", record=True, when="plasticity", order=-5)
    net.network.add(spikes, weights)
    net.present(4, plastic=plastic, seed=5)
    seen = bz.measures.record(run, 4, seed=5, plastic=plastic)
    steps, neurons = np.nonzero(seen.spikes["hidden_1"])
    assert len(steps) > 5
    np.testing.assert_array_equal(np.round(spikes.t / ms).astype(int), steps)
    np.testing.assert_array_equal(np.sort(spikes.i), np.sort(neurons))
    np.testing.assert_array_equal(np.array(weights.w).T, seen.values["forward_2.w"])
    assert (net["forward_2"].w[:] != run.final["forward_2.w"]).any() == plastic


def test_time_goes_on_and_every_trial_starts_anew(net, task):
    """The same trial with the same noise, after others, more of them than the tables hold."""
    trace = b2.StateMonitor(net["hidden_1"], "u", record=True)
    net.network.add(trace)
    length = float(task.duration)
    net.present(4, seed=5)
    assert net.network.t_ == pytest.approx(length)
    net.present(np.arange(19), seed=1)
    assert net.network.t_ == pytest.approx(20 * length)
    decision = net["readout"].decision[:].copy()
    net.present(4, seed=5)
    u = np.array(trace.u)
    assert u.shape == (5, 21 * task.steps)
    np.testing.assert_allclose(u[:, -task.steps + 1:], u[:, 1:task.steps], rtol=0, atol=1e-12)
    assert (net["readout"].decision[:] != decision).any()


def test_a_row_of_trials_reads_the_inputs_of_its_samples(net, task):
    inputs = b2.StateMonitor(net["input"], "x", record=True, when="end")
    net.network.add(inputs)
    samples = [7, 3, 11]
    for first in (samples, samples * 7):
        net.present(first)
    shown = np.array(inputs.x).T[::task.steps]
    np.testing.assert_array_equal(shown, task.inputs[samples * 8])


def test_ctrl_c_in_a_trial_is_raised_and_the_next_trial_is_whole(net, task):
    pressed = []

    @b2.network_operation(clock=net["hidden_1"].clock, when="end")
    def press():
        if net["trial"].step[:] == 20 and not pressed:
            pressed.append(signal.raise_signal(signal.SIGINT))

    trace = b2.StateMonitor(net["hidden_1"], "u", record=True)
    net.network.add(press, trace)
    with catch_logs(), unchanged(), pytest.raises(KeyboardInterrupt):
        net.present(4)
    assert pressed and len(trace.t) == 21
    net.present(4)
    assert len(trace.t) == 21 + task.steps
    assert trace.t[21] / ms == pytest.approx(float(task.duration / ms))


def test_objects_of_the_users_own_take_part(net):
    """A group driven by our neurons, with names from its own namespace; its mistakes are ours."""
    follower = b2.NeuronGroup(5, "dv/dt = -v/tau : 1", clock=net["hidden_1"].clock, method="exact",
                              namespace={"tau": 5 * ms}, name="follower")
    synapses = b2.Synapses(net["hidden_1"], follower, on_pre="v_post += 1", name="drive")
    synapses.connect(j="i")
    net.network.add(follower, synapses)
    net.present([4, 5])
    assert follower.v[:].max() > 0
    lost = b2.NeuronGroup(1, "dv/dt = -v/nowhere : 1", method="euler", name="lost")
    net.network.add(lost)
    with pytest.raises(EquationError, match="lost.*nowhere"):
        net.present(4)


@pytest.mark.parametrize("arguments, says", [
    ((-1,), "0 to"), ((1.5,), "0 to"), (("first",), "0 to"), ((True,), "0 to"), ((10**6,), "0 to"),
    (([1, -2],), "0 to"), ((0, False, -1), "seed"), ((0, False, 0.5), "seed")])
def test_what_cannot_be_presented(net, arguments, says):
    with pytest.raises(InputError, match=says):
        net.present(*arguments)
    assert net.network.t_ == 0


def test_a_network_needs_its_model_and_its_task_and_layers_without_convolutions(run, task):
    with pytest.raises(InputError, match="run.model"):
        _ = bz.Run(run.arrays, run.units, run.meta).network
    with pytest.raises(InputError, match="all-to-all"):
        _ = bz.Run(run.arrays, run.units, {**run.meta, "sizes": [4, 16, 2]},
                   bz.Model("2x2-4C3-AP2-2"), task).network


def test_a_run_of_the_rate_engine_can_be_shown_trials(task):
    run = bz.train(bz.Model([4, 5, 2], eta=10 * Hz), task, engine="rate", epochs=1, progress=False)
    run.network.present(0)
    assert np.array_equal(run.network["forward_1"].w[:], np.ravel(run.final["forward_1.w"]))
    assert np.abs(run.network["readout"].decision[:]).max() > 0
