"""What must hold for any learning rule, and answers known without a simulation."""

import functools
from dataclasses import replace

import brian2 as b2
import numpy as np
import pytest
from replay import BOTH, Case, Network, Protocol, draw, permuted

import bioopzo as bz
from bioopzo.engines.spiking import backends
from bioopzo.engines.spiking.build import assemble
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.engines.spiking.numbers import TRAINING, keys
from bioopzo.network.clock import Shape, time_course
from bioopzo.network.spread import constants
from bioopzo.training.start import initial_weights

RULES = BOTH
#: Rules whose hidden weights follow the error; the others follow the trial's loss.
ERROR_DRIVEN = [name for name in RULES
                if name not in ("reinforce", "node_perturbation", "rstdp")]
GENTLE = {"eta": 4.0, "eta_o": 10.0}


@functools.cache
def network(rule):
    """One small network per rule, built once; every test starts with `restart`."""
    case = Case(rule, values=GENTLE)
    return Network(case, draw(case))


def weights(state, kinds=("w", "M", "B")):
    return {k: v for k, v in state.items() if k.split(".")[1] in kinds}


def moved(net, kinds=("w", "M", "B")):
    """How far each weight matrix is from where it started."""
    start = weights(net.start, kinds)
    start.update({f"forward_{k}.w": w.ravel() for k, w in enumerate(net.data.weights, 1)})
    if net.model.rule.feedback_scale:
        start.update({f"feedback_{k}.{net.model.rule.matrix}": F.ravel()
                      for k, F in enumerate(net.data.feedback, 1)})
    return {k: np.abs(v - start[k]).max() for k, v in weights(net.state(), kinds).items()}


# ---------------------------------------------------------------------------- invariants

@pytest.mark.parametrize("rule", RULES)
def test_no_learning_rate_no_learning(rule):
    """With eta = eta_o = 0 and no decay, plastic trials keep every bit of the forward weights."""
    net = network(rule).restart()
    for name in ("eta", "eta_o", "decay"):
        net.set(name, 0.0)
    net.advance(6)
    assert sum(net.state()["hidden_2.count"]) > 20
    assert set(moved(net, ("w",)).values()) == {0.0}


@pytest.mark.parametrize("rule", RULES)
def test_evaluation_changes_no_weight(rule):
    """Trials with plasticity off keep every weight and feedback weight, bit for bit."""
    net = network(rule).restart(plastic=(1, 1, 0, 0, 0, 0))
    net.advance(3)  # the third settles what the second left pending
    before = weights(net.state())
    assert moved(net)["forward_3.w"] > 1e-3
    spikes = net.state()["hidden_2.count"].sum()
    net.advance(3)
    assert net.state()["hidden_2.count"].sum() > spikes
    for name, value in weights(net.state()).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


@pytest.mark.parametrize("rule", ERROR_DRIVEN)
def test_no_error_no_learning(rule):
    """Without an error no forward weight moves, though feedback learned from noise may."""
    case = Case(rule, values={"decay": 0.0})
    net = Network(case, draw(case), edits={"err": "err = 0*y : 1"})
    net.advance(6)
    assert set(moved(net, ("w",)).values()) == {0.0}
    feedback = moved(net, ("M", "B"))
    if rule == "opzo":
        assert min(feedback.values()) > 1e-3
    else:
        assert not feedback or max(feedback.values()) == 0


@pytest.mark.parametrize("rule", RULES)
def test_order_of_neurons_is_arbitrary(rule):
    """Hidden neurons in another order, with their numbers, give the same network reordered."""
    net = network(rule)
    data, orders = draw(net.case), [np.array([3, 0, 4, 1, 2]), np.array([2, 3, 1, 0])]
    net.restart(data).advance(6)
    straight = net.state()
    net.restart(permuted(net.case, data, orders)).advance(6)
    mixed = net.state()
    net.restart(data)
    layers = [np.arange(6), *orders, np.arange(3)]
    for k in (1, 2, 3):
        shape = net.case.sizes[k - 1], net.case.sizes[k]
        expected = straight[f"forward_{k}.w"].reshape(shape)[np.ix_(layers[k - 1], layers[k])]
        np.testing.assert_allclose(mixed[f"forward_{k}.w"].reshape(shape), expected, atol=1e-10)
    for k in (1, 2):
        for name in ("u", "count"):
            np.testing.assert_allclose(mixed[f"hidden_{k}.{name}"],
                                       straight[f"hidden_{k}.{name}"][orders[k - 1]], atol=1e-10)
    assert np.abs(mixed["forward_2.w"] - straight["forward_2.w"]).max() > 0.1


