"""Ends of a run that nobody planned: signals, errors of the user's, workers that die."""

import os
import signal
import time
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import suppress
from pathlib import Path

import numpy as np
from brian2 import Hz

import bioopzo as bz
from bioopzo.arguments import cores
from bioopzo.engines.spiking.runtime import Runtime
from faults.tools import (
    ENGINES,
    NOTHING_RAN,
    QUICK,
    content,
    fault,
    full,
    model,
    patched,
    reached,
    refused,
    same,
    saved,
    script,
    shell,
    signalled,
    task,
    train,
    trained,
    warned,
)

#: How long an end may take (s), where the machine is not busy otherwise.
PROMPT_S = 2.0
LONG = {
    "spiking": 'dict(backend="numpy")',
    "spiking, compiled": 'dict(backend="standalone")',
    "rate": 'dict(engine="rate", batch=2)',
}


def prompt(spent):
    """Whether something was done promptly, seen how many wait for a processor."""
    return spent < PROMPT_S * max(1.0, os.getloadavg()[0] / cores())


# ---------------------------------------------------------------------------- files of the user's

def _endless(here, add, name):
    path = here / f"my_{name}.py"
    path.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhile True: pass\n")
    said = refused(add, path)
    path.write_text("all_of_it = bytearray(10**15)\n")
    return f"{said}\n{refused(add, path)}", NOTHING_RAN


for name, listed in {"rule": bz.rules, "neuron": bz.neurons, "task": bz.tasks}.items():
    fault("a user's file", f"a {name}'s file that never ends (Ctrl-C), and one that wants 1 PB",
          f"my_{name}.py", "interrupted while this file was run", "not enough memory",
          given=(listed.add, name))(_endless)


# ---------------------------------------------------------------------------- errors on the way

class Mine(Exception):
    """The user's own error."""


def _raises(problem):
    def live(trials, accuracy, loss):
        if trials:
            raise problem
    return live


for engine in ENGINES:
    for name, problem in {"an error of its own": Mine("my mistake"), "MemoryError": MemoryError(),
                          "OSError": OSError(5, "Input/output error"),
                          "sys.exit": SystemExit(3)}.items():
        @fault("callbacks", f"live= raises {name}, {engine} engine", "saved at", point=3,
               given=(engine, problem))
        def _(here, engine, problem):
            try:
                train(engine, live=_raises(problem), save=here / "run")
            except type(problem) as caught:
                told = caught
            run = bz.Run.load(here / "run")
            assert not run.complete and run.meta["trials_done"] == 2 and same(run, told.run)
            return f"{told!r} {' '.join(told.__notes__)}", "what was done, marked incomplete"


@fault("callbacks", "a reward callable that raises", "reward", "my mistake", point=3)
def _(here):
    def reward(action, label):
        raise Mine("my mistake")

    return refused(lambda: train(on=bz.tasks.with_reward(task(), reward),
                                 of=model(rule="reinforce"))), "-"


@fault("callbacks", "a task's own function that raises", "my mistake")
def _(here):
    path = here / "mine.py"
    path.write_text("def mine():\n    raise ValueError('my mistake')\n")
    try:
        return refused(lambda: bz.tasks.get(bz.tasks.add(path))), "-"
    finally:
        bz.tasks._FOLDER.added.clear()


for engine in ENGINES:
    @fault("errors", f"weights that run away, {engine} engine", "forward", "learning rate",
           "saved at", point=3, given=(engine,))
    def _(here, engine):
        how = {} if engine == "spiking" else {"optimizer": "sgd"}
        said = refused(train, engine, of=model(eta_o=1e300 * Hz), save=here / "run", **how)
        assert not bz.Run.load(here / "run").complete
        return said, "what was done, marked incomplete"


@fault("errors", "one of several seeds ends early", "became", point=3)
def _(here):
    from bioopzo.training.train import Job, train_group

    jobs = [Job(model(eta_o=eta * Hz), 0, here / name)
            for eta, name in ((1e300, "bad"), (3.0, "good"))]
    found = train_group(jobs, task(), False, trials=4, evaluations=2, evaluation_trials=2,
                        backend="numpy")
    assert bz.Run.load(here / "good").complete and not bz.Run.load(here / "bad").complete
    return str(found[0]), "both runs"


