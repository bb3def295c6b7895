"""The form in which plasticity is emitted.

Which equations may be lazy is proved here, on a whitelist; the text is `network.lazy`'s.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from brian2.core.namespace import DEFAULT_UNITS
from brian2.units.fundamentalunits import Quantity

from bioopzo.network.asked import ModelLike
from bioopzo.network.draft import readable
from bioopzo.network.lazy import Lazy, Mode, emit, free_name
from bioopzo.network.objects import (
    Assembly,
    Code,
    SynapseText,
    method,
    synapse_texts,
    with_right,
)
from bioopzo.network.spread import own_name, own_names, values_at
from bioopzo.text.equations import identifiers, linear_terms, parse, render, substitute, tree
from bioopzo.text.functions import FUNCTIONS
from bioopzo.text.symbols import as_sympy

#: exp(trial/tau) is the lazy form's loss of precision: of what a trial changes, 20 time constants
#: leave 1e-8 unsure in double precision (1e-16), and 10 leave 1e-3 in single (6e-8).
LONGEST_LAZY_TRIAL = {"double": 20.0, "single": 10.0}
#: What a variable may lose by its own decay in one step: the lazy form divides by what is left.
FASTEST_LAZY_DECAY = 0.5
#: How a trace decays: to 0, or to another variable.
_DECAY = (r"^(?:-|\(\s*(?P<to>\w+)\s*-)\s*{}(?(to)\s*\))\s*/\s*"
          r"(?P<tau>\w+|\([^()]*\))$")


#: Functions without a jump or a pole, and defined everywhere.
_CONTINUOUS = {"exp", "sin", "cos", "tanh", "sinh", "cosh", "abs", "clip", "erf", "exprel",
               "arctan", "expm1"}


class _Unproved(Exception):
    """Why an equation cannot be emitted in another form than it is written in."""


def choose_form(model: ModelLike, assembly: Assembly, synapse: SynapseText,
                duration: Quantity | None, step: Quantity | None, lazy: bool,
                precision: str = "double") -> None:
    """Emit each plasticity equation of a forward synapse lazily where that is proved exact.

    That is, in numbers of this `precision`. `synapse.form` says which form each has, and why one
    is dense although `lazy` was asked for.
    """
    lines = parse(synapse.equations, synapse.name)
    written = {line.name: line for line in lines if line.kind == "differential"}
    terms, why = {}, {}
    for name, line in written.items():
        try:
            terms[name] = _terms(model, assembly, synapse, line, written)
        except _Unproved as reason:
            why[name] = str(reason)
    proved = {}
    if lazy:
        proved, reasons = _proved(model, assembly, synapse, terms, duration, step,
                                  LONGEST_LAZY_TRIAL[precision])
        why |= reasons
    for name, line in written.items():
        if name in terms and name not in proved:
            line = _dense(assembly.groups[synapse.target], synapse, line, terms[name])
            lines = tuple(line if x.name == name else x for x in lines)
    synapse.equations = render(lines)
    if proved:
        emit(assembly, synapse, proved)
    synapse.form = ", ".join(
        f"{name} lazy" if name in proved else f"{name} dense" + f" ({why.get(name)})" * lazy
        for name in written)


# ---------------------------------------------------------------------------- the proof

def _proved(model, assembly, synapse, terms, duration, step, longest):
    """(equations that may be lazy, in an order in which each follows earlier ones; why not).

    An equation that another one follows, or that follows another one, is lazy if that is. A trial
    lasts no longer than `longest` time constants.
    """
    ready, why, modes = {}, {}, {}
    for name, told in terms.items():
        try:
            _refuse_euler(assembly, synapse)
            for trace in told.traces:
                modes[trace] = _modes(model, assembly, synapse.source, trace)
                for mode in modes[trace]:
                    _refuse_long(model, duration, mode.tau, longest)
            _refuse_fast(model, synapse.target, name, told.own.get(name, "0"), duration, step,
                         longest)
            _refuse_reads(synapse, name, terms)
            ready[name] = told
        except _Unproved as reason:
            why[name] = str(reason)
    while reasons := {name: words for name in ready if (words := _alone(name, ready, terms))}:
        why |= reasons
        ready = {name: told for name, told in ready.items() if name not in reasons}
    ordered: dict[str, Lazy] = {}
    while later := [name for name in ready if name not in ordered]:
        first = [name for name in later if ready[name].own.keys() <= {name, *ordered}]
        if not first:
            return {}, dict.fromkeys(ready, "two equations follow each other") | why
        for name in first:
            told = ready[name]
            ordered[name] = Lazy(name, told.unit, told.own, tuple(
                (mode, told.traces[trace]) for trace in told.traces for mode in modes[trace]))
    return ordered, why


def _alone(name, ready, terms):
    """Why an equation is not lazy since others are not, or ``""``."""
    dense = [other for other in terms if other not in ready]
    for other in terms[name].own:
        if other not in ready:
            return f"it follows {other}, which is dense"
    if any(name in terms[other].own for other in dense):
        return f"another equation reads {name}"
    return ""


def _terms(model, assembly, synapse, line, written):
    """An equation as a sum of products with what the target alone knows.

    What they are of is a presynaptic trace, or a variable that the synapse has `written` equations
    of.
    """
    no = _Unproved("its equation is not a sum of traces and variables of its own, each times "
                   "something postsynaptic")
    traces = sorted(word for word in identifiers(line.right) if word.endswith("_pre"))
    own = [word for word in written if word in identifiers(line.right)]
    found = None if line.flags else linear_terms(line.right, (*traces, *own))
    if found is None:
        raise no
    factors, rest = found
    target = assembly.groups[synapse.target]
    local = {x.name for x in parse(target.equations)}
    known = local | set(readable(assembly.network)[target.name]) | {"N"}
    names = {*FUNCTIONS, *DEFAULT_UNITS, *model.parameters, *own_names(model), "t", "dt", "pi",
             "e", "j"} - local
    names -= {other.name for other in parse(synapse.equations, synapse.name)}

    def postsynaptic(factor):
        words = {}
        for word in identifiers(factor):
            bare = word.removesuffix("_post")
            if not (bare in known if bare != word else word in names):
                raise no
            words[word] = "i" if word == "j" else bare
        return substitute(factor, words)

    rate = {name: postsynaptic(factor) for name, factor in factors.items()}
    by_trace = {name.removesuffix("_pre"): rate[name] for name in traces if name in rate}
    if rest != "0":
        by_trace[""] = postsynaptic(rest)
    return _Terms(line.unit, by_trace, {name: rate[name] for name in own if name in rate})


@dataclass(frozen=True)
class _Terms:
    """The factors in an equation, as text of the target.

    Of `traces` (``""`` stands for a term without one) and of the synapse's `own` variables.
    """

    unit: str
    traces: Mapping[str, str]
    own: Mapping[str, str]


def _modes(model, assembly, name, trace):
    """What a presynaptic trace is made of, each part of which is alone with its decay.

    Between spikes a trace decays with tau alone, to 0 or to something that stays for the trial; a
    spike raises it by the same each time.
    """
    if not trace:
        return (Mode("1", "1"),)
    group = assembly.groups[name]
    own = {line.name: line for line in parse(group.equations, name)}
    line = own.get(trace)
    match = line and line.kind == "differential" and (line.flags, line.unit) == ("", "1") \
        and re.match(_DECAY.format(trace), line.right)
    apart = model.spread.keys() & identifiers(match["tau"]) if match else set()
    if any(model.spread[word].uneven(name) for word in apart):
        raise _Unproved(f"{trace} decays differently in every neuron of {name}")
    if not match or identifiers(match["tau"]) & own.keys() - apart \
            or not _number(values_at(model, name), match["tau"]):
        raise _Unproved(f"{trace} does more than decay with a time constant")
    # Its time constant is read by the target, too, which may have another one of that name.
    tau = substitute(match["tau"], {word: own_name(word, name) for word in apart})
    elsewhere = [*(c.text for c in group.codes if c.clock == "step" or c.order < 0),
                 *(event.text for event in group.events)]
    changed = {x.name for text in elsewhere for x in parse(text, name)}
    changed |= {x for other in assembly.synapses.values() for x in _changed(other, name)}
    jumps = [x for x in parse(group.reset, name) if x.name == trace]
    if trace in changed or [x.operator for x in jumps] not in ([], ["+="]):
        raise _Unproved(f"{trace} does not only rise at a spike")
    changed |= {x.name for x in parse(group.reset, name)}

    def steady(word):
        return word in own and own[word].kind == "parameter" and word not in changed

    words = {}
    for word in identifiers(jumps[0].right) if jumps else ():
        if not steady(word) and (word in own or word not in {*model.parameters, *FUNCTIONS}):
            raise _Unproved(f"{trace} does not rise by the same at each spike of a trial")
        words[word] = f"{word}_pre" if steady(word) else word
    jump = substitute(jumps[0].right, words) if jumps else ""
    to = match["to"]
    if not to:
        return (Mode(trace, f"{trace}_pre", tau, jump),)
    if not steady(to) or own[to].unit != "1":
        raise _Unproved(f"{trace} decays to {to}, which changes within a trial")
    return (Mode(trace, f"({trace}_pre - {to}_pre)", tau, jump), Mode(to, f"{to}_pre"))


def _changed(synapse, name):
    """The variables of the neurons `name` that synapses change, on either side."""
    for suffix, end in (("_pre", synapse.source), ("_post", synapse.target)):
        if end == name:
            yield from (line.name.removesuffix(suffix) for text in synapse_texts(synapse)
                        for line in parse(text, synapse.name) if line.name.endswith(suffix))


def _number(values, text, **known):
    """The value of a constant expression in base units, or None where it is no constant.

    `values` are those of parameters; one that differs from neuron to neuron is no constant.
    """
    values = {**{unit: float(value) for unit, value in DEFAULT_UNITS.items()},
              **{key: float(value) for key, value in values.items() if not np.ndim(value)}, **known}
    expression = as_sympy(text)
    value = expression.subs({symbol: values[str(symbol)] for symbol in expression.free_symbols
                             if str(symbol) in values})
    return float(value) if value.is_number and value.is_real else None


def _refuse_long(model, duration, tau, longest):
    values = {**model.parameters, **own_names(model)}
    if tau and duration is not None and float(duration) / abs(_number(values, tau)) > longest:
        raise _Unproved(f"a trial is longer than {longest:g} {tau}")


def _refuse_fast(model, target, name, rate, duration, step, longest):
    """A variable's own decay, `rate`, is the same all through a trial, and not too fast."""
    number = _number(values_at(model, target), rate, plastic=1.0)
    if number is None:
        uneven = any(spread.uneven(target) and word in identifiers(rate)
                     for word, spread in model.spread.items())
        raise _Unproved(f"{name} decays at a rate that " + (
            f"differs in every neuron of {target}" if uneven else "changes within a trial"))
    if duration is not None and abs(number) * float(duration) > longest:
        raise _Unproved(f"a trial is longer than {longest:g} time constants of {name}")
    if step is not None and abs(number) * float(step) > FASTEST_LAZY_DECAY:
        raise _Unproved(f"{name} decays within a few steps")


