"""Every benchmark hands its figures to `figures`; they are printed and, if asked for, saved.

Run with ``python -m pytest tests/benchmarks -s``. With BIOOPZO_BENCHMARK_JSON=path, the figures
of all benchmarks of the run are written there as JSON, beside those of others that it has already.
"""

import json
import os
import platform
from pathlib import Path

import pytest

from bioopzo.files import write_json
from bioopzo.versions import versions


@pytest.fixture(scope="session")
def figures():
    """A dict that fills with ``{"benchmark": {"figure": number}}``; saved after the last test."""
    content = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "versions": versions()}
    yield content
    path = os.environ.get("BIOOPZO_BENCHMARK_JSON")
    if path:
        known = json.loads(Path(path).read_text()) if Path(path).is_file() else {}
        write_json(path, {**known, **content})


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """One thread for every library, and no processor forced upon OpenBLAS."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
