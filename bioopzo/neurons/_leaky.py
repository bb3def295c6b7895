"""The leaky membrane with its trace, and escape noise: what the neurons of this folder share."""

from brian2.units import Hz

from bioopzo.text.parameters import Parameter

SOURCE = "Xiao et al. 2024 (OPZO), appendix B"
LEAKY = """
du/dt = (b + drive - u)/tau_m : 1
dxbar/dt = -xbar/tau_m : 1
"""
PARAMETERS = {
    "rho0": Parameter(500.0 * Hz, "hazard at full drive (at threshold for exponential noise)",
                      True, SOURCE),
    "Delta": Parameter(0.1, "width of the escape noise", True, SOURCE),
}


def leaky(lines: str, decision: str) -> dict[str, str]:
    """Blocks of a leaky neuron: its own `lines`, and the `decision` to spike, 0 or 1 at each step.

    A spike takes theta from the membrane u and adds 1 to the trace xbar, which has the membrane's
    time constant (OTTT).
    """
    return {
        "hidden": f"{LEAKY}\n{lines}\nS : 1\nchance : 1",
        "hidden.step": f"S = {decision}",
        "hidden.threshold": "S > 0.5",
        "hidden.reset": "u -= theta\nxbar += 1",
        "hidden.trial": "u = 0\nxbar = 0",
    }


def escape_noise(lines: str) -> tuple[dict[str, str], dict[str, Parameter]]:
    """Blocks and parameters of a leaky neuron that spikes by chance, with a hazard rho.

    `lines` define rho(u), its derivative psi, scaled to a peak of 1, and slope, the greatest
    d rho/du.
    """
    # A step of its own: without the random number, the compiler uses vector instructions.
    blocks = {"hidden.chance": "chance = 1 - exp(-rho*dt)",
              **leaky(lines, "int(rand() < chance)")}
    return blocks, dict(PARAMETERS)
