"""Several rules over several seeds on one task, in parallel, each with its tuned rates."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from bioopzo.engines.spiking import backends
from bioopzo.errors import InputError
from bioopzo.files import write_json
from bioopzo.model import Model
from bioopzo.show.html import table, wrapped
from bioopzo.training.rate import finished
from bioopzo.training.train import train


@dataclass(frozen=True)
class Comparison:
    """The runs of a comparison on a `task`: `runs` maps a label to a list of `Run`, one a seed."""

    runs: dict
    task: object

    def table(self):
        """A row per label: mean, standard deviation and 95 % interval of the held-out score."""
        return [{"label": label, **summary(runs)} for label, runs in self.runs.items()]

    def plot(self, ax=None, **options):
        """Learning curves of all labels with intervals over seeds, drawn into `ax`.

        Options and errors are those of `plots.learning_curves`.
        """
        from bioopzo.plots.learning import learning_curves  # start-up: matplotlib is slow

        return learning_curves(self.runs, ax=ax, **options)

    def plot_final(self, ax=None, **options):
        """Held-out score of every label at the end, a point a seed, drawn into `ax`.

        Options and errors are those of `plots.final_accuracy`.
        """
        from bioopzo.plots.learning import final_accuracy  # start-up: matplotlib is slow

        return final_accuracy(self.runs, ax=ax, **options)

    def _repr_html_(self):
        rows = self.table()
        heads = ("rule", "mean", "sd", "95 % interval", "rates (Hz)")
        return wrapped([f"<p>{escape(_title(rows, self.task.name))}</p>",
                        table([map(escape, row) for row in _cells(rows)], heads)])

    def __repr__(self):
        return format_table(self.table(), self.task.name)


def summary(runs):
    """Mean, spread and interval over seeds of the held-out accuracy (or loss), as a dict."""
    key = "test_accuracy" if runs[0].test_accuracy is not None else "test_loss"
    scores = np.array([run.meta[key] for run in runs])
    n = len(scores)
    sd = float(scores.std(ddof=1)) if n > 1 else None
    half = float(stats.t.ppf(0.975, n - 1) * sd / np.sqrt(n)) if n > 1 else None
    first = runs[0].meta
    return {
        "measure": key, "mean": float(scores.mean()), "sd": sd, "interval95": half,
        "scores": scores.tolist(), "seeds": [run.meta["seed"] for run in runs],
        "rule": first["rule"], "options": first["options"], "trials": first["trials"],
        "backend": first["backend"], "build_s": first["build_s"],
        "wall_s": float(np.sum([run.meta["wall_s"] for run in runs])),
        "untrained_rates_hz": _mean_rates(runs, "untrained_rates_hz"),
        "rates_hz": _mean_rates(runs, "rates_hz"),
    }


def _mean_rates(runs, key):
    return {name: float(round(np.mean([run.meta[key][name] for run in runs]), 1))
            for name in runs[0].meta[key]}


def format_table(rows, title):
    """Rows of `Comparison.table` as aligned text, best first."""
    lines = [_title(rows, title),
             f"{'rule':<28}{'mean':>8}{'sd':>8}{'95 % interval':>18}   rates (Hz)"]
    lines += [f"{label:<28}{mean:>8}{sd:>8}{interval:>18}   {rates}"
              for label, mean, sd, interval, rates in _cells(rows)]
    return "\n".join(lines)


def _title(rows, task):
    accuracy = rows[0]["measure"] == "test_accuracy"
    return (f"{task}: held-out {'accuracy (%)' if accuracy else 'loss'}, "
            f"{rows[0]['trials']} trials, {len(rows[0]['seeds'])} seed(s)")


def _cells(rows):
    """Label, mean, standard deviation, interval and rates of every row as text, best first."""
    accuracy = rows[0]["measure"] == "test_accuracy"
    scale, digits = (100, 1) if accuracy else (1, 4)
    for row in sorted(rows, key=lambda r: r["mean"], reverse=accuracy):
        mean, sd, half = (row[k] if row[k] is None else scale * row[k]
                          for k in ("mean", "sd", "interval95"))
        yield (row["label"], f"{mean:.{digits}f}", "-" if sd is None else f"{sd:.{digits}f}",
               "one seed" if half is None else
               f"{mean - half:.{digits}f} to {mean + half:.{digits}f}",
               ", ".join(f"{v:.0f}" for v in row["rates_hz"].values()))


def compare(rules, task, seeds=range(3), trials=None, sizes=None, out=None, backend=None,
            evaluations=None, jobs=2, progress=True, engine="spiking", epochs=None, settings=None,
            **parameters):
    """Train several rules on a task, each over the same seeds.

    Parameters
    ----------
    rules : sequence of str, or mapping label -> Model
        Names of rules, each with its tuned parameters; or models of your own.
    task : Task
    seeds : iterable of int
    trials, epochs : int
        As for `train`; one of them, or neither for the engine's default.
    sizes : sequence of int, optional
        Network; default the task's own hidden layers.
    out : path, optional
        Folder in which every run is saved (``label-seed.npz`` and ``.json``) and the table.
    backend, evaluations
        As for `train`.
    jobs : int
        Runs at a time (compiled back end and rate engine; the others run one by one).
    engine : ``"spiking"`` or ``"rate"``
    progress : bool
        Whether a progress bar is shown, one step a run.
    settings : mapping, optional
        Of the rate engine; a key that is a label holds settings of that label alone. With `out`,
        a run that is there already is taken as it is, and one that was stopped goes on from its
        last checkpoint.
    **parameters
        Given to every model.

    Returns a `Comparison`. Raises `InputError` for no rules or seeds, and what `train` raises.
    """
    seeds = list(seeds)
    if not seeds:
        raise InputError("a comparison needs at least one seed")
    sizes = sizes or [task.n_in, *task.hidden, task.n_out]
    models = dict(rules) if isinstance(rules, dict) else {
        name: Model(sizes, rule=name, **parameters) for name in rules}
    if not models:
        raise InputError("a comparison needs at least one rule")
    spiking = engine == "spiking"
    held_out = (evaluations + 1 if isinstance(evaluations, int) else 11) * len(task.splits["test"])
    chosen = backends.choose(backend, (trials or 4000) + held_out) if spiking else None
    common = {k: v for k, v in (settings or {}).items() if k not in models}
    todo = [(label, seed) for seed in seeds for label in models]
    bar = tqdm(total=len(todo), desc=f"{task.name} ({chosen or engine})", unit="run",
               disable=not progress)

    def one(job):
        label, seed = job
        stem = Path(out) / f"{label}-{seed}" if out else None
        own = {**common, **(settings or {}).get(label, {})}
        if stem and not spiking:
            own["checkpoint"] = stem.with_name(f"{stem.name}.checkpoint.npz")
        run = None
        if "checkpoint" in own:
            given = {k: v for k, v in own.items() if k != "checkpoint"}
            run = finished(stem, models[label], task, epochs, trials, seed, **given)
        run = run or train(models[label], task, trials=trials, seed=seed, backend=chosen,
                           evaluations=evaluations, progress=False, save=stem, engine=engine,
                           epochs=epochs, **own)
        if "checkpoint" in own:  # the run itself is saved now
            own["checkpoint"].unlink(missing_ok=True)
        run.meta["label"] = label
        bar.update()
        return label, run

    # Each rate run has one core: two runs at a time are faster than two cores for one.
    limits = threadpool_limits(1) if not spiking else nullcontext()
    with bar, limits, ThreadPoolExecutor(1 if spiking and chosen != "standalone" else jobs) as pool:
        try:
            done = list(pool.map(one, todo))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    result = Comparison({label: [run for name, run in done if name == label] for label in models},
                        task)
    if out:
        write_json(Path(out) / "comparison.json", {"task": task.name, "rows": result.table()})
    return result