@fault("errors", "one diverging model of a comparison", "bad, seed 0", "became", point=14)
def _(here):
    said, found = warned(
        bz.compare, {"good": model(), "bad": model(eta_o=1e300 * Hz), "other": model(eta=1 * Hz)},
        task(), seeds=[0], out=here, backend="numpy", **QUICK)
    assert list(found.runs) == ["good", "other"] and "good" in repr(found)
    return said, "the others, and their table"


@fault("errors", "warnings that are errors when a run is saved", point=3)
def _(here):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error", bz.errors.ModelWarning)
        run = train(save=here / "run")
    assert bz.Run.load(here / "run").complete and run.complete
    return "no word", "the run"


@fault("errors", "the folder of save= is taken away in mid-run", "saved", point=2)
def _(here):
    (here / "out").mkdir()

    def live(trials, accuracy, loss):
        if trials == 4:
            (here / "out").rmdir()
            (here / "out").write_text("in the way")

    said = refused(train, save=here / "out" / "run", live=live)
    return said, "the run, in a temporary folder"


for engine in ENGINES:
    @fault("errors", f"Ctrl-C over a finished save=, {engine} engine", "after 2 of 4",
           "run.incomplete", point=5, given=(engine,))
    def _(here, engine):
        saved(here)
        before = content(here)
        said = refused(train, engine, seed=4, live=_raises(KeyboardInterrupt()), save=here / "run")
        assert {name: content(here)[name] for name in before} == before
        assert bz.Run.load(here / "run.incomplete").meta["trials_done"] == 2
        return said, "the finished run, and the incomplete one beside it"


# ---------------------------------------------------------------------------- signals

SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGHUP": signal.SIGHUP, "SIGINT": signal.SIGINT}
TRAIN = """
    def live(trials, accuracy, loss):
        if trials:
            open(here + "/reached", "w").close()
    try:
        bz.train(bz.Model([4, 3, 2]), task, trials=10**6, evaluations=[4], evaluation_trials=2,
                 save=here + "/run", live=live, progress=False, **{how})
    except bz.errors.InterruptedRun as stop:
        print(stop, *stop.__notes__, "at point", len(stop.run.arrays["curve/trials"]))
        print(os.listdir(here + "/tmp"))
"""


def _signal_in_train(here, engine, name):
    process = script(TRAIN.replace("{how}", LONG[engine]), here)
    reached(process, here / "reached")
    output, errors, spent = signalled(process, SIGNALS[name])
    run = bz.Run.load(here / "run")
    assert not run.complete and run.meta["trials_done"] >= 4, output + errors
    assert prompt(spent), f"it took {spent:.1f} s"
    left = output.splitlines()[1]
    assert "bioopzo" not in left, f"litter: {left}"
    return f"{output.splitlines()[0]} (in {spent:.1f} s)", "what was done, marked incomplete"


for engine in LONG:
    for name in SIGNALS:
        says = "interrupted after" if name == "SIGINT" else f"stopped by {name} after"
        fault("signals", f"{name} in train, {engine}", says, "saved at", quick=False, point=4,
              given=(engine, name))(_signal_in_train)


MANY = """
    Hz, how, what = bz.Model([4, 3, 2]).parameters["eta"]/20, {how}, "{what}"
    kind = {k: v for k, v in how.items() if k in ("engine", "backend")}
    own = {k: v for k, v in how.items() if k not in kind}
    few = dict(evaluation_trials=2, progress=False, out=here + "/out", jobs=2)
    models = {name: bz.Model([4, 3, 2], eta=eta*Hz) for name, eta in zip("abc", (1, 2, 3))}
    calls = {
        "compare": lambda trials: bz.compare(models if trials > 4 else {"a": models["a"]}, task,
            seeds=[0, 1], trials=trials, evaluations=[4], settings=own, **kind, **few),
        "sweep": lambda trials: bz.sweep(models["a"], task, {"eta": [1, 2, 3]*Hz}, [0, 1],
            trials=trials, evaluations=[4], **how, **few),
        "tune": lambda trials: bz.tune(models["a"], task, trials=trials, count=2, seeds=1,
            finalists=1, **{"evaluation_trials": 2, "backend": None, **how}, progress=False,
            out=here + "/out", jobs=2)}
    if what != "tune":
        calls[what](4)
    open(here + "/go", "w").close()
    try:
        calls[what](10**6)
    except bz.errors.InterruptedRun as stop:
        print(stop, "finished:", len(stop.runs))
"""


