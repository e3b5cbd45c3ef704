"""Systems measured in turns: shared by all benchmarks of this folder.

Each system runs in its own worker process. The systems take turns of about a second, so a change in the machine's speed
affects all of them. The result is the ratio ours / theirs, turn by turn. A script calls `serve` in its workers and
`measure` in the parent:

    parent -> worker    a case's name    build it, warm up       -> {"info", "values", "peak_mb"} or {"skip": why}
                        an empty line    run a turn of steps     -> {"times", "others"}: ms per step, cores of others

`values` are the numbers that the first two steps return: systems whose values differ do not do the same work. The
second step's values depend on every gradient of the first. They may differ more: Adam's first step is lr sign(g), which
turns a rounding error into a full step where g should be 0.

Between turns a worker blocks on a pipe; OpenMP's threads spin only for some milliseconds after their last region. A
turn in which other programs used more than a tenth of a core is repeated: PyTorch loses far more time than they use,
because the threads of an OpenMP region wait for the slowest one, and that would be an unfair advantage for us.
"""

import contextlib
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

WARMUP = 3
TOLERANCES = (1e-3, 1e-2)  # of the first and the second step
QUIET, RETRIES, PAUSE = 0.1, 5, 2.0  # cores that others may use in a turn; else the retries, seconds before each
OURS = "minigan"


class SkipError(Exception):
    """The reason why a system cannot do a case, in one sentence."""


# ---- in the worker ----
def serve(prepare, steps=None, seconds=1.0):
    """Answer the parent. prepare(case) returns a step and a line about it; a turn takes `steps` steps, or `seconds`."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keeps what libraries print out of the replies
    step = None
    for line in sys.stdin:
        if line.strip():
            reply, step, count = _prepare(prepare, line.strip(), steps, seconds)
        else:
            start, before = time.perf_counter(), _others()
            times = [_timed(step)[0] for _ in range(count)]
            reply = {"times": times, "others": (_others() - before) / (time.perf_counter() - start)}
        print(json.dumps(reply), file=replies, flush=True)


def _prepare(prepare, case, steps, seconds):
    """The first reply to a case, its step, and how many of them make a turn."""
    try:
        step, info = prepare(case)
        times, values = zip(*(_timed(step) for _ in range(WARMUP)), strict=True)
    except ImportError as error:
        return {"skip": f"{error.name or error} is not installed."}, None, 0
    except Exception as error:
        return {"skip": str(error) if isinstance(error, SkipError) else f"{type(error).__name__}: {error}"}, None, 0
    values = [[float(value) for value in row] for row in values[:len(TOLERANCES)]]
    return {"info": info, "values": values, "peak_mb": _peak()}, step, steps or max(1, round(1e3 * seconds / times[-1]))


def _peak():
    """Peak resident memory of this process so far, MiB."""
    try:
        with open("/proc/self/status") as file:  # not ru_maxrss: that starts at the parent's memory when it forked
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _others():
    """Seconds of processor time that other programs and other virtual machines have used so far."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    except OSError:  # not Linux: unknown
        return 0.0
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK") - time.process_time()


def _timed(step):
    start = time.perf_counter()
    value = step()
    return 1e3 * (time.perf_counter() - start), value


