"""The model: a frozen description of a network as text blocks and parameters with units."""

import json
import warnings
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from brian2.units import second
from brian2.units.fundamentalunits import Quantity, have_same_dimensions

from bioopzo import composition, neurons, rules, stored
from bioopzo.arguments import (
    checked_choice,
    checked_names,
    checked_share,
    checked_sizes,
    checked_time,
    checked_value,
)
from bioopzo.checks.check import check
from bioopzo.errors import EquationError, InputError, Mistake, ModelWarning, unknown
from bioopzo.exact import digest
from bioopzo.files import readable, writable, write_json
from bioopzo.network import assigned, parts, paths, spread
from bioopzo.network.assembly import assemble
from bioopzo.network.blocks import CODINGS, is_block
from bioopzo.network.clock import fitting_holds
from bioopzo.network.connections import Convolution, architecture
from bioopzo.network.layers import completed, layered
from bioopzo.network.reached import reached
from bioopzo.network.regime import derived
from bioopzo.network.table import Network
from bioopzo.show.differences import Difference, difference
from bioopzo.show.model import html
from bioopzo.show.model import text as page
from bioopzo.text.entries import Entries
from bioopzo.text.equations import defines, identifiers, is_expression, parse
from bioopzo.text.merge import carried, settled
from bioopzo.text.parameters import Parameter

#: How `Model.save` writes.
FORMAT = 1
#: What `Model.replace` may change, beside rule, options and parameters.
_SETTINGS = ("neuron", "reset", "refractory", "error", "coding", "surrogate", "dropout",
             "state_reset", "freeze")
#: Those that write into the blocks of hidden neurons.
_OF_HIDDEN = {"neuron", "neuron_options", "reset", "refractory", "surrogate", "dropout"}
_NOTHING: Entries[Any] = Entries({})
#: What a model keeps where a copy differs in numbers alone.
_TEXT = ("declared", "layers", "network", "_written", "_followed")
#: What a model is made of beside its fields, and takes with it.
_MADE = ("rule", "cell", "cells")


