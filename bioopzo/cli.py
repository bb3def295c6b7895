"""The command line: train, compare, tune, export, draw figures, measure results, list things."""

import argparse
import sys
import time
from pathlib import Path

from bioopzo.errors import BioopzoError, InputError
from bioopzo.files import writable

RATE_OPTIONS = (
    ("batch", int, "trials a batch (a 64th of the task, 8 to 128)"),
    ("activity", str, "rates (default), spikes or deterministic"),
    ("optimizer", str, "adamw (default), momentum or sgd"),
    ("rate", float, "the optimiser's learning rate; sgd has none, but eta and eta_o"),
    ("schedule", str, "of rate: cosine (default), linear or constant"),
    ("precision", str, "single (default) or double; spiking: double (default) or single"),
    ("updates", str, "trial (default) or step"),
    ("device", str, "cpu or gpu (JAX's choice)"),
    ("devices", int, "how many share a batch (1)"),
)
FILE = "a name, or a file such as my_{}.py, which is run"
#: What `Model` is given by an option of its own, and the option.
CHOSEN_APART = {"sizes": "--hidden", "rule": "--rule (of several: --rules)", "neuron": "--neuron"}
RULES = "names, or files such as my_rule.py, which are run, separated by commas"
JOBS = "runs at a time, each on one core (default: as many as there are cores)"
DEMO_RULES = ("opzo", "dfa", "node_perturbation", "reinforce", "readout_only")


