"""What is wrong with single lines: names, units, flags, and who may set what.

A `Scope` says what the text of one object (a layer, its synapses) may read and set; every function
here takes a scope and text, and yields `Mistake`\\ s with a caret where one helps.
"""

import ast
import keyword
from dataclasses import dataclass

from brian2.core.functions import DEFAULT_CONSTANTS, Function
from brian2.core.namespace import DEFAULT_UNITS
from brian2.equations.equations import dimensions_and_type_from_string
from brian2.parsing.expressions import parse_expression_dimensions
from brian2.units import second
from brian2.units.fundamentalunits import (
    DIMENSIONLESS,
    Quantity,
    get_unit_for_display,
    have_same_dimensions,
)

from bioopzo.errors import Mistake, nearest
from bioopzo.network.clock import CLOCK_NAMES
from bioopzo.text.equations import identifiers, tree, unit_text
from bioopzo.text.functions import INSTEAD, OF_BRIAN2, RANDOM, TABLE

#: Names that mean something already in every equation.
SPECIAL = {"t": second, "dt": second, "N": 1, "i": 1}
RESERVED = {*SPECIAL, *DEFAULT_CONSTANTS, "t_in_timesteps", "j", "xi", "lastspike",
            "not_refractory", "step", "steps", "row", "rows", "seed", "chunk", "course",
            "mask_number",
            "schedule", "stimulus", "target",
            "draws", "t_of_run", "trials_before", "trial_key", "step_key", "uniform_number",
            "normal_number", "whole_number", "floor_number", "ceil_number", "copied",
            "everywhere"}
FLAGS = {
    "group": {"differential": ("unless refractory",), "subexpression": (),
              "parameter": ("shared", "constant", "shared, constant")},
    "synapse": {"differential": ("clock-driven", "event-driven"), "subexpression": ("summed",),
                "parameter": ("constant", "shared", "shared, constant")},
}
COMMON = {**DEFAULT_UNITS, **DEFAULT_CONSTANTS, **OF_BRIAN2, **SPECIAL}


@dataclass(frozen=True)
class Scope:
    """What the text of one object may read and set.

    `kind` is ``"group"`` or ``"synapse"``; `variables` name -> unit or function; `settable` the
    names a statement may set; `lines` the object's own by name; `linked` word -> the group it is
    read from; `ends` ``"pre"`` and ``"post"`` -> group, of synapses; `declared` every object ->
    its lines by name; `parameters` of the model; `around` numbers of the notebook; `kinds` every
    object -> the block that describes it, such as ``"hidden"`` for ``"hidden_1"``.
    """

    owner: str
    kind: str
    variables: dict
    settable: frozenset
    lines: dict
    linked: dict
    ends: dict
    declared: dict
    parameters: dict
    around: dict
    refractory: bool
    kinds: dict


def reserved(name):
    """Why a name cannot be a variable's or parameter's, or an empty string."""
    if keyword.iskeyword(name):
        return "it is a word of Python's"
    if name in CLOCK_NAMES:
        return "the trial's clock gives it (see network.clock)"
    if name in RESERVED or name.startswith(("_", "xi_")):
        return "it is reserved"
    if name in TABLE:
        return "it is a function"
    if name in DEFAULT_UNITS:
        return "it is a unit"
    if name.endswith(("_pre", "_post")):
        return "_pre and _post say whose value a synapse reads"
    return ""


def dimension(line):
    """The unit of a declared variable as a quantity, 1 where the text names no unit there is."""
    try:
        return Quantity.with_dimensions(1.0, dimensions_and_type_from_string(line.unit)[0])
    except Exception:
        return Quantity(1.0)


# ---------------------------------------------------------------------------- lines

def of_condition(scope, text):
    """Mistakes in a threshold or the condition of an event."""
    found = [*_names(scope, text, text)]
    whole = tree(text).body
    if not isinstance(whole, (ast.Compare, ast.BoolOp)) and not (
            isinstance(whole, ast.UnaryOp) and isinstance(whole.op, ast.Not)):
        found.append(Mistake("", "a condition is true or false", text,
                             f"compare, e.g. '{text} > 0.5'"))
    return found or [*_consistency(scope, text, text)]


