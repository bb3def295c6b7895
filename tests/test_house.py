"""The plan of the house: which room may import which, and the habits that every room keeps.

Imports are read from the text, those inside functions too. What a room loads by name when it is
asked (`lazily`, the lists of rules and tasks) is no import in this sense.
"""

import ast
import importlib
import itertools
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import bioopzo as bz
from bioopzo.moved import PLACES

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bioopzo"
#: The floors of the package, from the ground up: what stands on one floor imports from its own room
#: and from the floors below. Rooms of one floor know nothing of each other.
FLOORS = (
    ("errors", "lazily", "moved", "versions"),
    ("arguments", "exact", "files", "registry"),
    ("text", "datasets"),
    ("network",),
    ("plots", "show"),
    ("tasks", "neurons", "rules"),
    ("composition", "stored"),
    ("engines",),
    ("checks",),
    ("model",),
    ("measures", "texts", "held"),
    ("export",),
    ("run",),
    ("training",),
    ("studies",),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
#: What stands beside an import inside a function, or on the line above it.
REASON = re.compile(r"# start-up: \w")
#: Modules that import in functions throughout: a command of the shell loads what it needs, and
#: `bioopzo --help` waits for nothing.
THROUGHOUT = ("bioopzo.cli",)
#: Modules that nobody can read in one sitting; there may be no more.
MOST_LONG, LONG = 5, 400
#: Rooms whose public functions say the types of everything they take and give.
HINTED = ("arguments", "composition", "datasets", "errors", "exact", "export",
          "files", "lazily", "measures",
          "model", "moved", "network", "neurons", "plots", "registry", "rules", "run", "show",
          "tasks", "text", "texts", "training", "versions")
#: Modules of these rooms that do not yet: to be replaced.
NOT_YET_HINTED = ("bioopzo.network.connections",)


@cache
def modules():
    """Every module of the package: full name -> (path, syntax tree)."""
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"):
            (path, ast.parse(path.read_text(encoding="utf-8")))
            for path in sorted(PACKAGE.rglob("*.py"))}


def room(module):
    """The room of a module: the first name after the package's; the package itself is above all."""
    return module.split(".")[1] if "." in module else ""


def imported(node):
    """What an import statement imports of the package: (module, name in it or None)."""
    if isinstance(node, ast.Import):
        return [(alias.name, None) for alias in node.names if alias.name.split(".")[0] == "bioopzo"]
    if not node.module or node.module.split(".")[0] != "bioopzo":
        return []
    full = [(f"{node.module}.{alias.name}", alias.name) for alias in node.names]
    return [(name, None) if name in modules() else (node.module, last) for name, last in full]


def imports(module):
    """Every import of the package in a module: (line, module, name or None, within a function)."""
    _, parsed = modules()[module]
    inner = {node for function in ast.walk(parsed)
             if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
             for node in ast.walk(function)}
    return [(node.lineno, target, name, node in inner) for node in ast.walk(parsed)
            if isinstance(node, (ast.Import, ast.ImportFrom)) for target, name in imported(node)]


def upward(graph, floor):
    """The arrows of a graph, module -> modules, that point up or to another room of one floor."""
    return sorted(f"{module} -> {target}" for module, targets in graph.items()
                  for target in targets
                  if room(module) and room(module) != room(target)
                  and floor[room(target)] >= floor[room(module)])


def circle(graph):
    """A circle of a graph, module -> modules: the list of its modules, empty if there is none."""
    done, way = set(), []

    def visit(module):
        if module in way:
            return way[way.index(module):]
        if module in done:
            return []
        way.append(module)
        found = next(filter(None, map(visit, sorted(graph.get(module, ())))), [])
        way.pop()
        done.add(module)
        return found

    return next(filter(None, map(visit, sorted(graph))), [])


def explained(lines, line):
    """Whether an import in a function says why: beside it, or above the imports it is with."""
    if REASON.search(lines[line - 1]):
        return True
    above = line - 2
    while re.match(r"\s+(from|import) ", lines[above]):
        above -= 1
    return bool(REASON.search(lines[above]))


@cache
def arrows():
    """The import graph: module -> the modules it imports, whether at its top or in a function."""
    return {module: {target for _, target, _, _ in imports(module)} - {module}
            for module in modules()}


def test_the_judges_see_what_they_are_to_judge():
    floor = {"low": 0, "high": 1, "beside": 1}
    good = {"p.low.a": {"p.low.b"}, "p.high.a": {"p.low.a"}, "p": {"p.high.a"}}
    assert not upward(good, floor) and not circle(good)
    assert upward({"p.low.a": {"p.high.a"}}, floor) == ["p.low.a -> p.high.a"]
    assert upward({"p.high.a": {"p.beside.a"}}, floor) == ["p.high.a -> p.beside.a"]
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    lines = ["def f():", "    # start-up: Brian2 is slow", "    import a", "    from b import c",
             "", "    import d  # start-up:", "    import e  # start-up: matplotlib is slow"]
    assert [explained(lines, line) for line in (3, 4, 6, 7)] == [True, True, False, True]


