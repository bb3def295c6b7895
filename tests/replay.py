"""Hand-written NumPy trials of every learning rule, to compare with Brian2.

Written from the mathematics (docs/design.md) and the order within a time step documented in
`bioopzo.network.assembly`; nothing here executes the package's text. Plasticity is always the dense
rule dw = -dt * eta * xbar * psi * g. All noise comes from tables, which `inject` puts into the
model in place of ``rand()`` and ``randn()``.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import brian2 as b2
import numpy as np
from brian2.units import second
from scipy.special import erf

from bioopzo import rules
from bioopzo.engines.spiking.build import build
from bioopzo.engines.spiking.session import runtime
from bioopzo.engines.spiking.state import get_array, set_array, set_parameters, state_variables
from bioopzo.model import Model
from bioopzo.network.clock import Shape, time_course
from bioopzo.network.spread import constants
from bioopzo.training.spiking import shift_last_spikes

#: Rules that both engines run: bptt is the rate engine's alone (tests/test_bptt.py).
BOTH = [name for name in rules.available() if name != "bptt"]

PARAMETERS = {
    "tau_m": 0.007, "tau_o": 0.009, "theta": 1.0, "b": 0.9, "c": 0.3, "eta": 40.0, "eta_o": 25.0,
    "rho0": 400.0, "Delta": 0.25, "input_rate": 250.0, "tau_g": 0.005, "rho_err": 700.0,
    "alpha": 80.0, "T_z": 0.009, "T_w": 0.005, "mu": 0.3, "n_M": 5.0, "kappa": 0.15,
    "kappa_o": 0.2, "decay": 0.7, "gamma": 0.8, "memory": 0.4,
    "tau_e": 0.012, "temperature": 0.8, "kappa_r": 0.2, "tau_minus": 0.008, "A_plus": 0.9,
    "A_minus": 0.6, "steepness": 3.0, "tau_rise": 0.006,
}


@dataclass(frozen=True)
class Case:
    """One comparison: the network, its rule and the protocol. Times in seconds, rates in hertz."""

    rule: str
    options: dict = field(default_factory=dict)
    sizes: tuple = (6, 5, 4, 3)
    neuron: str = "logistic"
    reset: str = "soft"
    error: str = "graded"
    coding: str = "current"
    state_reset: bool = True
    refractory: float = 0.0
    varying: bool = False
    plastic: tuple = (1, 1, 0, 1, 1, 0)
    steps: int = 60
    warmup: int = 20
    dt: float = 0.001
    values: dict = field(default_factory=dict)

    def __str__(self):
        first = Case(self.rule)
        words = [self.rule, *(f"{k}={v}" for k, v in self.options.items())]
        words += [f"{k}={getattr(self, k)}" for k in
                  ("sizes", "neuron", "reset", "error", "coding", "state_reset", "refractory",
                   "varying", "plastic", "warmup")
                  if getattr(self, k) != getattr(first, k)]
        return " ".join(words).replace(", ", "-")

    @property
    def depth(self):
        """Number of hidden layers."""
        return len(self.sizes) - 2

    @property
    def parameters(self):
        """Values in base units."""
        # Two holds are compared: each is long enough for what it does to arrive.
        longer = {"T_z": 0.011} if self.options.get("points") == "two" else {}
        return {**PARAMETERS, **longer, **self.values}

    def option(self, name):
        """The value of an option of the rule, the default where none is chosen."""
        return {**rules.options(self.rule), **self.options}[name]

    def model(self):
        """The package's model of this case."""
        model = Model(self.sizes, rule=self.rule, neuron=self.neuron, reset=self.reset,
                      error=self.error, coding=self.coding, state_reset=self.state_reset,
                      refractory=self.refractory * second, options=self.options)
        units = {k: p.default / float(p.default) if float(p.default) else 1
                 for k, p in model.declared.items()}
        return model.edit({k: v * units[k] for k, v in self.parameters.items() if k in units})

    @property
    def mask(self):
        """1 while the target is shown."""
        return (np.arange(self.steps) >= self.warmup).astype(float)


@dataclass(frozen=True)
class Data:
    """Everything that is not text: start weights, inputs, targets and the tables of noise."""

    weights: list
    feedback: list
    inputs: np.ndarray
    targets: np.ndarray
    escape: list
    held: list
    arrivals: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    lots: np.ndarray


