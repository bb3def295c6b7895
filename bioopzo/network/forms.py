"""The form in which plasticity is emitted, and the order of sums."""

import ast
import re
from dataclasses import replace

from brian2.units.fundamentalunits import Quantity

from bioopzo.network.asked import ModelLike
from bioopzo.network.kinds import kind_of
from bioopzo.network.objects import Assembly, Code, SynapseText, with_right
from bioopzo.text.equations import defines, factorise, identifiers, parse, render, substitute, tree

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


def _decay(group, trace):
    """The time constant of a trace that only decays and rises by 1 at a spike, else None."""
    for line in parse(group.equations, group.name):
        if line.name == trace and line.kind == "differential":
            match = re.match(rf"^-\s*{trace}\s*/\s*(\w+)$", line.right)
            if match and any(s.name == trace and s.operator == "+=" and s.right.strip() == "1"
                             for s in parse(group.reset, group.name)):
                return match[1]
    return None


def choose_form(model: ModelLike, assembly: Assembly, synapse: SynapseText,
                duration: Quantity | None, lazy: bool) -> None:
    """Emit each plasticity equation of a forward synapse lazily where that is exact."""
    source, target = assembly.groups[synapse.source], assembly.groups[synapse.target]
    lines = list(parse(synapse.equations, synapse.name))
    own = {line.name for line in lines}
    forms = []
    for k, line in enumerate(lines):
        if line.kind != "differential":
            continue
        traces = [w for w in identifiers(line.right) if w.endswith("_pre")]
        factor = factorise(line.right, traces[0]) if len(traces) == 1 else None
        if factor is None or identifiers(factor) & own:
            continue
        factor = substitute(factor, {w: w[:-5] for w in identifiers(factor)
                                     if w.endswith("_post")})
        trace = traces[0]
        tau = _decay(source, trace[:-4])
        read_elsewhere = any(line.name in identifiers(other.right)
                             for other in lines if other is not line)
        precise = tau is not None and (
            duration is None or duration / model.parameters[tau] <= LONGEST_LAZY_TRIAL)
        if lazy and precise and not read_elsewhere:
            lines[k] = _lazy(synapse, target, line, trace, factor, tau)
            forms.append(f"{line.name} lazy")
        else:
            lines[k] = _dense(target, synapse, line, trace, factor)
            forms.append(f"{line.name} dense")
    synapse.equations = render(lines)
    synapse.form = ", ".join(forms)


def _lazy(synapse, target, line, trace, factor, tau):
    sum_ = _free_name(f"G_{line.name}", synapse, target)
    unit = line.unit
    target.equations += f"\nd{sum_}/dt = {sum_}/{tau} : {unit}"
    target.codes.append(Code(f"sum_{sum_[2:]}", f"{sum_} += dt*({factor})", "plasticity"))
    zero = "0" if unit == "1" else f"0*{unit}"
    target.codes.append(Code(f"clear_{sum_[2:]}", f"{sum_} = {zero}", "start", -6, "trial"))
    owed = f"{trace}*{sum_}_post"
    for k, path in enumerate(synapse.pathways):
        text = render(_in_force(x, line.name, owed) for x in parse(path.text))
        if path.event == "spike":
            text += f"\n{line.name} -= {sum_}_post"
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
    whole = tree(line.right).body
    if isinstance(whole, (ast.Compare, ast.BoolOp)) or isinstance(
            getattr(whole, "op", None), ast.Not):  # true counts as 1
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
