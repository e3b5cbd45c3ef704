"""The GAN trainer against PyTorch's losses, finite differences through whole losses, repeatability, resuming."""


from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import losses, models, trainers
from minigan.gradcheck import gradcheck

GOLDENS = Path(__file__).parents[1] / "goldens"
STEPS, BATCH = 20, 8


def networks(size, upsample, width=8):
    mg.seed(7)
    return models.dcgan(size=size, upsample=upsample, width=width)


def batch(size, step, dtype=np.float32, n=BATCH):
    return 2 * mg.random.uniform((n, size, size, 1), seed=1, step=step, dtype=dtype).transpose(0, 3, 1, 2) - 1


@pytest.mark.parametrize(("dtype", "code", "rtol"), [(np.float32, "f4", 1e-4), (np.float64, "f8", 1e-9)])
@pytest.mark.parametrize(("size", "upsample"), [(28, "upconv"), (32, "deconv")])
def test_twenty_steps_have_pytorchs_losses(size, upsample, dtype, code, rtol):
    theirs = np.load(GOLDENS / "dcgan.npz")[f"{size}_{upsample}_{code}"]
    trainer = trainers.GAN(*(net.astype(dtype) for net in networks(size, upsample)))
    for step in range(STEPS):
        metrics = trainer.step(batch(size, step, dtype))
        np.testing.assert_allclose([metrics["d_loss"], metrics["g_loss"]], theirs[step], rtol=rtol)


def test_weights_of_a_float32_network_stay_float32():
    trainer = trainers.GAN(*networks(28, "upconv"))
    trainer.step(batch(28, 0))
    for part in (*trainer.networks.values(), trainer.g_optimizer, trainer.d_optimizer):
        arrays = [value for value in part.state_dict().values() if isinstance(value, np.ndarray)]
        assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


def of_parameters(network, f):
    """f() as a function of the network's parameters, which are restored after each call."""
    owners = [(m, name) for m in network.modules() for name, v in vars(m).items() if isinstance(v, mg.nn.Parameter)]
    own = [getattr(module, name) for module, name in owners]

    def function(*tensors):
        try:
            for (module, name), tensor in zip(owners, tensors, strict=True):
                vars(module)[name] = tensor  # past the refusal of a Tensor over a Parameter
            return f()
        finally:
            for (module, name), parameter in zip(owners, own, strict=True):
                vars(module)[name] = parameter

    return function


@pytest.mark.parametrize("upsample", ["upconv", "deconv"])
@pytest.mark.parametrize("loss", ["minimax", "non_saturating", "least_squares", "hinge"])
@pytest.mark.parametrize("learner", ["generator", "discriminator"])
def test_finite_differences_through_a_whole_loss(loss, learner, upsample):
    mg.seed(3)
    networks = models.dcgan(size=8, latent=3, width=2, upsample=upsample)
    generator, discriminator = (network.astype(np.float64) for network in networks)
    rng = np.random.default_rng(0)
    for network in (generator, discriminator):  # weights large enough that every layer matters
        for p in network.parameters():
            p.data = rng.normal(size=p.shape) * 0.5 + (p.ndim == 1)
    pair, z, real = losses.gan_loss(loss), rng.normal(size=(3, 3)), rng.uniform(-1, 1, (3, 1, 8, 8))

    def g_loss():
        return pair.generator_loss(discriminator(generator(mg.tensor(z))))

    def d_loss():
        return pair.discriminator_loss(discriminator(mg.tensor(real)), discriminator(generator(mg.tensor(z)).detach()))

    network, f = (generator, g_loss) if learner == "generator" else (discriminator, d_loss)
    assert gradcheck(of_parameters(network, f), [p.data for p in network.parameters()]) < 1e-6


def test_gradient_penalty_by_hand_on_a_two_layer_net():
    """f(u) = v . softplus(W u): grad f = W^T (v sigmoid(W u)), written out in NumPy."""
    rng = np.random.default_rng(0)
    w, v, x, g = rng.normal(size=(4, 3)), rng.normal(size=(1, 4)), rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    net = lambda u: mg.ops.linear(mg.ops.softplus(mg.ops.linear(u, mg.tensor(w))), mg.tensor(v))
    penalty = losses.gradient_penalty(net, mg.tensor(x), mg.tensor(g), mg.random.Stream(9)).item()
    e = mg.random.Stream(9).uniform((5, 1), np.float64)
    u = e * x + (1 - e) * g
    slope = (v / (1 + np.exp(-u @ w.T))) @ w
    assert penalty == pytest.approx(np.mean((np.sqrt((slope**2).sum(1)) - 1) ** 2), rel=1e-12)


def test_gradient_penalty_has_finite_gradients_where_the_critic_is_flat():
    w = mg.tensor(np.zeros((1, 3)), requires_grad=True)
    x = np.ones((2, 3))
    penalty = losses.gradient_penalty(lambda u: mg.ops.linear(u, w), x, -x)
    (gw,) = mg.grad(penalty, [w])
    assert penalty.item() == 1.0
    assert np.isfinite(gw.data).all()


