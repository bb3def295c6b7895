"""Keys: whether what was made before is what would be made now.

The key of the data covers what `compute` reaches: in its script, and by its imports in this package
(see `imports`), the parameters and the inputs. The key of the drawing covers the whole script and
what `draw` reaches, `plots` among it. Comments and docstrings do not count.
"""

import ast
import json

from bioopzo.errors import InputError
from bioopzo.studies.content import digest
from bioopzo.studies.imports import assigned, parsed, reached

#: The scheme of the keys. Those of another scheme say nothing about what changed.
FORMAT = 2


def keys(script, parameters):
    """What a study depends on: ``{"format", "code", "data", "drawing"}``.

    `code` is that of the data without `parameters`. Raises `InputError` for a `script` that cannot
    be read, or whose inputs are missing.
    """
    tree, led = parsed(script.read_text(), script), {}
    needed = statements(tree, "compute")
    code = _hash(ast.unparse(needed), reached(needed, led=led), {
        name: _input(script, name) for name in _inputs(tree, script)})
    data = _hash(code, parameters)
    shown = reached(statements(tree, "draw"), showing=True, led=led)
    saved = reached(ast.parse("from bioopzo.plots.styles import save"), led=led)
    return {"format": FORMAT, "code": code, "data": data,
            "drawing": _hash(data, ast.unparse(tree), shown, saved)}


def statements(tree, start):
    """The top-level statements of `tree` that the function `start` needs, as a module."""
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
    parts = list(ast.walk(node))
    inner = [part for part in parts if part is not node
             and isinstance(part, (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom))]
    return [*(name for part in inner for name in _bound(part)),
            *(part.id for part in parts
              if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store))]


def _inputs(tree, script):
    """The list `INPUTS` of a script, read without running it."""
    try:
        return [str(name) for name in assigned(tree, "INPUTS") or ()]
    except (ValueError, TypeError):
        raise InputError(f"{script}: INPUTS is a list of file names, written out") from None


def _input(script, name):
    path = script.parent / name
    if not path.is_file():
        raise InputError(f"{script.name} reads {path}, which is missing")
    return digest(path.read_bytes())


def _hash(*parts):
    return digest(json.dumps(parts).encode())
