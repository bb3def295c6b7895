"""The event-driven form of plasticity, as text.

Between two spikes of its source, what a synapse learns is known from what the target remembers.
The variables v of a synapse that are lazy follow, with Euler's steps of dt,

    dv/dt = sum over modes m of y_m*F_m  +  sum over variables u of u*A_u,

where a mode y is something presynaptic that decays with a time constant of its own (or stays for
the trial) and rises at spikes, and F and A are the target's. Such a step is linear, so that at any
moment the value in force is

    v = sum over u of P_vu*(what is kept of u) + sum over m of y_m*G_vm

with P and G of the target alone: P begins a trial as 1 (as 0 for another u) and takes each step of
the equation, and so does G, which begins as 0, gets dt*F and grows between steps as y decays: y*G
does not. A spike that raises y by J must leave the values in force where they are: it takes J*V
from what is kept, with V solving P V = G. So nothing is done to a synapse but at the spikes of its
source and between two trials, when what is owed is added and P and G begin anew.

In the plain rule, one trace and one weight, that is dG/dt = G/tau + F, w + xbar*G in force, and
w -= G at a spike. What is kept of P is P - 1, since variables begin as 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bioopzo.network.kinds import SYNAPSE_MOMENTS
from bioopzo.network.objects import (
    Assembly,
    Code,
    GroupText,
    Pathway,
    SynapseText,
    names_used,
    with_right,
)
from bioopzo.text.equations import is_condition, parse, render, substitute


@dataclass(frozen=True)
class Mode:
    """A presynaptic factor: `text` in synapses, its decay `tau` and its rise `jump` at a spike."""

    name: str
    text: str
    tau: str = ""
    jump: str = ""


@dataclass(frozen=True)
class Lazy:
    """An equation of a synapse: factors of the synapse's `own` variables, and of modes (`driven`).

    Factors are text of the target.
    """

    name: str
    unit: str
    own: Mapping[str, str]
    driven: tuple[tuple[Mode, str], ...]


def emit(assembly: Assembly, synapse: SynapseText, equations: Mapping[str, Lazy]) -> None:
    """Write the lazy form of `equations`, each of which follows earlier ones, in place."""
    made = _Written(synapse, assembly.groups[synapse.target], equations)
    made.accumulate()
    made.read()
    made.take()
    made.settle()


def free_name(name: str, synapse: SynapseText, target: GroupText) -> str:
    """A name for what a target keeps for these synapses; others may have taken the short one."""
    taken = names_used(target)
    name = f"{name}_{synapse.name}" if name in taken else name
    while name in taken:
        name += "_"
    return name


class _Written:
    """The text of one projection while it is written."""

    def __init__(self, synapse, target, equations):
        self.synapse, self.target, self.equations = synapse, target, equations
        self.modes: dict[str, Mode] = {}
        # Names of the target: of G and V by variable and mode, of P by two variables.
        self.sums: dict[tuple[str, str], str] = {}
        self.takes: dict[tuple[str, str], str] = {}
        self.keeps: dict[tuple[str, str], str] = {}
        for name, told in equations.items():
            own = {u: factor for u, factor in told.own.items() if u != name}
            for mode in [m for m, _ in told.driven] + [
                    m for u in own for m in self.modes.values() if (u, m.name) in self.sums]:
                self.modes.setdefault(mode.name, mode)
                if (name, mode.name) not in self.sums:
                    first = not any(v == name for v, _ in self.sums)
                    self.sums[name, mode.name] = self._declare(
                        "_".join(["G", name, *[mode.name] * (not first)]), told.unit, mode.tau)
            for u in equations:
                if name in told.own if u == name else any(
                        s == u or (s, u) in self.keeps for s in own):
                    self.keeps[name, u] = self._declare(
                        "_".join(["P", name, *[u] * (u != name)]),
                        _ratio(told.unit, equations[u].unit))

    def _declare(self, name, unit, tau=""):
        name = free_name(name, self.synapse, self.target)
        equation = f"d{name}/dt = {name}/{tau}" if tau else name
        self.target.equations += f"\n{equation} : {unit}"
        return name

    def _kept(self, name, of):
        """The share of `of` that stands in the value of `name`, as text, or ``""``."""
        if (name, of) in self.keeps:
            return f"(1 + {self.keeps[name, of]})" if name == of else self.keeps[name, of]
        return "1" if name == of else ""

    def accumulate(self):
        """What the target adds up in each step, later variables first: they read the earlier."""
        lines = []
        for name in reversed(self.equations):
            told = self.equations[name]
            for mode in self.modes.values():
                if (name, mode.name) in self.sums:
                    terms = [factor for m, factor in told.driven if m == mode] + [
                        f"({factor})*{self.sums[u, mode.name]}" for u, factor in told.own.items()
                        if (u, mode.name) in self.sums]
                    lines.append(_added(self.sums[name, mode.name], terms))
            for (v, u), keeps in self.keeps.items():
                if v == name:
                    lines.append(_added(keeps, [
                        f"({factor})*{share}" for s, factor in told.own.items()
                        if (share := self._kept(s, u))]))
        lines += self._solved()
        if lines:
            first, *_ = (*self.sums.values(), *self.keeps.values())
            called = first[2:]
            if any(code.name == f"sum_{called}" for code in self.target.codes):
                called += f"_{self.synapse.name}"
            self.target.codes.append(Code(f"sum_{called}", "\n".join(lines), "plasticity"))
            clear = "\n".join(f"{name} = {_nothing(self.target, name)}"
                              for name in (*self.sums.values(), *self.keeps.values()))
            self.target.codes.append(Code(f"clear_{called}", clear, "start", -6, "trial"))

    def _solved(self):
        """V of every variable and mode that spikes raise: what a rise by 1 takes."""
        for (name, mode), sum_ in self.sums.items():
            if not self.modes[mode].jump:
                continue
            others = [f"{self.keeps[name, u]}*{self.takes[u, mode]}" for u in self.equations
                      if u != name and (name, u) in self.keeps and (u, mode) in self.takes]
            if not others and (name, name) not in self.keeps:
                self.takes[name, mode] = sum_
                continue
            self.takes[name, mode] = self._declare(f"V{sum_[1:]}", self.equations[name].unit)
            yield f"{self.takes[name, mode]} = " + f"({' - '.join([sum_, *others])})" + \
                f"/{self._kept(name, name)}" * ((name, name) in self.keeps)

    def _owed(self, name):
        """(share of what is kept, what is owed to it): the value in force, as text of synapses."""
        share = f"(1 + {self.keeps[name, name]}_post)" if (name, name) in self.keeps else "1"
        owed = [f"{self.keeps[name, u]}_post*{u}" for u in self.equations
                if u != name and (name, u) in self.keeps]
        owed += [f"{self.modes[mode].text}*" * (mode != "1") + f"{sum_}_post"
                 for (v, mode), sum_ in self.sums.items() if v == name]
        return share, " + ".join(owed) or "0"

    def read(self):
        """Every statement, and every sum over synapses, has the value in force."""
        synapse, owed = self.synapse, {name: self._owed(name) for name in self.equations}
        values = {name: f"({_times(share, name)} + {due})" for name, (share, due) in owed.items()}
        lines = []
        for line in parse(synapse.equations, synapse.name):
            if line.name in self.equations:
                line = replace(line, kind="parameter", right="", flags="")
            elif "summed" in line.flags:
                line = with_right(line, substitute(line.right, values))
            lines.append(line)
        synapse.equations = render(lines)
        # At an onset, the trial begins, and nothing is owed.
        synapse.pathways = [path if path.event == "onset" else replace(path, text=render(
            _in_force(x, values, owed) for x in parse(path.text))) for path in synapse.pathways]

    def take(self):
        """A spike that raises a mode takes from what is kept."""
        lines = [f"{name} -= " + f"({self.modes[mode].jump})*" * (self.modes[mode].jump != "1")
                 + f"{taken}_post" for (name, mode), taken in self.takes.items()]
        if not lines:
            return
        synapse, moment = self.synapse, SYNAPSE_MOMENTS["spike"]
        if not any(path.event == "spike" for path in synapse.pathways):
            synapse.pathways.append(Pathway("pre", "spike", "", moment.when, moment.order))
        synapse.pathways = [replace(path, text="\n".join([path.text, *lines]).strip())
                            if path.event == "spike" else path for path in synapse.pathways]

    def settle(self):
        """Between two trials, what is kept becomes the value in force; one pass with the rule's."""
        lines = []
        for name in reversed(self.equations):  # the later read what is kept of the earlier
            share, due = self._owed(name)
            if share != "1":
                lines.append(f"{name} = {_times(share, name)} + {due}")
            elif due != "0":
                lines.append(f"{name} += {due}")
        codes, text = self.synapse.codes, "\n".join(lines)
        if lines and len(codes) == 1:
            codes[0] = replace(codes[0], text=f"{text}\n{codes[0].text}")
        elif lines:
            codes.insert(0, Code("settle", text, "start", -8, "trial"))


def _added(name, terms):
    return f"{name} += dt*({' + '.join(terms)})"


def _times(share, name):
    return name if share == "1" else f"{share}*{name}"


def _ratio(unit, other):
    """The unit of what a variable of unit `other` is multiplied by to give `unit`."""
    if unit == other:
        return "1"
    return unit if other == "1" else f"{unit}/{other}"


def _nothing(target, name):
    """0 with the unit that a name of the target was declared with."""
    unit = next(line.unit for line in parse(target.equations) if line.name == name)
    return "0" if unit == "1" else f"0*({unit})"


def _in_force(line, values, owed):
    """A statement on the value in force of synaptic variables: what is kept, and what is owed.

    What it adds may be added to what is kept; what it sets is set less what is owed.
    """
    right = substitute(line.right, values)
    if line.name not in values:
        return with_right(line, right)
    share, due = owed[line.name]
    divided = f"/{share}" * (share != "1")
    if line.operator in ("+=", "-="):
        return with_right(line, f"({right}){divided}" if divided else right)
    if is_condition(line.right):
        right = f"int({right})"
    if line.operator != "=":
        right = f"{values[line.name]} {line.operator[:-1]} ({right})"
    return replace(line, operator="=", right=f"(({right}) - ({due})){divided}")
