"""Parameters that differ by population, neuron and projection; projections that are frozen.

The engines are compared by the fuzzer's executors: dense and event-driven form in Brian2, rate
engine, on the same random numbers.
"""

import json
import pickle
import re

import numpy as np
import pytest
from brian2 import Hz, ms
from fuzz.executors import run as run_draw
from fuzz.strategy import Draw
from test_wiring import spikes_at

import bioopzo as bz
from bioopzo.engines.rate.engine import Engine, train_together
from bioopzo.errors import EquationError, InputError, ModelWarning
from bioopzo.measures.recording import record
from bioopzo.network.clock import shape_of, time_course
from bioopzo.network.holds import filters
from bioopzo.tasks import Task
from bioopzo.training.start import initial_weights, scheduled, without_learning

SIZES = [4, 3, 3, 2]
XOR = bz.tasks.xor()
#: Values for each neuron, and for each population or projection.
UNEVEN = {"tau_m": "('lognormal', 7*ms, 0.4)", "theta": "{'hidden_1': array([.7, 1.2, .9])}",
          "b": "('uniform', .6, 1.3, 5)", "eta": "{'forward_1': 30*Hz}",
          "tau_o": "{'readout': array([6, 12])*ms}"}
EVEN = {"tau_m": "{'hidden_1': 5*ms, 'input': 9*ms}", "tau_o": "{'readout': 6*ms}",
        "eta": "{'forward_1': 30*Hz, 'forward_2': 11*Hz}", "Delta": "{'hidden_2': .4}",
        "eta_o": "{'readout': array([5, 9])*Hz}", "b": "{'hidden_2': array([.4, 1., .7])}"}
RULES = ("opzo", "bp", "eprop", "reinforce")


MORE = [{"coding": "spikes", "freeze": ("forward_2",), "state_reset": False},
        {"coding": "poisson", "wiring": "sparse, delayed", "dropout": 0.3}]


