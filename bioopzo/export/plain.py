"""The text that Brian2 gets, as a person would write it.

The spiking engine says more than a reader needs to know: that a condition counts as a real number
(``whole_number``), that a value is one for every neuron (``everywhere``) and no other variable's
own (``copied``). That matters to the statements behind, and is left out where there are none that
could see it.
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import replace

from bioopzo.network.objects import Assembly, GroupText, SynapseText, with_right
from bioopzo.text.equations import Line, identifiers, is_condition, parse, render, tree

_WRAPPED = re.compile(r"^(?:everywhere\((?P<all>.*), i\)|copied\((?P<one>.*)\))$")
#: Operators through which a whole number passes as a real one would.
_HARMLESS = (ast.Add, ast.Sub, ast.Mult, ast.Div)


def plainly(assembly: Assembly) -> None:
    """Leave out of statements and conditions of an `assembly`, in place, what nothing sees."""
    for group in assembly.groups.values():
        group.threshold = group.threshold and _expression(group.threshold)
        group.reset = statements(group.reset)
        group.codes = [replace(c, text=statements(c.text)) for c in group.codes]
        group.events = [replace(e, condition=_expression(e.condition), text=statements(e.text))
                        for e in group.events]
    for synapse in assembly.synapses.values():
        synapse.pathways = [replace(p, text=statements(p.text)) for p in synapse.pathways]
        synapse.codes = [replace(c, text=statements(c.text)) for c in synapse.codes]


def statements(text: str) -> str:
    """The statements of `text`, each without what those behind it do not see."""
    lines = parse(text)
    return render(_statement(line, lines[k + 1:]) for k, line in enumerate(lines))


def _statement(line: Line, later: Sequence[Line]) -> Line:
    if any(line.name in {other.name, *identifiers(other.right)} for other in later):
        return line
    found = _WRAPPED.match(line.right)
    if found:
        inner = found["all"] or found["one"]
        if found["all"] or not {other.name for other in later} & identifiers(inner):
            line = with_right(line, inner)
    return with_right(line, _expression(line.right))


def _expression(text: str) -> str:
    """An expression with ``int`` for ``whole_number`` where a condition is only added or scaled."""
    starts: list[int] = []

    def visit(node):
        if isinstance(node, ast.Call):
            if ast.unparse(node.func) == "whole_number" and is_condition(
                    ast.unparse(node.args[0])):
                starts.append(node.col_offset)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, _HARMLESS):
            visit(node.left)
            visit(node.right)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            visit(node.operand)

    visit(tree(text).body)
    for start in sorted(starts, reverse=True):
        text = f"{text[:start]}int{text[start + len('whole_number'):]}"
    return text


def without(thing: GroupText | SynapseText, *names: str) -> None:
    """Take variables called `names` out of the text of an object, in place."""
    def kept(text):
        return render(line for line in parse(text) if line.name not in names)

    thing.equations = kept(thing.equations)
    thing.codes = [replace(c, text=kept(c.text)) for c in thing.codes]
    thing.constants = {key: unit for key, unit in thing.constants.items() if key not in names}
