"""Results are studies of the same machine as figures; their files and the README agree."""

import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from brian2 import Hz, ms

from bioopzo import plots, tasks
from bioopzo.cli import main
from bioopzo.errors import InputError, MissingData
from bioopzo.measures import rate as gradients
from bioopzo.model import Model
from bioopzo.studies import (
    cifar,
    content,
    hardware,
    imports,
    keys,
    publish,
    rate,
    results,
    study,
    tables,
)
from bioopzo.studies.comparison import models_of
from bioopzo.studies.discrete import discrete
from bioopzo.studies.quantities import with_units
from bioopzo.training.compare import compare
from bioopzo.training.tuned import tuned_parameters

ROOT = Path(__file__).parents[1]
DATA = ROOT / "figures" / "data"


@pytest.fixture
def few(monkeypatch):
    """Every task is a few digits, in 60 time steps, so that numpy is quick."""
    return _few(monkeypatch, tasks.digits(), (5,))


@pytest.fixture
def brief(monkeypatch):
    """Every task is a few digits in six time steps."""
    return _few(monkeypatch, discrete("digits"), (6, 5))


def _few(monkeypatch, task, hidden):
    small = task.replace(splits={name: members[:4] for name, members in task.splits.items()},
                         hidden=hidden)
    monkeypatch.setattr("bioopzo.tasks.get", lambda name, **options: small)
    return small


def made(name, out, **changes):
    """Make one quick result silently; its content as tables read it."""
    outcome = results.make([name], out, True, 1, changes, progress=False, say=lambda line: None)
    assert outcome == {name: "made"}, outcome
    return content.read(out / f"{name}.json")


def test_a_result_says_the_parameters_that_were_used(few, tmp_path):
    """Not the untuned defaults: the rates that the runs had."""
    models = {"bp": {}, "opzo, fast": {"eta_hz": 77.0}}
    found = made("digits_4000", tmp_path, models=models, trials=2, evaluations=1, seeds=1)
    for label, rule, given in (("bp", "bp", {}), ("opzo, fast", "opzo", {"eta": "77. Hz"})):
        model = Model([64, *few.hidden, 10], rule=rule)
        tuned = {k: str(v) for k, v in tuned_parameters("digits", model).items()}
        assert tuned["eta"] != str(model.parameters["eta"])
        assert {**tuned, **given}.items() <= found["models"][label].items()
    assert [row["label"] for row in found["rows"]] == list(models)
    assert set(found["timing"]["runs"]["bp"]) == {"build_s", "wall_s"}
    assert not {"build_s", "wall_s"} & set(found["rows"][0])
    assert found["sizes"]["bp"] == [64, *few.hidden, 10] and found["splits"]["test"] == 4
    table = results.table("digits_4000", found)
    assert table.count("\n") == 3 and table.count("| - | 1 (3000) |") == 2 and "nan" not in table
    assert (tmp_path / "digits_4000.png").read_bytes()[:4] == b"\x89PNG"


def test_runs_of_the_rate_engine_are_saved_and_taken_as_they_are(brief, tmp_path, monkeypatch):
    changes = {"epochs": 1, "models": {"opzo, plain": {"form": "plain"}, "bp": {}},
               "common": {"batch": 8}}
    first = made("mnist_noise", tmp_path, **changes)
    assert first["engine"] == "rate" and first["models"]["bp"]["gain"] == "2.0"
    assert first["settings"]["bp"]["activity"] == "deterministic"
    saved = sorted((tmp_path / "runs").glob("*/mnist_noise/*.npz"))
    assert [path.stem for path in saved] == ["bp-1000", "bp-1001", "opzo, plain-1000",
                                           "opzo, plain-1001"]

    def no(*arguments, **options):
        raise AssertionError("a saved run was trained again")

    monkeypatch.setattr("bioopzo.training.runs.train_group", no)
    (tmp_path / "mnist_noise.json").unlink()
    again = made("mnist_noise", tmp_path, **changes)
    assert {k: v for k, v in again.items() if k != "timing"} == {
        k: v for k, v in first.items() if k != "timing"}
    part = results.make(["mnist_noise"], tmp_path, True, 1, changes, ["bp"], False, print)
    found = content.read(tmp_path / "mnist_noise.json")
    assert part == {"mnist_noise": "made"} and list(found["models"]) == ["bp"]
    assert found["command"].endswith("--only 'bp'")


