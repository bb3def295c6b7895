"""The release: what wheel and sdist hold and say, versions that agree, licences that are listed."""

import importlib.metadata
import json
import re
from pathlib import Path
from unittest import mock

import pytest
from release import build, licences

import bioopzo as bz
from bioopzo import versions
from bioopzo.studies.content import read

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A source distribution and the wheel that is built of it."""
    try:
        return build.build(tmp_path_factory.mktemp("dist"))
    except build.NoIndex:
        pytest.skip("no package index is reached, from which the tools of a build come")


def test_wheel_and_sdist_hold_what_is_needed_and_no_more(built):
    sdist, wheel = map(build.names, built)
    shipped = {name for name in wheel if name.startswith("bioopzo/")}
    meant = {str(path.relative_to(ROOT)) for path in (ROOT / "bioopzo").rglob("*.py")}
    notebooks = {f"bioopzo/data/notebooks/{path.name}" for path in ROOT.glob("notebooks/*.ipynb")}
    data = {"bioopzo/py.typed", "bioopzo/data/tuned.json", "bioopzo/data/nmnist_seen.json"}
    assert len(notebooks) > 10
    assert shipped == meant | data | notebooks
    assert all(name in shipped or ".dist-info/" in name for name in wheel)
    assert {"README.md", "LICENSE", "LICENSES.md", "CHANGELOG.md", "setup.cfg"} <= set(sdist)
    assert not [name for name in sdist if re.search(r"^(tests|figures|docs)/|\.(png|pdf)$", name)]


def test_the_wheel_says_what_it_is(built):
    said = build.metadata(built[1])
    for line in (f"Version: {bz.__version__}", "Requires-Python: >=3.11", "Keywords: ",
                 "Project-URL: ", "Classifier: Typing :: Typed", "Provides-Extra: events",
                 "License-File: LICENSE"):
        assert f"\n{line}" in said, line
    core = [line for line in said.splitlines() if line.startswith("Requires-Dist: ")
            and "extra ==" not in line]
    assert len(core) == len(licences.groups()["core"])
    assert not [line for line in core if re.search("tonic|h5py|aedat", line)]


def test_one_version_everywhere():
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.M)[1]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1]
    assert bz.__version__ == cited == newest


def test_licences_name_every_dependency():
    """Of the core and of each extra; made by `python -m tests.release --licences`."""
    text = licences.PATH.read_text()
    parts = re.split(r"^## .*$", text, flags=re.M)[1:]
    wanted = licences.groups()
    assert len(parts) == len(wanted)
    core = set(re.findall(r"^\| (\S+) \*", parts[0], re.M))
    assert {licences.name_of(name) for name in core} == set(map(licences.name_of, wanted["core"]))
    for (group, requirements), part in zip(wanted.items(), parts):
        listed = {licences.name_of(name) for name in re.findall(r"^\| ([\w.-]+)", part, re.M)}
        missing = set(map(licences.name_of, requirements)) - listed - set(
            map(licences.name_of, wanted["core"]))
        assert not missing, f"{group}: {missing}"
    assert "GPL" not in parts[0], "the core is free of the GNU licences"
    assert re.search(r"^\| tonic \* \|.*\*\*GPL", parts[list(wanted).index("events")], re.M)


def test_data_of_the_first_version_is_read():
    """Its files hold its number, and nobody makes them again for that alone."""
    old = [path for path in ROOT.glob("figures/*/*.json")
           if json.loads(path.read_text()).get("versions", {}).get("bioopzo") == "0.1.0"]
    assert all(read(path)["parameters"] for path in old)
    assert old, "none is left: this test has done its work"


def test_a_result_names_the_version_of_the_code_that_made_it():
    """An installation in place keeps the number of its day; a path of Python has none at all."""
    with mock.patch.object(importlib.metadata, "version", return_value="0.0.1"):
        versions.installed.cache_clear()
        assert versions.versions()["bioopzo"] == bz.__version__
    versions.installed.cache_clear()
