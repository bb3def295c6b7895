"""The few exceptions a user meets; each message says what is wrong and what is allowed."""

import difflib


class BioopzoError(Exception):
    """Base class of every error that this package raises on purpose."""


class InputError(BioopzoError, ValueError):
    """A name, value, shape or unit that cannot be used; raised before anything runs."""


class EquationError(BioopzoError, ValueError):
    """A mistake in an equation string; names the object, the line and a remedy."""


class NonFiniteError(BioopzoError, FloatingPointError):
    """A weight, membrane or feedback value became infinite or NaN; `.run` holds what was done."""

    run = None


class InterruptedRun(BioopzoError, KeyboardInterrupt):
    """The run was interrupted; `.run` holds what was done, marked incomplete."""

    run = None


class BuildError(BioopzoError, RuntimeError):
    """The compiled back end could not be built or run; the message holds the compiler's words."""


class NotebookError(BioopzoError, RuntimeError):
    """A notebook stopped; the message names the cell and its line."""


def unknown(kind, name, known):
    """An `InputError` that names an unknown thing, the nearest known one and all of them."""
    known = [str(word) for word in known]
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return InputError(f"unknown {kind} {name!r}{hint}; known: {', '.join(sorted(known))}")
