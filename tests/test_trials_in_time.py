"""Inputs that change within a trial, masks and delays of each trial's own, an order of trials."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import brian2 as b2
import numpy as np
import pytest
from brian2 import Hz, ms
from fuzz.executors import run
from fuzz.strategy import Draw

import bioopzo as bz
from bioopzo.checks.check import check
from bioopzo.engines import tools
from bioopzo.engines.rate.engine import Engine
from bioopzo.engines.rate.feed import Masks, presented
from bioopzo.errors import EquationError, InputError
from bioopzo.network import clock
from bioopzo.network.clock import COLUMNS, shape_of, time_course
from bioopzo.network.table import Network
from bioopzo.tasks import Task, consecutive_splits, one_hot
from bioopzo.training.start import initial_weights
from bioopzo.training.train import prepared

STEPS = 24


def task_of(coding="current", masks=True, changing=True, samples=24, seed=0, **more):
    """A small task whose inputs change and whose masks begin at five different steps."""
    rng = np.random.default_rng(seed)
    inputs = rng.random((samples, STEPS, 3) if changing else (samples, 3))
    labels = rng.integers(2, size=samples)
    begin = rng.integers(5, 10, size=(samples, 1)) if masks else 5
    mask = ((np.arange(STEPS) >= begin) & (np.arange(STEPS) < 21)).astype(float)
    return Task("timed", inputs, one_hot(labels, 2), labels, mask,
                consecutive_splits(samples - 8, 4, 4), coding, STEPS*ms, **more)


def model_of(rule="eprop", sizes=(3, 4, 2), **more):
    if rule in ("opzo", "node_perturbation"):
        more = {"T_z": 6*ms, "T_w": 3*ms, **more}
    return bz.Model(sizes, rule=rule, **{"eta": 20*Hz, "eta_o": 10*Hz, "b": 0.9, **more})


# ---------------------------------------------------------------------------- one meaning

RULES = [("bp", {}), ("eprop", {}), ("reinforce", {}), ("dkp", {}), ("opzo", {}),
         ("opzo", {"form": "momentum", "distribution": "gaussian", "place": "before"}),
         ("opzo", {"local": True, "antithetic": False}),
         ("node_perturbation", {"points": "one"}), ("node_perturbation", {"points": "two"})]


#: How inputs come and what is connected: neighbouring rules have different ones.
WAYS = [("current", ""), ("poisson", "recurrent"), ("current", "sparse, delayed"),
        ("poisson", "skip")]


@pytest.mark.parametrize("rule, options, coding, wiring", [
    (*rule, *WAYS[k % 4]) for k, rule in enumerate(RULES)], ids=str)
def test_all_forms_agree(rule, options, coding, wiring):
    """Dense and lazy Brian2, and the rate engine, on the same random numbers."""
    if options.get("local") and wiring == "skip":
        wiring = "recurrent"
    draw = Draw(11, (3, 3, 2), rule, options, coding=coding, wiring=wiring, changing=True,
                masks=True, steps=28, warmup=4, plastic=(1, 1, 0, 1, 0), values={})
    assert run(draw).kind == "ran"


@pytest.mark.parametrize("rule, change", [
    (("opzo", "eprop")[k % 2], change) for k, change in enumerate([
    {"state_reset": False}, {"dropout": 0.3}, {"refractory": 2.0}, {"varying": True},
    {"error": "spiking"}, {"neuron": "alif"}, {"coding": "spikes"}, {"changing": False},
    {"sizes": (3, 3, 2, 2)}, {"wiring": "signs"}])], ids=str)
def test_all_forms_agree_whatever_else_there_is(rule, change):
    draw = Draw(12, (3, 3, 2), rule, coding="current", changing=True, masks=True, steps=28,
                warmup=4, plastic=(1, 1, 0, 1, 0))
    assert run(replace(draw, **change)).kind == "ran"


def test_the_text_says_what_a_changing_current_does():
    task = task_of()
    model = model_of()
    given = model.for_task(task)
    assert given.blocks["forward_1"] == "drive_post = w*x_pre : 1 (summed)"
    assert "forward_1.onset" in model.blocks and "forward_1.onset" not in given.blocks
    assert "drive = 0" not in given.equations()["hidden_1"]
    still = given.for_task(task_of(changing=False))  # and back
    assert dict(still.blocks) == dict(model.for_task(task_of(changing=False)).blocks)
    assert dict(given.replace(rule="bp").blocks)["forward_1"] == given.blocks["forward_1"]
    poisson = model.for_task(task_of("poisson"))
    assert "forward_1" not in poisson.blocks
    assert "rate = input_rate*stimulus((row*steps + step)*dt, i)" in poisson.equations()["input"]


def test_drive_follows_a_ramp_with_the_weights_in_force():
    """Before any membrane moves: drive(k) = x(k) w(k), while w learns."""
    ramp = np.linspace(0, 2, STEPS)[:, None]*[1.0, -0.5, 0.25]
    task = task_of().replace(inputs=np.broadcast_to(ramp, (24, STEPS, 3)).copy())
    learned = bz.train(model_of(), task, trials=2, evaluations=1, backend="numpy",
                       progress=False).network
    hidden = b2.StateMonitor(learned["hidden_1"], "drive", record=True, when="plasticity",
                             order=-5)
    synapses = b2.StateMonitor(learned["forward_1"], "w", record=True, when="plasticity", order=-5)
    learned.network.add(hidden, synapses)
    learned.present(3, plastic=True)
    w = synapses.w.T.reshape(STEPS, 3, 4)
    assert np.abs(w[-1] - w[0]).max() > 1e-4
    np.testing.assert_allclose(hidden.drive.T, np.einsum("ki,kij->kj", ramp, w), atol=1e-12)


def test_a_bounded_weight_drives_within_its_bounds():
    network = (Network(inputs=3, readouts=2).population("E", 4).connect("input", "E", low=-0.1,
               high=0.2).connect("E", "readout").connect("input", "readout", "direct"))
    model = bz.Model(network, rule="eprop").for_task(task_of())
    text = model.equations()
    assert "clip(w, -0.1, 0.2)*x_pre" in text["input_E"] and "w*x_pre" in text["direct"]
    check(model)


# ---------------------------------------------------------------------------- masks

@pytest.mark.parametrize("rule", ["eprop", "opzo", "node_perturbation"])
def test_every_trial_has_a_course_of_its_own(rule):
    task = task_of()
    courses = time_course(model_of(rule).for_task(task), task).reshape(-1, STEPS, len(COLUMNS))
    read, pair = COLUMNS.index("read"), COLUMNS.index("pair")
    assert shape_of(task, 2).masks == len(courses) == 8 and len(task.masks) == 5
    for sample in range(task.samples):
        course = courses[task.mask_numbers[sample]]
        np.testing.assert_array_equal(course[:, 0], task.mask[sample])
        np.testing.assert_allclose(course[:, read].sum(), 1)
        assert (course[:, pair].sum() > 0) == (rule != "eprop")
    assert not courses[5:].any()


def engine_of(task, model, activity="rates", **more):
    model = model.for_task(task)
    engine = Engine(model, shape_of(task, 2), time_course(model, task), activity, "double",
                    compiled=False, **more)
    engine.put(initial_weights(model, np.random.default_rng(2)))
    return engine


def shown(task, samples):
    inputs, targets = presented(task)
    return inputs[samples], targets[samples], Masks(task)[samples]


@pytest.mark.parametrize("activity", ["rates", "spikes"])
def test_the_decision_is_read_where_the_mask_of_the_trial_is(activity):
    """A readout of 1 is read as 1, and nothing is read in steps outside."""
    task, samples = task_of(), np.arange(9)
    steady = model_of().edit({"readout.step": "decision += read"})
    inputs, targets, masks = shown(task, samples)
    decision, *_ = engine_of(task, steady, activity).evaluate(inputs, targets, masks=masks)
    np.testing.assert_allclose(decision, 1, rtol=1e-12)
    found = engine_of(task, steady, activity).trial(
        inputs, targets, masks=masks, record=("readout.decision",))["readout.decision"]
    moves = (np.diff(found, axis=0, prepend=0) != 0).any(axis=2)
    np.testing.assert_array_equal(moves, task.mask[samples].T == 1)


@pytest.mark.parametrize("rule", ["eprop", "bp", "dkp"])
def test_a_batch_of_different_masks_asks_for_the_mean_of_its_trials(rule):
    task, samples = task_of(), np.arange(6)
    assert len(set(task.mask_numbers[samples])) > 2
    together, _ = engine_of(task, model_of(rule)).changes(*shown(task, samples)[:2],
                                                          masks=task.mask_numbers[samples])
    each = [engine_of(task, model_of(rule)).changes(*shown(task, [k])[:2],
                                                    masks=task.mask_numbers[[k]])[0]
            for k in samples]
    for key, change in together.items():
        np.testing.assert_allclose(change, np.mean([one[key] for one in each], axis=0),
                                   rtol=1e-9, atol=1e-13, err_msg=key)
    assert np.abs(together["forward_1.w"]).max() > 1e-6


@pytest.mark.parametrize("rule, options, activity", [
    ("opzo", {}, "rates"), ("opzo", {"form": "momentum"}, "spikes"),
    ("node_perturbation", {"points": "one"}, "rates"),
    ("node_perturbation", {"points": "two"}, "spikes")], ids=str)
def test_the_same_mask_for_all_is_what_one_mask_is(rule, options, activity):
    """Events of a sample and gates of all: the same numbers, for the same draws."""
    own = task_of()
    same = own.replace(mask=np.where(np.arange(24)[:, None] < 16, own.mask[0], own.mask[1]))
    one = own.replace(mask=own.mask[0])
    found = []
    for task in (same, one):
        engine = engine_of(task, model_of(rule, (3, 4, 3, 2), **options), activity, seed=4)
        for first in (0, 8):
            inputs, targets, masks = shown(task, np.arange(first, first + 8))
            engine.trial(inputs, targets, masks=masks)
        found.append({**engine.weights, **engine.shared})
    assert np.abs(found[0]["forward_1.w"]).max() > 0
    for key, values in found[1].items():
        np.testing.assert_allclose(found[0][key], values, rtol=1e-9, atol=1e-12, err_msg=key)


# ---------------------------------------------------------------------------- runs

def same_weights(a, b, rtol=1e-12):
    for name, values in a.final.items():
        if name.endswith((".w", ".M")):
            np.testing.assert_allclose(values, b.final[name], rtol=rtol, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("options", [{"engine": "spiking", "backend": "numpy"},
                                     {"engine": "rate", "batch": 4}], ids=str)
@pytest.mark.parametrize("coding", ["current", "poisson"])
def test_evaluations_change_nothing(coding, options):
    runs = [bz.train(model_of("opzo"), task_of(coding), trials=16, evaluations=count,
                     progress=False, **options) for count in (1, 4)]
    same_weights(*runs)


@pytest.mark.skipif(tools.compiler() is None, reason="no C++ compiler")
def test_a_compiled_program_has_the_same_numbers():
    runs = [bz.train(model_of("opzo"), task_of(), trials=12, evaluations=1, progress=False,
                     backend=name) for name in ("numpy", "standalone")]
    same_weights(*runs, rtol=1e-9)


@pytest.mark.parametrize("measure", ["record", "update_angle"])
def test_measures_know_the_mask_of_the_trial(measure):
    task = task_of()
    learned = bz.train(model_of("opzo"), task, trials=8, engine="rate", batch=4, evaluations=1,
                       progress=False)
    if measure == "record":
        for sample in (1, 2):
            found = bz.measures.record(learned, sample)
            np.testing.assert_array_equal(found.values["trial.gate"][:, 0], task.mask[sample])
    else:
        found = bz.measures.rate.update_angle(learned, batches=2)
        assert all(np.isfinite(value).all() for value in found.values())


# ---------------------------------------------------------------------------- the order of trials

def test_trials_come_in_the_order_that_is_given():
    order = np.array([3, 9, 1, 12, 0])
    splits = {"train": order, "validation": [5, 4], "test": [6, 7]}
    task = task_of().replace(splits=splits, order="given")
    assert task.presentation("train", 7, np.random.default_rng(0)).tolist() == [
        3, 9, 1, 12, 0, 3, 9]
    for engine, options in (("spiking", {}), ("rate", {"batch": 2})):
        _, plan, _ = prepared(model_of(), task, engine, trials=14, **options)
        found = [s for stretch in plan.stretches(np.random.default_rng) if stretch.plastic
                 for s in stretch.samples]
        assert found[:6] == [3, 9, 1, 12, 0, 5]
        assert found[6:] == ([4, 3, 9, 1, 12, 0, 5, 4] if engine == "spiking" else found[:6]*2)[:8]
    with pytest.raises(InputError, match="order.*'given'"):
        task.replace(order="sorted")


def test_a_reversal_is_two_tasks_in_turn():
    task = task_of()
    other = bz.tasks.relabelled(task, [1, 0])
    np.testing.assert_array_equal(other.labels, 1 - task.labels)
    np.testing.assert_array_equal(other.targets, task.targets[:, ::-1])
    both = bz.tasks.in_turn(task, other)
    first, second = np.split(both.splits["train"], 2)
    assert both.order == "given" and both.name == "timed then timed, relabelled"
    assert sorted(first) == list(range(16)) and sorted(second) == list(range(24, 40))
    assert list(first) != sorted(first)
    np.testing.assert_array_equal(both.labels[both.splits["test"]], other.labels[-4:])
    np.testing.assert_array_equal(both.inputs[24:], task.inputs)
    np.testing.assert_array_equal(both.mask[24:], task.mask)
    assert bz.tasks.in_turn(task_of(masks=False), task_of(masks=False)).mask.ndim == 1


def test_a_network_follows_a_reversal():
    """A delta rule on two currents: right before it, wrong just after, right again."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=120)
    inputs = np.eye(2)[labels] + 0.1*rng.random((120, 2))
    task = bz.tasks.from_arrays(inputs, labels, name="sides", duration=20*ms)
    reversal = bz.tasks.in_turn(task, bz.tasks.relabelled(task, [1, 0]))
    half = len(task.splits["train"])
    found = bz.train(bz.Model([2, 2], rule="readout_only", eta_o=40*Hz, eta_final=1.0),
                     reversal, epochs=1, split="validation", evaluations=[half, 2*half],
                     backend="numpy", progress=False)
    assert found.arrays["curve/accuracy"].tolist()[1:] == [0, 1]


