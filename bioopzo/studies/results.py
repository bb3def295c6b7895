"""Results: the numbers behind the tables of the pages, each made by ``bioopzo results NAME``.

A result is a study (see `study`) whose script is in this package. It is kept in ``figures/data``,
``figures/quick`` (with ``--quick``) or ``figures/changed`` (with ``--set``); the tables of the
pages (README.md, docs/results) are made from these files and from nothing else.

Rates and other settings of the rate engine were chosen on the validation split of MNIST, the tables
are measured on the test split. Fashion-MNIST takes them as they are.
"""

import re
import sys
from pathlib import Path

from bioopzo.errors import InputError, unknown
from bioopzo.files import writable, write_atomically
from bioopzo.studies import cifar, convolutions, publish, scalar, tables
from bioopzo.studies.content import read
from bioopzo.studies.study import Study, chosen, first_two, load, pair

SCRIPTS = Path(__file__).parent
#: The first of the seeds that no search and no choice has seen: final numbers are from there on.
#: The spiking engine's are others, for the search that found most of its rates had 1000 to 1004.
FRESH, FRESH_SPIKING = 1000, 3000


# ---------------------------------------------------------------------------- spiking engine

def _spiking(about, task, trials, models, **others):
    """A comparison in the spiking engine; see the script for what its parameters mean."""
    full = {"task": task, "task_options": {}, "test_more": False, "reward_only": False,
            "models": models, "trials": trials, "evaluations": 8, "seeds": 5,
            "first_seed": FRESH_SPIKING, "measure": "", "hidden": [], **others}
    quick = {**full, "models": first_two(models), "trials": 200, "evaluations": 2, "seeds": 2}
    return Study(SCRIPTS / "spiking.py", {"full": full, "quick": quick}, about)


RIVALS = {
    "opzo": {}, "opzo, momentum": {"form": "momentum"}, "bp": {}, "dfa": {}, "dkp": {},
    "eprop": {}, "node_perturbation": {}, "node_perturbation, two-point": {"points": "two"},
    "reinforce": {}, "readout_only": {},
}


def _pick(*labels):
    return {label: keywords for label, keywords in RIVALS.items() if label in labels}


SMALL = _pick("opzo", "bp", "dfa", "readout_only")
BY_REWARD: dict[str, dict] = {rule: {} for rule in (
    "opzo", "eprop", "bp", "reinforce", "node_perturbation", "rstdp", "readout_only")}
