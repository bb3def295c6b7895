"""`Model.replace`: the same network under another rule, and what is measured against it."""

import warnings

import numpy as np
import pytest
from brian2 import Hz, ms

import bioopzo as bz
from bioopzo import measures
from bioopzo.errors import EquationError, InputError, ModelWarning
from bioopzo.measures import rate
from bioopzo.network.entries import Projection, Start
from bioopzo.network.layers import layered
from bioopzo.text.equations import parse

SIZES = [4, 6, 5, 2]
#: The adaptive neuron of notebook 2.
ADAPTIVE = {
    "p": "p = 1/(1 + exp(-(u - theta - a)/Delta)) : 1\nda/dt = -a/tau_a : 1",
    "hidden.reset": "u -= theta\na += beta\nxbar += 1\ncount += 1",
    "hidden.trial": "u = 0\na = 0\nxbar = 0"}
TASK = bz.tasks.xor(duration=24 * ms, warmup=8 * ms)
TASK = TASK.replace(splits={**TASK.splits, "test": TASK.splits["test"][:3]})
HOLDS = {"T_z": 8 * ms, "T_w": 6 * ms}


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch):
    """What is measured here takes some trials: less than a compilation."""
    for place in ("engines.tools", "engines.spiking.backends"):
        monkeypatch.setattr(f"bioopzo.{place}.compiler", lambda: None)


def lines(model, block):
    return {line.name: str(line) for line in parse(model.blocks[block])}


@pytest.mark.parametrize("rule", ["bp", "dfa", "reinforce", "node_perturbation", "readout_only"])
def test_without_edits_it_is_the_model_of_that_rule(rule):
    before = bz.Model(SIZES, tau_m=7 * ms, reset="hard", dropout=0.1)
    assert before.replace(rule=rule).digest == bz.Model(
        SIZES, rule=rule, tau_m=7 * ms, reset="hard", dropout=0.1).digest
    assert before.replace(rule=rule).replace(rule="opzo").digest == before.digest


def test_nothing_to_replace_is_the_same_model():
    model = bz.Model(SIZES, place="before").edit(psi="psi = 1 : 1", eta=3 * Hz)
    assert model.replace().digest == model.digest
    assert model.replace(rule="opzo").options == {"place": "before"}
    assert model.replace(rule="opzo", place="after").options == {"place": "after"}


@pytest.mark.parametrize("rule", ["bp", "dkp", "reinforce", "opzo"])
def test_edits_of_the_neuron_stay(rule):
    model = bz.Model(SIZES).edit(ADAPTIVE, tau_a=40 * ms, beta=0.3).edit(psi="psi = p : 1")
    other = model.replace(rule=rule).check()
    found = lines(other, "hidden")
    assert found["a"] == "da/dt = -a/tau_a : 1" and found["psi"] == "psi = p : 1"
    assert other.blocks["hidden.reset"] == model.blocks["hidden.reset"]
    assert (other.parameters["tau_a"], other.parameters["beta"]) == (40 * ms, 0.3)


def test_an_edited_membrane_gets_the_perturbation_of_the_new_rule():
    """And loses that of the old one: the neuron is the user's, the perturbation is the rule's."""
    model = bz.Model(SIZES).edit(u="du/dt = (b + drive - 1.5*u)/tau_m + sigma*push : 1")
    bp = model.replace(rule="bp")
    assert lines(bp, "hidden")["u"] == "du/dt = (b + drive - 1.5*u)/tau_m : 1"
    before = bp.replace(rule="opzo", place="before")
    assert lines(before, "hidden")["u"] == \
        "du/dt = (b + drive - 1.5*u)/tau_m + sigma*alpha*z : 1"
    again = bp.replace(rule="opzo")
    assert again.digest == model.digest


def test_edits_of_the_rule_s_own_text_go_with_it():
    model = bz.Model(SIZES).edit({"feedback.pair.learn": "M += mu*Dz_post*Do_pre"}, mu=0.5,
                                 alpha=9 * Hz, eta=3 * Hz)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = model.replace(rule="dfa")
    assert other.edits == () and dict(other.given) == {"eta": 3 * Hz}
    assert dict(other.given) == {"eta": 3 * Hz} and "mu" not in other.parameters


def test_plasticity_that_both_rules_take_from_the_network_keeps_its_edit():
    decay = "dw/dt = -eta*xbar_pre*psi_post*g_post - w/tau_w : 1"
    other = bz.Model(SIZES).edit({"forward:w": decay}, tau_w=9 * ms).replace(rule="bp")
    assert lines(other, "forward")["w"] == decay and other.parameters["tau_w"] == 9 * ms


