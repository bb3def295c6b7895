"""What notebooks showed, as a page keeps it: no bars of progress, no paths of the machine.

Warnings stay: a reader gets the same.
"""

import re

from docutils import nodes

#: Lines of a bar of progress, and of what it says where it can draw none.
_BAR = re.compile(r"\d+%\||^\s*0it \[|TqdmWarning|from \.autonotebook import")
_PLACE = re.compile(r"\S*/(?=(?:bioopzo|site-packages)/)|/tmp/\S*/")
_SAID = {"stderr", "stdout", "text_plain"}


def cleaned(text: str) -> str:
    """What a cell wrote, without bars and without where its files lie."""
    lines = re.split(r"[\n\r]", text)
    return "\n".join(_PLACE.sub("", line) for line in lines if not _BAR.search(line)).strip("\n")


def clean(app, tree):
    """Clean the outputs in the `tree` of a page; one that is empty then goes."""
    for node in list(tree.findall(nodes.literal_block)):
        if _SAID & set(node.get("classes", ())):
            text = cleaned(node.astext())
            if text.strip() in ("", "[py.warnings]"):
                node.parent.remove(node)
            else:
                node.rawsource = text
                node.children = [nodes.Text(text)]


def setup(app):
    """Clean what every notebook showed, once it is read."""
    app.connect("doctree-read", clean)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
