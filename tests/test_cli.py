"""The command line as a user meets it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bioopzo import neurons, rules, tasks
from bioopzo.cli import main
from bioopzo.registry import listed

ROOT = Path(__file__).parents[1]


@pytest.fixture
def small_task(monkeypatch):
    """The command line sees an XOR with 8 held-out trials, so that numpy is quick."""
    full = tasks.get("xor")
    small = full.replace(splits={k: v[:8] for k, v in full.splits.items()})
    monkeypatch.setattr("bioopzo.cli._task", lambda name: small)


def test_rules_and_tasks_are_listed(capsys):
    assert main(["rules"]) == 0 and main(["tasks"]) == 0
    out = capsys.readouterr().out
    for name in [*rules.available(), *tasks.available()]:
        assert name in out


def test_lists_load_none_of_what_is_slow():
    """Each list was two seconds of loading Brian2."""
    code = ("import sys\nfrom bioopzo.cli import main\n"
            "for command in ('rules', 'neurons', 'tasks', 'data'):\n    assert main([command]) == 0"
            "\nslow = 'brian2 jax scipy matplotlib sympy sklearn tonic'.split()\n"
            "print('loaded:', [name for name in slow if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"
    assert "opzo " in done.stdout and "logistic " in done.stdout and "digits " in done.stdout


@pytest.mark.parametrize("folder, function, returns, arguments", [
    (rules, "rule", "Rule", (2,)), (neurons, "neuron", "Neuron", ())], ids=["rules", "neurons"])
def test_a_list_says_what_the_things_themselves_say(folder, function, returns, arguments):
    """It is read from their files' text."""
    found = listed(folder.__name__, function, returns)
    assert [entry.name for entry in found] == list(folder.available())
    for entry in found:
        made = folder.get(entry.name, *arguments)
        assert (entry.about, entry.source) == (made.summary, made.source)
        assert entry.options == {name: str(default)
                                 for name, default in folder.options(entry.name).items()}


def test_a_list_of_tasks_says_what_they_are():
    found = listed("bioopzo.tasks")
    assert {entry.name: entry.about for entry in found} == tasks.summary()
    assert [list(entry.options) for entry in found] == [list(tasks.options(e.name)) for e in found]


def test_a_file_that_computes_what_it_says_is_listed_by_its_docstring(tmp_path, monkeypatch):
    package = tmp_path / "shelf"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('a list loads no package')\n")
    (package / "_piece.py").write_text("def rule(depth):\n    'A piece.'\n")
    (package / "other.py").write_text("def helper():\n    'No rule.'\n")
    (package / "made.py").write_text(
        "def rule(depth, scale=2*3, *, word='a', flag=None):\n    'A rule.\\n\\nMore.'\n"
        "    return make('made', depth)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    entry, = listed("shelf", "rule", "Rule")
    assert (entry.name, entry.about, entry.source) == ("made", "A rule.", "")
    assert entry.options == {"scale": "2 * 3", "word": "a", "flag": "None"}


def test_train_writes_the_figures_as_json(small_task, tmp_path, capsys):
    path = tmp_path / "run.json"
    status = main(["train", "--task", "xor", "--rule", "dfa", "--trials", "3", "--seed", "5",
                   "--backend", "numpy", "--hidden", "5", "--set", "tau_m=12*ms", "--set",
                   "eta=2*Hz", "--json", str(path)])
    assert status == 0
    found = json.loads(path.read_text())
    for key in ("test_accuracy", "trials", "seed", "backend", "wall_s", "build_s"):
        assert key in found
    assert (found["trials"], found["seed"], found["backend"]) == (3, 5, "numpy")
    assert found["parameters"]["tau_m"] == "12. ms"
    assert "dfa on xor" in capsys.readouterr().out


def test_train_in_the_rate_engine(small_task, tmp_path, capsys):
    path = tmp_path / "run.json"
    arguments = ["train", "--task", "xor", "--rule", "bp", "--engine", "rate", "--epochs", "2",
                 "--batch", "4", "--activity", "deterministic", "--optimizer", "momentum", "--rate",
                 "0.5", "--hidden", "5", "--set", "dropout=0.1", "--json", str(path),
                 "--checkpoint", str(tmp_path / "checkpoint")]
    assert main(arguments) == 0
    found = json.loads(path.read_text())
    assert found["engine"] == "rate" and found["epochs"] == 2
    assert found["settings"]["activity"] == "deterministic"
    assert found["settings"]["optimizer"]["rate"] == 0.5
    assert (tmp_path / "checkpoint.npz").exists()
    assert "bp on xor" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, says", [
    (["train", "--task", "digit"], ["digit", "digits"]),
    (["train", "--task", "xor", "--rule", "opz"], ["opz", "opzo"]),
    (["train", "--task", "xor", "--set", "taum=3"], ["taum", "tau_m"]),
    (["train", "--task", "xor", "--set", "tau_m=3"], ["tau_m", "second"]),
    (["train", "--task", "xor", "--set", "tau_m"], ["NAME=VALUE"]),
    (["train", "--task", "xor", "--set", "tau_m=3*msec"], ["msec"]),
    (["train", "--task", "xor", "--hidden", "a,b"], ["--hidden"]),
    (["train", "--task", "xor", "--set", "rule=bp"], ["--set rule=", "with --rule"]),
    (["train", "--task", "xor", "--set", "neuron=alif"], ["--set neuron=", "with --neuron"]),
    (["train", "--task", "xor", "--set", "sizes=[4,5,2]"], ["--set sizes=", "with --hidden"]),
    (["results", "--pages", "nosuch.md"], ["no page nosuch.md"]),
    (["results", "mnist", "--pages", "nosuch/deep.md"], ["no page nosuch/deep.md"]),
    (["train", "--task", "xor", "--trials", "0"], ["trials"]),
    (["results", "digit"], ["digit", "digits_4000"]),
    (["train", "--task", "xor", "--engine", "rates"], ["rates", "spiking"]),
    (["train", "--task", "xor", "--batch", "4"], ["batch", "engine='rate'"]),
    (["train", "--task", "xor", "--engine", "rate", "--activity", "spike"], ["spike", "spikes"]),
    (["train", "--task", "xor", "--engine", "rate", "--optimizer", "adam"], ["adam", "adamw"]),
])
def test_bad_input_is_one_line_and_status_2(arguments, says, capsys):
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "Traceback" not in message
    for word in says:
        assert word in message


