"""Places that cannot be written, tried before anything runs; and disks that are full later."""

import os
from pathlib import Path

from brian2 import Hz

import bioopzo as bz
from bioopzo.engines.rate.engine import Engine
from bioopzo.engines.spiking.runtime import Runtime
from bioopzo.errors import NotSaved
from bioopzo.training.search import tune_file
from faults.tools import (
    ENGINES,
    NOTHING_RAN,
    QUICK,
    content,
    fault,
    full,
    model,
    patched,
    refused,
    same,
    saved,
    script,
    shell,
    task,
    train,
    trained,
    warned,
)


def _idle(*given, **options):
    raise AssertionError("something ran")


def unwritable(here, how):
    """A place where nothing can be written, of a kind."""
    (here / "file").write_text("a file")
    (here / "folder").mkdir()
    os.mkfifo(here / "pipe")
    return {"a file for a folder": here / "file" / "run", "a folder": here / "folder",
            "a name that ends in /": f"{here}/folder/", "a pipe": here / "pipe",
            "under a file": here / "file" / "deep" / "run", "/proc": "/proc/none/run",
            "/sys": "/sys/run", "a device": "/dev/full", "nothing": "", "no path": 5,
            "a name of 300 letters": here / ("a" * 300), "a null character": "a\0b"}[how]


TRAINING = {
    "train(save=)": lambda place, **how: train(save=place, **how),
    "train(save=), rate": lambda place, **how: train("rate", save=place, **how),
    "train(checkpoint=)": lambda place, **how: train(checkpoint=place, **how),
    "train(checkpoint=), rate": lambda place, **how: train("rate", checkpoint=place, **how),
    "compare(out=)": lambda place, **how: bz.compare(
        {"mine": model()}, task(), seeds=[0], out=place, backend="numpy", **QUICK, **how),
    "sweep(out=)": lambda place, **how: bz.sweep(
        model(), task(), {"eta": [5] * Hz}, [0], out=place, backend="numpy", jobs=1, **QUICK,
        **how),
    "tune(out=)": lambda place, **how: bz.tune(
        model(), task(), trials=4, count=2, backend="numpy", out=place, progress=False, **how),
    "tune_file(path)": lambda place, **how: tune_file(
        model(), task(), place, trials=4, count=2, backend="numpy", progress=False),
    "model.save": lambda place, **how: model().save(place),
}
FILES = ("a file for a folder", "a folder", "a pipe", "/proc", "a device", "a name of 300 letters")


def _place(here, what, how):
    place = unwritable(here, how)
    before = content_but_pipe(here)
    with patched(Runtime, "run", _idle), patched(Engine, "run", _idle):
        said = refused(TRAINING[what], place)
    assert content_but_pipe(here) == before, "it left files"
    assert not Path("/dev/full").is_file()
    return said, NOTHING_RAN


def content_but_pipe(here):
    return sorted(str(path) for path in here.rglob("*"))


for what, hows in {
        "train(save=)": (*FILES, "a name that ends in /", "/sys", "under a file", "no path",
                         "a null character"),
        "train(checkpoint=)": (*FILES, "nothing"), "train(save=), rate": FILES[:1],
        "train(checkpoint=), rate": FILES[:3], "model.save": FILES[:4],
        "tune_file(path)": FILES[:4]}.items():
    for how in hows:
        word = {"model.save": "path", "tune_file(path)": "path"}.get(what, what[6:-1].rstrip(
            "), rate=").rstrip("="))
        fault("places", f"{what}: {how}", word, point=2, given=(what, how))(_place)
for what in ("compare(out=)", "sweep(out=)", "tune(out=)"):
    for how in ("a file for a folder", "under a file", "/proc"):
        fault("places", f"{what}: {how}", "out", point=2, given=(what, how))(_place)


def _other(here, word, make):
    make(here / "run.npz")
    with patched(Runtime, "run", _idle):
        return refused(train, **{word: here / "run"}), NOTHING_RAN


for word, what, make, point in (("save", "run.npz", Path.mkdir, 2),
                                ("checkpoint", "run.npz", Path.mkdir, 2),
                                ("checkpoint", "pipe", os.mkfifo, 11)):
    fault("places", f"train({word}='run'), and run.npz is a {'folder' if point == 2 else 'pipe'}",
          word, what, point=point, given=(word, make))(_other)


@fault("places", "missing folders are made, and the run is saved", "saved", point=2)
def _(here):
    train(save=here / "a" / "b" / "run")
    assert bz.Run.load(here / "a" / "b" / "run").complete
    return "saved", "the run"


