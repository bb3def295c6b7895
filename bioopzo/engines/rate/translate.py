"""From the text of every object to the operations of a trial, on arrays (batch, neurons).

`program` walks through a time step in the order that `network.assembly` documents and Brian2
follows, and turns each statement into an operation. Text that belongs to synapses is taken apart
into (presynaptic) x (postsynaptic) x (synaptic) factors where it can be, so that no array (batch,
pre, post) is needed; a term that mixes them is kept whole (`Term.literal`).

What a mini-batch means for the variables:

- a neuron's variable has a value for every sample (batch, n);
- what a neuron keeps as a running statistic (it only ever changes relative to itself, and other
  text reads it) is shared: every change is averaged over the samples, (1, n);
- a synaptic variable that starts every trial anew is an eligibility: it belongs to a sample;
- what synapses learn (w, M, B) is shared. A change (``dw/dt``, ``+=``, ``-=``) is averaged over the
  samples. A statement that sets it (``=``, ``*=``, ``/=``) acts once a moment: on the synapses for
  which the event happened in any sample, which get the mean of what those samples ask for.

Each of these is what Brian2 does where the batch is one trial.
"""

import ast
import re
from dataclasses import replace

from brian2.core.namespace import DEFAULT_UNITS

from bioopzo.engines.rate.program import ACTIVITIES, Draw, Node, Program, Ref, Term
from bioopzo.errors import EquationError, unknown
from bioopzo.network.clock import CLOCK_NAMES, COLUMNS
from bioopzo.network.delays import ARRIVAL
from bioopzo.network.learning import begins_anew
from bioopzo.network.objects import SCHEDULE, slot, synapse_texts, with_right
from bioopzo.text.equations import (
    identifiers,
    is_condition,
    parse,
    render,
    substitute,
    tree,
    whole_right,
)
from bioopzo.text.factors import Mixed, factored
from bioopzo.text.functions import DRAW, FUNCTIONS

_CHANCE = re.compile(r"int\(\s*rand\s*\(\s*\)\s*<(?=(?P<rest>[^<>=]+))")
_ACTIVE = re.compile(r"^\s*(\w+)\s*>\s*0?\.5\s*$")
_NOT_NAMES = {"and", "or", "not", "True", "False", "pi", "e", "inf", "timestep",
              "with_slope", "at_event", "steady_exp", *FUNCTIONS}


def program(assembly, abstract, activity="rates", masks=False):
    """The `Program` of an `Assembly` (its dense form).

    `abstract` maps the name of a group to Brian2's own abstract code of its state update;
    `activity` is ``"rates"``, ``"spikes"`` or ``"deterministic"``; `masks` says that every sample
    has a time course of its own, so that what depends on it is no gate but an event of the sample.

    Raises `EquationError` for text that has no meaning on a batch, naming object and line.
    """
    if activity not in ACTIVITIES:
        raise unknown("activity", activity, ACTIVITIES)
    return _Builder(assembly, abstract, activity, masks).build()


#: What a neuron of a rule that reads gradients has for the derivative of its spikes, and by what:
#: how far its membrane is above its threshold, where the text says so, else the membrane.
SLOPE, ABOVE, MEMBRANE = "dS_du", "above", "u"


def in_expectation(text):
    """The text with the chance in place of every decision ``int(rand() < chance)``."""
    for found in reversed([*_CHANCE.finditer(text)]):
        rest, depth = found["rest"], 1
        for k, sign in enumerate(rest):
            depth += (sign == "(") - (sign == ")")
            if not depth:  # here ends what began with int(
                text = (f"{text[:found.start()]}clip({rest[:k].strip()}, 0, 1)"
                        f"{text[found.start('rest') + k + 1:]}")
                break
    return text


def words(text):
    """Every name of a value that a text reads."""
    return identifiers(text) - _NOT_NAMES


