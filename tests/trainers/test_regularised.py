"""Augmentation, R1, Roth et al.'s regulariser and instance noise: by hand, by PyTorch, by finite differences."""

import numpy as np
import pytest

import minigan as mg
from minigan import losses, models, nn, ops, trainers
from minigan.errors import OptionError
from minigan.gradcheck import gradcheck
from minigan.random import Stream

ALL = {"augment": "colour,translation,cutout", "r1": 3.0, "r1_every": 2, "roth": 2.0, "instance_noise": 0.3}


def gan(dtype=np.float32, kind=trainers.GAN, **options):
    mg.seed(3)
    networks = models.dcgan(size=8, latent=3, width=2, norm="none")
    return kind(*(network.astype(dtype) for network in networks), **options)


def real(step, n=4, dtype=np.float32):
    return 2 * mg.random.uniform((n, 1, 8, 8), seed=1, step=step, dtype=dtype) - 1


def layer(rng):
    return rng.normal(size=(4, 3)), rng.normal(size=(1, 4)), rng.normal(size=(5, 3)), rng.normal(size=(6, 3))


def test_penalties_by_hand_on_a_two_layer_net(rng):
    """l(u) = v . softplus(W u): grad l = W^T (v sigmoid(W u)), written out in NumPy."""
    w, v, x, g = layer(rng)
    net = lambda u: ops.linear(ops.softplus(ops.linear(u, mg.tensor(w))), mg.tensor(v))
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    logit = lambda u: (np.log1p(np.exp(u @ w.T)) @ v.T)[:, 0]
    length = lambda u: (((v * sigmoid(u @ w.T)) @ w) ** 2).sum(1)
    assert losses.r1(net, x).item() == pytest.approx(length(x).mean(), rel=1e-12)
    by_hand = ((1 - sigmoid(logit(x))) ** 2 * length(x)).mean() + (sigmoid(logit(g)) ** 2 * length(g)).mean()
    assert losses.roth(net, mg.tensor(x), mg.tensor(g)).item() == pytest.approx(by_hand, rel=1e-12)


def test_penalties_and_their_gradients_are_pytorchs(rng):
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    arrays = layer(rng)
    w, v, x, g = (torch.tensor(a, requires_grad=True) for a in arrays)

    def slopes(u):
        logits = torch.tanh(u @ w.T) @ v.T
        slope, = torch.autograd.grad(logits.sum(), u, create_graph=True)
        return logits[:, 0], slope.square().sum(1)

    (lx, sx), (lg, sg) = slopes(x), slopes(g)
    theirs = {"r1": sx.mean(),
              "roth": ((1 - torch.sigmoid(lx)) ** 2 * sx).mean() + (torch.sigmoid(lg) ** 2 * sg).mean()}
    ow, ov, ox, og = (mg.tensor(a, requires_grad=True) for a in arrays)
    net = lambda u: ops.linear(ops.tanh(ops.linear(u, ow)), ov)
    ours = {"r1": losses.r1(net, ox), "roth": losses.roth(net, ox, og)}
    for name, value in theirs.items():
        assert ours[name].item() == pytest.approx(value.item(), rel=1e-12)
        expected = torch.autograd.grad(value, [w, v], retain_graph=True)
        for mine, grad in zip(mg.grad(ours[name], [ow, ov]), expected, strict=True):
            np.testing.assert_allclose(mine.data, grad.numpy(), rtol=1e-10)


