"""The notebooks: committed without output, executed with a few trials, clear about mistakes."""

import asyncio
import os
import re
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager

from bioopzo.cli import main
from bioopzo.errors import InputError, NotebookError
from bioopzo.studies import notebooks

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
#: As in the other tests: a few trials are not worth a compiler, and what Brian2 does beside is
#: left out. Nothing is left of a notebook that ran in the same process before.
FIRST = f"""
%reset -f
import contextlib
import gc
import sys
gc.freeze()  # later collections, which are many, look through what this notebook makes
import matplotlib.pyplot as plt
plt.draw_all = lambda: None  # a figure is drawn when it is shown, and not once more before
if "common" not in sys.modules:
    sys.path.append({str(Path(__file__).parent)!r})
    import common
    sys.path.pop()
from bioopzo.engines.spiking import backends, session
backends.WORTH_COMPILING = 300
session._quick_collections = contextlib.nullcontext  # counts what is frozen, at every run
%config InlineBackend.print_figure_kwargs = {{"bbox_inches": None}}
del backends, contextlib, gc, plt, session, sys
"""
#: What a notebook must have found when its last cell is done; runs as one more cell of it.
FOUND = {
    "1_first_steps": """
        import brian2
        assert run.complete and loaded.meta["digest"] == run.meta["digest"]
        assert isinstance(hidden, brian2.NeuronGroup) and isinstance(synapses, brian2.Synapses)
        assert (synapses.w[:] == run.final["forward_2.w"]).all() and change.max() > 0
        assert spikes.num_spikes > 0
    """,
    "2_editing_the_equations": """
        assert len(models) == 4 and len({m.digest for m in models.values()}) == 4
        for comparison in (spiking, rate):
            for label in models:  # every edit has trained: its hidden weights have moved
                (run,), = [comparison.runs[label]]
                first, last = run.arrays["snapshots/forward_1.w"][[0, -1]]
                assert run.complete and run.model.edits == models[label].edits
                assert np.isfinite(last).all() and (last != first).any(), label
        assert abs(surrogate(sharper, u) - np.exp(-abs(u - 1)/0.1)).max() < 1e-12
    """,
    "3_feedback_learns_the_jacobian": """
        import numpy as np
        assert set(curves) == set(p.rules) and set(J) == {1}
        assert all(np.isfinite(c).all() for _, of in curves.values() for c in of.values())
        assert (pair.final["forward_1.w"] == pair.arrays["snapshots/forward_1.w"][0]).all()
        assert (pair.final["feedback_1.M"] != 0).any()
    """,
    "4_opzo_against_scalar_rewards": """
        assert list(comparison.runs) == list(rules) and len(accuracy) == p.factors
        drawn = [run.arrays["snapshots/forward_1.w"][0] for (run,) in comparison.runs.values()]
        assert all((weights == drawn[0]).all() for weights in drawn)  # the same start for all
        for rule, (run,) in comparison.runs.items():
            rates = tuned[rule].parameters
            assert run.model.parameters["eta_o"] == rates["eta_o"]
        run.arrays.update({"curve/trials": np.array([0, 10, 20]),
                           "curve/accuracy": np.array([0.1, 0.3, 0.7])})
        assert np.allclose([trials_to(run, 0.5), trials_to(run, 0.1)], [15, 0])
        assert trials_to(run, 0.9) == np.inf
    """,
    "5_from_spikes_to_rates": """
        assert list(comparison.runs) == list(p.activities)
        for name, weights in engine.weights.items():
            assert abs(get_array(network, name) - weights.ravel()).max() < 1e-12
            assert (weights.ravel() != start[name]).any()
    """,
    "6_your_own_rule": """
        for comparison in (spiking, rate):
            (run,), = [comparison.runs["sign_feedback"]]
            first, last = run.arrays["snapshots/forward_1.w"][[0, -1]]
            assert run.complete and (last != first).any()
        assert angles["forward_1.w"][0] > 0.5  # it points where backpropagation does
    """,
    "7_event_data": """
        assert run.complete and run.meta["backend"] == "rate" and task.inputs[sample].sum() > 100
    """,
    "8_mnist_online": """
        assert task.name == "digits" and {"eta", "input_gain"} <= set(model.for_task(task).regime)
        assert set(comparison.runs) == set(p.rules) and (before != after).any()
        assert operations > 0
    """,
    "10_reward_only": """
        assert set(comparison.runs) == set(p.rules) and task.feedback == "reward"
        run, = comparison.runs["opzo"]
        assert -1 <= run.meta["test_loss"] <= 0
    """,
    "11_excitation_and_inhibition": """
        run, free = (comparison.runs[f"opzo, {word}"][0] for word in ("Dale", "free"))
        assert all(wrong(run, k) == 0 for k in range(p.epochs + 1)) and wrong(free, -1) > 0
        assert (outgoing(run, "E", 0) > 0).all() and (outgoing(run, "I", 0) < 0).all()
    """,
    "9_working_memory": """
        assert set(comparison.runs) == set(p.compared) and set(traces) == {"hidden_1.xbar"}
        cosines = {name: angle["forward_1.w"][0] for name, angle in angles.items()}
        assert len(set(cosines.values())) == 3 and np.isfinite(list(cosines.values())).all()
        assert readable(np.array([[[0.0], [0], [1], [1]]]), np.array([0, 0, 1, 1])) == 1
    """,
}


