"""Give pictures the style of another: by optimising their pixels (Gatys et al.), or by a network (Ghiasi et al.).

    python examples/style_transfer.py                               a photograph in the style of emojis
    python examples/style_transfer.py photo.jpg painting.jpg        your own; grey and transparent ones, too
    python examples/style_transfer.py photos/ painting.jpg          all pictures of a folder, at once
    python examples/style_transfer.py photo.jpg painting.jpg --weights vgg19-dcbb9e9d.pth    by VGG-19, if you have it
    python examples/style_transfer.py --method ghiasi               train a network for any style, then one pass
    python examples/style_transfer.py photo.jpg painting.jpg --network runs/style_transfer/network.safetensors

Without --weights, the features that judge are those of a small network that learns on this machine, once, in some two
minutes on one core, from which picture a patch is (metrics.style_features). Pictures are the middle squares of --size
pixels. With --method ghiasi, contents to learn from are patches of photographs or the pictures of the folder CONTENT,
styles are emojis, patches and landscapes, or the pictures of the folder STYLE. Printed: content and style loss beside
those of the pictures as they are, and the time. Output in runs/style_transfer/: stylised.png (rows: contents, styles,
results), picture0.png and on, scores.json; for ghiasi also what every run leaves.
"""

import time

import numpy as np

from figures import style as sources
from minigan import checkpoint, data, metrics, models, report, run, trainers
from minigan.data.paths import user_path
from minigan.run import option

SHOWN = 12  # pictures in a sheet
LAMBDAS = ("lambda_content", "lambda_style", "lambda_smooth")


def by_network(options, judge, *given):
    """A function of contents and styles, by a network that is trained now or was before, and the run's folder."""
    network = models.StyleNetwork(3, trainers.StyleTransfer.statistics_of(judge), options.width, options.blocks)
    weights = {name: getattr(options, name) for name in LAMBDAS}
    trainer = trainers.StyleTransfer(network, judge, **weights, lr=options.lr)
    if options.network:
        network.load_state_dict(checkpoint.load_weights(options.network))
        return trainer.translate, run.begin(options, *given)
    contents, styles = sources.to_learn_from(options)
    batches = data.Unpaired(contents, styles, batch_size=options.batch_size, seed=options.seed).to(options.device)
    count = min(SHOWN, len(contents), len(styles))
    rows = [data.scaled(part.spread(count).images) for part in (contents, styles)]

    def sheet():
        picture = report.rows(*rows, trainer.translate(*rows))
        return lambda: picture

    folder = run.fit(trainer, batches, options, contents, styles, reals=report.rows(*rows), sheet=sheet,
                     caption="Rows: contents, styles, contents in these styles.")
    return trainer.translate, folder


def main() -> None:
    """Options, features, pictures; optimise or train; score and write."""
    options = run.options(
        __doc__, name="style_transfer", batch_size=4, schedule="half_linear", default_steps=2500,
        content=option(None, "picture or folder (default: a photograph)", kind=user_path, flag="CONTENT"),
        style=option(None, "picture or folder (default: emojis)", kind=user_path, flag="STYLE"),
        method=option(("gatys", "ghiasi"), "optimise each picture, or train a network that does it in one pass"),
        network=option(None, "weights of an earlier --method ghiasi with the same features, --width and --blocks",
                       kind=user_path),
        weights=option(None, "torchvision's weights of VGG-19, .pth or .safetensors", kind=user_path),
        size=option(128, "side of the pictures in pixels"), iterations=option(100, "of the optimiser, for gatys"),
        optimizer=option(("lbfgs", "adam"), "for gatys"), lambda_content=option(1.0, "weight of the content loss"),
        lambda_style=option(3.0, "weight of the style loss"), lambda_smooth=option(0.2, "weight of the smoothness"),
        width=option(16, "channels of the network's first layer"), blocks=option(3, "its residual blocks"),
        lr=option(5e-4, "its learning rate"))
    given = sources.given(options)
    if options.weights:
        judge = models.VGG19(checkpoint.load_weights(options.weights), pool="average")
        judge.balance([data.scaled(data.patches("colour", 64).images)])
    else:
        judge = metrics.style_features(metrics.textures.QUICK if options.smoke else metrics.textures.Settings())
    perception = trainers.Perception.of(judge)
    for part in given:
        judge.check(part.images.shape, perception.style)  # before anything is trained or written
    contents, styles = (data.scaled(part.images) for part in given)
    styles = styles[np.arange(len(contents)) % len(styles)]  # one for each
    if options.method == "ghiasi" or options.network:
        transfer, folder = by_network(options, judge, *given)
    else:
        weights = {name: getattr(options, name) for name in LAMBDAS}
        folder, steps = run.begin(options, *given), run.SMOKE_STEPS if options.smoke else options.iterations

        def transfer(contents, styles):
            return trainers.stylised(judge, contents, styles, steps=steps, method=options.optimizer, **weights).images

    start = time.perf_counter()
    results = transfer(contents, styles)
    scores = {"seconds": time.perf_counter() - start}
    for name, images in (("as they are", contents), ("stylised", results)):
        scores[name] = dict(zip(("content", "style"), perception.measured(images, contents, styles), strict=True))
        print(f"{name:<12} content loss {scores[name]['content']:.4f}  style loss {scores[name]['style']:.4f}")
    print(f"{len(results)} of {options.size}x{options.size} pixels in {scores['seconds']:.2f} s", *{
        part.credit for part in given if part.credit}, sep="\n")
    run.write_scores(folder, scores)
    for number, image in enumerate(results):
        run.write(folder, f"picture{number}.png",
                  lambda path, image=image: report.save_png(report.grid(image[None], pad=0), path))
    sheet = report.rows(*(part[:SHOWN] for part in (contents, styles, results)))
    print(run.write(folder, "stylised.png", lambda path: report.save_png(sheet, path)))


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --size 32
# ci: --smoke --size 32 --method ghiasi --width 2 --blocks 1