@pytest.mark.long
@pytest.mark.parametrize("kind, options", [
    (trainers.GAN, {**ALL, "r1_every": 1}), (trainers.WGAN, {"augment": "colour,translation,cutout", "r1": 1.0}),
], ids=["gan", "wgan-gp"])
def test_the_discriminators_step_goes_down_the_gradient_of_the_whole_loss(kind, options, monkeypatch, rng):
    trainer = gan(np.float64, kind, **options)
    for network in (trainer.generator, trainer.discriminator):
        for p in network.parameters():
            p.data = rng.normal(size=p.shape) * 0.5 + (p.ndim == 1)
    minimised, x, g = [], *(mg.tensor(rng.normal(size=(2, 1, 8, 8))) for _ in range(2))
    monkeypatch.setattr(trainer.d_optimizer, "minimize", minimised.append)
    owners = [(m, name) for m in trainer.discriminator.modules() for name, p in vars(m).items()
              if isinstance(p, nn.Parameter)]
    start = {name: stream.state_dict() for name, stream in trainer.streams.items()}

    def loss(*tensors):
        for (module, name), tensor in zip(owners, tensors, strict=True):
            vars(module)[name] = tensor  # past the refusal of a Tensor over a Parameter
        for name, state in start.items():
            trainer.streams[name].load_state_dict(state)
        trainer.discriminator_step(x, g)
        return minimised[-1]

    assert gradcheck(loss, [getattr(module, name).numpy() for module, name in owners]) < 1e-6


@pytest.mark.long
def test_the_generators_gradient_comes_back_through_the_augmentation(monkeypatch, rng):
    trainer = gan(np.float64, augment="colour,translation,cutout")
    for network in (trainer.generator, trainer.discriminator):
        for p in network.parameters():
            p.data = rng.normal(size=p.shape) * 0.5 + (p.ndim == 1)
    start, minimised = trainer.streams["augment"].state_dict(), []
    monkeypatch.setattr(trainer.g_optimizer, "minimize", lambda loss, also: minimised.append(loss) or also)

    def loss(fake):
        trainer.streams["augment"].load_state_dict(start)
        trainer.generator_step(fake)
        return minimised[-1]

    fake = rng.normal(size=(2, 1, 8, 8))
    assert gradcheck(loss, [fake]) < 1e-6
    trainer.streams["augment"].load_state_dict(start)
    seen = trainer.regulariser.augmentation(mg.tensor(fake))
    assert loss(mg.tensor(fake)).item() == trainer.loss.generator_loss(trainer.discriminator(seen)).item()


def test_real_and_generated_images_share_a_draw_and_two_steps_do_not(rng):
    trainer = gan(augment="colour,translation,cutout")
    x = mg.tensor(rng.normal(size=(4, 1, 8, 8)).astype(np.float32))
    judge = trainer.judge(x)
    assert judge(x).data.tobytes() == judge(mg.tensor(x.numpy().copy())).data.tobytes()
    assert judge(x).data.tobytes() != trainer.judge(x)(x).data.tobytes()


def test_r1_comes_every_so_many_steps_with_as_much_weight(monkeypatch, rng):
    trainer, x = gan(r1=3.0, r1_every=4), mg.tensor(real(0))
    minimised, minimize = [], trainer.d_optimizer.minimize
    monkeypatch.setattr(trainer.d_optimizer, "minimize", lambda loss: minimised.append(loss) or minimize(loss))
    rows = [trainer.discriminator_step(x, x) for _ in range(9)]
    assert [step for step, row in enumerate(rows) if "r1" in row] == [0, 4, 8]
    for loss, row in zip(minimised, rows, strict=True):
        extra = row["r1"].item() * 3.0 / 2 * 4 if "r1" in row else 0.0
        assert loss.item() == pytest.approx(row["d_loss"].item() + extra, rel=1e-6)


def test_noise_and_roths_weight_follow_the_schedule(monkeypatch):
    trainer, x = gan(roth=2.0, instance_noise=0.5), mg.tensor(np.zeros((64, 1, 8, 8), np.float32))
    trainer.set_schedule("constant", 10)
    seen, weights = [], []
    monkeypatch.setattr(losses, "roth", lambda *_: mg.tensor(1.0))
    for step in range(11):
        trainer.d_optimizer.steps = step
        trainer.regulariser.judge(lambda y: seen.append(y.numpy().std()) or y, x)(x)
        weights.append(trainer.penalised(mg.tensor(0.0), trainer.judge(x), x, x)[0].item())
    np.testing.assert_allclose(seen, 0.5 * (1 - np.arange(11) / 10), rtol=0.05)
    np.testing.assert_allclose(weights, 2.0 / 2 * 0.01 ** (np.arange(11) / 10), rtol=1e-6)


