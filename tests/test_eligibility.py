"""Words of a rule that the neuron's file gives their meaning: eligibility, sensitivity, threshold.

For a leaky neuron they are the trace and psi, word for word, so that nothing changes; for a neuron
with a state of its own they are what its file says, in every projection onto such a neuron.
"""

import pytest
from brian2 import ms

import bioopzo as bz
from bioopzo.measures.rate import update_angle
from bioopzo.network.table import Network
from bioopzo.text.equations import parse

SIZES = [4, 3, 3, 2]
LEAKY = ("logistic", "exponential", "erf", "deterministic")
PLAIN = {"eligibility": "xbar_pre*psi_post", "sensitivity": "xbar_pre"}
EPSILON = "depsilon/dt = -epsilon/tau_a + beta*slope_post*psi_post*(xbar_pre - epsilon) : 1"
OLD = {"forward": "dw/dt = -eta*xbar_pre*psi_post*g_post : 1"}


@pytest.mark.parametrize("neuron", LEAKY)
@pytest.mark.parametrize("rule", bz.rules.available())
def test_for_a_leaky_neuron_the_emitted_text_is_that_of_trace_and_psi(rule, neuron):
    if rule == "reinforce" and neuron == "deterministic":
        pytest.skip("has no hazard")
    model = bz.Model(SIZES, rule=rule, neuron=neuron)
    text = model.rule.blocks.get("forward", "dw/dt = -eta*eligibility*g_post : 1")
    for word, meaning in PLAIN.items():
        text = text.replace(word, meaning)
    spelled = model.edit({f"forward:{line.name}": str(line) for line in parse(text)})
    assert spelled.blocks == model.blocks
    assert not set(PLAIN) & set(" ".join(model.blocks.values()).replace("*", " ").split())
    if rule != "bptt":
        assert spelled.equations(60*ms) == model.equations(60*ms)


def test_the_plain_rules_stay_lazy():
    for rule, form in (("bp", "w lazy"), ("opzo", "w lazy"), ("eprop", "w lazy, ebar lazy")):
        assert form in bz.Model(SIZES, rule=rule).equations(60*ms)["forward_2"]


@pytest.mark.parametrize("rule, options, line", [
    ("bp", {}, "dw/dt = -eta*eligibility*g_post : 1"),
    ("opzo", {}, "dw/dt = -eta*eligibility*g_post : 1"),
    ("opzo", {"place": "before"}, "dw/dt = -eta*sensitivity*g_post : 1"),
    ("eprop", {}, "debar/dt = (eligibility - ebar)/tau_o : 1"),
    ("dkp", {}, "dw/dt = -eta*eligibility*g_post - decay*w : 1"),
    ("dfa", {"local": True}, "dw/dt = -eta*eligibility*(g_post + zeta*g_local_post) : 1"),
    ("node_perturbation", {}, "dE/dt = sensitivity*f_post : second"),
    ("reinforce", {}, "dE/dt = sensitivity*score_post - E/tau_e : 1")])
def test_every_rule_reads_the_adaptive_neurons_eligibility(rule, options, line):
    model = bz.Model(SIZES, rule=rule, neuron="alif", options=options).check()
    lines = model.blocks["forward"].splitlines()
    assert line in lines and EPSILON in lines
    assert "sensitivity = xbar_pre - epsilon : 1" in lines
    assert ("eligibility = sensitivity*psi_post : 1" in lines) == ("eligibility" in line)
    assert "epsilon = 0" in model.blocks["forward.trial"]
    carried = bz.Model(SIZES, rule=rule, neuron="alif", options=options, state_reset=False)
    assert "epsilon" not in carried.blocks.get("forward.trial", "")


def test_a_control_keeps_no_eligibility():
    assert "forward.trial" not in bz.Model(SIZES, rule="readout_only", neuron="alif").blocks