def main(arguments=None):
    """Run one command; returns the exit status (2 for input that cannot be used)."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        parser.print_help()
        return 2
    try:
        if getattr(options, "json", None):
            writable("--json", options.json)
        return options.run(options) or 0
    except KeyboardInterrupt as stop:
        return _said(stop, 128 + getattr(stop, "number", 2))
    except (BioopzoError, OSError, MemoryError) as problem:
        return _said(problem, 2)


def _said(problem, status):
    """Say what ended a command, and what is kept; returns the exit `status`."""
    silent = {KeyboardInterrupt: "interrupted", MemoryError: "not enough memory"}
    words = str(problem) or silent.get(type(problem), type(problem).__name__)
    print("\n".join([f"bioopzo: {words}", *getattr(problem, "__notes__", ())]), file=sys.stderr)
    return status


def _parser():
    parser = argparse.ArgumentParser(
        prog="bioopzo", description="Learning without backpropagation in spiking networks, as "
        "Brian2 equations one can edit.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(name, function, about):
        command = commands.add_parser(name, help=about, description=about)
        command.set_defaults(run=function)
        return command

    demo = add("demo", _demo, "train five rules on the digits, print a table, draw the figure")
    demo.add_argument("--trials", type=int, default=4000)
    demo.add_argument("--seeds", type=int, default=3)
    demo.add_argument("--evaluations", type=int, default=8, help="points of the curves (8)")
    demo.add_argument("--out", default="bioopzo-demo", help="folder for figure and numbers")
    train = add("train", _train, "train one rule on one task")
    train.add_argument("--rule", default="opzo", help=FILE.format("rule"))
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--save", help="where the run is saved (.npz and .json)")
    train.add_argument("--checkpoint", help="written at every evaluation; goes on from it")
    compare = add("compare", _compare, "train several rules over several seeds")
    compare.add_argument("--rules", required=True, help=RULES)
    compare.add_argument("--seeds", type=int, default=3, help="how many (0, 1, 2 ...)")
    compare.add_argument("--out", required=True)
    compare.add_argument("--jobs", type=int, help=JOBS)
    sweep = add("sweep", _sweep, "train one rule with every combination of some values")
    sweep.add_argument("--rule", default="opzo", help=FILE.format("rule"))
    sweep.add_argument("--seeds", type=int, default=3, help="how many (0, 1, 2 ...)")
    sweep.add_argument("--out", required=True, help="folder of the runs; what is finished there is "
                       "not computed again")
    sweep.add_argument("--jobs", type=int, help="workers (default: as many as there are cores)")
    sweep.add_argument("--executor", help="dask:ADDRESS of a scheduler, or submitit (SLURM where "
                       "there is one; default: processes of this machine)")
    tune = add("tune", _tune, "search learning rates on the validation split")
    tune.add_argument("--rules", required=True, help=RULES)
    tune.add_argument("--trials", type=int, default=4000)
    tune.add_argument("--candidates", type=int, default=24)
    tune.add_argument("--jobs", type=int, help=JOBS)
    tune.add_argument("--range", action="append", default=[], metavar="NAME=LOWEST,HIGHEST",
                      help="where to search a parameter, in Hz or seconds")
    tune.add_argument("--out", help="data file; default the package's own")
    tune.add_argument("--runs", default="bioopzo-tune", help="folder that keeps every run: a "
                      "search that was stopped goes on from it (bioopzo-tune)")
    results = add("results", _results, "make the numbers behind the tables where out of "
                  "date")
    results.add_argument("names", nargs="*", help="which (default: list them)")
    results.add_argument("--quick", action="store_true", help="small versions, in figures/quick")
    results.add_argument("--jobs", type=int, default=2, help="runs at a time within a result (2)")
    results.add_argument("--out", help="folder for the files (default figures/data)")
    results.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                         help="a parameter of the results, e.g. seeds=3; goes to figures/changed")
    results.add_argument("--pages", metavar="PATH", help="write the tables into this page, or into "
                         "every page of this folder, such as docs/results")
    results.add_argument("--only", action="append", default=[], metavar="LABEL",
                         help="of a result of the rate engine, one label; may be repeated")
    results.add_argument("--draw", action="store_true",
                         help="only draw again, from the numbers that are there")
    notebooks = add("notebooks", _notebooks, "copy the notebooks into a folder and execute them "
                    "there")
    notebooks.add_argument("names", nargs="*", help="which (default: all of ./notebooks, or of "
                           "those that come with the package)")
    notebooks.add_argument("--quick", action="store_true", help="a few trials: does it run?")
    notebooks.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                           help="a parameter that the notebook names at its top, e.g. trials=500")
    notebooks.add_argument("--out", default="out/notebooks", help="folder for executed notebooks")
    notebooks.add_argument("--copy", action="store_true", help="only copy them, for Jupyter")
    drawn = add("figures", _figures, "make the figures of the folder figures/ where out of date")
    drawn.add_argument("names", nargs="*", help="which (default: all)")
    drawn.add_argument("--quick", action="store_true", help="small versions, in figures/quick")
    drawn.add_argument("--jobs", type=int, default=1, help="runs at a time within a figure (1)")
    drawn.add_argument("--folder", default="figures", help="with the scripts (default figures)")
    drawn.add_argument("--draw", action="store_true",
                       help="only draw again, from the numbers that are there")
    drawn.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                       help="a parameter of the figures, e.g. seeds=3; goes to figures/changed")
    for command in (train, compare, sweep, tune):
        command.add_argument("--task", required=True, help=FILE.format("task"))
        command.add_argument("--neuron", help=FILE.format("neuron") + " (default logistic)")
        command.add_argument("--task-set", action="append", default=[], metavar="NAME=VALUE",
                             help="an option of the task, e.g. samples=1000, simulate=True")
        command.add_argument("--reward-only", action="store_true", help="keep back what is right: "
                             "an action is taken, and only its reward comes back")
        command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                             help="a parameter or option, e.g. tau_m=10*ms, place=before"
                             + "; several values, eta=5,10,20*Hz, are swept" * (command is sweep))
        command.add_argument("--hidden", help="sizes of hidden layers, e.g. 32,32")
    for command in (train, compare, sweep):
        command.add_argument("--engine", default="spiking", help="spiking (default) or rate")
        command.add_argument("--trials", type=int, help="training trials (spiking: 4000)")
        command.add_argument("--epochs", type=int, help="in place of --trials (rate: 10 or more)")
        command.add_argument("--evaluations", type=int, help="points of the learning curve (one in "
                             "100 trials, 2 to 10; rate, with --epochs: one in each)")
        command.add_argument("--evaluation-trials", type=int, help="held-out trials of each but "
                             "the last, which shows all (half as many as training in all, 50 or "
                             "more each)")
        for name, kind, about in RATE_OPTIONS:
            command.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"rate: {about}")
        command.add_argument("--backend", help="spiking: numpy, cython or standalone")
        command.add_argument("--json", help="write the figures to this file")
    export = add("export", _export, "write a saved run as a script for Brian2, or a graph in NIR")
    export.add_argument("saved", help="the run: its .npz or .json")
    export.add_argument("form", help="brian2 or nir")
    export.add_argument("out", help="the file, *.py or *.nir")
    add("rules", _rules, "list the learning rules")
    add("neurons", _neurons, "list the neurons")
    add("tasks", _tasks, "list the tasks")
    data = add("data", _data, "list the data sets and where they are, or download one")
    data.add_argument("name", nargs="?", help="the data set to download (default: list them)")
    data.add_argument("--dir", help="data directory; default BIOOPZO_DATA, else the user's cache")
    return parser


def _task(options):
    """The task asked for, with its options, in the form that suits the engine."""
    from bioopzo import tasks
    from bioopzo.arguments import settings_of

    name, given = _name(tasks, options.task), settings_of(options.task_set, "--task-set")
    engine = getattr(options, "engine", "spiking")
    if "engine" in tasks.options(name):
        given = {"engine": engine, **given}
    task = tasks.get(name, **given)
    return tasks.with_reward(task) if options.reward_only else task


def _name(listed, word):
    """The name of one of the `listed` rules, neurons or tasks; a file is added to them first."""
    return listed.add(word) if word.endswith(".py") else word


def _rules_of(words):
    """The names in ``opzo,my_rule.py``, the user's own rules added."""
    from bioopzo import rules

    names = [_name(rules, word.strip()) for word in words.split(",") if word.strip()]
    if not names:
        raise InputError(f"--rules takes {RULES}")
    return names


