r"""Text to LaTeX: one line of an equation string as it is written, in the symbols of the field.

Brian2's own reader of expressions walks the text, so nothing is reordered or simplified: what is
shown is what was typed. `xbar_pre` becomes \bar{x}_{i}, `psi_post` \psi_{j}, `M` M_{jk}: i is the
presynaptic neuron, j the postsynaptic one, k the unit of readout and error.
"""

import ast
from collections.abc import Collection

import sympy
from brian2.parsing.rendering import NodeRenderer
from sympy.printing.conventions import split_super_sub
from sympy.printing.latex import translate

from bioopzo.text.equations import Line
from bioopzo.text.functions import TABLE

#: Names whose symbol cannot be told from their letters.
SYMBOLS = {"Dz": "D^{z}", "Do": "D^{o}", "dt": "dt"}
_COMPARISONS = {"Lt": "<", "LtE": r"\leq", "Gt": ">", "GtE": r"\geq", "Eq": "=", "NotEq": r"\neq"}
_SUMS = (ast.Add, ast.Sub)
#: Endings that sympy reads as what is done to a letter.
_OPERATORS = ("abs", "avg", "norm", "mag", "prm", "prime", "bold", "cal", "scr", "frak")


def symbol(name: str, index: str = "") -> str:
    r"""A name as LaTeX: ``tau_m`` is \tau_{m}, ``xbar`` \bar{x}; a word stands upright, whole."""
    base, above, subscripts = split_super_sub(name)
    if _is_word(base) or above:
        return rf"\mathrm{{{name}}}".replace("_", r"\_") + (f"_{{{index}}}" if index else "")
    parts = [_letters(part) for part in subscripts if part] + ([index] if index else [])
    return _letters(base) + (f"_{{{','.join(parts)}}}" if parts else "")


def plain_symbol(name: str) -> str:
    """A name as Unicode text, e.g. ``τₘ``; a word as it is."""
    if _is_word(split_super_sub(name)[0]):
        return name
    return sympy.pretty(sympy.Symbol(name), use_unicode=True)


def _is_word(base):
    """Whether a name is a word (``drive``), not a letter with a mark (``xbar``)."""
    marked = base.endswith(_OPERATORS)  # gabs is no |g|
    return len(base) > 1 and base not in SYMBOLS and (marked or translate(base) == base)


def _letters(word):
    if _is_word(word) and not word.isdigit():
        return rf"\mathrm{{{word}}}".replace("_", r"\_")
    return SYMBOLS.get(word) or translate(word)


def _is_mod(node):
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod)


