"""Reward only: actions are drawn by the policy's chances, and nothing is known of all others."""

from dataclasses import replace

import brian2 as b2
import jax
import numpy as np
import pytest
from brian2 import ms
from replay import BOTH, Case, Network, draw
from scipy.stats import chi2

import bioopzo as bz
from bioopzo import tasks
from bioopzo.engines.rate.engine import Engine
from bioopzo.engines.spiking.runtime import _keep_code as keep_code
from bioopzo.engines.spiking.state import get_array, state_variables
from bioopzo.errors import InputError
from bioopzo.network.clock import shape_of, time_course
from bioopzo.tasks import Task, consecutive_splits
from bioopzo.training.start import initial_weights

SIZES, BATCH, WARM = (4, 5, 4), 6000, 0.7
EVERY = tuple(f"error.{name}" for name in ("action", "policy", "err", "reward"))


def task_of(samples, payoffs, seed=0, repeated=False):
    """Trials of 60 ms that pay `payoffs`; `repeated`: all of the same input."""
    rng = np.random.default_rng(seed)
    inputs = rng.random((1 if repeated else samples, SIZES[0]))
    return Task("paid", np.broadcast_to(inputs, (samples, SIZES[0])),
                np.broadcast_to(payoffs, (samples, SIZES[-1])), None,
                (np.arange(60) >= 20).astype(float), consecutive_splits(samples, 0, 0),
                duration=60*ms, feedback="reward")


def prepared(rule, task, activity="rates", **settings):
    """A function of payoffs: an engine after one batch, and what `EVERY` held at its end.

    The engine is the same each time, and begins anew.
    """
    model = bz.Model(SIZES, rule=rule, error="reward", gain=5.0, **settings).for_task(task)
    engine = Engine(model, shape_of(task, 2), time_course(model, task), activity, "double", "trial")
    machine = engine.machine(True, EVERY)
    engine.machines = {True: machine}
    engine.put(initial_weights(model, np.random.default_rng(3)))
    with jax.enable_x64(True):
        trial, start = jax.jit(machine.trial), engine.kept(True, task.samples)

    def learned(payoffs):
        with jax.enable_x64(True):
            kept, values = trial(
                start, engine.given(task.inputs, payoffs), engine.fixed(engine.constants),
                engine.course, jax.random.key(1), 0)
            engine.take(kept, {}, 1)
        return engine, {name.split(".")[1]: np.asarray(values["look"][name]) for name in EVERY}

    return learned


def shown(rule, task, **settings):
    """An engine after a batch of a task and what `EVERY` held at its end."""
    return prepared(rule, task, **settings)(task.targets)


def in_full(net, targets):
    """Every variable of a network after every step, from its start: name -> (steps, n)."""
    names, seen = list(state_variables(net.built)), []
    net.restart(replace(net.data, targets=targets))
    net.look = lambda: seen.append([get_array(net.built, name) for name in names])
    net.advance(len(net.case.plastic))
    return {name: np.array(values, float) for name, values in zip(names, zip(*seen))}


@pytest.fixture(scope="module")
def sampled():
    """Many trials of one input: what was done, with which chances, and what was made of it."""
    payoffs = np.array([1.0, -0.5, 0.3, 0.0])
    return payoffs, shown("eprop", task_of(BATCH, payoffs, repeated=True), temperature=WARM)[1]


# ---------------------------------------------------------------------------- known answers

def test_actions_are_drawn_with_the_chances_of_the_policy(sampled):
    """One action a trial; chi-square of 6000 draws, below the 99.9 % quantile."""
    _, found = sampled
    policy = found["policy"][0]
    np.testing.assert_allclose(found["policy"], np.broadcast_to(policy, found["policy"].shape))
    assert policy.sum() == pytest.approx(1) and policy.min() > 0.02 and np.ptp(policy) > 0.1
    np.testing.assert_array_equal(found["action"].sum(axis=1), 1)
    assert set(np.unique(found["action"])) == {0, 1}
    counts = found["action"].sum(axis=0)
    statistic = np.sum((counts - BATCH*policy)**2/(BATCH*policy))
    assert statistic < chi2.ppf(0.999, len(policy) - 1), (counts, BATCH*policy)


def test_the_mean_of_the_sampled_error_is_the_gradient_of_the_expected_reward(sampled):
    """Descended, it raises the expected reward: within 4 standard errors, component by component.

    By numerical differentiation of sum_k p_k r_k, p = softmax(o/temperature).
    """
    payoffs, found = sampled
    o, step = WARM*np.log(found["policy"][0]), 1e-6

    def expected(o):
        chances = np.exp(o/WARM)
        return chances @ payoffs/chances.sum()

    gradient = np.array([(expected(o + step*unit) - expected(o - step*unit))/(2*step)
                         for unit in np.eye(len(o))])
    mean, spread = found["err"].mean(axis=0), found["err"].std(axis=0)/np.sqrt(BATCH)
    assert np.abs(gradient).max() > 20*spread.max(), "too few trials to tell"
    assert (np.abs(-mean - gradient) < 4*spread).all(), (-mean, gradient, spread)


