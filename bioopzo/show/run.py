"""A run in a line, and on one card as HTML for notebooks: what it was, and how it ended."""

from html import escape
from typing import Any

from bioopzo.show.html import table, wrapped

#: Rows of the learning curve that a run shows.
MOST_POINTS = 12


def run_html(run: Any) -> str:
    """A `Run` as HTML: what it was, how it ended, and its learning curve as a small table."""
    m = run.meta
    title = f"Run: {m.get('rule')} on {m.get('task')}, {score(run)}"
    facts = [(escape(name), escape(str(value))) for name, value in _facts(run)]
    heads, rows = _curve(run)
    return wrapped([f"<p><b>{escape(title)}</b></p>", table(facts),
                    "<details><summary>learning curve on held-out trials, plasticity and "
                    f"perturbation off</summary>{table(rows, heads)}</details>"])


def run_line(run: Any) -> str:
    """A `Run` in a line: rule, task, how long, how it ended, and with which learning rates."""
    m = run.meta
    accuracy = m.get("test_accuracy")
    score = f"{100 * accuracy:.1f} % of held-out trials" if accuracy is not None else \
        f"held-out loss {m.get('test_loss', float('nan')):.4f}"
    if m.get("changed"):
        score = f"changed since ({'; '.join(m['changed'])}), see evaluate()"
    shown = "" if m.get("changed") else evaluated(run)
    score += f" ({shown})" if shown else ""
    state = "" if run.complete else ", INCOMPLETE"
    rates = f"; {m['learning_rates']}" if "learning_rates" in m else ""
    return (f"Run {m.get('rule')} on {m.get('task')}: {m.get('trials')} trials, seed "
            f"{m.get('seed')}, {m.get('backend')} ({m.get('wall_s', 0):.1f} s): {score}{state}"
            f"{rates}")


def _curve(run):
    """Heads and rows of the learning curve, at most MOST_POINTS of them."""
    columns: list[tuple[Any, ...]] = [
        ("trials", "trials", "d", 1), ("accuracy", "accuracy (%)", ".1f", 100),
        ("loss", "loss", ".4f", 1), ("held_out", "held-out trials", "d", 1)]
    columns = [(f"curve/{name}", *rest) for name, *rest in columns]
    columns += [(name, f"{name[6:].replace('_', ' ')} (Hz)", ".1f", 1)
                for name in run.arrays if name.startswith("rates/")]
    columns = [column for column in columns if len(run.arrays.get(column[0], ()))]
    count = min((len(run.arrays[name]) for name, *_ in columns), default=0)
    shown = sorted({round(k * (count - 1) / (MOST_POINTS - 1)) for k in range(MOST_POINTS)})
    return [head for _, head, *_ in columns], [
        [format(scale * run.arrays[name][k], form) for name, _, form, scale in columns]
        for k in shown if count]


def score(run: Any) -> str:
    """The result of a `Run` in words: accuracy with chance, or loss; or that it did not end."""
    m = run.meta
    if not run.complete:
        return f"INCOMPLETE: {m.get('stopped', 'stopped')}"
    if m.get("changed"):
        return f"changed since ({'; '.join(m['changed'])})"
    if run.test_accuracy is None:
        return f"held-out loss {m.get('test_loss', float('nan')):.4f}"
    chance = f" (chance {100 / m['sizes'][-1]:.1f} %)" if m.get("sizes") else ""
    return f"{100 * run.test_accuracy:.1f} % of held-out trials{chance}"


def evaluated(run: Any) -> str:
    """How many held-out trials the evaluations of a `Run` showed; empty where it does not say."""
    shown = run.meta.get("evaluation_trials")
    if not shown:
        return ""
    if min(shown) == max(shown):
        return f"{shown[0]} at every point"
    last = f"{shown[-1]} at the end, " if run.complete else ""
    before = shown[:-1] if run.complete else shown
    return f"{last}{min(before)}{f' to {max(before)}' * (min(before) < max(before))} at " + (
        f"the {len(before)} points before" if last else "every point")


def _facts(run):
    """(what, value) of a run, those that it has."""
    m = run.meta
    engine = m.get("engine", "spiking")
    how = f"{m.get('backend')}" + ", single precision" * (m.get("precision") == "single")
    if "settings" in m:
        chosen = m["settings"]
        how = f"{chosen['activity']}, {chosen['optimizer']['name']}, batch {chosen['batch']}"
    options = [f"{name}={value!r}" for name, value in m.get("options", {}).items()]
    yield "rule", ", ".join([str(m.get("rule")), *options])
    yield "network", "-".join(map(str, m.get("sizes", ()))) + f", {m.get('coding')} input"
    yield "engine", f"{engine} ({how})"
    if "learning_rates" in m:
        yield "learning rates", m["learning_rates"]
    yield "seed", m.get("seed")
    yield "trials", f"{m.get('trials_done', 0)} of {m.get('trials')}"
    yield "time", f"{m.get('wall_s', 0):.1f} s, {m.get('build_s', 0):.1f} s of it to build"
    yield "complete", "yes" if run.complete else "NO"
    yield "edits", "; ".join(f"{name}: {text}" for name, text in m.get("edits", ())) or "none"
    yield "held-out trials", ": ".join(filter(None, [
        f"{m.get('split')} split of {m.get('task')}", evaluated(run)]))
    yield "model", m.get("digest")
