"""The score of a spike: the derivative of the hazard in force, written into the text."""

import re
from collections.abc import Container, MutableMapping
from dataclasses import replace

from bioopzo.errors import Mistake
from bioopzo.network.draft import text_of
from bioopzo.network.table import Network
from bioopzo.text.derivative import Kink, derivative, same
from bioopzo.text.equations import compose, identifiers, parse, render
from bioopzo.text.influence import expanded, factor

#: d rho/du where psi is the scaled derivative of the hazard.
SLOPE = "drho = slope*psi : Hz"


class Lost(Exception):
    """Why a line cannot be derived: block, what, line and remedy, as `mistake`."""

    def __init__(self, block, what, line="", remedy=""):
        super().__init__(what)
        self.mistake = Mistake(block, what, line, remedy)


def score(blocks: MutableMapping[str, str], network: Network, known: Container[str], gates: str
          ) -> tuple[set[str], list[Mistake]]:
    """Write d rho/du of the hazard in force into the `blocks` of the hidden layers, in place.

    Of layers of a `network`. It is written anew where its line is among the `known` and the numbers
    differ; `gates` is what stands before psi: a mask of dropout, the refractory time. Returns the
    lines written, and what stands against it.
    """
    found, mistakes = {}, []
    for population in network.hidden:
        line = {x.name: x for x in parse(text_of(blocks, population))}.get("drho")
        if line is None or str(line) not in known:
            continue
        try:
            found[population] = replace(line, right=_slope(blocks, population, line, gates))
        except Lost as problem:
            mistakes.append(problem.mistake)
    everywhere = len(set(found.values())) == 1 and len(found) == len(network.hidden)
    for population, line in found.items():
        base = _home(blocks, population)
        if everywhere or line not in parse(blocks[base]):
            place = base if everywhere else population.name
            blocks[place] = compose(blocks.get(place, ""), str(line))
    return set(map(str, found.values())), mistakes


def _home(blocks, population):
    """The block that the line of drho is from."""
    return next(base for base in reversed(population.blocks)
                if any(x.name == "drho" for x in parse(blocks.get(base, ""))))


def _slope(blocks, population, line, gates):
    """d rho/du of one population; the `line` as it is, where that gives the same numbers."""
    base = _home(blocks, population)
    inner = {x.name: x for x in parse(text_of(blocks, population))}
    chance = parse(text_of(blocks, population, "chance"))
    step = parse(text_of(blocks, population, "step"))
    text = {x.name: x.right for x in inner.values() if x.kind == "subexpression"}
    late = {"chance"} | identifiers(expanded(chance[-1].right, inner) if chance else "")
    for statement in step:
        if statement.name in late - {"S"}:
            raise Lost(base, "the score of a spike is that of the chance as it is drawn from, and "
                       f"a line of the step changes {statement.name} after that chance is formed",
                       str(statement), "put it into the line of chance, or into "
                       f"[{population.kind}.sample], which comes before")
    try:
        drawn = [x for x in step if x.name == "S"]
        if len(drawn) != 1 or not _by_chance(drawn[0], inner):
            raise Kink(f"a spike is not drawn by 'S = int(rand() < chance)' but by "
                       f"{'; '.join(map(str, drawn))!r}")
        if len(chance) != 1 or chance[0].name != "chance" or chance[0].operator != "=":
            raise Kink(f"chance is not set by one statement: {render(chance)!r}")
        if "".join(chance[0].right.split()) == "1-exp(-rho*dt)":
            found = derivative("rho", "u", text)
        else:
            found = derivative(chance[0].right, "u", text)
            found = f"{factor(found)}/(clip(1 - chance, 1e-12, 1)*dt)" if found != "0" else "0"
    except Kink as problem:
        raise Lost(base, f"the score of a spike needs the derivative of the hazard by u: "
                    f"{problem}", "", "write rho (or chance) with operators, exp, log, sqrt, "
                    "erf, tanh, clip ... of u, and S as int(rand() < chance)") from None
    if found == "0":
        raise Lost(base, "the score of a spike is 0: the hazard does not depend on u",
                    text.get("rho", str(chance[0])), "let rho depend on u")
    if same(found, line.right, text, dict.fromkeys(identifiers(gates), 1.0) if gates else {}):
        return line.right
    return f"{gates}*({found})" if gates else found


def _by_chance(line, inner):
    """Whether a statement draws the spike S with the probability `chance`."""
    found = re.fullmatch(r"int\((\w+\(.*\)) < chance(\*int\(not_refractory\))?\)", line.right)
    return found is not None and not identifiers(found[1]) & inner.keys()