def test_an_edit_where_the_new_rule_has_a_line_of_its_own_is_left_out_and_said():
    model = bz.Model(SIZES).edit(psi="psi = exp(-abs(u - theta)) : 1")
    with pytest.warns(ModelWarning, match="psi = exp.*left out, since rule eprop has a line"):
        other = model.replace(rule="eprop")
    assert lines(other, "hidden")["psi"].startswith("psi = gamma*")


def test_text_of_one_layer_and_statements_stay():
    model = bz.Model(SIZES).edit({
        "hidden_2": bz.Model(SIZES).blocks["hidden_2"] + "\nextra = u*2 : 1",
        "hidden.step": bz.Model(SIZES).blocks["hidden.step"] + "\ncount += 0*extra_count",
        "hidden": bz.Model(SIZES).blocks["hidden"] + "\nextra_count : 1"})
    other = model.replace(rule="bp")
    assert lines(other, "hidden_2") == {"extra": "extra = u*2 : 1"}
    assert "extra_count" in lines(other, "hidden") and "Dz" not in lines(other, "hidden")
    assert other.blocks["hidden.step"].splitlines()[-1] == "count += 0*extra_count"
    assert not any(line.name == "Dz" for line in parse(other.blocks["hidden.step"]))


@pytest.mark.parametrize("block, text, kept", [
    ("hidden_1.trial", "u = theta", "u = theta"),
    ("hidden.step", "S = int(rand() < chance)\nDz += 2*window*zbar\nu = clip(u, -2, 2)",
     "u = clip(u, -2, 2)")])
def test_a_statement_beside_one_that_goes_stays(block, text, kept):
    """It was lost without a word with the line of the rule that was edited beside it."""
    other = bz.Model(SIZES).edit({block: text}).replace(rule="bp")
    assert kept in other.blocks[block] and "Dz" not in other.blocks[block]


def test_options_that_both_rules_have_stay():
    other = bz.Model(SIZES, rule="opzo", local=True, place="before").replace(rule="dfa")
    assert other.options == {"local": True} and "local_1" in other.network


def test_a_statement_that_stands_twice_acts_twice():
    """Laying texts over each other took the second for a new version of the first."""
    model = bz.Model(SIZES).edit({"forward.spike": "u_post += 0.5*w\nu_post += 0.25*w"})
    found = model.equations()["forward_2"]
    assert "0.5*" in found and "0.25*" in found


def test_what_an_edit_took_away_stays_away():
    text = "\n".join(line for line in bz.Model(SIZES).blocks["hidden.reset"].splitlines()
                     if not line.startswith("count"))
    other = bz.Model(SIZES).edit({"hidden.reset": text}).replace(rule="bp")
    assert "count" not in other.blocks["hidden.reset"]


@pytest.mark.parametrize("changes, says", [
    (dict(sizes=[4, 3, 2]), "replace keeps the network and cannot change its sizes"),
    (dict(rule="opzzo"), "unknown rule 'opzzo'.*did you mean 'opzo'"),
    (dict(rule="bp", place="before"), "unknown parameter 'place'"),
    (dict(neuron="logistik"), "unknown neuron 'logistik'"),
    (dict(coding="morse"), "unknown input coding 'morse'"),
    (dict(dropout=2), "dropout is a share"), (dict(tau_m=3), "tau_m has the unit second")])
def test_what_cannot_be_replaced_is_said(changes, says):
    with pytest.raises(InputError, match=says):
        bz.Model(SIZES).replace(**changes)


# ---------------------------------------------------------------------------- measured against it

def trained(model, **options):
    return bz.train(model, TASK, trials=4, evaluations=1, backend="numpy", progress=False, seed=1,
                    **options)


@pytest.mark.parametrize("edit, values", [
    ({"psi": "psi = exp(-abs(u - theta)/Delta) : 1"}, {}),
    (ADAPTIVE, {"tau_a": 20 * ms, "beta": 0.3})])
def test_backpropagation_agrees_with_itself_whatever_the_neuron(edit, values):
    """The reference lost the user's edits: cosines of .958 and .569 in place of 1."""
    run = trained(bz.Model(SIZES, rule="bp").edit(edit, **values))
    model = run.model.replace(rule="bp")
    mine, theirs = (measures.mean_update(m, TASK, run.final, trials=6, backend="numpy")
                    for m in (run.model, model))
    for name in mine:
        assert measures.cosine(mine[name], theirs[name]) == pytest.approx(1, abs=1e-12)
    # On mini-batches the reference is made from the rule's name alone.
    for cosine, spread in rate.update_angle(run, batches=2, batch=2, compiled=False).values():
        assert cosine == pytest.approx(1, abs=1e-6) and spread == pytest.approx(0, abs=1e-6)


