"""Kinds of populations, of projections and of moments: what each is, in one table.

A block of text is called after a kind, or after one population or projection, and a moment:
``"hidden"`` (equations), ``"hidden.reset"``, ``"hidden_2.reset"``, ``"feedback.pair.learn"``. Which
blocks there can be follows from these tables, and so do their titles and the order in which they
are shown. A projection of a kind that is not listed here is one too: it is shown under its kind's
name and may have every moment of synapses.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Moment:
    """When the lines of a block hold.

    `phrase` says it in words; `when`, `order` and `clock` (``"step"`` or ``"trial"``) place it in
    the time step, where the engine runs it as a statement (see `network.assembly`). `named`: a
    further word follows, as in ``pair.learn``.
    """

    phrase: str
    when: str = ""
    order: int = 0
    clock: str = "step"
    named: bool = False


#: The parts of a time step in their order, and what happens in each. All that plasticity reads
#: belongs to one moment, the one before any spike of the step acts.
SLOTS = {
    "start": "the trial's clock; where a trial begins, the end of the last one, new input and "
             "target, reset; what a changing current drives",
    "noise": "a new perturbation, and the current it will send",
    "groups": "membranes, traces and readout move by dt",
    "error": "softmax and error",
    "feedback": "the modulator g, from the top layer down",
    "escape": "each neuron decides whether it spikes; the readout is read",
    "plasticity": "weights move, or the sum of the lazy form does",
    "thresholds": "spikes are noted",
    "synapses": "spikes act on other neurons",
    "resets": "spikes reset their own neuron",
    "end": "free",
}
#: Of neurons. Statements are run in this order where slot and order are the same.
NEURON_MOMENTS = {
    "": Moment(""),
    "sample": Moment("each step, after the membrane has moved", "groups", 1),
    "chance": Moment("each step, before the decision to spike", "escape", -1),
    "step": Moment("each step", "escape"),
    "threshold": Moment("spikes when"),
    "reset": Moment("at a spike"),
    "event": Moment("event when", "error", 3, named=True),  # after the softmax of this step
    "on": Moment("at the event", named=True),
    "trial": Moment("at the start of a trial", "start", 3, "trial"),  # input and target are in
    "hold": Moment("when z is drawn", "noise"),
    "pair": Moment("at the end of a pair of holds", "thresholds"),
}
#: Of synapses: what they do at an event of their source, or a spike of their target, and between
#: two trials.
SYNAPSE_MOMENTS = {
    "": Moment(""),
    "onset": Moment("at the start of a trial", "start", 6),
    "spike": Moment("at a presynaptic spike", "synapses"),
    "post": Moment("at a postsynaptic spike", "synapses", 5),  # after what comes in has acted
    "hold": Moment("when z is drawn", "noise", 5),
    "pair": Moment("at the end of a pair of holds", "synapses", 10, named=True),
    "trial": Moment("between two trials", "start", -7, "trial"),
}
#: The order in which the blocks of an object are shown.
SHOWN = ("", "chance", "step", "sample", "threshold", "reset", "spike", "post", "onset", "event",
         "on", "trial", "hold", "pair")


@dataclass(frozen=True)
class PopulationKind:
    """A kind of population.

    `title`; `errors`, whether it compares with a target, so that its sums come before those of
    modulators; `trial`, where its statements at a trial's start stand. Neurons have no letters
    `pre` and `post`.
    """

    title: str
    errors: bool = False
    trial: Moment = NEURON_MOMENTS["trial"]
    pre: str = ""
    post: str = ""


@dataclass(frozen=True)
class ProjectionKind:
    """A kind of projection.

    `title`; `pre` and `post`, the letters of its neurons in equations; `plastic`, whether its
    plasticity follows traces and may be emitted lazily; `backward`, whether the block of that
    name (weight transport) belongs to it where its source is hidden; `sums`, the slot and order of
    its sums where they do not follow the order of modulators; `moments` it may have, all but
    those of another source.
    """

    title: str
    pre: str = "i"
    post: str = "j"
    plastic: bool = False
    backward: bool = False
    sums: tuple[str, int] | None = None
    moments: tuple[str, ...] = tuple(SYNAPSE_MOMENTS)


_FROM_ERROR = ("", "pair", "trial")  # no spikes, no perturbation of its own
_BETWEEN_TRIALS = Moment("between two trials", "start", -9, "trial")
#: In the order in which a model shows them.
KINDS: dict[str, PopulationKind | ProjectionKind] = {
    "input": PopulationKind("Input"),
    "hidden": PopulationKind("Hidden neurons"),
    "readout": PopulationKind("Readout"),
    "error": PopulationKind("Error population", errors=True),
    "critic": PopulationKind("Critic", trial=_BETWEEN_TRIALS),
    "report": ProjectionKind("Critic", "k", "", sums=("feedback", 0), moments=("",)),
    "forward": ProjectionKind("Forward synapses onto hidden neurons", plastic=True, backward=True),
    "backward": ProjectionKind("Forward synapses onto hidden neurons", moments=("",)),
    "forward_readout": ProjectionKind("Forward synapses onto the readout", post="k", plastic=True,
                                      backward=True),
    "fixed": ProjectionKind("Fixed synapses onto hidden neurons", backward=True),
    "fixed_readout": ProjectionKind("Fixed synapses onto the readout", post="k", backward=True),
    "feedback": ProjectionKind("Feedback synapses from the error population", "k",
                               moments=_FROM_ERROR),
    "local": PopulationKind("Readouts of single layers"),
    "localerror": PopulationKind("Error populations of single layers", errors=True),
    "forward_local": ProjectionKind("Forward synapses onto readouts of single layers", post="k",
                                    plastic=True),
    "intermediate": ProjectionKind("Feedback synapses from a middle layer's error population", "k",
                                   moments=_FROM_ERROR),
    "softmax": ProjectionKind("Softmax", "k", "k", sums=("error", 1), moments=("",)),
}


def kind_of(name: str) -> Any:
    """The `PopulationKind` or `ProjectionKind` called `name`; unlisted ones are projections."""
    return KINDS.get(name) or ProjectionKind(name)


def moments_of(name: str) -> Mapping[str, Moment]:
    """The moments that blocks of the kind called `name` may have: moment -> `Moment`."""
    kind = kind_of(name)
    if isinstance(kind, PopulationKind):
        return NEURON_MOMENTS
    return {moment: SYNAPSE_MOMENTS[moment] for moment in kind.moments}


def block_names(name: str, kind: str | None = None) -> Iterator[str]:
    """Every block that something called `name` of a `kind` (default: the kind itself) can have.

    A star stands for a word of one's own.
    """
    for moment, told in moments_of(kind or name).items():
        yield ".".join(part for part in (name, moment, "*" * told.named) if part)
