"""How Sphinx builds the site; CONTRIBUTING.md has the commands.

Notebooks are executed, and what they showed is kept in `docs/.jupyter_cache` until their code
changes; `-D nb_execution_mode=off` leaves them without output, which takes half a minute.
"""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]
# The kernels of notebooks find the package that the pages are about, too.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(DOCS.parent),
                                                         os.environ.get("PYTHONPATH")]))

import make_pages  # noqa: E402  lies beside

import bioopzo  # noqa: E402

make_pages.everything()

project = "bioopzo"
author = "The bioopzo developers"
version = release = bioopzo.__version__
copyright = author
extensions = ["myst_nb", "sphinx_copybutton", "mathml", "outputs"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(DOCS / ".jupyter_cache")
nb_execution_in_temp = True  # what they save is not left here
nb_execution_timeout = -1
nb_execution_raise_on_error = True
nb_merge_streams = True
# A bar of progress as a notebook draws it needs a script from the network.
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
nb_ipywidgets_js = {}
html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"bioopzo {release}"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
exclude_patterns = ["_build", ".jupyter_cache"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
templates_path = []


def setup(app):
    """Make symbols of the language objects of their own, which the search box lists first."""
    app.add_object_type("symbol", "symbol", objname="symbol")
