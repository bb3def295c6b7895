"""What is drawn: a model, its protocol, and up to three edits of its text.

`draw_from(choose)` asks `choose` for every decision: `Seeded` decides by a seed, `Shrinking` by
hypothesis. Edits are operations on blocks, each of which can be left out on its own (`reduced`).
"""

import random
import re
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from math import inf

import numpy as np
from brian2.units import Hz, ms, second

from bioopzo import neurons, rules
from bioopzo.model import Model
from bioopzo.network.assigned import WHOLE, Readers
from bioopzo.network.kinds import KINDS, PopulationKind, moments_of
from bioopzo.network.table import Network
from bioopzo.text.equations import is_expression, parse, render

UNITS = {"Hz": Hz, "ms": ms, "second": second, "array": np.array}
#: Faster than a user's: little happens within few steps.
VALUES = {"tau_m": "7*ms", "tau_o": "9*ms", "b": "0.9", "c": "0.3", "eta": "20*Hz",
          "eta_o": "12*Hz",
          "rho0": "400*Hz", "Delta": "0.25", "input_rate": "250*Hz", "tau_g": "5*ms",
          "rho_err": "700*Hz", "alpha": "80*Hz", "T_z": "4*ms", "T_w": "2*ms", "mu": "0.3",
          "n_M": "5.0", "kappa": "0.15", "kappa_o": "0.2", "decay": "0.7*Hz", "gamma": "0.8",
          "tau_e": "12*ms", "zeta": "0.3", "tau_a": "25*ms", "c_reg": "9*ms", "tau_f": "30*ms",
          "temperature": "0.7", "kappa_r": "0.2", "tau_minus": "8*ms", "A_plus": "0.9",
          "A_minus": "0.6", "steepness": "3.0", "tau_rise": "4*ms"}
OPTIONS = {
    "eprop": {"feedback": ("random", "symmetric", "adaptive"), "regularised": (False, True)},
    "opzo": {"place": ("after", "before"), "distribution": ("rademacher", "gaussian"),
             "form": ("lms", "momentum", "plain"), "antithetic": (True, False),
             "local": (False, True), "intermediate": (None, 2)},
    "node_perturbation": {"points": ("one", "two"), "place": ("after", "before"),
                          "distribution": ("rademacher", "gaussian"), "baseline": (True, False)},
    "dfa": {"local": (False, True), "intermediate": (None, 2)},
}
SURROGATES = ("escape", "escape", "escape", "localzo_normal", "localzo_uniform", "localzo_laplace",
              "localzo", "localzo_5")


@dataclass(frozen=True)
class Draw:
    """A model, a protocol and edits; everything a run depends on."""

    seed: int
    sizes: tuple
    rule: str
    options: dict = field(default_factory=dict)
    neuron: str = "logistic"
    reset: str = "soft"
    refractory: float = 0.0
    error: str = "graded"
    coding: str = "current"
    surrogate: str = "escape"
    dropout: float = 0.0
    state_reset: bool = True
    varying: bool = False
    steps: int = 20
    warmup: int = 4
    plastic: tuple = (1, 0, 1, 0)
    values: dict = field(default_factory=dict)
    ops: tuple = ()
    wiring: str = ""
    spread: dict = field(default_factory=dict)
    freeze: tuple = ()
    changing: bool = False
    masks: bool = False

    def bare(self):
        """The model without edits."""
        model = Model(**wired(self.wiring, self.sizes), rule=self.rule, neuron=self.neuron,
                      reset=self.reset, refractory=self.refractory*ms, error=self.error,
                      coding=self.coding, surrogate=self.surrogate, dropout=self.dropout,
                      state_reset=self.state_reset, options=self.options, freeze=self.freeze)
        if self.changing and self.coding != "spikes":  # as `Model.for_task` says it
            model = model._with(changing=True)
        chosen = {k: quantity(v) for k, v in VALUES.items() if k in model.declared}
        return model.edit({**chosen, **{k: quantity(v) for k, v in self.spread.items()}})

    def model(self):
        """The model with its edits, in their order."""
        model = self.bare()
        for op in self.ops:
            for kind, key, text in op:
                model = edited(model, kind, key, text)
        return model.edit({k: quantity(v) for k, v in self.values.items()})

    def script(self):
        """The draw as Python that a person can run."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        body = ",\n    ".join(f"{name}={value!r}" for name, value in fields.items())
        return f"Draw(\n    {body})"


#: Networks that are not layers, all to all.
WIRINGS = ("recurrent", "sparse", "delayed", "sparse, delayed", "signs", "skip", "fixed",
           "with adex", "with conductance", "with double_exponential")


def wired(wiring, sizes):
    """What a model is made with: layers of `sizes`, or another network of as many neurons."""
    words = {"recurrent": {}, "sparse": {"p": 0.6}, "delayed": {"delay": 2*ms},
             "sparse, delayed": {"p": 0.6, "delay": 3*ms}}
    if wiring in words:
        return {"sizes": sizes, "recurrent": True, **words[wiring]}
    if not wiring:
        return {"sizes": sizes}
    names = ["input", *(f"hidden_{k}" for k in range(1, len(sizes) - 1)), "readout"]
    network, signs = Network(inputs=sizes[0], readouts=sizes[-1]), wiring == "signs"
    other = "alif" if wiring == "fixed" else wiring.partition("with ")[2]
    for name, size in zip(names[1:-1], sizes[1:-1]):
        network = network.population(name, size, sign=int(signs),
                                     neuron=other if name == "hidden_1" else "")
    for k, (source, target) in enumerate(pairwise(names), 1):
        network = network.connect(source, target, f"forward_{k}", low=-0.7 if k == 1 else -inf,
                                  plastic=wiring != "fixed" or k > 1)
    if signs:
        network = (network.population("I", 2, sign=-1).connect("hidden_1", "I", high=0.9)
                   .connect("I", "hidden_1", p=0.7, weights=("lognormal", -1.0, 0.5), delay=1*ms))
    if wiring == "skip":
        network = network.connect("hidden_1", "readout" if len(sizes) > 3 else "hidden_1", p=0.8)
        network = network.connect("input", "readout", weights=lambda i, j: 0.1*i - 0.2*j)
    if other:
        network = network.connect("hidden_1", "hidden_1", delay=[1, 2]*ms,
                                  plastic=wiring != "fixed")
    return {"sizes": network}


def quantity(text):
    """A number with its unit, from text."""
    return eval(text, {"__builtins__": {}}, UNITS)


def edited(model, kind, key, text):
    """One operation: append or prepend lines to a block, set it, add a term to an equation."""
    if kind == "edit":
        return model.edit({key: text})
    old = model.blocks.get(key.partition(":")[0], "")
    if kind == "append":
        text = f"{old}\n{text}".strip()
    elif kind == "prepend":
        text = f"{text}\n{old}".strip()
    elif kind == "term":
        key, _, name = key.partition(":")
        text = render(replace(line, right=f"{line.right} {text}") if line.name == name
                      and line.right else line for line in parse(old))
    elif kind == "times":
        key, _, name = key.partition(":")
        text = render(replace(line, right=f"({line.right})*({text})") if line.name == name
                      and line.right else line for line in parse(old))
    elif kind == "condition":
        text = f"({old}) {text}" if old else text
    return model.edit({key: text})


# ---------------------------------------------------------------------------- who decides

class Seeded:
    """Decisions by a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def one(self, values):
        return self.random.choice(list(values))

    def whole(self, low, high):
        return self.random.randint(low, high)

    def chance(self, share):
        return self.random.random() < share


