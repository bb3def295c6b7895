"""What no engine can work out in a text: letters, depth, and numbers."""

import ast
import math
import unicodedata

#: What no engine can work out: operations within operations, as each further term of a sum is;
#: the exponent of a power; the digits of a number.
DEEPEST, GREATEST_EXPONENT, DIGITS = 150, 100, 300
TOO_LONG = ("this expression has too many terms, or brackets within brackets: give parts of it a "
             "line and a name of their own")
TOO_GREAT = (f"this number is too great: an exponent is at most {GREATEST_EXPONENT}, and a "
              f"number has at most {DIGITS} digits")


def foreign_letter(text: str) -> tuple[str, int] | None:
    """What is wrong with the first character of a `text` that is foreign to equations, or None.

    Python reads some of them as the letters that they look like, Brian2 and compilers do not.
    """
    for column, letter in enumerate(text):
        if not letter.isascii():
            plain = unicodedata.normalize("NFKC", letter)
            called = unicodedata.name(letter, "a character without a name")
            return (f"{letter!r} ({called}) has no meaning here, names are of letters a-z, digits "
                    f"and _" + f"; write {plain!r}" * plain.isascii(), column)
    return None


def too_deep(parsed: ast.Expression) -> bool:
    """Whether operations of a `parsed` text stand too deep within each other."""
    level = [parsed.body]
    for _ in range(DEEPEST + 1):
        level = [child for node in level for child in ast.iter_child_nodes(node)
                 if isinstance(child, ast.expr)]
        if not level:
            return False
    return True


def _number(node):
    """The value of an expression of numbers alone; None with names, infinity where it is huge."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return float(node.value) if abs(node.value) < 10**DIGITS else math.inf
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _number(node.operand)
        return value if value is None or isinstance(node.op, ast.UAdd) else -value
    if not isinstance(node, ast.BinOp):
        return None
    left, right = _number(node.left), _number(node.right)
    if left is None or right is None:
        return None
    try:
        if isinstance(node.op, ast.Pow):
            found = left**right
        else:
            found = {ast.Add: left + right, ast.Sub: left - right, ast.Mult: left * right,
                     ast.Div: left / right if right else math.nan}.get(type(node.op))
    except (OverflowError, ZeroDivisionError):
        return math.inf
    return None if isinstance(found, complex) else found


def too_great(parsed: ast.Expression) -> int | None:
    """Where a number or power stands in a `parsed` text that nobody works out, or None."""
    for node in ast.walk(parsed):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            value, exponent = _number(node), _number(node.right)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int):
            value, exponent = _number(node), None
        else:
            continue
        of_name = value is None and abs(exponent or 0) > GREATEST_EXPONENT
        if of_name or (value is not None and abs(value) == math.inf):
            return node.col_offset
    return None
