"""Sparse learning: which neurons have psi, and the operations that the others save."""

import numpy as np
import pytest
from brian2 import ms

import bioopzo as bz
from bioopzo.errors import InputError
from bioopzo.measures import learning_operations
from bioopzo.network.entries import Projection
from bioopzo.network.layers import layered
from bioopzo.training.start import initial_weights

SIZES = [4, 5, 6, 2]


@pytest.fixture(scope="module")
def untrained():
    """A run on XOR in 12 steps, of which the target is shown in some; nothing was learned."""
    task = bz.tasks.xor(dt=5 * ms)
    task = task.replace(splits={name: members[:16] for name, members in task.splits.items()})
    return bz.train(bz.Model(SIZES, rule="dfa"), task, trials=8, evaluations=1, seed=1, batch=8,
                    engine="rate", compiled=False, progress=False).at(0)


def counted(run, trials=8, psi=None, **options):
    """The operations of the weights of a run under another model."""
    model = bz.Model(SIZES, **options)
    model = model.edit(psi=psi) if psi else model
    return learning_operations(bz.Run(run.arrays, run.units, {
        key: value for key, value in run.meta.items() if key != "digest"}, model, run.task), trials)


@pytest.mark.parametrize("rule, first, second, options", [
    ("bp", 4 + 6 * 2 / 6, 5 + 2, {}),  # its weights, and back from two neurons, or the readout
    ("dfa", 4 + 2, 5 + 2, {}),  # feedback from two errors
    ("opzo", 4 + 2 + 2 + 2, 5 + 2 + 2, {"local": True, "intermediate": 2})])
def test_operations_are_those_of_the_synapses_of_neurons_with_psi(untrained, rule, first, second,
                                                                  options):
    """Two neurons of every layer have psi, whatever happens."""
    found = counted(untrained, rule=rule, psi="psi = int(i < 2) : 1", options=options)
    task = untrained.task
    steps = np.count_nonzero(task.mask)
    assert 0 < steps < task.steps
    for layer, size, each in (("hidden_1", 5, first), ("hidden_2", 6, second)):
        assert found[layer].share == pytest.approx(np.full(task.steps, 2 / size))
        assert found[layer].operations == pytest.approx(steps * 2 * each)
    assert found["hidden_1"].dense == steps * 5 * (4 + 6 if rule == "bp" else first)
    assert found["hidden_2"].dense == steps * 6 * second
    assert found["readout"].operations == found["readout"].dense == steps * 6 * 2
    assert found["readout"].share == pytest.approx(np.ones(task.steps))


@pytest.mark.parametrize("how, first, second", [
    ({"recurrent": True}, 4 + 5 + 6, 5 + 6 + 2),  # nothing goes back through recurrent synapses
    ({"freeze": ["forward_3"]}, 4 + 6, 5 + 2),  # the error passes weights that stay as they are
    ({"freeze": ["forward_2"]}, 4 + 6, 2)])
def test_errors_go_back_where_the_network_sends_them(untrained, how, first, second):
    """Recurrent synapses counted twice, and frozen ones not at all."""
    model = bz.Model(SIZES, rule="bp", **how).for_task(untrained.task)
    engine_state = initial_weights(model, np.random.default_rng(0))
    run = bz.Run({f"final/{name}": value for name, value in engine_state.items()}, {}, {
        "engine": "rate", "settings": untrained.meta["settings"], "seed": 1}, model,
        untrained.task)
    found, steps = learning_operations(run, 8), np.count_nonzero(untrained.task.mask)
    assert found["hidden_1"].dense == steps * 5 * first
    assert found["hidden_2"].dense == steps * 6 * second


def test_smaller_perturbations_and_fewer_samples_leave_fewer_neurons(untrained):
    def share(**options):
        return counted(untrained, 16, rule="dfa", **options)["hidden_1"].share.mean()

    one, five, narrow = (share(surrogate=kind, delta_z=delta) for kind, delta in (
        ("localzo", 0.5), ("localzo_5", 0.5), ("localzo", 0.05)))
    assert narrow < 0.5 * one and one < 0.9 * five and narrow > 0
    assert share() == 1  # the derivative of the escape noise is nowhere 0


@pytest.mark.parametrize("rule, options", [
    ("eprop", {}), ("reinforce", {}), ("readout_only", {}), ("node_perturbation", {}),
    ("opzo", {"place": "before", "forward_psi": False})])
def test_rules_that_learn_without_psi_are_refused(untrained, rule, options):
    with pytest.raises(InputError, match=f"forward_1 of rule {rule} has no psi before"):
        counted(untrained, rule=rule, options=options)


@pytest.mark.parametrize("learns", [False, True])
def test_a_kind_of_one_s_own_that_learns_is_not_left_out_in_silence(untrained, learns):
    lateral = Projection("lateral", "hidden_1", "hidden_1", "lateral", text=(
        ("", f"{'dw/dt = -eta*xbar_pre*psi_post*g_post' if learns else 'w'} : 1"),
        ("spike", "u_post += w")))
    model = bz.Model(layered(SIZES).plus(lateral), rule="dfa")
    run = bz.Run(untrained.arrays, untrained.units, {
        key: value for key, value in untrained.meta.items() if key != "digest"}, model,
        untrained.task)
    if learns:
        with pytest.raises(InputError, match="lateral learns, and what a kind of projection"):
            learning_operations(run, 8)
    else:
        found, plain = learning_operations(run, 8), counted(untrained, rule="dfa")
        assert found["hidden_2"].dense == plain["hidden_2"].dense
