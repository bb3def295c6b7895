"""A run from start to end: evaluation, provenance, guards, saving."""

import json
import os
import re
import time
from types import SimpleNamespace

import brian2
import numpy as np
import pytest
from brian2 import Hz, ms

import bioopzo as bz
from bioopzo import files, held
from bioopzo.engines import tools
from bioopzo.engines.rate.engine import Engine
from bioopzo.engines.spiking import backends
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.engines.spiking.feed import parameter_values, tables
from bioopzo.engines.spiking.numbers import keys
from bioopzo.engines.spiking.runtime import Runtime
from bioopzo.errors import InputError, InterruptedRun, NonFiniteError
from bioopzo.network.clock import Shape, shape_of, time_course
from bioopzo.training.plan import planned
from bioopzo.training.spiking import Driver
from bioopzo.training.start import initial_weights, scheduled, without_learning
from bioopzo.training.train import prepared


@pytest.fixture(scope="module")
def task():
    """A small XOR: 60 training trials, 12 to validate, 6 held out."""
    full = bz.tasks.xor()
    return full.replace(splits={k: v[:n] for (k, v), n in zip(full.splits.items(), (60, 12, 6))})


def run_of(task, trials=6, **options):
    settings = dict(seed=3, backend="numpy", evaluations=2, progress=False)
    return bz.train(bz.Model([4, 5, 2]), task, trials=trials, **{**settings, **options})


@pytest.fixture(scope="module")
def trained(task):
    """One run for the tests that only read it."""
    return run_of(task)


def test_a_run_holds_curve_rates_weights_and_provenance(trained):
    run = trained
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


def test_readings_belong_to_their_trials(task, trained):
    """The decisions of an evaluation are those of its samples: relabelling changes accuracy."""
    run = trained
    flipped = task.replace(labels=1 - task.labels)  # targets unchanged, so the run is the same
    other = run_of(flipped)
    assert np.array_equal(run.final["forward_1.w"], other.final["forward_1.w"])
    np.testing.assert_allclose(run.arrays["curve/accuracy"] + other.arrays["curve/accuracy"], 1)


def order_of(task, split):
    """What 200 trials are trained on, in stretches of at most 60, and 50 of one progress."""
    rng = np.random.default_rng(0)
    plan = planned(task, split, trials=200, evaluations=1, batch=1)
    parts = [s for s in plan.stretches(lambda epoch: rng, longest=60, steps=50) if s.plastic]
    assert [len(s.samples) for s in parts] == [50] * 4
    assert [s.progress for s in parts] == [0.125, 0.375, 0.625, 0.875]
    return np.concatenate([s.samples for s in parts])


def test_the_held_out_split_is_never_trained_on(task):
    order = order_of(task, "test")
    assert not set(order) & set(task.splits["test"])
    assert set(order) == set(task.splits["train"]) | set(task.splits["validation"])
    assert set(order_of(task, "validation")) == set(task.splits["train"])


def test_every_trial_is_seen_before_any_is_seen_again(task):
    order = order_of(task, "test")
    assert set(order[:72]) == set(order[72:144]) and not np.array_equal(order[:72], order[72:144])


@pytest.fixture
def quickly_compiled(backend):
    """Cython's modules are compiled without optimisation; a standalone program is as ever."""
    before = brian2.prefs.codegen.cpp.extra_compile_args_gcc
    if backend == "cython":
        brian2.prefs.codegen.cpp.extra_compile_args_gcc = ["-O0", "-w"]
    yield
    brian2.prefs.codegen.cpp.extra_compile_args_gcc = before


