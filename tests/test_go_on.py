"""A trained run goes on: further training, evaluation, lesions; its file makes everything again."""

import json
import warnings

import numpy as np
import pytest
from brian2 import Hz, ms

import bioopzo as bz
from bioopzo.engines.rate.translate import in_expectation
from bioopzo.errors import InputError, InterruptedRun, ModelWarning

OWN_RULE = '''
from bioopzo.rules import Parameter, Rule


def rule(depth):
    """A rule of the user's own."""
    return Rule("mine", "g is the sum of errors", "nobody", {
        "feedback": "Q : 1\\ng_post = Q*err_pre : 1 (summed)",
        "feedback.trial": "Q += speed"}, {"speed": Parameter(0.01, "growth of Q")})
'''


@pytest.fixture(scope="module")
def task():
    """A few digits, so that all of them are shown quickly."""
    digits = bz.tasks.digits()
    return digits.replace(splits={"train": digits.splits["train"][:12],
                                  "validation": digits.splits["validation"][:4],
                                  "test": digits.splits["test"][:6]})


def trained(model, task, trials=8, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        return bz.train(model, task, trials=trials, **{
            "seed": 1, "progress": False, "evaluations": 1, "evaluation_trials": 3, **more})


@pytest.fixture(scope="module")
def run(task):
    return trained(bz.Model([64, 6, 6, 10]), task)


@pytest.fixture(scope="module")
def on_batches(task):
    return trained(bz.Model([64, 6, 6, 10]), task, engine="rate", batch=4, activity="spikes")


@pytest.mark.parametrize("options", [{"backend": "numpy"}, {"engine": "rate", "batch": 4}],
                         ids=["spiking", "rate"])
def test_a_point_of_a_run_has_the_statistics_of_then(task, options):
    """A threshold that rises with every trial until nothing fires had not risen at the start."""
    plain = bz.Model([64, 5, 10], rule="bp").blocks
    model = bz.Model([64, 5, 10], rule="bp").edit({
        "hidden": plain["hidden"].replace("u - theta", "u - theta - raised/Hz") + "\nraised : Hz",
        "hidden.trial": plain["hidden.trial"] + "\nraised += 3*Hz"})
    run = trained(model, task, **options)
    assert run.at(0).final["hidden_1.raised"].max() == 0 < run.final["hidden_1.raised"].min()
    before, after = (np.mean(one.evaluate().rates["hidden_1"]) for one in (run.at(0), run))
    assert before > 5 and after < 0.1
    snapshots = run.to_xarray().snapshots_hidden_1_raised
    assert snapshots.dims == ("evaluation", "hidden_1") and snapshots.units == "Hz"


@pytest.mark.parametrize("engine", ["run", "on_batches"])
def test_the_last_evaluation_comes_out_again(engine, request, task, tmp_path):
    """Also of the file alone, which makes the model; the task it cannot name is given."""
    run = request.getfixturevalue(engine)
    kept, shown = run.outcomes(), run.evaluate()
    assert np.array_equal(kept.decision, shown.decision) and np.array_equal(kept.loss, shown.loss)
    assert kept.accuracy == run.test_accuracy and len(run.outcomes(evaluation=0)) == 3
    assert np.isclose(np.mean(shown.rates["hidden_1"]), run.arrays["rates/hidden_1"][-1])
    training = run.outcomes("training")
    assert len(training) == 8 and training.after.tolist() == list(range(8))
    assert set(training.samples) <= {*task.splits["train"], *task.splits["validation"]}
    assert np.array_equal(training.labels, task.labels[training.samples])
    loaded = bz.Run.load(run.save(tmp_path / "run"))
    assert loaded.model.digest == run.model.digest and loaded.task is None
    with pytest.raises(InputError, match="was made from arrays"):
        loaded.evaluate()
    with pytest.raises(InputError, match="other trials of digits"):
        bz.Run.load(tmp_path / "run", task=bz.tasks.digits())
    again = bz.Run.load(tmp_path / "run", task=task).evaluate()
    assert np.array_equal(again.decision, shown.decision)
    assert run.predict(task.inputs[:3]).shape == (3,)
    assert np.array_equal(run.predict(task, readout=True), shown.decision)


def test_training_goes_on_from_what_both_have(run, on_batches, task):
    later = trained(run.model, task, start=run)
    assert not later.meta["start"]["not_taken"] and later.meta["trials_before"] == 8
    for name in ("forward_1.w", "feedback_2.M"):
        assert np.array_equal(later.arrays[f"snapshots/{name}"][0], run.final[name])
    assert "hidden_1.power" in later.meta["start"]["taken"]
    assert np.array_equal(later.evaluate().decision, later.outcomes().decision)
    reversal = bz.tasks.relabelled(task, [1, 0, *range(2, 10)])
    other = trained(run.model.replace(rule="bp"), reversal, start=on_batches)
    assert np.allclose(other.arrays["snapshots/forward_2.w"][0], on_batches.final["forward_2.w"])
    assert "left behind are feedback_1.M, feedback_2.M" in other.meta["start"]["not_taken"]
    batches = trained(run.model, task, start=run, engine="rate", batch=4, activity="spikes",
                      trials=4)
    assert np.allclose(batches.arrays["snapshots/forward_1.w"][0], run.final["forward_1.w"])
    for start, says in ((3, "start is a Run"), (bz.Run(), "no weights")):
        with pytest.raises(InputError, match=says):
            trained(run.model, task, start=start)
    with pytest.raises(InputError, match="nothing that the run of opzo on digits"):
        trained(bz.Model([64, 5, 10], rule="readout_only"), task, start=run)


def test_training_does_not_go_on_from_what_is_not_finite(run, task):
    ended = bz.Run({**run.arrays, "final/forward_1.w": np.nan*run.final["forward_1.w"]}, run.units,
                   run.meta, run.model, run.task)
    with pytest.raises(InputError, match="forward_1.w of that run is not finite.*run.at"):
        trained(run.model, task, start=ended)


def test_lesioned_neurons_are_silent_and_learn_nothing(run, task):
    lesioned = run.lesion("hidden_1", [0, 2]).lesion("hidden_1", [3])
    shown = lesioned.evaluate()
    assert not shown.rates["hidden_1"][[0, 2, 3]].any() and shown.rates["hidden_1"].any()
    assert np.array_equal(shown.rates["hidden_1"][[1, 4, 5]],
                          run.evaluate().rates["hidden_1"][[1, 4, 5]])
    assert lesioned.test_accuracy is None and "lesion" in repr(lesioned)
    later = trained(lesioned.model, task, start=lesioned)
    into, out = (abs(later.matrix(name) - run.matrix(name))
                 for name in ("forward_1.w", "forward_2.w"))
    assert not into[:, [0, 2, 3]].any() and into.any()
    assert not out[[0, 2, 3]].any() and out.any()
    assert not run.lesion("hidden_2").evaluate().rates["hidden_2"].any()
    upstroke = bz.texts.silence(bz.Model([64, 4, 10], neuron="adex", rule="dfa"), "hidden_1")
    assert "u = intact*u" in upstroke.blocks["hidden_1.step"]


def test_another_state_is_another_answer(run):
    silent = run.with_state({"forward_1.w": 0.0})
    assert not np.array_equal(silent.evaluate().decision, run.evaluate().decision)
    assert run.final["forward_1.w"].any() and silent.meta["changed"]


@pytest.mark.parametrize("what, says", [
    (lambda run: run.lesion("hidden_9"), "unknown hidden population"),
    (lambda run: run.lesion("hidden_1", [6]), "indices from 0 to 5"),
    (lambda run: run.with_state({"forward_1.v": 0}), "unknown variable of the final state"),
    (lambda run: run.with_state({"forward_1.w": [1, 2]}), "holds 384 values"),
    (lambda run: run.evaluate(3), "task is a Task"),
    (lambda run: run.evaluate(split="trial"), "unknown split"),
    (lambda run: run.evaluate(bz.tasks.yin_yang()), "64 inputs"),
    (lambda run: run.predict(np.zeros((2, 3))), "have the shape"),
    (lambda run: bz.Run().evaluate(), "no model attached"),
    (lambda run: run.outcomes("tests"), "unknown kind of trials"),
    (lambda run: run.outcomes(evaluation=7), "none with the number 7"),
    (lambda run: run.record("hidden_1.q"), "unknown variable of hidden_1"),
    (lambda run: run.record("hidden_7.u"), "unknown population or projection"),
    (lambda run: run.record("hidden_1.u[6]"), "numbers 0 to 5"),
    (lambda run: run.record("hidden_1"), "what is recorded is called"),
    (lambda run: run.record("hidden_1.u[0, 1]"), "dimensions"),
    (lambda run: run.recorded, "recorded nothing"),
])
def test_what_cannot_be_is_said(run, what, says):
    with pytest.raises(InputError, match=says):
        what(run)


def test_a_model_is_made_of_its_file(tmp_path):
    """With a rule that is not known there, whose text is in it; nothing of it is run."""
    file = tmp_path / "mine.py"
    file.write_text(OWN_RULE)
    net = (bz.Network(inputs=64, readouts=10).population("E", 8, sign=+1, neuron="alif")
           .connect("input", "E").connect("E", "E", p=0.3, delay=2*ms).connect("E", "readout"))
    mine = bz.Model([64, 6, 10], rule=bz.rules.add(file), tau_m=("lognormal", 10*ms, 0.3))
    models = [mine, bz.Model(net, rule="eprop", eta={"E_E": 3*Hz}), bz.Model("8x8-4C3-AP2-10"),
              bz.Model([64, 6, 10], freeze=["forward_1"]).edit(psi="psi = q : 1", q=0.5)]
    for k, model in enumerate(models):
        path = model.save(tmp_path / f"{k}.json")
        bz.rules._FOLDER.added.clear()
        again = bz.Model.load(path)
        assert again.digest == model.digest and not again.diff(model)
    content = json.loads((tmp_path / "0.json").read_text())
    assert content["files"] == {"rule": OWN_RULE}
    (tmp_path / "cut.json").write_text((tmp_path / "0.json").read_text()[:-50])
    for name, says in (("cut.json", "no model can be read"), ("none.json", "no model can be read")):
        with pytest.raises(InputError, match=says):
            bz.Model.load(tmp_path / name)
    with pytest.raises(InputError, match="format"):
        bz.Model.from_content({"format": 99})


def test_a_run_names_its_task(tmp_path):
    """And keeps what a rule of the user's own learns, by whatever name."""
    file = tmp_path / "mine.py"
    file.write_text(OWN_RULE)
    task = bz.tasks.relabelled(bz.tasks.digits(), [1, 0, *range(2, 10)])
    run = trained(bz.Model([64, 4, 10], rule=bz.rules.add(file)), task, trials=3)
    assert run.arrays["snapshots/feedback_1.Q"].shape == (2, 40)
    assert not np.array_equal(*run.arrays["snapshots/feedback_1.Q"])
    run.save(tmp_path / "run")
    bz.rules._FOLDER.added.clear()
    loaded = bz.Run.load(tmp_path / "run")
    assert loaded.task.digest == task.digest
    assert np.array_equal(loaded.evaluate(trials=5).decision, run.evaluate(trials=5).decision)
    assert bz.Run.load(loaded.save(tmp_path / "twice")).model.digest == run.model.digest


def test_recording_shows_what_is_and_changes_nothing(run, task, tmp_path):
    pytest.importorskip("xarray")
    seen = {}
    again = trained(bz.Model([64, 6, 6, 10]), task, record_trials=[0, 3, 4],
                    record=["hidden_1.S", "feedback_2.M[0, :]", "forward_2.w[:, 1]"],
                    live=lambda trials, accuracy, loss, state: seen.update({trials: state}))
    assert all(np.array_equal(run.final[name], again.final[name]) for name in run.final)
    assert np.array_equal(seen[8]["forward_2.w"], run.final["forward_2.w"])
    data = bz.Run.load(again.save(tmp_path / "run")).recorded
    assert data["hidden_1.S"].dims == ("trial", "time", "hidden_1")
    assert data["trained"].values.tolist() == [0, 3, 4]
    assert np.array_equal(data["sample"], again.outcomes("training").samples[[0, 3, 4]])
    first = again.arrays["snapshots/forward_2.w"][0].reshape(6, 6)[:, 1]
    assert np.array_equal(data["forward_2.w[:, 1]"].values[0, 0].ravel(), first)
    tested = run.record(["hidden_1.S", "hidden_2.psi"], task.splits["test"], seed=1)
    assert dict(tested["hidden_2.psi"].sizes) == {"trial": 6, "time": 60, "hidden_2": 6}
    one = run.record(["hidden_1.S"], task.splits["test"][:1], seed=1)
    assert np.array_equal(one["hidden_1.S"][0], tested["hidden_1.S"][0])
    with pytest.raises(InputError, match="0 to 7"):
        trained(run.model, task, record=["hidden_1.u"], record_trials=[8])


@pytest.mark.parametrize("more", [{}, {"engine": "rate", "batch": 2, "activity": "spikes"}],
                         ids=["spiking", "rate"])
def test_what_was_recorded_before_a_run_was_cut_off_is_in_its_checkpoint(task, tmp_path, more):
    pytest.importorskip("xarray")
    asked = {"record": ["hidden_1.u", "forward_2.w[:, 1]"], "record_trials": [0, 3, 4, 7],
             "evaluations": [2, 4, 6], **more}
    model, point = bz.Model([64, 6, 6, 10]), tmp_path / "point"
    whole = trained(model, task, **asked)

    def stop(trials, accuracy, loss):
        if trials == 6:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRun) as cut:
        trained(model, task, checkpoint=point, live=stop, **asked)
    assert cut.value.run.recorded["trained"].values.tolist() == [0, 3, 4]
    with pytest.raises(InputError, match=r"its record is \['hidden_1.u', .*this run's is None"):
        trained(model, task, checkpoint=point, **{**asked, "record": None, "record_trials": None})
    with pytest.raises(InputError, match="its record is"):
        trained(model, task, checkpoint=point, **{**asked, "record_trials": [0, 3]})
    again = trained(model, task, checkpoint=point, **asked)
    assert again.complete and again.recorded.identical(whole.recorded)
    assert all(np.array_equal(again.final[name], whole.final[name]) for name in whole.final)


