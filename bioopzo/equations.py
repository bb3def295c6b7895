"""Text blocks: read their lines, compose them, replace a line by its left-hand side.

A block is a string in Brian2's own syntax: either equations (``du/dt = ... : 1``,
``psi = ... : 1``, ``w : 1``) or statements (``u -= theta``). Nothing here knows about networks.
"""

import re
import textwrap
from dataclasses import dataclass

import sympy
from brian2.parsing.sympytools import str_to_sympy, sympy_to_str
from brian2.units.fundamentalunits import Quantity, get_unit

from .errors import EquationError

_DIFFERENTIAL = re.compile(r"^d(?P<name>[A-Za-z_]\w*)/dt\s*=\s*(?P<right>\S.*)$")
_ASSIGNMENT = re.compile(
    r"^(?P<name>[A-Za-z_]\w*)\s*(?P<operator>[-+*/]?=)(?!=)\s*(?P<right>\S.*)$")
_DECLARATION = re.compile(r"^(?P<name>[A-Za-z_]\w*)\s*:\s*(?P<unit>[^:]+)$")
_UNIT = re.compile(r"^(?P<right>.*?)\s*:\s*(?P<unit>[^:()]+?)\s*(?P<flags>\([^()]*\))?\s*$")
_WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")


@dataclass(frozen=True)
class Line:
    """One line of a block.

    `kind` is ``"differential"``, ``"subexpression"``, ``"parameter"`` or ``"statement"``;
    `name` is what the line defines, `right` its right-hand side, `unit` and `flags` as written.
    """

    kind: str
    name: str
    right: str = ""
    unit: str = ""
    flags: str = ""
    operator: str = "="

    def __str__(self):
        end = f" : {self.unit}" + (f" {self.flags}" if self.flags else "")
        if self.kind == "differential":
            return f"d{self.name}/dt = {self.right}{end}"
        if self.kind == "subexpression":
            return f"{self.name} = {self.right}{end}"
        if self.kind == "parameter":
            return f"{self.name}{end}"
        return f"{self.name} {self.operator} {self.right}"


def _logical_lines(text, where):
    """Lines without comments; an open bracket carries a line over to the next."""
    pending = ""
    for raw in textwrap.dedent(text).splitlines():
        stripped = raw.split("#", 1)[0].strip()
        if not stripped and not pending:
            continue
        pending = f"{pending} {stripped}".strip()
        if pending.count("(") > pending.count(")"):
            continue
        yield from (part.strip() for part in pending.split(";") if part.strip())
        pending = ""
    if pending:
        raise EquationError(f"{where}: a bracket is not closed in {pending!r}")


def parse_line(text, where="text"):
    """The `Line` that one line of text makes; `EquationError` when it is not one."""
    match = _DIFFERENTIAL.match(text)
    if match:
        body = _UNIT.match(match["right"])
        if not body:
            raise EquationError(f"{where}: a differential equation ends in ' : unit': {text!r}")
        return Line("differential", match["name"], body["right"], body["unit"],
                    body["flags"] or "")
    match = _ASSIGNMENT.match(text)
    if match:
        body = _UNIT.match(match["right"]) if match["operator"] == "=" else None
        if body:
            return Line("subexpression", match["name"], body["right"], body["unit"],
                        body["flags"] or "")
        return Line("statement", match["name"], match["right"], operator=match["operator"])
    match = _DECLARATION.match(text)
    if match:
        unit, _, flags = match["unit"].partition("(")
        return Line("parameter", match["name"], unit=unit.strip(),
                    flags=f"({flags.strip()}" if flags else "")
    raise EquationError(
        f"{where}: cannot read {text!r}; a line is 'dx/dt = ... : unit', 'x = ... : unit', "
        "'x : unit' or a statement such as 'x += ...'"
    )


def parse(text, where="text"):
    """The lines of a block as a tuple of `Line`."""
    return tuple(parse_line(line, where) for line in _logical_lines(text, where))


def render(lines):
    """Lines back to text, one a line."""
    return "\n".join(str(line) for line in lines)


def compose(base, extra, where="text"):
    """`base` with the lines of `extra`: the same left-hand side replaces, a new one is appended.

    Statements are kept in order and only replaced when they assign the same name with the same
    operator.
    """
    lines = list(parse(base, where))
    for new in parse(extra, where):
        same = [k for k, old in enumerate(lines) if _same_target(old, new)]
        if same:
            lines[same[0]] = new
        else:
            lines.append(new)
    return render(lines)


def _same_target(old, new):
    if old.name != new.name or (old.kind == "statement") != (new.kind == "statement"):
        return False
    return old.kind != "statement" or old.operator == new.operator


def unit_text(value):
    """The base unit of a number or quantity as an equation names it, e.g. ``second`` or ``1``."""
    if not isinstance(value, Quantity) or value.is_dimensionless:
        return "1"
    return repr(get_unit(value.dim))


def is_expression(name):
    """Whether the block called `name` is a condition (a threshold or an event), not lines."""
    return name.endswith(".threshold") or ".event." in name


def defines(text, name, where="text"):
    """Whether a line of the block has `name` on its left-hand side."""
    return any(line.name == name for line in parse(text, where))


def replace(text, name, new, where="text"):
    """The block with the line(s) that define `name` replaced by the lines of `new`."""
    lines, done = [], False
    for line in parse(text, where):
        if line.name != name:
            lines.append(line)
        elif not done:
            lines.extend(parse(new, where))
            done = True
    return render(lines)


def identifiers(text):
    """Every name that occurs in an expression or block, units and flags included."""
    return set(_WORD.findall(text))


def substitute(expression, replacements):
    """The expression with whole words replaced, all at once."""
    if not replacements:
        return expression
    pattern = re.compile(r"(?<![\w.])(" + "|".join(map(re.escape, replacements)) + r")\b")
    return pattern.sub(lambda match: replacements[match[1]], expression)


def factorise(expression, trace):
    """Split a plasticity term into presynaptic trace times a postsynaptic factor.

    Returns the factor as text when `expression` is ``trace * f`` with every variable of ``f``
    postsynaptic (``x_post``) or free of a suffix, else None. `trace` is e.g. ``"xbar_pre"``.
    """
    parsed = sympy.expand(str_to_sympy(expression))
    symbol = str_to_sympy(trace)
    factor = sympy.simplify(parsed / symbol) if parsed.has(symbol) else None
    if factor is None or factor.has(symbol):
        return None
    text = sympy_to_str(factor)
    if any(word.endswith("_pre") for word in identifiers(text)):
        return None
    return text
