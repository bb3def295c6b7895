"""How a model shows itself: by object, as a page of text and as HTML with typeset equations."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

import numpy as np
from brian2.units import Hz, ms
from brian2.units.fundamentalunits import Quantity, have_same_dimensions

from bioopzo.network.kinds import KINDS, SHOWN, SYNAPSE_MOMENTS, kind_of, moments_of
from bioopzo.network.spread import own_name
from bioopzo.network.symbols import GIVEN
from bioopzo.show.html import math, table, wrapped
from bioopzo.show.network import described, drawing
from bioopzo.text import typeset
from bioopzo.text.equations import Line, identifiers, is_expression, parse


@dataclass(frozen=True)
class Block:
    """A block as it is shown: under which object, for which layer, when, and what.

    It has `lines`, or a `condition` alone; `own` are the variables of each synapse, `pre` and
    `post` the letters of its neurons.
    """

    name: str
    title: str
    note: str
    moment: str
    lines: tuple[Line, ...]
    condition: str
    own: frozenset[str]
    pre: str
    post: str

    @property
    def phrase(self) -> str:
        """For which layer, and when, its lines hold."""
        return ", ".join(part for part in (self.note, self.moment) if part)


def blocks_of(model: Any) -> list[Block]:
    """The blocks of a `Model` as `Block`s, object by object; those of a single layer come last."""
    titles = list(dict.fromkeys(kind.title for kind in KINDS.values()))

    def place(block):
        where, _, moment = block.name.partition(".")
        return (titles.index(block.title) if block.title in titles else len(titles), block.title,
                bool(block.note), len(where), where, SHOWN.index(moment.split(".")[0]))

    return sorted((_block(model, name, text) for name, text in model.blocks.items()), key=place)


def _block(model, name, text):
    where, _, moment = name.partition(".")
    entry = model.network.get(where)
    word = entry.kind if entry else "forward" if where == "recurrent" else where
    kind, note = kind_of(word), ""
    end = entry and model.network[getattr(entry, "target", where)]
    if entry and word != where and end.kind != "readout":
        plain = model.given_network is None
        note = (f"{'onto ' if kind.pre else ''}layer {end.layer} only" if plain else
                f"{entry.source} onto {end.name} only" if kind.pre else f"{end.name} only")
    if where == "backward":
        note = "all but those onto layer 1"
    own: frozenset[str] = frozenset()
    if kind.pre:
        parts = ("forward", where) if where == "backward" else (word, where)
        own = frozenset(line.name for part in parts for line in parse(model.blocks.get(part, ""))
                        if not line.name.endswith(("_pre", "_post")))
    condition = text if is_expression(name) else ""
    return Block(name, kind.title, note, _moment(model, word, moment),
                 () if condition else parse(text, name), condition, own, kind.pre, kind.post)


def _moment(model, kind, moment):
    first, _, rest = moment.partition(".")
    if first == "pair" and model.rule.perturbs != "pair":
        return "at the end of the hold"
    if first == "event":
        return f"event {rest} when"
    if first == "on":
        return f"at event {rest}"
    told = moments_of(kind)[first] if first != "trial" else getattr(
        kind_of(kind), "trial", SYNAPSE_MOMENTS["trial"])
    return told.phrase + (f" ({rest})" if rest else "")


# ---------------------------------------------------------------------------- as text

def text(model: Any) -> str:
    """The model as a page of plain text: equations by object, parameters, citation, difference."""
    page = [*_heading(model), ""]
    if model.given_network:
        page += ["== Network ==", *(f"    {line}" for line in described(model.layers))]
    for title, blocks in groupby(blocks_of(model), lambda block: block.title):
        page.append(f"== {title}{_size(model, title)} ==")
        page += [line for block in blocks for line in _text_lines(block)]
    page += ["== Given by the engine ==", *(f"    {name}: {meaning}"
                                            for name, meaning in given(model).items())]
    page.append("== Parameters (symbol, name, value, unit, meaning, source) ==")
    page += _columns([row[:4] for row in parameter_rows(model, typeset.plain_symbol)],
                     [f"{meaning}{f' [{source}]' if source else ''}"
                      for *_, meaning, source in parameter_rows(model)])
    page += ["", *_citation(model)]
    difference = model.diff()
    return "\n".join(page + (["", str(difference)] if difference else []))


def _heading(model):
    shape = model.layout or "-".join(map(str, model.sizes))
    edited = f", {len(model.edits)} edited" if model.edits else ""
    yield (f"Model {shape}, rule {model.rule_name}, {model.neuron} neuron, {model.feedback} error, "
           f"digest {model.digest}{edited}")
    yield model.rule.summary[:1].upper() + model.rule.summary[1:]
    options = {"reset": (model.reset, "soft"), "surrogate": (model.surrogate, "escape"),
               "coding": (model.coding, None), "dropout": (model.dropout, 0.0),
               "state_reset": (model.state_reset, True),
               "refractory": (quantity(model.refractory), "0 ms"),
               "freeze": (", ".join(model.freeze), "")}
    changed = {name: value for name, (value, usual) in options.items() if value != usual}
    changed |= model.options
    if changed:
        yield ", ".join(f"{name}={value!r}" if isinstance(value, str) and name != "refractory"
                        else f"{name}={value}" for name, value in changed.items())


def _size(model, title):
    sizes = [str(population.size) for population in model.network.populations
             if kind_of(population.kind).title == title]
    return f" ({', '.join(sizes)})" if sizes else ""


def _text_lines(block):
    if block.condition:
        yield f"[{block.name}] {block.phrase}: {block.condition}"
    statements = [str(line) for line in block.lines if line.kind == "statement"]
    if statements:
        yield f"[{block.name}] {block.phrase}: {'; '.join(statements)}"
    equations = [line for line in block.lines if line.kind not in ("statement", "parameter")]
    declared = declarations(block)
    if equations or declared:
        yield f"[{block.name}]" + (f" {block.phrase}" if block.phrase else "")
        yield from (f"    {line}" for line in equations)
        yield from (f"    {', '.join(line.name for line in lines)} : {unit}"
                    for unit, lines in declared.items())


def declarations(block: Block) -> dict[str, list[Line]]:
    """The variables that a block only declares: unit (and flags) -> their lines."""
    found: dict[str, list[Line]] = {}
    for line in block.lines:
        if line.kind == "parameter":
            found.setdefault(f"{line.unit} {line.flags}".strip(), []).append(line)
    return found


def given(model: Any) -> dict[str, str]:
    """What the engine gives and the blocks read: name -> meaning."""
    read = set().union(*map(identifiers, model.blocks.values()))
    stems = {name.removesuffix("_pre").removesuffix("_post") for name in read}
    return {name: meaning for name, meaning in GIVEN.items() if name in read | stems}


def told(value: Any) -> str:
    """What a user gives for a parameter, in a few words: never a value for each neuron."""
    if isinstance(value, Mapping):
        return "; ".join(f"{told(one)} in {name}" for name, one in value.items())
    if isinstance(value, tuple):
        kind, first, second, *seed = value
        words = {"uniform": f"from {quantity(first)} to {quantity(second)}",
                 "normal": f"around {quantity(first)}, sd {quantity(second)}",
                 "lognormal": f"around {quantity(first)}, sd of the logarithm {quantity(second)}"}
        return f"{kind} {words[kind]} (seed {seed[0] if seed else 0})"
    if np.ndim(value):
        return f"{len(value)} values from {quantity(np.min(value))} to {quantity(np.max(value))}"
    return quantity(value)


def parameter(model: Any, name: str) -> str:
    """The value of a parameter of a `model`, for people; of one that differs, by object."""
    if name not in model.spread:
        return quantity(model.parameters[name])
    given, base = model.given[name], model.spread[name].base
    return told(given) + f"; {quantity(base)} elsewhere" * isinstance(given, Mapping)


def quantity(value: Any) -> str:
    """A number with its unit for people, e.g. ``10 ms``, ``500 Hz``, ``0.1``."""
    return " ".join(part for part in _number(value) if part)


def _number(value):
    """(number, unit) as text; times in ms and rates in Hz."""
    if not isinstance(value, Quantity) or value.is_dimensionless:
        return f"{float(value):g}", ""
    unit = next((unit for unit in (ms, Hz) if have_same_dimensions(value, unit)), None)
    unit = value.get_best_unit() if unit is None else unit
    return f"{float(value / unit):g}", str(unit)


def parameter_rows(model: Any, symbol: Callable[[str], str] = typeset.symbol
                   ) -> Iterator[tuple[str, str, str, str, str, str]]:
    """A row a parameter: symbol, name, value, unit, meaning, source.

    The value of one that differs is its mean.
    """
    owned = {own_name(name, entry.name): f"{name} of {entry.name}"
             for name in model.spread for entry in model.network.entries}
    for name, value in model.parameters.items():
        known = model.declared.get(name)
        number, unit = _number(value)
        meaning, source = (known.meaning, known.source) if known else (
            owned.get(name, "given with an edit"), "")
        if name in model.spread:
            number, meaning = f"~{number}", f"{meaning}: {parameter(model, name)}"
        yield symbol(name), name, number, unit or "1", meaning, source


def _columns(rows, last):
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row, end in zip(rows, last):
        cells = "  ".join(cell.rjust(width) if k == 2 else cell.ljust(width)
                          for k, (cell, width) in enumerate(zip(row, widths)))
        yield f"    {cells}  {end}".rstrip()


def _citation(model):
    """What to cite: the rule's short source, then its references, one a string."""
    if model.rule.source:
        yield f"Source of the rule: {model.rule.source}"
        yield from filter(None, model.rule.reference.strip().split("\n\n"))