@pytest.mark.parametrize("kind", [trainers.GAN, trainers.WGAN])
def test_a_resumed_run_is_the_run(kind):
    options = ALL if kind is trainers.GAN else {name: ALL[name] for name in ALL if name != "roth"}
    k = 1 if kind is trainers.GAN else 2
    straight, first, second = (gan(kind=kind, **options, **({} if k == 1 else {"n_critic": k})) for _ in range(3))
    for trainer in (straight, first, second):
        trainer.set_schedule("linear", 5)
    batches = [[real(k * step + i) for i in range(k)] for step in range(5)]
    rows = [straight.step(batch) for batch in batches]
    assert [first.step(batch) for batch in batches[:3]] == rows[:3]
    second.load_state_dict(first.state_dict())
    assert [second.step(batch) for batch in batches[3:]] == rows[3:]
    for name, network in straight.networks.items():
        theirs = second.networks[name].state_dict()
        assert all(array.tobytes() == theirs[key].tobytes() for key, array in network.state_dict().items())


def test_without_these_options_a_trainers_state_is_as_it_was():
    assert gan().state_dict().keys() == {"steps", "generator", "discriminator", "g_optimizer", "d_optimizer", "noise"}
    assert not {"augment", "r1", "roth", "instance_noise"} & gan().settings().keys()
    assert gan(r1=1.0).settings()["r1"] == 1.0


def test_what_does_not_fit_is_refused():
    with pytest.raises(OptionError, match="batch norm, which mixes"):
        trainers.GAN(*models.dcgan(size=16, latent=3, width=2), r1=1.0)
    with pytest.raises(OptionError, match="not of hinge; use r1"):
        gan(loss="hinge", roth=1.0)
    with pytest.raises(OptionError, match="'flip'"):
        gan(augment="flip")
    for name in ("r1", "roth", "instance_noise"):
        with pytest.raises(OptionError, match=f"{name}=-1"):
            gan(**{name: -1})
    with pytest.raises(OptionError, match="r1_every=0"):
        gan(r1=1.0, r1_every=0)


def test_the_noise_of_a_stream_is_added():
    x = mg.tensor(np.ones((3, 2), np.float32))
    noise = Stream(4, "n").normal((3, 2))
    np.testing.assert_allclose(losses.instance_noise(x, 0.25, Stream(4, "n")).data, 1 + 0.25 * noise, rtol=1e-6)


def cyclegan(augment):
    mg.seed(1)
    return trainers.CycleGAN(*(models.ResnetGenerator(1, 1, 1, 0) for _ in "ab"),
                             *(models.PatchDiscriminator(1, 1, 1) for _ in "ab"), pool=2, augment=augment)


def test_cyclegans_discriminators_see_both_kinds_of_images_through_one_draw(monkeypatch):
    """Fakes equal to real images give equal logits; and a resumed run is the run."""
    trainer, x = cyclegan("translation,cutout"), mg.tensor(real(0))
    judge = trainer.judge(trainer.d_a, x)
    assert judge(x).data.tobytes() == judge(mg.tensor(real(0))).data.tobytes()
    seen = []
    monkeypatch.setattr(trainer.d_a, "forward", lambda y: seen.append(y.data) or ops.mean(y, axis=(1, 2, 3)))
    trainer.discriminators_step(x, x, x.data, x.data)
    assert len(seen) == 2 and seen[0].tobytes() == seen[1].tobytes() != x.data.tobytes()

    straight, first, second = (cyclegan("translation,cutout") for _ in range(3))
    rows = [straight.step((real(step), real(step + 9))) for step in range(4)]
    assert [first.step((real(step), real(step + 9))) for step in range(2)] == rows[:2]
    second.load_state_dict(first.state_dict())
    assert [second.step((real(step), real(step + 9))) for step in (2, 3)] == rows[2:]
    assert straight.settings()["augment"] == "translation,cutout"
    assert "augment" not in cyclegan("").settings() and "augment" not in cyclegan("").state_dict()