@pytest.mark.parametrize("rule, state_reset", [
    ("opzo", True), ("opzo", False), ("reinforce", False), ("dfa", False)])
def test_chunks_do_not_show(rule, state_reset):
    """A run cut into chunks of 1, 3 and 2 trials is the uncut run, bit for bit."""
    net = network(rule)
    if not state_reset:
        case = replace(net.case, state_reset=False, refractory=0.003 * (rule == "dfa"))
        net = Network(case, draw(case))
    net.restart().advance(6)
    whole, spikes, decisions = net.state(), net.spikes, net.read("decision")
    net.restart()
    for trials in (1, 3, 2):
        net.advance(trials)
    cut = net.state()
    assert net.spikes == spikes and len(spikes) > 50
    np.testing.assert_array_equal(net.read("decision"), decisions)
    for name, value in whole.items():
        if not name.startswith("trial.") and not name.endswith(".lastspike"):
            np.testing.assert_array_equal(cut[name], value, err_msg=name)


def test_same_seed_same_bits():
    """Training repeats exactly with its seed, and differs with another."""
    task = bz.tasks.xor().replace(splits={
        "train": np.arange(8), "validation": np.arange(0), "test": np.arange(8, 10)})
    model = bz.Model([4, 5, 2], rule="opzo", b=1.0)

    def run(seed):
        return bz.train(model, task, trials=2, seed=seed, backend="numpy", evaluations=1,
                        progress=False).arrays

    first, again, other = run(3), run(3), run(4)
    assert set(first) == set(again)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name], err_msg=name)
    assert not np.array_equal(first["final/forward_2.w"], other["final/forward_2.w"])
    assert not np.array_equal(first["final/hidden_1.count"], other["final/hidden_1.count"])


def lazy_and_dense(backend, case, trials, edits=None):
    """Weights after the same trials with the event-driven and with the dense plasticity."""
    model, shape = case.model().edit(edits or {}), Shape(case.steps, case.dt, False, trials)
    rng = np.random.default_rng(5)
    tables = {"schedule": (np.arange(trials) < trials - 1).astype(float),
              "stimulus": rng.random((trials, case.sizes[0])),
              "target": np.eye(case.sizes[-1])[rng.integers(case.sizes[-1], size=trials)],
              "course": time_course(model, Protocol(case)),
              "trials_before": np.arange(trials),
              "trial_key": keys(11, TRAINING, np.arange(trials))}
    start = initial_weights(model, rng)
    outcomes = []
    for lazy in (True, False):
        assembly = assemble(model, shape.duration, False, lazy)
        assert lazy == ("lazy" in assembly.synapses[f"forward_{case.depth + 1}"].form)
        engine = backends.open_backend(backend, model, shape, lazy=lazy)
        outcome = engine.run(Chunk(
            trials, {**engine.start, **start}, constants(assembly, model, shape), tables))
        outcomes.append(outcome.state)
    last = f"forward_{case.depth + 1}.w"
    assert np.abs(outcomes[0][last] - start[last]).max() > 1e-3
    return outcomes


def agree(lazy, dense, tolerance):
    for name, value in lazy.items():
        if name.split(".")[1] in ("w", "M", "B", "count", "u", "o"):
            np.testing.assert_allclose(dense[name], value, rtol=tolerance, atol=tolerance,
                                       err_msg=name)


@pytest.mark.parametrize("rule, tolerance", [
    ("opzo", 1e-12), ("node_perturbation", 1e-12), ("bp", 1e-12), ("dkp", 1e-12), ("eprop", 1e-12),
    ("reinforce", 1e-10)])  # the score of a spike that came against the odds is large
