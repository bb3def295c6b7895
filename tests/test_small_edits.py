"""Small edits that went wrong: each runs in both engines, or is refused where it is written."""

import unicodedata

import numpy as np
import pytest
from brian2 import Hz

import bioopzo as bz
from bioopzo import rules
from bioopzo.errors import EquationError, InputError, NonFiniteError

SIZES = [4, 5, 2]
XOR = bz.tasks.xor()
XOR = XOR.replace(splits={name: trials[:8] for name, trials in XOR.splits.items()})
ENGINES = {"rate": dict(engine="rate", trials=16, batch=4),
           "spiking": dict(trials=8, backend="numpy")}


def trained(model, engine, **options):
    return bz.train(model, XOR, evaluations=1, progress=False, **{**ENGINES[engine], **options})


# ---------------------------------------------------------------------------- what is written

@pytest.mark.parametrize("text, letter, plain", [
    ("psi = 4*{}*(1 - p) : 1", "FULLWIDTH LATIN SMALL LETTER P", "p"),
    ("psi = 4*{}*(1 - p) : 1", "MATHEMATICAL ITALIC SMALL P", "p"),
    ("p{}i = 4*p*(1 - p) : 1", "FULLWIDTH LATIN SMALL LETTER S", "s"),
    ("psi = 4*p*(1 {} p) : 1", "MINUS SIGN", "")])
def test_a_letter_that_only_looks_like_one_is_named(text, letter, plain):
    found = unicodedata.lookup(letter)
    with pytest.raises(EquationError) as caught:
        bz.Model(SIZES).edit(psi=text.format(found))
    mistake, = caught.value.mistakes
    assert mistake.where == "hidden" and f"{found!r} ({letter})" in mistake.what
    assert text.format(found)[mistake.column] == found
    assert f"write '{plain}'" in mistake.what if plain else "write" not in mistake.what


def test_such_a_letter_in_a_condition_or_a_rules_file_is_named_too(tmp_path):
    with pytest.raises(EquationError, match="MATHEMATICAL BOLD DIGIT ZERO.*write '0'"):
        bz.Model(SIZES).edit({"hidden.threshold": "S > \N{MATHEMATICAL BOLD DIGIT ZERO}.5"})
    path = tmp_path / "wide.py"
    path.write_text("from bioopzo.rules import Rule\n\n\ndef rule(depth):\n    return Rule("
                    "'wide', 'wide', '', {'hidden': '\\N{FULLWIDTH LATIN SMALL LETTER V} : 1'})\n")
    with pytest.raises(InputError, match="wide.py: hidden: .*FULLWIDTH LATIN SMALL LETTER V"):
        bz.Model(SIZES, rule=rules.add(path))


@pytest.mark.parametrize("text", [
    "psi = 9**9**9**9*p : 1", "psi = p**9**9**9 : 1", "psi = (p + theta)**1000 : 1",
    "psi = 10**400*p : 1", "psi = p : second**9**9**9", "psi = p*1" + "0" * 400 + " : 1"])
def test_a_power_that_nobody_can_work_out_is_refused_at_once(text):
    with pytest.raises(EquationError, match="this number is too great: an exponent is at"):
        bz.Model(SIZES).edit(psi=text)


def test_powers_that_anybody_can_work_out_are_none_of_these():
    bz.Model(SIZES).edit(psi="psi = clip(p**-2 + (p + 1)**2.5 + 2**-p + 2**10, 0, 1) : 1").check()


@pytest.mark.parametrize("terms", [200, 1000, 3000])
def test_a_sum_of_too_many_terms_is_one_clear_error(terms):
    with pytest.raises(EquationError, match="hidden: this expression has too many terms"):
        bz.Model(SIZES).edit(psi="psi = " + " + ".join(["p"] * terms) + " : 1")


def test_a_long_sum_runs():
    model = bz.Model(SIZES, rule="bp").edit(
        psi="psi = " + " + ".join(["0.01*p"] * 140) + " : 1").check()
    for engine in ENGINES:
        assert trained(model, engine).complete


# ---------------------------------------------------------------------------- what overflows

@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("edit", [dict(psi="psi = exp(25*27 + 100*u) : 1"),
                                  dict(expo="expo = exp(o + 1000) : 1")], ids=str)
def test_what_overflows_before_anything_was_learned_is_not_blamed_on_a_rate(engine, edit):
    with pytest.raises(NonFiniteError) as caught:
        trained(bz.Model(SIZES, rule="bp").edit(edit), engine)
    assert "no learning rate is to blame" in str(caught.value)
    assert "usually helps" not in str(caught.value)


@pytest.mark.parametrize("engine, options, rates", [
    ("spiking", {}, "eta, eta_o"), ("rate", {"optimizer": "sgd"}, "eta, eta_o"),
    ("rate", {"optimizer": "momentum", "rate": 1e36}, "rate")])
def test_what_a_learning_rate_does_is_still_blamed_on_it(engine, options, rates):
    large = 1e36 * Hz if "rate" not in options else 20 * Hz
    with pytest.raises(NonFiniteError, match=rf"smaller learning rate \({rates}\) usually helps"):
        trained(bz.Model(SIZES, rule="bp", eta=large, eta_o=large), engine, **options)


# ---------------------------------------------------------------------------- what runs

def with_line(block, line):
    return {block: bz.Model(SIZES, rule="bp").blocks.get(block, "") + "\n" + line}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("edit", [
    with_line("hidden.trial", "u = 0.01*i"), {"forward.trial": "w += 0.001*(rand() - 0.5)"},
    {"forward_readout.spike": "o_post += w*int(rand() < 0.5)"}], ids=str)
def test_a_neurons_number_and_random_numbers_of_synapses_run_in_both_engines(engine, edit):
    model = bz.Model(SIZES, rule="bp").edit(edit).check()
    run, plain = trained(model, engine), trained(bz.Model(SIZES, rule="bp"), engine)
    assert run.complete
    assert any(not np.array_equal(run.final[name], plain.final[name])
               for name in ("forward_1.w", "forward_2.w"))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_bound_that_is_a_parameter_holds_in_both_engines(engine):
    for edit in ({"forward.trial": "w = clip(w, 0, wmax)"},
                 {"forward.trial": "w = clip(w, 0, 2*wmax - 0.3)"}):
        model = bz.Model(SIZES, rule="bp", eta=0.001 * Hz).edit(edit).edit(wmax=0.3).check()
        options = {"optimizer": "sgd"} if engine == "rate" else {}
        weights = trained(model, engine, **options).final["forward_1.w"]
        # The text holds between two trials; the last one may move a weight by what it learned.
        assert weights.min() > -1e-3 and weights.max() < 0.3 + 1e-3 and weights.std() > 0


@pytest.mark.parametrize("rule", [name for name in rules.available() if name != "bptt"])
def test_dense_text_runs_on_the_numpy_back_end(rule):
    lazy, dense = (trained(bz.Model(SIZES, rule=rule), "spiking", lazy=form, trials=3,
                           evaluation_trials=2) for form in (True, False))
    for name, value in dense.final.items():
        if name.endswith((".w", ".M", ".B")):
            np.testing.assert_allclose(value, lazy.final[name], rtol=1e-7, atol=1e-10)
