"""What stays as it is while a perturbation is held, and what does not.

What a perturbation adds in a synapse is worked out once a hold; what it reads has to stay as it is
until the next. Weights alone may change, as they learn.
"""

from collections.abc import Mapping

from bioopzo.network.clock import IN_TIME
from bioopzo.network.draft import text_of
from bioopzo.network.entries import Population, Projection
from bioopzo.network.table import Network
from bioopzo.text.equations import Line, identifiers, is_expression, parse
from bioopzo.text.functions import RANDOM

#: The ends of a projection as the words of its synapses say them.
_ENDS = (("pre", "source"), ("post", "target"))


def moving(blocks: Mapping[str, str], network: Network, projection: Projection) -> dict[str, str]:
    """The words of a projection's synapses that do not stay, each with what it does.

    That is time, random numbers, and every variable of the synapses or of a neuron at their ends
    that something sets otherwise than at the start of a trial; a neuron's may be set where a new
    perturbation is drawn, too, which is before its synapses hand it on.
    """
    found = dict.fromkeys(("t", *RANDOM), "moves")
    for suffix, end in _ENDS:
        names = _of_neurons(blocks, network, network[getattr(projection, end)])
        found |= dict.fromkeys((f"{name}_{suffix}" for name in names), "moves")
    own = _equations(blocks, projection)
    changed = {line.name for line in _set(blocks, projection, {"trial"})}
    found |= {name: "changes" for name, line in own.items() if name not in projection.learned
              and (line.kind == "differential" or name in changed)}
    return found | dict.fromkeys(_follow(own, found.keys()), "changes")


def _of_neurons(blocks, network, population):
    """Variables of a population that change within a trial."""
    lines = _equations(blocks, population)
    found = IN_TIME | {name for name, line in lines.items() if line.kind == "differential"}
    found |= {line.name for line in _set(blocks, population, {"trial", "hold"})}
    for projection in network.projections:
        written = [*_equations(blocks, projection).values(), *_set(blocks, projection, {"trial"})]
        for suffix, end in _ENDS:
            if getattr(projection, end) == population.name:
                found |= {line.name.removesuffix(f"_{suffix}") for line in written
                          if line.name.endswith(f"_{suffix}")}
    return found | _follow(lines, found)


def _follow(lines, found):
    """The subexpressions among the lines that read what is found, or such a subexpression."""
    more = set(found)
    for _ in lines:
        more |= {name for name, line in lines.items()
                 if line.kind == "subexpression" and identifiers(line.right) & more}
    return more - set(found)


def _equations(blocks: Mapping[str, str], entry: Population | Projection) -> dict[str, Line]:
    """The lines of an entry's equations, by name."""
    return {line.name: line for line in parse(text_of(blocks, entry))}


def _set(blocks, entry, apart):
    """The statements of an entry at all moments but those `apart`."""
    moments = {key.partition(".")[2] for key in blocks if key.partition(".")[0] in entry.blocks}
    moments |= dict(getattr(entry, "text", ())).keys()
    return [line for moment in sorted(moments - {"", *apart})
            if not is_expression(f"{entry.name}.{moment}")
            for line in parse(text_of(blocks, entry, moment))]
