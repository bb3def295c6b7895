"""A rule sees the neurons and synapses that it teaches: the way of its perturbation, its score."""

import re
import warnings

import numpy as np
import pytest
from brian2.utils.logger import catch_logs
from replay import draw
from test_equivalence import case_of, compare, spiking_run
from test_replay import OPTIONS

import bioopzo as bz
from bioopzo.errors import ModelWarning
from bioopzo.text.derivative import Kink, derivative, same
from bioopzo.text.equations import parse, substitute

SIZES = [6, 5, 4, 3]
M = bz.Model(SIZES)
RETYPED = {"u": "du/dt = (b + drive - u)/tau_m : 1"}
#: Excitatory and inhibitory neurons, after Dale: the sign is the neuron's, the size the synapse's.
DALE = {"hidden:S": "S : 1\nside : 1", "hidden.trial": "u = 0\nxbar = 0\nside = 1 - 2*int(i % 2)",
        "forward.spike": "u_post += abs(w)*side_pre",
        "forward_readout.spike": "o_post += abs(w)*side_pre"}
FILTERED = {"hidden:u": "du/dt = (b + drive + I - u)/tau_m : 1\ndI/dt = -I/(2*ms) : 1",
            "forward.spike": "I_post += 2*w"}
SLOWER = {"hidden_2": M.blocks["hidden_2"] + "\ndu/dt = (b + drive - u)/(2*tau_m) : 1",
          "readout:o": "do/dt = -o/(0.5*tau_o) : 1"}
TANH = {"p": "p = 0.5 + 0.5*tanh((u - theta)/Delta) : 1"}
CONDUCTANCES = {
    "hidden:u": "du/dt = (b + drive - u + h*(3 - u))/tau_m : 1\ndh/dt = -h/(5*ms) : 1",
    "forward.spike": "h_post += w"}
EDITS = {"retyped": RETYPED, "Dale": DALE, "a synaptic current": FILTERED, "slower": SLOWER,
         "a gain": {"forward.spike": "u_post += 0.7*w", "forward_readout.spike": "o_post -= -w"}}


def lines(model, block):
    return model.blocks[block].splitlines()


@pytest.mark.parametrize("rule, options", [
    (rule, options) for rule in ("opzo", "node_perturbation", "reinforce")
    for options in OPTIONS.get(rule, [{}])], ids=str)
@pytest.mark.parametrize("neuron", ["logistic", "exponential", "erf", "alif"])
def test_the_plain_network_keeps_its_rules_text(rule, options, neuron):
    """What is derived from unedited text is what the rule wrote, word for word."""
    model = bz.Model(SIZES, rule=rule, neuron=neuron, options=options)
    made = {line for text in model.rule.blocks.values() for line in text.splitlines()}
    mine = {line.strip() for line in made if line.strip().startswith(("push_", "dz", "drho"))}
    assert not model.obstacles
    assert (mine and mine <= {line for text in model.blocks.values() for line in text.splitlines()
                             }) or options.get("place") == "before"
    assert model.blocks == model.written


def test_a_retyped_membrane_keeps_its_perturbation():
    """As the notebooks print it, without '+ sigma*push': 91 % became 81 %, and check was silent."""
    assert M.edit(RETYPED).check().blocks == M.blocks
    assert M.edit({"readout:o": "do/dt = -o/tau_o : 1"}).blocks == M.blocks
    both = M.edit(u="du/dt = (b + drive - u)/tau_m + sigma*push : 1")
    assert both.blocks == M.blocks
    before = bz.Model(SIZES, place="before")
    assert before.edit(RETYPED).blocks == before.blocks


def test_what_passes_a_synapse_is_what_a_spike_does():
    model = M.edit(DALE).check()
    assert lines(model, "forward.hold") == ["push_post += abs(w)*side_pre*alpha*z_pre"]
    assert lines(model, "forward_readout.hold") == lines(model, "forward.hold")
    masked = bz.Model(SIZES, dropout=0.2)
    assert lines(masked, "forward.hold") == ["push_post += w*mask_pre*alpha*z_pre"]
    more = M.edit({"forward.spike": "w = 0.9*w\nu_post += w\nu_post -= 0.1*abs(w)"})
    assert lines(more, "forward.hold") == [
        "push_post += ((0.9*w) - 0.1*abs((0.9*w)))*alpha*z_pre"]
    one = bz.Model([4, 3, 3, 3, 2]).edit({"forward_2.spike": "u_post += abs(w)"})
    assert lines(one, "forward_2.hold") == ["push_post += abs(w)*alpha*z_pre"]
    assert lines(one, "forward.hold") == ["push_post += w*alpha*z_pre"]