SAMPLES = {"train": 4000, "validation": 600, "test": 1000}
SPIKING = {
    "digits_4000": _spiking("all rules on the digits, 4,000 trials", "digits", 4000, RIVALS),
    "digits_16000": _spiking("the digits, 16,000 trials", "digits", 16000, _pick(
        "opzo", "opzo, momentum", "bp", "dfa", "node_perturbation", "reinforce", "readout_only")),
    "yin_yang": _spiking("Yin-Yang, 8,000 trials", "yin_yang", 8000, SMALL),
    "temporal_patterns": _spiking("the class is in the spike times, 2,400 trials",
                                  "temporal_patterns", 2400, SMALL),
    "alignment": _spiking(
        "feedback against the expected Jacobian on the digits, by finite differences", "digits",
        4000, _pick("opzo", "opzo, momentum", "dfa") | {"opzo, noise before": {"place": "before"}}
        | {"opzo, noise before, 5 Hz": {"place": "before", "alpha_hz": 5.0}}, measure="alignment"),
    "variants": _spiking("variants of OPZO on the digits, 4,000 trials", "digits", 4000, {
        "opzo": {},
        "opzo, noise before": {"place": "before"},
        "opzo, noise before, eta 80 Hz": {"place": "before", "eta_hz": 80.0},
        "opzo, noise before, psi in M only": {"place": "before", "forward_psi": False},
        "opzo, Gaussian noise": {"distribution": "gaussian"},
        "opzo, no antithetic pair": {"antithetic": False},
        "opzo, spiking error": {"error": "spiking"},
        "opzo, no state reset": {"state_reset": False},
        "opzo, exponential escape, 50 Hz at threshold": {"neuron": "exponential",
                                                         "rho0_hz": 50.0, "Delta": 0.2},
        "opzo, erf escape": {"neuron": "erf"},
        "opzo, hard reset": {"reset": "hard"},
        "opzo, alpha to a tenth": {"alpha_final": 0.1},
    }),
    "poisson": _spiking("the digits as Poisson spikes, 4,000 trials", "digits", 4000,
                        _pick("opzo", "bp", "readout_only"),
                        task_options={"coding": "poisson"}),
    "pattern_generation": _spiking("a target that varies in time, 2,000 trials",
                                   "pattern_generation", 2000, SMALL),
    "mnist_spiking": _spiking(
        "MNIST, 60,000 digits shown once, one at a time", "mnist", 60000, _pick(
            "opzo", "bp", "dfa", "dkp", "eprop", "node_perturbation", "reinforce", "readout_only"),
        evaluations=[100, 300, 1000, 3000, 10000, 30000]),
    "mnist_spiking_5": _spiking(
        "MNIST, 60,000 digits shown five times, one at a time", "mnist", 300000, _pick(
            "opzo", "bp", "dfa"),
        evaluations=[1000, 10000, 60000, 120000, 180000, 240000]),
    "fashion_mnist_spiking": _spiking(
        "Fashion-MNIST with MNIST's settings, 60,000 images shown once, one at a time",
        "fashion_mnist", 60000, _pick("opzo", "bp", "dfa", "readout_only"), seeds=3,
        evaluations=[100, 300, 1000, 3000, 10000, 30000]),
    "nmnist_spiking": _spiking(
        "real N-MNIST recordings, one trial at a time, 4,000 trials", "nmnist", 4000,
        _pick("opzo", "bp", "dfa", "node_perturbation", "reinforce", "readout_only"),
        measure="costs", task_options={"partial": True, "validation": 150}, test_more=True),
    "two_choice": _spiking(
        "reward only: motion or colour, as a cue says, 20,000 trials", "two_choice", 20000,
        BY_REWARD, measure="reward", evaluations=10, task_options={
            "features": 2, "units": 5, "coherences": [0.128, 0.256, 0.512, 1.0], **SAMPLES}),
    "bandit": _spiking(
        "reward only: two cues, whose exclusive or says which arm pays more often, 12,000 trials",
        "bandit", 12000, BY_REWARD, measure="reward", evaluations=10, seeds=10, hidden=[10],
        task_options={"contexts": 2, "cues": 2, "arms": 2, "noise": 0.5, **SAMPLES}),
    "digits_reward": _spiking(
        "reward only: the digits, 8,000 trials", "digits", 8000, BY_REWARD, measure="reward",
        seeds=10, reward_only=True),
}


# ---------------------------------------------------------------------------- rate engine

def _rate(about, models, quick=None, **others):
    """A comparison in the rate engine; `quick`: the options of its task in a quick study."""
    full = {"task": "mnist", "task_options": {"engine": "rate"}, "hidden": [], "models": models,
            "settings": {}, "common": {}, "epochs": 10, "first_seed": FRESH, "seeds": 3,
            "measure": "", "published": {}, "runs": "", **others}
    quick = {**full, "task_options": {**full["task_options"], **(quick or _small(samples=1000))},
             "models": first_two(models), "epochs": 1, "seeds": 2}
    return Study(SCRIPTS / "rate.py", {"full": full, "quick": quick}, about)


def _small(**options):
    """A part of the digits, for tables with many columns."""
    return {"engine": "rate", "samples": 5000, "validation": 1000, **options}


#: No baseline and no dropout, as in the papers.
ZO = {"baseline": False, "dropout": 0.0}
ALL = {"opzo": {}, "bp": {}, "dkp": {}, "dfa": {}, "node_perturbation, ZO": ZO, "readout_only": {}}
SLOW = {"node_perturbation, ZO": {"rate": 3e-4}}
#: The paper's test accuracies after 50 epochs (%), table 1.
PUBLISHED = {"bp": 98.38, "opzo": 98.34, "dkp": 98.14, "dfa": 98.05,
             "node_perturbation, ZO": 86.53}
