"""BPTT: the rate engine's gradient of a trial's loss, against differences and other rules."""

import numpy as np
import pytest
from brian2 import Hz, ms

import bioopzo as bz
from bioopzo.engines.rate.feed import presented
from bioopzo.engines.rate.settings import open_engine, settings
from bioopzo.errors import InputError
from bioopzo.measures.rate import freeze, update_angle
from bioopzo.training.start import initial_weights

XOR = bz.tasks.xor()
QUIET = {"evaluations": 1, "progress": False, "engine": "rate"}
NETWORKS = {"layers": dict(sizes=[4, 5, 4, 2]),
            "recurrent": dict(sizes=[4, 6, 2], recurrent=True, p=0.7, delay=2*ms),
            "edited": dict(sizes=[4, 5, 4, 2])}
HAD = bz.Model([4, 5, 4, 2], rule="bptt").blocks
#: What spikes raise and the hazard reads, a statement of each step, a membrane that reads a trace.
EDITS = {"edited": {
    "hidden": f"{HAD['hidden']}\na : 1\nslow : 1", "rho": "rho = rho0*p**1.5/(1 + a) : Hz",
    "hidden.reset": f"{HAD['hidden.reset']}\na += 0.3",
    "hidden.step": f"{HAD['hidden.step']}\nslow = 0.9*slow + 0.1*S",
    "hidden.trial": f"{HAD['hidden.trial']}\na = 0\nslow = 0",
    "u": "du/dt = (b + drive - u - slow - 0.2*xbar)/tau_m : 1"}}


def trained(network, epochs=2, **more):
    model = bz.Model(**NETWORKS[network], rule="bptt").edit(EDITS.get(network, {}))
    return bz.train(model, XOR, seed=4, epochs=epochs, precision="double", **QUIET, **more)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_gradient_is_that_of_the_loss(network):
    """Of expected activity, resets, delays and recurrence included: central differences, 1e-6."""
    run = trained(network)
    assert not run.final["forward_1.gradient"].any(), "a trial's gradient ends with it"
    frozen = freeze(run, batches=1, batch=8)
    engine, samples = frozen.engine, frozen.samples[:8]
    inputs, targets = frozen.inputs[samples], frozen.targets[samples]
    changes, _ = engine.changes(inputs, targets)
    values = engine.model.parameters
    rng = np.random.default_rng(0)

    def loss():
        return engine.evaluate(inputs, targets)[1].sum(axis=1).mean()

    for key, change in changes.items():
        if not key.endswith(".w"):
            continue
        rate = float(values["eta_o" if key == "forward_3.w" or (
            key == "forward_2.w" and network == "recurrent") else "eta"] * values["tau_m"])
        kept = np.array(engine.weights[key])
        there = np.argwhere(change != 0)
        for place in map(tuple, rng.choice(there, 4)):
            found = []
            for step in (1e-5, -1e-5):
                engine.weights[key] = kept.copy()
                engine.weights[key][place] += step
                found.append(loss())
            engine.weights[key] = kept
            slope = (found[0] - found[1]) / 2e-5
            assert -change[place] / rate == pytest.approx(slope, rel=1e-5, abs=1e-9), (key, place)


def test_it_learns_with_spikes_and_against_other_rules_tells_their_angle():
    """Backpropagation through space points where the gradient does, the more the higher up."""
    digits = bz.tasks.digits()
    run = bz.train(bz.Model([64, 24, 24, 10], rule="bptt"), digits, seed=5, epochs=2,
                   rate=5e-3, activity="spikes", **QUIET)
    assert run.test_accuracy > 0.7
    smooth = bz.train(bz.Model([64, 24, 24, 10]), digits, seed=5, epochs=4, **QUIET)
    angles = {rule: update_angle(smooth, None if rule == "opzo" else
                                 bz.gradients.reference(smooth, rule), batches=4,
                                 against="bptt") for rule in ("bp", "opzo")}
    assert angles["bp"]["forward_3.w"][0] > 0.9
    assert angles["bp"]["forward_2.w"][0] > 0.7
    assert angles["opzo"]["forward_2.w"][0] > 0.5


def test_the_spiking_engine_and_its_text_say_what_it_is():
    model = bz.Model([4, 3, 2], rule="bptt").check()
    assert "w -= eta*tau_m*gradient" in repr(model)
    with pytest.raises(InputError, match="only the rate engine computes: use engine='rate'"):
        bz.train(model, XOR, trials=4, progress=False)
    slower = model.edit({"forward.trial": "w -= eta*tau_m*clip(gradient, -0.1, 0.1)"})
    run = bz.train(slower, XOR, seed=1, epochs=1, **QUIET)
    assert np.isfinite(run.final["forward_1.w"]).all()


