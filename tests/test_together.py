"""Several runs of one text as one program: the results are those of single runs."""

import dataclasses

import numpy as np
import pytest
from brian2 import Hz

import bioopzo as bz
from bioopzo.engines.rate import engine as rate_engine
from bioopzo.errors import InputError, InterruptedRun, NonFiniteError
from bioopzo.training import rate, runs
from bioopzo.training.search import tune
from bioopzo.training.train import Job, train_group
from bioopzo.training.workers import workers

ONLINE = dict(engine="rate", batch=1, updates="step", optimizer="sgd", precision="double",
              progress=False)


@pytest.fixture(scope="module")
def task():
    """A small XOR: 60 training trials, 12 to validate, 12 held out."""
    task = bz.tasks.xor()
    sizes = {"train": 60, "validation": 12, "test": 12}
    return task.replace(splits={k: v[:sizes[k]] for k, v in task.splits.items()})


@pytest.fixture
def calls(monkeypatch):
    """How many engines every call of a program trains."""
    seen, inner = [], rate_engine.train_together

    def looking(engines, *rest):
        seen.append(len(engines))
        return inner(engines, *rest)

    monkeypatch.setattr(rate, "train_together", looking)
    return seen


def same(one, other, tolerance=1e-9):
    assert one.arrays.keys() == other.arrays.keys()
    for name, value in one.arrays.items():
        np.testing.assert_allclose(other.arrays[name], value, rtol=tolerance, atol=tolerance,
                                   err_msg=name)


@pytest.mark.parametrize("rule, settings", [
    ("opzo", {"activity": "spikes"}),
    ("eprop", {"updates": "trial", "batch": 4, "optimizer": "adamw", "together": True})])
def test_seeds_side_by_side_are_single_runs(task, calls, rule, settings):
    """Each with its own weights, order of trials and noise; to rounding."""
    model = bz.Model([4, 5, 2], rule=rule, dropout=0.2)
    options = {**ONLINE, "trials": 48, "evaluations": 2, **settings}
    runs = bz.train(model, task, seed=[0, 3, 5], **options)
    assert set(calls) == {3} and [run.meta["seed"] for run in runs] == [0, 3, 5]
    for run in runs[::2]:
        same(run, bz.train(model, task, seed=run.meta["seed"], **options))
    assert not np.array_equal(runs[0].final["forward_1.w"], runs[1].final["forward_1.w"])
    assert np.ptp(runs[0].arrays["snapshots/forward_1.w"], axis=0).max() > 1e-4


def test_where_it_is_slower_runs_go_one_by_one(task, calls):
    """On a CPU that is so with larger batches; they share what was compiled."""
    programs = len(rate_engine._PROGRAMS)
    model = bz.Model([4, 9, 2])
    bz.train(model, task, seed=[0, 1], engine="rate", batch=8, trials=16, evaluations=1,
             progress=False)
    assert set(calls) == {1}
    assert len(rate_engine._PROGRAMS) in (programs + 1, rate_engine.KEPT_PROGRAMS)


def test_parameters_may_differ_and_text_may_not(task, calls):
    """Models with other rates run side by side, another text on its own."""
    options = {**ONLINE, "trials": 30, "evaluations": 1}
    models = [bz.Model([4, 5, 2]).edit(theta=value) for value in (1.0, 0.8, 1.2)]
    models.append(bz.Model([4, 5, 2], rule="bp"))
    runs = train_group([Job(model, 2) for model in models], task, **options)
    assert sorted(set(calls)) == [1, 3]
    for model, run in zip(models, runs):
        same(run, bz.train(model, task, seed=2, **options))


def test_a_comparison_and_a_search_run_side_by_side(task, calls):
    settings = {k: v for k, v in ONLINE.items() if k not in ("engine", "progress")}
    found = bz.compare(["opzo", "bp"], task, seeds=range(2), sizes=[4, 5, 2], engine="rate",
                       trials=20, evaluations=1, progress=False, settings=settings)
    assert set(calls) == {2} and [len(runs) for runs in found.runs.values()] == [2, 2]
    calls.clear()
    entry = tune(bz.Model([4, 5, 2]), task, trials=20, count=4, finalists=1, seeds=2,
                 engine="rate", progress=False, **settings).entry
    assert set(calls) == {2, 4} and entry["candidates"] == 4 and 0 <= entry["validation"] <= 1