def test_batches_are_recorded_too(on_batches, task):
    pytest.importorskip("xarray")
    samples = task.splits["test"]
    data = on_batches.record(["hidden_1.S", "forward_1.w[0, :]"], samples[:4])
    assert np.array_equal(data["forward_1.w[0, :]"].values[2, 5].ravel(),
                          np.asarray(on_batches.matrix("forward_1.w"))[0])
    again = trained(bz.Model([64, 6, 6, 10]), task, engine="rate", batch=4, activity="spikes",
                    record=["hidden_2.u"], record_trials=[1, 6])
    assert all(np.array_equal(on_batches.final[name], again.final[name])
               for name in on_batches.final)
    assert again.recorded["hidden_2.u"].shape == (2, 60, 6)
    with pytest.raises(InputError, match="keeps no such value"):
        on_batches.record(["hidden_1.psi"])


@pytest.mark.parametrize("text, chance", [
    ("int(rand() < p)", "clip(p, 0, 1)"),
    ("a*(int(rand() < (p)*(q)))", "a*(clip((p)*(q), 0, 1))"),
    ("int(rand() < p) + int(rand() < q*(1 + r))", "clip(p, 0, 1) + clip(q*(1 + r), 0, 1)"),
    ("int(rand() < p < q)", "int(rand() < p < q)")])
