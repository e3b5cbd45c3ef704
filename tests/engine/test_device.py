"""Devices without a GPU: with fake CuPy modules, errors name what is missing; commands end with one sentence."""

import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import OPERATIONS, Tensor, ops
from minigan.commands.gradcheck import main
from minigan.engine import PRIMITIVES, device
from minigan.errors import DeviceError


def cupy(get_device_count):
    """A fake cupy module that reports only the number of devices."""
    runtime = types.SimpleNamespace(getDeviceCount=get_device_count)
    old = lambda index: types.SimpleNamespace(compute_capability="61")
    return types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime, Device=old))


def fails(message):
    def get_device_count():
        raise RuntimeError(message)

    return get_device_count


SITUATIONS = {  # sys.modules["cupy"] (None makes the import fail), and the pattern of the message
    "no CuPy": (None, ["a GPU needs CuPy", 'pip install "minigan[cuda13]"']),
    "no driver": (cupy(fails("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime")),
                  ["driver does not answer", "cudaErrorInsufficientDriver", "install or update it", "nvidia-smi"]),
    "no GPU": (cupy(fails("cudaErrorNoDevice: no CUDA-capable device is detected")),
               ["no CUDA GPU", "`--device cpu`"]),
    "zero GPUs": (cupy(lambda: 0), ["no CUDA GPU", "`--device cpu`"]),
    "too old": (cupy(lambda: 1), ["compute capability is 6.1", "need 7.5", "`--device cpu`"]),
}


@pytest.fixture(params=SITUATIONS)
def situation(request, monkeypatch):
    module, words = SITUATIONS[request.param]
    monkeypatch.setitem(sys.modules, "cupy", module)
    return words


@pytest.mark.parametrize("choose", [mg.set_device, device.resolve], ids=["set_device", "resolve"])
@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_what_is_missing(situation, choose, name):
    with pytest.raises(DeviceError) as caught:
        choose(name)
    message = str(caught.value)
    assert message.startswith(f"device {name}: ")
    assert not [word for word in situation if word not in message], message
    assert device.default() == "cpu"


def test_auto_falls_back_to_the_cpu_and_says_why(situation):
    assert mg.set_device("auto") == "cpu"
    assert situation[0] in mg.device_info()