def test_the_derivative_of_a_spike_is_that_of_its_chance_and_none_while_a_neuron_waits():
    """It was that of the hazard times dt, up to e times as much where a neuron fires a lot."""
    task = bz.tasks.xor(dt=2*ms)
    model = bz.Model([4, 60, 2], rule="bptt", rho0=1000*Hz, b=2.0, coding="current",
                     refractory=3*task.dt).for_task(task)
    engine = open_engine(model, task, settings(activity="spikes", precision="double", batch=4), 3)
    engine.put(initial_weights(model, np.random.default_rng(6)))
    inputs, targets = presented(task)
    found = engine.trial(inputs[:4], targets[:4], record=(
        "hidden_1.chance", "hidden_1.S", "hidden_1.dS_du"))
    chance, slope = found["hidden_1.chance"], found["hidden_1.dS_du"]
    spikes = found["hidden_1.S"] > 0
    waits = np.zeros_like(spikes)
    waits[1:] |= spikes[:-1]
    waits[2:] |= spikes[:-2]
    assert spikes.shape[0] == task.steps and spikes.sum() > 100
    assert not slope[waits].any() and slope[~waits].all()
    dt, rho0, Delta = float(task.dt), 1000.0, float(model.parameters["Delta"])
    p = -np.log(1 - chance)/(rho0*dt)
    above = Delta*np.log(p/(1 - p))  # u - theta

    def chances(u):
        return 1 - np.exp(-rho0*dt/(1 + np.exp(-u/Delta)))

    seen = (p > 1e-6) & (p < 1 - 1e-6) & ~waits
    difference = (chances(above + 1e-6) - chances(above - 1e-6))[seen]/2e-6
    assert chance.max() > 0.6 and seen.sum() > 1000
    np.testing.assert_allclose(slope[seen], difference, rtol=1e-5)


def test_with_spikes_the_gradient_passes_what_a_spike_does():
    """Resets, raised thresholds, refractory times: against derivatives carried forwards by hand.

    They were taken for given: the gradient did not see what an adaptive neuron remembers, and was
    zero where neurons wait after a spike.
    """
    task = bz.tasks.xor(duration=24*ms, warmup=8*ms)
    model = bz.Model([4, 12, 2], rule="bptt", neuron="alif", coding="current", tau_a=30*ms, b=0.8,
                     refractory=3*task.dt).for_task(task)
    engine = open_engine(model, task, settings(activity="spikes", precision="double", batch=4,
                                              optimizer="sgd"), 3)
    engine.put(initial_weights(model, np.random.default_rng(6)))
    inputs, targets = (values[:4] for values in presented(task))
    weights = {key: np.array(value) for key, value in engine.weights.items()}
    names = ("hidden_1.S", "hidden_1.dS_du", "readout.o", "hidden_1.not_refractory")
    found = engine.trial(inputs, targets, record=names)
    S, slope, o, free = (found[name] for name in names)
    free = np.logical_or(S, free)  # as it was before a spike
    moved = np.asarray(engine.weights["forward_1.w"]) - weights["forward_1.w"]
    value, dt = {k: float(v) for k, v in model.parameters.items()}, float(task.dt)
    keeps = {tau: np.exp(-dt/value[tau]) for tau in ("tau_m", "tau_a", "tau_o")}
    rng, ratios = np.random.default_rng(1), []
    for _ in range(3):
        V = rng.normal(size=(4, 12))
        du, da, do, seen, change = 0, 0, 0, 0, 0
        for k in range(task.steps):
            after = du*keeps["tau_m"] + value["input_gain"]*(inputs @ V)*(1 - keeps["tau_m"])
            du, da = np.where(free[k], after, du), da*keeps["tau_a"]
            spikes = slope[k]*(du - da)
            du, da = du - value["theta"]*spikes, da + value["beta"]*spikes
            do, seen = do*keeps["tau_o"], seen*keeps["tau_o"]  # the error comes before the spikes
            share = np.exp(seen)/np.exp(seen).sum(axis=-1, keepdims=True) if k else 0.5
            change = change + task.mask[k]*((share - targets)*do).sum()
            do, seen = do + spikes @ weights["forward_2.w"], seen + S[k] @ weights["forward_2.w"]
            np.testing.assert_allclose(seen, o[k], atol=1e-9)
        ratios.append(-change/np.vdot(moved, V))
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)
    assert ratios[0] > 0