@pytest.mark.parametrize("make, says", [
    (lambda: bz.tasks.in_turn(), "in_turn takes tasks"),
    (lambda: bz.tasks.in_turn(bz.tasks.xor(), bz.tasks.with_reward(bz.tasks.xor())),
     "xor_reward has feedback reward, and xor target"),
    (lambda: bz.tasks.in_turn(task_of(), task_of("poisson")), "coding poisson.*timed current"),
    (lambda: bz.tasks.in_turn(task_of(), task_of(changing=False)), "in_time False"),
    (lambda: bz.tasks.in_turn(task_of(), task_of().replace(labels=None)), "different things"),
    (lambda: bz.tasks.relabelled(task_of(), [0, 0]), "each of the classes 0 to 1 once"),
    (lambda: bz.tasks.relabelled(task_of().replace(labels=None), [1, 0]), "has no classes")])
def test_what_cannot_be_put_together_is_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


# ---------------------------------------------------------------------------- arrays of one's own

def test_a_task_is_made_of_arrays():
    rng = np.random.default_rng(1)
    x, y = rng.random((40, 30, 5)), rng.integers(3, size=40)
    task = bz.tasks.from_arrays(x, y)
    assert (task.steps, task.n_in, task.classes, task.changing) == (30, 5, 3, True)
    assert task.mask.tolist() == [0]*10 + [1]*20 and task.coding == "current"
    assert [len(task.splits[s]) for s in ("train", "validation", "test")] == [28, 6, 6]
    assert sorted(np.concatenate([*task.splits.values()])) == list(range(40))
    still = bz.tasks.from_arrays(x[:, 0], y, coding="poisson", duration=50*ms, dt=0.5*ms)
    assert still.steps == 100 and not still.changing
    follow = bz.tasks.from_arrays(x, rng.random((40, 30, 2)), np.ones((40, 30)), order="given")
    assert follow.labels is None and follow.mask.shape == (40, 30) and follow.order == "given"
    spikes = bz.tasks.from_arrays((x < 0.1).astype(int), y, coding="spikes", dt=2*ms)
    assert spikes.duration == 60*ms and spikes.inputs.dtype == np.uint8
    assert bz.tasks.from_arrays(x.astype(np.float32), y, coding="poisson").inputs.itemsize == 4