#: Chosen with bp and OPZO on 500 validation recordings beside 2,000 simulated ones.
EVENTS = {"rate": 3e-3}
#: A recurrent layer that keeps something in mind, and the same without.
MEMORY = {"recurrent": True, "neuron": "alif", "tau_a_ms": 200.0, "dropout": 0.0}
LEAKY = {"recurrent": True, "dropout": 0.0}
KINDS = [(f"{rule}, {kind}", kind) for kind in ("rates", "spikes", "deterministic")
         for rule in ("opzo", "bp")]
RATE = {
    "mnist": _rate("MNIST, 60,000 digits, 10 epochs", ALL, settings=SLOW, seeds=5),
    "mnist_gradients": _rate("angles, variances, feedback and costs of the networks of `mnist`",
                             ALL, settings=SLOW, runs="mnist", measure="gradients"),
    "mnist_50": _rate("MNIST, 50 epochs, one run of each rule",
                      {k: v for k, v in ALL.items() if k != "readout_only"}, epochs=50, seeds=1,
                      settings=SLOW, published=PUBLISHED),
    "fashion_mnist": _rate("Fashion-MNIST with MNIST's settings", ALL, task="fashion_mnist",
                           settings=SLOW),
    "mnist_activity": _rate("kinds of activity, 6,000 digits", {label: {} for label, _ in KINDS},
                            task_options=_small(),
                            settings={label: {"activity": kind} for label, kind in KINDS}, seeds=5),
    "mnist_noise": _rate(
        "OPZO's noise: distribution and place, and the form of the feedback rule, 6,000 digits",
        {f"opzo, {kind} {place}": {"distribution": kind, "place": place}
         for place in ("after", "before") for kind in ("rademacher", "gaussian")}
        | {"opzo, rademacher before, psi in M only": {"place": "before", "forward_psi": False},
           "opzo, momentum": {"form": "momentum"}}, task_options=_small(), seeds=5),
    "mnist_alpha": _rate(
        "alpha falls to a hundredth, 6,000 digits",
        {"opzo, plain, alpha constant": {"form": "plain"},
         "opzo, plain, alpha falls": {"form": "plain", "alpha_final": 0.01},
         "opzo, momentum, alpha falls": {"form": "momentum", "alpha_final": 0.01},
         "opzo, least mean squares, alpha falls": {"form": "lms", "alpha_final": 0.01}},
        task_options=_small(), measure="alignment", seeds=5),
    "mnist_angle": _rate(
        "MNIST, 10 epochs, a wider surrogate derivative (width .7), initial weights of half the "
        "size, half the learning rate",
        {rule: {"surrogate": "localzo_normal", "delta_z": 0.7, "gain": 1.0}
         for rule in ("opzo", "bp")}, common={"rate": 5e-4}, measure="angle", seeds=5),
    "local_zo": _rate(
        "LocalZO as psi: accuracy against the share of neurons that learn, by samples and width of "
        "the perturbation, beside closed forms, 6,000 digits",
        {"bp": {}, "bp, 1 sample, delta 0.05": {"surrogate": "localzo", "delta_z": 0.05},
         **{f"bp, {words}, delta {delta}": {"surrogate": kind, "delta_z": delta}
            for kind, words in (("localzo", "1 sample"), ("localzo_5", "5 samples"))
            for delta in (0.5, 0.2, 0.1, 0.05, 0.02)},
         **{f"bp, {kind}, delta 0.5": {"surrogate": f"localzo_{kind}", "delta_z": 0.5}
            for kind in ("normal", "uniform", "laplace")},
         **{f"opzo, {words}, delta 0.2": {"surrogate": kind, "delta_z": 0.2}
            for kind, words in (("localzo", "1 sample"), ("localzo_5", "5 samples"))}},
        task_options=_small(), measure="sparsity", seeds=5),
    "digits_scalar": _rate("one number a trial as the teacher, by optimiser, digits, 20 epochs",
                           **scalar.SETTING),
    "cifar10": _rate(
        "CIFAR-10 (JPEG copies, 30,000 images), three layers of convolutions", cifar.MODELS,
        seeds=3, published=cifar.PUBLISHED, **cifar.SETTING),
    "cifar10_choices": _rate(
        "what the settings of `cifar10` were chosen from, on validation images, two passes",
        {label: model for label, (model, _) in cifar.TRIED.items()}, **cifar.CHOICES),
    "cifar10_nearer": _rate(
        "what was tried to bring OPZO with local learning nearer to bp, on validation images, five "
        "passes", cifar.NEARER, measure="angle", **cifar.SETTING | cifar.LOOKED),
    "cifar10_longer": _rate("twelve passes, and bp through one mean Jacobian for all images",
                            cifar.LONGER, published=cifar.PUBLISHED,
                            **cifar.SETTING | {"epochs": 12, "seeds": 5}),
    "cifar10_gradients": _rate(
        "angles, variances, feedback, rates and operations of the networks of `cifar10`, one seed",
        cifar.MODELS, seeds=1, runs="cifar10", measure="gradients", **cifar.SETTING),
    "cifar10_noise": _rate("OPZO's noise and form in the network of `cifar10`, 15,800 images",
                           convolutions.NOISE, **convolutions.NOISE_SETTING),
    "cifar10_deep": _rate("nine layers of convolutions, 15,800 images", convolutions.DEEP,
                          **convolutions.DEEP_SETTING),
    "cifar10_papers_network": _rate(
        "the paper's five layers of convolutions at full width, for a few batches",
        dict.fromkeys(("bp", "opzo", "dfa"), cifar.PLAIN), **convolutions.WIDE),
    "delayed_match": _rate(
        "delayed match: 60 recurrent neurons, adaptive thresholds, 20 epochs of 600 trials",
        {"opzo": MEMORY, "eprop": MEMORY,
         "eprop, symmetric feedback": {**MEMORY, "feedback": "symmetric"},
         "bptt": MEMORY, "readout_only": MEMORY,
         "opzo, no adaptation": LEAKY, "eprop, no adaptation": LEAKY},
        task="delayed_match", task_options={}, seeds=5, hidden=[60], epochs=20,
        quick={"train": 60, "validation": 10, "test": 20},
        common={"activity": "spikes", "batch": 25, "rate": 3e-3}),
    "nmnist_simulated": _rate(
        "SIMULATED N-MNIST, 7,000 recordings to train, 2,000 to test, 30 frames of 10 ms, 6 epochs",
        {rule: {} for rule in ("opzo", "bp", "dfa")}, task="nmnist", hidden=[400, 400],
        quick={"samples": 200, "test": 100},
        task_options={"engine": "rate", "simulate": True, "samples": 6000, "test": 2000,
                      "counts": True}, epochs=6, seeds=5, common=EVENTS),
    "nmnist_transfer": _rate(
        "trained on 21,000 SIMULATED recordings of N-MNIST, tested on real ones, 3 epochs; not on "
        "those that were looked at while the simulator was made",
        {rule: {} for rule in ("opzo", "bp")}, task="nmnist_transfer", quick={"samples": 200},
        task_options={"counts": True, "samples": 20000, "real": "unseen"}, epochs=3, seeds=5,
        hidden=[400, 400], common=EVENTS),
}


