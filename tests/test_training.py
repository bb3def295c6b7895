"""A run from start to end: evaluation, provenance, guards, saving."""

import json

import numpy as np
import pytest
from brian2 import Hz, ms

import bioopzo as bz
from bioopzo.engines import tools
from bioopzo.engines.spiking import backends
from bioopzo.engines.spiking.feed import parameter_values
from bioopzo.engines.spiking.runtime import Runtime
from bioopzo.errors import InputError, InterruptedRun, NonFiniteError
from bioopzo.network.clock import Shape
from bioopzo.training.spiking import _plan
from bioopzo.training.start import scheduled


@pytest.fixture(scope="module")
def task():
    """A small XOR: 60 training trials, 12 to validate, 12 held out."""
    full = bz.tasks.xor()
    return full.replace(splits={k: v[:n] for (k, v), n in zip(full.splits.items(), (60, 12, 12))})


def run_of(task, trials=6, **options):
    settings = dict(seed=3, backend="numpy", evaluations=2, progress=False)
    return bz.train(bz.Model([4, 5, 2]), task, trials=trials, **{**settings, **options})


def test_a_run_holds_curve_rates_weights_and_provenance(task):
    run = run_of(task)
    assert run.complete
    assert run.arrays["curve/trials"].tolist() == [0, 3, 6]
    assert run.arrays["curve/accuracy"].shape == (3,)
    assert run.test_accuracy == run.arrays["curve/accuracy"][-1]
    assert run.arrays["snapshots/forward_1.w"].shape == (3, 20)
    assert np.array_equal(run.arrays["snapshots/forward_1.w"][-1], run.final["forward_1.w"])
    assert not np.array_equal(run.arrays["snapshots/forward_1.w"][0], run.final["forward_1.w"])
    assert run.units["rates/hidden_1"] == "Hz" and run.arrays["rates/hidden_1"].min() > 0
    for key in ("rule", "task", "seed", "trials", "backend", "versions", "digest", "wall_s",
                "build_s", "complete", "test_accuracy", "parameters"):
        assert key in run.meta
    json.dumps(run.meta, allow_nan=False)


def test_readings_belong_to_their_trials(task):
    """The decisions of an evaluation are those of its samples: relabelling changes accuracy."""
    run = run_of(task)
    flipped = task.replace(labels=1 - task.labels)  # targets unchanged, so the run is the same
    other = run_of(flipped)
    assert np.array_equal(run.final["forward_1.w"], other.final["forward_1.w"])
    np.testing.assert_allclose(run.arrays["curve/accuracy"] + other.arrays["curve/accuracy"], 1)


def test_the_held_out_split_is_never_trained_on(task):
    order = np.concatenate([s.samples for s in _plan(
        task, 200, 1, "test", 50, np.random.default_rng(0)) if s.plastic])
    assert not set(order) & set(task.splits["test"])
    assert set(order) == set(task.splits["train"]) | set(task.splits["validation"])
    order = np.concatenate([s.samples for s in _plan(
        task, 200, 1, "validation", 50, np.random.default_rng(0)) if s.plastic])
    assert set(order) == set(task.splits["train"])


def test_schedules_fall_linearly_and_touch_only_rates():
    model = bz.Model([4, 5, 2], eta=10 * Hz, alpha_final=0.5)
    shape = Shape(60, 1e-3, False, 4)
    values = parameter_values(model._with(coding="current"), shape)
    half = scheduled(values, model, 0.5)
    changed = {k.split(".")[1] for k in values if half[k] != values[k]}
    assert changed == {"eta", "eta_o", "alpha", "mu"}
    assert half["hidden_1.eta"] == pytest.approx(10 * (1 - 0.97 / 2))
    assert half["hidden_1.alpha"] == pytest.approx(0.75 * values["hidden_1.alpha"])