@pytest.mark.parametrize("change, says", [
    ({"targets": np.full(40, 0.5)}, r"one axis are classes.*\(40, 1\)"),
    ({"targets": np.full(40, -1), "classes": 2}, "counted from 0"),
    ({"inputs": np.zeros((40, 30, 5))*Hz}, r"without a unit.*in s\^-1.*input_rate"),
    ({"targets": np.zeros(39, int)}, "40 trials to show, and 39 targets"),
    ({"inputs": np.zeros((40, 30, 5, 1))}, "or, where they change within a trial"),
    ({"duration": 40*ms}, "inputs have 30 time steps, but duration=40. ms"),
    ({"mask": np.ones((39, 30))}, r"one per sample and step, \(40, 30\)"),
    ({"mask": np.arange(40)[:, None] > np.ones(30)*7}, "0 throughout in sample 0"),
    ({"coding": "poisson", "inputs": -np.ones((40, 30, 5))}, "must not be negative"),
    ({"classes": 1}, "classes=1, and there is a class 1"),
    ({"validation": 0.6, "test": 0.6}, "leave nothing to learn from"),
    ({"order": "random"}, "order"), ({"codign": "poisson"}, "no field 'codign'.*'coding'")])
def test_arrays_that_do_not_fit_are_refused(change, says):
    given = {"inputs": np.zeros((40, 30, 5)), "targets": np.arange(40) % 2, **change}
    with pytest.raises(InputError, match=says):
        bz.tasks.from_arrays(given.pop("inputs"), given.pop("targets"), **given)


