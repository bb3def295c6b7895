"""Small texts that combine with any rule: they are checked, run alike in all forms, and work."""

import numpy as np
import pytest
from brian2 import Hz, ms
from test_equivalence import case_of, compare

import bioopzo as bz
from bioopzo.errors import InputError

SIZES = [4, 6, 5, 2]
SHOWS_ALL_AS_USERS_DO = True  # rates are measured


@pytest.mark.parametrize("rule", bz.rules.available())
def test_they_combine_with_every_rule_and_with_each_other(rule):
    model = bz.texts.weight_decay(bz.texts.rate_homeostasis(bz.Model(SIZES, rule=rule)))
    model.check()
    base = bz.Model(SIZES, rule=rule).blocks
    for block, text in base.items():
        assert set(text.splitlines()) <= set(model.blocks[block].splitlines()), block
    assert model.parameters["target_rate"] == 20*Hz and model.parameters["lost"] == 1e-4


@pytest.mark.parametrize("rule", ["opzo", "eprop", "rstdp", "readout_only"])
def test_all_forms_give_the_same_numbers(rule):
    """Dense text in both engines, step by step; `usual` is a statistic, and stands in a reading."""
    case = case_of(rule, coding="poisson", values={"eta": 4.0} if rule == "rstdp" else {})
    model = bz.texts.weight_decay(bz.texts.rate_homeostasis(case.model(), tau=80*ms))
    values = {name: model.parameters[name] for name in ("target_rate", "scaling", "tau_usual",
                                                        "lost")}
    _, engine, _, theirs, compared = compare(case, {**dict(model.edits), **values})
    assert {"hidden_1.usual", "forward_1.w"} <= compared
    assert "hidden_1.usual" in engine.program.shared
    assert theirs["hidden_1.usual"][-1].max() > 5
    still = theirs["hidden_1.usual"][2*case.steps:3*case.steps]  # trial 2 only reads
    assert np.ptp(still, axis=0).max() == 0


@pytest.mark.parametrize("engine", ["spiking", "rate"])
def test_rates_come_to_the_target(engine):
    """From less than 30 Hz to 60 Hz, within a tenth; without it they stay."""
    task = bz.tasks.xor()
    plain = bz.Model([4, 12, 2], rule="readout_only", b=0.0)
    held = bz.texts.rate_homeostasis(plain, target=60*Hz, strength=0.1, tau=150*ms)
    settings = {"optimizer": "sgd", "batch": 4} if engine == "rate" else {"backend": "numpy"}
    first, last = {}, {}
    for name, model in (("plain", plain), ("held", held)):
        run = bz.train(model, task, trials=60 if engine == "spiking" else 1600, engine=engine,
                       progress=False, evaluations=1, evaluation_trials=50, **settings)
        first[name], last[name] = run.arrays["rates/hidden_1"][[0, -1]]
    assert first["plain"] == first["held"] == pytest.approx(last["plain"], rel=0.05)
    assert first["held"] < 30 and last["held"] == pytest.approx(60, rel=0.1)


def test_they_stay_under_another_rule():
    model = bz.texts.rate_homeostasis(bz.Model(SIZES, rule="opzo"), target=33*Hz)
    other = model.replace(rule="rstdp")
    assert "w = w + scaling*(1 - usual_post/target_rate)" in other.blocks["forward.trial"]
    assert "E = 0" in other.blocks["forward.trial"] and other.parameters["target_rate"] == 33*Hz
    other.check()


def test_what_cannot_be_used_is_refused():
    model = bz.Model(SIZES)
    with pytest.raises(InputError, match="has the line .* already"):
        bz.texts.weight_decay(bz.texts.weight_decay(model))
    with pytest.raises(InputError, match="reads S of hidden neurons"):
        bz.texts.rate_homeostasis(model.edit({"hidden.step": "u = u"}))
    with pytest.raises(InputError, match="lost needs one finite number"):
        bz.texts.weight_decay(model, share=None)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
def test_a_decay_is_that_share_under_every_optimiser(optimizer):
    """It went through the optimiser: adamw made one size of every share."""
    task = bz.tasks.xor()
    for share in (1e-2, 1e-4):
        plain = bz.Model([4, 12, 2], rule="readout_only", b=0.0)
        run = bz.train(bz.texts.weight_decay(plain, share), task, trials=80, engine="rate",
                       batch=8, evaluations=1, optimizer=optimizer, compiled=False,
                       precision="double", progress=False)
        first = run.arrays["snapshots/forward_1.w"][0]
        np.testing.assert_allclose(run.final["forward_1.w"], first * (1 - share) ** 10, rtol=1e-6)


@pytest.mark.parametrize("surrogate", ["localzo", "localzo_5", "localzo_normal", "escape"])
@pytest.mark.parametrize("options", [{"backend": "numpy"},
                                     {"engine": "rate", "batch": 4, "compiled": False,
                                      "optimizer": "sgd"}])
def test_silent_neurons_learn_nothing_whatever_their_psi_is(surrogate, options):
    """Where psi is drawn by a statement it was not silenced."""
    model = bz.texts.silence(bz.Model([4, 6, 2], rule="bp", surrogate=surrogate), "hidden_1",
                             [0, 1])
    run = bz.train(model, bz.tasks.xor(), trials=8, evaluations=1, evaluation_trials=2,
                   progress=False, **options)
    first, last = run.arrays["snapshots/forward_1.w"].reshape(2, 4, 6)
    moved = np.abs(last - first).max(axis=0)
    assert not moved[:2].any() and moved[2:].all()


def test_silence_does_not_stay_with_another_psi():
    """The whole population, intact neurons too, kept that of the rule before."""
    model = bz.texts.silence(bz.Model(SIZES, rule="bp"), "hidden_1", [0])
    assert "intact" in model.replace(rule="dfa").check().blocks["hidden_1"]
    for other in ({"rule": "superspike"}, {"neuron": "erf"}):
        with pytest.raises(InputError, match="replace first, then silence"):
            model.replace(**other)
