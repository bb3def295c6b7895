"""A task in a file of the user's own: known like a built-in one, refused with its line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from bioopzo import tasks
from bioopzo.cli import main
from bioopzo.errors import InputError

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