def _rate_settings(options):
    """The settings of the rate engine that were given."""
    names = [name for name, _, _ in RATE_OPTIONS] + ["checkpoint"]
    return {name: getattr(options, name) for name in names
            if getattr(options, name, None) is not None}


def _model(options, task, rule):
    from bioopzo import neurons
    from bioopzo.arguments import settings_of
    from bioopzo.model import Model

    hidden, given = task.hidden, settings_of(options.set)
    for name, flag in CHOSEN_APART.items():
        if name in given:
            raise InputError(f"--set {name}=...: what a network is made of is not set but chosen, "
                             f"with {flag}")
    if options.neuron:
        given["neuron"] = _name(neurons, options.neuron)
    if options.hidden:
        try:
            hidden = [int(n) for n in options.hidden.split(",")]
        except ValueError:
            raise InputError(f"--hidden takes whole numbers such as 32,32, not "
                             f"{options.hidden!r}") from None
    return Model([task.n_in, *hidden, task.n_out], rule=rule, **given)


def _train(options):
    from bioopzo import rules
    from bioopzo.files import write_json
    from bioopzo.training.train import train

    task = _task(options)
    run = train(_model(options, task, _name(rules, options.rule)), task, trials=options.trials,
                epochs=options.epochs, seed=options.seed, backend=options.backend,
                save=options.save, engine=options.engine, evaluations=options.evaluations,
                evaluation_trials=options.evaluation_trials, **_rate_settings(options))
    print(run)
    if options.json:
        curve = {key: run.arrays[f"curve/{key}"].tolist() for key in ("trials", "accuracy", "loss")}
        write_json(options.json, {**run.meta, "curve": curve})


def _compare(options):
    from bioopzo.files import write_json
    from bioopzo.training.compare import compare

    task = _task(options)
    models = {name: _model(options, task, name) for name in _rules_of(options.rules)}
    result = compare(models, task, seeds=range(options.seeds), trials=options.trials,
                     epochs=options.epochs, out=options.out, backend=options.backend,
                     evaluations=options.evaluations, jobs=options.jobs, engine=options.engine,
                     evaluation_trials=options.evaluation_trials, settings=_rate_settings(options))
    _draw(result, options.out)
    print(result)
    if options.json:
        write_json(options.json, {"task": task.name, "rows": result.table()})