def of_line(scope, line, statement):
    """Mistakes in one line of equations, or in one statement."""
    shown = str(line)
    found = [*(_target(scope, line, shown) if statement else _declaration(scope, line, shown))]
    if not line.right:
        return found
    names = [*_names(scope, line.right, shown)]
    found += names
    if not statement:
        found += _equation(scope, line, shown)
    if not names:
        found += _units(scope, line, shown)
    return found


def _declaration(scope, line, shown):
    """The name, the unit and the flags of a line of equations."""
    name = line.name
    summed = scope.kind == "synapse" and "summed" in line.flags
    sums = scope.kind == "synapse" and name.endswith(("_pre", "_post"))
    if reserved(name) and not sums:
        yield Mistake("", f"{name!r} cannot be the name of a variable: {reserved(name)}", shown,
                      "choose another name", int(line.kind == "differential"))
    elif name in scope.parameters and not sums:
        yield Mistake("", f"{name!r} is declared here and is a parameter of the model too", shown,
                      "leave this line out, or give the variable another name")
    try:
        dimensions_and_type_from_string(line.unit)
    except Exception:
        base = (f"; the base unit is {unit_text(DEFAULT_UNITS[line.unit])}"
                if line.unit in DEFAULT_UNITS else nearest(line.unit, DEFAULT_UNITS))
        yield Mistake("", f"{line.unit!r} is no unit that a variable can have{base}", shown,
                      "units of equations are base units: 1, second, Hz, volt, amp ...",
                      shown.rindex(line.unit))
    yield from _flags(scope, line, shown)
    if sums and (summed or not line.flags):
        yield from _sum(scope, line, shown, summed)


def _flags(scope, line, shown):
    flags = " ".join(line.flags.strip("()").split())
    allowed = FLAGS[scope.kind][line.kind]
    if flags and flags not in allowed:
        yield Mistake("", f"the flag ({flags}) is not known here{nearest(flags, allowed)}", shown,
                      "allowed: " + (", ".join(f"({a})" for a in allowed) or "none"),
                      shown.rindex("("))
    elif flags == "unless refractory" and not scope.refractory:
        yield Mistake("", "(unless refractory) has no effect: the model has no refractory period",
                      shown, "give it one, Model(..., refractory=2*ms), or leave the flag out",
                      shown.rindex("("))


def _sum(scope, line, shown, summed):
    """A sum over synapses: its flag, and the neuron's variable that it goes to."""
    bare, _, end = line.name.rpartition("_")
    group = scope.ends[end]
    known = scope.declared[group]
    if not summed:
        yield Mistake("", f"{line.name} is a sum over synapses: the flag (summed) is missing",
                      shown, f"write '{line} (summed)'", len(shown))
    elif bare not in known:
        yield Mistake("", f"{line.name} sums into {bare!r}, which {scope.kinds[group]!r} does not "
                      f"declare{nearest(bare, known)}", shown,
                      f"declare '{bare} : {line.unit}' in block {scope.kinds[group]!r}", 0)
    elif not have_same_dimensions(dimension(known[bare]), dimension(line)):
        yield Mistake("", f"{line.name} has the unit {line.unit}, {bare!r} of "
                      f"{scope.kinds[group]!r} the unit {known[bare].unit}", shown,
                      f"give both the same unit, e.g. ' : {known[bare].unit}' here",
                      shown.rindex(line.unit))
    elif known[bare].kind != "parameter":
        yield Mistake("", f"{line.name} sums into {bare!r}, which follows from an equation there",
                      shown,
                      f"declare it in block {scope.kinds[group]!r} as '{bare} : {line.unit}'", 0)


