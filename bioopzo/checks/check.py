"""Everything that is wrong with the text of a model, said at once, before anything runs.

`check` reads the objects as the blocks describe them (`network.draft`): every line (`lines`), then
the whole: what is missing, never used or never set, and whether what is taught reaches the weights
(`influence`). Text without mistakes is handed to Brian2, which has the last word, and to the rate
engine, whose limits are warnings here.
"""

import sys
import warnings
from numbers import Real

from brian2.units.fundamentalunits import Quantity, have_same_dimensions

from bioopzo.checks.standing import standing
from bioopzo.checks.whole import Text
from bioopzo.engines.rate.translate import program
from bioopzo.engines.spiking.code import dry_run
from bioopzo.engines.tools import ONE_AT_A_TIME
from bioopzo.errors import BioopzoError, EquationError, InputError, Mistake, ModelWarning
from bioopzo.network.assembly import assemble
from bioopzo.network.clock import check_protocol


def check(model, complete=True):
    """Raise `EquationError` with every mistake in a model's text; warn of what may surprise.

    `complete` False leaves out Brian2's dry run, the rate engine, the warnings and holds, which a
    task says more of: what is left takes some milliseconds, right before an engine is built.
    """
    if model.coding is None:
        model = model.replace(coding="current")
    around = _surroundings()
    text = Text(model, around)
    code = None
    with ONE_AT_A_TIME:  # Brian2 and the syntax trees of Python 3.11 bear one thread
        mistakes = list(text.mistakes())
        if mistakes and model.blocks != model.written:  # of what was written, not of what follows
            mistakes = list(Text(model.as_written(), around).mistakes()) or mistakes
        mistakes += _protocol(model) if complete else ()
        if not mistakes and complete:
            try:
                code = dry_run(model)
            except EquationError as problem:
                mistakes = problem.mistakes or [Mistake("Brian2", str(problem))]
    if mistakes:
        raise EquationError(mistakes)
    if complete:
        for remark in [*text.remarks(), *model.notes, *standing(model, text),
                       *_rate_remarks(model, code), *_shadows(model, around)]:
            warnings.warn(remark, ModelWarning, stacklevel=3)


def _protocol(model):
    """What is wrong with the holds of a perturbation, whatever the task."""
    try:
        check_protocol(model)
    except InputError as problem:
        yield Mistake("parameters", str(problem))


def _rate_remarks(model, code):
    """Why the rate engine would refuse the text, if it would."""
    small = model.shrunk()
    try:
        program(assemble(small, lazy=False, gated=False), code)
    except BioopzoError as problem:
        try:
            program(assemble(small, lazy=False, gated=False), code, "spikes")
        except BioopzoError as other:
            yield f"the rate engine cannot run this: {other}"
        else:
            yield f"the rate engine can run this with activity='spikes' only: {problem}"


def _surroundings():
    """The numbers at the place outside this package that asked, e.g. in a notebook's cell."""
    frame, package = sys._getframe(1), __name__.partition(".")[0]
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame = frame.f_back
    names = {**frame.f_globals, **frame.f_locals} if frame else {}
    return {name: value for name, value in names.items()
            if isinstance(value, (Real, Quantity)) and not isinstance(value, bool)
            and getattr(value, "ndim", 0) == 0}


def _shadows(model, around):
    """Numbers of the notebook with a parameter's name and unit, and another value."""
    for name, value in model.parameters.items():
        mine = around.get(name)
        if name in model.spread:
            continue
        if mine is not None and have_same_dimensions(mine, value) and float(mine) != float(value):
            yield (f"{name} = {mine!r} in the notebook is not the model's {name} = {value!r}: "
                   f"equations read the model's; model.edit({name}={name}) would change it")
