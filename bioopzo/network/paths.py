"""The way of a perturbation, as the neurons and synapses in force have it.

A rule says that neurons are perturbed, and writes the way of the perturbation for the plain
network: what passes a synapse (`push`), what enters a membrane, and zbar, the perturbation after
every membrane on its way to the readout. `follow` reads the text of the network, edits included,
and writes those lines anew, so that what a spike does in a synapse is what the perturbation does
there, and the membranes that it passes are those that zbar passes. Where no such lines can be
derived it says why.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import sympy
from brian2.parsing.sympytools import sympy_to_str

from bioopzo.errors import Mistake
from bioopzo.network.draft import text_of
from bioopzo.network.entries import Population, Projection
from bioopzo.network.held import moving
from bioopzo.network.perturbation import PLACES, SENT, SOURCE, pushes, raised
from bioopzo.network.scores import Lost, score
from bioopzo.network.spread import own_name
from bioopzo.network.stages import OWN_WAY, deciding, stage, unfollowed
from bioopzo.network.table import Network
from bioopzo.text.equations import Line, compose, identifiers, is_expression, parse, render
from bioopzo.text.equations import substitute as put
from bioopzo.text.influence import expanded, factor, on_way, share_of

_FILTERED = re.compile(r"^(z\d+(_\w+)?|zbar(_\w+)?)$")
_JUMPS = {"hidden": "u", "readout": "o", "local": "o"}
_PUSH = re.compile(r"^push(_\w+)?_post$")


def follow(blocks: Mapping[str, str], network: Network, rule: Any, known: frozenset[str],
           gates: str = "", receives: Mapping[str, tuple[str, ...]] | None = None,
           apart: frozenset[str] = frozenset()) -> "Followed":
    """The blocks with the way of the perturbation that they imply, and what stands against it.

    `network` is complete, `rule` the `rules.Rule` in force, `known` the lines that may be written
    anew (those of `perturbation.plain`), `gates` what stands before psi (a mask of dropout, say);
    `receives` are the variables that spikes raise in a population, where its neuron has several,
    `apart` the parameters that differ from population to population.
    """
    way = _Way(dict(blocks), network, known, receives or {}, apart)
    place = PLACES.get(rule.current)
    if place:
        sending = [p for p in network.projections if network.perturbed(p)]
        way.try_each(way.pass_on if place == "after" else way.raised, sending)
        way.try_each(way.enter, [p for p in network.populations if p.kind in _JUMPS and (
            place == "after" or p.kind == "hidden")], rule.current)
        way.try_each(way.filter, network.hidden, place, rule)
        if place == "after":
            way.look_for_others()
    more, mistakes = score(way.blocks, network, known, gates)
    way.made |= more
    way.mistakes += mistakes
    return Followed(way.blocks, tuple(dict.fromkeys(way.mistakes)), known | way.made,
                    tuple(dict.fromkeys(way.notes)))


class Followed(NamedTuple):
    """What follows from a text: the `blocks` with the way of the perturbation, and the rest.

    The `mistakes` stand against it, `known` are the lines that may be written anew, those written
    now among them, and `notes` say where a way is near the text's, and not the text's.
    """

    blocks: Mapping[str, str]
    mistakes: tuple[Mistake, ...] = ()
    known: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


@dataclass
class _Way:
    """The blocks of a network while the way is written into them."""

    blocks: dict[str, str]
    network: Network
    known: frozenset[str]
    receives: Mapping[str, tuple[str, ...]]
    apart: frozenset[str] = frozenset()
    mistakes: list[Mistake] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    made: set[str] = field(default_factory=set)
    # population -> what spikes raise there
    entries: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def try_each(self, step, entries, *more):
        for entry in entries:
            try:
                step(entry, *more)
            except Lost as problem:
                self.mistakes.append(problem.mistake)

    def lines(self, entry: Population | Projection, moment: str = "") -> dict[str, Line]:
        return {line.name: line for line in parse(text_of(self.blocks, entry, moment))}

    # ---------------------------------------------------------------- through the synapses

    def raised(self, projection: Projection) -> None:
        """What the spikes of perturbed neurons raise: the perturbation is in the spikes itself."""
        target = self.network[projection.target]
        spike = parse(text_of(self.blocks, projection, "spike"))
        if spike and any("zbar" in self.lines(p) for p in self.network.hidden):
            block = f"{self._home(projection, 'spike')}.spike"
            self._same_entry(target, self._jump(projection, target, spike, block, True), block)

    def _same_entry(self, target, jumps, block):
        if self.entries.setdefault(target.name, tuple(jumps)) != tuple(jumps):
            raise Lost(block, f"spikes onto {target.name} raise {' and '.join(jumps)} here and "
                       f"{' and '.join(self.entries[target.name])} elsewhere: the way of the "
                       "perturbation cannot be derived", "", "let all raise the same variable")

    def pass_on(self, projection: Projection) -> None:
        """What a perturbed neuron sends through its synapses: `push` of the target."""
        spike = parse(text_of(self.blocks, projection, "spike"))
        if not spike:
            return
        target = self.network[projection.target]
        block = f"{self._home(projection, 'spike')}.spike"
        sent = parse(text_of(self.blocks, projection, "hold"))
        mine = [line for line in sent if _PUSH.match(line.name)]
        if any(str(line) not in self.known for line in mine):
            return  # somebody's own
        if sent and not mine:
            raise Lost(f"{self._home(projection, 'hold')}.hold", "the perturbation is no longer "
                        f"handed on to {projection.target}", str(sent[0]),
                        f"keep a line such as '{SENT}'")
        jumps = self._jump(projection, target, spike, block)
        self._same_entry(target, jumps, block)
        lines = [f"{word}_post += {factor(jump)}*alpha*z_pre"
                 for word, jump in zip(pushes(jumps), jumps.values())]
        if [str(x) for x in mine] == lines:
            return
        self.made |= set(lines)
        rest = [str(x) for x in sent if x not in mine]
        place = sent.index(mine[0]) if mine else 0
        texts = [*rest[:place], *lines, *rest[place:]]
        self.blocks[f"{self._shared(projection)}.hold"] = "\n".join(texts)

    def _shared(self, projection):
        """The block for lines: that of the kind where nothing is written for one alone."""
        own, kind = projection.name, projection.kind
        alone = any(f"{name}{moment}" in self.blocks for moment in (".spike", ".hold")
                    for name in projection.blocks if name != kind)
        return kind if kind in self.blocks and not alone else own

    def _home(self, entry, moment):
        """The last block that says something of an entry at a moment."""
        found = [name for name in entry.blocks if f"{name}.{moment}" in self.blocks]
        return found[-1] if found else entry.name

    def _jump(self, projection, target, spike, block, moving=False):
        """What a spike adds in its target on the way of u or o: variable -> amount."""
        inner = self.lines(target)
        usual = _JUMPS.get(target.kind, "u")
        way = on_way(inner, usual)
        values: dict[str, str] = {}  # what is set before, put in where it is read
        found: dict[str, list[str]] = {}
        for line in spike:
            right = put(line.right, values)
            name = line.name.removesuffix("_post")
            if line.name.endswith("_post") and name in way:
                if line.operator not in ("+=", "-="):
                    raise Lost(block, f"a spike sets {line.name}: what a perturbation does there "
                               "cannot be derived", str(line), f"add to it, '{line.name} += w', "
                               f"{OWN_WAY}: a block '.hold' with 'push_post += ...'")
                sign = "" if line.operator == "+=" else "-"
                found.setdefault(name, []).append(sign + factor(right))
                if not moving:
                    self._held(projection, right, block, line)
            elif line.name.endswith("_post") and name in deciding(inner, self._decision(target)):
                raise Lost(block, f"a spike changes {line.name}, on which the spikes of "
                           f"{target.name} depend beside {usual}: what a perturbation does there "
                           "cannot be derived", str(line), f"let spikes add to {usual} only")
            elif line.operator == "=":
                values[line.name] = f"({right})"
            else:
                values[line.name] = f"({values.get(line.name, line.name)} {line.operator[0]} " \
                                    f"({right}))"
        several = tuple(found) == self.receives.get(target.name)
        if len(found) != 1 and not several:
            raise Lost(block, f"what a perturbation does in {target.name} cannot be derived: "
                        + (f"a spike adds to {' and '.join(found)}" if found else
                           f"no spike adds to {usual}"),
                        render(spike).replace("\n", "; "),
                        f"let a spike add to one variable of {target.name}, {OWN_WAY}")
        for name in found:
            line = inner.get(name)
            if line is None or line.kind != "differential":
                raise Lost(block, f"a spike adds to {name}, which has no differential equation: a "
                           "perturbation that is held cannot enter it", str(line or ""),
                           f"write it as d{name}/dt = -{name}/tau + ...")
        return {name: " + ".join(terms).replace("+ -", "- ") for name, terms in found.items()}

    def _decision(self, population):
        return [text_of(self.blocks, population, x) for x in ("chance", "step", "threshold")]

    def _held(self, projection, right, block, line):
        """Refuse what moves while a perturbation is held."""
        found = moving(self.blocks, self.network, projection)
        for word in sorted(identifiers(right) & found.keys()):
            raise Lost(block, f"what a spike adds depends on {word}, which {found[word]} while the "
                       "perturbation is held: what the perturbation does there cannot be derived",
                       str(line), "use w, parameters, and what changes at a trial's start only, "
                       f"{OWN_WAY}: a block '.hold' with 'push_post += ...', other than that for a "
                       "plain spike")

    # ---------------------------------------------------------------- into the membranes

    def enter(self, population: Population, current: str) -> None:
        """The perturbation's term in the equation of what spikes raise, or of the membrane."""
        usual = _JUMPS[population.kind]
        after = PLACES[current] == "after"
        if after and population.kind == "local" and "push" not in self.lines(population):
            return
        if not after:
            self._enter(population, usual, "z", current)
            return
        entered = raised(self.network.of(population.kind), self.entries, self.receives, usual)
        names, apart = entered[population.name], len({*entered.values()}) > 1
        for name, word in zip(names, pushes(names)):
            self._declare(population, word, apart)
            self._enter(population, name, word, current.replace("push", word))

    def _declare(self, population, word, apart):
        """Let a population have one push more, where the first has none of its own.

        In text of its own, where spikes raise something else in others of its kind (`apart`).
        """
        for moment, line in (("", f"{word} : Hz"), ("hold", f"{word} = 0*Hz")):
            if word not in self.lines(population, moment):
                home = population.name if apart else self._home(population, moment)
                name = f"{home}.{moment}" if moment else home
                self.blocks[name] = compose(self.blocks.get(name, ""), line)

    def _enter(self, population, name, word, current):
        """The term `current`, with a `word`, in the equation of `name`."""
        for base, line in self._effective(population):
            reads = word in identifiers(line.right)
            if reads and line.name != name:
                raise Lost(base, f"spikes raise {name}, and the perturbation enters {line.name}",
                           str(line), f"leave '+ {current}' out here: it is added to d{name}/dt "
                           "by itself")
            if line.name == name and not reads:
                self._put(base, line, replace(line, right=f"{line.right} + {current}"))
        line = self.lines(population).get(name)
        if line is None or line.kind != "differential":
            return  # said elsewhere
        self._scaled(population, line, word, current)
        hold = self.lines(population, "hold").get(word)
        if word != "z" and (hold is None or hold.operator != "=" or not hold.right.startswith("0")):
            raise Lost(f"{self._home(population, 'hold')}.hold", "push is not set to 0 before a "
                       "new perturbation comes", str(hold or ""), f"keep the line '{word} = 0*Hz'")

    def _effective(self, population):
        """(block, line) of every differential equation of a population."""
        found = {line.name: (base, line) for base in population.blocks
                 for line in parse(self.blocks.get(base, ""))}
        return [(base, line) for base, line in found.values()
                if line.kind == "differential" and not _FILTERED.match(line.name)]

    def _scaled(self, population, line, word, current):
        """Refuse a membrane that takes the perturbation in otherwise than spikes."""
        share = share_of(expanded(line.right, self.lines(population)), word)
        if sympy.simplify(share - share_of(current, word)) != 0:
            raise Lost(self._home(population, ""), f"the perturbation enters d{line.name}/dt as "
                        f"'{sympy_to_str(share)}*{word}' and not as '{current}', as a spike does",
                        str(line), f"write '+ {current}', or leave it out: it is added by itself")

    def _put(self, base, line, new):
        self.blocks[base] = render(new if x == line else x for x in parse(self.blocks[base]))

    def look_for_others(self) -> None:
        """Whoever else sets `push`."""
        for key, text in self.blocks.items():
            if is_expression(key) or key.endswith(".hold") or "." not in key:
                continue
            for line in parse(text):
                if line.name in ("push", "push_post"):
                    self.mistakes.append(Mistake(
                        key, "push carries the rule's perturbation, and this line sets it",
                        str(line), "leave the line out, or use a variable of your own"))

    # ---------------------------------------------------------------- through the membranes

    def filter(self, population: Population, place: str, rule: Any) -> None:
        """zbar: z after every membrane on its way."""
        own = self.lines(population)
        mine = [line for line in own.values() if _FILTERED.match(line.name)]
        hidden, ahead = self.network.hidden, self.network.way(population)
        lost = ahead is None and "zbar" in identifiers(text_of(self.blocks, population, "step"))
        if not ("zbar" in own or lost) or any(str(line) not in self.known for line in mine
                                              if line.kind == "differential"):
            return  # somebody's own
        if ahead is None:
            raise Lost(population.name, f"no synapses lead from {population.name} to the readout: "
                       "the way of the perturbation cannot be derived", "", "connect it, or leave "
                       "the population out")
        through = [*([population] if place == "before" else []), *ahead]
        lines = self._chain(population, through, self.network.readout, "zbar", place)
        middle = rule.intermediate
        if "zbar_mid" in own and own["zbar_mid"].kind == "differential" and middle:
            layer = next(p for p in hidden if p.layer == middle)
            local = self.network[f"local_{middle}"]
            chain = self._chain(population, through[:through.index(layer) + 1], local, "zbar_mid",
                                place)
            lines += [line for line in chain if line.name.startswith("zbar_mid")]
        new = {line.name: line for line in lines}
        if set(map(str, lines)) == {str(x) for x in mine if x.kind == "differential"}:
            return
        self.made |= set(map(str, lines))
        base = population.name
        rest = [x for x in parse(self.blocks[base])
                if not (_FILTERED.match(x.name) and x.kind == "differential")]
        self.blocks[base] = render([*rest, *new.values()])
        trial = parse(self.blocks.get(f"{base}.trial", ""))
        if any(line.name == "zbar" for line in trial):
            more = [f"{name} = 0" for name in new if name not in {x.name for x in trial}]
            self.blocks[f"{base}.trial"] = "\n".join(
                [*(str(x) for x in trial if x.name in new or not _FILTERED.match(x.name)), *more])

    def _chain(self, population, through, last, name, place):
        """Lines of z of a `population` through membranes, then through that of a readout."""
        lines, source = [], SOURCE
        for k, other in enumerate(through, 1):
            lines += self._stage(other, "u", f"z{k}", source,
                                 "u" if place == "before" and k == 1 else None, population)
            source = f"{self._slope(population, other)}*z{k}"
        return lines + self._stage(last, "o", name, source, None, population)

    def _theirs(self, other, population):
        """The parameters of another population that differ, in words that a `population` has."""
        return {} if other == population else {word: own_name(word, other.name)
                                               for word in self.apart}

    def _stage(self, population, target, name, source, entry, reader):
        """Lines of what a perturbation leaves in the membrane `target` of a population.

        They are lines of the `reader`, and the parameters in them those of the population.
        """
        block = self._home(population, "") if population.name in self.blocks else population.kind
        emptied = {line.name for line in parse(text_of(self.blocks, population, "reset"))
                   if line.operator in ("-=", "=")}
        theirs = self._theirs(population, reader)
        inner = {line.name: replace(line, right=put(line.right, theirs))
                 for line in self.lines(population).values()}
        lines, notes = stage(inner, block, target, name, source,
                             entry or self.entries.get(population.name, (target,))[0], emptied,
                             theirs.get("memory", "memory"))
        self.notes += notes + unfollowed(self.blocks, population.blocks, inner, target)
        return lines

    def _slope(self, population, other):
        """The slope of another population, in words that the `population` has."""
        mine, theirs = self.lines(population), self.lines(other)
        if "slope" not in theirs or "slope" not in mine:
            return "slope"  # said elsewhere
        texts = [expanded("slope", lines) for lines in (mine, theirs)]
        texts[1] = put(texts[1], self._theirs(other, population))
        if texts[0] == texts[1]:
            return "slope"
        moving = sorted(identifiers(texts[1]) & theirs.keys())
        if moving:
            raise Lost(other.name, f"zbar of {population.name} passes the slope of {other.name}, "
                        f"which depends on {', '.join(moving)}", str(theirs["slope"]),
                        "write slope with parameters only")
        return texts[1]