def _target(scope, line, shown):
    """Whether a statement may set what it sets."""
    name = line.name
    if name in scope.settable:
        return
    own = scope.lines.get(name)
    bare, _, end = name.rpartition("_")
    if scope.kind == "synapse" and end in scope.ends:
        own = scope.declared[scope.ends[end]].get(bare)
    if own is not None and "constant" in own.flags:
        what, remedy = f"{name!r} is declared constant", "leave the flag out"
    elif own is not None:
        what = f"{name!r} follows from its own equation, so a statement cannot set it"
        remedy = f"change the equation, or declare it as '{own.name} : {own.unit}'"
    elif name in scope.parameters:
        what = f"{name!r} is a parameter, constant and the same for every neuron"
        remedy = f"declare a variable of your own, e.g. 'my_{name} : 1', and set that"
    elif name in scope.linked:
        what = f"{name!r} belongs to {scope.linked[name]} and is only read here"
        remedy = "set a variable of your own"
    elif reserved(name) and end not in scope.ends:
        what = f"{name!r} cannot be set: {reserved(name)}"
        remedy = "set a variable of your own"
    else:
        what = f"assigns {name!r}, which is not declared there{nearest(name, scope.settable)}"
        remedy = f"declare it in block {scope.kinds[scope.owner]!r}, e.g. '{name} : 1'"
        ends = [f"{name}_{s}" for s in scope.ends if f"{name}_{s}" in scope.settable]
        if end in scope.ends:
            group = scope.kinds[scope.ends[end]]
            remedy = f"declare it in block {group!r}, e.g. '{bare} : 1'"
        elif ends:
            remedy = f"a synapse sets a neuron's value as {' or '.join(ends)}"
    yield Mistake("", what, shown, remedy, 0)


#: What papers write at the foot of a letter.
_INDICES = {"i", "j", "k", "ij", "ji", "jk", "kj"}


def _names(scope, text, shown):
    """Unknown names and functions in an expression, each once and with a caret."""
    start = shown.rindex(text)
    yield from _numbers(text, shown, start)
    functions = {id(node.func) for node in ast.walk(tree(text)) if isinstance(node, ast.Call)}
    seen = set()
    for node in ast.walk(tree(text)):
        if not isinstance(node, ast.Name) or node.id in seen or node.id in ("True", "False"):
            continue
        seen.add(node.id)
        found, column = scope.variables.get(node.id), start + node.col_offset
        if id(node) in functions:
            if not isinstance(found, Function):
                yield Mistake(
                    "", f"{node.id!r} is no function"
                    + nearest(node.id, TABLE) * (found is None and node.id not in INSTEAD), shown,
                    f"a product is written {node.id}*(...)" if found is not None else INSTEAD.get(
                        node.id, "known functions: " + ", ".join(sorted(TABLE))), column)
        elif isinstance(found, Function):
            yield Mistake("", f"{node.id!r} is a function and needs its arguments", shown,
                          f"write {node.id}(...)", column)
        elif found is None:
            what, remedy = _unknown(scope, node.id)
            yield Mistake("", what, shown, remedy, column)


def _numbers(text, shown, start):
    """Numbers that no computer holds, and what is called that is no name."""
    for node in ast.walk(tree(text)):
        if isinstance(node, ast.Constant) and node.value in (float("inf"), float("-inf")):
            yield Mistake("", "this number is infinite", shown, "", start + node.col_offset)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Div, ast.Mod, ast.FloorDiv)) \
                and isinstance(node.right, ast.Constant) and node.right.value == 0:
            yield Mistake("", "this divides by 0", shown, "", start + node.right.col_offset)
        elif isinstance(node, ast.Call) and not isinstance(node.func, ast.Name):
            yield Mistake("", "only a function's name stands before its arguments", shown,
                          "a product is written with *", start + node.col_offset)


def _unknown(scope, name):
    """What is wrong with, and what to do about, a name that an expression cannot read."""
    bare, _, end = name.rpartition("_")
    if scope.kind == "group" and end in ("pre", "post") and bare in scope.variables:
        return (f"{name!r} is not known here: only synapses read with _pre and _post",
                f"a neuron reads its own value as {bare}")
    ends = [f"{name}_{s}" for s in scope.ends if f"{name}_{s}" in scope.variables]
    if ends:
        return (f"{name!r} is not known here: it belongs to the neurons",
                f"a synapse reads it as {' or '.join(ends)}")
    if end in scope.ends and bare in scope.variables:
        return (f"{name!r} is not known here: {bare} is no variable of these neurons",
                f"a synapse reads it as {bare}")
    word = bare if end in scope.ends else name
    if scope.ends and word in (*CLOCK_NAMES, "advantage", "surprise"):
        return (f"{name!r} is not known here: it belongs to the neurons",
                f"a synapse reads it as {' or '.join(f'{word}_{s}' for s in scope.ends)}")
    if end in _INDICES and bare in scope.variables:
        return (f"{name!r} is not known here: equations have no indices",
                f"write {bare}, which stands for that of every "
                + ("neuron" if scope.kind == "group" else "synapse"))
    if name == "xi" or name.startswith("xi_"):
        return (f"white noise {name!r} is not known here",
                "draw noise in a statement, e.g. block 'hidden.sample': 'noise = randn()'")
    if name in scope.around:
        return (f"{name!r} is not known here: equations do not read the notebook's variables",
                f"give it to the model: model.edit({name}={name})")
    homes = {scope.kinds[other] for other, lines in scope.declared.items() if name in lines}
    if homes:
        return (f"{name!r} belongs to {', '.join(sorted(homes))} and is not known here",
                "read what reaches this object instead, or declare a variable of your own")
    own = [word for word in scope.variables if word not in DEFAULT_UNITS]
    return (f"{name!r} is not known here{nearest(name, own)}",
            f"if it is a parameter, give its value: model.edit({name}=...)")


