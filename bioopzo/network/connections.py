"""How the neurons of two layers are connected: sizes, and architectures as text.

What a connection computes is in `engines.rate.arrays`; a rule knows nothing of it. Images are
(height, width, channels), so that the channels of a pixel lie together.
"""

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from bioopzo.errors import InputError


@dataclass(frozen=True)
class Dense:
    """All to all; w has the shape (pre, post)."""

    pre: int
    post: int

    @property
    def shape(self):
        """Shape of the weights."""
        return self.pre, self.post

    @property
    def fan_in(self):
        """Synapses on one neuron."""
        return self.pre

    @property
    def fan_out(self):
        """Synapses that a neuron sends to."""
        return self.post


@dataclass(frozen=True)
class Sparse(Dense):
    """Some of all pairs: `bits`, packed, tell for every pair, pre first, whether it is connected.

    What belongs to a synapse is kept for every pair, (pre, post), with zeros where there is none;
    a network in Brian2 has the synapses that there are.
    """

    bits: bytes = field(default=b"", repr=False)
    digest: str = field(init=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "digest", hashlib.sha256(self.bits).hexdigest()[:16])

    @cached_property
    def mask(self):
        """Which pairs are connected: bool (pre, post)."""
        flat = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=self.pre * self.post)
        return flat.reshape(self.shape).astype(bool)

    @property
    def synapses(self):
        """How many synapses there are."""
        return int(self.mask.sum())

    @property
    def fan_in(self):
        """Synapses on one neuron, on average; at least 1."""
        return max(1.0, self.synapses / self.post)

    @property
    def fan_out(self):
        """Synapses that a neuron sends to, on average."""
        return self.synapses / self.pre

    def gathered(self, values):
        """The values of the synapses that there are, of those for every pair."""
        return np.ravel(values)[self.mask.ravel()]

    def scattered(self, values):
        """The values for every pair, of those of the synapses; the others are 0."""
        found = np.zeros(self.mask.size, np.asarray(values).dtype)
        found[self.mask.ravel()] = values
        return found


def of_mask(mask):
    """The connection of the pairs where `mask` (pre, post) is true: `Dense` where all are."""
    mask = np.asarray(mask, bool)
    if mask.all():
        return Dense(*mask.shape)
    return Sparse(*mask.shape, np.packbits(mask).tobytes())


@dataclass(frozen=True)
class Pooled:
    """All to all from an image averaged over windows of `pool` x `pool` pixels.

    `image` is (height, width, channels). Neurons are row by row, each place with its channels; with
    `planes` channel by channel, as the inputs of a task are.
    """

    image: tuple
    pool: int
    post: int
    planes: bool = False

    @property
    def pre(self):
        """Neurons of the image."""
        return int(np.prod(self.image))

    @property
    def fan_in(self):
        """Synapses on one neuron."""
        return self.pre // self.pool**2

    @property
    def fan_out(self):
        """Synapses that a neuron sends to."""
        return self.post

    @property
    def shape(self):
        """Shape of the weights."""
        return self.fan_in, self.post


@dataclass(frozen=True)
class Convolution:
    """A two-dimensional convolution (odd `kernel`, borders padded with zeros) of an image.

    The image is first averaged over windows of `pool` x `pool` pixels; its neurons come as those of
    `Pooled` do.

    w has the shape (kernel*kernel*channels of the image, `channels`). With `standardise` (scaled
    weight standardisation, Brock et al. 2021) the synapses act with gain*(w - mean)/(sd*sqrt(
    fan-in)), mean and sd per channel, and a change reaches w through that.
    """

    image: tuple
    channels: int
    kernel: int = 3
    pool: int = 1
    standardise: bool = True
    gain: float = 1.0
    planes: bool = False

    @property
    def seen(self):
        """Height, width and channels after pooling."""
        height, width, channels = self.image
        return height // self.pool, width // self.pool, channels

    @property
    def pre(self):
        """Neurons of the image."""
        return int(np.prod(self.image))

    @property
    def post(self):
        """Neurons of the layer."""
        return self.seen[0] * self.seen[1] * self.channels

    @property
    def fan_in(self):
        """Synapses on one neuron."""
        return self.kernel**2 * self.image[2]

    @property
    def fan_out(self):
        """Synapses that a neuron sends to, on average: fewer at the border."""
        height, width, _ = self.seen
        return self._reached(height) * self._reached(width) * self.channels

    def _reached(self, pixels):
        """Of a line of so many pixels, how many one is seen by, on average."""
        far = self.kernel // 2
        return sum(max(0, pixels - abs(k)) for k in range(-far, far + 1)) / pixels

    @property
    def shape(self):
        """Shape of the weights."""
        return self.fan_in, self.channels


def image_of(text: str) -> tuple[int, int, int]:
    """(channels, rows, columns) of the image that an architecture begins with; or `InputError`."""
    first = text.replace(" ", "").split("-")[0]
    try:
        image = [int(n) for n in first.lower().split("x")]
        if len(image) not in (2, 3) or min(image) < 1:
            raise ValueError
    except ValueError:
        raise InputError(f"architecture {text!r}: it begins with the image, e.g. 28x28 or 3x32x32, "
                         f"not {first!r}") from None
    return (1, image[0], image[1]) if len(image) == 2 else (image[0], image[1], image[2])


def architecture(text, gain=1.0):
    """Sizes and connectivity of a network written as in the papers.

    ``"28x28-32C3-AP2-64C3-AP2-10"`` is an image of 28x28 pixels (``3x32x32``: 3 channels, one whole
    plane of pixels after the other), a layer of 32 channels with 3x3 kernels, average pooling by 2,
    ..., and 10 readouts; a number alone (or FC10) is a layer connected all to all. Returns
    ``(sizes, {"forward_1": connectivity})``.

    Raises `InputError` naming the part that cannot be read or does not fit.
    """
    channels, *pixels = image_of(text)
    image, parts = (*pixels, channels), text.replace(" ", "").split("-")[1:]
    sizes, connections, pool = [int(np.prod(image))], {}, 1
    for part in parts:
        name, planes = f"forward_{len(sizes)}", len(sizes) == 1 and image[2] > 1
        convolution = re.fullmatch(r"(\d+)C(\d+)", part)
        pooling, dense = re.fullmatch(r"AP(\d+)", part), re.fullmatch(r"(?:FC)?(\d+)", part)
        if image is None and not dense:
            raise InputError(f"architecture {text!r}: {part!r} needs an image, but follows a layer "
                             "connected all to all")
        if pooling:
            pool *= int(pooling[1])
            if pool < 1 or image[0] % pool or image[1] % pool:
                raise InputError(f"architecture {text!r}: {part!r} does not divide an image of "
                                 f"{image[0]}x{image[1]} pixels")
        elif convolution and int(convolution[2]) % 2 and int(convolution[1]):
            made = Convolution(image, int(convolution[1]), int(convolution[2]), pool, gain=gain,
                               planes=planes)
            connections[name] = made
            sizes.append(made.post)
            image, pool = (*made.seen[:2], made.channels), 1
        elif dense and int(dense[1]):
            if image is not None and pool > 1:
                connections[name] = Pooled(image, pool, int(dense[1]), planes=planes)
            sizes.append(int(dense[1]))
            image, pool = None, 1
        else:
            raise InputError(f"architecture {text!r}: {part!r} is not a part; parts are 32C3 (an "
                             "odd kernel), AP2, and a number of neurons")
    if pool > 1:
        raise InputError(f"architecture {text!r}: nothing follows {parts[-1]!r}; it ends with the "
                         "number of readouts")
    return tuple(sizes), connections
