"""What is measured: recordings of a trial, the expected Jacobian, angles between updates.

The functions named here measure in the spiking engine, or read what a run holds; those of
`measures.rate` measure on mini-batches.
"""

from bioopzo.lazily import lazily

_PLACES = {
    "recording": "Recording record",
    "trials": "Outcomes attached before outcomes",
    "evaluation": "evaluate predict",
    "recorded": "record_trials",
    "activity": "confusion psychometric explained rates_over_time tuning intervals interval_cv "
                "similarity",
    "angles": "cosine weight_alignment firing_rates",
    "sparse": "Sparsity learning_operations",
    "spiking": "jacobian alignment mean_update update_cosine",
}
_MODULES = ("rate",)
__all__ = [*(name for names in _PLACES.values() for name in names.split()), *_MODULES]
__getattr__, __dir__ = lazily(__name__, _PLACES, _MODULES)
