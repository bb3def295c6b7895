"""What a trial costs in the compiled program of each rule, and in other simulators beside it.

    python -m tests.benchmarks.peers [--rules bp eprop] [--cases images] [--rounds 5] [--json path]

The cases, and the measure of the rules, are those of rules_speed.py: CPU milliseconds on one
thread, one trial of 60 steps of 1 ms at a time, and of the rounds, in which all take turns, the
median. The others have the same sizes:

- *Brian2*: the same network without learning, in Brian2's own C++ standalone mode
  (plain_brian2.py), the CPU time of one long run less its beginning. It learns nothing, so a rule
  that costs as much learns for nothing.
- *BindsNET* (`pip install '.[benchmark]'`, as the next): it has no rule that learns from a target,
  so it is measured with what it is used for, STDP (`PostPre`) on every connection, its own LIF
  neurons, and Poisson spikes of the pixels, whose drawing is not counted.
- *snnTorch*: its tutorials' training loop with one trial a batch: leaky neurons with surrogate
  gradients, the pixels as a constant current, backpropagation through all 60 steps, Adam.

They compute in single precision, the rules and Brian2 in double. One that is not installed has a
line that says so. BindsNET's and snnTorch's matrices are dense, so that their cost does not
depend on how often neurons spike; that of the rules and of Brian2 does, hence the rates.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bioopzo.training.start import initial_weights
from tests.benchmarks.rules_speed import (
    CASES,
    RULES,
    STEPS,
    USUAL,
    Program,
    given,
    save,
    show,
    take_turns,
)

#: Trials of the torch libraries: uncounted ones, then those of a round.
WARM, COUNTED = 5, 20


class PlainBrian2:
    """plain_brian2.py, built."""

    forms = "no learning"

    def __init__(self, case):
        model, task, shape, samples = given("readout_only", case)
        self.first, self.trials = case[2]
        self._folder = tempfile.TemporaryDirectory(prefix="plain-brian2-")
        weights = initial_weights(model, np.random.default_rng(2))
        shapes = itertools.pairwise(model.sizes)
        np.savez(Path(self._folder.name, "case.npz"), samples=task.inputs[samples],
                 duration=float(shape.duration), start=np.argmax(task.mask > 0)*shape.dt,
                 **{f"w{k}": weights[f"forward_{k}.w"].reshape(of)
                    for k, of in enumerate(shapes, 1)},
                 **{name: float(model.parameters[name])
                    for name in ("tau_m", "tau_o", "theta", "Delta", "b", "rho0")})
        subprocess.run([sys.executable, Path(__file__).with_name("plain_brian2.py"),
                        self._folder.name, str(self.first), str(self.trials)],
                       check=True, stdout=subprocess.DEVNULL)
        self.printed = None

    def cost(self):
        """CPU ms a trial, of the program's own clock."""
        done = subprocess.run(["./main"], cwd=Path(self._folder.name, "program"), check=True,
                              capture_output=True, text=True)
        lines = [line.split() for line in done.stdout.splitlines()]
        self.printed = {what: [float(line[1]) for line in lines if line[:1] == [what]]
                        for what in ("clock", "hz")}
        begin, end = self.printed["clock"]
        return 1e3*(end - begin)/self.trials

    def rates(self):
        """Spikes a second of each hidden layer."""
        return self.printed["hz"]


class Torch:
    """A network of a library on torch that is shown one trial at a time."""

    def __init__(self, case):
        import torch
        torch.set_num_threads(1)
        torch.manual_seed(1)
        _, task, _, samples = given("readout_only", case)
        self.sizes = case[1]
        self.pixels = torch.tensor(np.asarray(task.inputs)[samples], dtype=torch.float32)
        self.labels = torch.tensor(np.asarray(task.labels)[samples])
        self.shown = 0
        self.build(torch)
        for _ in range(WARM):
            self.trial(self.next())

    def next(self):
        """The row of the next trial."""
        self.shown += 1
        return self.shown % len(self.labels)

    def cost(self):
        """CPU ms a trial."""
        begin = time.process_time()
        for _ in range(COUNTED):
            self.trial(self.next())
        return 1e3*(time.process_time() - begin)/COUNTED


