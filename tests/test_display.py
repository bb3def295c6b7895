"""Models, differences, runs and comparisons say what they are; exports hold the same numbers."""

import importlib
import inspect
import re
import sys
from functools import cached_property
from html.parser import HTMLParser
from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from brian2 import Hz, ms
from matplotlib.mathtext import MathTextParser

import bioopzo as bz
from bioopzo.errors import InputError
from bioopzo.measures.angles import cosine, weight_alignment
from bioopzo.measures.recording import Recording
from bioopzo.run import Run
from bioopzo.show.model import quantity
from bioopzo.text import typeset
from bioopzo.text.equations import is_expression, parse, parse_line
from bioopzo.training import live
from bioopzo.training.compare import Comparison
from bioopzo.training.live import _in_notebook, listener

matplotlib.use("Agg")
SIZES = [6, 5, 4, 3]
VARIANTS = [dict(rule=rule) for rule in bz.rules.available()] + [
    dict(neuron="erf", error="spiking"), dict(neuron="exponential", coding="poisson"),
    dict(neuron="deterministic", coding="spikes", refractory=2 * ms, rule="bp"),
    dict(surrogate="localzo_5", dropout=0.2), dict(local=True, intermediate=2),
    dict(form="momentum", antithetic=False, place="before")]


# ---------------------------------------------------------------------------- lines as LaTeX

@pytest.mark.parametrize("text, latex", [
    ("-eta*xbar_pre*psi_post*g_post", r"-\eta \, \bar{x}_{i} \, \psi_{j} \, g_{j}"),
    ("1/(1 + exp(-(u - theta)/Delta))",
     r"\frac{1}{1 + e^{-\left(u - \theta\right) / \Delta}}"),
    ("a - (b - c)", r"a - \left(b - c\right)"),
    ("a - b - c", "a - b - c"),
    ("a*(b + c)", r"a  \left(b + c\right)"),
    ("a*-b", r"a  \left(-b\right)"),
    ("-(a + b)/tau_m", r"-\frac{\left(a + b\right)}{\tau_{m}}"),
    ("(a - b)/tau_m", r"\frac{a - b}{\tau_{m}}"),
    ("Dz**2", r"\left(D^{z}\right)^{2}"),
    ("int(rand() < chance)", r"\mathbf{1}\left[\mathrm{rand}() < \mathrm{chance}\right]"),
    ("1e-12", "10^{-12}"), ("2.5e6", r"2.5 \cdot 10^{6}"), ("0.01", "0.01"),
    ("x >= 0 and not y == 1", r"x \geq 0 \wedge \neg \left(y = 1\right)"),
    ("u % 2 // V_rest", r"\left\lfloor \left(u \;\mathrm{mod}\; 2\right) / V_{\mathrm{rest}} "
                        r"\right\rfloor"),
    ("M*err", r"M_{ij} \, \mathrm{err}"),
])
def test_an_expression_is_typeset_as_it_is_written(text, latex):
    assert typeset.expression(text, {"M"}, "i", "j") == latex


@pytest.mark.parametrize("text, letters, latex", [
    ("du/dt = -u/tau_m : 1", ((), "", ""), r"\frac{du}{dt} = -\frac{u}{\tau_{m}}"),
    ("g_post = M*err_pre : 1 (summed)", ({"M"}, "k", "j"),
     r"g_{j} = \sum_{k} M_{jk} \, \mathrm{err}_{k}"),
    ("g_pre = w*(a_post + b_post) - w : 1 (summed)", ({"w"}, "i", "j"),
     r"g_{i} = \sum_{j} \left(w_{ij}  \left(a_{j} + b_{j}\right) - w_{ij}\right)"),
    ("u -= a - b", ((), "", ""), r"u \leftarrow u - \left(a - b\right)"),
    ("w *= 1 - decay", ({"w"}, "i", "j"), r"w_{ij} \leftarrow w_{ij}  \left(1 - \mathrm{decay}"
                                          r"\right)"),
    ("drive : 1", ((), "", ""), r"\mathrm{drive}"),
])
def test_a_line_is_typeset_with_the_indices_of_its_neurons(text, letters, latex):
    assert typeset.equation(parse_line(text), *letters) == latex


@pytest.mark.parametrize("text", ["a <b < c", "f(x", "x[0]", "a.b", "λ ? 1", "f(x=1)", "", "{}_$"])
def test_what_cannot_be_read_stays_text(text):
    assert typeset.expression(text).startswith(r"\mathtt{")


