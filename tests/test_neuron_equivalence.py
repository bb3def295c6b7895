"""Every neuron that is more than a leaky membrane: both engines give the numbers of its text."""

import pytest
from test_equivalence import STREAM, case_of, compare, has_bite

from bioopzo import neurons

OWN = [name for name in neurons.available() if not neurons.is_leaky(neurons.get(name))]


#: Each neuron with the first, and with one of the others, in turn; e-prop is below.
RULES = [("bp", {}), ("opzo", {"place": "before"}), ("reinforce", {}), ("node_perturbation", {})]
CASES = [(neuron, *pair) for k, neuron in enumerate(OWN)
         for pair in (("opzo", {}), RULES[k % len(RULES)])]
SPIKES = [("spikes", {}), ("poisson", STREAM)]


@pytest.mark.parametrize("neuron, rule, options", CASES, ids=str)
def test_engines_agree_on_every_neuron(neuron, rule, options):
    case = case_of(rule, options, neuron=neuron)
    has_bite(case, *compare(case))


@pytest.mark.parametrize("neuron, coding, more", [
    (neuron, *SPIKES[k % 2]) for k, neuron in enumerate(OWN)], ids=str)
def test_engines_agree_on_spikes_into_every_neuron(neuron, coding, more):
    compare(case_of("eprop", neuron=neuron, coding=coding, **{"plastic": (1, 1), **more}))
