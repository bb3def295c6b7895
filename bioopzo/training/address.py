"""The address of a run: a hash of all that decides what it finds."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bioopzo.engines.rate.settings import Settings
from bioopzo.exact import digest
from bioopzo.model import Model
from bioopzo.network.assembly import assemble
from bioopzo.network.clock import shape_of
from bioopzo.tasks import Task
from bioopzo.training.checkpoint import described_settings
from bioopzo.training.plan import Plan
from bioopzo.versions import versions

#: Counts the meanings of an address; a change makes all runs new.
FORMAT = 1
#: The packages whose version is part of an address, by engine.
PACKAGES = {"spiking": ("bioopzo", "brian2"), "rate": ("bioopzo", "jax", "jaxlib")}


def addresses(model: Model, task: Task, plan: Plan, chosen: Any, split: str, seeds: Iterable[int]
              ) -> list[str]:
    """A hash of text, network, parameters, task, settings, length and versions for each seed.

    It is of what `train.prepared` gives: the `model` fitted to the `task`, the `plan` and the
    settings `chosen`; with the `split` that is evaluated and one of the `seeds`. Two runs of one
    address are the same run, on any machine. Of the spiking engine the back end is part of it as it
    was asked for, by name or left open, not as it was found; of the rate engine it does not matter
    which runs go side by side as one program. Beside the model's own digest it holds the text of
    every object, dense, which has what a neuron gives its synapses.
    """
    engine = "rate" if isinstance(chosen, Settings) else "spiking"
    settings = described_settings(replace(chosen, batch=plan.batch)) \
        if isinstance(chosen, Settings) else [chosen.backend, chosen.lazy, chosen.precision]
    known, shape = versions(), shape_of(task, 1)
    text = assemble(model, shape.duration, shape.varying, False, bool(shape.events),
                    step=shape.step, masks=shape.masks > 1)
    common = digest((FORMAT, engine, settings, {name: known[name] for name in PACKAGES[engine]},
                     model.digest, list(text.groups.values()), list(text.synapses.values()),
                     task.digest, split, plan.total, plan.batch, plan.marks, plan.few), 64)
    return [digest((common, seed), 24) for seed in seeds]
