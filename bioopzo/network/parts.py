"""What every network has around its neurons and its rule, as text, with its parameters.

Every function returns blocks (name -> text) in Brian2's syntax; symbols are those of the
OPZO paper and of docs/design.md: u membrane, rho hazard, psi local surrogate derivative,
xbar presynaptic trace, o readout, err error, g top-down modulator.
"""

from collections.abc import Mapping
from dataclasses import replace

from brian2.units import Hz, ms

from bioopzo.errors import InputError, unknown
from bioopzo.text.equations import identifiers, parse, render, substitute
from bioopzo.text.parameters import Parameter

OTTT = "Xiao et al. 2022 (OTTT)"

PARAMETERS = {
    "tau_m": Parameter(10 * ms, "membrane and presynaptic trace time constant", True, OTTT),
    "tau_o": Parameter(10 * ms, "readout time constant", True),
    "theta": Parameter(1.0, "firing threshold", True),
    "b": Parameter(0.5, "constant drive of a hidden neuron"),
    "c": Parameter(0.0, "share of squared error in the loss (0: cross-entropy, 1: squared)",
                   least=0, most=1),
    "eta": Parameter(20.0 * Hz, "learning rate of the hidden weights", search=(2, 128), least=0),
    "eta_o": Parameter(3.0 * Hz, "learning rate of the readout weights", search=(0.5, 32),
                       least=0),
}
#: What the engines read but no equation does.
PROTOCOL = {
    "gain": Parameter(2.0, "scale of initial weights: uniform within gain*sqrt(3/fan-in)", True),
    "input_gain": Parameter(1.0, "further scale of the first layer's initial weights", True),
    "recurrent_gain": Parameter(0.25, "further scale of initial weights within a population: with "
                                "1 and this gain, activity is chaotic", True),
    "input_rate": Parameter(200.0 * Hz, "rate of a Poisson input whose value is 1", True),
    "eta_final": Parameter(0.03, "learning rates fall linearly to this share at the end of a run",
                           least=0),
    "alpha_final": Parameter(1.0, "alpha falls linearly to this share at the end of a run", True),
}

RESETS = ("soft", "hard")

LOCAL_ZO = "Mukhoty et al. 2023 (LocalZO)"
#: Surrogates in place of the derivative of the escape noise. LocalZO asks every neuron alone: does
#: a perturbation of its own membrane, delta_z*z, carry it over threshold? In closed form, the
#: expectation over z (normal, uniform or Laplace, all of unit variance).
SURROGATES = {
    "escape": "",
    "localzo_normal": "exp(-distance**2/2)/(delta_z*sqrt(2*pi))",
    "localzo_uniform": "clip(3 - distance**2, 0, 3)/(4*sqrt(3)*delta_z)",
    "localzo_laplace": "exp(-sqrt(2)*distance)*(distance + 1/sqrt(2))/(2*delta_z)",
}
SURROGATE_PARAMETERS = {
    "delta_z": Parameter(0.5, "size of LocalZO's perturbation of a neuron's own membrane", True,
                         LOCAL_ZO),
}


def surrogate(kind: str) -> dict[str, str]:
    """Blocks that replace psi: a closed form of LocalZO, or ``"localzo"`` with its samples.

    ``"localzo"`` draws one z a step, ``"localzo_5"`` the mean of 5; most neurons get exactly 0,
    being far from threshold.
    """
    name, _, count = kind.rpartition("_")
    if kind == "localzo":
        name, count = "localzo", "1"
    if name == "localzo" and count.isdigit() and int(count) > 0:
        draws = [f"z_{k} = abs(randn())" for k in range(1, int(count) + 1)]
        terms = [f"int(abs(u - threshold) < delta_z*z_{k})*z_{k}" for k in range(1, int(count) + 1)]
        return {
            "hidden": "\n".join(["psi : 1", *(f"z_{k} : 1" for k in range(1, int(count) + 1))]),
            "hidden.sample": "\n".join(
                [*draws, f"psi = ({' + '.join(terms)})/(2*delta_z*{count})"]),
        }
    if kind not in SURROGATES:
        raise unknown("surrogate", kind, [*SURROGATES, "localzo", "localzo_5"])
    if not SURROGATES[kind]:
        return {}
    return {"hidden": f"distance = abs(u - threshold)/delta_z : 1\npsi = {SURROGATES[kind]} : 1"}


def dropout(rate: float, coding: str) -> dict[str, str]:
    """Blocks that silence a share `rate` of the hidden neurons, anew for every trial.

    A neuron that is left sends 1/(1 - rate) as much; with plasticity off all take part. Source:
    one mask a sample and trial, as in OPZO, appendix C.
    """
    if not rate:
        return {}
    return {
        "hidden": "mask : 1",
        "hidden.trial": f"mask = 1 + plastic*(int(rand() >= {rate!r})/{1 - rate!r} - 1)",
        "hidden.reset": "xbar += mask",
        "forward.spike": "u_post += w*mask_pre",
        "forward_readout.spike": "o_post += w*mask_pre",
        "forward_local.spike": "o_post += w*mask_pre",
        "fixed.spike": "u_post += w*mask_pre",
        "fixed_readout.spike": "o_post += w*mask_pre",
        **({} if coding == "current" else {"forward_1.spike": "u_post += w"}),
    }


