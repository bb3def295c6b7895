"""Single precision in the spiking engine: the same run, to what float32 tells apart."""

import json

import brian2 as b2
import numpy as np
import pytest
from brian2 import ms

import bioopzo as bz
from bioopzo.cli import main
from bioopzo.engines import tools
from bioopzo.engines.spiking import feed
from bioopzo.engines.spiking.build import EXACT, build
from bioopzo.engines.spiking.session import runtime
from bioopzo.engines.spiking.sources import generate
from bioopzo.engines.spiking.standalone import identity
from bioopzo.errors import EquationError
from bioopzo.network.clock import shape_of

NEEDS_COMPILER = [pytest.mark.compiled,
                  pytest.mark.skipif(tools.compiler() is None, reason="needs a C++ compiler")]
#: A statement with random numbers of its own, and a chance that depends on the time.
EDITS = {"hidden.trial": "drive = 0.1*randn()",
         "hidden.chance": "chance = 1 - exp(-rho*(1 + 0.5*sin(t/(3*ms)))*dt)"}


@pytest.fixture(scope="module")
def task():
    """12 spiking inputs, 3 classes, trials of 60 ms, of which two are held out."""
    full = bz.tasks.temporal_patterns(classes=3, inputs=12)
    return full.replace(splits={k: v[:n] for (k, v), n in zip(full.splits.items(), (30, 2, 2))})


def trained(task, rule="opzo", backend="numpy", trials=4, **options):
    model = bz.Model([12, 9, 8, 3], rule=rule, tau_m=10 * ms).edit(EDITS)
    return bz.train(model, task, trials=trials, seed=2, evaluations=1, backend=backend,
                    progress=False, **options)


@pytest.fixture(scope="module")
def runs(task):
    """Of every rule, a run in double precision on numpy."""
    found = {}

    def run(rule):
        if rule not in found:
            found[rule] = trained(task, rule)
        return found[rule]

    return run


def assert_close(run, other):
    """The same spikes; weights, membranes and losses to some digits less than float32 has."""
    for layer in ("hidden_1", "hidden_2"):
        assert other.final[f"{layer}.count"].sum() > 100
        np.testing.assert_array_equal(run.final[f"{layer}.count"], other.final[f"{layer}.count"])
    close = [name for name in other.final if name.split(".")[1] in ("w", "M", "u", "o")]
    assert len(close) > 5
    for name in close:
        np.testing.assert_allclose(run.final[name], other.final[name], rtol=0, atol=1e-4,
                                   err_msg=name)
    np.testing.assert_allclose(run.arrays["curve/loss"], other.arrays["curve/loss"], rtol=1e-4)


@pytest.mark.parametrize("rule, backend", [
    ("bp", "numpy"), ("eprop", "numpy"), pytest.param("opzo", "standalone", marks=NEEDS_COMPILER)])
def test_a_short_run_is_that_of_double_precision(task, runs, rule, backend):
    """The same random numbers, so the same spikes; weights to float32."""
    double, single = runs(rule), trained(task, rule, backend, precision="single")
    assert (double.meta["precision"], single.meta["precision"]) == ("double", "single")
    assert {v.dtype for n, v in double.final.items() if v.dtype.kind == "f"} == {np.dtype("f8")}
    for name, value in single.final.items():
        wide = name.endswith(".lastspike") or name.split(".")[1] in EXACT
        assert value.dtype.kind != "f" or value.dtype.itemsize == (8 if wide else 4), name
    assert_close(single, double)
    assert any(np.any(value != double.final[name]) for name, value in single.final.items())


@pytest.mark.parametrize("rule, backend", [
    ("opzo", "numpy"), ("dfa", "numpy"), pytest.param("bp", "standalone", marks=NEEDS_COMPILER)])
def test_lazy_forms_are_the_dense_ones_to_single_precision(task, rule, backend):
    lazy, dense = (trained(task, rule, backend, precision="single", lazy=lazy)
                   for lazy in (True, False))
    assert set(lazy.meta["forms"].values()) == {"w lazy"}
    assert set(dense.meta["forms"].values()) == {"w dense"}
    assert_close(lazy, dense)


def test_random_numbers_and_times_are_as_wide_as_ever(task):
    """A key of 53 bits in a float of 24 would draw others; so would a time of 4,000 trials."""
    model = bz.Model([12, 9, 8, 3]).for_task(task)
    with runtime(precision="single"):
        built = build(model, shape_of(task, 2), precision="single")
    trial = built["trial"].variables
    assert {name: trial[name].dtype for name in EXACT} == dict.fromkeys(EXACT, np.float64)
    assert built["hidden_1"].variables["draws"].dtype == np.float64
    assert built["hidden_1"].variables["u"].dtype == trial["gate"].dtype == np.float32


