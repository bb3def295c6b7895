"""The text of a model as a whole: what is missing, never used, never set, or without effect."""

from collections import Counter
from functools import cached_property

from brian2.units.fundamentalunits import Quantity

from bioopzo.checks.influence import INFLUENCED, ZERO, owner_of, reach
from bioopzo.checks.lines import (
    COMMON,
    SPECIAL,
    Scope,
    cycles,
    dimension,
    of_condition,
    of_line,
    reserved,
)
from bioopzo.checks.order import disputed
from bioopzo.errors import Mistake, nearest
from bioopzo.network.blocks import statement_blocks
from bioopzo.network.clock import CLOCK_NAMES, CLOCK_UNITS
from bioopzo.network.draft import draft, readable
from bioopzo.network.kinds import kind_of
from bioopzo.network.reached import (
    lines_of,
    overlaid,
    reached,
    reached_elsewhere,
    why_unreached,
)
from bioopzo.text.equations import identifiers, is_expression, linear, parse

#: What the package reads of every model, beside what the rule needs of the hidden neuron.
NEEDED = {"hidden": {"count": "the firing rate"},
          "readout": {"o": "the loss", "decision": "the accuracy"},
          "error": {"y": "the target", "err": "the readout", "cost": "the loss"}}
#: Kinds of synapses that pass on what comes in, and learn nothing.
FIXED = ("fixed", "fixed_readout")
#: Without a teacher, a constant input or a baseline these stay 0, as they should.
MAY_STAY_ZERO = {"w", "g", "drive", "Lbar"}
#: What is handed in with every trial.
HANDED_IN = {"current": "x", "poisson": "rate", "spikes": "given"}