def _signal_in_many(here, what, engine, name):
    process = script(MANY.replace("{how}", LONG[engine]).replace("{what}", what), here)
    reached(process, here / "go", 150)
    time.sleep(5)  # in the midst of the runs, on a busy machine of their beginning
    finished = {n: c for n, c in content(here / "out").items() if b'"complete": true' in c}
    output, errors, spent = signalled(process, SIGNALS[name])
    assert output.strip(), errors[-600:]
    after = content(here / "out")
    assert all(after[n] == c for n, c in finished.items()), "a finished run has changed"
    assert prompt(spent), f"it took {spent:.1f} s: {output}"
    return f"{output.strip()} (in {spent:.1f} s)", f"{len(finished)} runs finished before"


for what in ("compare", "sweep", "tune"):
    for engine in LONG:
        if what == "tune" and engine == "spiking":
            continue
        for name in ("SIGINT", "SIGTERM"):
            fault("signals", f"{name} in {what}, {engine}", "kept in", "finished", quick=False,
                  point=6, given=(what, engine, name))(_signal_in_many)


@fault("signals", "SIGTERM in bioopzo train: exit status 143", "bioopzo: stopped by SIGTERM",
       "saved at", quick=False, point=4)
def _(here):
    process = script("""
        from bioopzo.cli import main
        inner = bz.tasks.xor
        sys.exit(main(["train", "--task", "xor", "--trials", "200000", "--backend", "numpy",
                       "--evaluations", "50000", "--evaluation-trials", "1", "--save",
                       here + "/run", "--hidden", "3"]))
    """, here)
    time.sleep(8)
    _, errors, spent = signalled(process, signal.SIGTERM)
    assert process.returncode == 143, (process.returncode, errors[-500:])
    assert not bz.Run.load(here / "run").complete and prompt(spent)
    return errors[errors.index("bioopzo: "):], "what was done, marked incomplete"


@fault("signals", "a signal that the user's script answers itself", "theirs", quick=False, point=4)
def _(here):
    process = script("""
        signal.signal(signal.SIGTERM, lambda *_: (print("theirs"), sys.exit(5)))
        bz.train(bz.Model([4, 3, 2]), task, trials=10**6, evaluations=[4], evaluation_trials=2,
                 progress=False, backend="numpy",
                 live=lambda *_: open(here + "/reached", "w").close())
    """, here)
    reached(process, here / "reached")
    output, _, _ = signalled(process, signal.SIGTERM)
    assert process.returncode == 5
    return output, "theirs to say"


@fault("signals", "Ctrl-C while the finished run is saved", "when the run was finished", point=2)
def _(here):
    inner = os.fsync

    def interrupted(handle):
        if not (here / "once").exists():
            (here / "once").touch()
            signal.raise_signal(signal.SIGINT)
        return inner(handle)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with patched(os, "fsync", interrupted):
            said = refused(train, save=here / "run")
    finally:
        signal.signal(signal.SIGINT, before)
    assert same(bz.Run.load(here / "run"), trained())
    return said, "the finished run"


@fault("signals", "a compiled program is killed in mid-run", "was killed", "memory", quick=False,
       point=3)
def _(here):
    process = script("""
        import subprocess
        try:
            bz.train(bz.Model([4, 3, 2]), task, trials=10**5, evaluations=[4], backend="standalone",
                     evaluation_trials=2, save=here + "/run", progress=False,
                     live=lambda *_: open(here + "/reached", "w").close())
        except bz.errors.BuildError as problem:
            print(problem, *problem.__notes__)
    """, here)
    reached(process, here / "reached")
    while process.poll() is None:  # one that has just ended cannot be killed: the next one is
        for children in Path(f"/proc/{process.pid}/task").glob("*/children"):
            with suppress(OSError):
                for child in children.read_text().split():
                    if Path(f"/proc/{child}/comm").read_text() == "main\n":
                        os.kill(int(child), signal.SIGKILL)
    output, errors = process.communicate(timeout=60)
    assert not bz.Run.load(here / "run").complete, errors
    return output, "what was done, marked incomplete"


# ---------------------------------------------------------------------------- workers

class Losing(Executor):
    """Computes at once, and loses the first worker."""

    lost = False

    def submit(self, function, /, *given, **named):
        job = Future()
        if not self.lost:
            self.lost = True
            job.set_exception(BrokenExecutor("the node is gone"))
        else:
            job.set_result(function(*given, **named))
        return job


