"""Figures are made when something changed, whole or not at all; the real scripts are complete."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bioopzo.cli import main
from bioopzo.errors import InputError
from bioopzo.studies import content, figures, imports, keys, publish, study

ROOT = Path(__file__).parents[1]
SCRIPTS = figures.discover(ROOT / "figures")
FIGURES = figures.studies(ROOT / "figures")
TINY = '''"""What it shows."""
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import bioopzo as bz
from bioopzo import plots

LOG = Path(__file__).with_name("log")
INPUTS = ["input.txt"]
COLOUR = "red"


def helper(n):
    return np.arange(n)


def compute(parameters, jobs, progress):
    """Doc."""
    assert bz.InputError
    with LOG.open("a") as log:
        log.write("compute ")
    return {"x": helper(parameters["n"]), "timing": {"seconds": 1.5}}


def draw(data):
    with LOG.open("a") as log:
        log.write("draw ")
    assert data["timing"] == {"seconds": 1.5} and isinstance(data["x"], list)
    assert plots.GREY
    fig, ax = plt.subplots(figsize=(1, 1))
    ax.plot(data["x"], color=COLOUR)
    return fig


if __name__ == "__main__":
    from bioopzo import figures
    figures.main(__file__)
'''
PARAMETERS = """PARAMETERS = {
    "tiny": {"full": {"n": 5, "width": 1.5}, "quick": {"n": 3, "width": 1.5}},
    "other": {"full": {"n": 1}, "quick": {"n": 1}},
}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in place of bioopzo, whose source is read for every key."""
    place = tmp_path / "package"
    for name, text in {
            "__init__.py": '_PLACES = {"errors": "InputError", "cli": "main"}\n',
            "errors.py": ('from bioopzo import rules\n\n\ndef f():\n    """Doc."""\n'
                          "    from bioopzo.plots.styles import COLOUR\n    return rules.g, 1\n"),
            "rules/__init__.py": "import pkgutil\nNAMES = list(pkgutil.iter_modules(__path__))\n",
            "rules/one.py": 'FILE = "data/tuned.json"', "data/tuned.json": "[1]",
            "plots/__init__.py": '_PLACES = {"styles": "GREY"}\n_MODULES = ("events",)\n',
            "plots/styles.py": 'GREY = "red"', "plots/events.py": "x = 1", "cli.py": "x = 1",
    }.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    monkeypatch.setattr(imports, "PACKAGE", place)
    return place


@pytest.fixture
def folder(tmp_path, package):
    """A folder with one small script, and its parameters."""
    place = tmp_path / "figures"
    place.mkdir()
    (place / "tiny.py").write_text(TINY)
    (place / "parameters.py").write_text(PARAMETERS)
    (place / "input.txt").write_text("1")
    return place


def made(folder, *names, **options):
    """Make figures silently; the outcome."""
    return figures.make(names, folder, progress=False, say=lambda line: None, **options)


def edit(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def contents(place):
    return {path.name: path.read_bytes() for path in place.iterdir()}


def test_a_figure_is_three_files_and_is_made_once(folder):
    assert made(folder) == {"tiny": "made"}
    first = contents(folder / "images")
    assert sorted(first) == ["tiny.json", "tiny.pdf", "tiny.png"]
    found = json.loads(first["tiny.json"])
    assert found["data"] == {"x": [0, 1, 2, 3, 4]} and found["timing"] == {"seconds": 1.5}
    assert found["parameters"] == {"n": 5, "width": 1.5} and found["about"] == "What it shows."
    assert found["command"] == "bioopzo figures tiny" and found["versions"]["numpy"]
    assert first["tiny.png"][:4] == b"\x89PNG" and first["tiny.pdf"][:4] == b"%PDF"
    assert made(folder) == {"tiny": "up to date"}
    assert contents(folder / "images") == first
    assert (folder / "log").read_text() == "compute draw "


def test_a_place_that_cannot_be_written_is_found_before_anything_is_computed(folder):
    (folder / "images").write_text("in the way")
    problem = made(folder)["tiny"]
    assert isinstance(problem, InputError) and "nothing can be written" in str(problem)
    assert not (folder / "log").exists()


@pytest.mark.parametrize("name, before, after, outcome", [
    ("tiny.py", '"""What it shows."""', '"""Other words."""', "up to date"),
    ("tiny.py", '    """Doc."""\n', "    # A comment.\n", "up to date"),
    ("tiny.py", 'COLOUR = "red"', 'COLOUR = "blue"', "drawn"),
    ("tiny.py", "figsize=(1, 1)", "figsize=(2, 1)", "drawn"),
    ("tiny.py", "np.arange(n)", "np.arange(n) + 1", "made"),
    ("tiny.py", "import numpy as np", "import numpy as np, math", "made"),
    ("parameters.py", '"n": 5', '"n": 6', "made"),
    ("parameters.py", '"n": 3', '"n": 4', "up to date"),
    ("input.txt", "1", "2", "made"),
])
def test_what_counts_as_a_change(folder, name, before, after, outcome):
    made(folder)
    edit(folder / name, before, after)
    assert made(folder) == {"tiny": outcome}
    assert made(folder) == {"tiny": "up to date"}


@pytest.mark.parametrize("name, before, after, outcome", [
    ("errors.py", "Doc", "Words", "up to date"),
    ("errors.py", "g, 1", "g, 2", "made"),
    ("errors.py", "import rules", "import rules, cli", "made"),
    ("rules/one.py", "FILE", "NAME", "made"),
    ("data/tuned.json", "1", "2", "made"),
    ("plots/styles.py", "red", "blue", "drawn"),
    ("plots/events.py", "1", "2", "up to date"),
    ("cli.py", "1", "2", "up to date"),
    ("__init__.py", "main", "main more", "up to date"),
])
def test_what_is_imported_counts_too(folder, package, name, before, after, outcome):
    made(folder)
    edit(package / name, before, after)
    assert made(folder) == {"tiny": outcome}


def test_a_key_of_an_older_scheme_says_nothing(folder):
    """The figure is computed anew, and why is said: nobody may stamp the new key on old numbers."""
    made(folder)
    path = folder / "images" / "tiny.json"
    for older in ({"data": "a", "drawing": "b"}, {"format": keys.FORMAT - 1, "data": "a"}):
        path.write_text(json.dumps({**json.loads(path.read_text()), "keys": older}))
        said = []
        assert figures.make([], folder, progress=False, say=said.append) == {
            "tiny": publish.OLDER}
        assert all("older scheme" in line for line in said) and len(said) == 2
        assert made(folder) == {"tiny": "up to date"}
    assert (folder / "log").read_text() == "compute draw " * 3


def test_a_script_may_save_runs_and_need_not_draw(folder):
    """What is saved belongs to the code as it is, whatever the parameters are."""
    edit(folder / "tiny.py", "def compute(parameters, jobs, progress):",
         "def compute(parameters, jobs, progress, saved):\n    saved.mkdir(parents=True)")
    edit(folder / "tiny.py", "def draw(", "def table(")
    assert made(folder) == {"tiny": "made"}
    assert made(folder) == {"tiny": "up to date"}
    assert sorted(path.name for path in (folder / "images").iterdir()) == ["runs", "tiny.json"]
    edit(folder / "parameters.py", '"n": 5', '"n": 6')
    assert isinstance(made(folder)["tiny"], FileExistsError)  # the same folder once more
    edit(folder / "tiny.py", "np.arange(n)", "np.arange(n) + 1")
    assert made(folder) == {"tiny": "made"}
    assert len(list((folder / "images" / "runs").glob("*/tiny"))) == 2


@pytest.mark.parametrize("harm", ["missing", "foreign"])
def test_images_that_do_not_belong_to_the_data_are_drawn_again(folder, harm):
    made(folder)
    good = contents(folder / "images")
    image = folder / "images" / "tiny.png"
    image.unlink() if harm == "missing" else image.write_bytes(b"half an im")
    assert made(folder) == {"tiny": "drawn"}
    assert contents(folder / "images") == good
    (folder / "images" / "tiny.json").write_text('{"keys": ')
    assert made(folder) == {"tiny": "made"}
    assert contents(folder / "images") == good


@pytest.mark.parametrize("before, after, says", [
    ('return {"x": helper', 'raise ValueError("no luck")\n    return {"x": helper', "no luck"),
    ('return {"x": helper(parameters["n"])', 'return {"x": float("nan")', "JSON"),
    ('return {"x": helper(parameters["n"])', 'return {"x": object()', "JSON"),
    ("    return fig", "    raise RuntimeError('no ink')", "no ink"),
    ("    return fig", "    return 'no figure'", "savefig"),
    ("def draw", "def paint", "no draw"),
    ("def compute", "def measure", "no compute"),
    ("def helper(n):", "def helper(n:", "line 15"),
    ('INPUTS = ["input.txt"]', 'INPUTS = ["output.txt"]', "output.txt"),
    ('INPUTS = ["input.txt"]', "INPUTS = [LOG]", "INPUTS"),
])
def test_a_failure_leaves_what_was_there_and_the_others_are_made(folder, capsys, before, after,
                                                                 says):
    assert main(["figures", "--folder", str(folder)]) == 0
    good = contents(folder / "images")
    edit(folder / "tiny.py", before, after)
    (folder / "other.py").write_text(TINY.replace("red", "green"))
    capsys.readouterr()
    assert main(["figures", "--folder", str(folder)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "not made: tiny" in error and says in error and "other" not in error
    now = contents(folder / "images")
    assert {name: now[name] for name in good} == good
    assert set(now) - set(good) == {"other.json", "other.pdf", "other.png"}


def test_an_interruption_while_drawing_leaves_what_was_there(folder):
    made(folder)
    good = contents(folder / "images")
    edit(folder / "tiny.py", "return fig", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        made(folder)
    assert contents(folder / "images") == good


def test_an_interruption_while_writing_leaves_what_was_there(folder, monkeypatch):
    made(folder)
    good = contents(folder / "images")
    edit(folder / "tiny.py", '"red"', '"blue"')

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("bioopzo.studies.publish.write_json", stop)  # the last of the three
    with pytest.raises(KeyboardInterrupt):
        made(folder)
    assert contents(folder / "images") == good


def test_quick_and_changed_figures_have_folders_of_their_own(folder):
    made(folder)
    good = contents(folder / "images")
    assert made(folder, quick=True) == {"tiny": "made"}
    assert made(folder, changes={"n": 7}) == {"tiny": "made"}
    assert made(folder, quick=True, changes={"width": 2}) == {"tiny": "made"}
    assert contents(folder / "images") == good
    quick, changed = (json.loads((folder / place / "tiny.json").read_text())
                      for place in ("quick", "changed"))
    assert quick["parameters"] == {"n": 3, "width": 1.5}
    assert quick["command"] == "bioopzo figures tiny --quick"
    assert changed["parameters"] == {"n": 3, "width": 2}
    assert changed["command"] == "bioopzo figures tiny --quick --set width=2"


@pytest.mark.parametrize("arguments, says", [
    (["tinny"], "unknown figure 'tinny' (did you mean 'tiny'?); known: tiny"),
    (["--set", "m=3"], "'m'; known: n, width"),
    (["--set", "n=many"], "parameter n is of the kind of 5, not 'many'"),
    (["--set", "n=2.5"], "parameter n"),
    (["--set", "n"], "NAME=VALUE"),
    (["--jobs", "0"], "jobs"),
])
def test_unknown_names_and_values_are_named(folder, capsys, arguments, says):
    assert main(["figures", *arguments, "--folder", str(folder)]) == 2
    message = capsys.readouterr().err
    assert says in message and message.count("\n") == 1
    assert not (folder / "images").exists()


def test_a_folder_without_scripts_is_named(tmp_path):
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        made(tmp_path)


@pytest.mark.parametrize("text, says", [
    ("PARAMETERS = {", "parameters.py cannot be used"),
    ("PARAMETERS = {}", "'tiny' needs the entries"),
    ('PARAMETERS = {"tiny": {"full": {"n": 1}, "quick": {"m": 1}}}', "same names"),
    (None, "is missing"),
])
def test_parameters_that_cannot_be_used(folder, text, says):
    if text is None:
        (folder / "parameters.py").unlink()
    else:
        (folder / "parameters.py").write_text(text)
    with pytest.raises(InputError, match=says):
        made(folder)


def test_a_script_runs_by_itself_and_nothing_to_do_is_quick(folder):
    """Brian2 and matplotlib, which take seconds to import, are left alone when there is no need."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(folder / "tiny.py"), "--quick"], env=environment,
                          capture_output=True, text=True)
    assert done.returncode == 0 and "tiny: made" in done.stdout, done.stderr
    code = ("import sys; from bioopzo.cli import main; "
            f"assert main(['figures', '--quick', '--folder', {str(folder)!r}]) == 0; "
            "assert not {'brian2', 'scipy', 'matplotlib'} & set(sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True,
                          text=True)
    assert done.returncode == 0 and "up to date" in done.stdout, done.stderr


