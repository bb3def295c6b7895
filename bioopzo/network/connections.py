"""How the neurons of two layers are connected: forward, transpose and outer operations.

The rate engine runs every text through these three; a rule knows nothing of them. With rows of
activity P (rows, pre) and Q (rows, post) and weights w:

    forward(P, w)    (rows, post)   what the synapses add up in the next layer
    transpose(Q, w)  (rows, pre)    what they add up in the layer below
    outer(P, Q, w)   like w         the change of every weight, summed over rows

Images are (height, width, channels) per row, so that the channels of a pixel lie together.
"""

import re
from dataclasses import dataclass

import numpy as np

from bioopzo.errors import InputError

#: Rows whose patches are laid out at a time: they stay in the processor's cache.
PATCH_BYTES = 2e6


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

    def forward(self, P, w, out=None):
        """P @ w."""
        return np.matmul(P, w, out=out)

    def transpose(self, Q, w, out=None):
        """Q @ w.T."""
        return np.matmul(Q, w.T, out=out)

    def outer(self, P, Q, w=None, out=None):
        """P.T @ Q, the sum over rows of outer products."""
        return np.matmul(P.T, Q, out=out)


@dataclass(frozen=True)
class Pooled:
    """All to all from an image averaged over windows of `pool` x `pool` pixels."""

    image: tuple
    pool: int
    post: int

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

    def forward(self, P, w, out=None):
        """The pooled image @ w."""
        return np.matmul(self._pooled(P), w, out=out)

    def transpose(self, Q, w, out=None):
        """Q @ w.T, every pixel getting its window's share."""
        spread = _unpool(np.matmul(Q, w.T), self.image, self.pool).reshape(len(Q), -1)
        return _into(out, spread)

    def outer(self, P, Q, w=None, out=None):
        """The pooled image's transpose @ Q."""
        return np.matmul(self._pooled(P).T, Q, out=out)

    def _pooled(self, P):
        return _pool(P.reshape(-1, *self.image), self.pool).reshape(len(P), -1)


