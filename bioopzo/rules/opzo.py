"""Online pseudo-zeroth-order learning: feedback learns the expected Jacobian from noise.

Source: Xiao, Meng, Zhang, He, Lin 2024, "Online Pseudo-Zeroth-Order Training of Neuromorphic
Spiking Neural Networks", sections 4.1-4.4; docs/design.md section 2 for the continuous form.
"""

from brian2.units import Hz

from bioopzo.rules import (
    InputError,
    Parameter,
    Rule,
    branches,
    choose,
    parse,
    path_filter,
    perturbation,
)

SOURCE = "Xiao et al. 2024 (OPZO), section 4.4"
REFERENCE = """
Xiao M, Meng Q, Zhang Z, He D, Lin Z (2024). Online pseudo-zeroth-order training of
neuromorphic spiking neural networks. arXiv:2407.12516.
"""

# Every layer predicts its share of the readout's deviation and takes its share of the correction,
# in units of its own perturbation: the effect of a low layer is amplified on its way up, and a
# common normaliser would leave the top layer a hundredth of the rate of the lowest.
LEAST_MEAN_SQUARES = {
    "hidden": "power : 1\npairs : 1",
    "hidden.hold": "Dz = 0",
    "hidden.pair": "pairs += 1\npower += clip(1/pairs, 0.01, 1)*(Dz**2 - power)",
    "error": "prediction : 1",
    "error.pair": "prediction = 0",
    "feedback": "M : 1\ng_post = M*err_pre : 1 (summed)",
    "feedback.pair.predict": "prediction_pre += M*Dz_post",
    "feedback.pair.learn":
        "M += mu/depth*Dz_post*(Do_pre - prediction_pre)/(N_post*power_post)",
}
# M is the ratio of two running means, so an estimate made with a smaller alpha weighs
# (alpha/alpha0)^2 as much, and dividing by the number of pairs corrects the bias of the start.
MOMENTUM = {
    "hidden": "power : 1\npairs : 1",
    "hidden.hold": "Dz = 0",
    "hidden.pair": "pairs += 1\npower += clip(1/pairs, 1/n_M, 1)*(Dz**2 - power)",
    "feedback": "M : 1\nC : 1\ng_post = M*err_pre : 1 (summed)",
    "feedback.pair.learn": """
        C += clip(1/pairs_post, 1/n_M, 1)*(Dz_post*Do_pre - C)
        M = C/power_post
    """,
}
# The paper's form as it stands: every estimate is divided by the power of its own moment (`now`,
# the mean over a batch). When alpha decays, the noise in M grows with 1/alpha: kept to show that.
PLAIN = {
    "hidden": "now : 1\npairs : 1",
    "hidden.hold": "Dz = 0",
    "hidden.pair": "pairs += 1\nnow += Dz**2 - now",
    "feedback": "M : 1\ng_post = M*err_pre : 1 (summed)",
    "feedback.pair.learn":
        "M += clip(1/pairs_post, 1/n_M, 1)*(Dz_post*Do_pre/now_post - M)",
}
# More teaches the feedback faster, and disturbs what is learned meanwhile: short runs on temporal
# patterns want 65 Hz, a pass of MNIST 30, on the digits accuracy is flat from 20 to 65. Before the
# neuron no weight scales the noise down: on the digits 40 Hz is best (94.5 %), with 5 Hz M
# hardly finds J (cosine .2 in place of .9), 100 Hz begins to drown the membrane (93 %).
ALPHA = {"after": Parameter(65.0 * Hz, "size of the perturbation, per second", True, SOURCE,
                            search=(10, 100)),
         "before": Parameter(40.0 * Hz, "size of the perturbation, per second", True, SOURCE,
                             search=(6, 60))}
MEMORY = Parameter(300.0, "memory of the feedback synapses in pairs: momentum is 1 - 1/n_M",
                   True, SOURCE, search=(100, 1500), least=1)
# The search ends where M is safe: tried by hand, a step of .3 is as good on the digits, and fails
# with neurons through which zbar passes only nearly (two_compartment, double_exponential).
FORMS = {
    "lms": (LEAST_MEAN_SQUARES, {
        "mu": Parameter(0.1, "step of the least-mean-squares feedback rule", True,
                        search=(0.01, 0.1), most=1, averaged=True),
        "mu_final": Parameter(0.1, "mu falls linearly to this share at the end of a run", True)}),
    "momentum": (MOMENTUM, {"n_M": MEMORY}),
    "plain": (PLAIN, {"n_M": MEMORY}),
}


