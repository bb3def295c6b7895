"""Files that are damaged, foreign, of another run or of another version."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
from brian2 import Hz

import bioopzo as bz
from bioopzo import held
from bioopzo.errors import InputError
from bioopzo.training.saving import save_incomplete
from faults.tools import (
    content,
    fault,
    model,
    patched,
    refused,
    same,
    saved,
    task,
    train,
    trained,
    warned,
)


def cut(path):
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def flipped(path):
    found = bytearray(path.read_bytes())
    found[len(found) // 2] ^= 1
    path.write_bytes(found)


def garbled(path):
    path.write_bytes(bytes(range(256)) * 8)


def emptied(path):
    path.write_bytes(b"")


def foreign(path):
    with open(path, "wb") as file:
        np.savez(file, x=np.arange(3))


def with_pickle(path):
    with open(path, "wb") as file:
        np.savez(file, said=np.array([{"a": 1}], dtype=object))


def other_zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "no arrays")


def piped(path):
    path.unlink()
    os.mkfifo(path)


def as_folder(path):
    path.unlink()
    path.mkdir()


DAMAGE = {"cut in half": cut, "with a bit flipped": flipped, "garbled": garbled, "empty": emptied,
          "gone": Path.unlink, "another package's": foreign, "with a pickle in it": with_pickle,
          "a zip of something else": other_zip, "a pipe": piped, "a folder": as_folder}


def _run(here, how):
    saved(here)
    DAMAGE[how](here / "run.npz")
    before = content(here)
    said = refused(bz.Run.load, here / "run")
    assert content(here) == before
    return said, "the other file"


for how in DAMAGE:
    fault("a run's files", f".npz {how}", "run.npz", point=12, given=(how,))(_run)


def _copy(here, how):
    saved(here)
    DAMAGE[how](here / "run.json")
    said, run = warned(bz.Run.load, here / "run")
    assert same(run, trained()) and run.test_accuracy == trained().test_accuracy
    return said or "read without a word", "the whole run"


for how in ("cut in half", "garbled", "empty", "another package's", "a pipe", "a folder"):
    fault("a run's files", f".json {how}", "run.json", point=12, given=(how,))(_copy)


@fault("a run's files", ".json gone: the .npz is the whole run", point=12)
def _(here):
    saved(here)
    (here / "run.json").unlink()
    said, run = warned(bz.Run.load, here / "run")
    assert same(run, trained()) and run.model.digest == trained().model.digest
    return said or "read without a word", "the whole run"


@fault("a run's files", "halves of two runs swapped", "one.json", "another run's", point=15)
def _(here):
    saved(here, "one")
    train(seed=9, save=here / "two")
    one, two = here / "one.json", here / "two.json"
    text = one.read_text()
    one.write_text(two.read_text())
    two.write_text(text)
    said, run = warned(bz.Run.load, here / "one")
    assert same(run, trained()) and run.meta["seed"] == trained().meta["seed"]
    assert warned(bz.Run.load, here / "two")[1].meta["seed"] == 9
    return said, "both runs, each as its arrays are"


@fault("a run's files", "killed between the two files of a second save", "one.json", point=15)
def _(here):
    saved(here, "one")
    before = (here / "one.json").read_text()
    train(seed=9, save=here / "one")
    (here / "one.json").write_text(before)
    said, run = warned(bz.Run.load, here / "one")
    assert run.meta["seed"] == 9 and run.complete
    return said, "the new run"


@fault("a run's files", "a JSON that is a list, beside old arrays", "run.npz", point=12)
def _(here):
    saved(here)
    foreign(here / "run.npz")
    (here / "run.json").write_text("[1, 2]")
    return refused(bz.Run.load, here / "run"), "-"


@fault("a run's files", "a newer format", "format 99", "reads 2", point=12)
def _(here):
    with patched(held, "FORMAT", 99):
        saved(here)
    return refused(bz.Run.load, here / "run"), "the file"


@fault("a run's files", "another rule's model set on a loaded run", "readout_only", "opzo",
       point=12)
def _(here):
    run = bz.Run.load(saved(here))
    run.model, run.task = model(rule="readout_only").for_task(task()), task()
    return warned(run.evaluate)[0], "the run"


@fault("a run's files", "a model of another size set on a loaded run", "[4, 7, 2]", point=12)
def _(here):
    run = bz.Run.load(saved(here))
    run.model, run.task = bz.Model([4, 7, 2]).for_task(task()), task()
    return refused(run.evaluate), "the run"


@fault("a run's files", "a loaded run whose task is not known", "task", point=12)
def _(here):
    return refused(bz.Run.load(saved(here)).evaluate), "the run"


@fault("a run's files", "a loaded run with its model and task set evaluates", point=12)
def _(here):
    run = bz.Run.load(saved(here))
    run.task = task()
    assert np.array_equal(run.evaluate().loss, trained().evaluate().loss)
    return "the same losses", "the run"


@fault("a run's files", "code in the words of a run", point=12)
def _(here):
    run = bz.Run(dict(trained().arrays), trained().units, {
        **trained().meta, "rule": "__import__('os').system('touch /tmp/bioopzo-pwned')"},
        trained().model, trained().task)
    repr(bz.Run.load(run.save(here / "run")))
    assert not Path("/tmp/bioopzo-pwned").exists()
    return "read as text", "the run"


# ---------------------------------------------------------------------------- checkpoints

def _checkpoint(here, how, engine):
    run = train(engine, checkpoint=here / "point")
    DAMAGE[how](here / "point.npz")
    before = content(here)
    try:  # a bit may be one that nobody reads
        assert same(run, train(engine, checkpoint=here / "point"))
        return "point.npz: the same bits", "the run"
    except InputError:
        assert content(here) == before
    said = refused(train, engine, checkpoint=here / "point")
    assert content(here) == before
    return said, "the file, as it was"


for engine in ("spiking", "rate"):
    for how in DAMAGE:
        fault("checkpoints", f"{engine}: {how}", "point.npz", point=1,
              given=(how, engine))(_checkpoint)


@fault("checkpoints", "of another seed", "seed", "point.npz", "another")
def _(here):
    train(checkpoint=here / "point")
    return refused(train, seed=7, checkpoint=here / "point"), "the checkpoint"


@fault("checkpoints", "of the other engine", "point.npz")
def _(here):
    train(checkpoint=here / "point")
    return refused(train, "rate", checkpoint=here / "point"), "the checkpoint"


@fault("checkpoints", "a run's file for a checkpoint", "run.npz")
def _(here):
    saved(here)
    return refused(train, checkpoint=here / "run.npz"), "the run"


@fault("checkpoints", "a newer format", "format")
def _(here):
    from bioopzo.training import checkpoint

    with patched(checkpoint, "CHECKPOINT_FORMAT", 99):
        train(checkpoint=here / "point")
    return refused(train, checkpoint=here / "point"), "the checkpoint"


# ---------------------------------------------------------------------------- others

def _model(here, how):
    path = model().save(here / "model.json")
    DAMAGE[how](path)
    return refused(bz.Model.load, path), "-"


for how in ("cut in half", "garbled", "empty", "gone", "another package's", "a pipe", "a folder"):
    fault("a model's file", how, "model.json", point=12, given=(how,))(_model)


@fault("a model's file", "a JSON that is a list", "model", point=12)
def _(here):
    (here / "model.json").write_text("[]")
    return refused(bz.Model.load, here / "model.json"), "-"


@fault("a model's file", "a class that is none of ours", "cannot be read", point=12)
def _(here):
    path = model().save(here / "model.json")
    found = json.loads(path.read_text())
    found["rule"] = {"is": "Popen", "fields": {"args": "true"}}
    path.write_text(json.dumps(found))
    return refused(bz.Model.load, path), "-"


@fault("a model's file", "an array of 10^12 numbers", point=12)
def _(here):
    path = model().save(here / "model.json")
    found = json.loads(path.read_text())
    found["sizes"] = {"array": "AAAA", "dtype": "<f8", "shape": [10**12]}
    path.write_text(json.dumps(found))
    return refused(bz.Model.load, path), "-"


@fault("finished runs", "one that ends early beside a finished one", "incomplete", point=5)
def _(here):
    saved(here)
    before = content(here)
    run = bz.Run(dict(trained().arrays), trained().units, {**trained().meta, "complete": False})
    place = save_incomplete(run, here / "run")
    assert {name: content(here)[name] for name in before} == before
    return f"saved at {place.name}", "both"


@fault("finished runs", "a sweep's file that is cut is computed again, the other is not", point=5)
def _(here):
    given = (model(), task(), {"eta": [5, 6] * Hz}, [0], None, here)
    how = dict(backend="numpy", jobs=1, trials=2, evaluations=1, evaluation_trials=2,
               progress=False)
    first = bz.sweep(*given, **how)
    other, one = (here / f"{name}.npz" for name in first.run.values.ravel())
    before = other.stat().st_mtime_ns
    cut(one)
    again = bz.sweep(*given, **how)
    assert again.drop_vars("wall_s").identical(first.drop_vars("wall_s"))
    assert other.stat().st_mtime_ns == before and bz.Run.load(one).complete
    return "the same Dataset", "the run that was whole"
