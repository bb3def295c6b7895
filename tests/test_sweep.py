"""Sweeps: what is asked for, where it is computed, what is found again, what is lost."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from unittest.mock import patch

import numpy as np
import pytest
from brian2 import Hz, ms, mV

import bioopzo as bz
from bioopzo import plots
from bioopzo.arguments import several
from bioopzo.cli import main
from bioopzo.errors import InputError, InterruptedRun, LostRun, ModelWarning
from bioopzo.exact import digest
from bioopzo.training import runs as many
from bioopzo.training.address import addresses
from bioopzo.training.checkpoint import write
from bioopzo.training.train import prepared
from bioopzo.training.workers import Processes, results, workers

QUICK = dict(trials=2, evaluations=1, backend="numpy", progress=False)


@pytest.fixture(scope="module")
def task():
    full = bz.tasks.xor()
    return full.replace(splits={k: v[:n] for (k, v), n in zip(full.splits.items(), (60, 12, 8))},
                        hidden=(5,))


@pytest.fixture(scope="module")
def finished(task):
    """A finished run."""
    return bz.train(bz.Model([4, 5, 2]), task, seed=1, **QUICK)


@pytest.fixture
def stubbed(monkeypatch, finished):
    """Training is done at once: a run has what was asked for, and scores by eta; returns them."""
    done = []

    def trained(jobs, task, progress, **options):
        made = []
        for job in jobs:
            model, plan, chosen = prepared(job.model, task, **options)
            place = addresses(model, task, plan, chosen, "test", [job.seed])[0]
            score = float(job.model.parameters["eta"]) / 100
            run = bz.Run(dict(finished.arrays), finished.units, {
                **finished.meta, "seed": job.seed, "address": place, "test_accuracy": score})
            if job.save:
                run.save(job.save)
            done.append((job.model, job.seed))
            made.append(run)
        return made

    monkeypatch.setattr("bioopzo.training.runs.train_group", trained)
    return done


def model(**changes):
    return bz.Model([4, 5, 2], **changes)


# ---------------------------------------------------------------------------- addresses

def test_what_differs_in_its_last_bit_has_another_digest():
    eta = 5 * Hz
    after = np.nextafter(5.0, 6) * Hz
    assert repr(eta) == repr(after) and digest(eta) != digest(after)
    assert model(eta=eta).digest != model(eta=after).digest
    different = [1, 1.0, "1", True, None, 1 * mV, 1 * ms, [1], {"a": 1}, {1}, b"1", np.arange(2000),
                 np.arange(2000)[::-1], np.arange(2000.0), np.zeros((2, 3)), np.zeros((3, 2))]
    assert len({digest(value) for value in different}) == len(different)
    same = [(1, np.int64(1)), (0.1, np.float64(0.1)), ((1, 2), [1, 2]), (np.array(3.0), 3.0),
            ({"a": 1, "b": 2}, {"b": 2, "a": 1}), (eta, 5.0 * Hz)]
    assert all(digest(one) == digest(other) for one, other in same)


def test_an_address_tells_everything_that_matters_and_nothing_else(task):
    def of(model=None, task=task, seed=0, split="test", **options):
        found, plan, chosen = prepared(model or bz.Model([4, 5, 2]), task, split=split,
                                       **{"trials": 8, **options})
        return addresses(found, task, plan, chosen, split, [seed])[0]

    labels = np.roll(task.labels, 1)
    changed = {
        "eta": of(model(eta=3.000000001 * Hz)), "eta again": of(model(eta=3 * Hz)),
        "option": of(model(place="before")), "text": of(model().edit(psi="psi = p**2 : 1")),
        "freeze": of(model(freeze=["forward_1"])), "state": of(model(state_reset=False)),
        "neuron": of(model(neuron="alif")), "spread": of(model(tau_m=("normal", 10*ms, 1*ms))),
        "seed": of(seed=1), "split": of(split="validation"), "trials": of(trials=9),
        "evaluations": of(evaluations=3), "shown": of(evaluation_trials=2),
        "lazy": of(lazy=False), "precision": of(precision="single"), "backend": of(backend="numpy"),
        "labels": of(task=task.replace(labels=labels)),
        "order": of(task=task.replace(order="given")),
        "inputs": of(task=task.replace(inputs=task.inputs * (1 + 1e-15))),
        "step": of(task=task.replace(dt=0.5 * ms, mask=np.repeat(task.mask, 2))),
        "engine": of(engine="rate"), "batch": of(engine="rate", batch=4),
        "activity": of(engine="rate", activity="spikes")}
    assert len({of(), *changed.values()}) == len(changed) + 1
    assert of(model(eta=3.0 * Hz)) == of(model().edit(eta=np.float64(3) * Hz)) == of(
        model(eta=3 * Hz), checkpoint="anywhere")
    assert of(engine="rate", together=True) == of(engine="rate")
    assert of(task=task.replace(description="other words")) == of()


# ---------------------------------------------------------------------------- the whole

def test_a_sweep_is_its_single_runs_and_is_found_again(task, tmp_path, monkeypatch):
    values = {"place": ["after", "before"]}
    found = bz.sweep(model(), task, values, seeds=[3], out=tmp_path, jobs=1, **QUICK)
    alone = bz.train(model(place="before"), task, seed=3, **QUICK)
    there = found.sel(place="before", seed=3)
    assert np.array_equal(there.loss, alone.arrays["curve/loss"])
    assert there.test_loss == alone.meta["test_loss"] and there.run == alone.meta["address"]
    assert found.trials.values.tolist() == [0, 2] and found.rates_hidden_1.units == "Hz"
    saved = bz.Run.load(tmp_path / there.run.item())
    assert np.array_equal(saved.final["forward_1.w"], alone.final["forward_1.w"])
    # A file that is cut, and a run that ended early, are computed again; the other is not.
    other = tmp_path / f"{found.run.sel(place='after').item()}.npz"
    other.write_bytes(other.read_bytes()[:500])
    asked, train_group = [], many.train_group

    def counted(jobs, *given, **options):
        asked.extend(job.model.options.get("place", "after") for job in jobs)
        return train_group(jobs, *given, **options)

    monkeypatch.setattr(many, "train_group", counted)
    again = bz.sweep(model(), task, values, seeds=[3], out=tmp_path, jobs=1, **QUICK)
    assert asked == ["after"] and again.drop_vars("wall_s").identical(found.drop_vars("wall_s"))
    monkeypatch.setattr(many, "train_group", None)
    assert bz.sweep(model(), task, values, [3], out=tmp_path, jobs=1, **QUICK).identical(again)


def test_values_are_of_parameters_options_settings_and_texts(task, stubbed):
    texts = ["psi = 4*p*(1 - p) : 1", "psi = p : 1"]
    found = bz.sweep(model(), task, {"eta": [2, 5] * Hz, "rule": ["opzo", "dfa"], "psi": texts,
                                     "precision": ["double", "single"]}, [0], jobs=1, **QUICK)
    assert found.test_accuracy.shape == (2, 2, 2, 2, 1) and len(np.unique(found.run)) == 16
    assert found.eta.units == "Hz" and found.psi.values.tolist() == texts
    assert (found.test_accuracy.sel(eta=5) == 0.05).all()
    assert {made.rule_name for made, _ in stubbed} == {"opzo", "dfa"}
    assert sum("psi = p" in made.blocks["hidden"] for made, _ in stubbed) == 8


def test_a_run_whose_values_run_away_is_missing_and_is_not_computed_again(task, tmp_path,
                                                                          monkeypatch):
    def swept():
        with pytest.warns(ModelWarning, match=r"(?s)1 of 2 runs are missing.*eta_o=1.*became"):
            return bz.sweep(model(), task, {"eta_o": [1, 1e300] * Hz}, [0], out=tmp_path, jobs=1,
                            **QUICK)

    found = swept()
    assert np.isfinite(found.test_loss.values.ravel()).tolist() == [True, False]
    assert "became" in found.problem.values[1, 0] and not found.problem.values[0, 0]
    monkeypatch.setattr(many, "train_group", None)
    assert swept().identical(found)


def test_runs_of_one_text_are_shared_out_over_the_workers(task):
    options = dict(engine="rate", trials=8, batch=4, together=True)
    runs = [run for eta in (1, 2) for place in ("after", "before") for run in many.asked(
        model(eta=eta * Hz, place=place), task, range(3), options)]
    parts = many._parts(runs, range(len(runs)), 2)
    assert sorted(map(len, parts)) == [3, 3, 3, 3]
    assert all(len({runs[k].model.blocks["hidden"] for k in part}) == 1 for part in parts)


WRONG = {
    "no mapping": (["eta"], {}, "values is a mapping from names"),
    "nothing": ({}, {}, "values is a mapping from names"),
    "one value": ({"eta": 5 * Hz}, {}, "the values of eta are a list, such as"),
    "a word": ({"place": "before"}, {}, "the values of place are a list"),
    "an empty list": ({"eta": []}, {}, "the list of values of eta is empty"),
    "a value twice": ({"eta": [5, 5.0] * Hz}, {}, "5. Hz stands twice among the values of eta"),
    "no unit": ({"eta": [5]}, {}, "eta has the unit hertz"),
    "an unknown name": ({"etta": [5]}, {}, "unknown parameter 'etta'.*did you mean 'eta'"),
    "the seed": ({"seed": [1]}, {}, "seed is not swept: give seeds="),
    "the length": ({"trials": [1]}, {}, "trials is not swept: give evaluations="),
    "no executor": ({"eta": [5] * Hz}, {"executor": 3}, "executor is a concurrent.futures"),
    "no seeds": ({"eta": [5] * Hz}, {"seeds": []}, "a sweep needs at least one seed"),
    "a checkpoint": ({"eta": [5] * Hz}, {"checkpoint": "a"}, "checkpoint: a sweep keeps"),
    "an unknown engine": ({"eta": [5] * Hz}, {"engine": "jax"}, "unknown engine 'jax'"),
    "a file for a folder": ({"eta": [5] * Hz}, {"out": __file__}, "out"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_swept_is_said_before_anything_runs(name, task, monkeypatch):
    monkeypatch.setattr(many, "train_group", None)
    values, options, says = WRONG[name]
    with pytest.raises(InputError, match=f"(?s){says}"):
        bz.sweep(model(), task, values, **{**QUICK, **options})


# ---------------------------------------------------------------------------- workers

class Here(Executor):
    """Computes at once, and loses the worker of one job."""

    def __init__(self, lost):
        self.lost, self.count = lost, 0

    def submit(self, function, /, *given, **named):
        job = Future()
        if self.count == self.lost:
            job.set_exception(BrokenExecutor("the node is gone"))
        else:
            job.set_result(function(*given, **named))
        self.count += 1
        return job


class Job:
    """A job as submitit has it: no `Future`, and known only outside of the batch."""

    def __init__(self, value):
        self.value, self.asked = value, 0

    def done(self):
        self.asked += 1
        return self.asked > 1

    def exception(self):
        return None

    def result(self):
        return self.value


class InBatches:
    """An executor as submitit's."""

    batches = 0

    def batch(self):
        self.batches += 1
        return warnings.catch_warnings()  # any context

    def submit(self, function, *given):
        return Job(function(*given))