def hidden(own: Mapping[str, str], reset: str, refractory: bool) -> dict[str, str]:
    """Blocks of a hidden layer: the `own` blocks of a neuron, and what the network asks of it.

    `reset` ``"soft"`` is the neuron's own, ``"hard"`` sets the membrane to 0; with `refractory` the
    membrane is held and no spike falls for a time after a spike.
    """
    if reset not in RESETS:
        raise unknown("reset", reset, RESETS)
    blocks = {
        **own,
        "hidden": _joined(own["hidden"], "g : 1", "drive : 1", "count : 1"),
        "hidden.reset": _joined(own.get("hidden.reset", ""), "count += 1"),
    }
    if reset == "hard":
        blocks["hidden.reset"] = _with_line(
            blocks["hidden.reset"], "statement", "reset='hard' sets u at a spike",
            lambda line: replace(line, operator="=", right="0"))
    return _refractory(blocks) if refractory else blocks


def _refractory(blocks):
    """The blocks of a neuron that waits after a spike."""
    waits = "a refractory time holds u"
    return {
        **blocks,
        "hidden": _with_line(blocks["hidden"], "differential", waits,
                             lambda line: replace(line, flags="(unless refractory)")),
        "hidden.step": render(replace(line, right=_when_ready(line.right)) if line.name == "S"
                              else line for line in parse(blocks["hidden.step"])),
        # While refractory, Brian2 would not write u: the refractory state goes first.
        "hidden.trial": _joined("not_refractory = True", "lastspike = -1e4*second",
                                blocks.get("hidden.trial", "")),
    }


def _when_ready(decision):
    """A decision to spike that is only taken after the refractory time."""
    # Within the brackets: rand() beside the flag, Brian2's numpy target fails at the first step.
    if "chance" in identifiers(decision):
        return substitute(decision, {"chance": "chance*int(not_refractory)"})
    if "rand" in identifiers(decision):
        raise InputError(f"a neuron with a refractory time decides by 'chance', as in "
                         f"int(rand() < chance), not by {decision!r}")
    return f"{decision}*int(not_refractory)"


def _with_line(text, kind, purpose, change):
    """The text with the line(s) of one kind that set the membrane u changed."""
    lines = parse(text)
    if not any(line.name == "u" and line.kind == kind for line in lines):
        raise InputError(f"{purpose}, but the neuron has no such line")
    return render(change(line) if line.name == "u" and line.kind == kind else line
                  for line in lines)


def _joined(*texts):
    return "\n".join(texts)


def with_current(text: str, current: str) -> str:
    """The `text` of a hidden layer with a `current` more in the equation of its membrane u.

    Such a membrane is not held in a refractory time.
    """
    return _with_line(text, "differential", f"the rule adds {current} to du/dt",
                      lambda line: replace(line, right=f"{line.right} + {current}", flags=""))


def inputs(coding: str) -> dict[str, str]:
    """Blocks of the input layer for coding ``current``, ``poisson`` or ``spikes``.

    A constant current x reaches the next layer as a drive w*x from the start of the trial; its
    trace is x passed through the membrane. Poisson and given spikes act as any spike does.
    """
    if coding == "current":
        return {
            "input": "x : 1\ndxbar/dt = (x - xbar)/tau_m : 1",
            "input.trial": "xbar = 0",
        }
    chance = {"poisson": "int(rand() < rate*dt)", "spikes": "given"}
    if coding not in chance:
        raise unknown("input coding", coding, ("current", *chance))
    source = "rate : Hz" if coding == "poisson" else "given : 1"
    return {
        "input": f"{source}\ndxbar/dt = -xbar/tau_m : 1\nS : 1",
        "input.step": f"S = {chance[coding]}",
        "input.threshold": "S > 0.5",
        "input.reset": "xbar += 1",
        "input.trial": "xbar = 0",
    }


def readout() -> dict[str, str]:
    """Blocks of the leaky, non-spiking readout; `decision` is o averaged while the target is on."""
    return {
        "readout": """
            do/dt = -o/tau_o : 1
            g = err : 1
            decision : 1
        """,
        "readout.step": "decision += read*o",
        "readout.trial": "o = 0\ndecision = 0",
    }


