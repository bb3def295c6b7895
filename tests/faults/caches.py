"""The cache of compiled networks: damaged, emptied, not to be written; and broken compilers.

One program of a small network is made once, and every fault has a copy of that cache.
"""

import contextlib
import errno
import json
import os
import shutil
import signal
import tempfile
import time
from functools import cache
from pathlib import Path

import bioopzo as bz
from bioopzo.engines.spiking import backends, kept
from faults.files import cut, emptied, flipped, garbled
from faults.tools import content, fault, model, patched, refused, same, script, task, warned

HOW = dict(trials=12, evaluations=1, evaluation_trials=2, backend="standalone", progress=False)


def compiled(**options):
    return bz.train(options.pop("of", None) or model(), task(), **{**HOW, **options})


@contextlib.contextmanager
def environment(**values):
    """Within this context variables of the environment are others."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: str(value) for name, value in values.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@cache
def template():
    """A cache with the program of the small network in it, and the run that it gives."""
    folder = tempfile.TemporaryDirectory(prefix="bioopzo-faults-cache-")
    with environment(BIOOPZO_CACHE=folder.name):
        return folder, compiled()


@contextlib.contextmanager
def cached(here):
    """A cache of the fault's own; gives the folder of the program in it."""
    folder, _ = template()
    shutil.copytree(folder.name, here / "cache")
    with environment(BIOOPZO_CACHE=here / "cache"):
        yield next((here / "cache" / "builds").glob("[!.]*"))


def _program(here, name, damage):
    with cached(here) as place:
        damage(place / name)
        said, run = warned(compiled)
        assert same(run, template()[1]), "another result"
        assert kept.sound(place)
        quiet, _ = warned(compiled)
        assert "damaged" not in quiet, "it does not heal"
    return said, "the run, and a sound program"


for name in ("main", "manifest.json", kept.LIST):
    for done, damage in {"cut in half": cut, "with a bit flipped": flipped, "garbled": garbled,
                         "empty": emptied, "gone": Path.unlink}.items():
        fault("cache", f"{name} of a program {done}", "is damaged and is built again",
              "cache/builds", "BIOOPZO_CACHE", point=8, quick=False, given=(name, damage))(_program)


@fault("cache", "a base cut in half: an edited text is compiled as a whole", point=8, quick=False)
def _(here):
    with cached(here):
        for path in (here / "cache" / "bases").glob("*/unit0.o"):
            cut(path)
        run = compiled(of=model().edit(psi="psi = p : 1"))
    assert run.complete
    return "no word: it costs time alone", "the run"


@fault("cache", "half of an entry, left by a build that was killed", point=8, quick=False)
def _(here):
    with cached(here) as place:
        left = place.parent / ".made-left"
        left.mkdir()
        (left / "main").write_bytes(b"half")
        os.utime(left, (time.time() - 2 * kept.LEFT_S,) * 2)
        run = compiled(of=model().edit(psi="psi = 2*p : 1"))
        assert run.complete and not left.exists()
    return "no word: it is removed after a day", "the run"


@fault("cache", "emptied in mid-run", point=1, quick=False)
def _(here):
    with cached(here):
        run = compiled(live=lambda *_: shutil.rmtree(here / "cache", ignore_errors=True))
    assert same(run, template()[1])
    return "no word: it is built again", "the run"


@fault("cache", "a file in the place of its folder", "cannot be kept", "BIOOPZO_CACHE", point=8,
       quick=False)
def _(here):
    (here / "cache").write_text("a file")
    with environment(BIOOPZO_CACHE=here / "cache"):
        said, run = warned(compiled)
    assert same(run, template()[1]) and (here / "cache").read_text() == "a file"
    return said, "the run, and the file"


for number in ("ENOSPC", "EROFS", "EACCES"):
    @fault("cache", f"that cannot be written ({number})", "cannot be kept", "cache/builds",
           os.strerror(getattr(errno, number)), "BIOOPZO_CACHE", point=8, quick=False,
           given=(getattr(errno, number),))
    def _(here, number):
        copy = shutil.copy2

        def refuses(source, target, **how):
            if here in Path(target).parents:
                raise OSError(number, os.strerror(number), str(target))
            return copy(source, target, **how)

        with cached(here) as place, patched(shutil, "copy2", refuses):
            shutil.rmtree(place)
            said, run = warned(compiled)
        assert same(run, template()[1])
        return said, "the run"


