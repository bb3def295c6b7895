"""Readouts of single hidden layers: local learning and intermediate global learning, as text.

A branch is a readout `local_k` of hidden layer k with an error population `localerror_k` of its
own, which compares it with the same target. Its weights follow their own error. Local learning
gives that error back to the layer it comes from, through the same weights; intermediate global
learning gives it to the layers below, through feedback synapses as the rule has them.

Source: Xiao et al. 2024 (OPZO), section 4.4 and appendix C.1; the local loss is scaled by zeta.
"""

from collections.abc import MutableMapping

from bioopzo.errors import InputError
from bioopzo.network.parts import DELTA
from bioopzo.text.equations import identifiers, substitute
from bioopzo.text.parameters import Parameter

ZETA = {"zeta": Parameter(0.01, "scale of the local errors", source="OPZO, appendix C.1", least=0)}
#: What belongs to a layer's path to the readout, and its name on the path to the middle readout.
_OF_THE_PATH = {"Dz": "Dz_mid", "power": "power_mid", "now": "now_mid", "zbar": "zbar_mid",
                "pairs": "pairs_mid"}


def branches(blocks: MutableMapping[str, str], depth: int, local: bool, intermediate: int | None
             ) -> tuple[tuple[int, ...], dict[str, Parameter]]:
    """Add branches to a rule's `blocks`, in place; the layers that get one, and the parameters.

    `depth` is the number of hidden layers; `local`: whether every one has a branch; `intermediate`:
    a hidden layer above the lowest, whose branch also teaches the layers below, or None.
    """
    if not isinstance(local, bool):
        raise InputError(f"local is True or False, not {local!r}")
    allowed = range(2, depth + 1)
    if intermediate is not None and (isinstance(intermediate, bool)
                                     or intermediate not in allowed):
        raise InputError(f"intermediate is the number of a hidden layer with one below it, of "
                         f"{list(allowed)} here, or None; not {intermediate!r}")
    layers = tuple(range(1, depth + 1)) if local else ()
    layers += (intermediate,) if intermediate and not local else ()
    if not layers:
        return (), {}
    push = "push" in blocks.get("readout", "")
    blocks["local"] = ("do/dt = -o/tau_o" + " + sigma*push" * push + " : 1\ng = err : 1"
                       + "\npush : Hz" * push)
    blocks["local.trial"] = "o = 0"
    blocks["localerror"] = ("Z : 1\nexpo = exp(o) : 1\n"
                            f"err = {DELTA} : 1")
    blocks["forward_local"] = "dw/dt = -eta_o*xbar_pre*g_post : 1"
    blocks["forward_local.spike"] = "o_post += w"
    if push:
        blocks["local.hold"] = "push = 0*Hz"
        blocks["forward_local.hold"] = "push_post += w*alpha*z_pre"
    extra = []
    if local:
        blocks["forward_local"] += "\ng_local_pre = w*g_post : 1 (summed)"
        blocks["hidden"] = blocks.get("hidden", "") + "\ng_local : 1"
        extra.append("zeta*g_local_post")
    if intermediate:
        _intermediate(blocks, depth, intermediate)
        extra.append("zeta*g_mid_post")
    rule = blocks.get("forward", "dw/dt = -eta*eligibility*g_post : 1")
    blocks["forward"] = substitute(rule, {"g_post": f"(g_post + {' + '.join(extra)})"})
    return layers, ZETA


def _intermediate(blocks, depth, middle):
    """Feedback synapses from the branch of layer `middle` to the layers below it."""
    blocks["hidden"] = blocks.get("hidden", "") + "\ng_mid : 1"
    feedback = {key: text for key, text in blocks.items() if key.startswith("feedback")}
    for key, text in feedback.items():
        new = substitute(text, {**_OF_THE_PATH, **{f"{a}_post": f"{b}_post"
                                                   for a, b in _OF_THE_PATH.items()}})
        blocks[key.replace("feedback", "intermediate")] = new.replace("g_post =", "g_mid_post =")
    if "Dz" not in blocks["hidden"]:
        return
    for kind in (".hold", ".pair", ".step"):
        text = blocks.get(f"hidden{kind}", "")
        lines = [line for line in text.splitlines() if identifiers(line) & set(_OF_THE_PATH)]
        blocks[f"hidden{kind}"] = "\n".join(
            [text, *(substitute(line, _OF_THE_PATH) for line in lines)])
    own = [substitute(line, _OF_THE_PATH) for line in blocks["hidden"].splitlines()
           if line.split(":")[0].strip() in _OF_THE_PATH]
    blocks["hidden"] = "\n".join([blocks["hidden"], *own, "zbar_mid : 1"])
    for key in ("error", "error.step", "error.hold", "error.pair"):
        text = "\n".join(line for line in blocks.get(key, "").splitlines()
                         if identifiers(line) & {"Do", "prediction", "o_mean"})
        name = key.replace("error", "localerror")
        blocks[name] = "\n".join([blocks.get(name, ""), text])
    for layer in range(1, middle):
        itself = "push" not in blocks.get("readout", "")  # before the neuron: its own membrane, too
        membranes = middle - layer + itself
        blocks[f"hidden_{layer}"] += f"\ndzbar_mid/dt = -zbar_mid/tau_o + slope*z{membranes} : 1"
        blocks[f"hidden_{layer}.trial"] += "\nzbar_mid = 0"
