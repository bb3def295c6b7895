"""The parameters of all figures: NAME -> "full" and "quick", units in the names."""

PARAMETERS = {
    "anatomy": {
        "full": {"trials": 600, "seed": 0, "layer": 2},
        "quick": {"trials": 300, "seed": 0, "layer": 2},
    },
}
