"""Some of the faults of `faults`, tried again at every change; all: ``python -m tests.faults``."""

import pytest
from faults import command
from faults.tools import FAULTS, Fault, tried

#: Kinds of which a few stand for all: the whole table takes minutes.
SOME = [one for number, one in enumerate(FAULTS) if one.quick and one.kind != "cache"
        and (number % 8 == 0 or one.kind in ("values", "shell text"))]


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
    assert {one.point for one in FAULTS} >= set(range(1, 16)) - {10}
