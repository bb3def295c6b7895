"""The command: ``python -m tests.fuzz --draws N --seed S``; see the package's docstring."""

import argparse
import json
import multiprocessing
import os
import re
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path


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
    parser.add_argument("--jax", action="store_true",
                        help="the rate engine's operations by JAX, one by one: slow")
    parser.add_argument("--compiled", action="store_true",
                        help="each draw in compiled code, too: some seconds each")
    return parser.parse_args()


def work(task):
    """One draw: (number, row of the tables, counterexample or None)."""
    import brian2

    from fuzz.executors import run
    from fuzz.strategy import Seeded, draw_from, reduced

    seed, number, reduce, how = task
    begin = time.process_time()
    brian2.BrianLogger.log_level_error()
    draw = draw_from(Seeded(f"{seed} {number}"), number)
    outcome = run(draw, **how)
    row = row_of(number, draw, outcome, time.process_time() - begin)
    if not outcome.bad:
        return row, None
    if reduce:
        draw, outcome = reduced(draw, outcome, partial(run, **how))
    return row, {"seed": seed, "number": number, "kind": outcome.kind, "detail": outcome.detail,
                 "draw": draw.script()}


def row_of(number, draw, outcome, spent):
    """What the tables count of a draw."""
    ops = [(kind, key) for op in draw.ops for kind, key, _ in op]
    return {
        "number": number, "outcome": outcome.kind, "detail": outcome.detail, "cpu": spent,
        "rule": draw.rule, "neuron": draw.neuron, "reset": draw.reset, "coding": draw.coding,
        "error": draw.error, "surrogate": draw.surrogate, "edits": len(draw.ops),
        "finite": outcome.finite, "state_reset": draw.state_reset, "dropout": draw.dropout > 0,
        "refractory": draw.refractory > 0, "varying": draw.varying, "depth": len(draw.sizes) - 2,
        "lazy": sorted(set(outcome.forms.values())), "blocks": outcome.blocks,
        "edited": sorted({key.partition(":")[0] for _, key in ops})}


def block_of(key):
    """The (kind, moment) that a block belongs to, as text."""
    from bioopzo.network.kinds import KINDS

    name, *rest = key.split(".")
    while name not in KINDS and "_" in name:
        name = name.rpartition("_")[0]
    return ".".join([name, *rest[:1]]) if name in KINDS else "?"


def tables(rows, out=print):
    """Print how many draws of what ran and were refused, and why."""
    from bioopzo.network.kinds import KINDS, moments_of

    groups = ("ran", "ran, rate engine refused", "refused")

    def line(name, chosen):
        counts = Counter(r["outcome"] if r["outcome"] in groups else "bad" for r in chosen)
        out(f"  {name:32}" + "".join(f"{counts[g]:8}" for g in (*groups, "bad")))

    out(f"  {'':32}" + "".join(f"{w:>8}" for w in ("ran", "no rate", "refused", "bad")))
    line("all", rows)
    for key in ("rule", "neuron", "reset", "coding", "error", "surrogate", "state_reset", "dropout",
                "refractory", "varying", "depth", "edits"):
        for value in sorted({r[key] for r in rows}):
            line(f"{key} {value}", [r for r in rows if r[key] == value])
    out("  blocks that were edited")
    for kind in KINDS:
        for moment in moments_of(kind):
            name = ".".join(filter(None, (kind, moment)))
            line(name, [r for r in rows if any(block_of(k) == name for k in r["edited"])])
    out("refusals by reason")
    reasons = Counter(reason(r["detail"]) for r in rows if r["outcome"].endswith("refused"))
    for text, count in reasons.most_common(60):
        out(f"  {count:5}  {text}")
    out("counterexamples by kind")
    for text, count in Counter(r["outcome"] for r in rows
                               if r["outcome"] not in groups).most_common():
        out(f"  {count:5}  {text}")


def reason(detail):
    """A refusal's first line without the names in it."""
    lines = [x for x in detail.splitlines() if x and "mistakes in the" not in x]
    first = lines[0] if lines else ""
    first = first.split(": ", 1)[-1] if ": " in first else first
    return re.sub(r"'[^']*'|\"[^\"]*\"|[\w.]*_?\d+[\w.]*", "*", first)[:110]


def main():
    """Run draws; exit status 1 if there is a counterexample."""
    asked = arguments()
    cache = tempfile.TemporaryDirectory()
    os.environ["BIOOPZO_CACHE"] = str(Path(cache.name) / "networks")
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    numbers = [asked.only] if asked.only is not None else range(asked.first,
                                                                asked.first + asked.draws)
    how = {"numpy": not asked.jax, "compiled": asked.compiled}
    todo = [(asked.seed, number, not asked.no_reduction, how) for number in numbers]
    rows, bad = [], []
    begin = time.time()
    if asked.only is None:  # what Brian2 and sympy keep slows a process down in time
        pool = multiprocessing.get_context("spawn").Pool(asked.jobs, maxtasksperchild=100)
        results = pool.imap_unordered(work, todo)
    else:
        results = map(work, todo)
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
