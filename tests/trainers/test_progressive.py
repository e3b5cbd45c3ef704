"""Progressive growing: a twin in PyTorch, differences through the whole loss, resuming in a fade, phases, memory."""

import gc
import weakref

import numpy as np
import pytest

import minigan as mg
from minigan import data, losses, models, nn, trainers
from minigan.errors import CheckpointError, OptionError, ShapeError
from minigan.gradcheck import gradcheck
from minigan.random import Stream

BATCH = 4
PHASES = [(0, False, 3), (1, True, 4), (1, False, 3)]  # (depth, fading, steps) of the trainer below, on 8 x 8 pixels


def made(size=8, dtype=np.float32, row="g", width=6, seed=0, **options):
    mg.seed(seed)
    settings = {"batch_size": BATCH, "fade_images": 4 * BATCH, "stable_images": 3 * BATCH, **options}
    networks = trainers.growth_row(row).networks_of(1, size, width=width, flat=4)
    return trainers.growth_row(row).trainer(*(network.astype(dtype) for network in networks), seed=seed, **settings)


def real(step, size=8, dtype=np.float32, n=BATCH):
    return 2 * mg.random.uniform((n, 1, size, size), seed=1, step=step, dtype=dtype) - 1


# ---- the algorithm ----
@pytest.mark.parametrize(("loss", "dtype", "rtol"), [
    ("wasserstein", np.float32, 1e-4), ("wasserstein", np.float64, 1e-9), *(pytest.param(
        "least_squares", *kind, marks=pytest.mark.long) for kind in ((np.float32, 1e-4), (np.float64, 1e-9)))])
def test_ten_steps_are_pytorchs(loss, dtype, rtol):
    """Three steps of 4 x 4 pixels, a fade of four to 8 x 8, three after it; the averaged weights agree, too."""
    torch = pytest.importorskip("torch", reason="the twin is written in PyTorch")
    from progressive_twin import Twin

    torch.set_num_threads(1)
    trainer = made(loss=loss, dtype=dtype)
    twin, noise, penalty = Twin(trainer.generator, trainer.discriminator, PHASES, loss), Stream(0, "noise"), Stream(
        0, "penalty")
    for step in range(10):
        x, z = real(step, dtype=dtype), noise.normal((BATCH, 6), dtype)
        e = penalty.uniform((BATCH, 1, 1, 1), dtype)
        expected = twin.step(torch.tensor(x), torch.tensor(z), torch.tensor(e), group=4)
        metrics = trainer.step(x)
        np.testing.assert_allclose([metrics["d_loss"], metrics["g_loss"]], expected, rtol=rtol, atol=rtol)
    for name, array in trainer.networks["averaged"].state_dict().items():
        # Adam makes a step of a gradient near 0, whose sign float32 rounds: single weights part by more than losses do.
        np.testing.assert_allclose(array, twin.averaged[name].numpy(), rtol=rtol, atol=20 * rtol, err_msg=name)


def of_parameters(network, function):
    """`function` as one of the network's parameters."""
    owners = [(m, name) for m in network.modules() for name, v in vars(m).items() if isinstance(v, nn.Parameter)]

    def call(*tensors):
        for (module, name), value in zip(owners, tensors, strict=True):
            vars(module)[name] = value  # past the refusal of a Tensor over a Parameter
        return function()

    return call, [getattr(module, name).numpy() for module, name in owners]


@pytest.mark.parametrize(("row", "width", "alpha"), [
    ("g", 1, None), *(pytest.param(*case, marks=pytest.mark.long) for case in (("g", 2, 0.3), ("e*", 2, None)))])