def test_what_has_no_meaning_in_a_changing_trial_is_refused(monkeypatch):
    task = task_of()
    edited = model_of().edit({"forward_1.onset": "drive_post += abs(w)*x_pre"})
    with pytest.raises(EquationError, match="(?s)acts in every step.*edit the line drive_post"):
        check(edited.for_task(task))
    check(edited.for_task(task_of(changing=False)))
    with pytest.raises(InputError, match="T_z=11 ms: two holds do not fit"):
        time_course(model_of("opzo", T_z=11*ms).for_task(task), task)
    monkeypatch.setattr(clock, "MOST_ROWS_OF_COURSES", 4*STEPS)
    with pytest.raises(InputError, match="5 different masks of 24 steps; there is room for 4"):
        bz.train(model_of(), task, trials=2)


class Environment:
    """What `tasks.neurogym` asks of an environment: trials of two lengths, answers at the end."""

    action_space = SimpleNamespace(n=4)

    def __init__(self, dt, answers=(2, 2)):
        self.answers, self.unwrapped, self.dt = answers, self, dt

    def seed(self, seed):
        self.rng = np.random.default_rng(seed)

    def new_trial(self):
        steps = self.rng.integers(4, 6)
        self.ob, self.gt = self.rng.random((steps, 3)), np.zeros(steps, int)
        self.gt[-2:] = self.answers


