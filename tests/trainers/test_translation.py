"""CycleGAN, pix2pix and ComboGAN: PyTorch's losses, finite differences through whole losses, pools, resuming."""

import pickle
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import translation_cases as cases
from translation_cases import batches, cyclegan_networks, pix2pix_networks

import minigan as mg
from minigan import data, models, nn, trainers
from minigan.errors import CheckpointError, DataError, OptionError, ShapeError
from minigan.random import Stream
from minigan.trainers.pool import ImagePool

GOLDENS = Path(__file__).parents[1] / "goldens"
sys.path.append(str(GOLDENS))
EIGHT = ["d_a", "d_b", "g_a", "g_b", "cycle_a", "cycle_b", "idt_a", "idt_b"]
PRECISIONS = [(np.float32, "f4", 1e-4), (np.float64, "f8", 1e-9)]


# ---- PyTorch's losses ----
@pytest.mark.parametrize(("dtype", "code", "rtol"), PRECISIONS)
@pytest.mark.parametrize("case", cases.CYCLEGAN, ids="-".join)
def test_ten_cyclegan_steps_have_pytorchs_eight_losses(case, dtype, code, rtol):
    """The pools of 5 images are full after three steps; from then on D also sees older fakes."""
    theirs = np.load(GOLDENS / "translation.npz")["_".join(("cyclegan", *case, code))]
    norm, upsample, loss = case
    networks = [net.astype(dtype) for net in cyclegan_networks(norm, upsample)]
    trainer = trainers.CycleGAN(*networks, loss=loss, pool=cases.POOL)
    for step in range(cases.STEPS if code == "f8" else 6):  # rounding is what float32 adds
        metrics = trainer.step(batches(step, dtype))
        assert list(metrics) == EIGHT
        np.testing.assert_allclose(list(metrics.values()), theirs[step], rtol=rtol, err_msg=str(step))


@pytest.mark.parametrize(("dtype", "code", "rtol"), PRECISIONS)
@pytest.mark.parametrize("case", cases.PIX2PIX, ids="-".join)
def test_ten_pix2pix_steps_have_pytorchs_losses(case, dtype, code, rtol):
    theirs = np.load(GOLDENS / "translation.npz")["_".join(("pix2pix", *case, code))]
    trainer = trainers.Pix2Pix(*(net.astype(dtype) for net in pix2pix_networks(*case)))
    for step in range(cases.STEPS):
        metrics = trainer.step(batches(step, dtype))
        # A gradient that is exactly 0 is 1e-8 after Winograd's sums; Adam makes a whole step of that.
        allowed = rtol if code == "f8" or step < 6 else 3 * rtol
        np.testing.assert_allclose([metrics[name] for name in ("d_loss", "g_loss", "l1")], theirs[step], rtol=allowed)


def test_the_goldens_are_what_pytorch_computes():
    pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    import make_translation

    stored = np.load(GOLDENS / "translation.npz")
    for name, losses in make_translation.losses(["f8"]).items():
        np.testing.assert_allclose(stored[name], losses, rtol=1e-9, err_msg=name)


# ---- finite differences ----
def slopes_agree(networks, loss, seed=5):
    """The derivative of loss() along a random direction of each weight array, against central differences."""
    parameters = [p for network in networks for p in network.parameters()]
    gradients = mg.grad(loss(), parameters)
    rng, checked = np.random.default_rng(seed), []
    for p, gradient in zip(parameters, gradients, strict=True):
        direction, start = rng.normal(size=p.shape), p.data
        values = []
        for h in (1e-6, -1e-6):
            p.data = start + h * direction
            with mg.no_grad():
                values.append(loss().item())
        p.data = start
        slope, numeric = float((gradient.data * direction).sum()), (values[0] - values[1]) / 2e-6
        assert slope == pytest.approx(numeric, rel=2e-5, abs=2e-8), p.shape
        checked.append((p.shape, slope))
    flat_ones = [shape for shape, slope in checked if len(shape) == 4 and abs(slope) < 1e-3]
    assert not flat_ones  # a bias before a norm has no slope, filters do


