"""From a task that shows what is right to one that only pays for what is done."""

from collections.abc import Callable, Sequence

import numpy as np

from bioopzo.arguments import whole
from bioopzo.errors import InputError, nearest
from bioopzo.tasks.trials import Task, one_hot
from bioopzo.text.equations import fault, identifiers, tree

#: What the text of a reward may call; a condition is 0 or 1.
_FUNCTIONS = {
    **{name: getattr(np, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "abs",
                                            "sign", "clip", "floor", "ceil")},
    "int": lambda value: np.trunc(np.asarray(value, float)),
}


def with_reward(task: Task, reward: Callable[[int, int], float] | str | None = None,
                actions: int | None = None, best: Sequence[int] | None = None, seed: int = 0
                ) -> Task:
    """The same trials, but all that comes back is the reward of the action that was taken.

    An action is a readout unit, drawn from the readout; its reward is looked up in a table of what
    every action would pay in every sample, which is made here. A sample that is shown again pays
    the same again.

    Parameters
    ----------
    task : Task
        One that shows its targets.
    reward : function or text, optional
        ``reward(sample, action)``, both whole numbers, or an expression of `action`, `label` and
        `sample`, such as ``"int(action == label) - 0.1*action + 0.2*randn()"``. Default: 1 for the
        sample's class, 0 for all others.
    actions : int, optional
        Default: as many as the task has outputs.
    best : sequence of int, optional
        The best action of every sample, by which accuracy is counted: default the one that pays
        most there. To be given where payoffs are noisy.
    seed : int
        Of ``rand()`` and ``randn()`` in a text.

    Raises `InputError` for a task that pays already, and for a reward that cannot be used.

    Examples
    --------
    >>> task = bz.tasks.with_reward(bz.tasks.digits())
    >>> run = bz.train(bz.Model([64, 32, 10], rule="reinforce"), task)
    """
    if not isinstance(task, Task):
        raise InputError(f"with_reward takes a Task, such as bioopzo.tasks.digits(), not {task!r}")
    if task.feedback == "reward":
        raise InputError(f"{task.name}: its targets are payoffs already")
    where = f"{task.name}_reward"
    count = task.n_out if actions is None else whole(where, "actions", actions, least=2)
    if reward is None:
        if task.labels is None:
            raise InputError(f"{where}: the samples of {task.name} have no class that could be "
                             "rewarded: give a reward, a function of (sample, action) or a text")
        if count < task.n_out:
            raise InputError(f"{where}: actions must be at least the {task.n_out} classes, not "
                             f"{count}, unless a reward is given")
        payoffs = one_hot(task.labels, count)
    elif isinstance(reward, str):
        payoffs = _of_text(where, reward, task, count, np.random.default_rng(
            whole(where, "seed", seed, least=0)))
    elif callable(reward):
        payoffs = _of_function(where, reward, task.samples, count)
    else:
        raise InputError(f"{where}: reward is a function of (sample, action) or a text, not "
                         f"{reward!r}")
    labels = payoffs.argmax(axis=1) if best is None else np.asarray(best)
    names = task.class_names if count == task.n_out else None  # of actions that are no classes
    return task.replace(name=where, targets=payoffs, labels=labels, feedback="reward",
                        class_names=names,
                        description=f"{task.description} Only the reward of the action that was "
                                    "taken comes back.".strip())


def _of_function(where, reward, samples, actions):
    """The payoffs (samples, actions) that a function gives."""
    try:
        return np.array([[float(reward(sample, action)) for action in range(actions)]
                         for sample in range(samples)])
    except Exception as problem:  # whatever a user's function may raise
        raise InputError(f"{where}: reward(sample, action) fails: "
                         f"{type(problem).__name__}: {problem}") from problem


def _of_text(where, text, task, actions, rng):
    """The payoffs (samples, actions) that a text says."""
    wrong = fault(text)
    if wrong:
        raise InputError(f"{where}: reward {text!r}: {wrong[0]}")
    shape = task.samples, actions
    words = {"action": np.arange(actions)[None], "sample": np.arange(task.samples)[:, None]}
    if task.labels is not None:
        words["label"] = task.labels[:, None]
    known = {**_FUNCTIONS, **words, "rand": lambda: rng.random(shape),
             "randn": lambda: rng.standard_normal(shape)}
    for word in sorted(identifiers(text) - known.keys()):
        raise InputError(f"{where}: reward {text!r}: {word!r} is not known"
                         f"{nearest(word, known)}; known: {', '.join([*words, *known])}")
    try:
        with np.errstate(all="ignore"):
            found = eval(compile(tree(text), "reward", "eval"), {"__builtins__": {}}, known)
            return np.array(np.broadcast_to(found, shape), float)
    except (TypeError, ValueError) as problem:
        raise InputError(f"{where}: reward {text!r} cannot be computed: {problem}") from None
