"""SGD, RMSProp and Adam against their formulas, in every memory order, over several steps."""

import numpy as np
import pytest
import reference

from minigan import kernels

RULES = {
    "sgd": ("sgd", 0, {"lr": 0.1, "momentum": 0, "nesterov": False, "weight_decay": 0}),
    "momentum": ("sgd", 1, {"lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.01}),
    "nesterov": ("sgd", 1, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "rmsprop": ("rmsprop", 1, {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0}),
    "rmsprop, decay": ("rmsprop", 1, {"lr": 0.01, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    "adam": ("adam", 2, {"lr": 2e-4, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0}),
    "adam, decay": ("adam", 2, {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 0.1, "weight_decay": 0.1}),
}


def by_the_book(name, p, g, state, step, o):
    """One step in float64: the new parameter and the new state."""
    g = g + o["weight_decay"] * p
    if name == "sgd":
        if not state:
            return p - o["lr"] * g, []
        m = o["momentum"] * state[0] + g
        return p - o["lr"] * (g + o["momentum"] * m if o["nesterov"] else m), [m]
    if name == "rmsprop":
        s = o["alpha"] * state[0] + (1 - o["alpha"]) * g**2
        return p - o["lr"] * g / (np.sqrt(s) + o["eps"]), [s]
    m = o["beta1"] * state[0] + (1 - o["beta1"]) * g
    s = o["beta2"] * state[1] + (1 - o["beta2"]) * g**2
    mhat, shat = m / (1 - o["beta1"] ** step), s / (1 - o["beta2"] ** step)
    return p - o["lr"] * mhat / (np.sqrt(shat) + o["eps"]), [m, s]


def kernel_step(name, params, grads, states, step, o):
    if name == "sgd":
        kernels.sgd(params, grads, states[0] if states else None, **o)
    elif name == "rmsprop":
        kernels.rmsprop(params, grads, *states, **o)
    else:
        kernels.adam(params, grads, *states, step, **o)


def draw(dtype, shapes=((3, 2, 4, 4), (7,), (5, 6), ())):
    rng = np.random.default_rng(8)
    return [np.asarray(rng.standard_normal(s), dtype) for s in shapes]


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 2e-6)])
@pytest.mark.parametrize("name, slots, options", RULES.values(), ids=RULES)
def test_four_steps_by_the_book(name, slots, options, dtype, tolerance):
    params = draw(dtype)
    params[0] = reference.stored_channels_last(params[0])
    states = [[np.zeros_like(p) for p in params] for _ in range(slots)]
    wanted = [p.astype(np.float64) for p in params]
    wanted_states = [[np.zeros(p.shape) for _ in range(slots)] for p in params]
    for step in range(1, 5):
        grads = [np.asarray(np.cos(step + p)) for p in draw(dtype)]
        for g in grads:
            g.flags.writeable = False
        kernel_step(name, params, grads, states, step, options)
        for i, g in enumerate(grads):
            wanted[i], wanted_states[i] = by_the_book(
                name, wanted[i], g.astype(np.float64), wanted_states[i], step, options
            )
    for p, value in zip(params, wanted, strict=True):
        assert p.dtype == dtype
        np.testing.assert_allclose(p, value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name, slots, options", RULES.values(), ids=RULES)
def test_any_memory_order(name, slots, options):
    def run(p, g, states):
        states = [[s] for s in states]
        kernel_step(name, [p], [g], states, 3, options)
        return p

    p, g = draw(np.float64, ((3, 4, 5, 6), (3, 4, 5, 6)))
    state = [np.abs(v) for v in draw(np.float64, ((3, 4, 5, 6),) * 2)[:slots]]
    wanted = run(p.copy(), g, [s.copy() for s in state])
    for ps, gs in zip(reference.layouts(p), reversed(list(reference.layouts(g))), strict=True):
        own = np.empty_like(ps)  # in ps's order, writeable
        own[...] = ps
        np.testing.assert_allclose(run(own, gs, [s.copy() for s in state]), wanted, rtol=1e-14)
        strided = np.full((*p.shape, 2), np.nan)[..., 0]  # with holes
        strided[...] = p
        np.testing.assert_allclose(run(strided, gs, [s.copy() for s in state]), wanted, rtol=1e-14)


@pytest.mark.parametrize("name, slots, options", RULES.values(), ids=RULES)
def test_same_bytes_at_any_number_of_workers(name, slots, options, with_workers):
    results = []
    for workers in (1, 2, 3):
        params, grads = draw(np.float32, ((900, 1000), (33,))), draw(np.float32, ((900, 1000), (33,)))
        states = [[np.ones_like(p) for p in params] for _ in range(slots)]
        with_workers(workers, kernel_step, name, params, grads, states, 1, options)
        results.append(b"".join(p.tobytes() for p in params))
    assert results[0] == results[1] == results[2]


def test_no_parameters():
    kernels.adam([], [], [], [], 1, 0.1, 0.9, 0.999, 1e-8, 0)
