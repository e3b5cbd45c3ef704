"""--distributed: the ranks find one another before a run begins, and compare what it begins with.

Rank 0 speaks for all. The others print nothing, except errors that are theirs alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Mapping
from typing import Any, NoReturn

from minigan import kernels
from minigan.data.paths import printable
from minigan.engine import device, distributed
from minigan.engine.distributed import launch
from minigan.run.folder import ABOUT_NOW
from minigan.run.tuning import tune_blas

OWN = (*ABOUT_NOW, "out", "data", "device")  # options that may differ between ranks: paths, the number of a GPU


class OneSentenceParser(argparse.ArgumentParser):
    """A parser whose errors are without the usage on all ranks except the first."""

    def error(self, message: str) -> NoReturn:
        """Print the error and end the program with status 2."""
        rank = launch.rank_by_launcher()
        if rank:
            self.exit(2, f"rank {rank}: error: {message}\n")
        super().error(message)


def join(name: str, joint_norm: bool, tuned: bool) -> str:
    """Join the other ranks, and silence this one if it is not the first.

    Args:
        name: of a device; of "cuda" and "auto", each rank of a machine takes another GPU.
        joint_norm: whether batch norm uses the joint batch's statistics.
        tuned: whether the program may be restarted with other BLAS kernels, which must be before MPI starts.

    Returns:
        the device for this rank.

    Raises:
        ModuleNotFoundError, DistributedError: as distributed.start. DeviceError: there is no such device.
    """
    where = device.resolve(name)
    if launch.rank_by_launcher():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # until the program ends
        warnings.simplefilter("ignore")
    if where == "cpu" and tuned:
        tune_blas()
    place = launch.place_on_machine(distributed.start(joint_norm))
    return f"cuda:{place}" if where.startswith("cuda") and name in ("cuda", "auto") else where


def join_devices() -> None:
    """Connect the ranks' GPUs, if they have chosen some; collective. Kinds that differ are found by `check_equal`."""
    ranks = distributed.world()
    if all(ranks.collect(device.default().startswith("cuda"))):
        launch.with_gpus(ranks)


def check_equal(config: Mapping[str, Any]) -> None:
    """Compare what a run begins with between all ranks: options, versions, data, and kinds of devices.

    Raises:
        DistributedError: on all ranks: something differs; the message names it.
    """
    facts = {f"--{name.replace('_', '-')}": value for name, value in config["options"].items() if name not in OWN}
    facts |= {f"the version of {name}": value for name, value in config["versions"].items()}
    facts |= {f"the number of images in {part['name']}": part["images"] for part in config["data"]}
    facts |= {f"the checksum of {part['name']}": part["crc32"] for part in config["data"]}
    facts |= {"the kind of device": device.default().partition(":")[0], "the kernels' version": kernels.WING}
    distributed.check_same(distributed.world(), facts)


def report_failure(error: BaseException, sentence: str, status: int) -> bool:
    """Report an error that ends the program, once for all ranks that end with it; whether the caller should print it.

    If other ranks go on, they are ended too: they would wait for this one.
    """
    ranks = distributed.world()
    if ranks.size == 1:
        return True
    if distributed.is_agreed(error):
        if ranks.rank:
            ranks.wait_for_end()  # rank 0 may still be saving
        return ranks.rank == 0
    sentences = ranks.all_failed(sentence)
    if sentences is None:
        print(printable(f"rank {ranks.rank} of {ranks.size}: {sentence}"), file=sys.stderr, flush=True)
        ranks.abort(status)
    elif ranks.rank == 0:
        if len({*sentences}) == 1:
            return True
        for rank, one in enumerate(sentences):
            print(printable(f"rank {rank} of {ranks.size}: {one}"), file=sys.stderr, flush=True)
    return False
