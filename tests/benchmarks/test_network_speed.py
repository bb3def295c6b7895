"""What sparse and delayed projections cost in the compiled program, beside dense and prompt ones.

OPZO with a recurrent population, learning in every trial; CPU time of one thread, by the
difference of a long and a short chunk, all contenders in turns (`rules_speed`).
"""

import statistics

import numpy as np
import pytest
from brian2 import ms

import bioopzo as bz
from tests.benchmarks.rules_speed import Program, images, take_turns

#: Of the pairs that a sparse projection has, what may be spent on them beside the dense one's cost.
SHARE, MORE = 0.1, 0.08
LATER = 1.5


def recurrent(size, scale=1.0, **connection):
    """784 inputs onto `size` neurons, which project onto themselves, and ten readouts."""
    return (bz.Network(inputs=784, readouts=10).population("H", size)
            .connect("input", "H", p=0.1).connect("H", "H", weights=("normal", 0, scale/size**0.5),
                                                  **connection)
            .connect("H", "readout"))


def medians(networks, trials=(10, 60), rounds=5):
    """CPU ms a trial by name."""
    programs = {name: Program("opzo", (images, network, trials, {"input_gain": 0.5}))
                for name, network in networks.items()}
    costs = take_turns(programs, rounds)
    for name, program in programs.items():
        print(f"{name:10}{statistics.median(costs[name]):9.3f} ms a trial, "
              f"{', '.join(f'{rate:.0f} Hz' for rate in program.rates())}; {program.forms}")
    return {name: statistics.median(values) for name, values in costs.items()}


def test_sparse_projections_cost_their_share():
    """1,000 neurons: what the recurrent synapses cost falls with their number.

    Their input has the same variance in all three, so that neurons fire alike.
    """
    found = medians({"dense": recurrent(1000), "p=0.1": recurrent(1000, p=0.1, scale=3.2),
                     "nearly none": recurrent(1000, mask=np.eye(1000, k=1), scale=31.6)})
    dense, sparse = (found[name] - found["nearly none"] for name in ("dense", "p=0.1"))
    print(f"recurrent synapses: {sparse / dense:.3f} of the dense ones' cost")
    assert sparse / dense < SHARE + MORE


@pytest.mark.parametrize("delay", [2, 20])
def test_a_delay_costs_little(delay):
    found = medians({"prompt": recurrent(400), "delayed": recurrent(400, delay=delay*ms)})
    assert found["delayed"] < LATER * found["prompt"]
