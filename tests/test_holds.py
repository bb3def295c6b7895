"""Holds that are too short for their effect to be read are refused before anything runs."""

import numpy as np
import pytest
from brian2 import ms

import bioopzo as bz
from bioopzo import rules
from bioopzo.errors import EquationError, InputError
from bioopzo.measures.rate import update_angle
from bioopzo.network.clock import time_course
from bioopzo.network.holds import response
from bioopzo.studies.discrete import discrete

XOR = bz.tasks.xor()
TWO_POINTS = dict(rule="node_perturbation", points="two")


def model(depth, T_z, T_w=1, **options):
    return bz.Model([4, *[3] * depth, 2], T_z=T_z * ms, T_w=T_w * ms, **options)


def test_a_filter_s_response_is_its_equation_s_solution():
    """One filter: 1 - exp(-t/tau); the second starts a step later; a constant stays."""
    t = np.arange(1, 31) * 1e-3
    np.testing.assert_allclose(response(np.ones(30), [0.01], 1e-3), 1 - np.exp(-t / 0.01))
    two = response(np.ones(3000), [0.01, 0.005], 1e-3)
    assert two[0] == 0 < two[1] and two[-1] == pytest.approx(1)


@pytest.mark.parametrize("engine", ["rate", "spiking"])
@pytest.mark.parametrize("options, says", [
    (dict(depth=5, T_z=2), "T_z=2 ms is too short for 5 hidden layers: what perturbs hidden_1 does "
     "not reach the readout within a pair of holds; the smallest T_z that does is 3 ms"),
    (dict(depth=9, T_z=2, T_w=2), "for 9 hidden layers: .*smallest T_z that does is 5 ms"),
    (dict(depth=4, T_z=2, place="before"), "T_z=2 ms is too short.*smallest T_z that does is 3 ms"),
    (dict(depth=2, T_z=2, tau_m=5*ms, tau_o=5*ms, **TWO_POINTS),
     "what perturbs hidden_1 .*the sign of its effect is wrong; the smallest T_z .* 3 ms"),
], ids=str)
def test_holds_in_which_nothing_arrives_are_refused_in_both_engines(
        engine, options, says, monkeypatch):
    def ran(*_, **__):
        raise AssertionError("a degenerate protocol reached an engine")

    monkeypatch.setattr("bioopzo.engines.spiking.backends.open_backend", ran)
    monkeypatch.setattr("bioopzo.training.rate.open_engine", ran)
    for call in (lambda m: bz.train(m, XOR, trials=8, engine=engine, progress=False),
                 lambda m: bz.compare({"mine": m}, XOR, seeds=[1], trials=8, engine=engine,
                                      progress=False)):
        with pytest.raises(InputError, match=says):
            call(model(**options))


def test_the_longer_hold_that_is_named_is_enough():
    for options in (dict(depth=5, T_z=3), dict(depth=9, T_z=5),
                    dict(depth=2, T_z=3, tau_m=5*ms, tau_o=5*ms, **TWO_POINTS)):
        asked = model(**options).for_task(XOR)
        assert time_course(asked, XOR).shape == (XOR.steps, 6)
    run = bz.train(model(5, 3), XOR, trials=16, batch=8, engine="rate", evaluations=1,
                   progress=False)
    assert all(np.isfinite(run.final[f"feedback_{k}.M"]).all() for k in range(1, 6))


def test_without_a_task_check_refuses_what_no_task_can_mend():
    wrong = model(2, 2, tau_m=5*ms, tau_o=5*ms, **TWO_POINTS)
    with pytest.raises(EquationError, match="parameters: T_z=2 ms is too short for 2 hidden") as no:
        wrong.check()
    assert len(no.value.mistakes) == 1
    for right in (model(1, 2, tau_m=5*ms, tau_o=5*ms, **TWO_POINTS), model(5, 2),
                  model(2, 20, 14, **TWO_POINTS)):
        right.check()


def test_a_trial_that_is_too_short_for_its_layers_says_so():
    """One hold up to the trial's end, four steps: with more filters nothing arrives."""
    task = discrete("digits", steps=6, warmup=2)
    for depth, options in ((5, dict(antithetic=False)), (7, dict(rule="node_perturbation"))):
        good, bad = (bz.Model([64, *[3] * k, 10], **options).for_task(task)
                     for k in (depth - 1, depth))
        time_course(good, task)
        with pytest.raises(InputError, match=f"too short for {depth} hidden layers.*hidden_1"):
            time_course(bad, task)


def test_where_no_hold_fits_the_error_says_so():
    task = discrete("digits")
    with pytest.raises(InputError, match="no T_z that fits into the trial does"):
        time_course(bz.Model([64, *[3] * 6, 10]).for_task(task), task)


@pytest.mark.parametrize("depth", range(1, 6))
@pytest.mark.parametrize("name", ["xor", "yin_yang", "temporal_patterns"])
def test_every_rule_s_defaults_are_allowed(name, depth):
    task = getattr(bz.tasks, name)()
    for rule in rules.available():
        for options in ({}, {"place": "before"}, {"antithetic": False}):
            if options.keys() <= rules.options(rule).keys():
                asked = bz.Model([task.n_in, *[3] * depth, task.n_out], rule=rule, **options)
                assert np.isfinite(time_course(asked.for_task(task), task)).all()


def test_two_points_that_are_refused_would_point_uphill(monkeypatch):
    """The update of layer 1 against backpropagation's, without the check: T_z of 4 ms, then 20."""
    task, sizes = bz.tasks.digits(), [64, 12, 12, 10]
    models = {T_z: bz.Model(sizes, T_z=T_z*ms, T_w=T_w*ms, **TWO_POINTS).for_task(task)
              for T_z, T_w in ((4, 3), (20, 14))}
    time_course(models[20], task)
    with pytest.raises(InputError, match="T_z=4 ms.*smallest T_z that does is 7 ms"):
        time_course(models[4], task)
    monkeypatch.setattr("bioopzo.network.clock.check_holds", lambda *_: None)
    taught = bz.train(bz.Model(sizes, rule="bp"), task, engine="rate", epochs=3, evaluations=1,
                      progress=False)
    angle = {T_z: update_angle(taught, asked, batches=150)["forward_1.w"][0]
             for T_z, asked in models.items()}
    assert angle[4] < -0.01 and angle[20] > 0.1
