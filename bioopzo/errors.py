"""The few exceptions a user meets; each message says what is wrong and what is allowed."""

import difflib
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass

#: So many names are no help in a message that knows the nearest.
MANY = 40


class BioopzoError(Exception):
    """Base class of every error that this package raises on purpose."""


class InputError(BioopzoError, ValueError):
    """A name, value, shape or unit that cannot be used; raised before anything runs."""


class MissingData(InputError):
    """Files of a data set are nowhere to be found; says where, which, and how to get them."""


@dataclass(frozen=True)
class Mistake:
    """One mistake in the text of a model.

    `where` is the block, `line` the line as it is read, `what` is wrong there, `remedy` what to
    write instead, `column` the place in `line` (from 0) that a caret marks.
    """

    where: str
    what: str
    line: str = ""
    remedy: str = ""
    column: int | None = None

    def __str__(self):
        page = [f"{self.where}: {self.what}"]
        if self.line:
            page.append(f"    {self.line}")
        if self.line and self.column is not None:
            page.append(f"    {' ' * self.column}^")
        if self.remedy:
            page.append(f"  {self.remedy}")
        return "\n".join(page)


class EquationError(InputError):
    """Mistakes in the text of a model; `mistakes` holds each with block, line and remedy."""

    def __init__(self, problem):
        self.mistakes = () if isinstance(problem, str) else tuple(problem)
        count = len(self.mistakes)
        page = "\n".join(str(mistake) for mistake in self.mistakes) or problem
        super().__init__(f"{count} mistakes in the equations\n{page}" if count > 1 else page)


class ModelWarning(UserWarning):
    """Text that can run, but perhaps not as its writer expects."""


class NonFiniteError(BioopzoError, FloatingPointError):
    """A weight, membrane or feedback value became infinite or NaN; `.run` holds what was done."""

    run = None


class InterruptedRun(BioopzoError, KeyboardInterrupt):
    """Training was interrupted; `.run` holds what was done, marked incomplete.

    Of several runs (`compare`, `sweep`, `tune`), `.runs` holds those that were finished. `.number`
    is that of the signal.
    """

    run = None
    runs = ()
    number = int(signal.SIGINT)


class NotSaved(BioopzoError, OSError):
    """A run could not be saved where it should be; `.run` holds it, the message says where."""

    run = None

    def __str__(self):  # that of an OSError of one argument is it, but of more it is not
        return str(self.args[0])


class LostRun(BioopzoError, RuntimeError):
    """A run whose worker died, or could not send back what it found."""


class BuildError(BioopzoError, RuntimeError):
    """The compiled back end could not be built or run; the message holds the compiler's words."""


def nearest(name: object, known: Iterable[object]) -> str:
    """`` (did you mean 'x'?)`` for the known name most like `name`, or nothing."""
    near = difflib.get_close_matches(str(name), [str(word) for word in known], n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


class NotebookError(BioopzoError, RuntimeError):
    """A notebook stopped; the message names the cell and its line."""


def unknown(kind: str, name: object, known: Iterable[object]) -> InputError:
    """An `InputError` that names an unknown thing, the nearest known one and all of them.

    Of very many, only the nearest.
    """
    words = [str(word) for word in known]
    hint = nearest(name, words)
    if hint and len(words) > MANY:
        return InputError(f"unknown {kind} {name!r}{hint}")
    return InputError(f"unknown {kind} {name!r}{hint}; known: {', '.join(sorted(words))}")


def end_plainly() -> None:
    """Let a script that ends in an error of ours end in that alone.

    Brian2 heads whatever ends a script as an unexpected error of its own, to be reported to its
    authors. A hook of anybody else is left as it is, and other errors go on to Brian2's.
    """
    theirs = sys.excepthook
    if getattr(theirs, "__module__", "") != "brian2.utils.logger":
        return

    def hook(kind, problem, trace):
        (sys.__excepthook__ if issubclass(kind, BioopzoError) else theirs)(kind, problem, trace)

    sys.excepthook = hook
