"""From the text of every object to the operations of one time step, on arrays (batch, neurons).

`program` walks through a time step in the order that `network.assembly` documents and Brian2
follows, and turns each statement into an operation that knows which value it reads: that of an
operation before it in the same step, or the one a variable had when the last step ended. Text that
belongs to synapses is taken apart into (presynaptic) x (postsynaptic) x (synaptic) factors, so that
no array (batch, pre, post) is needed. `stages` puts the operations into an order of execution.

What a mini-batch means for the variables:

- a neuron's variable has a value for every sample (batch, n);
- what a neuron keeps as a running statistic (it only ever changes relative to itself, and other
  text reads it) is shared: every change is averaged over the samples, (1, n);
- what synapses learn (w, M, B) is shared: every change is averaged over the samples, (pre, post);
- a synaptic variable that starts every trial at zero is an eligibility: it belongs to a sample.
"""

import re

import sympy
from brian2.core.namespace import DEFAULT_UNITS
from brian2.parsing.sympytools import str_to_sympy, sympy_to_str

from bioopzo.engines.rate.program import ACTIVITIES, Factors, Node, Program, Ref, Term
from bioopzo.errors import EquationError, InputError, unknown
from bioopzo.network.clock import CLOCK_NAMES
from bioopzo.network.objects import SCHEDULE
from bioopzo.text.equations import identifiers, parse, substitute
from bioopzo.text.functions import FUNCTIONS

_DRAW = re.compile(r"\b(rand|randn)\(\)")
_CHANCE = re.compile(r"int\(\s*rand\(\)\s*<\s*(?P<chance>[^<>=]+)\)")
_ACTIVE = re.compile(r"^\s*(\w+)\s*>\s*0?\.5\s*$")
_WORDS = {"and", "or", "not", "True", "False", "pi", "e", "inf"}


def program(assembly, abstract, activity="rates"):
    """The `Program` of an `Assembly` (its dense form).

    `abstract` maps the name of a group to Brian2's own abstract code of its state update;
    `activity` is ``"rates"``, ``"spikes"`` or ``"deterministic"``.

    Raises `EquationError` for text that cannot be taken apart, naming object and term.
    """
    if activity not in ACTIVITIES:
        raise unknown("activity", activity, ACTIVITIES)
    return _Builder(assembly, abstract, activity).build()


