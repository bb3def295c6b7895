"""The order of sums over synapses, and what neurons compute for synapses to read."""

from dataclasses import replace

from bioopzo.network.kinds import kind_of
from bioopzo.network.objects import (
    SCHEDULE,
    Assembly,
    Code,
    SynapseText,
    names_used,
    with_right,
)
from bioopzo.text.equations import Line, depends_on, identifiers, parse, render, substitute


def _rank(population):
    """Where a population stands in the backward order: readouts first, then the top layer."""
    return 0 if population.distance is None else population.distance - 1


_MOMENTS = {"drive", "sum", "step"}
#: When the currents of an input that changes within a trial are summed: it is in, and the trial
#: has begun, but no membrane has moved yet. What they read is computed just before.
DRIVE = ("start", 6)


def set_sum_order(assembly: Assembly) -> None:
    """Sums of modulators follow the backward order; those of errors come before all of them.

    What drives the target of an input is summed before all else.

    Where several projections sum into one variable of a population, each has its own, and the
    variable is what they add up to.
    """
    for synapse in assembly.synapses.values():
        for line in parse(synapse.equations, synapse.name):
            if "summed" in line.flags:
                into = synapse.target if line.name.endswith("_post") else synapse.source
                drives = line.name == "drive_post" and \
                    assembly.network[synapse.source].kind == "input"
                synapse.sums[line.name] = DRIVE if drives else kind_of(synapse.kind).sums or (
                    "feedback", 10 * _rank(assembly.network[into]))
    shares: dict[tuple[str, str], list[tuple[SynapseText, str]]] = {}
    for synapse in assembly.synapses.values():
        for word in synapse.sums:
            bare, _, side = word.rpartition("_")
            into = synapse.target if side == "post" else synapse.source
            shares.setdefault((into, bare), []).append((synapse, word))
    for (name, variable), found in shares.items():
        if len(found) > 1:
            _add_up(assembly.groups[name], variable, found)


def _add_up(group, variable, shares):
    """Let every one of the sums into a variable have a name of its own."""
    unit = next(line.unit for line in parse(group.equations) if line.name == variable)
    names = []
    for synapse, word in shares:
        bare, _, side = word.rpartition("_")
        own = _another(group, f"{bare}_{synapse.name}")
        names.append(own)
        group.equations += f"\n{own} : {unit}"
        synapse.equations = render(replace(line, name=f"{own}_{side}") if line.name == word
                                   and "summed" in line.flags else line
                                   for line in parse(synapse.equations, synapse.name))
        synapse.sums[f"{own}_{side}"] = synapse.sums.pop(word)
    when, order = max((synapse.sums[f"{own}_{word.rpartition('_')[2]}"]
                       for own, (synapse, word) in zip(names, shares)),
                      key=lambda place: (SCHEDULE.index(place[0]), place[1]))
    group.codes.append(Code(f"sum_of_{variable}", f"{variable} = {' + '.join(names)}", when,
                            order + 1))


