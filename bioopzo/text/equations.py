"""Text blocks: read their lines, compose them, replace a line by its left-hand side.

A block is a string in Brian2's own syntax: either equations (``du/dt = ... : 1``,
``psi = ... : 1``, ``w : 1``) or statements (``u -= theta``). Nothing here knows about networks.
"""

import ast
import functools
import keyword
import re
import textwrap
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy
from brian2.parsing.sympytools import sympy_to_str
from brian2.units.fundamentalunits import Quantity, get_unit

from bioopzo.errors import EquationError, Mistake
from bioopzo.text.limits import TOO_GREAT, TOO_LONG, foreign_letter, too_deep, too_great
from bioopzo.text.symbols import as_sympy

_DIFFERENTIAL = re.compile(r"^d(?P<name>[A-Za-z_]\w*)/dt\s*=\s*(?P<right>\S.*)$")
_ASSIGNMENT = re.compile(
    r"^(?P<name>[A-Za-z_]\w*)\s*(?P<operator>[-+*/]?=)(?!=)\s*(?P<right>\S.*)$")
_DECLARATION = re.compile(r"^(?P<name>[A-Za-z_]\w*)\s*:\s*(?P<unit>[^:]+)$")
_UNIT = re.compile(r"^(?P<right>.*?)\s*:\s*(?P<unit>[^:()]+?)\s*(?P<flags>\([^()]*\))?\s*$")
_BEGINNING = re.compile(r"^(d[A-Za-z_]\w*/dt|[A-Za-z_]\w*)?\s*([-+*/]?=)?\s*")
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


#: Parts of Python's expressions that Brian2 has no meaning for, and what to write instead.
_FOREIGN = {
    ast.BitXor: "'^' is no power; write **",
    ast.BitAnd: "'&' joins bits; write 'and'",
    ast.BitOr: "'|' joins bits; write 'or'",
    ast.IfExp: "there is no 'if' in an expression; multiply by int(condition)",
    ast.Subscript: "there are no indices in an expression; a name stands for every neuron",
    ast.Attribute: "there are no dots in names; exp, sqrt ... are written without np.",
    ast.keyword: "functions take no keywords here",
    ast.Tuple: "a comma stands only between the arguments of a function; decimals have a point",
}
_ALLOWED_WORDS = ("and", "or", "not", "True", "False", "if", "else")
_KNOWN = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.Name,
          ast.Constant, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context)


#: Python 3.11 mixes up syntax trees that two threads build at once.
PARSING = threading.RLock()


@functools.lru_cache(maxsize=8192)
def tree(expression: str) -> ast.Expression:
    """The syntax tree of an expression; raises `SyntaxError`."""
    with PARSING:
        return ast.parse(expression, mode="eval")


def fault(expression: str) -> tuple[str, int] | None:
    """What is wrong with the grammar of an expression as (what, column), or None."""
    found = foreign_letter(expression) or _foreign_word(expression)
    if found:
        return found
    try:
        parsed = tree(expression)
    except SyntaxError as problem:
        reason = problem.msg.split(".")[0].split("(")[0].strip()
        return (f"this is no expression: {reason} (a product needs *, a power **)",
                min((problem.offset or 1) - 1, len(expression)))
    except RecursionError:
        return TOO_LONG, 0
    if too_deep(parsed):
        return TOO_LONG, 0
    great = too_great(parsed)
    return _foreign_part(expression, parsed) if great is None else (TOO_GREAT, great)


def _foreign_word(expression):
    """What is wrong with the first word that only Python, or C, has a meaning for, or None."""
    for word in _WORD.finditer(expression):
        if keyword.iskeyword(word[0]) and word[0] not in _ALLOWED_WORDS:
            return f"{word[0]!r} is a word of Python's and cannot be a name", word.start()
    for foreign, own in (("&&", "and"), ("||", "or")):
        if foreign in expression:
            return f"{foreign!r} is not known; write {own!r}", expression.index(foreign)
    return None


def _foreign_part(expression, parsed):
    """What is wrong with the first part of an expression that equations have not, or None."""
    for node in ast.walk(parsed):
        part = node.op if isinstance(node, ast.BinOp) else node
        column = getattr(node, "col_offset", 0)
        if type(part) in _FOREIGN:
            if isinstance(node, ast.BinOp):
                column = _operator_column(expression, node)
            return _FOREIGN[type(part)], column
        strange = isinstance(node, ast.Constant) and not isinstance(node.value, (int, float))
        if not isinstance(node, _KNOWN) or strange:
            return f"{ast.unparse(node)!r} has no meaning in an equation", column
    return None


