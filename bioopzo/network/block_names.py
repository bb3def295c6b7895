"""Which blocks the assembly reads, by the name of what they belong to."""

import functools
import re

from bioopzo.errors import InputError, nearest

_GROUP = ("", "threshold", "chance", "sample", "reset", "step", "trial", "hold", "pair")
_EVENTS = ("event.*", "on.*")
_DIRECT = ("", "spike", "hold", "trial")
#: Kind of block -> what may follow its name after a dot; `*` stands for any word.
WHOLE = {
    **dict.fromkeys(("input", "hidden", "readout", "error", "critic", "local", "localerror"),
                    _GROUP + _EVENTS),
    **dict.fromkeys(("forward", "forward_readout"), _DIRECT),
    "forward_local": ("", "spike", "hold"),
    **dict.fromkeys(("feedback", "intermediate"), ("", "pair.*")),
    "backward": ("",), "report": ("",),
}
#: The same of one layer, ``"hidden_2.step"``: its lines go over those of the kind.
OF_A_LAYER = {
    **dict.fromkeys(("hidden", "local", "localerror"), _GROUP), "forward": _DIRECT,
    "forward_local": ("", "spike", "hold"), "feedback": ("",), "intermediate": ("",),
}
#: These are there only if a rule has them: nothing reads what belongs to one that is not.
OPTIONAL = ("critic", "local", "localerror", "forward_local", "feedback", "intermediate")


def readable_blocks(depth):
    """The name of every block that is read in a network of `depth` hidden layers."""
    names = [_joined(kind, end) for kind, ends in WHOLE.items() for end in ends]
    for kind, ends in OF_A_LAYER.items():
        layers = depth + (kind == "forward")  # the last are the synapses onto the readout
        names += [_joined(f"{kind}_{k}", end) for k in range(1, layers + 1) for end in ends]
    return [*names, "forward_1.onset"]


def unknown_blocks(names, depth):
    """Why the first of the block `names` that nothing reads is none, or None when all are read.

    `depth` is the number of hidden layers. Returns an `InputError`, for the caller to raise.
    """
    for name in names:
        kind = kind_of(name)
        if not _readable(depth).fullmatch(name):
            return InputError(f"unknown block {name!r}{nearest(name, readable_blocks(depth))}; "
                              f"known: {', '.join(_like(kind))}")
        if kind in OPTIONAL and kind not in names:
            return InputError(f"block {name!r} needs a block {kind!r}, and there is none")
    return None


@functools.lru_cache(maxsize=64)
def _readable(depth):
    """What the name of a block that is read looks like."""
    return re.compile("|".join(re.escape(name).replace(r"\*", r"\w+")
                               for name in readable_blocks(depth)))


def _like(kind):
    """The blocks of a kind, or the kinds there are."""
    if kind not in WHOLE:
        return list(WHOLE)
    one = [f"those of a layer such as {kind}_1"] if kind in OF_A_LAYER else []
    return [_joined(kind, end) for end in WHOLE[kind]] + one


def kind_of(name):
    """What a block belongs to, whichever layer: ``"hidden"`` of ``"hidden_2.step"``."""
    return re.sub(r"_\d+$", "", name.partition(".")[0])


def statement_blocks(block):
    """Two blocks that hold statements of what the equations `block` belongs to; may be none."""
    kind = kind_of(block)
    if kind in ("input", "hidden"):
        return f"{block}.reset", f"{block}.step"
    if kind in ("feedback", "intermediate"):
        return (f"{kind}.pair.learn",)
    ends = [end for end in ("spike", "step", "trial", "hold") if end in WHOLE.get(kind, ())]
    return tuple(f"{block}.{end}" for end in ends[:2])


def _joined(name, end):
    return f"{name}.{end}" if end else name
