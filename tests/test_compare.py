"""Comparisons: what is asked for, what is refused, what is saved and taken up."""

import json
import os

import numpy as np
import pytest
from brian2 import Hz, second
from scipy.stats import ttest_1samp

import bioopzo as bz
from bioopzo.engines.rate.engine import Engine
from bioopzo.engines.spiking.runtime import Runtime
from bioopzo.errors import InputError
from bioopzo.training import rate as training
from bioopzo.training.compare import Comparison
from bioopzo.training.tuned import Tuned

QUICK = dict(seeds=[0, 1], trials=2, evaluations=1, backend="numpy", progress=False)
RATE = dict(seeds=[0, 1], trials=16, evaluations=1, engine="rate", progress=False,
            settings={"batch": 8})


@pytest.fixture(scope="module")
def task():
    full = bz.tasks.xor()
    return full.replace(splits={k: v[:n] for (k, v), n in zip(full.splits.items(), (60, 12, 8))},
                        hidden=(5,))


@pytest.fixture
def idle(monkeypatch):
    """Neither engine may run."""
    def ran(*_, **__):
        raise AssertionError("a comparison began to run")

    monkeypatch.setattr(Runtime, "run", ran)
    monkeypatch.setattr(Engine, "run", ran)


@pytest.fixture(scope="module")
def finished(task):
    """A finished run."""
    return bz.train(model(), task, trials=2, seed=1, evaluations=1, backend="numpy",
                    progress=False)


@pytest.fixture
def stubbed(monkeypatch, finished):
    """Training is done at once: a run has what is asked for, and the numbers of `finished`."""
    def done(jobs, task, *_, **__):
        for job in jobs:
            meta = {**finished.meta, "seed": job.seed, "rule": job.model.rule_name}
            run = bz.Run(finished.arrays, finished.units, meta, job.model, task)
            if job.save:
                run.save(job.save)
            yield run

    monkeypatch.setattr("bioopzo.training.runs.train_group",
                        lambda *given, **options: list(done(*given, **options)))


def model():
    return bz.Model([4, 5, 2])


def test_names_are_compared_on_the_tasks_own_layers_with_parameters_for_all(task, stubbed):
    found = bz.compare(["opzo", "dfa"], task, eta=3 * Hz, **QUICK)
    assert list(found.runs) == ["opzo", "dfa"]
    for rule, runs in found.runs.items():
        assert {run.meta["rule"] for run in runs} == {rule}
        assert [run.meta["seed"] for run in runs] == [0, 1]
        assert all(run.model.sizes == (4, 5, 2) and run.model.parameters["eta"] == 3 * Hz
                   for run in runs)


def test_models_of_ones_own_are_the_same_runs(task, finished):
    found = bz.compare({"mine": model()}, task, **QUICK)
    assert found.runs["mine"][1].meta["label"] == "mine"
    mine, other = (run.final["forward_1.w"] for run in found.runs["mine"][::-1])
    assert np.array_equal(mine, finished.final["forward_1.w"]) and (mine != other).any()