class _Builder:
    def __init__(self, assembly, abstract, activity):
        self.assembly, self.abstract = assembly, abstract
        self.out = Program(assembly, activity)
        self.version, self.memo, self.nodes = {}, {}, self.out.nodes
        self.lines = {name: {line.name: line for line in parse(obj.equations, name)}
                      for name, obj in {**assembly.groups, **assembly.synapses}.items()}
        for name, group in assembly.groups.items():
            if group.refractory:
                raise InputError(f"{name}: the rate engine has no refractory period; use the "
                                 "spiking engine, or refractory=0*ms")
        self.activities = {}
        self._classify()

    # ------------------------------------------------------------------ what is whose

    def _classify(self):
        """Find the shared statistics of neurons and the eligibilities of synapses."""
        for name, group in self.assembly.groups.items():
            written, relative, read = set(), set(), set()
            for text in [group.reset, *(c.text for c in group.codes),
                         *(e.text for e in group.events)]:
                for line in parse(text, name):
                    own = line.operator != "=" or line.name in identifiers(line.right)
                    (relative if own else written).add(line.name)
                    read |= identifiers(line.right) - {line.name}
            for line in self.lines[name].values():
                read |= identifiers(line.right) - {line.name}
                if line.kind == "differential":
                    written.add(line.name)
            for other in self.assembly.groups.values():
                read |= {variable for o, variable in other.links.values() if o == name}
            for synapse in self.assembly.synapses.values():
                for suffix, end in (("_pre", synapse.source), ("_post", synapse.target)):
                    if end != name:
                        continue
                    texts = [synapse.equations, *(p.text for p in synapse.pathways),
                             *(c.text for c in synapse.codes)]
                    for text in texts:
                        for line in parse(text, synapse.name):
                            if line.name.endswith(suffix):
                                written.add(line.name[:-len(suffix)])
                            read |= {w[:-len(suffix)] for w in identifiers(line.right)
                                     if w.endswith(suffix)}
            for variable in (relative - written) & read:
                self.out.shared.add(f"{name}.{variable}")
        for name, synapse in self.assembly.synapses.items():
            for code in synapse.codes:
                for line in parse(code.text, name):
                    if line.operator == "=" and not identifiers(line.right) - set(DEFAULT_UNITS):
                        self.out.eligibilities.add(f"{name}.{line.name}")
        self.out.learned = tuple(
            f"{name}.{line.name}" for name in self.assembly.synapses
            for line in self.lines[name].values()
            if line.kind != "subexpression" and "summed" not in line.flags
            and "constant" not in line.flags and f"{name}.{line.name}"
            not in self.out.eligibilities)

    # ------------------------------------------------------------------ the order of a step

    def build(self):
        """Every operation, in order."""
        for *_, action in sorted(self._start_actions(), key=lambda a: a[:3]):
            action()
        self.out.start, self.out.nodes = self.out.nodes, []
        self.nodes = self.out.nodes
        self.version, self.memo = {}, {}
        for *_, action in sorted(self._step_actions(), key=lambda a: a[:3]):
            action()
        self.out.last = dict(self.version)
        step = self.out.nodes
        self.out.nodes = self.nodes = []
        self.version, self.memo = {}, {}
        for *_, action in sorted(self._finish_actions(), key=lambda a: a[:3]):
            action()
        self.out.finish, self.out.nodes = self.out.nodes, step
        self._resolve()
        return self.out

    def _resolve(self):
        """A variable that no operation of the step changes is state, not a carried value."""
        for node in self.out.nodes:
            for local, ref in node.reads.items():
                if ref.kind == "carry" and ref.key not in self.out.last:
                    node.reads[local] = Ref("state", ref.key)
        for node in self.out.start + self.out.finish:
            for local, ref in node.reads.items():
                if ref.kind == "carry":
                    node.reads[local] = Ref("state", ref.key)

    def _start_actions(self):
        """What happens once as a trial starts: resets; input and target are handed in."""
        for name, group in self.assembly.groups.items():
            for code in group.codes:
                if code.clock == "trial" and code.order >= 0 and code.name != "feed":
                    yield self._at(code.when, code.order, name,
                                   lambda n=name, c=code: self._group_code(n, c.text))

    def _finish_actions(self):
        """What happens once when a trial has ended: reward, then weights that wait for it."""
        for name, group in self.assembly.groups.items():
            for code in group.codes:
                if code.clock == "trial" and code.order < 0:
                    yield self._at(code.when, code.order, name,
                                   lambda n=name, c=code: self._group_code(n, c.text))
        for name, synapse in self.assembly.synapses.items():
            for code in synapse.codes:
                yield self._at(code.when, code.order, name,
                               lambda n=name, c=code: self._synapse_code(n, c.text, "", ""))

    def _step_actions(self):
        for name, group in self.assembly.groups.items():
            if name == "trial":
                continue
            if self.abstract.get(name, "").strip():
                yield self._at("groups", 0, name,
                               lambda n=name: self._group_code(n, self.abstract[n]))
            for code in group.codes:
                if code.clock == "step" and code.name != "feed":
                    yield self._at(code.when, code.order, name,
                                   lambda n=name, c=code: self._group_code(n, c.text))
            if group.threshold:
                yield self._at("thresholds", 0, name, lambda n=name: self._threshold(n))
                yield self._at("resets", 0, name, lambda n=name, g=group: self._group_code(
                    n, g.reset, *self._gate(n, "spike")))
            for event in group.events:
                yield self._at(event.when, event.order, name,
                               lambda n=name, e=event: self._event(n, e))
                if event.text:
                    yield self._at(event.when, event.order + 1, name,
                                   lambda n=name, e=event: self._group_code(
                                       n, e.text, *self._gate(n, e.name)))
        for name, synapse in self.assembly.synapses.items():
            for variable, (when, order) in synapse.sums.items():
                yield self._at(when, order, name,
                               lambda n=name, v=variable: self._summed(n, v))
            for path in synapse.pathways:
                yield self._at(path.when, path.order, name, lambda n=name, p=path:
                               self._synapse_code(n, p.text, *self._gate(
                                   self.assembly.synapses[n].source, p.event)))
            if any(line.kind == "differential" for line in self.lines[name].values()):
                yield self._at("plasticity", 0, name, lambda n=name: self._plasticity(n))

    def _at(self, when, order, name, action):
        return SCHEDULE.index(when), order, name, action

    # ------------------------------------------------------------------ events

    def _threshold(self, name):
        text = self.assembly.groups[name].threshold
        active = _ACTIVE.match(text)
        if active and active[1] in self.lines[name]:
            # S is 0 or 1, or in rates the chance of a spike: the size of the event itself.
            self.activities[name, "spike"] = active[1]
        elif self.out.activity == "rates":
            raise EquationError(
                f"{name}, threshold {text!r}: with activity 'rates' a threshold reads 'S > 0.5' "
                "and S is set in the step block; use activity='spikes' for any other condition")
        else:
            self._emit("element", name, f"{name}._spike",
                       *self._expression(name, f"int({text})", target="spike"))
            self.activities[name, "spike"] = "_spike"

    def _event(self, name, event):
        """An event by the trial's clock is a gate; a random one is an activity of its own."""
        used = identifiers(event.condition)
        if used <= set(CLOCK_NAMES):
            self.activities[name, event.name] = ("gate", event.condition)
            return
        text = f"int({event.condition})"
        if self.out.activity == "rates":
            text = _CHANCE.sub(r"clip(\g<chance>, 0, 1)", text)
        key = f"_{event.name}"
        self._emit("element", name, f"{name}.{key}",
                   *self._expression(name, text, target=event.name))
        self.activities[name, event.name] = key

    def _gate(self, name, event):
        """(scalar gate, activity variable) of an event of a group."""
        found = self.activities[name, event]
        return (found[1], "") if isinstance(found, tuple) else ("", found)

    # ------------------------------------------------------------------ groups

    def _group_code(self, name, text, gate="", activity=""):
        decided = _ACTIVE.match(self.assembly.groups[name].threshold or "")
        for line in parse(text, name):
            right = line.right
            if decided and line.name == decided[1] and self.out.activity == "rates":
                right = _CHANCE.sub(r"clip(\g<chance>, 0, 1)", right)
                if _DRAW.search(right):
                    raise EquationError(
                        f"{name}: {line}: with activity 'rates' a spike is drawn as "
                        "'int(rand() < chance)', so that its expectation is known")
            if line.operator != "=":
                right = f"{line.name} {line.operator[0]} ({right})"
            if activity:
                change = line.right if line.operator == "+=" else None
                right = (f"{line.name} + {activity}*({change})" if change is not None else
                         f"{line.name} + {activity}*({right} - {line.name})")
            code, reads = self._expression(name, right, gate, line.name)
            key = f"{name}.{line.name}"
            self._emit("mean" if key in self.out.shared else "element", name, key, code, reads,
                       gate)

    def _emit(self, kind, owner, target, code="", reads=None, gate="", **detail):
        reads = dict(reads or {})
        if gate and target and kind in ("element", "mean"):
            reads["_previous"] = self._variable(target)  # where the gate is shut nothing changes
        node = Node(len(self.nodes), kind, owner, target, code, reads, gate, detail)
        self.nodes.append(node)
        if target:
            self.version[target] = node.number
        return node

    def _variable(self, key):
        return Ref("node", self.version[key]) if key in self.version else Ref("carry", key)

    def _expression(self, name, text, gate="", target=""):
        """Code and reads of an expression of a group, for its variable or event `target`.

        Subexpressions become operations.
        """
        while True:  # every call of rand() has numbers of its own
            match = _DRAW.search(text)
            if not match:
                break
            local = f"_draw{len(self.out.draws)}"
            self.out.draws.append((match[1], f"{name}.{target}", gate))
            text = text[:match.start()] + local + text[match.end():]
        reads = {}
        for word in sorted(identifiers(text) - _WORDS - set(FUNCTIONS)):
            if word.startswith("_draw"):
                reads[word] = Ref("draw", int(word[5:]))
                continue
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
            return Ref("course", variable) if other == "trial" else self._read(other, variable)
        line = self.lines[name].get(word)
        if line is not None and line.kind == "subexpression":
            return self._subexpression(name, line)
        if word in group.constants:
            return Ref("constant", f"{name}.{word}")
        if line is not None or f"{name}.{word}" in self.version:
            return self._variable(f"{name}.{word}")
        if word == "N":
            return Ref("size", name)
        if word in ("dt", "i"):
            return Ref("constant" if word == "dt" else "state", word)
        if word in DEFAULT_UNITS:
            return None
        raise EquationError(f"{name}: {word!r} is not known there; known are "
                            f"{', '.join(sorted(set(self.lines[name]) | set(group.constants)))}")

    def _subexpression(self, name, line):
        code, reads = self._expression(name, line.right, target=line.name)
        identity = (name, line.name, tuple(sorted((k, str(v)) for k, v in reads.items())))
        if identity not in self.memo or _DRAW.search(line.right):
            target = f"{name}.{line.name}@{len(self.nodes)}"
            self.memo[identity] = self._emit("element", name, target, code, reads).number
        return Ref("node", self.memo[identity])

    # ------------------------------------------------------------------ synapses

    def _where(self, name, word):
        """``"pre"``, ``"post"``, ``"synapse"`` or ``"scalar"``: whose value a word is."""
        synapse = self.assembly.synapses[name]
        for suffix, group in (("_pre", synapse.source), ("_post", synapse.target)):
            if word.endswith(suffix):
                bare = word[:-len(suffix)]
                text = self.assembly.groups[group]
                scalar = (bare == "N" or bare in text.constants
                          or text.links.get(bare, ("",))[0] == "trial")
                return "scalar" if scalar else suffix[1:]
        line = self.lines[name].get(word)
        if word in synapse.constants or word in ("dt", "pi", "e"):
            return "scalar"
        if line is not None:
            return "synapse"
        raise EquationError(f"{name}: {word!r} is not known there; a neuron's value is read as "
                            f"{word}_pre or {word}_post")

    def separate(self, name, text):
        """The `Factors` of synaptic text, one a term, with equal parts collected.

        Raises `EquationError` naming the term that does not separate.
        """
        text = substitute(text, {word: repr(float(DEFAULT_UNITS[word])) for word in
                                 identifiers(text) & set(DEFAULT_UNITS)
                                 if word not in self.lines[name]})
        expression = sympy.expand(str_to_sympy(text))
        terms = {}
        for term in sympy.Add.make_args(expression):
            parts = {"pre": [], "post": [], "synapse": [], "scalar": []}
            # Not by force, which takes every variable for positive: abs(w) would be w.
            for factor in sympy.Mul.make_args(sympy.powdenest(term)):
                base = sympy.expand_power_base(factor, force=True)
                for piece in sympy.Mul.make_args(base):
                    owners = {self._where(name, str(s)) for s in piece.free_symbols} - {"scalar"}
                    if len(owners) > 1:
                        raise EquationError(
                            f"{name}: the term {sympy_to_str(term)} cannot be factored: "
                            f"{sympy_to_str(piece)} mixes {' and '.join(sorted(owners))}. In the "
                            "rate engine every term is (presynaptic) * (postsynaptic) * "
                            "(synaptic); the spiking engine runs any text")
                    parts[owners.pop() if owners else "scalar"].append(piece)
            key = (sympy.Mul(*parts["post"]), sympy.Mul(*parts["synapse"]))
            pre = sympy.Mul(*parts["pre"], *parts["scalar"])
            terms[key] = terms.get(key, 0) + pre
        merged = {}
        for (post, own), pre in terms.items():
            constant, pre = pre.as_independent(*[s for s in pre.free_symbols if self._where(
                name, str(s)) == "pre"], as_Add=False)
            merged[pre, own] = merged.get((pre, own), 0) + constant * post
        return [Factors(sympy_to_str(pre), sympy_to_str(post), sympy_to_str(own))
                for (pre, own), post in merged.items()]

    def _side(self, name, side, text, activity=""):
        """An operation (or an existing value) that is the pre or post part of a term."""
        synapse = self.assembly.synapses[name]
        group = synapse.source if side == "pre" else synapse.target
        replaced, scalars = {}, {}
        for word in identifiers(text) - _WORDS - set(FUNCTIONS):
            bare, _, suffix = word.rpartition("_")
            if suffix == side:
                replaced[word] = bare
            elif suffix in ("pre", "post") and self._where(name, word) == "scalar":
                other = synapse.source if suffix == "pre" else synapse.target
                local = f"_{suffix}_{bare}"
                replaced[word], scalars[local] = local, self._read(other, bare)
            elif word in synapse.constants:
                local = f"_own_{word}"
                replaced[word], scalars[local] = local, Ref("constant", f"{name}.{word}")
        text = substitute(text, replaced)
        if activity:
            text = activity if text == "1" else f"{activity}*({text})"
        if text == "1":
            return None
        if re.fullmatch(r"[A-Za-z_]\w*", text) and text not in scalars:
            found = self._read(group, text)
            if found.kind in ("node", "carry"):
                return found
        reads = {word: scalars.get(word) or self._read(group, word)
                 for word in identifiers(text) - _WORDS - set(FUNCTIONS)
                 if word in scalars or word not in DEFAULT_UNITS}
        node = self._emit("element", group, f"{group}.{name}@{len(self.nodes)}", text, reads)
        return Ref("node", node.number)

    def _synaptic(self, name, text):
        """The synaptic part of a term: (code, learned variables it reads)."""
        words = sorted(w for w in identifiers(text) - _WORDS - set(FUNCTIONS))
        return text, {w: f"{name}.{w}" for w in words}

    def _product(self, name, text, into, activity="", gate=""):
        """Text summed over synapses as text of the target group, and its reads."""
        other = "pre" if into == "post" else "post"
        synapse = self.assembly.synapses[name]
        group = synapse.target if into == "post" else synapse.source
        pieces, reads = [], {}
        for factors in self.separate(name, text):
            summed, outside = ((factors.pre, factors.post) if into == "post"
                               else (factors.post, factors.pre))
            source = self._side(name, other, summed, activity if other == "pre" else "")
            code, own = self._synaptic(name, factors.synapse)
            for key in own.values():
                if key in self.out.eligibilities:
                    raise EquationError(f"{name}: {text!r} sums the eligibility {key.split('.')[1]}"
                                        ", which every sample has of its own; the rate engine "
                                        "cannot")
            node = self._emit("product", name, f"{group}.{name}_sum@{len(self.nodes)}", code,
                              {"source": source} if source else {}, gate,
                              into=into, synaptic=own)
            local = f"_sum{node.number}"
            reads[local] = Ref("node", node.number)
            factor = self._side(name, into, outside, activity if into == "pre" else "")
            if factor is not None:
                reads[f"_factor{node.number}"] = factor
                local = f"{local}*_factor{node.number}"
            pieces.append(local)
        return " + ".join(pieces) or "0", reads

    def _summed(self, name, variable):
        line = self.lines[name][variable]
        bare, _, into = variable.rpartition("_")
        synapse = self.assembly.synapses[name]
        group = synapse.target if into == "post" else synapse.source
        code, reads = self._product(name, line.right, into)
        self._emit("element", group, f"{group}.{bare}", code, reads)

    def _synapse_code(self, name, text, gate, activity):
        synapse = self.assembly.synapses[name]
        for line in parse(text, name):
            bare, _, into = line.name.rpartition("_")
            if into in ("pre", "post") and line.name not in self.lines[name]:
                group = synapse.target if into == "post" else synapse.source
                if line.operator not in ("+=", "-="):
                    raise EquationError(f"{name}: {str(line)!r}: synapses change a neuron's "
                                        "variable with += or -=")
                code, reads = self._product(name, line.right, into, activity, gate)
                key = f"{group}.{bare}"
                reads["_self"] = self._variable(key)
                self._emit("element", group, key, f"_self {line.operator[0]} ({code})", reads,
                           gate)
            else:
                self._learn(name, line, gate, activity)

    def _learn(self, name, line, gate="", activity=""):
        """A change of a synaptic variable, as terms to contract."""
        key = f"{name}.{line.name}"
        if key in self.out.eligibilities and line.operator == "=" \
                and not identifiers(line.right) - set(DEFAULT_UNITS):
            return  # every trial starts with it at zero
        right = line.right if line.operator != "-=" else f"-({line.right})"
        if line.operator not in ("=", "+=", "-="):
            raise EquationError(f"{name}: {str(line)!r}: a synaptic variable changes with =, += "
                                "or -=")
        terms = self._terms(name, right, activity)
        kind = "trace" if key in self.out.eligibilities else "learn"
        self._emit(kind, name, key, reads={}, gate=gate, terms=terms,
                   assign=line.operator == "=", text=str(line))

    def _terms(self, name, text, activity=""):
        """The `Term`s of a synaptic change."""
        terms = []
        for factors in self.separate(name, text):
            code, own = self._synaptic(name, factors.synapse)
            words = identifiers(factors.post) - _WORDS - set(FUNCTIONS)
            scalar = all(self._where(name, word) == "scalar" for word in words)
            scale, reads = self._scalar(name, factors.post) if scalar else ("1", {})
            terms.append(Term(self._side(name, "pre", factors.pre, activity),
                              None if scalar else self._side(name, "post", factors.post),
                              scale, reads, code, own))
        return terms

    def _scalar(self, name, text):
        """Text of constants and time courses only, and where they are found."""
        synapse, reads = self.assembly.synapses[name], {}
        for word in identifiers(text) - _WORDS - set(FUNCTIONS):
            bare, _, suffix = word.rpartition("_")
            if word in synapse.constants:
                reads[word] = Ref("constant", f"{name}.{word}")
            elif suffix in ("pre", "post"):
                reads[word] = self._read(synapse.source if suffix == "pre" else synapse.target,
                                         bare)
            else:
                reads[word] = Ref("constant", word)
        return text, reads

    def _plasticity(self, name):
        """Euler's step of every differential equation of a synapse, all from the old values."""
        found = [(line, self._terms(name, f"dt*({line.right})"))
                 for line in self.lines[name].values() if line.kind == "differential"]
        # What is read is changed after its readers: weights first, eligibilities last.
        found.sort(key=lambda pair: f"{name}.{pair[0].name}" in self.out.eligibilities)
        while found:
            line, terms = next((pair for pair in found if not any(
                pair[0].name in identifiers(other.right) for other, _ in found
                if other is not pair[0])), found[0])
            found.remove((line, terms))
            key = f"{name}.{line.name}"
            kind = "trace" if key in self.out.eligibilities else "learn"
            self._emit(kind, name, key, terms=terms, assign=False, differential=True,
                       text=str(line))
