"""A study: a script with its parameters. Figures and tables of results are made of the same.

A script is a Python file with

- a docstring: what it shows and its source;
- ``compute(parameters, jobs, progress) -> dict``: the numbers, seeds included, as JSON holds them
  (arrays become lists). Runs with the same seeds give the same bytes, so what a clock or the
  machine says belongs under the key ``"timing"``, which is kept beside the data and not in them.
  With a fourth argument ``saved`` it is also given a folder in which it may save runs, so that
  what was interrupted goes on; the folder belongs to the code as it is;
- ``draw(content) -> Figure``, ``table(content, view="") -> str`` (Markdown), or both: from the data
  as read back from JSON, ``"parameters"`` and ``"timing"`` among them;
- ``INPUTS`` (optional): files that `compute` reads, relative to the folder of the script.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from bioopzo.errors import InputError, unknown


@dataclass(frozen=True)
class Study:
    """What is made: `script` is the file that makes it.

    `parameters` holds those of a full and of a ``"quick"`` study, the same names in both, units in
    the names; `about` says in a line what it is, where the script serves several studies.
    """

    script: Path
    parameters: Mapping
    about: str = ""


def first_two(models):
    """The first two of the models of a study, for a quick one."""
    return dict(list(models.items())[:2])


def pair(text):
    """``"seeds=3"`` as a name and a value; `InputError` for another `text`."""
    name, found, value = text.partition("=")
    if not found:
        raise InputError(f"--set takes NAME=VALUE, e.g. seeds=3, not {text!r}")
    try:
        return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        return name.strip(), value.strip()


def chosen(studies, quick=False, changes=None):
    """The parameters of `studies` (name -> `Study`): name -> dict, the `quick` ones where asked.

    `changes` replaces values by name in every study that has the name. Raises `InputError` where
    none has it, or the new value is of another kind.
    """
    found = {name: dict(study.parameters["quick" if quick else "full"])
             for name, study in studies.items()}
    for key, value in (changes or {}).items():
        having = [values for values in found.values() if key in values]
        if not having:
            raise unknown(f"parameter of {', '.join(found)}", key,
                          {name for values in found.values() for name in values})
        for values in having:
            values[key] = _same_kind(key, value, values[key])
    return found


def _same_kind(key, value, old):
    """A new value, where it is of the kind of the old one; a whole number may be a fraction."""
    if isinstance(old, (list, tuple)) and isinstance(value, (list, tuple)):
        return list(value)
    number = (int, float)
    if type(value) is type(old) or (isinstance(old, float) and type(value) in number):
        return value
    raise InputError(f"parameter {key} is of the kind of {old!r}, not {value!r}")


def load(script):
    """The file `script` as a module, from its text: Python may have an older one in its cache.

    Raises `InputError` where a part is missing.
    """
    module = ModuleType(f"bioopzo_script_{script.stem}")
    module.__file__ = str(script)
    exec(compile(script.read_text(), str(script), "exec"), module.__dict__)
    for part, word in (("__doc__", "docstring"), ("compute", "compute")):
        if not getattr(module, part, None):
            raise InputError(f"{script} has no {word}")
    if not hasattr(module, "draw") and not hasattr(module, "table"):
        raise InputError(f"{script} has no draw and no table")
    return module
