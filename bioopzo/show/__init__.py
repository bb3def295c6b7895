"""What a notebook sees: models, runs and differences as HTML; exports."""

from bioopzo.lazily import lazily

_PLACES = {
    "exports": "recorded_data to_neo to_xarray",
    "run": "run_html run_line",
}
__all__ = [name for names in _PLACES.values() for name in names.split()]
__getattr__, __dir__ = lazily(__name__, _PLACES)