WRONG = {
    "a name alone": (lambda: "opzo", {}, r"rules is a list of names, such as \[.*not 'opzo'"),
    "a number": (lambda: 3, {}, "rules is a list of names"),
    "a model alone": (model, {}, "rules is a list of names.*not a Model"),
    "models without labels": (lambda: [model()], {}, "models of your own have labels"),
    "no rules": (list, {}, "at least one rule"),
    "an unknown rule": (lambda: ["opzo", "opz"], {}, "unknown rule 'opz'.*did you mean 'opzo'"),
    "no model": (lambda: {"a": "opzo"}, {}, "model is a Model, not 'opzo'"),
    "a label that is no text": (lambda: {1: model()}, {}, "label of a model is a text, not 1"),
    "parameters with models": (lambda: {"a": model()}, {"eta": 0 * Hz},
                               "eta: for rules given by name.*Model.edit"),
    "sizes with models": (lambda: {"a": model()}, {"sizes": [4, 6, 2]},
                          "sizes: for rules given by name"),
    "nonsense": (lambda: ["opzo"], {"nonsense": 5}, "unknown parameter 'nonsense'"),
    "nonsense with models": (lambda: {"a": model()}, {"nonsense": 5},
                             "nonsense: for rules given.*your own take no further arguments"),
    "nonsense with models of the rate engine": (
        lambda: {"a": model()}, {"backend": None, "engine": "rate", "nonsense": 5},
        "nonsense: for rules given.*your own take no further arguments"),
    "a number of seeds": (lambda: ["opzo"], {"seeds": 3}, r"such as range\(3\), not 3"),
    "no seeds": (lambda: ["opzo"], {"seeds": []}, "at least one seed"),
    "half a seed": (lambda: ["opzo"], {"seeds": [0, 0.5]}, "whole number of at least 0, not 0.5"),
    "a negative seed": (lambda: ["opzo"], {"seeds": [-1]}, "whole number of at least 0, not -1"),
    "a text of seeds": (lambda: ["opzo"], {"seeds": "012"}, "seeds is a list of whole numbers"),
    "no jobs": (lambda: ["opzo"], {"jobs": 0}, "jobs is a whole number of at least 1, not 0"),
    "no trials": (lambda: ["opzo"], {"trials": 0}, "trials is a whole number"),
    "trials in words": (lambda: ["opzo"], {"trials": "many"}, "trials is a whole number"),
    "both lengths": (lambda: ["opzo"], {"epochs": 1}, "trials or epochs, not both"),
    "no evaluations": (lambda: ["opzo"], {"evaluations": 0}, "evaluations is a whole number"),
    "an unknown engine": (lambda: ["opzo"], {"engine": "jax"}, "unknown engine 'jax'"),
    "an unknown back end": (lambda: ["opzo"], {"backend": "cuda"}, "unknown back end 'cuda'"),
    "half a precision": (lambda: ["opzo"], {"settings": {"precision": "half"}},
                         "unknown precision 'half'; known: double, single"),
    "the other engine's settings": (lambda: ["opzo"], {"settings": {"batch": 2}},
                                    "batch: settings of engine='rate'"),
    "settings in words": (lambda: ["opzo"], {"settings": "fast"}, "settings is a mapping"),
    "settings of one that are a number": (lambda: ["opzo"], {
        "backend": None, "engine": "rate", "settings": {"opzo": 3}},
        "settings of 'opzo', a label, are a mapping from name to value, not 3"),
    "a wrong setting of one": (lambda: ["opzo", "bp"], {
        "backend": None, "engine": "rate", "settings": {"bp": {"batsch": 2}}}, "'batsch'"),
    "a checkpoint of ones own": (lambda: ["opzo"], {
        "backend": None, "engine": "rate", "settings": {"checkpoint": "a"}}, "checkpoint"),
    "sizes of another task": (lambda: {"a": model(), "b": bz.Model([9, 5, 2])}, {},
                              "the model has 9 inputs"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_compared_is_said_in_a_sentence_before_anything_runs(name, task, idle):
    rules, options, says = WRONG[name]
    with pytest.raises(InputError, match=f"(?s){says}") as caught:
        bz.compare(rules(), task, **{**QUICK, **options})
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("wrong", [None, "xor", (np.ones((4, 4)), np.ones((4, 2)))], ids=str)
def test_a_comparison_needs_a_task(wrong, idle):
    with pytest.raises(InputError, match="task is a Task, not"):
        bz.compare(["opzo"], wrong, **QUICK)


@pytest.mark.parametrize("label", ["../../x", "a/b", "/tmp/x", "a\\b", "a\0b", ""])
def test_a_label_cannot_name_a_file_outside_the_folder(label, task, tmp_path, idle):
    out = tmp_path / "deep" / "out"
    with pytest.raises(InputError, match="with out, a label is the name of a file"):
        bz.compare({label: model()}, task, out=out, **QUICK)
    assert not list(tmp_path.rglob("*-0.*"))


def test_without_a_folder_a_label_is_any_text(task, stubbed):
    found = bz.compare({"w/o noise": model()}, task, **{**QUICK, "seeds": [0]})
    assert found.table()[0]["label"] == "w/o noise"


@pytest.mark.parametrize("label", ["..", "OPZO, noise before", "a < b", "-x.npz"])
def test_every_other_label_stays_in_the_folder(label, task, tmp_path, stubbed):
    bz.compare({label: model()}, task, out=tmp_path / "out", **{**QUICK, "seeds": [0]})
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        [f"{label}-0.json", f"{label}-0.npz", "comparison.json"])
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_written_is_found_before_anything_runs(task, tmp_path, idle):
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "deep", 5):
        with pytest.raises(InputError, match="out"):
            bz.compare(["opzo"], task, out=out, **QUICK)


def test_what_is_saved_is_the_table_and_every_run(task, tmp_path, stubbed):
    found = bz.compare(["opzo"], task, out=tmp_path, **QUICK)
    assert json.loads((tmp_path / "comparison.json").read_text())["rows"] == found.table()
    for run in found.runs["opzo"]:
        loaded = bz.Run.load(tmp_path / f"opzo-{run.meta['seed']}")
        assert np.array_equal(loaded.final["forward_1.w"], run.final["forward_1.w"])


