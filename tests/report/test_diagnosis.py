"""The diagnosis of a run: it names each failure, and reports none for a healthy run."""

import json

import numpy as np
import pytest

from minigan import data, models, optim, run, trainers
from minigan.errors import NonFiniteError, OptionError
from minigan.report import diagnose

HEALTHY = {"d_real": 0.7, "d_fake": 0.3, "g_slope": 1e-2}


@pytest.mark.parametrize("change, words", [
    ({}, "no sign of trouble"),
    ({"g_slope": 5e-7}, "D wins: the gradient at G's output is 5.0e-07"),
    ({"d_real": 0.99, "d_fake": 0.01}, "nearly all samples apart"),
    ({"d_real": 0.5, "d_fake": 0.5}, "cannot tell real from generated"),
    ({"wasserstein": -1.0}, "above real ones"),
    ({"clipped": 0.95}, "95% of the critic's weights"),
    ({"penalty": 3.0}, "slopes are far from 1"),
])
def test_each_failure_is_named(change, words):
    lines = diagnose([{"step": i + 1, **HEALTHY, **change} for i in range(300)])
    assert words in lines[1]
    assert len(lines) == 2


def test_an_oscillation_on_alternate_steps_is_named_and_counted_but_a_slow_change_is_not():
    def rows(values):
        return [{"step": i + 1, **HEALTHY, "d_real": value} for i, value in enumerate(values)]

    burst = [0.97, 0.68, 0.99, 0.10, 0.98] + [0.9] * 60  # steps 123 to 127 of a run of DCGAN on MNIST
    words = diagnose(rows([0.9] * 50 + 3 * burst))[1]
    assert "fell by 0.3 or more and rose again at the next step 3 times" in words
    slow = list(np.tile(np.linspace(0.9, 0.4, 10), 20))  # falls slowly, though it rises at once
    assert "no sign" in diagnose(rows(slow))[1]


def test_only_the_last_steps_are_judged_and_short_runs_are_not():
    bad, good = {**HEALTHY, "g_slope": 1e-9}, HEALTHY
    assert "no sign" in diagnose([bad] * 300 + [good] * 200)[1]
    assert "D wins" in diagnose([good] * 300 + [bad] * 200)[1]
    assert len(diagnose([bad] * 199)) == 1
    assert diagnose([]) == ["no steps were recorded"]


def test_divergence_is_found_where_it_began():
    rows = [{"step": i + 1, "d_loss": 1.0 if i < 7 else float("nan")} for i in range(20)]
    assert diagnose(rows) == ["diverged: d_loss not finite from step 8 on"]


def test_the_slope_is_the_gradient_at_the_generators_output():
    """For a discriminator f(x) = a . x and a critic's loss -f, the gradient at every sample is -a, of length |a|."""
    generator, critic = models.mlp((2,), latent=3, hidden=4, tanh=False)
    trainer = trainers.WGAN(generator, critic, lipschitz="clip", n_critic=1, clip=10.0, lr=0.0)

    class Plane:
        def __call__(self, x):
            return x @ np.array([[3.0], [4.0]], np.float32)

    trainer.discriminator = Plane()
    trainer.discriminator_step = lambda real, fake: {"d_loss": (real * 0).sum(), "wasserstein": (real * 0).sum()}
    metrics = trainer.step(np.zeros((5, 2), np.float32))
    assert metrics["g_slope"] == pytest.approx(5.0, rel=1e-6)


@pytest.fixture
def digits():
    return data.ImageData(np.random.default_rng(0).integers(0, 256, (64, 1, 28, 28), np.uint8), np.zeros(64, np.uint8),
                          "noise", "64 images of noise")


def _train(digits, tmp_path, *arguments):
    options = run.options("", ["--out", str(tmp_path / "run"), "--batch-size", "8", "--device", "cpu", *arguments],
                          name="test", latent=4, lr=2e-4)
    pair = models.dcgan(1, 28, 4, 4)
    trainer = trainers.GAN(*pair, lr=options.lr)
    return trainer, lambda: run.train(trainer, digits, options)


def test_a_diverged_run_stops_and_says_how_to_find_the_cause(digits, tmp_path):
    trainer, train = _train(digits, tmp_path, "--steps", "6")
    trainer.generator.parameters()[0][...] = np.nan
    with pytest.raises(NonFiniteError, match=r"step 1: .*is nan.*--check-finite"):
        train()
    assert not (tmp_path / "run" / "generator.safetensors").exists()  # NaN is not saved


def test_check_finite_names_the_layer(digits, tmp_path):
    trainer, train = _train(digits, tmp_path, "--steps", "6", "--check-finite")
    trainer.generator.parameters()[0][...] = np.nan
    with pytest.raises(NonFiniteError, match=r"layer .*layers"):
        train()


def test_the_schedule_reaches_both_optimisers(digits, tmp_path):
    trainer, train = _train(digits, tmp_path, "--steps", "6", "--schedule", "linear")
    train()
    for optimizer in trainer.optimizers.values():
        assert optimizer.schedule(3) == pytest.approx(0.5)
        assert optimizer.schedule(6) == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 6
    assert all(row["g_slope"] > 0 for row in rows)


def test_the_critics_schedule_counts_its_own_steps():
    trainer = trainers.WGAN(*models.mlp((2,), latent=3, hidden=4, tanh=False), n_critic=5)
    trainer.set_schedule("half_linear", 100)
    assert [trainer.d_optimizer.schedule(s) for s in (0, 250, 375, 500)] == [1, 1, 0.5, 0]
    assert trainer.g_optimizer.schedule(75) == 0.5


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(OptionError, match="constant, half_linear, linear, warmup, step"):
        optim.schedule("cosin", 10)
    with pytest.raises(OptionError, match="non_saturating, minimax, least_squares, hinge, hinge_spectral, wass"):
        trainers.recipe("lsgan")


@pytest.mark.parametrize("name", trainers.RECIPES)
def test_every_recipe_trains(name):
    recipe = trainers.recipe(name)
    trainer = recipe.trainer(*models.dcgan(1, 28, 4, 4, norm=recipe.norm), lr=None, n_discriminator=2, seed=1)
    before = [np.array(p.data) for p in trainer.generator.parameters()]
    batches = [np.random.default_rng(i).normal(size=(4, 1, 28, 28)).astype(np.float32) for i in range(2)]
    assert all(np.isfinite(value) for value in trainer.step(batches).values())
    assert all((a != p.data).any() for a, p in zip(before, trainer.generator.parameters(), strict=True))


def test_labels_of_a_critic_cannot_be_smoothed():
    recipe = trainers.recipe("wasserstein_gp")
    with pytest.raises(OptionError, match="no labels to smooth"):
        recipe.trainer(*models.mlp((2,), latent=3, hidden=4), label_smoothing=0.1)


@pytest.mark.long
def test_the_critic_converges_before_the_generator_starts():
    """Arjovsky et al.: 100 critic steps in the first 25 generator steps and in every 500th; here 3, not 100."""
    trainer = trainers.WGAN(*models.mlp((2,), latent=3, hidden=4, tanh=False), lipschitz="clip", n_critic=1,
                            n_start=3)

    def points():
        while True:
            yield np.zeros((2, 2), np.float32)

    trainer.fit(points(), 502)
    assert trainer.d_optimizer.steps == 25 * 3 + 475 + 3 + 1  # steps 0-24, 25-499, 500, 501