def test_saved_and_loaded_without_pickle(task, tmp_path):
    run = run_of(task, save=tmp_path / "run")
    loaded = bz.Run.load(tmp_path / "run")
    assert loaded.meta["digest"] == run.meta["digest"] and loaded.complete
    for name, value in run.arrays.items():
        assert np.array_equal(loaded.arrays[name], value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.json", "run.npz"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    from bioopzo.files import write_atomically, write_json

    write_json(tmp_path / "a.json", {"x": 1})

    def broken(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "a.json", broken)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("damage", ["missing", "truncated", "format", "pickle"])
def test_damaged_results_are_refused(task, tmp_path, damage):
    run = run_of(task, trials=1, evaluations=1)
    path = run.save(tmp_path / "run")
    npz, js = tmp_path / "run.npz", tmp_path / "run.json"
    if damage == "missing":
        npz.unlink()
    if damage == "truncated":
        npz.write_bytes(npz.read_bytes()[:100])
    if damage == "format":
        js.write_text(js.read_text().replace('"format": 1', '"format": 99'))
    if damage == "pickle":
        np.savez(npz, a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(InputError, match="run"):
        bz.Run.load(path)


def test_a_weight_that_is_not_finite_stops_the_run_with_name_index_and_trial(task, tmp_path):
    """The weights explode as soon as they learn; what was done is saved, marked incomplete."""
    model = bz.Model([4, 5, 2], eta_o=1e300 * Hz)
    with pytest.raises(NonFiniteError) as caught:
        bz.train(model, task, trials=10, seed=0, backend="numpy", evaluations=1, progress=False,
                 save=tmp_path / "run")
    assert "forward_1.w" in str(caught.value) and "trial 1;" in str(caught.value)
    assert "index" in str(caught.value)
    assert caught.value.run.complete is False
    loaded = bz.Run.load(tmp_path / "run")
    assert not loaded.complete and loaded.test_accuracy is None


def test_the_trial_of_the_first_bad_value_is_found(task, monkeypatch):
    """The eighth trial has an impossible target; its number is in the message."""
    marked = task.replace(targets=np.where(
        np.arange(len(task.labels))[:, None] == task.splits["train"][7], 1e300, task.targets))
    marked = marked.replace(splits={**task.splits, "validation": np.array([], dtype=int)})
    monkeypatch.setattr(type(task), "presentation", lambda self, split, trials, rng:
                        np.asarray(self.splits["train"])[:trials])
    with pytest.raises(NonFiniteError, match="trial 8;"):
        bz.train(bz.Model([4, 5, 2]), marked, trials=40, seed=0, backend="numpy", evaluations=1,
                 progress=False)


def test_an_interrupted_run_is_never_complete(task, tmp_path, monkeypatch):
    calls = []
    original = Runtime.run

    def interrupted(self, chunk):
        calls.append(chunk)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(self, chunk)

    monkeypatch.setattr(Runtime, "run", interrupted)
    with pytest.raises(InterruptedRun) as caught:
        run_of(task, save=tmp_path / "run")
    assert not caught.value.run.complete and caught.value.run.test_accuracy is None
    assert "of 6 trials" in str(caught.value)
    assert not bz.Run.load(tmp_path / "run").complete


@pytest.mark.parametrize("options, says", [
    (dict(trials=0), "trials"), (dict(trials=2.5), "trials"), (dict(evaluations=0), "evaluations"),
    (dict(split="train"), "split"), (dict(backend="cuda"), "standalone")])
def test_bad_arguments_are_refused_before_anything_runs(task, options, says):
    with pytest.raises(InputError, match=says):
        run_of(task, **options)


def test_a_trial_too_short_for_a_pair_says_what_is_allowed(task):
    model = bz.Model([4, 5, 2], T_z=30 * ms)
    with pytest.raises(InputError, match="T_z <= 25 ms"):
        bz.train(model, task, trials=2, backend="numpy")


def test_the_back_end_follows_from_the_length():
    assert backends.choose(None, 10) == "numpy"
    assert backends.choose(None, 10**4) == ("standalone" if tools.compiler() else "numpy")


def test_real_brian2_objects_are_within_reach(task):
    import brian2

    run = run_of(task)
    group = run.network["hidden_1"]
    assert isinstance(group, brian2.NeuronGroup) and group.N == 5
    assert np.array_equal(run.network["forward_1"].w[:], run.final["forward_1.w"])


@pytest.mark.parametrize("neuron", ["logistic", "deterministic"])
def test_a_neuron_is_silent_in_its_refractory_period(task, neuron):
    model = bz.Model([4, 5, 2], rule="bp", neuron=neuron, refractory=4 * ms, b=5.0)
    run = bz.train(model, task, trials=1, seed=0, backend="numpy", evaluations=1, progress=False)
    spikes = bz.measures.record(run, plastic=False).spikes["hidden_1"]
    gaps = np.concatenate([np.diff(np.flatnonzero(column)) for column in spikes.T])
    assert len(gaps) > 20 and gaps.min() == 4


def test_a_recording_shows_the_trial_and_its_learning(task):
    run = run_of(task)
    seen = bz.measures.record(run, seed=1)
    assert seen.time[-1] == 59 and seen.values["hidden_1.u"].shape == (60, 5)
    w = seen.values["forward_2.w"]
    assert np.array_equal(w[20], run.final["forward_2.w"]), "nothing moves before the gate opens"
    assert not np.array_equal(w[-1], w[20])
    assert np.array_equal(bz.measures.record(run, seed=1).values["readout.o"],
                          seen.values["readout.o"])
    off = bz.measures.record(run, seed=1, plastic=False).values["forward_2.w"]
    assert np.array_equal(off[0], off[-1])


@pytest.mark.compiled
@pytest.mark.parametrize("backend", ["standalone", "cython"])
def test_the_compiled_back_ends_train_and_repeat_to_the_bit(task, backend):
    first, again = (run_of(task, trials=40, backend=backend) for _ in range(2))
    other = run_of(task, trials=40, backend=backend, seed=4)
    assert first.complete and first.meta["backend"] == backend
    for name, value in first.arrays.items():
        assert np.array_equal(value, again.arrays[name]), name
    assert not np.array_equal(first.final["forward_1.w"], other.final["forward_1.w"])


@pytest.mark.compiled
def test_a_second_run_of_the_same_text_compiles_nothing(task):
    run_of(task, trials=2, backend="standalone")
    again = run_of(task, trials=9, backend="standalone", seed=8)
    assert again.meta["build_s"] < 2.0


@pytest.mark.compiled
@pytest.mark.parametrize("rule, least", [("opzo", 0.80), ("bp", 0.80), ("dfa", 0.80),
                                         ("readout_only", 0.40)])
def test_the_digits_are_learned(rule, least):
    """1,000 trials: the learning rules leave the control behind (0.1 is chance)."""
    task = bz.tasks.digits()
    run = bz.train(bz.Model([64, 32, 32, 10], rule=rule), task, trials=1000, seed=0,
                   evaluations=1, progress=False)
    assert run.meta["backend"] == "standalone"
    assert run.test_accuracy >= least
    if rule == "readout_only":
        assert run.test_accuracy <= 0.80
        assert np.array_equal(run.arrays["snapshots/forward_1.w"][0], run.final["forward_1.w"])


@pytest.mark.compiled
def test_the_feedback_synapses_find_the_jacobian():
    """cos(M, J) with J by finite differences; untrained forward weights, 400 pairs."""
    task = bz.tasks.digits()
    model = bz.Model([64, 16, 16, 10], eta=0 * Hz, eta_o=0 * Hz)
    run = bz.train(model, task, trials=400, seed=0, evaluations=1, progress=False)
    found = bz.measures.alignment(run, trials=64, progress=False)
    assert found[1][0] > 0.6 and found[2][0] > 0.9
