"""Fashion-MNIST: 70,000 articles of clothing of 28x28 pixels."""

from brian2.units import ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.tasks._idx_images import image_task
from bioopzo.tasks.trials import Task


def fashion_mnist(
    engine: str = "spiking",
    samples: int | None = None,
    validation: int = 5000,
    steps: int | None = None,
    dt: Quantity = 1 * ms,
    warmup: int | None = None,
) -> Task:
    """Classify articles of clothing, 28x28 pixels (needs its data: `bioopzo data fashion_mnist`).

    option | default | meaning
    ------ | ------- | -------
    engine | 'spiking' | whose form the others take: 'spiking', or 'rate', the papers' few steps
    samples | None | number of training images to use; None: all but those held out
    validation | 5000 | number of training images held out for validation
    steps, dt | 60, 1 ms; rate: 6, 1 ms | time steps of a trial and their length
    warmup | 20; rate: 3 | steps before the target is shown and the readout read

    Shapes, scaling and splits are those of `mnist`. Raises `InputError` for impossible options and
    for missing or faulty files. Only the published .gz files have a checksum: of an uncompressed
    file just header, size and labels are checked, and that it is not MNIST's.

    Source: Xiao, Rasul & Vollgraf 2017, Fashion-MNIST: a novel image dataset for benchmarking
    machine learning algorithms (arXiv:1708.07747).
    """
    return image_task(
        "fashion_mnist",
        "28x28 articles of clothing as a constant current. Xiao, Rasul & Vollgraf 2017.",
        engine, samples, validation, steps, dt, warmup,
    )
