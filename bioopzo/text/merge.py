"""Carry edits from one text to another: what leads from `base` to `mine`, done to `theirs`.

`base` is a block as it was written, `mine` the same block edited, `theirs` the block in another
model. Lines of theirs that are `owned` (by the rule that is put in) stay as they are; where a
rule only adds a term to a line of the network's, as a perturbation does to the membrane, the
edited line gets the term that theirs adds in place of the one that base added.
"""

from dataclasses import replace
from difflib import SequenceMatcher

from bioopzo.text.equations import is_expression, parse, render


def carried(name: str, base: str, mine: str, theirs: str, bare: str,
            owned: set[str]) -> tuple[str, tuple[str, ...]]:
    """A block's text with the edits in it, and the edited lines that found no place.

    Parameters
    ----------
    name : str
        The block's name.
    base, mine, theirs : str
        See above; empty where a model has no such block.
    bare : str
        The block as the network has it, without any rule.
    owned : set of str
        Names of the lines that are not to be edited.

    Returns ``(text, lost)``: `lost` are lines of mine, as text.
    """
    if is_expression(name):
        return (mine, ()) if theirs in (base, bare) or not owned else (theirs, (mine,))
    was, now, found, plain = (parse(text, name) for text in (base, mine, theirs, bare))
    if any(line.kind == "statement" for line in (*was, *now)):
        return render(_statements(was, now, found)), ()
    lines, lost = _equations(was, now, found, plain, owned)
    return render(lines), tuple(map(str, lost))


def settled(name: str, base: str, mine: str, theirs: str) -> str | None:
    """A block's text with the edits in it, where a setting makes `theirs` of the `base`; or None.

    Equations are lines each with its name: mine where both changed it. Of statements the order
    counts: they stay around those of the setting, and None says that this cannot be told.
    """
    if theirs == base or mine == theirs:
        return mine
    if is_expression(name):
        return None
    was, now, found = (parse(text, name) for text in (base, mine, theirs))
    if any(line.kind == "statement" for line in (*was, *now, *found)):
        count = len(was)
        places = [k for k in range(len(now) - count + 1) if now[k:k + count] == was]
        if len(places) != 1 or not was:
            return None
        return render([*now[:places[0]], *found, *now[places[0] + count:]])
    if len({line.name for line in now}) < len(now):
        return mine  # a line that is defined twice is for `check` to say
    return render(_equations(was, now, found, (), set())[0])


def _equations(base, mine, theirs, bare, owned):
    """Lines of equations, each name once."""
    was, now, found, plain = ({line.name: line for line in lines}
                              for lines in (base, mine, theirs, bare))
    lost = []
    for name, line in now.items():
        if was.get(name) == line:
            continue
        if name not in found:
            if name not in was:  # else it was the other rule's
                found[name] = line
        elif found[name] == was.get(name):
            found[name] = line
        else:
            term = _with_their_term(was.get(name), line, found[name], plain.get(name))
            if term is None and name in owned:
                lost.append(line)
            else:
                found[name] = term or line
    for name, line in was.items():
        if name not in now and found.get(name) == line:
            del found[name]
    return list(found.values()), lost


def _with_their_term(base, mine, theirs, bare):
    """My line with the term that theirs adds to the network's line, or None."""
    if base is None or bare is None or not bare.right \
            or {base.kind, mine.kind, theirs.kind} != {bare.kind}:
        return None
    terms = []
    for line in (base, theirs):
        term = line.right.removeprefix(bare.right)
        if not line.right.startswith(bare.right) or term.strip()[:1] not in ("", "+", "-"):
            return None
        terms.append(term)
    return replace(mine, right=mine.right.removesuffix(terms[0]).rstrip() + terms[1])


def _statements(base, mine, theirs):
    """Statements in their order; what only changes a line that is gone is gone, too."""
    found, base, mine = list(theirs), list(base), list(mine)
    changes = SequenceMatcher(None, list(map(str, base)), list(map(str, mine)), False)
    for kind, first, last, begin, end in reversed(changes.get_opcodes()):
        if kind == "equal":
            continue
        fresh = mine[begin:end]
        if last > first and not any(line in found for line in base[first:last]):
            gone = {line.name for line in base[first:last]}
            fresh = [line for line in fresh if line.name not in gone]
        place = next((found.index(line) for line in base[first:last] if line in found), None)
        if place is None:
            before = [found.index(line) + 1 for line in base[:first] if line in found]
            place = max(before, default=0)
        found = [line for k, line in enumerate(found) if k < place or line not in base[first:last]]
        found[place:place] = fresh
    return found
