"""The parameters of all figures: NAME -> "full" and "quick", units in the names."""

PARAMETERS = {
}
