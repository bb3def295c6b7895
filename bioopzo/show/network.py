"""A network as text, and as a drawing: populations in columns from the input on, arrows between."""

import math
from collections.abc import Iterator
from html import escape

from bioopzo.network.connections import Convolution, Pooled, Sparse
from bioopzo.network.entries import Population, Projection
from bioopzo.network.table import Network

_WIDTH, _HEIGHT, _BOX, _TALL = 150, 74, 84, 40
_COLOURS = {0: "#444444", 1: "#1b6ca8", -1: "#b3362b"}


def described(network: Network) -> list[str]:
    """The projections among input, hidden populations and readout, a line each."""
    return [f"{_named(network[p.source])} -> {_named(network[p.target])}: {_told(p)}"
            for p in network.predicting]


def _named(population):
    sign = {1: ", excitatory", -1: ", inhibitory"}.get(population.sign, "")
    neuron = f", {population.neuron}" * bool(population.neuron)
    return f"{population.name} ({population.size}{sign}{neuron})"


def _told(projection):
    """What is said of a projection, beside its ends."""
    return ", ".join([
        projection.name,
        *_pairs(projection.connection),
        *([f"delay {projection.delay*1e3:g} ms"] if projection.delay else []),
        *([f"within {projection.low:g} to {projection.high:g}"]
          if math.isfinite(projection.low) or math.isfinite(projection.high) else []),
        *(["fixed"] if projection.kind.startswith("fixed") else [])])


def _pairs(connection):
    if isinstance(connection, (Convolution, Pooled)) and connection.pool > 1:
        yield f"averaged over {connection.pool}x{connection.pool} pixels"
    if isinstance(connection, Convolution):
        size = connection.kernel
        yield f"convolution of {size}x{size} pixels, {connection.channels} channels"
    elif isinstance(connection, Sparse):
        yield f"{connection.synapses} of {connection.pre * connection.post} pairs"
    else:
        yield "all to all"


def drawing(network: Network) -> str:
    """The network as an SVG picture: blue excitatory, red inhibitory, dashed fixed synapses."""
    places = _places(network)
    width = max(x for x, _ in places.values()) + _BOX + 20
    height = max(y for _, y in places.values()) + _TALL + 34
    marks = "".join(
        f'<marker id="to{sign}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="{shape}" fill="{_COLOURS[sign]}" '
        f'stroke="{_COLOURS[sign]}"/></marker>'
        for sign, shape in ((0, "M0,0 L8,4 L0,8 z"), (1, "M0,0 L8,4 L0,8 z"),
                            (-1, "M6,0 L8,0 L8,8 L6,8 z")))
    parts = [_arrow(network, p, places) for p in network.predicting]
    parts += [_box(network[name], *place) for name, place in places.items()]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'font-family="sans-serif" font-size="12" style="background:white"><defs>{marks}'
            f'</defs>{"".join(parts)}</svg>')


def _places(network: Network) -> dict[str, tuple[int, int]]:
    """The upper left corner of every population's box."""
    columns: dict[int, list[str]] = {}
    for population in network.layers:
        columns.setdefault(population.layer or 0, []).append(population.name)
    tallest = max(map(len, columns.values()))
    return {name: (10 + _WIDTH * column,
                   34 + int(_HEIGHT * (row + (tallest - len(columns[layer])) / 2)))
            for column, layer in enumerate(sorted(columns))
            for row, name in enumerate(columns[layer])}


def _box(population: Population, x: int, y: int) -> str:
    colour = _COLOURS[population.sign]
    return (f'<rect x="{x}" y="{y}" width="{_BOX}" height="{_TALL}" rx="8" fill="white" '
            f'stroke="{colour}" stroke-width="1.5"/>'
            f'<text x="{x + _BOX/2}" y="{y + 17}" text-anchor="middle">'
            f'{escape(population.name)}</text>'
            f'<text x="{x + _BOX/2}" y="{y + 32}" text-anchor="middle" fill="#777777">'
            f'{population.size}</text>')


def _arrow(network: Network, projection: Projection, places: dict[str, tuple[int, int]]) -> str:
    """The arrow of a projection, with all that is said of it where the mouse rests."""
    (x, y), (u, v) = (places[end] for end in (projection.source, projection.target))
    if (x, y) == (u, v):
        path = (f"M{x + 26},{y} C{x + 14},{y - 30} {x + _BOX - 14},{y - 30} {x + _BOX - 26},{y}")
    else:
        path = " ".join(_between(x, y, u, v))
    sign = network[projection.source].sign
    dashes = ' stroke-dasharray="5,3"' if projection.kind.startswith("fixed") else ""
    return (f'<path d="{path}" fill="none" stroke="{_COLOURS[sign]}" stroke-width="1.5"{dashes} '
            f'marker-end="url(#to{sign})"><title>{escape(_told(projection))}</title></path>')


def _between(x: int, y: int, u: int, v: int) -> Iterator[str]:
    """The path from one box to another: ahead straight, over a column or back in a bow."""
    middle = _TALL / 2
    if u == x:  # one above the other: two lanes
        ahead = v > y
        lane = x + _BOX * (0.35 if ahead else 0.65)
        yield f"M{lane},{y + _TALL * ahead} L{lane},{v + _TALL * (not ahead)}"
    elif u > x:
        bow = 80 if u - x > _WIDTH else 0
        yield f"M{x + _BOX},{y + middle} C{x + _BOX + 40},{y + middle + bow}"
        yield f"{u - 40},{v + middle + bow} {u},{v + middle}"
    else:
        yield f"M{x},{y + middle + 9} C{x - 40},{y + middle + 22}"
        yield f"{u + _BOX + 40},{v + middle + 22} {u + _BOX},{v + middle + 9}"
