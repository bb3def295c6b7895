"""The form in which plasticity is emitted, and the order of sums."""

import re
from dataclasses import replace

from brian2.core.namespace import DEFAULT_UNITS
from brian2.units.fundamentalunits import Quantity

from bioopzo.network.asked import ModelLike
from bioopzo.network.draft import readable
from bioopzo.network.kinds import SYNAPSE_MOMENTS, kind_of
from bioopzo.network.objects import (
    Assembly,
    Code,
    Pathway,
    SynapseText,
    method,
    synapse_texts,
    with_right,
)
from bioopzo.text.equations import (
    defines,
    factorise,
    identifiers,
    is_condition,
    parse,
    render,
    substitute,
)
from bioopzo.text.functions import FUNCTIONS

#: exp(trial/tau) is the lazy form's loss of precision; 20 time constants leave 1e-8 of 1e-16.
LONGEST_LAZY_TRIAL = 20.0


def _rank(population):
    """Where a population stands in the backward order: readouts first, then the top layer."""
    return 0 if population.distance is None else population.distance - 1


def set_sum_order(assembly: Assembly) -> None:
    """Sums of modulators follow the backward order; those of errors come before all of them."""
    for synapse in assembly.synapses.values():
        for line in parse(synapse.equations, synapse.name):
            if "summed" in line.flags:
                into = synapse.target if line.name.endswith("_post") else synapse.source
                synapse.sums[line.name] = kind_of(synapse.kind).sums or (
                    "feedback", 10 * _rank(assembly.network[into]))


class _Unproved(Exception):
    """Why an equation cannot be emitted in another form than it is written in."""


def choose_form(model: ModelLike, assembly: Assembly, synapse: SynapseText,
                duration: Quantity | None, lazy: bool) -> None:
    """Emit each plasticity equation of a forward synapse lazily where that is proved exact.

    `synapse.form` says which form each has, and why one is dense although `lazy` was asked for.
    """
    target = assembly.groups[synapse.target]
    lines, forms = list(parse(synapse.equations, synapse.name)), []
    for k, line in enumerate(lines):
        if line.kind != "differential":
            continue
        why, trace, factor = "", "", ""
        try:
            trace, factor = _factored(model, assembly, synapse, line)
            if lazy:
                tau, jump = _trace(model, assembly, synapse.source, trace.removesuffix("_pre"))
                _refuse_long(model, duration, tau)
                _refuse_euler(assembly, synapse)
                _refuse_reads(synapse, line, lines)
        except _Unproved as reason:
            why = f" ({reason})"
        if factor and lazy and not why:
            lines[k] = _lazy(target, synapse, line, trace, factor, tau, jump)
            forms.append(f"{line.name} lazy")
            continue
        if factor:
            lines[k] = _dense(target, synapse, line, trace, factor)
        forms.append(f"{line.name} dense{why * lazy}")
    synapse.equations = render(lines)
    synapse.form = ", ".join(forms)


# ---------------------------------------------------------------------------- the proof

def _factored(model, assembly, synapse, line):
    """(trace, factor): the equation is a presynaptic trace times what the target alone knows."""
    no = _Unproved("its equation is not a presynaptic trace times something postsynaptic")
    traces = [word for word in identifiers(line.right) if word.endswith("_pre")]
    factor = factorise(line.right, traces[0]) if len(traces) == 1 else None
    if factor is None or line.flags:
        raise no
    target = assembly.groups[synapse.target]
    own = {other.name for other in parse(synapse.equations, synapse.name)}
    known = {x.name for x in parse(target.equations)} | set(readable(assembly.network)[target.name])
    known |= {"N"}
    words, names = {}, {*FUNCTIONS, *DEFAULT_UNITS, *model.parameters, "t", "dt", "pi", "e", "j"}
    for word in identifiers(factor):
        bare = word.removesuffix("_post")
        if word in own or not (bare in known if bare != word else word in names):
            raise no
        words[word] = "i" if word == "j" else bare
    return traces[0], substitute(factor, words)