@pytest.mark.parametrize("rule, spread, more", [  # every rule with both, and with one of more
    *((rule, spread, {}) for rule in RULES for spread in (UNEVEN, EVEN)),
    *((rule, (UNEVEN, EVEN)[k // 2], MORE[k % 2]) for k, rule in enumerate(RULES))],
    ids=lambda x: {id(UNEVEN): "by neuron", id(EVEN): "by population"}.get(id(x), str(x)))
def test_engines_agree(rule, spread, more):
    if "freeze" in more:
        spread = {**spread, "eta": "{'forward_1': 30*Hz}"}
    outcome = run_draw(Draw(seed=3, sizes=(4, 3, 3, 2), rule=rule, spread=spread, **more))
    assert outcome.kind == "ran", outcome.detail
    lazy = {name: " lazy" in form for name, form in outcome.forms.items()}
    if not more:
        assert lazy == dict.fromkeys(lazy, spread is EVEN)


@pytest.mark.parametrize("rule, values", [
    ("opzo", {"mu": "{'feedback_1': 0.2, 'hidden_2': array([.1, .3, .2])}", "memory": "{'hidden_2'"
              ": 0.6}", "rho0": "('normal', 400*Hz, 20*Hz, 2)", "alpha": "70*Hz"}),
    ("reinforce", {"tau_e": "{'hidden_1': array([9, 12, 15])*ms}", "kappa": "{'critic': .1}"}),
    ("dkp", {"decay": "{'forward_1': .5*Hz, 'feedback_2': .9*Hz}"}),
    ("bp", {"input_rate": "{'input': array([100, 200, 300, 400])*Hz}"})], ids=str)
def test_engines_agree_on_the_parameters_of_rules_and_inputs(rule, values):
    outcome = run_draw(Draw(seed=4, sizes=(4, 3, 3, 2), rule=rule, spread=values,
                            coding="poisson" if rule == "bp" else "current"))
    assert outcome.kind == "ran", outcome.detail


@pytest.mark.parametrize("tau, word", [("('uniform', 5*ms, 9*ms)", "tau_m_pre"), (
    "{'hidden_1': 5*ms, 'hidden_2': 8*ms}", "tau_m_of_hidden_2")], ids=["by neuron", "one"])
def test_synapses_read_a_parameter_of_their_target_or_else_of_their_source(tau, word):
    draw = Draw(seed=3, sizes=(4, 3, 3, 2), rule="dfa", spread={"tau_m": tau}, ops=((
        ("times", "forward_readout:w", "tau_m/(7*ms)"), ("term", "forward:w", "- 0.01*w/tau_m")),))
    outcome = run_draw(draw)
    assert outcome.kind == "ran", outcome.detail
    texts = draw.model().equations()
    assert word in texts["forward_3"] + texts["readout"]
    assert ("lazy" in outcome.forms["forward_3"]) == ("of" in word)
    assert "tau_m" not in texts["readout"].replace(word, "")


# ---------------------------------------------------------------------------- known answers

def silent(**parameters):
    """One input on two neurons that do not spike, and its spike at step 2."""
    network = (bz.Network(inputs=1, readouts=2).population("H", 2)
               .connect("input", "H", weights=0.2).connect("H", "readout", weights=0.0))
    return bz.Model(network, rule="readout_only", rho0=1e-9*Hz, **{"b": 0, **parameters})


def engine_of(model, task, *settings, start=None, **more):
    """A rate engine that learns nothing yet, with weights in it."""
    model = model.for_task(task)
    engine = Engine(model, shape_of(task, 2), time_course(model, task), *(
        settings or ("rates", "double", "trial")), compiled=False, **more)
    engine.put(initial_weights(model, np.random.default_rng(0)) if start is None else start)
    return engine


def test_membranes_decay_each_with_its_own_time_constant():
    """In Brian2, and in the rate engine for every sample of a batch."""
    task, tau = spikes_at(2), np.array([5.0, 20.0])
    model = silent(tau_m={"H": tau*ms, "input": 3*ms})
    run = bz.train(model, task, trials=1, evaluations=1, backend="numpy", progress=False)
    found = record(run, sample=0, plastic=False).values
    since = np.arange(17)[:, None]
    np.testing.assert_allclose(found["H.u"][3:], 0.2*np.exp(-(1 + since)/tau), rtol=1e-9)
    np.testing.assert_allclose(found["input.xbar"][3:], np.exp(-(1 + since)/3), rtol=1e-9)
    given = np.repeat(task.inputs[:1], 3, axis=0).swapaxes(0, 1)
    seen = engine_of(model, task).trial(given, np.repeat(task.targets[:1], 3, axis=0),
                                        record=("H.u",))["H.u"]
    for sample in range(3):
        np.testing.assert_allclose(seen[3:, sample], found["H.u"][3:], rtol=1e-9)


def test_learning_rates_by_projection_and_frozen_ones():
    """What a batch asks of weights is as large as the rate; the frozen stay, to the bit."""
    task = Task("two", np.array([[1., 0.3, 0.5, 2.]]), np.eye(2)[[0]], np.array([0]),
                np.ones(12), {"train": np.array([0]), "validation": np.arange(0),
                              "test": np.arange(0)}, "current", 12*ms)
    plain = bz.Model(SIZES, rule="bp", eta=20*Hz, b=1)
    changes = {}
    for name, model in {
            "plain": plain, "by projection": plain.edit(eta={"forward_1": 5*Hz}),
            "by target": plain.edit(eta={"hidden_2": [20, 10, 0]*Hz}),
            "frozen": plain.replace(freeze=["forward_2"])}.items():
        changes[name], _ = engine_of(model, task).changes(task.inputs, task.targets)
    assert np.abs(changes["plain"]["forward_1.w"]).max() > 1e-4

    def ratio(name, key):
        return np.broadcast_to(changes[name][key] / changes["plain"][key], (3, 3) if "2" in key
                               else (4, 3))

    np.testing.assert_allclose(ratio("by projection", "forward_1.w"), 0.25)
    np.testing.assert_allclose(ratio("by projection", "forward_2.w"), 1)
    np.testing.assert_allclose(ratio("by target", "forward_2.w"), [[1, 0.5, 0]]*3)
    np.testing.assert_allclose(ratio("by target", "forward_1.w"), 1)
    assert changes["frozen"].keys() == {"forward_1.w", "forward_3.w"}
    np.testing.assert_allclose(ratio("frozen", "forward_1.w"), 1)  # weights are transported still
    frozen = bz.train(plain.replace(freeze=["forward_1", "forward_3"]), XOR, trials=20, seed=3,
                      evaluations=1, backend="numpy", progress=False)
    start = frozen.at(0).final
    for key in ("forward_1.w", "forward_3.w"):
        assert np.array_equal(frozen.final[key], initial_weights(
            frozen.model, np.random.default_rng(np.random.SeedSequence(3).spawn(2)[1]))[key])
    assert not np.array_equal(frozen.final["forward_2.w"], start["forward_2.w"])


def test_frozen_is_not_plastic():
    """A frozen projection is one that was connected with plastic=False."""
    def made(**more):
        return (bz.Network(inputs=4, readouts=2).population("E", 3, sign=1)
                .connect("input", "E", **more).connect("E", "readout", high=0.7, **more))

    assert bz.Model(made().connect("E", "E"), rule="dfa", freeze=["input_E", "E_readout"]).blocks \
        == bz.Model(made(plastic=False).connect("E", "E"), rule="dfa").blocks


@pytest.mark.parametrize("place, tau", [("after", "tau_m_of_hidden_2"), ("before", "tau_m")])
def test_zbar_passes_the_membranes_on_its_way(place, tau):
    model = bz.Model(SIZES, rule="opzo", place=place, tau_o={"readout": 4*ms},
                     tau_m={"hidden_1": 5*ms, "hidden_2": 30*ms}, memory={"hidden_2": 0.5})
    lines = model.blocks["hidden_1"].splitlines()
    assert any(re.match(rf"dz1/dt = -z1/\(memory(_of_hidden_2)?\*{tau}\)", x) for x in lines), lines
    assert any("-zbar/tau_o_of_readout" in line for line in lines)
    assert model.parameters["tau_m_of_hidden_2"] == 30*ms and model.notes == ()
    network = model.network
    way = {"after": [15e-3, 4e-3], "before": [1.5e-3, 15e-3, 4e-3]}[place]
    assert filters(model, network["hidden_1"]) == pytest.approx(way)
    assert filters(model, network["hidden_2"]) == pytest.approx(way[1:])
    uneven = model.edit(tau_m={"hidden_2": [20, 30, 40]*ms})
    assert uneven.parameters["tau_m_of_hidden_2"] == 30*ms
    assert len(uneven.notes) == 1 and uneven.notes[0].startswith("tau_m_of_hidden_2 is the mean")
    with pytest.warns(ModelWarning, match="tau_m_of_hidden_2 is the mean over hidden_2"):
        uneven.check()


def test_gain_by_projection():
    plain, wide = (initial_weights(bz.Model(SIZES, gain=gain), np.random.default_rng(0))
                   for gain in (2.0, {"forward_2": 3.0}))
    assert {name for name in plain if not np.array_equal(plain[name], wide[name])} \
        == {"forward_2.w"}
    np.testing.assert_allclose(wide["forward_2.w"], 1.5*plain["forward_2.w"])


# ---------------------------------------------------------------------------- values

def test_distributions_are_drawn_once_for_seed_name_and_population():
    def drawn(*told, sizes=(4, 3000, 2)):
        return bz.Model(list(sizes), tau_m=told).spread["tau_m"]

    usual = drawn("lognormal", 10*ms, 0.3)
    values = np.asarray(usual["hidden_1"])
    assert np.mean(values) == pytest.approx(10e-3, rel=0.02)
    assert np.std(np.log(values)) == pytest.approx(0.3, rel=0.05)
    assert np.array_equal(values, drawn("lognormal", 10*ms, 0.3, 0)["hidden_1"])
    assert not np.array_equal(values, drawn("lognormal", 10*ms, 0.3, 1)["hidden_1"])
    assert usual.keys() == {"input", "hidden_1"}
    more = drawn("lognormal", 10*ms, 0.3, sizes=(4, 3000, 3000, 2))
    assert np.array_equal(values, more["hidden_1"])
    assert not np.array_equal(values, more["hidden_2"])
    low, high = np.min(box := drawn("uniform", 4*ms, 6*ms)["hidden_1"]), np.max(box)
    assert 4*ms <= low < 4.01*ms and 5.99*ms < high <= 6*ms
    bell = drawn("normal", 10*ms, 1*ms)["hidden_1"]
    assert np.std(bell)/ms == pytest.approx(1, rel=0.05)


def test_the_rest_keeps_the_default_and_analyses_have_the_mean():
    model = bz.Model(SIZES, rule="bp", tau_m={"hidden_1": [4, 5, 6]*ms}, eta={"forward_1": 60*Hz})
    assert model.parameters["tau_m"]/ms == pytest.approx((4*10 + 15 + 3*10)/10)
    assert model.parameters["eta"] == 40*Hz
    assert model.spread["tau_m"].at("hidden_2") == 10*ms
    assert bz.Model(SIZES).spread == {} and bz.Model(SIZES).digest == bz.Model(SIZES).digest
    texts = model.equations()
    assert "tau_m : second (constant)" in texts["hidden_1"]
    assert "tau_m : second (shared, constant)" in texts["hidden_2"]
    own = model.edit({"psi": "psi = exp(-abs(u - theta)/width) : 1"},
                     width={"hidden_1": 0.2, "hidden_2": [.1, .2, .3]}).check()
    assert own.parameters["width"] == pytest.approx(0.2)
    values = {"forward_1.eta_of_forward_1": 60.0, "hidden_2.eta": np.array([1.0, 3.0])}
    assert scheduled(values, model, 1.0)["hidden_2.eta"] == pytest.approx([0.03, 0.09])
    assert not np.any(without_learning(values)["hidden_2.eta"])


def test_a_list_of_numbers_with_units_is_an_array():
    listed, array = (bz.Model(SIZES, tau_m={"hidden_1": tau}) for tau in (
        [4*ms, 5*ms, 6*ms], [4, 5, 6]*ms))
    assert listed.digest == array.digest and listed.spread == array.spread


def test_a_value_cannot_be_changed_from_outside():
    values = np.array([4.0, 5, 6])*ms
    model = bz.Model(SIZES, tau_m={"hidden_1": values})
    before = model.digest
    values[0] = 99*ms
    assert model.edit(b=0.4).spread["tau_m"]["hidden_1"][0] == 4*ms and model.digest == before


REFUSED = {
    "sizes": ({"tau_m": [1, 2, 3]*ms}, r"tau_m has 3 values, and these read it: input \(4\), "
              r"hidden_1 \(3\), hidden_2 \(3\); say whose they are, tau_m=\{'hidden_2': ...\}"),
    "of synapses": ({"eta": ("normal", 9*Hz, 1*Hz)}, r"no neurons read the parameter eta, only "
                    r"synapses do: give numbers by projection.*\(of forward_1, forward_2\)"),
    "a name": ({"tau_m": {"hiden_1": 3*ms}}, "did you mean 'hidden_1'.*forward_1"),
    "no name": ({"tau_m": {3: 3*ms}}, "unknown population or projection.*3"),
    "not positive": ({"tau_m": ("normal", 10*ms, 20*ms)}, "tau_m of input .*must be above zero, "
                     "got -.*: .'normal'.* draws such; .'lognormal', mean"),
    "one of them": ({"tau_m": {"hidden_1": [1, 2, -3]*ms}}, "above zero, got -3"),
    "no unit": ({"tau_m": {"hidden_1": 3}}, "tau_m of hidden_1 has the unit second .e.g. tau_m=10"),
    "another unit": ({"theta": ("normal", 1, 2*ms)}, "two numbers of one unit"),
    "a logarithm's": ({"tau_m": ("lognormal", 5*ms, 1*ms)}, "sd of the logarithm.*has no unit"),
    "nothing": ({"tau_m": {}}, "needs a value for a population or projection"),
    "a mean": ({"theta": ("lognormal", -2, .2)}, "a mean above zero .of the values, not of their"),
    "upside down": ({"b": ("uniform", 2, 1)}, "a high that is not below low"),
    "no sd": ({"b": ("normal", 2, -1)}, "an sd that is not below zero"),
    "a distribution": ({"b": ("gamma", 2, 1)}, "drawn as .'normal', mean, sd.* or .'uniform'"),
    "too few": ({"b": ("normal", 2)}, "with a seed behind it if you like, not .'normal', 2."),
    "a seed": ({"b": ("normal", 2, 1, -1)}, "the seed of b is a whole number of at least 0"),
    "the whole": ({"alpha": {"hidden_1": 4*Hz}}, "alpha is one number, the same for the whole"),
    "a schedule": ({"eta_final": {"forward_1": .2}}, "eta_final is one number"),
    "unread": ({"eta": {"forward_3": 2*Hz}}, "forward_3 does not read the parameter eta; these do: "
               "hidden_1, hidden_2, forward_1, forward_2"),
    "a synapse's": ({"eta": {"forward_1": [1, 2]*Hz}}, "eta of forward_1 is one number"),
    "too many": ({"tau_m": {"hidden_1": [1, 2]*ms}}, "2 values, and hidden_1 has 3 neurons"),
    "a start": ({"gain": {"hidden_1": 2}}, "hidden_1 does not read the parameter gain"),
    "two units": ({"tau_m": {"hidden_1": [5*ms, 6, 7*ms]}}, "numbers of one unit, not .5. . mse"),
    "infinite": ({"b": {"hidden_1": [1, 2, np.inf]}}, "needs finite numbers"),
    "a word": ({"b": {"hidden_1": "x"}}, "b of hidden_1 needs a number, not 'x'"),
    "no parameter": ({"tau_n": {"hidden_1": 3*ms}}, "unknown parameter 'tau_n'"),
    "frozen": ({"freeze": ["forward_9"]}, "unknown projection to freeze 'forward_9'"),
    "all frozen": ({"freeze": ["forward_1", "forward_2", "forward_3"]}, "nothing learns: leave"),
    "no list": ({"freeze": 3}, "freeze is a list of projections"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_value_is_refused_at_once(what):
    given, says = REFUSED[what]
    with pytest.raises(InputError, match=says):
        bz.Model(SIZES, rule="opzo", **given)


def test_what_else_is_refused():
    with pytest.raises(InputError, match="one number, or one for each projection"):
        bz.Model("8x8-4C3-10", gain={"forward_1": [3.0, 2.0]})
    with pytest.raises(EquationError, match="width has no default: give its value for hidden_2"):
        bz.Model(SIZES).edit({"psi": "psi = exp(-abs(u - theta)/width) : 1"},
                             width={"hidden_1": 0.2})
    with pytest.raises(EquationError, match="tau_m_of_hidden_1 is what others call tau_m of one"):
        bz.Model(SIZES).edit({"psi": "psi = exp(-abs(u)*ms/tau_m_of_hidden_1) : 1"},
                             tau_m_of_hidden_1=3*ms, tau_m={"hidden_1": 4*ms})
    with pytest.raises(EquationError, match="tau_m of hidden_1 has 2 values"):
        bz.Model(SIZES).edit(tau_m={"hidden_1": [3, 4]*ms})


# ---------------------------------------------------------------------------- batches

def test_runs_together_and_samples_of_a_batch_are_each_as_alone():
    """Two runs whose neurons differ otherwise, as one program; and two equal samples as one."""
    rng = np.random.default_rng(1)
    task = Task("few", rng.random((2, 4)), np.eye(2), np.array([0, 1]), np.ones(12),
                {"train": np.arange(2), "validation": np.arange(0), "test": np.arange(0)},
                "current", 12*ms)
    models = [bz.Model([4, 3, 2], rule="bp", b=("uniform", 0.8, 1.4, seed), eta_final=0.5,
                       tau_m=("lognormal", 8*ms, 0.3, seed), eta={"hidden_1": [40, seed, 9]*Hz})
              for seed in (1, 2)]

    def engines():
        return [engine_of(model, task) for model in models]

    def asked(engine, batch):
        shares = [scheduled(engine.constants, engine.model, k/2) for k in range(2)]
        return (np.repeat(task.inputs[None, :1], batch, 1).repeat(2, 0),
                np.repeat(task.targets[None, :1], batch, 1).repeat(2, 0),
                {key: [share[key] for share in shares]
                 for key in engine.constants if key.endswith(".eta")}, None)

    alone, together, larger = engines(), engines(), engines()
    assert len({engine.identity for engine in together}) == 1
    for engine in alone:
        train_together([engine], [asked(engine, 1)])
    train_together(together, [asked(engine, 1) for engine in together])
    for engine in larger:
        train_together([engine], [asked(engine, 2)])
    for one, *others in zip(alone, together, larger):
        for key, value in one.weights.items():
            assert np.ptp(value) > 0
            for other in others:
                np.testing.assert_allclose(other.weights[key], value, rtol=1e-9, atol=1e-12)
    assert np.abs(np.asarray(alone[0].weights["forward_1.w"])
                  - alone[1].weights["forward_1.w"]).max() > 1e-6


@pytest.mark.compiled
def test_a_compiled_program_has_the_values_as_data(monkeypatch):
    """The same bits from NumPy and from C++; other values need no other program."""
    model = bz.Model([4, 3, 2], rule="opzo", tau_m=("lognormal", 10*ms, 0.3), theta={
        "hidden_1": [.8, 1, 1.2]}, eta={"forward_1": 30*Hz})
    runs = [bz.train(model, XOR, trials=24, seed=3, evaluations=1, backend=backend,
                     progress=False) for backend in ("numpy", "standalone")]
    for name, value in runs[0].final.items():
        np.testing.assert_allclose(runs[1].final[name], value, rtol=1e-9, atol=1e-12, err_msg=name)
    from bioopzo.engines.spiking import standalone
    monkeypatch.setattr(standalone.Standalone, "_build", None)
    other = bz.train(model.edit(tau_m=("lognormal", 10*ms, 0.3, 7)), XOR, trials=24, seed=3,
                     evaluations=1, backend="standalone", progress=False)
    assert not np.array_equal(other.final["forward_1.w"], runs[0].final["forward_1.w"])


# ---------------------------------------------------------------------------- what goes with it

def test_another_rule_keeps_the_values_that_it_has_a_place_for():
    model = bz.Model(SIZES, rule="opzo", tau_m={"hidden_1": [4, 5, 6]*ms}, freeze=["forward_1"],
                     mu={"feedback_1": 0.3}, eta={"forward_2": 7*Hz})
    other = model.replace(rule="bp")
    assert other.spread["tau_m"] == model.spread["tau_m"] and other.freeze == ("forward_1",)
    assert other.spread.keys() == {"tau_m", "eta"} and model.replace(rule="dfa").check()
    decayed = bz.Model(SIZES, rule="dkp", eta_o={"forward_3": 4*Hz, "feedback_1": 5*Hz})
    assert decayed.replace(rule="bp").spread["eta_o"].keys() == {"forward_3"}
    assert "eta" not in model.replace(rule="readout_only").spread
    control = bz.Model(SIZES, rule="readout_only", eta={"forward_2": 7*Hz})  # as a number would be
    assert not control.spread and control.parameters["eta"] == 20*Hz
    assert model.unedited().spread == model.spread and not model.plain().spread
    assert model.shrunk().check().spread["tau_m"]["hidden_1"].size == 1


def test_a_model_shows_what_differs_in_a_line():
    model = bz.Model([4, 24, 3, 2], rule="bp", tau_m={"hidden_1": np.arange(1, 25)*ms},
                     theta=("lognormal", 1.0, 0.2, 3), freeze="forward_2")
    page = repr(model)
    assert "time constant: 24 values from 1 ms to 24 ms in hidden_1; 10 ms elsewhere" in page
    assert "threshold: lognormal around 1, sd of the logarithm 0.2 (seed 3)" in page
    assert "freeze='forward_2'" in page and "24 values" in model._repr_html_()
    assert repr(model.spread).splitlines()[0] \
        == "tau_m = 24 values from 1. ms to 24. ms in hidden_1"
    other = model.edit(tau_m={"hidden_1": np.arange(24, 0, -1)*ms})
    assert other.parameters == model.parameters and other.digest != model.digest
    difference = other.diff(model)
    assert difference.parameters == {"tau_m": (
        "24 values from 1 ms to 24 ms in hidden_1; 10 ms elsewhere",
        "others: 24 values from 1 ms to 24 ms in hidden_1; 10 ms elsewhere")}
    assert not model.diff(model.edit(theta=("lognormal", 1.0, 0.2, 3)))
    assert model.replace(freeze=()).diff(model).settings == {"freeze": ("forward_2", "none")}


def test_a_saved_run_says_what_it_was(tmp_path):
    model = bz.Model([4, 3, 2], rule="bp", tau_m={"hidden_1": [4, 5, 6]*ms}, freeze=["forward_1"])
    again = pickle.loads(pickle.dumps(model))
    assert again.digest == model.digest and again.spread == model.spread
    run = bz.train(again, XOR, trials=4, seed=1, evaluations=1, backend="numpy", progress=False)
    loaded = bz.Run.load(run.save(tmp_path / "run"))
    assert loaded.meta["freeze"] == ["forward_1"]
    assert loaded.meta["spread"]["tau_m"]["values"] == {"hidden_1": [0.004, 0.005, 0.006]}
    assert loaded.meta["spread"]["tau_m"]["given"].startswith("3 values from 4 ms to 6 ms")
    assert loaded.meta["network"]["projections"]["forward_1"]["kind"] == "fixed"
    assert json.loads(json.dumps(loaded.meta)) == loaded.meta
    assert np.asarray(run.network["hidden_1"].tau_m).tolist() == [0.004, 0.005, 0.006]


def test_the_factors_of_two_dense_projections_may_change_their_names():
    """Drawn as a difference: F_w was that of forward_2 where both are dense, else the other's."""
    outcome = run_draw(Draw(
        seed=335, sizes=(3, 3, 2), rule="opzo", coding="spikes", steps=27, warmup=1,
        plastic=(1, 0, 1), wiring="skip", spread={
            "tau_m": "{'hidden_1': 6*ms, 'input': ('lognormal', 7*ms, 0.3, 23)}",
            "eta_o": "{'forward_2': 15*Hz, 'input_readout': 13*Hz}"}))
    assert outcome.kind == "ran", outcome.detail
    assert "w lazy" in outcome.forms["forward_2"] and "w dense" in outcome.forms["input_readout"]
