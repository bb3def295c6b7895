"""LICENSES.md: every package that an installation brings, and its licence, as the index says."""

import configparser
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from release.build import ROOT

PATH = ROOT / "LICENSES.md"
#: Words in a licence that ask for more than to be named.
STRICT = re.compile(r"\bL?A?GPL|General Public|CeCILL|MPL", re.IGNORECASE)
HEAD = """# Licences of what bioopzo stands on

bioopzo itself is under the MIT licence ([LICENSE](LICENSE)). It ships none of these packages: pip
brings them. The table is made by `python -m tests.release --licences` from what the package index
says of the releases that pip chose on Python {python}; of an extra, what it brings beside the core.
**Bold**: a licence that asks something of who passes the package on, as the GPL does{strict}.
"""


def groups(path=ROOT / "setup.cfg"):
    """Direct requirements by group: ``"core"`` and each extra -> list of requirements."""
    config = configparser.ConfigParser()
    config.read(path)
    found = {"core": config["options"]["install_requires"], **config["options.extras_require"]}
    return {name: [line.strip() for line in text.splitlines()
                   if line.strip() and not line.lstrip().startswith("#")]
            for name, text in found.items()}


def name_of(requirement):
    """The normal name of a requirement, e.g. ``"dask[distributed]"`` -> ``"dask"``."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def write(path=PATH):
    """Ask the index and write the file."""
    wanted, core, parts, strict = groups(), set(), [], []
    for group, requirements in wanted.items():
        rows, before = [], wanted["core"] if group != "core" else []
        for found in _resolved([*before, *requirements]):
            name = name_of(found["name"])
            if name in core:
                continue
            licence = said(found)
            if STRICT.search(licence):
                strict.append(name)
                licence = f"**{licence}**"
            direct = " *" if name in map(name_of, requirements) else ""
            rows.append((name, f"| {found['name']}{direct} | {found['version']} | {licence} |"))
        if group == "core":
            core = {name for name, _ in rows}
        title = "The core" if group == "core" else f"The extra `{group}`"
        parts.append("\n".join([f"## {title}", "", "| package | version | licence |",
                                "|---|---|---|", *(row for _, row in sorted(rows))]))
    python = ".".join(map(str, sys.version_info[:2]))
    known = f" ({', '.join(sorted(set(strict)))})" if strict else ""
    path.write_text("\n".join([HEAD.format(python=python, strict=known),
                               "A star: asked for by bioopzo itself.", "",
                               "\n\n".join(parts), ""]))


def _resolved(requirements):
    """What pip would install: the metadata of each package."""
    with tempfile.TemporaryDirectory() as folder:
        report, pip = Path(folder) / "report.json", [sys.executable, "-m", "pip", "install", "-q",
                                                     "--disable-pip-version-check"]
        # Older ones do not report what a package writes as License-Expression.
        subprocess.run([*pip, "--target", folder, "pip>=25"], check=True)
        subprocess.run([*pip, "--dry-run", "--ignore-installed", "--report", report, *requirements],
                       check=True, capture_output=True,
                       env={**os.environ, "PYTHONPATH": folder})
        return [one["metadata"] for one in json.loads(report.read_text())["install"]]


def said(metadata):
    """The licence that a package's metadata name: expression, classifiers, or first words."""
    if metadata.get("license_expression"):
        return metadata["license_expression"]
    classified = [line.split(" :: ")[-1] for line in metadata.get("classifier", ())
                  if line.startswith("License ::") and not line.endswith("OSI Approved")]
    text = " ".join((metadata.get("license") or "").split())
    if text and len(text) <= 40 and text.upper() != "UNKNOWN":
        return text
    return "; ".join(classified) or (f"{text[:40]} ..." if text else _file(metadata["name"]))


def _file(name):
    """The first line of a package's licence file, where it is installed here."""
    try:
        files = importlib.metadata.files(name) or ()
    except importlib.metadata.PackageNotFoundError:
        files = ()
    for path in files:
        if re.match("licen[cs]e|copying", path.name, re.IGNORECASE) and path.locate().is_file():
            return f"{path.read_text().strip().splitlines()[0].strip()} (its file)"
    return "not said"