def test_what_ends_one_run_leaves_the_others_alone(task, tmp_path):
    """The first problem is raised when all have ended; every run is saved."""
    models = [bz.Model([4, 5, 2], rule="bp", eta_o=eta * Hz) for eta in (2.0, 3.0, 1e36)]
    names = ("ok", "other", "bad")
    jobs = [Job(model, 0, tmp_path / name) for model, name in zip(models, names)]
    options = {**ONLINE, "trials": 30, "evaluations": 2, "precision": "single"}
    found = train_group(jobs, task, **options)
    assert isinstance(found[2], NonFiniteError) and "forward_" in str(found[2])
    assert not found[2].run.complete and not bz.Run.load(tmp_path / "bad").complete
    same(found[0], bz.train(jobs[0].model, task, seed=0, **options), 1e-3)
    assert bz.Run.load(tmp_path / "ok").complete and bz.Run.load(tmp_path / "other").complete


def test_an_interruption_keeps_all(task, tmp_path, monkeypatch):
    inner, count = rate.Driver.evaluate, []

    def evaluate(self, stretch):
        count.append(1)
        if len(count) == 4:
            raise KeyboardInterrupt
        return inner(self, stretch)

    monkeypatch.setattr(rate.Driver, "evaluate", evaluate)
    with pytest.raises(InterruptedRun):
        bz.train(bz.Model([4, 5, 2]), task, seed=[0, 1], save=tmp_path / "run", trials=30,
                 evaluations=2, **ONLINE)
    for seed in (0, 1):
        run = bz.Run.load(tmp_path / f"run-{seed}")
        assert not run.complete and run.meta["trials_done"] == 15


def test_seeds_are_seeds(task):
    with pytest.raises(InputError, match="empty list"):
        bz.train(bz.Model([4, 5, 2]), task, seed=[], **ONLINE)
    with pytest.raises(InputError, match="seed"):
        bz.train(bz.Model([4, 5, 2]), task, seed=[0, -1], **ONLINE)
    runs = bz.train(bz.Model([4, 5, 2]), task, trials=2, evaluations=1, seed=[0, 1],
                    backend="numpy", progress=False)
    assert [run.meta["seed"] for run in runs] == [0, 1]


@pytest.mark.parametrize("marks, most, room", [
    ((0, 7, 14), 512, 8), ((0, 8), 512, 8), ((0, 5, 14), 512, 64), ((0, 700), 512, 512),
    ((0, 3), 2, 2)])
def test_a_program_has_room_for_the_batches_between_evaluations(task, marks, most, room):
    plan = rate.planned(task, trials=2, batch=1)
    assert rate.room_for(dataclasses.replace(plan, marks=marks), most) == room


def test_models_that_differ_in_numbers_are_translated_once(task):
    engines = [rate.open_engine(bz.Model([4, 3, 2], **given).for_task(task), task,
                                rate.settings(compiled=False))
               for given in ({"eta": 5*Hz}, {"eta": 6*Hz}, {"rule": "dfa"})]
    assert engines[0].program is engines[1].program is not engines[2].program
    assert [float(one.model.parameters["eta"]) for one in engines[:2]] == [5, 6]
    assert engines[0].constants != engines[1].constants


@pytest.mark.parametrize("activity, brief, sizes", [
    ("rates", True, [5, 5, 12]), ("rates", False, [12, 12, 12]), ("spikes", True, [12, 12, 12])])
def test_of_many_runs_short_evaluations_have_their_own_program(task, monkeypatch, activity, brief,
                                                               sizes):
    """Nothing is shown but what counts, and the same is found; not where numbers are drawn."""
    seen, inner = [], rate.on_batches

    def looking(*given):
        seen.append(given[-1])
        return inner(*given)

    monkeypatch.setattr(rate, "on_batches", looking)
    options = dict(engine="rate", batch=10, trials=20, evaluations=2, evaluation_trials=5,
                   compiled=False, activity=activity)
    jobs = [Job(bz.Model([4, 3, 2]), 1, brief=one) for one in (brief, False)]
    asked, plain = train_group(jobs, task, progress=False, **options)
    assert seen[:3] == sizes
    same(asked, plain, 1e-6)


def test_many_runs_of_a_text_are_brief(task, monkeypatch):
    asked = runs.asked(bz.Model([4, 3, 2]), task, range(6), dict(
        engine="rate", batch=10, trials=20, evaluation_trials=5))
    assert {run.spare for run in asked} == {2 * (12 - 5)}
    monkeypatch.setattr(runs, "work", lambda part, *_: [run.brief for run in part])
    for worth, brief in ((6 * 14, False), (6 * 14 - 1, True)):
        monkeypatch.setattr(runs, "WORTH_BRIEF", worth)
        with workers(None, 1, False) as pool:
            assert {found for _, found in runs.computed(asked, task, pool, 1)} == {brief}