def test_compare_draws_and_saves(small_task, tmp_path, capsys):
    assert main(["compare", "--task", "xor", "--rules", "bp,readout_only", "--seeds", "2",
                 "--trials", "2", "--hidden", "4", "--backend", "numpy", "--out", str(tmp_path),
                 "--json", str(tmp_path / "all.json")]) == 0
    rows = json.loads((tmp_path / "all.json").read_text())["rows"]
    assert [r["label"] for r in rows] == ["bp", "readout_only"]
    assert all(len(r["scores"]) == 2 and r["sd"] is not None for r in rows)
    assert (tmp_path / "learning_curves.png").stat().st_size > 5000
    assert (tmp_path / "bp-1.npz").exists()
    assert "95 % interval" in capsys.readouterr().out


def test_the_test_command_of_the_readme_is_the_one_ci_runs():
    text = (ROOT / "README.md").read_text()
    block = re.search(r"<!-- test command -->\n```\w*\n(.*?)```", text, re.S)
    assert block and "pytest" in block[1] and len(block[1].strip().splitlines()) == 1


def test_what_is_right_can_be_kept_back(tmp_path):
    """With --reward-only an action is taken and paid; the loss is less the mean reward."""
    out = tmp_path / "run.json"
    assert main(["train", "--task", "xor", "--reward-only", "--trials", "2", "--evaluations", "1",
                 "--evaluation-trials", "4", "--backend", "numpy", "--json", str(out),
                 "--save", str(tmp_path / "saved")]) == 0
    found = json.loads(out.read_text())
    assert found["task"] == "xor_reward" and all(-1 <= loss <= 0 for loss in found["curve"]["loss"])
    script = tmp_path / "alone.py"
    assert main(["export", str(tmp_path / "saved.npz"), "brian2", str(script)]) == 0
    assert "hidden_1 = NeuronGroup(" in script.read_text()


def test_a_sweep_of_which_every_run_is_missing_says_why(tmp_path, capsys):
    """It ended in a KeyError."""
    assert main(["sweep", "--task", "xor", "--rule", "dfa", "--set", "eta_o=1e307,1e308*Hz",
                 "--seeds", "1", "--trials", "9", "--evaluations", "1", "--evaluation-trials", "2",
                 "--jobs", "1", "--backend", "numpy", "--out", str(tmp_path / "sw")]) == 2
    assert "all 2 runs are missing: " in capsys.readouterr().err
