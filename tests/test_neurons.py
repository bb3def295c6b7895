"""Neurons, built in and of the user's own: what a file may hold, and that it means the same."""

import copy
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from brian2 import Hz, ms

import bioopzo as bz
from bioopzo import neurons
from bioopzo.cli import main
from bioopzo.errors import InputError, ModelWarning

FOLDER = Path(neurons.__file__).parent
SIZES = [4, 5, 5, 2]
#: A membrane with a current of its own, whose decay is an option.
OWN = '''"""A current that each spike starts."""

from brian2 import ms

from bioopzo.neurons import Neuron, Parameter, escape_noise


def neuron(sign="-"):
    blocks, parameters = escape_noise("""
        p = 1/(1 + exp(-(u - theta)/Delta)) : 1
        rho = rho0*p : Hz
        psi = 4*p*(1 - p) : 1
        slope = rho0/(4*Delta) : Hz
    """)
    blocks["hidden"] = blocks["hidden"].replace("drive - u", f"drive {sign} k - u") \\
        + "\\ndk/dt = -k/tau_k : 1"
    blocks["hidden.reset"] += "\\nk += 1"
    blocks["hidden.trial"] += "\\nk = 0"
    return Neuron("own", "an outward current after each spike", "", blocks,
                  {**parameters, "tau_k": Parameter(30*ms, "its decay", True)})
'''