def large(networks, seed=0):
    """The same networks in float64 with weights so large that every layer matters."""
    rng = np.random.default_rng(seed)
    for network in networks:
        for p in network.astype(np.float64).parameters():
            p.data = rng.normal(size=p.shape) * 0.25 + 0.3 * (p.ndim == 1)
    return networks


@pytest.mark.long
@pytest.mark.parametrize(("loss", "norm", "channels"), [
    ("least_squares", "instance", (2, 1)), ("non_saturating", "batch", (1, 1))])
def test_finite_differences_through_all_of_a_cyclegan(loss, norm, channels):
    """All four networks; the discriminators' losses use full pools, with new random numbers each time."""
    networks = large(cyclegan_networks(norm, channels=channels, width=2))
    identity = None if channels[0] == channels[1] else 0
    trainer = trainers.CycleGAN(*networks, loss=loss, pool=2, lambda_cycle=3.0, lambda_identity=identity)
    a, b = (mg.tensor(x, dtype="float64") for x in batches(0, "float64", channels))
    slopes_agree(networks[:2], lambda: trainers.translation.total(trainer.generator_losses(a, b)[0]))

    fakes = [net(x).data for net, x in ((trainer.g_ba, b), (trainer.g_ab, a))]
    pools = list(trainer.pools.values())
    full = [(pool.exchange(fake), pool.state_dict())[1] for pool, fake in zip(pools, fakes, strict=True)]
    fakes = [fake[::-1] * 0.9 for fake in fakes]
    shown = [pool.exchange(fake) for pool, fake in zip(pools, fakes, strict=True)]
    assert any(not np.array_equal(old, new) for old, new in zip(shown, fakes, strict=True))  # else no pool was tested

    def d_loss():
        losses = []
        for network, x, pool, state, fake in zip(networks[2:], (a, b), pools, full, fakes, strict=True):
            pool.load_state_dict(state)
            losses.append(trainers.translation.discriminator_loss(network, x, mg.tensor(pool.exchange(fake)),
                                                                  trainer.loss))
        return sum(losses)

    slopes_agree(networks[2:], d_loss)


@pytest.mark.parametrize("scales", [0, 2])
def test_finite_differences_through_pix2pix_and_feature_matching(scales):
    generator, discriminator = pix2pix_networks("instance", width=2)
    if scales:
        discriminator = models.MultiScaleDiscriminator(2, 2, 1, scales)
    networks = large([generator, discriminator])
    trainer = trainers.Pix2Pix(*networks, loss="least_squares", lambda_l1=3.0, lambda_features=2.0 if scales else 0.0)
    a, b = (mg.tensor(x, dtype="float64") for x in batches(0, "float64"))
    total = trainers.translation.total
    slopes_agree([generator], lambda: total(trainer.generator_losses(a, b, generator(a))))


