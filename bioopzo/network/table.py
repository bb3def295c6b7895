"""The network as data: a table of populations and one of projections.

It is made once, by `layered` from a list of sizes or by the user, and `completed` by what a rule
needs (feedback, a critic, readouts of single layers). Whoever asks which populations there are,
what projects where, how large a weight matrix is or what a layer's blocks are called, asks here;
nobody takes a name such as ``"forward_2"`` apart.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from bioopzo.arguments import whole_number
from bioopzo.errors import InputError, unknown
from bioopzo.network.connections import Dense
from bioopzo.network.kinds import KINDS, SYNAPSE_MOMENTS, PopulationKind, kind_of


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
    """

    name: str
    size: int
    kind: str
    blocks: tuple[str, ...] = ()
    layer: int | None = None
    distance: int | None = None
    reads: tuple[tuple[str, str], ...] = ()

    def __post_init__(self):
        _name_blocks(self)


@dataclass(frozen=True)
class Start:
    """How a synaptic `variable` starts.

    `distribution` is ``"uniform"`` (within `scale` times sqrt(3/fan-in)) or ``"normal"`` (with
    the standard deviation `scale`); both times the model's `parameters` named. What has a lower
    `rank` is drawn first: a network starts from the same weights with and without further parts.
    """

    variable: str
    distribution: str
    scale: float = 1.0
    parameters: tuple[str, ...] = ()
    rank: int = 0

    def __post_init__(self):
        if self.distribution not in ("uniform", "normal"):
            raise unknown("distribution of a start", self.distribution, ("uniform", "normal"))


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
    connection : Dense, Pooled or Convolution, optional
        Default all to all.
    learned : tuple of str
        Variables that its plasticity changes, e.g. ``("w",)``.
    start : Start, optional
        Default: all variables start at zero.
    text : tuple of (str, str)
        Text of its own: moment (``""`` for equations) and lines.
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


def _check_populations(populations):
    """Refuse populations that are no network: of unknown kinds, without input, readout, error."""
    for population in populations:
        if not isinstance(kind_of(population.kind), PopulationKind):
            kinds = [name for name, kind in KINDS.items() if isinstance(kind, PopulationKind)]
            raise unknown(f"kind of population {population.name}", population.kind, kinds)
        whole_number(f"the size of {population.name}", population.size)
    for kind in ("input", "readout", "error"):
        count = sum(population.kind == kind for population in populations)
        if count != 1:
            raise InputError(f"a network has one population of kind {kind!r}, not {count}")
    readout, error = (next(p for p in populations if p.kind == kind)
                      for kind in ("readout", "error"))
    if readout.size != error.size:
        raise InputError(f"the error population has as many units as the readout: {readout.size}, "
                         f"not {error.size}")


def _connected(projection, sizes):
    """The projection with its connection, which fits the populations (name -> size) at its ends."""
    for end in (projection.source, projection.target):
        if end not in sizes:
            raise unknown(f"population of projection {projection.name}", end, sizes)
    for moment, _ in projection.text:
        if moment.partition(".")[0] not in SYNAPSE_MOMENTS:
            raise unknown(f"moment of projection {projection.name}", moment, SYNAPSE_MOMENTS)
    ends = sizes[projection.source], sizes[projection.target]
    if projection.connection is None:
        return replace(projection, connection=Dense(*ends))
    if (projection.connection.pre, projection.connection.post) != ends:
        raise InputError(f"projection {projection.name} connects {projection.connection.pre} with "
                         f"{projection.connection.post} neurons, and its populations have "
                         f"{ends[0]} and {ends[1]}")
    return projection


@dataclass(frozen=True)
class Network:
    """Populations and projections, each in the order in which an engine makes them.

    `populations` and `projections` are tuples; ``network["hidden_1"]`` finds either by name.
    Raises `InputError` for names that stand twice, populations of unknown kinds, other than one
    input, readout and error population, and projections that do not fit their ends.
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]

    def __post_init__(self):
        _check_populations(self.populations)
        sizes = {p.name: p.size for p in self.populations}
        names = [entry.name for entry in self.entries]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"two populations or projections of a network are called {name!r}")
        object.__setattr__(self, "projections", tuple(
            _connected(projection, sizes) for projection in self.projections))

    @property
    def entries(self) -> tuple[Population | Projection, ...]:
        """The populations, then the projections."""
        return (*self.populations, *self.projections)

    def get(self, name: str) -> Population | Projection | None:
        """The population or projection called `name`, or None."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def __getitem__(self, name: str) -> Any:
        entry = self.get(name)
        if entry is None:
            raise KeyError(name)
        return entry

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def of(self, *kinds: str) -> tuple[Any, ...]:
        """The populations and projections of some `kinds`, in their order."""
        return tuple(e for e in self.entries if e.kind in kinds)

    @property
    def input(self) -> Population:
        """The population that gets the trial's input."""
        return self.of("input")[0]

    @property
    def hidden(self) -> tuple[Population, ...]:
        """The hidden populations, from the input on."""
        return self.of("hidden")

    @property
    def readout(self) -> Population:
        """The population whose decision counts."""
        return self.of("readout")[0]

    @property
    def error(self) -> Population:
        """The population that compares the readout with the target."""
        return self.of("error")[0]

    @property
    def forward(self) -> tuple[Projection, ...]:
        """The plastic projections on the way from the input to the readout, in their order."""
        return self.of("forward", "forward_readout")

    @property
    def layers(self) -> tuple[Population, ...]:
        """Input, hidden populations and readout."""
        return (self.input, *self.hidden, self.readout)

    def into(self, name: str) -> tuple[Projection, ...]:
        """The projections onto the population called `name`."""
        return tuple(p for p in self.projections if p.target == name)

    def out_of(self, name: str) -> tuple[Projection, ...]:
        """The projections from the population called `name`."""
        return tuple(p for p in self.projections if p.source == name)

    def perturbed(self, projection: Projection) -> bool:
        """Whether the source of a projection carries a perturbation of its own."""
        return self[projection.source].kind == "hidden"

    def plus(self, *entries: Population | Projection) -> "Network":
        """The network with further populations and projections, `entries`."""
        new: dict[bool, list[Any]] = {True: [], False: []}
        for entry in entries:
            new[isinstance(entry, Population)].append(entry)
        return Network((*self.populations, *new[True]), (*self.projections, *new[False]))

    def shrunk(self) -> "Network":
        """The network with one neuron in every population, all to all."""
        return Network(tuple(replace(p, size=1) for p in self.populations),
                       tuple(replace(p, connection=None) for p in self.projections))

    def described(self) -> dict[str, dict[str, Any]]:
        """Sizes and ends by name, as JSON holds them; what a saved run knows of its network."""
        return {
            "populations": {p.name: {"kind": p.kind, "size": p.size} for p in self.populations},
            "projections": {p.name: {"kind": p.kind, "ends": [p.source, p.target],
                                     "shape": list(p.connection.shape)}
                            for p in self.projections},
        }