def test_zbar_passes_the_membranes_in_force():
    model = M.edit(SLOWER).check()
    assert lines(model, "hidden_1") == [
        "dz1/dt = (-1/(2*memory*tau_m))*z1 + sigma*alpha*z : 1",
        "dzbar/dt = (-2.0/tau_o)*zbar + slope*z1 : 1"]
    assert "du/dt = (b + drive - u)/(2*tau_m) + sigma*push : 1" in lines(model, "hidden_2")
    current = M.edit(FILTERED).check()
    assert "dI/dt = -I/(2*ms) + sigma*push : 1" in lines(current, "hidden")
    assert not any("push" in line for line in lines(current, "hidden") if line.startswith("du"))
    assert "z1_I = 0" in lines(current, "hidden_1.trial")
    own = M.edit({"hidden_2": M.blocks["hidden_2"] + "\nslope = 2*rho0 : Hz"})
    assert "dzbar/dt = -zbar/tau_o + (2*rho0)*z1 : 1" in lines(own, "hidden_1")


def test_a_reset_shortens_what_zbar_passes():
    """Spikes that a perturbation causes take from it; where no spike resets, it stays for tau_m."""
    assert "dz1/dt = -z1/(memory*tau_m) + sigma*alpha*z : 1" in lines(M, "hidden_1")
    free = M.edit({"hidden.reset": "xbar += 1\ncount += 1"})
    assert "dz1/dt = -z1/tau_m + sigma*alpha*z : 1" in lines(free, "hidden_1")
    current = M.edit(FILTERED)
    assert lines(current, "hidden_1")[:2] == [
        "dz1/dt = -z1/(memory*tau_m) + z1_I/tau_m : 1",
        "dz1_I/dt = (-1/(2*ms))*z1_I + sigma*alpha*z : 1"]


@pytest.mark.parametrize("depth, least", [(2, 0.6), (3, 0.1)])
def test_feedback_points_downhill_in_every_layer(depth, least):
    """With zbar that stays for tau_m, M of the lowest of three layers was uphill: cos -0.43."""
    task = bz.tasks.digits()
    model = bz.Model([64, *[24] * depth, 10])
    run = bz.train(model, task, engine="rate", epochs=3, seed=11, evaluations=1, progress=False)
    found = bz.gradients.update_angle(run, batches=4)
    cosines = [found[f"forward_{layer}.w"][0] for layer in range(1, depth + 1)]
    assert min(cosines) > least, cosines


def test_conductances_get_the_filter_of_rest():
    """The perturbation is sent as spikes are; zbar passes what is linear where nothing arrives."""
    with pytest.warns(bz.errors.ModelWarning, match=r"du/dt of \[hidden_2\] for linear in u"):
        model = M.edit(CONDUCTANCES).check()
    assert "dh/dt = -h/(5*ms) + sigma*push : 1" in lines(model, "hidden")
    assert lines(model, "hidden_1") == [
        "dz1/dt = -z1/(memory*tau_m) + (3/tau_m)*z1_h : 1",
        "dz1_h/dt = (-1/(5*ms))*z1_h + sigma*alpha*z : 1",
        "dzbar/dt = -zbar/tau_o + slope*z1 : 1"]
    exponential = "du/dt = (b + drive - u + Delta*exp((u - theta)/Delta))/tau_m : 1"
    with pytest.warns(bz.errors.ModelWarning, match="for linear in u"):
        M.edit({"u": exponential}).check()


