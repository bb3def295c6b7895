"""Neurons, readouts and error populations as text, with their parameters.

Every function returns blocks (name -> text) in Brian2's syntax; symbols are those of the
OPZO paper and of docs/design.md: u membrane, rho hazard, psi local surrogate derivative,
xbar presynaptic trace, o readout, err error, g top-down modulator.
"""

from brian2.units import Hz, ms

from bioopzo.errors import unknown
from bioopzo.text.parameters import Parameter

OTTT = "Xiao et al. 2022 (OTTT)"
OPZO = "Xiao et al. 2024 (OPZO), appendix B"

PARAMETERS = {
    "tau_m": Parameter(10 * ms, "membrane and presynaptic trace time constant", True, OTTT),
    "tau_o": Parameter(10 * ms, "readout time constant", True),
    "theta": Parameter(1.0, "firing threshold", True),
    "b": Parameter(0.5, "constant drive of a hidden neuron"),
    "c": Parameter(0.0, "share of squared error in the loss (0: cross-entropy, 1: squared)"),
    "eta": Parameter(20.0 * Hz, "learning rate of the hidden weights", search=(2, 128)),
    "eta_o": Parameter(3.0 * Hz, "learning rate of the readout weights", search=(0.5, 32)),
}
#: What the engines read but no equation does.
PROTOCOL = {
    "gain": Parameter(2.0, "scale of initial weights: uniform within gain*sqrt(3/fan-in)", True),
    "input_gain": Parameter(1.0, "further scale of the first layer's initial weights", True),
    "input_rate": Parameter(200.0 * Hz, "rate of a Poisson input whose value is 1", True),
    "eta_final": Parameter(0.03, "learning rates fall linearly to this share at the end of a run"),
    "alpha_final": Parameter(1.0, "alpha falls linearly to this share at the end of a run", True),
}

#: Escape noises: hazard rho(u), its derivative psi with peak 1, and slope = max of d rho/du.
#: The exponential hazard stops growing at Delta above threshold (there psi is e): without a bound,
#: a learning network runs away, and the digits stay at chance.
ESCAPE = {
    "logistic": """
        p = 1/(1 + exp(-(u - theta)/Delta)) : 1
        rho = rho0*p : Hz
        psi = 4*p*(1 - p) : 1
        slope = rho0/(4*Delta) : Hz
    """,
    "exponential": """
        p = exp(clip((u - theta)/Delta, -50, 1)) : 1
        rho = rho0*p : Hz
        psi = p*int((u - theta)/Delta < 1) : 1
        slope = rho0/Delta : Hz
    """,
    "erf": """
        p = (1 + erf((u - theta)/(sqrt(2)*Delta)))/2 : 1
        rho = rho0*p : Hz
        psi = exp(-((u - theta)/Delta)**2/2) : 1
        slope = rho0/(Delta*sqrt(2*pi)) : Hz
    """,
    "deterministic": """
        p = 1/(1 + exp(-4*(u - theta))) : 1
        psi = 4*p*(1 - p) : 1
        slope = 1/tau_m : Hz
    """,
}
ESCAPE_PARAMETERS = {
    "rho0": Parameter(500.0 * Hz, "hazard at full drive (at threshold for exponential noise)",
                      True, OPZO),
    "Delta": Parameter(0.1, "width of the escape noise", True, OPZO),
}
RESETS = {"soft": "u -= theta", "hard": "u = 0"}


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


def surrogate(kind):
    """Blocks that replace psi: a closed form of LocalZO, or ``"localzo"`` with its samples.

    ``"localzo"`` draws one z a step, ``"localzo_5"`` the mean of 5; most neurons get exactly 0,
    being far from threshold.
    """
    name, _, count = kind.rpartition("_")
    if kind == "localzo":
        name, count = "localzo", "1"
    if name == "localzo" and count.isdigit() and int(count) > 0:
        draws = [f"z_{k} = abs(randn())" for k in range(1, int(count) + 1)]
        terms = [f"int(abs(u - theta) < delta_z*z_{k})*z_{k}" for k in range(1, int(count) + 1)]
        return {
            "hidden": "\n".join(["psi : 1", *(f"z_{k} : 1" for k in range(1, int(count) + 1))]),
            "hidden.sample": "\n".join(
                [*draws, f"psi = ({' + '.join(terms)})/(2*delta_z*{count})"]),
        }
    if kind not in SURROGATES:
        raise unknown("surrogate", kind, [*SURROGATES, "localzo", "localzo_5"])
    if not SURROGATES[kind]:
        return {}
    return {"hidden": f"distance = abs(u - theta)/delta_z : 1\npsi = {SURROGATES[kind]} : 1"}


def dropout(rate, coding):
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
        **({} if coding == "current" else {"forward_1.spike": "u_post += w"}),
    }


def hidden(neuron, reset, refractory):
    """Blocks of a hidden layer: LIF with escape noise.

    Source: OPZO appendix B (hazard, psi), OTTT (trace with the membrane's time constant).
    """
    if neuron not in ESCAPE:
        raise unknown("neuron", neuron, ESCAPE)
    if reset not in RESETS:
        raise unknown("reset", reset, RESETS)
    # Within the brackets: rand() beside the flag, Brian2's numpy target fails at the first step.
    ready = "*int(not_refractory)" if refractory else ""
    decide = f"int(u > theta){ready}" if neuron == "deterministic" else \
        f"int(rand() < chance{ready})"
    flag = " (unless refractory)" if refractory else ""
    # A step of its own: without the random number, the compiler uses vector instructions.
    chance = {} if neuron == "deterministic" else {"hidden.chance": "chance = 1 - exp(-rho*dt)"}
    return {
        **chance,
        "hidden": f"""
            du/dt = (b + drive - u)/tau_m : 1{flag}
            dxbar/dt = -xbar/tau_m : 1
            {ESCAPE[neuron]}
            S : 1
            chance : 1
            g : 1
            drive : 1
            count : 1
        """,
        "hidden.step": f"S = {decide}",
        "hidden.threshold": "S > 0.5",
        "hidden.reset": f"{RESETS[reset]}\nxbar += 1\ncount += 1",
        # While refractory, Brian2 would not write u: the refractory state goes first.
        "hidden.trial": ("not_refractory = True\nlastspike = -1e4*second\n" if refractory else "")
                        + "u = 0\nxbar = 0",
    }


def inputs(coding):
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


def readout():
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
ERROR_PARAMETERS = {
    "graded": {},
    "spiking": {
        "tau_g": Parameter(5 * ms, "decay of the modulator concentration", True),
        "rho_err": Parameter(1000.0 * Hz, "rate of an error unit at an error of 1", True),
    },
}


def error(kind):
    """Blocks of the error population of a `kind`: graded, or spiking.

    Spiking: a positive and a negative Poisson unit per readout, whose spikes raise and lower a
    modulator concentration `err`.
    """
    if kind not in ERRORS:
        raise unknown("error population", kind, ERRORS)
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


def forward(coding_first):
    """Blocks of the forward synapses: the plain three-factor rule, and what a spike does."""
    return {
        "forward": "dw/dt = -eta*xbar_pre*psi_post*g_post : 1",
        "forward_readout": "dw/dt = -eta_o*xbar_pre*g_post : 1",
        "forward.spike": "u_post += w",
        "forward_readout.spike": "o_post += w",
        "forward_1.onset": "drive_post += w*x_pre" if coding_first == "current" else "",
    }
