"""Training: one door to both engines."""

from bioopzo.errors import InputError, unknown
from bioopzo.training import rate, spiking


def train(model, task, trials=None, seed=0, backend=None, evaluations=None, split="test",
          save=None, progress=True, lazy=True, engine="spiking", epochs=None, live=False,
          **settings):
    """Train a model on a task, in the spiking engine (one trial at a time) or the rate engine.

    Parameters
    ----------
    model : Model
    task : Task
    trials : int
        Training trials (default 4000 in the spiking engine), from the split "train", and from
        "validation" too unless that is the split evaluated; reshuffled each time all were seen.
    seed : int
        Draws the initial weights, the order of trials and all noise.
    backend : ``"numpy"``, ``"cython"``, ``"standalone"`` or None (by length).
    evaluations : int
        Points of the learning curve after the start (default 10; with `epochs`, one an epoch);
        each evaluates every trial of `split` with plasticity and perturbation off.
    split : ``"test"`` or ``"validation"``
    save : path, optional
        Where the run is saved, also when it ends early (then marked incomplete).
    progress : bool
        Whether a progress bar is shown.
    lazy : bool
        Of the spiking engine: False keeps every plasticity equation dense, as it is written.
    engine : ``"spiking"`` or ``"rate"``
    epochs : int
        In place of `trials`: how often every training trial is seen (default 10 in the rate
        engine).
    live : bool or function
        True draws the learning curve in a notebook while it grows (elsewhere it only warns). A
        function is called with (trials, accuracy or None, loss) at every evaluation; the spiking
        engine reads an evaluation with the trial after it, so it comes one chunk late.
    **settings
        Of the rate engine: `batch`, `activity`, `optimizer`, `rate`, `schedule`, `checkpoint` ...,
        see `engines.rate.settings.Settings`.

    Returns
    -------
    Run

    Raises
    ------
    InputError, EquationError
        Before anything runs.
    NonFiniteError, InterruptedRun
        `.run` holds what was done, marked incomplete.
    """
    if engine == "rate":
        if backend is not None:
            raise InputError("backend belongs to the spiking engine; the rate engine has compiled="
                             "True or False")
        return rate.train(model, task, trials, epochs, evaluations, seed, split, save, progress,
                          live, **settings)
    if engine != "spiking":
        raise unknown("engine", engine, ("spiking", "rate"))
    if settings:
        raise InputError(f"{', '.join(sorted(settings))}: settings of engine='rate', or unknown; "
                         "the spiking engine takes backend and lazy")
    return spiking.train(model, task, trials, epochs, evaluations, seed, split, save, progress,
                         live, backend, lazy)