class BindsNET(Torch):
    """Fully connected LIF neurons whose weights all follow STDP."""

    forms = "PostPre"

    def build(self, torch):
        from bindsnet.encoding import poisson
        from bindsnet.learning import PostPre
        from bindsnet.network import Network
        from bindsnet.network.nodes import Input, LIFNodes
        from bindsnet.network.topology import Connection
        self.network = Network(dt=1.0)
        self.names = [f"layer {k}" for k in range(len(self.sizes))]
        kinds = [Input, *[LIFNodes]*(len(self.sizes) - 1)]
        layers = [kind(n=n, traces=True) for kind, n in zip(kinds, self.sizes)]
        for name, layer in zip(self.names, layers):
            self.network.add_layer(layer, name=name)
        for k, (source, target) in enumerate(itertools.pairwise(layers)):
            self.network.add_connection(
                Connection(source, target, w=100/source.n*torch.rand(source.n, target.n),
                           update_rule=PostPre, nu=(1e-4, 1e-2), wmin=0, wmax=1, norm=50),
                source=self.names[k], target=self.names[k + 1])
        # Up to 128 Hz, as in its examples, which show images of 0 to 128.
        self.spikes = [poisson(128*pixels, time=STEPS, dt=1.0)
                       for pixels in self.pixels[:WARM + COUNTED]]

    def trial(self, row):
        self.network.run(inputs={self.names[0]: self.spikes[row % len(self.spikes)]}, time=STEPS)
        self.network.reset_state_variables()

    def rates(self):
        """Spikes a second of each hidden layer in one trial more."""
        from bindsnet.network.monitors import Monitor
        monitors = [Monitor(self.network.layers[name], ["s"], time=STEPS)
                    for name in self.names[1:-1]]
        for name, monitor in zip(self.names[1:-1], monitors):
            self.network.add_monitor(monitor, name)
        self.network.run(inputs={self.names[0]: self.spikes[0]}, time=STEPS)
        return [1e3*float(monitor.get("s").float().mean()) for monitor in monitors]


class SnnTorch(Torch):
    """Leaky neurons trained by backpropagation through time."""

    forms = "surrogate gradients, BPTT"

    def build(self, torch):
        import snntorch
        self.torch = torch
        beta = float(np.exp(-1/10))  # tau_m is 10 ms
        self.linear = torch.nn.ModuleList(
            torch.nn.Linear(*pair) for pair in itertools.pairwise(self.sizes))
        self.neurons = [snntorch.Leaky(beta=beta) for _ in self.linear]
        self.loss = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.linear.parameters(), lr=5e-4, betas=(0.9, 0.999))

    def forward(self, pixels):
        """Spikes of every layer and membranes of the last, over the steps."""
        membranes = [neurons.init_leaky() for neurons in self.neurons]
        spikes, readout = [[] for _ in self.neurons], []
        for _ in range(STEPS):
            sent = pixels
            for k, (linear, neurons) in enumerate(zip(self.linear, self.neurons)):
                sent, membranes[k] = neurons(linear(sent), membranes[k])
                spikes[k].append(sent)
            readout.append(membranes[-1])
        return [self.torch.stack(each) for each in spikes], self.torch.stack(readout)

    def trial(self, row):
        self.spikes, readout = self.forward(self.pixels[row:row + 1])
        loss = sum(self.loss(membranes, self.labels[row:row + 1]) for membranes in readout)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def rates(self):
        """Spikes a second of each hidden layer in the last trial."""
        return [1e3*float(spikes.mean()) for spikes in self.spikes[:-1]]


PEERS = {"Brian2": PlainBrian2, "BindsNET": BindsNET, "snnTorch": SnnTorch}


def main():
    """Measure, print a table for each case, and save them if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", nargs="+", default=RULES)
    parser.add_argument("--cases", nargs="+", default=USUAL, choices=list(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    asked = parser.parse_args()
    found = {}
    for case in asked.cases:
        contenders = {rule: Program(rule, CASES[case])
                      for rule in dict.fromkeys(("opzo", *asked.rules))}
        missing = {}
        for name, peer in PEERS.items():
            try:
                contenders[name] = peer(CASES[case])
            except (ImportError, OSError) as problem:
                missing[name] = f"not installed ({problem})"
        found[case] = show(case, contenders, take_turns(contenders, asked.rounds))
        for name, why in missing.items():
            print(f"{name:20}{why:>18}")
    save(found, asked.json)


if __name__ == "__main__":
    main()
