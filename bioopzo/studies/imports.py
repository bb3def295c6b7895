"""What a piece of Python reaches in this package, found by following imports in the text.

Nothing is imported and nothing is run: files are parsed, and names are looked up in what they
import, from module to module. ``bz.train`` reaches the module that holds `train`, not all that
`bioopzo` could give: the tables of packages whose names are loaded when they are first used (see
`bioopzo.lazily`) are read. A package that asks for its own name or path, as those do that list
their folder (rules, neurons, tasks), reaches every module in it. A string that names a file of the
package, such as ``"data/tuned.json"``, reaches that file.

Imports of `plots` and `show` by modules of the package are not followed, unless asked: they serve
what an object shows of itself, and no number is read off that. Those of the piece itself are.
"""

import ast
import functools
import re
from dataclasses import dataclass
from pathlib import Path

from bioopzo.errors import InputError
from bioopzo.studies.content import digest

NAME = "bioopzo"
PACKAGE = Path(__file__).parent.parent
#: Rooms that only show what is there.
SHOWING = ("plots/", "show/")
FILE = re.compile(r"[\w/.-]+\.\w+")


@dataclass(frozen=True)
class Source:
    """What one piece of text says: a digest of its code, and what it refers to.

    `references` are dotted names in this package, `strings` those that could be names of files;
    `lazily` maps public names to modules where the package loads them later, else it is None;
    `lists` says whether the text asks for its own name or path.
    """

    digest: str
    references: frozenset
    strings: frozenset
    lazily: dict | None
    lists: bool


def parsed(text, path):
    """The syntax tree of a source `text` without docstrings (comments are not in it anyway).

    Raises `InputError`, which names `path` and the line, for text that is not Python.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as problem:
        raise InputError(f"{path}, line {problem.lineno}: {problem.msg}") from None
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) \
                and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def described(tree):
    """The `Source` of a syntax tree without docstrings."""
    nodes = list(ast.walk(tree))
    return Source(
        digest(ast.unparse(tree).encode()), frozenset(_references(nodes)),
        frozenset(node.value for node in nodes if isinstance(node, ast.Constant)
                  and isinstance(node.value, str) and FILE.fullmatch(node.value)),
        _lazily(tree),
        any(isinstance(node, ast.Name) and node.id in ("__name__", "__path__") for node in nodes))


def reached(tree, showing=False, led=None):
    """The files of the package that a syntax tree reaches: name -> digest, sorted by name.

    A digest is of the code without comments and docstrings. With `showing`, imports of `plots` and
    `show` by modules of the package are followed, too. `led`, a dictionary, keeps what names lead
    to from one call to the next, while no file comes or goes.
    """
    led = {} if led is None else led
    found, todo = {}, list(_places(described(tree), led))
    while todo:
        place = todo.pop()
        if place in found:
            continue
        if not place.endswith(".py"):
            found[place] = digest((PACKAGE / place).read_bytes())
            continue
        source = _source(place)
        if source.lazily is not None:
            continue  # what it was asked for has been looked up
        found[place] = source.digest
        todo += [other for other in _places(source, led)
                 if showing or not other.startswith(SHOWING)]
        if source.lists and place.endswith("__init__.py"):
            todo += [path.relative_to(PACKAGE).as_posix()
                     for path in (PACKAGE / place).parent.glob("*.py")]
    return dict(sorted(found.items()))


# ---------------------------------------------------------------------------- one text

def _source(place):
    path = PACKAGE / place
    return _described(path.read_text(), path)


@functools.cache
def _described(text, path):
    return described(parsed(text, path))


def _references(nodes):
    """The dotted names in this package that syntax nodes refer to."""
    bound, unused = {}, set()
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == NAME:
                    bound[alias.asname or NAME] = alias.name if alias.asname else NAME
                    if "." in alias.name:
                        yield alias.name
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == NAME:
            names = {alias.asname or alias.name: f"{node.module}.{alias.name}"
                     for alias in node.names}
            bound.update(names)
            unused.update(names)
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, (ast.Attribute, ast.Name)) and id(node) not in inner:
            root, *chain = _chain(node)
            if root in bound:
                unused.discard(root)
                yield ".".join([bound[root], *chain])
    yield from map(bound.get, unused)  # imported for others to use


def _chain(node):
    """``a.b.c`` as its words; the first is empty where it does not begin with a name."""
    words = []
    while isinstance(node, ast.Attribute):
        words.append(node.attr)
        node = node.value
    return [node.id if isinstance(node, ast.Name) else "", *reversed(words)]


def _lazily(tree):
    """Public name -> module, of a package that loads them later (``_PLACES``), else None."""
    table = assigned(tree, "_PLACES")
    return None if table is None else {
        **{name: module for module, names in table.items() for name in names.split()},
        **{module: module for module in assigned(tree, "_MODULES") or ()}}


def assigned(tree, name):
    """The value that the top level of a syntax `tree` gives to `name`, written out, else None."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [t.id for t in node.targets
                                             if isinstance(t, ast.Name)] == [name]:
            return ast.literal_eval(node.value)
    return None


# ---------------------------------------------------------------------------- where names lead

def _places(source, led):
    """The files that a text refers to, and the packages that they stand in."""
    for reference in source.references - led.keys():
        led[reference] = _leads(reference)
    found = {place for reference in source.references for place in led[reference]}
    found |= {name for name in source.strings if (PACKAGE / name).is_file()
              and not name.endswith(".py")}
    packages = {parent.as_posix() + "/__init__.py" for place in found if place.endswith(".py")
                for parent in Path(place).parents if parent.name}
    return found | {place for place in packages if (PACKAGE / place).is_file()}


def _leads(reference):
    """The files that a dotted name leads to: one, or all of a package that is meant as a whole."""
    place = NAME
    for word in reference.split(".")[1:]:
        later = _later(place)
        if _file(f"{place}.{word}"):
            place = f"{place}.{word}"
        elif word in later:
            return [_file(f"{place}.{later[word]}")]
        elif place == NAME and word in _moved():
            place = f"{NAME}.{_moved()[word]}"
        else:
            break
    whole = [file for module in _later(place).values() for file in _leads(f"{place}.{module}")]
    return [_file(place), *whole] if _file(place) else whole


def _later(place):
    """The names that a package loads later: name -> module; empty for any other module."""
    file = _file(place)
    return (_source(file).lazily or {}) if file.endswith("__init__.py") else {}


def _file(dotted):
    """The file of a module, relative to the package; empty where there is none."""
    path = "/".join(dotted.split(".")[1:])
    for name in (f"{path}/__init__.py".lstrip("/"), f"{path}.py"):
        if (PACKAGE / name).is_file():
            return name
    return ""


def _moved():
    """Modules that are still public under an old name."""
    path = PACKAGE / "moved.py"
    return _table(path.read_text()) if path.is_file() else {}


@functools.cache
def _table(text):
    return assigned(ast.parse(text), "PLACES")
