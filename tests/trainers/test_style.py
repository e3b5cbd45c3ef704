"""Style transfer: Gatys et al.'s curve and ten steps of Ghiasi et al.'s network beside PyTorch's; perceptual losses."""

import numpy as np
import pytest

import minigan as mg
from minigan import data, models, trainers
from minigan.checkpoint import load_state, save_state
from minigan.errors import NonFiniteError, OptionError, ShapeError
from minigan.gradcheck import gradcheck
from minigan.random import Stream

SIZES = (4, 6, 8), (2, 1, 2)
CONTENT, STYLE = ("relu3_1",), ("relu1_1", "relu2_1", "relu3_1")
PRECISIONS = [(np.float32, 1e-4), (np.float64, 1e-9)]


def judge(dtype=np.float32):
    """A small network of features, always the same."""
    mg.seed(4)
    return trainers.Perception.of(models.VGG(*SIZES, pool="average").astype(dtype), CONTENT, STYLE)


def pictures(name, n=2, channels=3, size=16, dtype=np.float32):
    return 2 * Stream(3, name).uniform((n, channels, size, size), dtype) - 1


def style_trainer(dtype=np.float32, channels=3, **options):
    perception = judge(dtype)
    mg.seed(5)
    network = models.StyleNetwork(channels, trainers.StyleTransfer.statistics_of(perception), 2, 1, 5).astype(dtype)
    return trainers.StyleTransfer(network, perception, lr=5e-3, **options)


# ---- the losses ----
def test_gram_matrices_by_their_formula():
    maps = pictures("maps", 2, 5, 6, np.float64)[:, :, :4]
    expected = np.zeros((2, 5, 5))
    for n, i, j in np.ndindex(2, 5, 5):
        expected[n, i, j] = (maps[n, i] * maps[n, j]).sum() / 24
    np.testing.assert_allclose(trainers.gram(mg.tensor(maps)).numpy(), expected, rtol=1e-12)


def test_a_style_does_not_depend_on_where_things_are_and_a_content_does():
    maps = pictures("maps", 1, 5, 6, np.float64)
    moved, whole = (mg.tensor(x) for x in (np.roll(maps, (2, 3), (2, 3)), maps))
    assert trainers.style_loss([moved], [trainers.gram(whole)]).item() < 1e-28
    assert trainers.content_loss([moved], [whole]).item() == pytest.approx(np.square(np.roll(maps, (2, 3), (2, 3))
                                                                                     - maps).mean())


def test_finite_differences_of_both_losses_down_to_the_pixels():
    perception = judge(np.float64)
    content, grams = perception.targets(*(mg.tensor(pictures(name, 1, 3, 8, np.float64)) for name in "cs"))
    image = pictures("x", 1, 3, 8, np.float64)
    for number in (0, 1):
        gradcheck(lambda x, number=number: perception.losses(x, content, grams)[number], [image])