def _trace(model, assembly, name, trace):
    """(tau, jump): between spikes a trace decays with tau alone, and a spike raises it by jump."""
    group = assembly.groups[name]
    own = {line.name: line for line in parse(group.equations, name)}
    line = own.get(trace)
    match = line and line.kind == "differential" and not line.flags and re.match(
        rf"^-\s*{trace}\s*/\s*(\w+)$", line.right)
    if not match or match[1] in own or match[1] not in model.parameters:
        raise _Unproved(f"{trace} does more than decay with a time constant")
    jumps = [x for x in parse(group.reset, name) if x.name == trace]
    elsewhere = [*(c.text for c in group.codes if c.clock == "step" or c.order < 0),
                 *(event.text for event in group.events)]
    changed = {x.name for text in elsewhere for x in parse(text, name)}
    changed |= {x for synapse in assembly.synapses.values() for x in _changed(synapse, name)}
    if len(jumps) != 1 or jumps[0].operator != "+=" or trace in changed:
        raise _Unproved(f"{trace} does not only rise at a spike")
    changed |= {x.name for x in parse(group.reset, name)}
    words = {}
    for word in identifiers(jumps[0].right):
        steady = word in own and own[word].kind == "parameter" and word not in changed
        if not steady and (word in own or word not in {*model.parameters, *FUNCTIONS}):
            raise _Unproved(f"{trace} does not rise by the same at each spike of a trial")
        words[word] = f"{word}_pre" if steady else word
    return match[1], substitute(jumps[0].right, words)


def _changed(synapse, name):
    """The variables of the neurons `name` that synapses change, on either side."""
    for suffix, end in (("_pre", synapse.source), ("_post", synapse.target)):
        if end == name:
            yield from (line.name.removesuffix(suffix) for text in synapse_texts(synapse)
                        for line in parse(text, synapse.name) if line.name.endswith(suffix))


def _refuse_long(model, duration, tau):
    if duration is not None and duration / model.parameters[tau] > LONGEST_LAZY_TRIAL:
        raise _Unproved(f"a trial is longer than {LONGEST_LAZY_TRIAL:g} {tau}")


def _refuse_euler(assembly, synapse):
    """What the trace loses in a step is what the sum gains, if both are solved exactly."""
    for name in (synapse.source, synapse.target):
        if method(assembly.groups[name]) == "euler":
            raise _Unproved(f"the equations of {name} are not linear")


def _refuse_reads(synapse, line, lines):
    """Every read and write of the variable is one that knows what is owed to it."""
    name = line.name
    if any(name in identifiers(other.right) for other in lines if other is not line):
        raise _Unproved(f"another equation reads {name}")
    for path in synapse.pathways:
        # After the spikes of its step and before the traces rise, what is kept is not settled.
        if path.event == "pair" and any(
                name in identifiers(x.right) or (x.name == name and x.operator not in ("+=", "-="))
                for x in parse(path.text, synapse.name)):
            raise _Unproved(f"{name} is read at the end of a pair of holds")
    for code in synapse.codes:
        if any(name in (x.name, *identifiers(x.right)) for x in parse(code.text, synapse.name)) \
                and not (code.clock == "trial" and -8 < code.order < -6):
            raise _Unproved(f"{name} is read or set outside of events and of the end of a trial")


# ---------------------------------------------------------------------------- the text

def _lazy(target, synapse, line, trace, factor, tau, jump):
    sum_ = _free_name(f"G_{line.name}", synapse, target)
    unit = line.unit
    target.equations += f"\nd{sum_}/dt = {sum_}/{tau} : {unit}"
    target.codes.append(Code(f"sum_{sum_[2:]}", f"{sum_} += dt*({factor})", "plasticity"))
    zero = "0" if unit == "1" else f"0*{unit}"
    target.codes.append(Code(f"clear_{sum_[2:]}", f"{sum_} = {zero}", "start", -6, "trial"))
    owed = f"{trace}*{sum_}_post"
    if not any(path.event == "spike" for path in synapse.pathways):
        moment = SYNAPSE_MOMENTS["spike"]
        synapse.pathways.append(Pathway("pre", "spike", "", moment.when, moment.order))
    for k, path in enumerate(synapse.pathways):
        text = render(_in_force(x, line.name, owed) for x in parse(path.text))
        if path.event == "spike":
            text += f"\n{line.name} -= " + f"({jump})*" * (jump != "1") + f"{sum_}_post"
        synapse.pathways[k] = replace(path, text=text)
    synapse.codes.insert(0, Code(f"settle_{line.name}", f"{line.name} += {owed}", "start", -8,
                                 "trial"))
    return type(line)("parameter", line.name, unit=unit)


