"""What the rate engine does on this machine's devices, such as a GPU: times as JSON.

Usage: python tests/benchmarks/gpu_speed.py [--small]
Needs the package's own dependencies only (on a GPU, JAX's package for it too), and prints JSON
when it is done; progress goes to stderr. Times are wall times: the smallest of a few repeats, when
everything is compiled and `jax.block_until_ready` has waited. `--small` tries it all in tiny sizes.
"""

import argparse
import json
import sys
import time

import jax
import numpy as np
import rate_case

import bioopzo as bz
from bioopzo.engines.rate.engine import train_together
from bioopzo.versions import versions

BATCH, IMAGES, RUNS = 128, 60000, 32
DIGITS = [64, 32, 32, 10]


def seconds(run, engines, repeats):
    """{"compile_s", "s": the smallest of the repeats, "all_s"}, waiting for the last weight."""
    def once():
        start = time.perf_counter()
        run()
        jax.block_until_ready([engine.weights for engine in engines])
        return time.perf_counter() - start

    first = once()
    found = [once() for _ in range(repeats)]
    return {"first_s": first, "s": min(found), "all_s": found}


def step(network, rule, batch, count, repeats):
    """ms a training step, of `count` in a call."""
    engine, run = rate_case.image_training(network, rule, batch, count)
    found = seconds(run, [engine], repeats)
    return {"ms": 1e3 * found["s"] / count, "batch": batch, "batches": count, **found}


def epochs(rule, images, repeats):
    """Epochs of as many images of MNIST's size as MNIST has, a minute, in calls of 58 batches."""
    count = images // BATCH
    calls = max(1, round(count / 58))
    each = count // calls
    engine, run = rate_case.image_training("fc", rule, BATCH, each)

    def epoch():
        for _ in range(calls):
            run()

    found = seconds(epoch, [engine], repeats)
    shown = calls * each * BATCH
    return {"epochs_a_minute": 60 / (found["s"] * images / shown), "images": shown, **found}


def many(runs, trials, batch, repeats):
    """us a trial and run, of so many learning rates of digits at once."""
    task = bz.tasks.digits()
    alone = {"updates": "step", "optimizer": "sgd"} if batch == 1 else {}
    engines = [rate_case.opened(task, DIGITS, "opzo", batch=batch, **alone) for _ in range(runs)]
    inputs, targets = rate_case.batches_of(task, batch, trials // batch)
    scale = 1.0 if batch == 1 else 1e-2
    given = [(inputs, targets, None, np.full(len(inputs), scale * rate))
             for rate in np.geomspace(0.1, 2.0, runs)]
    found = seconds(lambda: train_together(engines, given), engines, repeats)
    shown = len(inputs) * batch
    return {"us": 1e6 * found["s"] / shown / runs, "ms_a_trial_of_all": 1e3 * found["s"] / shown,
            "runs": runs, "trials": shown, "batch": batch, **found}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script")
    small = parser.parse_args().small
    repeats, begin = (1, time.perf_counter()) if small else (3, time.perf_counter())
    result = {"devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
              "versions": versions()}
    large, pictures = (8, 2) if small else (BATCH, 32)
    plans = {
        **{f"fc {rule}": lambda rule=rule: step("fc", rule, large, 2 if small else 50, repeats)
           for rule in ("bp", "opzo")},
        **{f"fc {rule}, epochs": lambda rule=rule: epochs(rule, 4 * BATCH if small else IMAGES,
                                                          repeats) for rule in ("bp", "opzo")},
        **{f"conv {rule}": lambda rule=rule: step("conv", rule, large, 1 if small else 20, repeats)
           for rule in ("bp", "opzo")},
        **{f"papers {rule}, batch {batch}": lambda rule=rule, batch=batch: step(
            "papers", rule, batch, 1 if small else 8, repeats)
           for rule in ("bp", "opzo") for batch in ((pictures,) if small else (pictures, BATCH))},
        **{f"digits, {RUNS} runs, batch {batch}": lambda batch=batch, trials=trials: many(
            2 if small else RUNS, 32 if small else trials, batch, repeats)
           for batch, trials in ((1, 320), (32, 1280))},
        "digits, 1 run, batch 1": lambda: many(1, 32 if small else 320, 1, repeats),
    }
    for name, plan in plans.items():
        print(f"{time.perf_counter() - begin:6.1f} s: {name}", file=sys.stderr, flush=True)
        result[name] = plan()
    result["total_s"] = time.perf_counter() - begin
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
