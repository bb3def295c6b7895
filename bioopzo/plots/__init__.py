"""Figures of learning: every function is ``f(data, ax=None) -> ax``; rcParams stay as they were.

One style throughout: colours that colour-blind readers can tell apart (Okabe & Ito 2008), a rule
has the same colour and marker in every figure, lines carry their names, and text stays legible
at the width of a journal column (8.5 cm). Nothing is shown or saved by itself.
"""

from bioopzo.lazily import lazily

_PLACES = {
    "learning": "learning_curves final_accuracy rates alignment overview weights",
    "trial": "raster anatomy",
    "sweeps": "sweep",
    "trials": "confusion psychometric output_and_target psth tuning interval_histogram "
              "trajectories similarity",
    "styles": "COLUMN_CM PAGE_CM NORMAL SMALL GREY INK PALE STYLE RULE_STYLE MORE_STYLES styled "
              "figure save style lettered remark note letter interval dress",
    "marks": "band dots jitter meaning layer_marks layer_key shades panels label_ends",
    "overviews": "dynamics",
}
_MODULES = ("events",)
__all__ = [name for names in _PLACES.values() for name in names.split()]
__getattr__, __dir__ = lazily(__name__, _PLACES, _MODULES)
