"""Fixed seeds for every test, a private cache of compiled networks, no change of global state."""

import contextlib
import dataclasses
import gc
import os
import random
import threading
import types
from importlib.metadata import version

# Programs of tests run for a moment: what XLA's last passes win takes longer than it saves,
# its newer way to make code of fused operations three times as long as the one before, and in
# parts, for more processors than there are, a third longer than in one.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 "
                      "--xla_llvm_disable_expensive_passes=true "
                      "--xla_cpu_parallel_codegen_split_count=1 "
                      "--xla_cpu_multi_thread_eigen=false"
                      # later ones end the process for a flag that they do not know
                      + " --xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith(
                          ("0.8.", "0.9.", "0.10.")))

# joblib, which brings the processes of sweeps, sets it for good.
os.environ.setdefault("KMP_INIT_AT_FORK", "FALSE")

import brian2
import jax
import numpy as np
import pytest
import quick_brian2
from fuzz import quick
from threadpoolctl import threadpool_limits

from bioopzo import neurons, rules, tasks
from bioopzo.engines.rate import execute
from bioopzo.engines.spiking import backends, session
from bioopzo.training import plan, spiking

threadpool_limits(1)  # test processes share the cores; threads of small products only wait

#: Held-out trials that a short run of a test shows.
FEW_SHOWN = 20

quick_brian2.install()


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


@pytest.fixture(autouse=True)
def none_added():
    """Rules, neurons and tasks that a test adds are forgotten after it."""
    yield
    for listed in (neurons, rules, tasks):
        listed._FOLDER.added.clear()


@pytest.fixture
def numbers_of_the_test():
    """What Brian2 draws here are NumPy's numbers: put them back."""
    device = brian2.all_devices["runtime"]
    before = device.get_random_state()
    yield
    device.set_random_state(before)


@pytest.fixture(scope="module", autouse=True)
def quick_collections(request):
    """Collections, which are many, do not look through what was there before a file's tests.

    Nor are there others than Python's own and those between two networks, but where a file asks.
    """
    if getattr(request.module, "COLLECTS_AS_USERS_DO", False):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "_quick_collections", contextlib.nullcontext)
        patch.setattr(session, "MANY", 1500)  # names are found quickly, see quick_brian2
        patch.setattr(brian2.core.network, "gc", types.SimpleNamespace(collect=lambda: None))
        gc.collect()
        gc.freeze()
        yield
        gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def short_runs_on_numpy():
    """Runs of tests that name no back end are short, their texts many: hardly one is compiled.

    Nor does a run's back end depend on what another test has left in the cache.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends, "WORTH_COMPILING", 300)
        patch.setattr(spiking, "is_kept", lambda *_: False)
        yield


@pytest.fixture(scope="module", autouse=True)
def last_looks_are_short(request):
    """A short run of the spiking engine ends with few held-out trials, but where a file asks.

    On NumPy one takes as long as one of training, and a run of two trials showed hundreds.
    """
    if getattr(request.module, "SHOWS_ALL_AS_USERS_DO", False):
        yield
        return

    def planned(task, split, *arguments):
        found = plan.planned(task, split, *arguments)
        if found.trials >= backends.WORTH_COMPILING:
            return found
        few = plan.evenly_drawn(task, split, FEW_SHOWN)
        return dataclasses.replace(found, held_out=few, few=found.few[:len(few)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spiking, "planned", planned)
        yield


@pytest.fixture(scope="module", autouse=True)
def looked_inside_on_numpy(request):
    """Machines that run operation by operation take NumPy's operations, but where a file asks.

    JAX compiles each operation for each shape, which takes longer than most of these runs.
    """
    if getattr(request.module, "RUNS_JAX_OPERATION_BY_OPERATION", False):
        yield
        return
    on_jax, one_at_a_time = execute.Machine.trial, threading.RLock()

    def trial(machine, *arguments, **options):
        traced = machine.compiled or machine.gradient or any(
            isinstance(x, jax.core.Tracer) for x in jax.tree.leaves((arguments, options)))
        # Modules are changed meanwhile, for all threads.
        with one_at_a_time, contextlib.nullcontext() if traced else quick.on_numpy():
            return on_jax(machine, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute.Machine, "trial", trial)
        yield


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory):
    """Compiled networks of the tests never touch the user's cache.

    Nor do JAX's programs. The same one is compiled once, whichever test or process it is for.
    """
    common = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # one for all processes of this run
        common = common.parent
    theirs = {"BIOOPZO_CACHE": str(common / "bioopzo")}
    programs = {"jax_compilation_cache_dir": str(common / "jax"),
                "jax_persistent_cache_min_compile_time_secs": 0,
                "jax_persistent_cache_min_entry_size_bytes": -1}
    theirs |= {name.upper(): str(value) for name, value in programs.items()}  # for processes
    with pytest.MonkeyPatch.context() as patch:
        for name, value in theirs.items():
            patch.setenv(name, value)
        for name, value in programs.items():
            jax.config.update(name, value)
        yield


def pytest_collection_modifyitems(items):
    """Tests that compile take longest: they go first, so that none is left to run alone."""
    items.sort(key=lambda item: item.get_closest_marker("compiled") is None)