def test_finite_differences_through_the_penalty():
    rng = np.random.default_rng(1)
    w, v, x, g = rng.normal(size=(4, 3)), rng.normal(size=(1, 4)), rng.normal(size=(5, 3)), rng.normal(size=(5, 3))

    def penalty(w, v):
        critic = lambda u: mg.ops.linear(mg.ops.tanh(mg.ops.linear(u, w)), v)
        return losses.gradient_penalty(critic, x, g, mg.random.Stream(2))

    assert gradcheck(penalty, [w, v]) < 1e-6


def run_of(steps, trainer):
    return [trainer.step(batch(28, step)) for step in range(steps)], trainer.state_dict()


def flat(state, prefix=""):
    for key, value in state.items():
        yield from flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]


def test_same_seed_same_bytes_at_any_number_of_workers():
    before, results = mg.get_threads(), []
    try:
        for workers in (1, 2, 3):
            mg.set_threads(workers)
            results.append(run_of(3, trainers.GAN(*networks(28, "upconv", width=16), seed=5)))
    finally:
        mg.set_threads(before)
    for metrics, state in results[1:]:
        assert metrics == results[0][0]
        for (name, a), (_, b) in zip(flat(state), flat(results[0][1]), strict=True):
            assert np.array_equal(a, b), name


def test_a_resumed_run_is_the_run():
    trainer = trainers.GAN(*networks(28, "deconv"), seed=5)
    full = [trainer.step(batch(28, step)) for step in range(6)]
    first = trainers.GAN(*networks(28, "deconv"), seed=5)
    for step in range(3):
        first.step(batch(28, step))
    mg.seed(99)  # other initial weights: all must come from the state
    second = trainers.GAN(*models.dcgan(size=28, upsample="deconv", width=8), seed=6)
    second.load_state_dict(first.state_dict())
    assert [second.step(batch(28, step)) for step in range(3, 6)] == full[3:]


def test_every_discriminator_step_takes_its_own_batch():
    trainer = trainers.GAN(*networks(28, "upconv"), n_discriminator=2)
    trainer.step([batch(28, 0), batch(28, 1)])
    assert (trainer.d_optimizer.steps, trainer.g_optimizer.steps) == (2, 1)
    with pytest.raises(ValueError, match=r"got 1 batches .* for 2 discriminator steps"):
        trainer.step(batch(28, 0))


def test_a_generator_step_computes_no_discriminator_weight_gradients(monkeypatch):
    trainer, calls = trainers.GAN(*networks(28, "deconv")), []
    rule = mg.PRIMITIVES["conv2d"].rules["w"]
    monkeypatch.setitem(mg.PRIMITIVES["conv2d"].rules, "w", lambda *a, **k: calls.append(1) or rule(*a, **k))
    trainer.step(batch(28, 0))
    assert len(calls) == 3  # D has three convolutions; real and fake in one pass; none in the generator's step


def test_a_step_copies_no_image_to_another_layout():
    trainer = trainers.GAN(*networks(32, "upconv", width=64))
    before = mg.kernels.layout_copies()
    trainer.step(batch(32, 0))
    assert mg.kernels.layout_copies() == before


def test_the_discriminator_learns_to_tell_data_from_fakes():
    """Against an untrained generator with learning rate 0, D(x) must rise above D(G(z))."""
    generator, discriminator = networks(28, "upconv")
    trainer = trainers.GAN(generator, discriminator, lr=1e-3)
    trainer.g_optimizer.lr = 0.0
    for step in range(40):
        metrics = trainer.step(np.sign(batch(28, step)))
    assert metrics["d_real"] > metrics["d_fake"] + 0.3


def test_sampling_uses_running_statistics_and_leaves_training_on():
    trainer = trainers.GAN(*networks(28, "upconv"))
    trainer.step(batch(28, 0))
    z = np.random.default_rng(0).normal(size=(4, 100))
    together = trainer.sample(z)
    alone = np.concatenate([trainer.sample(row[None]) for row in z])
    np.testing.assert_allclose(together, alone, atol=1e-5)  # batch statistics would differ
    assert trainer.generator.training


def test_the_averaged_generator_is_the_moving_average():
    generator, discriminator = networks(28, "upconv")
    trainer = trainers.GAN(generator, discriminator, ema=0.15)
    expected, decays = generator.state_dict(), [2 / 11, 3 / 12, 4 / 13]  # (1 + t) / (10 + t), until 0.15 is less
    for step, warm in enumerate(decays):
        trainer.step(batch(28, step))
        now, decay = generator.state_dict(), min(0.15, warm)
        for name in expected:
            running = "running" in name
            expected[name] = now[name] if running else decay * expected[name] + (1 - decay) * now[name]
    averaged = trainer.networks["averaged"]
    for name, array in averaged.state_dict().items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    z = np.zeros((2, 100), np.float32)
    np.testing.assert_array_equal(trainer.sample(z), averaged(z).data)
    with pytest.raises(ValueError, match="ema=1"):
        trainers.GAN(generator, discriminator, ema=1.0)