@fault("cache", "/proc for a cache", "cannot be kept", "/proc/none", "BIOOPZO_CACHE", point=8,
       quick=False)
def _(here):
    with environment(BIOOPZO_CACHE="/proc/none"):
        said, run = warned(compiled)
    assert same(run, template()[1])
    return said, "the run"


COMPILERS = {"that refuses": "echo out of cheese >&2; exit 1", "that writes nothing": "exit 0",
             "that is killed": "kill -9 $$"}


@contextlib.contextmanager
def compiler(here, script):
    """A g++ of our own, and an empty cache."""
    (here / "bin").mkdir()
    path = here / "bin" / "g++"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    with environment(PATH=f"{here / 'bin'}:{os.environ['PATH']}",
                     BIOOPZO_CACHE=here / "empty"):
        yield


def _asked(here, script):
    with compiler(here, script):
        return refused(compiled), "-"


def _unasked(here, script):
    with compiler(here, script), patched(backends, "WORTH_COMPILING", 10):
        said, run = warned(compiled, backend=None)
    assert run.complete and run.meta["backend"] == "numpy"
    return said, "the run, on numpy"


for done, text in COMPILERS.items():
    fault("compiler", f"one {done}, backend='standalone'", "g++", point=8, quick=False,
          given=(text,))(_asked)
    fault("compiler", f"one {done}, nobody asked for it", "g++", "on numpy", "backend='numpy'",
          point=8, quick=False, given=(text,))(_unasked)


@fault("compiler", "none at all, backend='standalone'", "g++", "backend='numpy'", point=8)
def _(here):
    with environment(PATH=str(here), BIOOPZO_CACHE=here / "empty"):
        return refused(compiled), "-"


@fault("compiler", "none at all, but the program is kept", point=8, quick=False)
def _(here):
    with cached(here), environment(PATH=str(here)):
        assert same(compiled(), template()[1])
    return "no word: none is needed", "the run"


def _other(here, text):
    with cached(here) as place:
        _replaced(place, f"#!/bin/sh\n{text}\n")
        return refused(compiled), "-"


for done, text, point, *says in (
        ("crashes (SIGSEGV)", "kill -11 $$", 8, "stopped with code -11"),
        ("says something and exits 0", "echo not what it should >&2", 1, "stopped with code 0",
         "not what it should"),
        ("writes half of its outcome", "head -c 100 /dev/zero > $2/chunk.out", 1, "chunk.out",
         "less than it should"),
        ("writes nothing and exits 0", "exit 0", 1, "no outcome")):
    fault("cache", f"a program that {done}", *says, *["main"] * ("chunk.out" not in says),
          point=point, quick=False, given=(text,))(_other)


def _replaced(place, text):
    """Put another program into an entry, with its checksum."""
    (place / "main").write_text(text)
    (place / kept.LIST).write_text(json.dumps(
        {name: kept._state(place / name) for name in ("main", "manifest.json")}))


@fault("cache", "killed (SIGKILL) while it is built: the next run builds it", quick=False, point=8)
def _(here):
    process = script(f"""
        open(here + "/reached", "w").close()
        bz.train(bz.Model([4, 3, 2]), task, **{HOW!r})
    """, here, BIOOPZO_CACHE=str(here / "empty"))
    while not (here / "reached").exists():
        time.sleep(0.01)
    time.sleep(1.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    with environment(BIOOPZO_CACHE=here / "empty"):
        said, run = warned(compiled)
    assert same(run, template()[1]) and "damaged" not in said
    assert content(here / "empty" / "builds")
    return said or "no word", "the run"


@fault("cache", "BuildError in mid-run keeps what was done", "stopped with code 3", "saved at",
       point=3, quick=False)
def _(here):
    with cached(here) as place:
        def live(trials, accuracy, loss):
            if not trials:
                _replaced(place, "#!/bin/sh\nexit 3\n")

        said = refused(compiled, live=live, save=here / "run")
        assert not bz.Run.load(here / "run").complete
    return said, "what was done, marked incomplete"