def test_the_reference_of_another_rule_has_the_user_s_neuron():
    run = trained(bz.Model(SIZES, **HOLDS).edit(ADAPTIVE, tau_a=20 * ms, beta=0.3))
    assert "a" in lines(rate.reference(run), "hidden")
    found = measures.update_cosine(run, trials=4)
    assert set(found) == {"forward_1.w", "forward_2.w", "forward_3.w"}


def test_an_update_is_that_of_the_weights_it_begins_with(monkeypatch):
    """An eta of one projection was not made small, and the weights ran away while it was measured.

    Nor was a decay, which then outweighed what is learned.
    """
    model = bz.Model(SIZES, rule="bp")
    run = trained(model)
    every, one = (measures.mean_update(m, TASK, run.final, trials=3, backend="numpy")
                  for m in (model, model.edit(eta={"forward_1": 20 * Hz})))
    for name, update in every.items():
        assert np.abs(update).max() > 0
        np.testing.assert_allclose(one[name], update, rtol=1e-9, atol=1e-12)
    still = model.edit({"forward": "dw/dt = -0*eta*xbar_pre*psi_post*g_post - 2*Hz*w : 1"})
    found = measures.mean_update(still, TASK, run.final, trials=3, backend="numpy")["forward_1.w"]
    steps = round(float(TASK.duration / TASK.dt))
    np.testing.assert_allclose(found / run.final["forward_1.w"],
                               (1 - 2 * float(TASK.dt)) ** steps - 1, rtol=1e-6)


# ---------------------------------------------------------------------------- the Jacobian

def jacobian(model, seed=3, **options):
    model = model.for_task(TASK)
    rng = np.random.default_rng(seed)
    state = {f"{p.name}.w": rng.normal(0.2, 1, int(np.prod(p.connection.shape)))
             for p in model.network.forward}
    return measures.jacobian(model, TASK, state, trials=1, progress=False, jobs=1,
                             **options), state


def test_the_jacobian_of_the_last_layer_is_its_weights():
    """A spike adds w to the leaky readout, so J is along w."""
    found, state = jacobian(bz.Model([4, 5, 2]))
    w = state["forward_2.w"].reshape(5, 2).T
    assert measures.cosine(found[1], w) == pytest.approx(1, abs=1e-9)
    assert 0.5 < np.linalg.norm(found[1]) / np.linalg.norm(w) < 1.1  # a trial of 2.4 tau_o


def test_with_noise_before_the_neuron_the_jacobian_is_by_the_membrane():
    """It was that by what a neuron sends, and alignment blamed M for psi, which M contains."""
    model = bz.Model([4, 5, 2], place="before")
    found, state = jacobian(model, epsilon=200 * Hz)
    w = state["forward_2.w"].reshape(5, 2).T
    psi = (found[1] * w).sum(axis=0) / (w**2).sum(axis=0)
    np.testing.assert_allclose(found[1], psi * w, atol=1e-9)
    assert (psi >= 0).all() and psi.max() > 0.05 and psi.std() > 0.1 * psi.mean()
    assert np.abs(jacobian(model.replace(place="after"))[0][1] - found[1]).max() > 0.1


@pytest.mark.parametrize("spike, sign", [
    ("o_post += abs(w)", np.abs), ("o_post -= -2*w", lambda w: 2 * w),
    ("o_post += w\no_post -= 0.5*abs(w)", lambda w: w - 0.5 * np.abs(w))])
def test_the_jacobian_sees_what_a_spike_does(spike, sign):
    """With a sign on w it measured the unedited network, and confirmed a wrong M with .999."""
    found, state = jacobian(bz.Model([4, 5, 2]).edit({"forward_readout.spike": spike}))
    signed, plain = (w.reshape(5, 2).T for w in (sign(state["forward_2.w"]), state["forward_2.w"]))
    assert measures.cosine(found[1], signed) == pytest.approx(1, abs=1e-9)
    scale = np.linalg.norm(found[1]) / np.linalg.norm(signed)
    whole = jacobian(bz.Model([4, 5, 2]))[0][1]
    assert scale == pytest.approx(np.linalg.norm(whole) / np.linalg.norm(plain), rel=1e-9)


def test_the_jacobian_is_that_of_a_neuron_with_parameters_of_its_own():
    """This was an error; and one edit or two in a row gave different numbers."""
    whole = bz.Model([4, 3, 2, 2]).edit(ADAPTIVE, tau_a=20 * ms, beta=0.5)
    steps = bz.Model([4, 3, 2, 2])
    for (key, text), values in zip(ADAPTIVE.items(), ({"tau_a": 20 * ms}, {"beta": 0.5}, {})):
        steps = steps.edit({key: text}, **values)
    first, second = jacobian(whole, 5)[0], jacobian(steps, 5)[0]
    plain = jacobian(bz.Model([4, 3, 2, 2]), 5)[0]
    np.testing.assert_array_equal(first[1], second[1])
    assert not np.allclose(first[1], plain[1])


