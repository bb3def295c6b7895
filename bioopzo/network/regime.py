"""What a network takes from the trials of a task that brings no parameters of its own.

The defaults suit the digits, 64-32-32-10. On other data the same numbers mean something else: the
sum of 784 inputs moves a membrane further than that of 64, and so does what each of them learns. So

- `input_gain` lets the summed input spread over membranes as widely as the firing threshold is
  high, whatever the size and number of the inputs: their weights differ by
  gain*input_gain/sqrt(n_in), and the drive by that times the root of the inputs' power;
- `eta` and `eta_o` are what they are by default where the traces that a neuron learns from have the
  power that they have on the digits, or less, and smaller where it is larger: what a neuron's error
  changes in its drive is eta times that power.

In a recurrent network what a neuron learns comes back to it, so that rates are smaller still.
Power is the mean over trials of the sum over neurons of the squared trace, a number without unit.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from brian2.units.fundamentalunits import Quantity

from bioopzo.network.table import Network

#: Trials that are looked at, the first ones.
LOOKED_AT = 1000
#: What a neuron learns of neurons that it sends to in turn comes back to it. With this weight eta
#: is 1.4 Hz for a recurrent layer of 40 on temporal patterns; e-prop learns with 2, not with 3.
LOOP = 8.0
#: Power of the traces on the digits: before the hidden layers, on average, and the readout.
HIDDEN_POWER, READOUT_POWER = 24.0, 32.0


def derived(task: Any, network: Network, values: Mapping[str, Any],
            defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that follow from a task's trials: name -> value; none for a task without input.

    `network` says what neurons learn from, `values` are the parameters in force, by name, and
    `defaults` those that are declared. Two digits, so that a trial more or less changes nothing.
    """
    power = input_power(task, values["tau_m"])
    if not power > 0:
        return {}

    def incoming(population):
        # A hidden neuron at 100 Hz, the regime that the defaults lead to, has a trace of about 1.
        return sum(p.connection.fan_in * (power / task.n_in if p.source == network.input.name else
                                          1.0 if network.ahead(p) else LOOP)
                   for p in network.into(population.name) if p in network.forward)

    hidden = [found for found in map(incoming, network.hidden) if found]
    scales = {"eta_o": READOUT_POWER / (incoming(network.readout) or READOUT_POWER)}
    if hidden:
        scales["eta"] = HIDDEN_POWER / float(np.mean(hidden))
    spread = float(values["gain"]) * np.sqrt(power / task.n_in)
    return {"input_gain": _rounded(float(values["theta"]) / spread), **{
        name: _rounded(min(1.0, scale)) * defaults[name]
        for name, scale in scales.items() if name in defaults}}


def input_power(task: Any, tau: Quantity) -> float:
    """The power of the traces of a task's inputs, which decay with `tau`."""
    inputs = np.asarray(task.inputs[np.sort(task.splits["train"])[:LOOKED_AT]], float)
    if task.coding == "current":
        if inputs.ndim == 3:  # as a membrane follows it
            keeps = np.exp(-float(task.dt) / float(tau))
            for k in range(task.steps):
                inputs[:, k] = (1 - keeps) * inputs[:, k] + (keeps * inputs[:, k - 1] if k else 0)
        return float(np.square(inputs).sum(axis=-1).mean())
    if inputs.ndim == 3:
        inputs = inputs.mean(axis=1)
    rate = inputs * float(task.input_rate) if task.coding == "poisson" else (
        inputs / float(task.dt))
    held = rate * float(tau)  # the mean of a trace; that of its square has the spikes' noise too
    return float((np.square(held) + held / 2).sum(axis=-1).mean())


def _rounded(value):
    return float(f"{value:.2g}")