def _option(here, option, name):
    (here / "file").write_text("a file")
    with patched(Runtime, "run", _idle):
        return shell("train", "--task", "xor", "--trials", 4, "--backend", "numpy", option,
                     here / "file" / name), NOTHING_RAN


for option, name, word in (("--json", "run.json", "--json"), ("--save", "run", "save")):
    fault("places", f"bioopzo train {option} in a file's place", word, point=2,
          given=(option, name))(_option)


@fault("places", "compare with a label '../../x' and out=", "../../x", point=14)
def _(here):
    out = here / "a" / "b"
    said = refused(bz.compare, {"../../x": model()}, task(), seeds=[0], out=out, backend="numpy",
                   **QUICK)
    assert not [path for path in here.rglob("*") if path.is_file()]
    return said, NOTHING_RAN


@fault("places", "tune_file: a data file that is no JSON", "tuned", "tuned.json", point=7)
def _(here):
    (here / "tuned.json").write_text("{ no")
    with patched(Runtime, "run", _idle):
        said = refused(tune_file, model(), task(), here / "tuned.json", trials=4, count=2,
                       backend="numpy", progress=False)
    assert (here / "tuned.json").read_text() == "{ no"
    return said, "the file, as it was"


# ---------------------------------------------------------------------------- full disks

@fault("full disk", "when the finished run is saved", "No space left", "run", "saved at",
       "instead", point=2)
def _(here):
    (here / "out").mkdir()
    with full(here / "out"):
        try:
            train(save=here / "out" / "run")
        except NotSaved as problem:
            told = problem
    assert told.run.complete and same(told.run, trained())
    place = str(told).partition("it is saved at ")[2].partition(" instead")[0]
    assert same(bz.Run.load(place), trained())
    for path in Path(place).parent.iterdir():
        path.unlink()
    Path(place).parent.rmdir()
    assert not list((here / "out").iterdir()), "half a file"
    return str(told), "the run, in .run and in a temporary folder"


@fault("full disk", "when a finished run replaces another", "No space left", point=2)
def _(here):
    saved(here)
    before = content(here)
    with full(here), patched(bz.Run, "save", _saved_here_only(here)):
        said = refused(train, seed=9, save=here / "run")
    assert content(here) == before
    return said, "the former run, and the new one in .run"


def _saved_here_only(here):
    """A `save` that finds no other place either."""
    inner = bz.Run.save

    def save(run, place):
        if here not in Path(place).parents:
            raise OSError(28, "No space left on device")
        return inner(run, place)
    return save


for engine in ENGINES:
    @fault("full disk", f"when a checkpoint is written, {engine} engine", "checkpoint",
           "No space left", point=3, given=(engine,))
    def _(here, engine):
        with full(here, after=1):
            said, run = warned(train, engine, checkpoint=here / "point")
        assert run.complete and same(run, trained(engine))
        with_checkpoint = train(engine, checkpoint=here / "point")
        assert same(with_checkpoint, run)
        return said, "the run, and the checkpoint before"


@fault("full disk", "in a sweep: its runs are in the result", "No space left", "saved at", point=2)
def _(here):
    with full(here):
        said, found = warned(bz.sweep, model(), task(), {"eta": [5, 6] * Hz}, [0], out=here,
                             backend="numpy", jobs=1, **QUICK)
    assert found.test_loss.notnull().all()
    return said, "the runs, in the result and in temporary folders"


@fault("full disk", "/dev/full as the disk of a comparison's table", "No space left", point=2)
def _(here):
    with full(here, after=2):  # the two files of the run
        said = refused(bz.compare, {"mine": model()}, task(), seeds=[0], out=here,
                       backend="numpy", own=OSError, **QUICK)
    assert bz.Run.load(here / "mine-0").complete
    return said, "the runs"


@fault("full disk", "RLIMIT_FSIZE of 2 kB in a process", "save", "File too large", quick=False,
       point=2)
def _(here):
    process = script("""
        import logging, resource
        logging.raiseExceptions = False  # Brian2's own file in TMPDIR
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
        try:
            bz.train(bz.Model([4, 3, 2]), task, trials=4, backend="numpy", evaluations=1,
                     save=here + "/run", progress=False)
        except bz.errors.InputError as problem:
            print(problem)
    """, here)
    output, _ = process.communicate(timeout=100)
    assert not list(here.glob("run*"))
    return output, NOTHING_RAN