# ---------------------------------------------------------------------------- keys and imports

def reached(text):
    return set(imports.reached(imports.parsed(text, "text")))


def modules(room):
    """The modules in one folder of the package, as `reached` names them."""
    return {path.relative_to(imports.PACKAGE).as_posix()
            for path in (imports.PACKAGE / room).glob("*.py")}


@pytest.mark.parametrize("text, there, not_there", [
    ("bz.train(1)", ["training/train.py", "engines/spiking/build.py", "engines/rate/engine.py"],
     ["measures/rate.py", "training/compare.py", "training/search.py"]),
    ("bz.train(1, bz.compare)", ["training/train.py", "training/compare.py"], ["measures/rate.py"]),
    ("bz.measures.cosine(1)", ["measures/angles.py"], ["measures/rate.py", "training/train.py"]),
    ("bz.measures.rate.alignment", ["measures/rate.py"], ["measures/recording.py"]),
    ("bz.gradients.alignment", ["measures/rate.py"], ["measures/recording.py"]),
    ("print(bz)", ["model.py", "training/train.py", "tasks/xor.py", "measures/rate.py"],
     ["studies/figures.py", "studies/results.py"]),
    ("bz.plots.GREY", ["plots/styles.py"], ["plots/events.py", "plots/learning.py"]),
    ("bz.tasks.xor()", ["tasks/xor.py", "tasks/digits.py"], ["training/train.py"]),
    ("print(bz.plots)", ["plots/styles.py", "plots/events.py", "plots/learning.py"], ["cli.py"]),
])
def test_a_name_leads_to_its_module_and_not_to_all(text, there, not_there):
    found = reached(f"import bioopzo as bz\n{text}\n")
    assert set(there) <= found and not found & {*not_there, "cli.py", "__init__.py"}
    for lazy in ("measures/__init__.py", "plots/__init__.py"):
        assert lazy not in found


