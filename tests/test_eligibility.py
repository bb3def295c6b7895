"""Words of a rule that the neuron's file gives their meaning: eligibility, sensitivity, threshold.

For a leaky neuron they are the trace and psi, word for word, so that nothing changes; for a neuron
with a state of its own they are what its file says, in every projection onto such a neuron.
"""

import numpy as np
import pytest
from brian2 import Hz, ms
from replay import draw
from test_equivalence import case_of, spiking_run

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
    ("opzo", {"place": "before"}, "dw/dt = -eta*eligibility*g_post : 1"),
    ("opzo", {"place": "before", "forward_psi": False}, "dw/dt = -eta*sensitivity*g_post : 1"),
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


# ---------------------------------------------------------------------------- e-prop's options

def test_the_feedback_of_e_prop():
    one = [4, 3, 2]
    symmetric = bz.Model(one, rule="eprop", feedback="symmetric").check()
    assert symmetric.blocks["backward"] == "g_pre = w*g_post : 1 (summed)"
    assert not symmetric.network.of("feedback")
    text = symmetric.equations(60*ms)
    assert "summed" in text["forward_2"] and "summed" not in text["forward_1"]
    recurrent = bz.Model(one, rule="eprop", feedback="symmetric", recurrent=True, neuron="alif")
    assert "summed" not in recurrent.check().equations(60*ms)["recurrent_1"]
    with pytest.raises(bz.errors.InputError, match="layers below the last have none of"):
        bz.Model(SIZES, rule="eprop", feedback="symmetric")
    adaptive = bz.Model(SIZES, rule="eprop", feedback="adaptive").check().blocks
    kolen = bz.Model(SIZES, rule="dkp").blocks
    assert adaptive["feedback"] == kolen["feedback"]
    assert adaptive["forward_readout"] == kolen["forward_readout"]


def test_the_feedback_that_adapts_comes_to_the_readouts_weights():
    """B and w change alike, and what they began with decays: after Kolen and Pollack."""
    def cosine(**values):
        model = bz.Model([64, 16, 10], rule="eprop", feedback="adaptive", **values)
        run = bz.train(model, bz.tasks.digits(), trials=400, seed=2, evaluations=1,
                       progress=False)
        return bz.measures.cosine(run.matrix("feedback_1.B"), run.matrix("forward_2.w").T)

    assert cosine(decay=0.2*Hz) > 0.95 > 0.6 > cosine(decay=0*Hz, eta_o=0.01*Hz)


def test_regularised_rates_come_to_their_target():
    model = bz.Model([64, 24, 10], rule="eprop")
    with pytest.raises(bz.errors.InputError, match="regularised is True or False"):
        model.replace(regularised=1)
    rates = {}
    for name, chosen in {"free": model, "drawn": model.replace(
            regularised=True, f_0=60*Hz, c_reg=4*ms, tau_f=300*ms)}.items():
        run = bz.train(chosen.check(), bz.tasks.digits(), trials=800, seed=2, evaluations=1,
                       progress=False)
        rates[name] = run.arrays["rates/hidden_1"][-1]
    assert abs(rates["drawn"] - 60) < 12 < abs(rates["free"] - 60)


# ---------------------------------------------------------------------------- traces of sources

@pytest.mark.parametrize("coding", ["current", "spikes"])
@pytest.mark.parametrize("neuron, options", [
    ("logistic", {}), ("double_exponential", {}), ("double_exponential", {"shape": "alpha"}),
    ("two_compartment", {})], ids=str)
def test_the_trace_of_a_source_is_what_its_spikes_do_in_the_membrane(neuron, options, coding):
    """A membrane that never spikes is the sum of its weights times their sensitivity."""
    case = case_of("dfa", sizes=(4, 5, 3), neuron=neuron, coding=coding, plastic=(1,),
                   values={"b": 0.0, "eta": 0.0})
    plain, chosen = (bz.Model(case.sizes, rule="dfa", neuron=neuron, coding=coding, **more)
                     for more in ({}, options))
    edits = {name: text for name, text in chosen.blocks.items() if plain.blocks[name] != text}
    edits |= {"tau_s": 3*ms} if options else {}
    _, found = spiking_run(case, draw(case), edits | {"hidden.threshold": "S > 2"})
    w = found["forward_1.w"][0].reshape(4, 5)
    word = chosen.blocks["forward"].partition("eta*")[2].partition("_pre")[0]
    assert word == {"logistic": "xbar", "two_compartment": "dbar"}.get(neuron, "sbar")
    trace = found[f"input.{word if coding == 'spikes' else 'xbar'}"]
    assert np.abs(found["hidden_1.u"]).max() > 0.05
    np.testing.assert_allclose(found["hidden_1.u"], trace @ w, atol=1e-10)


