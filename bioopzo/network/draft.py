"""Every object of a network with the text of its blocks as written.

Which objects there are says the network's table; what a block's moment means says
`network.kinds`. The draft is what `checks` reads; `assembly` makes of it what Brian2 gets.
"""

from collections.abc import Mapping

from brian2.units.fundamentalunits import Quantity

from bioopzo.network.asked import ModelLike
from bioopzo.network.clock import CLOCK, CLOCK_NAMES, TICK, TICK_OF_ITS_OWN
from bioopzo.network.delays import hold_back
from bioopzo.network.entries import Population, Projection
from bioopzo.network.kinds import NEURON_MOMENTS, SYNAPSE_MOMENTS, kind_of
from bioopzo.network.objects import Assembly, Code, Event, GroupText, Pathway, SynapseText
from bioopzo.network.table import Network
from bioopzo.text.equations import compose, is_expression, parse, render


def draft(model: ModelLike, varying: bool = False, events: bool = False,
          step: Quantity | None = None, masks: bool = False, delays: bool = True) -> Assembly:
    """The `Assembly` of a model as written; arguments as of `assembly.assemble`.

    `delays` False lets spikes arrive at once: enough to see who reads what.
    """
    network, blocks = model.network, model.blocks
    groups = {"trial": _trial(TICK_OF_ITS_OWN if masks else TICK)}
    perturbs = bool(model.rule.perturbs)
    groups.update((p.name, _group(blocks, network, p, perturbs)) for p in network.populations)
    _feed(groups[network.input.name], groups[network.error.name], model.coding or "current",
          model.changing, varying, events)
    synapses = {p.name: _synapses(blocks, network, p, perturbs) for p in network.projections}
    if model.changing:  # what acts from the start of a trial on is no longer the same then
        for synapse in synapses.values():
            synapse.pathways = [path for path in synapse.pathways if path.event != "onset"]
    if delays:
        hold_back(groups, synapses, network, step, model.state_reset)
    return Assembly(groups, synapses, network)


def text_of(blocks: Mapping[str, str], entry: Population | Projection, moment: str = "") -> str:
    """What the `blocks` say of a population or projection (`entry`) at a moment, as one text.

    The later of its blocks is laid over the earlier; text of its own lies below.
    """
    own = f"{entry.name}.{moment}" if moment else entry.name
    text = "" if own in blocks else dict(getattr(entry, "text", ())).get(moment, "")
    for name in entry.blocks:
        key = f"{name}.{moment}" if moment else name
        if key in blocks:
            new = blocks[key]
            text = new if is_expression(key) else compose(text, new, key)
    return text


def _named(blocks, entry, moment):
    """The words that follow a moment in an entry's blocks, such as ``learn`` in ``pair.learn``."""
    heads = tuple(f"{name}.{moment}." for name in entry.blocks)
    return dict.fromkeys(key.rpartition(".")[2] for key in blocks if key.startswith(heads))


def _trial(tick):
    """The trial's clock, which every other object reads."""
    return GroupText(
        "trial", 1, "\n".join([
            render(parse(CLOCK)), "t_of_run : second (shared)", "draws : 1 (shared)",
            "step : integer (shared)", "row : integer (shared)"]),
        "trial", codes=[Code("clock", render(parse(tick)), "start", 0)],
        constants={"steps": "integer", "rows": "integer", "chunk": "second"})


def readable(network: Network) -> dict[str, dict[str, tuple[str, str]]]:
    """What a population may read of others, neuron by neuron: name -> word -> (name, variable)."""
    shared = dict.fromkeys(CLOCK_NAMES, "trial")
    critics = network.of("critic")
    if critics:
        shared.update(advantage=critics[0].name, surprise=critics[0].name)
    return {population.name: {word: (other, word)
                              for word, other in {**shared, **dict(population.reads)}.items()
                              if other != population.name}
            for population in network.populations}


# ---------------------------------------------------------------------------- populations

