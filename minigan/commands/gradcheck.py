"""Check the first and second derivatives of operations against finite differences in float64."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from minigan.engine import OPERATIONS, device
from minigan.errors import DeviceError
from minigan.gradcheck import RTOL, RTOL_LINEAR, Row, check_operation


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per operation; returns 1 if one of them failed, else 0."""
    parser = argparse.ArgumentParser(prog="python -m minigan gradcheck", description=__doc__)
    parser.add_argument("operations", nargs="*", metavar="OPERATION", help="names (default: all operations)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, emulated or auto (default: %(default)s)")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.operations) - set(OPERATIONS))
    if unknown:
        parser.error(f"no operation is called {', '.join(unknown)}; there are: {', '.join(sorted(OPERATIONS))}")
    try:
        device.set_device(options.device)
    except DeviceError as error:
        parser.error(str(error))
    print(f"{'operation':20} {'samples':>7} {'first':>9} {'second':>9} {'linear':>9} {'time':>8}")
    rows = []
    for name in options.operations or OPERATIONS:
        rows.append(check_operation(OPERATIONS[name]))
        print(line(rows[-1]), flush=True)
    failed = [row.name for row in rows if row.failure]
    print(f"{len(rows) - len(failed)} passed, {len(failed)} failed; {sum(row.samples for row in rows)} samples, bounds "
          f"{RTOL:g} first and second order, {RTOL_LINEAR:g} linear and adjoint")
    return 1 if failed else 0


def line(row: Row) -> str:
    """An operation's largest errors, its time, and its failure if there was one."""
    linear = "" if row.linear is None else f"{row.linear:9.1e}"
    return (f"{row.name:20} {row.samples:7} {row.first:9.1e} {row.second:9.1e} {linear:>9} {row.seconds:7.2f}s"
            f"  {'FAIL  ' + row.failure if row.failure else 'pass'}")