class Text:
    """The text of a model object by object, and what is wrong with it."""

    def __init__(self, model, around=None):
        self.model, self.around = model, around or {}
        self.draft = draft(model)
        self.links = readable(model.network)
        self.objects = {**self.draft.groups, **self.draft.synapses}
        self.objects.pop("trial")
        self.kinds = {name: obj.kind for name, obj in self.objects.items()}
        self.lines = {name: {line.name: line for line in parse(obj.equations, name)
                             if line.name not in getattr(obj, "links", ())}
                      for name, obj in self.objects.items()}

    def mistakes(self):
        """Every `Mistake`, said once for all the layers that share a block."""
        found = [*self._kinds(), *self._unreached()]
        found = found or [*self._impatient()]
        lost = [("", m.where, m) for m in self.model.obstacles]
        if not found:
            found = [*self._lines(), *self._parameters(), *self._unused(), *self._without_value(),
                     *self._moving()]
            blocked = {owner for owner, _ in self._missing} & {where for _, where, _ in lost}
            if blocked:  # what is missing there would have been derived
                found = [*lost, *(one for one in found if one[0] not in blocked)]
        if not found:
            found = [(name, self.block_of(name, line), m) for name, line, m in disputed(self)]
            found += [*self._without_effect(), *lost]
        merged = {}
        for owner, block, mistake in found:
            merged.setdefault((block, mistake), []).append(owner)
        for (block, mistake), owners in merged.items():
            names = ", ".join(dict.fromkeys(o for o in owners if o and o != block))
            yield Mistake(f"{block} ({names})" if names else block, mistake.what, mistake.line,
                          mistake.remedy, mistake.column)

    # -------------------------------------------------------------------- where text is

    def _places(self, name):
        """(kind, text) of an object's parts; kind is equations, condition or statements."""
        obj = self.objects[name]
        yield "equations", obj.equations
        if name in self.draft.groups:
            yield "condition", obj.threshold
            yield "statements", obj.reset
            for event in obj.events:
                yield "condition", event.condition
                yield "statements", event.text
        for code in obj.codes:
            if code.name != "feed":
                yield "statements", code.text
        for path in getattr(obj, "pathways", ()):
            yield "statements", path.text

    def every_line(self, name):
        """(statement?, line) of every line of an object but conditions."""
        for kind, text in self._places(name):
            if kind == "equations":
                yield from ((False, line) for line in self.lines[name].values())
            elif kind == "statements":
                yield from ((True, line) for line in parse(text, name))

    def set_by(self, name, word):
        """(block, line) of the statements of an object that set one of its variables."""
        return [(self.block_of(name, line), str(line))
                for statement, line in (self.every_line(name) if name in self.objects else ())
                if statement and line.name == word]

    def block_of(self, owner, wanted):
        """The block that a line or condition of an object is from."""
        entry = self.model.network[owner]
        for base in (*reversed(entry.blocks), *("backward",) * getattr(
                kind_of(entry.kind), "backward", False)):
            for block, text in self.model.blocks.items():
                if block.split(".")[0] == base and (
                        text == wanted if is_expression(block) else wanted in parse(text, block)):
                    return block
        return owner

    # -------------------------------------------------------------------- line by line

    def _kinds(self):
        """Equations where statements belong, the other way round, and names given twice."""
        for block, text in self.model.blocks.items():
            seen = set()
            if block.count(".") == 2 and not self._has_phase(block):
                yield "", block, Mistake(
                    "", f"there is no such block{nearest(block, self._before.model.blocks)}", "",
                    "an edit changes blocks and adds moments (.reset, .step ...); a new phase or "
                    "event belongs into a rule's file")
            for line in () if is_expression(block) else parse(text, block):
                shown, equations = str(line), "." not in block
                if equations and line.kind == "statement":
                    plain = line.operator == "="
                    yield "", block, Mistake(
                        block, "a line of equations needs a unit" if plain else
                        f"'{line.operator}' is for statements, and {block} holds equations", shown,
                        f"write '{shown} : 1' (or its unit in place of 1)" if plain else
                        _home_of_statements(block, self._kind_of(block)),
                        len(shown) if plain else shown.index(line.operator))
                elif not equations and line.kind != "statement":
                    yield "", block, Mistake(
                        block, f"{block} holds statements, and this is an equation", shown,
                        f"equations belong into block {block.split('.')[0]!r}")
                elif equations and line.name in seen:
                    yield "", block, Mistake(block, f"{line.name!r} is defined twice", shown,
                                             "leave one of the two lines out")
                seen.add(line.name)

    def _impatient(self):
        """Neurons that have a refractory time and whose decision to spike does not wait for it."""
        for population in self.model.network.hidden if float(self.model.refractory) else ():
            group = self.draft.groups[population.name]
            step = next((code.text for code in group.codes if code.name == "step"), "")
            if not group.refractory:
                line = next((x for x in parse(step, population.name) if x.name == "S"), None)
                yield population.name, self.block_of(population.name, line), Mistake(
                    "", "the neurons have a refractory time, and S does not wait for it",
                    str(line or ""), "write chance*int(not_refractory) in place of chance, or "
                    "leave refractory= out")

    def _unreached(self):
        """Blocks and lines of a user's or a rule's that no object of this network has."""
        model, had = self.model, self._before
        given = {key for key, _ in model.edits}
        for projection in model.given_network.projections if model.given_network else ():
            given |= {f"{projection.name}.{moment}" for moment, _ in projection.text}
        unread = set(model.blocks) - set(self.reached)
        of_files = unread & {*model.rule.blocks, *model.cell.blocks}
        of_files -= reached_elsewhere(had.model) if of_files else set()
        for block, text in model.blocks.items():
            if block.count(".") == 2 and not self._has_phase(block):
                continue  # said already
            before = set(lines_of(block, had.model.blocks.get(block, "")))
            if block in unread:
                if block in given or set(lines_of(block, text)) != before or block in of_files:
                    what, remedy = why_unreached(block, model)
                    yield "", block, Mistake("", f"this block has no effect: {what}", "", remedy)
                elif block in had.reached and not self._written_apart(block):
                    what, remedy = why_unreached(block, model)
                    yield "", block, Mistake(
                        "", f"since the edit this block has no effect: {what}", "", remedy)
                continue
            for line in lines_of(block, text):
                if line not in before and line not in self.reached[block]:
                    over = overlaid(block, line, model)
                    yield "", block, Mistake(
                        "", f"this line has no effect: {over} says otherwise, and lies over it",
                        str(line), f"edit {over}")

    def _written_apart(self, block):
        """Whether single objects say for themselves now what a block says for their kind."""
        kind, _, moment = block.partition(".")
        own = {f"{entry.name}.{moment}".rstrip(".") for entry in self.model.network.entries
               if kind in entry.blocks and kind != entry.name}
        return bool(own & {*self.model.blocks} - {*self._before.model.blocks})

    @cached_property
    def reached(self):
        """The lines of every block that some object has."""
        return reached(self.model)

    def _kind_of(self, block):
        """The kind of what a block describes."""
        owner, network = block.partition(".")[0], self.model.network
        return network[owner].kind if owner in network else owner

    def _has_phase(self, block):
        """Whether a block with a name of its own, such as ``pair.learn``, is one of the rule's."""
        known, phase = self._before.model.blocks, block.partition(".")[2]
        return block in known or f"{self._kind_of(block)}.{phase}" in known

    def _scope(self, name):
        """The `lines.Scope` of an object."""
        parameters, lines = self.model.parameters, self.lines[name]
        known = {word: dimension(line) for word, line in lines.items()}
        settable = {word for word, line in lines.items() if _settable(line)}
        linked, ends = {}, {}
        obj = self.objects[name]
        refractory = bool(getattr(obj, "refractory", ""))
        if name in self.draft.groups:
            for word, other, value in self._linked(name):
                linked[word], known[word] = other, value
            if refractory:
                known.update(not_refractory=Quantity(1.0), lastspike=SPECIAL["t"])
                settable |= {"not_refractory", "lastspike"}
        else:
            ends, known["j"] = {"pre": obj.source, "post": obj.target}, Quantity(1.0)
            for end, group in ends.items():
                known[f"N_{end}"] = Quantity(1.0)
                known |= {f"{word}_{end}": value for word, _, value in self._linked(group)}
                for line in self.lines[group].values():
                    known[f"{line.name}_{end}"] = dimension(line)
                    settable |= {f"{line.name}_{end}"} if _settable(line) else set()
        return Scope(name, "synapse" if ends else "group",
                          {**known, **parameters, **COMMON, **_kept(known, refractory)},
                          frozenset(settable), lines, linked, ends, self.lines, parameters,
                          self.around, refractory, self.kinds)

    def _linked(self, name):
        """(word, owner, a value of its unit) of what neurons read of others."""
        for word, (other, variable) in self.links[name].items():
            line = self.lines.get(other, {}).get(variable)
            if word not in self.lines[name] and (line or other == "trial"):
                yield word, other, dimension(line) if line else (
                    SPECIAL["t"] if word in CLOCK_UNITS else Quantity(1.0))

    def _lines(self):
        """Every mistake in single lines; what an edit took away is said once, where it was."""
        for name in self.objects:
            scope, gone = self._scope(name), self._gone(name)
            for kind, text in self._places(name):
                if kind == "condition" and text and not identifiers(text) & gone:
                    block = self.block_of(name, text)
                    yield from ((name, block, m) for m in of_condition(scope, text))
            for statement, line in self.every_line(name):
                if not ({line.name, *identifiers(line.right)} & gone):
                    block = self.block_of(name, line)
                    yield from ((name, block, m) for m in of_line(scope, line, statement))
            for line, mistake in cycles(scope.lines):
                yield name, self.block_of(name, line), mistake
        yield from self._said_missing()

    def _moving(self):
        """Lines that move weights which are to stay as they start."""
        for name, kind in self.kinds.items():
            for statement, line in self.every_line(name) if kind in FIXED else ():
                if line.name == "w" and (statement or line.kind == "differential"):
                    yield name, self.block_of(name, line), Mistake(
                        "", f"the weights of {name} stay as they start (freeze, plastic=False), "
                        "and this line moves them", str(line),
                        "leave the line out, or let the projection learn")

    def _said_missing(self):
        """What is missing, once for all layers of a block."""
        table = {}
        for (owner, word), users in self._missing.items():
            had = self._before.lines[owner].get(word)
            table.setdefault((self.kinds[owner], word, had), ([], []))
            owners, everyone = table[self.kinds[owner], word, had]
            owners.append(owner)
            everyone += users
        lost = Counter(block for block, _, had in table if had)
        for (block, word, had), (owners, everyone) in table.items():
            users = list(dict.fromkeys(everyone))
            remedy = f"the block had '{had}'" if had else f"a line such as '{word} = ... : 1'"
            if had and lost.pop(block, 1) > 1:  # said once
                place = self._before.block_of(owners[0], had)
                remedy += ("\n  an edit of a block replaces it whole; to keep its other lines, "
                           f"edit one of them: {{'{place}:{word}': '{had}\\n...'}}")
            mistake = Mistake(
                "", f"{word!r} is missing, which {', '.join(users)} need{'s' * (len(users) == 1)}"
                + nearest(word, self.lines[owners[0]]), "", remedy)
            yield from ((owner, block, mistake) for owner in owners)

    def _gone(self, name):
        """Words that an object would read or set, had the edits not taken them away."""
        gone = {word for owner, word in self._missing if owner == name}
        obj = self.objects[name]
        for end in ("source", "target"):
            group = getattr(obj, end, None)
            gone |= {f"{word}_{'pre' if end == 'source' else 'post'}"
                     for owner, word in self._missing if owner == group}
        if name in self.draft.groups:
            gone |= {word for word, place in self.links[name].items() if place in self._missing}
        return gone

    @cached_property
    def _missing(self):
        """(object, variable) that is no longer (or never) declared -> who needs it."""
        return {key: users for key in self._candidates() if (users := self._users(*key))}

    def _candidates(self):
        """What the plain model or the package has, and this text has not."""
        for name, lines in self.lines.items():
            words = {**self._before.lines.get(name, {}), **NEEDED.get(self.kinds[name], {})}
            if self.kinds[name] == "hidden":
                words.update(dict.fromkeys(self.model.rule.needs))
            yield from ((name, word) for word in words if word not in lines)

    def _users(self, owner, word):
        """The blocks (or parts of the package) that read or set a variable of an object."""
        users = []
        needed = NEEDED.get(self.kinds[owner], {})
        if word in needed:
            users.append(needed[word])
        if self.kinds[owner] == "hidden" and word in self.model.rule.needs:
            users.append(f"rule {self.model.rule_name}")
        for name in self.objects:
            obj = self.objects[name]
            words = {word} if name == owner else set()
            if getattr(obj, "source", "") == owner:
                words.add(f"{word}_pre")
            if getattr(obj, "target", "") == owner:
                words.add(f"{word}_post")
            if self.links.get(name, {}).get(word) == (owner, word) and word not in self.lines[name]:
                words.add(word)
            for _, line in self.every_line(name):
                if words & {line.name, *identifiers(line.right)}:
                    users.append(self.block_of(name, line))
        return list(dict.fromkeys(users))

    # -------------------------------------------------------------------- the whole

    @cached_property
    def _before(self):
        """The text before the edits."""
        if not self.model.edits:
            return self
        return Text(self.model.unedited())

    @cached_property
    def _network(self):
        """(object, name) that the network's blocks declare, whatever the rule."""
        return {(name, line.name) for name in self.objects
                for block in self.model.network[name].blocks
                for line in parse(self.model.bare.get(block, ""), block)}

    def variable(self, name, word):
        """The (object, variable) that a word in an object's text means; itself where none has it.

        Parameters, functions and units are no object's.
        """
        ends = {"_pre": "source", "_post": "target"} if name in self.draft.synapses else {}
        for suffix, end in ends.items():
            if word.endswith(suffix):
                return getattr(self.objects[name], end), word.removesuffix(suffix)
        if word in self.lines[name]:
            return name, word
        return self.links.get(name, {}).get(word, (name, word))

    @cached_property
    def reads(self):
        """(object, variable) that any line reads, but for the lines that define them."""
        found = set()
        for name in self.objects:
            for kind, text in self._places(name):
                words = identifiers(text) if kind == "condition" else set()
                found |= {self.variable(name, word) for word in words}
            for _, line in self.every_line(name):
                found |= {self.variable(name, word)
                          for word in identifiers(line.right) - {line.name}}
        return found

    @cached_property
    def _sets(self):
        """(object, variable) that any statement or sum sets."""
        network = self.model.network
        found = {(network.error.name, "y"), (network.input.name, HANDED_IN[self.model.coding])}
        for name in self.objects:
            for statement, line in self.every_line(name):
                if statement or "summed" in line.flags:
                    found.add(self.variable(name, line.name))
        return found

    def _of_kind(self, pairs):
        """(kind, variable) of some (object, variable): layers share the text of their kind."""
        return {(self.kinds.get(name, name), word) for name, word in pairs}

    def _parameters(self):
        """Parameters of the user's own that are reserved or that nothing reads."""
        starts = [p.start.parameters for p in self.model.network.projections if p.start]
        free = {word for name, word in self.reads if word not in self.lines.get(name, ())}
        read = free.union(*starts)
        for name in self.model.given:
            if name in self.model.declared:
                continue
            if reserved(name):
                yield "", "parameters", Mistake(
                    "", f"{name!r} cannot be a parameter: {reserved(name)}", "",
                    "choose another name")
            elif name not in read:
                yield "", "parameters", Mistake(
                    "", f"the parameter {name!r} is given, and no line reads it"
                    + nearest(name, self.model.declared), "", "leave it out")

    def _unused(self):
        """What an edit or a rule declares, and nothing reads or sets.

        A rule may write the same lines for networks of every depth, where another object reads.
        """
        used = self._of_kind(self.reads | self._sets)
        anywhere, known = ({word for _, word in pairs} for pairs in (used, self._network))
        for name, lines in self.lines.items():
            had = self._before.lines.get(name, {})
            for word, line in lines.items():
                found = word in anywhere if word in had else (self.kinds[name], word) in used
                if not ((name, word) in self._network or found
                        or word == self.model.rule.matrix or reserved(word)):
                    yield name, self.block_of(name, line), Mistake(
                        "", f"{word!r} is declared, and nothing reads or sets it"
                        + nearest(word, known), str(line), "use it, or leave the line out")

    def _without_value(self):
        """Declared variables that are read but that nothing ever sets.

        What a rule declares for every layer, it may set in some; an edit says what it means.
        """
        drawn = {p.start.variable for p in self.model.network.projections if p.start}
        fine = {*MAY_STAY_ZERO, *drawn, self.model.rule.matrix, *self.model.parameters,
                *(["gradient"] if self.model.rule.gradient else [])}
        read, of_kind = self._of_kind(self.reads), self._of_kind(self._sets)
        for name, lines in self.lines.items():
            had = self._before.lines.get(name, {})
            for word, line in lines.items():
                found = (self.kinds[name], word) in of_kind if word in had \
                    else (name, word) in self._sets
                if line.kind == "parameter" and (self.kinds[name], word) in read and not (
                        found or word in fine or reserved(word)):
                    yield name, self.block_of(name, line), Mistake(
                        "", f"{word!r} is read but never given a value: it would stay 0", str(line),
                        self._replaced(name, word) or "a parameter: leave this line out and give "
                        f"model.edit({word}=...); a variable: set it in a statement")

    def _replaced(self, name, word):
        """The statement that set a word before the edits and is no longer there, if one did."""
        there = self.set_by(name, word)
        gone = [found for found in self._before.set_by(name, word) if found not in there]
        return "block {} had '{}', and an edit replaces it whole".format(*gone[0]) if gone else ""

    @property
    def _plastic(self):
        """The projections whose weights a rule teaches."""
        return [name for name in self.draft.synapses if kind_of(self.kinds[name]).plastic]

    def taught(self, parameters=None):
        """How far the target reaches, by variable (`influence.reach`)."""
        return self._reach("error.y", parameters)

    def moves(self, key):
        """Whether the readout's decision depends on a variable otherwise than through weights."""
        return self._reach(key).get("readout.decision") == INFLUENCED

    def _reach(self, root, parameters=None):
        model = self.model
        forward = {f"{name}.w" for name in self.draft.synapses
                   if kind_of(self.kinds[name]).plastic or self.kinds[name] in FIXED}
        matrices = {f"{name}.{model.rule.matrix}" for name in self.draft.synapses}
        moving = {f"trial.{word}" for word in CLOCK_NAMES} | forward
        moving |= {f"input.{HANDED_IN[model.coding]}", "error.y"}
        if model.rule.feedback_scale:
            moving |= matrices
        return reach(self.draft, {root}, moving, forward | matrices, parameters)

    def _without_effect(self):
        """Weights that the target does not reach any more, and an input that goes nowhere."""
        levels, before = self.taught(), self._before.taught()
        for name in self._plastic:
            line = self.lines[name].get("w")
            learns = before.get(f"{name}.w") == INFLUENCED if self.model.edits else \
                line is not None and bool(line.right)
            if learns and levels.get(f"{name}.w") != INFLUENCED:
                zero = [word for _, line in self.every_line(name)
                        for word in sorted(identifiers(line.right))
                        if levels.get(owner_of(self.draft, name, word)) == ZERO]
                why = f" ({', '.join(dict.fromkeys(zero))} never differs from 0)" if zero else ""
                yield name, self.block_of(name, line), Mistake(
                    "", "plasticity has no effect: no path leads from the error (or the reward) "
                    f"to w{why}", str(line or ""),
                    "w must follow something that depends on the target, such as g_post; weights "
                    f"that are to stay as they start: freeze=[{name!r}]")
        levels = self._reach(f"input.{HANDED_IN[self.model.coding]}")
        if levels.get("readout.decision") != INFLUENCED:
            cut = [f" (it ends before {name})" for name in self.draft.groups
                   if self.kinds.get(name) == "hidden" and levels.get(f"{name}.u") != INFLUENCED]
            yield "", "model", Mistake(
                "", f"the input does not reach the readout's decision{''.join(cut[:1])}", "",
                self._replaced(self.model.network.readout.name, "decision")
                or "spikes must raise u on the way, and o must raise decision")

    def remarks(self):
        """What can run, but perhaps not as its writer expects."""
        declared = self._of_kind((name, word) for name in self.lines for word in self.lines[name])
        unread = declared & self._of_kind(self._before.reads) - self._of_kind(self.reads)
        for _, word in sorted(unread):
            yield f"{word} is computed, but since the edit no line reads it"
        zero = [name for name in self.model.given if float(self.model.parameters[name]) == 0]
        if zero:
            levels, without = self.taught(), self.taught({
                name: value for name, value in self.model.parameters.items()
                if name not in self.model.spread})
            for name in self.draft.synapses:
                if without.get(f"{name}.w", 0) < levels.get(f"{name}.w", 0):
                    yield (f"{name} does not learn, since {' and '.join(zero)} "
                           f"{'is' if len(zero) == 1 else 'are'} 0")
        for name in self.draft.groups:
            for line in self.lines.get(name, {}).values():
                if not linear(line, self.lines[name].values()):
                    yield (f"{name}: {str(line)!r} is not linear in {line.name}, so Euler's method "
                           "integrates this group: take care that dt is small")


def _home_of_statements(block, kind):
    """Where statements on what the equations of a block describe may be written."""
    blocks = statement_blocks(block, kind)
    return f"statements belong into blocks such as {' or '.join(blocks)}" if blocks else \
        f"{block} has equations only, such as 'x_post = ... : 1 (summed)'"


def _settable(line):
    return line.kind in ("differential", "parameter") and "constant" not in line.flags


def _kept(known, refractory):
    """Reserved names that do have a value here."""
    return {name: known[name] for name in ("not_refractory", "lastspike") if refractory}
