"""The network as a table: what is in it, who asks it, and a projection added from outside."""

import numpy as np
import pytest
from brian2 import Hz, ms

import bioopzo as bz
from bioopzo.engines.spiking.state import get_array, state_variables
from bioopzo.errors import EquationError, InputError
from bioopzo.network.blocks import is_block
from bioopzo.network.connections import Dense
from bioopzo.network.entries import Population, Projection, Start
from bioopzo.network.kinds import KINDS, NEURON_MOMENTS, SHOWN, SYNAPSE_MOMENTS, block_names
from bioopzo.network.layers import layered, recorded
from bioopzo.network.table import Network
from bioopzo.training.start import initial_weights


def ends(network):
    return {p.name: (p.kind, p.source, p.target) for p in network.projections}


def test_a_list_of_sizes_is_a_table():
    network = bz.Model([4, 6, 5, 2], rule="readout_only").network
    assert [(p.name, p.size, p.kind, p.layer, p.distance) for p in network.populations] == [
        ("input", 4, "input", 0, None), ("hidden_1", 6, "hidden", 1, 2),
        ("hidden_2", 5, "hidden", 2, 1), ("readout", 2, "readout", 3, 0),
        ("error", 2, "error", None, None)]
    assert ends(network) == {
        "forward_1": ("forward", "input", "hidden_1"),
        "forward_2": ("forward", "hidden_1", "hidden_2"),
        "forward_3": ("forward_readout", "hidden_2", "readout"),
        "softmax": ("softmax", "error", "error")}
    assert [p.connection.shape for p in network.forward] == [(4, 6), (6, 5), (5, 2)]
    assert network["forward_3"].blocks == ("forward_readout", "forward_3")
    assert [p.name for p in network.into("hidden_2")] == ["forward_2"]
    assert [p.name for p in network.out_of("hidden_2")] == ["forward_3"]


def test_a_rule_adds_what_it_needs():
    network = bz.Model([4, 6, 5, 2], rule="opzo", local=True, intermediate=2).network
    assert ends(network).items() >= {
        "feedback_1": ("feedback", "error", "hidden_1"),
        "feedback_2": ("feedback", "error", "hidden_2"),
        "forward_local_2": ("forward_local", "hidden_2", "local_2"),
        "softmax_local_1": ("softmax", "localerror_1", "localerror_1"),
        "intermediate_1": ("intermediate", "localerror_2", "hidden_1")}.items()
    assert "intermediate_2" not in network and network["feedback_1"].learned == ("M",)
    assert "critic" not in network and "critic" in bz.Model([4, 6, 2], rule="reinforce").network


def test_an_architecture_is_a_table_with_other_connections():
    model = bz.Model("8x8-4C3-AP2-10-3", rule="readout_only")
    network = model.network
    assert [p.size for p in network.layers] == [64, 256, 10, 3]
    assert [type(p.connection).__name__ for p in network.forward] == [
        "Convolution", "Pooled", "Dense"]
    assert np.prod(network.described()["projections"]["forward_1"]["shape"]) == 4 * 3 * 3


LAYERS = layered([4, 6, 5, 2])


def lateral(name="la", onto="hidden_1", **parts):
    return Projection(name, "hidden_1", onto, "lateral", **parts)


@pytest.mark.parametrize("wrong, says", [
    (lambda: LAYERS.plus(lateral(onto="hidden_3")),
     "unknown population of projection la 'hidden_3'.*did you mean"),
    (lambda: LAYERS.plus(lateral("forward_1")), "two populations or projections.*'forward_1'"),
    (lambda: LAYERS.plus(lateral("hidden_2")), "two populations or projections.*'hidden_2'"),
    (lambda: LAYERS.plus(Population("hidden_1", 3, "hidden")), "two populations.*'hidden_1'"),
    (lambda: LAYERS.plus(Population("x", 3, "hiden")), "unknown kind of population x 'hiden'"),
    (lambda: LAYERS.plus(Population("x", "3", "hidden")), "the size of x is a whole number"),
    (lambda: LAYERS.plus(Population("x", 2, "readout")), "one population of kind 'readout', not 2"),
    (lambda: Network(LAYERS.populations[1:], ()), "one population of kind 'input', not 0"),
    (lambda: Network((*LAYERS.populations[:-1], Population("error", 3, "error")), ()),
     "as many units as the readout: 2, not 3"),
    (lambda: LAYERS.plus(lateral(connection=Dense(3, 6))), "connects 3 with 6 neurons.* 6 and 6"),
    (lambda: LAYERS.plus(lateral(text=(("spkie", "u_post += 1"),))),
     "unknown moment of projection la 'spkie'.*did you mean 'spike'"),
    (lambda: Start("w", "unifrm"), "unknown distribution of a start 'unifrm'"),
    (lambda: bz.Model(LAYERS.plus(lateral("feedback_1"))), "called 'feedback_1'"),
    (lambda: bz.Model(LAYERS.plus(lateral(start=Start("w", "normal", 1.0, ("nosuch",))))),
     "projection la starts with the parameter 'nosuch': give its value")])
