"""Powers, remainders and roots against PyTorch, where the obvious formulas divide by 0 or take the logarithm of it."""

import numpy as np
import pytest

import minigan as mg
from minigan import ops

torch = pytest.importorskip("torch")
BASES, EXPONENTS = [-2.0, -1.0, -0.0, 0.0, 0.5, 2.0], [-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0]


def ours(f, *numbers, dtype=np.float64):
    """y and dy/d(each argument)."""
    xs = [mg.tensor(np.array(n, dtype), requires_grad=True) for n in numbers]
    y = f(*xs)
    return [y.data, *(g.data for g in mg.grad(y.sum(), xs))]


def theirs(f, *numbers, dtype=np.float64):
    xs = [torch.tensor(np.array(n, dtype), requires_grad=True) for n in numbers]
    y = f(*xs)
    y.sum().backward()
    return [y.detach().numpy(), *(x.grad.numpy() for x in xs)]


def assert_same(f, *numbers, twin=None, dtype=np.float64):
    for a, b in zip(ours(f, *numbers, dtype=dtype), theirs(twin or f, *numbers, dtype=dtype), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("base", BASES)
def test_a_power_with_two_tensors(base, exponent, dtype):
    assert_same(lambda x, c: x**c, base, exponent, dtype=dtype)


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("base", BASES)
def test_a_power_with_one_tensor(base, exponent):
    assert_same(lambda c: base**c, exponent)
    if (base, exponent) != (0.0, 0.5) or not np.signbit(base):  # the slope of the root at -0: infinite, of any sign
        assert_same(lambda x: x**exponent, base)


def test_a_grid_of_powers_broadcasts():
    with np.errstate(invalid="ignore"):  # of the sum along an axis, which has both infinities
        assert_same(lambda x, c: x**c, np.array(BASES)[:, None], EXPONENTS)


def test_powers_of_infinity_and_of_nan():
    """NaN^0 is 1, whatever NaN is, so its slope is 0; elsewhere there are 0 * infinity, in PyTorch, too."""
    odd, exponents = np.repeat([np.inf, -np.inf, np.nan], len(EXPONENTS)), np.tile(EXPONENTS, 3)
    with np.errstate(invalid="ignore"):
        assert_same(lambda x, c: x**c, odd, exponents)


def test_second_derivatives_of_powers_of_zero_and_of_negative_numbers():
    """d2/dx2 x^3 = 6 x, and d2/(dx dc) x^c = x^(c-1) (1 + c ln x), which is 1/x at c = 0."""
    for x0, expected in ((-2.0, -12.0), (0.0, 0.0)):
        x, c = mg.tensor(x0, requires_grad=True), mg.tensor(3.0, requires_grad=True)
        assert mg.grad(mg.grad(x**c, x, create_graph=True)[0], x)[0].item() == expected
    x, c = mg.tensor(4.0, requires_grad=True), mg.tensor(0.0, requires_grad=True)
    assert mg.grad(mg.grad(x**c, x, create_graph=True)[0], c)[0].item() == 0.25


@pytest.mark.parametrize("name", ["sqrt", "log", "exp", "abs", "sign", "square", "sigmoid", "tanh", "softplus"])
@pytest.mark.parametrize("value", [0.0, -0.0, 0.5, 4.0, -1.0, np.inf, -np.inf])
def test_functions_of_one_number(name, value):
    twin = {"softplus": torch.nn.functional.softplus}.get(name) or getattr(torch, name)
    assert_same(getattr(ops, name), value, twin=twin)


@pytest.mark.parametrize("b", [3.0, -2.0, 0.5, 0.0, np.inf])
@pytest.mark.parametrize("a", [5.0, -5.0, 5.5, -5.5, 0.0, 6.0])
def test_division(a, b):
    if b:
        assert_same(lambda a, b: a / b, a, b)
    assert_same(lambda a, b: a % b, a, b)
    whole = torch.tensor(a, dtype=torch.float64) // b
    np.testing.assert_array_equal((mg.tensor(np.array(a)) // b).data, whole.numpy())


def test_whole_division_and_what_is_left():
    """Python's own numbers; both operands may be the tensor."""
    pairs = [(7.0, 3.0), (-7.0, 3.0), (7.5, -2.0), (-7.5, -2.0)]
    for a, b in pairs:
        for quotient, rest in (divmod(mg.tensor(a), b), divmod(a, mg.tensor(b)), divmod(mg.tensor(a), mg.tensor(b))):
            assert (quotient.item(), rest.item()) == divmod(a, b)
        assert ((mg.tensor(a) // b).item(), (a // mg.tensor(b)).item()) == (a // b, a // b)
        assert ((mg.tensor(a) % b).item(), (np.float32([a]) % mg.tensor(b)).item()) == (a % b, a % b)
    x = mg.tensor([7.0, -7.0], requires_grad=True)
    assert mg.grad((x // 3).sum(), x)[0].data.tolist() == [0.0, 0.0]
