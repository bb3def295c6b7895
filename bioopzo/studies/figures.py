"""Figures: one script each, made by ``bioopzo figures NAME`` or by ``python figures/NAME.py``.

A script ``figures/NAME.py`` holds

- a docstring: what the figure shows and its source;
- ``compute(parameters, jobs, progress) -> dict``: the numbers behind the figure, seeds included,
  as JSON holds them (arrays become lists). Runs with the same seeds give the same bytes, so wall
  times belong under the key ``"timing"``, which is kept beside the data and not in them;
- ``draw(data) -> Figure``: from the data as read back from JSON, ``"parameters"`` and ``"timing"``
  among them;
- ``INPUTS`` (optional): files that `compute` reads, relative to the folder of the script;
- ``if __name__ == "__main__": figures.main(__file__)``.

All parameters are in ``figures/parameters.py``: ``PARAMETERS = {NAME: {"full": {...}, "quick":
{...}}}``. A figure is ``NAME.png``, ``NAME.pdf`` and ``NAME.json`` (data, parameters, keys,
versions, command) in ``images/``, ``quick/`` (with ``--quick``) or ``changed/`` (with ``--set``).

Two keys say whether a figure is up to date. The key of the data covers what `compute` reaches in
its script, the parameters, the inputs and the package; the key of the drawing, the whole script
and ``plots.py``. Comments and docstrings do not count. Where only the drawing changed, the kept
data are drawn again.
"""

import ast
import hashlib
import importlib.metadata
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import ModuleType

from bioopzo import plots
from bioopzo.errors import BioopzoError, InputError, unknown
from bioopzo.files import write_json

FORMAT = 1
PACKAGE = Path(__file__).parent.parent
#: Files of the package that no number depends on: pictures, words, and checks that only refuse.
DRAWING = ("plots/", "show/", "studies/figures.py", "studies/notebooks.py", "studies/tables.py",
           "studies/experiments.py", "studies/events.py", "cli.py", "text/typeset.py",
           "training/live.py", "errors.py", "checks/", "lazily.py", "moved.py")
SUFFIXES = (".png", ".pdf", ".json")
DISTRIBUTIONS = ("bioopzo", "brian2", "numpy", "scipy", "sympy", "matplotlib")


def discover(folder="figures"):
    """The scripts of a folder: name -> path. Raises `InputError` where there are none."""
    folder = Path(folder)
    scripts = {path.stem: path for path in sorted(folder.glob("*.py"))
               if path.stem != "parameters" and not path.stem.startswith("_")}
    if not scripts:
        raise InputError(f"no figure scripts in {folder.resolve()}: run this in the folder of the "
                         "project (which holds figures/), or name the place with --folder")
    return scripts


def parameters(folder="figures", quick=False, changes=None, names=None):
    """The parameters of the figures `names` (default all) of a folder: name -> dict.

    `changes` replaces values by name in every figure that has the name. Raises `InputError` where
    the file is missing or cannot be read, a figure has none, no figure has the name, or the new
    value is of another kind.
    """
    path = Path(folder) / "parameters.py"
    if not path.is_file():
        raise InputError(f"{path} is missing: it holds the parameters of all figures")
    try:
        table = runpy.run_path(str(path))["PARAMETERS"]
    except Exception as problem:
        raise InputError(f"{path} cannot be used: {type(problem).__name__}: {problem}") from None
    chosen = {}
    for name in names or table:
        found = table.get(name, {})
        if set(found) != {"full", "quick"} or set(found["full"]) != set(found["quick"]):
            raise InputError(f"{path}: figure {name!r} needs the entries 'full' and 'quick' with "
                             "the same names in both")
        chosen[name] = dict(found["quick" if quick else "full"])
    for key, value in (changes or {}).items():
        having = [values for values in chosen.values() if key in values]
        if not having:
            raise unknown(f"parameter of {', '.join(chosen)}", key,
                          {name for values in chosen.values() for name in values})
        for values in having:
            values[key] = _same_kind(key, value, values[key])
    return chosen