def test_there_is_a_notebook_for_every_topic():
    assert NAMES == sorted(FOUND)
    assert {int(name.partition("_")[0]) for name in NAMES} == set(range(1, 12))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_committed_without_output(name):
    text = (FOLDER / f"{name}.ipynb").read_text()
    assert text == notebooks.cleaned(text), (
        f"clean it: python -c \"from bioopzo.notebooks import cleaned; from pathlib import Path; "
        f"p = Path('notebooks/{name}.ipynb'); p.write_text(cleaned(p.read_text()))\"")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert not any(cell.metadata for cell in notebook.cells)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_short_and_goes_from_equation_to_exercise(name):
    cells = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells
    assert 10 <= len(cells) <= 18
    assert cells[0].source.startswith(f"# {name.partition('_')[0]} ")
    assert cells[-1].source.startswith("## Exercise")
    assert "bz.notebooks.parameters(" in next(c for c in cells if c.cell_type == "code").source
    prose = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    assert "$$" in prose
    assert not re.search(r"\d\s*(\\?%|percent)", prose.replace("95 % interval", "")), \
        "results in prose come from the code"


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_has_a_solution_in_the_pages_and_none_in_the_notebook(name):
    number, text = name.partition("_")[0], (FOLDER.parent / "docs" / "solutions.md").read_text()
    found, = re.findall(rf"^## {number} ([^\n]*)$(.*?)(?=^## |\Z)", text, flags=re.M | re.S)
    cells = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells
    assert cells[0].source.splitlines()[0] == f"# {number} {found[0]}"
    asked = re.findall(r"^(\d)\. ", cells[-1].source, flags=re.M)
    assert re.findall(r"^\*\*(\d)\.\*\*", found[1], flags=re.M) == asked
    for code in re.findall(r"```python\n(.*?)```", found[1], flags=re.S):
        compile(code, f"solution of {name}", "exec")


@pytest.fixture(scope="module")
def kernel():
    """One process for all notebooks: to import everything takes longer than most of them."""
    manager = AsyncKernelManager(kernel_name="python3")
    yield manager
    if manager.has_kernel:
        asyncio.run(manager.shutdown_kernel(now=True))


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_finds_what_it_says(name, kernel, tmp_path):
    """A few trials of small networks; nothing of the sources changes."""
    source = FOLDER / f"{name}.ipynb"
    before = source.read_bytes()
    notebook = nbformat.read(source, as_version=4)
    lines = [line.removeprefix(8 * " ") for line in FOUND[name].strip("\n").splitlines()]
    notebook.cells.append(nbformat.v4.new_code_cell("\n".join(lines), id="found"))
    notebook.cells.insert(0, nbformat.v4.new_code_cell(FIRST, id="quick"))
    nbformat.write(notebook, tmp_path / source.name)
    done = notebooks.executed(tmp_path / source.name, {**os.environ, "BIOOPZO_QUICK": "1"},
                              kernel)
    kinds = [kind for cell in done.cells if cell.cell_type == "code"
             for part in cell.outputs for kind in part.get("data", {})]
    assert kinds.count("image/png") >= 3
    assert source.read_bytes() == before


