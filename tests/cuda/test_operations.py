"""Every operation on another device: the values and gradients of the CPU, for each of its samples."""

import numpy as np
import pytest
from same_bytes import channels_last, is_channels_last

import minigan as mg
from minigan import grad, gradcheck
from minigan.engine import OPERATIONS, Tensor, tensor
from minigan.errors import DeviceError

NAMES = sorted(OPERATIONS)


def value_and_gradients(op, sample, dtype, where):
    """The output, and the gradients of <v, output> with respect to every argument, as NumPy arrays."""
    xs = [tensor(a, requires_grad=True, dtype=dtype, device=where) for a in sample.args]
    params = {key: value.copy() if key.startswith("running") else value for key, value in sample.params.items()}
    y = op(*xs, **params)
    v = np.random.default_rng(1).normal(size=y.shape)
    if not y.requires_grad:
        return [y.numpy()]
    gradients = mg.grad(y, xs, tensor(v, dtype=dtype, device=where), create_graph=False)
    assert {t.device for t in (y, *gradients)} == {where}
    return [y.numpy(), *(g.numpy() for g in gradients)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype, bound", [(np.float64, 1e-12), (np.float32, 2e-5)], ids=["float64", "float32"])
def test_values_and_gradients_are_the_cpus(device, name, dtype, bound):
    op = OPERATIONS[name]
    mg.device.set_precision("fp32")
    try:
        for sample in gradcheck.samples_of(op):
            here = value_and_gradients(op, sample, dtype, "cpu")
            there = value_and_gradients(op, sample, dtype, device.name)
            for a, b in zip(here, there, strict=True):
                scale = max(1e-3, np.abs(a).max(initial=0))
                np.testing.assert_allclose(b / scale, a / scale, atol=bound, rtol=0, err_msg=str(sample.params))
    finally:
        mg.device.set_precision("tf32")


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_first_and_second_order_by_finite_differences(device, name):
    """The smallest sample of each operation; `python -m minigan.gradcheck --device ...` checks all of them."""
    mg.set_device(device.name)
    op = OPERATIONS[name]
    sample = min(gradcheck.samples_of(op), key=lambda s: sum(np.size(a) for a in s.args))
    f = gradcheck.apply(op, sample)
    gradcheck.gradcheck(f, sample.args)
    if sum(np.size(a) for a in sample.args) <= 30:
        gradcheck.gradgradcheck(f, sample.args)


def test_devices_do_not_mix(device):
    here, there = tensor(np.ones(3, np.float32)), tensor(np.ones(3, np.float32), device=device.name)
    with pytest.raises(DeviceError, match=r"one tensor is on .*, another on .*; move one with \.to\(device\)"):
        here + there
    assert (there + 1.0).device == (1.0 + there).device == (np.float32(2) * there).device == device.name


def test_moving_tensors_modules_and_optimizers(device):
    x = tensor([1.0, 2.0])
    assert x.to(device.name).device == device.name
    np.testing.assert_array_equal(x.to(device.name).to("cpu").data, x.data)
    net = mg.nn.Sequential(mg.nn.Conv2d(1, 2, 3), mg.nn.BatchNorm2d(2)).to(device.name)
    assert {p.device for p in net.parameters()} == {device.name}
    optimizer = mg.optim.Adam(net.parameters())
    twin = mg.optim.Adam(mg.nn.Sequential(mg.nn.Conv2d(1, 2, 3), mg.nn.BatchNorm2d(2)).parameters())
    net(tensor(np.ones((2, 1, 4, 4), np.float32), device=device.name)).sum().backward()
    optimizer.step()
    twin.load_state_dict(optimizer.state_dict())  # from the device to the CPU, as NumPy arrays
    assert twin.steps == 1
    optimizer.load_state_dict(twin.state_dict())  # and back


def test_a_leaf_is_changed_in_place(device):
    x = tensor([1.0, 2.0, 3.0], device=device.name)
    x[1] = 5.0
    np.testing.assert_array_equal(x.numpy(), [1, 5, 3])
    x.data = np.array([7.0, 8.0, 9.0], np.float32)
    np.testing.assert_array_equal(x.numpy(), [7, 8, 9])
    assert x.device == device.name
    assert isinstance(x, Tensor)


def test_a_change_of_a_gradient_changes_no_later_one(device):
    """Every pass starts from one array of the device, which may be a leaf's gradient, too."""
    x = tensor(np.float32(3), requires_grad=True, device=device.name)
    for _ in range(2):
        x.grad = None
        (x + 1.0).backward()
        assert x.grad.item() == 1
        x.grad[...] = 7


@pytest.mark.parametrize("number", [lambda x: x.reshape(()), lambda x: x.sum(), lambda x: x.reshape(()) + 1.0])
def test_a_change_of_the_array_of_a_gradient_changes_no_later_one(device, number):
    """Also where the gradient is a view of the array that a pass starts from."""
    x = tensor(np.full(1, 3, np.float32), requires_grad=True, device=device.name)
    for _ in range(2):
        g, = grad(number(x), [x])
        assert g.numpy() == 1
        g.data[...] = 7


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_images_are_joined_channels_last(device, rng, axis):
    """Whatever their own order, so that no kernel copies them."""
    a, b = rng.normal(size=(2, 3, 4, 5)), channels_last(rng.normal(size=(2, 3, 4, 5)))
    y = mg.ops.concat([tensor(a, device=device.name), Tensor(device.put(b))], axis).data
    assert is_channels_last(y)
    np.testing.assert_array_equal(device.get(y), np.concatenate([a, b], axis))
