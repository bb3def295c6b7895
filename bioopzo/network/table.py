"""The network as data: a table of populations and one of projections.

It is made once, from a list of sizes (`network.layers`) or by the user, and completed by what a
rule needs (feedback, a critic, readouts of single layers). Whoever asks which populations there
are, what projects where, how large a weight matrix is or what a layer's blocks are called, asks
here; nobody takes a name such as ``"forward_2"`` apart.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bioopzo.arguments import whole_number
from bioopzo.errors import InputError, unknown
from bioopzo.network import wiring
from bioopzo.network.connections import Dense
from bioopzo.network.entries import Population, Projection
from bioopzo.network.kinds import KINDS, SYNAPSE_MOMENTS, PopulationKind, kind_of


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


@dataclass(frozen=True, init=False)
class Network:
    """Populations and projections, each in the order in which an engine makes them.

    `populations` and `projections` are tuples; ``network["hidden_1"]`` finds either by name.
    Raises `InputError` for names that stand twice, populations of unknown kinds, other than one
    input, readout and error population, and projections that do not fit their ends.

    ``Network(inputs=40, readouts=2)`` begins with the populations ``"input"`` and ``"readout"``;
    `population` and `connect` return networks with more:

    >>> net = (bz.Network(inputs=40, readouts=2)
    ...        .population("E", 80, sign=+1).population("I", 20, sign=-1)
    ...        .connect("input", "E").connect("E", "E", p=0.2).connect("E", "I", p=0.5)
    ...        .connect("I", "E", p=0.5).connect("E", "readout"))
    >>> model = bz.Model(net, rule="eprop")
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]

    def __init__(self, populations: Iterable[Population] = (),
                 projections: Iterable[Projection] = (), *, inputs: int = 0, readouts: int = 0
                 ) -> None:
        ends = wiring.ends(inputs, readouts) if inputs or readouts else ()
        object.__setattr__(self, "populations", (*populations, *ends))
        object.__setattr__(self, "projections", tuple(projections))
        self._check()

    def _check(self):
        _check_populations(self.populations)
        sizes = {p.name: p.size for p in self.populations}
        names = [entry.name for entry in self.entries]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"two populations or projections of a network are called {name!r}")
        object.__setattr__(self, "projections", tuple(
            _connected(projection, sizes) for projection in self.projections))

    def population(self, name: str, size: int, sign: int = 0, neuron: str = "") -> "Network":
        """The network with `size` more neurons, called `name`, which learn.

        `sign` +1 or -1 is that of all their synapses (Dale's law), 0 leaves it free; `neuron` is a
        name in ``bioopzo.neurons.available()``, default the model's. Raises `InputError` for a
        name that is taken or cannot be one, and for other signs.
        """
        new = wiring.population(name, size, sign, neuron)
        if name in self:
            raise InputError(f"two populations or projections of a network are called {name!r}")
        at = self.populations.index(self.readout)
        return self._placed((*self.populations[:at], new, *self.populations[at:]),
                            self.projections)

    def connect(self, source: str, target: str, name: str = "", *, p: float = 1.0, seed: int = 0,
                mask: Any = None, pairs: Any = None, one_to_one: bool = False,
                autapses: bool = True, delay: Any = 0.0, plastic: bool = True,
                weights: Any = None, low: float = -math.inf, high: float = math.inf) -> "Network":
        """The network with synapses from `source` onto `target`.

        Parameters
        ----------
        source, target : str
            Populations; ``"input"`` and ``"readout"`` are those at the ends. The same twice is a
            recurrent projection.
        name : str, optional
            Default ``"source_target"``.
        p, seed : float, int
            Every pair is connected with probability `p`, drawn with `seed`.
        mask : array of bool (pre, post), optional
        pairs : two sequences of whole numbers, optional
            The neurons i of the source and j of the target that are connected.
        one_to_one : bool
        autapses : bool
            Whether neurons connect to themselves, in a recurrent projection.
        delay : time or times
            From a spike to its effect; of several, every synapse has one, drawn with `seed`, and
            each is a projection of its own (``name_1``, ``name_2`` ...). Traces of the source,
            which plasticity reads, are not delayed.
        plastic : bool
            False: the weights stay as they start.
        weights : optional
            Initial weights: default uniform within gain*sqrt(3/fan-in); one number; ``("uniform",
            low, high)``, ``("normal", mean, sd)``, ``("lognormal", mean, sd)`` (of the
            logarithm); an array (pre, post); or a function of (i, j) that gives one. What is drawn
            gets the sign of the source, and is cut to the bounds.
        low, high : float
            Weights act within these bounds and are brought back into them between trials.

        Raises `InputError` for populations that are not there, no pair at all, bounds that
        contradict each other, and weights that contradict bounds or the sign of the source.
        """
        for end in (source, target):
            if end not in {p.name for p in self.populations}:
                raise unknown("population", end, [p.name for p in self.populations])
        new = wiring.projections(self[source], self[target], name or f"{source}_{target}", {
            "p": p, "seed": seed, "mask": mask, "pairs": pairs, "one_to_one": one_to_one,
            "autapses": autapses}, delay, plastic, weights, (low, high))
        return self._placed(self.populations, (*self.projections, *new))

    def rewired(self, recurrent: bool, p: float, delay: Any) -> "Network":
        """A network of layers, `recurrent` or not, with `p` and `delay`: see `Model`."""
        links = {x.name: (x.source, x.target) for x in self.forward
                 if x.target != self.readout.name}
        if recurrent:
            links |= {f"recurrent_{h.layer}": (h.name, h.name) for h in self.hidden}
        which = {"p": p, "seed": 0, "mask": None, "pairs": None, "one_to_one": False,
                 "autapses": True}
        new = [made for name, (source, target) in links.items() for made in wiring.projections(
            self[source], self[target], name, which, 0.0 if source == self.input.name else delay,
            True, None, (-math.inf, math.inf))]
        return Network(self.populations, (*new, *(x for x in self.projections
                                                  if x.name not in links)))

    def frozen(self, names: Iterable[str]) -> "Network":
        """The network where the weights of the projections in `names` stay as they start.

        Raises `InputError` for names of other projections, and where nothing would learn.
        """
        names, plastic = tuple(names), {p.name for p in self.forward}
        for name in names:
            if name not in {*plastic, *(p.name for p in self.of("fixed", "fixed_readout"))}:
                raise unknown("projection to freeze", name, sorted(plastic))
        if plastic <= set(names):
            raise InputError(f"with {', '.join(names)} frozen nothing learns: leave one of "
                             f"{', '.join(sorted(plastic))} out")
        return Network(self.populations, (
            replace(p, kind=(kind := p.kind.replace("forward", "fixed")),
                    blocks=tuple(kind if block == p.kind else block for block in p.blocks))
            if p.name in names else p for p in self.projections))

    def alike(self) -> "Network":
        """The network in which every population has the model's neuron."""
        return Network((replace(p, neuron="") for p in self.populations), self.projections)

    def _placed(self, populations, projections):
        """The network, with every population's distance from the readout."""
        distance = wiring.distances(populations, projections)
        depth = max((distance.get(p.name, 0) for p in populations if p.kind == "hidden"),
                    default=0)
        return Network((
            replace(p, distance=distance.get(p.name), layer=depth + 1 - distance[p.name]
                    if p.name in distance else None) if p.kind == "hidden" else
            replace(p, layer=depth + 1) if p.kind == "readout" else p for p in populations),
            projections)

    @property
    def depth(self) -> int:
        """The most projections from a hidden population to the readout."""
        return max((p.distance or 0 for p in self.hidden), default=0)

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
        """The plastic projections among input, hidden populations and readout, in their order."""
        return self.of("forward", "forward_readout")

    @property
    def predicting(self) -> tuple[Projection, ...]:
        """The projections, of any kind, of input and hidden populations onto hidden and readout."""
        ends = {p.name: p.kind for p in self.populations}
        return tuple(p for p in self.projections if ends[p.source] in ("input", "hidden")
                     and ends[p.target] in ("hidden", "readout"))

    @property
    def recurrent(self) -> bool:
        """Whether synapses that learn lead back, or among neurons of the same distance."""
        return any(not self.ahead(p) for p in self.of("forward")
                   if self[p.source].kind == "hidden")

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

    def ahead(self, projection: Projection) -> bool:
        """Whether a projection leads towards the readout: neither back nor to the same distance."""
        source, target = (self[end].distance for end in (projection.source, projection.target))
        return source is None or (target is not None and target < source)

    def way(self, population: Population) -> list[Population] | None:
        """The hidden populations on the shortest way from a `population` to the readout, in order.

        None where no synapses lead there.
        """
        found: list[Population] = []
        while (population.distance or 0) > 1:
            further = [self[p.target] for p in self.out_of(population.name)
                       if self[p.target].kind == "hidden"
                       and self[p.target].distance == (population.distance or 0) - 1]
            if not further:
                return None
            population = further[0]
            found.append(population)
        ends = {p.target for p in self.out_of(population.name)}
        return found if self.readout.name in ends else None

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
