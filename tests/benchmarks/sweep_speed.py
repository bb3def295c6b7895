"""A sweep on two processes against its single runs, in both engines; and on two clusters.

``python tests/benchmarks/sweep_speed.py`` trains 20 values of eta over 10 seeds on the digits,
1,000 trials each: one by one in this process, as a sweep of two processes, the same in the rate
engine and through a local Dask cluster of two workers; and 4 values over 2 seeds through submitit,
whose local executor starts a process for every run at once. It prints how long each took and
whether all gave the same `Dataset`; it takes both cores of a machine that is not busy otherwise.
``--values 4 --seeds 2`` tries it small; clusters that are not installed are left out. The exit
status is 1 where a limit is not kept or a Dataset differs.
"""

import argparse
import importlib.util
import os
import sys
import tempfile
import time

import numpy as np
from brian2 import BrianLogger, Hz

import bioopzo as bz

#: A sweep on two processes against half the time of its single runs; the rate engine's against it.
MOST, MOST_RATE = 1.15, 1 / 3
WORKERS = 2
#: Values and seeds of which submitit gets the runs.
FEW = 4, 2


def main():
    """Measure what is asked for, and say it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--values", type=int, default=20, help="values of eta (20)")
    parser.add_argument("--seeds", type=int, default=10, help="seeds of each (10)")
    parser.add_argument("--trials", type=int, default=1000, help="training trials of a run (1000)")
    parser.add_argument("--only", default="spiking,rate,dask,submitit", help="parts of it")
    options = parser.parse_args()
    BrianLogger.log_level_error()
    parts, task = options.only.split(","), bz.tasks.digits()
    model = bz.Model([task.n_in, *task.hidden, task.n_out])
    values = {"eta": np.round(np.geomspace(2, 128, options.values), 3) * Hz}
    asked = dict(trials=options.trials, progress=False)
    given = (model, task, values, range(options.seeds))
    count = options.values * options.seeds
    print(f"{count} runs of {options.trials} trials, {model.sizes}; load of this machine before: "
          f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    bz.train(model, task, **asked)  # the program is compiled, and what is imported late is there
    good, spiking, here = True, None, None
    if "spiking" in parts:
        single, scores = alone(*given, asked)
        here, spiking = timed(lambda: bz.sweep(*given, jobs=WORKERS, **asked))
        good &= says("spiking, two processes", spiking, single / WORKERS, MOST,
                     f"half of the single runs' {single:.1f} s")
        good &= equal("the single runs", np.array_equal(scores, here.test_accuracy.values.ravel()))
    if "rate" in parts:
        rate, spent = timed(lambda: bz.sweep(*given, jobs=WORKERS, engine="rate", **asked))
        complete = bool(rate.test_loss.notnull().all())
        good &= complete
        print(f"rate engine, two processes: {spent:.1f} s{'' if complete else ', RUNS MISSING'}")
        if spiking:
            good &= says("rate engine", spent, spiking, MOST_RATE, "the spiking sweep")
    for name in ("dask", "submitit"):
        library = {"dask": "distributed"}.get(name, name)
        if name not in parts or importlib.util.find_spec(library) is None:
            print(f"{name}: not asked for, or not installed")
            continue
        here = bz.sweep(*given, jobs=WORKERS, **asked) if here is None else here
        few = slice(FEW[0] if name == "submitit" else None), slice(
            FEW[1] if name == "submitit" else None)
        some = (model, task, {"eta": values["eta"][few[0]]}, range(options.seeds)[few[1]])
        there, spent = timed(lambda run=CLUSTERS[name], some=some: run(some, asked))
        print(f"{name}, {there.test_accuracy.size} runs: {spent:.1f} s")
        wanted = here.isel(eta=few[0], seed=few[1])
        good &= equal(name, there.drop_vars("wall_s").identical(wanted.drop_vars("wall_s")))
    return int(not good)


def alone(model, task, values, seeds, asked):
    """(seconds in all, the scores) of the runs of a sweep, one by one in this process."""
    scores, begin = [], time.perf_counter()
    for eta in values["eta"]:
        for seed in seeds:
            scores.append(bz.train(model.edit(eta=eta), task, seed=seed, **asked).test_accuracy)
    return time.perf_counter() - begin, scores


def on_dask(given, asked):
    """The sweep through a local Dask cluster."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster, \
            Client(cluster) as client:
        return bz.sweep(*given, client.get_executor(), jobs=WORKERS, **asked)


def on_submitit(given, asked):
    """The sweep through processes that submitit starts on this machine, one a run."""
    from submitit import LocalExecutor

    with tempfile.TemporaryDirectory() as folder:
        return bz.sweep(*given, LocalExecutor(folder=folder), jobs=WORKERS, **asked)


CLUSTERS = {"dask": on_dask, "submitit": on_submitit}


def timed(call):
    """What a call gives, and how long it took."""
    begin = time.perf_counter()
    found = call()
    return found, time.perf_counter() - begin


def says(what, spent, other, most, words):
    """Say how long something took against something else; whether that is within its limit."""
    good = spent <= most * other
    print(f"{what}: {spent:.1f} s, {spent / other:.2f} times {words} (at most {most:.2f})"
          f"{'' if good else ': TOO LONG'}", flush=True)
    return good


def equal(what, same):
    """Say whether something gives the same."""
    print(f"{what}: {'the same' if same else 'ANOTHER'} Dataset", flush=True)
    return same


if __name__ == "__main__":
    sys.exit(main())