def test_pix2pix_without_an_adversary_is_regression_and_its_weight_scales_the_game():
    """With lambda_gan=0 the discriminator rests and only L1 is left; the gradient is linear in lambda_gan."""
    a, b = (mg.tensor(x, dtype="float64") for x in batches(0, "float64"))
    generator, discriminator = large(list(pix2pix_networks("instance", width=2)))
    slopes = []
    for weight in (0.0, 1.0, 3.0):
        trainer = trainers.Pix2Pix(generator, discriminator, lambda_l1=7.0, lambda_gan=weight)
        terms = trainer.generator_losses(a, b, generator(a))
        slopes.append([g.numpy() for g in mg.grad(trainers.translation.total(terms), generator.parameters())])
    plain = [g.numpy() for g in mg.grad(7.0 * mg.ops.mean(mg.ops.abs(generator(a) - b)), generator.parameters())]
    for none, one, three, expected in zip(*slopes, plain, strict=True):
        np.testing.assert_allclose(none, expected, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(three - none, 3 * (one - none), rtol=1e-9, atol=1e-12)
    alone = trainers.Pix2Pix(*pix2pix_networks(), lambda_gan=0.0)
    before = states(alone, ["discriminator"])
    assert set(alone.step(batches(0))) == {"l1"} and equal(before, states(alone, before))


def test_feature_matching_by_hand():
    rng = np.random.default_rng(0)
    fake, real = ([[rng.normal(size=(2, 3)) for _ in range(3)] for _ in range(2)] for _ in "fr")
    expected = 4 * np.mean([[np.abs(f - r).mean() for f, r in zip(fs[:2], rs[:2], strict=True)]
                            for fs, rs in zip(fake, real, strict=True)])
    tensors = [[[mg.tensor(x) for x in scale] for scale in side] for side in (fake, real)]
    assert trainers.pix2pix.feature_matching(*tensors).item() == pytest.approx(expected)


# ---- what a step computes and changes ----
def states(trainer, names):
    return {name: trainer.networks[name].state_dict() for name in names}


def equal(one, other):
    return all(np.array_equal(one[net][key], other[net][key]) for net in one for key in one[net])


def test_each_side_rests_while_the_other_learns(monkeypatch):
    trainer, counted = trainers.CycleGAN(*cyclegan_networks(), pool=3), []
    rule = mg.PRIMITIVES["conv2d"].rules["w"]
    monkeypatch.setitem(mg.PRIMITIVES["conv2d"].rules, "w", lambda *a, **k: counted.append(1) or rule(*a, **k))
    a, b = (mg.tensor(x) for x in batches(0))
    judges, makers = states(trainer, ["d_a", "d_b"]), states(trainer, ["g_ab", "g_ba"])
    _, *fakes = trainer.generators_step(a, b)
    assert equal(judges, states(trainer, judges)) and not equal(makers, states(trainer, makers))
    assert len(counted) == 4 * 6  # a generator has 6 plain convolutions; 2 fakes with their idts, 2 cycles
    makers = states(trainer, makers)
    trainer.discriminators_step(a, b, *fakes)
    assert equal(makers, states(trainer, makers)) and not equal(judges, states(trainer, judges))
    assert len(counted) == 4 * 6 + 2 * 3  # a discriminator has 3; real and fake in one pass


def test_a_translation_is_made_once_a_step(monkeypatch):
    """4 passes through generators (translations with identities, cycles), 4 through discriminators."""
    networks, calls = cyclegan_networks(), []
    for network in networks:
        forward = network.forward
        network.forward = lambda x, f=forward, n=network: calls.append(type(n).__name__) or f(x)
    trainers.CycleGAN(*networks).step(batches(0))
    assert (calls.count("ResnetGenerator"), calls.count("PatchDiscriminator")) == (4, 4)
    calls.clear()
    trainers.CycleGAN(*networks, lambda_identity=0).step(batches(0))
    assert calls.count("ResnetGenerator") == 4


def test_without_weight_the_cycle_is_measured_and_teaches_nothing():
    one, other = (trainers.CycleGAN(*cyclegan_networks(), lambda_cycle=0) for _ in range(2))
    metrics = one.step(batches(0))
    assert list(metrics) == EIGHT[:6] and metrics["cycle_a"] > 0
    a, b = (mg.tensor(x) for x in batches(0))
    game = sum(d_loss for d_loss in (
        other.loss.generator_loss(other.d_a(other.g_ba(b))), other.loss.generator_loss(other.d_b(other.g_ab(a)))))
    other.g_optimizer.minimize(game)
    assert equal(states(one, ["g_ab", "g_ba"]), states(other, ["g_ab", "g_ba"]))


def test_domains_of_other_channels_have_no_identity_loss_and_it_says_so():
    with pytest.warns(UserWarning, match="the domains have 1 and 3 channels.* there is no identity loss"):
        trainer = trainers.CycleGAN(*cyclegan_networks(channels=(1, 3)))
    assert list(trainer.step(batches(0, channels=(1, 3)))) == EIGHT[:6]
    assert trainer.translate(batches(0)[0]).shape == (2, 3, 16, 16)
    assert trainer.translate(batches(0, channels=(3,))[0], "ba").shape == (2, 1, 16, 16)
    assert trainers.CycleGAN(*cyclegan_networks(), lambda_cycle=8).lambda_identity == 4
    with pytest.raises(OptionError, match=r"lambda_identity=5.0, but the domains have 1 and 3 channels"):
        trainers.CycleGAN(*cyclegan_networks(channels=(1, 3)), lambda_identity=5.0)


def test_several_scales_play_as_one_discriminator():
    """Two scales with equal logits have the loss of a single scale."""
    real, fake = (mg.tensor(np.random.default_rng(i).normal(size=(2, 1, 3, 3))) for i in range(2))
    loss, over = mg.losses.least_squares.discriminator_loss, trainers.translation.over_scales
    assert over(loss, [real, real], [fake, fake]).item() == pytest.approx(loss(real, fake).item())
    networks = cyclegan_networks()
    for i in (2, 3):
        networks[i] = models.MultiScaleDiscriminator(1, 2, 1, 2)
    assert all(np.isfinite(v) for v in trainers.CycleGAN(*networks).step(batches(0)).values())


# ---- the pool ----
def test_a_pool_loses_no_image_and_invents_none():
    """Every image is returned once or still in the pool; the first, which filled it, are returned and kept."""
    pool, given, out = ImagePool(4, Stream(0)), [], []
    for i in range(60):
        images = np.arange(3 * i, 3 * i + 3, dtype=np.float32).reshape(3, 1, 1, 1)
        given += images.ravel().tolist()
        out += pool.exchange(images).ravel().tolist()
    assert sorted(out + pool.images.ravel().tolist()) == sorted(given + given[:4])
    old = np.mean(np.array(out) < np.array(given))
    assert 0.35 < old < 0.65  # about half of the images are older ones


def test_coins_are_fair_and_places_even():
    pool = ImagePool(8, Stream(1))
    pool.plan(8)
    old, places = [], []
    for _ in range(8000):
        given, kept = pool.plan(1)
        old.append(given[0] < 8)
        places += np.flatnonzero(kept == 8).tolist()
    assert abs(np.mean(old) - 0.5) < 0.02
    assert np.bincount(places, minlength=8).min() > 430


def test_a_pool_of_none_passes_through():
    images = np.ones((2, 1, 3, 3), np.float32)
    assert ImagePool(0, Stream(0)).exchange(images) is images
    with pytest.raises(OptionError, match="capacity=-1"):
        ImagePool(-1, Stream(0))
    with pytest.raises(CheckpointError, match="not of a pool of up to 2 images"):
        ImagePool(2, Stream(0)).load_state_dict({"images": np.zeros((3, 1, 1, 1)), "generator": {}})


def test_pools_hold_arrays_and_memory_stays_flat():
    trainer = trainers.CycleGAN(*cyclegan_networks(), pool=3)
    for step in range(4):
        trainer.step(batches(step))
    arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    tracemalloc.start()
    try:
        held = []
        for step in range(4, 8):
            trainer.step(batches(step))
            traces = tracemalloc.take_snapshot().filter_traces([arrays]).traces
            held.append(sum(trace.size for trace in traces))
    finally:
        tracemalloc.stop()
    assert max(held[1:]) <= held[0]  # bytes in arrays, exactly
    for pool in trainer.pools.values():
        assert type(pool.images) is np.ndarray and pool.images.shape == (3, 1, 16, 16)


# ---- resuming ----
def flat(state, prefix=""):
    for key, value in state.items():
        yield from flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, np.asarray(value))]


