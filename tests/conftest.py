"""Fixed seeds for every test, a private cache of compiled networks, no change of global state."""

import os
import random

import brian2
import numpy as np
import pytest
import sklearn.datasets  # noqa: F401  sets KMP_* variables once, here
from threadpoolctl import threadpool_limits

threadpool_limits(1)  # test processes share the cores; threads of small products only wait


@pytest.fixture(autouse=True)
def fixed_seeds():
    """Every test starts from the same random state and the numpy target."""
    random.seed(0)
    np.random.seed(0)
    brian2.prefs.codegen.target = "numpy"
    before = (os.getcwd(), dict(os.environ))
    numbers = np.random.get_state()
    yield
    assert brian2.prefs.codegen.target == "numpy", "the test changed Brian2's target"
    assert brian2.get_device() is brian2.all_devices["runtime"], "the test changed Brian2's device"
    after = np.random.get_state()
    assert all(np.array_equal(old, new) for old, new in zip(numbers, after)), \
        "the test drew from NumPy's global random numbers"
    assert os.getcwd() == before[0], "the test changed the working directory"
    changed = {k for k in os.environ if os.environ[k] != before[1].get(k)}
    # setuptools sets PLAT when Cython compiles.
    changed -= {"PYTEST_CURRENT_TEST", "PLAT"}
    assert not changed, f"the test changed the environment: {changed}"


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory):
    """Compiled networks of the tests never touch the user's cache."""
    before = os.environ.get("BIOOPZO_CACHE")
    os.environ["BIOOPZO_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["BIOOPZO_CACHE"]
    else:
        os.environ["BIOOPZO_CACHE"] = before


def pytest_collection_modifyitems(items):
    """Tests that compile take longest: they go first, so that none is left to run alone."""
    items.sort(key=lambda item: item.get_closest_marker("compiled") is None)