def test_lazy_is_dense(rule, tolerance):
    """The event-driven form is the dense rule over 12 trials with spikes of its own."""
    agree(*lazy_and_dense("numpy", Case(rule, values={"eta": 2.0, "eta_o": 5.0}), 13), tolerance)


@pytest.mark.parametrize("statements", [
    "u_post += w\nw = clip(w, -0.4, 0.4)", "w = clip(w, -0.4, 0.4)\nu_post += w",
    "u_post += w\nw *= 0.97", "u_post += w\nw = 0.9*w + 0.01", "w /= 1.02\nu_post += abs(w)",
    "u_post += w\nw = w > 0.2",
    "u_post += w\nw += 0.001\nw = clip(w, -0.5, 0.5)\nw -= 0.002*w"])
def test_statements_on_a_weight_at_spikes_act_on_the_weight_in_force(statements):
    """A bound or a scaling of w acted on what is kept of it: the digits ended at 13.6, not 81 %."""
    edits = {"forward.spike": statements}
    case = Case("opzo", values={"eta": 2.0, "eta_o": 5.0})
    agree(*lazy_and_dense("numpy", case, 9, edits), 1e-11)


@pytest.mark.compiled
@pytest.mark.parametrize("backend, case", [
    ("standalone", Case("opzo", sizes=(4, 4, 3), coding="poisson", neuron="erf", refractory=0.002,
                        values={"eta": 2.0, "eta_o": 5.0})),
    ("cython", Case("readout_only", sizes=(3, 3, 2), values={"eta_o": 5.0}))],
    ids=["standalone", "cython"])
def test_lazy_is_dense_in_compiled_code(backend, case, monkeypatch):
    """As above in one C++ program, and in Cython (the smallest network: it compiles slowly)."""
    monkeypatch.setenv("PLAT", "")  # setuptools sets it while Cython compiles; gone afterwards
    arguments = b2.prefs.codegen.cpp.extra_compile_args_gcc
    b2.prefs.codegen.cpp.extra_compile_args_gcc = ["-O0", "-w"]
    try:
        agree(*lazy_and_dense(backend, case, 21), 1e-12)
    finally:
        b2.prefs.codegen.cpp.extra_compile_args_gcc = arguments


# ---------------------------------------------------------------------------- known answers

def test_trace_and_membrane_of_given_spikes():
    """Traces and membranes after spikes at known times are sums of exponentials."""
    case = Case("readout_only", sizes=(2, 2, 2), coding="spikes", plastic=(0,),
                values={"rho0": 1e-9, "b": 0.4})
    spikes = np.zeros((60, 2))
    spikes[10, 0] = spikes[[20, 41], 1] = 1
    net = Network(case, replace(draw(case), inputs=spikes))
    net.advance(1)
    tau, state = case.parameters["tau_m"], net.state()
    decay = np.array([np.exp(-0.049 / tau), np.exp(-0.039 / tau) + np.exp(-0.018 / tau)])
    np.testing.assert_allclose(state["input.xbar"], decay, rtol=1e-12)
    rest = 0.4 * (1 - np.exp(-0.060 / tau))
    np.testing.assert_allclose(state["hidden_1.u"], rest + decay @ net.data.weights[0], rtol=1e-12)
    assert not net.spikes


@pytest.mark.parametrize("form, values, low, high", [
    ("lms", {"mu": 0.15}, 0.97, 1.03), ("momentum", {"n_M": 1e6}, 0.97, 1.03)])
def test_feedback_learns_the_jacobian(form, values, low, high):
    """M of the last hidden layer becomes the readout's weights: cos > .99, norm within 3 %."""
    case = Case("opzo", {"form": form}, sizes=(3, 6, 3), steps=20, warmup=0, plastic=(1,) * 300,
                values={"eta": 0.0, "eta_o": 0.0, "tau_m": 0.004, "tau_o": 0.002, "T_z": 0.01,
                        "T_w": 0.006, "alpha": 600.0, "rho0": 300.0, **values})
    net = Network(case, draw(case, seed=2))
    net.advance(300)
    state = net.state()
    assert state["hidden_1.count"].min() > 30
    M, w = state["feedback_1.M"].reshape(3, 6), state["forward_2.w"].reshape(6, 3).T
    assert np.sum(M * w) / np.linalg.norm(M) / np.linalg.norm(w) > 0.99
    assert low < np.linalg.norm(M) / np.linalg.norm(w) < high