@pytest.fixture
def write(tmp_path):
    """Write a neuron's file; returns its path."""
    def written(text=OWN, name="own.py"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return written


@pytest.mark.parametrize("name", neurons.available())
def test_a_copy_of_any_built_in_file_works_unchanged(write, name):
    text = (FOLDER / f"{name}.py").read_text()
    assert set(re.findall(r"(?:from|import) (bioopzo[.\w]*)", text)) == {"bioopzo.neurons"}
    copied = neurons.add(write(text, "copied.py"))
    assert neurons.get(copied) == neurons.get(name)
    mine, theirs = (bz.Model(SIZES, neuron=n) for n in (copied, name))
    assert mine.blocks == theirs.blocks and mine.digest == theirs.digest


@pytest.mark.parametrize("name", neurons.available())
@pytest.mark.parametrize("options", [
    dict(), dict(rule="bp", reset="hard", refractory=2*ms, coding="spikes"),
    dict(rule="node_perturbation", surrogate="localzo_normal", dropout=0.2)])
def test_every_neuron_passes_the_dry_run(name, options):
    bz.Model(SIZES, neuron=name, **options).check()


def test_a_neuron_can_be_kept_and_copied():
    neuron = neurons.get("alif")
    assert pickle.loads(pickle.dumps(neuron)) == copy.deepcopy(neuron) == neuron
    assert neuron.state == ("u", "xbar", "a") and neuron.has("rho")
    assert not neurons.get("deterministic").has("rho")
    with pytest.raises(TypeError):
        neuron.blocks["hidden"] = ""


# ---------------------------------------------------------------------------- adaptive threshold

def test_the_adaptive_neuron_is_the_edit_of_notebook_2():
    edited = bz.Model(SIZES).edit({
        "p": "p = 1/(1 + exp(-(u - theta - a)/Delta)) : 1\nda/dt = -a/tau_a : 1",
        "hidden.reset": "u -= theta\na += beta\nxbar += 1\ncount += 1",
        "hidden.trial": "u = 0\na = 0\nxbar = 0"}, tau_a=40*ms, beta=0.3)
    # To the neuron's file belongs what its synapses know of the adaptation, too.
    built_in = bz.Model(SIZES, neuron="alif")
    plain = {"forward": bz.Model(SIZES).blocks["forward"]}
    assert "forward.trial" in built_in.blocks
    built_in = built_in.edit(plain)
    for name, text in edited.blocks.items():
        assert sorted(text.splitlines()) == sorted(built_in.blocks[name].splitlines())
    assert dict(built_in.parameters) == dict(edited.parameters)


@pytest.mark.parametrize("engine, options, trials", [
    ("spiking", dict(backend="numpy"), 80),
    ("rate", dict(batch=8, rate=0.02, activity="spikes"), 1200)])
def test_the_adaptive_neuron_learns_in_both_engines(engine, options, trials):
    """The exclusive or, where the readout alone is left near chance."""
    task = bz.tasks.xor(duration=30*ms, warmup=10*ms)
    task = task.replace(splits={**task.splits, "test": task.splits["test"][:16]})
    model = bz.Model([4, 10, 2], rule="bp", neuron="alif", eta=256*Hz, eta_o=20*Hz)
    control = model.replace(rule="readout_only")
    learnt, left = (bz.train(m, task, trials=trials, engine=engine, seed=1, evaluations=1,
                             progress=False, **options).test_accuracy for m in (model, control))
    assert learnt > 0.85 and left < 0.75


def test_a_spike_raises_the_threshold_and_the_raise_goes_on_where_the_state_does():
    carried = bz.Model(SIZES, neuron="alif", state_reset=False)
    assert "a = 0" in bz.Model(SIZES, neuron="alif").blocks["hidden.trial"]
    assert "hidden.trial" not in carried.blocks
    assert "a += beta" in carried.blocks["hidden.reset"]


# ---------------------------------------------------------------------------- of one's own

def test_an_added_neuron_is_known_with_its_options(write):
    assert neurons.add(write()) == "own" and neurons.options("own") == {"sign": "-"}
    model = bz.Model(SIZES, neuron="own", sign="+", tau_k=50*ms).check()
    assert "(b + drive + k - u)/tau_m" in model.equations()["hidden_1"]
    assert model.parameters["tau_k"] == 50*ms
    assert model.neuron_options == {"sign": "+"} and not model.options
    assert model.diff(bz.Model(SIZES, neuron="own")).settings["neuron_options"]
    with pytest.raises(InputError, match="unknown neuron 'owm'.*'own'"):
        bz.Model(SIZES, neuron="owm")
    with pytest.raises(InputError, match=re.escape("neuron=bioopzo.neurons.add('own.py')")):
        bz.Model(SIZES, neuron="own.py")


@pytest.mark.parametrize("rule", bz.rules.available())
def test_a_membrane_of_its_own_is_kept_by_every_rule(write, rule):
    """A rule adds its perturbation to the neuron's equation; it does not put back the leaky one."""
    model = bz.Model(SIZES, rule=rule, neuron=neurons.add(write())).check()
    assert "du/dt = (b + drive - k - u)/tau_m" in model.blocks["hidden"]
    assert ("sigma*push" in model.blocks["hidden"]) == bool(model.rule.perturbs)


def test_reset_and_refractory_time_are_the_networks(write):
    model = bz.Model(SIZES, rule="bp", neuron=neurons.add(write()), reset="hard",
                     refractory=2*ms).check()
    assert model.blocks["hidden.reset"] == "u = 0\nxbar += 1\nk += 1\ncount += 1"
    assert model.blocks["hidden.step"] == "S = int(rand() < chance*int(not_refractory))"
    assert "- u)/tau_m : 1 (unless refractory)" in model.blocks["hidden"]
    assert model.blocks["hidden.trial"].startswith("not_refractory = True")


def test_added_anew_a_file_has_its_new_text_and_older_models_keep_theirs(write):
    older = bz.Model(SIZES, neuron=neurons.add(write()))
    neurons.add(write(OWN.replace("k += 1", "k += 7")))
    assert "k += 7" in bz.Model(SIZES, neuron="own").blocks["hidden.reset"]
    assert "k += 1" in older.edit(theta=0.9).blocks["hidden.reset"]
    assert "k" not in older.replace(neuron="deterministic").blocks["hidden.reset"]


START = "from . import Neuron\ndef neuron():\n    return Neuron('', '', '', {"
FULL = '"hidden": "u : 1", "hidden.step": "S = 1", "hidden.threshold": "S > 0.5"'


@pytest.mark.parametrize("text, says", [
    ("def neuron()\n    pass\n", ["line 1", "SyntaxError", "def neuron()"]),
    ("import sys\nsys.exit('no')\n", ["line 2", "SystemExit", "no"]),
    ("x = 1\n", ["no function neuron(option=default, ...)"]),
    ("def neuron(depth):\n    pass\n", ["option 'depth' of neuron needs a default"]),
    ("def neuron(**options):\n    pass\n", ["are named arguments", "default, not **options"]),
    ('{}"hidden": 3', ["block 'hidden' is a text, not 3"]),
    (f'{{}}{FULL}, "hidden.trial": "u = = 0"', ["hidden.trial", "u = = 0"]),
    (f'{{}}{FULL}}}, {{"q": 3.0', ["parameter 'q' is a Parameter", "not 3.0"]),
    ("def neuron():\n    return 3\n", ["must return a bioopzo.neurons.Neuron, not 3"]),
    (f"{{}}{FULL.replace('.step', '.stpe')}", ["unknown block 'hidden.stpe'", "'hidden.step'"]),
    (f'{{}}{FULL}, "forward.spike": "u_post += w"', ["of every hidden layer, not 'forward.spike'"]),
    (f'{{}}{FULL}, "hidden_1.trial": "u = 0"', ["of every hidden layer, not 'hidden_1.trial'"]),
    ('{}"hidden": "u : 1"', ["a neuron needs a block 'hidden.step'"]),
])
def test_a_faulty_file_is_refused_with_its_line(write, text, says):
    text = text.replace("{}", START)
    path = write(text + "})\n" * ("Neuron(" in text))
    with pytest.raises(InputError) as caught:
        neurons.add(path)
    for word in [str(path), *says]:
        assert word in str(caught.value)
    assert "own" not in neurons.available()


@pytest.mark.parametrize("path, says", [
    ("missing.py", "the neuron file"), ("erf.py", "built-in neuron is called 'erf'"),
    ("my-neuron.py", "e.g. my_neuron.py"), (3, "a neuron is added by the path of its file")])
def test_a_name_that_cannot_be_used_is_refused(tmp_path, path, says):
    with pytest.raises(InputError, match=re.escape(says)):
        neurons.add(tmp_path / path if isinstance(path, str) else path)


RULE = """from bioopzo.rules import Parameter, Rule

def rule(depth{}):
    return Rule('a', '', '', {})
"""


@pytest.mark.parametrize("option, content, says", [
    ("", "{'hidden': 'k = 2 : 1'}", "both have a variable 'k'"),
    ("", "{'hidden_1': 'k = 2 : 1'}", "both have a variable 'k'"),
    ("", "{'hidden': 'du/dt = -u/tau_m : 1'}", "both have a variable 'u'"),
    ("", "{}, {'tau_k': Parameter(1, '')}", "both have a parameter 'tau_k'"),
    (", sign=1", "{}", "both have an option 'sign'"),
])
def test_a_rule_does_not_replace_what_is_the_neurons_own_unseen(write, option, content, says):
    name = neurons.add(write())
    rule = bz.rules.add(write(RULE.format(option, content), "clashing.py"))
    with pytest.raises(InputError, match=says):
        bz.Model(SIZES, rule=rule, neuron=name, sign="-")
    bz.Model(SIZES, rule=rule)


@pytest.mark.parametrize("change, options, says", [
    (("S = int(rand() < chance)", "S = int(rand() < rho*dt)"), dict(refractory=1*ms),
     "decides by 'chance'"),
    (("u -= theta\\n", ""), dict(reset="hard"), "reset='hard' sets u at a spike"),
    (("du/dt", "dv/dt"), dict(refractory=1*ms), "a refractory time holds u"),
    (("du/dt", "dv/dt"), dict(rule="opzo"), "adds sigma"),
])
def test_what_the_network_asks_and_the_neuron_has_not_is_said(write, change, options, says):
    text = (FOLDER / "alif.py").read_text()
    assert change[0] in text
    name = neurons.add(write(text.replace(*change)))
    with pytest.raises(InputError, match=says):
        bz.Model(SIZES, neuron=name, **{"rule": "bp", **options})


def test_the_command_line_lists_neurons_and_takes_files(write, tmp_path, monkeypatch, capsys):
    assert main(["neurons"]) == 0
    assert re.search("alif +adaptive threshold.*Bellec et al. 2018", capsys.readouterr().out)
    task = bz.tasks.xor()
    task = task.replace(splits={key: k[:8] for key, k in task.splits.items()})
    monkeypatch.setattr("bioopzo.cli._task", lambda options: task)
    common = ["train", "--task", "xor", "--rule", "bp", "--hidden", "4", "--engine", "rate",
              "--trials", "8", "--batch", "4", "--json", str(tmp_path / "found.json")]
    assert main([*common, "--neuron", str(write()), "--set", "sign=+"]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["parameters"]["tau_k"] == "30. ms"
    capsys.readouterr()
    for more, says in ((["--neuron", "alfi"], "did you mean 'alif'"),
                       (["--neuron", "own2.py"], "cannot be read"),
                       (["--neuron", "erf", "--set", "neuron=erf"], "chosen, with --neuron")):
        assert main([*common, *more]) == 2
        assert says in capsys.readouterr().err


def test_the_rule_that_needs_a_hazard_says_which_neurons_have_one(write):
    rule = bz.rules.add(write(RULE.format("", "{'hidden': 'g = rho*second : 1'}"), "hazard.py"))
    with pytest.raises(InputError, match="deterministic neuron has not; allowed: adex, alif, cond"):
        bz.Model(SIZES, rule=rule, neuron="deterministic")


def test_weights_move_with_the_neuron_of_ones_own_in_both_engines(write):
    task = bz.tasks.xor(duration=30*ms, warmup=10*ms)
    task = task.replace(splits={key: k[:2] for key, k in task.splits.items()})
    model = bz.Model(SIZES, neuron=neurons.add(write()), T_z=10*ms, T_w=8*ms)
    for engine, options in (("spiking", dict(backend="numpy")),
                            ("rate", dict(batch=4, activity="rates", compiled=False))):
        run = bz.train(model, task, trials=8, engine=engine, evaluations=1, progress=False,
                       **options)
        first, last = run.arrays["snapshots/forward_1.w"][[0, -1]]
        assert run.complete and np.isfinite(last).all() and (first != last).any()


def test_what_is_more_than_noise_is_not_dropped_by_the_deterministic_activity(write):
    assert [name for name in neurons.available() if not neurons.is_leaky(neurons.get(name))] \
        == ["adex", "alif", "conductance", "double_exponential", "eif", "izhikevich",
            "two_compartment"]
    for name in ("alif", neurons.add(write())):
        with pytest.raises(InputError, match=f"{name} has a membrane or a state of its own"):
            bz.train(bz.Model([4, 5, 2], neuron=name), bz.tasks.xor(), engine="rate", trials=8,
                     activity="deterministic", progress=False)
    assert bz.Model(SIZES, neuron="erf").without_noise().neuron == "deterministic"


@pytest.mark.parametrize("given", [0.2, {"hidden_1": 0.2}, ("uniform", 0.1, 0.2)], ids=str)
def test_values_of_the_noise_go_with_it(given):
    model = bz.Model([4, 5, 2], rule="bp", Delta=given, rho0=100*Hz, b=0.4)
    for other in (model.without_noise(), model.replace(neuron="deterministic")):
        assert other.neuron == "deterministic" and dict(other.check().given) == {"b": 0.4}
    assert model.replace(neuron="erf").given == model.given
    read = model.edit(psi="psi = exp(-abs(u - theta)/Delta) : 1").without_noise()
    assert dict(read.given) == {"Delta": given, "b": 0.4}
    with pytest.raises(InputError, match="unknown parameter 'Delta'"):
        model.replace(neuron="deterministic", Delta=0.2)


def test_training_without_noise_says_which_values_mean_nothing_any_more(recwarn):
    """A Delta that was given for psi came to nothing, and nothing said so."""
    def trained(**given):
        return bz.train(bz.Model([4, 5, 2], rule="bp", **given), bz.tasks.xor(), engine="rate",
                        trials=8, activity="deterministic", compiled=False, progress=False)
    with pytest.warns(ModelWarning, match="nothing reads Delta any more"):
        wide = trained(Delta=0.3)
    recwarn.clear()
    assert np.array_equal(trained().arrays["curve/loss"], wide.arrays["curve/loss"])
    assert not recwarn.list


def test_the_deterministic_activity_takes_the_noise_out_of_every_population():
    """Whatever the model's own neuron is; one with a state of its own is refused."""
    def network(neuron):
        return (bz.Network(inputs=4, readouts=2).population("E", 3)
                .population("A", 2, neuron=neuron).connect("input", "E").connect("E", "A")
                .connect("A", "readout"))
    for own in ("logistic", "deterministic"):
        model = bz.Model(network("erf"), rule="bp", neuron=own, Delta=0.2)
        silent = model.without_noise()
        assert silent.digest == bz.Model(network(""), rule="bp", neuron="deterministic").digest
        assert "rand()" not in str(silent.equations()) and not silent.given
        with pytest.raises(InputError, match="alif has a membrane or a state of its own"):
            bz.Model(network("alif"), rule="bp", neuron=own).without_noise()