def test_a_lost_worker_costs_its_run_which_the_next_call_computes(task, tmp_path, stubbed):
    values = {"eta": [1, 2, 3] * Hz}
    with pytest.warns(ModelWarning, match="(?s)1 of 3 runs are missing.*eta=2.*the node is gone"):
        found = bz.sweep(model(), task, values, [0], Here(1), tmp_path, **QUICK)
    assert np.isnan(found.test_accuracy.values).ravel().tolist() == [False, True, False]
    del stubbed[:]
    found = bz.sweep(model(), task, values, [0], Here(None), tmp_path, **QUICK)
    assert len(stubbed) == 1 and found.test_accuracy.values.ravel().tolist() == [0.01, 0.02, 0.03]


def test_an_executor_that_is_no_executor_of_python_is_asked_by_its_jobs(task, stubbed, monkeypatch):
    monkeypatch.setattr("bioopzo.training.workers.LOOKS_S", 0)
    executor = InBatches()
    found = bz.sweep(model(), task, {"eta": [1, 2] * Hz}, range(2), executor, **QUICK)
    assert executor.batches == 1 and len(stubbed) == 4
    assert found.test_accuracy.sel(eta=2).values.tolist() == [0.02, 0.02]


def test_a_process_that_dies_is_replaced():
    with workers(None, 2, processes=True) as pool:
        assert isinstance(pool, Processes)
        with pytest.raises(LostRun, match=r"its process died \(EXIT\(3\)\)"):
            pool.submit(os._exit, 3).result()
        assert pool.submit(os.getpid).result() != os.getpid()


