"""From a model's text blocks to the description of every object, exactly as Brian2 will get it.

The order within a time step is that of `network.kinds.SLOTS`: everything the plasticity reads is
the left limit at t, before any spike of the step acts, so trace, psi, error and modulator belong to
the same moment.

A plasticity term ``xbar_pre * F_post`` with an exponentially decaying trace is emitted in an
exact event-driven form. With dG/dt = G/tau + F kept by the postsynaptic neuron, the weight in
force is always w + xbar_pre*G_post: xbar*G does not decay, and a spike, which raises xbar by 1,
takes G out of w at once. The sum is the dense rule's, to rounding. So are all equations that are
linear in traces and in the synapse's own variables (`network.lazy`).

Inputs that are given as events are handed over by event too: an input neuron knows the step of its
next spike and looks up another only when that has come.
"""

from brian2.units.fundamentalunits import Quantity

from bioopzo.network.asked import ModelLike
from bioopzo.network.clock import CLOCK_UNITS
from bioopzo.network.draft import draft, readable
from bioopzo.network.forms import choose_form
from bioopzo.network.kinds import kind_of
from bioopzo.network.learning import gate, roles
from bioopzo.network.objects import (
    Assembly,
    Event,
    names_used,
    synapse_texts,
)
from bioopzo.network.spread import declare, own_names, rename
from bioopzo.network.sums import set_sum_order, store_subexpressions
from bioopzo.text.equations import (
    identifiers,
    parse,
    render,
    unit_text,
)


def assemble(model: ModelLike, duration: Quantity | None = None, varying: bool = False,
             lazy: bool = True, events: bool = False, gated: bool = True,
             step: Quantity | None = None, precision: str = "double",
             masks: bool = False) -> Assembly:
    """The `Assembly` of a model.

    Parameters
    ----------
    model : Model
    duration : time, optional
        Trial length; the lazy form is used only where it stays exact (20 time constants, 10 in
        single `precision`).
    varying : bool
        Whether the target changes within a trial.
    lazy : bool
        False keeps every plasticity equation dense.
    events : bool
        Whether given spikes come as lists of events, not as a table of every step and neuron.
    gated : bool
        False leaves it to the engine that nothing is learned while plasticity is off.
    step : time, optional
        Of the simulation; what decays within a few steps is not lazy.
    precision : ``"double"`` or ``"single"``
    masks : bool
        Whether trials have masks of their own.
    """
    assembly = draft(model, varying, events, step, masks)
    declare(assembly, model)
    assembly.roles = roles(assembly)
    if gated:
        gate(assembly)
    set_sum_order(assembly)
    for synapse in assembly.synapses.values():
        if kind_of(synapse.kind).plastic:
            choose_form(model, assembly, synapse, duration, step, lazy, precision)
    store_subexpressions(assembly)
    _add_events(assembly)
    _link(assembly)
    _declare_parameters(assembly, {**model.parameters, **own_names(model)})
    return assembly


# ---------------------------------------------------------------------------- declarations

def _add_events(assembly):
    """Each event that synapses wait for and their source has not by itself."""
    for synapse in assembly.synapses.values():
        group = assembly.groups[synapse.source]
        for path in synapse.pathways:
            if path.happening != "spike" and path.event not in {e.name for e in group.events}:
                # The onset comes after the trial clock (order 0), the new input and the reset.
                condition, when, order = {"hold": ("hold > 0.5", "noise", 0),
                                          "pair": ("pair > 0.5", "thresholds", 0),
                                          "onset": ("fresh > 0.5", "start", 4)}[path.event]
                group.events.append(Event(path.event, condition, when, order=order))


def _link(assembly):
    """Shared time courses and one-to-one readings of another group, by name."""
    for name, table in readable(assembly.network).items():
        group = assembly.groups[name]
        used = names_used(group) | _asked_for(assembly, name)
        used -= {line.name for line in parse(group.equations, name)}
        for word, place in table.items():
            if word in used:
                group.links[word] = place
                group.equations += f"\n{word} : {CLOCK_UNITS.get(word, 1)}"
        lines = [type(x)("parameter", x.name, unit=x.unit, flags="(linked)")
                 if x.name in group.links else x for x in parse(group.equations, name)]
        group.equations = render(lines)


def _asked_for(assembly, name):
    """What synapses read of the neurons of a group, on either side."""
    found = set()
    for synapse in assembly.synapses.values():
        for suffix, end in (("_pre", synapse.source), ("_post", synapse.target)):
            if end == name:
                found |= {word.removesuffix(suffix) for text in synapse_texts(synapse)
                          for word in identifiers(text) if word.endswith(suffix)}
    return found


def _declare_parameters(assembly, parameters):
    """Each parameter an object reads becomes one of its own shared constants."""
    objects = list(assembly.groups.values())
    for obj in objects:
        own = {line.name for line in parse(obj.equations, obj.name)}
        for name in sorted((names_used(obj) & set(parameters)) - own):
            obj.constants[name] = unit_text(parameters[name])
        if obj.refractory:
            obj.constants["refractory_period"] = "second"
    for synapse in assembly.synapses.values():
        own = {line.name for line in parse(synapse.equations, synapse.name)}
        used = set().union(*(identifiers(t) for t in synapse_texts(synapse)))
        shared = {}
        for name in sorted((used & set(parameters)) - own):
            # Brian2 refuses a synaptic name that a connected group has too: read it from there.
            for suffix, group in (("_post", synapse.target), ("_pre", synapse.source)):
                if name in assembly.groups[group].constants:
                    shared[name] = name + suffix
                    break
            else:
                synapse.constants[name] = unit_text(parameters[name])
        rename(synapse, shared)
    for obj in objects + list(assembly.synapses.values()):
        own = {line.name for line in parse(obj.equations, obj.name)}
        obj.equations = "\n".join([obj.equations, *(
            f"{name} : {u} (shared, constant)" for name, u in obj.constants.items()
            if name not in own)]).strip()