class _Latex(NodeRenderer):
    """Brian2's expressions as LaTeX.

    `pre` and `post` are the letters of the two neurons of a synapse, `own` the variables that each
    synapse has for itself; all are empty for the text of a group.
    """

    def __init__(self, own=(), pre="", post=""):
        super().__init__()
        self.own, self.pre, self.post = frozenset(own), pre, post
        self.in_exponent = False

    def name(self, name):
        for suffix, index in (("_pre", self.pre), ("_post", self.post)):
            if name.endswith(suffix) and name != f"N{suffix}":  # that is a size, of no neuron
                return symbol(name.removesuffix(suffix), index)
        return symbol(name, "".join(sorted(self.pre + self.post)) if name in self.own else "")

    def render_Name(self, node):
        return self.name(node.id)

    def render_Constant(self, node):
        if isinstance(node.value, bool):
            return rf"\mathrm{{{node.value}}}"
        short = f"{node.value:g}"
        text = short if float(short) == node.value else repr(node.value)
        digits, _, power = text.partition("e")
        if not power:
            return digits
        ten = f"10^{{{int(power)}}}"
        return ten if digits == "1" else rf"{digits} \cdot {ten}"

    def bracketed(self, node, kinds):
        """The text of a node, in brackets when it is of one of these kinds."""
        text = self.render_node(node)
        return rf"\left({text}\right)" if isinstance(node, kinds) else text

    def sum_like(self, node):
        return isinstance(node, ast.BinOp) and isinstance(node.op, _SUMS)

    def factor(self, node):
        text = self.render_node(node)
        weak = self.sum_like(node) or _is_mod(node) or isinstance(node, (ast.Compare, ast.BoolOp))
        return rf"\left({text}\right)" if weak else text

    def render_BinOp(self, node):
        kind = type(node.op).__name__
        if kind in ("Add", "Sub"):
            left, right = (self.factor(side) if _is_mod(side) else self.render_node(side)
                           for side in (node.left, node.right))
            if right.startswith("-") or (kind == "Sub" and self.sum_like(node.right)):
                right = rf"\left({right}\right)"
            return f"{left} {'+' if kind == 'Add' else '-'} {right}"
        if kind == "Mult":
            right = self.factor(node.right)
            if right.startswith("-"):
                right = rf"\left({right}\right)"
            space = r"\cdot" if right[0].isdigit() else "" if right.startswith(r"\left") else r"\,"
            left = self.factor(node.left)
            if self.in_exponent and isinstance(node.left, ast.BinOp) and isinstance(
                    node.left.op, ast.Div):  # t / tau k would be t / (tau k)
                left = rf"\left({left}\right)"
            return f"{left} {space} {right}"
        if kind == "Div":
            return self.quotient(node)
        if kind == "Pow":
            base = self.render_node(node.left)
            simple = isinstance(node.left, (ast.Name, ast.Constant)) and "^" not in base
            base = base if simple else rf"\left({base}\right)"
            return f"{base}^{{{self.small(node.right)}}}"
        left, right = (self.bracketed(side, ast.BinOp) for side in (node.left, node.right))
        if kind == "Mod":
            return rf"{left} \;\mathrm{{mod}}\; {right}"
        if kind == "FloorDiv":
            return rf"\left\lfloor {left} / {right} \right\rfloor"
        return super().render_BinOp(node)  # says what Brian2 has instead

    def quotient(self, node):
        if self.in_exponent:
            return f"{self.factor(node.left)} / {self.bracketed(node.right, ast.BinOp)}"
        above = self.render_node(node.left)
        sign = "-" if above.startswith("-") and not self.sum_like(node.left) else ""
        above, below = above.removeprefix(sign), self.render_node(node.right)
        return rf"{sign}\frac{{{above}}}{{{below}}}"

    def small(self, node):
        """The text of an exponent: fractions lie flat."""
        before, self.in_exponent = self.in_exponent, True
        text = self.render_node(node)
        self.in_exponent = before
        return text

    def render_UnaryOp(self, node):
        if isinstance(node.op, ast.Not):
            return rf"\neg {self.bracketed(node.operand, (ast.BoolOp, ast.Compare))}"
        sign = "-" if isinstance(node.op, ast.USub) else "+"
        return sign + self.factor(node.operand)

    def render_Compare(self, node):
        if len(node.comparators) > 1:
            return super().render_Compare(node)  # says that one comparison is allowed
        relation = _COMPARISONS[type(node.ops[0]).__name__]
        return f"{self.render_node(node.left)} {relation} {self.render_node(node.comparators[0])}"

    def render_BoolOp(self, node):
        join = r" \wedge " if isinstance(node.op, ast.And) else r" \vee "
        return join.join(self.bracketed(value, ast.BoolOp) for value in node.values)

    def render_Call(self, node):
        if node.keywords:
            return super().render_Call(node)  # says that there are none
        name = node.func.id
        if name == "exp" and not any(isinstance(n, ast.Call) for n in ast.walk(node.args[0])):
            return f"e^{{{self.small(node.args[0])}}}"
        found = ", ".join(map(self.render_node, node.args))
        if name == "sqrt":
            return rf"\sqrt{{{found}}}"
        if name == "abs":
            return rf"\left|{found}\right|"
        if name == "int" and isinstance(node.args[0], (ast.Compare, ast.BoolOp)):  # 1 if it holds
            return rf"\mathbf{{1}}\left[{found}\right]"
        command = TABLE[name].latex if name in TABLE else ""
        known = command or rf"\mathrm{{{name}}}".replace("_", r"\_")
        return rf"{known}\!\left({found}\right)" if found else f"{known}()"


def expression(text: str, own: Collection[str] = (), pre: str = "", post: str = "") -> str:
    """A condition or right-hand side as LaTeX; the text itself where it cannot be read.

    `own` names the variables of each synapse, `pre` and `post` are the letters of its neurons.
    """
    try:
        return _Latex(own, pre, post).render_expr(text)
    except (SyntaxError, ValueError, TypeError, AttributeError, KeyError, IndexError,
            RecursionError):
        return verbatim(text)


def verbatim(text: str) -> str:
    """Text that LaTeX shows as it is."""
    for old, new in (("\\", r"\backslash "), ("{", r"\{"), ("}", r"\}"), ("_", r"\_"),
                     ("$", r"\$"), ("%", r"\%"), ("&", r"\&"), ("#", r"\#"), ("^", r"\hat{}"),
                     ("~", r"\sim "), (" ", r"\ ")):
        text = text.replace(old, new)
    return rf"\mathtt{{{text}}}"


def equation(line: Line, own: Collection[str] = (), pre: str = "", post: str = "") -> str:
    """A `Line` as LaTeX, its unit left out; of a declared variable the symbol alone."""
    left = _Latex(own, pre, post).name(line.name)
    if line.kind == "parameter":
        return left
    if line.kind == "statement":
        # "u -= theta" changes u: what u is afterwards, with the brackets that need be.
        right = line.right
        if line.operator != "=":
            right = f"{line.name} {line.operator[0]} ({line.right})"
        return rf"{left} \leftarrow {expression(right, own, pre, post)}"
    right = expression(line.right, own, pre, post)
    if line.kind == "differential":
        return rf"\frac{{d{left}}}{{dt}} = {right}"
    if "summed" in line.flags:
        other = pre if line.name.endswith("_post") else post
        body = rf"\left({right}\right)" if _is_sum(line.right) else right
        return rf"{left} = \sum_{{{other}}} {body}"
    return f"{left} = {right}"


def _is_sum(text):
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return False
    return isinstance(body, ast.BinOp) and isinstance(body.op, _SUMS)
