"""What an evaluation shows: all held-out trials at the end, a few of them before."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest

import bioopzo as bz
from bioopzo.cli import main
from bioopzo.errors import InputError, InterruptedRun
from bioopzo.training.plan import evenly_drawn, planned

SIZES = [4, 5, 2]
RATE = dict(engine="rate", trials=48, batch=8, activity="spikes", precision="double")
SPIKING = dict(trials=8, backend="numpy")
ENGINES = {"rate": RATE, "spiking": SPIKING}


@pytest.fixture(scope="module")
def task():
    """An XOR with 12 held-out trials."""
    full = bz.tasks.xor()
    return full.replace(splits={name: members[:60 if name == "train" else 12]
                                for name, members in full.splits.items()})


def run_of(task, engine, model=None, **options):
    return bz.train(model or bz.Model(SIZES), task, **{
        **ENGINES[engine], "evaluations": 4, "seed": 3, "progress": False, **options})


# ---------------------------------------------------------------------------- which trials

def classes(counts):
    """A task that holds out so many trials of each class, one class after the other."""
    labels = np.repeat(np.arange(len(counts)), counts)
    held = np.arange(len(labels))
    return bz.tasks.Task("classes", np.zeros((len(labels) + 1, 2)),
                         np.zeros((len(labels) + 1, len(counts))), np.append(labels, 0),
                         np.ones(60), {"train": held[-1:] + 1, "validation": [], "test": held})


@pytest.mark.parametrize("counts", [(36,) * 10, (200, 100, 50, 10), (1, 99)], ids=str)
def test_few_trials_have_the_shares_of_all(counts):
    task = classes(counts)
    before = set()
    for count in (1, 7, 50, sum(counts) - 1, sum(counts), 10**6):
        few = evenly_drawn(task, "test", count)
        assert len(few) == len(set(few)) == min(count, sum(counts))
        assert (np.diff(few) > 0).all(), "in the order of the split"
        assert before <= set(few), "fewer are among more"
        before = set(few)
        share = len(few) * np.array(counts) / sum(counts)
        found = np.bincount(task.labels[few], minlength=len(counts))
        assert (abs(found - share) <= 1).all(), (found, share)
    assert evenly_drawn(task, "test", 10**6).tolist() == list(range(sum(counts)))


def test_few_trials_are_not_the_first():
    """Of a class, and of a task without classes: files may be in an order."""
    task = classes((400,))
    for one in (task, task.replace(labels=None)):
        few = evenly_drawn(one, "test", 100)
        assert abs(few.mean() - 199.5) < 30
        assert few.tolist() == evenly_drawn(one, "test", 100).tolist()


@pytest.mark.parametrize("trials, evaluations, few", [
    (100, 2, 50), (500, 5, 50), (1000, 10, 50), (4000, 10, 200), (7200, 10, 360),
    (60000, 10, 360)])
def test_evaluations_take_half_the_time_of_training(trials, evaluations, few):
    task = bz.tasks.digits()
    plan = planned(task, "test", trials=trials, batch=1)
    shown = [len(s.samples) for s in plan.stretches(np.random.default_rng, 512) if not s.plastic]
    assert shown == [few] * evaluations + [360]
    assert evaluations * few <= max(trials / 2, 2 * 50)
    assert [plan.shown(trials, k) - trials for k in range(len(shown) + 1)] == [
        sum(shown[:k]) for k in range(len(shown) + 1)]


def test_the_number_may_be_given():
    task = bz.tasks.digits()
    for given, few in ((1, 1), (90, 90), (361, 360)):
        plan = planned(task, "test", trials=500, batch=1, evaluations=3, evaluation_trials=given)
        assert len(plan.few) == few and len(plan.held_out) == 360 and len(plan.marks) == 4
    for wrong in (0, -1, 2.5, "all"):
        with pytest.raises(InputError, match="evaluation_trials is a whole number"):
            planned(task, "test", trials=500, batch=1, evaluation_trials=wrong)


def test_points_may_be_given_by_their_trials(task):
    plan = planned(task, trials=64, evaluations=[16, 3, 40], batch=8)
    assert plan.marks == (0, 2, 5, 8)
    run = bz.train(bz.Model([task.n_in, 4, task.n_out], rule="dfa"), task, trials=12,
                   evaluations=(2, 5), backend="numpy", progress=False)
    assert run.arrays["curve/trials"].tolist() == [0, 2, 5, 12]
    for wrong, words in (([13], "evaluations=13: the run has 12 trials"),
                         ([0.5], "every one of evaluations is a whole number")):
        with pytest.raises(InputError, match=words):
            planned(task, trials=12, evaluations=wrong, batch=1)


def test_epochs_are_evaluated_as_often_as_before():
    task = bz.tasks.digits()
    assert len(planned(task, "test", epochs=12, batch=1).marks) == 13
    assert len(planned(task, "test", epochs=12, batch=1, each_epoch=False).marks) == 11
    assert len(planned(task, "test").marks) == 30  # one in each of 29 epochs
    assert len(planned(task, "test", trials=30, batch=1).marks) == 3


# ---------------------------------------------------------------------------- what follows

@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("how", [{}, {"state_reset": False}], ids=str)
def test_training_and_the_end_are_the_same_for_any_number(task, engine, how):
    """To the bit: weights, the last accuracy, loss and rates, and every snapshot of weights."""
    one, all_of_them = (run_of(task, engine, bz.Model(SIZES, **how), evaluation_trials=count)
                        for count in (1, 12))
    assert one.meta["evaluation_trials"] == [1] * 4 + [12]
    assert all_of_them.meta["evaluation_trials"] == [12] * 5
    for name, value in one.arrays.items():
        kind = name.partition("/")[0]
        values = (value, all_of_them.arrays[name])
        if kind in ("curve", "rates"):
            values = tuple(value[-1] for value in values)
        if kind == "held_out":  # what single trials of the last one came to
            values = tuple(value[-12:] for value in values)
        if kind != "snapshots" or name.endswith(".w"):
            assert np.array_equal(*values), name
    assert one.test_accuracy == all_of_them.test_accuracy
    assert one.meta["rates_hz"] == all_of_them.meta["rates_hz"]
    assert not np.array_equal(one.arrays["curve/loss"], all_of_them.arrays["curve/loss"])


def test_a_point_is_that_of_the_trials_it_shows(task):
    """Those of another task with these alone: the same network on the same trials."""
    few = evenly_drawn(task, "test", 5)
    points = run_of(task, "spiking", evaluation_trials=5).arrays
    alone = run_of(task.replace(splits={**task.splits, "test": few}), "spiking").arrays
    for name in ("curve/accuracy", "curve/loss", "rates/hidden_1"):
        assert np.array_equal(points[name][:-1], alone[name][:-1])


@pytest.mark.parametrize("engine", ENGINES)
def test_who_listens_hears_every_point(task, engine):
    heard = []
    run = run_of(task, engine, evaluation_trials=3, live=lambda *point: heard.append(point))
    assert [point[1] for point in heard] == run.arrays["curve/accuracy"].tolist()
    assert set(3 * run.arrays["curve/accuracy"][:-1]) <= {0, 1, 2, 3}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_bar_counts_what_is_shown(task, engine, monkeypatch):
    totals, done = [], []

    class Bar:
        def __init__(self, total, **_):
            totals.append(total)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def set_postfix_str(self, *_, **__):
            pass

        def update(self, count):
            done.append(count)

    monkeypatch.setattr("bioopzo.training.train.tqdm", Bar)
    run_of(task, engine, evaluation_trials=3)
    assert totals == [sum(done)] == [ENGINES[engine]["trials"] + 4 * 3 + 12]


# ---------------------------------------------------------------------------- what is said

def test_a_run_says_how_many(task, tmp_path):
    run = run_of(task, "spiking", evaluation_trials=3)
    assert run.arrays["curve/held_out"].tolist() == run.meta["evaluation_trials"] == [3] * 4 + [12]
    words = "12 at the end, 3 at the 4 points before"
    assert words in repr(run) and words in run._repr_html_()
    run.save(tmp_path / "run")
    assert words in repr(bz.Run.load(tmp_path / "run"))
    assert "12 at every point" in repr(run_of(task, "spiking"))


def test_a_run_that_was_stopped_says_how_many(task):
    def stop(trials, *_):
        if trials >= 4:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRun) as caught:
        run_of(task, "spiking", evaluation_trials=3, live=stop)
    assert caught.value.run.meta["evaluation_trials"] == [3] * 3
    assert "(3 at every point)" in repr(caught.value.run)


def test_a_comparison_and_its_figure_say_how_many(task):
    found = bz.compare({"a": bz.Model(SIZES, rule="bp")}, task, seeds=[0, 1], evaluation_trials=3,
                       evaluations=2, progress=False, **SPIKING)
    for run in found.runs["a"]:
        assert run.meta["evaluation_trials"] == [3, 3, 12]
    ax = found.plot()
    assert "3 of 12 trials before the end" in ax.get_title(loc="left")
    plt.close(ax.figure)


def test_the_command_line_takes_both(task, monkeypatch, tmp_path):
    monkeypatch.setattr("bioopzo.cli._task", lambda options: task)
    common = ["--task", "xor", "--trials", "6", "--hidden", "5", "--backend", "numpy",
              "--evaluations", "3", "--evaluation-trials", "4", "--json", str(tmp_path / "a.json")]
    assert main(["train", *common]) == 0
    assert json.loads((tmp_path / "a.json").read_text())["evaluation_trials"] == [4] * 3 + [12]
    assert main(["compare", "--rules", "bp", "--seeds", "1", "--out", str(tmp_path / "out"),
                 *common]) == 0
    assert bz.Run.load(tmp_path / "out" / "bp-0").meta["evaluation_trials"] == [4] * 3 + [12]