# ---------------------------------------------------------------------------- memory

def _memory(about, task, options, models, quick, **others):
    """Recurrent networks at rates that were searched; `quick`: options of the task in a quick one.

    See the script for what its parameters mean.
    """
    full = {"task": task, "task_options": options, "hidden": [60], "models": models,
            "common": {"batch": 10}, "rates": [3e-3, 1e-2, 3e-2], "search_epochs": 2,
            "search_seeds": 2, "epochs": 6, "evaluations": 6, "first_seed": 1000, "seeds": 5,
            **others}
    few = {**full, "task_options": {**options, **quick}, "models": first_two(models),
           "rates": [3e-3, 1e-2], "search_epochs": 1, "search_seeds": 1, "epochs": 1,
           "evaluations": 1, "seeds": 2}
    return Study(SCRIPTS / "memory.py", {"full": full, "quick": few}, about)


#: Thresholds that stay raised for as long as a trial, by a little at each spike.
ADAPTIVE = {"neuron": "alif", "tau_a_ms": 600.0, "beta": 0.1}
OWN_PSI = {"pseudo": "neuron"}
FEW = {"train": 20, "validation": 10, "test": 20}
CUES = {"dt_ms": 5.0, "train": 1000, "validation": 200, "test": 400}
RESULTS_OF_MEMORY = {
    "evidence_accumulation": _memory(
        "on which side more of seven cues were, after a delay: 60 recurrent neurons with adaptive "
        "thresholds", "evidence_accumulation", {"n_cues": 7, **CUES}, {
            "opzo": ADAPTIVE, "eprop": {**ADAPTIVE, **OWN_PSI}, "eprop, triangle": ADAPTIVE,
            "bptt": ADAPTIVE, "readout_only": ADAPTIVE, "node_perturbation": ADAPTIVE,
            "reinforce": ADAPTIVE, "eprop, tau_a 200 ms": {**ADAPTIVE, **OWN_PSI,
                                                          "tau_a_ms": 200.0, "beta": 0.3},
            "eprop, no adaptation": OWN_PSI}, FEW, epochs=5, evaluations=5),
    "store_recall": _memory(
        "a value kept for 200 ms and more: 60 recurrent neurons, with adaptive thresholds and "
        "without", "store_recall", CUES, {
            "opzo": ADAPTIVE, "eprop": {**ADAPTIVE, **OWN_PSI}, "bptt": ADAPTIVE,
            "readout_only": ADAPTIVE, "opzo, no adaptation": {}, "eprop, no adaptation": OWN_PSI,
            "bptt, no adaptation": {}}, FEW, epochs=4, evaluations=8),
    "sinusoids": _memory(
        "three sums of sinusoids from one frozen pattern of a second, as in Bellec et al. 2020: "
        "100 recurrent leaky neurons", "pattern_generation",
        {"patterns": 1, "outputs": 3, "inputs": 100, "spikes_per_input": 50, "jitter_ms": 0.0,
         "duration_ms": 1000.0, "warmup_ms": 0.0, "dt_ms": 5.0, "train": 100, "validation": 20,
         "test": 20},
        {"opzo": {}, "eprop": OWN_PSI, "eprop, triangle": {}, "bptt": {}, "readout_only": {}},
        {"train": 10, "validation": 2, "test": 2}, hidden=[100], common={"batch": 5}, epochs=30,
        search_epochs=10),
}
SIMULATION = Study(SCRIPTS / "simulation.py", {
    "full": {"seed": 0, "most": 70000, "bin_ms": 10.0, "end_ms": 310.0},
    "quick": {"seed": 0, "most": 20, "bin_ms": 10.0, "end_ms": 310.0},
}, "simulated against real N-MNIST recordings")
#: By hand: the drive, 0, with which a recurrent network is quiet, and how hard the task is.
EXCITATION = {
    "task": "temporal_patterns", "task_options": {"classes": 20, "jitter_ms": 3.0, "deletion": 0.3},
    "excitatory": 80, "inhibitory": 20, "p": 0.3, "weight": 0.1, "inhibition": 4.0,
    "rules": ["opzo", "bp", "eprop", "readout_only"], "first_seed": FRESH, "seeds": 5,
    "epochs": 8, "b": 0.0, "batch": 25, "rate": 3e-3}