@dataclass(frozen=True, init=False, eq=False)
class Model:
    """A spiking network and its learning rule, as editable text.

    Parameters
    ----------
    sizes : sequence of int, str or Network
        Inputs, hidden layers (at least one), readouts, e.g. ``[64, 32, 32, 10]``; or an
        architecture with convolutions for the rate engine, e.g. ``"28x28-32C3-AP2-64C3-AP2-10"``
        (see `network.connections.architecture`); or a table of populations and projections
        (`network.table.Network`).
    rule : str
        A name in ``bioopzo.rules.available()``; default ``"opzo"``. A rule in a file of your
        own is added first: ``rule=bioopzo.rules.add("my_rule.py")``.
    neuron : str
        A name in ``bioopzo.neurons.available()``; default ``"logistic"``: the escape noise, whose
        derivative is psi. A neuron in a file of your own is added first:
        ``neuron=bioopzo.neurons.add("my_neuron.py")``.
    reset : ``"soft"`` (the neuron's own, u -= theta) or ``"hard"`` (u = 0).
    refractory : time after a spike without another, in which psi is 0; default none.
    error : ``"graded"`` or ``"spiking"`` error population, ``"reward"`` (an action is drawn from
        the readout, and only its reward comes back) or None (taken from the task: graded where it
        shows targets).
    coding : ``"current"``, ``"poisson"``, ``"spikes"`` or None (taken from the task).
    surrogate : ``"escape"``, ``"localzo_normal"``, ``"localzo_uniform"``, ``"localzo_laplace"``,
        ``"localzo"`` or ``"localzo_5"`` (samples): what psi is; default the escape noise's own.
    dropout : float
        Share of hidden neurons silent in a trial while learning; default 0.
    state_reset : bool
        Whether membranes, traces and readout start every trial at zero.
    recurrent, p, delay : bool, float, time
        Of a list of sizes: whether hidden layers project onto themselves (``"recurrent_1"`` ...),
        with which probability two neurons are connected (but onto the readout), and the delay of
        the spikes between hidden neurons. Other networks are made with `Network`.
    freeze : sequence of str
        Projections whose weights stay as they start, e.g. ``["forward_1"]``.
    options : mapping
        Options of the rule, e.g. ``{"place": "before"}``; they may also be given as keywords, and
        those of the neuron as keywords only.
    **parameters
        Any parameter of the model by name, with its unit, e.g. ``tau_m=10*ms``: a number; an
        array, a value for each neuron; a distribution, ``("normal", mean, sd)``, ``("uniform",
        low, high)`` or ``("lognormal", mean, sd)`` (the mean of the values, the sd of their
        logarithm), with a seed behind it (default 0); or a mapping from populations to these, or
        from projections to numbers: ``eta={"forward_1": 20*Hz, "forward_2": 5*Hz}``. What a
        mapping does not name keeps its default.

    Raises
    ------
    InputError
        Unknown names, sizes or values that cannot be used, wrong units.

    Examples
    --------
    >>> model = Model([64, 32, 32, 10], rule="opzo", tau_m=10*ms)
    >>> model = model.edit(psi="psi = exp(-abs(u - theta)/Delta) : 1")
    """

    sizes: tuple[int, ...]
    layout: str
    rule_name: str
    neuron: str
    neuron_options: Mapping[str, object]
    reset: str
    refractory: Quantity
    error: str | None
    coding: str | None
    surrogate: str
    dropout: float
    state_reset: bool
    options: Mapping[str, object]
    given: Mapping[str, object]
    freeze: tuple[str, ...] = ()
    regime: Mapping[str, object] = field(default_factory=dict)
    edits: tuple[tuple[str, str], ...] = ()
    given_network: Network | None = None
    changing: bool = False

    def __init__(self, sizes: Iterable[int] | str | Network, rule: str = "opzo",
                 neuron: str = "logistic", reset: str = "soft", refractory: Quantity = 0 * second,
                 error: str | None = None, coding: str | None = None, surrogate: str = "escape",
                 dropout: float = 0.0, state_reset: bool = True, recurrent: bool = False,
                 p: float = 1.0, delay: Any = 0 * second, freeze: Iterable[str] = (),
                 options: Mapping[str, object] | None = None, **parameters: Any) -> None:
        options = dict(options or {})
        own = {key: parameters.pop(key) for key in neurons.options(neuron) if key in parameters}
        known = rules.options(rule)
        for key in own.keys() & known.keys():
            raise InputError(f"rule {rule} and neuron {neuron} both have an option {key!r}: give "
                             "it another name in one of the two files")
        options.update({key: parameters.pop(key) for key in list(parameters) if key in known})
        layout, network = sizes if isinstance(sizes, str) else "", None
        if layout:
            parsed, _ = architecture(layout)
            sizes = list(parsed)
            if len(parsed) < 3:
                raise InputError(f"architecture {layout!r} needs at least one hidden layer, and "
                                 f"has {sizes}; a network without one is a list, [64, 10]")
        elif isinstance(sizes, Network):
            network, sizes = sizes, [layer.size for layer in sizes.layers]
        sizes = checked_sizes(sizes)
        if not isinstance(recurrent, bool):
            raise InputError(f"recurrent is True or False, not {recurrent!r}")
        wired = recurrent or p != 1 or bool(np.any(delay))
        if wired and (layout or network):
            raise InputError("recurrent, p and delay are properties of a network given as a list "
                             "of sizes: " + ("an architecture has none" if layout else
                             "say them where its projections are connected"))
        if not layout and not network and (wired or len(sizes) == 2):
            network = layered(sizes).rewired(recurrent, p, delay)
        settings = _checked_settings(dict(
            neuron=neuron, reset=reset, refractory=refractory, error=error, coding=coding,
            surrogate=surrogate, dropout=dropout, state_reset=state_reset, freeze=freeze))
        _store(self, sizes=sizes, layout=layout, rule_name=rule, **settings,
               neuron_options=Entries(own),
               options=Entries(options), given=Entries(dict(parameters)),
               regime=_NOTHING, edits=(), given_network=network, changing=False)
        self._compose()

    def _with(self, **changes):
        """A copy with some fields replaced, composed and checked anew."""
        new = object.__new__(Model)
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if "neuron" in changes:
            fields["neuron_options"] = Entries({})
        _store(new, **{**fields, **changes})
        if not changes.keys() & {"neuron", "neuron_options"}:
            new.__dict__["cell"] = self.cell
        new.__dict__["cells"] = new._named_cells(self.cells)
        if new.depth == self.depth and not changes.keys() & {"rule_name", "options"}:
            new.__dict__["rule"] = self.rule  # though its file may have been added anew since
        if self._reads_as(new):
            new.__dict__.update({name: self.__dict__[name] for name in _TEXT
                                 if name in self.__dict__})
        new._compose()
        return new

    def _reads_as(self, new):
        """Whether a copy differs in numbers alone, none of which the text depends on."""
        objects = {"given", "regime", "options", "neuron_options", "given_network"}
        mine, theirs = ({**{name: getattr(model, name)
                            for name in self.__dataclass_fields__.keys() - objects},
                         "coding": model.coding or "current"} for model in (self, new))
        same = ("options", "neuron_options", "given_network")
        return (mine == theirs and all(getattr(self, x) is getattr(new, x) for x in same)
                and {"rule", "cell"} <= new.__dict__.keys()
                and not self.layout  # whose weights follow its gain
                and not any(map(assigned.differs, [*self.given.values(), *new.given.values()]))
                and self._followed.known)  # which the text `as_written` has not

    def __getstate__(self):
        """What travels to another process or into a copy: the fields, rule and neuron as they are.

        Their files may not be known there, or have changed since.
        """
        return {name: getattr(self, name) for name in [*self.__dataclass_fields__, *_MADE]}

    def _compose(self):
        """Compose text and parameters now, so that what is wrong is said when it is written."""
        _store(self, given=Entries({name: assigned.kept(x) for name, x in self.given.items()}))
        problems = []
        for part in ("blocks", "parameters"):
            try:
                getattr(self, part)
            except InputError as problem:
                problems.append(problem)
        if len({str(problem) for problem in problems}) == 1:  # the rule fails in both, say
            raise problems[0]
        if problems:
            raise EquationError([m for problem in problems for m in _mistakes(problem)])

    @property
    def depth(self) -> int:
        """Number of hidden layers; the most steps from a hidden population to the readout."""
        return self.given_network.depth if self.given_network else len(self.sizes) - 2

    @property
    def feedback(self) -> str:
        """What kind of error population there is: as given, else graded."""
        return self.error or "graded"

    @cached_property
    def connections(self) -> Mapping[str, Any]:
        """Connectivity that is not all to all: ``{"forward_1": Convolution, ...}``."""
        if not self.layout:
            return Entries({})
        gain, gains = float(self._numbers["gain"]), self.given.get("gain")
        own = {name: one for name, one in gains.items() if np.ndim(one) == 0} if isinstance(
            gains, Mapping) else {}
        return Entries({name: replace(one, gain=float(own[name])) if name in own and isinstance(
            one, Convolution) else one for name, one in architecture(self.layout, gain)[1].items()})

    @cached_property
    def layers(self) -> Network:
        """The `Network` that the rule is laid over: of layers, or the one that was given."""
        network = self.given_network or layered(self.sizes, self.connections)
        return network.frozen(self.freeze) if self.freeze else network

    @cached_property
    def network(self) -> Network:
        """The `Network`, complete: populations and projections as data."""
        return completed(self.layers, self.rule, self.blocks)

    @cached_property
    def rule(self) -> rules.Rule:
        """The `Rule` in force."""
        return rules.get(self.rule_name, max(1, self.depth), **self.options)

    @cached_property
    def cell(self) -> neurons.Neuron:
        """The `Neuron` in force."""
        return neurons.get(self.neuron, **self.neuron_options)

    @cached_property
    def cells(self) -> Mapping[str, neurons.Neuron]:
        """The `Neuron` of hidden populations that have another than the model's, by its name."""
        return self._named_cells({})

    def _named_cells(self, known):
        """The `cells`, those that are `known` as they are: their files may have changed since."""
        named = {p.neuron for p in self.given_network.hidden if p.neuron} if self.given_network \
            else ()
        return Entries({name: known[name] if name in known else neurons.get(name)
                        for name in sorted(named)})

    @cached_property
    def declared(self) -> Mapping[str, Parameter]:
        """Every parameter the blocks declare: name -> `Parameter`."""
        parts.error(self.feedback)
        table = {**parts.PARAMETERS, **parts.PROTOCOL, **parts.ERROR_PARAMETERS[self.feedback],
                 **self.cell.parameters}
        if self.feedback == "reward":
            del table["c"]  # there is no loss to be mixed
        for population in self.given_network.hidden if self.given_network else ():
            if population.neuron:
                table = {**self.cells[population.neuron].parameters, **table}
        if self.surrogate != "escape":
            table.update(parts.SURROGATE_PARAMETERS)
        table.update(self.rule.parameters)
        return Entries(table)

    @cached_property
    def blocks(self) -> Mapping[str, str]:
        """The text blocks: name -> text, the rule's lines over the network's, then the edits.

        The way of a perturbation follows from the text in force (see `network.paths`).
        """
        return self._followed.blocks

    @property
    def obstacles(self) -> tuple[Mistake, ...]:
        """Why the rule cannot see the neurons and synapses that it teaches; empty where it can."""
        return self._followed.mistakes

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the way of a perturbation is near the text's, and not the text's own.

        And where a parameter that differs is read as one number.
        """
        return (*self._followed.notes, *assigned.notes(self, self._readers)) if self.spread \
            else self._followed.notes

    @cached_property
    def _followed(self):
        """The blocks with the way of the perturbation that they imply; what stands against it."""
        return composition.followed(self, *self._written)

    @cached_property
    def _written(self):
        return composition.written(self)

    @property
    def written(self) -> Mapping[str, str]:
        """The blocks before the way of a perturbation is derived from the edits in them."""
        return self._written[0]

    def as_written(self) -> "Model":
        """The model whose blocks are those before the derivation, to be read by `check`."""
        new = copy(self)
        new.__dict__["_followed"] = paths.Followed(Entries(self.written))
        return new

    @cached_property
    def bare(self) -> Mapping[str, str]:
        """The blocks of the network alone, without rule, edits, surrogate and dropout."""
        return composition.bare(self)

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        """The value of every parameter: name -> quantity, defaults overridden by those given.

        Of one that differs from object to object (`spread`), the mean. What other text reads of
        one population's is a parameter of its own, e.g. ``tau_m_of_hidden_1``.
        """
        values = dict(self._numbers)
        if self.spread:
            read = set().union(*map(identifiers, self.blocks.values()))
            values.update({name: one.mean for name, one in self.spread.items()})
            values.update({name: value for name, value in spread.own_names(self).items()
                           if name in read})
        return Entries(values)

    @cached_property
    def spread(self) -> Mapping[str, spread.Spread]:
        """The parameters that differ from object to object: name -> values by object.

        ``model.spread["tau_m"]["hidden_1"]`` is a number, or an array, one for each neuron.
        """
        if not any(map(assigned.differs, self.given.values())):
            return _NOTHING
        return Entries(assigned.spreads(self._readers, self.given, self.declared, self._numbers,
                                        bool(self.layout)))

    @cached_property
    def _readers(self):
        """Which objects read which parameters."""
        return assigned.Readers(self)

    @cached_property
    def _numbers(self):
        """The value of every parameter where nothing else is said of an object."""
        values = {name: p.default for name, p in self.declared.items()}
        values.update({name: value for name, value in self.regime.items() if name in values})
        free = set().union(*map(identifiers, self._own_texts()))
        problems = []
        for name, value in self.given.items():
            try:
                if name not in values and name not in free:
                    raise self._no_parameter(name, value)
                if not assigned.differs(value):
                    values[name] = checked_value(name, value, self.declared.get(name))
            except InputError as problem:
                problems.append(str(problem))
        for projection in self.given_network.projections if self.given_network else ():
            problems += [f"projection {projection.name} starts with the parameter {name!r}: give "
                         f"its value, {name}=..." for name in (
                             projection.start.parameters if projection.start else ())
                         if name not in {*values, *self.given}]
        if problems:
            raise InputError("\n".join(problems))
        return Entries(values)

    def _own_texts(self):
        """Texts of the user's own, which may read parameters that are only given as values."""
        yield from (text for _, text in self.edits)
        yield from self._table_texts()

    def _read_by_table(self):
        """Words that the text of a table of the user's own reads."""
        return set().union(*map(identifiers, self._table_texts()))

    def _table_texts(self):
        for projection in self.given_network.projections if self.given_network else ():
            yield from (text for _, text in projection.text)
            yield from projection.start.parameters if projection.start else ()

    def _no_parameter(self, name, value):
        """Why a name is no parameter: a line's name, or nothing that is known."""
        blocks = self.__dict__.get("blocks", {})  # not there when the text has mistakes itself
        places = [b for b, text in blocks.items() if not is_expression(b) and defines(text, name)]
        if places or name in blocks:
            return InputError(f"{name} is no parameter but a line of {', '.join(places) or name}: "
                              f"give its text, e.g. {name}=\"{name} = ... : 1\", not {value!r}")
        for kind, table in parts.ERROR_PARAMETERS.items():
            if name in table:
                return InputError(f"{name} belongs to another error population: say "
                                  f"error={kind!r}, Model(..., error={kind!r}, {name}={value!r})")
        return unknown("parameter", name, self.declared)

    def edit(self, changes: Mapping[str, Any] | None = None, /, **named: Any) -> "Model":
        """A new model with lines or blocks of text replaced, or parameters set.

        A key is the left-hand side of a line (``psi="psi = ... : 1"``), or the name of a block
        (``{"hidden.reset": "u = 0"}``); a value that is not text is a parameter
        (``beta=2.0``, ``tau_m=20*ms``; a mapping of populations replaces what was given before,
        and what it does not name has the default). Where a name is defined in several blocks, give
        ``{"block:name": text}``.

        Raises `EquationError` when a text cannot be read or does not define the name, and for a
        key or value that cannot be used; what the text means is for `check`.
        """
        changes = _mapping(changes) | named
        texts = tuple((k, v) for k, v in changes.items() if isinstance(v, str))
        values = {k: v for k, v in changes.items() if not isinstance(v, str)}
        try:
            return self._with(edits=self.edits + texts,
                              given=Entries({**self.given, **values}))
        except InputError as problem:  # one kind of error for whatever is wrong with an edit
            raise EquationError(_mistakes(problem)) from None

    def replace(self, rule: str | None = None, **changes: Any) -> "Model":
        """The same network, with the user's edits and parameters, under another `rule`.

        Edits stay that are of the network: of neurons, inputs, readout, error, and of lines that
        neither rule defines. To a line that a rule only adds a term to (the perturbation in the
        membrane) the new rule adds its own. Edits of the old rule's own lines go with it; an edit
        of a line that the new rule has its own version of is left out with a `ModelWarning`.
        Parameters of the old rule or neuron alone, and those that have another unit under the new
        rule, go, too.
        Options that both rules have stay. Under the same rule, settings are put into blocks that an
        edit replaced whole, around whose statements lines of yours may stand.

        `changes` are further settings of `Model` (``neuron``, ``reset``, ``dropout`` ...), options
        of the rule, and parameters. Raises `InputError` for what is unknown, for a setting that
        writes into a block whose statements an edit changed, and for other sizes: that would be
        another network.

        Examples
        --------
        >>> bp = model.replace(rule="bp")
        """
        for name in ("sizes", "layout"):
            if name in changes:
                raise InputError(f"replace keeps the network and cannot change its {name}: "
                                 "make another Model")
        rule = self.rule_name if rule is None else rule
        settings = _checked_settings({key: changes.pop(key) for key in list(changes)
                                      if key in _SETTINGS})
        given = changes.pop("options", {})
        if not isinstance(given, Mapping):
            raise InputError(f"options is a mapping, e.g. {{'local': True}}, not {given!r}")
        # Neither file need be known here when nothing of it changes.
        known = self.options if rule == self.rule_name and not changes else rules.options(rule)
        options = {**{key: value for key, value in self.options.items() if key in known}, **given,
                   **{key: changes.pop(key) for key in list(changes) if key in known}}
        neuron = settings.get("neuron", self.neuron)
        known = neurons.options(neuron) if neuron != self.neuron or changes else {}
        own = {**(self.neuron_options if neuron == self.neuron else {}),
               **{key: changes.pop(key) for key in list(changes) if key in known}}
        if (neuron, own) != (self.neuron, dict(self.neuron_options)):
            settings.update(neuron=neuron, neuron_options=Entries(own))
        else:
            settings.pop("neuron", None)
        if (rule, options) == (self.rule_name, dict(self.options)):
            kept = self._values_under(settings) if "neuron" in settings else self.given
            # A block that was replaced whole would hide what the settings write into it.
            whole = settings.keys() & _OF_HIDDEN and any(
                is_block(key, self.network) for key, _ in self.edits)
            edits = self._settled(self._with(edits=(), given=self.plain().given, **settings),
                                  settings) if whole else self.edits
            return self._as_silent(self._with(edits=edits, given=Entries({**kept, **changes}),
                                              **settings))
        settings.update(rule_name=rule, options=Entries(options))
        plain = self._with(edits=(), given=self.plain().given, regime=_NOTHING, **settings)
        edits = self._carried(plain)
        given = {**self._carried_values(self.given, plain, edits), **changes}
        return self._as_silent(self._with(edits=edits, given=Entries(given), regime=Entries(
            self._carried_values(self.regime, plain, ())), **settings))

    def _as_silent(self, new):
        """The model `new`, if what silences neurons of this one is right there (`texts.silence`).

        It stands before a copy of psi, which would stay that of the rule or neuron before.
        """
        def of(model, block):
            return {line.right for line in parse(model.blocks.get(block, "")) if line.name == "psi"}

        if "intact" in self.given and any(of(self, f"hidden{x}") != of(new, f"hidden{x}")
                                          for x in ("", ".sample")):
            raise InputError("neurons of this model are silenced with its psi as it is, and what "
                             "is to be replaced (rule, neuron, surrogate, dropout ...) has "
                             "another: replace first, then silence")
        return new

    def unedited(self) -> "Model":
        """The model without the user's edits, and without the parameters only they read."""
        known = {*self.declared, *self._read_by_table()}
        given = {name: value for name, value in self.given.items() if name in known}
        return self._with(edits=(), given=Entries(given))

    def plain(self) -> "Model":
        """The network and the rule as they came: no edits, every parameter at its default.

        What a table of the user's own reads has no default and stays.
        """
        read = self._read_by_table() - self.declared.keys()
        given = {name: value for name, value in self.given.items() if name in read}
        return self._with(edits=(), given=Entries(given))

    def shrunk(self) -> "Model":
        """The same text with one neuron in every population: what its code is made from."""
        network = self.given_network
        given = Entries({name: assigned.shrunk(value) for name, value in self.given.items()})
        return self._with(sizes=(1,) * len(self.sizes), layout="", given=given,
                          given_network=network and network.shrunk())

    @property
    def _cells(self):
        """The `Neuron` of every hidden population, each once."""
        return [self.cell, *self.cells.values()]

    def _values_under(self, settings):
        """The values given, without those of a neuron that nothing reads under other settings."""
        known = self._with(edits=(), given=self.plain().given, **settings).declared
        read = set().union(*map(identifiers, self._own_texts()))
        gone = set().union(*(cell.parameters for cell in self._cells)) - known.keys() - read
        return Entries({name: value for name, value in self.given.items() if name not in gone})

    def _settled(self, plain, settings):
        """The edits, as whole blocks, over what `settings` write into the network without edits.

        Raises `InputError` where an edited block does not say where that belongs.
        """
        base, mine, theirs = self.unedited().written, self.written, plain.written
        edits = {}
        for name in {**base, **mine}:
            if mine.get(name) == base.get(name) or not is_block(name, plain.network):
                continue
            text = settled(name, *(blocks.get(name, "") for blocks in (base, mine, theirs)))
            if text is None:
                raise InputError(f"block {name!r} was replaced by an edit, and "
                                 f"{', '.join(sorted(settings))} would write into it: replace the "
                                 "setting first, then edit")
            if text != theirs.get(name, ""):
                edits[name] = text
        return tuple(edits.items())

    def _carried(self, plain):
        """The edits, as whole blocks, for the same network without edits under another rule."""
        base, mine, theirs = self.unedited().written, self.written, plain.written
        bare = plain.bare
        edits = {}
        for name in {**base, **mine}:
            there = theirs.get(name, "")
            if mine.get(name) == base.get(name) or not is_block(name, plain.network):
                continue
            lines = plain.rule.blocks.get(name, "")
            owned = {lines} if is_expression(name) else {line.name for line in parse(lines)}
            text, lost = carried(name, base.get(name, ""), mine.get(name, ""), there,
                                 bare.get(name, ""), owned)
            if text != there:
                edits[name] = text
            for line in lost:
                warnings.warn(f"{name}: {line!r} was left out, since rule {plain.rule_name} has "
                              "a line of its own there", ModelWarning, stacklevel=3)
        there = reached(plain.edit(edits))
        for name in list(edits):
            if edits[name] and name not in there:
                warnings.warn(f"{name!r} was left out: under rule {plain.rule_name} it would have "
                              "no effect", ModelWarning, stacklevel=3)
                del edits[name]
        return tuple(edits.items())

    def _carried_values(self, values, plain, edits):
        """Those of the values that have a meaning (and their unit) under another rule, too."""
        read = self._read_by_table().union(*(identifiers(text) for _, text in edits))
        kept = {name: value for name, value in values.items()
                if (have_same_dimensions(assigned.sample(value), plain.declared[name].default)
                    if name in plain.declared else name in read)}
        if any(map(assigned.differs, kept.values())):
            kept = assigned.read_still(kept, assigned.Readers(plain.edit(dict(edits))))
        return kept

    def for_task(self, task: Any, tuned: Mapping[str, object] | None = None) -> "Model":
        """The model with a task's coding, feedback and regime (and tuned rates) as defaults.

        A task without parameters has a regime that follows from its trials, see `network.regime`;
        so have the learning rates of a recurrent network, and the holds of a perturbation
        (`T_z`, `T_w`) where a pair of the usual ones does not fit. Where the input is a current
        that changes within a trial, the text says so: ``drive_post = w*x_pre : 1 (summed)``, in
        every step, in place of what happens at the start of a trial.

        `task` is a `Task`, `tuned` maps names of parameters to values. Raises `InputError` when
        sizes, coding or error do not fit the task.
        """
        kind = self._kind_on(task)
        own = self._with(regime=_NOTHING, error=kind)
        regime = dict(task.parameters)
        if not regime or self.layers.recurrent:
            found = derived(task, self.layers, own.parameters,
                            {n: p.default for n, p in own.declared.items()})
            regime = found if not regime else {
                **{n: found[n] for n in ("eta", "eta_o") if n in found}, **regime}
        regime = {"input_rate": task.input_rate, **regime, **(tuned or {})}
        if own.rule.perturbs == "pair" and "T_z" not in {*regime, *self.given}:
            regime.update(fitting_holds(task, *(own.parameters[n] for n in ("T_z", "T_w"))))
        return self._with(coding=task.coding, error=kind, changing=task.changing,
                          regime=Entries(regime))

    def on(self, task: Any) -> "Model":
        """The model with its parameters as they are, written for another task.

        That is what a trained network is shown a `task` with: only how inputs and feedback come
        follows the task. Raises `InputError` as `for_task` does.
        """
        kind = self._kind_on(task)
        if (self.coding, self.error, self.changing, self.regime.get("input_rate")) == (
                task.coding, kind, task.changing, task.input_rate):
            return self
        if self.coding is None:
            return self.for_task(task)
        return self._with(coding=task.coding, error=kind, changing=task.changing, regime=Entries(
            {**self.regime, "input_rate": task.input_rate}))

    def _kind_on(self, task):
        """The error population on a task; `InputError` where the model does not fit it."""
        for where, mine, theirs in (("inputs", self.sizes[0], task.n_in),
                                    ("readouts", self.sizes[-1], task.n_out)):
            if mine != theirs:
                raise InputError(f"the model has {mine} {where}, task {task.name} needs {theirs}: "
                                 f"sizes would be [{task.n_in}, ..., {task.n_out}]")
        if self.coding not in (None, task.coding):
            raise InputError(f"the model is written for {self.coding!r} input, task {task.name} "
                             f"gives {task.coding!r}")
        rewarded = task.feedback == "reward"
        if self.error is not None and rewarded != (self.error == "reward"):
            raise InputError(
                f"task {task.name} only says what the action taken is worth, and the model has a "
                f"{self.error} error, which needs the target: leave error out, or say "
                "error='reward'" if rewarded else
                f"the model learns by reward only, and task {task.name} shows the target: "
                "bioopzo.tasks.with_reward(task) keeps it back")
        return "reward" if rewarded else self.error

    def without_noise(self) -> "Model":
        """The model with the deterministic neuron, which is the limit of escape noise.

        In every population. Values of the noise (its width Delta, say) go, where no edit reads
        them. Raises `InputError` for a neuron that is more than a leaky membrane with noise.
        """
        for cell in self._cells:
            if not neurons.is_leaky(cell):
                raise InputError(
                    f"activity 'deterministic' takes the noise out of a leaky neuron, and "
                    f"{cell.name} has a membrane or a state of its own, which would be lost: use "
                    "'rates' or 'spikes'")
        if all(cell.name == "deterministic" for cell in self._cells):
            return self
        settings = {"neuron": "deterministic",
                    "given_network": self.given_network and self.given_network.alike()}
        return self._with(given=self._values_under(settings), **settings)

    def equations(self, duration: Quantity | None = None) -> Mapping[str, str]:
        """The final text of every object as Brian2 gets it; printable, and a mapping by name.

        `duration` is the length of a trial (a time); in long trials plasticity is emitted in its
        dense form.
        """
        return assemble(self, duration=duration).text()

    def check(self) -> "Model":
        """Find every mistake in the text, before anything runs (about a second, no compiler).

        Grammar, names, units, what may be set and what is never used, what the rule needs, and
        whether anything that depends on the target still reaches the weights; then Brian2's own
        check. Returns the model, so that calls can be chained.

        Warns (`ModelWarning`) of text that the rate engine cannot run, and of variables of the
        notebook with a parameter's name and another value. Raises `EquationError`, which lists all
        mistakes (and holds them as `mistakes`), each with block, line and remedy.
        """
        check(self)
        return self

    @cached_property
    def digest(self) -> str:
        """A short hash of text, network and parameters, to the last bit: the model's identity."""
        return digest({
            "sizes": self.sizes, "layout": self.layout, "rule": self.rule_name,
            "blocks": self.blocks, "options": self.options, "refractory": self.refractory,
            "parameters": self.parameters, "network": self.given_network, "freeze": self.freeze,
            "spread": {name: spread.recorded(one) for name, one in self.spread.items()},
            "rest": [self.state_reset, self.rule.perturbs, self.rule.gradient, self.rule.matrix,
                     self.rule.feedback_scale]})

    def content(self) -> dict[str, Any]:
        """The model as data, which JSON holds: all that `from_content` makes it of.

        Of a rule or neuron in a file of the user's own, what it returned, and (`files`) the file's
        text where it is known still and makes the same.
        """
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        own = {}
        for kind, made, name, again in (
                ("rule", self.rule, self.rule_name, lambda: rules.get(
                    self.rule_name, max(1, self.depth), **self.options)),
                ("neuron", self.cell, self.neuron, lambda: neurons.get(
                    self.neuron, **self.neuron_options))):
            text = {"rule": rules, "neuron": neurons}[kind].own_text(name)
            if text is not None and again() == made:
                own[kind] = text
        return {"format": FORMAT, "digest": self.digest, "files": own,
                **{name: stored.packed(part) for name, part in {
                    **parts, **{made: getattr(self, made) for made in _MADE}}.items()}}

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "Model":
        """The model that `content` describes; nothing in it is run.

        Warns (`ModelWarning`) where this version of the package gives it another text. Raises
        `InputError` for what is no such description.
        """
        if not isinstance(content, Mapping) or content.get("format") != FORMAT:
            raise InputError(f"this is no model as format {FORMAT} has it: make the file with "
                             "model.save")
        lost = {*cls.__dataclass_fields__, "rule", "cell"} - content.keys()
        if lost:
            raise InputError(f"the model's file lacks {', '.join(sorted(lost))}")
        found = {name: stored.unpacked(content[name])
                 for name in [*cls.__dataclass_fields__, *_MADE] if name in content}
        new = object.__new__(cls)
        _store(new, **{name: Entries(part) if isinstance(part, dict) else part
                       for name, part in found.items() if name not in _MADE})
        new.__dict__.update({made: found[made] for made in _MADE if made in found})
        new._compose()
        if new.digest != content.get("digest"):
            warnings.warn("this version of the package gives the saved model another text or other "
                          "values than it had: compare model.equations() with what you know of it",
                          ModelWarning, stacklevel=2)
        return new

    def save(self, path: str | PathLike) -> Path:
        """Write the model to the file `path` (JSON), whole or not at all; returns the path.

        `Model.load` makes it again, also where a rule's or neuron's own file is not known.
        """
        path = writable("path", path)
        write_json(path, self.content())
        return path

    @classmethod
    def load(cls, path: str | PathLike) -> "Model":
        """The model that `save` wrote to `path`; nothing in the file is run.

        Raises `InputError` for a file that is missing or damaged.
        """
        try:
            content = json.loads(readable(path).read_text())
        except (OSError, ValueError) as problem:
            raise InputError(f"no model can be read from {path}: {problem}") from None
        return cls.from_content(content)

    def diff(self, other: "Model | None" = None) -> Difference:
        """What differs from `other`: lines by block, settings, and parameters with both values.

        By default `other` is the rule as it came: the same network without edits and with every
        parameter at its default. Returns a `Difference`, which prints itself and is false when
        nothing differs. Raises `InputError` when `other` is no Model.
        """
        return difference(self, other)

    def __repr__(self):
        return page(self)

    def _repr_html_(self):
        return html(self)


