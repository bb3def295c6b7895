"""What the network asks of a model, for it knows none: the model stands above."""

from collections.abc import Mapping
from typing import Any, Protocol

from brian2.units.fundamentalunits import Quantity

from bioopzo.network.table import Network


class ModelLike(Protocol):
    """What the network asks of a model: `bioopzo.Model`, or what has as much of it."""

    @property
    def network(self) -> Network:
        """Populations and projections, complete."""

    @property
    def blocks(self) -> Mapping[str, str]:
        """The text, block by block."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The value of every parameter."""

    @property
    def spread(self) -> Mapping[str, Any]:
        """The `spread.Spread` of every parameter that differs from object to object."""

    @property
    def coding(self) -> str | None:
        """How inputs are given; None: as currents."""

    @property
    def changing(self) -> bool:
        """Whether a current or a Poisson rate changes within a trial."""

    @property
    def refractory(self) -> Quantity:
        """How long the membrane is held after a spike."""

    @property
    def state_reset(self) -> bool:
        """Whether a trial begins with nothing of the one before."""

    @property
    def rule(self) -> Any:
        """The `rules.Rule`, which says what it perturbs."""