def test_all_latex_of_all_rules_is_well_formed():
    pages = [bz.Model(SIZES, **options)._repr_html_() for options in VARIANTS]
    found = [re.findall(r"\$\\displaystyle (.*?)\$", page) for page in pages]
    assert min(map(len, found)) > 60
    parser = MathTextParser("path")
    for latex in set().union(*found):
        parser.parse(f"${latex.replace('&lt;', '<').replace('&gt;', '>')}$")  # raises
        assert "mathtt" not in latex, "everything of our own can be typeset"


# ---------------------------------------------------------------------------- models

class Outline(HTMLParser):
    """Collects titles and text, and fails where tags are not closed in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.titles, self.text = [], [], ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] == "h4":
            self.titles.append(data)


@pytest.mark.parametrize("options", VARIANTS)
def test_every_line_is_shown_under_its_object(options):
    model = bz.Model(SIZES, **options)
    text, page = repr(model), Outline(model._repr_html_())
    for name, block in model.blocks.items():
        assert f"[{name}]" in text and f"[{name}]\n{block}" in page.text
        for line in [] if is_expression(name) else parse(block):
            shown = line.name if line.kind == "parameter" else str(line)
            assert shown in text, (name, line)
    for name, value in model.parameters.items():
        assert re.search(rf" {name} .*{re.escape(quantity(value).split()[0])} ", text)
    assert page.titles[0] == "Input (6)" and page.titles[-1] == "Parameters"
    assert len(set(page.titles)) == len(page.titles), "every object has one section"
    assert len(text.splitlines()) <= (140 if "intermediate" in options else 120)


def test_the_page_of_a_model_by_object():
    text = repr(bz.Model(SIZES, tau_m=20 * ms))
    hidden, synapses = (text[text.index(f"== {name}"):].split("\n==")[0] for name in (
        "Hidden neurons (5, 4)", "Feedback synapses from the error population"))
    assert "    psi = 4*p*(1 - p) : 1\n" in hidden
    assert "[hidden.reset] at a spike: u -= theta; xbar += 1; count += 1\n" in hidden
    assert ("[hidden_1] layer 1 only\n"
            "    dz1/dt = -z1/(memory*tau_m) + sigma*alpha*z : 1\n") in hidden
    assert hidden.count("du/dt") == 1, "general blocks are shown once"
    assert "at the end of a pair of holds (learn): M += mu/2*Dz_post" in synapses
    assert re.search(r"τₘ +tau_m +20  ms +membrane and presynaptic trace time constant "
                     r"\[Xiao et al\. 2022 \(OTTT\)\]\n", text)
    assert "    gate: 1 while the target is shown\n" in text
    assert "Source of the rule: Xiao et al. 2024\nXiao M, Meng Q" in text
    assert "tau_m: 10 ms -> 20 ms" in text
    assert bz.Model(SIZES, rule="reinforce").rule.reference.strip() in repr(
        bz.Model(SIZES, rule="reinforce"))


@pytest.mark.parametrize("name", [name for name in bz.rules.available() if name != "readout_only"])
def test_every_rule_has_a_full_reference(name):
    rule = bz.rules.get(name, 2)
    year = re.search(r"\d{4}", rule.source)[0]
    assert f"({year})" in rule.reference and len(rule.reference) > 80


def test_what_an_edit_writes_cannot_break_the_page():
    model = bz.Model(SIZES).edit(psi="psi = beta*int(u < 1) + int(p > 0) : 1", beta=1.0)
    page = Outline(model._repr_html_())
    assert "psi = beta*int(u < 1) + int(p > 0) : 1" in page.text


def test_what_a_user_adds_is_shown():
    model = bz.Model(SIZES).edit({"hidden_2.step": "S = int(u > theta)", "psi": "psi = beta : 1"},
                                 beta=0.5)
    text = repr(model)
    assert "[hidden_2.step] layer 2 only, each step: S = int(u > theta)" in text
    assert re.search(r"β +beta +0.5  1 +given with an edit", text)


def test_mappings_of_a_model_complete_and_cannot_be_changed():
    model = bz.Model(SIZES)
    for mapping in (model.blocks, model.parameters, model.declared):
        assert mapping._ipython_key_completions_() == list(mapping)
        with pytest.raises(TypeError):
            mapping["tau_m"] = 1
    assert "tau_m = 10. ms" in repr(model.parameters)
    assert "hidden.reset:\n    u -= theta\n" in repr(model.blocks)


# ---------------------------------------------------------------------------- differences

def test_an_edited_model_differs_from_the_rule_as_it_came():
    model = bz.Model(SIZES).edit({"hidden.threshold": "S > 0.9"}, psi="psi = beta*p : 1", beta=0.5,
                                 tau_m=20 * ms)
    model = model.edit({"hidden.reset": "u = 0; xbar += 1"})
    found = model.diff()
    assert dict(found.blocks) == {
        "hidden.threshold": (("S > 0.5", "S > 0.9"),),
        "hidden": (("psi = 4*p*(1 - p) : 1", "psi = beta*p : 1"),),
        "hidden.reset": (("u -= theta", "u = 0"), ("count += 1", ""))}
    assert dict(found.parameters) == {"tau_m": ("10 ms", "20 ms"), "beta": ("", "0.5")}
    assert not found.settings and found
    assert ("[hidden.reset]\n  - u -= theta\n  + u = 0\n  - count += 1\n[parameters]\n"
            "    tau_m: 10 ms -> 20 ms\n    beta: none -> 0.5") in repr(found)
    assert repr(found) in repr(model) and "psi = beta*p : 1" in Outline(found._repr_html_()).text


def test_equal_models_say_so():
    model = bz.Model(SIZES, tau_m=10 * ms)
    for found in (model.diff(), model.diff(bz.Model(SIZES)), model.edit().diff(model)):
        assert not found and repr(found).startswith("No difference between")
        assert "no difference" in Outline(found._repr_html_()).text
    assert "Difference" not in repr(model)


def test_models_of_different_rules_and_neurons():
    found = bz.Model([6, 5, 3], rule="dfa", neuron="erf", scale=0.1).diff(bz.Model(SIZES))
    assert dict(found.settings) == {"rule": ("opzo", "dfa"), "options": ("none", "scale=0.1"),
                                    "neuron": ("logistic", "erf"), "sizes": ("6-5-4-3", "6-5-3")}
    assert ("M : 1", "") in found.blocks["feedback"] and ("", "B : 1") in found.blocks["feedback"]
    assert found.parameters["mu"] == ("0.1", "")
    back = bz.Model(SIZES).diff(bz.Model([6, 5, 3], rule="dfa", neuron="erf", scale=0.1))
    assert back.parameters["mu"] == ("", "0.1")


def test_the_order_of_equations_is_no_difference_that_of_statements_is():
    model = bz.Model(SIZES)
    turned = {name: "\n".join(reversed(model.blocks[name].splitlines()))
              for name in ("readout", "hidden.reset")}
    found = model.edit(turned).diff(model)
    assert found.blocks["hidden.reset"] and "readout" not in found.blocks


@pytest.mark.parametrize("other", ["opzo", 3, {}])
def test_a_difference_from_something_else(other):
    with pytest.raises(InputError, match="another Model"):
        bz.Model(SIZES).diff(other)


# ---------------------------------------------------------------------------- runs

def small_task(train, validation, test, **options):
    """So many trials of xor."""
    task = bz.tasks.xor(**options)
    ends = np.cumsum([train, validation, test])
    return task.replace(inputs=task.inputs[:ends[2]], targets=task.targets[:ends[2]],
                        labels=task.labels[:ends[2]], splits=dict(zip(
                            ("train", "validation", "test"), np.split(np.arange(ends[2]), ends))))


TASK = small_task(24, 8, 8, duration=20 * ms, warmup=5 * ms)


@pytest.fixture(scope="module")
def trained():
    """A run of the rate engine with its model and task, and what its listener heard."""
    heard = []
    model = bz.Model([4, 6, 5, 2], T_z=5 * ms, T_w=3 * ms)
    run = bz.train(model, TASK, trials=32, engine="rate", batch=8, evaluations=3, compiled=False,
                   progress=False, live=lambda *point: heard.append(point))
    return run, heard


def test_a_listener_of_the_rate_engine_hears_the_curve(trained):
    run, heard = trained
    assert heard == list(zip(*(run.arrays[f"curve/{name}"].tolist()
                               for name in ("trials", "accuracy", "loss"))))
    assert len(heard) == 4


def test_a_listener_hears_a_resumed_run_from_its_start(tmp_path):
    model, heard = bz.Model([4, 6, 2], rule="bp"), []
    common = dict(trials=16, engine="rate", batch=8, evaluations=2, compiled=False, progress=False,
                  checkpoint=tmp_path / "half")

    def stop(trials, accuracy, loss):
        if trials:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bz.train(model, TASK, live=stop, **common)
    run = bz.train(model, TASK, live=lambda *point: heard.append(point), **common)
    assert [point[0] for point in heard] == run.arrays["curve/trials"].tolist() == [0, 8, 16]


def test_a_listener_of_the_spiking_engine_hears_the_curve():
    heard = []
    task = small_task(3, 1, 2, duration=8 * ms, warmup=2 * ms)
    run = bz.train(bz.Model([4, 3, 2], rule="dfa"), task, trials=4, evaluations=2,
                   backend="numpy", progress=False, live=lambda *point: heard.append(point))
    assert heard == list(zip(*(run.arrays[f"curve/{name}"].tolist()
                               for name in ("trials", "accuracy", "loss"))))
    assert [point[0] for point in heard] == [0, 2, 4]


def test_what_takes_any_arguments_is_told_of_the_curve_alone(capsys):
    """`print` would show all weights."""
    told = listener(print, bz.Model([4, 3, 2]), TASK, 4)
    told(0, 0.5, 0.8, {"forward_1.w": np.ones(3)})
    assert capsys.readouterr().out == "0 0.5 0.8\n"


def test_live_draws_in_a_notebook_and_replaces_the_picture(monkeypatch):
    shown = []
    handle = SimpleNamespace(update=shown.append)
    monkeypatch.setattr(live, "_in_notebook", lambda: True)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(
        Image=lambda data, width: data,
        display=lambda picture, display_id: shown.append(picture) or handle))
    draw = listener(True, bz.Model([4, 3, 2]), TASK, 100)
    before = plt.get_fignums()
    for trials, accuracy in ((0, 0.5), (50, 0.7), (100, 0.9)):
        draw(trials, accuracy, 1 - accuracy)
    assert len(shown) == 3 and all(picture.startswith(b"\x89PNG") for picture in shown)
    assert shown[0] != shown[1] and plt.get_fignums() == before
    draw = listener(True, bz.Model([4, 3, 2]), TASK, 100)
    draw(0, None, 1.0)  # a task without classes: the loss


def test_a_notebook_is_told_from_a_terminal(monkeypatch):
    for shell, found in ((SimpleNamespace(kernel=None), True), (SimpleNamespace(), False),
                         (None, False)):
        module = SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", module)
        assert _in_notebook() is found


def test_live_without_a_notebook_only_warns(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with pytest.warns(UserWarning, match="notebook"):
        assert listener(True, bz.Model(SIZES), TASK, 10) is None
    assert listener(False, bz.Model(SIZES), TASK, 10) is None
    with pytest.raises(InputError, match="live"):
        listener("yes", bz.Model(SIZES), TASK, 10)


def test_a_run_on_its_card(trained):
    run, _ = trained
    text = Outline(run._repr_html_()).text
    accuracy = 100 * run.test_accuracy
    for words in (f"opzo on xor, {accuracy:.1f} % of held-out trials (chance 50.0 %)",
                  "4-6-5-2, current input", "rate (rates, adamw, batch 8)", "32 of 32",
                  "completeyes", "editsnone", "hidden 1 (Hz)"):
        assert words in text
    last = run.arrays["curve/loss"][-1]
    assert f"32{accuracy:.1f}{last:.4f}" in text, "the last row of the curve"


def test_cards_of_other_runs():
    stopped = Run(meta={"rule": "bp", "task": "digits", "stopped": "interrupted", "trials": 9,
                        "edits": [["psi", "psi = u < 1 : 1"]], "options": {"place": "before"}})
    text = Outline(stopped._repr_html_()).text
    assert "INCOMPLETE: interrupted" in text and "psi: psi = u < 1 : 1" in text
    assert "place='before'" in text
    loss = Run(arrays={"curve/trials": np.arange(40), "curve/loss": np.linspace(1, 0, 40)},
               meta={"complete": True, "test_loss": 0.25})
    assert "held-out loss 0.2500" in Outline(loss._repr_html_()).text
    assert loss._repr_html_().count("<tr>") < 30, "a long curve is thinned out"
    Outline(Run()._repr_html_())


def test_a_comparison_shows_the_same_numbers_as_text_and_html(trained):
    run = trained[0]
    found = Comparison({"opzo": [run, run], "a < b": [run, run]}, TASK)
    text = Outline(found._repr_html_()).text
    mean = f"{100 * run.test_accuracy:.1f}"
    assert mean in text and mean in repr(found) and "a < b" in text
    assert "xor: held-out accuracy (%), 32 trials, 2 seed(s)" in text
    assert found.plot_final().get_xlabel() == "Held-out accuracy (%)"
    plt.close("all")


def test_every_plot_of_a_run_is_a_method(trained):
    run, _ = trained
    loss = run.plot_learning_curve()
    assert np.allclose(loss.lines[0].get_ydata(), 100 * run.arrays["curve/accuracy"])
    assert run.plot_rates().get_ylabel() == "Firing rate (Hz)"
    assert len(run.plot_weights().axes) == 3 and len(run.plot().axes) == 5
    names = {name for name in dir(run) if name.startswith("plot")}
    assert names == {"plot", *(f"plot_{name}" for name in (
        "learning_curve", "rates", "weights", "alignment", "raster", "anatomy"))}
    plt.close("all")


def test_alignment_of_feedback_with_known_weights():
    rng = np.random.default_rng(0)
    w2, w3 = rng.normal(size=(5, 4)), rng.normal(size=(4, 3))
    snapshots = {"forward_1.w": np.zeros((6, 5)), "forward_2.w": w2, "forward_3.w": w3,
                 "feedback_1.M": -(w2 @ w3).T, "feedback_2.M": 2 * w3.T}
    run = Run({"curve/trials": np.array([0, 10]), **{
        f"snapshots/{name}": np.array([value.ravel()] * 2) for name, value in snapshots.items()}},
        meta={"sizes": SIZES, "rule": "opzo"})
    trials, found = weight_alignment(run)
    assert trials.tolist() == [0, 10]
    assert np.allclose(found[1], [-1, -1]) and np.allclose(found[2], [1, 1])
    assert run.plot_alignment().get_ylabel().startswith("Cosine")
    plt.close("all")
    run.meta["shapes"] = {"forward_2.w": [2, 10]}
    with pytest.raises(InputError, match="convolution"):
        weight_alignment(run)
    for name in ("feedback_1.M", "feedback_2.M"):
        del run.arrays[f"snapshots/{name}"]
    with pytest.raises(InputError, match="no feedback matrix"):
        run.plot_alignment()


def test_the_final_state_completes_and_follows_the_run(trained):
    run, _ = trained
    assert "forward_1.w" in run.final._ipython_key_completions_()
    assert run.final["forward_1.w"] is run.arrays["final/forward_1.w"]
    assert len(run.final) == len(dict(run.final))
    empty = Run()
    empty.arrays["final/input.x"] = np.ones(3)
    assert dict(empty.final) and repr(empty.final) == "input.x: array (3,)"


# ---------------------------------------------------------------------------- exports

def test_to_xarray_holds_every_number_with_units(trained):
    pytest.importorskip("xarray")
    run, _ = trained
    data = run.to_xarray()
    assert dict(data.sizes) == {"evaluation": 4, "input": 4, "hidden_1": 6, "hidden_2": 5,
                                "readout": 2, "training_trial": 32, "held_out_trial": 32}
    assert data.snapshots_forward_2_w.dims == ("evaluation", "hidden_1", "hidden_2")
    assert data.final_feedback_1_M.dims == ("readout", "hidden_1")
    assert data.rates_hidden_1.attrs["units"] == "Hz"
    assert data.accuracy.trials.values.tolist() == run.arrays["curve/trials"].tolist()
    keys = {}
    for variable in [*data.data_vars.values(), data.trials]:
        keys[variable.attrs["key"]] = variable.values
    assert keys.keys() == run.arrays.keys()
    for key, values in keys.items():
        assert np.array_equal(values.ravel(), np.ravel(run.arrays[key])), key
    assert np.array_equal(data.final_forward_1_w, run.matrix("forward_1.w"))
    assert data.attrs["rule"] == "opzo" and data.attrs["sizes"] == "[4, 6, 5, 2]"
    assert data.attrs.keys() == run.meta.keys()


def test_to_xarray_of_states_with_units_scalars_and_convolutions():
    pytest.importorskip("xarray")
    arrays = {"final/hidden_1.push": np.ones(5), "final/critic.L": np.ones(1),
              "final/error.err": np.ones(3), "final/trial.gate": np.ones(1),
              "final/forward_local_1.w": np.arange(15), "final/forward_2.w": np.arange(12)}
    run = Run(arrays, meta={"sizes": SIZES, "shapes": {"forward_2.w": [3, 4]}},
              model=bz.Model(SIZES))
    data = run.to_xarray()
    assert data.final_hidden_1_push.attrs["units"] in ("Hz", "hertz")
    assert data.final_critic_L.dims == () and data.final_error_err.dims == ("readout",)
    assert data.final_forward_local_1_w.dims == ("hidden_1", "readout")
    assert data.final_forward_2_w.shape == (3, 4)


def test_to_neo_has_a_train_a_neuron_with_times_in_ms():
    pytest.importorskip("neo")
    hidden = np.array([[0, 1], [1, 1], [0, 0], [0, 1]])
    spikes = {"input": np.zeros((4, 3), int), "hidden_1": hidden}
    recording = Recording(0.5 * np.arange(4), spikes, {}, {
        "rule": "bp", "sample": 7, "dt_ms": 0.5, "sizes": [3, 2, 2], "target": [0.0, 1.0]})
    block = recording.to_neo()
    trains = block.segments[0].spiketrains
    assert [len(train) for train in trains] == [0, 0, 0, 1, 3]
    last = trains[-1]
    assert last.times.magnitude.tolist() == [0, 0.5, 1.5] and str(last.units) == "1.0 ms"
    assert float(last.t_start) == 0 and float(last.t_stop) == 2.0
    assert last.annotations == {"layer": "hidden_1", "neuron": 1}
    assert [group.name for group in block.groups] == ["input", "hidden_1"]
    assert len(block.groups[1].spiketrains) == 2 and block.annotations["rule"] == "bp"


def test_a_trial_of_a_run_as_neo_and_as_figures(trained, monkeypatch):
    pytest.importorskip("neo")
    run, _ = trained
    block = run.to_neo(sample=3, seed=2)
    recording = bz.measures.record(run, 3, 2)
    monkeypatch.setattr(bz.measures, "record", lambda *given: recording)
    trains = {train.name: train.times.magnitude for train in block.segments[0].spiketrains}
    assert len(trains) == 11
    for layer, spikes in recording.spikes.items():
        for neuron in range(spikes.shape[1]):
            assert np.array_equal(trains[f"{layer}[{neuron}]"],
                                  recording.time[spikes[:, neuron] > 0])
    assert run.plot_raster(3).get_xlabel() == "Time in the trial (ms)"
    assert len(run.plot_anatomy(3, neuron=(1, 2)).axes) == 7
    plt.close("all")


@pytest.mark.parametrize("package, call", [
    ("xarray", lambda run: run.to_xarray()),
    ("neo", lambda run: Recording(np.zeros(1), {}, {}, {}).to_neo())])
def test_a_missing_package_is_named_with_its_command(package, call, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"pip install {package}"):
        call(Run())


@pytest.mark.parametrize("change, says", [
    (dict(model=None), "no model attached"), (dict(task=None), "was made from arrays")])
def test_a_run_without_model_or_task_cannot_be_recorded(change, says, trained):
    run = Run(trained[0].arrays, meta=trained[0].meta,
              **{"model": trained[0].model, "task": TASK, **change})
    for method in (run.plot_raster, run.plot_anatomy, run.to_neo):
        with pytest.raises(InputError, match=says):
            method()


@pytest.mark.parametrize("sample", [-1, 40, 1.5, True, "first"])
def test_a_sample_that_the_task_has_not(sample, trained):
    with pytest.raises(InputError, match="0 to 39"):
        trained[0].plot_raster(sample)


# ---------------------------------------------------------------------------- docstrings

MODULES = [bz, *(importlib.import_module(f"bioopzo.{name}") for name in (
    "tasks", "measures", "measures.rate", "neurons", "plots", "rules", "engines.rate.optimizers",
    "engines.spiking.build", "network.clock", "training.compare", "run", "studies.notebooks"))]


def public():
    """(name, object) of every public function, class, method and property."""
    for module in MODULES:
        names = getattr(module, "__all__", None) or [
            name for name, found in vars(module).items()
            if name[0] != "_" and getattr(found, "__module__", "") == module.__name__]
        for name in names:
            found = getattr(module, name)
            if not callable(found):
                continue
            yield f"{module.__name__}.{name}", found
            for key, member in vars(found).items() if inspect.isclass(found) else ():
                kinds = (property, cached_property, classmethod)
                if key[0] != "_" and (inspect.isfunction(member) or isinstance(member, kinds)):
                    yield f"{module.__name__}.{name}.{key}", member


PUBLIC = dict(public())
#: Internals of the spiking engine, and what holds no names to explain.
LOW_LEVEL = ("bioopzo.engines.spiking.", "bioopzo.network.clock.",
             "bioopzo.training.compare.summary", "bioopzo.training.compare.format_table")


def test_everything_public_says_what_it_is():
    assert len(PUBLIC) > 90
    for name, found in PUBLIC.items():
        summary = (inspect.getdoc(found) or "").split("\n")[0]
        assert len(summary) > 12 and summary[-1] in ".:", f"{name}: {summary!r}"


def test_docstrings_name_what_is_to_be_given():
    for name, found in PUBLIC.items():
        found = getattr(found, "__func__", found)
        if name.startswith(LOW_LEVEL) or not callable(found) or (
                inspect.isclass(found) and issubclass(found, Exception)):
            continue
        documented = inspect.getdoc(found)
        for parameter in inspect.signature(found).parameters.values():
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) \
                    and parameter.name not in ("self", "cls"):
                assert re.search(rf"\b{parameter.name}\b", documented), f"{name}: {parameter.name}"


@pytest.mark.parametrize("module", [bz, bz.tasks, bz.rules, bz.neurons])
def test_only_what_is_public_completes(module):
    assert set(dir(module)) - {"__version__"} == set(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__) and not hasattr(module, "plot")


def test_units_in_a_quantity_for_people():
    for value, words in ((10 * ms, "10 ms"), (500 * Hz, "500 Hz"), (0.05 * Hz, "0.05 Hz"),
                         (1e-12, "1e-12"), (2.0, "2")):
        assert quantity(value) == words


def test_alignment_is_that_of_the_matrix_by_which_a_rule_teaches():
    """OPZO's momentum keeps M and what it is made of, C: the latter was compared."""
    rng = np.random.default_rng(1)
    w2 = rng.normal(size=(5, 3))
    snapshots = {"forward_1.w": np.zeros((6, 5)), "forward_2.w": w2, "feedback_1.M": w2.T,
                 "feedback_1.C": rng.normal(size=(3, 5))}
    model = bz.Model([6, 5, 3], rule="opzo", form="momentum")
    for attached in (model, None):
        run = Run({"curve/trials": np.array([0]), **{
            f"snapshots/{name}": value.reshape(1, -1) for name, value in snapshots.items()}},
            {}, {"sizes": [6, 5, 3], "rule": "opzo"}, attached)
        assert weight_alignment(run)[1][1] == pytest.approx(1)


