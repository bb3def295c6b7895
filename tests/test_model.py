"""The frozen description: edits, parameters, refusals, the text that Brian2 gets."""

import numpy as np
import pytest
from brian2 import Hz, Quantity, ms, mV

import bioopzo as bz
from bioopzo.errors import EquationError, InputError
from bioopzo.network.assembly import assemble

SIZES = [6, 5, 4, 3]


@pytest.mark.parametrize("coding", ["current", "poisson", "spikes"])
@pytest.mark.parametrize("rule", list(bz.rules.available()))
def test_every_rule_passes_the_dry_run(rule, coding):
    bz.Model(SIZES, rule=rule, coding=coding).check()


@pytest.mark.parametrize("options", [
    dict(neuron="exponential"), dict(neuron="erf"), dict(neuron="deterministic"),
    dict(reset="hard"), dict(refractory=2 * ms), dict(error="spiking"), dict(state_reset=False),
    dict(place="before"), dict(distribution="gaussian"), dict(form="momentum"),
    dict(antithetic=False), dict(rule="node_perturbation", points="two"),
    dict(rule="node_perturbation", place="before")])
def test_every_variant_passes_the_dry_run(options):
    bz.Model(SIZES, **options).check()


@pytest.mark.parametrize("sizes", [[6, 5, 3], [6, 5, 4, 4, 4, 3]])
def test_any_number_of_hidden_layers_each_with_its_own_feedback(sizes):
    model = bz.Model(sizes).check()
    names = set(model.equations())
    assert {f"feedback_{k}" for k in range(1, len(sizes) - 1)} <= names


def test_edit_replaces_a_line_by_its_left_hand_side_and_leaves_the_model():
    model = bz.Model(SIZES)
    edited = model.edit(psi="psi = exp(-abs(u - theta)/Delta) : 1")
    assert "exp(-abs(u - theta)/Delta)" in edited.equations()["hidden_1"]
    assert "4*p*(1 - p)" in model.equations()["hidden_1"]
    assert edited.digest != model.digest
    assert edited.digest == model.edit(psi="psi = exp(-abs(u - theta)/Delta) : 1").digest
    edited.check()


@pytest.mark.parametrize("options, line", [
    (dict(rule="bp"), "psi = int(not_refractory)*(4*p*(1 - p)) : 1"),
    (dict(rule="bp", dropout=0.1), "psi = mask*int(not_refractory)*(4*p*(1 - p)) : 1"),
    (dict(rule="superspike"),
     "psi = int(not_refractory)*(1/(1 + steepness*abs(u - theta))**2) : 1"),
    (dict(rule="dfa", surrogate="localzo"),
     "psi = int(not_refractory)*((int(abs(u - theta) < delta_z*z_1)*z_1)/(2*delta_z*1))")],
    ids=str)
def test_what_cannot_spike_has_no_derivative(options, line):
    """In the refractory time the chance of a spike is 0, whatever the membrane is."""
    model = bz.Model(SIZES, refractory=2*ms, **options).check()
    assert line in map(str.strip, model.equations()["hidden_1"].splitlines())
    assert "not_refractory" not in str(bz.Model(SIZES, **options).equations())


def test_the_score_of_a_spike_waits_for_the_refractory_time_whatever_psi_is():
    model = bz.Model(SIZES, rule="reinforce", refractory=2*ms, surrogate="localzo_normal").check()
    slope, = [x for x in model.blocks["hidden"].splitlines() if x.startswith("drho")]
    assert slope.startswith("drho = int(not_refractory)*(") and "psi" not in slope


@pytest.mark.parametrize("number", [np.float64, np.array, Quantity], ids=lambda x: x.__name__)
def test_equal_numbers_are_the_same_model_whatever_holds_them(number):
    line = {"psi": "psi = beta*4*p*(1 - p) : 1"}
    model = bz.Model(SIZES, Delta=0.2).edit(line, beta=0.5)
    assert bz.Model(SIZES, Delta=number(0.2)).edit(line, beta=number(0.5)).digest == model.digest
    assert bz.Model(SIZES, Delta=number(0.3)).edit(line, beta=number(0.5)).digest != model.digest
    assert bz.Model(SIZES, rule="dfa", scale=np.float64(0.25)).digest \
        == bz.Model(SIZES, rule="dfa", scale=0.25).digest
    ends = [bz.Network(inputs=whole(4), readouts=whole(2)).connect("input", "readout")
            for whole in (int, np.int64)]
    assert len({bz.Model(network, rule="readout_only").digest for network in ends}) == 1


