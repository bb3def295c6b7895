"""Brian2 agrees with a hand-written NumPy replay on the same random numbers, rule by rule."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from replay import BOTH, REPLAYS, Case, Network, Replay, draw

FORMS = itertools.product(("lms", "momentum"), ("after", "before"), ("rademacher", "gaussian"))
#: Every combination of three options, half of those of all four (each three still occur together).
OPZO = [{"form": form, "place": place, "distribution": kind,
         "antithetic": (form, place, kind) in (
             ("lms", "after", "rademacher"), ("lms", "before", "gaussian"),
             ("momentum", "after", "gaussian"), ("momentum", "before", "rademacher")),
         "forward_psi": (form, place, kind) not in (
             ("lms", "before", "gaussian"), ("momentum", "before", "gaussian"))}
        for form, place, kind in FORMS]
NODE = [{"points": points, "place": place, "distribution": kind}
        for points, place, kind in (("one", "after", "rademacher"), ("one", "before", "gaussian"),
                                    ("two", "after", "gaussian"), ("two", "before", "rademacher"))]
OPTIONS = {"opzo": OPZO, "node_perturbation": NODE}
PERTURBING = ("opzo", "node_perturbation")
#: Every rule with its options, then the network's variants, each with a rule that reads them.
SLOW = {"values": {"eta": 4.0}}  # a score is large: gentle steps keep rounding from growing
CASES = [Case(rule, options, **(SLOW if rule == "reinforce" else {}))
         for rule in BOTH for options in OPTIONS.get(rule, [{}])]
CASES += [
    Case("opzo", neuron="exponential", reset="hard", coding="poisson"),
    Case("opzo", neuron="erf", coding="spikes", sizes=(6, 5, 3)),
    Case("opzo", neuron="deterministic", reset="hard", state_reset=False),
    Case("opzo", sizes=(4, 5, 4, 3, 3)), Case("opzo", {"place": "before"}, sizes=(4, 5, 4, 3, 3)),
    Case("reinforce", neuron="exponential", **SLOW),
    Case("reinforce", neuron="erf", coding="spikes", **SLOW),
    Case("bp", error="spiking", warmup=0, sizes=(4, 5, 4, 3, 3)), Case("bp", refractory=0.003),
    *(Case(rule, error="reward", **(SLOW if rule == "reinforce" else {}))
      for rule in ("opzo", "eprop", "reinforce", "node_perturbation", "rstdp")),
    Case("rstdp", coding="spikes", reset="hard"), Case("rstdp", refractory=0.003),
    Case("reinforce", refractory=0.003, **SLOW), Case("eprop", refractory=0.003),
    Case("rstdp", coding="poisson", state_reset=False), Case("superspike", coding="spikes"),
    Case("bp", error="reward", coding="spikes", sizes=(6, 5, 2), warmup=0, state_reset=False),
    Case("eprop", state_reset=False, coding="poisson"), Case("dfa", varying=True, error="spiking"),
]


def close(mine, theirs):
    return np.testing.assert_allclose(theirs, mine, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rule", BOTH)
def test_every_rule_has_a_replay(rule):
    """A rule without an independent check does not pass unnoticed."""
    assert rule in REPLAYS, f"rule {rule!r} has no replay: write one in tests/replay.py, REPLAYS"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_brian_agrees_with_the_replay(case):
    """Weights, feedback, membranes, traces, readout, error, spikes and decisions, to 1e-10."""
    if case.rule not in REPLAYS:
        pytest.fail(f"rule {case.rule!r} has no replay: write one in tests/replay.py, REPLAYS")
    case = replace(case, steps=50, plastic=(1, 1, 0, 1, 0))  # enough to have bite
    data = draw(case)
    replay, brian = Replay(case, data), Network(case, data)
    trials = len(case.plastic)
    replay.advance(trials)
    brian.advance(trials)
    mine, theirs = replay.state(), brian.state()
    for name, value in mine.items():
        if name in theirs:
            np.testing.assert_allclose(theirs[name], value, rtol=1e-10, atol=1e-10, err_msg=name)
    assert brian.spikes == sorted(replay.spikes)
    close(replay.decisions, brian.read("decision"))
    close(replay.costs, brian.read("cost"))
    close(replay.errs, brian.errs.err.T)
    compared = {"forward_1.w", "hidden_1.u", "hidden_1.xbar", "readout.o", "error.err"}
    assert compared <= set(theirs)
    _has_bite(case, data, mine, replay)


def _has_bite(case, data, state, replay):
    """The comparison could fail: spikes in every layer, moving weights, a moving M or B."""
    for k in range(1, case.depth + 1):
        assert state[f"hidden_{k}.count"].min() >= 0 and state[f"hidden_{k}.count"].sum() > 20
    moved = [np.abs(state[f"forward_{k}.w"] - w.ravel()).max()
             for k, w in enumerate(data.weights, 1)]
    assert moved[-1] > 1e-2 and np.abs(replay.errs).max() > 0.1 and not case.plastic[-1]
    assert (max(moved[:-1]) == 0) if case.rule == "readout_only" else (min(moved[:-1]) > 1e-3)
    if case.rule in ("opzo", "dkp"):
        for k, start in enumerate(data.feedback, 1):
            assert np.abs(replay.F[k] - start).max() > 1e-3
    if case.rule in PERTURBING:
        assert np.abs(replay.push[-1]).max() > 1 and np.abs(state["hidden_1.z"]).max() > 0
