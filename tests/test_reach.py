"""Text that reaches no object of the network is refused, and names are judged object by object."""

import re

import pytest

import bioopzo as bz
from bioopzo import neurons, rules
from bioopzo.checks.check import check
from bioopzo.errors import EquationError, ModelWarning
from bioopzo.network.entries import Projection
from bioopzo.network.reached import reached
from bioopzo.tasks import xor
from bioopzo.text.equations import is_expression, parse

SIZES = [4, 5, 3, 2]


def refused(model, *words):
    """The mistake of a model that `check` and `train` refuse alike; it has the words."""
    with pytest.raises(EquationError) as caught:
        model.check()
    for word in words:
        assert word in str(caught.value), str(caught.value)
    if model.coding != "spikes":
        with pytest.raises(EquationError) as again:
            bz.train(model, xor(), trials=4, engine="rate", progress=False)
        assert again.value.mistakes == caught.value.mistakes
    return caught.value


@pytest.mark.parametrize("rule, edit, words", [
    ("bp", {"forward.hold": "w = w"}, ("forward.hold", "perturbs nothing", "leave the block out")),
    ("bp", {"hidden.pair": "u = 0"}, ("hidden.pair", "perturbs nothing")),
    ("bp", {"error.hold": "cost = 0"}, ("error.hold", "perturbs nothing")),
    ("opzo", {"forward_1.hold": "w = w"}, ("forward_1.hold", "(input) is not perturbed")),
    ("bp", {"forward_1.spike": "u_post += w"},
     ("forward_1.spike", "(input) sends no spikes", "forward_1.onset")),
    ("bp", {"forward_2.onset": "drive_post += w*xbar_pre"},
     ("forward_2.onset", "(hidden_1) sends spikes", "forward_2.spike")),
    ("bp", {"readout.reset": "o = 0"}, ("readout.reset", "no threshold", "readout.threshold")),
    ("bp", {"input.reset": "xbar = 0"}, ("input.reset", "no threshold")),
    ("bp", {"input.threshold": "x > 0.5"}, ("forward_1.onset", "since the edit")),
], ids=str)
def test_a_block_that_no_object_has_is_refused(rule, edit, words):
    refused(bz.Model(SIZES, rule=rule, coding="current").edit(edit), *words)


@pytest.mark.parametrize("key, text", [
    ("forwrad", "w : 1"), ("hidden.rset", "u = 0"), ("recurrent.spike", "u_post += w"),
    ("forward.after", "u_post += w"), ("hidden_7", "a : 1"), ("critic", "a : 1"),
    ("feedback.pair.learn", "M += 1"), ("backward", "g_pre = w*g_post : 1 (summed)")])
def test_a_name_that_is_no_block_of_this_network_is_refused_at_once(key, text):
    with pytest.raises(EquationError, match=f"unknown line or block '{key}'"):
        bz.Model(SIZES, rule="readout_only").edit({key: text})


def test_a_line_that_is_named_like_a_moment_is_understood():
    with pytest.raises(EquationError, match=r"'hidden.delta' \(did you mean 'hidden:delta'\?\)"):
        bz.Model(SIZES, rule="bp").edit({"hidden.delta": "delta = psi*g : 1"})


def test_whoever_replaces_a_block_to_add_a_line_is_told_how_to_add_one():
    model = bz.Model(SIZES, rule="bp")
    with pytest.raises(EquationError) as refusal:
        model.edit({"hidden": "delta = q*g : 1\nq = 2*psi : 1"}).check()
    said = str(refusal.value)
    assert said.count("an edit of a block replaces it whole") == 1
    model.edit({"hidden:delta": "delta = q*g : 1\nq = 2*psi : 1"}).check()


@pytest.mark.parametrize("edit, had", [
    ({"hidden.step": "u += 0.1*xbar"}, "block hidden.step had 'S = int(rand() < chance)'"),
    ({"readout.step": "o *= 0.9"}, "block readout.step had 'decision += read*o'")])
