"""Pieces of HTML for notebooks."""

from collections.abc import Iterable
from html import escape

# ---------------------------------------------------------------------------- as HTML

CELL = ' style="text-align:left"'  # notebooks would set tables to the right


# ---------------------------------------------------------------------------- pieces of HTML

def math(latex: str) -> str:
    """LaTeX as MathJax finds it in a page, large and in the line."""
    return ('<span style="white-space:nowrap">'  # MathJax would break it into pieces
            rf"$\displaystyle {escape(latex, quote=False)}$</span>")


def table(rows: Iterable[Iterable[str]], heads: Iterable[str] = ()) -> str:
    """Rows of HTML cells as a table, to the left."""
    lines = ["<table>"]
    if heads:
        lines.append("<tr>" + "".join(f"<th{CELL}>{escape(head)}</th>" for head in heads) + "</tr>")
    lines += ["<tr>" + "".join(f"<td{CELL}>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])


def wrapped(parts: Iterable[str]) -> str:
    """Parts of a page in one element."""
    return '<div class="bioopzo">\n' + "\n".join(parts) + "\n</div>"
