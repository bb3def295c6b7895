"""Brian2's own session: what is changed in it while a network is made or run, and put back.

Whoever uses this package may have a Brian2 script of their own in the same process: groups that
the magic `run` collects, a device, a seed. `runtime` and `standalone` are the only places that
change any of it, and both leave it as it was found, also after an error or Ctrl-C. Of Brian2's
own devices, only "runtime" is borrowed; programs are generated on a device of our own, so a
standalone project that the user has begun is not touched.
"""

import contextlib
import gc
import importlib
import inspect

import brian2 as b2
import numpy as np
from brian2.codegen import translation
from brian2.codegen.generators import base
from brian2.core.names import Nameable
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice

from bioopzo.engines.precision import PRECISIONS
from bioopzo.engines.tools import ONE_AT_A_TIME
from bioopzo.text.functions import RANDOM

#: Where Brian2 keeps the active device. By its name, `brian2.devices.device`, one gets a proxy.
_DEVICES = importlib.import_module("brian2.devices.device")
#: Numbers that compiled code has drawn and not used yet, between two of our runs.
_DRAWN: dict = {}
STORES = ("rand_buffer", "rand_buffer_index", "randn_buffer", "randn_buffer_index")
#: Named objects of Brian2 after the last collection, and how many more lead to the next.
_ALIVE, MANY = {"before": 0}, 300


@contextlib.contextmanager
def runtime(target="numpy", precision="double", seeded=False):
    """Within this context Brian2 runs in this process, with the given code generation target.

    `precision` is that of what is made, and must be the same when it is run. What is made by this
    package draws nothing from NumPy's global numbers, which are left alone, for another thread may
    draw from them; where Brian2 is to be `seeded` within, for objects of the user's own, they are
    put aside.
    """
    device = b2.all_devices["runtime"]
    with _visit(device, precision), _numbers(device, seeded), _quick_collections():
        before = b2.prefs.codegen.target
        b2.prefs.codegen.target = target
        try:
            yield
        finally:
            b2.prefs.codegen.target = before


@contextlib.contextmanager
def standalone(precision="double"):
    """Within this context Brian2 generates C++, on a device of our own, which is given.

    The names in it are those of the network alone: the same text gives the same C++, whatever
    else is alive in this process.
    """
    device = CPPStandaloneDevice()
    with _visit(device, precision), _names_of_its_own():
        device.activate(build_on_run=False)
        yield device


def keep_apart(network):
    """Hide the objects of a `Network` from Brian2's magic `run`, wherever a name refers to them."""
    for thing in network:
        thing.add_to_magic_network = False


@contextlib.contextmanager
def _visit(device, precision):
    """Make `device` the active one for a while, and forget what an error leaves half made.

    New variables are of this `precision` then, whatever the user's own are.

    `set_device` would do more: it writes the clock of one device into the other, resets build
    options and remembers the visit.
    """
    with ONE_AT_A_TIME:
        _clear_away()
        before = _DEVICES.active_device
        stopped, running = b2.Network._globally_stopped, b2.Network._globally_running
        known = set(b2.BrianObject.__instances__())
        width = b2.prefs.core.default_float_dtype
        statements, order = base.make_statements, base.check_for_order_independence
        _DEVICES.active_device = device
        b2.prefs.core.default_float_dtype = PRECISIONS[precision]
        _make_statements_with(inspect.unwrap(statements))
        base.check_for_order_independence = _draws_apart(order)
        try:
            yield
        except BaseException:
            _disown(set(b2.BrianObject.__instances__()) - known)
            raise
        finally:
            _DEVICES.active_device = before
            _make_statements_with(statements)
            base.check_for_order_independence = order
            b2.prefs.core.default_float_dtype = width
            # After an error in a run, Brian2 would take the next Ctrl-C for one of that run.
            b2.Network._globally_stopped, b2.Network._globally_running = stopped, running


def _make_statements_with(function):
    """Let Brian2 turn text into statements by `function`.

    Its own keeps what it has made, without end, by all that is known of all variables. To look
    that up takes longer than to make them anew: of a small training, a seventh of the time.
    """
    for module in (translation, base):
        module.make_statements = function


def _draws_apart(check):
    """Brian2's `check` of the order of synapses, without the random numbers that are drawn there.

    It would warn of every synapse that draws one: which of them is the first makes no difference.
    """
    def without(statements, variables, indices):
        return check(statements, {k: v for k, v in variables.items() if k not in RANDOM}, indices)
    return without


@contextlib.contextmanager
def _names_of_its_own():
    """Let Brian2 find every name free: it would call a second `x*` in the process ``x_1``."""
    sets = Nameable.__instancefollower__.instance_sets
    theirs = sets.pop(Nameable)
    try:
        yield
    finally:
        ours = sets.pop(Nameable, ())
        sets[Nameable] = theirs
        for reference in list(ours):
            if (thing := reference()) is not None:
                theirs.add(thing)


def _clear_away():
    """Collect networks that are done with, when they have become many.

    They lie in circles, and Brian2 looks through all that is alive for every new name: the
    hundredth network in a process would take four times as long to build as the first.
    """
    if len(Nameable.__instances__()) > _ALIVE["before"] + MANY:
        gc.collect()
        _ALIVE["before"] = len(Nameable.__instances__())


def _disown(references):
    """Spare the user Brian2's page of warnings about objects that no network ever had."""
    for reference in references:
        thing = reference()
        if thing is not None and getattr(thing, "_network", "none") is None:
            thing._network = thing.id


@contextlib.contextmanager
def _numbers(device, seeded):
    """Put the user's random numbers aside: what compiled code has in store, and NumPy's state."""
    theirs = {name: getattr(device, name).copy() for name in STORES}
    ours = {name: _DRAWN.pop(name, np.zeros_like(value)) for name, value in theirs.items()}
    _stored(device, ours)  # compiled code may free it: nobody else must take it
    numbers = np.random.get_state() if seeded else None
    try:
        yield
    finally:
        _DRAWN.update({name: getattr(device, name).copy() for name in STORES})
        _stored(device, theirs)
        if numbers is not None:
            np.random.set_state(numbers)


def _stored(device, values):
    """Let compiled code find these numbers in store."""
    for name, value in values.items():
        getattr(device, name)[:] = value


@contextlib.contextmanager
def _quick_collections():
    """Brian2 collects garbage at every run: let it look at what is made within only."""
    frozen = gc.get_freeze_count()
    if not frozen:
        gc.freeze()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()