# ---------------------------------------------------------------------------- parameters

def parameters():
    return notebooks.parameters(quick={"trials": 2, "hidden": (3,)}, trials=4000, rate=0.5,
                                rule="opzo", hidden=(32, 32), fast=False, compiled=None)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """Whatever is set outside does not reach the tests."""
    monkeypatch.delenv("BIOOPZO_QUICK", raising=False)
    monkeypatch.delenv("BIOOPZO_SET", raising=False)


@pytest.mark.parametrize("quick, given, expected", [
    (None, None, {}), ("0", None, {}), ("", "", {}),
    ("1", None, {"trials": 2, "hidden": (3,)}),
    ("1", "trials=7", {"trials": 7, "hidden": (3,)}),
    (None, "rate=2 hidden=8,4 rule=bp fast=True compiled=False",
     {"rate": 2.0, "hidden": (8, 4), "rule": "bp", "fast": True, "compiled": False}),
    (None, "'hidden=(8, 4)' rule=3", {"hidden": (8, 4), "rule": "3"}),
])
def test_parameters_follow_the_environment(monkeypatch, quick, given, expected):
    for name, value in (("BIOOPZO_QUICK", quick), ("BIOOPZO_SET", given)):
        if value is not None:
            monkeypatch.setenv(name, value)
    usual = {"trials": 4000, "rate": 0.5, "rule": "opzo", "hidden": (32, 32), "fast": False,
             "compiled": None}
    found = vars(parameters())
    assert found == {**usual, **expected}
    assert type(found["rate"]) is float


@pytest.mark.parametrize("given, says", [
    ("trails=3", ["unknown notebook parameter 'trails'", "'trials'", "hidden", "rate"]),
    ("trials=many", ["trials", "like 4000", "'many'", "hidden=(32, 32)"]),
    ("trials=2.5", ["trials", "2.5"]), ("trials=True", ["trials", "True"]),
    ("fast=1", ["fast", "like False"]), ("hidden=8", ["hidden", "(32, 32)"]),
    ("rate=x", ["rate", "0.5"]), ("trials", ["NAME=VALUE", "'trials'"]),
    ("=3", ["NAME=VALUE"]), ("trials='3", ["cannot be read", "quot"]),
])
def test_a_parameter_that_cannot_be_used_is_named_with_the_known_ones(monkeypatch, given, says):
    monkeypatch.setenv("BIOOPZO_SET", given)
    with pytest.raises(InputError) as caught:
        parameters()
    for word in says:
        assert word in str(caught.value)


def test_a_quick_value_of_an_unknown_parameter_is_refused_at_once():
    with pytest.raises(InputError, match="'trails'"):
        notebooks.parameters(quick={"trails": 2}, trials=4000)


# ---------------------------------------------------------------------------- execution