def test_the_reward_is_that_of_the_action_and_the_baseline_its_running_mean(sampled):
    payoffs, found = sampled
    np.testing.assert_allclose(found["reward"], np.broadcast_to(
        (found["action"] @ payoffs)[:, None], found["reward"].shape))
    engine, found = shown("eprop", task_of(500, payoffs))
    kappa = float(engine.model.parameters["kappa_r"])
    np.testing.assert_allclose(engine.shared["error.baseline"],
                               kappa*found["reward"][:, 0].mean(), rtol=1e-12)


@pytest.mark.parametrize("rule", BOTH)
def test_what_other_actions_would_have_paid_changes_nothing(rule):
    """Every variable of a network, step by step and to the bit, whatever was not done would pay."""
    case = Case(rule, error="reward", plastic=(1, 1, 0, 1), sizes=(4, 3, 3, 4),
                values={"eta": 4.0} if rule == "reinforce" else {})
    data = draw(case)
    net = Network(case, data, lazy=False)
    net.built.network.add(b2.NetworkOperation(
        lambda: net.look(), clock=net.built["error"].clock, when="end", name="look"))
    first = in_full(net, data.targets)
    keep_code(net.built.network)
    taken = first["error.action"][case.steps - 1::case.steps] > 0.5
    np.testing.assert_array_equal(taken.sum(axis=1), 1)
    assert len(set(taken.argmax(axis=1))) > 1, "always the same action"
    scrambled = np.where(taken, data.targets, 7*np.random.default_rng(5).random(taken.shape) - 3)
    second = in_full(net, scrambled)
    for name in first.keys() - {"error.y"}:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    assert np.abs(first["error.y"] - second["error.y"]).max() > 1
    moved = np.abs(first["forward_1.w"][-1] - first["forward_1.w"][0]).max()
    assert moved == 0 if rule == "readout_only" else moved > 1e-4
    third = in_full(net, data.targets + taken)
    assert np.abs(first["forward_3.w"][-1] - third["forward_3.w"][-1]).max() > 1e-3


@pytest.mark.parametrize("rule", [rule for rule in BOTH if rule != "readout_only"])
def test_nor_does_it_in_a_batch(rule):
    payoffs = np.random.default_rng(1).random((60, SIZES[-1]))
    learned = prepared(rule, task_of(60, payoffs), "spikes")

    def after(payoffs):
        engine, found = learned(payoffs)
        return engine.weights, found

    first, found = after(payoffs)
    taken = found["action"] > 0.5
    other = np.where(taken, payoffs, 5*np.random.default_rng(2).random(payoffs.shape))
    second, again = after(other)
    np.testing.assert_array_equal(found["action"], again["action"])
    for name, weights in first.items():
        np.testing.assert_array_equal(weights, second[name], err_msg=name)
    third, _ = after(payoffs + taken)
    assert np.abs(first["forward_2.w"] - third["forward_2.w"]).max() > 1e-5


@pytest.mark.parametrize("rule", ["opzo", "eprop", "bp", "reinforce", "node_perturbation"])
def test_the_lazy_form_gives_the_numbers_of_the_dense(rule):
    case = Case(rule, error="reward", values={"eta": 4.0} if rule == "reinforce" else {})
    data = draw(case)
    dense, lazy = (Network(case, data, form) for form in (False, True))
    assert any(" lazy" in x.form or x.form == "w lazy"
               for x in lazy.built.assembly.synapses.values())
    states = []
    for net in (dense, lazy):
        net.advance(len(case.plastic))
        states.append(net.state())
    anew = dense.built.assembly.roles.anew  # what is owed to these is settled when they begin
    for name in (states[0].keys() & states[1].keys()) - anew:
        np.testing.assert_allclose(states[1][name], states[0][name], rtol=1e-9, atol=1e-9,
                                   err_msg=name)


# ---------------------------------------------------------------------------- learning

@pytest.mark.parametrize("rule", ["eprop", "reinforce"])
def test_a_bandit_is_learned_by_reward_alone(rule):
    """From chance, 25 %, to nine of ten best arms; the loss is the mean reward, less than 0."""
    task = tasks.bandit()
    run = bz.train(bz.Model([task.n_in, *task.hidden, task.n_out], rule=rule), task, trials=3000,
                   engine="rate", batch=8, rate=0.01, activity="spikes", progress=False,
                   evaluations=2)
    assert run.model.feedback == "reward" and run.test_accuracy > 0.9
    assert -0.8 < run.meta["test_loss"] < -0.5
    assert bz.Model(run.model.sizes, rule=rule).error is None


def test_the_loss_of_an_evaluation_is_less_the_reward():
    task = tasks.with_reward(tasks.xor(), "0.25")
    run = bz.train(bz.Model([4, 5, 2], rule="eprop"), task, trials=4, progress=False,
                   evaluations=1, backend="numpy", evaluation_trials=5)
    np.testing.assert_allclose(run.arrays["curve/loss"], -0.25)


# ---------------------------------------------------------------------------- tasks