def rule(depth: int, place: str = "after", distribution: str = "rademacher", form: str = "lms",
         antithetic: bool = True, local: bool = False, intermediate: int | None = None,
         forward_psi: bool = True) -> Rule:
    """OPZO: g_j = sum_k M_jk err_k, and M estimates E[do_k/ds_j] from the perturbation.

    Options: `place` of the noise ``"after"`` or ``"before"`` the neuron; its `distribution`
    ``"rademacher"`` or ``"gaussian"``; the `form` of the feedback rule ``"lms"`` (least mean
    squares), ``"momentum"`` or ``"plain"`` (momentum without the weight (alpha/alpha0)^2, which
    fails when alpha decays); `antithetic` pairs (+z, then -z), or with False one hold against
    a running baseline; `local` learning (every hidden layer has a readout whose error is added);
    `intermediate` global learning (the readout of that hidden layer teaches those below, too).

    With noise before the neuron M is the derivative by the membrane, do_k/du_j, and contains the
    mean of psi. The forward rule has psi of the moment all the same, as in the paper: it tells
    samples apart. `forward_psi` False leaves it out there, so that psi counts once, in M alone.

    As in the paper: ``form="momentum", n_M=1e5`` (momentum .99999; 1e3, .999, for small batches; in
    the rate engine a batch is one pair, so n_M counts batches), ``distribution="gaussian"``, and
    ``alpha_final`` below 1, the share to which alpha falls.

    Raises `InputError` for `forward_psi` False where psi would be missing: with noise after the
    neuron, and with `local` errors, which do not pass M.
    """
    if not isinstance(antithetic, bool):
        raise InputError(f"antithetic is True or False, not {antithetic!r}")
    text, extra = choose("form", form, FORMS)
    blocks, current, parameters = perturbation(place, distribution)
    _check_forward_psi(forward_psi, place, local)
    for key, lines in text.items():
        lines = lines.replace("depth", str(depth))
        blocks[key] = blocks.get(key, "") + "\n" + lines
    blocks["hidden"] += "\nDz : 1"
    blocks["hidden.step"] = "Dz += window*zbar"
    blocks["error"] = blocks.get("error", "") + "\nDo : 1"
    blocks["error.step"] = "Do += window*o"
    blocks["error.hold"] = "Do = 0"
    parameters.update({"alpha": ALPHA[place], **extra})
    for layer in range(1, depth + 1):
        blocks[f"hidden_{layer}"] = path_filter(layer, depth, place)
        # The readout forgets z at the start of a trial, so zbar does too.
        blocks[f"hidden_{layer}.trial"] = "\n".join(
            f"{line.name} = 0" for line in parse(blocks[f"hidden_{layer}"]))
    if not forward_psi:
        blocks["forward"] = "dw/dt = -eta*sensitivity*g_post : 1"
    if not antithetic:
        blocks["error"] += "\no_mean : 1"
        blocks["error.pair"] = blocks.get("error.pair", "") + "\nDo -= o_mean\no_mean += kappa_o*Do"
        parameters["kappa_o"] = Parameter(0.01, "rate of the readout's running baseline", True,
                                          most=1)
    layers, more = branches(blocks, depth, local, intermediate)
    parameters.update(more)
    return Rule(
        "opzo", "feedback synapses learn the expected Jacobian from perturbation noise",
        "Xiao et al. 2024", blocks, parameters, reference=REFERENCE, matrix="M",
        perturbs="pair" if antithetic else "hold", current=current, branches=layers,
        intermediate=intermediate,
        needs=("xbar", "g", "z", "zbar", *(("psi",) if forward_psi else ()),
               *(("push",) if place == "after" else ()),
               *(("slope",) if depth > 1 or place == "before" else ())),
    )


def _check_forward_psi(forward_psi, place, local):
    """Refuse a forward rule without psi whose modulator does not contain psi either."""
    if not isinstance(forward_psi, bool):
        raise InputError(f"forward_psi is True or False, not {forward_psi!r}")
    if not forward_psi and place == "after":
        raise InputError("forward_psi=False leaves psi to M, which contains it only with noise "
                         "before the neuron: add place='before'")
    if not forward_psi and local:
        raise InputError("forward_psi=False leaves psi to M, and the errors of local=True do not "
                         "pass M: leave one of the two out")
