"""The pages: what they show runs, what they link to is there, and the site has no warning."""

import ast
import dataclasses
import inspect
import json
import re
import subprocess
import sys
from functools import cache, reduce
from pathlib import Path
from types import ModuleType

import matplotlib
import pytest

import bioopzo as bz
from bioopzo.network import clock, kinds
from bioopzo.network.symbols import all_symbols
from bioopzo.text.functions import INSTEAD, TABLE
from bioopzo.training.compare import Comparison

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs"))

import make_pages  # noqa: E402  lies in docs

sys.path.remove(str(ROOT / "docs"))  # its folders hide no module from another test

WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md",
           *sorted(path for path in (ROOT / "docs").rglob("*.md")
                   if path.relative_to(ROOT / "docs").parts[0] not in (*make_pages.MADE, "_build"))]
#: A block of Python of a page, and whether it is marked to be run.
BLOCK = re.compile(r"(<!-- run -->\n)?```python\n(.*?)```", re.S)
#: What the pages call the things that functions return.
USUAL = {"model": bz.Model, "run": bz.Run, "more": bz.Run, "again": bz.Run,
         "comparison": Comparison, "task": bz.tasks.Task, "net": bz.Network}


@cache
def blocks(path):
    """The Python blocks of a page: (whether it is to be run, its text)."""
    return [(bool(mark), text) for mark, text in BLOCK.findall(path.read_text())]


def resolved(node):
    """What `bz.x.y` or `run.x` in a page stands for, None where that cannot be told."""
    names = ast.unparse(node).split(".")
    first = bz if names[0] == "bz" else USUAL.get(names[0])
    if first is None or not all(name.isidentifier() for name in names):
        return None
    if first is bz or len(names) == 2:
        return reduce(getattr, names[1:], first)
    return None


def fields(thing):
    """Names that instances of a class have beside those of the class."""
    return set(getattr(thing, "__dataclass_fields__", {})) | set(
        getattr(thing, "__annotations__", {}))