def draw(case, seed=1):
    """Data for a case from one seed; only hidden layers have `escape` and `held` numbers."""
    rng = np.random.default_rng(seed)
    sizes, trials = case.sizes, len(case.plastic)
    total = trials * case.steps
    weights = [rng.uniform(-1, 1, (a, b)) * 1.6 * np.sqrt(3 / a) for a, b in pairwise(sizes)]
    fixed = case.model().rule.feedback_scale
    feedback = [fixed * rng.standard_normal((sizes[-1], n)) for n in sizes[1:-1]]
    if case.coding == "spikes":
        inputs = (rng.random((total, sizes[0])) < 0.15).astype(float)
    else:
        inputs = rng.random((trials, sizes[0]))
    rows = total if case.varying else trials
    targets = np.eye(sizes[-1])[rng.integers(sizes[-1], size=rows)]
    if case.error == "reward":  # what every action would pay
        targets = rng.random((rows, sizes[-1]))
    normal = "distribution" in rules.options(case.rule) and case.option(
        "distribution") == "gaussian"
    held = [rng.standard_normal((total, n)) if normal else rng.random((total, n))
            for n in sizes[1:-1]]
    return Data(weights, feedback, inputs, targets, [rng.random((total, n)) for n in sizes[1:-1]],
                held, *(rng.random((total, n)) for n in (sizes[0], *sizes[-1:]*3)))


# ---------------------------------------------------------------------------- the replay

def relax(x, target, tau, dt):
    """The exact solution over one step of dx/dt = (target - x)/tau for a constant target."""
    keep = np.exp(-dt / tau)
    return x * keep + target * (1 - keep)


