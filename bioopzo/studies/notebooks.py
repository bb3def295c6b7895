"""The notebooks' parameters, and their execution from the command line and the tests.

A notebook names its parameters once, at the top; a quick run and the command line change them
through the environment, so that the notebook itself stays as it was written:

    BIOOPZO_QUICK=1                      the values for a quick run
    BIOOPZO_SET="trials=500 seeds=2"     single values
"""

import ast
import importlib
import importlib.resources
import os
import re
import shlex
import time
from pathlib import Path
from types import SimpleNamespace

from bioopzo.errors import InputError, NotebookError, unknown
from bioopzo.files import write_atomically

QUICK, SET = "BIOOPZO_QUICK", "BIOOPZO_SET"
#: Variables that name folders, which a notebook in a folder of its own is to find, too.
FOLDERS = ("BIOOPZO_DATA", "BIOOPZO_CACHE")
#: The notebooks that come with the package.
PACKAGED = Path(str(importlib.resources.files("bioopzo"))) / "data" / "notebooks"
#: What a committed notebook says about itself: no version, which would change with every reader.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def parameters(quick=None, **defaults):
    """The parameters of a notebook as a namespace, e.g. ``p.trials``.

    Parameters
    ----------
    quick : mapping, optional
        Values in place of the defaults when the environment variable BIOOPZO_QUICK is set.
    **defaults
        Every parameter with its default: a number, a word, True or False, or a tuple (None: a
        value of any of these kinds).

    The variable BIOOPZO_SET (``"trials=500 seeds=2"``) goes over both. Raises `InputError` for an
    unknown name or a value of another type than the default's, naming the known ones.
    """
    values = dict(defaults)
    for name in quick or {}:
        if name not in defaults:
            raise unknown("notebook parameter", name, defaults)
    if os.environ.get(QUICK, "0") not in ("", "0"):
        values.update(quick or {})
    for name, text in _assignments(os.environ.get(SET, "")).items():
        if name not in defaults:
            raise unknown("notebook parameter", name, defaults)
        values[name] = _value(name, text, defaults)
    return SimpleNamespace(**values)


def _assignments(text):
    """``"trials=500 seeds=2"`` as a mapping name -> text."""
    try:
        words = shlex.split(text)
    except ValueError as problem:
        raise InputError(f"{SET}={text!r} cannot be read: {problem}") from None
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InputError(f"a notebook parameter is set as NAME=VALUE, e.g. trials=500, not "
                             f"{word!r}")
        found[name] = value
    return found


def _value(name, text, defaults):
    """The value that a text stands for; it has the type of the default."""
    default = defaults[name]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if isinstance(default, str) and not isinstance(value, str):
        value = text
    if default is not None and type(value) is not type(default):
        known = ", ".join(f"{key}={other!r}" for key, other in defaults.items())
        raise InputError(f"notebook parameter {name} takes a value like {default!r}, not {text!r}; "
                         f"known: {known}")
    return value


def execute(names=(), quick=False, settings=(), out="out/notebooks", folder=None, copy=False):
    """Copy notebooks into the folder `out` and execute them there; the sources stay as they are.

    Parameters
    ----------
    names : sequence of str
        Which, e.g. ``"1_first_steps"``; default all, in order.
    quick : bool
        Whether to set BIOOPZO_QUICK.
    settings : sequence of str
        Parameters of the notebooks, e.g. ``["trials=500"]``.
    out : path
        Also the folder in which they run.
    folder : path, optional
        Where they are taken from; see `sources`.
    copy : bool
        Whether they are only copied, to be opened in Jupyter.

    Yields (path written, seconds) after each. Raises `InputError` for unknown names, missing
    libraries, an `out` that holds the sources or notebooks that were changed there, and
    `NotebookError`, which names the cell and its line, when a cell fails; nothing is written then.
    """
    known = sources(folder)
    chosen = [Path(name).stem for name in names] or list(known)
    for name in chosen:
        if name not in known:
            raise unknown("notebook", name, known)
    _assignments(shlex.join(settings))
    out = Path(out)
    if out.resolve() == known[chosen[0]].parent.resolve():
        raise InputError(f"{out} holds the notebooks themselves; give another folder for the "
                         "executed ones")
    for name in chosen:
        _check_unchanged(out / f"{name}.ipynb", known[name])
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}  # figures inline
    environment |= {k: os.path.abspath(v) for k, v in environment.items() if v and k in FOLDERS}
    environment |= {QUICK: "1"} if quick else {}
    environment |= {SET: shlex.join(settings)} if settings else {}
    for name in chosen:
        begin = time.perf_counter()
        if copy:
            text = known[name].read_text()
        else:
            text = _nbformat().writes(executed(known[name], environment, folder=out)) + "\n"
        write_atomically(out / f"{name}.ipynb", lambda file, text=text: file.write(text.encode()))
        yield out / f"{name}.ipynb", time.perf_counter() - begin


