"""Random SIGKILLs: of trainings, each taken up to the same bits; and of a sweep on processes.

``python -m tests.faults kills --trainings 20 --sweeps 5 --seed 0``. The moments are drawn with the
seed, as shares of the time that training takes; which trial that is depends on the machine.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import bioopzo as bz
from faults.tools import content, same, script

#: How each engine trains: seconds on one core, a checkpoint every twentieth of it.
ENGINES = {
    "spiking": dict(trials=12000, backend="standalone", evaluations=20, evaluation_trials=20),
    "rate": dict(epochs=20, engine="rate", batch=16, evaluations=20, evaluation_trials=50),
}
SWEEP = """
    import json
    warnings.simplefilter("always", bz.errors.ModelWarning)
    Hz = bz.Model([4, 3, 2]).parameters["eta"]/20
    found = bz.sweep(bz.Model([4, 3, 2]), task, {"eta": [1, 2, 3, 4, 5, 6]*Hz}, range(4), jobs=2,
                     trials=150, evaluations=1, evaluation_trials=2, backend="numpy",
                     out=here + "/out", progress=False)
    print(json.dumps(found.test_loss.values.ravel().tolist()))
"""


def main(given):
    """Kill as often as is asked for; 1 where something was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults kills")
    parser.add_argument("--trainings", type=int, default=20, help="kills of each engine (20)")
    parser.add_argument("--sweeps", type=int, default=5, help="kills of a sweep (5)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(given)
    good = True
    with tempfile.TemporaryDirectory(prefix="bioopzo-kills-") as folder:
        os.environ["BIOOPZO_CACHE"] = f"{folder}/cache"
        for engine, how in ENGINES.items():
            if options.trainings:
                good &= trainings(engine, how, options.trainings, options.seed, Path(folder))
        if options.sweeps:
            good &= sweeps(options.sweeps, options.seed, Path(folder))
    return int(not good)


# ---------------------------------------------------------------------------- trainings

def task():
    """The digits, the last evaluation on few of them."""
    digits = bz.tasks.digits()
    return digits.replace(splits={**digits.splits, "test": digits.splits["test"][:60]})


def started(how, path, seed):
    """The number of a process that trains, a fork of this one, in which nothing has run yet."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        bz.train(bz.Model([64, 10, 10, 10]), task(), seed=seed, checkpoint=f"{path}.point",
                 save=path, progress=False, live=lambda *_: Path(f"{path}.begun").touch(), **how)
        status = 0
    except BaseException as problem:
        print(f"    {type(problem).__name__}: {problem}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def trained(how, path, seed):
    """A run that a process has trained to its end, and the time after its first evaluation (s)."""
    process = started(how, path, seed)
    while not Path(f"{path}.begun").exists():
        time.sleep(0.005)
        if os.waitpid(process, os.WNOHANG) != (0, 0):
            raise AssertionError("training ended early")
    begin = time.monotonic()
    assert os.waitpid(process, 0)[1] == 0, "training failed"
    return bz.Run.load(path), time.monotonic() - begin


def trainings(engine, how, count, seed, folder):
    """So many kills of an engine's training, each with another seed; whether all was well."""
    draw = random.Random(f"{engine} {seed}")
    whole, span = trained(how, folder / f"{engine}-first", 0)
    print(f"{engine}: {whole!r}\n  {span:.1f} s after the first evaluation; seed {seed}",
          flush=True)
    done = same_bits = resumed = tries = 0
    while done < count and tries < 3 * count:
        tries += 1
        path, run_seed, share = folder / f"{engine}-{tries}", 100 + tries, draw.random()
        process = started(how, path, run_seed)
        while not Path(f"{path}.begun").exists():
            time.sleep(0.005)
        time.sleep(share * span)
        os.kill(process, signal.SIGKILL)
        if os.waitpid(process, 0)[1] != signal.SIGKILL:
            continue  # it was faster
        done += 1
        point = Path(f"{path}.point.npz")
        at = _position(point)
        resumed += at > 0
        Path(f"{path}.begun").unlink()
        again, _ = trained(how, path, run_seed)
        other, _ = trained(how, folder / f"{engine}-{tries}-whole", run_seed)
        equal = same(again, other) and again.complete
        same_bits += equal
        print(f"  kill {done:>2}: run seed {run_seed}, at {share:.3f} of the time, checkpoint at "
              f"{at}: {'the same bits' if equal else 'OTHER BITS'}", flush=True)
    left = [name for name in content(folder) if ".point.npz-" in name or "/." in f"/{name}"]
    print(f"{engine}: {done} kills, {resumed} of them taken up after some training, {same_bits} "
          f"ended in the same bits; {len(left)} files cut off in writing lie beside", flush=True)
    return done == count == same_bits


def _position(path):
    """How much training a checkpoint holds, as its own number (trials or batches)."""
    import json

    if not path.exists():
        return 0
    with np.load(path) as stored:
        return json.loads(stored["content"].tobytes())["position"]


# ---------------------------------------------------------------------------- sweeps

def finished(folder):
    """The files of the finished runs in a folder: name -> when they were written, and what."""
    found = {}
    for path in folder.glob("*.npz"):
        if path.name.endswith(".checkpoint.npz"):
            continue
        if bz.Run.load(path).complete:
            found[path.name] = (path.stat().st_mtime_ns, path.read_bytes())
    return found


def sweeps(count, seed, folder):
    """So many kills of one sweep on two processes, which goes on each time."""
    draw, here = random.Random(f"sweep {seed}"), folder / "sweep"
    (here / "out").mkdir(parents=True)
    known, good = {}, True
    for kill in range(1, count + 1):
        process = script(SWEEP, here)
        more, late = draw.randint(1, 3), draw.random()
        while len(list((here / "out").glob("*.json"))) < len(known) + more:
            time.sleep(0.02)
            if process.poll() is not None:
                print(f"  the sweep ended before kill {kill}")
                return False
        time.sleep(late)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        time.sleep(1.5)  # its workers see that it is gone
        there = finished(here / "out")
        again = [name for name in known if there.get(name) != known[name]]
        good &= not again
        print(f"  kill {kill} of the sweep, {late:.2f} s after {more} more runs: {len(there)} of "
              f"24 runs are finished, {len(again)} of {len(known)} computed twice", flush=True)
        known = there
    process = script(SWEEP, here)
    output, errors = process.communicate()
    there = finished(here / "out")
    again = [name for name in known if there.get(name) != known[name]]
    (folder / "whole" / "out").mkdir(parents=True)
    whole, _ = script(SWEEP, folder / "whole").communicate()
    equal = bool(output) and output == whole
    good &= not again and equal and len(there) == 24
    print(f"sweep: {count} kills, seed {seed}; then it goes on: {len(there)} of 24 runs, "
          f"{len(again)} of {len(known)} computed twice, "
          f"{'the same losses as' if equal else 'OTHER losses than'} without kills{errors[-300:]}",
          flush=True)
    return good
