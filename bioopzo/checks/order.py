"""Statements of synapses in which it counts which synapse of a neuron is served first.

Compiled code serves one synapse after the other, each with all its statements. NumPy's serves all
synapses statement after statement, unless it sees that a statement reads by name what it or one
below it changes. What it does not see (a value that was changed above, or one that a subexpression
or the neuron's other name reads) would be another one in each of Brian2's back ends. So would a sum
that reads what it adds up to: compiled code begins with 0 and finds what is there so far.
"""

from bioopzo.errors import Mistake
from bioopzo.text.equations import identifiers, parse


def disputed(text):
    """(owner, line, `Mistake`) for each such statement of a `whole.Text`."""
    for name, synapse in text.draft.synapses.items():
        for part in (*(p.text for p in synapse.pathways), *(c.text for c in synapse.codes)):
            lines = parse(part, name)
            changed = {text.variable(name, line.name): (k, line.name)
                       for k, line in reversed([*enumerate(lines)])
                       if line.name not in text.lines[name]}
            for k, line in enumerate(lines):
                for word in sorted(identifiers(line.right)):
                    for place in sorted(_read(text, name, word) & changed.keys()):
                        first, other = changed[place]
                        if word != other or first < k:
                            yield name, line, _mistake(line, word, other, text.kinds[place[0]])
        for line in text.lines[name].values():
            if "summed" in line.flags:
                yield from ((name, line, _of_sum(line, word)) for word in _reads_itself(
                    text, name, line))


def _reads_itself(text, name, line):
    """The words by which a sum reads what it adds up to; subexpressions of neurons are stored."""
    place, own, todo, seen = text.variable(name, line.name), text.lines[name], [line], set()
    while todo:
        for word in sorted(identifiers(todo.pop().right) - seen):
            seen.add(word)
            if text.variable(name, word) == place:
                yield word
            elif word in own and own[word].kind == "subexpression":
                todo.append(own[word])


def _read(text, name, word):
    """Every (object, variable) that a word stands for, through subexpressions too."""
    found, todo = set(), [text.variable(name, word)]
    while todo:
        place = todo.pop()
        if place in found:
            continue
        found.add(place)
        line = text.lines.get(place[0], {}).get(place[1])
        if line is not None and line.kind == "subexpression" and "summed" not in line.flags:
            todo += [text.variable(place[0], other) for other in identifiers(line.right)]
    return found


def _mistake(line, word, other, kind):
    through = "" if word == other else f", which follows {other}"
    return Mistake(
        "", f"it reads {word}{through}, which the synapses change one after the other in the same "
        "statements: Brian2's back ends do not agree on what it finds there", str(line),
        f"let neurons keep the value in a variable of their own, set in {kind}.step"
        + (f", or write the line above the one that changes {other}" if word == other else ""))


def _of_sum(line, word):
    return Mistake(
        "", f"the sum {line.name} reads {word}, which it adds up to: Brian2's back ends do not "
        "agree on what it finds there", str(line),
        "let it read a variable of the neurons' own, which they set in a statement")
