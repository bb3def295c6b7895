"""What the rate engine's programs compute where: JAX's random numbers, products out of loops."""

import jax
import numpy as np
import pytest

import bioopzo as bz
from bioopzo.engines.rate import numbers
from bioopzo.engines.rate.settings import open_engine, settings


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (5, 7), (64, 33)])
@pytest.mark.parametrize("name", ["uniform", "normal"])
def test_random_numbers_are_jax_s_own(name, shape, dtype):
    ours, theirs = getattr(numbers, name), getattr(jax.random, name)
    with jax.enable_x64(True):
        for seed in range(3):
            key = jax.random.fold_in(jax.random.key(seed), 7)
            np.testing.assert_array_equal(jax.jit(ours, static_argnums=(1, 2))(key, shape, dtype),
                                          jax.jit(theirs, static_argnums=(1, 2))(key, shape, dtype))


def products(jaxpr, looped=False):
    """(shape, whether within a loop) of every product of matrices of a program."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.outvars[0].aval.shape, looped
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=is_program):
            if is_program(value):
                yield from products(getattr(value, "jaxpr", value),
                                    looped or equation.primitive.name in ("scan", "while"))


def is_program(value):
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


@pytest.mark.parametrize("rule", ["bp", "opzo", "dfa"])
def test_a_constant_input_is_multiplied_once_a_trial(rule):
    """Its trace is a number times the input: the first layer's change waits for the end."""
    task = bz.tasks.xor()
    model = bz.Model([task.inputs.shape[-1], 7, 5, task.targets.shape[-1]], rule=rule)
    engine = open_engine(model.for_task(task), task, settings(batch=11))
    inputs, targets = np.zeros((1, 11, model.sizes[0])), np.zeros((1, 11, model.sizes[-1]))
    asked = engine.asked(inputs, targets, None, None)
    program = jax.make_jaxpr(engine.machines[True].trial)(
        asked[0], {key: value[0] for key, value in asked[1].items()}, *asked[3:5],
        asked[5], np.int32(0), np.float32(0.1))
    found = list(products(program.jaxpr))
    assert ((model.sizes[0], 7), False) in found and ((model.sizes[0], 7), True) not in found
    assert ((7, 5), True) in found  # spikes are others in every step