def test_a_table_that_is_no_network_is_refused(wrong, says):
    with pytest.raises(InputError, match=says):
        wrong()


def test_a_run_knows_its_network_and_one_saved_before_is_read_by_its_sizes():
    model = bz.Model([4, 6, 5, 2], rule="opzo", local=True)
    told = model.network.described()
    assert recorded({"network": told}) is told
    before = recorded({"sizes": [4, 6, 5, 2]})
    assert before["populations"].items() >= told["populations"].items()
    assert before["projections"].items() >= told["projections"].items()


# ---------------------------------------------------------------------------- blocks

@pytest.mark.parametrize("name, good", [
    ("hidden", True), ("hidden.reset", True), ("hidden_2.sample", True), ("forward.spike", True),
    ("feedback.pair.learn", True), ("feedback_1.pair.learn", True), ("critic.step", True),
    ("error.event.positive", True), ("forward_1.onset", True), ("backward", True),
    ("forwrad", False), ("hidden.rset", False), ("recurrent.spike", False),
    ("forward.post", True), ("forward.reset", False), ("hidden_3", False),
    ("hidden.pair.x", False), ("feedback.pair", False), ("feedback.spike", False),
    ("error.event", False), ("hidden.", False), ("feedback.pair.", False),
    ("softmax.trial", False)])
def test_which_blocks_there_can_be(name, good):
    assert is_block(name, bz.Model([4, 6, 5, 2]).network) is good


def test_the_tables_of_kinds_and_moments_are_whole():
    assert set(SHOWN) == {*NEURON_MOMENTS, *SYNAPSE_MOMENTS} and len(SHOWN) == len(set(SHOWN))
    assert "hidden.event.*" in block_names("hidden") and "forward.spike" in block_names("forward")
    model = bz.Model([4, 6, 5, 2], rule="opzo", local=True, intermediate=2)
    assert {e.kind for e in (*model.network.populations, *model.network.projections)} <= set(KINDS)


def test_text_of_one_layer_s_feedback_reaches_that_layer_only():
    """Feedback of a single layer was accepted as a block and then dropped."""
    model = bz.Model([4, 6, 5, 2]).edit({"feedback_2.pair.learn": "M = 0"})
    text = model.check().equations()
    assert "M = 0" in text["feedback_2"] and "M = 0" not in text["feedback_1"]


# ---------------------------------------------------------------------------- a new projection

def with_lateral(rule="opzo", **options):
    """Inhibition of every hidden neuron by all of its layer: fixed, added without the package."""
    lateral = Projection("lateral_1", "hidden_1", "hidden_1", "lateral",
                         start=Start("w", "uniform", 1.0, ("lateral_gain",), rank=9),
                         text=(("", "w : 1"), ("spike", "u_post -= abs(w)*strength")))
    network = layered([4, 6, 5, 2]).plus(lateral)
    return bz.Model(network, rule=rule, lateral_gain=0.3, strength=2.0, T_z=8 * ms, T_w=6 * ms,
                    **options)


TASK = bz.tasks.xor(duration=24 * ms, warmup=8 * ms)
TASK = TASK.replace(splits={**TASK.splits, "test": TASK.splits["test"][:3]})


def test_a_projection_from_outside_is_part_of_the_model():
    """Text, table, weights, display, edits, checks: no file of the package knows of it."""
    model = with_lateral()
    assert model.network["lateral_1"].connection.shape == (6, 6)
    assert "u_post -= abs(w)*strength" in model.check().equations()["lateral_1"].replace(
        "strength_post", "strength")
    assert initial_weights(model, np.random.default_rng(0))["lateral_1.w"].shape == (36,)
    assert "[lateral_1.spike]" in repr(model)
    edited = model.edit({"lateral_1.spike": "u_post -= w*strength"}).check()
    assert edited.digest != model.digest and model.digest != bz.Model([4, 6, 5, 2]).digest
    with pytest.raises(EquationError, match="u_psot"):
        model.edit({"lateral_1.spike": "u_psot -= w*strength"}).check()
    other = edited.replace(rule="bp").check()
    assert other.blocks["lateral_1.spike"] == "u_post -= w*strength"
    assert other.parameters["strength"] == 2 and edited.plain().check().edits == ()
    assert "lateral_1: hidden_1 -> hidden_1" in repr(edited.diff(bz.Model(LAYERS)))


