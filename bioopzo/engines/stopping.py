"""How runs are stopped from outside: by a signal, and in threads, which no signal reaches."""

import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

#: What a cluster sends at the end of its time, and a terminal when it is closed.
ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
#: What ends a program, too, when a signal goes to the whole group of processes.
ALL = (signal.SIGINT, *ENDS)
_HERE = threading.local()


class Stopped(KeyboardInterrupt):
    """A run is to end as with Ctrl-C, for a signal: its `number`."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self):
        return ("interrupted" if self.number == signal.SIGINT else
                f"stopped by {signal.Signals(self.number).name}")


class Stop:
    """The wish that the runs of some threads end: they look for it, and are called."""

    def __init__(self) -> None:
        self._lock, self._calls, self.wanted = threading.Lock(), set[Callable[[], object]](), False

    def ask(self) -> None:
        """Let the runs end that are under way, and those that would begin."""
        with self._lock:
            self.wanted = True
            calls = list(self._calls)
        for call in calls:
            call()

    def here(self) -> None:
        """Let this thread look for this stop from now on."""
        _HERE.stop = self

    @contextlib.contextmanager
    def calling(self, call: Callable[[], object]) -> Iterator[None]:
        """Within this context `call` is called when the stop is asked for; at once where it is."""
        with self._lock:
            self._calls.add(call)
            late = self.wanted
        try:
            if late:
                call()
            yield
        finally:
            with self._lock:
                self._calls.discard(call)


def look() -> None:
    """Raise `Stopped` where this thread is to end its run."""
    stop = getattr(_HERE, "stop", None)
    if stop is not None and stop.wanted:
        raise Stopped


@contextlib.contextmanager
def ended_by(call: Callable[[], object]) -> Iterator[None]:
    """Within this context `call` ends what this thread waits for, when it is to end its run."""
    stop = getattr(_HERE, "stop", None)
    with stop.calling(call) if stop is not None else contextlib.nullcontext():
        yield


def ran(arguments: Sequence[str], folder: str | None = None
        ) -> "subprocess.CompletedProcess[str]":
    """A program that has been run, in a `folder`; it is ended when this thread is to end its run.

    Raises `Stopped` then, and `OSError` where it cannot be run.
    """
    look()
    with subprocess.Popen(list(arguments), cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            with ended_by(process.kill):
                output, errors = process.communicate()
        except BaseException:
            process.kill()
            raise
    look()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def side_by_side(function: Callable[[Any], object], given: Sequence[Any]) -> None:
    """Call a function with each of several things, in threads that stop when this one is to."""
    stop = Stop()
    with ThreadPoolExecutor(max(1, len(given)), initializer=stop.here) as pool, \
            ended_by(stop.ask):
        try:
            list(pool.map(function, given))
        except BaseException:
            stop.ask()
            raise


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Within this context SIGTERM and SIGHUP end a run as Ctrl-C does, with what was done kept.

    A signal that somebody else has an answer to, or ignores (nohup), is left to them; so are all
    in any thread but the main one. Any but the first does nothing: what was done is being saved.
    """
    told: list[int] = []

    def end(number, frame):
        if not told:
            told.append(number)
            raise Stopped(number)

    with _answering(end, [number for number in ENDS if signal.getsignal(number) is signal.SIG_DFL]):
        yield


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Within this context no signal cuts short what is being saved: the first comes after it."""
    came: list[int] = []
    asked = [number for number in ALL if signal.getsignal(number) not in (None, signal.SIG_IGN)]
    with _answering(lambda number, frame: came.append(number), asked):
        yield
    if came:
        signal.raise_signal(came[0])


@contextlib.contextmanager
def _answering(answer, numbers):
    """Within this context signals are answered so; in the main thread, which alone may say it."""
    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, answer) for number in numbers if here}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
