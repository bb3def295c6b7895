"""From a model's text blocks to the description of every object, exactly as Brian2 will get it.

Order within a time step: everything the plasticity reads is the left limit at t, before any
spike of the step acts, so trace, psi, error and modulator belong to the same moment:

    start      trial clock: end of the last trial, reset, new input and target
    noise      new perturbation z and the current it sends
    groups     membranes, traces and readout decay
    error      softmax, error
    feedback   modulator g (top layer first)
    escape     the stochastic decision to spike, S; readings of the readout
    plasticity weights, or the postsynaptic accumulator of the lazy form
    thresholds, synapses, resets, end

A plasticity term ``xbar_pre * F_post`` with an exponentially decaying trace is emitted in an
exact event-driven form. With dG/dt = G/tau + F kept by the postsynaptic neuron, the weight in
force is always w + xbar_pre*G_post: xbar*G does not decay, and a spike, which raises xbar by 1,
takes G out of w at once. The sum is the dense rule's, to rounding.

Inputs that are given as events are handed over by event too: an input neuron knows the step of its
next spike and looks up another only when that has come.
"""

from dataclasses import replace

from bioopzo.network.clock import CLOCK, CLOCK_NAMES
from bioopzo.network.forms import choose_form, set_sum_order, store_subexpressions
from bioopzo.network.objects import (
    Assembly,
    Code,
    Event,
    GroupText,
    Pathway,
    SynapseText,
    names_used,
    synapse_texts,
    with_right,
)
from bioopzo.text.equations import (
    compose,
    identifiers,
    is_expression,
    parse,
    render,
    substitute,
    unit_text,
)


def assemble(model, duration=None, varying=False, lazy=True, events=False):
    """The `Assembly` of a model.

    Parameters
    ----------
    model : Model
    duration : time, optional
        Trial length; the lazy form is used only where it stays exact (20 time constants).
    varying : bool
        Whether the target changes within a trial.
    lazy : bool
        False keeps every plasticity equation dense.
    events : bool
        Whether given spikes come as lists of events, not as a table of every step and neuron.
    """
    assembly = draft(model, varying, events)
    set_sum_order(assembly, model.depth)
    for synapse in assembly.synapses.values():
        if synapse.name.startswith("forward"):
            choose_form(model, assembly, synapse, duration, lazy)
    store_subexpressions(assembly, model.depth)
    _add_events(assembly)
    _link(assembly)
    _declare_parameters(assembly, model.parameters)
    return assembly


def draft(model, varying=False, events=False):
    """Every object with the text of its blocks as written: what `checks` reads."""
    top = len(model.sizes) - 1
    layers = ["input", *(f"hidden_{k}" for k in range(1, top)), "readout"]
    groups = {"trial": _trial()}
    for k, name in enumerate(layers):
        groups[name] = _layer(model, name, model.sizes[k])
    groups["error"] = _layer(model, "error", model.sizes[-1])
    _feed(model, groups, varying, events)
    if "critic" in model.blocks:
        groups["critic"] = _layer(model, "critic", 1)
    synapses = _forward(model, layers)
    _branches(model, groups, synapses)
    if "feedback" in model.blocks:
        for k in range(1, top):
            synapses[f"feedback_{k}"] = _feedback(model, k)
    synapses["softmax"] = SynapseText("softmax", "error", "error", "Z_post = expo_pre : 1 (summed)")
    if "report" in model.blocks:
        synapses["report"] = SynapseText("report", "error", "critic", model.blocks["report"])
    return Assembly(groups, synapses)


# ---------------------------------------------------------------------------- objects

def _text(model, kind, *names):
    """The block(s) of a layer joined: the general one, then the layer's own lines over it."""
    text = ""
    for name in names:
        key = f"{name}.{kind}" if kind else name
        if key in model.blocks:
            new = model.blocks[key]
            text = new if is_expression(key) else compose(text, new, key)
    return text