#: The derivative of the loss, where and while the target is shown.
DELTA = "plastic*gate*((1 - c)*(expo/Z - y) + 2*c*(o - y)/N)"
ERRORS = {
    "graded": {"error": f"err = {DELTA} : 1"},
    "spiking": {
        "error": f"""
            delta = {DELTA} : 1
            derr/dt = -err/tau_g : 1
            positive_count : 1
            negative_count : 1
        """,
        "error.event.positive": "rand() < clip(delta, 0, 1e6)*rho_err*dt",
        "error.event.negative": "rand() < clip(-delta, 0, 1e6)*rho_err*dt",
        "error.on.positive": "err += 1/(rho_err*tau_g)\npositive_count += 1",
        "error.on.negative": "err -= 1/(rho_err*tau_g)\nnegative_count += 1",
        "error.trial": "err = 0",
    },
}
WILLIAMS = "Williams 1992"
#: What comes back is the reward of what was done, and nothing else. `y` holds what each action
#: would pay in this trial: no text may read it but the sum over the one action that was taken. That
#: is drawn in the first step of the gate, with the chances softmax(o/temperature), by one random
#: number (unit 0's) against cumulative sums. From the next step on there is an error; the loss,
#: for rules that have a critic, is the news of that step alone: what neurons do later has no share
#: in the reward. Averaged over the reading, it is the baseline less the reward.
REWARD = {
    "error": """
        y : 1
        Z : 1
        expo = exp(o/temperature) : 1
        below : 1
        upto : 1
        lot : 1
        drawn : 1
        action : 1
        policy : 1
        acted : 1
        told : 1
        reward : 1
        baseline : 1
        choosing = gate*(1 - acted) : 1
        news = gate*acted*(1 - told) : 1
        err = plastic*gate*acted*(reward - baseline)*(policy - action)/temperature : 1
        loss = news*action*(baseline - reward)/clip(read, 1e-9, 1) : 1
        cost : 1
    """,
    "error.sample": "lot = rand()",
    "softmax": """
        Z_post = expo_pre : 1 (summed)
        below_post = expo_pre*int(i < j) : 1 (summed)
        upto_post = expo_pre*int(i <= j) : 1 (summed)
        drawn_post = lot_pre*int(i == 0) : 1 (summed)
        acted_post = action_pre : 1 (summed)
        reward_post = action_pre*y_pre : 1 (summed)
    """,
    # The last interval has no upper end, whatever rounding makes of the sums.
    "error.step": """
        policy += choosing*(expo/Z - policy)
        action += choosing*(int(below <= drawn*Z) - int(upto <= drawn*Z)*int(i < N - 1))
        baseline += kappa_r*news*(reward - baseline)
        told += news
        cost = -action*reward
    """,
    "error.trial": "cost = 0\naction = 0\npolicy = 0\ntold = 0",
}
ERROR_PARAMETERS = {
    "graded": {},
    "reward": {
        "temperature": Parameter(1.0, "how much the choice of an action explores", True, WILLIAMS),
        "kappa_r": Parameter(0.05, "rate of the running baseline of the reward", True, WILLIAMS,
                             most=1),
        # Faster, a policy is sure of itself before it has tried enough.
        "eta": Parameter(5.0 * Hz, "learning rate of the hidden weights", search=(0.5, 50),
                         least=0),
        "eta_o": Parameter(1.0 * Hz, "learning rate of the readout weights", search=(0.1, 10),
                           least=0),
    },
    "spiking": {
        "tau_g": Parameter(5 * ms, "decay of the modulator concentration", True),
        "rho_err": Parameter(1000.0 * Hz, "rate of an error unit at an error of 1", True),
    },
}


def error(kind: str) -> dict[str, str]:
    """Blocks of the error population of a `kind`: graded, spiking, or reward only.

    Spiking: a positive and a negative Poisson unit per readout, whose spikes raise and lower a
    modulator concentration `err`. Reward: see `REWARD`.
    """
    if kind == "reward":
        return dict(REWARD)
    if kind not in ERRORS:
        raise unknown("error population", kind, [*ERRORS, "reward"])
    base = """
        y : 1
        Z : 1
        expo = exp(o) : 1
        loss = (1 - c)*y*(log(Z) - o) + c*(o - y)**2/N : 1
        cost : 1
    """
    blocks = dict(ERRORS[kind])
    blocks["error"] = base + blocks["error"]
    blocks["error.step"] = "cost += read*loss"
    blocks["error.trial"] = "cost = 0\n" + blocks.get("error.trial", "")
    return blocks


#: What is around synapses that do not learn.
FIXED = {"fixed": "w : 1", "fixed.spike": "u_post += w",
         "fixed_readout": "w : 1", "fixed_readout.spike": "o_post += w"}
#: What a constant input does through its synapses, what one does that changes within a trial (with
#: the weights of every step), and a readout that it reaches directly.
ONSET = "drive_post += w*x_pre"
DRIVE = "drive_post = w*x_pre : 1 (summed)"
DRIVEN_READOUT = "do/dt = (drive - o)/tau_o : 1\ndrive : 1"


def forward(coding_first: str, changing: bool = False) -> dict[str, str]:
    """Blocks of the forward synapses: the plain three-factor rule, and what a spike does.

    `changing`: a current input changes within a trial.
    """
    current = coding_first == "current"
    return {
        "forward": "dw/dt = -eta*eligibility*g_post : 1",
        "forward_readout": "dw/dt = -eta_o*xbar_pre*g_post : 1",
        "forward.spike": "u_post += w",
        "forward_readout.spike": "o_post += w",
        "forward_1": DRIVE if current and changing else "",
        "forward_1.onset": ONSET if current and not changing else "",
    }
