"""MNIST: 70,000 handwritten digits of 28x28 pixels."""

from brian2.units import ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.tasks._idx_images import image_task
from bioopzo.tasks.trials import Task


def mnist(
    engine: str = "spiking",
    samples: int | None = None,
    validation: int = 5000,
    steps: int | None = None,
    dt: Quantity = 1 * ms,
    warmup: int | None = None,
) -> Task:
    """Classify handwritten digits of 28x28 pixels (needs its data: `bioopzo data mnist`).

    option | default | meaning
    ------ | ------- | -------
    engine | 'spiking' | whose form the others take: 'spiking', or 'rate', the papers' few steps
    samples | None | number of training images to use; None: all but those held out
    validation | 5000 | number of training images held out for validation
    steps, dt | 60, 1 ms; rate: 6, 1 ms | time steps of a trial and their length
    warmup | 20; rate: 3 | steps before the target is shown and the readout read

    For the spiking engine the task is called 'mnist_online'.

    Inputs are (70000, 784) float32, a constant current: pixels from 0 to 1 (rate: less the mean of
    the 60000 training images, over their standard deviation, 0.1307 and 0.3081). Targets are
    (70000, 10) one-hot. Sample i is training image i, then come the 10000 test images. One fixed
    permutation (numpy RandomState, seed 0) of the training images gives training samples from its
    start and validation samples from its end, so fewer `samples` are the first of more. Raises
    `InputError` for impossible options and for missing or faulty files (see BIOOPZO_DATA,
    `bioopzo data`).

    Source: LeCun, Bottou, Bengio & Haffner 1998, Gradient-based learning applied to document
    recognition, Proc. IEEE 86:2278; the form for the rate engine as in Xiao et al. 2024 (OPZO).
    """
    return image_task(
        "mnist",
        "28x28 handwritten digits as a constant current. LeCun, Bottou, Bengio & Haffner 1998.",
        engine, samples, validation, steps, dt, warmup,
    )