def test_the_jacobian_takes_the_membrane_in_force():
    """It was 0 in layer 1 for a membrane that was typed without the perturbation."""
    model = bz.Model([4, 3, 2], rule="bp").edit(u="du/dt = (b + drive - u)/tau_m : 1").edit({
        "readout:o": "do/dt = -o/tau_o : 1"})
    assert jacobian(model)[0][1].any()  # bp's own text gets the perturbation
    retyped = bz.Model(SIZES, **HOLDS).edit({
        "hidden_2": bz.Model(SIZES).blocks["hidden_2"] + "\ndu/dt = (b + drive - u)/tau_m : 1"})
    for layer, J in jacobian(bz.Model(SIZES, **HOLDS))[0].items():
        np.testing.assert_allclose(jacobian(retyped)[0][layer], J, rtol=1e-12)


def test_the_jacobian_says_where_a_perturbation_has_no_way():
    model = bz.Model([4, 3, 2], rule="bp").edit({"forward_readout.spike": "o_post += w*o_post"})
    with pytest.raises(EquationError, match="depends on o_post, which moves while"):
        jacobian(model)


def test_the_jacobian_goes_every_way_that_spikes_go():
    jump = Projection("jump", "hidden_1", "readout", "jump", start=Start("w", "normal", 1.0),
                      text=(("", "w : 1"), ("spike", "o_post += 3*w")))
    sizes = [4, 3, 2, 2]
    plain, more = bz.Model(sizes), bz.Model(layered(sizes).plus(jump))
    w = np.random.default_rng(7).normal(0, 1, (3, 2))
    first, state = jacobian(plain)
    second = measures.jacobian(more, TASK, {**state, "jump.w": w.ravel()}, trials=1,
                               progress=False, jobs=1)
    assert measures.cosine(second[1] - first[1], w.T) > 0.99
    np.testing.assert_allclose(second[2], first[2], atol=1e-9)


def test_the_jacobian_swallows_no_mistake():
    model = bz.Model([4, 5, 2]).edit({"forward_readout.spike": "o_post += v"})
    with pytest.raises(EquationError, match="v"):
        jacobian(model)


def test_settings_come_to_the_same_in_any_order_and_in_blocks_that_were_replaced_whole():
    """A block that an edit replaced whole hid what a later setting writes into it."""
    model = bz.Model(SIZES, rule="dfa")
    line = model.edit(u="du/dt = (2*b + drive - u)/tau_m : 1")
    for setting in ({"surrogate": "localzo_normal"}, {"refractory": 2 * ms}, {"neuron": "alif"}):
        first, last = (line.replace(rule="dkp").replace(**setting),
                       line.replace(**setting).replace(rule="dkp"))
        assert first.check().blocks == last.blocks
    block = model.edit({name: model.blocks[name] + text for name, text in {
        "hidden": "\nda/dt = -a/tau_x : 1", "hidden.reset": "\na += 1"}.items()}, tau_x=30 * ms)
    assert "int(not_refractory)*" in block.replace(refractory=2 * ms).blocks["hidden"]
    assert "exp(-distance**2/2)" in block.replace(surrogate="localzo_normal").blocks["hidden"]
    assert "mask*" in block.replace(dropout=0.2).blocks["hidden"]
    hard = block.replace(reset="hard").blocks["hidden.reset"].splitlines()
    assert "u = 0" in hard and "a += 1" in hard and "u -= theta" not in hard
    own = model.edit({"hidden": model.blocks["hidden"].replace("4*p*(1 - p)", "p**2")})
    assert "psi = p**2 : 1" in own.replace(reset="hard").blocks["hidden"].splitlines()


@pytest.mark.parametrize("edit", [
    {"forward_2": "dw/dt = -2*eta*xbar_pre*psi_post*g_post : 1"}, {"forward_2.trial": "w *= 0.9"}])
def test_what_is_frozen_is_not_moved_by_an_edit(edit):
    """It moved, in whatever order, and the run said that it was frozen."""
    model = bz.Model(SIZES, rule="dfa")
    for frozen in (model.edit(edit).replace(freeze=["forward_2"]),
                   model.replace(freeze=["forward_2"]).edit(edit)):
        with pytest.raises(EquationError, match="weights of forward_2 stay as they start"):
            frozen.check()
