"""A few draws of the differential fuzzing, the same ones every time; see `fuzz`."""

import pytest
from brian2 import ms
from fuzz.command import row_of
from fuzz.executors import run
from fuzz.strategy import Draw, Seeded, Shrinking, draw_from, reduced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioopzo.errors import InputError

#: Draws of this seed, by number.
SEED, COUNT = 13, 10


@pytest.mark.parametrize("number", range(COUNT))
def test_a_draw_has_one_meaning(number):
    """The same numbers in all three forms, or refused before it runs."""
    draw = draw_from(Seeded(f"{SEED} {number}"), number)
    outcome = run(draw)
    assert not outcome.bad, f"{outcome.kind}: {outcome.detail}\n{draw.script()}"
    assert row_of(number, draw, outcome, 0)["outcome"] in (
        "ran", "ran, rate engine refused", "refused")


@st.composite
def draws(choose):
    """A draw whose every decision is hypothesis', so that it shrinks."""
    return draw_from(Shrinking(choose, st), choose(st.integers(0, 9)))


# To draw is to make a model, which on a busy machine takes hypothesis' patience, not a result.
@settings(max_examples=6, derandomize=True, database=None, deadline=None,
          suppress_health_check=[HealthCheck.too_slow])
@given(draws())
def test_a_draw_by_hypothesis_has_one_meaning(draw):
    """Other draws than those by a seed, which hypothesis makes small where one fails."""
    outcome = run(draw)
    assert not outcome.bad, f"{outcome.kind}: {outcome.detail}\n{draw.script()}"


def test_a_difference_is_found_and_reduced(monkeypatch):
    """The comparison has teeth: a rate engine that is told another eta disagrees."""
    from bioopzo.engines.rate import engine

    original = engine.spread.constants
    draw = Draw(3, (3, 2, 2), "bp", plastic=(1, 1, 0),
                ops=((("append", "readout.step", "o *= 0.98"),),))
    assert run(draw).kind == "ran"
    monkeypatch.setattr(engine.spread, "constants", lambda *arguments: {
        key: value*(1 + 1e-6*key.endswith("eta_o")) for key, value in original(
            *arguments).items()})
    outcome = run(draw)
    assert outcome.kind == "rate engine differs from dense"
    assert "readout.F_w" in outcome.detail
    small, found = reduced(draw, outcome, run, 8)
    assert found.kind == outcome.kind and not small.ops and len(small.plastic) == 1


def test_nonsense_is_refused():
    """By the package's own error, before anything runs."""
    for edit in (("edit", "psi", "psi = 4*p*(1 - pp) : 1"), ("append", "hidden.rset", "u = 0")):
        assert run(Draw(1, (3, 2, 2), "bp", ops=((edit,),))).kind == "refused"


@pytest.mark.parametrize("number", [5, 18, 20, 25, 43, 53, 56, 96])
def test_a_setting_there_and_back_leaves_the_text_or_is_refused(number):
    """Edits of whole blocks lost lines, had them twice or in another order: all in silence."""
    model = draw_from(Seeded(f"91 {number}"), number).model()
    assert model.edits
    for there, back in (
            ({"reset": "soft" if model.reset == "hard" else "hard"}, {"reset": model.reset}),
            ({"dropout": 0.0 if model.dropout else 0.2}, {"dropout": model.dropout}),
            ({"refractory": (0 if model.refractory else 2) * ms},
             {"refractory": model.refractory})):
        try:
            found = model.replace(**there).replace(**back).blocks
        except InputError as problem:
            found = str(problem)
        assert found == model.blocks or "replace the setting first, then edit" in str(found)
