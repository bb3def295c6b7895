"""The command: ``python -m tests.fuzz --draws N --seed S``; see the package's docstring."""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))


def arguments():
    """What the command is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run one draw, and show it")
    parser.add_argument("--out", type=Path, help="folder for counterexamples")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--no-reduction", action="store_true")
    return parser.parse_args()


def main():
    """Run draws; exit status 1 if there is a counterexample."""
    asked = arguments()
    cache = tempfile.TemporaryDirectory()
    os.environ["BIOOPZO_CACHE"] = str(Path(cache.name) / "networks")
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    from fuzz.campaign import tables, work

    numbers = [asked.only] if asked.only is not None else range(asked.first,
                                                                asked.first + asked.draws)
    todo = [(asked.seed, number, not asked.no_reduction) for number in numbers]
    rows, bad = [], []
    context = multiprocessing.get_context("spawn")
    if asked.jobs > 1:
        pool = context.Pool(asked.jobs, maxtasksperchild=200)
        results = pool.imap_unordered(work, todo)
    else:
        results = map(work, todo)
    begin = time.time()
    for row, found in results:
        rows.append(row)
        if found:
            bad.append(found)
            print(f"draw {found['number']}: {found['kind']}: {found['detail'][-300:]}", flush=True)
            if asked.out:
                write(asked.out, found)
    if asked.only is not None:
        from fuzz.strategy import Seeded, draw_from

        print(draw_from(Seeded(f"{asked.seed} {asked.only}"), asked.only).script())
        print(rows[0]["outcome"], rows[0]["detail"])
        if bad:
            print("reduced:", bad[0]["draw"])
    else:
        tables(rows)
        spent = sum(r["cpu"] for r in rows)
        print(f"{len(rows)} draws, {spent/len(rows):.2f} s of CPU each without reduction, "
              f"{time.time() - begin:.0f} s in all; {len(bad)} counterexamples")
        if asked.out:
            asked.out.mkdir(parents=True, exist_ok=True)
            (asked.out / "rows.json").write_text(json.dumps(rows, default=str))
    return 1 if bad else 0


def write(folder, found):
    """A counterexample as a file that can be run."""
    folder.mkdir(parents=True, exist_ok=True)
    head = "\n".join(f"# {line}" for line in found["detail"].splitlines())
    (folder / f"draw_{found['seed']}_{found['number']}.py").write_text(
        f"# seed {found['seed']}, draw {found['number']}: {found['kind']}\n{head}\n"
        "import sys\nsys.path.insert(0, 'tests')\n"
        "from fuzz.executors import run\nfrom fuzz.strategy import Draw\n\n"
        f"outcome = run({found['draw']})\nprint(outcome.kind, outcome.detail)\n")


if __name__ == "__main__":
    sys.exit(main())