def problems(text):
    """Names of the package that a block uses and there are not, and arguments nobody takes."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            base = USUAL.get(ast.unparse(node.value))
            if base and node.attr in fields(base):
                continue
            try:
                resolved(node)
            except AttributeError as problem:
                yield str(problem)
        if isinstance(node, ast.Call):
            try:
                function = resolved(node.func)
            except AttributeError:
                continue  # said above
            if function is not None and not isinstance(function, (ModuleType, property)):
                taken = inspect.signature(function).parameters
                if not any(one.kind is one.VAR_KEYWORD for one in taken.values()):
                    yield from (f"{ast.unparse(node.func)} takes no {word.arg}"
                                for word in node.keywords if word.arg and word.arg not in taken)


# ---------------------------------------------------------------------------- what pages show

def test_the_judge_of_blocks_sees_what_it_is_to_judge():
    assert not [*problems("run = bz.train(model, task, trials=3)\nrun.outcomes('training')")]
    assert [*problems("bz.nothing(3)")] and [*problems("run.nothing()")]
    assert [*problems("bz.tasks.relabelled(task, nothing=3)")] == [
        "bz.tasks.relabelled takes no nothing"]


@pytest.mark.parametrize("path", [path for path in WRITTEN if blocks(path)],
                         ids=lambda path: path.stem)
def test_blocks_of_pages_use_what_is_there(path):
    assert not [problem for _, text in blocks(path) for problem in problems(text)]


@pytest.mark.parametrize("path", [path for path in WRITTEN if any(run for run, _ in blocks(path))],
                         ids=lambda path: path.stem)
def test_blocks_of_pages_run(path, tmp_path, monkeypatch):
    """Those of a page one after the other, as a reader types them, but with few trials."""
    digits = bz.tasks.digits()
    few = {name: numbers[:3] for name, numbers in digits.splits.items()}
    monkeypatch.setattr(bz.tasks, "digits", lambda: dataclasses.replace(digits, splits=few))
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    for run, text in blocks(path):
        if not run:
            continue
        text = re.sub(r"trials=\d+", "trials=4", text)
        exec(compile(text, str(path), "exec"), known)
        matplotlib.pyplot.close("all")
        for word, place in (("rule", bz.rules), ("neuron", bz.neurons)):
            if f"def {word}(" in text:  # as a file of the reader's own
                file = tmp_path / f"page_{word}_{len(known)}.py"
                file.write_text(text)
                bz.Model([4, 3, 3, 2], **{word: place.add(str(file))}).check()
    assert known


def test_the_readme_is_short_and_in_order():
    text = (ROOT / "README.md").read_text()
    assert len(text.encode()) <= 7000
    heads = re.findall(r"^## (.*)$", text, re.M)
    assert heads == ["Install", "In a notebook", "A mistake is explained", "A rule of your own",
                     "What it reaches", "Where to go on", "Cite"]
    rule = next(block for _, block in blocks(ROOT / "README.md") if "def rule" in block)
    made = {}
    exec(rule, made)
    assert made["rule"](2).blocks == bz.rules.get("bp", 2).blocks


# ---------------------------------------------------------------------------- links

def made_pages():
    """Pages and pictures that `make_pages` writes, as paths below docs."""
    named = {"rules": bz.rules.available(), "neurons": bz.neurons.available(),
             "reference": make_pages.PUBLIC,
             "language": ("symbols", "blocks", "time", "functions", "parameters"),
             "gallery": ("figures",)}
    return {ROOT / "docs" / folder / f"{name}.md" for folder, names in named.items()
            for name in names}


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_links_and_pictures_of_pages_are_there(path):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    there = made_pages()
    missing = {link for link in links if link and "://" not in link
               and not (path.parent / link).resolve().is_file()
               and (path.parent / link).resolve() not in there}
    named = re.findall(r"`((?:bioopzo|docs|figures|notebooks|tests)/[\w/.]+\.\w+)`", text)
    missing |= {name for name in named if not (ROOT / name).is_file()}
    assert not missing


def test_every_page_is_reached_from_a_table_of_contents():
    docs = ROOT / "docs"
    listed = {(path.parent / f"{line}.md").resolve() for path in docs.rglob("*.md")
              for tree in re.findall(r"```{toctree}\n(.*?)```", path.read_text(), re.S)
              for line in tree.splitlines() if line and not line.startswith(":")}
    assert {path for path in WRITTEN if docs in path.parents} - listed == {docs / "index.md"}


# ---------------------------------------------------------------------------- tables

def test_every_name_of_the_packages_text_is_in_the_table_of_symbols_with_its_unit():
    symbols = all_symbols()
    found = make_pages.defined()
    assert not set(found) - set(symbols)
    assert not {name: units for name, (units, _) in found.items()
                if units - set(symbols[name].unit.split(" or "))}
    assert not set(symbols) - set(found) - set(clock.MEANING) - {"dt", "N", "N_post"}


def test_the_pages_of_the_language_name_every_word_of_the_tables():
    symbols = make_pages.symbols_page()
    assert all(f":::{{symbol}} {name}\n" in symbols for name in all_symbols())
    assert "trace of its own spikes" in symbols.partition("} xbar\n")[2].partition(":::")[0]
    page = make_pages.blocks_page()
    assert all(f"`{block}`" in page for kind in kinds.KINDS for block in kinds.block_names(kind))
    page = make_pages.functions_page()
    assert all(f"`{name}`" in page for name in (*TABLE, *INSTEAD))
    page = make_pages.time_page()
    assert all(f"`{name}`" in page for name in (*clock.MEANING, *kinds.SLOTS))


def test_every_rule_and_neuron_is_on_the_page_that_lists_them():
    for word, names in (("rules", bz.rules.available()), ("neurons", bz.neurons.available())):
        page = (ROOT / "docs" / f"{word}.md").read_text()
        assert not {name for name in names if f"]({word}/{name}.md)" not in page}


def test_slots_are_those_that_the_engines_follow():
    used = {moment.when for table in (kinds.NEURON_MOMENTS, kinds.SYNAPSE_MOMENTS)
            for moment in table.values() if moment.when}
    assert used <= set(kinds.SLOTS)


# ---------------------------------------------------------------------------- the site

def test_the_site_is_built_without_a_warning_and_its_search_finds_symbols(tmp_path):
    """Without executing notebooks, and in a plain theme, which takes half the time."""
    pytest.importorskip("myst_nb", reason="pip install '.[docs]'")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-D", "nb_execution_mode=off",
         "-D", "html_theme=basic", "-d", str(tmp_path / "trees"),
         str(ROOT / "docs"), str(tmp_path / "html")],
        capture_output=True, text=True, check=False, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    index = (tmp_path / "html" / "searchindex.js").read_text()
    index = json.loads(index[index.index("(") + 1:index.rindex(")")])
    page = index["docnames"].index("language/symbols")
    found = {entry[4]: entry[0] for entry in index["objects"][""]}
    assert {name: found.get(name) for name in ("xbar", "Dz", "u", "M", "fresh")} == dict.fromkeys(
        ("xbar", "Dz", "u", "M", "fresh"), page)
    assert "xbar" in index["terms"]
    text = (tmp_path / "html" / "rules" / "opzo.html").read_text()
    assert "<math" in text and "opzo.png" in text and "arXiv:2407.12516" in text