def test_a_decision_is_expected_wherever_it_stands(text, chance):
    assert in_expectation(text) == chance


@pytest.mark.parametrize("options", [{"backend": "numpy"}, {"engine": "rate", "batch": 2,
                                                            "compiled": False}],
                         ids=["spiking", "rate"])
def test_a_checkpoint_is_not_taken_up_with_other_evaluations(task, options, tmp_path):
    """Trials up to the next evaluation were left out, and the run said that it was complete."""
    def stop(done, *_):
        if done == 4:
            raise KeyboardInterrupt

    model, options = bz.Model([64, 5, 10]), {**options, "checkpoint": tmp_path / "kept"}
    with pytest.raises(InterruptedRun):
        trained(model, task, 16, evaluations=4, live=stop, **options)
    with pytest.raises(InputError, match=r"its evaluations is \[0, 4, 8, 12, 16\].*\[0, 8, 16\]"):
        trained(model, task, 16, evaluations=2, **options)
    run = trained(model, task, 16, evaluations=4, **options)
    assert run.complete and run.arrays["curve/trials"].tolist() == [0, 4, 8, 12, 16]


def test_a_checkpoint_of_another_run_is_said_before_any_seed_is_trained(task, tmp_path):
    """The first seed was trained to its end, and lost."""
    options = {"backend": "numpy", "checkpoint": tmp_path / "kept"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        trained(bz.Model([64, 5, 10]), task, 2, seed=[1], **options)
        heard = []
        with pytest.raises(InputError, match="kept-1.npz is of another run: its trials is 2"):
            trained(bz.Model([64, 5, 10]), task, 4, seed=[0, 1], **options,
                    live=lambda *told: heard.append(told))
    assert not heard


def test_a_point_of_a_run_is_that_many_trials_old(task, run):
    """It was as old as the end: `evaluate`, further training and its noise went on from there."""
    early = run.at(0)
    assert early.evaluate().after.tolist() == [0] * 6 != run.evaluate().after.tolist()
    first = run.outcomes(evaluation=0)
    few = task.replace(splits={**task.splits, "test": first.samples})
    assert np.array_equal(early.evaluate(few).decision, first.decision)  # its noise, too
    again = trained(early.model, task, 2, start=early, backend="numpy")
    assert again.meta["trials_before"] == 0


def test_a_run_without_the_weights_of_its_points_says_so(run):
    """The trained weights passed for those of the start where a network was too large."""
    large = bz.Run({k: v for k, v in run.arrays.items() if not k.startswith("snapshots/")},
                   run.units, run.meta, run.model, run.task)
    assert large.at(1).final["forward_1.w"] is not None
    with pytest.raises(InputError, match="keeps its weights at the end alone"):
        large.at(0)


def test_a_transposed_matrix_is_not_put_in_place(run):
    """It had as many numbers, which went to other synapses."""
    w = run.matrix("forward_1.w")
    same = run.with_state({"forward_1.w": w})
    assert np.array_equal(same.final["forward_1.w"], run.final["forward_1.w"])
    with pytest.raises(InputError, match=r"the shape \(64, 6\), not \(6, 64\)"):
        run.with_state({"forward_1.w": w.T})


def test_neurons_that_go_on_are_not_refractory_for_a_chunk(task, monkeypatch):
    """Each chunk starts its clock at 0: last spikes of the one before lay in the future."""
    model = bz.Model([64, 6, 10], refractory=2 * ms, state_reset=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        run = trained(model, task, 2, backend="numpy")
        whole = run.evaluate(), run.record(["hidden_1.S"], np.arange(6))["hidden_1.S"]
        monkeypatch.setattr("bioopzo.engines.spiking.feed.MOST_ROWS", 2)
        parts = run.evaluate(), run.record(["hidden_1.S"], np.arange(6))["hidden_1.S"]
    assert whole[1].values.sum() > 20 and np.array_equal(whole[1].values, parts[1].values)
    np.testing.assert_allclose(whole[0].decision, parts[0].decision)
    np.testing.assert_allclose(whole[0].rates["hidden_1"], parts[0].rates["hidden_1"])


def test_trials_that_are_recorded_with_plasticity_go_on_in_time(task):
    """All of them had the time of the first: a rate that falls with t did not fall."""
    model = bz.Model([64, 5, 10], rule="dfa", neuron="deterministic").edit({
        "forward_readout": "dw/dt = -eta_o*exp(-t/(100*ms))*xbar_pre*g_post : 1"})
    run = trained(model, task, 2, backend="numpy")
    found = run.record(["forward_2.w"], np.arange(3), plastic=True)["forward_2.w"].values
    starts = [np.array(run.network["forward_2"].w)]
    for sample in range(2):
        run.network.present(sample, plastic=True)
        starts.append(np.array(run.network["forward_2"].w))
    for trial, start in enumerate(starts):
        np.testing.assert_allclose(found[trial, 0].ravel(), start, atol=1e-9)
