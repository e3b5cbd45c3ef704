"""Timing on a GPU: CUDA events, graphs, PyTorch on our stream; and the same interface for a rehearsal without a GPU."""

import contextlib
import gc
import statistics
import time

import gpu_cases

import minigan as mg

try:
    import torch
except ImportError:
    torch = None

TURNS = 9  # of every system; the median counts
TURN = 0.03  # seconds
SLACK = 5  # milliseconds for which the GPU may go on after the last event
CALLS = 20  # of a kernel in one graph; its arrays are in the L2 cache where they fit, as they are in a training step


class Gpu:
    """The real one, by CuPy and PyTorch."""

    device, torch_device = "cuda", "cuda"

    def __init__(self):
        import cupy

        self.cupy = cupy
        mg.set_device(self.device)

    def elapsed(self, step, count):
        """Milliseconds per call of `count` calls in a row, by events on the stream the caller uses."""
        start, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        start.record()
        for _ in range(count):
            step()
        end.record()
        end.synchronize()
        return self.cupy.cuda.get_elapsed_time(start, end) / count

    def synchronize(self):
        """Wait for all work of all streams."""
        self.cupy.cuda.runtime.deviceSynchronize()

    def free(self):
        """Give back what earlier rows have left in the pools."""
        gc.collect()
        self.cupy.get_default_memory_pool().free_all_blocks()
        if torch is not None:
            torch.cuda.empty_cache()

    def shared_stream(self):
        """PyTorch on the stream CuPy uses, so that the same events time both.

        Not by torch.cuda.ExternalStream: for the null stream, CuPy's default, it gives another stream, for which CuPy's
        events do not wait (pytorch/pytorch#182960).
        """
        if torch is None:
            return contextlib.nullcontext()
        pointer = self.cupy.cuda.get_current_stream().ptr
        stream = torch.cuda.ExternalStream(pointer) if pointer else torch.cuda.default_stream()
        if stream.cuda_stream != pointer:
            raise RuntimeError(f"PyTorch is on stream {stream.cuda_stream:#x}, CuPy and its events on {pointer:#x}")
        return torch.cuda.stream(stream)

    def torch_graph(self, step, calls=1):
        """`calls` calls of a function of PyTorch's as one CUDA graph."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(calls):
                kept = step()

        def replay(kept=(step, kept)):  # the graph reads their memory, which cuDNN's search would give back to CUDA
            graph.replay()

        return replay

    def profiled(self, step):
        """Call a step so that a profiler started with --profile-from-start off sees it, and nothing else."""
        self.cupy.cuda.runtime.profilerStart()
        step()
        self.synchronize()
        self.cupy.cuda.runtime.profilerStop()

    def to_torch(self, array):
        """A tensor of PyTorch's that shares an array's memory, or a copy of it."""
        try:
            return torch.from_dlpack(array)
        except Exception as error:
            print(f"dlpack: {line_about(error)}; copied by way of the host", flush=True)
            return torch.from_numpy(self.cupy.asnumpy(array)).cuda()


class Rehearsal(Gpu):
    """The emulated device, the host's clock, PyTorch on the CPU: to see every line run once."""

    device, torch_device = "emulated", "cpu"

    def __init__(self):
        mg.set_device(self.device)

    def elapsed(self, step, count):
        """Milliseconds per call, by the host's clock."""
        start = time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - start) / count * 1e3

    def synchronize(self):
        """Nothing is under way here."""

    def free(self):
        """There are no pools."""

    def shared_stream(self):
        """There are no streams."""
        return contextlib.nullcontext()

    def torch_graph(self, step, calls=1):
        """There are no graphs."""
        return lambda: [step() for _ in range(calls)]

    def profiled(self, step):
        """There is no profiler."""
        step()

    def to_torch(self, array):
        """A copy."""
        return torch.from_numpy(array.get())


def clock():
    """The device to measure on: a GPU, or the rehearsal's if GPU_REHEARSAL is set."""
    return Rehearsal() if gpu_cases.REHEARSAL else Gpu()


def captured(step, calls=1, **options):
    """`calls` calls of a function of ours as one CUDA graph, ready to be launched; raises if it cannot become one.

    options are those of mg.capture.
    """
    def several():
        for _ in range(calls):
            step()  # its output goes back to the graph's own memory

    graph = mg.capture(step if calls == 1 else several, **options)
    for _ in range(4):  # two plain calls, the capture, a launch
        graph()
    if graph.refused:
        raise RuntimeError(graph.refused)
    return graph


def in_turns(gpu, systems):
    """({name: [median, min, max] milliseconds per call}, {name: failure}) of systems {name: function that builds one}.

    They take turns, so that a change of the GPU's clock affects all of them. A system that cannot be built or run is
    reported and does not stop the others. When the row's time is over, what was measured until then is returned: at
    least the first calls of every system that was built, ours before the peers.
    """
    steps, counts, first, times, failed = {}, {}, {}, {}, {}
    turns, turn = (2, 0) if gpu_cases.REHEARSAL else (TURNS, TURN)
    for name, make in systems.items():
        try:
            step = make()
            for _ in range(2):
                step()
            gpu.synchronize()
            start = time.perf_counter()
            first[name] = timed(gpu, step, 2)
            longest = max(first[name], (time.perf_counter() - start) / 2 * 1e3)  # whatever the events have missed
            counts[name] = max(1, int(turn * 1e3 / max(1e-3, longest)))
            steps[name], times[name] = step, []
        except TimeoutError as error:  # the row's time is over: no further system is built
            failed[name] = line_about(error)
            turns = 0
            break
        except Exception as error:
            failed[name] = line_about(error)
            gpu.synchronize()  # raises if the GPU is lost, which no other system would survive
    try:
        for _ in range(turns):
            for name in [name for name in steps if name not in failed]:
                gpu.synchronize()
                try:
                    times[name].append(timed(gpu, steps[name], counts[name]))
                except HiddenWorkError as error:
                    failed[name] = line_about(error)
    except TimeoutError as error:
        failed["turns"] = line_about(error)
    rows = {name: row or [first[name]] for name, row in times.items() if name not in failed}
    return {name: [statistics.median(row), min(row), max(row)] for name, row in rows.items()}, failed


class HiddenWorkError(RuntimeError):
    """Work on the GPU that the events around it did not see."""


def timed(gpu, step, count):
    """gpu.elapsed; HiddenWorkError if the GPU was busy for long after the last event: its work is on another stream."""
    ms = gpu.elapsed(step, count)
    end = time.perf_counter()
    gpu.synchronize()
    after = (time.perf_counter() - end) * 1e3
    if after > SLACK:
        raise HiddenWorkError(f"events saw {ms * count:.1f} ms, then the GPU went on for {after:.1f} ms")
    return ms


def line_about(error):
    """An exception's type and the first line of its message."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:160]}"
