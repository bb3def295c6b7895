"""Text blocks: what is read, replaced and refused."""

from math import exp

import pytest
from brian2 import Hz, ms
from hypothesis import given, settings
from hypothesis import strategies as st

from bioopzo.errors import EquationError
from bioopzo.text import typeset
from bioopzo.text.equations import (
    compose,
    identifiers,
    linear_terms,
    parse,
    render,
    replace,
    substitute,
    unit_text,
)


def test_every_kind_of_line_is_read():
    lines = parse("""
        du/dt = (b - u)/tau_m : 1 (unless refractory)   # the membrane
        psi = 4*p*(1 -
                   p) : 1
        w : 1
        x : second (shared, constant)
        u -= theta; count += 1
    """)
    assert [(x.kind, x.name, x.flags) for x in lines] == [
        ("differential", "u", "(unless refractory)"), ("subexpression", "psi", ""),
        ("parameter", "w", ""), ("parameter", "x", "(shared, constant)"),
        ("statement", "u", ""), ("statement", "count", "")]
    assert lines[1].right == "4*p*(1 - p)"
    assert parse(render(lines)) == lines


@pytest.mark.parametrize("text", ["du/dt = -u/tau", "u", "3 = u", "u =", "psi == 3 : 1"])
def test_what_is_no_line_is_refused_with_the_text(text):
    with pytest.raises(EquationError) as caught:
        parse(text, "hidden")
    assert "hidden" in str(caught.value)


def test_compose_replaces_by_left_hand_side_and_appends():
    text = compose("du/dt = -u/tau : 1\ng : 1", "du/dt = (b - u)/tau : 1\nz : 1")
    assert [x.name for x in parse(text)] == ["u", "g", "z"]
    assert "b - u" in text
    assert compose("u = 0", "u += 1").splitlines() == ["u = 0", "u += 1"]


def test_replace_swaps_one_line_for_several():
    assert replace("a : 1\nb : 1", "a", "c : 1\na = 2*c : 1") == "c : 1\na = 2*c : 1\nb : 1"


def test_substitute_takes_whole_words_at_once():
    assert substitute("w + w_x*xw", {"w": "(w + x)", "x": "y"}) == "(w + x) + w_x*xw"


@given(st.sampled_from([
    "xbar_pre*psi_post*g_post", "-eta*xbar_pre*(psi_post + g_post**2)", "xbar_pre*exp(-g_post)/2",
    "(xbar_pre*psi_post - w)/eta", "psi_post*(g_post*(xbar_pre - w) + 0.1)", "g_post + psi_post"]))
@settings(max_examples=20, deadline=None)
def test_the_terms_of_a_sum_of_products_add_up_to_it(text):
    names = dict(xbar_pre=0.7, psi_post=0.3, g_post=-1.2, eta=2.0, w=0.4)
    factors, rest = linear_terms(text, ("xbar_pre", "w"))
    assert not identifiers(" ".join([rest, *factors.values()])) & {"xbar_pre", "w"}
    total = " + ".join([rest, *(f"{name}*({factor})" for name, factor in factors.items())])
    assert eval(total, {"exp": exp}, names) == pytest.approx(
        eval(text, {"exp": exp}, names), rel=1e-12)


@pytest.mark.parametrize("text", ["xbar_pre**2*g_post", "sin(xbar_pre)*g_post", "g_post/w",
                                  "xbar_pre*w*g_post", "xbar_pre*int(w < 0.2)", "abs(w)",
                                  "clip(xbar_pre, 0, 1)*w", "w > xbar_pre"])
def test_what_is_no_sum_of_products_has_no_terms(text):
    assert linear_terms(text, ("xbar_pre", "w")) is None


def test_what_cancels_out_has_no_term():
    assert linear_terms("eta*(xbar_pre*0 + w - w + g_post*0.0)", ("xbar_pre", "w")) == ({}, "0")


def test_units_and_names():
    assert (unit_text(10 * ms), unit_text(3 * Hz), unit_text(2.0)) == ("second", "hertz", "1")
    assert identifiers("exp(-u_1/tau) + 1e-3*x.y") >= {"exp", "u_1", "tau", "x"}


@pytest.mark.parametrize("text, shown", [
    ("int(t/T_z)", r"\mathrm{int}\!\left(\frac{t}{T_{z}}\right)"),
    ("int(t > T_z)", r"\mathbf{1}\left[t > T_{z}\right]"),
    ("exp(-t/tau_m*k)", r"e^{\left(-t / \tau_{m}\right) \, k}"),
    ("a*(b % c)", r"a \left(b \;\mathrm{mod}\; c\right)"),
    ("1234567*x", r"1234567 \, x"),
    ("0.1234567*x", r"0.1234567 \, x"),
    ("x__fast", r"\mathrm{x\_\_fast}"),
    ("gabs", r"\mathrm{gabs}"),
    ("xbar", r"\bar{x}")])
def test_what_is_shown_is_what_was_typed(text, shown):
    """Truncation was shown as a condition, a product as a quotient, two names as one."""
    assert " ".join(typeset.expression(text).split()) == shown