def test_the_program_of_each_precision_is_its_own(task):
    model = bz.Model([12, 9, 8, 3]).for_task(task)
    keys = {identity(model, shape_of(task, 2), True, precision)
            for precision in ("single", "double")}
    assert len(keys) == 2 and identity(model, shape_of(task, 2)) in keys


@pytest.mark.parametrize("precision, kind, other", [
    pytest.param("single", "float", "double", marks=NEEDS_COMPILER),
    pytest.param("double", "double", "float", marks=NEEDS_COMPILER)])
def test_compiled_loops_over_synapses_are_of_one_precision(task, tmp_path, precision, kind, other):
    """One wide number in a loop makes all that it meets as wide, and the loop as slow."""
    model = bz.Model([12, 9, 8, 3], rule="bp").for_task(task)
    generate(model, shape_of(task, 2), False, tmp_path, precision)
    loops = [code.split("for(int _pre=0", 1)[1] for code in
             (path.read_text() for path in (tmp_path / "code_objects").glob("forward_*.cpp"))
             if "for(int _pre=0" in code]
    assert len(loops) > 4 and not [code for code in loops if f"{other} " in code]
    sums = [path.read_text() for path in (tmp_path / "code_objects").glob("forward*summed*")
            if path.suffix == ".cpp"]
    assert sums and all(f"    {kind} _sum = 0;" in code for code in sums)


def test_a_long_trial_is_dense_in_single_precision(task):
    """exp(trial/tau) digits are lost in the lazy form; float32 has few."""
    longer = bz.Model([12, 9, 8, 3], tau_m=5 * ms)  # twelve time constants a trial
    for precision, form in (("double", "w lazy"),
                            ("single", "w dense (a trial is longer than 10 ")):
        run = bz.train(longer, task, trials=1, evaluations=1, backend="numpy", progress=False,
                       precision=precision)
        assert all(words.startswith(form) for words in run.meta["forms"].values())


@pytest.mark.parametrize("dt", [1e-3, 5e-4, 1e-4])
def test_single_precision_finds_every_row_that_a_table_may_have(dt):
    """Brian2 looks a row up by its time, which it keeps in single precision before a loop."""
    row = np.arange(feed.MOST_STEPS)
    time = (row * dt).astype(np.float32).astype(float)
    assert np.array_equal(((time / (dt / 8) + 0.5) / 8).astype(int), row)
    steps = 4000
    given = np.zeros((3, steps, 1))
    long = bz.tasks.Task("long", given, np.eye(2)[[0, 1, 0]], np.array([0, 1, 0]), np.ones(steps),
                         {"train": [0], "validation": [1], "test": [2]}, "spikes", steps * ms)
    assert 2 < feed.rows(long) * steps <= feed.MOST_STEPS < (feed.rows(long) + 1) * steps


def test_the_users_own_precision_stays_and_is_not_ours(task, runs):
    before = b2.prefs.core.default_float_dtype
    b2.prefs.core.default_float_dtype = np.float32
    try:
        run = trained(task)
        with pytest.raises(EquationError), runtime(precision="double"):
            assert b2.prefs.core.default_float_dtype is np.float64
            raise EquationError("an error on the way")
        assert b2.prefs.core.default_float_dtype is np.float32
    finally:
        b2.prefs.core.default_float_dtype = before
    for name, value in runs("opzo").final.items():
        np.testing.assert_array_equal(run.final[name], value, err_msg=name)
    trained(task, precision="single", trials=1)
    assert b2.prefs.core.default_float_dtype is before


def test_a_comparison_and_the_command_line_take_it_too(task, tmp_path, monkeypatch, capsys):
    found = bz.compare({"a": bz.Model([12, 5, 3], rule="dfa")}, task, seeds=[0], trials=1,
                       evaluations=1, backend="numpy", progress=False,
                       settings={"precision": "single"})
    assert found.runs["a"][0].meta["precision"] == "single"
    assert "numpy, single precision" in found.runs["a"][0]._repr_html_()
    monkeypatch.setattr("bioopzo.cli._task", lambda name: task)
    path = tmp_path / "run.json"
    assert main(["train", "--task", "own", "--rule", "dfa", "--hidden", "5", "--trials", "1",
                 "--backend", "numpy", "--precision", "single", "--json", str(path)]) == 0
    assert json.loads(path.read_text())["precision"] == "single"
    assert main(["train", "--task", "own", "--precision", "float32"]) == 2
    assert "unknown precision 'float32'; known: double, single" in capsys.readouterr().err
