"""Random numbers: JAX's own (threefry), to the bit, as operations that XLA joins to one loop.

On a CPU JAX keeps the rounds of the cipher in a loop over whole arrays, which takes ten times as
long as the numbers do when nothing but registers is between the rounds.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = np.uint32(0x1BD11BDA)
ROUNDS = 5


def bits(key, shape):
    """The two words of the cipher for every number of an array, counted from 0."""
    first, second = jax.random.key_data(key)
    keys = first, second, first ^ second ^ PARITY
    low = jax.lax.iota(np.uint32, math.prod(shape)).reshape(shape) + second
    high = jnp.broadcast_to(first, shape)
    for turn in range(ROUNDS):
        for rotation in ROTATIONS[turn % 2]:
            high = high + low
            low = high ^ ((low << np.uint32(rotation)) | (low >> np.uint32(32 - rotation)))
        high = high + keys[(turn + 1) % 3]
        low = low + keys[(turn + 2) % 3] + np.uint32(turn + 1)
    return high, low


def uniform(key, shape, dtype):
    """Numbers of at least 0 and below 1, as `jax.random.uniform` gives them."""
    if math.prod(shape) >= 2**32 or not jax.config.jax_threefry_partitionable:
        return jax.random.uniform(key, shape, dtype)
    high, low = bits(key, shape)
    if dtype == np.float64:
        word = (high.astype(np.uint64) << np.uint64(32)) | low.astype(np.uint64)
        one = (word >> np.uint64(12)) | np.uint64(0x3FF0000000000000)
    else:
        one = ((high ^ low) >> np.uint32(9)) | np.uint32(0x3F800000)
    return jax.lax.bitcast_convert_type(one, dtype) - 1


def normal(key, shape, dtype):
    """Numbers of mean 0 and variance 1, as `jax.random.normal` gives them."""
    least = np.nextafter(np.array(-1, dtype), np.array(0, dtype))
    numbers = uniform(key, shape, dtype) * (np.array(1, dtype) - least) + least
    return np.array(np.sqrt(2), dtype) * jax.lax.erf_inv(jnp.maximum(numbers, least))