@pytest.mark.parametrize("backend", ["numpy", pytest.param("cython", marks=pytest.mark.compiled)])
def test_chunks_are_those_of_a_network_made_anew(task, backend, quickly_compiled, monkeypatch):
    """Code that is kept from chunk to chunk reads every new table, parameter and state."""
    model = bz.Model([4, 5, 2], rule="bp").for_task(task)
    shape, course = shape_of(task, 4), time_course(model, task)
    kept = backends.open_backend(backend, model, shape)
    state = {**kept.start, **initial_weights(model, np.random.default_rng(0))}
    for number, samples in enumerate(([0, 1, 2], [3], [2, 0])):
        values = {name: value * (number + 1) if name.endswith(".eta") else value
                  for name, value in parameter_values(model, shape).items()}
        chunk = Chunk(len(samples), state, values, {
            "course": course, **tables(task, shape, np.array(samples), True, 0,
                                       keys(7, 0, number + np.arange(len(samples))))})
        with monkeypatch.context() as patch:
            patch.setattr(brian2.all_devices["runtime"], "code_object", None)  # no code is made
            mine = kept.run(chunk)
        theirs = backends.open_backend(backend, model, shape).run(chunk)
        for name, value in theirs.state.items():
            assert np.array_equal(mine.state[name], value), name
        assert np.array_equal(mine.decision, theirs.decision)
        assert not np.array_equal(state["forward_1.w"], mine.state["forward_1.w"])
        state = mine.state


@pytest.mark.parametrize("rule", ["opzo", "eprop"])
def test_dense_plasticity_trains_to_the_same_weights(rule):
    """lazy=False ended in a KeyError for most rules: it has other constants."""
    task = bz.tasks.xor(duration=24 * ms, warmup=8 * ms)
    task = task.replace(splits={**task.splits, "test": task.splits["test"][:2]})
    model = bz.Model([task.n_in, 5, 4, task.n_out], rule=rule)
    model = model.edit(T_z=8 * ms, T_w=6 * ms) if rule == "opzo" else model
    lazy, dense = (bz.train(model, task, trials=4, evaluations=1, backend="numpy", seed=3,
                            progress=False, lazy=lazy).final for lazy in (True, False))
    for name in ("forward_1.w", "forward_3.w"):
        np.testing.assert_allclose(dense[name], lazy[name], atol=1e-11)


def test_schedules_fall_linearly_and_touch_only_rates():
    model = bz.Model([4, 5, 2], eta=10 * Hz, alpha_final=0.5)
    shape = Shape(60, 1e-3, False, 4)
    values = parameter_values(model.replace(coding="current"), shape)
    half = scheduled(values, model, 0.5)
    changed = {k.split(".")[1] for k in values if half[k] != values[k]}
    assert changed == {"eta", "eta_o", "alpha", "mu"}
    assert half["hidden_1.eta"] == pytest.approx(10 * (1 - 0.97 / 2))
    assert half["hidden_1.alpha"] == pytest.approx(0.75 * values["hidden_1.alpha"])