#: A hidden neuron that sends its chance to spike each step instead of a spike: differentiable.
GRADED = {
    "hidden.threshold": "S > -1", "hidden.reset": "xbar += S\ncount += S",
    "forward_readout.spike": "o_post += w*S_pre", "hidden_1.step": "S = 1 - exp(-rho*dt)",
}
#: Filters much faster than the trial: the loss is read in the steady state.
STEADY = {"tau_m": 0.003, "tau_o": 0.002, "alpha": 5.0, "T_z": 0.02, "T_w": 0.005, "kappa": 1e-12,
          "eta": 1e-5, "eta_o": 0.0, "mu": 0.5, "n_M": 1e9}
PATTERNS = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T


def graded(rule, options, perturbations, values=None):
    """A deterministic 3-3-3 network, one trial per given z; the input is the same in all."""
    trials = len(perturbations) + 1
    case = Case(rule, {"distribution": "gaussian", **options}, sizes=(3, 3, 3),
                plastic=(1,) * (trials - 1) + (0,), values={**STEADY, **(values or {})})
    data = draw(case, seed=4)
    held = np.repeat(np.append(perturbations, np.zeros((1, 3)), axis=0), case.steps, axis=0)
    same = {"inputs": np.repeat(data.inputs[:1], trials, axis=0),
            "targets": np.repeat(data.targets[:1], trials, axis=0)}
    return Network(case, replace(data, held=[held], **same), edits=GRADED)


@functools.cache
def descent():
    """-dL/dw by chain rule with dL/ds from central differences: -x_i psi_j (dL/ds_j)/tau_o."""
    size = 0.5
    z = np.concatenate([size * np.eye(3), -size * np.eye(3)])
    net = graded("node_perturbation", {"points": "one"}, z, {"eta": 0.0})
    net.advance(7)
    loss = net.read("cost").sum(axis=1)[1:]
    slope = (loss[:3] - loss[3:]) / (2 * size * STEADY["alpha"])
    p = 1 / (1 + np.exp(-(net.state()["hidden_1.u"] - 1) / 0.25))
    psi = 4 * p * (1 - p)
    return -np.outer(net.data.inputs[0], psi * slope / STEADY["tau_o"])


@pytest.mark.parametrize("points", ["one", "two"])
def test_node_perturbation_follows_the_loss(points):
    """Its mean update over all 8 sign patterns is eta*T times steepest descent, within 1.5 %."""
    net = graded("node_perturbation", {"points": points}, PATTERNS)
    net.advance(9)
    change = net.state()["forward_1.w"].reshape(3, 3) - net.data.weights[0]
    _same(change / (len(PATTERNS) * STEADY["eta"] * 0.04), descent())


@pytest.mark.parametrize("form", ["lms", "momentum"])
def test_opzo_follows_the_loss(form):
    """Once M has learned, the update is eta*T times steepest descent, within 1.5 %."""
    z = np.concatenate([np.tile(PATTERNS, (6, 1)), PATTERNS[:1]])  # to learn M, then one more
    net = graded("opzo", {"form": form}, z)
    net.set("eta", 0.0)
    net.advance(len(z) - 1)
    M = net.state()["feedback_1.M"].reshape(3, 3)
    np.testing.assert_allclose(M, net.data.weights[1].T, atol=0.02)
    net.set("eta", STEADY["eta"])
    net.advance(2)
    change = net.state()["forward_1.w"].reshape(3, 3) - net.data.weights[0]
    _same(change / (STEADY["eta"] * 0.04), descent())


def _same(mine, theirs):
    assert np.abs(theirs).max() > 0.01
    np.testing.assert_allclose(mine, theirs, atol=0.015 * np.abs(theirs).max())