def _operator_column(expression, node):
    """Where the operator of a binary operation stands."""
    between = expression[node.left.end_col_offset:node.right.col_offset]
    return node.left.end_col_offset + len(between) - len(between.lstrip(" )"))


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
        raise EquationError([Mistake(where, "a bracket is not closed", pending,
                                     "every ( needs its ) before the unit", _unclosed(pending))])


def _unclosed(text):
    """Where the innermost bracket that is never closed stands."""
    places = []
    for column, letter in enumerate(text):
        if letter == "(":
            places.append(column)
        elif letter == ")" and places:
            places.pop()
    return places[-1] if places else 0


def parse_line(text: str, where: str = "text") -> Line:
    """The `Line` that one line of text makes; `EquationError` when it is not one."""
    letter = foreign_letter(text)
    if letter:
        raise EquationError([Mistake(where, letter[0], text, column=letter[1])])
    line = _read_line(text, where)
    _check_unit(line, text, where)
    wrong = fault(line.right) if line.right else None
    if wrong:
        column = text.index(line.right, len(line.name)) + wrong[1]
        raise EquationError([Mistake(where, wrong[0], text, column=column)])
    return line


def _check_unit(line, text, where):
    """Refuse a power in a unit that nobody can work out; what else is wrong is for later."""
    try:
        huge = too_great(tree(line.unit)) if "**" in line.unit else None
    except (SyntaxError, RecursionError):
        return
    if huge is not None:
        raise EquationError([Mistake(where, TOO_GREAT, text, column=text.rindex(line.unit))])


def _read_line(text, where):
    match = _DIFFERENTIAL.match(text)
    if match:
        body = _UNIT.match(match["right"])
        if not body:
            raise EquationError([Mistake(
                where, "a differential equation ends in its unit", text,
                f"write '{text} : 1', or the unit of {match['name']} in place of 1", len(text))])
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
    begun = _BEGINNING.match(text)
    start = begun.end() if begun else 0
    raise EquationError([Mistake(
        where, f"cannot read {text!r}", text,
        "a line is 'dx/dt = ... : unit', 'x = ... : unit', 'x : unit' or a statement such as "
        "'x += ...'; names are of letters a-z, digits and _", min(start, len(text)))])


@functools.lru_cache(maxsize=8192)  # the same few blocks are read again and again
def parse(text: str, where: str = "text") -> tuple[Line, ...]:
    """The lines of `text`, a block, as a tuple of `Line`.

    Raises `EquationError`, which names `where` and every line that cannot be read.
    """
    lines: list[Line] = []
    mistakes: list[Mistake] = []
    for raw in _logical_lines(text, where):
        try:
            lines.append(parse_line(raw, where))
        except EquationError as problem:
            mistakes += problem.mistakes
    if mistakes:
        raise EquationError(mistakes)
    return tuple(lines)


def render(lines: Iterable[Line]) -> str:
    """Lines back to text, one a line."""
    return "\n".join(str(line) for line in lines)


def parse_condition(text: str, where: str = "condition") -> str:
    """A condition without comments, as one line; `EquationError` when it is no expression."""
    text = " ".join(part.split("#", 1)[0].strip() for part in text.splitlines()).strip()
    wrong = fault(text)
    if wrong:
        remedy = "a condition compares with ==, <, >" if re.search(r"(?<![=<>!])=(?!=)", text) \
            else ""
        raise EquationError([Mistake(where, wrong[0], text, remedy, wrong[1])])
    return text


@functools.lru_cache(4096)
def compose(base: str, extra: str, where: str = "text") -> str:
    """`base` with the lines of `extra`: the same left-hand side replaces, a new one is appended.

    Statements are kept in order and only replaced when they assign the same name with the same
    operator.
    """
    lines = list(parse(base, where))
    free = list(range(len(lines)))  # a line replaces one of base, never another of extra
    for new in parse(extra, where):
        same = [k for k in free if _same_target(lines[k], new)]
        if same:
            lines[same[0]] = new
            free.remove(same[0])
        else:
            lines.append(new)
    return render(lines)


def _same_target(old, new):
    if old.name != new.name or (old.kind == "statement") != (new.kind == "statement"):
        return False
    return old.kind != "statement" or old.operator == new.operator