def test_runs_of_one_text_whose_parameters_fall_or_stay_are_run_apart(task):
    """They are other arguments of the program: one cannot hold both."""
    plain = bz.Model([task.n_in, 5, task.n_out], rule="opzo", options={"form": "plain"})
    models = {"opzo, stays": plain, "opzo, falls": plain.edit(alpha_final=0.1)}
    found, alone = (bz.compare(models, task, **{**RATE, "trials": 24, "settings": {
        "batch": 8, "together": together}}) for together in (True, False))
    for label in models:
        assert np.allclose(found.runs[label][0].final["forward_1.w"],
                           alone.runs[label][0].final["forward_1.w"], rtol=1e-4)


def test_a_run_of_the_rate_engine_that_is_there_is_taken_as_it_is(task, tmp_path, monkeypatch):
    first = bz.compare(["bp"], task, out=tmp_path, **RATE)
    counted, train_together = [], training.train_together

    def counting(engines, batches, *rest):
        counted.extend(len(inputs) for inputs, *_ in batches)
        return train_together(engines, batches, *rest)

    monkeypatch.setattr(training, "train_together", counting)
    again = bz.compare(["bp"], task, out=tmp_path, **RATE)
    assert not counted and again.table() == first.table()
    assert again.runs["bp"][0].model.digest == first.runs["bp"][0].model.digest
    bz.compare(["bp"], task, out=tmp_path, **{**RATE, "trials": 24})  # another length: anew
    assert sum(counted) == 2 * 3
    assert not list(tmp_path.glob("*checkpoint*"))


def test_a_finished_run_of_the_spiking_engine_is_never_trained_again(task, tmp_path, monkeypatch):
    one = {**QUICK, "seeds": [0]}
    first = bz.compare({"a": model()}, task, out=tmp_path, **one)
    with monkeypatch.context() as patch:
        patch.setattr(Runtime, "run", None)
        again = bz.compare({"a": model()}, task, out=tmp_path, **one)
    assert again.table() == first.table() and again.runs["a"][0].model is not None
    bz.compare({"a": model().edit(eta=np.nextafter(3, 4) * Hz)}, task, out=tmp_path, **one)
    bz.compare({"a": model().edit(eta=3 * Hz)}, task, out=tmp_path, **one)  # the last bit tells
    assert bz.Run.load(tmp_path / "a-0").meta["address"] != first.runs["a"][0].meta["address"]


# ---------------------------------------------------------------------------- fair

def scored(task, finished, untuned=(), **scores):
    """A comparison with these scores, a seed each."""
    return Comparison({label: [bz.Run(finished.arrays, finished.units, {
        **finished.meta, "seed": seed, "test_accuracy": score, "rule": label,
        "untuned": ["eta"] * (label in untuned)}, finished.model, task)
        for seed, score in enumerate(values)] for label, values in scores.items()}, task)


def test_rules_differ_seed_by_seed(task, finished):
    found = scored(task, finished, bp=[0.9, 0.8, 0.7, 0.8, 0.8], dfa=[0.85, 0.77, 0.66, 0.7, 0.9])
    first, second = found.table()
    assert first["difference"] is None and first["against"] == "bp"
    far = np.array([-0.05, -0.03, -0.04, -0.1, 0.1])
    answer = ttest_1samp(far, 0).confidence_interval()
    assert second["difference"] == pytest.approx(-0.024)
    assert second["difference95"] == pytest.approx((answer.high - answer.low) / 2)
    # Hedges' correction of five pairs: 1 - 3/(4*4 - 1).
    assert second["effect"] == pytest.approx(4 / 5 * -0.024 / far.std(ddof=1))
    assert found.table(against="dfa")[0]["difference"] == pytest.approx(0.024)
    text = repr(found)
    assert "difference to bp" in text and "-2.4 (-11.6 to +6.8)" in text and "-0.3" in text
    assert "71.2 to 88.8" in text and "takes five seeds" not in text
    assert "difference to bp" in found._repr_html_()
    with pytest.raises(InputError, match="unknown label of the comparison 'bq'"):
        found.table(against="bq")
    two = scored(task, finished, bp=[0.9, 0.8], dfa=[0.4, 0.2])
    assert two.table()[1]["effect"] is None and "-0.0" not in repr(two)
    assert "100.0" in repr(scored(task, finished, bp=[1, 1, 0.9, 1, 1]))  # and not beyond


def test_fewer_than_five_seeds_have_no_interval(task, finished):
    """One of three seeds reached from 63 to 92 %, and said nothing that its seeds do not."""
    few = scored(task, finished, bp=[0.9, 0.8, 0.7], dfa=[0.85, 0.77, 0.66])
    row = few.table()[1]
    assert row["interval95"] is None and row["difference95"] is None
    assert row["effect"] == pytest.approx(4 / 7 * -4)  # that of three pairs
    said = repr(few)
    assert " to 9" not in said and "-4.0 " in said and "takes five seeds or more" in said