def test_a_task_of_neurogym_becomes_one_of_ours(monkeypatch):
    monkeypatch.setitem(sys.modules, "neurogym", SimpleNamespace(
        make=lambda name, **options: Environment(**options)))
    task = bz.tasks.neurogym("Fake-v0", trials=20, env_dt=4*ms, validation=0.2, test=0.2)
    assert (task.name, task.steps, task.n_in, task.classes) == ("Fake-v0", 20, 3, 3)
    assert task.changing and set(task.labels) == {1} and len(task.masks) == 2
    assert set(task.mask.sum(axis=1)) == {8} and (task.mask[:, :8] == 0).all()
    short = task.mask[:, -1] == 0
    assert short.any() and not task.inputs[short, 16:].any()
    np.testing.assert_array_equal(task.inputs[:, 0::4], task.inputs[:, 3::4])
    for change, says in (({"options": {"answers": (1, 2)}}, "asks for 2 choices"),
                         ({"options": {"answers": (0, 0)}}, "asks for 0 choices"),
                         ({"env_dt": 1.5*ms}, "multiple of dt")):
        with pytest.raises(InputError, match=says):
            bz.tasks.neurogym("Fake-v0", trials=4, **change)


def test_a_task_of_neurogym_may_follow_numbers(monkeypatch):
    class Following(Environment):
        action_space = SimpleNamespace()

        def new_trial(self):
            super().new_trial()
            self.gt = self.ob[:, :2]

    monkeypatch.setitem(sys.modules, "neurogym", SimpleNamespace(
        make=lambda name, **options: Following(**options)))
    task = bz.tasks.neurogym("Fake-v0", trials=12, env_dt=2*ms)
    assert task.labels is None and task.targets.shape == (12, 10, 2)
    np.testing.assert_allclose(task.targets, task.inputs[..., :2], rtol=1e-6)
    assert set(task.mask.sum(axis=1)) == {8, 10}


def test_a_missing_neurogym_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "neurogym", None)
    with pytest.raises(InputError, match="pip install neurogym torch"):
        bz.tasks.neurogym()


# ---------------------------------------------------------------------------- the tasks

def active(task, group, size=10):
    """Where a group of inputs fires (samples, steps)."""
    return task.inputs[..., group*size:(group + 1)*size].min(axis=2) > 0.5


