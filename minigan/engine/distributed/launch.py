"""How ranks find one another: a launcher such as mpiexec or srun starts the processes, MPI connects them."""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from minigan import kernels
from minigan.engine.distributed.world import ALONE, World, set_world, world
from minigan.errors import DistributedError, require

RANKS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")  # variables that launchers set


def rank_by_launcher() -> int:
    """This process's rank, as the launcher's variables have it, without MPI; 0 if there are none."""
    values = (os.environ.get(name, "") for name in RANKS)
    return next((int(value) for value in values if value.isdigit()), 0)


def is_launched() -> bool:
    """Whether an MPI launcher started this process."""
    return any(name in os.environ for name in RANKS)


def start(joint_norm: bool = True) -> World:
    """Join the ranks that a launcher has started together; afterwards `world()` is all of them.

    The ranks of one machine share its cores: each gets an equal number of threads, unless MINIGAN_THREADS is set. A
    second call returns the same world.

    Args:
        joint_norm: False: batch norm and minibatch statistics are those of each rank's own rows.

    Raises:
        ModuleNotFoundError: mpi4py is missing.
        DistributedError: there is no MPI library, or no launcher started this process.
    """
    if world() is ALONE:
        set_world(_joined())
        sys.excepthook = _end_all
        atexit.register(world().wait_for_end)  # MPI's own end would wait, too, but at the cost of a core
    world().joint_norm = joint_norm
    return world()


def _end_all(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An exception that nobody has caught ends all ranks: the others would wait for this one."""
    print(f"rank {world().rank} of {world().size}:", file=sys.stderr)
    sys.__excepthook__(kind, error, trace)
    world().abort(1)


def _joined() -> World:
    """The world of MPI's processes."""
    if not is_launched():
        program = Path(sys.argv[0] or "program.py")
        raise DistributedError(f"--distributed: this process was not started by mpiexec or srun; run `mpiexec -n 2 "
                               f"{Path(sys.executable).name} {program} ...`, with as many processes as you want ranks")
    mpi = load_mpi("--distributed")
    from minigan.engine.distributed.mpi import MPIWorld

    communicator = mpi.COMM_WORLD
    neighbours = communicator.Split_type(mpi.COMM_TYPE_SHARED)
    if "MINIGAN_THREADS" not in os.environ:
        kernels.set_threads(max(1, kernels.get_threads() // neighbours.Get_size()))
    return MPIWorld(communicator)


def with_gpus(ranks: World) -> World:
    """The same ranks, joined by NCCL; the device of each must be current. Collective."""
    from minigan.engine.distributed.mpi import MPIWorld
    from minigan.engine.distributed.nccl import NCCLWorld

    if type(ranks) is not MPIWorld:
        return ranks
    joined = NCCLWorld(ranks.communicator)
    joined.joint_norm = ranks.joint_norm
    set_world(joined)
    return joined


def place_on_machine(ranks: World) -> int:
    """The number of this rank among those of its machine, from 0. Collective."""
    import platform

    names = ranks.collect(platform.node())
    return names[: ranks.rank].count(names[ranks.rank])


def load_mpi(what: str) -> Any:
    """The module mpi4py.MPI; its import connects the process with the others.

    Raises:
        ModuleNotFoundError: mpi4py is missing. DistributedError: there is no MPI library.
    """
    require("mpi4py", what)
    try:
        return require("mpi4py.MPI", what)
    except (ImportError, RuntimeError) as error:
        raise DistributedError(f"{what}: mpi4py finds no MPI library ({str(error).splitlines()[0]}); run `pip install "
                               '"minigan[mpi]"`, which brings one, or load the module of your cluster\'s MPI') from None