def html(model: Any) -> str:
    """The model as HTML: equations as LaTeX for MathJax (Jupyter has it), tables, citation.

    The text of each object unfolds below it, for copying and for viewers without MathJax.
    """
    head, *rest = _heading(model)
    page = [f"<p><b>{escape(head)}</b><br>{'<br>'.join(map(escape, rest))}</p>",
            drawing(model.layers)]
    if model.given_network:
        page.append(f"<pre>{escape(chr(10).join(described(model.layers)))}</pre>")
    for title, group in groupby(blocks_of(model), lambda block: block.title):
        blocks = list(group)
        page.append(f"<h4>{escape(title + _size(model, title))}</h4>")
        page.append(table([row for block in blocks for row in _html_rows(block)]))
        source = "\n".join(f"[{block.name}]\n{model.blocks[block.name]}" for block in blocks)
        page.append(f"<details><summary>text</summary><pre>{escape(source)}</pre></details>")
    page.append("<h4>Given by the engine</h4>" + table(
        [(math(typeset.symbol(name)), escape(meaning)) for name, meaning in given(model).items()]))
    page.append("<h4>Parameters</h4>" + table(
        [(math(symbol), f"<code>{escape(name)}</code>", *map(escape, rest))
         for symbol, name, *rest in parameter_rows(model)],
        ("symbol", "name", "value", "unit", "meaning", "source")))
    page += [f"<p>{escape(entry)}</p>" for entry in _citation(model)]
    difference = model.diff()
    return wrapped(page + ([difference._repr_html_()] if difference else []))


def _html_rows(block):
    """(when, typeset line, unit) of a block; its name with the first line."""
    where = f"<code>{escape(block.name)}</code> {escape(block.phrase)}".strip()
    letters = block.own, block.pre, block.post
    if block.condition:
        yield where, math(typeset.expression(block.condition, *letters)), ""
    statements = [math(typeset.equation(line, *letters)) for line in block.lines
                  if line.kind == "statement"]
    if statements:
        yield where, "; &emsp;".join(statements), ""
        where = ""
    for line in block.lines:
        if line.kind not in ("statement", "parameter"):
            flags = line.flags.replace("(summed)", "")  # the sum is to be seen
            yield (where, math(typeset.equation(line, *letters)),
                   escape(f"{line.unit} {flags}".strip()))
            where = ""
    for unit, lines in declarations(block).items():
        names = ", ".join(math(typeset.equation(line, *letters)) for line in lines)
        yield where, names, escape(unit)
        where = ""