def test_a_projection_from_outside_runs_and_stays_fixed():
    runs = [bz.train(model, TASK, trials=3, evaluations=1, backend="numpy", progress=False, seed=2)
            for model in (with_lateral(), with_lateral().edit(strength=0.0))]
    first, other = runs
    assert np.array_equal(first.final["lateral_1.w"], other.final["lateral_1.w"])
    assert first.matrix("lateral_1.w").shape == (6, 6)
    assert not np.array_equal(first.final["forward_2.w"], other.final["forward_2.w"])
    assert first.to_xarray()["final_lateral_1_w"].size == 36


def test_the_text_of_a_projection_is_its_own():
    """Two of one kind had both texts; a further forward projection rewrote the others."""
    text = {name: ("spike", f"u_post += {k}*w") for name, k in (("la", 0.1), ("lb", 0.7))}
    skip = Projection("skip", "hidden_1", "hidden_2", "forward", ("forward", "skip"),
                      text=(("spike", "u_post += 7*w"),))
    both = LAYERS.plus(*(lateral(n, text=(("", "w : 1"), text[n])) for n in text), skip)
    found = bz.Model(both).equations()
    assert "0.1*w" in found["la"] and "0.7" not in found["la"] and "0.7*w" in found["lb"]
    assert "7*" in found["skip"] and "7*" not in found["forward_2"]


def test_networks_that_differ_in_a_projection_are_other_models():
    """A comparison took the saved run of one for the other's."""
    one, two = (bz.Model(LAYERS.plus(lateral(onto=onto, text=(("", "w : 1"), (
        "spike", "u_post += w"))))) for onto in ("hidden_1", "hidden_2"))
    assert one.digest != two.digest and "la: hidden_1 -> hidden_2" in repr(two.diff(one))


def test_a_variable_that_starts_with_drawn_values_may_have_any_name():
    own = lateral(start=Start("B", "normal", 0.5), text=(("", "B : 1"), ("spike", "u_post += B")))
    model = bz.Model(LAYERS.plus(own)).check()
    assert initial_weights(model, np.random.default_rng(0))["la.B"].std() > 0.2


def test_two_plastic_projections_onto_one_population_keep_apart_what_they_owe():
    """Each has its own event-driven sum; the dense form gives the same weights."""
    skip = Projection("skip", "hidden_1", "readout", "forward_readout",
                      ("forward_readout", "skip"), learned=("w",), start=Start("w", "uniform"))
    model = bz.Model(LAYERS.plus(skip), rule="dfa", eta=5 * Hz, eta_o=9 * Hz).check()
    lazy, dense = (bz.train(model, TASK, trials=6, evaluations=1, backend="numpy", progress=False,
                            seed=2, lazy=lazy).final for lazy in (True, False))
    assert "w lazy" in model.equations()["skip"]
    for name in ("skip.w", "forward_1.w", "forward_3.w"):
        np.testing.assert_allclose(lazy[name], dense[name], atol=1e-12)
    assert np.ptp(lazy["skip.w"]) > 0


@pytest.mark.compiled
@pytest.mark.parametrize("how", [{"backend": "standalone", "trials": 3},
                                 {"engine": "rate", "trials": 8, "batch": 4, "compiled": False}])
def test_a_projection_from_outside_runs_in_every_engine(how):
    run = bz.train(with_lateral(), TASK, evaluations=1, progress=False, seed=2, **how)
    assert run.complete and run.matrix("lateral_1.w").shape == (6, 6)


def test_a_model_of_the_same_table_is_the_model_of_its_sizes():
    given, sizes = bz.Model(layered([4, 6, 5, 2])), bz.Model([4, 6, 5, 2])
    assert given.network == sizes.network and dict(given.blocks) == dict(sizes.blocks)
    assert isinstance(given.network, Network)


def test_every_state_variable_belongs_to_an_entry_of_the_table():
    model = bz.Model([4, 5, 2], rule="dfa", local=True).for_task(TASK)
    run = bz.train(model, TASK, trials=1, evaluations=1, backend="numpy", progress=False)
    built = run.network
    owners = {name.split(".")[0] for name in state_variables(built)} - {"trial"}
    assert owners <= {e.name for e in (*model.network.populations, *model.network.projections)}
    assert get_array(built, "forward_1.w").size == 20