# ---- Gatys, Ecker & Bethge ----
def twin_of(perception, dtype):
    """Its twin in PyTorch, and the places of the layers for content and style."""
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    import style_twin

    network = style_twin.load(style_twin.features(*SIZES, average=True), perception.network.state_dict())
    places = [[perception.network.places[name] for name in names] for names in (CONTENT, STYLE)]
    return torch, style_twin, network.to(getattr(torch, np.dtype(dtype).name)), places


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1e-3), (np.float64, 1e-7)])
def test_the_curve_is_pytorchs(dtype, rtol, method):
    """With equal features; a grey content, whose picture is coloured. L-BFGS is SciPy's in both."""
    perception, steps = judge(dtype), 12
    torch, style_twin, network, places = twin_of(perception, dtype)
    c, s = pictures("c", 1, 1, 16, dtype), pictures("s", 1, 3, 16, dtype)[:, :, :12]
    got = trainers.stylised(perception, c, s, lambda_content=2.0, lambda_style=30.0, lambda_smooth=0.5, steps=steps,
                             method=method)
    start, curve = torch.from_numpy(c.repeat(3, 1)), []
    with torch.no_grad():
        wanted = style_twin.maps(network, start, places[0])
        grams = [style_twin.gram(x) for x in style_twin.maps(network, torch.from_numpy(s.copy()), places[1])]

    def total(x):
        content, style = style_twin.losses(network, x, wanted, grams, *places)
        value = 2.0 * content + 30.0 * style + 0.5 * style_twin.smoothness(x)
        curve.append((value.item(), content.item(), style.item()))
        return value

    def evaluated(flat):
        x = torch.from_numpy(flat.reshape(start.shape).astype(dtype)).requires_grad_()
        value = total(x)
        value.backward()
        return value.item(), x.grad.double().numpy().ravel()

    if method == "lbfgs":
        optimize = pytest.importorskip("scipy.optimize")
        optimize.minimize(evaluated, start.double().numpy().ravel(), jac=True, method="L-BFGS-B",
                          bounds=optimize.Bounds(-1, 1),
                          options={"maxiter": steps, "maxfun": 4 * steps, "maxcor": 20, "ftol": 0, "gtol": 0})
    else:
        x = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([x], 0.05, (0.9, 0.999))
        for _ in range(steps):
            optimizer.zero_grad()
            total(x).backward()
            optimizer.step()
            x.data.clamp_(-1, 1)
    assert len(got.curve) > steps and got.curve[-1, 0] < 0.7 * got.curve[0, 0]
    assert (got.content, got.style) == tuple(got.curve[-1, 1:]) and np.abs(got.images).max() <= 1
    np.testing.assert_allclose(got.curve[:len(curve)], curve[:len(got.curve)], rtol=rtol, atol=rtol * 1e-2)


def test_pictures_of_a_batch_are_problems_of_their_own():
    """Each of two pictures falls as it does alone: their pixels have the gradients of its own loss."""
    perception = judge(np.float64)
    c, s = pictures("c", 2, 3, 16, np.float64), pictures("s", 2, 3, 16, np.float64)
    both = trainers.stylised(perception, c, s, steps=3, method="adam").images
    for n in range(2):
        alone = trainers.stylised(perception, c[n : n + 1], s[n : n + 1], steps=3, method="adam").images
        np.testing.assert_allclose(both[n], alone[0], atol=2e-4)  # Adam's step depends on a gradient's scale by eps


def test_without_scipy_the_error_says_what_to_install_and_adam_works(without):
    without("scipy")
    with pytest.raises(ModuleNotFoundError, match=r"L-BFGS needs SciPy: run `pip install"):
        trainers.stylised(judge(), pictures("c", 1), pictures("s", 1))
    assert len(trainers.stylised(judge(), pictures("c", 1), pictures("s", 1), steps=1, method="adam").curve) == 2


# ---- Ghiasi et al. ----
@pytest.mark.parametrize(("dtype", "rtol"), PRECISIONS)
def test_ten_steps_of_the_style_network_are_pytorchs(dtype, rtol):
    trainer = style_trainer(dtype, lambda_style=20.0, lambda_smooth=0.5)
    torch, style_twin, network, places = twin_of(trainer.judge, dtype)
    twin = style_twin.StyleNetwork(3, trainer.network.features, 2, 1, 5).to(next(network.parameters()).dtype)
    twin = style_twin.StyleTransfer(style_twin.load(twin, trainer.network.state_dict()), network, *places, 20.0, 0.5,
                                     5e-3)
    for step in range(10):
        batch = [pictures(f"{name}{step}", dtype=dtype) for name in "cs"]
        metrics = trainer.step(batch)
        theirs = twin.step(*(torch.from_numpy(x) for x in batch))
        np.testing.assert_allclose(list(metrics.values()), theirs, rtol=rtol, err_msg=str(step))