def test_whoever_replaces_a_block_of_statements_is_told_what_it_had(edit, had):
    refused(bz.Model(SIZES, rule="bp").edit(edit), had + ", and an edit replaces it whole")


def test_what_acts_from_the_start_of_a_trial_on_is_refused_where_the_input_spikes():
    edit = {"forward_1.onset": "drive_post += w*xbar_pre"}
    refused(bz.Model(SIZES, rule="bp", coding="spikes").edit(edit), "forward_1.onset",
            "(input) sends spikes")
    bz.Model(SIZES, rule="bp", coding="current").edit(
        {"forward_1.onset": "drive_post += 2*w*x_pre"}).check()


def test_in_one_layer_the_spikes_of_hidden_neurons_reach_no_hidden_neurons():
    edit = {"forward.spike": "u_post += 2*w"}
    refused(bz.Model([4, 5, 2], rule="bp").edit(edit), "forward.spike", "sends no spikes")
    for model in (bz.Model(SIZES, rule="bp"), bz.Model([4, 5, 2], rule="bp", coding="poisson")):
        model.edit(edit).check()


def test_a_line_over_which_every_layer_has_its_own_is_refused():
    model = bz.Model(SIZES)
    text = model.blocks["hidden"]
    refused(model.edit({"hidden": text + "\ndzbar/dt = -zbar/tau_m : 1"}), "hidden", "dzbar/dt",
            "hidden_1, hidden_2")
    own = {"hidden_1.reset": "u = 0\nu -= 2*theta"}  # the second layer has the reset of all
    changed = model.blocks["hidden.reset"].replace("u -= theta", "u -= 0.5*theta")
    check(model.edit(own).edit({"hidden.reset": changed}), complete=False)
    both = {**own, "hidden_2.reset": "u -= 3*theta"}
    refused(model.edit(both).edit({"hidden.reset": changed}), "hidden.reset", "u -= 0.5*theta",
            "hidden_1.reset, hidden_2.reset")


@pytest.mark.parametrize("block, text, words", [
    ("forward.hold", "w = w", "perturbs nothing"),
    ("hidden.on.burst", "u = 0", "hidden.event.burst"),
    ("readout.reset", "o = 0", "readout.threshold"),
    ("forward_readout.post", "w = 0.9*w", "(readout) sends no spikes"),
    ("forward_2.onset", "drive_post += w*xbar_pre", "sends spikes")])
def test_a_block_of_a_rules_file_that_never_runs_is_refused(tmp_path, block, text, words):
    path = tmp_path / "mine.py"
    path.write_text("from bioopzo.rules import Rule\n\n\ndef rule(depth):\n"
                    f"    return Rule('mine', 'mine', '', {{{block!r}: {text!r}}})\n")
    refused(bz.Model(SIZES, rule=rules.add(path)), block, words)


def test_a_block_of_a_neurons_file_that_never_runs_is_refused(tmp_path):
    path = tmp_path / "leaking.py"
    path.write_text("from bioopzo.neurons import Neuron, leaky\n\n\ndef neuron():\n"
                    "    blocks = leaky('psi = 1.0 : 1', 'int(u > theta)')\n"
                    "    blocks['hidden.on.burst'] = 'u = 0'\n"
                    "    return Neuron('leaking', 'leaks', '', blocks)\n")
    refused(bz.Model(SIZES, rule="bp", neuron=neurons.add(path)), "hidden.on.burst",
            "hidden.event.burst")