class Shrinking:
    """Decisions by hypothesis: `draw` is that of a composite strategy."""

    def __init__(self, draw, strategies):
        self.draw, self.st = draw, strategies

    def one(self, values):
        return self.draw(self.st.sampled_from(list(values)))

    def whole(self, low, high):
        return self.draw(self.st.integers(low, high))

    def chance(self, share):
        return self.draw(self.st.integers(0, 99)) >= 100 - 100*share


# ---------------------------------------------------------------------------- models

def draw_from(choose, seed=0):
    """A `Draw`, by the decisions of `choose`."""
    depth = choose.one((1, 1, 1, 2, 2, 3))
    sizes = (choose.whole(3, 4), *(choose.whole(2, 3) for _ in range(depth)), choose.whole(2, 3))
    rule = choose.one(name for name in rules.available() if name != "bptt")  # of one engine
    options = {}
    for name, values in OPTIONS.get(rule, {}).items():
        value = choose.one(values)
        if name == "intermediate" and depth < 2:
            value = None
        if value == "symmetric" and depth > 1:
            value = "adaptive"
        if value != rules.options(rule)[name]:
            options[name] = value
    if rule == "opzo" and "place" in options and "local" not in options and choose.chance(0.5):
        options["forward_psi"] = False
    neuron = choose.one(neurons.available())
    if rule == "reinforce" and neuron == "deterministic" and choose.chance(0.9):
        neuron = "logistic"
    state_reset = choose.chance(0.85)
    trials = choose.whole(2, 4)
    plastic = [1, *(int(choose.chance(0.65)) for _ in range(trials - 1)), 0]
    steps = choose.whole(12, 30)
    draw = Draw(
        seed, sizes, rule, options, neuron, choose.one(("soft", "hard")),
        choose.one((0.0, 0.0, 2.0, 3.5)), choose.one(("graded", "graded", "spiking",
                                                                    "reward")),
        choose.one(("current", "poisson", "spikes")), choose.one(SURROGATES),
        choose.one((0.0, 0.0, 0.0, 0.3)), state_reset, choose.chance(0.25), steps,
        choose.whole(0, steps // 4), tuple(plastic),
        wiring=choose.one(WIRINGS) if choose.chance(0.4) else "",
        changing=choose.chance(0.35), masks=choose.chance(0.35))
    try:
        model = draw.bare()
    except Exception:
        return draw  # what is wrong says the run
    if choose.chance(0.35):
        draw = replace(draw, spread=dict(
            spread_out(choose, model) for _ in range(choose.one((1, 1, 2, 3)))),
            freeze=(choose.one(p.name for p in model.layers.forward),) * choose.chance(0.2))
        try:
            model = draw.bare()
        except Exception:
            return draw
    writer = Writer(choose, model)
    ops = tuple(writer.op() for _ in range(choose.one((0, 1, 1, 2, 2, 3))))
    return replace(draw, ops=ops, values=_read(writer.values, ops))


def spread_out(choose, model):
    """(name, value as text) of a parameter that differs: by population, neuron or projection."""
    readers = Readers(model)
    name = choose.one(sorted(k for k in VALUES if k in model.declared and readers.named(k)
                             and k not in WHOLE))
    base, entries = VALUES[name], readers.named(name)
    seed = choose.whole(0, 99)

    def drawn():
        return choose.one((f"('lognormal', {base}, 0.3, {seed})",
                           f"('uniform', 0.7*{base}, 1.4*{base}, {seed})"))

    if readers.populations(name) and choose.chance(0.3):
        return name, drawn()
    some = sorted({choose.one(entries) for _ in range(choose.whole(1, 3))})
    parts = []
    for entry in some:
        size = getattr(model.network[entry], "size", 0)
        form = choose.whole(0, 2) if size else 0
        factors = [choose.whole(70, 140) / 101 for _ in range(size or 1)]
        parts.append(f"{entry!r}: " + (drawn() if form == 2 else f"{factors[0]}*{base}"
                                       if form == 0 else f"array({factors})*{base}"))
    return name, "{" + ", ".join(parts) + "}"


def _read(values, ops):
    """The values that an edit reads."""
    words = set().union(*(re.findall(r"\w+", text) for op in ops for *_, text in op))
    return {name: value for name, value in values.items() if name in words}


@cache
def kind_blocks():
    """Every block that there can be: (kind, moment)."""
    return tuple((kind, moment) for kind in KINDS for moment in moments_of(kind))


class Writer:
    """Edits of a model: named ones, as people write them, and lines from a grammar."""

    def __init__(self, choose, model):
        self.choose, self.model, self.values = choose, model, {}
        self.blocks = dict(model.blocks)
        self.count = 0

    def op(self):
        """One edit: a tuple of (kind, key, text)."""
        choice = self.choose.whole(0, 99)
        if choice < 45:
            return self.anywhere()
        if choice < 93:
            named = [getattr(self, name) for name in sorted(dir(type(self)))
                     if name.startswith("as_")]
            return self.choose.one(named)() or self.anywhere()
        return self.nonsense()

    # ------------------------------------------------------------------ numbers and words

    def number(self):
        """A number of no special meaning, so that no comparison is decided by rounding."""
        return repr(self.choose.whole(1, 97) / 101)

    def small(self):
        return repr(self.choose.whole(1, 97) / 1009)

    def parameter(self, value):
        """A parameter of the user's own with a value."""
        self.count += 1
        name = self.choose.one(("wmax", "kept", "rate_", "target_", "low", "k")) + str(self.count)
        self.values[name] = value
        return name

    def value(self):
        """A number, or a parameter that holds one."""
        return self.parameter(self.number()) if self.choose.chance(0.25) else self.number()

    def names(self, block, writable=False):
        """The dimensionless variables of a block's own population or projection."""
        base = block.split(".")[0]
        kinds = {base}
        for entry in self.model.network.entries:
            if base in (entry.kind, entry.name):
                kinds |= set(entry.blocks)
        found = []
        for key in sorted(kinds):
            text = self.blocks.get(key, "")
            if text and not is_expression(key):
                found += [line.name for line in parse(text) if line.unit == "1"
                          and not (writable and line.kind == "subexpression")
                          and "summed" not in line.flags]
        return sorted(set(found))

    def ends(self, block):
        """(names of the source with _pre, of the target with _post) of a projection's block."""
        base = block.split(".")[0]
        entries = [e for e in self.model.network.projections if base in (e.kind, e.name)]
        if base == "backward":
            entries = [e for e in self.model.network.projections if e.kind == "forward"]
        if not entries:
            return [], []
        pre = set.intersection(*(set(self.names(e.source)) for e in entries))
        post = set.intersection(*(set(self.names(e.target)) for e in entries))
        return [f"{n}_pre" for n in sorted(pre)], [f"{n}_post" for n in sorted(post)]

    def atom(self, block, random=False):
        """A dimensionless word that the block may read."""
        if is_synaptic(block):
            pre, post = self.ends(block)
            if block.endswith((".trial", ".onset")):
                pre, post = pre[:2], post[:2]
            own = self.names(block) or ["1"]
            more = ["i", "j", "1/N_pre", "1/N_post", "(t/second)", "(dt*10*Hz)"]
            pools = [own, own, pre or own, post or own, more]
        else:
            own = self.names(block) or ["1"]
            more = ["i", "1/N", "(t/second)", "(dt*10*Hz)", "plastic", "gate"]
            pools = [own, own, own, more]
        if random:
            pools.append(["rand()", "randn()", "rand ( )"])
        return self.choose.one(self.choose.one(pools))

    def expression(self, block, random=False, depth=0):
        """A dimensionless expression of moderate size."""
        c, a = self.choose, self.atom(block, random)
        form = c.whole(0, 11 if depth < 2 else 8)
        if form <= 2:
            return a
        if form == 3:
            return f"clip({a}, {c.one(('-', ''))}{self.small()}, {self.number()})"
        if form == 4:
            return c.one((f"abs({a})", f"sign({a})", f"sqrt(abs({a}))", f"tanh({a})"))
        if form == 5:
            return f"int({a} {c.one('<>')} {self.number()})"
        if form == 6:
            return f"{self.value()}*{a}"
        if form == 7:
            return c.one((f"exp(-abs({a}))", f"sin({a})", f"floor(3*clip({a}, -9, 9))"))
        if form == 8:
            return f"(int(5*clip({a}, -9, 9)) % 3)" if c.chance(0.5) else f"({a}**2)"
        other = self.expression(block, random, depth + 1)
        if form == 9:
            return f"({a} {c.one('+-')} {other})"
        if form == 10:
            return f"{a}*({other})"
        return f"{a}/(1 + abs({other}))"

    # ------------------------------------------------------------------ the grammar

    def present(self):
        """Blocks that something in this model can have."""
        found = []
        kinds = {e.kind: e for e in self.model.network.entries}
        for kind, moment in kind_blocks():
            if kind not in kinds and not (kind == "backward" and "backward" in self.blocks):
                continue
            if f"{kind}.{moment}" not in self.blocks and not self.choose.chance(0.05) and (
                    moment in ("reset", "threshold", "onset", "event", "on")) and not any(
                    key.startswith(f"{kind}.{moment}.") for key in self.blocks):
                continue  # it would be refused: something else must come with it
            names = [kind]
            if kind in ("hidden", "forward"):
                names += [kind, f"{kind}_1"]
            if moment == "onset":
                names = ["forward_1"]
            found += [(name, kind, moment) for name in names]
        return found

    def anywhere(self):
        """An edit of any block of any kind."""
        name, kind, moment = self.choose.one(self.present())
        key = ".".join(filter(None, (name, moment)))
        if moment == "pair" and not isinstance(KINDS[kind], PopulationKind):
            known = sorted(k for k in self.blocks if k.startswith(f"{key}."))
            return self.statement(self.choose.one(known) if known and self.choose.chance(0.9)
                                  else f"{key}.more")
        if moment in ("event", "on"):
            return self.event(name, kind)
        if moment == "threshold":
            return self.condition(key)
        if moment:
            return self.statement(key)
        return self.equation(key)

    def statement(self, key):
        """One to three statements more, before or after those that are there."""
        base = key.split(".")[0]
        own = self.names(base, writable=True)
        _, post = self.ends(base) if is_synaptic(key) else ([], [])
        lines = []
        for _ in range(self.choose.one((1, 1, 2, 3))):
            targets = list(own)
            if is_synaptic(key) and not key.endswith((".trial", ".onset")):
                targets += [v for v in post if v in ("u_post", "o_post", "xbar_post",
                                                     "drive_post")]
            if not targets:
                return self.as_bound_at_spikes()
            lines.append(self.line(self.choose.one(targets), key))
        kind = self.choose.one(("append", "append", "prepend"))
        return ((kind, key, "\n".join(lines)),)

    def line(self, name, key):
        """A statement on a variable."""
        c, random = self.choose, self.choose.chance(0.15)
        if name.endswith("_post"):
            return f"{name} {c.one(('+=', '-='))} {self.small()}*{self.expression(key, random)}"
        form = c.whole(0, 8)
        if form == 0:
            return f"{name} = clip({name}, -{self.value()}, {self.value()})"
        if form == 1:
            return f"{name} *= {c.one(('.99', '0.9', self.value()))}"
        if form == 2:
            return f"{name} /= 1 + {self.small()}*abs({self.expression(key, random)})"
        if form in (3, 4):
            return f"{name} {c.one(('+=', '-='))} {self.small()}*{self.expression(key, random)}"
        if form == 5:
            return f"{name} = 0.9*{name} + {self.small()}*{self.expression(key, random)}"
        if form == 6:
            return f"{name} = {self.number()}*sign({name})*abs({self.expression(key, random)})"
        if form == 7:
            return f"{name} = {self.expression(key, random)}"
        return f"{name} *= 1 - {self.small()}*tanh({self.expression(key, random)})"

    def condition(self, key):
        """A threshold of one's own."""
        old = self.blocks.get(key, "")
        if old and self.choose.chance(0.6):
            return (("condition", key, f"{self.choose.one(('and', 'or'))} "
                     f"{self.expression(key)} > {self.number()}"),)
        return (("append" if not old else "edit", key,
                 f"{self.expression(key)} > {self.number()}"),)

    def event(self, name, kind):
        """An event of a population, and what happens at it."""
        own = self.names(name, writable=True)
        if not own or is_synaptic(name):
            return self.as_scaling_at_spikes()
        known = sorted(key.rpartition(".")[2] for key in self.blocks
                       if key.startswith(f"{name}.event."))
        word = self.choose.one(known) if known and self.choose.chance(0.9) else "seen"
        random = self.choose.chance(0.3)
        return (("edit", f"{name}.event.{word}",
                 f"{self.expression(f'{name}.event', random)} > {self.number()}"),
                ("edit", f"{name}.on.{word}", self.line(self.choose.one(own), f"{name}.on")))

    def equation(self, key):
        """An equation changes by a term or a factor, or there is one more."""
        lines = [line for line in parse(self.blocks.get(key, "")) if line.right]
        self.count += 1
        new = f"q{self.count}"
        if lines and self.choose.chance(0.75):
            line = self.choose.one(lines)
            if line.kind == "differential" and self.choose.chance(0.6):
                rate = self.choose.one(("0.7*Hz", "5*Hz", "1/tau_m"))
                if line.unit != "1":
                    rate = "1" if line.unit == "second" else rate + f"*{line.unit}"
                return (("term", f"{key}:{line.name}", f"{self.choose.one('+-')} {rate}*"
                         f"{self.expression(key)}"),)
            return (("times", f"{key}:{line.name}", f"1 + {self.small()}*{self.expression(key)}"),)
        used = () if not lines else (
            ("times", f"{key}:{self.choose.one(lines).name}", f"1 + 0.1*{new}"),)
        if self.choose.chance(0.5):
            return (("append", key, f"{new} = {self.expression(key)} : 1"), *used)
        if self.choose.chance(0.1) and not is_synaptic(key):
            return (("append", key, f"{new} : 1 (shared)"), *used)
        return (("append", key, f"d{new}/dt = ({self.expression(key)} - {new})/(8*ms) : 1"), *used)

    # ------------------------------------------------------------------ as people write them

    def forward(self):
        """A block of forward synapses: of all, of the first, of the readout's."""
        keys = ["forward", "forward_readout", "forward_readout", "forward_1"]
        return self.choose.one([k for k in keys if k in ("forward_1",) or k in self.blocks])

    def spike(self):
        """A block of forward synapses that runs at spikes."""
        keys = [k for k in ("forward.spike", "forward_readout.spike", "forward_1.spike",
                            "forward_local.spike") if k in self.blocks]
        if len(self.model.sizes) == 3 and self.model.coding == "current":
            keys = [k for k in keys if k != "forward.spike"]
        return self.choose.one(keys)

    def as_bound_at_spikes(self):
        low, high = f"-{self.value()}", self.value()
        return ((self.choose.one(("append", "prepend")), self.spike(),
                 f"w = clip(w, {low}, {high})"),)

    def as_scaling_at_spikes(self):
        key = self.spike()
        return ((self.choose.one(("append", "prepend")), key, self.choose.one((
            "w *= .99", "w = 0.97*w", f"w /= {self.value()} + 1", f"w -= {self.small()}*w",
            f"w += {self.small()}*xbar_post" if key.startswith("forward.") else "w *= 1.01",
            f"w *= 1 - {self.small()}*int(w > {self.number()})"))),)

    def as_at_postsynaptic_spikes(self):
        lines = [self.choose.one((
            f"w += {self.small()}*xbar_pre", f"w = clip(w, -{self.value()}, {self.value()})",
            "w *= 0.97", f"w -= {self.small()}*w*xbar_pre", f"u_post += {self.small()}*w",
            f"xbar_pre -= {self.small()}", f"w = 0.9*w + {self.small()}*rand()",
            f"w += {self.small()}*(xbar_pre > xbar_post)", f"w -= {self.small()}*i/(1 + j)"))
            for _ in range(self.choose.one((1, 1, 2)))]
        key = self.choose.one(("forward.post", "forward_1.post", "forward.post"))
        if self.choose.chance(0.3) and "forward.trial" not in self.blocks and not any(
                line.name == "E" for line in parse(self.blocks.get("forward", ""))):
            return (("edit", "forward", "dE/dt = -E/(9*ms) : 1\ndw/dt = -eta*E*xbar_post : 1"),
                    ("edit", "forward.trial", "E = 0"),
                    ("append", key, f"E = 0.8*E + {self.number()}*xbar_pre"))
        return (("append", key, "\n".join(lines)),)

    def as_between_trials(self):
        lines = [self.choose.one((
            "w = 0.9*w", f"w = clip(w, -{self.value()}, {self.value()})", "w *= 0.9",
            "w -= 0.01*sign(w)", f"w = w/(1 + {self.small()})", f"w += {self.small()}*rand()",
            f"w = w*int(abs(w) > {self.small()})", f"w += w > {self.small()}", "w *= 1"))
            for _ in range(self.choose.one((1, 2)))]
        return (("append", f"{self.forward()}.trial", "\n".join(lines)),)

    def as_decay_in_the_equation(self):
        key = self.forward()
        if not any(line.name == "w" and line.right for line in parse(self.blocks.get(key, ""))):
            return None
        self.values["tau_w"] = self.choose.one(("50*ms", "400*ms"))
        term = self.choose.one(("- w/tau_w", "- 0.5*Hz*w*xbar_post**2", "+ 0.2*Hz*(0.1 - w)",
                                f"*int(w < {self.number()})", "*clip(xbar_pre, 0.02, 0.7)",
                                f"*({self.value()} - w)", "- 0.1*Hz*sign(w)"))
        if "xbar_post" in term and key == "forward_readout":
            term = "- 0.3*Hz*w"
        if "tau_w" not in term:
            del self.values["tau_w"]
        return (("term", f"{key}:w", term),)

    def as_homeostasis(self):
        target = self.value()
        return (("append", "hidden", "usual : 1"),
                ("append", "hidden.reset", "usual += 0.2"),
                ("append", self.choose.one(("hidden.trial", "hidden.step")),
                 f"usual += 0.05*({target} - usual)"),
                self.choose.one((
                    ("edit", "psi", "psi = exp(-abs(u - theta)/0.3)/(0.2 + usual) : 1"),
                    ("append", "forward.trial", f"w *= 1 + 0.1*({target} - usual_post)"),
                    ("append", "forward.spike", f"w -= 0.01*w*(usual_post - {target})"))))

    def as_trace(self):
        new = self.choose.one((
            f"dxbar/dt = -xbar/({self.choose.whole(3, 30)}*ms) : 1",
            "dxbar/dt = -xbar/tau_o : 1", "dxbar/dt = (0.1 - xbar)/tau_m : 1",
            "dxbar/dt = -xbar*xbar/tau_m : 1", "dxbar/dt = -0.5*xbar/tau_m : 1"))
        where = self.choose.one(("hidden", "input"))
        if where == "input" and self.model.coding == "current":
            new = "dxbar/dt = (x - xbar)/tau_o : 1"
        return (("edit", f"{where}:xbar", new),)

    def as_rise_of_the_trace(self):
        where = "hidden" if self.model.coding == "current" else self.choose.one(("hidden",
                                                                                 "input"))
        rise = self.choose.one(("xbar += 0.5", "xbar = 1", "xbar += 1 - 0.3*xbar", "xbar -= 0.2",
                                "xbar *= 1.5"))
        return (("append", f"{where}.reset", rise),)

    def as_second_trace(self):
        tau = self.choose.whole(3, 30)
        if self.forward() == "forward_readout" or not any(
                line.name == "w" and line.right for line in parse(self.blocks.get("forward", ""))):
            return None
        return (("append", "hidden", f"dybar/dt = -ybar/({tau}*ms) : 1"),
                ("append", "hidden.reset", "ybar += 1"), ("append", "hidden.trial", "ybar = 0"),
                ("term", "forward:w", f"- {self.number()}*Hz*ybar_post*xbar_pre"))

    def as_tired_synapses(self):
        """Short-term depression, with facilitation or without, kept in the synapses."""
        key = self.spike()
        base, into = key.partition(".")[0], "o" if "readout" in key or "local" in key else "u"
        spike, more = self.choose.one((
            (f"{into}_post += w*r_\nr_ *= 0.6", ""),
            (f"r_ -= 0.3*r_\n{into}_post += w*r_", ""),
            (f"f_ += 0.3*(1 - f_)\n{into}_post += w*f_*r_\nr_ -= f_*r_",
             f"\ndf_/dt = (0.2 - f_)/({self.choose.whole(10, 90)}*ms) : 1")))
        ops = [("append", base, f"dr_/dt = (1 - r_)/({self.choose.whole(10, 90)}*ms) : 1{more}"),
               ("edit", key, spike)]
        if self.choose.chance(0.7):
            ops.append(("append", f"{base}.trial", "r_ = 1"))
        if f"{base}.hold" in self.blocks and self.choose.chance(0.9):
            ops.append(("edit", f"{base}.hold", self.blocks[f"{base}.hold"].replace(
                "w*alpha", self.choose.one(("w*r_*alpha", "0.4*w*alpha")))))
        return tuple(ops)

    def as_trace_moved_by_synapses(self):
        return (("append", self.spike(), self.choose.one((
            "xbar_pre += 0.1", "xbar_pre -= 0.2*xbar_pre", "xbar_pre += 0.05*w"))),)

    def as_surrogate(self):
        if re.match(r"localzo(_\d)?$", self.model.surrogate):
            return None  # samples, set by statements
        p = self.choose.one((
            "exp(-abs(u - theta)/0.25)", "1/(1 + 9*abs(u - theta))**2",
            "clip(1 - abs(u - theta), 0, 1)",
            "int(abs(u - theta) < 0.51)", "1", "exp(-(u - theta)**2)*(1 + 0.1*i/N)",
            "1 - tanh(u - theta)**2", "xbar*exp(-abs(u))", "exp(-abs(u - theta))*(2 - gate)"))
        return (("edit", "hidden:psi", f"psi = {p} : 1"),)

    def as_eligibility(self):
        if "forward.trial" in self.blocks:
            return None  # the rule has one of its own
        keep = self.choose.one(("E = 0", "E *= 0.5", ""))
        ops = [("edit", "forward",
                f"dE/dt = (xbar_pre*psi_post - E)/({self.choose.whole(3, 20)}*ms)"
                " : 1\ndw/dt = -eta*E*g_post : 1")]
        if keep:
            ops.append(("edit", "forward.trial", keep))
        if self.choose.chance(0.4) and "forward.spike" in self.blocks:
            ops.append(("append", "forward.spike", self.choose.one((
                "E += 0.1*psi_post", "E = clip(E, 0, 0.3)", "E *= 0.8"))))
        return tuple(ops)

    def as_holds(self):
        if "forward.hold" not in self.blocks:
            return None
        return ((self.choose.one(("append", "prepend")),
                 self.choose.one(("forward.hold", "forward_readout.hold")), self.choose.one((
                     "w = clip(w, -0.6, 0.6)", "w *= 0.95", "w += 0.01*z_pre", "w /= 1.03"))),)

    def as_pairs(self):
        found = [k for k in self.blocks if ".pair." in k]
        if not found:
            return None
        return (("append", self.choose.one(found), self.choose.one((
            "M = clip(M, -0.31, 0.31)", "M *= 0.97", "M /= 1.05\nM -= 0.001*sign(M)",
            "M += 0.01*clip(Do_pre*Dz_post, -1, 1)", "M = 0.9*M"))),)

    def as_feedback(self):
        matrix = self.model.rule.matrix
        if not matrix or "feedback" not in self.blocks:
            return None
        return (self.choose.one((
            ("append", "feedback.trial", f"{matrix} = clip({matrix}, -{self.value()}, 0.9)"),
            ("append", "feedback.trial", f"{matrix} *= 0.9"),
            ("edit", "feedback:g_post", f"g_post = sign({matrix})*err_pre : 1 (summed)"),
            ("edit", "feedback:g_post",
             f"g_post = clip({matrix}, -0.4, 0.4)*err_pre*N_pre : 1 (summed)"))),)

    def as_threshold(self):
        return (("edit", "hidden.threshold", self.choose.one((
            "S > 0.5 and u > 0.37", "u > theta", "u > theta + 0.1*int(i % 2 == 0)", "S > 0.25",
            "S > 0.5 and xbar < 1.7", "u > theta or S > 0.5", "rand() < chance",
            "rand() < rho*dt"))),)

    def as_decision(self):
        if self.model.refractory > 0*second:
            return None  # which the decision would have to wait for
        return (("edit", "hidden.step", self.choose.one((
            "S = int(rand() < chance)", "S = int(u + 0.1*randn() > theta)",
            "S = int(rand() < chance)*int(rand() < 0.8)", "S = int(u > 0.71)",
            "S = int(rand() < clip(u, 0, 0.5))", "S = int(u - theta > 0)*int(i % 2 < 1)"))),)

    def as_noise(self):
        return (("append", self.choose.one(("hidden.step", "hidden.sample", "hidden.chance")),
                 self.choose.one(("u += 0.05*randn()", "u += 0.1*(rand() - 0.5)",
                                  "u -= 0.02*xbar"))),)

    def as_reset(self):
        return (("edit", "hidden.reset", self.choose.one((
            "u = 0\nxbar += 1\ncount += 1", "u -= 0.5*theta\nxbar += 1\ncount += 1",
            "u *= 0.3\nxbar += 1\ncount += 1",
            "xbar += 1\nu -= theta\nu = clip(u, 0, 1)\ncount += 1",
            "u = 0.1*rand()\nxbar += 1\ncount += 1"))),)

    def as_membrane(self):
        return (("term", "hidden:u", self.choose.one((
            f"+ {self.small()}*randn()*Hz", "+ 10*Hz*sin(2*pi*30*Hz*t)", "+ 5*Hz*i/N",
            "- 3*Hz*u**2", "- 20*Hz*xbar", "+ 5*Hz*g", "+ 8*Hz*int(t < 30*ms)"))),)

    def as_transmission(self):
        key = self.spike()
        into = "o" if "readout" in key or "local" in key else "u"
        return (("edit", key, self.choose.one((
            f"{into}_post += abs(w)", f"{into}_post += w*int(w > -0.11)",
            f"{into}_post += sign(w)*0.3",
            f"{into}_post += clip(w*xbar_pre, -0.5, 0.5)", f"{into}_post += w*(1 + 0.1*j)/N_pre",
            f"{into}_post += w*rand()", f"{into}_post += w*int(rand() < 0.7)",
            f"w = clip(w, 0, {self.value()})\n{into}_post += w\nw *= 0.98",
            f"{into}_post += w\n{into}_post -= 0.05"))),)

    def as_readout(self):
        return (self.choose.one((
            ("edit", "readout:o", "do/dt = -o/(15*ms) : 1"), ("append", "readout.step",
                                                              "o *= 0.98"),
            ("edit", "readout.step", "decision += read*clip(o, -0.7, 0.9)"),
            ("append", "readout.trial", "o = 0.1"), ("term", "readout:o", "+ 3*Hz*sin(o)"),
            ("edit", "readout:g", "g = sign(err) : 1"))),)

    def as_error(self):
        return (self.choose.one((
            ("edit", "error:expo", "expo = exp(2*o) : 1"), ("times", "error:err", "0.5"),
            ("times", "error:delta", "1 - 0.5*int(o > 0.3)"), ("times", "error:loss", "1 + 0.1*i"),
            ("edit", "error:expo", "expo = 1 + o**2 : 1"), ("append", "error.step",
                                                            "cost += 0.001*o"),
            ("edit", "error:err", "err = plastic*gate*clip(o - y, -0.5, 0.5) : 1"))),)

    def as_parameters(self):
        return (("edit", "hidden", self.blocks["hidden"] + "\nscale : 1"),
                ("edit", "hidden.trial", self.blocks.get("hidden.trial", "")
                 + f"\nscale = 1 + {self.value()}*i/N"),
                ("times", "hidden:psi", "scale"))

    def as_synaptic_parameter(self):
        if not any(line.name == "w" and line.right for line in parse(self.blocks.get("forward",
                                                                                     ""))):
            return None
        flag = self.choose.one(("", "", " (shared)", " (constant)"))
        return (("append", "forward", f"a_ : 1{flag}"), ("times", "forward:w", "1 + a_"),
                ("append", self.choose.one(("forward.trial", "forward.spike")),
                 self.choose.one(("a_ = 0.3", "a_ += 0.1", "a_ = 0.9*a_ + 0.1*xbar_post"))))

    def as_one_layer(self):
        k = self.choose.whole(1, len(self.model.sizes) - 2)
        return (self.choose.one((
            ("append", f"hidden_{k}.reset", "xbar += 0.25"), ("append", f"hidden_{k}.step",
                                                              "u *= 0.99"),
            ("append", f"forward_{k}.trial", "w *= 0.93"),
            ("edit", f"hidden_{k}", "psi = exp(-abs(u - theta)/0.4) : 1"),
            ("append", f"forward_{k}.spike", "w = clip(w, -0.41, 0.43)"))),)

    def as_critic(self):
        if "critic.trial" not in self.blocks:
            return None
        return (self.choose.one((
            ("append", "critic.step", "L *= 0.99"), ("append", "critic.trial",
                                                     "Lbar = clip(Lbar, 0, 1)"),
            ("edit", "critic:L", "L : 1"), ("append", "critic.trial", "Lbar += 0.1*rand()"),
            ("append", "critic.step", "Lbar += 0.01*(loss - Lbar)"))),)

    # ------------------------------------------------------------------ what must be refused

    def nonsense(self):
        return (self.choose.one((
            ("edit", "psi", "psi = 4*p*(1 - pp) : 1"), ("edit", "psi", "psi = 4*p*(1 - p) : volt"),
            ("edit", "hidden.reset", "u -= thetta"), ("append", "forwrad.spike", "w = 0"),
            ("append", "hidden.rset", "u = 0"), ("append", "forward.spike", "w = clip(w, 0)"),
            ("append", "forward.trial", "w = 0.9*w +"), ("append", "hidden.step", "u = u*ms"),
            ("append", "forward.spike", "w_post += 1"), ("append", "forward.post", "w = 0"),
            ("append", "hidden", "du/dt = -u/tau_m : 1"), ("append", "hidden", "z9 : 1\nz9 : 1"),
            ("term", "hidden:u", "+ u"), ("append", "hidden.step", "rho = 3*Hz"),
            ("append", "forward.spike", "u_post = 3"), ("append", "hidden.step", "S = w"),
            ("append", "forward.spike", "w += t_of_trial"), ("append", "hidden.step",
                                                             "u += foo(u)"),
            ("append", "hidden.step", "u += rand(2)"), ("append", "error.hold", "y = 0"),
            ("append", "feedback.spike", "w = 0"), ("append", "hidden.step", "N = 3"),
            ("append", "hidden.step", "i = 3"), ("append", "hidden.step", "dt = 3*ms"),
            ("append", "hidden.step", "t = 3*ms"), ("append", "hidden.step", "plastic = 1"),
            ("append", "hidden.step", "theta = 1"), ("append", "forward.spike", "xbar_post = 1"),
            ("append", "hidden.step", "if u > 1: u = 0"), ("append", "hidden.step", "u := 3"),
            ("append", "forward.spike", "w //= 2"), ("append", "forward.spike", "w **= 2"),
            ("append", "forward.spike", "w %= 0.3"), ("append", "hidden.step", "u = u > 1"),
            ("append", "hidden.step", "u = not S"), ("append", "forward.trial", "w = -w"),
            ("edit", "psi", "psi = 4*p*(1-\uff50) : 1"), ("edit", "psi", "psi = poisson(3) : 1"),
            ("edit", "psi", "psi = rand() : 1"), ("edit", "psi", "psi = 1e400*p : 1"),
            ("edit", "psi", "psi = psi : 1"), ("edit", "hidden:g", "g = psi*delta : 1"),
            ("append", "hidden", "lastspike : second"), ("append", "hidden", "i : 1"),
            ("append", "hidden", "_u2 : 1"), ("append", "hidden", "N = 3 : 1"),
            ("append", "hidden.trial", "u = 0*mV"), ("append", "forward", "w2 : 1 (shared)"),
            ("append", "softmax", "Z_post = expo_pre : 1 (summed)"),
            ("append", "hidden.step", "u += int(u)//2"), ("append", "hidden.step", "u -= u % 0.3"),
            ("append", "hidden.step", "u += timestep(t, dt)"), ("append", "hidden.step",
                                                                "u += inf"),
            ("append", "hidden", "draws : 1"), ("append", "hidden.step", "u += t_in_timesteps"),
            ("append", "hidden.step", "u += poisson ( 2 )"),
            ("append", "hidden.step", "u += t_of_run/second"), ("append", "forward.trial",
                                                                "w = w"))),)


def is_synaptic(key):
    """Whether a block is one of synapses."""
    base = key.split(".")[0]
    kind = KINDS.get(base) or KINDS.get(base.rpartition("_")[0])
    return not isinstance(kind, PopulationKind)


# ---------------------------------------------------------------------------- reduction

def smaller(draw):
    """Draws with less in them, the boldest first."""
    for k in range(len(draw.ops)):
        yield replace(draw, ops=draw.ops[:k] + draw.ops[k + 1:])
    for k, op in enumerate(draw.ops):
        for m in range(len(op)):
            if len(op) > 1:
                yield replace(draw, ops=(*draw.ops[:k], op[:m] + op[m + 1:], *draw.ops[k + 1:]))
        for m, (kind, key, text) in enumerate(op):
            lines = text.split("\n")
            for n in range(len(lines)):
                if len(lines) > 1 and kind in ("append", "prepend"):
                    less = (kind, key, "\n".join(lines[:n] + lines[n + 1:]))
                    yield replace(draw, ops=(*draw.ops[:k], (*op[:m], less, *op[m + 1:]),
                                             *draw.ops[k + 1:]))
    for k in range(1, len(draw.sizes) - 1):
        if len(draw.sizes) > 3:
            yield replace(draw, sizes=draw.sizes[:k] + draw.sizes[k + 1:],
                          options={n: v for n, v in draw.options.items() if n != "intermediate"})
    for name, plain in (("options", {}), ("neuron", "logistic"), ("refractory", 0.0),
                        ("error", "graded"), ("surrogate", "escape"), ("dropout", 0.0),
                        ("state_reset", True), ("varying", False), ("reset", "soft"),
                        ("rule", "bp"), ("coding", "current"), ("warmup", 0)):
        if getattr(draw, name) != plain:
            yield replace(draw, **{name: plain, **({"options": {}} if name == "rule" else {})})
    for name in draw.options:
        yield replace(draw, options={n: v for n, v in draw.options.items() if n != name})
    for name in draw.values:
        yield replace(draw, values={n: v for n, v in draw.values.items() if n != name})
    for name in draw.spread:
        yield replace(draw, spread={n: v for n, v in draw.spread.items() if n != name})
    if draw.freeze:
        yield replace(draw, freeze=())
    for k in range(len(draw.plastic)):
        if len(draw.plastic) > 1:
            yield replace(draw, plastic=draw.plastic[:k] + draw.plastic[k + 1:])
    if draw.steps > 12:
        yield replace(draw, steps=12)


def reduced(draw, outcome, run, most=60):
    """The smallest draw found that has the same kind of outcome, and its outcome."""
    tries = 0
    while tries < most:
        for other in smaller(draw):
            tries += 1
            found = run(other)
            if found.kind == outcome.kind:
                draw, outcome = other, found
                break
            if tries >= most:
                return draw, outcome
        else:
            break
    return draw, outcome