def test_names_are_found_however_they_were_imported():
    for text in ("from bioopzo import measures as m\nm.cosine(1)",
                 "import bioopzo\nbioopzo.measures.cosine", "from bioopzo.measures import cosine",
                 "import bioopzo.measures.angles as a", "import bioopzo.measures.angles",
                 "def f():\n    from bioopzo.measures.angles import cosine\n    cosine()"):
        found = reached(text)
        assert "measures/angles.py" in found and "measures/spiking.py" not in found, text
    assert not reached("import numpy as np\nimport bioopzo\nnp.train(1)")


def test_what_is_found_in_a_folder_is_reached():
    """A rule, task or neuron is listed by its package: no import names it."""
    found = reached("import bioopzo as bz\nbz.train(bz.Model([1, 1, 1]), bz.tasks.digits())")
    for room in ("rules", "tasks", "neurons"):
        assert modules(room) <= found, room
    assert {"data/tuned.json", "data/nmnist_seen.json"} <= found


@pytest.mark.parametrize("name", SCRIPTS)
def test_numbers_depend_on_no_picture(name):
    """Style and words may change without a number being computed anew."""
    tree = keys.statements(imports.parsed(SCRIPTS[name].read_text(), name), "compute")
    found = set(imports.reached(tree))
    shown = {place for place in found if place.startswith(("plots/", "show/"))}
    assert shown == ({"plots/events.py"} if name == "event_data" else set())
    assert "cli.py" not in found and "studies/publish.py" not in found
    trained = modules("rules") <= found
    assert trained != (name == "learning_dynamics")  # which reads the runs of a table


