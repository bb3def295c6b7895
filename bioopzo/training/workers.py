"""Where many runs are computed: threads, processes of this machine, or an executor of the user's.

Any `concurrent.futures.Executor` will do, that of a Dask client or of mpi4py among them, and what
is like one: submitit's, whose jobs have ``done``, ``result`` and ``exception``.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from typing import Any

from bioopzo.engines import stopping
from bioopzo.errors import InputError, LostRun

#: What a process of ours leaves to others: runs share the cores, one each.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
#: How often a worker looks whether it is still wanted, and we for signals and for jobs that do not
#: tell (s).
LOOKS_S = 0.5
#: How long an interruption waits for what is being saved (s).
GRACE_S = 1.5


class Threads(ThreadPoolExecutor):
    """So many threads, which end what they run, and keep it, when we do not wait for them."""

    def __init__(self, count: int) -> None:
        self._stop, self._jobs = stopping.Stop(), list[Future[Any]]()
        super().__init__(count, initializer=self._stop.here)

    def submit(self, function: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        """The `Future` of ``function(*given, **named)`` in one of the threads."""
        self._jobs.append(super().submit(function, *given, **named))
        return self._jobs[-1]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let no more begin; and let what runs end now, unless we `wait` for it."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        begin = time.monotonic()
        while not wait and time.monotonic() - begin < GRACE_S:
            self._stop.ask()  # again: one that is just beginning may not have heard
            if all(job.done() for job in self._jobs):
                break
            time.sleep(0.05)


class Processes(ThreadPoolExecutor):
    """So many processes of this machine, each a pool of its own.

    One that dies costs the run that it was at: the others go on, and the next run has a new one.
    They import what they are sent, and not the script that began all this.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._own, self._pools = threading.local(), list[Any]()

    def submit(self, function: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        """The `Future` of ``function(*given, **named)`` in one of the processes."""
        return super().submit(self._elsewhere, function, *given, **named)

    def _elsewhere(self, function, *given, **named):
        from joblib.externals import loky  # slow, and needed for several processes only

        pool = getattr(self._own, "pool", None)
        if pool is None:
            environment = {name: "1" for name in ONE_THREAD if name not in os.environ}
            pool = self._own.pool = loky.ProcessPoolExecutor(
                1, initializer=_leave_with, initargs=(os.getpid(),), env=environment)
            self._pools.append(pool)
        try:
            return pool.submit(function, *given, **named).result()
        except BrokenExecutor as problem:
            self._own.pool = None
            pool.shutdown(kill_workers=True)
            raise LostRun(f"its process died ({_last_words(problem)}): killed from outside, or "
                          "for want of memory") from None

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes, with what they run unless we `wait` for it."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        for pool in self._pools:
            pool.shutdown(wait=wait, kill_workers=not wait)


def _last_words(problem):
    """What loky says of how a worker ended, e.g. ``{SIGKILL(-9)}``."""
    _, _, rest = str(problem).partition("exit codes of the workers are {")
    return rest.partition("}")[0] or "without a word"


def _leave_with(parent):
    """Let this process end when its parent has: nobody waits for what it does then."""
    def look():
        while os.getppid() == parent:
            time.sleep(LOOKS_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=look, daemon=True).start()


@contextmanager
def workers(executor: Any, count: int, processes: bool) -> Iterator[Any]:
    """The `executor`; where it is None, `count` processes of this machine, or threads.

    One at a time is done in this process in any case. Ours end with the context, at once where an
    exception (Ctrl-C) ends it. Raises `InputError` for what is no executor.
    """
    if executor is not None:
        if not callable(getattr(executor, "submit", None)):
            raise InputError("executor is a concurrent.futures.Executor, such as that of a Dask "
                             f"client, or one of submitit's, not {executor!r:.80}")
        with stopping.heeded():
            yield executor
        return
    pool = Processes(count) if processes and count > 1 else Threads(count)
    try:
        with stopping.heeded():
            yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def results(executor: Executor | Any, function: Callable[..., Any], parts: Sequence[tuple[Any, ...]]
            ) -> Iterator[tuple[int, Any]]:
    """(number, what ``function(*part)`` gave) of every one of the `parts`, as they end.

    What failed gives its exception in place of a result; an interruption of this process is raised.
    Where an executor can send many jobs as one array, it does. What has not begun is cancelled
    when the iteration ends early.
    """
    with getattr(executor, "batch", nullcontext)():
        waiting = {executor.submit(function, *part): number for number, part in enumerate(parts)}
    try:
        while waiting:
            for job in _done(waiting):
                number, problem = waiting.pop(job), job.exception()
                if isinstance(problem, KeyboardInterrupt) and isinstance(executor, Threads):
                    raise problem  # Brian2 has told it there; elsewhere, a worker was ended
                yield number, job.result() if problem is None else problem
    finally:
        for job in waiting:
            getattr(job, "cancel", lambda: None)()


def _done(jobs):
    """Those of some jobs that have ended, one at least."""
    if all(isinstance(job, Future) for job in jobs):
        # Not for ever: a signal that another thread was given does not wake this one, whose it is.
        while not (done := wait(jobs, LOOKS_S, "FIRST_COMPLETED").done):
            pass
        return done
    while not (found := [job for job in jobs if job.done()]):
        time.sleep(LOOKS_S)
    return found
