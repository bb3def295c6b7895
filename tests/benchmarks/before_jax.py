"""The rate engine against the one it replaced (commit 70e63b8), in turn on one core.

Usage: python tests/benchmarks/before_jax.py PYTHON CLONE FILE
`CLONE` is a clone of this repository at 70e63b8 and `PYTHON` that of an environment for it
(``pip install -e CLONE``). CPU time of one thread; the smallest of five rounds a case, of calls of
several batches. The figures are put into the JSON file FILE under "rate_before".
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

LAYOUTS = {"784-800-800-10": (784, 800, 800, 10),
           "28x28-32C3-AP2-64C3-AP2-10": "28x28-32C3-AP2-64C3-AP2-10"}
#: Layout, steps, rule, batches a call.
CASES = [*(("784-800-800-10", steps, rule, count) for steps, count in ((6, 6), (30, 2))
           for rule in ("bp", "opzo")),
         *(("28x28-32C3-AP2-64C3-AP2-10", 6, rule, 3) for rule in ("bp", "opzo"))]
ROUNDS, BATCH, RATE = 5, 128, 2e-4
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
              "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def worker(old):
    """Answers every number of a case on a line with the ms a batch of a call."""
    os.sched_setaffinity(0, {0})
    import numpy as np
    sys.path.insert(0, str(Path(__file__).parent))
    if old:
        import bioopzo.epochs
        import bioopzo.training
        from bioopzo import optimizers, spiking
        from bioopzo.rate import Engine
        shape_of, time_course = spiking.shape_of, spiking.time_course
        sys.modules |= {"bioopzo.engines.rate.settings": bioopzo.epochs,
                        "bioopzo.training.start": bioopzo.training}  # as `rate_case` asks for them
        import rate_case
    else:
        import rate_case

        from bioopzo.engines.rate import optimizers
        from bioopzo.engines.rate.engine import Engine
        from bioopzo.network.clock import shape_of, time_course
    runs = {}

    def made(layout, steps, rule, count):
        task = rate_case.image_task(784, steps, BATCH * count)
        model = rate_case.Model(LAYOUTS[layout], rule=rule, neuron="deterministic",
                                dropout=0.2).for_task(task)
        engine = Engine(model, shape_of(task, 2), time_course(model, task),
                        activity="deterministic", optimizer=optimizers.get("adamw", rate=RATE))
        for key, value in rate_case.initial_weights(engine.model,
                                                    np.random.default_rng(0)).items():
            engine.weights[key] = value.reshape(engine.weights[key].shape).astype(np.float32)
        inputs, targets = rate_case.batches_of(task, BATCH, count)
        if old:
            return lambda: [engine.train_batch(*pair, rate=RATE) for pair in zip(inputs, targets)]
        return lambda: engine.train(inputs, targets, rates=np.full(count, RATE))

    for line in sys.stdin:
        number = int(line)
        if number not in runs:
            runs.clear()
            runs[number] = made(*CASES[number])
            runs[number](), runs[number]()
        begin = time.process_time()
        runs[number]()
        print(1e3 * (time.process_time() - begin) / CASES[number][3], flush=True)


def main(python, clone, file):
    folder = Path(__file__).resolve().parents[2]
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"} | ONE_THREAD
    both = {kind: subprocess.Popen(
        [program, __file__, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd="/", env={**environment, "PYTHONPATH": str(path)})
        for kind, program, path in (("old", python, clone), ("new", sys.executable, folder))}
    steps = {}
    for number, (layout, count, rule, _) in enumerate(CASES):
        found = {kind: [] for kind in both}
        for _ in range(ROUNDS):
            for kind, process in both.items():
                process.stdin.write(f"{number}\n")
                process.stdin.flush()
                found[kind].append(float(process.stdout.readline()))
        steps[f"{layout}, {rule}, T = {count}"] = {"engine_ms": min(found["new"]),
                                                   "before_ms": min(found["old"])}
        print(f"{layout}, {rule}, T = {count}", steps[f"{layout}, {rule}, T = {count}"])
    content = json.loads(Path(file).read_text())
    content["rate_before"] = {"commit": "70e63b8", "steps": steps}
    Path(file).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1] in ("old", "new"):
        worker(sys.argv[1] == "old")
    else:
        main(*sys.argv[1:])
