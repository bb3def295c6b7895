"""Several rules over several seeds on one task, in parallel, each with its tuned rates."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from html import escape
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from bioopzo import plots
from bioopzo.arguments import ENOUGH_SEEDS, at_a_time, checked_seeds
from bioopzo.errors import InputError, ModelWarning, nearest, unknown
from bioopzo.files import writable, write_json
from bioopzo.model import Model
from bioopzo.run import Run
from bioopzo.show.html import table, wrapped
from bioopzo.tasks import Task
from bioopzo.training.plan import Evaluations
from bioopzo.training.runs import asked, computed, told_of, words_of
from bioopzo.training.saving import place_of_run
from bioopzo.training.train import checked_pair, checked_task, named
from bioopzo.training.workers import workers

if TYPE_CHECKING:  # takes long to import
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Comparison:
    """The runs of a comparison on a `task`: `runs` maps a label to a list of `Run`, one a seed."""

    runs: dict[str, list[Run]]
    task: Task

    def table(self, against: str | None = None) -> list[dict[str, Any]]:
        """A row per label: mean, standard deviation and 95 % interval of the held-out score.

        And how it differs from the label `against` (default: the first), seed by seed:
        ``difference`` is the mean of the differences, ``difference95`` half their 95 % interval,
        ``effect`` the mean in standard deviations of the differences, corrected for few seeds
        (Hedges' g of paired samples); None where a single seed, or no spread, leaves them open, of
        an interval fewer seeds than five do, and of an effect two.
        ``untuned`` are learning rates that nobody chose for this task. Raises `InputError` for an
        unknown label.
        """
        first = next(iter(self.runs)) if against is None else against
        if first not in self.runs:
            raise unknown("label of the comparison", first, self.runs)
        return [{"label": label, **summary(runs), **paired(runs, self.runs[first]),
                 "against": first} for label, runs in self.runs.items()]

    def plot(self, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """Learning curves of all labels with intervals over seeds, drawn into `ax`.

        Options and errors are those of `plots.learning_curves`.
        """
        return plots.learning_curves(self.runs, ax=ax, **options)

    def plot_final(self, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """Held-out score of every label at the end, a point a seed, drawn into `ax`.

        Options and errors are those of `plots.final_accuracy`.
        """
        return plots.final_accuracy(self.runs, ax=ax, **options)

    def _repr_html_(self):
        rows = self.table()
        return wrapped([f"<p>{escape(_title(rows, self.task.name))}</p>",
                        table([map(escape, row) for row in _cells(rows)], _heads(rows)),
                        *(f"<p>{escape(line)}</p>" for line in _remarks(rows))])

    def __repr__(self):
        return format_table(self.table(), self.task.name)


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Mean, spread and interval over seeds of the held-out accuracy (or loss), as a dict."""
    key = "test_accuracy" if runs[0].test_accuracy is not None else "test_loss"
    scores = np.array([run.meta[key] for run in runs])
    n = len(scores)
    sd = float(scores.std(ddof=1)) if n > 1 else None
    half = float(stdtrit(n - 1, 0.975) * sd / np.sqrt(n)) if n >= ENOUGH_SEEDS else None
    first = runs[0].meta
    return {
        "measure": key, "mean": float(scores.mean()), "sd": sd, "interval95": half,
        "scores": scores.tolist(), "seeds": [run.meta["seed"] for run in runs],
        "rule": first["rule"], "options": first["options"], "trials": first["trials"],
        "untuned": first.get("untuned", []),
        "backend": first["backend"], "build_s": first["build_s"],
        "wall_s": float(np.sum([run.meta["wall_s"] for run in runs])),
        "untrained_rates_hz": _mean_rates(runs, "untrained_rates_hz"),
        "rates_hz": _mean_rates(runs, "rates_hz"),
    }


def paired(runs: Sequence[Run], others: Sequence[Run]) -> dict[str, Any]:
    """How the scores of `runs` differ from those of `others` with the same seeds.

    ``difference``, ``difference95`` and ``effect`` as `Comparison.table` has them.
    """
    key = "test_accuracy" if runs[0].test_accuracy is not None else "test_loss"
    mine, theirs = ({run.meta["seed"]: run.meta[key] for run in group} for group in (runs, others))
    differences = np.array([mine[seed] - theirs[seed] for seed in mine if seed in theirs])
    n = len(differences)
    if not n or runs is others:
        return {"difference": None, "difference95": None, "effect": None}
    mean, sd = float(differences.mean()), float(differences.std(ddof=1)) if n > 1 else 0.0
    return {"difference": mean,
            "difference95": float(stdtrit(n - 1, 0.975) * sd / np.sqrt(n))
            if n >= ENOUGH_SEEDS else None,
            # Of two pairs, the correction leaves nothing, whatever the difference.
            "effect": (1 - 3 / (4 * n - 5)) * mean / sd if sd and n > 2 else None}


def _mean_rates(runs, key):
    return {name: float(round(np.mean([run.meta[key][name] for run in runs]), 1))
            for name in runs[0].meta[key]}


def format_table(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """Rows of `Comparison.table` as aligned text, best first."""
    cells = [_heads(rows), *_cells(rows)]
    widths = [max(map(len, column)) + 2 for column in zip(*cells)]
    widths[0] = max(28, widths[0])
    lines = [f"{row[0]:<{widths[0]}}" + "".join(
        f"{cell:>{width}}" for cell, width in zip(row[1:-1], widths[1:-1])) + f"   {row[-1]}"
        for row in cells]
    return "\n".join([_title(rows, title), *lines, *_remarks(rows)])


def _title(rows, task):
    accuracy = rows[0]["measure"] == "test_accuracy"
    return (f"{task}: held-out {'accuracy (%)' if accuracy else 'loss'}, "
            f"{rows[0]['trials']} trials, {len(rows[0]['seeds'])} seed(s)")


def _in_pairs(rows):
    """Whether there is something to say of differences seed by seed."""
    return any(row.get("difference") is not None and len(row["seeds"]) > 1 for row in rows)


def _heads(rows):
    more = (f"difference to {rows[0]['against']}", "effect") if _in_pairs(rows) else ()
    return ("rule", "mean", "sd", "95 % interval", *more, "rates (Hz)")


def _remarks(rows):
    """What there is to say below the table: how rules differ, and whose rates nobody chose."""
    names = [row["label"] for row in rows if row.get("untuned")]
    enough = len(rows[0]["seeds"]) >= ENOUGH_SEEDS
    lines = [f"difference: of the same seeds, mean{' and 95 % interval' * enough}; effect: that "
             "mean in standard deviations (Hedges' g)"] * _in_pairs(rows)
    if not enough:
        lines.append("an interval takes five seeds or more")
    if not names:
        return lines
    others = ", the others are: the comparison is not fair" * (len(names) < len(rows))
    return [*lines, f"learning rates not tuned for this task (bioopzo tune): {', '.join(names)}"
            + others]


def _cells(rows):
    """The cells of every row as text, best first."""
    accuracy = rows[0]["measure"] == "test_accuracy"
    scale, digits, end = (100, 1, 100) if accuracy else (1, 4, np.inf)
    some = len({bool(row.get("untuned")) for row in rows}) > 1
    for row in sorted(rows, key=lambda r: r["mean"], reverse=accuracy):
        mean, sd, half, far, by = (
            value if value is None else scale * value for value in map(row.get, (
                "mean", "sd", "interval95", "difference", "difference95")))
        beyond = "" if by is None else f" ({far - by:+.{digits}f} to {far + by:+.{digits}f})"
        pair = ("", "") if far is None else (
            f"{far:+.{digits}f}{beyond}",
            "" if row["effect"] is None else f"{row['effect']:+.1f}")
        low, high = (mean, mean) if half is None else (max(0, mean - half), min(end, mean + half))
        yield (row["label"] + " (not tuned)" * (some and bool(row.get("untuned"))),
               f"{mean:.{digits}f}", "-" if sd is None else f"{sd:.{digits}f}",
               "-" if half is None else f"{low:.{digits}f} to {high:.{digits}f}",
               *(pair if _in_pairs(rows) else ()),
               ", ".join(f"{v:.0f}" for v in row["rates_hz"].values()))


def compare(rules: Iterable[str] | Mapping[str, Model], task: Task, seeds: Iterable[int] = range(3),
            trials: int | None = None, sizes: Sequence[int] | None = None,
            out: str | PathLike | None = None, backend: str | None = None,
            evaluations: Evaluations = None, jobs: int | None = None, progress: bool = True,
            engine: str = "spiking", epochs: int | None = None,
            settings: Mapping[str, Any] | None = None, evaluation_trials: int | None = None,
            executor: Any = None, tuned: Mapping[str, Mapping[str, Any]] | None = None,
            **parameters: Any) -> Comparison:
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
        Network of rules given by name; default the task's own hidden layers.
    out : path, optional
        Folder in which every run is saved (``label-seed.npz`` and ``.json``) and the table. A run
        that is there already is taken as it is, if it is this very one (see `sweep`); one that was
        stopped goes on: of the rate engine, and of the spiking engine from 10,000 trials on, at its
        last evaluation.
    backend, evaluations, evaluation_trials
        As for `train`.
    jobs : int
        Runs at a time, each on one core; default: one on each core there is. Of the compiled back
        end and the rate engine: the others run one by one. The results are the same for any.
    engine : ``"spiking"`` or ``"rate"``
    progress : bool
        Whether a progress bar is shown, one step a run.
    settings : mapping, optional
        Of the engine; a key that is a label holds settings of that label alone.
    executor : concurrent.futures.Executor, optional
        Where runs are computed, as for `sweep`, by `jobs` workers; default: threads of this
        process, each with its compiled program.
    tuned : mapping, optional
        What `tune` has found, by label: ``{"opzo": bz.tune(model, task)}``; or parameters with
        their units. Table and pictures say whose rates nobody has chosen for the task.
    **parameters
        Given to every rule that is given by name.

    Returns a `Comparison`. A run whose values ran away, or whose worker died, is missing in it,
    with a `ModelWarning`; where all are, the first problem is raised. Raises `InputError` for no
    rules or seeds, parameters or sizes beside models of your own, a label that is no file's name
    with `out`, and what `train` raises; `InterruptedRun` with the finished `.runs` for Ctrl-C,
    SIGTERM and SIGHUP.
    """
    checked_task(task)
    seeds = checked_seeds(seeds, "comparison")
    jobs = at_a_time(jobs)
    models = _with_tuned(_models(rules, task, sizes, parameters), tuned)
    stems = _stems(models, out)
    own = _own_settings(models, settings)
    length: dict[str, Any] = dict(engine=engine, trials=trials, epochs=epochs,
                                  evaluations=evaluations, evaluation_trials=evaluation_trials)
    of_labels = {label: asked(model, task, seeds, {"backend": backend, **length, **own[label]})
                 for label, model in models.items()}
    labels = [label for _ in seeds for label in models]
    runs = [run for several in zip(*of_labels.values()) for run in several]  # each seed of all
    if out:
        runs = [replace(run, place=place_of_run("out", f"{stems[label]}-{run.seed}"))
                for label, run in zip(labels, runs)]
    names = {run.backend for run in runs}
    count = jobs if engine == "rate" or "standalone" in names or executor is not None else 1
    # Each rate run has one core: two runs at a time are faster than two cores for one.
    limits = threadpool_limits(1) if engine == "rate" and executor is None else nullcontext()
    bar = tqdm(total=len(runs), desc=f"{task.name} ({', '.join(sorted(names))})", unit="run",
               disable=not progress)
    found: dict[tuple[str, int], Run | Exception] = {}
    with bar, limits, told_of("the comparison", found, len(runs), out or None), \
            workers(executor, count, processes=False) as pool:
        for number, one in computed(runs, task, pool, count if executor is not None else 1):
            found[labels[number], runs[number].seed] = one
            if isinstance(one, Run):
                one.model, one.task = runs[number].fitted, task
                one.meta["label"] = labels[number]
            bar.update()
    result = Comparison(_by_label(found, models, seeds), task)
    if out:
        write_json(Path(out) / "comparison.json", {"task": task.name, "rows": result.table()})
    return result


def _by_label(found, models, seeds):
    """The finished runs of every label that has one, by seed; says which are missing, and why."""
    lost = {f"{label}, seed {seed}": one for (label, seed), one in found.items()
            if not isinstance(one, Run)}
    if len(lost) == len(found):
        raise next(iter(lost.values()))
    if lost:
        warnings.warn(f"{len(lost)} of {len(found)} runs are missing:\n" + "\n".join(
            f"{where}: {words_of(one)}" for where, one in lost.items()), ModelWarning, stacklevel=3)
    kept = {label: [found[label, seed] for seed in sorted(set(seeds))
                    if isinstance(found[label, seed], Run)] for label in models}
    return {label: runs for label, runs in kept.items() if runs}


def _models(rules, task, sizes, parameters):
    """The models to compare: label -> Model."""
    if isinstance(rules, str) or not isinstance(rules, Iterable):
        raise InputError("rules is a list of names, such as [\"opzo\", \"bp\"], or a mapping from "
                         f"label to Model, not {named(rules)}")
    own = isinstance(rules, Mapping)
    rules = dict(rules) if own else list(rules)
    if not rules:
        raise InputError("a comparison needs at least one rule")
    if not own:
        for name in rules:
            if isinstance(name, Model):
                raise InputError("models of your own have labels: compare({\"mine\": model, ...})")
        sizes = sizes or [task.n_in, *task.hidden, task.n_out]
        return {name: Model(sizes, rule=name, **parameters) for name in rules}
    for name in parameters:
        if hint := nearest(name, signature(compare).parameters):
            raise InputError(f"compare has no argument {name!r}{hint}")
    given = sorted(parameters) + ["sizes"] * (sizes is not None)
    if given:
        raise InputError(f"{', '.join(given)}: for rules given by name; models of your own take "
                         "no further arguments, see Model.edit")
    for label, model in rules.items():
        if not isinstance(label, str):
            raise InputError(f"the label of a model is a text, not {label!r}")
        checked_pair(model, task)
    return rules


def _with_tuned(models, tuned):
    """The models with the parameters that a search has found for them, by label."""
    if not isinstance(tuned or {}, Mapping):
        raise InputError("tuned is a mapping from labels to what tune has found, such as "
                         f"{{\"opzo\": bz.tune(model, task)}}, not {named(tuned)}")
    for label, found in (tuned or {}).items():
        if label not in models:
            raise unknown("label in tuned", label, models)
        if not isinstance(found, Mapping):
            raise InputError(f"what is tuned of {label!r} is a mapping from parameters to values, "
                             f"as tune returns it, not {named(found)}")
    return {label: model.edit(tuned[label]) if label in (tuned or {}) else model
            for label, model in models.items()}


def _stems(models, out):
    """Where the runs of every label are saved in the folder `out`, but for their seed."""
    if not out:
        return {}
    for label in models:
        if not label or set(label) & set("/\\\0"):
            raise InputError(f"with out, a label is the name of a file: {label!r} cannot be one")
    writable("out", out, "comparison.json")
    return {label: Path(out, label) for label in models}


def _own_settings(models, settings):
    """The settings of every label: those of all, and its own over them."""
    if not isinstance(settings or {}, Mapping):
        raise InputError(f"settings is a mapping from name to value, not {named(settings)}")
    common = {name: value for name, value in (settings or {}).items() if name not in models}
    apart = {label: (settings or {}).get(label, {}) for label in models}
    for label, given in apart.items():
        if not isinstance(given, Mapping):
            raise InputError(f"the settings of {label!r}, a label, are a mapping from name to "
                             f"value, not {named(given)}")
    own = {label: {**common, **given} for label, given in apart.items()}
    if any("checkpoint" in given for given in own.values()):
        raise InputError("checkpoint: a comparison keeps one of every run in its folder, see out")
    return own