def test_the_sentences_differ(monkeypatch):
    sentences = set()
    for module, _ in SITUATIONS.values():
        monkeypatch.setitem(sys.modules, "cupy", module)
        sentences.add(device.why_no_cuda())
    assert len(sentences) == 4  # no device and zero devices have one message


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cupy(lambda: 2))
    with pytest.raises(DeviceError, match="there are 2 CUDA devices, numbered from 0"):
        device.resolve("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "CPU", "", None, 0])
def test_names_that_are_none(name):
    with pytest.raises(DeviceError, match="is not one of 'auto', 'cpu', 'cuda', 'cuda:0'"):
        mg.set_device(name)


def test_the_cpu_is_always_there():
    assert mg.set_device("cpu") == device.resolve("cpu") == "cpu"
    assert mg.tensor([1.0], device="cpu").device == "cpu"
    x = mg.tensor([1.0])
    assert x.to("cpu") is x
    assert mg.device_info().startswith("cpu: ")
    with pytest.raises(DeviceError):
        mg.tensor([1.0], device="cuda:99")


class Elsewhere:
    """A fake GPU array, with the attributes that the engine reads before it computes."""

    def __init__(self, shape, index=0):
        self.shape, self.ndim, self.dtype = shape, len(shape), np.dtype(np.float32)
        self.device = types.SimpleNamespace(id=index)


@pytest.mark.parametrize("f", [ops.add, ops.matmul, ops.maximum, lambda a, b: ops.concat([a, b])],
                         ids=["add", "matmul", "maximum", "concat"])
def test_two_devices_do_not_mix(f):
    here, there = mg.tensor(np.ones((2, 2), np.float32)), Tensor(Elsewhere((2, 2)))
    with pytest.raises(DeviceError, match=r"one tensor is on cpu, another on cuda:0; move one with \.to\(device\)"):
        f(here, there)
    with pytest.raises(DeviceError, match="one tensor is on cuda:0, another on cpu"):
        f(there, here)


def test_two_gpus_do_not_mix():
    with pytest.raises(DeviceError, match="one tensor is on cuda:0, another on cuda:1"):
        ops.add(Tensor(Elsewhere((2,), 0)), Tensor(Elsewhere((2,), 1)))


# ---- python -m minigan.gradcheck ----
def test_gradcheck_passes_and_prints_a_row_per_operation(capsys):
    assert main(["tanh", "add", "mul"]) == 0
    head, *rows, total = capsys.readouterr().out.splitlines()
    assert head.split() == ["operation", "samples", "first", "second", "linear", "time"]
    assert [row.split()[0] for row in rows] == ["tanh", "add", "mul"]
    assert all(row.endswith("pass") for row in rows)
    assert total.startswith("3 passed, 0 failed; 9 samples")


def test_gradcheck_fails_with_both_numbers(capsys, monkeypatch):
    monkeypatch.setitem(PRIMITIVES["tanh"].rules, "x", lambda gy, y, x: gy * (1 - y))
    assert main(["exp", "tanh"]) == 1
    out = capsys.readouterr().out
    assert "FAIL  GradientError: input 0, element (" in out
    assert "the vjp gives" in out
    assert "1 passed, 1 failed" in out


def test_gradcheck_fails_on_an_empty_table_and_on_a_crash(capsys, monkeypatch):
    monkeypatch.setattr(OPERATIONS["exp"], "samples", lambda rng: [])
    monkeypatch.setitem(PRIMITIVES["tanh"].rules, "x", lambda gy, y, x: 1 / 0)
    assert main(["exp", "tanh"]) == 1
    out = capsys.readouterr().out
    assert "exp: its table of samples is empty" in out
    assert "ZeroDivisionError" in out


def test_gradcheck_of_an_unknown_operation(capsys):
    with pytest.raises(SystemExit) as end:
        main(["tanh", "tahn"])
    assert end.value.code == 2
    assert "no operation is called tahn; there are: abs, add," in capsys.readouterr().err


def test_gradcheck_on_a_missing_device(situation, capsys):
    with pytest.raises(SystemExit) as end:
        main(["tanh", "--device", "cuda"])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert all(word in " ".join(error.split()) for word in situation)
    assert "Traceback" not in error


@pytest.mark.parametrize("arguments, status", [(["exp"], 0), (["nonsense"], 2), (["exp", "--device", "tpu"], 2)])
def test_gradcheck_as_a_command(arguments, status):
    done = subprocess.run([sys.executable, "-W", "error", "-m", "minigan.gradcheck", *arguments], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


# ---- memory, compilers ----
def test_out_of_memory_names_shapes_and_the_largest_tensors(monkeypatch):
    def full(x):
        raise MemoryError("Unable to allocate 3 GiB")

    big = mg.tensor(np.zeros((123, 457), np.float32))
    monkeypatch.setattr(PRIMITIVES["tanh"], "function", full)
    with pytest.raises(DeviceError, match=r"tanh: out of memory, arguments of shapes \(123, 457\): Unable to allocate"
                                          r".*largest of \d+ tensors: .*\(\d.*MiB.*smaller batch") as caught:
        ops.tanh(big)
    assert "(123, 457) float32" in str(caught.value) or "MiB" in str(caught.value)


def test_emulation_without_a_compiler_says_what_to_install(monkeypatch):
    from minigan.kernels.cuda import emulated

    monkeypatch.setattr(emulated, "compiler", lambda: None)
    with pytest.raises(DeviceError, match="device emulated: it needs a C\\+\\+ compiler; install g\\+\\+"):
        mg.set_device("emulated")
    assert device.default() == "cpu"


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_emulation_is_for_linux(monkeypatch, platform):
    monkeypatch.setattr("sys.platform", platform)
    with pytest.raises(DeviceError, match="device emulated: it needs Linux, .*; use `--device cpu`"):
        mg.set_device("emulated")
    assert device.default() == "cpu"


def test_precisions_that_are_unknown_or_not_for_the_device():
    with pytest.raises(mg.errors.OptionError, match="precision: 'half' is not 'fast', 'fp32', 'bf16' or 'bf16-em"):
        device.set_precision("half")
    with pytest.raises(mg.errors.OptionError, match="'bf16' needs a GPU; on a CPU use 'fast', or 'bf16-"):
        device.set_precision("bf16")
    mg.set_device("emulated")
    with pytest.raises(mg.errors.OptionError, match="'bf16-emulated' is for a CPU, not for device emu"):
        device.set_precision("bf16-emulated")
    assert device.set_precision("tf32") == "fast"
    mg.set_device("cpu")
    assert device.set_precision("bf16-emulated") == "bf16-emulated"
    with pytest.raises(mg.errors.OptionError, match="'bf16-emulated' is for a CPU, not for device emulated"):
        mg.set_device("emulated")
    assert device.default() == "cpu"


@pytest.mark.parametrize("arguments, sentence", [
    (["--device", "cpu", "--precision", "bf16"], "precision: 'bf16' needs a GPU; on a CPU use 'fast', or"),
    (["--device", "emulated", "--precision", "bf16-emulated"], "'bf16-emulated' is for a CPU, not for device emulated"),
    (["--precision", "half"], "argument --precision: invalid choice: 'half'")])
def test_the_command_line_says_so_in_one_sentence(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as end:
        mg.run.options("", arguments, name="x")
    assert end.value.code == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert sentence in line and device.default() in ("cpu", "emulated")


def test_networks_that_measure_are_not_rounded():
    """In the context nothing is, afterwards all is again, also after an error; other precisions stay."""
    x = np.full((1, 2, 3, 3), 1.0078125, np.float32)  # bf16
    for precision, inside in (("bf16-emulated", "fast"), ("fp32", "fp32")):
        device.set_precision(precision)
        with pytest.raises(KeyError), device.float32_stored():
            assert mg.kernels.get_precision() == inside
            np.testing.assert_array_equal(mg.kernels.leaky_relu(-x, 0.3), -x * np.float32(0.3))
            raise KeyError
        assert mg.kernels.get_precision() == precision
    device.set_precision("bf16-emulated")
    assert (mg.kernels.leaky_relu(-x, 0.3) != -x * np.float32(0.3)).all()


def test_the_device_line_names_numpys_own_blas(monkeypatch):
    """SciPy brings another one; which is listed first is chance."""
    site = Path(np.__file__).parents[1]
    libraries = [{"user_api": "openmp", "filepath": "/usr/lib/libgomp.so"}, *(
        {"user_api": "blas", "internal_api": "openblas", "version": version, "filepath": str(path)}
        for version, path in (("1", site / "scipy.libs" / "libopenblas.so"), ("2", "/usr/lib/libopenblas.so"),
                              ("3", site / "numpy.libs" / "libopenblas.so")))]
    for listed, version in ((libraries, "3"), (libraries[::-1], "3"), (libraries[:3], "2"), (libraries[:2], "1")):
        monkeypatch.setattr("threadpoolctl.threadpool_info", lambda listed=listed: listed)
        assert f"openblas {version} (" in mg.device_info()
    monkeypatch.setattr("threadpoolctl.threadpool_info", lambda: libraries[:1])
    assert "BLAS unknown" in mg.device_info()
