"""What two models differ in: settings, lines of text and parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from html import escape
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

from bioopzo.errors import InputError
from bioopzo.network.spread import recorded
from bioopzo.show.html import table, wrapped
from bioopzo.show.model import parameter, quantity
from bioopzo.text.equations import is_expression, parse

#: What is said of a model besides its text and its parameters.
SETTINGS = ("rule_name", "options", "neuron", "neuron_options", "reset", "refractory", "error",
            "coding", "surrogate", "dropout", "state_reset", "sizes", "layout", "given_network",
            "freeze")


@dataclass(frozen=True)
class Difference:
    """What leads from one model (-) to another (+); false when nothing differs.

    `settings` and `parameters` map a name to (before, after) as text, `blocks` the name of a block
    to its pairs (before, after) of lines; what is not there is empty.
    """

    before: str
    after: str
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    blocks: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    parameters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self):
        for name in ("settings", "blocks", "parameters"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __bool__(self):
        return bool(self.settings or self.blocks or self.parameters)

    def __repr__(self):
        if not self:
            return f"No difference between {self.before} (-) and {self.after} (+)."
        page = [f"== Difference from {self.before} (-) to {self.after} (+) =="]
        page += [f"    {name}: {before} -> {after}"
                 for name, (before, after) in self.settings.items()]
        for name, lines in self.blocks.items():
            page.append(f"[{name}]")
            page += [f"  {mark} {line}" for pair in lines
                     for mark, line in zip("-+", pair) if line]
        if self.parameters:
            page.append("[parameters]")
            page += [f"    {name}: {before or 'none'} -> {after or 'none'}"
                     for name, (before, after) in self.parameters.items()]
        return "\n".join(page)

    def _repr_html_(self):
        title = f"From {self.before} (&minus;) to {self.after} (+)"
        if not self:
            return wrapped([f"<p>{title}: no difference.</p>"])
        rows = [(escape(name), escape(before), escape(after))
                for name, (before, after) in self.settings.items()]
        for name, lines in self.blocks.items():
            for before, after in lines:
                rows.append((f"<code>{escape(name)}</code>", _marked("&minus;", before),
                             _marked("+", after)))
                name = ""
        rows += [(escape(name), escape(before or "none"), escape(after or "none"))
                 for name, (before, after) in self.parameters.items()]
        return wrapped([f"<h4>{title}</h4>", table(rows, ("", "before", "after"))])


def _marked(mark, line):
    return f"{mark} <code>{escape(line)}</code>" if line else ""


def difference(model: Any, other: Any = None) -> Difference:
    """The `Difference` from `other` to `model`; by default from the rule as it came.

    Both are `Model`s. The rule as it came is the same network without edits, every parameter at its
    default (or the task's value). Raises `InputError` when `other` is no Model.
    """
    if other is None:
        other = model.plain()
        names = f"{model.rule_name} as it came", "this model"
    elif not isinstance(other, type(model)):
        raise InputError(f"diff compares with another Model, not {other!r}")
    else:
        names = f"{other.rule_name} ({other.digest})", f"{model.rule_name} ({model.digest})"
    settings = {name.removesuffix("_name"): pair for name in SETTINGS
                if (pair := tuple(_setting(m, name) for m in (other, model)))[0] != pair[1]}
    blocks = {}
    for name in dict.fromkeys([*other.blocks, *model.blocks]):
        before, after = (m.blocks.get(name, "") for m in (other, model))
        if pairs := _pairs(name, before, after):
            blocks[name] = pairs
    parameters = {}
    for name in dict.fromkeys([*other.parameters, *model.parameters]):
        if pair := _values(name, other, model):
            parameters[name] = pair
    return Difference(*names, settings, blocks, parameters)


def _values(name, *models):
    """What a parameter is in two models, as text; nothing where that is the same."""
    known = [(recorded(m.spread[name]), float(m.spread[name].base)) if name in m.spread
             else float(m.parameters[name]) if name in m.parameters else None for m in models]
    if known[0] == known[1]:
        return ()
    before, after = ("" if name not in m.parameters else parameter(m, name) for m in models)
    return before, f"others: {after}" if before == after else after


def _setting(model, name):
    value = getattr(model, name)
    if name == "freeze":
        return ", ".join(value) or "none"
    if name == "refractory":
        return quantity(value)
    if name == "given_network":
        return "; ".join(f"{p.name}: {p.source} -> {p.target}" for p in
                         (value.projections if value else ())) or "none"
    if name == "options":
        return ", ".join(f"{key}={value[key]!r}" for key in sorted(value)) or "none"
    return "-".join(map(str, value)) if name == "sizes" else str(value or "none")


def _pairs(name, before, after):
    """Lines as (before, after): changed, removed (empty after) or added (empty before)."""
    if before == after:
        return ()
    if is_expression(name):
        return ((before, after),)
    before, after = parse(before, name), parse(after, name)
    if any(line.kind == "statement" for line in before + after):
        return tuple(_ordered_pairs(before, after))
    # The order of equations does not matter: by left-hand side.
    old, new = ({line.name: str(line) for line in lines} for lines in (before, after))
    return tuple((old.get(key, ""), new.get(key, "")) for key in dict.fromkeys([*old, *new])
                 if old.get(key) != new.get(key))


def _ordered_pairs(before, after):
    matcher = SequenceMatcher(None, [str(x) for x in before], [str(x) for x in after], False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            continue
        for old, new in zip_longest(before[a:b], after[c:d]):
            if old and new and old.name == new.name:
                yield str(old), str(new)
            else:
                yield from ((str(line), "") for line in [old] if line)
                yield from (("", str(line)) for line in [new] if line)