def _free_name(name, synapse, target):
    """A name for what a target keeps for these synapses; others may have taken the short one."""
    taken = defines(target.equations, name)
    return f"{name}_{synapse.name}" if taken else name


def _in_force(line, name, owed):
    """A statement on the value in force of the synaptic variable `name`: what is kept, and `owed`.

    What it adds may be added to what is kept; what it sets is set less what is owed.
    """
    value = f"({name} + {owed})"
    right = substitute(line.right, {name: value})
    if line.name != name or line.operator in ("+=", "-="):
        return with_right(line, right)
    if is_condition(line.right):
        right = f"int({right})"
    if line.operator != "=":
        right = f"{value} {line.operator[:-1]} ({right})"
    return replace(line, operator="=", right=f"({right}) - {owed}")


def _dense(target, synapse, line, trace, factor):
    """The dense form, with the postsynaptic factor computed once per neuron, not per synapse."""
    factor_name = _free_name(f"F_{line.name}", synapse, target)
    rate = "hertz" if line.unit == "1" else f"{line.unit}/second"
    rate = "1" if line.unit == "second" else rate
    target.equations += f"\n{factor_name} : {rate}"
    target.codes.append(Code(f"factor_{factor_name[2:]}", f"{factor_name} = {factor}",
                             "plasticity", -1))
    return with_right(line, f"{trace}*{factor_name}_post")


def store_subexpressions(assembly: Assembly) -> None:
    """A subexpression that synapses read is computed once per neuron, not once per synapse."""
    errors = {p.name for p in assembly.network.populations if kind_of(p.kind).errors}
    wanted = {name: {"err": "sum"} for name in assembly.groups if name in errors}
    for synapse in assembly.synapses.values():
        for line in parse(synapse.equations, synapse.name):
            kind = "sum" if "summed" in line.flags else "step"
            for word in identifiers(line.right):
                for suffix, owner in (("_pre", synapse.source), ("_post", synapse.target)):
                    if word.endswith(suffix):
                        words = wanted.setdefault(owner, {})
                        if words.get(word[:-len(suffix)]) != "sum":
                            words[word[:-len(suffix)]] = kind
    summed = {synapse_sum.rsplit("_", 1)[0] for s in assembly.synapses.values()
              for synapse_sum in s.sums}
    for name, words in wanted.items():
        group = assembly.groups[name]
        lines = list(parse(group.equations, name))
        table = {line.name: line for line in lines if line.kind == "subexpression"}
        for kind in ("sum", "step"):
            for late in (False, True):
                chosen = [w for w in table if words.get(w) == kind
                          and bool(_depends(w, table) & summed) == late]
                if not chosen:
                    continue
                when, order = "plasticity", -2
                if kind == "sum":
                    when, order = ("error", 2 * late) if name in errors else (
                        "feedback", 10 * _rank(assembly.network[name]) + late)
                text = "\n".join(f"{w} = {table[w].right}" for w in chosen)
                group.codes.append(Code(f"store_{kind}{int(late)}", text, when, order))
                lines = [type(x)("parameter", x.name, unit=x.unit) if x.name in chosen else x
                         for x in lines]
        group.equations = render(lines)


def _depends(name, table):
    """Every name a subexpression depends on, through other subexpressions."""
    seen: set[str] = set()
    todo = [name]
    while todo:
        for word in identifiers(table[todo.pop()].right) - seen:
            seen.add(word)
            if word in table:
                todo.append(word)
    return seen
