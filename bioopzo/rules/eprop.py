"""e-prop: eligibility filtered with the readout's time constant, and broadcast feedback.

The eligibility is the neuron's own: for alif it has the component of the adapting threshold
(equations 24 and 25 of the paper). A recurrent network is a `Network`, or ``recurrent=True``.

Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of
spiking neurons"; adaptive feedback and regularisation as in its methods. The readout's own weights
learn from xbar, as under every rule.
"""

from brian2.units import Hz, ms, second

from bioopzo.rules import InputError, Parameter, Rule, choose

REFERENCE = """
Bellec G, Scherr F, Subramoney A, Hajek E, Salaj D, Legenstein R, Maass W (2020). A solution to
the learning dilemma for recurrent networks of spiking neurons. Nature Communications 11, 3625.
"""
FEEDBACK = {
    "random": {"feedback": "B : 1\ng_post = B*err_pre : 1 (summed)"},
    "symmetric": {"backward": "g_pre = w*g_post : 1 (summed)"},
    "adaptive": {
        "forward_readout": "dw/dt = -eta_o*xbar_pre*g_post - decay*w : 1",
        "feedback": """
            dB/dt = -eta_o*xbar_post*err_pre - decay*B : 1
            g_post = B*err_pre : 1 (summed)
        """},
}
DECAY = Parameter(0.002*Hz, "weight decay of readout and feedback synapses", search=(1e-4, 0.1),
                  least=0)
#: A weight that makes a neuron fire above its target is lowered as its eligibility says.
REGULARISED = " - eta*c_reg*(f_av_post - f_0)*eligibility"
REGULARISATION = {
    "c_reg": Parameter(2.0*ms, "strength of the regularisation of firing rates", least=0),
    "f_0": Parameter(60.0*Hz, "firing rate that the regularisation aims at", least=0),
    "tau_f": Parameter(1.0*second, "over how long a firing rate is averaged", True),
}


GAMMA = Parameter(1.0, "height of the triangular surrogate", True)
#: What stands for a spike's derivative: a triangle as wide as the threshold is high, as in the
#: paper, whose neurons are deterministic; or what the neuron says, which fits its hazard.
PSEUDO = {"triangle": "psi = gamma*clip(1 - abs(u - threshold)/theta, 0, 1) : 1", "neuron": ""}


def rule(depth: int, scale: float = 0.5, feedback: str = "random", regularised: bool = False,
         pseudo: str = "triangle") -> Rule:
    """e-prop: dw = -eta * (eligibility low-passed with tau_o) * g, with a triangular psi.

    Options: `feedback` ``"random"`` (B fixed, normal, standard deviation `scale`), ``"symmetric"``
    (B is the weights onto the readout, of one hidden layer) or ``"adaptive"`` (B follows the same
    changes as those weights, with the same decay); `regularised` draws every neuron's average
    firing rate towards f_0; `pseudo`, the pseudo-derivative psi, is a ``"triangle"``, or that of
    the ``"neuron"``, the derivative of its hazard, for which the eligibility of an adaptive
    threshold takes it (`neurons.alif`).
    """
    if not isinstance(regularised, bool):
        raise InputError(f"regularised is True or False, not {regularised!r}")
    way = choose("feedback", feedback, FEEDBACK)
    psi = choose("pseudo", pseudo, PSEUDO)
    if feedback == "symmetric" and depth > 1:
        raise InputError("symmetric feedback is the weights onto the readout, which hidden layers "
                         "below the last have none of: use 'random' or 'adaptive' feedback, or one "
                         "hidden layer, which may be recurrent")
    blocks = {
        "hidden": psi,
        "forward": f"""
            debar/dt = (eligibility - ebar)/tau_o : 1
            dw/dt = -eta*ebar*g_post{REGULARISED*regularised} : 1
        """,
        "forward.trial": "ebar = 0",
        **way,
    }
    if regularised:
        blocks["hidden"] += "\nf_av : Hz"
        blocks["hidden.step"] = "f_av += (S - f_av*dt)/tau_f"
    parameters = {**({"gamma": GAMMA} if psi else {}),
                  **({"decay": DECAY} if feedback == "adaptive" else {}),
                  **(REGULARISATION if regularised else {})}
    needs = ("xbar", "g", "u" if psi else "psi")
    matrix = "" if feedback == "symmetric" else "B"
    return Rule("eprop", "filtered eligibility with broadcast feedback", "Bellec et al. 2020",
                blocks, parameters, reference=REFERENCE, matrix=matrix,
                feedback_scale=scale if matrix else 0.0, needs=needs)