def test_psi_of_rule_and_surrogate_follow_the_threshold():
    def psi(**more):
        return bz.Model(SIZES, **more).blocks["hidden"]

    assert "abs(u - (theta + a))/theta" in psi(rule="eprop", neuron="alif")
    assert "abs(u - theta)/theta" in psi(rule="eprop")
    assert "abs(u - (theta + a))/delta_z" in psi(neuron="alif", surrogate="localzo_normal")


def test_an_edit_of_the_rule_works_with_every_neuron():
    model = bz.Model(SIZES, rule="bp", neuron="alif").edit(OLD).check()
    assert model.blocks["forward"] == OLD["forward"] and "forward.trial" not in model.blocks
    words = bz.Model(SIZES, rule="bp").edit({"forward": "dw/dt = -2*eta*eligibility*g_post : 1"})
    assert words.check().blocks["forward"] == "dw/dt = -2*eta*xbar_pre*psi_post*g_post : 1"
    words = bz.Model(SIZES, rule="bp", neuron="alif").edit(
        {"forward": "dw/dt = -2*eta*eligibility*g_post : 1"}).check()
    assert EPSILON in words.blocks["forward"].splitlines()
    powers = bz.Model(SIZES, rule="bp").edit({"forward": "dw/dt = -eta*eligibility**2*g_post : 1"})
    assert powers.blocks["forward"] == "dw/dt = -eta*(xbar_pre*psi_post)**2*g_post : 1"
    slower = bz.Model(SIZES, rule="bp", neuron="alif").edit(epsilon=EPSILON.replace(
        "-epsilon/tau_a", "-2*epsilon/tau_a")).check()
    assert "-2*epsilon/tau_a" in slower.blocks["forward"]
    other = slower.replace(rule="eprop").check()
    assert "-2*epsilon/tau_a" in other.blocks["forward"] and "debar/dt" in other.blocks["forward"]


def mixed(first="", second="alif"):
    return (Network(inputs=4, readouts=2).population("E", 3, neuron=first)
            .population("A", 3, neuron=second).connect("input", "E").connect("E", "A")
            .connect("A", "E", delay=2*ms).connect("A", "readout"))


@pytest.mark.parametrize("neuron, first, second", [
    ("logistic", "", "alif"), ("alif", "logistic", ""), ("erf", "", "alif")])
def test_where_neurons_differ_a_projection_has_its_targets_eligibility(neuron, first, second):
    model = bz.Model(mixed(first, second), rule="eprop", neuron=neuron, tau_a=30*ms).check()
    text = model.equations(60*ms)
    onto = {p.target: text[p.name] for p in model.network.of("forward")}
    assert "epsilon" in onto["A"] and "epsilon" not in onto["E"]
    assert "ebar lazy" in onto["E"]


def test_the_eligibility_of_an_adaptive_neuron_is_that_of_the_gradient():
    """One hidden layer, expected activity: with epsilon 1.3 degrees from BPTT, without it 26."""
    model = bz.Model([64, 32, 10], rule="bp", neuron="alif")
    run = bz.train(model, bz.tasks.digits(), engine="rate", epochs=2, seed=3, evaluations=1,
                   progress=False, precision="double", activity="rates")
    own, without = (update_angle(run, m, batches=3, batch=32, against="bptt")["forward_1.w"][0]
                    for m in (model, model.edit(OLD)))
    assert own > 0.999 and without < 0.95


def test_a_neurons_file_that_says_something_else_is_refused(tmp_path):
    text = (bz.neurons.__path__[0] + "/alif.py")
    with open(text, encoding="utf-8") as file:
        source = file.read()
    for k, (change, says) in enumerate({
            ("sensitivity = xbar_pre - epsilon : 1", "e = xbar_pre : 1"): "defines sensitivity",
            ('threshold="theta + a"', 'receives={"v": "w"}'): "receives names variables",
            ('threshold="theta + a"', 'trace={"": "dq/dt = -q/tau_m : 1"}'): "a trace has",
            }.items()):
        assert change[0] in source
        path = tmp_path / f"adaptive_{k}.py"
        path.write_text(source.replace(*change))
        with pytest.raises(bz.errors.InputError, match=says):
            bz.neurons.add(path)
