"""What can change what: which variables stay zero, and which depend on the target or the input.

The text of every object is read as a network of influences, without numbers: a product is zero
when a factor is, a sum depends on the target when a term does. A weight that nothing taught ever
reaches is a weight that does not learn, however the text was written.
"""

import ast
import functools
from dataclasses import dataclass

from bioopzo.network.draft import readable
from bioopzo.text.equations import parse, tree
from bioopzo.text.functions import TABLE

ZERO, MOVES, INFLUENCED = 0, 1, 2
_LEVEL_OF_EVENT = {"hold": MOVES, "pair": MOVES, "onset": MOVES}


@dataclass(frozen=True)
class Influence:
    """One line that changes `target`: `text` of object `owner`, when `event` of a group happens."""

    target: str
    owner: str
    text: str
    event: str = ""


def influences(draft):
    """Every `Influence` in the text of a `network.draft`, and the conditions of its events."""
    found, conditions = [], {}
    for name, group in draft.groups.items():
        if name == "trial":
            continue
        conditions[f"{name}.spike"] = (name, group.threshold)
        for event in group.events:
            conditions[f"{name}.{event.name}"] = (name, event.condition)
        texts = [(group.equations, ""), (group.reset, f"{name}.spike")]
        texts += [(code.text, "") for code in group.codes if code.name != "feed"]
        texts += [(event.text, f"{name}.{event.name}") for event in group.events]
        for text, event in texts:
            found += [Influence(f"{name}.{line.name}", name, line.right, event)
                      for line in parse(text, name) if line.right]
    for name, synapse in draft.synapses.items():
        texts = [(synapse.equations, ""), *((code.text, "") for code in synapse.codes)]
        ends = {"pre": synapse.source, "post": synapse.target}
        texts += [(path.text, f"{ends[path.side]}.{path.happening}") for path in synapse.pathways]
        for text, event in texts:
            found += [Influence(owner_of(draft, name, line.name), name, line.right, event)
                      for line in parse(text, name) if line.right]
    return found, conditions


def owner_of(draft, synapse, word):
    """The variable a word of synaptic text names, e.g. ``"hidden_1.psi"`` for ``psi_post``."""
    ends = draft.synapses[synapse]
    for suffix, group in (("_pre", ends.source), ("_post", ends.target)):
        if word.endswith(suffix):
            return f"{group}.{word[:-len(suffix)]}"
    return f"{synapse}.{word}"


def reach(draft, roots, moving, sealed=(), parameters=None):
    """How far influence goes: variable -> `ZERO` (never moves), `MOVES` or `INFLUENCED` by a root.

    `roots` are the variables that influence starts from, `moving` those that are not zero from the
    start; through `sealed` ones (weights) influence does not pass on. A parameter with the value 0
    is zero.
    """
    lines, conditions = influences(draft)
    links = readable(draft.network)
    declared = {line.target for line in lines}
    for name, obj in {**draft.groups, **draft.synapses}.items():
        declared |= {f"{name}.{line.name}" for line in parse(obj.equations, name)}
    level = dict.fromkeys(declared, ZERO)
    level.update(dict.fromkeys(moving, MOVES))
    level.update(dict.fromkeys(roots, INFLUENCED))
    parameters = parameters or {}

    def value(owner, word):
        if word in links.get(owner, {}) and f"{owner}.{word}" not in declared:
            other, variable = links[owner][word]
            key = f"{other}.{variable}"
        elif owner in draft.synapses:
            key = owner_of(draft, owner, word)
        else:
            key = f"{owner}.{word}"
        found = level.get(key)
        if found is None:
            return ZERO if word in parameters and float(parameters[word]) == 0 else MOVES
        return min(found, MOVES) if key in sealed else found

    def happening(event):
        owner, condition = conditions.get(event, ("", ""))
        return judge(owner, condition) if condition else _LEVEL_OF_EVENT.get(
            event.rpartition(".")[2], MOVES)

    def judge(owner, text):
        return _judge(tree(text).body, functools.partial(value, owner))

    changed = True
    while changed:
        changed = False
        for line in lines:
            new = judge(line.owner, line.text)
            if line.event and new:
                event = happening(line.event)
                new = max(new, event) if event else ZERO
            if new > level.get(line.target, ZERO):
                level[line.target] = new
                changed = True
    return level


def _judge(node, value):
    """The level of an expression from those of its names."""
    if isinstance(node, ast.Constant):
        return MOVES if node.value else ZERO
    if isinstance(node, ast.Name):
        return value(node.id)
    if isinstance(node, ast.UnaryOp):
        inner = _judge(node.operand, value)
        return max(inner, MOVES) if isinstance(node.op, ast.Not) else inner
    if isinstance(node, ast.BinOp):
        left, right = _judge(node.left, value), _judge(node.right, value)
        if isinstance(node.op, ast.Mult) and not (left and right):
            return ZERO
        if isinstance(node.op, (ast.Div, ast.Mod, ast.FloorDiv)) and not left:
            return ZERO
        if isinstance(node.op, ast.Pow) and not left:
            return ZERO if right else MOVES
        return max(left, right)
    if isinstance(node, ast.Call):
        arguments = [_judge(argument, value) for argument in node.args]
        name = getattr(node.func, "id", "")
        if arguments and name in TABLE and TABLE[name].odd:
            return arguments[0]
        if name == "clip":
            return max(arguments)
        return max([MOVES, *arguments])
    if isinstance(node, ast.Compare):
        # A variable that never moves from 0 does not cross a number either.
        parts = [part for part in (node.left, *node.comparators)
                 if not isinstance(part, ast.Constant)]
        return max((_judge(part, value) for part in parts), default=MOVES)
    if isinstance(node, ast.BoolOp):
        return max(_judge(part, value) for part in node.values)
    return MOVES