def test_the_judge_does_not_learn_and_the_losses_fall():
    trainer, before = style_trainer(), judge().network.state_dict()
    batch = [np.kron(pictures(name, size=4), np.ones((4, 4), np.float32)) for name in "cs"]  # squares of one colour
    first, *_, last = (trainer.step(batch) for _ in range(60))
    assert last["content"] + 3 * last["style"] < 0.8 * (first["content"] + 3 * first["style"])
    assert all(np.array_equal(array, before[name]) for name, array in trainer.judge.network.state_dict().items())


def test_without_statistics_the_conditional_norm_is_instance_norm():
    x, layer = mg.tensor(pictures("x", 2, 4)), models.ConditionalInstanceNorm2d(4)
    plain = mg.ops.instance_norm(x)
    np.testing.assert_array_equal(layer(x, mg.tensor(np.zeros((2, 8), np.float32))).numpy(), plain.numpy())
    shifted = layer(x, mg.tensor(np.tile(np.float32([1, 1, 1, 1, 3, 3, 3, 3]), (2, 1))))
    np.testing.assert_allclose(shifted.numpy(), 2 * plain.numpy() + 3, rtol=1e-5, atol=1e-6)


def test_each_picture_gets_its_style_alone_or_in_a_batch():
    trainer, c, s = style_trainer(), pictures("c", 3, size=20), pictures("s", 3)
    trainer.step((c[:, :, :16, :16], s))
    whole = trainer.translate(c, s)
    for n in range(3):
        np.testing.assert_allclose(trainer.translate(c[n : n + 1], s[n : n + 1])[0], whole[n], atol=1e-5)
    assert np.abs(trainer.translate(c, s[:1])[1] - whole[1]).max() > 1e-5


def test_a_resumed_run_is_the_run(tmp_path):
    def start():
        pixels = np.random.default_rng(0).integers(0, 256, (2, 7, 3, 16, 16), np.uint8)
        trainer = style_trainer()
        trainer.set_schedule("linear", 4)
        return trainer, data.Unpaired(*pixels, batch_size=2, seed=4)

    (whole, batches), (first, others) = start(), start()
    whole.fit(batches, 4)
    first.fit(others, 2)
    save_state(tmp_path / "state", {"trainer": first.state_dict(), "place": others.state_dict()})
    state, (second, others) = load_state(tmp_path / "state")[0], start()
    second.load_state_dict(state["trainer"])
    others.load_state_dict(state["place"])
    second.fit(others, 2)
    for name, array in whole.network.state_dict().items():
        assert array.tobytes() == second.network.state_dict()[name].tobytes(), name


# ---- pix2pix ----
def pix2pix(weight, dtype=np.float64):
    features = judge(dtype).network
    mg.seed(2)
    networks = [net.astype(dtype) for net in (models.UnetGenerator(1, 3, 2, 2, "instance"),
                                              models.PatchDiscriminator(4, 2, 1, "instance"))]
    for p in networks[0].parameters():
        p.data = p.data * 10  # DCGAN's weights are so small that all gradients are
    return trainers.Pix2Pix(*networks, lambda_l1=2.0, lambda_perceptual=weight, features=features if weight else None)


def test_the_perceptual_loss_by_its_formula():
    network, (x, y) = judge(np.float64).network, (mg.tensor(pictures(n, dtype=np.float64)) for n in "xy")
    both = [network.maps(v, ["relu1_1", "relu2_1", "relu3_1"]) for v in (x, y)]
    means = [np.abs(a.numpy() - b.numpy()).mean() for a, b in zip(*both, strict=True)]
    assert trainers.perceptual_loss(network, x, y).item() == pytest.approx(means[0] / 8 + means[1] / 4 + means[2])