def store_subexpressions(assembly: Assembly) -> None:
    """A subexpression that synapses read is computed once per neuron, not once per synapse.

    It is computed when they read it: for sums in the slot of the sums, else before the weights
    move. Whoever reads it at another moment has it as it is then.
    """
    errors = {p.name for p in assembly.network.populations if kind_of(p.kind).errors}
    summed = {synapse_sum.rsplit("_", 1)[0] for s in assembly.synapses.values()
              for synapse_sum in s.sums}
    for name, group in assembly.groups.items():
        lines = parse(group.equations, name)
        table = {line.name: line for line in lines if line.kind == "subexpression"}
        asked = {(word, kind) for _, _, word, kind in _readings(assembly, name) if word in table}
        if name in errors:
            asked = {(w, k) for w, k in asked if w != "err"} | {("err", "sum")} & {
                (w, "sum") for w in table}
        alone = _alone_stored(group, table, asked, {"err"} if name in errors else set(),
                              _read_by_statements(assembly, name))
        made = {(word, kind): word if word in alone else _another(group, f"{word}_{kind}")
                for word, kind in asked}
        assembly.stored.update({copy: word for (word, _), copy in made.items() if copy != word})
        right = {word: line.right for word, line in table.items()}
        places: dict[tuple[str, str, int], list[str]] = {}
        for word in table:
            for kind in ("drive", "sum", "step"):
                if (word, kind) in asked:
                    late = kind != "drive" and bool(depends_on(word, right) & summed)
                    when, order = ("plasticity", -2) if kind == "step" else (
                        DRIVE[0], DRIVE[1] - 1) if kind == "drive" else (
                        ("error", 2 * late) if name in errors else
                        ("feedback", 10 * _rank(assembly.network[name]) + 2 * late))
                    places.setdefault((f"store_{kind}{int(late)}", when, order), []).append(
                        f"{made[word, kind]} = {right[word] if word in alone else word}")
        group.codes += [Code(code, "\n".join(text), when, order)
                        for (code, when, order), text in places.items()]
        group.equations = render([
            *(Line("parameter", x.name, unit=x.unit) if x.name in alone else x for x in lines),
            *(Line("parameter", copy, unit=table[word].unit)
              for (word, _), copy in sorted(made.items()) if copy != word)])
        for synapse, suffix, word, kind in [*_readings(assembly, name)]:
            _read_instead(synapse, word + suffix, kind, made.get((word, kind), word) + suffix)


def _readings(assembly, name):
    """(synapses, suffix, word, kind) of what equations of synapses read of the neurons `name`."""
    for synapse in assembly.synapses.values():
        for line in parse(synapse.equations, synapse.name):
            for suffix, end in (("_pre", synapse.source), ("_post", synapse.target)):
                if end == name:
                    yield from ((synapse, suffix, word.removesuffix(suffix),
                                 _moment(synapse, line))
                                for word in identifiers(line.right) if word.endswith(suffix))


def _moment(synapse, line):
    """When an equation of synapses is evaluated."""
    if "summed" not in line.flags:
        return "step"
    return "drive" if synapse.sums[line.name] == DRIVE else "sum"


def _read_by_statements(assembly, name):
    """What statements of synapses, at whatever moment, read of the neurons `name`."""
    return {word.removesuffix(suffix) for synapse in assembly.synapses.values()
            for suffix, end in (("_pre", synapse.source), ("_post", synapse.target)) if end == name
            for text in (*synapse.pathways, *synapse.codes)
            for word in identifiers(text.text) if word.endswith(suffix)}


def _alone_stored(group, table, asked, always, others):
    """The subexpressions that may be stored under their own name.

    Nobody reads them at another moment, as the `others` are, but for those that are `always`
    stored.
    """
    kinds = {word: kind for word, kind in asked
             if not any((word, other) in asked for other in _MOMENTS - {kind})}
    texts = [*(line.right for line in parse(group.equations, group.name) if line.name not in table),
             group.threshold, group.reset, *(code.text for code in group.codes),
             *(text for event in group.events for text in (event.condition, event.text))]
    read = others.union(*map(identifiers, texts))
    alone = {word for word in kinds if word in always or word not in read}
    while True:
        late = {word for word in alone - always for other, line in table.items()
                if word in identifiers(line.right)
                and not (other in alone and kinds[other] == kinds[word])}
        if not late:
            return alone
        alone -= late


def _another(group, name):
    """A name that nothing in the group has."""
    taken = names_used(group)
    while name in taken:
        name += "_"
    return name


def _read_instead(synapse, word, kind, other):
    """Let equations of synapses that are evaluated at one moment read another word."""
    synapse.equations = render(
        with_right(line, substitute(line.right, {word: other}))
        if _moment(synapse, line) == kind else line
        for line in parse(synapse.equations, synapse.name))