def _mapping(changes):
    """The first argument of `edit` as a dict from text to a new text or value."""
    if changes is None:
        return {}
    if isinstance(changes, Mapping) and all(isinstance(key, str) for key in changes):
        return dict(changes)
    raise EquationError([Mistake(
        "edit", f"it takes names with a new text or value, not {changes!r}",
        remedy='for example edit(psi="psi = exp(-(u - theta)**2) : 1"), edit(eta=10*Hz) or '
               'edit({"hidden.reset": "u = 0"})')])


def _mistakes(problem):
    """What an `InputError` says, as `Mistake`s."""
    return getattr(problem, "mistakes", ()) or [Mistake("edit", line)
                                                for line in str(problem).splitlines()]


def _checked_settings(settings):
    """Settings of a model as it keeps them; `InputError` for those that cannot be used."""
    checks = {"refractory": lambda value: checked_time("refractory", value),
              "dropout": lambda value: checked_share("dropout", value),
              "state_reset": lambda value: checked_choice("state_reset", value),
              "freeze": checked_names}
    if settings.get("coding") not in (None, *CODINGS):
        raise unknown("input coding", settings["coding"], CODINGS)
    return {name: checks.get(name, lambda value: value)(value)
            for name, value in settings.items()}


def _store(model, **fields):
    for name, value in fields.items():
        object.__setattr__(model, name, value)
