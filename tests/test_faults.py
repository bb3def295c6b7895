"""Some of the faults of `faults`, tried again at every change; all: ``python -m tests.faults``."""

import pytest
from faults import command
from faults.tools import FAULTS, Fault, tried

#: Those that were lost or wrong once, and what nothing is trained for: the whole takes minutes.
ONCE = ("halves of two runs", "killed between", "files a JSON that is a list",
        "files a newer format", "files .npz another package's", ".json garbled",
        "another rule's model", "a model of another size",
        "run.npz is a", "save=): a pipe", "checkpoint=): a device", "save=): a null character",
        "out=): /proc", "finished run is saved", "finished run replaces", "is written, spiking",
        "one diverging model", "mid-comparison", "no JSON", "interrupted: its message",
        "at one moment", "silent recordings")
SOME = [one for one in FAULTS if one.quick and (one.kind in ("values", "shell text", "code") or any(
    words in f"{one.kind} {one.done}" for words in ONCE))]


@pytest.mark.parametrize("fault", SOME, ids=lambda one: f"{one.kind}: {one.done}")
def test_a_fault_is_handled(fault, tmp_path):
    outcome = tried(fault, tmp_path)
    assert not outcome.wrong, outcome.said


def lost(here):
    raise AssertionError("gone")


@pytest.mark.parametrize("what, wrong", [
    (lambda here: ("", "-"), "says nothing"), (lambda here: ("other words", "-"), "does not say"),
    (lambda here: 1 / 0, "raw ZeroDivisionError"), (lost, "lost or wrong: gone"),
    (lambda here: ("culprit: Traceback (most recent call last)", "-"), "a traceback"),
    (lambda here: ("culprit", "-"), "")])
def test_the_judge_sees_what_it_is_to_judge(what, wrong, tmp_path):
    found = tried(Fault("a kind", "a deed", ("culprit",), what), tmp_path)
    assert wrong in found.wrong and bool(wrong) == bool(found.wrong)
    row = command.written([found], ".md").splitlines()[-1]
    assert row.startswith("| a kind | a deed") and ("handled" in row) == (not wrong)


def test_there_are_many_faults():
    assert len(FAULTS) > 200
    assert {one.point for one in FAULTS} >= set(range(1, 16))
    assert all(any(words in f"{one.kind} {one.done}" for one in SOME) for words in ONCE)
