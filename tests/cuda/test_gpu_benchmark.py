"""What benchmarks/gpu*.py compute without a GPU: operations counted, tables, rows that are written once."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from minigan.kernels.cuda import emulated

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(autouse=True)
def _benchmarks_without_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails, as on a machine that has none
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.fixture
def recorder():
    if emulated.compiler() is None:
        pytest.skip("device emulated needs g++ (apt-get install g++)")
    import gpu_record

    return gpu_record


@pytest.mark.parametrize("layer", ["DCGAN-64 D2", "CycleGAN-128 residual", "DCGAN-64 D5"])
@pytest.mark.parametrize("product", ["conv2d", "conv_transpose2d", "conv2d_weight_grad"])
def test_operations_of_the_launches_are_those_of_the_layer(recorder, product, layer):
    from gpu_cases import LAYERS

    N, C, H, O, K, stride, padding = LAYERS[layer]
    out = (H + 2 * padding - K) // stride + 1
    counts = recorder.counted(f"{product}, {layer}")
    assert counts["gflop"] == pytest.approx(2e-9 * N * O * out * out * C * K * K)
    assert counts["gemms"] == 1


@pytest.mark.parametrize("step, most", [
    ("DCGAN-32 b64", 98), ("WGAN-GP b64", 84), *(pytest.param(*row, marks=pytest.mark.long) for row in (
        ("DCGAN-64 b128", 134), ("DCGAN-32 b64, deconv", 95), ("DCGAN-64 b128, deconv", 128),
        ("CycleGAN-128 b1", 852), ("CycleGAN-256 b1", 874)))])
def test_a_step_launches_no_more_kernels_than_it_did(recorder, step, most):
    """In a captured step, with those of CuPy, counted here. On 26 November 2026: DCGAN-32 208, CycleGAN-128 2,280."""
    assert recorder.counted(step)["launches"] <= most


def test_a_recorded_step_leaves_the_device_as_it_was(recorder):
    import minigan as mg

    before = emulated.compile
    assert recorder.counted("DCGAN-32 b64")["gemms"] > 20
    assert emulated.compile is before and mg.device.default() == "cpu"


def test_rows_are_kept_and_found_again(tmp_path):
    from gpu import Results

    results = Results(tmp_path)
    results.add("steps", "DCGAN", {"ours": "1.0", "failed": "PyTorch: no"}, ms={"ours": [1, 1, 1]})
    results.add("steps", "WGAN", {"ours": "2.0", "peer": "3.0"})
    again = Results(tmp_path)
    assert again.find("steps", "DCGAN")["ms"] == {"ours": [1, 1, 1]} and again.find("steps", "GAN") is None
    table = (tmp_path / "gpu.md").read_text().splitlines()
    assert table[-4:] == ["| | ours | peer | failed |", "|---|---|---|---|", "| DCGAN | 1.0 |  | PyTorch: no |",
                          "| WGAN | 2.0 | 3.0 |  |"]
    assert len([json.loads(line) for line in (tmp_path / "gpu.jsonl").read_text().splitlines()]) == 2


def test_a_row_that_fails_costs_only_itself(tmp_path, monkeypatch, capsys):
    import contextlib
    import time

    import gpu
    import gpu_sections

    def rows(*_):
        yield "bad", lambda: 1 / 0
        yield "good", lambda: [("good", {"ms": "1"}, {})]

    monkeypatch.setitem(gpu_sections.SECTIONS, "planted", rows)
    device = SimpleNamespace(shared_stream=contextlib.nullcontext, synchronize=lambda: None, free=lambda: None)
    results = gpu.Results(tmp_path)
    gpu.run("planted", device, results, time.time() + 60)
    assert [row["name"] for row in results.rows] == ["bad", "good"]
    assert results.find("planted", "bad")["cells"]["failed"].startswith("ZeroDivisionError")
    gpu.run("planted", device, results, time.time() + 60)
    assert len(results.rows) == 2
    gpu.run("planted", device, gpu.Results(tmp_path / "late"), time.time() - 1)
    assert "no time left" in capsys.readouterr().out


def test_a_trace_by_kernel():
    from gpu_sections import by_kernel

    event = {"cat": "kernel", "args": {"grid": [8, 1, 1], "block": [128, 1, 1]}}
    events = [{**event, "name": "gemm(float*)", "ts": 10.0 * i, "dur": 5.0} for i in range(4)]
    events += [{**event, "name": "fold", "ts": 100.0, "dur": 2.0}, {"cat": "cpu_op", "name": "x", "ts": 0, "dur": 9}]
    whole, gemm, fold = by_kernel("step", events, 2)
    assert whole[1] == {"launches": "2", "us in a step": "11", "us from first to last": "51"}
    assert gemm[0] == "step: gemm [8, 1, 1] [128, 1, 1]"
    assert gemm[1] == {"launches": "2", "us in a step": "10.0", "us each": "5.0"}
    assert fold[1]["us in a step"] == "1.0"
    assert by_kernel("step", [], 2)[0][1]["launches"] == "0"


def test_a_table_of_the_profilers_output(tmp_path):
    from gpu_profile import table

    head = ["ID", "Kernel Name", "gpu__time_duration.sum", "sm__throughput.avg.pct_of_peak_sustained_elapsed",
            "smsp__average_warps_issue_stalled_barrier_per_issue_active.ratio",
            "smsp__average_warps_issue_stalled_math_pipe_throttle_per_issue_active.ratio"]
    rows = [head, ["", "", "us", "%", "", ""], ["0", "gemm", "1,234.5", "40.5", "0.5", "2.25"]]
    (tmp_path / "ncu.csv").write_text("==PROF== Connected\n" + "\n".join(
        ",".join(f'"{cell}"' for cell in row) for row in rows))
    text = table(tmp_path / "ncu.csv").splitlines()[-1]
    assert "| gemm | 1,234.5 |" in text and "40.5" in text
    assert text.endswith("| math_pipe_throttle 2.2, barrier 0.5 |")
    (tmp_path / "ncu.csv").write_text("==ERROR== no permission")
    assert "no permission" in table(tmp_path / "ncu.csv")


def test_a_row_whose_time_is_over_keeps_what_was_measured():
    """The first system was timed once when the second one's turn was cut short."""
    import gpu_clock

    class Slow:
        def __init__(self):
            self.calls = 0

        def elapsed(self, step, count):
            self.calls += 1
            if self.calls == 4:
                raise TimeoutError("took longer than 1 s")
            return step()

        def synchronize(self):
            pass

    times, failed = gpu_clock.in_turns(Slow(), {"fast": lambda: lambda: 2.0, "slow": lambda: lambda: 3.0})
    assert times == {"fast": [2.0, 2.0, 2.0], "slow": [3.0, 3.0, 3.0]}
    assert failed == {"turns": "TimeoutError: took longer than 1 s"}


