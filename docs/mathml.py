"""Formulas as MathML, which browsers draw by themselves: no script, and no network.

docutils translates the LaTeX. The models that notebooks show bring theirs in HTML, between dollars.
"""

import re
from html import escape, unescape

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

_INDEXED = re.compile(r"(\\(?:bar|hat|tilde|dot)\{[^{}]*\})_")
_IN_HTML = re.compile(r"\$\\displaystyle (.*?)\$")


def mathml(latex: str, block: bool = False) -> str:
    """The LaTeX as MathML; `block`, whether it stands in a line of its own."""
    latex = _INDEXED.sub(r"{\1}_", latex)  # an index stands beside a bar, not below the letter
    # Sizes come by themselves.
    latex = re.sub(r"\\(?:[bB]ig[lr]?|(?:text|display)style)(?![a-z])", "", latex)
    try:
        return re.sub(r"\n\s*", "", tex2mathml(latex, as_block=block))
    except MathError as problem:
        logging.getLogger(__name__).warning("no MathML of %r: %s", latex, problem)
        return f"<code>{escape(latex)}</code>"


def _inline(writer, node):
    writer.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def _block(writer, node):
    writer.body.append(f'<div class="formula">{mathml(node.astext(), True)}</div>')
    raise nodes.SkipNode


def in_html(app, tree, name):
    """Translate the formulas in the HTML of notebooks' output, in the `tree` of a page."""
    for node in tree.findall(nodes.raw):
        if "html" in node.get("format", "") and r"$\displaystyle" in node.astext():
            node.children = [nodes.Text(_IN_HTML.sub(
                lambda found: mathml(unescape(found[1])), node.astext()))]


def setup(app):
    """Make this Sphinx's renderer of formulas."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("doctree-resolved", in_html)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