# ---- in the parent ----
class Worker:
    """A process that serves one system."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)

    def ask(self, line=""):
        """Send a line and wait for the reply."""
        with contextlib.suppress(BrokenPipeError):
            print(line, file=self.process.stdin, flush=True)
        reply = self.process.stdout.readline()
        return json.loads(reply) if reply else {"skip": f"its process ended with status {self.process.wait()}."}

    def turn(self):
        """The times of one turn."""
        reply = self.ask()
        if "times" not in reply:
            raise RuntimeError(f"{' '.join(self.process.args)}: {reply['skip']}")
        return reply

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def measure(workers, case, rounds, retries=RETRIES):
    """Let the systems, {name: Worker}, take turns at a case; returns what `table` prints, ready for JSON."""
    systems, skipped = {}, {}
    for name, worker in workers.items():  # one after another: a system that builds would disturb one that warms up
        reply = worker.ask(case)
        if "skip" in reply:
            skipped[name] = reply["skip"]
        else:
            systems[name] = {**reply, "turns": [], "others": []}
    for _ in range(rounds):
        for name, system in systems.items():
            reply = workers[name].turn()
            for _ in range(retries):
                if reply["others"] > QUIET:
                    time.sleep(PAUSE)
                    reply = workers[name].turn()
            system["turns"].append(statistics.median(reply["times"]))
            system["others"].append(reply["others"])
    ours = systems.get(OURS)
    for system in systems.values():
        system["ratios"] = [a / b for a, b in zip(ours["turns"], system["turns"], strict=True)] if ours else []
        system["differences"] = list(map(difference, ours["values"], system["values"])) if ours else []
    peers = {name: statistics.median(s["turns"]) for name, s in systems.items() if name != OURS and s["turns"]}
    return {"case": case, "systems": systems, "skipped": skipped, "fastest": min(peers, key=peers.get, default=None)}


def difference(ours, theirs):
    """Largest relative difference of two lists of values."""
    return max((abs(a - b) / max(1e-3, abs(a)) for a, b in zip(ours, theirs, strict=True)), default=0.0)


def table(result):
    """Markdown: times, ratios turn by turn, and skipped systems."""
    lines = [f"{name}: {system['info']}" for name, system in result["systems"].items()]
    lines += [f"{name}: skipped, {why}" for name, why in result["skipped"].items()]
    lines += ["", "| system | ms: min | median | max | ours / this: min | median | max | values differ by |",
              "|---|---|---|---|---|---|---|---|"]
    for name, system in result["systems"].items():
        apart = ", ".join(f"{d:.0e}" for d in system["differences"])
        lines.append(f"| {name} | {_spread(system['turns'], '.1f')} | {_spread(system['ratios'], '.2f')} | {apart} |")
    if result["fastest"] and OURS in result["systems"]:
        ratios = _spread(result["systems"][result["fastest"]]["ratios"], ".2f")
        lines.append(f"| **ours / fastest peer**, {result['fastest']} | | | | {ratios} | |")
    others = [cores for system in result["systems"].values() for cores in system["others"]]
    if disturbed := sum(cores > QUIET for cores in others):
        lines += ["", f"Others used more than {QUIET} cores in {disturbed} of {len(others)} turns: measure again."]
    return "\n".join(lines)


def versus(result):
    """Cells: our median, the fastest peer, its median, the ratio's minimum, median and maximum."""
    systems, name = result["systems"], result["fastest"]
    ours = format(statistics.median(systems[OURS]["turns"]), ".1f")
    if name is None:
        return f"{ours} | none | | | | "
    theirs = systems[name]
    return f"{ours} | {name} | {statistics.median(theirs['turns']):.1f} | {_spread(theirs['ratios'], '.2f')}"


def _spread(numbers, form):
    """Minimum, median and maximum as three cells."""
    return " | ".join(format(f(numbers), form) if numbers else "" for f in (min, statistics.median, max))


def disagreeing(result):
    """Systems whose values differ from ours."""
    return [name for name, system in result["systems"].items()
            if not all(d <= limit for d, limit in zip(system["differences"], TOLERANCES, strict=False))]


def machine():
    """A description of the machine that the numbers were measured on."""
    import minigan

    return {"cpu": _cpu(), "cores": os.cpu_count(), "system": platform.platform(),
            "python": platform.python_version(), "minigan": minigan.__version__, "device": minigan.device_info(),
            "date": datetime.date.today().isoformat()}


def _cpu():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def save(path, results):
    """Machine and results as JSON."""
    with open(path, "w") as file:
        json.dump({"machine": machine(), "results": results}, file, indent=1)
