"""Figures: one script each, made by ``bioopzo figures NAME`` or by ``python figures/NAME.py``.

What a script holds is said in `bioopzo.studies.study`; it ends with

    if __name__ == "__main__":
        figures.main(__file__)

All parameters are in ``figures/parameters.py``: ``PARAMETERS = {NAME: {"full": {...}, "quick":
{...}}}``. A figure is kept in ``images/``, ``quick/`` (with ``--quick``) or ``changed/`` (with
``--set``) beside the scripts; when it is made anew is said in `bioopzo.studies.publish`.
"""

import runpy
import sys
from pathlib import Path

from bioopzo.errors import InputError
from bioopzo.studies import publish
from bioopzo.studies.study import Study, chosen, pair


def discover(folder="figures"):
    """The scripts of a folder: name -> path. Raises `InputError` where there are none."""
    folder = Path(folder)
    scripts = {path.stem: path for path in sorted(folder.glob("*.py"))
               if path.stem != "parameters" and not path.stem.startswith("_")}
    if not scripts:
        raise InputError(f"no figure scripts in {folder.resolve()}: run this in the folder of the "
                         "project (which holds figures/), or name the place with --folder")
    return scripts


def studies(folder="figures", names=()):
    """The figures `names` (default all) of a folder as studies: name -> `Study`.

    Raises `InputError` for an unknown one, and where ``parameters.py`` is missing, cannot be read
    or has nothing for a figure.
    """
    folder = Path(folder)
    path = folder / "parameters.py"
    scripts = publish.named(names, discover(folder), "figure")
    if not path.is_file():
        raise InputError(f"{path} is missing: it holds the parameters of all figures")
    try:
        table = runpy.run_path(str(path))["PARAMETERS"]
    except Exception as problem:
        raise InputError(f"{path} cannot be used: {type(problem).__name__}: {problem}") from None
    for name in scripts:
        found = table.get(name, {})
        if set(found) != {"full", "quick"} or set(found["full"]) != set(found["quick"]):
            raise InputError(f"{path}: figure {name!r} needs the entries 'full' and 'quick' with "
                             "the same names in both")
    return {name: Study(script, table[name]) for name, script in scripts.items()}


def make(names=(), folder="figures", quick=False, jobs=1, changes=None, progress=True, say=print):
    """Make the figures `names` (default all) of a `folder` where they are not up to date.

    `quick` is for small parameters: every figure in under a minute, for a look at the whole;
    `changes` replaces parameters, name -> value. `jobs`, `progress`, `say`, and what is returned,
    are those of `publish.make`. Raises `InputError` for an unknown figure or parameter.
    """
    figures = studies(folder, names)
    return publish.make(figures, chosen(figures, quick, changes),
                        publish.place(folder, "images", quick, changes),
                        publish.line("bioopzo figures NAME", quick, changes), jobs, progress, say)


def command(options):
    """What ``bioopzo figures`` does with the `options` of the command line."""
    changes = dict(map(pair, options.set))
    if options.draw:
        out = publish.place(options.folder, "images", options.quick, changes)
        for name, study in studies(options.folder, options.names).items():
            publish.redraw(study, out / name)
        return
    publish.failures(make(options.names, options.folder, options.quick, options.jobs,
                          changes, progress=sys.stderr.isatty()))


def main(script):
    """Make the figure of one `script` (its ``__file__``); options as of ``bioopzo figures``."""
    path = Path(script)
    sys.argv[:] = ["bioopzo", "figures", path.stem, "--folder", str(path.parent), *sys.argv[1:]]
    runpy.run_module("bioopzo.cli", run_name="__main__")