def test_alignment_goes_along_the_chain_in_whatever_order_its_layers_were_declared():
    rng = np.random.default_rng(2)
    found = {}
    weights = {name: rng.normal(size=(3, 3)) for name in (
        "input_low.w", "low_top.w", "top_readout.w", "feedback_low.B", "feedback_top.B")}
    for order in (("low", "top"), ("top", "low")):
        network = bz.Network(inputs=3, readouts=3)
        for name in order:
            network = network.population(name, 3)
        network = network.connect("input", "low").connect("low", "top").connect("top", "readout")
        model = bz.Model(network, rule="dfa")
        run = Run({"curve/trials": np.array([0]), **{
            f"snapshots/{p.name}.{'B' if p.kind == 'feedback' else 'w'}": weights[
                f"feedback_{p.target}.B" if p.kind == "feedback" else f"{p.source}_{p.target}.w"
            ].reshape(1, -1) for p in model.network.projections if p.kind in (
                "forward", "forward_readout", "feedback")}},
            {}, {"network": model.network.described(), "rule": "dfa"}, model)
        by_layer = weight_alignment(run)[1]
        found[order] = {p.name: by_layer[k][0] for k, p in enumerate(model.network.hidden, 1)}
    path = (weights["low_top.w"] @ weights["top_readout.w"]).T
    expected = {"low": cosine(weights["feedback_low.B"], path),
                "top": cosine(weights["feedback_top.B"], weights["top_readout.w"].T)}
    for by_name in found.values():
        assert by_name == pytest.approx(expected)