def test_an_alpha_function_has_one_time_constant():
    model = bz.Model(SIZES, neuron="double_exponential", shape="alpha", tau_s=4*ms).check()
    assert "dI/dt = -I/tau_s + arrived/tau_s" in model.blocks["hidden"]
    assert "tau_r" not in model.parameters and model.parameters["tau_s"] == 4*ms
    with pytest.raises(bz.errors.InputError, match="shape"):
        bz.Model(SIZES, neuron="double_exponential", shape="beta")


def test_a_source_keeps_a_trace_for_those_of_its_targets_that_read_it():
    model = bz.Model(mixed("", "double_exponential"), rule="bp").check()
    text = model.equations(60*ms)
    assert "sbar" in text["E"] and "sbar" not in text["A"]
    assert "arrived_post += w" in text["E_A"] and "u_post += (w" in text["A_E"]
    assert "arrived" not in text["A_E"] and "u_post" not in text["E_A"].partition("spike")[2]
    other = bz.Model(mixed("logistic", ""), rule="opzo", neuron="double_exponential").check()
    assert other.equations(60*ms)["E_A"].count("arrived_post += w") == 1
    assert "darrived" not in other.equations(60*ms)["E"]
    control = bz.Model(SIZES, rule="readout_only", neuron="double_exponential")
    assert not any("sbar" in text for text in control.blocks.values())


def test_two_kinds_of_targets_each_have_their_trace():
    def onto(first, second, **more):
        network = (Network(inputs=4, readouts=2).population("A", 3, neuron=first)
                   .population("B", 3, neuron=second).connect("input", "A").connect("input", "B")
                   .connect("A", "readout").connect("B", "readout"))
        return bz.Model(network, rule="bp", coding="spikes", **more)

    text = onto("double_exponential", "conductance").check().equations(60*ms)["input"]
    assert "dsbar/dt" in text and "dcbar/dt" in text
    with pytest.raises(bz.errors.InputError, match="two traces called Ibar, abar, sbar"):
        onto("", "double_exponential", neuron="double_exponential", shape="alpha")


def test_what_silences_a_neuron_silences_its_traces():
    blocks = bz.Model(SIZES, rule="bp", neuron="two_compartment", dropout=0.2).check().blocks
    assert "vbar += mask" in blocks["hidden.reset"]
    assert blocks["forward.spike"] == "v_post += w*mask_pre"


def test_a_statement_of_one_neuron_is_not_another_ones():
    """adex sets its membrane at a spike, the plain one lowers it: each does its own."""
    for neuron, first, second in (("adex", "logistic", ""), ("logistic", "", "adex")):
        text = bz.Model(mixed(first, second), rule="bp", neuron=neuron).check().equations(60*ms)
        assert "u = u_r" in text["A"] and "u -= theta" not in text["A"]
        assert "u -= theta" in text["E"] and "u_r" not in text["E"] and "da/dt" not in text["E"]


def test_conductances_get_a_perturbation_each():
    blocks = bz.Model(SIZES, neuron="conductance").check().blocks
    assert blocks["forward.hold"].splitlines() == [
        "push_post += clip(w, 0, inf)*alpha*z_pre", "push_g_i_post += clip(-w, 0, inf)*alpha*z_pre"]
    assert "dg_e/dt = -g_e/tau_s + sigma*push : 1" in blocks["hidden"]
    assert "dg_i/dt = -g_i/tau_s + sigma*push_g_i : 1" in blocks["hidden"]
    assert "push_g_i = 0*Hz" in blocks["hidden.hold"]


def test_eprop_may_take_the_neurons_own_psi_in_any_batch():
    """Above a megabyte an eligibility that reads another one was a broadcasting error."""
    sizes = [64, 60, 10]
    own = bz.Model(sizes, rule="eprop", neuron="alif", options={"pseudo": "neuron"}).check()
    assert "psi = 4*p*(1 - p) : 1" in own.blocks["hidden"].splitlines()
    assert "gamma" not in own.declared and "gamma" in own.replace(rule="eprop",
                                                                  pseudo="triangle").declared
    run = bz.train(own, bz.tasks.digits(), engine="rate", trials=80, batch=80, evaluations=1,
                   evaluation_trials=2, progress=False)
    assert np.isfinite(run.final["forward_1.w"]).all()