def test_saved_and_loaded_without_pickle(task, tmp_path):
    run = run_of(task, trials=2, save=tmp_path / "run")
    loaded = bz.Run.load(tmp_path / "run")
    assert loaded.meta["digest"] == run.meta["digest"] and loaded.complete
    for name, value in run.arrays.items():
        assert np.array_equal(loaded.arrays[name], value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.json", "run.npz"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    files.write_json(tmp_path / "a.json", {"x": 1})

    def broken(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.write_atomically(tmp_path / "a.json", broken)
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_process_left_of_a_file_goes_after_a_day(tmp_path):
    """But what another process may be writing stays, and so does what is another file's."""
    names = [".a.json-abcd1234", ".a.json-bcde2345", ".b.json-abcd1234"]
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    for name in names[::2]:
        os.utime(tmp_path / name, (time.time() - 2*files.LEFT_S,)*2)
    files.write_json(tmp_path / "a.json", 1)
    assert sorted(os.listdir(tmp_path)) == [*names[1:], "a.json"]


@pytest.mark.parametrize("damage", ["missing", "truncated", "format", "pickle"])
def test_damaged_results_are_refused(trained, tmp_path, damage):
    path = trained.save(tmp_path / "run")
    assert bz.Run.load(path).complete
    npz = tmp_path / "run.npz"
    if damage == "missing":
        npz.unlink()
    if damage == "truncated":
        npz.write_bytes(npz.read_bytes()[:100])
    if damage == "format":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(held, "FORMAT", 99)
            trained.save(path)
    if damage == "pickle":
        np.savez(npz, a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(InputError, match="run"):
        bz.Run.load(path)


def test_a_run_of_the_first_format_is_read(trained, tmp_path):
    """Of that, the .npz held arrays alone, and the .json all that is said of them."""
    path = trained.save(tmp_path / "run")
    said = json.loads((tmp_path / "run.json").read_text())
    np.savez_compressed(tmp_path / "run.npz", **trained.arrays)
    (tmp_path / "run.json").write_text(json.dumps({**said, "format": 1}))
    loaded = bz.Run.load(path)
    assert loaded.test_accuracy == trained.test_accuracy and loaded.complete
    assert loaded.arrays.keys() == trained.arrays.keys()
    assert (loaded.final["forward_1.w"] == trained.final["forward_1.w"]).all()


def test_a_weight_that_is_not_finite_stops_the_run_with_name_index_and_trial(task, tmp_path):
    """The weights explode as soon as they learn; what was done is saved, marked incomplete."""
    model = bz.Model([4, 5, 2], eta_o=1e300 * Hz)
    with pytest.raises(NonFiniteError) as caught:
        bz.train(model, task, trials=10, seed=0, backend="numpy", evaluations=1, progress=False,
                 save=tmp_path / "run")
    assert "forward_2.w" in str(caught.value) and "trial 1;" in str(caught.value)
    assert "index" in str(caught.value)
    assert caught.value.run.complete is False
    loaded = bz.Run.load(tmp_path / "run")
    assert not loaded.complete and loaded.test_accuracy is None


def test_the_trial_of_the_first_bad_value_is_found(task, monkeypatch):
    """The eighth trial has an impossible target; its number is in the message."""
    marked = task.replace(targets=np.where(
        np.arange(len(task.labels))[:, None] == task.splits["train"][7], 1e300, task.targets))
    marked = marked.replace(splits={**task.splits, "validation": np.array([], dtype=int)})
    in_order = SimpleNamespace(permutation=np.asarray)
    monkeypatch.setattr(Driver, "stretches", lambda self: self.plan.stretches(
        lambda epoch: in_order, longest=12))
    with pytest.raises(NonFiniteError, match="trial 8;"):
        bz.train(bz.Model([4, 5, 2]), marked, trials=12, seed=0, backend="numpy", evaluations=1,
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


def test_any_other_error_leaves_what_was_done(task, tmp_path):
    """A listener that fails; the run so far is within reach and saved, the error is its own."""
    def failing(trials, accuracy, loss):
        if trials:
            raise RuntimeError("the listener failed")

    with pytest.raises(RuntimeError, match="the listener failed") as caught:
        run_of(task, live=failing, save=tmp_path / "run")
    loaded = bz.Run.load(tmp_path / "run")
    for run in (caught.value.run, loaded):
        assert not run.complete and run.meta["stopped"] == "the listener failed"
        assert run.arrays["curve/trials"].tolist() == [0, 3]
    assert caught.value.run.model.sizes == (4, 5, 2)


def test_an_incomplete_run_is_never_put_over_a_finished_one(task, trained, tmp_path):
    """It lies beside it, whatever the ending of the name that was given."""
    def stop(trials, accuracy, loss):
        raise KeyboardInterrupt

    for name in ("run", "run.npz"):
        trained.save(tmp_path / name)
        with pytest.raises(InterruptedRun) as caught:
            run_of(task, seed=4, live=stop, save=tmp_path / name)
        kept = bz.Run.load(tmp_path / name)
        assert kept.complete and kept.meta["seed"] == trained.meta["seed"] == 3
        beside = bz.Run.load(tmp_path / "run.incomplete")
        assert not beside.complete and beside.meta["seed"] == 4
        assert caught.value.__notes__ == [
            f"the incomplete run is saved at {tmp_path / 'run.incomplete'}"]
        assert len(list(tmp_path.iterdir())) == 4
        for path in tmp_path.iterdir():
            path.unlink()


def test_a_finished_run_replaces_a_finished_one(task, trained, tmp_path):
    trained.save(tmp_path / "run")
    assert bz.Run.load(tmp_path / "run").meta["seed"] == 3
    run_of(task, trials=2, evaluations=1, seed=4, save=tmp_path / "run")
    assert bz.Run.load(tmp_path / "run").meta["seed"] == 4


def test_an_error_is_not_hidden_by_a_run_that_cannot_be_saved(task, tmp_path):
    """The folder is taken away while the network is trained."""
    folder = tmp_path / "folder"

    def failing(trials, accuracy, loss):
        folder.rmdir()
        folder.write_text("in the way")
        raise RuntimeError("the listener failed")

    with pytest.raises(RuntimeError, match="the listener failed") as caught:
        run_of(task, live=failing, save=folder / "run")
    assert "could not be saved" in caught.value.__notes__[0] and not caught.value.run.complete


@pytest.mark.parametrize("engine", ["spiking", "rate"])
@pytest.mark.parametrize("save", ["file/run", "file/deeper/run", ".", 5], ids=str)
def test_a_place_that_cannot_be_written_is_found_before_anything_runs(task, engine, save,
                                                                      tmp_path, idle):
    (tmp_path / "file").write_text("in the way")
    place = tmp_path / save if isinstance(save, str) and save != "." else save
    options = {"backend": None} if engine == "rate" else {}
    with pytest.raises(InputError, match="save"):
        run_of(task, engine=engine, save=place, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("folder", ["there", "there/", "new/"])
def test_a_run_is_not_saved_as_a_folder(task, folder, tmp_path, idle):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match=f"save names a file, and .*{folder} is a folder"):
        run_of(task, save=f"{tmp_path}/{folder}")
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


@pytest.mark.parametrize("checkpoint", ["file/run", ""])
def test_so_is_a_checkpoint(task, checkpoint, tmp_path, idle):
    (tmp_path / "file").write_text("in the way")
    place = tmp_path / checkpoint if checkpoint else ""
    with pytest.raises(InputError, match="checkpoint"):
        run_of(task, engine="rate", backend=None, checkpoint=place)


@pytest.fixture
def idle(monkeypatch):
    """Neither engine may run."""
    def ran(*_, **__):
        raise AssertionError("something ran")

    for place in ((Runtime, "run"), (Engine, "run")):
        monkeypatch.setattr(*place, ran)


@pytest.mark.parametrize("engine", ["spiking", "rate"])
@pytest.mark.parametrize("options, says", [
    (dict(trials=0), "trials"), (dict(trials=2.5), "trials"), (dict(trials="many"), "trials"),
    (dict(trials=None, epochs=0), "epochs"), (dict(epochs=1), "trials or epochs, not both"),
    (dict(evaluations=0), "evaluations"), (dict(split="train"), "split"),
    (dict(seed=-1), "seed is a whole number of at least 0, not -1"),
    (dict(seed=0.5), "seed is a whole number of at least 0, not 0.5"),
    (dict(seed=None), "seed is a whole number"), (dict(seed=True), "seed is a whole number"),
    (dict(live="yes"), "live is True, False or a function"),
    (dict(nonsense=5), "nonsense")])
def test_bad_arguments_are_refused_before_anything_runs(task, engine, options, says, idle):
    backend = {"backend": None} if engine == "rate" else {}
    with pytest.raises(InputError, match=says):
        run_of(task, engine=engine, **{**backend, **options})


@pytest.mark.parametrize("options, says", [
    (dict(backend="cuda"), "standalone"), (dict(batch=8), "batch: settings of engine='rate'"),
    (dict(precision="half"), "unknown precision 'half'; known: double, single"),
    (dict(precision=["single"]), "unknown precision ['single'] (did you mean 'single'?)"),
    (dict(dtype="float32"), "the spiking engine takes backend, lazy, precision and checkpoint"),
    (dict(engine="rate"), "backend belongs to the spiking engine"),
    (dict(engine="jax"), "unknown engine 'jax'"), (dict(engine=["rate"]), "unknown engine"),
    (dict(engine="rate", backend=None, batch=0), "batch is a whole number"),
    (dict(engine="rate", backend=None, batch=99), "batch=99 is more than the 72 training trials"),
    (dict(engine="rate", backend=None, batch=8), "trials=6 are less than one batch of 8")])
def test_so_are_those_of_the_other_engine(task, options, says, idle):
    with pytest.raises(InputError, match=re.escape(says)):
        run_of(task, **options)


def test_what_is_no_model_or_no_task_is_said_so(task, idle):
    model, run = bz.Model([4, 5, 2]), bz.Run()
    arrays = (np.ones((3, 4)), np.ones((3, 2)))
    for pair, says in (
            ((model, arrays), "task is a Task, not a tuple: .*Task(...)"),
            ((model, "xor"), "task is a Task, not 'xor'"),
            ((model, model), "task is a Task, not a Model"),
            ((model, arrays[0]), "not a ndarray"),
            ((run, task), "model is a Model, not a Run: to go on from a run"),
            ((task, model), "the model comes first, then the task"),
            (("opzo", task), "model is a Model, not 'opzo'"),
            (([4, 5, 2], task), "model is a Model, not a list"),
            ((None, task), "model is a Model, not None")):
        says = says.replace("(", r"\(").replace(")", r"\)")
        for engine in ("spiking", "rate"):
            with pytest.raises(InputError, match=says) as caught:
                bz.train(*pair, engine=engine)
            assert len(str(caught.value)) < 150


def test_a_run_without_classes_has_no_accuracy_in_either_engine():
    """The curve of accuracy is there and empty; exports leave it out."""
    pytest.importorskip("xarray")
    task = bz.tasks.pattern_generation(duration=60 * ms)
    task = task.replace(splits={k: v[:4] for k, v in task.splits.items()})
    model = bz.Model([task.n_in, 4, task.n_out], rule="bp")
    for options in ({"backend": "numpy"}, {"engine": "rate", "batch": 2, "compiled": False}):
        run = bz.train(model, task, trials=2, evaluations=1, progress=False, **options)
        assert run.test_accuracy is None and run.arrays["curve/accuracy"].size == 0
        assert "accuracy" not in run.to_xarray() and len(run.to_xarray()["loss"]) == 2


def test_a_trial_too_short_for_a_pair_says_what_is_allowed(task):
    model = bz.Model([4, 5, 2], T_z=30 * ms)
    with pytest.raises(InputError, match="T_z <= 25 ms"):
        bz.train(model, task, trials=2, backend="numpy")


def test_the_back_end_follows_from_the_length(monkeypatch):
    monkeypatch.setattr(backends, "WORTH_COMPILING", 10)
    assert backends.choose(None, 9) == "numpy"
    assert backends.choose(None, 10) == ("standalone" if tools.compiler() else "numpy")
    assert backends.choose(None, 1, lambda: True) == "standalone"
    assert backends.choose("cython", 10**4, lambda: True) == "cython"


def test_real_brian2_objects_are_within_reach(trained):
    run = trained
    group = run.network["hidden_1"]
    assert isinstance(group, brian2.NeuronGroup) and group.N == 5
    assert np.array_equal(run.network["forward_1"].w[:], run.final["forward_1.w"])


@pytest.mark.parametrize("neuron", ["logistic", "deterministic"])
def test_a_neuron_is_silent_in_its_refractory_period(task, neuron):
    """And learns nothing: it cannot spike, whatever its membrane is."""
    model = bz.Model([4, 5, 2], rule="bp", neuron=neuron, refractory=4 * ms, b=5.0)
    run = bz.train(model, task, trials=1, seed=0, backend="numpy", evaluations=1, progress=False)
    seen = bz.measures.record(run, plastic=False)
    spikes, psi = seen.spikes["hidden_1"], seen.values["hidden_1.psi"]
    gaps = np.concatenate([np.diff(np.flatnonzero(column)) for column in spikes.T])
    assert len(gaps) > 20 and gaps.min() == 4
    waits = sum(np.roll(spikes, k, axis=0) for k in (1, 2, 3))[4:] > 0  # a trial begins without
    assert not psi[4:][waits].any() and psi[4:][~waits].all()


def test_a_recording_shows_the_trial_and_its_learning(trained):
    run = trained
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
def test_the_compiled_back_ends_train_and_repeat_to_the_bit(task, backend, quickly_compiled):
    first, again = (run_of(task, trials=12, backend=backend) for _ in range(2))
    other = run_of(task, trials=12, backend=backend, seed=4)
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
@pytest.mark.parametrize("rule, least", [("opzo", 0.80), ("bp", 0.80),
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


@pytest.mark.compiled
def test_the_jacobian_is_that_of_the_network_as_it_was_left():
    """A threshold that adapts over trials has closed layer 2: nothing of layer 1 comes through."""
    task, blocks = bz.tasks.xor(), bz.Model([4, 2, 2, 2]).blocks
    model = bz.Model([4, 2, 2, 2]).edit({
        "hidden": blocks["hidden"].replace("u - theta", "u - theta - raised") + "\nraised : 1",
        "hidden.trial": blocks["hidden.trial"] + "\nraised += 0.01"})
    state = initial_weights(model.for_task(task), np.random.default_rng(0))
    opened, closed = (bz.measures.jacobian(
        model, task, {**state, "hidden_2.raised": np.full(2, raised)}, trials=16, progress=False)
        for raised in (0.0, 50.0))
    assert np.abs(opened[1]).min() > 0.01 and not closed[1].any()
    assert closed[2] == pytest.approx(opened[2], rel=1e-9)


@pytest.mark.parametrize("mu", [3.0, {"feedback_1": 3.0}], ids=str)
def test_a_step_is_as_long_as_the_mean_of_a_batch_allows(mu):
    """Half of what is stable in many dimensions; no batch was known, and 1 the most for all."""
    model, task = bz.Model([4, 5, 2], mu=mu), bz.tasks.xor()
    assert prepared(model, task, "rate", batch=3)[1].batch == 3
    for engine, settings, words in (
            ("spiking", {}, "at most 1 with 1 trial at a time, not 3: .* batch=3 or more"),
            ("rate", {"batch": 2}, "at most 2 with 2 trials at a time, not 3")):
        with pytest.raises(InputError, match=f"parameter mu .* is {words}"):
            prepared(model, task, engine, **settings)


def test_a_parameter_of_one_s_own_does_not_fall_for_its_name():
    """eta_a of an adaptation fell to 3 % over training, mu_a under OPZO to 10 %."""
    model = bz.Model([4, 5, 2], rule="opzo").edit({"hidden.reset": (
        "u -= theta\nxbar += 1\ncount += 1\nu -= eta_a + mu_a")}, eta_a=0.3, mu_a=0.1)
    values = {"hidden_1.eta_a": 0.3, "hidden_1.mu_a": 0.1, "forward_1.eta": 2.0,
              "readout.eta_o": 2.0, "hidden_1.eta_of_forward_1": 2.0}
    end = scheduled(values, model, 1.0)
    assert (end["hidden_1.eta_a"], end["hidden_1.mu_a"]) == (0.3, 0.1)
    assert all(end[name] < 0.1 for name in list(values)[2:])
    assert without_learning(values)["hidden_1.eta_a"] == 0.3
