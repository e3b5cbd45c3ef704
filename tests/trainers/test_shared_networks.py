"""ComboGAN whose domains share networks: PyTorch's Adam over each parameter once, by hand-written steps of the twin."""

import numpy as np
import pytest
from translation_cases import batches

import minigan as mg
from minigan import models, optim, trainers
from minigan.losses import gan_loss
from minigan.trainers.translation import Pair, discriminator_loss, generator_losses, total


def networks(share, seed=3):
    """Three encoders, decoders and discriminators; the domains in `share[kind]` have one network of that kind."""
    mg.seed(seed)
    rows = []
    for kind, make in (("encoder", lambda: models.ResnetEncoder(1, 2, 1)),
                       ("decoder", lambda: models.ResnetDecoder(1, 2, 1)),
                       ("discriminator", lambda: models.PatchDiscriminator(1, 2, 1))):
        row = [make().astype(np.float64) for _ in range(3)]
        together = share.get(kind, ())
        rows.append([row[together[0]] if k in together else network for k, network in enumerate(row)])
    return rows


def unique(*nets):
    return list({id(p): p for net in nets for p in net.parameters()}.values())


SHARES = [{"encoder": (0, 2), "decoder": (0, 1)}, {"encoder": (0, 1, 2)}, {"encoder": (1, 2)},
          {"discriminator": (0, 1, 2)}, {"encoder": (0, 1, 2), "decoder": (0, 1, 2), "discriminator": (0, 1)}]


@pytest.mark.parametrize("share", [SHARES[0], *(pytest.param(share, marks=pytest.mark.long) for share in SHARES[1:])],
                         ids=str)
def test_steps_are_those_of_one_adam_per_parameter(share):
    """The twin has a single PyTorch Adam for all generators and one for all discriminators; a parameter without a
    gradient is skipped by it, and keeps its own step count. Losses and gradients are ours, the updates PyTorch's."""
    torch = pytest.importorskip("torch", reason="PyTorch's Adam is the outside truth here")
    combo = trainers.ComboGAN(*networks(share), pool=0, lambda_identity=0.5, lr=1e-3)
    encoders, decoders, judges = networks(share)
    g, d = unique(*encoders, *decoders), unique(*judges)
    mirrors = {id(p): torch.tensor(p.data.copy(), requires_grad=True) for p in (*g, *d)}
    adams = [torch.optim.Adam([mirrors[id(p)] for p in row], lr=1e-3, betas=(0.5, 0.999)) for row in (g, d)]

    def update(adam, loss, parameters):
        adam.zero_grad()
        for p, gradient in zip(parameters, mg.grad(loss, parameters), strict=True):
            mirrors[id(p)].grad = torch.tensor(gradient.data.copy())
        adam.step()
        for p in parameters:
            p.data = mirrors[id(p)].detach().numpy().copy()

    game, orders = gan_loss("least_squares"), set()
    for step in range(8):
        images = [image.astype(np.float64) for image in batches(step, channels=(1, 1, 1))]
        metrics = combo.step(images)
        i, j = int(metrics["from"]), int(metrics["to"])
        orders.add((i, j))
        a, b = mg.tensor(images[i]), mg.tensor(images[j])
        pair = Pair(models.EncoderDecoder(encoders[i], decoders[j]), models.EncoderDecoder(encoders[j], decoders[i]),
                    judges[i], judges[j])
        losses, fake_a, fake_b = generator_losses(pair, a, b, game, 10.0, 0.0)
        for k, x in ((i, a), (j, b)):
            losses[f"idt {k}"] = 0.5, abs(decoders[k](encoders[k](x)) - x).mean()
        update(adams[0], total(losses), unique(encoders[i], decoders[i], encoders[j], decoders[j]))
        d_loss = (discriminator_loss(judges[i], a, fake_a.detach(), game)
                  + discriminator_loss(judges[j], b, fake_b.detach(), game))
        update(adams[1], d_loss, unique(judges[i], judges[j]))
        for ours, twin in zip((combo.encoders, combo.decoders, combo.discriminators), (encoders, decoders, judges),
                              strict=True):
            for net, other in zip(ours, twin, strict=True):
                for p, q in zip(net.parameters(), other.parameters(), strict=True):
                    np.testing.assert_allclose(p.data, q.data, rtol=1e-6, atol=1e-7, err_msg=str((step, i, j)))
    assert len(orders) > 3


def test_a_shared_parameter_moves_once_by_the_sum_of_its_gradients():
    """SGD by hand: p - lr * (sum of the gradients), whichever two domains are drawn, and not a second time."""
    encoders, decoders, judges = networks({"encoder": (0, 1, 2)})
    combo = trainers.ComboGAN(encoders, decoders, judges, pool=0, optimizer=lambda p: optim.SGD(p, 0.01))
    images = [image.astype(np.float64) for image in batches(0, channels=(1, 1, 1))]
    pair = Pair(combo.generator(1, 2), combo.generator(2, 1), judges[1], judges[2])
    losses, _, _ = generator_losses(pair, mg.tensor(images[1]), mg.tensor(images[2]), combo.loss, 10.0, 0.0)
    before = [p.data.copy() for p in encoders[0].parameters()]
    gradients = mg.grad(total(losses), encoders[0].parameters())
    combo.generators_step(1, 2, mg.tensor(images[1]), mg.tensor(images[2]))
    for p, old, gradient in zip(encoders[0].parameters(), before, gradients, strict=True):
        np.testing.assert_allclose(p.data, old - 0.01 * gradient.data, rtol=1e-12, atol=1e-15)


def test_a_run_with_shared_networks_resumes_to_the_same_bytes():
    first, second = (trainers.ComboGAN(*networks(SHARES[-1], seed), pool=2, seed=1) for seed in (3, 4))
    images = [[image.astype(np.float64) for image in batches(step, channels=(1, 1, 1))] for step in range(6)]
    for batch in images[:3]:
        first.step(batch)
    second.load_state_dict(first.state_dict())
    assert [first.step(batch) for batch in images[3:]] == [second.step(batch) for batch in images[3:]]