@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with one notebook, which fails where it is asked to."""
    cells = [nbformat.v4.new_markdown_cell("# A", id="title"),
             nbformat.v4.new_code_cell("import os\nfail = 'bad=1' == os.environ.get('BIOOPZO_SET')"
                                       "\n\n\n\n\ndef ratio(x):\n    return 1/x", id="setup"),
             nbformat.v4.new_code_cell("print(os.environ['BIOOPZO_QUICK'])\n\nif fail:\n"
                                       "    ratio(0)", id="work")]
    (tmp_path / "notebooks").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / "a.ipynb")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_executes_into_another_folder(project, capsys):
    before = (project / "notebooks" / "a.ipynb").read_bytes()
    assert main(["notebooks", "notebooks/a.ipynb", "--quick", "--out", "done"]) == 0
    assert "done/a.ipynb" in capsys.readouterr().out
    assert (project / "notebooks" / "a.ipynb").read_bytes() == before
    done = nbformat.read(project / "done" / "a.ipynb", as_version=4)
    assert done.cells[2].outputs[0].text == "1\n"
    # One that fails is named with its cell and line, and the good one stays.
    good = (project / "done" / "a.ipynb").read_bytes()
    assert main(["notebooks", "--quick", "--set", "bad=1", "--out", "done"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    for word in ("a.ipynb", "cell 3 (work)", "line 4, 'ratio(0)'", "ZeroDivisionError"):
        assert word in message
    assert [path.name for path in (project / "done").iterdir()] == ["a.ipynb"]
    assert (project / "done" / "a.ipynb").read_bytes() == good


@pytest.mark.parametrize("arguments, says", [
    (["b"], ["unknown notebook 'b'", "a"]),
    (["--set", "trials"], ["NAME=VALUE", "'trials'"]),
    (["--out", "notebooks"], ["holds the notebooks themselves"]),
])
def test_what_cannot_be_used_is_refused_before_anything_runs(project, capsys, monkeypatch,
                                                             arguments, says):
    monkeypatch.setattr(notebooks, "executed", lambda *_: pytest.fail("it ran"))
    assert main(["notebooks", *arguments]) == 2
    message = capsys.readouterr().err
    for word in says:
        assert word in message


def test_a_folder_without_notebooks_and_a_missing_library_say_what_to_do(project, monkeypatch):
    with pytest.raises(InputError, match="no notebooks in .*elsewhere"):
        list(notebooks.execute(folder="elsewhere"))
    monkeypatch.setitem(__import__("sys").modules, "nbclient", None)
    with pytest.raises(InputError, match=r"nbclient is needed: pip install 'bioopzo\[notebooks\]'"):
        list(notebooks.execute())


def test_anywhere_else_they_are_those_that_come_with_the_package(tmp_path, monkeypatch, capsys):
    """They are copied, run in the folder they are copied to, and what was changed there is kept."""
    monkeypatch.chdir(tmp_path)
    assert {name: path.read_bytes() for name, path in notebooks.sources().items()} == {
        name: (FOLDER / f"{name}.ipynb").read_bytes() for name in NAMES}
    where, made = [], nbformat.v4.new_notebook()
    monkeypatch.setattr(notebooks, "executed", lambda path, environment, folder: (
        where.append(folder), made)[1])
    assert main(["notebooks", "1_first_steps", "--copy"]) == 0
    copied = tmp_path / "out" / "notebooks" / "1_first_steps.ipynb"
    assert copied.read_bytes() == (FOLDER / copied.name).read_bytes() and not where
    assert main(["notebooks", "1_first_steps"]) == 0  # as it comes: it may be written over
    assert where == [Path("out/notebooks")] and copied.read_text() == nbformat.writes(made) + "\n"
    capsys.readouterr()
    for mine in (nbformat.writes(made), "no notebook"):
        copied.write_text(mine)
        assert main(["notebooks", "1_first_steps", "--copy"]) == 2
        assert "would be lost" in capsys.readouterr().err and copied.read_text() == mine


def test_a_notebook_runs_in_the_folder_it_is_copied_to(project):
    path = project / "notebooks" / "a.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].source = "print(os.getcwd())"
    nbformat.write(notebook, path)
    ran = notebooks.executed(path, folder=project / "new" / "there")
    assert ran.cells[2].outputs[0].text.strip() == str(project / "new" / "there")


def test_a_kernel_that_dies_is_named_with_its_cell(project):
    path = project / "notebooks" / "a.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].source = "os._exit(1)"
    nbformat.write(notebook, path)
    with pytest.raises(NotebookError, match=r"a.ipynb, cell 3 \(work\): .*died"):
        notebooks.executed(path)