def test_every_room_has_its_floor():
    rooms = {room(module) for module in modules()} - {""}
    assert rooms <= set(FLOOR), f"no floor for {rooms - set(FLOOR)}: add it to FLOORS"


def test_imports_point_down():
    assert not upward(arrows(), FLOOR)


def test_there_is_no_circle():
    assert not circle(arrows())


def test_imports_in_functions_say_why():
    silent = []
    for module in set(modules()) - set(THROUGHOUT):
        path, _ = modules()[module]
        lines = path.read_text(encoding="utf-8").splitlines()
        silent += [f"{path.relative_to(ROOT)}:{line} imports {target}"
                   for line, target, _, within in imports(module)
                   if within and not explained(lines, line)]
    assert not silent, "\n".join(sorted(silent))


def test_optional_parts_of_scipy_are_imported_where_they_are_used():
    """Those are slow: scipy.signal and scipy.stats took a third of the start of a training."""
    early = []
    for module, (_, parsed) in modules().items():
        for node in parsed.body:
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else \
                [f"{node.module}.{alias.name}" for alias in node.names] \
                if isinstance(node, ast.ImportFrom) else []
            early += [f"{module}: {name}" for name in named
                      if name.startswith("scipy") and not name.startswith("scipy.special")]
    assert not early, "\n".join(early)


def test_private_names_stay_in_their_module():
    """A name that begins with _ is its module's, a module of such a name its room's.

    Attributes (`thing._name`) are ruff's to find: SLF001.
    """
    taken = []
    for module in modules():
        for line, target, name, _ in imports(module):
            private = any(part.startswith("_") for part in target.split("."))
            if (name or "").startswith("_") or (private and room(target) != room(module)):
                taken.append(f"{module}:{line} takes {target}.{name or ''}")
    assert not taken, "\n".join(taken)


def test_modules_are_read_in_one_sitting():
    long = {str(path.relative_to(ROOT)): count for path, _ in modules().values()
            if (count := len(path.read_text(encoding="utf-8").splitlines())) > LONG}
    assert len(long) <= MOST_LONG, f"more than {MOST_LONG} modules above {LONG} lines: {long}"


def test_every_module_says_what_it_is():
    assert not [name for name, (_, parsed) in modules().items() if not ast.get_docstring(parsed)]


def test_public_functions_of_hinted_rooms_are_hinted():
    bare = []
    for module, (_, parsed) in modules().items():
        if room(module) not in HINTED or module in NOT_YET_HINTED:
            continue
        classes = [node for node in parsed.body if isinstance(node, ast.ClassDef)]
        for place in [parsed, *classes]:
            for node in place.body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") \
                        and not getattr(place, "name", "").startswith("_"):
                    given = itertools.chain(node.args.posonlyargs, node.args.args,
                                            node.args.kwonlyargs, [node.args.vararg],
                                            [node.args.kwarg])
                    bare += [f"{module}.{node.name}({argument.arg})" for argument in given
                             if argument and argument.annotation is None
                             and argument.arg not in ("self", "cls")]
                    bare += [f"{module}.{node.name} -> ?"] * (node.returns is None)
    assert not bare, "\n".join(bare)


def test_pages_name_files_that_are_there():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    path = re.compile(r"[`(]((?:bioopzo|docs|figures|notebooks|tests)/[\w/.]+\.\w+)[`)]")
    named = {(page.name, found) for page in pages
             for found in path.findall(page.read_text(encoding="utf-8"))}
    assert ("CONTRIBUTING.md", "tests/test_house.py") in named
    assert not {pair for pair in named if not (ROOT / pair[1]).is_file()}


@pytest.mark.parametrize("tool", [("ruff", "check", "."), ("mypy",)], ids=lambda tool: tool[0])
def test_linter_and_type_checker_find_nothing(tool):
    """Both are configured in this folder, with the reason beside each choice."""
    found = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True,
                           check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_old_paths_say_where_the_module_went():
    with pytest.raises(ModuleNotFoundError, match=r"results has moved: it is bioopzo\.run now"):
        importlib.import_module("bioopzo.results")
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'bioopzo\.nowhere'"):
        importlib.import_module("bioopzo.nowhere")


def test_every_signpost_leads_to_a_module():
    assert not {place for place in PLACES.values() if f"bioopzo.{place}" not in modules()}


@pytest.mark.parametrize("name", ["gradients", "optimizers", "notebooks", "spiking", "figures"])
def test_modules_that_were_public_still_are(name):
    assert name in dir(bz)
    assert getattr(bz, name).__name__.startswith("bioopzo.")