def _trial():
    text = """
        step = t_in_timesteps % steps
        row = (t_in_timesteps // steps) % rows
        plastic = schedule(row*dt)
        fresh = int(step == 0)
        gate = course(step*dt, 0)
        read = course(step*dt, 1)
        sigma = plastic*course(step*dt, 2)
        window = plastic*course(step*dt, 3)
        hold = plastic*course(step*dt, 4)
        pair = plastic*course(step*dt, 5)
    """
    return GroupText(
        "trial", 1, render(parse(CLOCK)) + "\nstep : integer (shared)\nrow : integer (shared)",
        codes=[Code("clock", render(parse(text)), "start", 0)],
        constants={"steps": "integer", "rows": "integer", "seed": "integer", "chunk": "second"},
    )


def _layer(model, name, size):
    kind = name.split("_")[0]
    names = (kind, name) if name != kind else (kind,)
    group = GroupText(name, size, _text(model, "", *names), _text(model, "threshold", *names),
                      _text(model, "reset", *names))
    if "not_refractory" in _text(model, "step", *names):
        group.refractory = "refractory_period"
    step, trial = _text(model, "step", *names), _text(model, "trial", *names)
    if name == "hidden_1" and model.coding in (None, "current"):
        trial += "\ndrive = 0"
    sample = _text(model, "sample", *names)
    if sample:
        group.codes.append(Code("sample", sample, "groups", 1))
    chance = _text(model, "chance", *names)
    if chance:
        group.codes.append(Code("chance", chance, "escape", -1))
    if step:
        group.codes.append(Code("step", step, "escape"))
    if trial:
        order = -9 if name == "critic" else 1
        group.codes.append(Code("trial", trial, "start", order, "trial"))
    for key, text in model.blocks.items():
        if key.startswith(f"{kind}.event."):
            event = key.split(".")[2]
            # After the softmax of this step (order 1).
            group.events.append(Event(event, text, "error",
                                      model.blocks.get(f"{kind}.on.{event}", ""), order=3))
    for event, when in (("hold", "noise"), ("pair", "thresholds")):
        text = _text(model, event, *names)
        if text:
            group.events.append(Event(event, f"{event} > 0.5", when, text))
    return group


def _feed(model, groups, varying, events):
    """Statements that hand a trial's input and target to the network."""
    source, target = groups["input"], groups["error"]
    coding = model.coding or "current"
    table, index, clock = "stimulus", "row*dt", "trial"
    if coding == "spikes":
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
        if clock == "step" or (group is source and coding == "spikes"):
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
             "start", 2, "trial"),
        Code("feed", "given = int(upcoming == step)", "start", 3)]
    source.events.append(Event("arrival", "given > 0.5", "noise",
                               "entry += 1\nupcoming = event_step(entry*dt)"))


def _forward(model, layers):
    synapses = {}
    for k in range(1, len(layers)):
        name = f"forward_{k}"
        kind = "forward_readout" if k == len(layers) - 1 else "forward"
        equations = _text(model, "", kind, name)
        if k > 1 and "backward" in model.blocks:
            equations += "\n" + model.blocks["backward"]
        synapse = SynapseText(name, layers[k - 1], layers[k], equations)
        onset = model.blocks.get("forward_1.onset", "") if k == 1 else ""
        if onset:
            synapse.pathways.append(Pathway("onset", "onset", onset, "start", 6))
        else:
            synapse.pathways.append(Pathway("pre", "spike", _text(model, "spike", kind, name),
                                            "synapses"))
        hold = _text(model, "hold", kind, name)
        if hold and k > 1:
            synapse.pathways.append(Pathway("hold", "hold", hold, "noise", 5))
        trial = _text(model, "trial", kind, name)
        if trial:
            synapse.codes.append(Code("trial", trial, "start", -7, "trial"))
        synapses[name] = synapse
    return synapses


