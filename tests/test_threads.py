"""Trainings in several threads give what they give one by one, and leave the user's numbers be."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import bioopzo as bz

NUMPY, RATE = dict(backend="numpy"), dict(engine="rate", batch=2)
KINDS = {"spiking": (NUMPY, NUMPY), "rate": (RATE, RATE), "mixed": (NUMPY, RATE)}


@pytest.fixture(scope="module")
def task():
    full = bz.tasks.xor()
    return full.replace(splits={split: members[:8] for split, members in full.splits.items()})


def trained(task, seed, how, **more):
    """Two trainings of the spiking engine have another text each, those of the other share one."""
    rule = ("opzo", "dfa")[seed % 2] if "backend" in how else "dfa"
    return bz.train(bz.Model([4, 3, 2], rule=rule, dropout=0.2), task, **{
        "trials": 8, "evaluations": 2, "evaluation_trials": 2, "seed": seed, "progress": False,
        **how, **more})


def same(one, other):
    assert one.arrays.keys() == other.arrays.keys()
    for name, value in one.arrays.items():
        assert np.array_equal(value, other.arrays[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_two_threads_give_what_they_give_one_by_one(task, kind):
    """The two take turns: neither may go on before the other has come as far."""
    whole = [trained(task, seed, how) for seed, how in enumerate(KINDS[kind])]
    meeting = threading.Barrier(2, timeout=60)
    before = np.random.get_state()
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda seed: trained(
            task, seed, KINDS[kind][seed], live=lambda *_: meeting.wait()), range(2)))
    for one, other in zip(whole, found):
        same(one, other)
    assert all(np.array_equal(old, new) for old, new in zip(before, np.random.get_state()))


@pytest.mark.compiled
def test_so_do_a_compiled_program_and_another(task):
    hows = [dict(backend="standalone"), NUMPY]
    whole = [trained(task, seed, how) for seed, how in enumerate(hows)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda seed: trained(task, seed, hows[seed]), range(2)))
    for one, other in zip(whole, found):
        same(one, other)


@pytest.mark.parametrize("how", [NUMPY, RATE], ids=["spiking", "rate"])
def test_numbers_drawn_meanwhile_are_those_of_the_users_seed(task, how):
    """By another thread, or by a function of the user's that training calls."""
    expected = np.random.RandomState(5).rand(400)
    np.random.seed(5)
    drawn = [np.random.rand() for _ in range(10)]
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(trained, task, 0, how, live=lambda *_: drawn.append(np.random.rand()))
        while not job.done() and len(drawn) < 390:
            drawn.append(np.random.rand())
            threading.Event().wait(0.002)
        job.result()
    assert len(drawn) > 15 and np.array_equal(sorted(drawn), sorted(expected[:len(drawn)]))
    np.random.seed(0)  # as it was
