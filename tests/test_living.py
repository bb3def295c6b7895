"""Deep networks are alive before they learn: a gain for every layer, found from trials."""

import numpy as np
import pytest
from brian2 import ms

import bioopzo as bz
from bioopzo.errors import InputError, ModelWarning
from bioopzo.training import living
from bioopzo.training.living import untrained_shares
from bioopzo.training.start import initial_weights

RUNS_JAX_OPERATION_BY_OPERATION = True  # NumPy has no convolution of ours

DEEP = {5: "2x8x8-4C3-AP2-6C3-6C3-AP2-6C3-FC20-4",
        9: "2x8x8-4C3-4C3-AP2-4C3-4C3-4C3-AP2-4C3-4C3-4C3-FC20-4"}


def images(steps):
    """Twelve images of two channels, scaled as data sets are; parameters of the papers."""
    rng = np.random.default_rng(0)
    return bz.tasks.from_arrays(
        rng.normal(0, 1, (12, 128)), np.arange(12) % 4, duration=steps*ms,
        splits={"train": np.arange(8), "validation": np.arange(8, 8), "test": np.arange(8, 12)},
        parameters={"tau_m": 1.44*ms, "tau_o": 1.44*ms, "b": 0.0, "gain": 2.0})


@pytest.mark.parametrize("layers, steps, activity", [(5, 6, "spikes"), (9, 12, "rates")])
def test_every_layer_of_a_deep_network_fires_untrained(layers, steps, activity):
    """With the gain of all layers alike the upper ones do not."""
    task, model = images(steps), bz.Model(DEEP[layers], rule="bp")
    members = task.splits["train"]
    before = untrained_shares(model.for_task(task), task, members, 0, activity)
    assert len(before) == layers and before[f"hidden_{layers}"] < 0.001
    found = bz.alive(model, task, samples=8, activity=activity)
    for seed, low, high in ((0, 0.1, 0.2), (1, 0.02, 0.4)):  # and with other weights
        shares = untrained_shares(found.for_task(task), task, members, seed, activity)
        assert all(low <= share <= high for share in shares.values()), shares
    gains = found.given["gain"]
    assert set(gains) == {f"forward_{k}" for k in range(1, layers + 2)}
    assert gains[f"forward_{layers + 1}"] == 2.0  # the readout is left as it is
    assert found.digest != model.digest and "forward_3" in str(found.given["gain"])


def test_a_gain_for_each_projection_scales_its_weights():
    task, layout = images(6), "2x8x8-4C3-FC20-4"
    plain = bz.Model(layout, rule="bp", gain=2.0)
    own = bz.Model(layout, rule="bp", gain={"forward_1": 3.0, "forward_2": 5.0})
    assert own.connections["forward_1"].gain == 3.0 and plain.connections["forward_1"].gain == 2.0
    first, second = (initial_weights(m.for_task(task), np.random.default_rng(0))
                     for m in (plain, own))
    np.testing.assert_allclose(second["forward_2.w"], 2.5*first["forward_2.w"])
    np.testing.assert_allclose(second["forward_3.w"], first["forward_3.w"])
    again = bz.Model.from_content(own.content())
    assert again.connections["forward_1"].gain == 3.0 and again.digest == own.digest


@pytest.mark.parametrize("arguments, says", [
    ({"shares": (0.2, 0.1)}, "shares are the least and the most of 1"),
    ({"shares": (0.95, 0.99)}, "hidden_1 fires in .* no gain brings it to 95 to 99 %"),
    ({"samples": 0}, "samples is a whole number")])
def test_what_cannot_be_alive_is_said(arguments, says):
    with pytest.raises(InputError, match=says):
        bz.alive(bz.Model("2x8x8-4C3-FC20-4", rule="bp"), images(4), **arguments)


def test_a_silent_layer_is_said_with_the_remedy():
    with pytest.warns(ModelWarning, match=r"hidden_3 fires at 0\.\d+ Hz before it learns .* "
                                          r"bioopzo\.alive\(model, task\) finds a gain for each"):
        bz.train(bz.Model("2x8x8-4C3-4C3-FC20-4", rule="bp"), images(5), engine="rate", batch=4,
                 epochs=1, evaluations=1, progress=False, compiled=False)


def test_weights_that_were_given_are_left_as_they_are():
    network = (bz.Network(inputs=128, readouts=4).population("A", 6).population("B", 6)
               .connect("input", "A").connect("A", "B", weights=0.3).connect("B", "readout"))
    gains = bz.alive(bz.Model(network, rule="bp"), images(4), samples=4).given["gain"]
    assert set(gains) == {"input_A", "B_readout"}


def test_a_model_with_gains_keeps_them():
    model = bz.Model("2x8x8-4C3-FC20-4", rule="bp", gain={"forward_1": 3.0})
    with pytest.raises(InputError, match="has gains of its own"):
        bz.alive(model, images(4))


def test_a_share_is_that_of_the_steps_that_delays_leave():
    """They were not known: a population behind 40 ms had three times the gain it needs."""
    network = bz.Network(inputs=4, readouts=2).population("A", 3).population("B", 3)
    late = living._first_steps(network.connect("input", "A", delay=40 * ms).connect(
        "A", "B", delay=2 * ms).connect("input", "B", name="skip", delay=50 * ms).connect(
        "B", "readout").connect("A", "A"), 1e-3)
    assert (late["A"], late["B"]) == (40, 43)
    plain = living._first_steps(bz.Model([4, 5, 6, 2]).layers, 1e-3)
    assert (plain["hidden_1"], plain["hidden_2"], plain["readout"]) == (0, 1, 2)