def test_the_critics_step_goes_down_the_gradient_of_the_whole_loss(row, width, alpha, monkeypatch):
    """The loss given to `minimize`, with penalty, drift and minibatch stddev, against differences in float64."""
    side, rng = 4 if alpha is None else 8, np.random.default_rng(0)
    trainer = made(side, row=row, width=width, dtype=np.float64, drift=0.1)
    trainer.discriminator.grow(side // 8, alpha)
    x, fake = (mg.tensor(rng.normal(size=(4, 1, side, side))) for _ in range(2))
    minimised, start = [], trainer.coefficients.state_dict()
    monkeypatch.setattr(trainer.d_optimizer, "minimize", minimised.append)

    def loss():
        trainer.coefficients.load_state_dict(start)
        trainer.discriminator_step(x, fake)
        return minimised[-1]

    function, values = of_parameters(trainer.discriminator, loss)
    assert gradcheck(function, values) < 1e-6


@pytest.mark.parametrize("alpha", [None, pytest.param(0.3, marks=pytest.mark.long)])
def test_the_generators_step_goes_down_the_gradient_of_the_whole_loss(alpha):
    side = 4 if alpha is None else 8
    trainer = made(side, width=2, dtype=np.float64)
    for network in (trainer.generator, trainer.discriminator):
        network.grow(side // 8, alpha)
    z = mg.tensor(np.random.default_rng(1).normal(size=(4, 2)))
    function, values = of_parameters(trainer.generator, lambda: trainer.loss.generator_loss(
        trainer.discriminator(trainer.generator(z))))
    assert gradcheck(function, values) < 1e-6


def test_the_critics_loss_is_what_the_formula_says():
    trainer = made()
    trainer.discriminator.grow(0)
    x, fake = (mg.tensor(real(step, 4)) for step in (8, 9))
    f, g = (trainer.discriminator(u).numpy() for u in (x, fake))
    penalty = losses.gradient_penalty(trainer.discriminator, x, fake, Stream(0, "penalty")).item()
    metrics = trainer.discriminator_step(x, fake)
    assert metrics["wasserstein"].item() == pytest.approx(f.mean() - g.mean(), rel=1e-5)
    assert metrics["drift"].item() == pytest.approx((f**2).mean(), rel=1e-5)
    assert metrics["d_loss"].item() == pytest.approx(
        g.mean() - f.mean() + 10 * penalty + 0.001 * (f**2).mean(), rel=1e-5)


# ---- phases ----
def test_phases_show_the_images_that_were_asked_for():
    trainer = made(16, width=1, minibatch={4: 8}, fade_images=17, stable_images=8)
    assert trainer.growth == "4x4 1, 8x8 fade 5, 8x8 2, 16x16 fade 5, 16x16 2"  # 8/8, 17/4 rounded up, 8/4 steps
    assert trainer.planned == 15
    seen = []
    trainer.fit(data.Loader(np.zeros((20, 1, 16, 16), np.uint8), BATCH), 17,
                lambda p: seen.append((p.metrics["side"], round(p.metrics["alpha"], 4))))
    assert seen[:7] == [(4, 1), (8, 0), (8, 0.2), (8, 0.4), (8, 0.6), (8, 0.8), (8, 1)]
    assert seen[-5:] == [(16, 0.8), *[(16, 1)] * 4]  # the last phase goes on


def test_a_minibatch_is_made_of_whole_batches():
    trainer, loader = made(minibatch={4: 12}), data.Loader(np.zeros((20, 1, 8, 8), np.uint8), BATCH)
    assert trainer.batches_per_step == trainer.batches_now() == 3
    assert [batch.shape for batch in trainer.draw(loader)] == [(12, 1, 8, 8)]
    trainer.clock.steps = 1  # 12 images are shown in one step
    assert (trainer.phase().name, trainer.batches_per_step) == ("8x8 fade", 1)
    for row in ("a", "b"):  # five critic steps
        assert [len(batch) for batch in made(row=row, minibatch={4: 8, 8: 8}).draw(loader)] == [8] * 5


def test_without_growth_as_many_images_are_shown_at_the_last_side():
    lengths = {"fade_images": 80, "stable_images": 40}
    grown, flat = made(row="b", minibatch={4: 8}, **lengths), made(row="a", **lengths)
    assert grown.growth == "4x4 1, 8x8 fade 4, 8x8 2"  # 40 / (5 x 8), 80 / (5 x 4), 40 / (5 x 4)
    assert flat.growth == "8x8 8"  # 160 / (5 x 4)


def test_real_images_are_averaged_down_and_mixed_in_a_fade():
    trainer = made()
    x = real(0)
    half = x.reshape(BATCH, 1, 4, 2, 4, 2).mean((3, 5))  # (N, 1, 4, 4)
    trainer._grow(trainer.plan(BATCH))
    np.testing.assert_allclose(trainer.reals(x)[0].samples.data, half, rtol=1e-5, atol=1e-6)
    trainer.clock.steps = 4  # the second of the fade's four steps: alpha = 1/4
    trainer._grow(trainer.plan(BATCH))
    mixed = 0.75 * half.repeat(2, 2).repeat(2, 3) + 0.25 * x
    np.testing.assert_allclose(trainer.reals(x)[0].samples.data, mixed, rtol=1e-5, atol=1e-6)


def test_samples_of_all_phases_have_the_last_side():
    trainer, z = made(), np.ones((2, 6), np.float32)
    blocks = trainer.sample(z)
    assert blocks.shape == (2, 1, 8, 8)
    np.testing.assert_array_equal(blocks, blocks[:, :, ::2, ::2].repeat(2, 2).repeat(2, 3))
    for step in range(7):
        trainer.step(real(step))
    assert (trainer.sample(z)[:, :, ::2] != trainer.sample(z)[:, :, 1::2]).any()


@pytest.mark.parametrize("reset", [True, False])
def test_optimisers_forget_at_every_change_of_phase_if_asked(reset):
    trainer = made(reset=reset)
    for step in range(8):
        trainer.step(real(step))
    counts = trainer.d_optimizer.clocks.read()
    assert trainer.d_optimizer.steps == 8
    assert max(counts) == (1 if reset else 8)  # step 8 is the first after the fade
    if not reset:  # blocks that came with the fade count their own steps
        assert set(counts) == {3 + 4, 5, 8}


# ---- resuming, bytes, memory ----
@pytest.mark.parametrize(("row", "stop", "augment"), [("g", 5, "translation"), ("b", 7, "")])
def test_a_run_resumed_in_a_fade_is_the_run(row, stop, augment):
    """Step 5 is in the middle of the fade, step 7 its end."""
    options = {"row": row, "n_critic": 1, "augment": augment}
    straight = made(**options)
    expected = [straight.step(real(step)) for step in range(9)]
    first, second = made(**options), made(**options, seed=9)
    for step in range(stop):
        first.step(real(step))
    second.load_state_dict(first.state_dict())
    assert [second.step(real(step)) for step in range(stop, 9)] == expected[stop:]
    for name, network in straight.networks.items():
        other = second.networks[name].state_dict()
        assert [key for key, array in network.state_dict().items() if array.tobytes() != other[key].tobytes()] == []


def test_same_seed_same_bytes_at_any_number_of_workers():
    before, results = mg.get_threads(), []
    try:
        for workers in (1, 3):
            mg.set_threads(workers)
            trainer = made(16, width=16, fade_images=4, stable_images=4)
            results.append([trainer.step(real(step, 16)) for step in range(4)])
    finally:
        mg.set_threads(before)
    assert results[0] == results[1]


def test_a_step_keeps_nothing_of_the_steps_before():
    """After each step, no array of its graph is alive: memory does not grow with the number of steps."""
    trainer, alive = made(), []
    original = trainer.discriminator_step

    def watched(x, fake):
        alive.append(weakref.ref(fake))
        return original(x, fake)

    trainer.discriminator_step = watched
    for step in range(5):
        trainer.step(real(step))
    gc.collect()
    assert [reference() for reference in alive] == [None] * 5


# ---- what is refused ----
def test_what_does_not_fit_is_refused():
    generator, discriminator = models.progressive(1, 8, width=2)
    for options, words in (
            ({"batch_size": 0}, "batch_size=0 must be at least 1"), ({"fade_images": 0}, "fade_images=0"),
            ({"minibatch": {16: 16}}, "the sides are 4, 8"), ({"minibatch": {4: 17}}, "whole batches of 16 images"),
            ({"lambda_gp": 0.0}, "above 0 with the loss wasserstein"), ({"n_critic": 0}, "n_critic=0"),
            ({"loss": "cosine"}, "'cosine' is not one of")):
        with pytest.raises(OptionError, match=words):
            trainers.Progressive(generator, discriminator, **options)
    with pytest.raises(OptionError, match="size=8, the discriminator for size=4"):
        trainers.Progressive(generator, models.progressive(1, 4, width=2)[1])
    with pytest.raises(OptionError, match="must grow, as those of models.progressive do"):
        trainers.Progressive(*models.dcgan(size=8, width=2))
    with pytest.raises(OptionError, match="row 'h' is not one of a, b, c, d, e\\*, e, f, g"):
        trainers.growth_row("h")
    trainer = trainers.Progressive(generator, discriminator)
    with pytest.raises(ShapeError, match=r"real images \(4, 1, 16, 16\) must be \(N, C, 8, 8\)"):
        trainer.step(real(0, 16))
    with pytest.raises(OptionError, match="got 2 batches of real images for 1 discriminator steps"):
        trainer.step([real(0), real(1)])
    with pytest.raises(OptionError, match=r"batch_size=16, but it must lie in 1 .. 5"):
        data.Loader(np.zeros((5, 1, 8, 8), np.uint8), 16)
    state = trainer.state_dict()
    with pytest.raises(CheckpointError, match="growth.steps is None; it is of another trainer"):
        trainer.load_state_dict({name: part for name, part in state.items() if name != "growth"})
