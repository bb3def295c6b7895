"""What a network is made of: populations, projections, and how synapses start."""

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

from bioopzo.errors import unknown

DISTRIBUTIONS = ("uniform", "range", "normal", "lognormal", "given")


@dataclass(frozen=True)
class Population:
    """Neurons of one kind.

    Parameters
    ----------
    name : str
    size : int
        Neurons.
    kind : str
        ``"input"``, ``"hidden"``, ``"readout"``, ``"error"`` ... (`kinds.KINDS`).
    blocks : tuple of str
        Whose blocks describe it, the later laid over the earlier; default kind, then name.
    layer : int, optional
        Its place among the layers, counted from the input (0).
    distance : int, optional
        Projections from here to the readout whose error teaches it (a readout: 0).
    reads : tuple of (str, str)
        Words it reads neuron by neuron in another population, and that population.
    sign : int
        +1 or -1: that of all its synapses (Dale's law); 0: free.
    neuron : str
        A name in ``bioopzo.neurons.available()``; default the model's.
    """

    name: str
    size: int
    kind: str
    blocks: tuple[str, ...] = ()
    layer: int | None = None
    distance: int | None = None
    reads: tuple[tuple[str, str], ...] = ()
    sign: int = 0
    neuron: str = ""

    def __post_init__(self):
        _name_blocks(self)


@dataclass(frozen=True)
class Start:
    """How a synaptic `variable` starts.

    `distribution` is ``"uniform"`` (within `scale` times sqrt(3/fan-in) of the `centre`),
    ``"range"`` (within `scale` of it), ``"normal"`` or ``"lognormal"`` (with the standard
    deviation `scale`; of the logarithm), or ``"given"``: `values`, numbers (pre, post) as bytes.
    The spread is multiplied by the model's `parameters` named. A `sign` other than 0 is that of
    all values. What has a lower `rank` is drawn first: a network starts from the same weights with
    and without further parts.
    """

    variable: str
    distribution: str
    scale: float = 1.0
    parameters: tuple[str, ...] = ()
    rank: int = 0
    centre: float = 0.0
    sign: int = 0
    values: bytes = field(default=b"", repr=False)
    digest: str = field(init=False, compare=False, default="")

    def __post_init__(self):
        if self.distribution not in DISTRIBUTIONS:
            raise unknown("distribution of a start", self.distribution, DISTRIBUTIONS)
        if self.values:
            object.__setattr__(self, "digest", hashlib.sha256(self.values).hexdigest()[:16])


@dataclass(frozen=True)
class Projection:
    """Synapses from one population onto another.

    Parameters
    ----------
    name, source, target : str
        `source` and `target` name populations.
    kind : str
        ``"forward"``, ``"feedback"``, ``"softmax"`` ... (`kinds.KINDS`), or a word of your own.
    blocks : tuple of str
        Whose blocks describe it, the later laid over the earlier; default kind, then name.
    connection : Dense, Sparse, Pooled or Convolution, optional
        Default all to all.
    learned : tuple of str
        Variables that its plasticity changes, e.g. ``("w",)``.
    start : Start, optional
        Default: all variables start at zero.
    text : tuple of (str, str)
        Text of its own: moment (``""`` for equations) and lines.
    delay : float
        Seconds from a spike to its effect, a multiple of the time step.
    low, high : float
        What a weight acts within.
    """

    name: str
    source: str
    target: str
    kind: str
    blocks: tuple[str, ...] = ()
    connection: Any = None
    learned: tuple[str, ...] = ()
    start: Start | None = None
    text: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self):
        _name_blocks(self)


def _name_blocks(entry):
    """An entry is described by the blocks of its kind, and those of its own name over them."""
    if not entry.blocks:
        object.__setattr__(entry, "blocks", tuple(dict.fromkeys((entry.kind, entry.name))))


@dataclass(frozen=True)
class Needs:
    """What a rule needs of a network, as `rules.Rule` says it: see there."""

    branches: tuple[int, ...]
    intermediate: int | None
    matrix: str
    feedback_scale: float