def test_edit_of_a_block_of_a_parameter_and_with_a_new_parameter():
    model = bz.Model(SIZES).edit({"hidden.reset": "u = 0\nxbar += 1\ncount += 1"}, tau_m=20 * ms)
    assert model.parameters["tau_m"] == 20 * ms
    assert "u = 0" in model.blocks["hidden.reset"]
    model = model.edit(psi="psi = beta*4*p*(1 - p) : 1", beta=0.5)
    assert "beta : 1 (shared, constant)" in model.equations()["hidden_1"]
    model.check()


def test_the_model_is_frozen():
    with pytest.raises(AttributeError):
        bz.Model(SIZES).rule_name = "bp"
    with pytest.raises(TypeError):
        bz.Model(SIZES).parameters["tau_m"] = 1


@pytest.mark.parametrize("rule", [name for name in bz.rules.available() if name != "bptt"])
@pytest.mark.parametrize("coding", ["spikes", "current"])
def test_the_plasticity_of_every_rule_is_lazy(rule, coding):
    """But for hidden weights that postsynaptic spikes change, which is not proved."""
    task = bz.tasks.digits()
    synapses = assemble(bz.Model(SIZES, rule=rule, coding=coding), task.duration,
                        step=task.dt).synapses
    forms = {name: synapse.form for name, synapse in synapses.items() if synapse.form}
    dense = {name for name, form in forms.items() if "dense" in form}
    assert forms and dense == ({"forward_1", "forward_2"} if rule == "rstdp" else set())


def test_plasticity_that_is_not_linear_or_a_long_trial_is_dense():
    own = bz.Model(SIZES, coding="spikes").edit(
        {"forward": "dw/dt = -eta*xbar_pre*psi_post*g_post - 0.01*Hz*w**2 : 1"})
    assert assemble(own).synapses["forward_2"].form.startswith("w dense (its equation is not")
    long = assemble(bz.Model(SIZES, coding="spikes"), duration=400 * ms)
    assert long.synapses["forward_2"].form == "w dense (a trial is longer than 20 tau_m)"


@pytest.mark.parametrize("make, says", [
    (lambda: bz.Model(SIZES, rule="opzoo"), ["opzoo", "opzo", "bp"]),
    (lambda: bz.Model(SIZES, taum=3), ["taum", "tau_m"]),
    (lambda: bz.Model(SIZES, tau_m=3), ["tau_m", "second"]),
    (lambda: bz.Model(SIZES, tau_m=3 * mV), ["tau_m", "second"]),
    (lambda: bz.Model(SIZES, tau_m=0 * ms), ["tau_m", "above zero"]),
    (lambda: bz.Model(SIZES, tau_m=-5 * ms), ["tau_m", "above zero"]),
    (lambda: bz.Model(SIZES, eta=float("nan") * Hz), ["eta", "finite"]),
    (lambda: bz.Model([6, 3]), ["hidden"]),
    (lambda: bz.Model([6, 0, 3]), ["at least 1"]),
    (lambda: bz.Model("abc"), ["architecture 'abc'"]),
    (lambda: bz.Model(SIZES, neuron="logstic"), ["logstic", "logistic"]),
    (lambda: bz.Model(SIZES, reset="medium"), ["medium", "soft", "hard"]),
    (lambda: bz.Model(SIZES, error="spikes"), ["spikes", "graded", "spiking"]),
    (lambda: bz.Model(SIZES, coding="rate"), ["rate", "poisson"]),
    (lambda: bz.Model(SIZES, place="during"), ["during", "after", "before"]),
    (lambda: bz.Model(SIZES, forward_psi=False), ["noise before the neuron", "place='before'"]),
    (lambda: bz.Model(SIZES, place="before", forward_psi=0), ["True or False, not 0"]),
    (lambda: bz.Model(SIZES, place="before", forward_psi=False, local=True), ["do not pass M"]),
    (lambda: bz.Model(SIZES, refractory=3), ["refractory", "time"]),
    (lambda: bz.Model(SIZES).edit(psy="psy = 1 : 1"), ["psy", "psi"]),
    (lambda: bz.Model(SIZES).edit(psi="psi = 4*p*(1-p)"), ["psi"]),
    (lambda: bz.Model(SIZES).edit(psi="phi = 4*p*(1-p) : 1"), ["psi"]),
    (lambda: bz.Model(SIZES).edit(w="dw/dt = 0*Hz : 1"), ["several", "forward"]),
])
def test_bad_input_gets_one_clear_error_that_names_the_culprit(make, says):
    with pytest.raises((InputError, EquationError)) as caught:
        make()
    for word in says:
        assert word in str(caught.value), str(caught.value)


def test_sizes_that_do_not_fit_the_task_are_named():
    task = bz.tasks.xor()
    with pytest.raises(InputError, match="6 inputs.*needs 4"):
        bz.Model([6, 5, 2]).for_task(task)
