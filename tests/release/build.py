"""Wheel and source distribution, built from what is committed or about to be, and installed."""

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: The first that reads all of setup.cfg as it is meant, and needs no package wheel.
SETUPTOOLS = "setuptools>=77"
HOOKS = "import sys; from setuptools import build_meta as b; getattr(b, sys.argv[1])(sys.argv[2])"
#: What an installed package is asked: it imports, lists, trains, and is the version it says.
TRIAL = """
import importlib.metadata, importlib.resources, importlib.util, sys
import bioopzo as bz
from bioopzo.cli import main
here = importlib.resources.files("bioopzo")
assert "site-packages" in str(here), here
assert importlib.metadata.version("bioopzo") == bz.__version__
assert (here / "py.typed").is_file() and (here / "data" / "tuned.json").is_file()
assert importlib.util.find_spec("tonic") is None and importlib.util.find_spec("h5py") is None
assert main(["tasks"]) == 0
run = bz.train(bz.Model([64, 16, 10]), bz.tasks.digits(), trials=20, evaluations=1, seed=0,
               evaluation_trials=10, backend="numpy", progress=False)
print("bioopzo", bz.__version__, "on Python", sys.version.split()[0], "trained", run.meta["trials"])
"""


class NoIndex(RuntimeError):
    """The tools of a build could not be got."""


def build(out, root=ROOT):
    """Build both files into the folder `out`: (sdist, wheel), the wheel from the sdist.

    The tree `root` stays as it is: a copy is built. Raises `NoIndex` where no package index is
    reached, and `RuntimeError` with the words of a step that failed.
    """
    out = Path(out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        tools, copy = scratch / "tools", scratch / "copy"
        try:
            _run(sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                 "--target", tools, SETUPTOOLS)
        except RuntimeError as problem:
            raise NoIndex(str(problem)) from None
        _copied(root, copy)
        _hook("build_sdist", copy, out, tools)
        sdist, = out.glob("*.tar.gz")
        with tarfile.open(sdist) as file:
            file.extractall(scratch / "unpacked", filter="data")
        unpacked, = (scratch / "unpacked").iterdir()
        _hook("build_wheel", unpacked, out, tools)
        wheel, = out.glob("*.whl")
    return sdist, wheel


def _copied(root, copy):
    """What git has, and what it would take: links as links."""
    names = _run("git", "-C", root, "ls-files", "-z", "--cached", "--others",
                 "--exclude-standard").split("\0")
    listed = "\0".join(name for name in names if name and os.path.lexists(root / name))
    copy.mkdir()
    packed = subprocess.run(["tar", "-C", root, "--null", "-T", "-", "-c"], check=True,
                            input=listed.encode(), stdout=subprocess.PIPE)
    subprocess.run(["tar", "-C", copy, "-x"], check=True, input=packed.stdout)


def _hook(name, folder, out, tools):
    _run(sys.executable, "-c", HOOKS, name, out, cwd=folder,
         env={**os.environ, "PYTHONPATH": str(tools), "PYTHONDONTWRITEBYTECODE": "1"})


def _run(*words, **options):
    """Run a command; what it wrote. `RuntimeError` with its words where it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def metadata(wheel):
    """The text of a wheel's METADATA."""
    with zipfile.ZipFile(wheel) as file:
        name, = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        return file.read(name).decode()


def names(path):
    """The files in a wheel or a source distribution, without the latter's first folder."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as file:
            return file.namelist()
    with tarfile.open(path) as file:
        return [name.partition("/")[2] for name in file.getnames()]


def installed(wheel, folder, python=sys.executable, notebook=""):
    """Install a `wheel` in an empty environment of `python` in `folder`, and try it.

    With a `notebook` the extra of notebooks is installed, too, and it is run quickly. Returns what
    the trial said last, and what is installed, a package a line.
    """
    folder = Path(folder).resolve()
    _run(python, "-m", "venv", "--clear", folder)
    own = folder / "bin" / "python"
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    clean["BIOOPZO_CACHE"] = str(folder / "cache")
    wanted = f"{wheel}[notebooks]" if notebook else str(wheel)
    _run(own, "-m", "pip", "install", "-q", "--disable-pip-version-check", wanted, env=clean,
         cwd=folder)
    said = _run(own, "-c", TRIAL, env=clean, cwd=folder).splitlines()[-1]
    if notebook:
        said += "; " + _run(folder / "bin" / "bioopzo", "notebooks", notebook, "--quick",
                            env=clean, cwd=folder).splitlines()[-1]
    return said, _run(own, "-m", "pip", "freeze", env=clean, cwd=folder)
