"""Delays: a neuron remembers its spikes until they arrive.

A spike is handed on from step to step in variables of its neuron, `sent_0` (now), `sent_1` (a step
ago) ..., and arrives by an event of its own. So both engines do the same, what is in flight is a
part of the state, and a trial begins without any, unless the state is not reset.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from brian2.units.fundamentalunits import Quantity

from bioopzo.errors import InputError
from bioopzo.network.kinds import SYNAPSE_MOMENTS
from bioopzo.network.objects import Code, Event, GroupText, SynapseText
from bioopzo.network.table import Network

ARRIVAL, SENT = "arrival_", "sent_"


def hold_back(groups: Mapping[str, GroupText], synapses: Mapping[str, SynapseText],
              network: Network, step: Quantity | None, reset: bool) -> None:
    """Let the spikes of delayed projections arrive late, in place; one step where none is known.

    `reset` says that a trial begins with no spikes in flight.
    """
    longest: dict[str, set[int]] = {}
    for name, synapse in synapses.items():
        delay: Any = network[name].delay
        if not delay:
            continue
        if not groups[synapse.source].threshold:
            raise InputError(f"{name}: a delay holds back spikes, and {synapse.source} sends a "
                             "constant current: leave the delay out, or let the input spike "
                             "(coding 'poisson' or 'spikes')")
        steps = max(1, round(delay / float(step))) if step is not None else 1
        moment = SYNAPSE_MOMENTS["spike"]
        # Before what the spikes of this step take from weights in the lazy form.
        synapse.pathways = [replace(p, name="late", event=f"{ARRIVAL}{steps}",
                                    order=moment.order - 1)
                            if p.event == "spike" else p for p in synapse.pathways]
        longest.setdefault(synapse.source, set()).add(steps)
    for name, found in longest.items():
        _remember(groups[name], found, reset)


def _remember(group, delays, reset):
    """Let a population remember its spikes for the longest of the `delays`, in steps."""
    most = max(delays)
    places = [f"{SENT}{k}" for k in range(most + 1)]
    group.equations += "".join(f"\n{place} : 1" for place in places)
    group.reset = f"{group.reset}\n{places[0]} = 1".strip()
    shifted = [f"{late} = {early}" for early, late in reversed(list(pairwise(places)))]
    group.codes.append(Code("delay", "\n".join([*shifted, f"{places[0]} = 0"]), "end"))
    if reset:
        group.codes.append(Code("nothing_sent", "\n".join(f"{place} = 0" for place in places),
                                "start", 3, "trial"))
    group.events += [Event(f"{ARRIVAL}{steps}", f"{SENT}{steps} > 0.5", "thresholds", order=1)
                     for steps in sorted(delays)]
