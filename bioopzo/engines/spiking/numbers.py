"""Random numbers that belong to (seed, trial, variable, step, neuron), and the time that runs.

Brian2 draws the numbers of a run one after the other, so that what a neuron gets depends on how a
run is cut into pieces, and on the target. Here a number is a function of what it is for: the trial
has a key (`keys`), every step makes one of it (`step_key`), and ``rand()`` of a line is that key
mixed with the line's and the neuron's own numbers. Three back ends give the same bits. So does the
time: ``t`` is that of the training trials before, and of this one.

The mixer is the finaliser of SplitMix64 (Steele, Lea & Flood 2014).
"""

import re
import textwrap
import zlib
from dataclasses import replace

import brian2 as b2
import numpy as np

from bioopzo.network.objects import SCHEDULE, Assembly, GroupText, SynapseText, slot
from bioopzo.text.equations import identifiers, parse, render, substitute
from bioopzo.text.functions import DRAW

#: Numbers of neurons, but where they are the place in a table: ``table(t, i)``.
_COUNT = re.compile(r"(?<![\w.])(?:(?:N|N_pre|N_post)\b|[ij]\b(?!\))|(?<!, )[ij]\b)")
#: Brian2's functions that return integers, and the same in real numbers.
_REAL = {"int": "whole_number", "floor": "floor_number", "ceil": "ceil_number"}
#: Purposes of trials: their numbers have nothing in common.
TRAINING, EVALUATION, MEASURE = range(3)
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _mixed(x):
    """The 64 bits of a number, mixed; NumPy's integers wrap around."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_FIRST)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_SECOND)
    return x ^ (x >> np.uint64(31))


def _word(x):
    return np.asarray(x).astype(np.int64).astype(np.uint64)


def keys(seed: int, purpose: int, before, position=0) -> np.ndarray:
    """The keys of trials: whole numbers below 2^53, as the tables hold them.

    `before` is the number of training trials before each, `position` its place in an evaluation.
    """
    begin = np.random.SeedSequence(seed, spawn_key=(purpose,)).generate_state(1, np.uint64)[0]
    with np.errstate(over="ignore"):
        key = _mixed(_mixed(begin + _word(before)) + _word(position))
        return (np.atleast_1d(key) >> np.uint64(11)).astype(float)


def _whole(x):
    """1 or 0 of a condition, the whole part of a number, as a real number."""
    return np.trunc(np.asarray(x, float))


def _step_key(key, step):
    with np.errstate(over="ignore"):
        return (_mixed(_word(key) + _word(step) * np.uint64(_GOLDEN)) >> np.uint64(11)) * 1.0


def _uniform(key, stream, index):
    with np.errstate(over="ignore"):
        start = _mixed(_word(key) + _word(stream) * np.uint64(_GOLDEN))
        return (_mixed(start + _word(index) * np.uint64(_GOLDEN)) >> np.uint64(11)) * 2.0**-53


def _normal(key, stream, index):
    """Box and Muller's; 1 minus a number below 1 is not 0."""
    first, second = _uniform(key, stream, 2 * index), _uniform(key, stream, 2 * index + 1)
    return np.sqrt(-2 * np.log(1 - first)) * np.cos(2 * np.pi * second)


#: Every function brings what it needs, under names of its own: Brian2 puts the code of those that
#: a line calls one below the other, in a namespace of the line's.
_MIX = f"""
static inline uint64_t NAME_mixed(uint64_t x)
{{
    x = (x ^ (x >> 30)) * {_FIRST}ULL;
    x = (x ^ (x >> 27)) * {_SECOND}ULL;
    return x ^ (x >> 31);
}}
static inline uint64_t NAME_word(double key, double number)
{{
    return NAME_mixed((uint64_t)key + (uint64_t)(int64_t)number*{_GOLDEN}ULL);
}}
"""
_WHOLE = """
template<typename T> static inline double NAME(T x)
{
    return (double)x;
}
static inline double NAME(double x)
{
    return trunc(x);
}
"""
_ROUNDED = """
static inline double NAME(double x)
{
    return ROUNDED(x);
}
"""
_STEP_KEY = _MIX + """
static inline double NAME(double key, double step)
{
    return (double)(int64_t)(NAME_word(key, step) >> 11);
}
"""
_UNIFORM = _MIX + f"""
static inline double NAME(double key, double stream, double index)
{{
    const uint64_t number = (uint64_t)(int64_t)index*{_GOLDEN}ULL;
    return (double)(int64_t)(NAME_mixed(NAME_word(key, stream) + number) >> 11) * {2.0**-53!r};
}}
"""
_NORMAL = _UNIFORM.replace("NAME", "NAME_uniform") + f"""
static inline double NAME(double key, double stream, double index)
{{
    const double first = NAME_uniform(key, stream, 2*index);
    const double second = NAME_uniform(key, stream, 2*index + 1);
    return sqrt(-2*log(1 - first))*cos({2 * np.pi!r}*second);
}}
"""


def _function(name, function, code, arguments):
    units = {"arg_units": [1] * arguments, "return_unit": 1} if arguments > 1 else {
        "arg_units": [None], "return_unit": 1}
    made = b2.Function(function, **units,
                       arg_types=["any"] * arguments, return_type="float", stateless=True)
    code = code.replace("NAME", name)
    types = ", ".join(["double"] * arguments)
    made.implementations.add_implementation("numpy", function)
    made.implementations.add_implementation("cpp", code, name=name)
    made.implementations.add_implementation("cython", "\n".join([
        "cdef extern from *:", "    \'\'\'", "    #include <stdint.h>", "    #include <math.h>",
        textwrap.indent(code, "    "), "    \'\'\'", f"    double {name}({types}) nogil"]),
        name=name)
    return made