def unlabelled(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (n, 1, 16, 16), np.uint8) for n in (7, 5, 6)]


def cyclegan(**options):
    return trainers.CycleGAN(*cyclegan_networks("batch"), pool=3, ema=0.5, **options)


def pix2pix():
    mg.seed(2)
    return trainers.Pix2Pix(models.UnetGenerator(1, 1, 1, 6, "batch", dropout=0.5), models.PatchDiscriminator(2, 2, 1))


def combogan(seed=0):
    mg.seed(3)
    parts = [[make() for _ in range(3)] for make in (
        lambda: models.ResnetEncoder(1, 2, 1), lambda: models.ResnetDecoder(1, 2, 1),
        lambda: models.PatchDiscriminator(1, 2, 1))]
    return trainers.ComboGAN(*parts, pool=2, lambda_identity=1.0, seed=seed)


def semi():
    a, b, _ = unlabelled(9)
    return trainers.SemiSupervised(*cyclegan_networks(width=2), pairs=(a[:3], b[:3]), labelled=2, pool=3)


class Reader(nn.Module):
    """Square images to two logits, through a batch norm; records the last images."""

    def __init__(self, side):
        super().__init__()
        self.norm, self.last, self.seen = nn.BatchNorm2d(1), nn.Linear(side**2, 2), []

    def forward(self, x):
        self.seen.append(x.numpy())
        return self.last(self.norm(x).reshape(len(x), -1))  # (N, side**2)