# ---------------------------------------------------------------------------- the real scripts

@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_is_complete(name):
    module = study.load(SCRIPTS[name])
    assert len(module.__doc__.split()) > 20
    full, quick = (study.chosen(FIGURES, which)[name] for which in (False, True))
    whole, part = (keys.keys(SCRIPTS[name], which) for which in (full, quick))
    assert whole["code"] == part["code"] and whole["data"] != part["data"]
    assert SCRIPTS[name].read_text().endswith(
        'if __name__ == "__main__":\n    figures.main(__file__)\n')
    # Run by itself, its folder is on Python's path: it must not hide a module.
    assert importlib.util.find_spec(name) is None


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_committed_figures_belong_together(name):
    stem = ROOT / "figures" / "images" / name
    found = content.kept(stem)
    assert found and set(found["files"]) == set(content.IMAGES)
    assert content.images(stem).items() <= found["files"].items()  # those that are there
    assert found["parameters"] == json.loads(json.dumps(FIGURES[name].parameters["full"]))


def test_the_repository_has_the_pictures_that_are_shown_and_no_others():
    """The others are made from the numbers, which are there: `bioopzo figures NAME --draw`."""
    listed = subprocess.run(["git", "ls-files", "*.png", "*.pdf", "*.md"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.split()
    pages = [ROOT / path for path in listed if path.endswith(".md")]
    shown = {found for page in pages for found in
             re.findall(r"figures/(?:data|images)/\w+\.png", page.read_text())}
    kept = {path for path in listed if path.startswith("figures/") and not path.endswith(".md")}
    assert kept == shown and len(kept) > 10
    assert all((ROOT / path).stat().st_size < 700e3 for path in kept)
    assert all((ROOT / path).with_suffix(".json").is_file() for path in kept)


def test_a_figure_is_drawn_again_from_its_numbers(tmp_path):
    """Whatever has changed since; nothing is computed, and what it says of itself is said now."""
    folder = tmp_path / "figures"
    (folder / "images").mkdir(parents=True)
    for name in ("escape_noise.py", "parameters.py", "images/escape_noise.json"):
        shutil.copy(ROOT / "figures" / name, folder / name)
    text = (folder / "escape_noise.py").read_text().replace('"""', '"""Drawn anew. ', 1)
    (folder / "escape_noise.py").write_text(text + "\n\ndef compute(*_):\n    raise OSError\n")
    before = json.loads((folder / "images" / "escape_noise.json").read_text())
    assert main(["figures", "escape_noise", "--draw", "--folder", str(folder)]) == 0
    after = json.loads((folder / "images" / "escape_noise.json").read_text())
    assert after.pop("about").startswith("Drawn anew. ") and before.pop("about")
    assert {k: v for k, v in after.items() if k != "files"} == {
        k: v for k, v in before.items() if k != "files"}
    assert (folder / "images" / "escape_noise.png").is_file()


def test_the_same_seeds_give_the_same_bytes(tmp_path):
    found = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        for name in ("escape_noise.py", "parameters.py"):
            shutil.copy(ROOT / "figures" / name, tmp_path / place / name)
        assert made(tmp_path / place, "escape_noise", quick=True) == {"escape_noise": "made"}
        found.append(contents(tmp_path / place / "quick"))
    assert found[0] == found[1]
