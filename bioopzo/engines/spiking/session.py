"""Brian2's own session: what is changed in it while a network is made or run."""

import contextlib
import gc

import brian2 as b2
from brian2.devices.device import RuntimeDevice


@contextlib.contextmanager
def runtime(target="numpy"):
    """Within this context Brian2 runs in this process, with the given code generation target."""
    before, frozen = b2.prefs.codegen.target, gc.get_freeze_count()
    if not isinstance(b2.get_device(), RuntimeDevice):
        b2.set_device("runtime")
    b2.prefs.codegen.target = target
    if not frozen:  # Brian2 collects garbage at every run: look at what is made within only
        gc.freeze()
    try:
        yield
    finally:
        b2.prefs.codegen.target = before
        if not frozen:
            gc.unfreeze()