def task(crop=3, **options):
    networks = cyclegan_networks(width=2)
    mg.seed(6)
    return trainers.TaskCycleGAN(*networks, Reader(16 - crop), crop=crop, pool=3, **options)


@pytest.mark.parametrize(("make", "domains"), [
    (cyclegan, 2), (pix2pix, 0), *(pytest.param(*case, marks=pytest.mark.long) for case in (
        (combogan, 3), (semi, 2), (task, 2)))])
def test_a_resumed_run_is_the_run(make, domains):
    """Four steps equal two steps, a state loaded into new trainers and data, and two more: the same bytes."""
    def start():
        a, b, c = unlabelled()
        sets = ((a, np.arange(len(a)) % 2) if make is task else a, b, c)[:domains]
        loader = (data.Unpaired(*sets, batch_size=2, seed=4) if domains
                  else data.paired(*(np.kron(x[:5], np.ones((4, 4), np.uint8)) for x in (a, b)), 2, seed=4))
        trainer = make()
        trainer.set_schedule("half_linear", 4)
        return trainer, loader

    def go(trainer, loader, steps):
        progress = []
        trainer.fit(loader, steps, progress.append)
        return [p.metrics for p in progress]

    whole, loader = start()
    metrics = go(whole, loader, 4)
    first, loader = start()
    go(first, loader, 2)
    state, place = first.state_dict(), loader.state_dict()
    mg.seed(99)
    second, loader = start()
    for network in second.networks.values():  # all must come from the state
        for p in network.parameters():
            p.data = p.data + 1
    second.load_state_dict(state)
    loader.load_state_dict(place)
    assert go(second, loader, 2) == metrics[2:]
    for (name, one), (_, other) in zip(flat(whole.state_dict()), flat(second.state_dict()), strict=True):
        assert one.tobytes() == other.tobytes(), name


def test_a_state_of_another_trainer_is_refused():
    trainer = cyclegan()
    state = trainer.state_dict()
    del state["pool_a"]
    with pytest.raises(CheckpointError, match="lacks pool_a"):
        trainer.load_state_dict(state)


# ---- ComboGAN ----
def test_only_the_two_domains_drawn_learn():
    trainer, rounds = combogan(), []
    for step in range(8):
        before = {name: net.state_dict() for name, net in trainer.networks.items()}
        metrics = trainer.step(batches(step, channels=(1, 1, 1)))
        now = {name: net.state_dict() for name, net in trainer.networks.items()}
        moved = {name for name in now if not equal({name: before[name]}, {name: now[name]})}
        pair = int(metrics["from"]), int(metrics["to"])
        assert moved == {f"{kind}{i}" for kind in ("encoder", "decoder", "discriminator") for i in pair}
        rounds.append(pair)
    assert len(set(map(frozenset, rounds))) == 3 and all(i != j for i, j in rounds)


def test_combogans_schedule_follows_the_trainer():
    trainer = combogan()
    trainer.set_schedule("linear", 10)
    trainer.steps = 5
    assert {optimizer.schedule(optimizer.steps) for optimizer in trainer.optimizers.values()} == {0.5}


