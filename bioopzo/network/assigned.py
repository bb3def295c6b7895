"""What a user gives for a parameter: a number, an array, a distribution, or these by object."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from brian2.units.fundamentalunits import (
    DimensionMismatchError,
    Quantity,
    get_dimensions,
    have_same_dimensions,
)

from bioopzo.arguments import checked_value, checked_values, whole_number
from bioopzo.errors import InputError, unknown
from bioopzo.network.asked import ModelLike
from bioopzo.network.draft import draft
from bioopzo.network.entries import Population
from bioopzo.network.objects import names_used
from bioopzo.network.spread import Spread, own_name, read_by
from bioopzo.text.entries import Entries
from bioopzo.text.equations import parse

#: How values are drawn, with what follows the word; a seed may stand behind it.
DISTRIBUTIONS = {"normal": ("mean", "sd"), "uniform": ("low", "high"),
                 "lognormal": ("mean", "sd of the logarithm")}
#: What belongs to the trial or to the rule's perturbation as a whole.
WHOLE = ("T_z", "T_w", "alpha")


def whole(name: str) -> bool:
    """Whether the parameter called `name` is one number in any case."""
    return name in WHOLE or name.endswith("_final")


def differs(value: Any) -> bool:
    """Whether what a user gives for a parameter is more than one number."""
    if isinstance(value, Mapping) or _is_drawn(value):
        return True
    try:
        return np.asarray(value, float).ndim > 0
    except (TypeError, ValueError):
        return False


def _is_drawn(value):
    return isinstance(value, (tuple, list)) and bool(value) and isinstance(value[0], str)


def kept(value: Any) -> Any:
    """What a user gives for a parameter, as a model keeps it: nobody changes it later.

    Raises `InputError` for a list of what is no number, or of several units.
    """
    if isinstance(value, Mapping):
        return Entries({key: kept(one) for key, one in value.items()})
    if _is_drawn(value):
        return tuple(value)
    if isinstance(value, (list, tuple)):
        try:
            value = Quantity(list(value))  # of numbers with a unit each
        except (TypeError, ValueError, DimensionMismatchError):
            raise InputError(f"values in a list are numbers of one unit, not {value!r}") from None
    if isinstance(value, np.ndarray) and value.ndim:
        value = value.copy()
        value.flags.writeable = False
    return value


def sample(value: Any) -> Any:
    """A number in a value that a user gives, by which its unit is known."""
    if isinstance(value, Mapping):
        return sample(next(iter(value.values()), 0.0))
    if _is_drawn(value):
        return value[1] if len(value) > 1 else 0.0
    return value


def shrunk(value: Any) -> Any:
    """A value for a network with one neuron in every population."""
    if isinstance(value, Mapping):
        return Entries({name: shrunk(one) for name, one in value.items()})
    return value[:1] if differs(value) and not _is_drawn(value) else value


# ---------------------------------------------------------------------------- by object

class Readers:
    """Which objects of a `model` read which words, in text (`texts`) and where weights start."""

    def __init__(self, model: ModelLike) -> None:
        self.network, objects = model.network, draft(model, delays=False)
        self.texts: dict[str, set[str]] = {}
        for group in objects.groups.values():
            own = {line.name for line in parse(group.equations, group.name)}
            self.texts[group.name] = (names_used(group) | set(group.constants)) - own
        if model.coding is None:  # a task will say
            self.texts[self.network.input.name].add("input_rate")
        for synapse in objects.synapses.values():
            self.texts[synapse.name] = read_by(synapse)
        self.words = set().union(*self.texts.values())
        self.starts = {p.name: set(p.start.parameters) if p.start else set()
                       for p in self.network.projections}

    def populations(self, word: str) -> list[Population]:
        """The populations whose text reads a `word`, or for which others read it."""
        return [p for p in self.network.populations
                if word in self.texts[p.name] or own_name(word, p.name) in self.words]

    def projections(self, word: str) -> list[str]:
        """The projections whose text, or whose start, reads a `word`."""
        return [p.name for p in self.network.projections
                if word in self.texts[p.name] | self.starts[p.name]]

    def named(self, word: str) -> list[str]:
        """The objects that a value of a `word` may be given for."""
        into = {p.target for p in self.network.projections if word in self.texts[p.name]}
        return [p.name for p in self.network.populations
                if p in self.populations(word) or p.name in into] + self.projections(word)

    def without(self, word: str, names: Iterable[str]) -> list[str]:
        """The objects that read a `word` and find it neither among `names` nor at their ends."""
        has = {*names, *(p.name for p in self.populations(word))}
        return [p.name for p in self.populations(word) if p.name not in names] + [
            name for name in self.projections(word) if name not in names
            and not {self.network[name].target, self.network[name].source} & has]


def read_still(given: Mapping[str, Any], readers: Readers) -> dict[str, Any]:
    """Values of parameters, without what they say of objects that do not read them."""
    found = {}
    for name, value in given.items():
        if isinstance(value, Mapping):
            value = Entries({key: x for key, x in value.items() if key in readers.named(name)})
        if not differs(value) or (value if isinstance(value, Mapping)
                                  else readers.populations(name)):
            found[name] = value
    return found


def spreads(readers: Readers, given: Mapping[str, Any], declared: Mapping[str, Any],
            numbers: Mapping[str, Any], images: bool) -> dict[str, Spread]:
    """The parameters in `given` that differ from object to object, each as a `Spread`.

    `declared` says what is known of parameters, `numbers` what they are where nothing is given;
    `images` is whether the network is an architecture. What nothing reads is left out, as a number
    would be. Raises `InputError`.
    """
    problems, found = [], {}
    for name, value in given.items():
        if name in declared and not readers.named(name) and not whole(name):
            continue
        taken = [own for entry in readers.network.entries
                 if (own := own_name(name, entry.name)) in {*declared, *given}]
        try:
            if differs(value) and taken:
                raise InputError(f"{taken[0]} is what others call {name} of one object: give your "
                                 "own parameter another name")
            if differs(value) and images and name == "gain":
                _check_gains(value)
            if differs(value):
                found[name] = resolved(readers, name, value, declared.get(name),
                                       numbers.get(name))
        except InputError as problem:
            problems.append(str(problem))
    if problems:
        raise InputError("\n".join(problems))
    return found


def _check_gains(value):
    """The weights of an image are standardised: a gain is one number for all its synapses."""
    if not isinstance(value, Mapping) or any(np.ndim(one) or _is_drawn(one)
                                             for one in value.values()):
        raise InputError("the gain of an architecture is one number, or one for each projection: "
                         "gain={'forward_1': 2, 'forward_2': 1.5}")


def resolved(readers: Readers, name: str, value: Any, parameter: Any, base: Any) -> Spread:
    """What a user gives for the parameter called `name`, as a `Spread`.

    `parameter` says what is known of it, `base` is what it is where nothing is given: None for one
    of the user's own. Raises `InputError`.
    """
    network = readers.network
    if whole(name):
        raise InputError(f"parameter {name} is one number, the same for the whole network, not "
                         f"{value!r:.80}")
    given = dict(value) if isinstance(value, Mapping) else _for_all(readers, name, value)
    values = {}
    for key, one in given.items():
        if key not in network:
            raise unknown(f"population or projection of the parameter {name}", key,
                          [entry.name for entry in network.entries])
        if key not in readers.named(name):
            raise InputError(f"{key} does not read the parameter {name}; these do: "
                             f"{', '.join(readers.named(name)) or 'none'}")
        values[key] = _value(name, network[key], one, parameter)
    if not values:
        raise InputError(f"parameter {name} needs a value for a population or projection, not {{}}")
    mean = _mean(readers, name, values, base)
    if not isinstance(value, Mapping):
        base = mean
    missing = readers.without(name, values) if base is None else ()
    if missing:
        raise InputError(f"parameter {name} has no default: give its value for "
                         f"{', '.join(missing)}, too")
    if parameter is None and not all(have_same_dimensions(x, next(iter(values.values())))
                                     for x in values.values()):
        raise InputError(f"parameter {name} has one unit, not that of each of {value!r:.80}")
    return Spread(values, mean if base is None else base, mean)


def _for_all(readers, name, value):
    """An array or a distribution for every population that reads it."""
    reading = readers.populations(name)
    if not reading:
        synapses = readers.projections(name)
        raise InputError(f"no neurons read the parameter {name}" + (
            f", only synapses do: give numbers by projection, {name}={{{synapses[0]!r}: ...}} (of "
            f"{', '.join(synapses)})" if synapses else ": give one number, or leave it out"))
    if not _is_drawn(value) and any(np.shape(value) != (p.size,) for p in reading):
        sizes = ", ".join(f"{p.name} ({p.size})" for p in reading)
        raise InputError(f"parameter {name} has {_shape(value)} values, and these read it: {sizes};"
                         f" say whose they are, {name}={{{reading[-1].name!r}: ...}}")
    return {p.name: value for p in reading}


def _shape(value):
    return " x ".join(map(str, np.shape(value))) or "no"


def _value(name, entry, value, parameter):
    """The value of a population or projection."""
    label = f"{name} of {entry.name}"
    if not differs(value):
        return checked_value(label, value, parameter)
    if not isinstance(entry, Population) or isinstance(value, Mapping):
        raise InputError(f"parameter {label} is one number, not {value!r:.80}")
    if not _is_drawn(value):
        if np.shape(value) != (entry.size,):
            raise InputError(f"parameter {label} has {_shape(value)} values, and {entry.name} has "
                             f"{entry.size} neurons")
        return checked_values(label, value, parameter)
    return checked_values(label, _drawn(name, entry, value, parameter), parameter,
                          f": {value!r} draws such; ('lognormal', mean, sd of the logarithm) does "
                          "not, nor does ('uniform', low, high) with a low above zero")


def _drawn(name, entry, told, parameter):
    """Values of a distribution, the same for the same (seed, parameter, population)."""
    if told[0] not in DISTRIBUTIONS or len(told) not in (3, 4):
        forms = " or ".join(f"({word!r}, {', '.join(more)})"
                            for word, more in DISTRIBUTIONS.items())
        raise InputError(f"parameter {name} is drawn as {forms}, with a seed behind it if you "
                         f"like, not {told!r}")
    kind, first, second, *seed = told
    free = parameter and replace(parameter, positive=False, least=None, most=None)
    first = checked_value(f"{name}, {told!r}:", first, free)
    scale = checked_value(f"{name}, {told!r}:", second, None)
    if kind != "lognormal" and not have_same_dimensions(first, scale):
        raise InputError(f"parameter {name}: {told!r} needs two numbers of one unit")
    if kind == "lognormal" and not have_same_dimensions(scale, 1):
        raise InputError(f"parameter {name}: the sd of the logarithm in {told!r} has no unit")
    a, b = float(first), float(scale)
    if b < (a if kind == "uniform" else 0) or (kind == "lognormal" and a <= 0):
        raise InputError(f"parameter {name}: {told!r} needs " + {
            "uniform": "a high that is not below low", "normal": "an sd that is not below zero",
            "lognormal": "a mean above zero (of the values, not of their logarithm) and an sd that "
                         "is not below zero"}[kind])
    chosen = whole_number(f"the seed of {name}", seed[0] if seed else 0, least=0)
    rng = np.random.default_rng([chosen, zlib.crc32(name.encode()),
                                 zlib.crc32(entry.name.encode())])
    if kind == "uniform":
        values = rng.uniform(a, b, entry.size)
    else:
        z = rng.standard_normal(entry.size)
        values = a + b*z if kind == "normal" else a*np.exp(b*z - b*b/2)
    return _with_unit(values, first)


def _with_unit(values, like):
    return Quantity(values, dim=get_dimensions(like)) if isinstance(like, Quantity) else values


def _mean(readers, name, values, base):
    """The mean over the neurons, or else the projections, that read it."""
    entries = {p.name: p.size for p in readers.populations(name)}
    entries = entries or {p.name: p.size for p in readers.network.populations if p.name in values}
    entries = entries or dict.fromkeys(readers.projections(name), 1)
    pairs = [(values.get(key, base), size) for key, size in entries.items()
             if values.get(key, base) is not None]
    total = sum(size * float(np.mean(np.asarray(value, float))) for value, size in pairs)
    return _with_unit(total / sum(size for _, size in pairs), next(iter(values.values())))


def notes(model: ModelLike, readers: Readers) -> Iterator[str]:
    """Where the text has one number of a parameter that is another for every neuron."""
    for name, spread in model.spread.items():
        for entry in model.network.populations:
            if own_name(name, entry.name) in readers.words and spread.uneven(entry.name):
                yield (f"{own_name(name, entry.name)} is the mean over {entry.name}, whose neurons "
                       f"have values of {name} of their own: what other populations make of it "
                       "(zbar) is near, and not exact")
        alone = [x for x in readers.without(name, spread) if x in model.network
                 and not isinstance(model.network[x], Population)]
        if alone and any(isinstance(model.network[key], Population) for key in spread):
            yield (f"{', '.join(alone)} read {name}, which neither of their ends has: it is "
                   f"{spread.base} there")