def test_text_of_a_projection_of_ones_own_that_never_runs_is_refused():
    plain = bz.Model(SIZES, rule="bp").layers
    again = Projection("again", "hidden_2", "hidden_1", "recurrent", text=(
        ("", "w : 1"), ("spike", "u_post += w"), ("onset", "drive_post += w")))
    refused(bz.Model(plain.plus(again), rule="bp"), "again.onset", "(hidden_2) sends spikes")
    tail = Projection("tail", "readout", "hidden_1", "recurrent", text=(
        ("", "w : 1"), ("spike", "u_post += w")))
    refused(bz.Model(plain.plus(tail), rule="bp"), "tail.spike", "(readout) sends no spikes")


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("rule", rules.available())
def test_all_text_of_the_package_itself_reaches_an_object(rule, depth):
    """In one layer, what forward synapses do at spikes and holds has nothing to act on."""
    for coding in ("current", "spikes"):
        model = bz.Model([4, *[3] * depth, 2], rule=rule, coding=coding)
        found = reached(model)
        for block, text in model.blocks.items():
            lines = {text} if is_expression(block) else set(parse(text))
            if depth == 1 and block in ("forward.spike", "forward.hold"):
                continue
            assert found[block] == lines, block
        check(model, complete=False)


def test_under_another_rule_an_edit_without_effect_is_left_out_and_said():
    model = bz.Model(SIZES).edit({"readout.hold": "push = 0*Hz\no = 0"})
    with pytest.warns(ModelWarning, match="'readout.hold' was left out: under rule bp"):
        other = model.replace(rule="bp")
    assert not other.edits
    check(other, complete=False)


# --------------------------------------------------------------------- names, object by object

def with_line(model, block, line):
    return {block: model.blocks.get(block, "") + "\n" + line}


def test_a_name_of_another_object_is_an_error_where_it_is_read():
    model = bz.Model(SIZES, rule="bp")
    mistake, = refused(model.edit({"hidden.step": "S = int(rand() < chance*decision)"}),
                       "decision", "belongs to readout").mistakes
    assert mistake.where == "hidden.step (hidden_1, hidden_2)"
    assert "chance*decision" in mistake.line and mistake.remedy


def test_a_variable_that_only_another_object_sets_has_no_value():
    model = bz.Model(SIZES, rule="bp")
    edit = {"hidden": model.blocks["hidden"].replace("(b + drive", "(a + b + drive") + "\na : 1",
            **with_line(model, "readout", "a : 1"),
            "readout.step": "a = 1\ndecision += read*o + 0*a"}
    mistake, = refused(model.edit(edit), "'a' is read but never given a value").mistakes
    assert mistake.where == "hidden (hidden_1, hidden_2)" and mistake.line == "a : 1"
    check(model.edit({**edit, **with_line(model, "hidden.trial", "a = 0.1")}), complete=False)
    one = model.edit({**edit, "hidden_2.trial": "a = 0.1"})
    assert "hidden (hidden_1)" in str(refused(one))


def test_a_variable_that_only_another_object_reads_is_not_used():
    model = bz.Model(SIZES, rule="bp")
    edit = {**with_line(model, "hidden", "a : 1"), **with_line(model, "readout", "a : 1"),
            "readout.step": "a = 1\ndecision += read*o + 0*a"}
    mistake, = refused(model.edit(edit), "'a' is declared, and nothing reads or sets it").mistakes
    assert mistake.where == "hidden (hidden_1, hidden_2)"


def test_what_since_the_edit_only_another_object_reads_is_a_warning():
    """The readout's g is still read, psi of the hidden neurons is not."""
    model = bz.Model(SIZES, rule="dkp").edit({
        "forward": "dw/dt = -eta*xbar_pre*g_post : 1"})
    with pytest.warns(ModelWarning, match="psi is computed, but since the edit no line reads it"):
        model.check()


def test_the_way_to_keep_a_block_s_lines_is_one_that_works():
    """It named the kind's block, of which the line is not."""
    model = bz.Model([4, 6, 5, 2], rule="opzo")
    with pytest.raises(EquationError) as told:
        model.edit({"hidden_1": "psi = 1 : 1"}).check()
    key, line = re.search(r"one of them: \{'([^']+)': '(.*?)\\n", str(told.value)).groups()
    assert key.startswith("hidden_1:")
    model.edit({key: f"{line}\nmore = 1 : 1"})
