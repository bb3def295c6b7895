"""A wrong edit is caught before any run, with the culprit named; a right one passes."""

import time
import warnings
from pathlib import Path

import pytest
from brian2 import Hz, ms, mV

import bioopzo as bz
from bioopzo.checks.check import check
from bioopzo.errors import EquationError, InputError, ModelWarning
from bioopzo.network.blocks import unknown_blocks

SIZES = [4, 5, 3, 2]
README = Path(__file__).parents[1] / "README.md"
XOR = bz.tasks.xor(duration=16 * ms, warmup=4 * ms)
XOR = XOR.replace(splits={**XOR.splits, "test": XOR.splits["test"][:2]})


def model(rule="opzo", **options):
    return bz.Model(SIZES, rule=rule, **options)


def with_line(block, line, rule="opzo"):
    """A block with a line more, as an edit."""
    return {block: model(rule).blocks.get(block, "") + "\n" + line}


def without(block, *names):
    """A block without the lines that define some names, as an edit."""
    lines = model().blocks[block].splitlines()
    starts = tuple(f"{d}{name}{end}" for name in names
                   for d, end in (("", " "), ("d", "/dt")))
    return {block: "\n".join(line for line in lines if not line.startswith(starts))}


FORWARD = "dw/dt = -eta*xbar_pre*psi_post*g_post"
HIDDEN_RESET = "u -= theta\nxbar += 1\ncount += 1"
#: What is wrong -> (the edit, words that the message must have).
WRONG = {
    # grammar, with a caret
    "bracket": (dict(psi="psi = 4*p*(1 - p : 1"), ["bracket", "^"]),
    "unmatched bracket": (dict(psi="psi = 4*p*1 - p) : 1"), ["unmatched ')'", "^"]),
    "missing times": (dict(psi="psi = 4p*(1 - p) : 1"), ["4p", "^"]),
    "power as ^": (dict(psi="psi = exp(-((u - theta)/Delta)^2) : 1"), ["**", "^"]),
    "half a line": (dict(psi="psi = p/ : 1"), ["psi = p/", "^"]),
    "decimal comma": (dict(psi="psi = 0,5*p : 1"), ["comma", "^"]),
    "if": (dict(psi="psi = 1 if u > theta else 0 : 1"), ["'if'", "int(condition)"]),
    "np.": (dict(psi="psi = np.exp(-u) : 1"), ["np.", "^"]),
    "Greek letter": (dict(psi="ψ = 4*p*(1 - p) : 1"), ["ψ", "letters"]),
    "word of Python's": (dict(psi="psi = lambda*p : 1"), ["lambda", "^"]),
    "unit written as 10 ms": (dict(xbar="dxbar/dt = -xbar/(10 ms) : 1"), ["10 ms", "^"]),
    "index": (dict(psi="psi = p[0] : 1"), ["indices", "^"]),
    "no unit": (dict(psi="psi = 4*p*(1 - p)"), ["psi", "unit", "(1 - p) : 1'"]),
    "no unit of dx/dt": (dict(u="du/dt = (b + drive - u)/tau_m"), ["unit", "^"]),
    "&&": ({"hidden.threshold": "S > 0.5 && u > 0"}, ["&&", "'and'"]),
    "= in a condition": ({"hidden.threshold": "S = 1"}, ["hidden.threshold", "=="]),
    "condition that is a number": ({"hidden.threshold": "S"}, ["hidden.threshold", "S > 0.5"]),
    # names
    "unknown name": (dict(psi="psi = 4*qq*(1 - p) : 1"), ["hidden", "'qq'", "psi = 4*qq", "^"]),
    "misspelt parameter": (dict(u="du/dt = (b + drive - u)/taum + sigma*push : 1"),
                           ["'taum'", "'tau_m'"]),
    "misspelt function": (dict(psi="psi = expp(-u) : 1"), ["'expp'", "'exp'"]),
    "function without arguments": (dict(psi="psi = exp*u : 1"), ["'exp'", "exp(...)"]),
    "too many arguments": (dict(psi="psi = exp(u, 2) : 1"), ["exp", "2"]),
    "product without *": (dict(psi="psi = 4*p(1 - p) : 1"), ["'p' is no function", "p*(...)"]),
    "_post in a neuron": (dict(psi="psi = p_post : 1"), ["'p_post'", "as p"]),
    "no suffix in a synapse": ({"forward": "dw/dt = -eta*xbar*psi_post*g_post : 1"},
                               ["'xbar'", "xbar_pre"]),
    "wrong side": ({"forward": "dw/dt = -eta*xbar_pre*psi_post*err_post : 1"}, ["'err_post'"]),
    "time course in a synapse": ({"forward": FORWARD + "*plastic : 1"},
                                 ["'plastic'", "plastic_post"]),
    "another layer's variable": (dict(psi="psi = p*err : 1"), ["'err' belongs to error"]),
    "white noise": (dict(u="du/dt = (b + drive - u)/tau_m + xi*tau_m**-0.5 : 1"),
                    ["'xi'", "randn()"]),
    "random equation": (dict(psi="psi = rand() : 1"), ["rand()", "statement"]),
    # assignments to what is not declared, or cannot be set
    "assignment in the reset": ({"hidden.reset": "v -= theta\nxbar += 1\ncount += 1"},
                                ["hidden.reset", "'v'", "not declared", "'v : 1'"]),
    "assignment in the update": ({"feedback.pair.learn": "MM += mu*Dz_post*Do_pre"},
                                 ["feedback.pair.learn", "'MM'", "'M'"]),
    "assignment at a spike": ({"forward.spike": "v_post += w"}, ["forward.spike", "'v_post'"]),
    "a local variable": ({"forward.spike": "u_post += w; ww = w"}, ["'ww'", "not declared"]),
    "no suffix on the left": ({"forward.spike": "u += w"}, ["'u'", "u_post"]),
    "a parameter is set": ({"hidden.reset": HIDDEN_RESET + "\ntheta += 0.1"},
                           ["'theta' is a parameter"]),
    "an equation's value is set": ({"hidden.reset": HIDDEN_RESET + "\npsi = 0"},
                                   ["'psi' follows from its own equation"]),
    "the clock is set": ({"hidden.step": "S = int(rand() < chance)\ngate = 1"},
                         ["'gate'", "trial"]),
    # declarations
    "declared, never used": (with_line("hidden", "foo : 1"), ["'foo'", "nothing reads"]),
    "computed, never used": (with_line("hidden", "foo = 2*u : 1"), ["'foo'", "nothing reads"]),
    "integrated, never used": (with_line("hidden", "dfoo/dt = -foo/tau_m : 1"), ["'foo'"]),
    "defined twice": (with_line("hidden", "psi = p : 1"), ["'psi' is defined twice"]),
    "parameter without value": (dict(psi="psi = strength*p : 1"), ["'strength'", "edit(strength="]),
    "declared without value": (dict(psi="psi = strength*p : 1\nstrength : 1"),
                               ["'strength'", "never given a value"]),
    "declared and a parameter": (with_line("hidden", "theta : 1"), ["'theta'", "parameter"]),
    "in a circle": (dict(psi="psi = chi : 1\nchi = 2*psi : 1"), ["'psi' depends on itself"]),
    "equation among statements": ({"hidden.reset": "du/dt = -u/tau_m : 1"},
                                  ["hidden.reset", "statements"]),
    "statement among equations": (with_line("hidden", "u += 1"), ["hidden", "'+='"]),
    "unknown flag": (with_line("feedback", "h_post = M*err_pre : 1 (sumed)"), ["sumed", "summed"]),
    "sum without a flag": ({"feedback": "M : 1\ng_post = M*err_pre : 1"}, ["g_post", "(summed)"]),
    "sum into nothing": (with_line("feedback", "h_post = M*err_pre : 1 (summed)"),
                         ["'h'", "does not declare", "hidden"]),
    "refractory flag without period": (
        dict(u="du/dt = (b + drive - u)/tau_m + sigma*push : 1 (unless refractory)"),
        ["refractory", "2*ms"]),
    # reserved names
    "dt": (with_line("hidden", "dt = 3 : 1"), ["'dt'", "reserved"]),
    "N": (with_line("hidden", "N : 1"), ["'N'", "reserved"]),
    "i": (with_line("hidden", "i = 2*u : 1"), ["'i'", "reserved"]),
    "Euler's number": (with_line("hidden", "e = 2*u : 1"), ["'e'", "reserved"]),
    "a unit as a name": (dict(psi="psi = p*ms : 1\nms = 2 : 1"), ["'ms'", "unit"]),
    "a function as a name": (dict(psi="psi = p : 1\nexp = 2*p : 1"), ["'exp'", "function"]),
    "the clock's name": (with_line("hidden", "gate : 1"), ["'gate'", "clock"]),
    "parameter t": (dict(psi="psi = t*p : 1", t=2.0), ["'t'", "reserved"]),
    # parameters
    "misspelt keyword": (dict(taum=3 * ms), ["'taum'", "'tau_m'"]),
    "parameter in quotes": (dict(tau_m="10*ms"), ["tau_m", "without quotes"]),
    "line without quotes": (dict(psi=0.5), ["psi", "hidden", "text"]),
    "parameter in volt": (dict(tau_m=10 * mV), ["tau_m", "second", "volt"]),
    "negative time constant": (dict(tau_m=-5 * ms), ["tau_m", "above zero"]),
    "NaN": (dict(eta=float("nan") * Hz), ["eta", "finite"]),
    "several values": (dict(theta=[1, 2]), ["theta has 2 values", "hidden_1 (5), hidden_2 (3)"]),
    "parameter that nothing reads": (dict(psi="psi = p : 1", beta=2.0), ["'beta'"]),
    # units, both named
    "unit of a line": (dict(psi="psi = u*second : 1"), ["psi has the unit 1", "the unit s"]),
    "sum of units": (dict(psi="psi = u + tau_m : 1"), ["'u' has unit 1", "'tau_m' has unit s"]),
    "unit of du/dt": (dict(u="du/dt = b + drive - u : 1"), ["du/dt has the unit Hz", "unit 1"]),
    "unit in exp": (dict(psi="psi = exp(-tau_m) : 1"), ["exp", "(s)", "(1)"]),
    "unit of a statement": ({"hidden.reset": HIDDEN_RESET + "\nu -= tau_m"},
                            ["u has the unit 1", "the unit s"]),
    "unit of dw/dt": ({"forward": "dw/dt = -xbar_pre*psi_post*g_post : 1"},
                      ["dw/dt has the unit Hz", "unit 1"]),
    "unit of a condition": ({"hidden.threshold": "u > tau_m"}, ["'u' has unit (1)", "(s)"]),
    "unit in an exponent": (dict(psi="psi = u**tau_m : 1"), ["exponent"]),
    "no such unit": (dict(psi="psi = 4*p*(1 - p) : vlt"), ["'vlt'", "'volt'"]),
    "scaled unit": (dict(psi="psi = tau_m : ms"), ["'ms'", "second"]),
    # what the rule needs
    "no psi": (without("hidden", "psi"), ["'psi' is missing", "opzo", "forward"]),
    "no trace": (without("hidden", "xbar"), ["'xbar' is missing", "opzo"]),
    "no modulator": (without("hidden", "g"), ["'g' is missing", "feedback"]),
    "no spike count": (without("hidden", "count"), ["'count' is missing", "firing rate"]),
    "no readout": (without("readout", "o"), ["'o' is missing", "loss"]),
    "no slope for the filters": (without("hidden", "slope"), ["'slope' is missing", "hidden_1"]),
    "almost nothing": (dict(hidden="du/dt = (b + drive - u)/tau_m : 1"),
                       ["'psi' is missing", "'xbar' is missing"]),
    # integration
    "event-driven trace read all the time": (
        {"forward": "dE/dt = -E/tau_m : 1 (event-driven)\ndw/dt = -eta*E*psi_post*g_post : 1",
         "forward.spike": "u_post += w; E += 1"}, ["'E' is (event-driven)", "dw/dt"]),
    "event-driven and driven by neurons": (
        {"forward": "dE/dt = (xbar_pre*psi_post - E)/tau_m : 1 (event-driven)\n"
                    "dw/dt = -eta*E*g_post : 1"}, ["event-driven", "psi_post"]),
    # nothing taught reaches the weights
    "no modulator in the rule": ({"forward": "dw/dt = -eta*xbar_pre*psi_post : 1"},
                                 ["forward", "no path", "w"]),
    "times zero": ({"forward": FORWARD + "*0 : 1"}, ["forward", "no path"]),
    "psi is zero": (dict(psi="psi = 0*p : 1"), ["no path", "psi_post", "0"]),
    "error times zero": ({"feedback": "M : 1\ng_post = 0*M*err_pre : 1 (summed)"},
                         ["no path", "g_post"]),
    "feedback without the error": ({"feedback": "M : 1\ng_post = M : 1 (summed)"}, ["no path"]),
    "M never learns": ({"feedback.pair.learn": "M += 0"}, ["no path", "g_post"]),
    "no perturbation": ({"hidden.hold": "z = 0\npush = 0*Hz\nDz = 0"}, ["no path", "g_post"]),
    "fixed weights": ({"forward": "w : 1"}, ["forward", "no path"]),
    "trace that never rises": ({"hidden.reset": "u -= theta\ncount += 1"},
                               ["no path", "xbar_pre"]),
    "spikes without effect": ({"forward.spike": "u_post += 0*w"}, ["input", "hidden_2"]),
    "no decision": ({"readout.step": "decision += 0*o"}, ["input", "decision"]),
    # the edit itself
    "unknown line": (dict(psy="psy = 1 : 1"), ["'psy'", "'psi'"]),
    "unknown block": ({"hiden.reset": "u = 0"}, ["'hiden.reset'", "'hidden.reset'"]),
    "unknown phase": ({"feedback.pair.lern": "M += mu*Dz_post*Do_pre"},
                      ["feedback.pair.lern", "'feedback.pair.learn'"]),
    "unit of a sum": ({"feedback": "M : 1\ng_post = M*err_pre*Hz : Hz (summed)"},
                      ["g_post has the unit Hz", "the unit 1"]),
    "division by zero": (dict(psi="psi = p/0 : 1"), ["divides by 0", "^"]),
    "infinite number": (dict(psi="psi = p + 1e400 : 1"), ["infinite", "^"]),
    "call of a call": (dict(psi="psi = exp(u)(p) : 1"), ["function's name", "^"]),
    "unknown layer": ({"hidden_7.step": "S = 1"}, ["'hidden_7.step'"]),
    "another name": (dict(psi="phi = 4*p*(1 - p) : 1"), ["'psi'", "must define"]),
    "empty text": (dict(psi=""), ["'psi'", "must define"]),
    "in several blocks": (dict(w="dw/dt = 0*Hz : 1"), ["'w'", "'forward:w'"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_edit_is_caught_and_reaches_no_run(name, monkeypatch):
    edit, says = WRONG[name]

    def ran(*_, **__):
        raise AssertionError("a wrong model reached an engine")

    monkeypatch.setattr("bioopzo.engines.spiking.backends.open_backend", ran)
    monkeypatch.setattr("bioopzo.training.rate.open_engine", ran)
    with pytest.raises(EquationError) as caught:
        model().edit(edit).check()
    for word in says:
        assert word in str(caught.value), str(caught.value)
    for engine in ("spiking", "rate"):
        with pytest.raises(EquationError):
            bz.train(model().edit(edit), XOR, engine=engine, trials=8, progress=False)


@pytest.mark.parametrize("rule, edit, says", [
    ("reinforce", dict(modulator="modulator = 0.1 : 1"), ["forward", "reward"]),
    ("node_perturbation", {"critic.step": "L += read"}, ["forward", "reward"]),
    ("bp", {"backward": "g_pre = 0*w*delta_post : 1 (summed)"}, ["forward_1", "no path"]),
    ("eprop", {"forward": "debar/dt = (xbar_pre*psi_post - ebar)/tau_o : 1\n"
                          "dw/dt = -eta*ebar : 1"}, ["forward", "no path"]),
    ("dfa", {"feedback": "B : 1\nC : 1\ng_post = C*err_pre : 1 (summed)"},
     ["'C' is read but never given a value"]),
])
def test_plasticity_without_effect_is_found_for_other_rules(rule, edit, says):
    with pytest.raises(EquationError) as caught:
        model(rule).edit(edit).check()
    for word in says:
        assert word in str(caught.value), str(caught.value)


def test_all_mistakes_are_listed_together_with_block_line_and_remedy():
    wrong = model().edit({"psi": "psi = 4*qq*(1 - p) : 1", "forward.spike": "v_post += w",
                          "hidden:xbar": "dxbar/dt = -xbar : 1"})
    with pytest.raises(EquationError) as caught:
        wrong.check()
    found = {(m.where.split(" ")[0], m.line) for m in caught.value.mistakes}
    assert found == {("hidden", "psi = 4*qq*(1 - p) : 1"), ("hidden", "dxbar/dt = -xbar : 1"),
                     ("forward.spike", "v_post += w")}
    assert str(caught.value).startswith("3 mistakes")
    assert all(m.remedy for m in caught.value.mistakes if "unit" not in m.what)


def test_the_message_in_the_readme_is_the_message():
    wrong = bz.Model([64, 32, 32, 10]).edit({"psi": "psi = 4*q*(1 - p) : 1",
                                             "forward.spike": "v_post += w"})
    with pytest.raises(EquationError) as caught:
        wrong.check()
    assert f"EquationError: {caught.value}\n" in README.read_text()


@pytest.mark.parametrize("wrong", [3, "psi = 1 : 1", [("psi", "psi = 1 : 1")], {("a", 1): "b"}])
def test_edit_says_what_it_takes(wrong):
    with pytest.raises(EquationError, match=r"edit: it takes names with a new text or value, not"):
        bz.Model([4, 5, 3], rule="opzo").edit(wrong)


def test_a_wrong_option_of_a_rule_is_said_once():
    with pytest.raises(InputError) as told:
        bz.Model([4, 5, 3], rule="opzo", place="behind")
    assert str(told.value) == "place is one of 'after', 'before', not 'behind'"


def test_mistakes_of_one_edit_are_listed_together():
    with pytest.raises(EquationError) as caught:
        model().edit({"psi": "psi = 4p : 1", "hidden.reset": "u = np.inf", "tua": "x"}, taum=3)
    assert len(caught.value.mistakes) == 4


RIGHT = {
    "surrogate": dict(psi="psi = exp(-abs(u - theta)/Delta) : 1"),
    "a parameter of one's own": dict(psi="psi = beta*4*p*(1 - p) : 1", beta=0.5),
    "hard reset": {"hidden.reset": "u = 0\nxbar += 1\ncount += 1"},
    "adaptive threshold": {
        "hidden": model().blocks["hidden"].replace("(u - theta)", "(u - theta - a)")
        + "\nda/dt = -a/tau_a : 1", "hidden.reset": HIDDEN_RESET + "\na += jump",
        "hidden.trial": "u = 0\nxbar = 0\na = 0", "tau_a": 50 * ms, "jump": 0.1},
    "weight decay": {"forward": FORWARD + " - 0.01*Hz*w : 1"},
    "filtered eligibility": {
        "forward": "dE/dt = (xbar_pre*psi_post*g_post - E)/tau_m : 1\ndw/dt = -eta*E : 1",
        "forward.trial": "E = 0"},
    "a probe that is only recorded": {
        "hidden": model().blocks["hidden"] + "\npeak : 1",
        "hidden.step": model().blocks["hidden.step"] + "\npeak = clip(u, peak, 10)"},
    "one layer of its own": {"hidden_2": model().blocks["hidden_2"] + "\npsi = p : 1"},
    "noise in a statement": {
        "hidden": model().blocks["hidden"].replace("sigma*push", "sigma*push + noise/tau_m")
        + "\nnoise : 1", "hidden.sample": "noise = 0.1*randn()"},
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_edit_passes_without_a_warning_and_trains_in_both_engines(name):
    edited = model().edit(RIGHT[name])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ModelWarning)
        assert edited.check() is edited
    edited, options = edited.edit(T_z=6 * ms, T_w=2 * ms), {"progress": False, "evaluations": 1}
    for run in (bz.train(edited, XOR, trials=2, backend="numpy", **options),
                bz.train(edited, XOR, engine="rate", trials=16, batch=8, compiled=False,
                         **options)):
        first, last = (run.arrays["snapshots/forward_1.w"][k] for k in (0, -1))
        assert run.complete and (first != last).any()


def test_the_check_takes_less_than_two_seconds():
    begin = time.process_time()
    bz.Model([64, 32, 32, 10]).edit(RIGHT["surrogate"]).check()
    assert time.process_time() - begin < 2


def test_a_neuron_that_is_not_linear_is_integrated_by_euler_and_says_so():
    edited = model("bp").edit(u="du/dt = (b + drive - u + 0.2*tanh(u))/tau_m : 1")
    with pytest.warns(ModelWarning, match="not linear in u.*Euler"):
        edited.check()
    ways = {"spiking": {"backend": "numpy"}, "rate": {"compiled": False, "batch": 8}}
    for engine, own in ways.items():
        assert bz.train(edited, XOR, trials=own.get("batch", 2), engine=engine, evaluations=1,
                        progress=False, **own).complete


def test_what_the_rate_engine_cannot_run_is_a_warning_here_and_an_error_there():
    edited = model().edit({"forward": "dw/dt = -eta*xbar_pre*psi_post*g_post*scale : 1\n"
                                      "scale : 1 (shared)", "forward.trial": "scale = 1"})
    with pytest.warns(ModelWarning, match="the rate engine cannot run this.*all synapses share"):
        edited.check()
    with pytest.raises(EquationError, match="no variable that all synapses share"):
        bz.train(edited.edit(T_z=6 * ms, T_w=2 * ms), XOR, engine="rate", trials=8, batch=8,
                 progress=False)


def test_a_change_that_does_not_factor_runs_in_the_rate_engine_too():
    """Every sample and synapse has a value of its own there; no warning says otherwise."""
    edited = model().edit({"forward": "dw/dt = -eta*xbar_pre*psi_post*g_post*exp(-xbar_pre*g_post)"
                                      " : 1"})
    with warnings.catch_warnings():
        warnings.simplefilter("error", ModelWarning)
        edited.check()
    run = bz.train(edited.edit(T_z=6 * ms, T_w=2 * ms), XOR, engine="rate", trials=8, batch=8,
                   evaluations=1, compiled=False, progress=False)
    first, last = run.arrays["snapshots/forward_1.w"][[0, -1]]
    assert run.complete and (first != last).any()


def test_a_name_of_the_notebook_that_shadows_a_parameter_is_a_warning():
    eta = 5 * Hz
    with pytest.warns(ModelWarning, match=r"eta = 5.* in the notebook is not the model's"):
        model().check()
    assert eta == 5 * Hz


def test_a_name_of_the_notebook_is_not_read_and_the_message_says_so():
    strength = 0.5
    with pytest.raises(EquationError, match=r"edit\(strength=strength\)"):
        model().edit(psi="psi = strength*p : 1").check()
    assert strength


def test_a_line_that_an_edit_left_without_a_reader_is_a_warning():
    with pytest.warns(ModelWarning, match="psi is computed, but since the edit no line reads it"):
        model().edit({"forward": "dw/dt = -eta*xbar_pre*g_post : 1"}).check()


def test_a_statistic_that_activity_depends_on_is_a_warning():
    """Adaptation without an equation stood still in evaluations, and nothing said so."""
    had = bz.Model([4, 3, 2], rule="bp").blocks
    adapts = {"hidden": f"{had['hidden']}\na : 1",
              "hidden.reset": f"{had['hidden.reset']}\na += 0.2",
              "hidden.step": f"{had['hidden.step']}\na *= 0.95",
              "u": "du/dt = (b + drive - u - a)/tau_m : 1"}
    with pytest.warns(ModelWarning, match="a of hidden_1 is taken for a running statistic"):
        bz.Model([4, 3, 2], rule="bp").edit(adapts).check()
    usual = {"hidden": f"{had['hidden']}\nusual : 1",
             "hidden.reset": f"{had['hidden.reset']}\nusual += 0.2",
             "psi": "psi = 4*p*(1 - p)/(1 + usual) : 1"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", ModelWarning)
        bz.Model([4, 3, 2], rule="bp").edit(usual).check()
        bz.Model([4, 3, 2], rule="bp").edit(adapts).edit(
            {"hidden.trial": f"{had['hidden.trial']}\na = 0"}).check()


def test_synapses_that_keep_what_nothing_teaches_are_a_warning():
    """Short-term depression that begins no trial anew stood still in evaluations."""
    model = bz.Model([4, 3, 3, 2], rule="bp")
    depress = {"forward": f"{model.blocks['forward']}\ndr/dt = (1 - r)/(80*ms) : 1",
               "forward.spike": "u_post += w*r\nr *= 0.6"}
    with pytest.warns(ModelWarning, match="r of forward_2 is taken for learned.*a block '.trial'"):
        model.edit(depress).check()
    slow = {"forward": "dw/dt = -eta*xbar_pre*psi_post*g_post + 1*Hz*(v - w) : 1\n"
                       "dv/dt = 0.1*Hz*(w - v) : 1"}
    fixed = {"forward": f"{model.blocks['forward']}\nr : 1", "forward.trial": "r = 1/(1 + i)",
             "forward.spike": "u_post += w*r"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", ModelWarning)
        for edit in (depress | {"forward.trial": "r = 1"}, slow, fixed):
            model.edit(edit).check()


def test_a_learning_rate_of_zero_is_a_warning():
    with pytest.warns(ModelWarning, match="forward_1 does not learn, since eta is 0"):
        model().edit(eta=0 * Hz).check()


@pytest.mark.parametrize("rule", list(bz.rules.available()))
def test_every_rule_declares_what_it_needs_of_the_neuron(rule):
    """The declared needs are what the rule's synapses read of the neuron's own block."""
    from bioopzo.network import parts
    from bioopzo.text.equations import identifiers, parse

    found = model(rule).rule
    logistic = bz.neurons.get("logistic").blocks
    own = {line.name for line in parse(parts.hidden(logistic, "soft", False)["hidden"])}
    provided = {line.name for key, text in found.blocks.items() if key == "hidden"
                for line in parse(text)}
    blocks = model(rule).blocks
    read = {word.removesuffix("_pre").removesuffix("_post")
            for key in ("forward", "forward.trial", "feedback", "feedback.pair.learn", "backward")
            for word in identifiers(blocks.get(key, "")) if word.endswith(("_pre", "_post"))}
    read |= identifiers(found.current)
    for text in (t for k, t in found.blocks.items() if k.startswith("hidden")):
        read |= {word for line in parse(text) if line.name != "drho"
                 for word in identifiers(line.right)} if ".threshold" not in text else set()
    way = {"z", "push", "zbar", "drho"}  # what an edit must not cut, though the rule provides it
    assert set(found.needs) == ((read | {"xbar"}) & (own | way)) - (provided - way)


def test_the_static_part_alone_is_complete_for_all_wrong_edits_that_can_be_written():
    for name, (edit, _) in WRONG.items():
        try:
            edited = model().edit(edit)
        except InputError:
            continue
        with pytest.raises(EquationError):
            check(edited, complete=False)
            pytest.fail(name)


@pytest.mark.parametrize("block", ["hidden", "hidden_1", "input", "readout", "error", "forward",
                                   "forward_2", "forward_readout", "feedback", "feedback_1"])
def test_a_statement_among_equations_is_sent_to_blocks_that_exist(block):
    with pytest.raises(EquationError) as caught:
        model().edit(with_line(block, "u += 1")).check()
    (mistake,) = [m for m in caught.value.mistakes if "is for statements" in m.what]
    named = mistake.remedy.removeprefix("statements belong into blocks such as ").split(" or ")
    assert named and unknown_blocks(["feedback", *named], model().network) is None, mistake.remedy


def test_a_statement_among_equations_that_have_no_statements_beside_them():
    with pytest.raises(EquationError, match="backward has equations only, such as 'x_post ="):
        model("bp").edit(with_line("backward", "u += 1", "bp")).check()


def test_a_decision_that_does_not_wait_for_the_refractory_time_is_one_mistake():
    """It was three, of lines that the user never wrote."""
    with pytest.raises(EquationError) as caught:
        model(refractory=2 * ms).edit(S="S = int(rand() < 2*chance)").check()
    mistake, = caught.value.mistakes
    assert mistake.where == "hidden.step (hidden_1, hidden_2)"
    assert mistake.line == "S = int(rand() < 2*chance)"
    assert "chance*int(not_refractory)" in mistake.remedy
    model(refractory=2 * ms).edit(S="S = int(rand() < 2*chance*int(not_refractory))").check()
