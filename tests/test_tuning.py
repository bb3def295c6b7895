"""The search of learning rates: ranges, candidates, what is kept."""

import json
from pathlib import Path

import numpy as np
import optuna
import pytest
from brian2 import Hz, ms

import bioopzo as bz
from bioopzo.errors import InputError, ModelWarning
from bioopzo.training import search as tuning
from bioopzo.training.effect import without_effect
from bioopzo.training.tuned import table, tuned_parameters

SEARCHES = Path(__file__).parents[1] / "figures" / "data" / "searches"


@pytest.fixture(scope="module")
def model():
    return bz.Model([4, 5, 2], rule="readout_only")


def searched(model, count, score, seed=1, **options):
    """The candidates of a search with a score of (parameters, seed); the sizes of their groups."""
    found, sizes, groups = [], [], tuning.propose(model, count, seed, **options)
    for group in groups:
        sizes.append(len(group))
        for one in group:
            one.scores[2000] = score(one.parameters, 2000)
        for one in next(groups):
            if not one.pruned:
                one.scores[2001] = score(one.parameters, 2001)
        found += group
    return found, sizes


def test_candidates_begin_with_the_value_in_force_and_stay_in_their_ranges(model):
    def far(x, _):
        return -abs(np.log(x["eta_o"] / 3)) - abs(np.log(x["tau_o"] / 0.05))

    edited, ranges = model.edit(eta_o=700 * Hz), {"tau_o": (0.01, 0.1)}
    found, sizes = searched(edited, 23, far, ranges=ranges)
    assert found[0].parameters == {"eta_o": 700.0, "tau_o": pytest.approx(0.01)}  # far outside
    low, high = model.declared["eta_o"].search
    assert all(low <= one.parameters["eta_o"] <= high for one in found[1:])
    assert all(0.01 <= one.parameters["tau_o"] <= 0.1 for one in found)
    assert sizes == [12, 4, 4, 3]
    again, other = (searched(edited, 23, far, seed=seed, ranges=ranges)[0] for seed in (1, 2))
    assert again == found and other != found
    # What is proposed after the first half is better than what is drawn at random.
    many = [searched(edited, 23, far, seed=seed, ranges=ranges)[0] for seed in range(8)]
    best = [np.mean([max(far(one.parameters, 0) for one in run[part]) for run in many])
            for part in (slice(12), slice(12, None))]
    assert best[1] > 0.9 * best[0]


def test_who_falls_behind_after_the_first_seed_gets_no_second(model):
    """Of the first half none: there is nobody yet to fall behind. One that ran away does."""
    def score(x, seed):
        return -np.inf if x["eta_o"] > 20 else -x["eta_o"]

    found, _ = searched(model, 20, score)
    assert not any(one.pruned for one in found[:10])
    fallen = [one for one in found[10:] if one.pruned]
    assert fallen and all(list(one.scores) == [2000] for one in fallen)
    assert all(len(one.scores) == 2 for one in found if not one.pruned)
    median = np.median([one.scores[2000] for one in found[:10]])
    assert all(one.scores[2000] >= median for one in found[10:] if not one.pruned)
    assert any(one.scores[2000] < median for one in fallen)


def test_who_runs_away_falls_behind_also_where_half_of_them_do(model, recwarn):
    """There was no median then: they had their second seed, and NumPy's warnings."""
    middle = sorted(one.parameters["eta_o"] for one in next(tuning.propose(model, 20, 1)))[4]

    def score(x, seed):
        return -np.inf if x["eta_o"] > middle else -x["eta_o"]

    found, _ = searched(model, 20, score)
    away = [one for one in found[10:] if one.scores[2000] == -np.inf]
    assert sum(one.scores[2000] == -np.inf for one in found[:10]) == 5
    assert all(one.pruned for one in away)
    assert not [w for w in recwarn if w.category is RuntimeWarning]


def test_a_text_without_anything_to_search_is_one_candidate(model):
    fixed = model.edit(eta_o=1 * Hz).edit({"forward_readout": "w : 1"})
    assert [one.parameters for one in searched(fixed, 9, lambda x, seed: 1.0)[0]] == [{}]


def test_ranges_of_learning_rates_follow_from_the_trials_as_the_rates_do(model):
    """Or the best rate of a task with many inputs lies at the edge of what is searched."""
    X = np.random.default_rng(0).uniform(0, 1, (40, 400))
    task = bz.tasks.from_arrays(X, [0, 1]*20)
    known = bz.Model([400, 50, 2], rule="dfa")
    asked = known.for_task(task)
    for name in ("eta", "eta_o"):
        low, high = tuning.search_space(known)[name]
        share = float(asked.parameters[name] / known.declared[name].default)
        assert share < 1 or name == "eta_o"
        assert tuning.search_space(asked)[name] == pytest.approx((share*low, share*high))
    assert tuning.search_space(asked, {"eta": (1, 2)})["eta"] == (1, 2)
    edited = known.edit(eta=7 * Hz).for_task(task)  # what a user gives moves no range
    assert tuning.search_space(edited) == tuning.search_space(asked)


