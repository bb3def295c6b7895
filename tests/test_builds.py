"""Compiled networks on disk: what is compiled again, shared, checked, healed, pruned, done without.

The network is a small one; programs differ by a line of text.
"""

import errno
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from weakref import ref

import brian2 as b2
import numpy as np
import pytest
from brian2.core.names import Nameable

import bioopzo as bz
from bioopzo.engines import tools
from bioopzo.engines.spiking import backends, compilation, kept, session, sources
from bioopzo.engines.spiking.build import build
from bioopzo.engines.spiking.feed import rows
from bioopzo.engines.spiking.session import runtime
from bioopzo.engines.spiking.standalone import Standalone, identity, is_kept
from bioopzo.errors import BuildError
from bioopzo.network.clock import shape_of
from bioopzo.training import spiking

pytestmark = [pytest.mark.compiled,
              pytest.mark.skipif(tools.compiler() is None, reason="needs a C++ compiler")]
PSI = "psi = exp(-abs(u - theta)/Delta) : 1"
WORTH = dict(trials=12, evaluations=1, seed=0, progress=False)


@pytest.fixture(scope="module")
def task():
    return bz.tasks.temporal_patterns(classes=3, inputs=12, train=60, validation=6, test=12)


@pytest.fixture
def model(task):
    return bz.Model([12, 6, 5, 3], rule="opzo").for_task(task)


@pytest.fixture(scope="module")
def template(tmp_path_factory, task):
    """A cache that holds the model's program, its base and the compiled head."""
    folder = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOOPZO_CACHE", str(folder))
        built(bz.Model([12, 6, 5, 3], rule="opzo"), task)
    return folder


def copied(source, target):
    """The compiled head, 45 MB, is the same file in all caches; `flipped` and the like end that."""
    if source.endswith(".gch"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


@pytest.fixture
def cache(tmp_path, monkeypatch, template):
    """A cache of the test's own with the model's program in it."""
    shutil.copytree(template, tmp_path / "cache", copy_function=copied)
    monkeypatch.setenv("BIOOPZO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A cache with nothing in it, not even its folder."""
    monkeypatch.setenv("BIOOPZO_CACHE", str(tmp_path / "empty"))
    return tmp_path / "empty"


def built(model, task, **how):
    return Standalone(model.for_task(task), shape_of(task, rows(task)), **how)


def trained(model, task, **how):
    return bz.train(model, task, **{**WORTH, "backend": "standalone", **how})


def programs(cache):
    return sorted((cache / "builds").glob("*"))


def same(first, second):
    for name, value in first.final.items():
        np.testing.assert_array_equal(second.final[name], value, err_msg=name)


def compiled_units(monkeypatch):
    """The names of the units that are compiled from now on."""
    units = []
    compile_one = compilation._compile

    def noted(folder, unit, head):
        units.append(unit)
        compile_one(folder, unit, head)

    monkeypatch.setattr(compilation, "_compile", noted)
    return units


@contextmanager
def units_not_compiled(monkeypatch):
    """The names of the units that would be compiled; none is, so there is no program."""
    units = []
    monkeypatch.setattr(compilation, "_compile", lambda folder, unit, head: units.append(unit))
    with pytest.raises(BuildError, match="refused the generated network"):
        yield units


@contextmanager
def no_warning():
    """An error for a warning of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # pyparsing's are UserWarnings, too
        yield


@contextmanager
def one_warning(*words):
    """The only warning of ours is one sentence with these words."""
    with pytest.warns(UserWarning, match=re.escape(words[0])) as told:
        yield
    message, = (str(one.message) for one in told if one.category is UserWarning)
    assert all(word in message for word in words), message
    assert ". " not in message and "\n" not in message


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Puts a compiler that does `script` in the place of the real one."""
    def put(script="echo cannot compile >&2; exit 1"):
        tools.compiler_flags()  # Brian2 asked the real one
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "g++").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "g++").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return put


# ---------------------------------------------------------------------------- the text