@pytest.mark.filterwarnings("ignore::bioopzo.errors.ModelWarning")
def test_a_network_of_conductances_learns():
    """One seed, half the trials of a comparison: far above what a readout alone learns."""
    model = bz.Model([64, 32, 32, 10]).edit(CONDUCTANCES)
    run = bz.train(model, bz.tasks.digits(), trials=1500, seed=5, evaluations=1, progress=False)
    assert run.test_accuracy > 0.8


def test_a_synapse_that_fails_needs_a_way_of_ones_own():
    """For the perturbation it was drawn once a hold; and Brian2 warned of the order of draws."""
    fails = {"forward.spike": "u_post += w*int(rand() < 0.7)"}
    with catch_logs() as said:
        bz.Model(SIZES, rule="bp").edit(fails).check()
        own = M.edit(fails | {"forward.hold": "push_post += 0.7*w*alpha*z_pre"}).check()
    assert said == [] and lines(own, "forward.hold") == ["push_post += 0.7*w*alpha*z_pre"]


@pytest.mark.parametrize("block, leaks, adds", [
    ("hidden.step", "u *= 0.95", "u += 0.05*randn()"),
    ("readout.step", "o = clip(o, -3, 3)", "o += 0.01*randn()")])
def test_it_is_said_where_a_statement_leaks_and_zbar_does_not(block, leaks, adds):
    had = M.blocks[block]
    with pytest.warns(ModelWarning, match=re.escape(
            f"zbar does not know of '{leaks}' in [{block}]")):
        M.edit({block: f"{had}\n{leaks}"}).check()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ModelWarning)
        M.edit({block: f"{had}\n{adds}"}).check()
        bz.Model(SIZES, rule="bp").edit({block: f"{bz.Model(SIZES, rule='bp').blocks[block]}\n"
                                                f"{leaks}"}).check()


def test_edits_of_the_way_itself_stay():
    """Who writes the way himself is believed, and other edits do not undo it."""
    own = {"forward.hold": "push_post += 3*w*alpha*z_pre",
           "hidden_1:zbar": "dzbar/dt = -zbar/tau_m + slope*z1 : 1"}
    model = M.edit(own).edit(DALE | SLOWER)
    assert lines(model, "forward.hold") == ["push_post += 3*w*alpha*z_pre"]
    assert "dzbar/dt = -zbar/tau_m + slope*z1 : 1" in lines(model, "hidden_1")


def test_another_rule_gets_its_own_way():
    """Through `replace` go the edits, not what was derived from them."""
    model = M.edit(DALE).replace(rule="bp").replace(rule="opzo")
    assert lines(model, "forward.hold") == ["push_post += abs(w)*side_pre*alpha*z_pre"]
    again = model.edit({"forward.spike": "u_post += 2*w"}).replace(form="momentum")
    assert lines(again, "forward.hold") == ["push_post += 2*w*alpha*z_pre"]