DALE = Study(SCRIPTS / "excitation.py", {"full": EXCITATION, "quick": {
    **EXCITATION, "task_options": {"train": 50, "validation": 0, "test": 20},
    "excitatory": 8, "inhibitory": 2, "rules": ["opzo", "readout_only"], "seeds": 2, "epochs": 2,
}}, "Dale's law: 80 excitatory and 20 inhibitory recurrent neurons beside a free network")
HARDWARE = Study(SCRIPTS / "hardware.py", {
    "full": convolutions.HARDWARE, "quick": convolutions.QUICK_HARDWARE},
    "the network of `cifar10`, fine-tuned under noise on the membrane")
RESULTS = {**SPIKING, **RATE, **RESULTS_OF_MEMORY, "nmnist_simulation": SIMULATION,
           "dales_law": DALE, "cifar10_hardware": HARDWARE}


# ---------------------------------------------------------------------------- making them

def make(names, out=None, quick=False, jobs=1, changes=None, only=(), progress=True, say=print):
    """Make the results `names` where they are not up to date.

    `out` is the folder of the files, by default one in ``figures``; `quick` is for small
    parameters, `changes` replaces parameters, name -> value; `only` are labels of results of the
    rate engine, where not all are wanted. `jobs`, `progress`, `say`, and what is returned, are
    those of `publish.make`. Raises `InputError` for an unknown result, parameter or label.
    """
    results = publish.named(names, RESULTS, "result")
    parameters = chosen(results, quick, changes)
    for name, values in parameters.items():
        if only:
            values["models"] = _part(name, values, only)
    line = publish.line("bioopzo results NAME", quick, changes)
    return publish.make(results, parameters, folder(out, quick, changes),
                        " ".join([line, *(f"--only {label!r}" for label in only)]), jobs, progress,
                        say)


