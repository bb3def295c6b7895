"""A task in a file of the user's own: known like a built-in one, refused with its line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from brian2 import Hz, ms

import bioopzo as bz
from bioopzo import tasks
from bioopzo.cli import main
from bioopzo.engines.rate.engine import Engine
from bioopzo.errors import InputError, ModelWarning
from bioopzo.network.clock import shape_of, time_course
from bioopzo.tasks.trials import Task, consecutive_splits, gate, one_hot
from bioopzo.training.guards import warn_of_chance
from bioopzo.training.start import initial_weights

OWN = '''"""Which of two inputs is the stronger?"""

import numpy as np
from brian2 import ms

from bioopzo.tasks import Task, consecutive_splits, gate, one_hot


def own(samples=40, seed=0):
    """Say which of two currents is the stronger.

    More of it is said here.
    """
    inputs = np.random.default_rng(seed).uniform(0, 1, (samples, 2))
    labels = inputs.argmax(axis=1)
    return Task(name="own", inputs=inputs, targets=one_hot(labels, 2), labels=labels,
                mask=gate("own", 20*ms, 1*ms, 5*ms), duration=20*ms, dt=1*ms, hidden=(4,),
                splits=consecutive_splits(train=samples - 8, validation=4, test=4))
'''


@pytest.fixture
def write(tmp_path):
    """Write a task's file; returns its path."""
    def written(text=OWN, name="own.py"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return written


def test_an_added_task_is_known_with_its_options(write):
    assert tasks.add(write()) == "own"
    assert "own" in tasks.available() and "digits" in tasks.available()
    assert tasks.options("own") == tasks.defaults("own") == {"samples": 40, "seed": 0}
    assert tasks.summary()["own"] == "Say which of two currents is the stronger."
    task = tasks.get("own", samples=24)
    assert task.samples == 24 and task.hidden == (4,) and len(task.splits["train"]) == 16
    with pytest.raises(InputError, match="unknown option of task own 'sampels'.*'samples'"):
        tasks.get("own", sampels=3)
    with pytest.raises(InputError, match="unknown task 'owm'.*did you mean 'own'"):
        tasks.get("owm")
    with pytest.raises(InputError, match=re.escape("task=bioopzo.tasks.add('own.py')")):
        tasks.get("own.py")


def test_a_copy_of_a_built_in_file_makes_the_same_task(write):
    text = Path(tasks.__file__).with_name("xor.py").read_text()
    name = tasks.add(write(text.replace("def xor(", "def mine("), "mine.py"))
    np.testing.assert_array_equal(tasks.get(name).inputs, tasks.xor().inputs)


def test_a_file_is_not_asked_for_its_task_before_it_is_needed(write):
    name = tasks.add(write(OWN.replace("    inputs =", "    assert samples > 50\n    inputs =")))
    with pytest.raises(InputError, match="line 14, 'assert samples > 50': AssertionError"):
        tasks.get(name)
    assert tasks.get(name, samples=60).samples == 60


@pytest.mark.parametrize("text, says", [
    ("def own()\n    pass\n", ["line 1", "SyntaxError", "def own()"]),
    ("x = 1/0\n", ["line 1", "ZeroDivisionError"]),
    ("def task():\n    pass\n", ["no function own(option=default, ...)"]),
    ("def own(size):\n    pass\n", ["option 'size' of own needs a default"]),
])
def test_a_faulty_file_is_refused_with_its_line(write, text, says):
    path = write(text)
    with pytest.raises(InputError) as caught:
        tasks.add(path)
    for word in [str(path), *says]:
        assert word in str(caught.value)
    assert "own" not in tasks.available()


def test_what_a_file_returns_is_checked(write):
    name = tasks.add(write("def own():\n    return 3\n"))
    with pytest.raises(InputError, match=r"own\(\) must return a bioopzo.tasks.Task, not 3"):
        tasks.get(name)
    assert tasks.summary()[name] == ""


@pytest.mark.parametrize("path, says", [
    ("missing.py", "the task file"), ("xor.py", "built-in task is called 'xor'"),
    ("my-task.py", "e.g. my_task.py"), (3, "a task is added by the path of its file")])
def test_a_name_that_cannot_be_used_is_refused(tmp_path, path, says):
    with pytest.raises(InputError, match=re.escape(says)):
        tasks.add(tmp_path / path if isinstance(path, str) else path)


def test_the_command_line_takes_files(write, tmp_path, capsys):
    path = str(write())
    common = ["--rule", "bp", "--engine", "rate", "--trials", "8", "--batch", "4", "--json",
              str(tmp_path / "found.json")]
    assert main(["train", "--task", path, "--task-set", "samples=24", *common]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["task"] == "own" and found["sizes"] == [2, 4, 2]
    capsys.readouterr()
    assert main(["train", "--task", str(tmp_path / "missing.py"), *common]) == 2
    assert "cannot be read" in capsys.readouterr().err


# ---- a task without parameters ------------------------------------------------------------------

def few_digits():
    """The digits with few of them held out."""
    task = tasks.digits()
    return task.replace(splits={**task.splits, "test": task.splits["test"][:10]})


def digits(**changes):
    """The digits as a task of the user's own would be."""
    task = tasks.digits()
    return task.replace(name="own digits", parameters={}, **changes)


def test_a_network_takes_its_regime_from_the_trials():
    task = tasks.digits()
    model = bz.Model([64, 32, 32, 10])
    built_in, own, louder = (dict(model.for_task(t).parameters) for t in (
        task, digits(), digits(inputs=1000*task.inputs)))
    assert own == built_in  # where the defaults come from
    assert louder == {**own, "input_gain": 0.001, "eta": louder["eta"]}
    wide = bz.Model([64, 100, 100, 10], eta=7*Hz).for_task(digits()).parameters
    assert wide["eta"] == 7*Hz and wide["eta_o"] == 0.32*own["eta_o"]
    silent = model.for_task(digits(inputs=0*task.inputs)).parameters
    assert silent["input_gain"] == 1 and silent["eta"] == own["eta"]


@pytest.mark.parametrize("coding", ["current", "poisson", "spikes"])
def test_drive_is_as_wide_as_the_threshold_is_high(coding):
    """Within a quarter, in one layer, whatever the inputs' number and how they are given."""
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 0.02 if coding == "spikes" else 3, (200, 150))
    inputs = (rng.random((200, 60, 150)) < x[:, None]).astype(np.uint8) if coding == "spikes" else x
    labels = rng.integers(2, size=200)
    task = Task("own", inputs, one_hot(labels, 2), labels, gate("own", 60*ms, 1*ms, 20*ms),
                consecutive_splits(160, 20, 20), coding)
    model = bz.Model([150, 200, 2], rule="readout_only", b=0).for_task(task)
    model = model.edit({"hidden.reset": "xbar += 1\ncount += 1"})
    engine = Engine(model, shape_of(task, 2), time_course(model, task), "spikes", compiled=False)
    engine.put(initial_weights(model, np.random.default_rng(6)))
    shown = inputs[:100].swapaxes(0, 1) if coding == "spikes" else inputs[:100]
    u = engine.trial(shown, task.targets[:100], record=("hidden_1.u",))["hidden_1.u"]
    assert 0.75 < u[30:].std() < 1.25


def test_runs_say_where_learning_rates_were_not_tuned(capsys):
    task = digits(splits=few_digits().splits)
    model = bz.Model([64, 6, 10], rule="dfa")
    run = bz.train(model, task, trials=2, evaluations=1, evaluation_trials=2, backend="numpy")
    assert "not tuned for own digits" in repr(run) and run.meta["untuned"] == ["eta", "eta_o"]
    told = "".join(capsys.readouterr())
    assert "dfa: eta and eta_o were not tuned for own digits, as bioopzo tune does" in told
    models = {"mine": model.replace(eta=1*Hz, eta_o=1*Hz), "default": model}
    result = bz.compare(models, task, seeds=[0], trials=2, evaluations=1, progress=False,
                        backend="numpy")
    line = ("learning rates not tuned for this task (bioopzo tune): default, the others are: the "
            "comparison is not fair")
    assert repr(result).splitlines()[-1] == line and line in result._repr_html_()
    tuned = bz.train(model, few_digits(), trials=2, evaluations=1, backend="numpy",
                     progress=False)
    control = bz.train(bz.Model([64, 6, 10], rule="readout_only"), few_digits(), trials=2,
                       evaluations=1, backend="numpy", progress=False)
    assert not control.meta["untuned"]  # it has no use for eta
    assert not tuned.meta["untuned"] and "not tuned" not in repr(tuned)


def test_silence_and_chance_are_said():
    task = digits()
    quiet = bz.Model([64, 6, 10], rule="dfa", b=-5, eta=1*Hz, eta_o=1*Hz)
    with pytest.warns(ModelWarning, match=r"hidden_1 fires at 0 Hz before it learns.*raise its "
                                          "drive b"):
        bz.train(quiet, task, trials=2, evaluations=1, backend="numpy", progress=False)
    still = bz.Model([64, 6, 10], rule="dfa", eta=0*Hz, eta_o=0*Hz)
    with pytest.warns(ModelWarning, match="dfa has learned nothing on own digits in 1000 trials: "
                                          r"[\d.]{1,3} % of .* right in 1\d %.*eta_o are 0"):
        bz.train(still, task, engine="rate", optimizer="sgd", batch=100, trials=1000,
                 evaluations=1, progress=False)


def test_who_has_learned_nothing_is_told_a_share_and_why():
    """All of 100 % was "1e+02 %"."""
    task = few_digits()
    one = task.replace(splits={**task.splits, "test": task.splits["test"][:1]})
    for given, says in (({"eta": 0*Hz}, "smaller learning rates"),
                        ({"eta": 0*Hz, "eta_o": 0*Hz}, "; eta and eta_o are 0, so"),
                        ({"settings": {"batch": 16}}, "; 312 batches are few: more epochs")):
        run = bz.Run(meta={"rule": "dfa", "split": "test", "test_accuracy": 1.0,
                           "settings": given.pop("settings", {}),
                           "trials_done": 5000, "rates_hz": {"hidden_1": 20.0}},
                     model=bz.Model([64, 6, 10], **{"rule": "dfa", **given}))
        with pytest.warns(ModelWarning, match=f": 100 % of held-out .* right in 100 %.*{says}"):
            warn_of_chance(run, one)