def _branches(model, groups, synapses):
    """The readout of a single hidden layer with its error population, and what it teaches."""
    for k in model.rule.branches:
        for name in (f"local_{k}", f"localerror_{k}"):
            groups[name] = _layer(model, name, model.sizes[-1])
        name = f"forward_local_{k}"
        synapse = SynapseText(name, f"hidden_{k}", f"local_{k}",
                              _text(model, "", "forward_local", name))
        for event, when, order in (("spike", "synapses", 0), ("hold", "noise", 5)):
            text = _text(model, event, "forward_local", name)
            if text:
                synapse.pathways.append(Pathway("pre" if event == "spike" else event, event, text,
                                                when, order))
        synapses[name] = synapse
        name = f"softmax_local_{k}"
        synapses[name] = SynapseText(name, f"localerror_{k}", f"localerror_{k}",
                                     "Z_post = expo_pre : 1 (summed)")
    middle = model.rule.intermediate
    for k in range(1, middle or 1):
        synapses[f"intermediate_{k}"] = _feedback(model, k, "intermediate", f"localerror_{middle}")


def _feedback(model, layer, kind="feedback", source="error"):
    synapse = SynapseText(f"{kind}_{layer}", source, f"hidden_{layer}",
                          _text(model, "", kind, f"{kind}_{layer}"))
    phases = [key for key in model.blocks if key.startswith(f"{kind}.pair.")]
    for order, key in enumerate(phases):
        synapse.pathways.append(Pathway(key.split(".")[-1], "pair", model.blocks[key], "synapses",
                                        10 + order))
    return synapse


# ---------------------------------------------------------------------------- declarations

def _add_events(assembly):
    for synapse in assembly.synapses.values():
        group = assembly.groups[synapse.source]
        for path in synapse.pathways:
            if path.event != "spike" and path.event not in {e.name for e in group.events}:
                # The onset comes after the trial clock (order 0) and the new input (order 2).
                condition, when, order = {"hold": ("hold > 0.5", "noise", 0),
                                          "pair": ("pair > 0.5", "thresholds", 0),
                                          "onset": ("fresh > 0.5", "start", 3)}[path.event]
                group.events.append(Event(path.event, condition, when, order=order))


def readable(assembly):
    """What a group may read of others, neuron by neuron: group -> word -> (group, variable)."""
    sources = {"readout": {"err": "error"}, "error": {"o": "readout"},
               "critic": {}, "trial": {}, "input": {}}
    for name in [name for name in assembly.groups if name.startswith("local_")]:
        k = name.split("_")[1]
        sources[name] = {"err": f"localerror_{k}"}
        sources[f"localerror_{k}"] = {"o": name, "y": "error"}
    shared = dict.fromkeys(CLOCK_NAMES, "trial")
    if "critic" in assembly.groups:
        shared.update(advantage="critic", surprise="critic")
    every = {name: {**shared, **sources.get(name, {})} for name in assembly.groups}
    return {name: {word: (other, word) for word, other in table.items() if other != name}
            for name, table in every.items() if name != "trial"}


def _link(assembly):
    """Shared time courses and one-to-one readings of another group, by name."""
    for name, table in readable(assembly).items():
        group = assembly.groups[name]
        used = names_used(group) - {line.name for line in parse(group.equations, name)}
        for word, place in table.items():
            if word in used:
                group.links[word] = place
                group.equations += f"\n{word} : 1"
        lines = [type(x)("parameter", x.name, unit=x.unit, flags="(linked)")
                 if x.name in group.links else x for x in parse(group.equations, name)]
        group.equations = render(lines)


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
        _rename(synapse, shared)
    for obj in objects + list(assembly.synapses.values()):
        obj.equations = "\n".join([obj.equations, *(f"{name} : {u} (shared, constant)"
                                                    for name, u in obj.constants.items())]).strip()


def _rename(synapse, names):
    """Replace names on every right-hand side of a synapse object."""
    def renamed(text):
        return render(with_right(x, substitute(x.right, names)) for x in parse(text))

    synapse.equations = renamed(synapse.equations)
    synapse.pathways = [replace(p, text=renamed(p.text)) for p in synapse.pathways]
    synapse.codes = [replace(c, text=renamed(c.text)) for c in synapse.codes]