def test_a_model_of_a_study_may_be_an_edited_one(few):
    models = models_of({"models": {"bp": {}, "bp, mean psi": cifar.MEAN_PSI}},
                       tasks.get("digits"), dropout=0.2)
    edited = models["bp, mean psi"]
    assert "delta = mean_psi*g : 1" in str(edited.diff()) and edited.dropout == 0
    assert edited.parameters["tau_psi"] == 300*ms and models["bp"].edits == ()


def test_local_zo_sets_accuracy_beside_the_operations_of_learning(brief, tmp_path):
    found = made("local_zo", tmp_path, epochs=1, seeds=1, models={
        "bp, 1 sample": {"surrogate": "localzo", "delta_z": 0.2}},
        common={"batch": 4, "compiled": False})
    few = found["sparsity"]["bp, 1 sample"]
    assert set(few["share"]) == {"hidden_1", "hidden_2"}
    assert 0 < few["operations"][0] < 0.6 * few["dense"][0]
    head, _, row = results.table("local_zo", found).splitlines()
    assert "neurons with psi (share), layer 2 | operations of learning (share of all) |" in head
    assert f"{few['operations'][0] / few['dense'][0]:.3f}" in row.split("|")[-2]


def test_what_is_read_off_trained_networks_takes_the_runs_of_the_other_result(brief, tmp_path,
                                                                              monkeypatch):
    for name, batches in (("update_angle", 1), ("gradient_variance", 2), ("alignment", 2)):
        monkeypatch.setattr(gradients, name, partial(getattr(gradients, name), batches=batches))
    models = {"opzo": {}, "opzo, LL": {"local": True}, "bp": {}}
    quick = dict(epochs=1, seeds=1, models=models, common={"batch": 4, "compiled": False})
    made("mnist", tmp_path, **quick)
    saved = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/mnist/*.npz")}
    found = made("mnist_gradients", tmp_path, **quick)
    assert saved and saved == {path: path.stat().st_mtime_ns
                               for path in (tmp_path / "runs").rglob("*.npz")}
    assert set(found["timing"]["cost"]) == set(models)
    assert "| opzo, noise on |" in results.table("mnist_gradients", found)
    head, _, *rows = results.table("mnist_gradients", found, "costs").splitlines()
    cells = {row.split("|")[1].strip(): row.split("|")[2:-1] for row in rows}
    assert head.endswith("| ms a training trial (wall) |") and head.count("|") == 10
    assert float(cells["opzo"][-2]) == 0
    share = found["rates_hz"]["opzo, LL"]  # of 6 and 5 neurons, each with ten local readouts
    local = 6e-3 * 10 * (6*share["hidden_1"] + 5*share["hidden_2"])
    assert sum(found["local_operations"]["opzo, LL"].values()) == pytest.approx(local, rel=1e-3)
    assert not (tmp_path / "mnist_gradients.png").exists()


def test_an_architecture_has_the_regime_and_the_seeds_of_its_study(brief, tmp_path, monkeypatch):
    """And where noise hides J, the table says nothing of it."""
    monkeypatch.setattr(gradients, "alignment", lambda run, seed: {1: (np.nan, np.nan)})
    found = made("cifar10", tmp_path, models={"opzo": {}}, network="8x8-AP2-2C3-10",
                 first_seed=1007, seeds=1, regime={"mu": 7.0, "T_w_ms": 2.0},
                 common={"batch": 4}, settings={}, measure="alignment")
    assert float(found["models"]["opzo"]["mu"]) == 7
    assert found["models"]["opzo"]["T_w"].startswith("2. m")
    assert found["rows"][0]["seeds"] == [1007]
    assert found["alignment"] == {"opzo": {"1": {"cosine": [None], "ratio": [None]}}}
    assert results.table("cifar10", found).splitlines()[-1].endswith("| - |")


def test_a_study_is_discrete_or_shows_validation_trials_and_says_so():
    discrete_one = rate._task(results.RATE["digits_scalar"].parameters["full"])
    assert discrete_one.name == "discrete_digits" and discrete_one.steps == 6
    given = {"task": "digits", "task_options": {}}
    whole, chosen = rate._task(given), rate._task({**given, "on_validation": True})
    assert np.array_equal(chosen.splits["test"], whole.splits["validation"])
    assert np.array_equal(chosen.splits["train"], whole.splits["train"])
    assert len(whole.splits["test"]) and not len(chosen.splits["validation"])
    told = content.read(DATA / "cifar10_choices.json")
    assert "| validation accuracy (%) |" in results.table("cifar10_choices", told)


def test_a_large_network_sees_a_part_of_a_pass_and_shows_its_loss(brief, tmp_path, monkeypatch):
    monkeypatch.setattr(gradients, "alignment", lambda run, seed, batches: {
        1: (0.5, float(batches))})
    monkeypatch.setattr(gradients, "update_angle", lambda run, seed, batches: {
        "forward_1.w": (float(batches), 0.0)})
    found = made("cifar10_papers_network", tmp_path, models={"dfa": {}}, seeds=1, regime={},
                 network="8x8-AP4-5-10", trials=8, evaluations=[4, 8], held_out=3,
                 common={"batch": 4, "compiled": False}, measure="angle",
                 batches={"angle": 1, "alignment": 7})
    told = found["curves"]["dfa"]
    assert told["held_out"] == [3, 3, 3] and told["trials"] == [0, 4, 8]
    assert found["alignment"]["dfa"]["1"]["ratio"] == [7.0] and found["angle"]["dfa"] == {"1": [1]}
    head, _, row = results.table("cifar10_papers_network", found, "loss").splitlines()
    assert head.endswith("| 0 | 1 | 2 |") and f"| {told['loss'][0][2]:.3f} |" in row
    assert (tmp_path / "cifar10_papers_network.png").read_bytes()[:4] == b"\x89PNG"


def test_numbers_that_do_not_say_their_parameters_are_drawn():
    """Those made before a result told them, such as N-MNIST's: this raised a KeyError."""
    told = content.read(DATA / "mnist.json")
    del told["parameters"]
    assert rate.draw(told).axes and "| test accuracy" in rate.table(told)


def test_a_network_is_fine_tuned_under_noise_at_the_rate_that_validation_chose(
        brief, tmp_path, monkeypatch):
    """Every rule begins with the same network, whose accuracy under the noise is shown beside."""
    chosen = dict(network="8x8-AP4-5-10", regime={}, seeds=1, trials=8, rates=[0.001, 0.5],
                  models={"bp": {}, "readout_only": {}}, noise=[0.1, 3.0],
                  common={"batch": 4, "rate": 0.01, "compiled": False})
    found = made("cifar10_hardware", tmp_path, **chosen)
    told = found["search"]["bp"]
    assert [rate for rate, _ in told["validation"]] == [0.001, 0.5]
    assert told["rate"] == max(told["validation"], key=lambda pair: (pair[1], -pair[0]))[0]
    assert found["seeds"] == [1000] and set(found["noise"]) == {"0.1", "3.0"}
    assert all(set(one["tuned"]) == {"bp", "readout_only"} for one in found["noise"].values())
    table = results.table("cifar10_hardware", found)
    assert f"| 0 | {100 * found['intact'][0]:.2f} |" in table and "| *rate found* |" in table
    saved = {path.parent.name for path in (tmp_path / "runs").rglob("*.npz")}
    assert saved == {"test", "validation", "tuned"}
    # Where it was stopped it goes on: no network is fine-tuned twice.
    (tmp_path / "cifar10_hardware.json").unlink()
    monkeypatch.setattr(hardware, "train", None)
    assert made("cifar10_hardware", tmp_path, **chosen)["noise"] == found["noise"]


def test_by_reward_only_there_is_the_mean_reward_too(few, tmp_path):
    found = made("digits_reward", tmp_path, models={"reinforce": {}, "readout_only": {}}, trials=2,
                 evaluations=1, seeds=1)
    assert found["task"] == "digits_reward"
    reward = -found["curves"]["reinforce"]["loss"][0][-1]
    assert 0 <= reward <= 1
    assert f"| {reward:.3f} | 1 (3000) |" in results.table("digits_reward", found)
    assert (tmp_path / "digits_reward.png").read_bytes()[:4] == b"\x89PNG"


def test_what_reward_alone_teaches_needs_hidden_neurons():
    """What a weighted sum of the inputs can do, by least squares, and one of their products.

    Of two features the sum is right where they agree, or where the one that counts is the stronger.
    """
    for name, most in (("two_choice", 0.79), ("bandit", 0.6)):
        full = results.RESULTS[name].parameters["full"]
        task = tasks.get(full["task"], **full["task_options"])
        x, y = task.inputs - 0.5, 2*task.labels - 1.0
        x = x.reshape(len(x), -1, 5).mean(axis=2)  # every five neurons say the same
        products = np.concatenate([x, *(x[:, [k]]*x for k in range(x.shape[1]))], axis=1)
        found = []
        for features in (x, products):
            weights = np.linalg.lstsq(features[:4000], y[:4000], rcond=None)[0]
            found.append(((features[4000:] @ weights > 0) == (y[4000:] > 0)).mean())
        assert found[0] < most and found[1] > 0.85, (name, found)


def test_signs_are_counted_at_every_evaluation(tmp_path, monkeypatch):
    """None is wrong under Dale's law; a free network of the same start has some. Few trials."""
    def briefly(models, task, seeds, **others):
        return compare({name: model.edit(eta=300*Hz, eta_o=300*Hz)
                        for name, model in models.items()}, task, seeds=seeds, trials=4,
                       evaluations=1, evaluation_trials=2, backend="numpy", progress=False)

    monkeypatch.setattr("bioopzo.training.compare.compare", briefly)
    found = made("dales_law", tmp_path, rules=["opzo"], seeds=1)
    kept, free = (found["signs"][f"opzo, {kind}"] for kind in ("Dale's law", "free"))
    assert kept["wrong"] == [0] and free["wrong"][0] > 0
    assert kept["synapses"] == free["synapses"] == sum(
        sum(found["weights"]["opzo, free"][name]["start"]) for name in ("E", "I"))
    assert "| opzo | Dale's law |" in results.table("dales_law", found)
    assert (tmp_path / "dales_law.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("arguments, says", [
    (["digits_400"], "unknown result 'digits_400' (did you mean 'digits_4000'?)"),
    (["digits_4000", "--only", "bp"], "only experiments of the rate engine"),
    (["mnist", "--only", "bpp"], "label of mnist 'bpp' (did you mean 'bp'?)"),
    (["digits_4000", "--set", "trial=3"], "'trial' (did you mean 'trials'?)"),
    (["digits_4000", "--set", "trials=many"], "parameter trials"),
    (["digits_4000", "--jobs", "0"], "jobs"),
    (["digits_4000", "--draw"], "digits_4000.json is missing"),
])
def test_unknown_names_and_values_are_named(tmp_path, capsys, arguments, says):
    assert main(["results", *arguments, "--out", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert says in message and message.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_computed(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["results", "digits_4000", "--quick", "--out", str(tmp_path / "file")]) == 2
    out, err = capsys.readouterr()
    assert "computing" not in out and "Traceback" not in err
    assert "nothing can be written to out=" in err


def test_rates_are_searched_on_other_trials_and_seeds(tmp_path):
    """The one with the best score on the validation split; the table says which it was."""
    found = made("store_recall", tmp_path, hidden=[4], seeds=1,
                 models={"readout_only": {"neuron": "alif", "tau_a_ms": 50.0}})
    told = found["search"]["readout_only"]
    assert [rate for rate, _ in told["validation"]] == [3e-3, 1e-2]
    best = max(told["validation"], key=lambda pair: (pair[1], -pair[0]))[0]
    assert told["rate"] == best
    assert [row["seeds"] for row in found["rows"]] == [[1000]]
    assert f"| {best:g} |" in results.table("store_recall", found)
    runs, = (tmp_path / "runs").iterdir()
    assert (runs / "store_recall" / "search" / "0.003" / "readout_only-0.json").is_file()
    saved = json.loads((runs / "store_recall" / "readout_only-1000.json").read_text())
    assert f'"rate": {best:g}' in json.dumps(saved)


def test_results_are_listed(capsys):
    assert main(["results"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(
        results.RESULTS)


@pytest.mark.parametrize("name", results.RESULTS)
def test_every_result_is_complete(name):
    result = results.RESULTS[name]
    module, full, quick = (study.load(result.script), *result.parameters.values())
    assert module.table and set(full) == set(quick) and full != quick
    assert json.loads(json.dumps(full)) == full  # plain, units in the names
    if "models" not in full:
        return
    try:
        task = tasks.get(full["task"], **with_units(full["task_options"]))
    except MissingData:
        pytest.skip(f"no data of {full['task']} here")
    for model in module.models_of(full, task).values():
        model.for_task(task)


def test_numbers_depend_on_no_table_and_no_picture():
    for name in ("digits_4000", "mnist", "nmnist_simulation"):
        script = results.RESULTS[name].script
        tree = keys.statements(imports.parsed(script.read_text(), script), "compute")
        found = set(imports.reached(tree))
        assert not {"studies/tables.py", "studies/curves.py", "studies/results.py",
                    "studies/publish.py", "cli.py"} & found
        assert not [place for place in found if place.startswith(("plots/", "show/"))]


@pytest.mark.parametrize("told, head", [(tables.scores, "held-out accuracy"),
                                       (tables.accuracies, "test accuracy")])
def test_a_table_tells_differences_seed_by_seed_where_there_are_seeds_enough(told, head):
    """Scores that spread widely and differ by a little on every seed: 1 to 3 points."""
    def rows(seeds):
        theirs = np.linspace(0.5, 0.9, seeds)
        return [{"label": label, "measure": "test_accuracy", "scores": scores,
                 "mean": np.mean(scores), "interval95": 0.2, "seeds": list(range(seeds)),
                 "rates_hz": {}, "untrained_rates_hz": {}, "difference": difference,
                 "difference95": half} for label, scores, difference, half in (
                     ("opzo", theirs, None, None), ("bp", theirs + 0.02, 0.02, 0.01))]
    four, five = ({"rows": rows(seeds), "dt_ms": 1.0} for seeds in (4, 5))
    assert head in told(four) and "minus" not in told(four)
    table = told(five).splitlines()
    assert "| minus opzo, 95 % interval |" in table[0]
    bp, opzo = table[2:]
    assert re.search(r"^\| bp .*\| \+1\.00? to \+3\.00? \|", bp) and " to +" not in opzo


def test_a_share_of_steps_is_that_of_the_task_s_steps():
    """A step of 10 ms counted as one of 1 ms: a share of .26 was printed as .03."""
    row = {"label": "opzo", "scores": [0.5], "mean": 0.5, "seeds": [1], "rates_hz": {"a": 26.0}}
    for dt_ms, share in ((1.0, "0.03"), (10.0, "0.26")):
        assert f"| {share} |" in tables.accuracies({"rows": [row], "dt_ms": dt_ms})


def test_the_order_of_the_rules_is_that_of_their_style():
    """Of those that the digits compare: others have studies of their own."""
    rules = list(dict.fromkeys(label.split(",")[0] for label in results.RIVALS))
    assert rules == [rule for rule in plots.RULE_STYLE if rule in rules] and len(rules) == 8


# ---------------------------------------------------------------------------- kept files

def test_a_file_from_before_there_were_keys_is_drawn_and_read(tmp_path):
    shutil.copy(DATA / "poisson.json", tmp_path)
    before = (tmp_path / "poisson.json").read_bytes()
    assert main(["results", "poisson", "--draw", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "poisson.json").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {
        "poisson.json", "poisson.png", "poisson.pdf"}
    shutil.copy(DATA / "nmnist_simulation.json", tmp_path)
    with pytest.raises(InputError, match="only numbers"):
        publish.redraw(results.SIMULATION, tmp_path / "nmnist_simulation")


def test_the_tables_of_the_pages_are_those_of_the_data_files(tmp_path):
    """No number in a table of a page that a command did not write."""
    pages = {path.name: path.read_text() for path in
             [ROOT / "README.md", *(ROOT / "docs" / "results").glob("*.md")]}
    marker = r"<!-- table: \w+(?::\w+)? -->\n"
    there = sum(len(re.findall(marker, text)) for text in pages.values())
    assert there > 30
    for name, text in pages.items():
        (tmp_path / name).write_text(re.sub(rf"({marker}).*?(<!-- end -->)", r"\1\2", text,
                                            flags=re.S))
    assert there == sum(len(re.findall(f"{marker}<!-- end -->", path.read_text()))
                        for path in tmp_path.iterdir())  # every one is empty
    assert main(["results", "--pages", str(tmp_path), "--out", str(DATA)]) == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == pages