def _group(blocks, network, population, perturbs):
    """The neurons of a population; without a perturbation no hold begins and no pair ends."""
    group = GroupText(population.name, population.size, text_of(blocks, population),
                      population.kind, text_of(blocks, population, "threshold"))
    if group.threshold:
        group.reset = text_of(blocks, population, "reset")
    if "not_refractory" in text_of(blocks, population, "step"):
        group.refractory = "refractory_period"
    for name in ("sample", "chance", "step", "trial"):
        text = text_of(blocks, population, name)
        moment = kind_of(population.kind).trial if name == "trial" else NEURON_MOMENTS[name]
        if name == "trial" and any(_onset(blocks, network, p) for p in network.into(group.name)):
            text += "\ndrive = 0"  # the onset adds up anew
        if text:
            group.codes.append(Code(name, text, moment.when, moment.order, moment.clock))
    moment = NEURON_MOMENTS["event"]
    for word in _named(blocks, population, "event"):
        group.events.append(Event(word, text_of(blocks, population, f"event.{word}"), moment.when,
                                  text_of(blocks, population, f"on.{word}"), moment.order))
    for name in ("hold", "pair") if perturbs else ():
        text = text_of(blocks, population, name)
        if text:
            group.events.append(Event(name, f"{name} > 0.5", NEURON_MOMENTS[name].when, text))
    return group


def _feed(source, target, coding, changing, varying, events):
    """Statements that hand a trial's input and target to the network."""
    table, index, clock = "stimulus", "row*dt", "trial"
    if coding == "spikes" or changing:
        index, clock = "(row*steps + step)*dt", "step"
    if coding == "spikes" and events:
        _feed_events(source)
    else:
        value = {"current": "x = {}", "poisson": "rate = input_rate*{}", "spikes": "given = {}"}
        source.codes.append(Code("feed", value[coding].format(f"{table}({index}, i)"), "start", 2,
                                 clock))
    index, clock = ("(row*steps + step)*dt", "step") if varying else ("row*dt", "trial")
    target.codes.append(Code("feed", f"y = target({index}, i)", "start", 2, clock))
    for group in (source, target):
        group.links.update({"row": ("trial", "row")})
        group.equations += "\nrow : integer"
        if clock == "step" or (group is source and (coding == "spikes" or changing)):
            group.links["step"] = ("trial", "step")
            group.equations += "\nstep : integer"
            if not (group is source and events):  # lists of events hold steps of a trial
                group.constants["steps"] = "integer"
    if coding == "poisson":
        source.constants["input_rate"] = "hertz"


def _feed_events(source):
    """An input neuron waits for the step of its next spike; -1 ends its list of a trial."""
    source.equations += "\nentry : integer\nupcoming : 1"
    source.codes += [
        Code("list", "entry = int(first_event(row*dt, i))\nupcoming = event_step(entry*dt)",
             "start", 1, "trial"),
        Code("feed", "given = int(upcoming == step)", "start", 2)]
    source.events.append(Event("arrival", "given > 0.5", "noise",
                               "entry += 1\nupcoming = event_step(entry*dt)"))


# ---------------------------------------------------------------------------- projections

def _onset(blocks, network, projection):
    """What a projection does from the start of a trial on: only where its source has no spikes."""
    spikes = text_of(blocks, network[projection.source], "threshold")
    return "" if spikes else text_of(blocks, projection, "onset")


def _synapses(blocks, network, projection, perturbs):
    """The synapses of a projection."""
    equations = text_of(blocks, projection)
    from_hidden = network.perturbed(projection)
    if (from_hidden and kind_of(projection.kind).backward and "backward" in blocks
            and network.ahead(projection)):
        equations += "\n" + blocks["backward"]
    synapse = SynapseText(projection.name, projection.source, projection.target, equations,
                          projection.kind, projection.connection)
    if text_of(blocks, network[projection.source], "threshold"):
        _add_pathway(synapse, "pre", "spike", text_of(blocks, projection, "spike"))
    if text_of(blocks, network[projection.target], "threshold"):
        _add_pathway(synapse, "post", "post", text_of(blocks, projection, "post"))
    _add_pathway(synapse, "onset", "onset", _onset(blocks, network, projection))
    if from_hidden and perturbs:
        _add_pathway(synapse, "hold", "hold", text_of(blocks, projection, "hold"))
    for order, word in enumerate(_named(blocks, projection, "pair") if perturbs else ()):
        _add_pathway(synapse, word, "pair", text_of(blocks, projection, f"pair.{word}"), order)
    trial, moment = text_of(blocks, projection, "trial"), SYNAPSE_MOMENTS["trial"]
    if trial:
        synapse.codes.append(Code("trial", trial, moment.when, moment.order, moment.clock))
    return synapse


def _add_pathway(synapse, name, event, text, later=0):
    if text:
        moment = SYNAPSE_MOMENTS[event]
        synapse.pathways.append(Pathway(name, event, text, moment.when, moment.order + later))