def test_what_no_pairs_can_say_is_left_open(task, finished):
    one, same = scored(task, finished, bp=[0.9], dfa=[0.8]), scored(
        task, finished, bp=[0.9, 0.8], dfa=[0.8, 0.7])
    assert one.table()[1]["difference95"] is None and "difference" not in repr(one)
    assert same.table()[1]["difference"] == pytest.approx(-0.1)


def test_table_and_pictures_say_where_some_rules_are_tuned_and_others_not(task, finished):
    mixed = scored(task, finished, ["dfa"], bp=[0.9, 0.8], dfa=[0.8, 0.6])
    assert "dfa (not tuned)" in repr(mixed) and "the comparison is not fair" in repr(mixed)
    assert "dfa (not tuned)" in mixed._repr_html_()
    labels = [text.get_text() for text in mixed.plot().texts]
    assert "DFA (not tuned)" in labels and "BP" in labels
    ticks = [text.get_text() for text in mixed.plot_final().get_yticklabels()]
    assert ticks == ["DFA (not tuned)", "BP"]
    none = scored(task, finished, ["dfa", "bp"], bp=[0.9, 0.8], dfa=[0.8, 0.6])
    assert "(not tuned)" not in repr(none) and "not tuned for this task" in repr(none)
    assert not any("tuned" in text.get_text() for text in none.plot().texts)


def test_a_comparison_takes_what_a_search_has_found(task, stubbed):
    found = Tuned({"eta": 7 * Hz, "eta_o": 2 * Hz}, {"at_edge": ["eta"], "validation": 0.9,
                                                     "candidates": 4})
    assert "at the edge of its range: eta" in repr(found)
    runs = bz.compare(["opzo", "dfa"], task, tuned={"opzo": found}, **QUICK).runs
    assert runs["opzo"][0].model.parameters["eta"] == 7 * Hz
    assert runs["dfa"][0].model.parameters["eta"] != 7 * Hz
    for tuned, says in (({"bp": found}, "unknown label in tuned 'bp'"), (3, "tuned is a mapping"),
                        ({"dfa": 3}, "what is tuned of 'dfa' is a mapping"),
                        ({"dfa": {"etta": 3}}, "etta")):
        with pytest.raises(InputError, match=says):
            bz.compare(["opzo", "dfa"], task, tuned=tuned, **QUICK)


# ---------------------------------------------------------------------------- runs at a time

@pytest.mark.parametrize("how", [
    RATE, pytest.param({**QUICK, "backend": "standalone"}, marks=pytest.mark.compiled)],
    ids=["rate", "standalone"])
def test_a_comparison_is_the_same_for_any_number_of_runs_at_a_time(task, how):
    one, several = (bz.compare({"a": model()}, task, jobs=jobs, **how).runs["a"]
                    for jobs in (1, 4))
    for run, other in zip(one, several):
        for name, value in run.arrays.items():
            assert np.array_equal(value, other.arrays[name]), name


@pytest.mark.parametrize("given, engine, backend, count", [
    (None, "spiking", "standalone", 5), (3, "spiking", "standalone", 3), (None, "rate", None, 5),
    (None, "spiking", "numpy", 1), (3, "spiking", "cython", 1)])
def test_there_are_as_many_runs_at_a_time_as_cores(task, monkeypatch, given, engine, backend,
                                                   count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(5)), raising=False)
    asked = []

    class Pool:
        def __init__(self, workers):
            asked.append(workers)
            raise InputError("enough")

    monkeypatch.setattr("bioopzo.training.workers.Threads", Pool)
    with pytest.raises(InputError, match="enough"):
        bz.compare({"a": model()}, task, seeds=[0], trials=16, engine=engine, backend=backend,
                   jobs=given, progress=False)
    assert asked == [count]


def test_a_default_that_is_given_is_not_a_rate_that_was_searched():
    """The second of both was trained with the first one's parameters: their values were equal."""
    model = bz.Model([64, 5, 10], rule="opzo")
    own = model.edit(eta=model.parameters["eta"])
    task = bz.tasks.digits()
    short = {"seeds": [0], "trials": 8, "evaluations": 1, "engine": "rate", "progress": False,
             "evaluation_trials": 2, "settings": {"batch": 8, "compiled": False}, "jobs": 1}

    def parameters(models, task=task):
        found = bz.compare(models, task, **short)
        return [(runs[0].meta["parameters"]["eta"], runs[0].meta["parameters"]["tau_m"])
                for runs in found.runs.values()]

    searched, given = parameters({"searched": model, "own": own})
    assert given[0] == "20. Hz" != searched[0]
    other = task.replace(parameters={**task.parameters, "tau_m": 20e-3 * second})
    assert parameters({"own": own}, other) == [("20. Hz", "20. ms")]