@pytest.mark.parametrize("make", [combogan, cyclegan, pix2pix])
def test_a_trainer_with_a_schedule_goes_to_another_process(make):
    trainer = make()
    trainer.set_schedule("linear", 10)
    twin = pickle.loads(pickle.dumps(trainer))
    twin.steps = 5
    for optimizer in twin.optimizers.values():
        optimizer.steps = 5
        assert optimizer.schedule(optimizer.steps) == 0.5
    assert {optimizer.schedule(optimizer.steps) for optimizer in trainer.optimizers.values()} == {1.0}


def test_two_domains_of_a_combogan_are_a_cyclegan():
    """The same losses as CycleGAN with generators made of the encoders and decoders."""
    mg.seed(8)
    encoders = [models.ResnetEncoder(1, 2, 1) for _ in range(2)]
    decoders = [models.ResnetDecoder(1, 2, 1) for _ in range(2)]
    judges = [models.PatchDiscriminator(1, 2, 1) for _ in range(2)]
    combo = trainers.ComboGAN(encoders, decoders, judges, pool=0)
    there = [models.EncoderDecoder(encoders[i], decoders[1 - i]) for i in range(2)]
    cycle = trainers.CycleGAN(*there, *judges, pool=0, lambda_identity=0)
    images = batches(0)
    expected = {name: value.item() for name, value in cycle.generator_losses(*map(mg.tensor, images))[0].items()
                for value in [value[1]]}
    got = combo.step(images)
    swapped = got["from"] == 1
    names = {"a": "b", "b": "a"} if swapped else {"a": "a", "b": "b"}
    for name, value in expected.items():
        assert got[name[:-1] + names[name[-1]]] == pytest.approx(value, rel=1e-5)


# ---- semi-supervised ----
def test_labelled_pairs_teach_the_generator():
    """With weight 0 for all other losses and the image itself as target, |G(x) - y| falls."""
    a, _, _ = unlabelled(9)
    trainer = trainers.SemiSupervised(*cyclegan_networks(width=4), pairs=(a[:3], a[:3]), lr=5e-3, lambda_cycle=0.0,
                                      lambda_supervised=100.0)
    seen = [trainer.step(batches(step))["supervised"] for step in range(25)]
    assert np.mean(seen[-5:]) < 0.8 * np.mean(seen[:5])
    with pytest.raises(DataError, match="3 labelled images and 2 masks are no pairs"):
        trainers.SemiSupervised(*cyclegan_networks(), pairs=(a[:3], a[:2]))


# ---- with the labels of one domain ----
def test_the_task_loss_is_the_mean_surprise_of_originals_and_translations():
    """By hand, with NumPy's exponentials; with weight 0 the other losses are CycleGAN's."""
    trainer, plain = task(0, lambda_task=0.0), trainers.CycleGAN(*cyclegan_networks(width=2), pool=3)
    a, b = batches(0)
    labels = np.array([1, 0])
    both = np.concatenate([a, trainer.g_ab(mg.tensor(a)).numpy()]).astype(np.float64)
    normed = (both - both.mean()) / np.sqrt(both.var() + 1e-5)  # the batch norm with its initial weights
    last = trainer.classifier.last
    logits = normed.reshape(4, -1) @ last.weight.numpy().T + last.bias.numpy()  # (2N, 2)
    wanted = np.mean(np.log(np.exp(logits).sum(1)) - logits[range(4), [1, 0, 1, 0]])
    metrics, others = trainer.step((data.Labelled(a, labels), b)), plain.step((a, b))
    assert metrics.pop("task") == pytest.approx(wanted, rel=1e-5)
    assert metrics == others


def test_the_task_loss_teaches_generator_and_classifier_but_not_the_way_back():
    """Its gradients against finite differences; those of G_ba are exactly 0."""
    trainer = task(0, loss="least_squares")
    networks = large([trainer.g_ab, trainer.classifier])
    large([trainer.g_ba, trainer.d_a, trainer.d_b])
    trainer.dtype, labels = np.dtype(np.float64), np.array([0, 1])
    a, b = (mg.tensor(x) for x in batches(0, "float64"))
    slopes_agree(networks, lambda: trainer.generator_losses(a, b, labels)[0]["task"][1])
    loss = trainer.generator_losses(a, b, labels)[0]["task"][1]
    loss.backward()
    assert all(p.grad is None or not p.grad.numpy().any() for p in trainer.g_ba.parameters())