def unit_text(value: object) -> str:
    """The base unit of a number or quantity as an equation names it, e.g. ``second`` or ``1``."""
    if not isinstance(value, Quantity) or value.is_dimensionless:
        return "1"
    return repr(get_unit(value.dim))


def is_expression(name: str) -> bool:
    """Whether the block called `name` is a condition (a threshold or an event), not lines."""
    return name.endswith(".threshold") or ".event." in name


def defines(text: str, name: str, where: str = "text") -> bool:
    """Whether a line of the block has `name` on its left-hand side."""
    return any(line.name == name for line in parse(text, where))


def replace(text: str, name: str, new: str, where: str = "text") -> str:
    """The block with the line(s) that define `name` replaced by the lines of `new`."""
    lines, done = [], False
    for line in parse(text, where):
        if line.name != name:
            lines.append(line)
        elif not done:
            lines.extend(parse(new, where))
            done = True
    return render(lines)


def identifiers(text: str) -> set[str]:
    """Every name that occurs in an expression or block, units and flags included."""
    return set(_words(text))


@functools.lru_cache(4096)  # the same lines are asked again and again while a text is composed
def _words(text):
    return frozenset(_WORD.findall(text))


def substitute(expression: str, replacements: Mapping[str, str]) -> str:
    """The `expression` with whole words replaced, all at once: `replacements` word -> text."""
    if not replacements:
        return expression
    pattern = re.compile(r"(?<![\w.])(" + "|".join(map(re.escape, replacements)) + r")\b")
    return pattern.sub(lambda match: replacements[match[1]], expression)


def is_condition(expression: str) -> bool:
    """Whether an `expression` is true or false, which counts as 1 or 0."""
    whole = tree(expression).body
    return isinstance(whole, (ast.Compare, ast.BoolOp)) or isinstance(
        getattr(whole, "op", None), ast.Not)


def linear(line: Line, lines: Iterable[Line]) -> bool:
    """Whether a line is no differential equation, or one that is linear in its own variable.

    The subexpressions among `lines` are put in first.
    """
    if line.kind != "differential":
        return True
    table = {x.name: f"({x.right})" for x in lines if x.kind == "subexpression"}
    right = line.right
    for _ in table:
        right = substitute(right, {k: v for k, v in table.items() if k in identifiers(right)})
    return not sympy.diff(as_sympy(right), symbol := as_sympy(line.name)).has(symbol)


def whole_right(line: Line) -> str:
    """What a variable becomes by a statement, written out: ``w * (0.9)`` of ``w *= 0.9``."""
    return line.right if line.operator == "=" else (
        f"{line.name} {line.operator[:-1]} ({line.right})")


def depends_on(name: str, table: Mapping[str, str]) -> set[str]:
    """Every name that a subexpression reads, through others too; `table` maps each to its text."""
    seen: set[str] = set()
    todo = [name]
    while todo:
        new = identifiers(table[todo.pop()]) - seen
        seen |= new
        todo += new & table.keys()
    return seen


@functools.lru_cache(1024)  # asked for again by every engine and check; sympy takes its time
def linear_terms(expression: str, names: tuple[str, ...]) -> tuple[dict[str, str], str] | None:
    """The factors of `names` in an `expression` that is a sum of products, and what is left.

    Returns ``({name: factor}, rest)`` as text, no part of which has one of the names, or None
    where the expression is not linear in all of them together. What cancels out has no factor.
    """
    parsed = as_sympy(expression)
    if not isinstance(parsed, sympy.Expr):
        return None
    symbols = {name: as_sympy(name) for name in names}
    expanded = sympy.expand_mul(parsed)
    factors = {name: expanded.coeff(symbol) for name, symbol in symbols.items()}
    rest = sympy.expand_mul(expanded - sum(
        factor * symbols[name] for name, factor in factors.items()))
    if any(part.has(symbol) for part in (rest, *factors.values()) for symbol in symbols.values()):
        return None
    # As it is written, not expanded.
    rest = parsed.subs(dict.fromkeys(symbols.values(), 0))
    found = {name: parsed.subs({s: int(s == symbol) for s in symbols.values()}) - rest
             for name, symbol in symbols.items() if factors[name] != 0}
    return ({name: sympy_to_str(factor) for name, factor in found.items()},
            "0" if rest == 0 else sympy_to_str(rest))