def make(names=(), folder="figures", quick=False, jobs=1, changes=None, progress=True, say=print):
    """Make figures (default all) where they are not up to date.

    Parameters
    ----------
    names : sequence of str
    folder : path
        With the scripts; the figures go into a folder in it (see above).
    quick : bool
        Small parameters: every figure in under a minute, for a look at the whole.
    jobs : int
        Runs at a time, within a figure.
    changes : mapping, optional
        Parameters to replace, name -> value.
    say : callable
        Called with a line of text per figure.

    Returns name -> ``"made"``, ``"drawn"`` (data as they were), ``"up to date"``, or the exception
    that stopped it: then what was there before is untouched and the others are still made. Raises
    `InputError` for an unknown figure or parameter.
    """
    scripts = discover(folder)
    for name in names:
        if name not in scripts:
            raise unknown("figure", name, scripts)
    names = list(dict.fromkeys(names)) or list(scripts)
    if jobs < 1:
        raise InputError(f"jobs is a whole number of at least 1, not {jobs}")
    settings = parameters(folder, quick, changes, names)
    out = Path(folder) / ("changed" if changes else "quick" if quick else "images")
    command = " ".join(["bioopzo figures NAME", *["--quick"] * quick,
                        *(f"--set {k}={v!r}" for k, v in (changes or {}).items())])
    package, outcome = _package(), {}
    for name in names:
        begin = time.perf_counter()
        try:
            keys = _keys(scripts[name], settings[name], *package)
            outcome[name] = _make(scripts[name], settings[name], keys, out, jobs, progress,
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
            say(f"{name}: {outcome[name]}{took}: {out / name}.png, .pdf, .json")
    return outcome


def command(options):
    """What ``bioopzo figures`` does; returns the exit status."""
    import matplotlib

    matplotlib.use("Agg")
    outcome = make(options.names, options.folder, options.quick, options.jobs,
                   dict(map(_pair, options.set)), progress=sys.stderr.isatty())
    failed = {k: v for k, v in outcome.items() if isinstance(v, Exception)}
    if failed:
        raise InputError("not made: " + "; ".join(f"{name} ({_told(problem)})"
                                                  for name, problem in failed.items()))
    return 0


def main(script):
    """Make the figure of one script (its ``__file__``); options as of ``bioopzo figures``."""
    path = Path(script)
    raise SystemExit(subprocess.call([sys.executable, "-m", "bioopzo.cli", "figures", path.stem,
                                      "--folder", str(path.parent), *sys.argv[1:]]))


# ---------------------------------------------------------------------------- one figure

def _make(script, settings, keys, out, jobs, progress, command, say):
    """Make one figure where it is not up to date; what was done."""
    old = _kept(out / script.stem)
    if old and old["keys"] == keys and old["files"] == _images(out / script.stem):
        return "up to date"
    module = _load(script)
    if old and old["keys"]["data"] == keys["data"]:
        content, done = {**old, "keys": keys}, "drawn"
    else:
        say(f"{script.stem}: computing ...")
        content, done = _computed(module, settings, jobs, progress), "made"
        content = {"figure": script.stem, "about": module.__doc__.strip(), "command": command,
                   "parameters": settings, "keys": keys, **content}
        content = _plain(script, content)
    fig = module.draw({**content["data"], **{k: content[k] for k in ("parameters", "timing")}})
    _write(fig, content, out / script.stem)
    return done


def _computed(module, settings, jobs, progress):
    """The numbers, on one thread of the linear algebra: how it shares out work changes bits."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        data = dict(module.compute(dict(settings), jobs, progress))
    return {"versions": _versions(), "timing": data.pop("timing", {}), "data": data}


def _plain(script, content):
    """The content as JSON gives it back, so that first and later drawings see the same."""
    try:
        return json.loads(json.dumps(content, allow_nan=False, default=lambda x: x.tolist()))
    except (TypeError, ValueError, AttributeError) as problem:
        raise InputError(f"{script.name}: compute returned what JSON cannot hold: "
                         f"{problem}") from None


def _load(script):
    """A script as a module, from its text: Python may take an older one from its own cache."""
    module = ModuleType(f"bioopzo_figure_{script.stem}")
    module.__file__ = str(script)
    exec(compile(script.read_text(), str(script), "exec"), module.__dict__)
    for part in ("__doc__", "compute", "draw"):
        if not getattr(module, part, None):
            raise InputError(f"{script} has no {'docstring' if part == '__doc__' else part}")
    return module


def _write(fig, content, stem):
    """Write the three files: all are complete before the first takes its place."""
    import matplotlib.pyplot as plt

    stem.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=stem.parent, prefix=f".{stem.name}-") as folder:
        fresh = Path(folder) / stem.name
        plots.save(fig, fresh)
        plt.close(fig)
        content["files"] = _images(fresh)
        write_json(_beside(fresh, ".json"), content)
        for suffix in SUFFIXES:
            os.replace(_beside(fresh, suffix), _beside(stem, suffix))


def _kept(stem):
    """The content of a figure that was made before, or None."""
    try:
        content = json.loads(_beside(stem, ".json").read_text())
        return content if all(content[k] for k in ("keys", "files", "parameters", "data")) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _images(stem):
    """Digests of the images: those that do not belong to the data are drawn again."""
    return {s: _digest(_beside(stem, s).read_bytes()) for s in SUFFIXES[:2]
            if _beside(stem, s).is_file()}


# ---------------------------------------------------------------------------- keys

def _keys(script, settings, package, style):
    """What the data and the drawing of a figure depend on, as two hashes."""
    tree = _without_docstrings(script.read_text(), script)
    data = [FORMAT, ast.unparse(_reached(tree, "compute")), settings, package,
            {name: _input(script, name) for name in _inputs(tree, script)}]
    data = _digest(json.dumps(data).encode())
    return {"data": data,
            "drawing": _digest(json.dumps([data, ast.unparse(tree), style]).encode())}


def _package():
    """Digests of the package: of what numbers depend on, and of the style."""
    found = {}
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE).as_posix()
        if path.suffix == ".py":
            found[name] = ast.unparse(_without_docstrings(path.read_text(), path))
        elif path.is_file() and "__pycache__" not in path.parts:
            found[name] = _digest(path.read_bytes())
    style = _digest(json.dumps({k: v for k, v in found.items() if k.startswith("plots/")}).encode())
    return _digest(json.dumps({k: v for k, v in found.items()
                               if not k.startswith(DRAWING)}).encode()), style


def _without_docstrings(text, path):
    """The syntax tree of a source file without docstrings (comments are not in it anyway)."""
    try:
        tree = ast.parse(text)
    except SyntaxError as problem:
        raise InputError(f"{path}, line {problem.lineno}: {problem.msg}") from None
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and \
                ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _reached(tree, start):
    """The top-level statements that the function `start` needs, as a module."""
    places = {}
    for node in tree.body:
        for name in _bound(node):
            places.setdefault(name, []).append(node)
    seen, needed, todo = set(), [], [start]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            needed += places.get(name, [])
            todo += [part.id for node in places.get(name, []) for part in ast.walk(node)
                     if isinstance(part, ast.Name)]
    return ast.Module([node for node in tree.body if node in needed], [])


def _bound(node):
    """The names that a top-level statement gives a meaning."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    return [part.id for part in ast.walk(node)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]


def _inputs(tree, script):
    """The list `INPUTS` of a script, read without running it."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and _bound(node) == ["INPUTS"]:
            try:
                return [str(name) for name in ast.literal_eval(node.value)]
            except (ValueError, TypeError):
                raise InputError(f"{script}: INPUTS is a list of file names, written out") from None
    return []


def _input(script, name):
    path = script.parent / name
    if not path.is_file():
        raise InputError(f"{script.name} reads {path}, which is missing")
    return _digest(path.read_bytes())


# ---------------------------------------------------------------------------- small parts

def _pair(text):
    """``"seeds=3"`` as a name and a value."""
    name, found, value = text.partition("=")
    if not found:
        raise InputError(f"--set takes NAME=VALUE, e.g. seeds=3, not {text!r}")
    try:
        return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        return name.strip(), value.strip()


def _same_kind(key, value, old):
    """A new value, where it is of the kind of the old one; a whole number may be a fraction."""
    if isinstance(old, (list, tuple)) and isinstance(value, (list, tuple)):
        return list(value)
    number = (int, float)
    if type(value) is type(old) or (isinstance(old, float) and type(value) in number):
        return value
    raise InputError(f"parameter {key} is of the kind of {old!r}, not {value!r}")


def _told(problem):
    text = " ".join(str(problem).split())
    return text if isinstance(problem, BioopzoError) else f"{type(problem).__name__}: {text}"


def _beside(stem, suffix):
    return stem.with_name(stem.name + suffix)


def _digest(content):
    return hashlib.sha256(content).hexdigest()


def _versions():
    found = {"python": sys.version.split()[0]}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
