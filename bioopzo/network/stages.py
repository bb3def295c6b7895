"""What a membrane makes of a perturbation: a filter, read from the membrane's own equations."""

from collections.abc import Container, Iterable, Mapping

import sympy
from brian2.parsing.sympytools import sympy_to_str

from bioopzo.network.scores import Lost
from bioopzo.text.equations import Line, identifiers, is_expression, parse
from bioopzo.text.influence import as_term, expanded, on_way, reached, share_of

OWN_WAY = "or write what the perturbation does yourself"


def stage(inner: Mapping[str, Line], block: str, target: str, name: str, source: str, entry: str,
          emptied: Container[str], memory: str = "memory") -> tuple[list[Line], list[str]]:
    """Lines of what is left of a `source` that enters `entry`, in the membrane `target`, as `name`.

    `inner` holds the lines of the population, from its `block`; `emptied` what a spike takes from
    or sets: there, the spikes that a perturbation causes take from the perturbation, and it stays
    for a share of the time, the parameter called `memory`. Where an equation is not linear its
    filter is that at rest. Returns ``(lines, notes)``, the notes on what was taken for linear;
    raises `Lost` where no filter is found.
    """
    on = reached(inner, entry) & on_way(inner, target)
    way = [v for v in inner if v in on and inner[v].kind == "differential"]
    names = {v: name if v == target else f"{name}_{v}" for v in way}
    units = {inner[v].unit for v in way}
    if target in names and len(units) > 1:
        raise Lost(block, "zbar cannot be derived through variables of several units: "
                    + ", ".join(map(str, units)), str(inner[target]),
                    "use one unit on the way from a spike to the membrane")
    lines, notes = [], []
    for v in way:
        terms, text = [], expanded(inner[v].right, inner)
        for other in sorted(way, key=lambda x: x != v):
            share, moving = _share(text, other, inner, other == v)
            if share.has(sympy.Derivative, sympy.Subs, sympy.nan):
                raise Lost(block, f"zbar cannot be derived: d{v}/dt is not linear in {other} "
                            "with a coefficient of parameters"
                            + (f" (it depends on {', '.join(moving)})" if moving else ""),
                            str(inner[v]), f"a leak such as -{v}/tau_m; {OWN_WAY}: lines of "
                            "zbar in the blocks of the layers below")
            if moving:
                notes.append(f"zbar takes d{v}/dt of [{block}] for linear in {other}, with the "
                             f"coefficient {sympy_to_str(share)} that it has where "
                             f"{' and '.join(moving)} is 0; the perturbation itself is sent as "
                             "spikes are")
            if other == v and v in emptied:
                share = share / sympy.Symbol(memory, real=True)
            if share != 0:
                terms.append(as_term(share, names[other]))
        if v == entry:
            terms.append(source)
        right = " + ".join(terms).replace("+ -", "- ") or "0*Hz"
        lines.append(Line("differential", names[v], right, "1"))
    return lines, notes


def unfollowed(blocks: Mapping[str, str], names: Container[str], inner: Mapping[str, Line],
               target: str) -> list[str]:
    """Notes on statements that no filter knows of, in a population's blocks, called `names`.

    They make something of what the membranes on the way to `target` hold (`inner` are the lines of
    the population); resets have a place of their own.
    """
    notes = []
    way = {v for v in on_way(inner, target) & inner.keys() if inner[v].kind == "differential"}
    for key, text in blocks.items():
        owner, _, moment = key.partition(".")
        if owner in names and moment not in ("", "hold", "reset", "trial") \
                and not is_expression(key):
            own = [line for line in parse(text) if line.name in way and (
                line.operator not in ("+=", "-=") or line.name in identifiers(line.right))]
            notes += [f"zbar does not know of '{line}' in [{key}]: it passes a membrane as its "
                      "equations say" for line in own]
    return notes


def _share(text, other, inner, leak):
    """(coefficient of `other` in an equation, what moves in it); at rest where something does."""
    share = share_of(text, other)
    if share == 0 or share.has(sympy.Derivative, sympy.Subs):
        return share, []
    moving = sorted(identifiers(sympy_to_str(share)) & (inner.keys() | {"i", "N"}))
    if not moving:
        return share, moving
    rest = share.subs({x: 0 for x in share.free_symbols if str(x) in moving})
    size = rest.subs(dict.fromkeys(rest.free_symbols, 1))
    usable = {"i", "N"}.isdisjoint(moving) and size.is_number and size.is_finite \
        and (size < 0 if leak else size != 0)
    return (sympy.simplify(rest) if usable else sympy.nan), moving


def deciding(lines: Mapping[str, Line], texts: Iterable[str]) -> set[str]:
    """Variables of a population (`lines` by name) that its decision to spike depends on.

    `texts` are those of the decision.
    """
    found = set().union(*map(identifiers, texts)) & lines.keys()
    for _ in lines:
        found |= {word for name in found for word in identifiers(lines[name].right)
                  if word in lines}
    return found