@pytest.mark.parametrize("ranges, says", [
    ({"eta_q": (1, 2)}, "unknown parameter to search 'eta_q'"),
    ({"eta_o": (2, 1)}, r"the range of eta_o needs 0 < lowest < highest, not \(2, 1\)"),
    ({"eta_o": (0, 1)}, "the range of eta_o needs"),
    ({"eta_o": (1, float("nan"))}, "the range of eta_o needs"),
])
def test_a_wrong_range_is_refused_before_anything_runs(model, ranges, says, monkeypatch):
    monkeypatch.setattr("bioopzo.training.runs.train_group", None)
    with pytest.raises(InputError, match=says):
        tuning.tune(model, bz.tasks.xor(), ranges=ranges)


def test_a_search_needs_a_model_a_task_and_jobs(model, monkeypatch):
    monkeypatch.setattr("bioopzo.training.runs.train_group", None)
    for arguments, options, says in (
            ((model, bz.tasks.xor()), {"jobs": 0}, "jobs is a whole number of at least 1, not 0"),
            ((bz.tasks.xor(), model), {}, "the model comes first"),
            ((model, "xor"), {}, "task is a Task, not 'xor'")):
        with pytest.raises(InputError, match=says):
            tuning.tune(*arguments, **options)


def test_a_search_is_the_same_for_any_number_of_runs_at_a_time(model, tmp_path, monkeypatch):
    task = bz.tasks.xor()
    task = task.replace(splits={**task.splits, "validation": task.splits["validation"][:12]})
    one, several = (bz.tune(model, task, trials=40, count=2, finalists=1, seeds=1, jobs=jobs,
                            progress=False, engine="rate", batch=8, optimizer="sgd",
                            out=tmp_path / str(jobs))
                    for jobs in (1, 3))
    assert one.trials == several.trials and [list(t["scores"]) for t in one.trials].count(
        ["2000", "2001", "2002"]) == 1  # of the finalist
    kept, = (tmp_path / "1").glob("trials-*.json")
    assert json.loads(kept.read_text())["candidates"] == one.trials
    assert one.entry == several.entry and one["eta_o"] == one.entry["parameters"]["eta_o"] * Hz
    assert model.edit(one).parameters["eta_o"] == one["eta_o"]
    # A search that was done, or stopped, goes on from its folder.
    monkeypatch.setattr("bioopzo.training.runs.train_group", None)
    again = bz.tune(model, task, trials=40, count=2, finalists=1, seeds=1, progress=False,
                    engine="rate", batch=8, optimizer="sgd", out=tmp_path / "1")
    assert again.entry == one.entry and again.trials == one.trials
    # What optuna heard is there for its tools, and once, though the search was gone through twice.
    journal, = (tmp_path / "1").glob("optuna-*.log")
    study = optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(journal))))
    assert study.study_name == "readout_only"
    assert [trial.value for trial in study.trials] == [
        np.mean([t["scores"]["2000"], t["scores"]["2001"]]) for t in one.trials]


def test_what_the_package_has_is_what_its_searches_found():
    """Where the candidates are kept: all rules of a task have had as many."""
    found = [json.loads(path.read_text()) for path in SEARCHES.glob("*.json")]
    assert {one["task"] for one in found} == {
        "digits", "yin_yang", "temporal_patterns", "two_choice_in_context", "bandit_of_2_cues",
        "digits_reward", "nmnist_simulated"}
    for one in found:
        entry = table()[one["task"]][one["key"]]
        assert {k: entry[k] for k in ("parameters", "validation", "trials", "at_edge")} == {
            k: one[k] for k in ("parameters", "validation", "trials", "at_edge")}
        assert len(one["candidates"]) == entry["candidates"] == 36


def test_a_variant_does_not_take_what_means_something_else_in_it():
    """A perturbation of the membrane has another size than one of spikes: alpha stays its own."""
    plain, before = (bz.Model([64, 5, 10], rule="opzo", **options)
                     for options in ({}, {"place": "before"}))
    found = tuned_parameters("digits", plain)
    assert {"eta", "alpha"} <= found.keys()
    assert tuned_parameters("digits", before) == {k: v for k, v in found.items() if k != "alpha"}
    gaussian = plain.replace(distribution="gaussian")
    assert tuned_parameters("digits", gaussian) == found


