"""Optimisers as text: how weights follow the change that the rule asks for.

`dw` is the change of a weight that the plasticity text gives over a trial, averaged over the
batch: plain descent (``"sgd"``) takes it as it is, its size and its fall being those of the text's
eta and eta_final. `n` counts updates; `rate` is the optimiser's own learning rate, under its
schedule: an optimiser that has one takes eta and eta_o as they are, all through the run. Every
other name is a parameter, or a variable of each synapse that starts at zero.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bioopzo.engines.rate.arrays import evaluate
from bioopzo.errors import EquationError, InputError, unknown
from bioopzo.text.equations import identifiers, parse
from bioopzo.text.functions import FUNCTIONS


@dataclass(frozen=True)
class Optimizer:
    """How weights follow the change that the rule asks for; `name` and `source` say whose it is.

    `text` holds statements that run for every synapse after each batch; they read `dw`, `n` and
    the `parameters` (name -> number). `variables` are kept per synapse and start at zero.
    """

    name: str
    text: str
    source: str
    variables: tuple = ()
    parameters: Mapping[str, float] = field(default_factory=dict)

    @property
    def scale_free(self) -> bool:
        """Whether the size of a change, and so eta, has no effect: it is divided by its own."""
        return self.text == _KNOWN["adamw"].text

    @property
    def has_rate(self) -> bool:
        """Whether it has a learning rate of its own, whose schedule stands for eta_final's."""
        return "rate" in self.parameters


_KNOWN = {
    "sgd": Optimizer("sgd", "w += dw", ""),
    "momentum": Optimizer(
        "momentum", "velocity = beta*velocity + dw\nw += rate*velocity", "Polyak 1964",
        ("velocity",), {"rate": 1.0, "beta": 0.9}),
    # dw points downhill already; its size does not matter, and epsilon is small beside it.
    "adamw": Optimizer(
        "adamw", """
            m += (1 - beta1)*(dw - m)
            v += (1 - beta2)*(dw*dw - v)
            w += rate*(m/(1 - beta1**n)/(sqrt(v/(1 - beta2**n)) + epsilon) - weight_decay*w)
        """, "Loshchilov & Hutter 2019", ("m", "v"),
        {"rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-12, "weight_decay": 2e-4}),
}
SCHEDULES = ("cosine", "linear", "constant")


def available():
    """The known optimisers by name."""
    return MappingProxyType(_KNOWN)


def get(name, **parameters):
    """The `Optimizer` called `name` with some parameters replaced, e.g. ``rate=2e-4``.

    Raises `InputError` for an unknown name or parameter, or a value that is no number.
    """
    if name not in _KNOWN:
        raise unknown("optimizer", name, _KNOWN)
    chosen = _KNOWN[name]
    for key, value in parameters.items():
        if key not in chosen.parameters:
            raise unknown(f"parameter of optimizer {name}", key, chosen.parameters)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise InputError(f"{key} of optimizer {name} is a number of at least 0, not {value!r}")
    return Optimizer(name, chosen.text, chosen.source, chosen.variables,
                     MappingProxyType({**chosen.parameters, **parameters}))


def updated(optimizer: Optimizer) -> Callable:
    """The function ``(w, kept, dw, n, rate) -> (w, kept)`` of an `optimizer`'s text.

    `kept` maps its variables to arrays; `rate` is the learning rate in force, or None for its own.
    Raises `EquationError` naming the line that cannot be read.
    """
    names, lines = ["w", *optimizer.variables], parse(optimizer.text, optimizer.name)
    known = [*names, *optimizer.parameters, "n", "dw"]
    rights = []
    for line in lines:
        right = line.right if line.operator == "=" else \
            f"{line.name} {line.operator[0]} ({line.right})"
        try:
            ast.parse(right, mode="eval")
        except SyntaxError as problem:
            raise EquationError(f"optimizer {optimizer.name}: {str(line)!r}: "
                                f"{problem.msg}") from None
        strange = identifiers(right) - {*known, *FUNCTIONS} | {line.name} - set(names)
        if strange:
            raise EquationError(f"optimizer {optimizer.name}: {str(line)!r} uses "
                                f"{', '.join(sorted(strange))}; known are {', '.join(known)}")
        rights.append((line.name, right))

    def update(w, kept, dw, n, rate):
        values = {**optimizer.parameters, **kept, "w": w, "dw": dw, "n": n.astype(w.dtype)}
        if rate is not None:
            values["rate"] = rate
        for name, right in rights:
            values[name] = evaluate(right, values).astype(w.dtype)
        return values["w"], {name: values[name] for name in optimizer.variables}
    return update