@dataclass(frozen=True)
class Convolution:
    """A two-dimensional convolution (odd `kernel`, borders padded with zeros) of an image.

    The image is first averaged over windows of `pool` x `pool` pixels.

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
        """Synapses that a neuron sends to (away from the border)."""
        return self.kernel**2 * self.channels

    @property
    def shape(self):
        """Shape of the weights."""
        return self.fan_in, self.channels

    def effective(self, w):
        """The weights in force."""
        if not self.standardise:
            return w
        w = w - w.mean(axis=0)
        return w * (self.gain / np.sqrt(self.fan_in * (w * w).mean(axis=0) + 1e-8)).astype(w.dtype)

    def forward(self, P, w, out=None):
        """The convolution of every row."""
        w = self.effective(w)
        found = np.empty((len(P), self.post), P.dtype) if out is None else out
        for rows in self._parts(len(P)):
            np.matmul(self._patches(P[rows]), w,
                      out=found[rows].reshape(-1, self.channels))
        return found

    def transpose(self, Q, w, out=None):
        """The convolution's transpose: every pixel's share of what its patches' targets hold."""
        w = self.effective(w)
        height, width, deep = self.seen
        found = np.empty((len(Q), self.pre), Q.dtype) if out is None else out
        margin, k = self.kernel // 2, self.kernel
        for rows in self._parts(len(Q)):
            count = len(Q[rows])
            part = Q[rows].reshape(-1, self.channels)
            padded = np.zeros((count, height + 2*margin, width + 2*margin, deep), Q.dtype)
            for y in range(k):
                for x in range(k):
                    place = w[(y*k + x)*deep:(y*k + x + 1)*deep]
                    padded[:, y:y + height, x:x + width] += np.matmul(part, place.T).reshape(
                        count, height, width, deep)
            inner = padded[:, margin:margin + height, margin:margin + width]
            found[rows] = _unpool(inner, self.image, self.pool).reshape(count, -1)
        return found

    def outer(self, P, Q, w=None, out=None):
        """The change of the kernel, summed over rows and places."""
        total = np.zeros(self.shape, P.dtype)
        for rows in self._parts(len(P)):
            total += np.matmul(self._patches(P[rows]).T, Q[rows].reshape(-1, self.channels))
        if self.standardise and w is not None:
            total = self._through_standardisation(total, w)
        return _into(out, total)

    def average(self, Q):
        """Mean over the places that share a weight, summed over rows: what scales w itself."""
        height, width, _ = self.seen
        mean = Q.reshape(-1, height * width, self.channels).mean(axis=1).sum(axis=0)
        return np.broadcast_to(mean, self.shape).copy()

    def _through_standardisation(self, change, w):
        """What a change of the weights in force asks of w: the transposed derivative."""
        centred = w - w.mean(axis=0)
        variance = (centred * centred).mean(axis=0)
        scale = self.gain / np.sqrt(self.fan_in * variance + 1e-8)
        along = (change * centred).mean(axis=0) * self.fan_in / (self.fan_in * variance + 1e-8)
        change = (change - centred * along) * scale
        return change - change.mean(axis=0)

    def _parts(self, count):
        """Slices of rows whose patches fit into the cache."""
        height, width, _ = self.seen
        size = max(1, int(PATCH_BYTES // (4 * height * width * self.fan_in)))
        return [slice(k, min(k + size, count)) for k in range(0, count, size)]

    def _patches(self, P):
        """Every pixel's neighbourhood: (rows*height*width, fan-in)."""
        height, width, deep = self.seen
        margin, k = self.kernel // 2, self.kernel
        padded = np.zeros((len(P), height + 2*margin, width + 2*margin, deep), P.dtype)
        padded[:, margin:margin + height, margin:margin + width] = _pool(
            P.reshape(-1, *self.image), self.pool)
        patches = np.empty((len(P), height, width, k, k, deep), P.dtype)
        for y in range(k):
            for x in range(k):
                patches[:, :, :, y, x] = padded[:, y:y + height, x:x + width]
        return patches.reshape(-1, self.fan_in)


def _into(out, found):
    if out is None:
        return found
    out[...] = found
    return out


def _pool(images, size):
    """Averages over windows of size x size pixels."""
    if size == 1:
        return images
    total = images[:, ::size, ::size].copy()
    for y in range(size):
        for x in range(size):
            if x or y:
                total += images[:, y::size, x::size]
    total *= images.dtype.type(1 / size**2)
    return total


def _unpool(images, image, size):
    """The transpose of `_pool`."""
    height, width, deep = image
    images = images.reshape(-1, height // size, width // size, deep)
    if size == 1:
        return images
    images = images * images.dtype.type(1 / size**2)
    return np.repeat(np.repeat(images, size, axis=1), size, axis=2)


def architecture(text, gain=1.0):
    """Sizes and connectivity of a network written as in the papers.

    ``"28x28-32C3-AP2-64C3-AP2-10"`` is an image of 28x28 pixels (``3x32x32``: 3 channels), a layer
    of 32 channels with 3x3 kernels, average pooling by 2, ..., and 10 readouts; a number alone
    (or FC10) is a layer connected all to all. Returns ``(sizes, {"forward_1": connectivity})``.

    Raises `InputError` naming the part that cannot be read or does not fit.
    """
    first, *parts = text.replace(" ", "").split("-")
    try:
        image = [int(n) for n in first.lower().split("x")]
        if len(image) not in (2, 3) or min(image) < 1:
            raise ValueError
    except ValueError:
        raise InputError(f"architecture {text!r}: it begins with the image, e.g. 28x28 or 3x32x32, "
                         f"not {first!r}") from None
    image = (*image, 1) if len(image) == 2 else (image[1], image[2], image[0])
    sizes, connections, pool = [int(np.prod(image))], {}, 1
    for part in parts:
        name = f"forward_{len(sizes)}"
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
            made = Convolution(image, int(convolution[1]), int(convolution[2]), pool, gain=gain)
            connections[name] = made
            sizes.append(made.post)
            image, pool = (*made.seen[:2], made.channels), 1
        elif dense and int(dense[1]):
            if image is not None and pool > 1:
                connections[name] = Pooled(image, pool, int(dense[1]))
            sizes.append(int(dense[1]))
            image, pool = None, 1
        else:
            raise InputError(f"architecture {text!r}: {part!r} is not a part; parts are 32C3 (an "
                             "odd kernel), AP2, and a number of neurons")
    if pool > 1:
        raise InputError(f"architecture {text!r}: nothing follows {parts[-1]!r}; it ends with the "
                         "number of readouts")
    return tuple(sizes), connections
