"""An example script as users write it, with tiny networks: `mpiexec -n 2 python training.py --distributed ...`.

--fault KIND:RANK:STEP  what goes wrong in the middle of a step, on one rank:
    raise, kill, nan, interrupt    an error, kill -9, a loss of NaN, Ctrl-C        drift    other weights
or before the first step, at any STEP:
    data, version                  other images, another version of minigan
"""

import os
import signal

import numpy as np
import programs
from programs import made, pictures

from minigan import data, run
from minigan.engine import distributed
from minigan.run import folder, option


def struck(trainer, kind, step):
    """Let the fault happen in this step of this process."""
    update, struck_once = trainer.update, []

    def faulty(batch, plan=None):
        metrics = update(batch, plan)
        if trainer.steps + 1 == step and not struck_once:
            struck_once.append(step)
            if kind == "raise":
                raise ValueError("a fault of this rank alone")
            if kind in ("kill", "interrupt"):
                os.kill(os.getpid(), signal.SIGKILL if kind == "kill" else signal.SIGINT)
            if kind == "nan":
                metrics = {name: value * np.nan for name, value in metrics.items()}
            if kind == "drift":
                trainer.networks["discriminator"].parameters()[0].writable()[...] += 1
        return metrics

    trainer.update = faulty


def main() -> None:
    options = run.options(__doc__, name="ranks", batch_size=8, trainer=option("gan", "see programs.CASES"),
                          fault=option("", "see above"), dtype=option("float32", "of the networks"))
    kind, rank, step = (options.fault or ":-1:0").split(":")
    mine = distributed.world().rank == int(rank)
    programs.BATCH = options.batch_size
    trainer, batches = made(options.trainer, options.dtype)
    batches.to(options.device)
    images = data.ImageData(pictures(24, 9 if mine and kind == "data" else 0), np.zeros(0), "noise", "24 images")
    if mine and kind == "version":
        folder._version = lambda: "0.0.7"
    elif mine:
        struck(trainer, kind, int(step))
    grid = np.zeros((8, 8), np.uint8)
    run.fit(trainer, batches, options, images, reals=grid, sheet=lambda: lambda: grid)
    print("after the run: rank", distributed.world().rank)


if __name__ == "__main__":
    run.main(main)
