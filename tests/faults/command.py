"""The table of faults, printed and written; and the kills."""

import argparse
import json
import os
import resource
import tempfile
from collections import Counter
from pathlib import Path

import brian2

from faults import caches, ends, files, places, recordings, values  # noqa: F401  they fill FAULTS
from faults.tools import FAULTS, tried

#: What a fault may take: one that asks for too much memory is to harm nobody else.
MOST_BYTES = 16 * 2**30


def main(given):
    """Try what is asked for; 1 where a fault is not handled well."""
    if given[:1] == ["kills"]:
        from faults import kills

        return kills.main(given[1:])
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--only", default="", help="faults with this word in kind or name")
    parser.add_argument("--first", type=int, default=1, help="number of the first of them (1)")
    parser.add_argument("--quick", action="store_true", help="those that pytest runs, too")
    parser.add_argument("--out", type=Path, help="table.md or table.json")
    options = parser.parse_args(given)
    brian2.BrianLogger.log_level_error()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    own = tempfile.TemporaryDirectory(prefix="bioopzo-faults-")
    os.environ["BIOOPZO_CACHE"] = own.name  # the user's own stays as it is
    found = []
    chosen = [one for one in FAULTS if options.only in f"{one.kind}: {one.done}"
              and (one.quick or not options.quick)]
    for number, one in list(enumerate(chosen, 1))[options.first - 1:]:
        with tempfile.TemporaryDirectory(prefix="bioopzo-faults-",
                                         ignore_cleanup_errors=True) as here:
            found.append(tried(one, Path(here)))
        print(f"{number:>3} {'ok  ' if not found[-1].wrong else 'BAD '} {one.kind}: {one.done} "
              f"({found[-1].seconds:.1f} s)\n      {found[-1].said[:230]}\n      kept: "
              f"{found[-1].kept}" + f"\n      WRONG: {found[-1].wrong}" * bool(found[-1].wrong),
              flush=True)
    bad = [outcome for outcome in found if outcome.wrong]
    counts = Counter(outcome.fault.kind for outcome in found)
    print(f"{len(found)} faults ({', '.join(f'{n} {kind}' for kind, n in counts.items())}): "
          f"{len(found) - len(bad)} handled, {len(bad)} not")
    if options.out:
        options.out.write_text(written(found, options.out.suffix))
    return int(bool(bad))


def written(found, suffix):
    """The table as JSON, or as Markdown."""
    rows = [{"kind": outcome.fault.kind, "fault": outcome.fault.done, "said": outcome.said,
             "kept": outcome.kept, "verdict": outcome.wrong or "handled",
             "point": outcome.fault.point, "seconds": round(outcome.seconds, 2)}
            for outcome in found]
    if suffix == ".json":
        return json.dumps(rows, indent=1) + "\n"
    names = ("kind", "fault", "said", "kept", "verdict")
    lines = [" | ".join(names), " | ".join("---" for _ in names)]
    lines += [" | ".join(str(row[name]).replace("|", "\\|")[:300] for name in names)
              for row in rows]
    return "".join(f"| {line} |\n" for line in lines)
