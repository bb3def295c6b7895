"""What the command does in its processes, and the tables that it prints."""

import re
import time
from collections import Counter

from bioopzo.network.kinds import KINDS, moments_of
from fuzz.executors import run
from fuzz.strategy import Seeded, draw_from, reduced


def work(task):
    """One draw: (number, row of the tables, counterexample or None)."""
    seed, number, reduce = task
    begin = time.process_time()
    draw = draw_from(Seeded(f"{seed} {number}"), number)
    outcome = run(draw)
    row = row_of(number, draw, outcome, time.process_time() - begin)
    if not outcome.bad:
        return row, None
    if reduce:
        draw, outcome = reduced(draw, outcome, run)
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
    name, *rest = key.split(".")
    while name not in KINDS and "_" in name:
        name = name.rpartition("_")[0]
    return ".".join([name, *rest[:1]]) if name in KINDS else "?"


def tables(rows, out=print):
    """Print how many draws of what ran and were refused, and why."""
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