class _Builder:
    """Gathers the operations; `versions` counts how often each variable was written so far."""

    def __init__(self, assembly, abstract, activity, masks):
        self.assembly, self.abstract = assembly, abstract
        #: What of the trial's clock every sample has for itself, and the events that follow it.
        self.own, self.sure = set(COLUMNS) if masks else set(), {}
        self.out = Program(assembly, activity)
        self.nodes, self.versions, self.memo, self.count = self.out.step, {}, {}, 0
        self.lines = {name: {line.name: line for line in parse(obj.equations, name)}
                      for name, obj in {**assembly.groups, **assembly.synapses}.items()}
        #: Sums are values of neurons, which synapses read and add to as those.
        self.sums = {name: {word: self.lines[name].pop(word) for word in synapse.sums}
                     for name, synapse in assembly.synapses.items()}
        self.events = {}
        self._classify()

    # ------------------------------------------------------------------ what is whose

    def _classify(self):
        """Find what is shared, what belongs to a sample, and what a refractory period holds."""
        found = self.assembly.roles
        self.out.shared, self.out.learned = set(found.statistics), found.learned
        self.out.eligibilities = set(found.anew)
        for name, group in self.assembly.groups.items():
            if group.refractory:
                self.out.held |= {f"{name}.{line.name}" for line in self.lines[name].values()
                                  if "unless refractory" in line.flags}
        for name, synapse in self.assembly.synapses.items():
            for line in self.lines[name].values():
                if "shared" in line.flags and line.name not in synapse.constants:
                    raise EquationError(f"{name}: {line}: the rate engine has no variable that all "
                                        "synapses share; leave (shared) out")

    # ------------------------------------------------------------------ the order of a step

    def build(self):
        """Every operation, in order."""
        for name, actions in (("start", self._starts()), ("step", self._steps()),
                              ("finish", self._finishes())):
            self.nodes, self.versions, self.memo = getattr(self.out, name), {}, {}
            for *_, action, arguments in sorted(actions, key=lambda a: a[:3]):
                action(*arguments)
        return self.out

    def _starts(self):
        """What happens as a trial starts: neurons are reset; input and target are handed in."""
        for name, group in self.assembly.groups.items():
            for code in group.codes:
                if code.clock == "trial" and code.order >= 0 and code.name != "feed":
                    yield *slot(code, name), self._group_code, (name, code.text)
        for name, synapse in self.assembly.synapses.items():
            for code in synapse.codes:
                for line in parse(code.text, name):
                    if begins_anew(self.assembly, name, line):
                        yield _at("start", 0, name, self._emit, "set", name,
                                  f"{name}.{line.name}", self._terms(name, line.right))

    def _finishes(self):
        """What happens once when a trial has ended: reward, then weights that wait for it."""
        for name, group in self.assembly.groups.items():
            for code in group.codes:
                if code.clock == "trial" and code.order < 0:
                    yield *slot(code, name), self._group_code, (name, code.text)
        for name, synapse in self.assembly.synapses.items():
            # What begins the next trial anew is known to statements after that, and is set later.
            anew = {}
            for code in sorted(synapse.codes, key=lambda c: slot(c, name)):
                kept = []
                for line in parse(code.text, name):
                    line = with_right(line, substitute(self._whole(name, line.right), anew))
                    if begins_anew(self.assembly, name, line):
                        anew[line.name] = f"({line.right})"
                    else:
                        kept.append(line)
                yield *slot(code, name), self._synapse_code, (name, render(kept))

    def _steps(self):
        for name, group in self.assembly.groups.items():
            if name == "trial":
                continue
            if self.abstract.get(name, "").strip():
                yield _at("groups", 0, f"{name}_stateupdater", self._group_code, name,
                          self._moving(name))
            for code in group.codes:
                if code.clock == "step" and code.name != "feed":
                    yield *slot(code, name), self._group_code, (name, code.text)
            if group.threshold:
                yield _at("thresholds", 0, f"{name}_spike_thresholder", self._threshold, name)
                yield _at("resets", 0, f"{name}_spike_resetter", self._at_event, name, "spike",
                          group.reset)
            for event in group.events:
                yield _at(event.when, event.order, f"{name}_{event.name}_thresholder",
                          self._event, name, event)
                if event.text:
                    yield _at(event.when, event.order + 1, f"{name}_{event.name}_resetter",
                              self._at_event, name, event.name,
                              event.text)
        for name, synapse in self.assembly.synapses.items():
            for variable, (when, order) in synapse.sums.items():
                yield _at(when, order, f"{name}_summed_variable_{variable}", self._summed, name,
                          variable)
            for path in synapse.pathways:
                yield _at(path.when, path.order, f"{name}_{path.name}", self._pathway, name, path)
            if any(line.kind == "differential" for line in self.lines[name].values()):
                yield _at("plasticity", 0, f"{name}_stateupdater", self._plasticity, name)

    def _moving(self, name):
        """What a state updater does, in the time of the trial."""
        text = self.abstract[name].replace(
            "timestep(t - lastspike", "timestep(t_of_trial - lastspike")
        own = any("not_refractory" in line.right for line in self.lines[name].values()
                  if line.kind == "differential")
        if SLOPE in self.lines[name] and not own:
            # What is held is not taken from here; divided by, the 0 would make its gradient NaN.
            text = text.replace("int(not_refractory)", "1")
        return text

    # ------------------------------------------------------------------ events

    def _threshold(self, name):
        group, lines = self.assembly.groups[name], self.lines[name]
        text, rates = group.threshold, self.out.activity == "rates"
        active = _ACTIVE.match(text)
        drawn = {line.name for code in group.codes for line in parse(code.text, name)
                 if DRAW.search(line.right)}
        if rates and group.refractory:
            raise EquationError(f"{name}: with activity='rates' there is no spike after which a "
                                "neuron could be refractory; use activity='spikes', or "
                                "refractory=0*ms")
        if active and active[1] in lines and not group.refractory and self._decides(
                group, active[1]):
            # S is 0 or 1, or in rates the chance of a spike: the size of the event itself.
            self.events[name, "spike"] = f"{name}.{active[1]}"
            return
        if rates and (DRAW.search(text) or words(text) & drawn):
            raise EquationError(
                f"{name}, threshold {text!r}: with activity='rates' a threshold reads 'S > 0.5' "
                "and S is set in the step block; use activity='spikes' for any other condition")
        text = f"int(({text}) and not_refractory)" if group.refractory else f"int({text})"
        if SLOPE in lines:
            text = self._with_slope(name, text)
        self._element(name, "_spike", text, drawn_for="spike")
        self.events[name, "spike"] = f"{name}._spike"
        if group.refractory:
            self._element(name, "lastspike",  # whole, for it has no derivative
                          "lastspike + int(_spike > 0.5)*(t_of_trial - lastspike)")
            self._element(name, "not_refractory", "not_refractory and _spike < 0.5")

    def _decides(self, group, variable):
        """Whether a variable is set once a step, to 0 or 1 (or to what the task gives).

        With rates what it is set to is the chance.
        """
        texts = [group.reset, *(c.text for c in group.codes if c.name != "feed"),
                 *(e.text for e in group.events)]
        lines = [line for text in texts for line in parse(text)]
        written = [line for line in lines if line.name == variable]
        if any(line.name == "given" for line in lines):
            return False
        ends = [synapse for synapse in self.assembly.synapses.values() for text in synapse_texts(
            synapse) for line in parse(text) if line.name in (f"{variable}_pre",
                                                              f"{variable}_post")]
        return (len(written) == 1 and written[0].operator == "=" and not ends and (
            self.out.activity == "rates" or _is_decision(tree(written[0].right).body)))

    def _event(self, name, event):
        """An event by the trial's clock is a gate; a random one is an activity of its own."""
        by_clock = identifiers(event.condition) <= set(CLOCK_NAMES)
        if by_clock and not identifiers(event.condition) & self.own:
            self.events[name, event.name] = event.condition
            return
        if by_clock:
            self.sure[f"{name}._{event.name}"] = event.condition
        sent = _ACTIVE.match(event.condition)
        if sent and event.name.startswith(ARRIVAL):  # as much of a spike as was sent
            self.events[name, event.name] = f"{name}.{sent[1]}"
            return
        text = f"int({event.condition})"
        if self.out.activity == "rates":
            text = in_expectation(text)
        self._element(name, f"_{event.name}", text, drawn_for=event.name)
        self.events[name, event.name] = f"{name}._{event.name}"

    def _occasion(self, name, event):
        """(gate, `Ref` of the activity) of an event of a group: one of them says when it is."""
        found = self.events[name, event]
        is_activity = found.startswith(f"{name}.")
        return (self.sure.get(found, ""), Ref("value", found)) if is_activity else (found, None)

    def _at_event(self, name, event, text):
        self._group_code(name, text, *self._occasion(name, event), holding=False)

    def _pathway(self, name, path):
        occasion = self._occasion(self._end(name, path.side), path.happening)
        self._synapse_code(name, path.text, *occasion, path.side)

    # ------------------------------------------------------------------ groups

    def _group_code(self, name, text, gate="", activity=None, holding=True):
        decided = _ACTIVE.match(self.assembly.groups[name].threshold or "")
        rates = self.out.activity == "rates"
        expected = activity and rates and activity.key not in self.sure
        for line in parse(text, name):
            if decided and line.name == decided[1] and rates:
                chance = in_expectation(line.right)
                if DRAW.search(chance):
                    raise EquationError(
                        f"{name}: {line}: with activity 'rates' a spike is drawn as "
                        "'int(rand() < chance)', so that its expectation is known")
                line = with_right(line, chance)
            elif decided and line.name == decided[1] and SLOPE in self.lines[name]:
                line = with_right(line, self._with_slope(name, line.right))
            reads = {}
            if expected:  # as much of it as is expected
                reads["_event"] = activity
                line = replace(line, operator="+=", right=(
                    f"_event*({line.right})" if line.operator == "+=" else
                    f"_event*({whole_right(line)} - {line.name})"))
            self._element(name, line.name, whole_right(line), gate, reads, holding,
                          event=None if expected else activity)

    def _with_slope(self, name, text):
        """A decision to spike, with the derivative that the neuron says it has."""
        return f"with_slope({text}, {SLOPE}, {ABOVE if ABOVE in self.lines[name] else MEMBRANE})"

    def _element(self, name, variable, text, gate="", given=None, holding=True, drawn_for="",
                 event=None):
        """A variable of a group becomes an expression, with an `event` where that happens."""
        key = f"{name}.{variable}"
        code, found = self._expression(name, text, drawn_for or variable, given)
        if event:
            passes = SLOPE in self.lines[name]  # gradients, through what a spike does
            code = f"{'at_event(_event' if passes else 'where(_event > 0.5'}, {code}, _old)"
            found |= {"_event": event, "_old": self._value(key)}
        if holding and key in self.out.held:  # as Brian2: a refractory neuron keeps what it has
            code = f"where(_free, {code}, _held)"
            found |= {"_free": self._value(f"{name}.not_refractory"), "_held": self._value(key)}
        self._emit("element", name, key, code=code, reads=found, gate=gate)

    def _emit(self, kind, owner, target, terms=(), **more):
        self.nodes.append(Node(kind, owner, target, terms=tuple(terms), **more))
        self.versions[target] = self.versions.get(target, 0) + 1
        return self.nodes[-1]

    def _value(self, key):
        return Ref("value", key)

    def _drawn(self, text, target):
        """Text with a name in place of every call of rand(), which has numbers of its own."""
        reads = {}
        while match := DRAW.search(text):
            local = f"_draw{len(self.out.draws)}"
            reads[local] = Ref("draw", len(self.out.draws))
            place = sum(draw.target == target for draw in self.out.draws)
            self.out.draws.append(Draw(match[1], target, place))
            text = text[:match.start()] + local + text[match.end():]
        return text, reads

    def _expression(self, name, text, target, given=None):
        """Code and reads of an expression of a group; subexpressions become operations."""
        if SLOPE in self.lines[name]:  # gradients pass
            text = substitute(text, {"exp": "steady_exp"})
        text, reads = self._drawn(text, f"{name}.{target}")
        reads |= given or {}
        for word in sorted(words(text) - set(reads)):
            found = self._read(name, word)
            if found is None:  # a unit: everything here is in base units
                text = substitute(text, {word: repr(float(DEFAULT_UNITS[word]))})
            else:
                reads[word] = found
        return text, reads

    def _read(self, name, word):
        """Where the group `name` finds `word`; None for units."""
        group = self.assembly.groups[name]
        if word in group.links:
            other, variable = group.links[word]
            return Ref("clock", variable) if other == "trial" else self._read(other, variable)
        line = self.lines[name].get(word)
        if line is not None and line.kind == "subexpression":
            return self._subexpression(name, line)
        if word in group.constants:
            return Ref("constant", f"{name}.{word}")
        key = f"{name}.{word}"
        if line is not None or key in self.versions or (
                group.refractory and word in ("lastspike", "not_refractory")):
            return self._value(key)
        known = {"N": Ref("size", name), "i": Ref("index", name), "t": Ref("clock", "t"),
                 "t_of_trial": Ref("clock", "t_of_trial"), "dt": Ref("constant", "dt")}
        if word in known:
            return known[word]
        if word in DEFAULT_UNITS:
            return None
        raise EquationError(f"{name}: {word!r} is not known there; known are "
                            f"{', '.join(sorted(set(self.lines[name]) | set(group.constants)))}")

    def _subexpression(self, name, line):
        """The value of a subexpression now; one that was computed is read again."""
        code, reads = self._expression(name, line.right, line.name)
        state = tuple((k, str(ref), self.versions.get(ref.key) if ref.kind == "value" else 0)
                      for k, ref in sorted(reads.items()))
        if (name, line.name, state) not in self.memo:
            self.memo[name, line.name, state] = self._temporary(name, line.name, code, reads)
        return self.memo[name, line.name, state]

    def _temporary(self, name, word, code, reads):
        """A value that no text can change: an operation with a name of its own."""
        self.count += 1
        target = f"{name}.{word}@{self.count}"
        self._emit("element", name, target, code=code, reads=reads)
        return self._value(target)

    # ------------------------------------------------------------------ synapses

    def _of(self, name, word):
        """(whose it is, its `Ref`) of a word in synaptic text; a `Ref` of neurons comes later."""
        synapse, own = self.assembly.synapses[name], self.lines[name].get(word)
        if word in synapse.constants:
            return "scalar", Ref("constant", f"{name}.{word}")
        if own is not None:
            return "synapse", self._value(f"{name}.{word}")
        ends = {"pre": synapse.source, "post": synapse.target}
        bare, _, side = word.rpartition("_")
        if side in ends:
            group = self.assembly.groups[ends[side]]
            shared = bare in group.constants and "shared" in self.lines[group.name][bare].flags
            scalar = bare == "N" or shared or (
                group.links.get(bare, ("",))[0] == "trial" and bare not in self.own)
            return "scalar" if scalar else side, None
        known = {"t": ("scalar", Ref("clock", "t")), "dt": ("scalar", Ref("constant", "dt")),
                 "i": ("pre", Ref("index", synapse.source)),
                 "j": ("post", Ref("index", synapse.target))}
        if word in known:
            return known[word]
        if word.startswith("_draw"):
            return "draw", Ref("draw", int(word[5:]))
        raise EquationError(f"{name}: {word!r} is not known there; a neuron's value is read as "
                            f"{word}_pre or {word}_post")

    def _found(self, name, word):
        """As `_of`, with neurons' values looked up."""
        side, ref = self._of(name, word)
        if ref is None:
            bare, _, end = word.rpartition("_")
            synapse = self.assembly.synapses[name]
            ref = self._read(synapse.source if end == "pre" else synapse.target, bare)
        return side, ref

    def _terms(self, name, text, activity=None, target="", side="pre", only=""):
        """The `Term`s of synaptic text, at an event of the neurons on one `side`.

        `only` is the event of a sample without which they are 0. They are not looked at then: what
        another sample divides by may be zero.
        """
        only = self.sure.get(activity.key, "") if activity else only
        text, _ = self._drawn(self._plain(name, text), f"{name}.{target}")
        owner = lambda word: "scalar" if word in _NOT_NAMES else self._of(name, word)[0]  # noqa: E731
        try:
            found = factored(text, owner)
        except Mixed as problem:
            reads = {word: self._found(name, word) for word in sorted(words(text))}
            if activity:
                text, reads["_event"] = f"_event*({text})", (side, activity)
            if only:
                text = f"where({only}, {text}, 0)"
                reads |= {word: ("pre", Ref("clock", word)) for word in words(only)}
            said, mixed = (substitute(part, {copy + end: word + end for copy, word in
                                             self.assembly.stored.items()
                                             for end in ("_pre", "_post")})
                           for part in problem.args[:2])
            return [Term(None, None, text, reads, f"the term {said} ({mixed} mixes owners)")]
        return [self._factors(name, factors, activity, side, only) for factors in found]

    def _whole(self, name, text):
        """Text with the synapses' own subexpressions put in."""
        own = {word: f"({line.right})" for word, line in self.lines[name].items()
               if line.kind == "subexpression"}
        for _ in own:
            text = substitute(text, own)
        return text

    def _plain(self, name, text):
        """Text without units, and with the synapses' own subexpressions put in."""
        text = self._whole(name, text)
        return substitute(text, {word: repr(float(DEFAULT_UNITS[word])) for word in
                                 identifiers(text) & set(DEFAULT_UNITS)
                                 if word not in self.lines[name] and word not in
                                 self.assembly.synapses[name].constants})

    def _factors(self, name, factors, activity, event_side, only):
        """A `Term` whose parts of neurons are operations of their own."""
        code, sides = factors.synapse, {"pre": None, "post": None}
        for side, text in (("pre", factors.pre), ("post", factors.post)):
            if any(self._of(name, word)[0] == side for word in words(text)):
                sides[side] = self._side(name, side, text)
                if only:
                    sides[side] = self._temporary(
                        self._end(name, side), name, f"where({only}, _value, 0)",
                        {"_value": sides[side], **{word: Ref("clock", word)
                                                   for word in words(only)}})
            elif text != "1":
                code = f"({text})*({code})" if code != "1" else text
        if activity:
            value = sides[event_side]
            sides[event_side] = activity if value is None else self._temporary(
                self._end(name, event_side), name, "_event*_value",
                {"_event": activity, "_value": value})
        reads = {word: self._found(name, word) for word in sorted(words(code))}
        return Term(sides["pre"], sides["post"], code, reads,
                    "*".join(part for part in (factors.pre, factors.post, factors.synapse)
                             if part != "1") or "1")

    def _side(self, name, side, text):
        """The value of the pre or post part of a term."""
        synapse = self.assembly.synapses[name]
        reads = {word: self._found(name, word)[1] for word in sorted(words(text))}
        if text in reads and reads[text].kind == "value":
            return reads[text]
        group = synapse.source if side == "pre" else synapse.target
        return self._temporary(group, name, text, reads)

    def _sum(self, name, text, into, target, activity=None, gate="", side="pre"):
        """What text adds up to at the neurons of one side, `into`."""
        terms = self._terms(name, text, activity, target, side)
        self.count += 1
        key = f"{self._end(name, into)}.{name}_sum@{self.count}"
        self._emit("sum", name, key, terms, into=into, gate=gate)
        return self._value(key)

    def _end(self, name, side):
        synapse = self.assembly.synapses[name]
        return synapse.target if side == "post" else synapse.source

    def _summed(self, name, variable):
        bare, _, into = variable.rpartition("_")
        found = self._sum(name, self.sums[name][variable].right, into, variable)
        group = self._end(name, into)
        self._emit("element", group, f"{group}.{bare}", code="_sum", reads={"_sum": found})

    def _synapse_code(self, name, text, gate="", activity=None, side="pre"):
        self._refuse_order(name, text)
        for line in parse(text, name):
            if is_condition(line.right):
                line = with_right(line, f"int({line.right})")
            bare, _, into = line.name.rpartition("_")
            if into in ("pre", "post") and line.name not in self.lines[name]:
                if line.operator not in ("+=", "-="):
                    raise EquationError(f"{name}: {str(line)!r}: synapses change a neuron's "
                                        "variable with += or -=")
                found = self._sum(name, line.right, into, line.name, activity, gate, side)
                self._add(name, into, bare, line.operator[0], found, gate)
            else:
                self._learn(name, line, gate, activity, side)

    def _refuse_order(self, name, text):
        """Refuse what depends on the order in which the synapses of a neuron are served."""
        lines = parse(text, name)
        changed = {line.name for line in lines if line.name not in self.lines[name]}
        for line in lines:
            for word in sorted(identifiers(line.right) & changed):
                raise EquationError(
                    f"{name}: {line}: it reads {word}, which the synapses change one after the "
                    f"other in the same statements, so that their order counts; let neurons do it, "
                    "in a block of their own, or use the spiking engine")

    def _add(self, name, into, variable, sign, found, gate):
        """What synapses add to (or take from) a variable of neurons."""
        group = self._end(name, into)
        key = f"{group}.{variable}"
        code, reads = f"_self {sign} _sum", {"_self": self._value(key), "_sum": found}
        if key in self.out.held:
            code, reads["_free"] = (f"where(_free, {code}, _self)",
                                    self._value(f"{group}.not_refractory"))
        self._emit("element", group, key, code=code, reads=reads, gate=gate)

    def _learn(self, name, line, gate="", activity=None, side="pre"):
        """A statement on a synaptic variable: it changes by something, or is set to it."""
        key, right = f"{name}.{line.name}", line.right
        if line.operator in ("+=", "-="):
            right = right if line.operator == "+=" else f"-({right})"
            self._emit("change", name, key, self._terms(name, right, activity, line.name, side),
                       gate=gate)
            return
        terms = self._terms(name, whole_right(line), None, line.name,
                            only=self.sure.get(activity.key, "") if activity else "")
        self._emit("set", name, key, terms, gate=gate, activity=activity, side=side)

    def _plasticity(self, name):
        """Euler's step of every differential equation of a synapse, all from the old values."""
        parts = [Node("change", name, f"{name}.{line.name}", differential=True,
                      terms=tuple(self._terms(name, f"dt*({line.right})")))
                 for line in self.lines[name].values() if line.kind == "differential"]
        self.nodes.append(Node("together", name, parts=tuple(parts)))
        for part in parts:
            self.versions[part.target] = self.versions.get(part.target, 0) + 1


def _is_decision(node):
    """Whether an expression is 0 or 1: a condition, a product of conditions, what is given."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mult) and all(map(_is_decision, (node.left, node.right)))
    if isinstance(node, ast.Name):
        return node.id == "given"
    return isinstance(node, ast.Call) and node.func.id == "int" and isinstance(
        node.args[0], (ast.Compare, ast.BoolOp, ast.Name)) and (
        not isinstance(node.args[0], ast.Name) or node.args[0].id == "not_refractory")


def _at(when, order, name, action, *arguments):
    """An action in its slot; in the same, Brian2 goes by order and then by the `name` it gives."""
    return SCHEDULE.index(when), order, name, action, arguments