def test_payoffs_are_those_of_the_class_of_a_function_or_of_a_text():
    plain = tasks.xor()
    default = tasks.with_reward(plain)
    np.testing.assert_array_equal(default.targets, plain.targets)
    assert (default.name, default.feedback) == ("xor_reward", "reward")
    assert "2 outputs (actions, by reward)" in repr(default)
    called = tasks.with_reward(plain, lambda sample, action: sample - 2*action, actions=3)
    np.testing.assert_array_equal(called.targets[:2], [[0, -2, -4], [1, -1, -3]])
    assert called.n_out == 3 and not called.labels.any()
    text = tasks.with_reward(plain, "int(action == label) - 0.5*action")
    np.testing.assert_allclose(text.targets, plain.targets - [0, 0.5])
    noisy = [tasks.with_reward(plain, "int(action == label) + randn()", best=plain.labels, seed=s)
             for s in (0, 0, 1)]
    np.testing.assert_array_equal(noisy[0].targets, noisy[1].targets)
    assert np.abs(noisy[0].targets - noisy[2].targets).min() > 0
    np.testing.assert_array_equal(noisy[2].labels, plain.labels)
    error = (noisy[0].targets - plain.targets).mean()  # of 1200 normal numbers
    assert abs(error) < 4/np.sqrt(plain.targets.size)


def test_two_choice_is_as_hard_as_it_says():
    """Summed up, inputs tell the direction as often as Phi(coherence/(noise*sqrt(2/units)))."""
    task = tasks.two_choice(coherences=(0.1,), train=8000)
    difference = task.inputs[:, 10:].sum(axis=1) - task.inputs[:, :10].sum(axis=1)
    right = ((difference > 0) == task.labels).mean()
    chance = 0.7720  # Phi(0.1/(0.3*sqrt(0.2)))
    assert abs(right - chance) < 4*np.sqrt(chance*(1 - chance)/task.samples)
    np.testing.assert_array_equal(task.targets, np.eye(2)[task.labels])


def test_arms_of_a_bandit_pay_as_often_as_they_should():
    task = tasks.bandit(contexts=3, arms=5, best=0.7, other=0.1, train=6000, noise=0)
    assert task.targets.shape[1] == 5 and set(np.unique(task.targets)) == {0, 1}
    context = task.inputs.reshape(-1, 3, 5).mean(axis=2).argmax(axis=1)
    best = [set(task.labels[context == c]) for c in range(3)]
    assert all(len(arms) == 1 for arms in best) and len(set.union(*best)) == 3
    is_best = np.eye(5)[task.labels] > 0.5
    for chosen, chance in ((is_best, 0.7), (~is_best, 0.1)):
        paid = task.targets[chosen]
        assert abs(paid.mean() - chance) < 4*np.sqrt(chance*(1 - chance)/len(paid))


# ---------------------------------------------------------------------------- refusals

@pytest.mark.parametrize("make, message", [
    (lambda: bz.Model(SIZES, rule="bptt", error="reward"), "no.*gradient|gradient of a loss"),
    (lambda: bz.Model(SIZES, rule="opzo", error="reward", local=True), "local.*leave them out"),
    (lambda: bz.Model(SIZES, rule="node_perturbation", error="reward", points="two"),
     "one action and one reward: use points='one'"),
    (lambda: bz.Model(SIZES, error="reward", c=0.5), "unknown parameter 'c'"),
    (lambda: bz.Model(SIZES, temperature=2.0), "error='reward', Model.*temperature=2.0"),
    (lambda: bz.Model(SIZES, error="graded").for_task(task_of(3, np.ones(4))),
     "only says what the action taken is worth.*leave error out"),
    (lambda: bz.Model([4, 5, 2], error="reward").for_task(tasks.xor()),
     "task xor shows the target.*with_reward"),
    (lambda: tasks.with_reward(tasks.bandit()), "its targets are payoffs already"),
    (lambda: tasks.with_reward(3), "takes a Task"),
    (lambda: tasks.with_reward(tasks.xor(), 3), "function of .*or a text, not 3"),
    (lambda: tasks.with_reward(tasks.xor(), "int(acton == 1)"), "'acton' is not known.*'action'"),
    (lambda: tasks.with_reward(tasks.xor(), "action +"), "no expression"),
    (lambda: tasks.with_reward(tasks.xor(), "exp(1, 2, 3, 4)"), "cannot be computed"),
    (lambda: tasks.with_reward(tasks.xor(), lambda sample: 1), "fails: TypeError"),
    (lambda: tasks.with_reward(tasks.xor(), "1/(action - action)"), "must be finite"),
    (lambda: tasks.with_reward(tasks.xor(), actions=1), "at least 2"),
    (lambda: tasks.with_reward(tasks.pattern_generation()), "have no class"),
    (lambda: tasks.xor().replace(feedback="rewards"), "'target' or 'reward'"),
    (lambda: tasks.pattern_generation().replace(feedback="reward"), "payoffs of at least 2"),
    (lambda: tasks.bandit(warmup=59*ms), "2 steps at least"),
    (lambda: tasks.two_choice(coherences=()), "coherences must list"),
    (lambda: tasks.two_choice(coherences=(2.0,)), "each of coherences"),
    (lambda: tasks.bandit(arms=1), "arms must be a whole number of at least 2"),
])
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
