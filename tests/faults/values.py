"""Values that cannot be meant, identifiers that are code, numbers that never end."""

import numpy as np
from brian2 import Hz, ms, mV

import bioopzo as bz
from bioopzo.arguments import settings_of, value_of
from bioopzo.engines.rate.optimizers import Optimizer
from faults.tools import NOTHING_RAN, each, fault, model, refused, shell, task, train

each("values", {
    "eta = -5 Hz": (lambda: model(eta=-5 * Hz), "eta", "-5"),
    "a time constant of -1 ms": (lambda: model(tau_m=-1 * ms), "tau_m", "above zero"),
    "a rate without its unit": (lambda: model(eta=5), "eta", "hertz"),
    "a rate in mV": (lambda: model(eta=5 * mV), "eta", "hertz"),
    "a parameter that is NaN": (lambda: model(theta=np.nan), "theta", "finite"),
    "a parameter that is infinite": (lambda: model(eta=np.inf * Hz), "eta", "finite"),
    "a momentum mu = 2": (lambda: model(mu=2 * Hz).replace(mu=2), "mu"),
    "a mix of losses c = 5": (lambda: model(c=5), "c", "5"),
    "state_reset='false'": (lambda: model(state_reset="false"), "state_reset", "'false'"),
    "state_reset='maybe'": (lambda: model(state_reset="maybe"), "state_reset", "'maybe'"),
    "sizes [4, 3.5, 2]": (lambda: bz.Model([4, 3.5, 2]), "sizes", "3.5"),
    "sizes [4, True, 2]": (lambda: bz.Model([4, True, 2]), "sizes", "True"),
    "sizes [4, -3, 2]": (lambda: bz.Model([4, -3, 2]), "sizes", "-3"),
    "sizes 'a4'": (lambda: bz.Model("a4"), "a4"),
    "a dropout of 1": (lambda: model(dropout=1), "dropout", "1"),
    "a refractory time of -2 ms": (lambda: model(refractory=-2 * ms), "refractory"),
    "NaN among spread values": (
        lambda: model(tau_m={"hidden_1": np.array([1, np.nan, 3]) * ms}), "tau_m"),
    "a spread below zero": (
        lambda: model(tau_m={"hidden_1": np.array([1, -2, 3]) * ms}), "tau_m", "above zero"),
    "a rule by no name": (lambda: model(rule=5), "rule", "5"),
    "seed = -1": (lambda: train(seed=-1), "seed", "-1"),
    "seed = 1.5": (lambda: train(seed=1.5), "seed", "1.5"),
    "trials = 10**30": (lambda: train(trials=10**30), "trials"),
    "trials = inf": (lambda: train(trials=np.inf), "trials", "inf"),
    "trials = nan": (lambda: train(trials=np.nan), "trials", "nan"),
    "jobs = 0": (lambda: bz.compare({"a": model()}, task(), jobs=0), "jobs", "0"),
    "seeds = 3": (lambda: bz.sweep(model(), task(), {"eta": [1] * Hz}, seeds=3), "seeds", "3"),
    "a learning rate of the optimiser of -1": (lambda: train("rate", rate=-1.0), "rate", "-1"),
    "a learning rate of the optimiser that is NaN": (
        lambda: train("rate", rate=np.nan), "rate", "nan"),
    "a batch of 2.5": (lambda: train("rate", batch=2.5), "batch", "2.5"),
    "10**9 neurons": (lambda: train(of=bz.Model([4, 10**9, 2])), "1000000000"),
    "10**9 neurons, rate engine": (lambda: train("rate", of=bz.Model([4, 10**9, 2])),
                                   "1000000000"),
    "weights that are NaN": (
        lambda: train(start=train().with_state({"forward_1.w": np.nan})), "forward_1.w", "finite"),
    "labels that are NaN": (
        lambda: bz.tasks.from_arrays(np.ones((6, 4)), [0, 1, np.nan, 1, 0, 1]), "nan"),
    "inputs that are NaN": (
        lambda: bz.tasks.from_arrays(np.full((6, 4), np.nan), [0, 1, 0, 1, 0, 1]), "nan"),
    "a reward callable that is none": (
        lambda: bz.tasks.with_reward(task(), 5), "5"),
}, point=9)