@fault("workers", "an executor loses a worker in a sweep", "eta=1", "the node is gone", point=3)
def _(here):
    given = (model(), task(), {"eta": [1, 2] * Hz}, [0])
    said, found = warned(bz.sweep, *given, Losing(), here, backend="numpy", **QUICK)
    assert np.isnan(found.test_loss.values).ravel().tolist() == [True, False]
    again = bz.sweep(*given, out=here, backend="numpy", jobs=1, **QUICK)
    assert again.test_loss.notnull().all()
    return said, "the other run; the next call computes the lost one"


@fault("workers", "an executor loses a worker in a comparison", "one, seed 0", "the node is gone",
       point=3)
def _(here):
    said, found = warned(bz.compare, {"one": model(), "two": model(eta=1 * Hz)}, task(), seeds=[0],
                         executor=Losing(), out=here, backend="numpy", **QUICK)
    assert list(found.runs) == ["two"]
    return said, "the other run, and its table"


@fault("workers", "a process of a sweep is killed (SIGKILL)", "its process died", "SIGKILL",
       quick=False, point=3)
def _(here):
    process = script("""
        import threading
        def workers():
            for one in filter(str.isdigit, os.listdir("/proc")):
                try:
                    words = open(f"/proc/{one}/cmdline").read()
                    parent = open(f"/proc/{one}/stat").read().rpartition(")")[2].split()[1]
                except OSError:
                    continue
                if "popen_loky_posix" in words and parent == str(os.getpid()):
                    yield int(one)
        def killer():
            while len(found := list(workers())) < 2:
                time.sleep(.05)
            time.sleep(1)
            os.kill(found[-1], signal.SIGKILL)
        threading.Thread(target=killer, daemon=True).start()
        warnings.simplefilter("always", bz.errors.ModelWarning)
        Hz = bz.Model([4, 3, 2]).parameters["eta"]/20
        found = bz.sweep(bz.Model([4, 3, 2]), task, {"eta": [1, 2]*Hz}, [0, 1], trials=300,
                         backend="numpy", jobs=2, out=here + "/out", evaluations=1,
                         evaluation_trials=2, progress=False)
        print(int(found.test_loss.notnull().sum()), "of 4 are there;",
              max(found.problem.values.ravel().tolist()))
    """, here)
    output, errors = process.communicate(timeout=200)
    assert "3 of 4" in output, output + errors[-1500:]
    return output, "the other runs"


def _interrupted_at_the_ninth_chunk():
    """A `Runtime.run` that is interrupted after eight chunks."""
    inner, count = Runtime.run, []

    def interrupted(engine, chunk):
        count.append(1)
        if len(count) > 8:
            raise KeyboardInterrupt
        return inner(engine, chunk)

    return interrupted


@fault("workers", "an interruption in mid-comparison keeps what is finished", "1 of 3 runs are",
       "kept in", point=6)
def _(here):
    with patched(Runtime, "run", _interrupted_at_the_ninth_chunk()):
        said = refused(bz.compare, {"one": model(), "two": model(eta=1 * Hz),
                                    "three": model(eta=2 * Hz)}, task(), seeds=[0], out=here,
                       backend="numpy", **QUICK)
    assert bz.Run.load(here / "one-0").complete
    return said, "the finished run"


@fault("workers", "an interruption in mid-sweep of one process", "of 2 runs are", "kept in",
       point=6)
def _(here):
    with patched(Runtime, "run", _interrupted_at_the_ninth_chunk()):
        said = refused(bz.sweep, model(), task(), {"eta": [1, 2] * Hz}, [0], out=here, jobs=1,
                       backend="numpy", **QUICK)
    return said, "the finished run"


@fault("workers", "an interruption of a comparison without out=", "nothing is kept", "out", point=6)
def _(here):
    def interrupted(engine, chunk):
        raise KeyboardInterrupt

    with patched(Runtime, "run", interrupted):
        return refused(bz.compare, {"one": model()}, task(), seeds=[0], backend="numpy",
                       **QUICK), "the finished runs, in .runs of the error"


@fault("workers", "bioopzo compare interrupted: its message", "bioopzo: the comparison was",
       "finished", point=6)
def _(here):
    def interrupted(engine, chunk):
        raise KeyboardInterrupt

    with patched(Runtime, "run", interrupted), full(here / "none"):
        said = shell("compare", "--task", "xor", "--rules", "opzo,bp", "--trials", 4, "--backend",
                     "numpy", "--out", here / "out", status=130)
    return said, "the folder"