def test_no_further_system_is_built_when_the_time_is_over():
    """Its alarm has rung: nothing would stop the next system from taking as long as it likes."""
    import gpu_clock

    def slow():
        raise TimeoutError("took longer than 1 s")

    def late():
        raise AssertionError("built after the row's time was over")

    device = SimpleNamespace(elapsed=lambda step, count: step(), synchronize=lambda: None)
    times, failed = gpu_clock.in_turns(device, {"ours": lambda: lambda: 2.0, "slow": lambda: slow(), "late": late})
    assert times == {"ours": [2.0, 2.0, 2.0]}
    assert failed == {"slow": "TimeoutError: took longer than 1 s"}


def test_work_that_the_events_do_not_see_is_no_time(monkeypatch):
    """A device that is still busy after the last event ran something on a stream without events."""
    import gpu_clock

    class Device:
        now = pending = 0.0  # seconds

        def elapsed(self, step, count):
            self.pending = step() * count
            return 0.01

        def synchronize(self):
            self.now, self.pending = self.now + self.pending, 0.0

    monkeypatch.setattr(gpu_clock, "time", SimpleNamespace(perf_counter=lambda: device.now))
    device = Device()
    times, failed = gpu_clock.in_turns(device, {"seen": lambda: lambda: 0, "hidden": lambda: lambda: 0.01})
    assert set(times) == {"seen"}
    assert failed["hidden"].startswith("HiddenWorkError: events saw 0.0 ms, then the GPU went on for 20.0 ms")


@pytest.mark.parametrize("pointer", [0, 0x7F00])
def test_pytorch_shares_cupys_stream_even_the_null_stream(monkeypatch, pointer):
    """PyTorch's ExternalStream(0) is a stream of its own (pytorch/pytorch#182960), as the stand-in's is."""
    import gpu_clock

    streams = SimpleNamespace(
        ExternalStream=lambda handle: SimpleNamespace(cuda_stream=handle or 0xBAD), stream=lambda stream: stream,
        default_stream=lambda: SimpleNamespace(cuda_stream=0))
    monkeypatch.setattr(gpu_clock, "torch", SimpleNamespace(cuda=streams))
    gpu = object.__new__(gpu_clock.Gpu)
    gpu.cupy = SimpleNamespace(cuda=SimpleNamespace(get_current_stream=lambda: SimpleNamespace(ptr=pointer)))
    assert gpu.shared_stream().cuda_stream == pointer
    streams.default_stream = streams.ExternalStream = lambda *_: SimpleNamespace(cuda_stream=0xBAD)
    with pytest.raises(RuntimeError, match="PyTorch is on stream 0xbad, CuPy and its events on"):
        gpu.shared_stream()


def test_our_steps_are_measured_before_any_peer_is_built(monkeypatch):
    """Every step of the table has a row of its own, which calls nothing of PyTorch's."""
    import gpu_sections

    monkeypatch.setattr(gpu_sections, "captured", lambda step: step)
    monkeypatch.setattr(gpu_sections.gpu_cases, "build", lambda name: lambda: 3.0)
    device = SimpleNamespace(elapsed=lambda step, count: step(), synchronize=lambda: None)
    rows = {name: measure() for name, measure in gpu_sections.SECTIONS["ours"](device, None)}
    assert list(rows) == list(gpu_sections.STEPS)
    assert rows["WGAN-GP b64"] == [("WGAN-GP b64", {"ours, graph": "3.000"}, {
        "ms": {"ours, graph": [3.0, 3.0, 3.0]}, "failed": {}})]


def test_the_profilers_tensor_column_is_the_whole_pipe(tmp_path):
    """Its metrics of double precision and of mma.sync, which come first, are not taken for it."""
    from gpu_profile import table

    head = ["ID", "Kernel Name", "sm__inst_executed_pipe_tensor_op_dmma.avg.pct_of_peak_sustained_active",
            "sm__inst_executed_pipe_tensor_op_hmma.avg.pct_of_peak_sustained_active",
            "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_elapsed", "launch__waves_per_multiprocessor"]
    (tmp_path / "ncu.csv").write_text("\n".join(
        ",".join(f'"{cell}"' for cell in row) for row in [head, ["0", "gemm", "0", "0.9", "22.71", "0.48"]]))
    text = table(tmp_path / "ncu.csv").splitlines()
    columns, cells = ([cell.strip() for cell in text[i].split("|")] for i in (0, 2))
    assert cells[columns.index("tensor %")] == "22.71" and cells[columns.index("waves")] == "0.48"