REFUSED = {
    "shunting": ({
        "hidden:u": "du/dt = (b + drive - u - h*u)/tau_m : 1\ndh/dt = -h/tau_m : 1",
        "forward.spike": "h_post += w"}, r"zbar cannot be derived: du/dt is not linear in h.*on u"),
    "a jump that depends on the membrane": (
        {"forward.spike": "u_post += w*(1.5 - u_post)"}, "depends on u_post, which moves while"),
    "a jump that depends on a trace": (
        {"forward.spike": "u_post += w*xbar_pre"}, "depends on xbar_pre, which moves while"),
    "a jump that depends on time": (
        {"forward.spike": "u_post += w*(1 + sin(t/tau_m))"}, "depends on t, which moves while"),
    "a jump that depends on the time of a neuron": (
        {"hidden:psi": "psi = 4*p*(1 - p) : 1\ntide = 1 + t_of_trial/tau_m : 1",
         "forward.spike": "u_post += w*tide_post"}, "depends on tide_post, which moves while"),
    "a jump that depends on the target being shown": (
        {"hidden:psi": "psi = 4*p*(1 - p) : 1\nopen = 1 + gate : 1",
         "forward.spike": "u_post += w*open_pre"}, "depends on open_pre, which moves while"),
    "a synapse that fails": ({"forward.spike": "u_post += w*int(rand() < 0.7)"},
                             "depends on rand, which moves while"),
    "a synapse with noise": (
        {"forward.spike": "u_post += w + 0.1*randn()"}, "depends on randn, which moves while"),
    "a membrane that is set": ({"forward.spike": "u_post = u_post + w"}, "a spike sets u_post"),
    "a membrane that is not linear": (
        {"u": "du/dt = (b + drive - u**3)/tau_m : 1"}, "du/dt is not linear in u"),
    "a leak with a condition": (
        {"readout:o": "do/dt = -o/tau_o*(1 + 0.1*int(o > 0.39)) + sigma*push : 1"},
        "do/dt is not linear in o"),
    "what has no equation": ({"forward.spike": "drive_post += w"}, "no differential equation"),
    "push set elsewhere": ({"hidden.step": M.blocks["hidden.step"] + "\npush = 0*Hz"},
                           "hidden.step: push carries the rule's perturbation"),
    "not handed on": ({"forward.hold": "w = clip(w, -1, 1)"}, "no longer handed on to hidden_2"),
    "never reset": ({"readout.hold": "push = push"}, "push is not set to 0"),
    "another sign": ({"u": "du/dt = (b + drive - u)/tau_m - sigma*push : 1"},
                     "the perturbation enters du/dt as"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_way_that_cannot_be_derived_is_refused(name):
    """By check and before a training, with the line; a rule without a perturbation runs it."""
    edits, says = REFUSED[name]
    with pytest.raises(bz.EquationError, match=says):
        M.edit(edits).check()
    with pytest.raises(bz.EquationError, match=says):
        bz.train(bz.Model([64, 4, 4, 10]).edit(edits), bz.tasks.digits(), trials=2, progress=False)
    if not any("push" in text or ".hold" in key for key, text in edits.items()):
        bz.Model(SIZES, rule="bp").edit(edits).check()


@pytest.mark.parametrize("rule", ["opzo", "node_perturbation"])
@pytest.mark.parametrize("name", EDITS)
def test_engines_agree_on_the_derived_way(name, rule):
    compare(case_of(rule, sizes=tuple(SIZES), plastic=(1, 1)), EDITS[name])


def test_engines_agree_with_noise_before_the_neuron():
    case = case_of("opzo", {"place": "before"}, sizes=tuple(SIZES), plastic=(1, 1))
    compare(case, RETYPED | SLOWER)
    middle = case_of("opzo", {"place": "before", "local": True, "intermediate": 2},
                     sizes=tuple(SIZES), plastic=(1, 1))
    assert "dzbar_mid/dt = -zbar_mid/tau_o + slope*z2 : 1" in lines(middle.model(), "hidden_1")
    compare(middle)


def test_zbar_is_what_the_readout_gets():
    """A readout of linear neurons is exactly the derived jump times zbar, summed."""
    case = case_of("opzo", sizes=(4, 5, 3), plastic=(1,), values={"eta_o": 0.0})
    edits = {key: text for key, text in DALE.items() if key != "forward.spike"} | {
        "readout:o": "do/dt = -o/(3*tau_o) : 1", "hidden.threshold": "S > 2"}
    _, found = spiking_run(case, draw(case), edits)
    w = found["forward_2.w"][0].reshape(5, 3)
    jump = np.abs(w)*found["hidden_1.side"][1][:, None]
    assert np.abs(found["readout.o"]).max() > 0.01
    np.testing.assert_allclose(found["readout.o"], found["hidden_1.zbar"] @ jump, atol=1e-10)


# ---------------------------------------------------------------------------- the score

SCORES = {"another psi": {"psi": "psi = exp(-abs(u - theta)/Delta) : 1"}, "tanh": TANH,
          "a floor": {"rho": "rho = rho0*(0.01 + p)**1.5 : Hz"},
          "another chance": {"hidden.chance": "chance = (1 - exp(-rho*dt))*(1 - 0.5*i/N)"}}


@pytest.mark.parametrize("name", SCORES)
def test_the_score_is_the_derivative_of_the_chance(name):
    """d log P(S)/du by finite differences of what is drawn; with an edited psi it was psi's."""
    model = bz.Model([4, 3, 2], rule="reinforce").edit(SCORES[name]).check()
    text = {line.name: line.right for block in ("hidden", "hidden.chance")
            for line in parse(model.blocks[block]) if line.kind in ("subexpression", "statement")}
    moved = {"up": "(u + 1e-6)", "down": "(u - 1e-6)"}
    ends = {f"{word}_{way}": substitute(right, {"u": u, **{x: f"{x}_{way}" for x in text}})
            for way, u in moved.items() for word, right in text.items()}
    rate = "(chance_up - chance_down)/2e-6/chance*(S/chance - 1)/(1/chance - 1)/dt"
    assert same("score", rate, {**text, **ends}, {"dt": 1e-3, "i": 3.0, "N": 7.0, "rho0": 300.0},
                1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_engines_agree_on_the_score(name):
    compare(case_of("reinforce", plastic=(1, 1)), SCORES[name])


def test_a_surrogate_does_not_move_the_score():
    plain = bz.Model([4, 3, 2], rule="reinforce")
    assert "drho = slope*psi : Hz" in lines(plain, "hidden")
    for other in (bz.Model([4, 3, 2], rule="reinforce", surrogate="localzo"),
                  plain.edit(SCORES["another psi"])):
        text = {line.name: line.right for line in parse(other.blocks["hidden"])
                if line.kind == "subexpression"}
        assert "psi" not in text["drho"]
        assert same(text["drho"], "rho0*p*(1 - p)/Delta", text, {})


@pytest.mark.parametrize("edits, says", [
    ({"p": "p = int(u > theta) : 1"}, "needs the derivative of the hazard by u.*jumps"),
    ({"hidden.step": "S = int(u > theta)"}, "a spike is not drawn by"),
    ({"rho": "rho = 20*Hz : Hz"}, "the hazard does not depend on u"),
    # Silent before: the chance that is drawn from was another than that of the score.
    ({"hidden.step": "chance *= 0.5\nS = int(rand() < chance)"}, "changes chance after"),
    ({"hidden.step": "S = int(rand() < chance)\nu += 0.1*randn()"}, "(?s)changes u after.*sample"),
    ({"hidden": bz.Model([4, 3, 2], rule="reinforce").blocks["hidden"] + "\ncalm : 1",
      "rho": "rho = rho0*p/(1 + calm) : Hz",
      "hidden.step": "calm = 0.9*calm + S\nS = int(rand() < chance)"}, "changes calm after")])
def test_a_score_that_cannot_be_formed_is_refused(edits, says):
    with pytest.raises(bz.EquationError, match=says):
        bz.Model([4, 3, 2], rule="reinforce").edit(edits).check()


@pytest.mark.parametrize("text", [
    "1/(1 + exp(-u))", "clip(u, -0.5, 0.5)**2", "exp(-abs(u)/k)*u", "u**3/(k + u**2)", "k**u",
    "sqrt(1 + u**2) - log1p(u**2)", "erf(u)*tanh(2*u)", "-(-u)", "sin(u)*cos(k*u)", "arctan(u)"])
def test_derivatives_are_those_of_finite_differences(text):
    up, down = (substitute(text, {"u": f"(u {sign} 1e-6)"}) for sign in "+-")
    for u in np.linspace(-2, 2, 9) + 0.013:
        assert same(derivative(text, "u", {}), f"(({up}) - ({down}))/2e-6", {},
                    {"u": float(u), "k": 1.3}, 1e-5)


def test_a_derivative_that_is_none_says_so():
    for text in ("int(u > 0)", "floor(u)", "clip(k, u, 1)", "u % 1"):
        with pytest.raises(Kink):
            derivative(text, "u", {})


@pytest.mark.compiled
def test_opzo_learns_with_a_retyped_membrane():
    """The same numbers, in fact."""
    task = bz.tasks.digits()
    runs = [bz.train(model, task, trials=30, seed=1, evaluations=1, progress=False) for model in (
        bz.Model([64, 16, 16, 10]), bz.Model([64, 16, 16, 10]).edit(RETYPED))]
    assert runs[0].test_accuracy == runs[1].test_accuracy
    np.testing.assert_array_equal(runs[0].final["feedback_1.M"], runs[1].final["feedback_1.M"])