each("code", {
    "an edit with a name of two words": (lambda: model().edit({"a b": 5}), "a b"),
    "an edit that adds code in a name": (
        lambda: model().edit({"x; system(\"true\")": 5}), "system"),
    "a population named as code": (
        lambda: bz.Network(inputs=4, readouts=2).population("E; int x", 3), "E; int x"),
    "a parameter named as a word of Python": (lambda: model().edit({"while": 5}), "while"),
    "an equation that calls eval": (
        lambda: train(of=model().edit(psi="psi = eval('1') : 1")), "eval"),
    "an equation that imports": (
        lambda: train(of=model().edit(psi="psi = __import__('os').getpid() : 1")), "psi"),
    "an optimiser that imports": (lambda: train("rate", optimizer=Optimizer(
        "mine", "w += __import__('os').getpid()*dw", "")), "__import__"),
}, point=13)


each("shell text", {
    "--set eta=9**9**9*Hz": (lambda: model(**settings_of(["eta=9**9**9*Hz"])), "9**9**9"),
    "--set eta=(9**9**9)": (lambda: model(**settings_of(["eta=(9**9**9)"])), "9**9**9"),
    "--set eta=1e999*Hz": (lambda: model(**settings_of(["eta=1e999*Hz"])), "eta", "finite"),
    "--set tau_m=10*get_unit": (lambda: model(tau_m=value_of("10*get_unit")), "get_unit"),
    "--set tau_m=10*__builtins__": (lambda: value_of("10*__builtins__"), "__builtins__"),
    "--set eta=__import__('os').getpid()": (
        lambda: model(eta=value_of("__import__('os').getpid()")), "eta", "__import__"),
    "--set without a value": (lambda: settings_of(["eta"]), "NAME=VALUE", "eta"),
    "an equation with 9**9**9": (
        lambda: train(of=model().edit(psi="psi = 9**9**9*p : 1")), "9**9**9"),
    "an equation with 10,000 brackets": (
        lambda: train(of=model().edit(psi=f"psi = {'(' * 10**4}p{')' * 10**4} : 1")), "psi"),
}, point=9)


def _of_shell(here, words, *says):
    said = shell(*words)
    assert not list(here.iterdir())
    return said, NOTHING_RAN


SMALL = ("--task", "xor", "--trials", 4, "--backend", "numpy")
for done, words, *says in (
        ("--set state_reset=false", ("train", *SMALL, "--set", "state_reset=false"),
         "state_reset"),
        ("--set rule=bp", ("train", *SMALL, "--set", "rule=bp"), "--rule"),
        ("--hidden 3,x", ("train", *SMALL, "--hidden", "3,x"), "3,x"),
        ("--task-set samples=10**9", ("train", *SMALL, "--task-set", "samples=10**9"), "10**9"),
        ("--range eta=5", ("tune", "--task", "xor", "--rules", "opzo", "--range", "eta=5"),
         "eta=5"),
        ("--range eta=nan,5", ("tune", "--task", "xor", "--rules", "opzo", "--range", "eta=nan,5"),
         "eta", "nan")):
    fault("shell text", done, *says, point=9, given=(words,))(_of_shell)


RULES = {
    "a rule file that leaves by sys.exit": ("import sys\nsys.exit(3)\n", "mine.py", "SystemExit"),
    "a rule file that divides by zero": ("1/0\n", "mine.py", "line 1", "ZeroDivisionError"),
    "a rule file that is no Python": ("def rule(:\n", "mine.py", "line 1"),
    "a rule file without a rule": ("x = 1\n", "mine.py", "rule(depth"),
    "a rule file that returns 5": ("def rule(depth):\n    return 5\n", "mine.py", "Rule"),
    "a rule file of bytes": ("\x00\x01", "mine.py"),
}


def _rule(here, text):
    from bioopzo import rules

    path = here / "mine.py"
    path.write_text(text)
    try:
        return refused(lambda: model(rule=rules.add(path))), NOTHING_RAN
    finally:
        rules._FOLDER.added.clear()


for done, (text, *says) in RULES.items():
    fault("a user's file", done, *says, point=13, given=(text,))(_rule)