GENERATED = """
import sys
from pathlib import Path
import bioopzo as bz
from bioopzo.engines.spiking.feed import rows
from bioopzo.engines.spiking.sources import generate
from bioopzo.engines.spiking.standalone import identity
from bioopzo.network.clock import shape_of
task = bz.tasks.temporal_patterns(classes=3, inputs=12, train=60, validation=6, test=12)
for rule in ("opzo", "bp", "reinforce"):
    model = bz.Model([12, 6, 5, 3], rule=rule).for_task(task)
    shape = shape_of(task, rows(task))
    generate(model, shape, True, Path(sys.argv[1], rule))
    print(rule, identity(model, shape))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A folder with the files that another process, with other hashes, made of each rule's text.

    And the name that it gave each program.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    done = subprocess.run([sys.executable, "-c", GENERATED, folder], check=True,
                          env={**os.environ, "PYTHONHASHSEED": "1"}, capture_output=True,
                          text=True)
    return folder, dict(line.split() for line in done.stdout.splitlines())


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("rule", ["opzo", "bp", "reinforce"])
def test_the_same_text_gives_the_same_files(task, tmp_path, elsewhere, rule):
    """After any number of builds, beside other objects, and in a process with other hashes."""
    model = bz.Model([12, 6, 5, 3], rule=rule).for_task(task)
    alive = []
    for name in ("first", "again"):
        with runtime():
            alive.append(build(model, shape_of(task, rows(task))))
        alive.append(b2.NeuronGroup(1, "v : 1", threshold="v > 1", name=f"hidden_{len(alive)}"))
        sources.generate(model, shape_of(task, rows(task)), True, tmp_path / name)
    folder, keys = elsewhere
    assert keys[rule] == identity(model, shape_of(task, rows(task)))
    first = content(tmp_path / "first")
    assert len(first) > 80
    for place in (tmp_path / "again", folder / rule):
        other = content(place)
        assert other.keys() == first.keys()
        assert [path for path in first if other[path] != first[path]] == []


def test_networks_that_are_done_with_are_let_go(task, model):
    """Brian2 looks through all that is alive for every new name."""
    alive = []
    for _ in range(12):
        with runtime():
            built = build(model.for_task(task), shape_of(task, rows(task)))
            session._disown(ref(thing) for thing in built.network)  # it is never run
        alive.append(len(Nameable.__instances__()))
    one = alive[1] - alive[0]
    assert one > 30 and max(alive) < alive[0] + session.MANY + 2*one


def test_nothing_is_generated_that_no_program_runs(task, model, tmp_path):
    sources.generate(model, shape_of(task, rows(task)), True, tmp_path)
    objects, main = ((tmp_path / f"{name}.cpp").read_text() for name in ("objects", "main"))
    assert "ofstream" not in objects.split("_init_arrays")[-1]
    assert all(f"void {name}(" in objects for name in sources.UNUSED)
    assert main.count(".run(") == 1 and "set_from_command_line(args);" not in main
    codes = list((tmp_path / "code_objects").glob("*.cpp"))
    assert codes and not [path for path in codes if path.stem.startswith("after_run")]
    assert not [path for path in codes if "_higher_type" in path.read_text()]
    assert (tmp_path / "head.h").read_text().count("struct _higher_type;") == 1


# ---------------------------------------------------------------------------- what is compiled

def test_an_edited_text_is_the_program_of_a_full_build(task, model, cache, tmp_path, monkeypatch):
    units = compiled_units(monkeypatch)
    edited = model.edit({"psi": PSI, "forward.spike": "u_post += w*1.5"})
    quick = trained(edited, task)
    assert units == ["edit0"]
    shutil.copytree(cache / "headers", tmp_path / "other" / "headers",
                    copy_function=copied)
    monkeypatch.setenv("BIOOPZO_CACHE", str(tmp_path / "other"))
    whole = trained(edited, task)
    assert sorted(units[1:]) == ["core", "unit0", "unit1"]
    same(whole, quick)
    monkeypatch.setenv("BIOOPZO_CACHE", str(cache))
    unedited = trained(model, task).final
    assert any(not np.array_equal(unedited[name], value) for name, value in whole.final.items())


def test_an_edit_of_an_edit_starts_from_the_same_base(task, model, cache, monkeypatch):
    units = compiled_units(monkeypatch)
    first = trained(model.edit({"psi": PSI}), task)
    trained(model.edit({"psi": "psi = exp(-(u - theta)**2/Delta**2) : 1"}), task)
    assert units == ["edit0", "edit0"] and len(list((cache / "bases").glob("*"))) == 1
    same(first, trained(model.edit({"psi": PSI}), task))
    assert len(units) == 2


@pytest.mark.parametrize("other", [{"sizes": [12, 7, 5, 3]}, {"neuron": "alif"},
                                   {"rule": "dfa"}], ids=str)
def test_new_declarations_are_a_full_build(task, cache, monkeypatch, other):
    with units_not_compiled(monkeypatch) as units:
        built(bz.Model(**{"sizes": [12, 6, 5, 3], "rule": "opzo", **other}), task)
    assert sorted(units) == ["core", "unit0", "unit1"]


def test_the_head_is_compiled_once(task, model, cache, monkeypatch):
    if tools.is_clang():
        pytest.skip("clang wants every file of a compiled head where it was")
    head, = (cache / "headers").glob("*/head.h.gch")
    before = head.stat().st_mtime_ns
    shutil.rmtree(cache / "bases")
    with units_not_compiled(monkeypatch) as units:
        built(model.edit({"psi": PSI}), task)
    assert sorted(units) == ["core", "unit0", "unit1"]
    assert [(path, path.stat().st_mtime_ns) for path in (cache / "headers").glob("*/*.gch")] == [
        (head, before)]


def test_a_damaged_head_is_done_without(task, model, cache):
    for head in (cache / "headers").glob("*/head.h.gch"):
        content = bytearray(head.read_bytes())
        content[4096:] = bytes(len(content) - 4096)
        head.unlink()  # it is the other caches' too
        head.write_bytes(content)
    built(model.edit({"psi": PSI}), task)
    assert len(programs(cache)) == 2


# ---------------------------------------------------------------------------- many processes

BUILT = """
import sys, time
import bioopzo as bz
from pathlib import Path
task = bz.tasks.temporal_patterns(classes=3, inputs=12, train=60, validation=6, test=12)
model = bz.Model([12, 6, 5, 3], rule="opzo", neuron="exponential")
Path(sys.argv[1], sys.argv[2]).touch()
while not Path(sys.argv[1], sys.argv[3]).exists():
    time.sleep(.01)