def _sweep(options):
    from bioopzo.arguments import apart
    from bioopzo.studies.sweeps import command

    options.set, swept = apart(options.set)
    task = _task(options)
    command(_model(options, task, _rules_of(options.rule)[0]), task, swept, options,
            _rate_settings(options))


def _draw(result, out):
    from bioopzo.plots.styles import figure, save

    fig, ax = figure()
    result.plot(ax)
    for path in save(fig, Path(out) / "learning_curves"):
        print(f"figure: {path}")


def _demo(options):
    from bioopzo import tasks
    from bioopzo.training.compare import compare

    begin = time.perf_counter()
    task = tasks.get("digits")
    print(f"{task!r}\nEach rule trains a network of spiking neurons, one trial at a time; "
          "the first run of each compiles its equations.")
    result = compare(DEMO_RULES, task, seeds=range(options.seeds), trials=options.trials,
                     out=options.out, evaluations=options.evaluations)
    _draw(result, options.out)
    print(result)
    print(f"numbers: {Path(options.out) / 'comparison.json'}; "
          f"{time.perf_counter() - begin:.0f} s in all, back end "
          f"{result.table()[0]['backend']}")


def _tune(options):
    from bioopzo.training.search import search_space, tune_file

    task, ranges = _task(options), dict(map(_range, options.range))
    models = [_model(options, task, name) for name in _rules_of(options.rules)]
    for model in models:  # what is wrong with the last is said before the first is trained
        search_space(model, ranges)
    for model in models:
        key, entry = tune_file(model, task, options.out, trials=options.trials,
                               count=options.candidates, jobs=options.jobs, ranges=ranges,
                               out=options.runs)
        edge = f", at the edge of its range: {', '.join(entry['at_edge'])}" * bool(entry["at_edge"])
        print(f"{task.name}, {key}: {entry['parameters']}, validation "
              f"{entry['validation']:.4f}{edge}; in {options.out or 'the package'}")


def _range(text):
    """``"eta=1,20"`` as a name and two numbers."""
    name, _, limits = text.partition("=")
    try:
        low, high = map(float, limits.split(","))
    except ValueError:
        raise InputError(f"--range is NAME=LOWEST,HIGHEST, e.g. eta=1,20, not {text!r}") from None
    return name.strip(), (low, high)


def _export(options):
    from bioopzo.run import Run

    print(f"written: {Run.load(options.saved).export(options.form, options.out)}")


def _results(options):
    from bioopzo.studies.results import command

    command(options)


def _notebooks(options):
    from bioopzo.studies.notebooks import execute

    for path, seconds in execute(options.names, options.quick, options.set, options.out,
                                 copy=options.copy):
        print(f"{path} ({seconds:.0f} s)")


def _figures(options):
    from bioopzo.studies.figures import command

    command(options)


def _rules(options):
    _say("bioopzo.rules", "rule", "Rule")


def _neurons(options):
    _say("bioopzo.neurons", "neuron", "Neuron")


def _say(package, function, returns):
    """Print a line about every rule or neuron: its name, what it does, its source and options."""
    from bioopzo.registry import listed

    for entry in listed(package, function, returns):
        choices = ", ".join(f"{key}={value}" for key, value in entry.options.items())
        source = f" [{entry.source}]" if entry.source else ""
        print(f"{entry.name:<20}{entry.about}{source}"
              + (f"; options: {choices}" if choices else ""))


def _tasks(options):
    from bioopzo.registry import listed

    for entry in listed("bioopzo.tasks"):
        print(f"{entry.name:<22}{entry.about}")


def _data(options):
    from bioopzo.datasets import listed

    if options.name:
        print(f"{options.name}: {listed.download(options.name, options.dir)}")
        return
    for name in listed.names():
        print(f"{name:<22}{listed.state(name, options.dir)}")
        print("\n".join(f"{'':<22}looked for in {folder}"
                        for folder in listed.folders(name, options.dir)))


if __name__ == "__main__":
    sys.exit(main())