def recorded(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's `meta` says of its network, as `Network.described` has it.

    Runs saved before this was kept are layers of their sizes; every projection that such a
    network could have is there.
    """
    if "network" in meta:
        return meta["network"]
    layers, depth = layered(meta["sizes"]), len(meta["sizes"]) - 2
    rule = Needs(tuple(range(1, depth + 1)), depth, "M", 0.0)
    return completed(layers, rule, ("feedback", "critic", "report")).described()


def layered(sizes: Sequence[int], connections: Mapping[str, Any] | None = None) -> Network:
    """The network of layers of `sizes`: inputs, hidden layers, readouts.

    Each projects onto the next, all to all or as `connections` (name -> connection) says. An
    error population compares the readout with the target.
    """
    depth, connections = len(sizes) - 2, connections or {}
    hidden = [Population(f"hidden_{k}", sizes[k], "hidden", layer=k, distance=depth + 1 - k)
              for k in range(1, depth + 1)]
    layers = [Population("input", sizes[0], "input", layer=0), *hidden,
              Population("readout", sizes[-1], "readout", layer=depth + 1, distance=0,
                         reads=(("err", "error"),))]
    error = Population("error", sizes[-1], "error", reads=(("o", "readout"),))
    projections = []
    for k, (source, target) in enumerate(pairwise(layers), 1):
        kind = "forward_readout" if target.kind == "readout" else "forward"
        scales = ("gain", "input_gain") if k == 1 else ("gain",)
        projections.append(Projection(
            f"forward_{k}", source.name, target.name, kind, (kind, f"forward_{k}"),
            connections.get(f"forward_{k}"), ("w",), Start("w", "uniform", parameters=scales)))
    return Network((*layers, error), tuple(projections))


def completed(network: Network, rule: Any, blocks: Container[str]) -> Network:
    """The network with what a `rule` needs besides: feedback, branches, a critic, the softmax.

    `rule` is a `rules.Rule`, or the `Needs` of one; `blocks` are the model's, by name.
    """
    error, outputs = network.error, network.readout.size
    populations, projections = [], []
    critic = "critic" in blocks
    if critic:
        populations.append(Population("critic", 1, "critic"))
    for k in rule.branches:
        source = network.hidden[k - 1].name
        populations += [
            Population(f"local_{k}", outputs, "local", layer=k, distance=0,
                       reads=(("err", f"localerror_{k}"),)),
            Population(f"localerror_{k}", outputs, "localerror", layer=k,
                       reads=(("o", f"local_{k}"), ("y", error.name)))]
        projections += [
            Projection(f"forward_local_{k}", source, f"local_{k}", "forward_local",
                       learned=("w",), start=Start("w", "uniform", 1.0, ("gain",), 3)),
            _softmax(f"softmax_local_{k}", f"localerror_{k}")]
    if rule.intermediate:
        middle = f"localerror_{rule.intermediate}"
        projections += [_feedback("intermediate", middle, population, rule)
                        for population in network.hidden[:rule.intermediate - 1]]
    if "feedback" in blocks:
        projections += [_feedback("feedback", error.name, population, rule)
                        for population in network.hidden]
    projections.append(_softmax("softmax", error.name))
    if "report" in blocks and critic:
        projections.append(Projection("report", error.name, "critic", "report"))
    return network.plus(*populations, *projections)


def _feedback(kind, source, target, rule):
    learned = (rule.matrix,) if rule.matrix else ()
    rank = 1 if kind == "feedback" else 2
    start = Start(rule.matrix, "normal", rule.feedback_scale, (), rank)
    return Projection(f"{kind}_{target.layer}", source, target.name, kind, learned=learned,
                      start=start if learned and rule.feedback_scale else None)


def _softmax(name, population):
    """The sum over an error population that the softmax divides by."""
    return Projection(name, population, population, "softmax", (),
                      text=(("", "Z_post = expo_pre : 1 (summed)"),))