def _refuse_euler(assembly, synapse):
    """What the trace loses in a step is what the sum gains, if both are solved exactly."""
    for name in (synapse.source, synapse.target):
        if method(assembly.groups[name]) == "euler":
            raise _Unproved(f"the equations of {name} are not linear")


def _refuse_reads(synapse, name, terms):
    """Every read and write of a variable is one that knows what is owed to it.

    Sums over synapses run when the traces have decayed and before anything is learned.
    """
    for other in parse(synapse.equations, synapse.name):
        if other.name not in terms and "summed" not in other.flags \
                and name in identifiers(other.right):
            raise _Unproved(f"another equation reads {name}")
    followed = any(name in told.own for other, told in terms.items() if other != name)
    sums = render(x for x in parse(synapse.equations, synapse.name) if "summed" in x.flags)
    for text in (sums, *(x.text for x in (*synapse.pathways, *synapse.codes))):
        for x in parse(text, synapse.name):
            if not _continuous(tree(x.right).body, name):
                raise _Unproved(f"{str(x)!r} may jump where {name} differs by rounding")
    for path in synapse.pathways:
        for x in parse(path.text, synapse.name):
            if x.name == name and followed:
                raise _Unproved(f"{name} is set within a trial, and another equation follows it")
            if path.side == "post" and name in (x.name, *identifiers(x.right)):
                raise _Unproved(f"{name} is read or set at postsynaptic spikes")
            # After the spikes of its step and before the traces rise, what is kept is not settled.
            if path.event == "pair" and (name in identifiers(x.right) or (
                    x.name == name and x.operator not in ("+=", "-="))):
                raise _Unproved(f"{name} is read at the end of a pair of holds")
    for code in synapse.codes:
        if any(name in (x.name, *identifiers(x.right)) for x in parse(code.text, synapse.name)) \
                and not (code.clock == "trial" and -8 < code.order < -6):
            raise _Unproved(f"{name} is read or set outside of events and of the end of a trial")


