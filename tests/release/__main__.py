"""``python -m tests.release``: builds wheel and sdist, installs the wheel, and lists licences."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from release import build, licences


def _parser():
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__)
    add = parser.add_argument
    add("--out", default="dist", help="folder for wheel and sdist (dist)")
    add("--python", action="append", default=[], metavar="PROGRAM",
        help="install the wheel in an empty environment of this Python, train, and run a notebook; "
        "may be repeated")
    add("--notebook", default="1_first_steps", help="which notebook is run there; '' for none")
    add("--licences", action="store_true", help="write LICENSES.md anew, asking the package index")
    return parser


def main():
    """What the command line asks for."""
    options = _parser().parse_args()
    if options.licences:
        licences.write()
        print(f"written: {licences.PATH}")
        return
    for old in Path(options.out).glob("bioopzo-*"):
        old.unlink()
    for path in build.build(options.out):
        print(f"built: {path}, {path.stat().st_size / 1e3:.0f} kB, {len(build.names(path))} files")
    wheel = path
    for python in options.python:
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            said, packages = build.installed(wheel, folder, python, options.notebook)
        print(f"{python}: {said}; {len(packages.splitlines())} packages, "
              f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