run = bz.train(model, task, trials=12, seed=0, evaluations=1, backend="standalone", progress=False)
run.save(Path(sys.argv[1], "run" + sys.argv[2]))
"""


def test_two_processes_build_the_same_text_at_once(cache, tmp_path):
    pair = [subprocess.Popen([sys.executable, "-c", BUILT, tmp_path,
                              *names], stderr=subprocess.PIPE, text=True)
            for names in (("a", "b"), ("b", "a"))]
    told = [process.communicate()[1] for process in pair]
    assert [process.returncode for process in pair] == [0, 0], told
    assert not any("cannot be kept" in words or "damaged" in words for words in told)
    same(*(bz.Run.load(tmp_path / f"run{name}") for name in "ab"))
    assert len(programs(cache)) == 2 and all(map(kept.sound, programs(cache)))
    assert not list(cache.rglob(".*"))


def test_runs_at_a_time_build_the_same_text_once(task, model, cache, monkeypatch):
    units = compiled_units(monkeypatch)
    edited = model.edit({"psi": PSI})
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: built(edited, task), range(4)))
    assert units == ["edit0"]
    assert sorted(one.cached for one in made) == [False, True, True, True]


# ---------------------------------------------------------------------------- size

def test_what_was_used_longest_ago_is_pruned(task, model, cache, monkeypatch):
    old, = programs(cache)
    for path in [*old.glob("*"), *cache.glob("bases/*/*"), *cache.glob("headers/*/*")]:
        os.utime(path, (1e9, 1e9) if path.parent == old else None)
    weight = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    monkeypatch.setenv("BIOOPZO_CACHE_GB", str((weight + 5e4) / 1e9))
    new = built(model.edit({"psi": PSI}), task)
    assert programs(cache) == [new.directory]
    assert list((cache / "bases").glob("*")) and list((cache / "headers").glob("*"))


def test_what_is_in_use_is_never_pruned(task, model, cache, monkeypatch):
    monkeypatch.setenv("BIOOPZO_CACHE_GB", "0")
    first = built(model, task)
    second = built(model.edit({"psi": PSI}), task)
    assert programs(cache) == sorted([first.directory, second.directory])
    assert not list((cache / "bases").glob("*"))
    del first
    kept.prune(cache)
    assert programs(cache) == [second.directory]


def test_what_a_killed_process_left_is_removed_after_a_day(cache):
    fresh, left = (cache / "builds" / name for name in (".made-fresh", ".made-left"))
    for folder in (fresh, left):
        folder.mkdir()
        (folder / "main").write_text("half")
    os.utime(left, (time.time() - 2 * kept.LEFT_S,) * 2)
    kept.prune(cache)
    assert fresh.exists() and not left.exists() and len(programs(cache)) == 2


def test_a_limit_that_is_no_number_is_the_default(monkeypatch):
    monkeypatch.setenv("BIOOPZO_CACHE_GB", "much")
    assert kept.limit_bytes() == kept.LIMIT_GB * 1e9
    monkeypatch.setenv("BIOOPZO_CACHE_GB", "0.5")
    assert kept.limit_bytes() == 5e8


# ---------------------------------------------------------------------------- damage

def test_checking_a_program_takes_no_time(cache):
    place, = programs(cache)
    best = 1.0
    for _ in range(5):
        begin = time.process_time()
        assert kept.sound(place)
        best = min(best, time.process_time() - begin)
    assert best < 0.01


def cut(path):
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("name, damage", [
    *(("main", damage) for damage in (cut, flipped, Path.unlink, emptied)),
    ("manifest.json", flipped), ("manifest.json", Path.unlink),
    ("checksums.json", cut), ("checksums.json", emptied)],
    ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_a_damaged_program_is_built_again(task, model, cache, name, damage):
    place, = programs(cache)
    whole = content(place)
    damage(place / name)
    with one_warning("is damaged and is built again", str(place), "BIOOPZO_CACHE"):
        built(model, task)
    again = content(place)
    assert again.keys() == whole.keys() and again["manifest.json"] == whole["manifest.json"]
    with no_warning():
        assert built(model, task).cached


def test_a_damaged_base_is_built_again_without_a_word(task, model, cache, monkeypatch):
    base, = (cache / "bases").glob("*")
    flipped(base / "unit0.o")
    units = compiled_units(monkeypatch)
    with no_warning():
        built(model.edit({"psi": PSI}), task)
    assert sorted(units) == ["core", "unit0", "unit1"] and kept.sound(base)


def test_a_cache_emptied_in_mid_run_is_filled_again(task, model, cache):
    whole = trained(model, task)
    emptied = []

    def empty(*_):
        for kind in ("builds", "bases"):  # the head is compiled anew in no other way than at first
            shutil.rmtree(cache / kind, ignore_errors=True)
        emptied.append(len(programs(cache)))

    run = trained(model, task, live=empty)
    assert emptied and not any(emptied)
    same(whole, run)


# ---------------------------------------------------------------------------- no cache, no compiler

def test_a_cache_that_cannot_be_made(task, model, cache, empty, tmp_path, monkeypatch):
    """The program is kept apart, as long as somebody needs it."""
    empty.write_text("a file in the folder's place")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    apart = []

    def look(*_):
        apart.append([path.exists() for path in tmp_path.glob("temporary/*program-*/main")])

    with one_warning("cannot be kept", str(empty), "BIOOPZO_CACHE", "make room or give leave"):
        run = trained(model, task, live=look)
    gc.collect()
    look()
    assert apart[0] == [True] and apart[-1] == []
    assert run.meta["backend"] == "standalone" and empty.read_text().startswith("a file")
    monkeypatch.setenv("BIOOPZO_CACHE", str(cache))
    same(trained(model, task), run)


@pytest.mark.parametrize("number", ["ENOSPC", "EROFS", "EACCES"])
def test_a_cache_that_is_full_or_read_only(task, model, cache, monkeypatch, number):
    problem = getattr(errno, number)
    copy = shutil.copy2

    def refused(source, target, **how):
        if cache in Path(target).parents:
            raise OSError(problem, os.strerror(problem), str(target))
        return copy(source, target, **how)

    monkeypatch.setattr(shutil, "copy2", refused)
    edited = model.edit({"psi": PSI})
    with one_warning("cannot be kept", str(cache), os.strerror(problem), "BIOOPZO_CACHE"):
        engine = built(edited, task)
    assert len(programs(cache)) == 1 and not list(cache.glob("*/.*"))
    assert engine.directory.parent != cache / "builds"
    made = (engine.directory / "main").read_bytes()
    monkeypatch.undo()
    monkeypatch.setenv("BIOOPZO_CACHE", str(cache))
    assert (built(edited, task).directory / "main").read_bytes() == made


def test_a_full_cache_costs_no_head_and_no_word(task, model, empty, monkeypatch):
    """The network is compiled all the same, where only its base and the head do not fit."""
    keep = kept.keep

    def refused(place, folder, names):
        if place.parent.name != "builds":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return keep(place, folder, names)

    monkeypatch.setattr(kept, "keep", refused)
    with no_warning():
        built(model, task)
    assert [path.name for path in empty.iterdir()] == ["builds"]


FAULTS = {"refuses": "echo out of cheese >&2; exit 1", "writes nothing": "exit 0"}


@pytest.mark.parametrize("script", FAULTS.values(), ids=FAULTS)
def test_a_broken_compiler_is_an_error_where_one_asks_for_it(task, model, empty, broken, script):
    broken(script)
    with pytest.raises(BuildError, match="out of cheese" if "cheese" in script else
                       "it wrote nothing"):
        trained(model, task)


@pytest.fixture(scope="module")
def on_numpy(task):
    """A run that has never asked for a compiler."""
    return trained(bz.Model([12, 6, 5, 3], rule="opzo"), task, backend="numpy", trials=2)


@pytest.mark.parametrize("script", FAULTS.values(), ids=FAULTS)
def test_a_broken_compiler_is_a_warning_where_nobody_asks(task, model, empty, broken, on_numpy,
                                                          monkeypatch, script):
    monkeypatch.setattr(backends, "WORTH_COMPILING", 1)
    broken(script)
    with one_warning("on numpy", "g++", "mend the compiler"):
        run = trained(model, task, backend=None, trials=2)
    assert run.meta["backend"] == "numpy" and run.complete
    same(on_numpy, run)


def test_a_broken_compiler_does_not_matter_where_the_program_is_kept(task, model, cache, broken):
    broken()
    assert trained(model, task).complete


def test_a_program_that_is_kept_runs_from_the_first_trial(task, model, cache, monkeypatch,
                                                          tmp_path):
    """With and without a compiler; a text that is not there is one for numpy."""
    monkeypatch.setattr(spiking, "is_kept", is_kept)
    for path in (os.environ["PATH"], str(tmp_path)):
        monkeypatch.setenv("PATH", path)
        with no_warning():
            assert trained(model, task, backend=None, trials=1).meta["backend"] == "standalone"
            found = bz.compare({"a": model}, task, seeds=[0], trials=1, evaluations=1,
                               progress=False)
        assert found.runs["a"][0].meta["backend"] == "standalone"
        run = trained(model.edit({"psi": PSI}), task, backend=None, trials=1)
        assert run.meta["backend"] == "numpy"


def test_a_comparison_goes_on_with_a_broken_compiler(task, model, empty, broken, monkeypatch):
    monkeypatch.setattr(backends, "WORTH_COMPILING", 1)
    broken()
    with one_warning("on numpy", "g++", "mend the compiler"):
        found = bz.compare({"a": model}, task, seeds=[0], trials=1, evaluations=1, progress=False)
    assert found.runs["a"][0].meta["backend"] == "numpy"


def test_without_a_compiler(task, model, empty, tmp_path, monkeypatch):
    monkeypatch.setattr(backends, "WORTH_COMPILING", 1)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"needs a C\+\+ compiler.*install one or use "
                                         "backend='numpy'"):
        trained(model, task)
    with no_warning():
        assert trained(model, task, backend=None, trials=1).meta["backend"] == "numpy"