def _continuous(node, name):
    """Whether an expression is a continuous function of a variable, as far as its form tells.

    A sign, a condition, a root or a quotient of what is zero in one form is another matter in a
    form that gives it to rounding.
    """
    if isinstance(node, ast.Name) or not _has(node, name):
        return True
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        return _continuous(node.operand, name)
    if isinstance(node, ast.BinOp):
        power = isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant) \
            and isinstance(node.right.value, int)
        quotient = isinstance(node.op, ast.Div) and not _has(node.right, name)
        return (power or quotient or isinstance(node.op, (ast.Add, ast.Sub, ast.Mult))) and all(
            _continuous(side, name) for side in (node.left, node.right))
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) \
        and node.func.id in _CONTINUOUS and all(
            _continuous(argument, name) for argument in node.args)


def _has(node, name):
    return any(isinstance(x, ast.Name) and x.id == name for x in ast.walk(node))


# ---------------------------------------------------------------------------- the dense form

def _dense(target, synapse, line, terms):
    """The dense form of one product, with the factor computed once per neuron, not per synapse."""
    if terms.own or len(terms.traces) != 1 or "" in terms.traces:
        return line
    (trace, factor), = terms.traces.items()
    factor_name = free_name(f"F_{line.name}", synapse, target)
    rate = "hertz" if line.unit == "1" else f"{line.unit}/second"
    rate = "1" if line.unit == "second" else rate
    target.equations += f"\n{factor_name} : {rate}"
    target.codes.append(Code(f"factor_{factor_name[2:]}", f"{factor_name} = {factor}",
                             "plasticity", -1))
    return with_right(line, f"{trace}_pre*{factor_name}_post")
