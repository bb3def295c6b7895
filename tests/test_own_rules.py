"""A rule in a file of the user's own: known like a built-in one, refused with its line."""

import copy
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import bioopzo as bz
from bioopzo import rules
from bioopzo.cli import main
from bioopzo.errors import InputError, InterruptedRun
from bioopzo.network.blocks import unknown_blocks
from bioopzo.network.draft import draft
from bioopzo.network.kinds import block_names

FOLDER = Path(rules.__file__).parent
OWN = '''"""Feedback of one sign."""

from . import Rule, choose


def rule(depth, size="small"):
    beta = choose("size", size, {"small": 0.1, "large": 1.0})
    return Rule("own", "all feedback is positive", "", {
        "hidden": "delta = psi*g : 1",
        "readout": "delta = g : 1",
        "backward": f"g_pre = {beta}*abs(w)*delta_post : 1 (summed)",
    })
'''


@pytest.fixture
def write(tmp_path):
    """Write a rule file; returns its path."""
    def written(text=OWN, name="own.py"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return written


@pytest.fixture(scope="module")
def task():
    """An XOR with 8 held-out trials, so that numpy is quick."""
    full = bz.tasks.xor()
    return full.replace(splits={k: v[:n] for (k, v), n in zip(full.splits.items(), (60, 12, 8))})


def test_an_added_rule_is_known_with_its_options(write):
    assert rules.add(write()) == "own"
    assert "own" in rules.available() and "bp" in rules.available()
    assert rules.options("own") == {"size": "small"}
    model = bz.Model([4, 5, 5, 2], rule="own", size="large").check()
    assert "1.0*abs((w + xbar_pre*G_w_post))" in model.equations()["forward_2"]
    with pytest.raises(InputError, match="size is one of 'small', 'large'"):
        bz.Model([4, 5, 2], rule="own", size="huge")
    with pytest.raises(InputError, match="unknown rule 'owm'.*'own'"):
        bz.Model([4, 5, 2], rule="owm")


@pytest.mark.parametrize("engine", ["spiking", "rate"])
def test_a_copy_of_a_built_in_file_is_the_same_rule(write, task, engine):
    """Word for word, with its relative imports; both train to the same weights."""
    name = rules.add(write(Path(rules.__file__).with_name("dfa.py").read_text(), "copied.py"))
    settings = {"backend": "numpy"} if engine == "spiking" else {
        "engine": "rate", "settings": {"batch": 8, "compiled": False}}
    found = bz.compare([name, "dfa"], task, seeds=[3], trials=8 if engine == "rate" else 2,
                       sizes=[4, 5, 2], evaluations=1, progress=False, **settings)
    mine, theirs = (found.runs[label][0] for label in (name, "dfa"))
    assert mine.complete and mine.meta["rule"] == name
    assert not np.array_equal(mine.final["forward_1.w"], mine.arrays["snapshots/forward_1.w"][0])
    for key, value in theirs.final.items():
        assert np.array_equal(value, mine.final[key]), key


@pytest.mark.parametrize("built_in", list(FOLDER.glob("[a-z]*.py")),
                         ids=lambda path: path.stem)
def test_a_copy_of_any_built_in_file_works_unchanged(write, built_in):
    """The built-in rules import nothing that a file elsewhere could not."""
    text = built_in.read_text()
    imported = set(re.findall(r"(?:from|import) (bioopzo[.\w]*)", text))
    assert imported == {"bioopzo.rules"}
    name = rules.add(write(text, "copied.py"))
    for depth in (1, 3):
        mine, theirs = rules.get(name, depth), rules.get(built_in.stem, depth)
        assert mine == theirs
    sizes = [4, 5, 5, 2]
    assert bz.Model(sizes, rule=name).blocks == bz.Model(sizes, rule=built_in.stem).blocks


def test_a_rule_can_be_kept_and_copied():
    rule = rules.get("opzo", 2)
    assert pickle.loads(pickle.dumps(rule)) == copy.deepcopy(rule) == rule
    with pytest.raises(TypeError):
        rule.blocks["hidden"] = ""


@pytest.mark.parametrize("block, near", [
    ("forwrad", "'forward'"), ("hidden.rset", "'hidden.reset'"),
    ("recurrent.spike", "known: input, hidden, readout"),
    ("hidden_3.step", "'hidden_2.step'"), ("forward.reset", "known: forward, forward.onset"),
    ("feedback.spike", "feedback.pair.*"),
    ("critic.step", "needs a block 'critic'"), ("backward.trial", "known: backward")])
def test_a_block_that_nothing_reads_is_refused_with_what_there_is(write, block, near):
    path = write(OWN.replace('"hidden": "delta', f'"{block}": "x = 1", "hidden": "delta'))
    with pytest.raises(InputError) as caught:
        rules.add(path)
    for word in (str(path), f"block {block!r}", near):
        assert word in str(caught.value)
    assert "own" not in rules.available()


def test_the_depth_that_is_asked_for_decides_which_layers_there_are(write):
    name = rules.add(write(OWN.replace('"hidden":', '"hidden_2.step": "", "hidden":')))
    with pytest.raises(InputError, match="unknown block 'hidden_2.step'"):
        bz.Model([4, 5, 2], rule=name)
    assert bz.Model([4, 5, 5, 2], rule=name)


def test_every_block_that_is_read_by_name_shows_in_the_text():
    """The names that a rule may use are those that the assembly reads."""
    rule = dict(local=True, intermediate=2)
    model = bz.Model([4, 5, 5, 2], rule="opzo", **rule)
    assert unknown_blocks(model.blocks, model.network) is None
    for entry in (*model.network.populations, *model.network.projections):
        kind = entry.kind
        for name in (*block_names(kind), *block_names(entry.name, kind)):
            moment = name.partition(".")[2]
            if "*" in name or kind == "softmax" or moment == "onset":
                continue
            if name.startswith("forward_1") and moment in ("spike", "hold"):
                continue  # input comes as a current here, and no perturbation
            if moment == "reset" and kind != "hidden":
                continue  # nothing there spikes
            if moment == "post" and model.network[entry.target].kind != "hidden":
                continue
            text = "seen > 1" if moment == "threshold" else "seen = 1" if moment else "seen : 1"
            marked = bz.Model([4, 5, 5, 2], rule="opzo", **rule)
            marked.__dict__["blocks"] = {**marked.blocks, name: text}
            assert "seen" in repr(draft(marked)), name


def test_added_anew_a_file_has_its_new_text_and_older_models_keep_theirs(write):
    path = write()
    older = bz.Model([4, 5, 2], rule=rules.add(path))
    path.write_text(OWN.replace("0.1", "0.7"))
    newer = bz.Model([4, 5, 2], rule=rules.add(path))
    assert "0.7*abs(w)" in newer.blocks["backward"]
    assert "0.1*abs(w)" in older.edit(theta=0.9).blocks["backward"]


@pytest.mark.parametrize("text, says", [
    ("def rule(depth)\n    pass\n", ["line 1", "SyntaxError", "def rule(depth)"]),
    ("import bioopzo\nx = 1/0\n", ["line 2", "ZeroDivisionError", "x = 1/0"]),
    ("from . import Rul\n", ["line 1", "ImportError", "Rul"]),
    ("rule = 3\n", ["no function rule(depth, option=default, ...)"]),
    ("def rules(depth):\n    pass\n", ["no function rule(depth, option=default, ...)"]),
    ("def rule():\n    pass\n", ["first argument", "depth"]),
    ("def rule(depth, scale):\n    pass\n", ["'scale'", "default"]),
    ("def rule(depth):\n    return {}\n", ["must return", "Rule", "{}"]),
    ("def rule(depth):\n    y = 1\n    return depth.layers\n",
     ["line 3", "AttributeError", "return depth.layers"]),
])
def test_a_faulty_file_is_refused_with_its_line(write, text, says):
    path = write(text)
    with pytest.raises(InputError) as caught:
        rules.add(path)
    for word in [str(path), *says]:
        assert word in str(caught.value)
    assert "own" not in rules.available()


@pytest.mark.parametrize("content, says", [
    ("{'hidden': 3}", "block 'hidden' is a text, not 3"),
    ("{'hidden': 'psi = = 3 : 1'}", "psi = = 3 : 1"),
    ("{}, {'q': 3.0}", "parameter 'q' is a Parameter.*not 3.0"),
    ("{}, needs=3", "needs is a tuple of names.*not 3"),
    ("{}, needs='psi'", "needs is a tuple of names.*not 'psi'"),
    ("{}, branches=(7,)", r"hidden layers, of \[1, 2\] here, not \(7,\)"),
    ("{}, branches=3", r"branches is a tuple.*not 3"),
    ("{}, branches=(2,), intermediate=1", r"one of the branches, \(2,\), or None, not 1"),
    ("3", "line 3, .*TypeError"),
])
def test_a_rule_of_parts_that_are_none_is_refused(write, content, says):
    path = write("from bioopzo.rules import Rule\ndef rule(depth):\n"
                 f"    return Rule('', '', '', {content})\n")
    with pytest.raises(InputError, match=f"(?s){re.escape(str(path))}.*{says}"):
        rules.add(path)


def test_the_options_of_a_rule_are_named(write):
    with pytest.raises(InputError, match=r"each with a default, not \*\*options"):
        rules.add(write("def rule(depth, **options):\n    pass\n"))


@pytest.mark.parametrize("problem, kind, says", [
    ("KeyboardInterrupt", InterruptedRun, "interrupted while this file was run"),
    ("MemoryError", InputError, "not enough memory")])
def test_a_file_that_never_ends_or_fits_is_named(write, problem, kind, says):
    path = write(f"x = 1\nraise {problem}\n", "my_rule.py")
    with pytest.raises(kind, match=f"{path.name}, line 2, .*{says}"):
        rules.add(path)


def test_what_fails_later_names_the_line_too(write):
    name = rules.add(write(OWN.replace("    beta", "    assert depth < 3\n    beta")))
    with pytest.raises(InputError, match="line 7, 'assert depth < 3': AssertionError"):
        bz.Model([4, 5, 5, 5, 2], rule=name)


@pytest.mark.parametrize("path, says", [
    ("missing.py", "cannot be read: No such file"), ("bp.py", "built-in rule is called 'bp'"),
    ("my-rule.py", "named as Python names"), ("_own.py", "named as Python names"),
    ("class.py", "named as Python names"), ("own.txt", "named as Python names"),
    (3, "path of its file")])
def test_a_name_that_cannot_be_used_is_refused(tmp_path, path, says):
    with pytest.raises(InputError, match=re.escape(says)):
        rules.add(tmp_path / path if isinstance(path, str) else path)


def test_a_file_in_place_of_a_name_says_what_to_do():
    with pytest.raises(InputError, match=re.escape("bioopzo.rules.add('own.py')")):
        bz.Model([4, 5, 2], rule="own.py")


def test_the_command_line_takes_files(write, task, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("bioopzo.cli._task", lambda name: task)
    path = str(write())
    common = ["--task", "xor", "--hidden", "4", "--engine", "rate", "--trials", "8", "--batch",
              "4", "--json", str(tmp_path / "found.json")]
    assert main(["train", "--rule", path, *common, "--set", "size=large"]) == 0
    assert json.loads((tmp_path / "found.json").read_text())["rule"] == "own"
    assert main(["compare", "--rules", f"bp, {path}", "--seeds", "1", *common, "--out",
                 str(tmp_path / "out")]) == 0
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert [row["label"] for row in rows] == ["bp", "own"]
    assert (tmp_path / "out" / "own-0.npz").exists()
    capsys.readouterr()
    for rule, says in ((str(tmp_path / "missing.py"), "cannot be read"), (",", "--rules takes")):
        assert main(["compare", "--rules", rule, *common, "--out", str(tmp_path)]) == 2
        assert says in capsys.readouterr().err