def test_the_classifier_sees_windows_from_all_over_the_image():
    """The windows of a and of its translation are at the same place; with crop=1 there are 4 places."""
    trainer, (a, b), places, left = task(1, lambda_identity=0.0), batches(0), set(), 25
    while len(places) < 4 and (left := left - 1):  # the chance that one of the four is not among 25: 0.3 %
        trainer.update((data.Labelled(a, np.array([0, 1])), b))
        window, translated = np.split(trainer.classifier.seen[-1], 2)
        assert translated.shape == window.shape == (2, 1, 15, 15)
        places |= {(i, j) for i in range(2) for j in range(2)
                   if np.array_equal(window, a[:, :, i : i + 15, j : j + 15])}
    assert len(places) == 4


def test_bad_labels_are_named():
    a, b = batches(0)
    with pytest.raises(OptionError, match="the images of domain a have no labels; it takes images a with their labels"):
        task().step((a, b))
    with pytest.raises(OptionError, match=r"got 3 batches; it takes images a with their labels and images b"):
        task().step((a, np.array([0, 1]), b))
    with pytest.raises(ShapeError, match="2 images of domain a and labels"):
        task().step((data.Labelled(a, np.zeros(3, int)), b))
    with pytest.raises(ShapeError, match="labels run from 0 to 2, but there are K=2"):
        task().step((data.Labelled(a, np.array([0, 2])), b))
    with pytest.raises(OptionError, match="1 and 3 channels cannot be read by one classifier"):
        trainers.TaskCycleGAN(*cyclegan_networks(channels=(1, 3)), Reader(16), lambda_identity=0.0)
    with pytest.raises(OptionError, match="crop=-1"):
        task(-1)


# ---- data ----
def test_unpaired_domains_may_bring_labels():
    images, labels = np.arange(10), np.arange(10) * 10
    one, other = next(data.Unpaired((images, labels), np.arange(5), batch_size=4, seed=1))
    np.testing.assert_array_equal(one.labels, 10 * one.images)
    assert len(other) == 4


def test_unpaired_domains_have_orders_and_epochs_of_their_own():
    a, b = np.arange(10), np.arange(100, 104)
    loader = data.Unpaired(a, b, batch_size=2, seed=1)
    assert (loader.samples, loader.batches_per_epoch) == (10, 5)
    drawn = [next(loader) for _ in range(5)]
    assert sorted(np.concatenate([x for x, _ in drawn])) == a.tolist() and (loader.epoch, loader.position) == (1, 0)
    assert sorted(np.concatenate([y for _, y in drawn[:2]])) == b.tolist()
    other = data.Unpaired(a, b, batch_size=2, seed=9)
    other.load_state_dict(loader.state_dict())
    assert all(np.array_equal(x, y) for x, y in zip(next(loader), next(other), strict=True))
    same = data.Unpaired(a, a, batch_size=10, seed=1)
    one, two = next(same)
    assert not np.array_equal(one, two)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda a: data.Unpaired(a, batch_size=2), OptionError, "1 domain given"),
    (lambda a: data.Unpaired(a, a[:0], batch_size=2), DataError, "domain 1 has no samples"),
    (lambda a: data.Unpaired(a, a[:3], batch_size=4), OptionError, "batch_size=4, but domain 1 has only 3 samples"),
    (lambda a: data.paired(a, a[:3], 2), DataError, "5 images of one domain and 3 of the other are no pairs"),
    (lambda a: data.paired(a, a[:, :, :8], 2), DataError, "images of 16x16 and of 8x16 are no pairs.*resize"),
])
def test_domains_that_do_not_fit_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make(unlabelled()[1])


# ---- bad input ----
def one_channel(**changes):
    networks = dict(zip(("g_ab", "g_ba", "d_a", "d_b"), cyclegan_networks(), strict=True))
    return trainers.CycleGAN(**{**networks, **changes})