FUNCTIONS = {"whole_number": _function("whole_number", _whole, _WHOLE, 1),
             "floor_number": _function("floor_number", np.floor,
                                       _ROUNDED.replace("ROUNDED", "floor"), 1),
             "ceil_number": _function("ceil_number", np.ceil,
                                      _ROUNDED.replace("ROUNDED", "ceil"), 1),
             "step_key": _function("step_key", _step_key, _STEP_KEY, 2),
             "uniform_number": _function("uniform_number", _uniform, _UNIFORM, 3),
             "normal_number": _function("normal_number", _normal, _NORMAL, 3)}


# ---------------------------------------------------------------------------- the text

def numbered(assembly: Assembly, draws: bool = True) -> None:
    """Put the number of its own in place of every ``rand()`` and ``randn()``, and the time.

    `draws` False leaves ``rand()`` and ``randn()`` to Brian2.
    """
    wanted: dict[str, set[str]] = {name: set() for name in assembly.groups}
    for group in assembly.groups.values():
        if group.name != "trial":
            _number_group(group, wanted[group.name], draws)
    for synapse in assembly.synapses.values():
        _number_synapse(synapse, wanted[synapse.target], draws)
    for name, words in wanted.items():
        _read(assembly.groups[name], words)


def _read(group, words):
    """Let a group read what it needs of the trial's clock."""
    for word, unit in (("draws", "1"), ("t_of_run", "second")):
        if word in words:
            group.links[word] = ("trial", word)
            group.equations += f"\n{word} : {unit} (linked)"


class _Numbering:
    """Numbers the calls of an object, each by the variable that it is for."""

    def __init__(self, owner, index, suffix, wanted, draws):
        self.owner, self.index, self.suffix, self.wanted = owner, index, suffix, wanted
        self.draws = draws
        self.places = {}

    def expression(self, text, target, scalar=False):
        """Text with its calls numbered, its time named, and real numbers only.

        Brian2's int(), floor(), ceil() and its counts of neurons are integers of 32 bits, which
        hold no large number and no NaN, and which NumPy can neither take to a negative power nor
        multiply in place by a real number.
        """
        text = _COUNT.sub(r"whole_number(\g<0>)", substitute(text, _REAL))
        while match := self.draws and DRAW.search(text):
            place = self.places[target] = self.places.get(target, -1) + 1
            stream = zlib.crc32(f"{self.owner}.{target} {place}".encode())
            function = {"rand": "uniform_number", "randn": "normal_number"}[match[1]]
            call = f"{function}(draws{self.suffix}, {stream}, {'0' if scalar else self.index})"
            self.wanted.add("draws")
            text = text[:match.start()] + call + text[match.end():]
        if "t" in identifiers(text):
            self.wanted.add("t_of_run")
            text = substitute(text, {"t": f"t_of_run{self.suffix}"})
        return text

    def lines(self, text, shared=()):
        """Lines, each numbered for the variable that it gives a value."""
        return render(replace(line, right=self.expression(line.right, line.name,
                                                          line.name in shared))
                      if line.right else line for line in parse(text, self.owner))


def _shared(equations, name):
    return {line.name for line in parse(equations, name) if "shared" in line.flags}


def _number_group(group: GroupText, wanted, draws):
    number = _Numbering(group.name, "i", "", wanted, draws)
    shared = _shared(group.equations, group.name)
    group.equations = number.lines(group.equations, shared)
    group.threshold = group.threshold and number.expression(group.threshold, "spike")
    group.events = [replace(e, condition=number.expression(e.condition, e.name))
                    for e in group.events]
    # By the moment at which they are said: the other engine numbers what it comes across.
    spoken = [(_moment(c, group.name), c.text) for c in group.codes
              if c.name not in ("feed", "list")]
    spoken += [((1, SCHEDULE.index(e.when), e.order + 1, f"{group.name}_{e.name}_resetter"), e.text)
               for e in group.events]
    resets = (1, SCHEDULE.index("resets"), 0, f"{group.name}_spike_resetter")
    told = {moment: number.lines(text, shared)
            for moment, text in sorted([*spoken, (resets, group.reset)])}
    group.codes = [replace(c, text=told.get(_moment(c, group.name), c.text)) for c in group.codes]
    group.events = [replace(e, text=told[1, SCHEDULE.index(e.when), e.order + 1,
                                         f"{group.name}_{e.name}_resetter"])
                    for e in group.events]
    group.reset = told[resets]


def _number_synapse(synapse: SynapseText, wanted, draws):
    number = _Numbering(synapse.name, "(i*N_post + j)", "_post", wanted, draws)
    synapse.equations = number.lines(synapse.equations)
    told = {p.name: number.lines(p.text) for p in sorted(synapse.pathways, key=lambda p: (
        SCHEDULE.index(p.when), p.order, f"{synapse.name}_{p.name}"))}
    synapse.pathways = [replace(p, text=told[p.name]) for p in synapse.pathways]
    codes = {_moment(c, synapse.name): c.text for c in synapse.codes}
    told = {moment: number.lines(text) for moment, text in sorted(codes.items())}
    synapse.codes = [replace(c, text=told[_moment(c, synapse.name)]) for c in synapse.codes]


def _moment(code, name):
    """When a statement is said: at a trial's start, in a slot of a step, when a trial has ended."""
    part = 1 if code.clock == "step" else 0 if code.order >= 0 else 2
    return part, *slot(code, name)