def _equation(scope, line, shown):
    """What an equation cannot hold, though a statement could."""
    start = len(shown) - len(shown[shown.index("="):])
    words = identifiers(line.right)
    for word in sorted(words & RANDOM):
        yield Mistake("", f"{word}() draws a number, which equations cannot do", shown,
                      f"draw it in a statement, e.g. block 'hidden.sample': 'noise = {word}()', "
                      "with 'noise : 1' declared", shown.index(word, start))
    if "event-driven" in line.flags:
        others = {word for word in words if word.endswith(("_pre", "_post"))
                  and word in scope.variables and not word.startswith("N_")}
        if others:
            yield Mistake("", "an (event-driven) equation is only solved when a spike comes: it "
                          f"cannot follow {', '.join(sorted(others))}", shown,
                          "leave the flag out", shown.rindex("("))
        return
    lazy = {other.name for other in scope.lines.values() if "event-driven" in other.flags}
    for word in sorted(words & lazy - {line.name}):
        yield Mistake("", f"{word!r} is (event-driven): its value is only brought up to date when "
                      "a spike comes, and this equation reads it all the time", shown,
                      f"leave the flag of {word} out", shown.index(word, start))


# ---------------------------------------------------------------------------- units

def _consistency(scope, text, shown):
    """Whether the parts of an expression fit together."""
    try:
        parse_expression_dimensions(text, scope.variables)
    except Exception as problem:
        reason = getattr(problem, "msg", None) or str(problem).strip("'\"")
        if "is not constant" in reason:
            reason = "an exponent has no unit, and is a plain number where its base has a unit"
        yield Mistake("", reason.replace("radian", "1"), shown, "", shown.rindex(text))


def _units(scope, line, shown):
    """Whether both sides of a line have the same unit."""
    inside = [*_consistency(scope, line.right, shown)]
    if inside:
        yield from inside
        return
    right = Quantity.with_dimensions(1.0, parse_expression_dimensions(line.right, scope.variables))
    left = scope.variables.get(line.name, 1)
    if line.operator in ("*=", "/="):
        left = 1
    elif not isinstance(left, (Quantity, int, float)):  # a function's name: said already
        return
    if line.kind == "differential":
        left = left / second
    if not have_same_dimensions(left, right):
        name = f"d{line.name}/dt" if line.kind == "differential" else line.name
        yield Mistake("", f"{name} has the unit {_named(left)}, its right-hand side has the unit "
                      f"{_named(right)}", shown, "", shown.rindex(line.right))


def _named(value):
    dim = value.dim if isinstance(value, Quantity) else DIMENSIONLESS
    return str(get_unit_for_display(dim)).replace("radian", "1")


def cycles(lines):
    """Subexpressions that need themselves, as (line, mistake)."""
    table = {x.name: x for x in lines.values() if x.kind == "subexpression"
             and not reserved(x.name)}
    for name, line in table.items():
        seen, todo = set(), [name]
        while todo:
            for word in identifiers(table[todo.pop()].right) & set(table) - seen:
                seen.add(word)
                todo.append(word)
        if name in seen:
            through = ", ".join(sorted(seen - {name}))
            yield line, Mistake("", f"{name!r} depends on itself"
                                + f" (through {through})" * bool(through), str(line),
                                f"write d{name}/dt = ..., or break the circle")
