"""Style transfer beside CycleGAN on one translation: smooth hills to landscapes of blocks, whose truth is known.

    python examples/cyclegan_voxels.py --steps 600 --out runs/voxels
    python examples/style_transfer.py --method ghiasi --out runs/style
    python benchmarks/style.py --cyclegan runs/voxels --network runs/style/network.safetensors --out results/

Unseen hills are translated by CycleGAN, by Gatys et al.'s optimisation and by Ghiasi et al.'s network, each hill in the
style of one landscape of blocks. Printed for each: content loss to the hill, style loss to that landscape, PSNR to the
true blocks, the share of the blocks' edges that are drawn (data.block_edges), and seconds of the processor. Written:
style.json, and style.png with a row for hills, styles, each method, and the truth.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import minigan as mg
from minigan import data, metrics, models, report, trainers
from minigan.checkpoint import load_weights, write_atomically

SIZE, SHOWN = 64, 8


def by_cyclegan(folder):
    """A function of contents and styles, of which it ignores the latter: the run's averaged generator."""
    generator = models.generator_of(load_weights(folder / "averaged_ab.safetensors"))

    def translate(contents, styles):
        with mg.no_grad():
            return generator(mg.tensor(contents)).numpy()

    return translate


def by_network(weights, judge, options):
    """A style network of examples/style_transfer.py."""
    network = models.StyleNetwork(3, trainers.StyleTransfer.statistics_of(judge), options.width, options.blocks)
    network.load_state_dict(load_weights(weights))
    return trainers.StyleTransfer(network, judge).translate


def main():
    """Options, pictures, methods; the table and the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("cyclegan", "network"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("results"))
    for name, default in (("width", 16), ("blocks", 3), ("count", 16), ("iterations", 100)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    hills = data.voxels("smooth", options.count, SIZE, "test")
    contents, truth = data.scaled(hills.images), data.scaled(hills.partner().images)
    styles = data.scaled(data.voxels("blocks", options.count, SIZE).images)
    judge = metrics.style_features()
    perception = trainers.Perception.of(judge)
    methods = {
        "as they are": lambda c, s: c,
        "CycleGAN": by_cyclegan(options.cyclegan),
        "Gatys et al.": lambda c, s: trainers.stylised(judge, c, s, lambda_smooth=0.2, steps=options.iterations).images,
        "Ghiasi et al.": by_network(options.network, judge, options),
        "true blocks": lambda c, s: truth}
    edges, results, table = [data.block_edges(x) for x in (contents, truth)], {}, {}
    for name, method in methods.items():
        start = time.process_time()
        results[name] = images = np.asarray(method(contents, styles))
        seconds = time.process_time() - start
        content, style = perception.measured(images, contents, styles)
        table[name] = {"content": content, "style": style, "psnr": metrics.psnr(np.clip(images, -1, 1), truth),
                       "edges": (data.block_edges(images) - edges[0]) / (edges[1] - edges[0]), "seconds": seconds}
        print(f"{name:<14}" + "  ".join(f"{key} {value:.3f}" for key, value in table[name].items()), flush=True)
    write_atomically(options.out / "style.json", json.dumps(table, indent=2).encode())
    shown = [contents, styles, *(images for name, images in results.items() if name != "as they are")]
    report.save_png(report.rows(*(part[:SHOWN] for part in shown)), options.out / "style.png")


if __name__ == "__main__":
    main()