def test_pix2pix_minimises_it_with_its_weight():
    """The generator's gradient is linear in the weight, and the part that it adds is that of the loss itself."""
    a, b = (mg.tensor(pictures(name, channels=c, dtype=np.float64)) for name, c in (("a", 1), ("b", 3)))
    slopes = []
    for weight in (0.0, 1.0, 3.0):
        trainer = pix2pix(weight)
        total = trainers.translation.total(trainer.generator_losses(a, b, trainer.generator(a)))
        slopes.append([g.numpy() for g in mg.grad(total, trainer.generator.parameters())])
    trainer = pix2pix(1.0)
    loss = trainers.perceptual_loss(trainer.features, trainer.generator(a), b)
    alone = [g.numpy() for g in mg.grad(loss, trainer.generator.parameters())]
    for none, one, three, own in zip(*slopes, alone, strict=True):
        np.testing.assert_allclose(one - none, own, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(three - none, 3 * own, rtol=1e-9, atol=1e-12)
    assert max(np.abs(g).max() for g in alone) > 1e-4
    metrics = pix2pix(1.0, np.float32).step((a.numpy().astype("f"), b.numpy().astype("f")))
    assert list(metrics) == ["d_loss", "g_loss", "l1", "perceptual"]


# ---- bad input ----
@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: trainers.stylised(judge(), pictures("c"), pictures("s", size=4)), ShapeError,
     r"4x4 are too small for relu3_1.*enlarge them to 8 pixels or more, or use relu1_1, relu1_2, relu2_1 only"),
    (lambda: trainers.stylised(judge(), pictures("c", channels=4), pictures("s")), ShapeError,
     r"x \(2, 4, 16, 16\) must be images \(N, C, H, W\), not empty, with C = 1 or 3; data.pictures.read_picture"),
    (lambda: trainers.stylised(judge(), pictures("c", 3), pictures("s", 2)), ShapeError, "2 styles for 3 pictures"),
    (lambda: trainers.stylised(judge(), pictures("c"), pictures("s"), start=pictures("c", 1)), ShapeError,
     r"start \(1, 3, 16, 16\) must have the content's shape"),
    (lambda: trainers.stylised(judge(), pictures("c"), pictures("s"), method="sgd"), OptionError, "lbfgs, adam"),
    (lambda: trainers.stylised(judge(), pictures("c"), pictures("s"), lambda_style=-1.0), OptionError,
     "lambda_style=-1.0 must be a number >= 0"),
    (lambda: style_trainer(lambda_content=0, lambda_style=0), OptionError, "one must be above 0"),
    (lambda: trainers.stylised(judge(), pictures("c") * np.nan, pictures("s"), method="adam"), NonFiniteError,
     "the loss is nan at evaluation 1"),
    (lambda: trainers.Perception.of(models.VGG(*SIZES), ("conv4_2",)), OptionError, "must be some of relu1_1, relu1_2"),
    (lambda: trainers.StyleTransfer(models.StyleNetwork(3, 7), judge()), OptionError,
     "for 7 statistics of a style, but its judge has 36; make it with features=36"),
    (lambda: style_trainer().step((pictures("c"), pictures("s", 1))), ShapeError, "2 contents and 1 styles"),
    (lambda: style_trainer().step((pictures("c", channels=1), pictures("s"))), ShapeError, "a batch of contents has"),
    (lambda: style_trainer().step(pictures("c")), OptionError, "got 1 batches; it takes contents and styles"),
    (lambda: style_trainer().translate(pictures("c", 3), pictures("s")), ShapeError, "2 styles for 3 pictures"),
    (lambda: style_trainer().network(mg.tensor(pictures("c")), mg.tensor(np.ones((2, 3), "f"))), ShapeError,
     r"styles \(2, 3\) for 2 pictures"),
    (lambda: trainers.gram(mg.tensor(np.ones((2, 3), "f"))), ShapeError, r"gram: maps \(2, 3\) must be"),
    (lambda: models.StyleNetwork(3, 0), OptionError, "features=0"),
    (lambda: trainers.Pix2Pix(models.UnetGenerator(1, 3, 2, 2), models.PatchDiscriminator(4, 2, 1),
                              lambda_perceptual=1.0), OptionError, "lambda_perceptual=1.0 needs features"),
    (lambda: trainers.Pix2Pix(models.UnetGenerator(1, 4, 2, 2), models.PatchDiscriminator(5, 2, 1),
                              lambda_perceptual=1.0, features=judge().network), OptionError, "4 channels"),
])
def test_what_cannot_be_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
