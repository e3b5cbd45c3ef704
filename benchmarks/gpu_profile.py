"""A training step for Nsight Compute to look into, and a table of what it saw.

    ncu --profile-from-start off --clock-control none -k regex:gemm --csv --page raw --log-file ncu.csv \\
        --section SpeedOfLight --section WarpStateStats --section LaunchStats python benchmarks/gpu_profile.py
    python benchmarks/gpu_profile.py --table ncu.csv
"""

import argparse
import csv
import io
import sys
from pathlib import Path

COLUMNS = {  # what to show, by the beginning of the metric's name; the first that is there
    "us": ("gpu__time_duration.sum",),
    "grid": ("launch__grid_size", "Grid Size"),
    "regs": ("launch__registers_per_thread",),
    "warps %": ("sm__warps_active.avg.pct_of_peak_sustained_active",),
    "SM %": ("sm__throughput.avg.pct",),
    "tensor %": ("sm__pipe_tensor_cycles_active.avg.pct", "sm__inst_executed_pipe_tensor_op_hmma.avg.pct"),
    "ALU %": ("sm__inst_executed_pipe_alu.avg.pct_of_peak_sustained_elapsed",),
    "waves": ("launch__waves_per_multiprocessor",),
    "DRAM %": ("gpu__dram_throughput.avg.pct", "dram__throughput.avg.pct"),
    "L2 %": ("lts__throughput.avg.pct",),
    "L1 %": ("l1tex__throughput.avg.pct",),
    "issue %": ("smsp__issue_active.avg.pct", "sm__inst_issued.avg.pct"),
    "bank conflicts": ("l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum", "l1tex__data_bank_conflicts_pipe_lsu"),
}
STALL, STALL_END = "smsp__average_warps_issue_stalled_", "_per_issue_active.ratio"


def profile(case):
    """Two plain steps to warm up, and one for the profiler."""
    import gpu_cases
    from gpu_clock import clock

    gpu = clock()
    step = gpu_cases.build(case)
    for _ in range(2):
        step()
    gpu.synchronize()
    gpu.profiled(step)


def table(path):
    """Markdown: one row per launch, with its three largest stalls in cycles per instruction issued."""
    lines = path.read_text(errors="replace").splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith('"ID"')), None)
    if start is None:
        return "\n".join(["no table in what ncu wrote:", *lines[-20:]])
    rows = list(csv.DictReader(io.StringIO("\n".join(lines[start:]))))
    rows = [row for row in rows if (row["ID"] or "").isdigit()]  # the line below the head holds units
    head = list((rows or [{}])[0])
    names = {label: next((key for begin in begins for key in head if key.startswith(begin)), None)
             for label, begins in COLUMNS.items()}
    text = ["| kernel | " + " | ".join([*COLUMNS, "stalls"]) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    for row in rows:
        stalls = sorted(((float(value.replace(",", "")), key.removeprefix(STALL).removesuffix(STALL_END))
                         for key, value in row.items() if key.startswith(STALL) and key.endswith(STALL_END) and value
                         and "not_issued" not in key), reverse=True)[:3]
        text.append(f"| {row.get('Kernel Name', '')[:12]} | " + " | ".join(row.get(names[c]) or "" for c in COLUMNS)
                    + " | " + ", ".join(f"{name} {value:.1f}" for value, name in stalls) + " |")
    return "\n".join(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", default="DCGAN-64 b128", help="a step of gpu_cases.py (%(default)s)")
    parser.add_argument("--table", type=Path, help="what ncu wrote: print a table of it, run nothing")
    options = parser.parse_args()
    if options.table:
        print(table(options.table))
    else:
        profile(options.case)


if __name__ == "__main__":
    sys.exit(main())