def test_store_recall_wants_the_value_at_the_store_cue():
    task = bz.tasks.store_recall(train=60, validation=10, test=10)
    store, recall = active(task, 2), active(task, 3)
    np.testing.assert_array_equal(task.mask, recall)
    for sample in range(task.samples):
        assert active(task, task.labels[sample])[sample, store[sample]].all()
        assert not active(task, 1 - task.labels[sample])[sample, store[sample]].any()
        assert np.argmax(recall[sample]) - np.argmax(store[sample]) >= 300
        assert not task.inputs[sample, recall[sample], :20].any()
    assert len(task.masks) == 3 and len(np.unique(np.argmax(store, axis=1))) == 3


def test_evidence_accumulation_wants_the_side_of_most_cues():
    published = bz.tasks.evidence_accumulation(
        n_cues=7, cue=100*ms, gap=50*ms, delay=1050*ms, recall=150*ms, train=30, validation=0,
        test=1)
    assert (published.steps, published.n_in, published.masks.shape[0]) == (2250, 40, 1)
    task = bz.tasks.evidence_accumulation(train=80, validation=0, test=20)
    cues = np.stack([active(task, side).sum(axis=1)/40 for side in (0, 1)])
    assert (cues.sum(axis=0) == 5).all()
    np.testing.assert_array_equal(task.labels, cues.argmax(axis=0))
    np.testing.assert_array_equal(task.mask, active(task, 2))
    np.testing.assert_array_equal(task.inputs[..., 30:], 0.25)
    assert len(task.masks) == 9 and task.input_rate == 40*Hz


def test_delayed_match_needs_both_stimuli():
    task = bz.tasks.delayed_match(stimuli=3, train=500, validation=50, test=50)
    first = np.stack([active(task, k)[:, :50].any(axis=1) for k in range(3)])
    begin = task.mask.shape[1] - np.argmax(task.mask[:, ::-1], axis=1) - 1
    last = np.stack([active(task, k)[np.arange(600), begin] for k in range(3)])
    assert (first.sum(axis=0) == 1).all() and (last.sum(axis=0) == 1).all()
    np.testing.assert_array_equal(task.labels, first.argmax(axis=0) == last.argmax(axis=0))
    for k in range(3):
        assert 0.35 < task.labels[first[k]].mean() < 0.65


def test_pattern_generation_as_published_has_one_frozen_pattern():
    task = bz.tasks.pattern_generation(
        patterns=1, outputs=3, inputs=100, spikes_per_input=50, jitter=0*ms, duration=1000*ms,
        warmup=0*ms, train=3, validation=1, test=1)
    assert (task.inputs == task.inputs[0]).all() and task.inputs[0].sum(axis=0).tolist() == [50]*100
    assert task.targets.shape == (5, 1000, 3) and task.mask.all()


@pytest.mark.parametrize("name, options, says", [
    ("evidence_accumulation", {"n_cues": 4}, "must be odd"),
    ("evidence_accumulation", {"p_group": 0.5}, "p_group"),
    ("evidence_accumulation", {"delay": (200*ms, 100*ms)}, "longer than the longest"),
    ("evidence_accumulation", {"delay": (1*ms, 2*ms, 3*ms)}, "shortest and the longest"),
    ("delayed_match", {"sample": 0.1*ms}, "sample=100. us is less than a step"),
    ("delayed_match", {"stimuli": 1}, "stimuli must be"),
    ("store_recall", {"shortest": 5}, "room for both cues, at most 4"),
    ("store_recall", {"rate": 2000*Hz}, "more than one spike per dt")])
def test_options_of_memory_tasks_are_checked(name, options, says):
    with pytest.raises(InputError, match=says):
        bz.tasks.get(name, **{"train": 4, "validation": 1, "test": 1, **options})


def test_the_comparison_has_teeth(monkeypatch):
    """A rate engine that is told the mask of another trial disagrees."""
    from fuzz import executors

    class Wrong(Masks):
        def __getitem__(self, samples):
            return (self.numbers[samples] + 1) % (self.numbers.max() + 1)

    draw = Draw(11, (3, 3, 2), "opzo", coding="poisson", changing=True, masks=True, steps=28,
                plastic=(1, 1, 0))
    assert run(draw).kind == "ran"
    monkeypatch.setattr(executors, "Masks", Wrong)
    assert run(draw).kind == "rate engine differs from dense"