class Replay:
    """A network of a `Case`, advanced trial by trial. Layers: 0 input, 1..L hidden, L+1 readout."""

    def __init__(self, case, data):
        self.case, self.data = case, data
        self.__dict__.update(case.parameters)
        self.dt, self.L, self.m = case.dt, case.depth, case.sizes[-1]
        sizes = case.sizes
        self.w = [None, *(w.copy() for w in data.weights)]  # w[k]: into layer k
        self.F = [None, *(f.copy() for f in data.feedback)]  # F[k]: (readouts, hidden k)
        self.xbar = [np.zeros(n) for n in sizes[:-1]]
        self.u, self.S, self.g, self.psi, self.drive, self.z, self.count = (
            [np.zeros(n) for n in sizes] for _ in range(7))
        self.push = [np.zeros(n) for n in sizes]
        self.last = [np.full(n, -1e4) for n in sizes]
        self.o, self.err, self.decision, self.cost = (np.zeros(self.m) for _ in range(4))
        self.action, self.policy, self.told, self.baseline = (*np.zeros((2, self.m)), 0.0, 0.0)
        self.plastic, self.step = 0.0, 0
        self.gate = case.mask
        self.read = self.gate / self.gate.sum()
        self.decisions, self.costs, self.spikes, self.errs = [], [], [], []
        self.rule = REPLAYS[case.rule](self)
        perturbs = self.rule.perturbs
        self.sigma, self.window, self.hold, self.pair = self.protocol(perturbs)

    def protocol(self, perturbs):
        """Sign of the perturbation, weights of the reading, new z, and end of a hold or pair."""
        case, T = self.case, self.case.steps
        sigma, window, hold, pair = np.zeros(T), np.zeros(T), np.zeros(T), np.zeros(T)
        if not perturbs:
            return sigma, window, hold, pair
        long, late = round(self.T_z / self.dt), round(self.T_w / self.dt)
        first = 0 if perturbs == "trial" else case.warmup
        if perturbs in ("trial", "hold"):
            sigma[first:], window[T - late:] = 1, 1 / late
            hold[first], pair[T - 1] = 1, 1
        while perturbs == "pair" and first + 2 * long <= T:
            hold[first], pair[first + 2 * long - 1] = 1, 1
            for sign in (1, -1):
                sigma[first:first + long] = sign
                window[first + long - late:first + long] = sign / late
                first += long
        return sigma, window, hold, pair

    def advance(self, trials):
        """Run so many trials; the tables of noise go on where they were."""
        for _ in range(trials):
            for n in range(self.case.steps):
                self.one_step(n)

    def one_step(self, n):
        """Everything of time step n of a trial, in the documented order."""
        t = self.step
        # start
        if n == 0:
            self.begin_trial(t)
        y = self.data.targets[t if self.case.varying else t // self.case.steps]
        on = self.plastic
        # noise
        if on * self.hold[n]:
            self.rule.draw(t)
        # groups
        self.membranes(on * self.sigma[n])
        self.rule.filter(on * self.sigma[n])
        # error
        loss = self.rewarded(y, n, t) if self.case.error == "reward" else self.errors(
            y, on * self.gate[n], t)
        # feedback
        self.psi = [None, *(self.surrogate(self.u[at]) * self.free(at)
                            for at in range(1, self.L + 1)), np.ones(self.m)]
        self.g[-1] = self.err.copy()
        self.rule.feedback()
        # escape
        self.escape(t)
        self.decision += self.read[n] * self.o
        if self.case.error != "reward":
            self.cost += self.read[n] * loss
        self.rule.observe(loss, n, on * self.window[n])
        # plasticity
        self.rule.learn(self.gate[n])
        # thresholds, synapses (spikes, then the feedback synapses), resets
        self.send()
        self.rule.spiked()
        if on * self.pair[n]:
            self.rule.paired()
        self.resets()
        self.step += 1
        self.errs.append(self.err.copy())

    def begin_trial(self, t):
        case, trial = self.case, t // self.case.steps
        self.decisions.append(self.decision.copy())
        self.costs.append(self.cost.copy())
        self.rule.end_trial()  # still with `plastic` of the trial that ends
        self.plastic = float(case.plastic[trial])
        self.decision[:], self.cost[:], self.action[:], self.told = 0, 0, 0, 0.0
        if case.state_reset:
            for values in (*self.u[1:-1], *self.xbar):
                values[:] = 0
            for last in self.last:
                last[:] = -1e4
            self.o[:] = 0
            if case.error == "spiking":
                self.err[:] = 0
        if case.coding != "spikes":
            self.x = self.data.inputs[trial]
        if case.coding == "current":
            self.drive[1] = self.x @ self.w[1]

    def membranes(self, sigma):
        dt, tau = self.dt, self.tau_m
        target = self.x if self.case.coding == "current" else 0.0
        self.xbar[0] = relax(self.xbar[0], target, tau, dt)
        for at in range(1, self.L + 1):
            extra = sigma * self.rule.received(at)
            new = relax(self.u[at], self.b + self.drive[at] + tau * extra, tau, dt)
            if self.case.refractory:
                new = np.where(self.free(at), new, self.u[at])
            self.u[at] = new
            self.xbar[at] = relax(self.xbar[at], 0, tau, dt)
        extra = sigma * (self.push[-1] if self.rule.place == "after" else 0)
        self.o = relax(self.o, self.tau_o * extra, self.tau_o, dt)

    def free(self, at):
        """Neurons that are not refractory: others cannot spike, whatever their membrane is."""
        return self.step * self.dt - self.last[at] >= self.case.refractory - 1e-9

    def errors(self, y, gate, t):
        """The error of each readout and the loss per readout."""
        e, c, o = np.exp(self.o), self.c, self.o
        delta = gate * ((1 - c) * (e / e.sum() - y) + 2 * c * (o - y) / self.m)
        if self.case.error == "graded":
            self.err = delta
        else:
            chance, size = self.rho_err * self.dt, 1 / (self.rho_err * self.tau_g)
            self.err = relax(self.err, 0, self.tau_g, self.dt)
            self.err += size * (self.data.positive[t] < np.maximum(delta, 0) * chance)
            self.err -= size * (self.data.negative[t] < np.maximum(-delta, 0) * chance)
        return (1 - c) * y * (np.log(e.sum()) - o) + c * (o - y) ** 2 / self.m

    def rewarded(self, payoffs, n, t):
        """The policy's error times the reward of its action, from the step after that on."""
        gate, taken = self.gate[n], self.action.sum()
        reward = self.action @ payoffs
        better = reward - self.baseline
        self.err = (self.plastic * gate * taken * better * (self.policy - self.action)
                    / self.temperature)
        news = gate * taken * (1 - self.told)
        loss = -news * better * self.action * self.gate.sum()
        self.told += news
        self.baseline += self.plastic * self.kappa_r * news * better
        if gate and not taken:
            self.policy = np.exp(self.o / self.temperature)
            self.policy /= self.policy.sum()
            taken = np.searchsorted(np.cumsum(self.policy), self.data.lots[t, 0])
            self.action[taken] = 1
        self.cost = -self.action * reward
        return loss

    def hazard(self, u):
        x = (u - self.theta) / self.Delta
        return self.rho0 * {
            "logistic": lambda: 1 / (1 + np.exp(-x)),
            "exponential": lambda: np.exp(np.clip(x, -50, 1)),
            "erf": lambda: (1 + erf(x / np.sqrt(2))) / 2,
        }[self.case.neuron]()

    def hazard_slope(self, u):
        """d rho/d u."""
        x = (u - self.theta) / self.Delta
        phi = self.hazard(u) / self.rho0
        return self.rho0 / self.Delta * {
            "logistic": lambda: phi * (1 - phi),
            "exponential": lambda: phi * (x < 1),
            "erf": lambda: np.exp(-x ** 2 / 2) / np.sqrt(2 * np.pi),
        }[self.case.neuron]()

    @property
    def steepest(self):
        """max of d rho/d u; a deterministic neuron passes a perturbation on at 1/tau_m."""
        if self.case.neuron == "deterministic":
            return 1 / self.tau_m
        return self.rho0 / self.Delta * {
            "logistic": 1 / 4, "exponential": 1, "erf": 1 / np.sqrt(2 * np.pi)}[self.case.neuron]

    def surrogate(self, u):
        """psi: the slope of the hazard, scaled so that its peak is 1."""
        if self.case.rule == "eprop":
            return self.gamma * np.maximum(0, 1 - np.abs(u - self.theta) / self.theta)
        if self.case.rule == "superspike":
            return 1 / (1 + self.steepness * np.abs(u - self.theta)) ** 2
        if self.case.neuron == "deterministic":
            s = 1 / (1 + np.exp(-4 * (u - self.theta)))
            return 4 * s * (1 - s)
        return self.hazard_slope(u) / self.steepest

    def escape(self, t):
        if self.case.coding == "poisson":
            self.S[0] = self.data.arrivals[t] < self.input_rate * self.x * self.dt
        elif self.case.coding == "spikes":
            self.S[0] = self.data.inputs[t] > 0
        for at in range(1, self.L + 1):
            if self.case.neuron == "deterministic":
                self.S[at] = self.u[at] > self.theta
            else:
                chance = 1 - np.exp(-self.hazard(self.u[at]) * self.dt)
                self.S[at] = self.data.escape[at - 1][t] < chance
            if self.case.refractory:
                self.S[at] = self.S[at] & self.free(at)
        self.spikes += [(self.step, at, i) for at in range(1, self.L + 1)
                        for i in np.flatnonzero(self.S[at])]

    def send(self):
        """A spike adds its weight to the membranes (or readout) of the next layer."""
        for at in range(self.case.coding == "current", self.L + 1):
            arriving = self.S[at].astype(float) @ self.w[at + 1]
            if at == self.L:
                self.o += arriving
            else:  # a refractory membrane takes nothing in, from its own spike on
                deaf = self.case.refractory and (self.S[at + 1] | ~self.free(at + 1))
                self.u[at + 1] += arriving * (1 - deaf)

    def resets(self):
        for at in range(1, self.L + 1):
            fired = self.S[at].astype(bool)
            self.u[at] = np.where(fired, 0 if self.case.reset == "hard" else
                                 self.u[at] - self.theta, self.u[at])
            self.last[at] = np.where(fired, self.step * self.dt, self.last[at])
            self.count[at] += fired
        for at in range(self.case.coding == "current", self.L + 1):
            self.xbar[at] += self.S[at]

    def state(self):
        """What is compared, by the package's names."""
        out = {"readout.o": self.o, "error.err": self.err}
        if self.case.error == "reward":
            out |= {"error.action": self.action, "error.policy": self.policy,
                    "error.baseline": np.full(self.m, self.baseline)}
        for at in range(1, self.L + 2):
            out[f"forward_{at}.w"] = self.w[at].ravel()
        for at in range(1, self.L + 1):
            for name in ("u", "xbar", "count", "z"):
                out[f"hidden_{at}.{name}"] = getattr(self, name)[at]
            if self.rule.matrix:
                out[f"feedback_{at}.{self.rule.matrix}"] = self.F[at].ravel()
        out["input.xbar"] = self.xbar[0]
        return {name: np.array(values, dtype=float) for name, values in out.items()}


class ReadoutOnly:
    """No hidden learning; the readout follows its error, as in every rule."""

    matrix, perturbs, place = "", "", ""

    def __init__(self, net):
        self.net, self.case = net, net.case

    @property
    def hidden(self):
        return range(1, self.net.L + 1)

    def received(self, layer):
        return 0.0

    def end_trial(self): ...

    def draw(self, t): ...

    def filter(self, sigma): ...

    def feedback(self): ...

    def observe(self, loss, n, window): ...

    def spiked(self): ...

    def paired(self): ...

    def learn(self, gate):
        net = self.net
        net.w[-1] -= net.dt * net.eta_o * np.outer(net.xbar[-1], net.g[-1])


class Direct(ReadoutOnly):
    """g = err times a feedback matrix; dw = -eta xbar psi g."""

    matrix = "B"

    def feedback(self):
        for at in self.hidden:
            self.net.g[at] = self.net.err @ self.net.F[at]

    def factor(self, at):
        return self.net.psi[at] * self.net.g[at]

    def learn(self, gate):
        net = self.net
        for at in self.hidden:
            net.w[at] -= net.dt * net.eta * np.outer(net.xbar[at - 1], self.factor(at))
        super().learn(gate)


class Backpropagation(Direct):
    """g of a layer from the layer above through its weights, the top layer first."""

    matrix = ""

    def feedback(self):
        net = self.net
        for at in reversed(self.hidden):
            net.g[at] = net.w[at + 1] @ (net.psi[at + 1] * net.g[at + 1])


class KolenPollack(Direct):
    """B follows -xbar err at the readout's rate, and decays as every forward weight does."""

    def learn(self, gate):
        net = self.net
        lost = net.dt * net.decay * net.plastic
        decayed = [None, *(lost * w for w in net.w[1:])]
        super().learn(gate)
        for at in range(1, net.L + 2):
            net.w[at] -= decayed[at]
        for at in self.hidden:
            net.F[at] -= net.dt * net.eta_o * np.outer(net.err, net.xbar[at]) + lost * net.F[at]


class Eprop(Direct):
    """The eligibility xbar*psi low-passed with tau_o (forward Euler, so one step late)."""

    def __init__(self, net):
        super().__init__(net)
        self.ebar = [None, *(np.zeros_like(w) for w in net.w[1:])]

    def end_trial(self):  # as the trace it is made of, ebar goes on when the state is not reset
        if self.case.state_reset:
            for at in self.hidden:
                self.ebar[at][:] = 0

    def learn(self, gate):
        net = self.net
        for at in self.hidden:
            net.w[at] -= net.dt * net.eta * self.ebar[at] * net.g[at]
            target = np.outer(net.xbar[at - 1], net.psi[at])
            if self.case.state_reset or net.plastic:  # what goes on stands still in evaluation
                self.ebar[at] += net.dt / net.tau_o * (target - self.ebar[at])
        ReadoutOnly.learn(self, gate)


class Reinforce(ReadoutOnly):
    """dw/dt = -eta (loss - Lbar) E while the target is shown.

    E follows xbar times the score d log P(S)/du of the step and decays with tau_e (forward Euler:
    the loss comes after).
    """

    def __init__(self, net):
        super().__init__(net)
        self.E = [None, *(np.zeros_like(w) for w in net.w[1:-1])]
        self.L = self.Lbar = self.loss = 0.0

    def end_trial(self):
        self.Lbar += self.net.plastic * self.net.kappa * (self.L - self.Lbar)
        self.L = 0.0
        for at in self.hidden:
            self.E[at][:] = 0

    def observe(self, loss, n, window):
        self.loss = loss.sum()
        self.L += self.net.read[n] * self.loss

    def score(self, at):
        net = self.net
        silent = np.exp(-net.hazard(net.u[at]) * net.dt)
        slope = net.hazard_slope(net.u[at])
        return np.where(net.S[at], slope * silent / (1 - silent), -slope) * net.free(at)

    def learn(self, gate):
        net, surprise = self.net, gate * self.net.plastic * (self.loss - self.Lbar)
        for at in self.hidden:
            net.w[at] -= net.dt * net.eta * surprise * self.E[at]
            gain = np.outer(net.xbar[at - 1], self.score(at))
            self.E[at] += net.dt * (gain - self.E[at] / net.tau_e)
        super().learn(gate)


class RewardModulatedSTDP(Reinforce):
    """E rises with xbar when the target spikes, falls with ybar when the source does.

    Both at what traces are before the spikes of the step raise them; E decays with tau_e.
    """

    def __init__(self, net):
        super().__init__(net)
        self.ybar = [np.zeros(n) for n in net.case.sizes]

    def end_trial(self):
        super().end_trial()
        if self.case.state_reset:
            for ybar in self.ybar:
                ybar[:] = 0

    def filter(self, sigma):
        net = self.net
        self.ybar = [relax(ybar, 0, net.tau_minus, net.dt) for ybar in self.ybar]

    def spiked(self):
        net = self.net
        for at in self.hidden:
            if at > 1 or self.case.coding != "current":
                self.E[at] -= net.A_minus * np.outer(net.S[at - 1], self.ybar[at])
            self.E[at] += net.A_plus * np.outer(net.xbar[at - 1], net.S[at])
        for at in self.hidden:
            self.ybar[at] = self.ybar[at] + net.S[at]

    def learn(self, gate):
        net, surprise = self.net, gate * self.net.plastic * (self.loss - self.Lbar)
        for at in self.hidden:
            net.w[at] -= net.dt * net.eta * surprise * self.E[at]
            self.E[at] -= net.dt * self.E[at] / net.tau_e
        ReadoutOnly.learn(self, gate)


class SuperSpike(Eprop):
    """xbar*psi after two filters, tau_rise and tau_o, each by forward Euler."""

    def __init__(self, net):
        super().__init__(net)
        self.ehat = [None, *(np.zeros_like(w) for w in net.w[1:])]

    def end_trial(self):
        super().end_trial()
        if self.case.state_reset:
            for at in self.hidden:
                self.ehat[at][:] = 0

    def learn(self, gate):
        net = self.net
        for at in self.hidden:
            net.w[at] -= net.dt * net.eta * self.ehat[at] * net.g[at]
            target = np.outer(net.xbar[at - 1], net.psi[at])
            if self.case.state_reset or net.plastic:
                self.ehat[at] += net.dt / net.tau_o * (self.ebar[at] - self.ehat[at])
                self.ebar[at] += net.dt / net.tau_rise * (target - self.ebar[at])
        ReadoutOnly.learn(self, gate)


class Perturbing:
    """z is drawn at a hold and acts after the neuron (as a current w*alpha*z) or before it."""

    def sample(self, t):
        """New z for every hidden layer, and the current it sends to the next."""
        net = self.net
        for at in self.hidden:
            numbers = net.data.held[at - 1][t]
            net.z[at] = (numbers.copy() if self.case.option("distribution") == "gaussian"
                        else np.where(numbers < 0.5, 1.0, -1.0))
            net.push[at + 1] = net.alpha * net.z[at] @ net.w[at + 1]

    def received(self, layer):
        after = self.place == "after"
        return self.net.push[layer] if after else self.net.alpha * self.net.z[layer]


class NodePerturbation(Perturbing, ReadoutOnly):
    """w -= eta * advantage * E / (alpha tau_o) at the end of a trial.

    E is the gated sum of xbar psi z, the advantage L - Lbar with one point, half of
    L(+z) - L(-z) with two.
    """

    def __init__(self, net):
        super().__init__(net)
        self.place, self.draw = self.case.option("place"), self.sample
        self.one = self.case.option("points") == "one"
        self.perturbs = "trial" if self.one else "pair"
        self.E = [None, *(np.zeros_like(w) for w in net.w[1:-1])]
        self.L = self.Lbar = 0.0

    def end_trial(self):
        net = self.net
        advantage = net.plastic * (self.L - self.Lbar)
        if self.one:
            self.Lbar += net.kappa * advantage
        for at in self.hidden:
            net.w[at] -= net.eta * advantage * self.E[at] / (net.alpha * net.tau_o)
            self.E[at][:] = 0
        self.L = 0.0

    def observe(self, loss, n, window):
        self.L += (self.net.read[n] if self.one else window / 2) * loss.sum()

    def learn(self, gate):
        net = self.net
        for at in self.hidden:
            psi = net.psi[at] if self.place == "after" else 1.0
            self.E[at] += net.dt * np.outer(net.xbar[at - 1], gate * psi * net.z[at])
        super().learn(gate)


class Opzo(Perturbing, Direct):
    """M learns the expected Jacobian from Dz and Do, the readings of zbar and of the readout."""

    matrix = "M"

    def __init__(self, net):
        super().__init__(net)
        option, sizes = self.case.option, self.case.sizes
        self.place, self.antithetic = option("place"), option("antithetic")
        self.perturbs = "pair" if self.antithetic else "hold"
        self.momentum = option("form") == "momentum"
        # The stages z passes: one membrane per layer between it and the readout, then tau_o.
        before = self.place == "before"
        self.stages = [None, *([np.zeros(sizes[at]) for _ in range(net.L - at + before + 1)]
                               for at in self.hidden)]
        self.Dz = [None, *(np.zeros(n) for n in sizes[1:-1])]
        self.power = [None, *(np.zeros(n) for n in sizes[1:-1])]
        self.C = [None, *(np.zeros((net.m, n)) for n in sizes[1:-1])]
        self.Do, self.o_mean, self.pairs = np.zeros(net.m), np.zeros(net.m), 0

    def factor(self, at):
        return super().factor(at) if self.case.option("forward_psi") else self.net.g[at]

    def end_trial(self):  # the readout forgets z, so the filters do too
        if self.case.state_reset:
            for at in self.hidden:
                for stage in self.stages[at]:
                    stage[:] = 0

    def draw(self, t):
        self.sample(t)
        self.Do[:] = 0
        for at in self.hidden:
            self.Dz[at][:] = 0

    def filter(self, sigma):
        net = self.net
        for at in self.hidden:
            source, old = sigma * net.alpha * net.z[at], [s.copy() for s in self.stages[at]]
            for k, value in enumerate(old):
                tau = net.tau_o if k == len(old) - 1 else net.memory*net.tau_m
                self.stages[at][k] = relax(value, tau * source, tau, net.dt)
                source = net.steepest * value

    def observe(self, loss, n, window):
        self.Do += window * self.net.o
        for at in self.hidden:
            self.Dz[at] += window * self.stages[at][-1]

    def paired(self):
        net, Do = self.net, self.Do.copy()
        if not self.antithetic:
            Do -= self.o_mean
            self.o_mean = self.o_mean + net.kappa_o * Do
        self.pairs += 1
        if self.momentum:
            rate = max(1 / self.pairs, 1 / net.n_M)
            for at in self.hidden:
                self.power[at] += rate * (self.Dz[at] ** 2 - self.power[at])
                self.C[at] += rate * (np.outer(Do, self.Dz[at]) - self.C[at])
                net.F[at] = self.C[at] / self.power[at]
            return
        wrong = Do - sum(net.F[at] @ self.Dz[at] for at in self.hidden)
        for at in self.hidden:
            self.power[at] += max(1 / self.pairs, 0.01) * (self.Dz[at] ** 2 - self.power[at])
            share = net.mu / len(self.hidden) / len(self.Dz[at])
            net.F[at] += share * np.outer(wrong, self.Dz[at] / self.power[at])


#: The replay of every rule; `test_replay` fails for a rule of the package that is missing here.
#: Rules that both engines run: bptt is of the rate engine alone (tests/test_bptt.py).
BOTH = [name for name in rules.available() if name != "bptt"]
REPLAYS = {
    "bp": Backpropagation, "dfa": Direct, "dkp": KolenPollack, "eprop": Eprop,
    "node_perturbation": NodePerturbation, "opzo": Opzo, "readout_only": ReadoutOnly,
    "reinforce": Reinforce, "rstdp": RewardModulatedSTDP, "superspike": SuperSpike,
}


# ---------------------------------------------------------------------------- Brian2

def inject(model):
    """The model with a table in place of every ``rand()`` and ``randn()``."""
    edits = {}
    for kind, table in (("step", "escape"), ("hold", "held")):
        lines = [line for line in model.blocks.get(f"hidden.{kind}", "").splitlines()
                 if "rand" in line]
        for k in range(1, model.depth + 1):
            for line in lines:
                edits[f"hidden_{k}.{kind}"] = _numbers(line, f"{table}_{k}")
    for block, table in (("input.step", "arrivals"), ("error.sample", "lots"),
                         ("error.event.positive", "positive"),
                         ("error.event.negative", "negative")):
        if "rand" in model.blocks.get(block, ""):
            edits[block] = _numbers(model.blocks[block], table)
    return model.edit(edits)


def _numbers(text, table):
    assert text.count("rand") == 1, f"one random number a line, not {text!r}"
    return text.replace("randn()", "rand()").replace("rand()", f"{table}_numbers(t, i)")


class Network:
    """Brian2 running a case on injected numbers, chunk after chunk.

    So does `engines.spiking.runtime.Runtime`.
    """

    def __init__(self, case, data, lazy=True, edits=None):
        self.case, self.data = case, data
        self.model = inject(case.model()).edit(edits or {})
        self.shape = Shape(case.steps, case.dt, case.varying, len(case.plastic))
        self.tables = {f"{k}_numbers": b2.TimedArray(v.copy(), dt=case.dt * second,
                                                     name=f"{k}_numbers")
                       for k, v in self.noise.items()}
        with runtime():
            self.built = build(self.model, self.shape, lazy, functions=self.tables)
            self.monitors = [b2.SpikeMonitor(self.built[f"hidden_{k}"], name=f"spikes_{k}")
                             for k in range(1, case.depth + 1)]
            self.errs = b2.StateMonitor(self.built["error"], "err", record=True, when="end",
                                        clock=self.built["error"].clock, name="errs")
            self.built.network.add(self.monitors, self.errs)
            set_parameters(self.built, self.model, self.shape)
        self.course = time_course(self.model, Protocol(case))
        self.built.tables["course"].values[...] = self.course
        self.built.tables["trials_before"].values[...] = np.arange(self.shape.rows)
        self.start = {k: get_array(self.built, k)
                      for k in state_variables(self.built)}
        self.restart()

    def restart(self, data=None, plastic=None):
        """Back to the start, with other data or another schedule if given."""
        self.data = data or self.data
        self.plastic = self.case.plastic if plastic is None else plastic
        self.done, self.times = 0, []
        self.first_reading = len(self.built["trial_decision"].t)
        set_parameters(self.built, self.model, self.shape)
        for k, value in self.start.items():
            set_array(self.built, k, value)
        for k, w in enumerate(self.data.weights, 1):
            set_array(self.built, f"forward_{k}.w", w.ravel())
        if self.model.rule.feedback_scale:
            for k, F in enumerate(self.data.feedback, 1):
                set_array(self.built, f"feedback_{k}.{self.model.rule.matrix}", F.ravel())
        return self

    def set(self, parameter, value):
        """Give a parameter another value everywhere, without building again."""
        for key in constants(self.built.assembly, self.model, self.shape):
            if key.split(".")[1] == parameter:
                set_array(self.built, key, value)

    @property
    def noise(self):
        """The tables of noise by name."""
        data = self.data
        return {**{f"escape_{k}": v for k, v in enumerate(data.escape, 1)},
                **{f"held_{k}": v for k, v in enumerate(data.held, 1)},
                "arrivals": data.arrivals, "positive": data.positive, "negative": data.negative,
                "lots": data.lots}

    def advance(self, trials):
        """Run the next trials as one chunk, starting its clock at 0 again."""
        case, data, first = self.case, self.data, self.done
        for name, values in self.noise.items():
            _shift(self.tables[f"{name}_numbers"].values, values, first * case.steps)
        _shift(self.built.tables["schedule"].values, np.array(self.plastic, float), first)
        _shift(self.built.tables["stimulus"].values, data.inputs,
               first * (case.steps if case.coding == "spikes" else 1))
        _shift(self.built.tables["target"].values, data.targets,
               first * (case.steps if case.varying else 1))
        before = [len(m.t) for m in self.monitors]
        with runtime():
            self.built.network.t_ = 0.0
            self.built.network.run(trials * self.shape.duration, namespace={})
        for layer, (monitor, old) in enumerate(zip(self.monitors, before), 1):
            steps = np.round(np.array(monitor.t)[old:] / case.dt).astype(int)
            self.times += [(n + first * case.steps, layer, i)
                           for n, i in zip(steps.tolist(), np.array(monitor.i)[old:].tolist())]
        self.done = first + trials
        state = {k: get_array(self.built, k)
                 for k in state_variables(self.built)}
        shift_last_spikes(state, trials * case.steps * case.dt)
        for k in state:
            if k.endswith(".lastspike"):
                set_array(self.built, k, state[k])

    def state(self):
        """Every variable of the state."""
        return {k: get_array(self.built, k).astype(float)
                for k in state_variables(self.built)}

    def read(self, name):
        """Decision or cost, as read at each trial start so far."""
        return np.array(getattr(self.built[f"trial_{name}"], name)).T[self.first_reading:]

    @property
    def spikes(self):
        return sorted(self.times)


class Protocol:
    """The part of a task that `network.clock.time_course` reads."""

    def __init__(self, case):
        self.mask, self.steps, self.dt = case.mask, case.steps, case.dt


def _shift(table, values, by):
    table[...] = 0
    table[:len(values) - by] = values[by:]


def permuted(case, data, orders):
    """The data with the neurons of each hidden layer in another order."""
    orders = [np.arange(case.sizes[0]), *orders, np.arange(case.sizes[-1])]
    return replace(
        data,
        weights=[w[np.ix_(a, b)] for w, a, b in zip(data.weights, orders, orders[1:])],
        feedback=[F[:, p] for F, p in zip(data.feedback, orders[1:-1])],
        escape=[U[:, p] for U, p in zip(data.escape, orders[1:-1])],
        held=[U[:, p] for U, p in zip(data.held, orders[1:-1])])
