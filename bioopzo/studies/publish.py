"""The machine that makes figures and tables of results: once, whole or not at all.

A study (see `study`) is kept as ``NAME.json`` (data, parameters, keys, versions, command), with
``NAME.png`` and ``NAME.pdf`` where its script draws. It is made where its keys (see `keys`) are not
those that it was made with; where only the drawing changed, the kept data are drawn again.
"""

import inspect
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from bioopzo import plots
from bioopzo.errors import BioopzoError, InputError, unknown
from bioopzo.files import writable, write_json
from bioopzo.studies.content import IMAGES, beside, flat, images, kept, read
from bioopzo.studies.keys import FORMAT, keys
from bioopzo.studies.study import load
from bioopzo.versions import versions

#: The outcome where a key said nothing about what changed.
OLDER = "made (its key was of an older scheme)"


def named(names, studies, what):
    """The `studies` (name -> `Study`) called `names`, default all.

    Raises `InputError` for an unknown one; `what` it is called there.
    """
    for name in names:
        if name not in studies:
            raise unknown(what, name, studies)
    return {name: studies[name] for name in names or studies}


def make(studies, parameters, out, command, jobs=1, progress=True, say=print):
    """Make `studies` where they are not up to date.

    Parameters
    ----------
    studies : mapping name -> Study
    parameters : mapping name -> dict
        Those of every study (see `study.chosen`).
    out : path
        The folder of the files.
    command : str
        What makes such a study, NAME in place of its name.
    jobs : int
        Runs at a time, within a study.
    progress : bool
        Whether bars are shown.
    say : callable
        Called with a line of text per study.

    Returns name -> ``"made"`` or `OLDER`, ``"drawn"`` (data as they were), ``"up to date"``, or the
    exception that stopped it: then what was there before is untouched and the others are still
    made. Raises `InputError` for no jobs.
    """
    if jobs < 1:
        raise InputError(f"jobs is a whole number of at least 1, not {jobs}")
    out, outcome = Path(out), {}
    for name, study in studies.items():
        begin = time.perf_counter()
        try:
            outcome[name] = _make(study, parameters[name], out / name, jobs, progress,
                                  command.replace("NAME", name), say)
        except KeyboardInterrupt:
            raise
        except Exception as problem:
            outcome[name] = problem
            if not isinstance(problem, BioopzoError):  # a mistake in a script: show where
                traceback.print_exc()
            say(f"{name}: NOT made: {_told(problem)}")
        else:
            took = f" in {time.perf_counter() - begin:.0f} s" * (outcome[name] != "up to date")
            files = ", ".join([*images(out / name), ".json"])
            say(f"{name}: {outcome[name]}{took}: {out / name}{files}")
    return outcome


def place(folder, usual, quick=False, changes=None):
    """Where studies are kept in `folder`: `usual`, or apart if `quick` or with `changes`."""
    return Path(folder) / ("changed" if changes else "quick" if quick else usual)


def line(command, quick=False, changes=None):
    """The `command` with the options that say `quick` and `changes`."""
    return " ".join([command, *["--quick"] * quick,
                     *(f"--set {k}={v!r}" for k, v in (changes or {}).items())])


def failures(outcome):
    """Raise `InputError` with all that was not made, going by an `outcome` of `make`."""
    failed = {k: v for k, v in outcome.items() if isinstance(v, Exception)}
    if failed:
        raise InputError("not made: " + "; ".join(f"{name} ({_told(problem)})"
                                                  for name, problem in failed.items()))


def redraw(study, stem):
    """Draw a kept study again, from its data as they are; also one from before there were keys.

    `stem` is its path without ending. Raises `InputError` where nothing is kept there, or the
    script of `study` draws nothing.
    """
    source = beside(stem, ".json")
    if not source.is_file():
        raise InputError(f"{source} is missing: it holds the numbers to draw")
    _open_no_window()
    module = load(study.script)
    fig = _drawn(module, read(source))
    if fig is None:
        raise InputError(f"{stem.name} has no figure, only numbers")
    _write(fig, {**json.loads(source.read_text()), "about": _about(study, module)}, stem)


# ---------------------------------------------------------------------------- one study

def _make(study, parameters, stem, jobs, progress, command, say):
    """Make one study where it is not up to date; what was done."""
    now, old = keys(study.script, parameters), kept(stem)
    if old and old["keys"] == now and old["files"] == images(stem):
        return "up to date"
    writable("out", stem.parent, stem.name)  # said before hours of computing
    _open_no_window()
    module, done = load(study.script), "drawn"
    if old and old["keys"].get("format") == FORMAT and old["keys"]["data"] == now["data"]:
        content = {**old, "keys": now, "about": _about(study, module)}
    else:
        older = bool(old) and old["keys"].get("format", 1) < FORMAT
        done = OLDER if older else "made"
        say(f"{stem.name}: computing ..." + " (its key is of an older scheme)" * older)
        content = _plain(study.script, {
            "name": stem.name, "about": _about(study, module), "command": command,
            "parameters": parameters, "keys": now,
            **_computed(module, parameters, stem, now["code"], jobs, progress)})
    _write(_drawn(module, flat(content)), content, stem)
    return done


def _about(study, module):
    """What a study says of itself: of a figure, what is drawn in it now."""
    return study.about or module.__doc__.strip()


def _drawn(module, content):
    """The figure, or None where there is none."""
    return module.draw(content) if hasattr(module, "draw") else None


def _computed(module, parameters, stem, code, jobs, progress):
    """The numbers, on one thread of the linear algebra: how it shares out work changes bits."""
    from threadpoolctl import threadpool_limits  # imports numpy, which not every command needs

    options = {}
    if "saved" in inspect.signature(module.compute).parameters:
        options["saved"] = stem.parent / "runs" / code[:12] / stem.name
    with threadpool_limits(1):
        data = dict(module.compute(dict(parameters), jobs, progress, **options))
    return {"versions": versions(), "timing": data.pop("timing", {}), "data": data}


def _plain(script, content):
    """The content as JSON gives it back, so that first and later drawings see the same."""
    try:
        return json.loads(json.dumps(content, allow_nan=False, default=lambda x: x.tolist()))
    except (TypeError, ValueError, AttributeError) as problem:
        raise InputError(f"{script.name}: compute returned what JSON cannot hold: "
                         f"{problem}") from None


def _write(fig, content, stem):
    """Write all files of a study: all are complete before the first takes its place."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=stem.parent, prefix=f".{stem.name}-") as folder:
        fresh = Path(folder) / stem.name
        if fig is not None:
            _save(fig, fresh)
        if "keys" in content:
            content["files"] = images(fresh)
            write_json(beside(fresh, ".json"), content)
        for suffix in (*IMAGES, ".json"):
            if beside(fresh, suffix).is_file():
                os.replace(beside(fresh, suffix), beside(stem, suffix))


def _open_no_window():
    """Draw into files only, unless somebody draws already."""
    if "matplotlib.pyplot" not in sys.modules:
        import matplotlib  # takes a part of a second

        matplotlib.use("Agg")


def _save(fig, stem):
    import matplotlib.pyplot as plt  # takes a good part of a second

    plots.save(fig, stem)
    plt.close(fig)


# ---------------------------------------------------------------------------- small parts

def _told(problem):
    text = " ".join(str(problem).split())
    return text if isinstance(problem, BioopzoError) else f"{type(problem).__name__}: {text}"
