"""A parameter of a text: default, unit, meaning and source."""

from dataclasses import dataclass

from bioopzo.text.equations import unit_text


@dataclass(frozen=True)
class Parameter:
    """A parameter of the model: `default` with its unit, its `meaning`, and its `source`.

    `positive` marks what must be above zero (time constants, widths); `least` and `most`, in base
    units, are what a value may be at all (a rate of learning is not negative, a share is not more
    than 1). Of an `averaged` one, a step towards what a single trial says, `most` is that of single
    trials: towards the mean of a batch a step may be as many times longer. `search` is the range,
    in the unit of the default, in which `bioopzo tune` looks (on a logarithmic scale).
    """

    default: object
    meaning: str
    positive: bool = False
    source: str = ""
    search: tuple[float, float] | None = None
    least: float | None = None
    most: float | None = None
    averaged: bool = False

    @property
    def unit(self) -> str:
        """The unit as Brian2 writes it in an equation, e.g. ``second``."""
        return unit_text(self.default)
