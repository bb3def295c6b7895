"""The model: a frozen description of a network as text blocks and parameters with units."""

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Mapping

import numpy as np
from brian2.units import second
from brian2.units.fundamentalunits import Quantity, have_same_dimensions

from . import display, neurons, rules
from .connectivity import architecture
from .equations import (
    compose,
    defines,
    identifiers,
    is_expression,
    parse,
    parse_condition,
    render,
)
from .equations import replace as replace_line
from .errors import EquationError, InputError, Mistake, unknown

CODINGS = ("current", "poisson", "spikes")
#: What goes on from one trial into the next when the state is not reset.
_CARRIED = re.compile(r"^(u|xbar|ebar|o|err|z\d+|zbar|not_refractory|lastspike)$")


@dataclass(frozen=True, init=False, eq=False)
class Model:
    """A spiking network and its learning rule, as editable text.

    Parameters
    ----------
    sizes : sequence of int, or str
        Inputs, hidden layers (at least one), readouts, e.g. ``[64, 32, 32, 10]``; or an
        architecture with convolutions for the rate engine, e.g. ``"28x28-32C3-AP2-64C3-AP2-10"``
        (see `connectivity.architecture`).
    rule : str
        A name in ``bioopzo.rules.available()``; default ``"opzo"``. A rule in a file of your
        own is added first: ``rule=bioopzo.rules.add("my_rule.py")``.
    neuron : ``"logistic"``, ``"exponential"``, ``"erf"`` or ``"deterministic"``
        The escape noise; its derivative is psi.
    reset : ``"soft"`` (u -= theta) or ``"hard"`` (u = 0).
    refractory : time, default none.
    error : ``"graded"`` or ``"spiking"`` error population.
    coding : ``"current"``, ``"poisson"``, ``"spikes"`` or None (taken from the task).
    surrogate : ``"escape"``, ``"localzo_normal"``, ``"localzo_uniform"``, ``"localzo_laplace"``,
        ``"localzo"`` or ``"localzo_5"`` (samples): what psi is; default the escape noise's own.
    dropout : float
        Share of hidden neurons silent in a trial while learning; default 0.
    state_reset : bool
        Whether membranes, traces and readout start every trial at zero.
    options : mapping
        Options of the rule, e.g. ``{"place": "before"}``; they may also be given as keywords.
    **parameters
        Any parameter of the model by name, with its unit, e.g. ``tau_m=10*ms``.

    Raises
    ------
    InputError
        Unknown names, sizes or values that cannot be used, wrong units.

    Examples
    --------
    >>> model = Model([64, 32, 32, 10], rule="opzo", tau_m=10*ms)
    >>> model = model.edit(psi="psi = exp(-abs(u - theta)/Delta) : 1")
    """

    sizes: tuple
    layout: str
    rule_name: str
    neuron: str
    reset: str
    refractory: Quantity
    error: str
    coding: str | None
    surrogate: str
    dropout: float
    state_reset: bool
    options: Mapping
    given: Mapping
    regime: Mapping = field(default_factory=dict)
    edits: tuple = ()

    def __init__(self, sizes, rule="opzo", neuron="logistic", reset="soft", refractory=0 * second,
                 error="graded", coding=None, surrogate="escape", dropout=0.0, state_reset=True,
                 options=None, **parameters):
        options = dict(options or {})
        known = rules.options(rule)
        options.update({key: parameters.pop(key) for key in list(parameters) if key in known})
        layout = sizes if isinstance(sizes, str) else ""
        if layout:
            sizes, _ = architecture(layout)
        _store(self, sizes=_checked_sizes(sizes), layout=layout, rule_name=rule,
               neuron=neuron, reset=reset,
               refractory=_checked_time("refractory", refractory), error=error, coding=coding,
               surrogate=surrogate, dropout=_checked_share("dropout", dropout),
               state_reset=bool(state_reset), options=MappingProxyType(options),
               given=MappingProxyType(dict(parameters)), regime=MappingProxyType({}), edits=())
        if coding is not None and coding not in CODINGS:
            raise unknown("input coding", coding, CODINGS)
        self._compose()

    def _with(self, **changes):
        """A copy with some fields replaced, composed and checked anew."""
        new = object.__new__(Model)
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        _store(new, **{**fields, **changes})
        if new.depth == self.depth and not changes.keys() & {"rule_name", "options"}:
            new.__dict__["rule"] = self.rule  # though its file may have been added anew since
        new._compose()
        return new

    def _compose(self):
        """Compose text and parameters now, so that what is wrong is said when it is written."""
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
    def depth(self):
        """Number of hidden layers."""
        return len(self.sizes) - 2

    @cached_property
    def connections(self):
        """Connectivity that is not all to all: ``{"forward_1": Convolution, ...}``."""
        if not self.layout:
            return MappingProxyType({})
        return MappingProxyType(architecture(self.layout, float(self.parameters["gain"]))[1])

    @cached_property
    def rule(self):
        """The `Rule` in force."""
        return rules.get(self.rule_name, self.depth, **self.options)

    @cached_property
    def declared(self):
        """Every parameter the blocks declare: name -> `Parameter`."""
        neurons.error(self.error)
        table = {**neurons.PARAMETERS, **neurons.PROTOCOL, **neurons.ERROR_PARAMETERS[self.error]}
        if self.neuron != "deterministic":
            table.update(neurons.ESCAPE_PARAMETERS)
        if self.surrogate != "escape":
            table.update(neurons.SURROGATE_PARAMETERS)
        table.update(self.rule.parameters)
        return display.Entries(table)

    @cached_property
    def blocks(self):
        """The text blocks: name -> text, the rule's lines over the network's, then the edits."""
        coding = self.coding or "current"
        blocks = {
            **neurons.hidden(self.neuron, self.reset, self.refractory > 0 * second),
            **neurons.inputs(coding), **neurons.readout(), **neurons.error(self.error),
            **neurons.forward(coding),
        }
        for name, text in self.rule.blocks.items():
            _lay_over(blocks, name, text, f"{self.rule_name}, {name}")
        for name, text in neurons.surrogate(self.surrogate).items():
            _lay_over(blocks, name, text, self.surrogate)
        if self.dropout:
            for name, text in neurons.dropout(self.dropout, coding).items():
                if name in blocks or name != "forward_local.spike":
                    _lay_over(blocks, name, text, "dropout")
            for name in ("hidden", "hidden.sample"):  # what sends nothing learns nothing
                blocks[name] = render(
                    replace(line, right=f"mask*({line.right})") if line.name == "psi"
                    and line.right else line for line in parse(blocks.get(name, "")))
        if self.neuron == "deterministic" and any(
                "rho" in identifiers(text) for text in self.rule.blocks.values()):
            raise InputError(f"rule {self.rule_name} needs the hazard rho, which the deterministic "
                             "neuron has not; allowed: logistic, exponential, erf")
        if not self.state_reset:
            for name in [name for name in blocks if name.endswith(".trial")]:
                blocks[name] = render(line for line in parse(blocks[name])
                                      if not _CARRIED.match(line.name))
        mistakes = []
        for key, text in self.edits:
            try:
                _apply(blocks, key, text, self.depth, self.declared)
            except EquationError as problem:
                mistakes += problem.mistakes
        if mistakes:
            raise EquationError(mistakes)
        tidy = {name: text.strip() if is_expression(name) else render(parse(text, name))
                for name, text in blocks.items()}
        return display.Entries({name: text for name, text in tidy.items() if text})

    @cached_property
    def parameters(self):
        """The value of every parameter: name -> quantity, defaults overridden by those given."""
        values = {name: p.default for name, p in self.declared.items()}
        values.update({name: value for name, value in self.regime.items() if name in values})
        free = set().union(*(identifiers(text) for _, text in self.edits)) if self.edits else set()
        problems = []
        for name, value in self.given.items():
            try:
                if name not in values and name not in free:
                    raise self._no_parameter(name, value)
                values[name] = _checked_value(name, value, self.declared.get(name))
            except InputError as problem:
                problems.append(str(problem))
        if problems:
            raise InputError("\n".join(problems))
        return display.Entries(values)

    def _no_parameter(self, name, value):
        """Why a name is no parameter: a line's name, or nothing that is known."""
        blocks = self.__dict__.get("blocks", {})  # not there when the text has mistakes itself
        places = [b for b, text in blocks.items() if not is_expression(b) and defines(text, name)]
        if places or name in blocks:
            return InputError(f"{name} is no parameter but a line of {', '.join(places) or name}: "
                              f"give its text, e.g. {name}=\"{name} = ... : 1\", not {value!r}")
        return unknown("parameter", name, self.declared)

    def edit(self, changes=None, /, **named):
        """A new model with lines or blocks of text replaced, or parameters set.

        A key is the left-hand side of a line (``psi="psi = ... : 1"``), or the name of a block
        (``{"hidden.reset": "u = 0"}``); a value that is not text is a parameter
        (``beta=2.0``, ``tau_m=20*ms``). Where a name is defined in several blocks, give
        ``{"block:name": text}``.

        Raises `EquationError` when a text cannot be read or does not define the name, and for a
        key or value that cannot be used; what the text means is for `check`.
        """
        changes = _mapping(changes) | named
        texts = tuple((k, v) for k, v in changes.items() if isinstance(v, str))
        values = {k: v for k, v in changes.items() if not isinstance(v, str)}
        try:
            return self._with(edits=self.edits + texts,
                              given=MappingProxyType({**self.given, **values}))
        except InputError as problem:  # one kind of error for whatever is wrong with an edit
            raise EquationError(_mistakes(problem)) from None

    def for_task(self, task, tuned=None):
        """The model with a task's coding and its regime (and tuned rates) as defaults.

        Raises `InputError` when the sizes do not fit the task.
        """
        for where, mine, theirs in (("inputs", self.sizes[0], task.n_in),
                                    ("readouts", self.sizes[-1], task.n_out)):
            if mine != theirs:
                raise InputError(f"the model has {mine} {where}, task {task.name} needs {theirs}: "
                                 f"sizes would be [{task.n_in}, ..., {task.n_out}]")
        if self.coding not in (None, task.coding):
            raise InputError(f"the model is written for {self.coding!r} input, task {task.name} "
                             f"gives {task.coding!r}")
        regime = {"input_rate": task.input_rate, **task.parameters, **(tuned or {})}
        return self._with(coding=task.coding, regime=MappingProxyType(regime))

    def equations(self, duration=None):
        """The final text of every object as Brian2 gets it; printable, and a mapping by name.

        `duration` is the length of a trial (a time); in long trials plasticity is emitted in its
        dense form.
        """
        from .assembly import assemble

        return assemble(self, duration=duration).text()

    def check(self):
        """Find every mistake in the text, before anything runs (about a second, no compiler).

        Grammar, names, units, what may be set and what is never used, what the rule needs, and
        whether anything that depends on the target still reaches the weights; then Brian2's own
        check. Returns the model, so that calls can be chained.

        Warns (`ModelWarning`) of text that the rate engine cannot run, and of variables of the
        notebook with a parameter's name and another value. Raises `EquationError`, which lists all
        mistakes (and holds them as `mistakes`), each with block, line and remedy.
        """
        from .checks import check

        check(self)
        return self

    @cached_property
    def digest(self):
        """A short hash of text, sizes and parameters: the identity of the model."""
        content = {
            "sizes": self.sizes, "layout": self.layout, "rule": self.rule_name,
            "blocks": dict(self.blocks),
            "options": {k: repr(v) for k, v in self.options.items()},
            "refractory": repr(self.refractory),
            "parameters": {k: repr(v) for k, v in sorted(self.parameters.items())},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def diff(self, other=None):
        """What differs from `other`: lines by block, settings, and parameters with both values.

        By default `other` is the rule as it came: the same network without edits and with every
        parameter at its default. Returns a `Difference`, which prints itself and is false when
        nothing differs. Raises `InputError` when `other` is no Model.
        """
        from .differences import difference

        return difference(self, other)

    def __repr__(self):
        return display.text(self)

    def _repr_html_(self):
        return display.html(self)


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


def _store(model, **fields):
    for name, value in fields.items():
        object.__setattr__(model, name, value)


def _checked_sizes(sizes):
    try:
        sizes = tuple(int(n) for n in sizes)
    except (TypeError, ValueError):
        raise InputError(f"sizes is a list of whole numbers, e.g. [64, 32, 10], "
                         f"not {sizes!r}") from None
    if len(sizes) < 3 or min(sizes) < 1:
        raise InputError("sizes needs inputs, at least one hidden layer and readouts, "
                         f"all at least 1, not {list(sizes)}")
    return sizes


def _checked_share(name, value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise InputError(f"{name} is a share from 0 to less than 1, not {value!r}")
    return float(value)


def _checked_time(name, value):
    if not have_same_dimensions(value, second) and value != 0:
        raise InputError(f"{name} is a time, e.g. 2*ms, not {value!r}")
    value = float(value) * second
    if value < 0 * second:
        raise InputError(f"{name} cannot be negative, got {value!r}")
    return value


def _checked_value(name, value, parameter):
    """The value as a float quantity, or an `InputError` naming the parameter and its unit."""
    try:
        number = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"parameter {name} needs a number, not {value!r}") from None
    if number.ndim or not np.isfinite(number):
        raise InputError(f"parameter {name} needs one finite number, not {value!r}")
    if parameter is None:
        return value * 1.0
    if not have_same_dimensions(value, parameter.default):
        raise InputError(f"parameter {name} has the unit {parameter.unit} (e.g. "
                         f"{name}={parameter.default!r}), not that of {value!r}")
    if parameter.positive and number <= 0:
        raise InputError(f"parameter {name} ({parameter.meaning}) must be above zero, "
                         f"got {value!r}")
    return value * 1.0


#: What a block of a layer or of synapses may be called after its name; `*` stands for any word.
_GROUP = ("", ".threshold", ".chance", ".sample", ".reset", ".step", ".trial", ".hold", ".pair",
          ".event.*", ".on.*")
_SYNAPSES = ("", ".spike", ".hold", ".trial", ".pair.*")


def _lay_over(blocks, name, text, where):
    """Put the lines of a text over those of a block, in place."""
    blocks[name] = text if is_expression(name) else compose(blocks.get(name, ""), text, where)


def _may_be_block(key, blocks, depth):
    """Whether a text could be a block: of something there is, or of one layer of it."""
    name, dot, rest = key.partition(".")
    base, _, number = name.rpartition("_")
    synapses = ("forward", "forward_readout", "feedback", "forward_local", "intermediate")
    if number.isdigit():
        if base not in blocks or not 1 <= int(number) <= depth + (base == "forward"):
            return False
        name = base
    kinds = _SYNAPSES if name in synapses else _GROUP
    words = rest.split(".")
    shape = dot + (rest if len(words) == 1 else f"{words[0]}.*")
    return name in blocks and shape in kinds and len(words) < 3


def _apply(blocks, key, text, depth, parameters):
    """Apply one edit to `blocks` in place; raises `EquationError` with its `Mistake`s."""
    if key in blocks or _may_be_block(key, blocks, depth):
        blocks[key] = parse_condition(text, key) if is_expression(key) else text
        if not is_expression(key):
            parse(text, key)
        return
    if key in parameters:
        raise EquationError([Mistake(
            "edit", f"{key!r} is a parameter, and {text!r} is text", "",
            f"give a value without quotes, e.g. {key}={parameters[key].default!r}")])
    block, _, name = key.rpartition(":")
    readable = {b: t for b, t in blocks.items() if not is_expression(b)}
    places = [b for b in readable if defines(blocks[b], name) and (not block or b == block)]
    if not places:
        names = {line.name for other in readable.values() for line in parse(other)}
        raise EquationError([Mistake("edit", str(unknown("line or block", key,
                                                         sorted(names | set(blocks)))))])
    lines = parse(text, places[0] if len(places) == 1 else key)
    if not any(line.name == name for line in lines):
        raise EquationError([Mistake("edit", f"the new text for {name!r} must define {name!r}; got "
                                     f"{text!r}")])
    statement = all(line.kind == "statement" for line in lines)
    fitting = [b for b in places
               if all((line.kind == "statement") == statement
                      for line in parse(blocks[b]) if line.name == name)]
    if not fitting:
        raise EquationError([Mistake(
            places[0], f"{name!r} is {'an equation' if statement else 'set by a statement'} there",
            text.strip(), f"an equation ends in its unit: '{text.strip()} : 1'" if statement else
            f"write a statement, e.g. '{name} = ...', without a unit")])
    if len(fitting) > 1:
        where = ", ".join(repr(f"{b}:{name}") for b in fitting)
        raise EquationError([Mistake("edit", f"{name!r} is defined in several blocks; say which: "
                                     f"{where}")])
    blocks[fitting[0]] = replace_line(blocks[fitting[0]], name, text, fitting[0])
