"""One training on several processes, called ranks: each takes its rows of every batch, all take the same step.

    world.py    World: rank, size, and what ranks do together; `world()`, and `joint()` while a step runs
    mpi.py      ranks of MPI, through mpi4py                  nccl.py   their GPUs, through CuPy
    launch.py   how the ranks find one another: `mpiexec -n 2 python examples/... --distributed`
    checks.py   what must be equal on all ranks: weights, options, versions, data

The one idea: rank r of R computes the mean loss L_r of its rows of a batch, and the ranks' gradients are averaged, so
that all take the step of the joint loss (L_0 + ... + L_(R-1)) / R. Random numbers and statistics of a batch are those
of the joint batch, so one process with that batch sees the same numbers.
"""

from minigan.engine.distributed.checks import check_same, compare_weights
from minigan.engine.distributed.launch import is_launched, start
from minigan.engine.distributed.world import (
    ALONE,
    World,
    agreed,
    agreement,
    alone,
    is_agreed,
    joint,
    set_world,
    together,
    world,
)

__all__ = ["ALONE", "World", "agreed", "agreement", "alone", "check_same", "compare_weights", "is_agreed",
           "is_launched", "joint", "set_world", "start", "together", "world"]
