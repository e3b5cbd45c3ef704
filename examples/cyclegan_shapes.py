"""Turn circles into squares and squares into circles without ever seeing which belong together, and score it.

    python examples/cyclegan_shapes.py                        two minutes on two CPU cores
    python examples/cyclegan_shapes.py --lambda-cycle 0       nothing holds the shape in its place: see the score fall
    python examples/cyclegan_shapes.py --count 50             few shapes to learn from
    python examples/cyclegan_shapes.py --device cuda          on a GPU

A circle belongs to the square around it. The score is the overlap (intersection over union) of what is drawn for a
shape that was never trained on with the partner it should have; drawing the shape as it was given scores 0.78.
Leaves runs/cyclegan_shapes/: pictures of held-out shapes (given, translated, and back; circles above, squares below),
scores.json, curves, metrics, weights, the options.
"""

import json

import numpy as np

from minigan import data, models, report, run, trainers
from minigan.checkpoint import write_atomically
from minigan.metrics import iou

SHOWN = 12


def main() -> None:
    """Options, shapes, networks, trainer, go; then the score on held-out shapes."""
    options = run.options(
        __doc__, name="cyclegan_shapes", epochs=4, batch_size=4, schedule="half_linear", count=1000, size=32, width=16,
        blocks=3, lr=4e-4, lambda_cycle=10.0, lambda_identity=0.0, pool=50, ema=0.99,
    )
    circles, squares = (data.shapes(kind, options.count, options.size) for kind in ("circles", "squares"))
    held_out = {"ab": data.shapes("circles", 200, options.size, "test"),
                "ba": data.shapes("squares", 200, options.size, "test")}
    generators = [models.ResnetGenerator(1, 1, options.width, options.blocks) for _ in range(2)]
    judges = [models.PatchDiscriminator(1, options.width, models.layers_for(options.size)) for _ in range(2)]
    trainer = trainers.CycleGAN(
        *generators, *judges, lr=options.lr, lambda_cycle=options.lambda_cycle,
        lambda_identity=options.lambda_identity, pool=options.pool, ema=options.ema, seed=options.seed)
    batches = data.Unpaired(circles, squares, batch_size=options.batch_size, seed=options.seed).to(options.device)

    def sheet():
        rows = []
        for way, shapes in held_out.items():
            given = run.scaled(shapes.images[:SHOWN])
            there = trainer.translate(given, way)
            rows += [given, there, trainer.translate(there, way[::-1])]
        return lambda: report.rows(*rows)

    reals = report.rows(*(run.scaled(shapes.images[:SHOWN]) for shapes in (circles, squares)))
    folder = run.fit(trainer, batches, options, circles, squares, reals=reals, sheet=sheet)
    scores = {}
    for way, shapes in held_out.items():
        partner, drawn = shapes.partner(), np.clip(trainer.translate(run.scaled(shapes.images), way), -1, 1)
        scores[f"{shapes.kind} to {partner.kind}"] = iou(drawn, partner.images)
        print(f"{shapes.kind} to {partner.kind}, held out: IoU {iou(drawn, partner.images):.3f} "
              f"({iou(shapes.images, partner.images):.3f} as they were given)")
    write_atomically(folder / "scores.json", (json.dumps(scores, indent=2) + "\n").encode())


if __name__ == "__main__":
    run.main(main)