def test_an_interruption_that_another_thread_is_given_ends_the_wait():
    """The kernel gives a signal to any thread; Python answers it in the main one, which waits."""
    over = threading.Event()

    def job():
        time.sleep(0.3)  # until the main thread waits
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        return over.wait(20)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    begin = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt), ThreadPoolExecutor(1) as pool:
            try:
                list(results(pool, job, [()]))
            finally:
                over.set()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("kind", ["dask", "submitit"])
def test_the_same_on_a_cluster(kind, task, tmp_path):
    library = pytest.importorskip({"dask": "distributed"}.get(kind, kind))
    given = (model(), task, {"eta": [1, 2][:1 + (kind == "dask")] * Hz}, [0])
    here = bz.sweep(*given, jobs=1, **QUICK)
    if kind == "dask":
        with patch.dict(os.environ), library.LocalCluster(
                n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster, \
                library.Client(cluster) as client:  # which leave variables of their own
            there = bz.sweep(*given, client.get_executor(), **QUICK)
    else:
        there = bz.sweep(*given, library.LocalExecutor(folder=tmp_path), **QUICK)
    assert there.drop_vars("wall_s").identical(here.drop_vars("wall_s"))


# ---------------------------------------------------------------------------- checkpoints

def same(one, other):
    assert one.arrays.keys() == other.arrays.keys()
    for name, value in one.arrays.items():
        assert np.array_equal(value, other.arrays[name]), name


@pytest.mark.parametrize("moments, changes, options", [
    ((2, 8), {"recurrent": True, "delay": 2 * ms, "error": "spiking", "state_reset": False,
              "dropout": 0.3}, {"lazy": False}),
    ((5,), {"rule": "reinforce", "refractory": 2 * ms}, {"precision": "single"})], ids=str)
def test_a_spiking_run_that_is_taken_up_ends_in_the_same_bits(task, tmp_path, moments, changes,
                                                              options):
    """In another pass through the trials than that in which it was stopped."""
    few = task.replace(splits={"train": task.splits["train"][:3], "validation": [],
                               "test": task.splits["test"][:3]})
    options = {**QUICK, "trials": 8, "evaluations": [2, 5], **options}
    whole = bz.train(model(**changes), few, seed=2, **options)
    path = tmp_path / "point"
    for last in moments:
        def stop(*given, last=last):
            write(*given)
            if given[2].trials == last:
                raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bioopzo.training.spiking.write", stop)
            with pytest.raises(InterruptedRun):
                bz.train(model(**changes), few, seed=2, checkpoint=path, **options)
    same(whole, bz.train(model(**changes), few, seed=2, checkpoint=path, **options))
    with pytest.raises(InputError, match="is of another run: its seed is 2, this run's is 3"):
        bz.train(model(**changes), few, seed=3, checkpoint=path, **options)


KILLED = """
    import os, signal, sys
    import bioopzo as bz
    def kill(trials, accuracy, loss):
        if trials >= 4:
            os.kill(os.getpid(), signal.SIGKILL)
    task = bz.tasks.xor()
    task = task.replace(splits={k: v[:6] for k, v in task.splits.items()})
    for k, how in enumerate([dict(backend="numpy"), dict(engine="rate", batch=2)]):
        if not os.fork():
            bz.train(bz.Model([4, 5, 2]), task, trials=8, evaluations=4, seed=5,
                     evaluation_trials=2, checkpoint=f"{sys.argv[1]}-{k}", progress=False,
                     live=kill, **how)
            os._exit(1)
    print([os.wait()[1] for _ in range(2)])
"""


def test_a_killed_run_goes_on_to_the_same_bits_in_both_engines(tmp_path):
    """SIGKILL, in processes of their own."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(KILLED),
                           str(tmp_path / "point")], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[9, 9]"
    few = bz.tasks.xor()
    few = few.replace(splits={split: members[:6] for split, members in few.splits.items()})
    for k, how in enumerate([dict(backend="numpy"),
                             dict(engine="rate", batch=2)]):
        given = dict(trials=8, evaluations=4, seed=5, evaluation_trials=2, progress=False, **how)
        path = tmp_path / f"point-{k}.npz"
        assert path.exists()
        whole = bz.train(model(), few, **given)
        seen = []
        again = bz.train(model(), few, checkpoint=path, **given,
                         live=lambda trials, *_, seen=seen: seen.append(trials))
        assert seen[:2] == [0, 2] and len(seen) == 5  # those before the kill are told, not made
        same(whole, again)


# ---------------------------------------------------------------------------- pictures and shell

@pytest.fixture(scope="module")
def data():
    xarray = pytest.importorskip("xarray")
    scores = 0.5 + np.arange(24).reshape(3, 2, 4) / 100
    scores[2, 1] = np.nan
    return xarray.Dataset({"test_accuracy": (("eta", "place", "seed"), scores)}, {
        "eta": ("eta", [1.0, 10.0, 100.0], {"units": "Hz"}), "place": ["after", "before"]})


def test_two_parameters_are_a_heat_map_and_one_a_curve(data):
    ax = plots.sweep(data)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("\u03b7 (Hz)", "place")
    assert [text.get_text() for text in ax.texts] == ["51.5", "59.5", "67.5", "55.5", "63.5"]
    assert "4 of 24 runs are missing" in ax.get_title(loc="left")
    ax = plots.sweep(data.isel(place=0), color="red")
    line, *seeds = ax.lines  # fewer than five: each is drawn, and no interval
    assert np.allclose(line.get_ydata(), [51.5, 59.5, 67.5]) and line.get_color() == "red"
    assert [seed.get_ydata()[0] for seed in seeds] == pytest.approx([50, 51, 52, 53])
    assert ax.get_xscale() == "log" and "mean of 4 seeds" in ax.get_title(loc="left")
    assert len(plots.sweep(data, curves=True).lines) == 2 * 5
    assert plots.sweep(data.isel(eta=0)).get_xlabel() == "place"
    with pytest.raises(InputError, match="unknown number of a run 'accuracy'"):
        plots.sweep(data, value="accuracy")
    with pytest.raises(InputError, match="over one or two parameters"):
        plots.sweep(data.isel(eta=0, place=0))


@pytest.mark.parametrize("text, values", [
    ("eta=5,10*Hz", [5 * Hz, 10 * Hz]), ("eta=5*Hz,10*Hz", [5 * Hz, 10 * Hz]), ("a=1,2.", [1, 2.]),
    ("place=after,before", ["after", "before"]), ("local=True,False", [True, False]),
    ("tau_m=3*ms", [3 * ms]), ("layers=(1,2),(3,)", [(1, 2), (3,)])])
def test_the_shell_is_told_several_values_with_their_unit(text, values):
    assert several(text) == (text.partition("=")[0], values)


def test_the_command_sweeps_draws_and_says_what_is_wrong(task, stubbed, tmp_path, capsys,
                                                         monkeypatch):
    monkeypatch.setattr("bioopzo.cli._task", lambda options: task)
    given = ["sweep", "--task", "xor", "--set", "eta=5,10*Hz", "--set", "tau_m=12*ms", "--seeds",
             "2", "--trials", "2", "--backend", "numpy", "--jobs", "1", "--out", str(tmp_path)]
    assert main(given) == 0
    assert "eta=10.0: 0.1000" in capsys.readouterr().out
    assert (tmp_path / "sweep.png").stat().st_size > 5000 and len(stubbed) == 4
    assert all(made.parameters["tau_m"] == 12 * ms for made, _ in stubbed)
    assert main(given[:3] + given[5:]) == 2
    assert "nothing is swept" in capsys.readouterr().err
    assert main([*given, "--executor", "dusk:1"]) == 2
    assert "--executor is dask:ADDRESS" in capsys.readouterr().err


def test_evaluations_of_runs_of_several_batches_say_their_own_trials(task):
    """Those of the shorter curve were labelled with the longer one's."""
    found = bz.sweep(model(), task, {"batch": [2, 8]}, seeds=[0], engine="rate", trials=16,
                     evaluations=4, evaluation_trials=2, jobs=1, progress=False, compiled=False)
    assert "trials" not in found.coords
    assert found["trials"].sel(batch=8).values[0].tolist()[:3] == [0, 8, 16]
    assert found["trials"].sel(batch=2).values[0].tolist() == [0, 4, 8, 12, 16]
