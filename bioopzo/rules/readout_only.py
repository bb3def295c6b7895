"""The control: hidden weights stay as drawn, only the readout learns."""

from bioopzo.rules import Rule


def rule(depth: int) -> Rule:
    """Readout only: g = 0 for every hidden neuron; what any rule must beat."""
    return Rule("readout_only", "hidden weights fixed (the control)", "", {"forward": "w : 1"},
                needs=("xbar",))