@pytest.mark.filterwarnings("error")
def test_of_candidates_that_are_as_good_the_most_central_one_is_chosen():
    """Within one standard error of the best; nearest the middle of the ranges on a log scale."""
    space = {"eta": (1.0, 100.0), "mu": (0.01, 1.0)}
    spread = np.array([-0.01, 0.01, -0.02, 0.02, 0.0])  # standard error .0071

    def candidate(eta, mu, mean):
        return tuning.Candidate({"eta": eta, "mu": mu}, dict(enumerate(mean + spread)))
    edge, near, middle, worse = (candidate(90.0, 0.9, 0.90), candidate(30.0, 0.3, 0.895),
                                 candidate(12.0, 0.12, 0.894), candidate(10.0, 0.1, 0.892))
    assert tuning._chosen([edge, near, middle, worse], space) is middle
    assert tuning._chosen([edge, near], space) is near and tuning._chosen([edge], space) is edge
    ran_away = tuning.Candidate({"eta": 10.0, "mu": 0.1}, {0: -np.inf, 1: 0.5})
    assert tuning._chosen([edge, ran_away], space) is edge
    assert tuning._chosen([ran_away], space).mean == -np.inf
    none = candidate(0.0, 0.1, 0.9)  # a value in force that no range holds
    assert tuning._chosen([none, near], space) is near
    assert tuning._chosen([none], space) is none and tuning._at_edge(space, none.parameters) == [
        "eta"]


@pytest.mark.parametrize("text", ["eta", "eta=1", "eta=1,2,3", "eta=low,high"])
def test_the_command_line_says_how_a_range_is_written(text, capsys):
    from bioopzo.cli import main

    assert main(["tune", "--task", "xor", "--rules", "readout_only", "--range", text]) != 0
    assert "--range is NAME=LOWEST,HIGHEST" in capsys.readouterr().err


def test_no_rule_is_searched_where_another_does_not_have_the_parameter(capsys, monkeypatch):
    from bioopzo.cli import main

    monkeypatch.setattr(tuning, "tune_file", None)
    assert main(["tune", "--task", "xor", "--rules", "opzo,readout_only", "--range",
                 "eta=1,9"]) != 0
    assert "unknown parameter to search 'eta'" in capsys.readouterr().err


def test_a_search_finds_the_better_rate_and_is_used_by_a_task_that_takes_its_values(
        model, tmp_path, monkeypatch):
    task, path = bz.tasks.xor(), tmp_path / "tuned.json"
    task = task.replace(splits={**task.splits, "validation": task.splits["validation"][:12]})
    path.write_text(json.dumps({"other": {"opzo": {"parameters": {}}}, task.name: "other"}))
    key, entry = tuning.tune_file(model, task, path, trials=40, count=2, finalists=1, seeds=1,
                                  jobs=1, backend="numpy", progress=False,
                                  ranges={"eta_o": (1, 9)})
    content = json.loads(path.read_text())
    assert key == "readout_only" and entry["candidates"] == 2 and entry["trials"] == 40
    # The task has its own values now; it keeps those it took, and the other is as it was.
    assert content[task.name] == {"opzo": {"parameters": {}}, "readout_only": entry}
    assert content["other"] == {"opzo": {"parameters": {}}}
    monkeypatch.setattr("bioopzo.training.tuned.table", lambda: {**content, "third": task.name})
    rate = tuned_parameters("third", model)["eta_o"]
    assert rate == entry["parameters"]["eta_o"] * Hz
    assert tuned_parameters("unknown", model) == {}


def test_what_has_no_effect_is_not_searched(model, monkeypatch):
    """adamw divides changes by their size: every eta had the same score, and one was "tuned"."""
    monkeypatch.setattr("bioopzo.training.runs.train_group", None)
    with pytest.raises(InputError, match="eta_o: the optimizer adamw divides every change"):
        bz.tune(model, bz.tasks.xor(), engine="rate", trials=40)
    settings = {"optimizer": "adamw"}
    for plain, lost in ((bz.Model([4, 5, 2], rule="bp"), {"eta", "eta_o", "eta_final"}),
                        (bz.Model([4, 5, 2], rule="dkp"), set()),  # beside a decay it is a ratio
                        (bz.Model([4, 5, 2]).edit({"forward.trial": "w -= 0.1*w"}), set())):
        assert without_effect("rate", settings, plain) == lost
        assert not without_effect("rate", {"optimizer": "sgd"}, plain)
        assert not without_effect("spiking", {}, plain)
    with pytest.warns(ModelWarning, match="eta: the optimizer adamw divides"):
        bz.sweep(bz.Model([4, 5, 2]), bz.tasks.xor(), {"eta": [1, 2] * Hz}, engine="rate",
                 trials=8, jobs=1)


@pytest.mark.parametrize("other, what", [
    (lambda m: m.replace(neuron="erf"), "neuron"), (lambda m: m.edit(tau_m=30 * ms), "parameters"),
    (lambda m: bz.Model([4, 9, 2], rule="readout_only"), "hidden layers"),
    (lambda m: m.edit({"readout.step": "o *= 1"}), "edits"),
    (lambda m: m.replace(reset="hard"), "reset"), (lambda m: m.replace(dropout=0.1), "dropout")])
def test_another_network_does_not_overwrite_the_package_s_own_values(other, what, monkeypatch):
    monkeypatch.setattr(tuning, "tune", None)
    task = bz.tasks.xor()
    model = bz.Model([task.n_in, *task.hidden, task.n_out], rule="readout_only")
    with pytest.raises(InputError, match=f"other {what}.*--out"):
        tuning.tune_file(other(model), task)
    tuning._check_usual(bz.Model([*model.sizes], recurrent=True), task)  # has a key of its own
