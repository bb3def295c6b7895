"""Every symbol of the text of rules and neurons: its unit, its meaning, whose it is, in one table.

Exports, displays and the documentation take what a name means from here. A file of a user's own may
declare any others.
"""

from typing import NamedTuple

from bioopzo.network import clock


class Symbol(NamedTuple):
    """What a name stands for: its `meaning`, its `unit` in base units, and the `owner`.

    The owner is a word for whose value it is: ``"hidden neuron"``, ``"synapse"`` ...
    """

    meaning: str
    unit: str = "1"
    owner: str = "hidden neuron"


#: What no block defines: the engine gives it, beside the clock.
GIVEN = {
    "x": "input of the trial", "y": "target", "given": "1 at a spike of the input",
    "rate": "rate of the input", "Z": "sum of expo over the readouts",
    "gradient": "derivative of the trial's loss by the weight",
    "N": "neurons of the population", "N_post": "postsynaptic neurons", "dt": "time step",
    **clock.MEANING,
}
_SYNAPSE, _SOURCE, _READOUT = "synapse", "source of a synapse", "readout"
_ERROR, _CRITIC, _INPUT = "error unit", "critic", "input"
#: What blocks of the package define. Numbered names (`z1`, `z_1`) stand by their first.
SYMBOLS = {
    # The membrane and its spikes.
    "u": Symbol("membrane"),
    "drive": Symbol("current that the trial's constant input gives"),
    "rho": Symbol("hazard: chance to spike per second", "Hz"),
    "p": Symbol("hazard as a share of its greatest value"),
    "chance": Symbol("chance to spike in this step"),
    "S": Symbol("1 at a spike"),
    "psi": Symbol("surrogate derivative of the spike: how much the hazard follows the membrane, "
                  "with a peak of 1"),
    "slope": Symbol("scale of psi: slope*psi is the derivative of the hazard", "Hz"),
    "drho": Symbol("derivative of the hazard by the membrane", "Hz"),
    "distance": Symbol("distance of the membrane from threshold, in widths of LocalZO's "
                       "perturbation"),
    "z_1": Symbol("sample of LocalZO's perturbation"),
    "count": Symbol("spikes so far in the trial"),
    "mask": Symbol("what dropout leaves of the neuron: 0, or more than 1"),
    "xbar": Symbol("trace of its own spikes: what a spike is still worth in a membrane that it "
                   "feeds"),
    "ybar": Symbol("trace of its own spikes, as a postsynaptic neuron"),
    # Further variables of single neurons.
    "a": Symbol("what its spikes have raised: threshold (alif), adaptation (adex), recovery "
                "(izhikevich)"),
    "v": Symbol("membrane of the dendrite"),
    "I": Symbol("synaptic current"),
    "arrived": Symbol("what spikes have brought, on its way into the current"),
    "g_e": Symbol("excitatory conductance"),
    "g_i": Symbol("inhibitory conductance"),
    # Traces that sources keep for such neurons.
    "sbar": Symbol("trace of spikes behind synaptic current and membrane", owner=_SOURCE),
    "Ibar": Symbol("trace of spikes behind the synaptic current", owner=_SOURCE),
    "abar": Symbol("trace of spikes on their way into the current", owner=_SOURCE),
    "cbar": Symbol("trace of spikes behind conductance and membrane", owner=_SOURCE),
    "gbar": Symbol("trace of spikes behind the conductance", owner=_SOURCE),
    "dbar": Symbol("trace of spikes behind dendrite and soma", owner=_SOURCE),
    "vbar": Symbol("trace of spikes behind the dendrite", owner=_SOURCE),
    "direct": Symbol("trace of a constant input, which opens no conductance", owner=_SOURCE),
    # Plasticity.
    "w": Symbol("weight", owner=_SYNAPSE),
    "sensitivity": Symbol("how the weight moves the neuron's distance from its threshold; xbar_pre "
                          "of a plain neuron", owner=_SYNAPSE),
    "eligibility": Symbol("sensitivity times psi_post: what a three-factor rule multiplies by its "
                          "modulator", owner=_SYNAPSE),
    "epsilon": Symbol("how the weight moves threshold or adaptation, through spikes that it adds",
                      owner=_SYNAPSE),
    "rises": Symbol("derivative of the target's hazard", "Hz", _SYNAPSE),
    "lost": Symbol("what the adaptation takes from the membrane again", owner=_SYNAPSE),
    "ebar": Symbol("eligibility, filtered", owner=_SYNAPSE),
    "ehat": Symbol("eligibility, filtered twice", owner=_SYNAPSE),
    "E": Symbol("eligibility of a rule that is given a scalar (in seconds under "
                "node_perturbation)", "1 or second", _SYNAPSE),
    "g": Symbol("top-down modulator: what the error tells the neuron"),
    "g_local": Symbol("modulator of the layer's own readout"),
    "delta": Symbol("error that the neuron sends on: psi*g (bp); of an error unit that spikes, the "
                    "error before its spikes"),
    "f_av": Symbol("firing rate, averaged over tau_f", "Hz"),
    "above": Symbol("how far the membrane is above threshold"),
    "dS_du": Symbol("derivative that stands for a spike's"),
    # Perturbation and learned feedback.
    "z": Symbol("perturbation, drawn without bias and of unit variance"),
    "push": Symbol("what the perturbations of its sources add per second", "Hz"),
    "zbar": Symbol("the neuron's perturbation, behind all filters on the way to the readout"),
    "z1": Symbol("the same behind the first filter on that way; z2 behind the second"),
    "f": Symbol("the perturbation as the eligibility takes it: psi*z while the target is shown"),
    "Dz": Symbol("how zbar differs between the holds of a pair (weighted by window)"),
    "Do": Symbol("how the readout differs between the holds of a pair", owner=_ERROR),
    "power": Symbol("running mean of Dz squared"),
    "now": Symbol("Dz squared of this pair"),
    "pairs": Symbol("pairs of holds so far"),
    "prediction": Symbol("what the feedback synapses expect of Do", owner=_ERROR),
    "o_mean": Symbol("running mean of the readout's deviation", owner=_ERROR),
    "M": Symbol("learned feedback weight: the expected Jacobian of the readout", owner=_SYNAPSE),
    "C": Symbol("running mean of Dz*Do, before it is divided by the power", owner=_SYNAPSE),
    "B": Symbol("random feedback weight", owner=_SYNAPSE),
    # Scalar rewards.
    "modulator": Symbol("loss less its baseline, as neurons get it"),
    "score": Symbol("derivative of the logarithm of the chance of what the neuron did", "Hz"),
    "advantage": Symbol("loss of the trial less its baseline", owner=_CRITIC),
    "surprise": Symbol("loss of the moment less its baseline", owner=_CRITIC),
    "L": Symbol("loss of the trial, as it adds up", owner=_CRITIC),
    "Lbar": Symbol("running mean of the loss: the baseline", owner=_CRITIC),
    # Readout and error.
    "o": Symbol("readout: leaky, never spikes", owner=_READOUT),
    "decision": Symbol("readout, in the mean while it is read", owner=_READOUT),
    "expo": Symbol("exp(o), for the softmax", owner=_ERROR),
    "err": Symbol("error: derivative of the loss by the readout, while the target is shown",
                  owner=_ERROR),
    "loss": Symbol("loss of the moment", owner=_ERROR),
    "cost": Symbol("loss of the trial", owner=_ERROR),
    "positive_count": Symbol("spikes of the positive error unit", owner=_ERROR),
    "negative_count": Symbol("spikes of the negative error unit", owner=_ERROR),
    # Reward only.
    "lot": Symbol("random number that decides on the action", owner=_ERROR),
    "drawn": Symbol("the lot of the first unit, as all units see it", owner=_ERROR),
    "below": Symbol("sum of expo over the units before this one", owner=_ERROR),
    "upto": Symbol("the same with this one", owner=_ERROR),
    "action": Symbol("1 for the action that was taken", owner=_ERROR),
    "policy": Symbol("chance with which the action was drawn", owner=_ERROR),
    "choosing": Symbol("1 in the step in which the action is drawn", owner=_ERROR),
    "acted": Symbol("1 once an action was taken", owner=_ERROR),
    "news": Symbol("1 in the step in which the reward becomes known", owner=_ERROR),
    "told": Symbol("1 once the reward is known", owner=_ERROR),
    "reward": Symbol("reward of the action that was taken", owner=_ERROR),
    "baseline": Symbol("running mean of the reward", owner=_ERROR),
}
#: Units and owners of what the engine gives, where they are not 1 and every neuron's.
GIVEN_AS = {
    "x": ("1", _INPUT), "given": ("1", _INPUT), "rate": ("Hz", _INPUT), "y": ("1", _ERROR),
    "Z": ("1", _ERROR), "gradient": ("1", _SYNAPSE), "dt": ("second", "clock"),
    "N": ("1", "population"), "N_post": ("1", "population"),
}


def all_symbols() -> dict[str, Symbol]:
    """Every symbol by name: what blocks define, what the engine gives, and the clock."""
    told = {name: Symbol(meaning, *GIVEN_AS.get(name, (clock.CLOCK_UNITS.get(name, "1"), "clock")))
            for name, meaning in GIVEN.items()}
    return {**SYMBOLS, **told}