def _check_unchanged(path, source):
    """`InputError` where a notebook of this name is another one, or was changed: it is kept."""
    if not path.exists():
        return
    try:
        theirs, ours = ([cell.source for cell in _nbformat().read(p, as_version=4).cells]
                        for p in (path, source))
    except Exception:  # nbformat has many ways to say that it is no notebook
        theirs, ours = path, None
    if theirs != ours:
        raise InputError(f"{path} is not as {source.name} comes, and would be lost: move it away, "
                         "or give another folder with --out")


def sources(folder=None):
    """The notebooks of a `folder`: name -> path; `InputError` where there are none.

    Default: ``./notebooks``, as in a copy of the project, or else those that come with the package.
    """
    if folder is None:
        folder = next(filter(_found, (Path("notebooks"), PACKAGED)), PACKAGED)
    found = {path.stem: path for path in sorted(_found(folder), key=lambda p: _number(p.stem))}
    if not found:
        raise InputError(f"there are no notebooks in {Path(folder).resolve()}")
    return found


def _found(folder):
    return sorted(Path(folder).glob("*.ipynb"))


def _number(name):
    """The number a notebook's name begins with; without one it comes first."""
    digits = re.match(r"\d*", name)[0]
    return int(digits) if digits else 0


def executed(path, environment=None, kernel=None, folder=None):
    """The notebook at `path` with its output, as nbformat holds it; run in its own process.

    `environment` and `folder` are those of the process (default: this one's); the folder is made.
    A jupyter_client `kernel` manager is started if it is not, and goes on. Raises `NotebookError`.
    """
    nbformat, nbclient = _nbformat(), _library("nbclient")
    _library("ipykernel")
    notebook = nbformat.read(path, as_version=4)
    started, place = [], {}
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        place = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(
        notebook, km=kernel, kernel_name="python3", timeout=None, record_timing=False,
        resources=place,
        extra_arguments=["--log-level=ERROR"],  # it warns of its sockets, which are local
        on_cell_start=lambda cell, cell_index: started.append(cell_index))
    try:
        return client.execute(env=dict(environment or os.environ))
    except (nbclient.exceptions.CellExecutionError, nbclient.exceptions.DeadKernelError) as problem:
        raise _failure(path, notebook, started[-1], problem) from None


def _failure(path, notebook, number, problem):
    """Which cell and line of a notebook failed, and how."""
    cell = notebook.cells[number]
    errors = [part for part in cell.get("outputs", ()) if part.output_type == "error"]
    what, where = str(problem), ""
    if errors:
        what = f"{errors[0].ename}: {errors[0].evalue}"
        trace = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(errors[0].traceback))
        # The line of this cell, though it may have failed further down, in another one's function.
        lines = re.findall(rf"Cell In\[{cell.execution_count}\], line (\d+)", trace)
        if lines:
            line = int(lines[-1])
            where = f", line {line}, {cell.source.splitlines()[line - 1].strip()!r}"
    return NotebookError(f"{path}, cell {number + 1} ({cell.id}){where}: {what}")


def cleaned(text):
    """The text of a notebook file as it is committed: no output, no counts, little metadata."""
    nbformat = _nbformat()
    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata = METADATA
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nbformat.writes(notebook) + "\n"


def _nbformat():
    return _library("nbformat")


def _library(name):
    """A library that only notebooks need."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(f"to execute notebooks, {name} is needed: pip install "
                         "'bioopzo[notebooks]'") from None