def folder(out=None, quick=False, changes=None):
    """Where results are kept: `out` if given, else one in ``figures``, by `quick` and `changes`."""
    return Path(out) if out else publish.place("figures", "data", quick, changes)


def _part(name, parameters, only):
    """The models called `only`. The runs of the others are saved, so that nothing is lost."""
    if name not in RATE:
        raise InputError(f"{name}: only experiments of the rate engine can be run in part")
    for label in only:
        if label not in parameters["models"]:
            raise unknown(f"label of {name}", label, parameters["models"])
    return {label: parameters["models"][label] for label in only}


def table(name, content, view=""):
    """The table of the result called `name` as Markdown; `view` names one where there are several.

    `content` is that of its data file.
    """
    if name == "speed":  # the benchmarks write it
        return tables.speed(content, view)
    study = publish.named([name], RESULTS, "result")[name]
    return load(study.script).table(content, view)


def write_tables(folder, pages):
    """Write each table between its markers in `pages`, from the data files in `folder`.

    `pages` is a Markdown file, or a folder of them. Raises `InputError` for a missing file.
    """
    for path in _checked_pages(pages):
        text = path.read_text()
        for name, view in re.findall(r"<!-- table: (\w+)(?::(\w+))? -->", text):
            source = Path(folder) / f"{name}.json"
            if not source.is_file():
                raise InputError(f"{path} has a table {name!r}, but {source} is missing; make it "
                                 f"with: bioopzo results {name} --out {folder}")
            mark = f"<!-- table: {name}{':' * bool(view)}{view} -->\n"
            start = text.index(mark) + len(mark)
            text = (text[:start] + table(name, read(source), view) + "\n"
                    + text[text.index("<!-- end -->", start):])
        write_atomically(path, lambda f, text=text: f.write(text.encode()))


def _checked_pages(pages):
    """The Markdown files that `pages`, a file or a folder of them, stands for; all are writable."""
    found = sorted(Path(pages).glob("*.md")) if Path(pages).is_dir() else \
        [Path(pages)] * Path(pages).is_file()
    if not found:
        raise InputError(f"there is no page {pages} to write tables into")
    return [writable("pages", path) for path in found]


def command(options):
    """What ``bioopzo results`` does with the `options` of the command line."""
    if options.pages:
        _checked_pages(options.pages)
    if not options.names and not options.pages:
        for name, study in RESULTS.items():
            print(f"{name:<24}{study.about}")
    changes = dict(map(pair, options.set))
    out = folder(options.out, options.quick, changes)
    if options.draw:
        for name in options.names:
            publish.redraw(publish.named([name], RESULTS, "result")[name], out / name)
    elif options.names:
        outcome = make(options.names, options.out, options.quick, options.jobs, changes,
                       options.only, sys.stderr.isatty())
        for name, done in outcome.items():
            if not isinstance(done, Exception):
                print(table(name, read(out / f"{name}.json")))
        publish.failures(outcome)
    if options.pages:
        write_tables(out, options.pages)