@pytest.mark.parametrize(("make", "message"), [
    (lambda: one_channel(g_ba=models.ResnetGenerator(3, 1, 2, 1)), "g_ab takes 1 channels to 1, so g_ba must"),
    (lambda: one_channel(d_b=models.PatchDiscriminator(3, 2, 1)), "d_b is for 3 channels, but its images have 1"),
    (lambda: one_channel(g_ab=mg.nn.Sequential(mg.nn.Conv2d(1, 1, 1))), "g_ab needs the attributes `in_channels`"),
    (lambda: one_channel(lambda_cycle=-1.0), "lambda_cycle=-1.0 must be a number >= 0"),
    (lambda: one_channel(ema=1.0), "ema=1.0"),
    (lambda: one_channel().translate(batches(0)[0], "ac"), "way='ac'"),
    (lambda: one_channel().step(batches(0)[0]), "got 1 batches; it takes one of domain a and one of domain b"),
    (lambda: trainers.Pix2Pix(*pix2pix_networks()).step(batches(0)[0]), "got 1 batches"),
    (lambda: trainers.Pix2Pix(pix2pix_networks()[0], mg.nn.Sequential(mg.nn.Conv2d(2, 1, 4)), lambda_features=10.0),
     "needs a discriminator with `features`"),
    (lambda: trainers.Pix2Pix(*pix2pix_networks(), lambda_gan=0.0, lambda_l1=0.0), "no discriminator is trained"),
    (lambda: trainers.Pix2Pix(*pix2pix_networks(), lambda_gan=-1.0), "lambda_gan=-1.0 must be a number >= 0"),
    (lambda: combogan().step(batches(0)), "got 2 batches for 3 domains"),
    (lambda: combogan().translate(batches(0)[0], 0, 3), "from domain 0 to 3, but domains are numbered from 0 to 2"),
    (lambda: trainers.ComboGAN([], [], []), "two domains or more"),
])
def test_what_cannot_be_is_named(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_images_of_other_channels_or_sizes_are_named():
    with pytest.raises(ShapeError, match=r"a batch of domain b has shape \(2, 3, 16, 16\).* take \(N, 1, H, W\)"):
        one_channel().step(batches(0, channels=(1, 3)))
    with pytest.raises(ShapeError, match=r"sources \(2, 1, 16, 16\) and targets \(2, 1, 12, 12\) are no pairs"):
        trainers.Pix2Pix(*pix2pix_networks()).step((batches(0)[0], batches(0, size=12)[0]))


def test_translating_in_chunks_is_translating_at_once(monkeypatch):
    trainer, (a, _) = one_channel(), batches(0, n=5)
    whole = trainer.translate(a)
    monkeypatch.setattr(trainers.translation, "CHUNK", 2)
    with warnings.catch_warnings():
        np.testing.assert_allclose(trainer.translate(a), whole, atol=1e-6)
    assert trainer.g_ab.training


def test_generators_that_share_an_encoder_hand_each_parameter_over_once():
    """One update per step: the shared weights move as with one optimiser over the distinct parameters."""
    def built():
        mg.seed(3)
        encoder = models.ResnetEncoder(1, 4, 1)
        both = [models.EncoderDecoder(encoder, models.ResnetDecoder(1, 4, 1)) for _ in range(2)]
        return encoder, both, [models.PatchDiscriminator(1, 4, 1) for _ in range(2)]

    encoder, generators, judges = built()
    trainer = trainers.CycleGAN(*generators, *judges, pool=0)
    handed = trainer.g_optimizer.parameters
    assert len(handed) == len({id(p) for p in handed}) == len({id(p) for g in generators for p in g.parameters()})
    before = [p.data.copy() for p in encoder.parameters()]
    trainer.step(batches(0))
    moved = [np.abs(p.data - b).max() for p, b in zip(encoder.parameters(), before, strict=True)]
    assert max(moved) == pytest.approx(2e-4, rel=1e-3)  # Adam's first step is lr, not twice that
    judge = models.PatchDiscriminator(1, 4, 1)
    assert len(trainers.CycleGAN(*built()[1], judge, judge).d_optimizer.parameters) == len(judge.parameters())
