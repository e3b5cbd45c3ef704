"""PyTorch's side of benchmarks/gpu.py, at its best: cuDNN's own choice of algorithms, TF32, fused Adam, CUDA graphs."""

from typing import NamedTuple

import torch
import torch_twin
from torch import nn


class Way(NamedTuple):
    """How PyTorch runs a step."""

    layout: str = "channels_last"  # or "NCHW"
    graph: bool = True  # the whole step, optimisers included, as one CUDA graph
    bf16: bool = False  # autocast to bfloat16 in the networks; losses and optimisers in float32
    compiled: bool = False  # torch.compile(mode="max-autotune-no-cudagraphs"): the graph is then of the whole step
    group_norm: bool = False  # instead of nn.InstanceNorm2d: the same function by another kernel


STEP_WAYS = {
    "PyTorch graph, channels_last": Way(),
    "PyTorch graph, NCHW": Way("NCHW"),
}
EAGER_WAYS = {"PyTorch eager, channels_last": Way(graph=False)}
NORM_WAYS = {"PyTorch graph, NCHW, group norm": Way("NCHW", group_norm=True)}  # for works with instance norm
BF16_WAYS = {"PyTorch bf16 graph, channels_last": Way(bf16=True)}
COMPILED_WAYS = {"PyTorch compile graph, channels_last": Way(compiled=True)}
FORMATS = {"channels_last": torch.channels_last, "NCHW": torch.contiguous_format}


def best_settings():
    """For the whole process."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True


def step(gpu, case, way):
    """A training step of a gpu_cases.Step in PyTorch; weights are PyTorch's own and images noise, for time only."""
    best_settings()
    options, layout = case.options, FORMATS[way.layout]
    if way.compiled and case.work == "wgan_gp":
        raise RuntimeError("torch.compile does not support the double backward pass of a gradient penalty")
    torch_twin.NN.InstanceNorm2d = torch_twin.instance_norm if way.group_norm else nn.InstanceNorm2d
    trainer, nets = torch_twin.build(case.work, options)
    for net in nets.values():
        _prepare(net.to(gpu.torch_device, memory_format=layout), way, gpu)
    capturable = way.graph and gpu.torch_device == "cuda"
    trainer = trainer(**nets, fused=True, capturable=capturable)
    batch = _batch(case.work, options, gpu.torch_device, layout)

    def update():
        return trainer.step(*batch)

    return gpu.torch_graph(update) if way.graph else update


def _prepare(net, way, gpu):
    """In-place rectifiers, autocast and compilation of one network."""
    for module in net.modules():
        if isinstance(module, nn.ReLU | nn.LeakyReLU):
            module.inplace = True
    if way.compiled:
        torch._inductor.config.max_autotune_conv_backends = "ATEN"  # cuDNN's; searching Triton's takes minutes
        net.compile(dynamic=False, mode="max-autotune-no-cudagraphs")
    if way.bf16:  # around each forward pass: a wider context would keep the weights of before an optimiser's step
        forward = net.forward

        def cast(*inputs):
            with torch.autocast(gpu.torch_device, torch.bfloat16):
                output = forward(*inputs)
            return output.float()

        net.forward = cast


def _batch(work, options, device, layout):
    """Inputs of a step, made on the device."""
    def image():
        shape = options.batch, options.channels, options.size, options.size
        return torch.randn(shape, device=device).tanh().to(memory_format=layout)

    latent = torch.randn(options.batch, 100, device=device)
    if work == "dcgan":
        return [image(), latent]
    if work == "wgan_gp":
        return [image(), latent, torch.rand(options.batch, 1, 1, 1, device=device)]
    return [image(), image()]


def product(name, layer, arrays, layout):
    """One of gpu_cases' three products of a layer by cuDNN, on tensors x (N, C, H, W), w (O, C, KH, KW) and g."""
    best_settings()
    x, w, g = (a.contiguous(memory_format=FORMATS[layout]) for a in arrays)
    back = torch.ops.aten.convolution_backward
    fixed = (None, (layer.stride,) * 2, (layer.padding,) * 2, (1, 1), False, (0, 0), 1)
    return {
        "conv2d": lambda: nn.functional.conv2d(x, w, None, layer.stride, layer.padding),
        "conv_transpose2d": lambda: back(g, x, w, *fixed, (True, False, False))[0],
        "conv2d_weight_grad": lambda: back(g, x, w, *fixed, (False, True, False))[1],
    }[name]


def reference(name, layer, arrays):
    """The same product in float64: what both sides' errors are measured against."""
    best_settings()
    x, w, g = (a.double().contiguous() for a in arrays)
    torch.backends.cudnn.benchmark = False  # one call is not worth a search
    if name == "conv2d":
        return nn.functional.conv2d(x, w, None, layer.stride, layer.padding)
    if name == "conv2d_weight_grad":
        return torch.nn.grad.conv2d_weight(x, w.shape, g, layer.stride, layer.padding)
    return torch.nn.grad.conv2d_input(x.shape, w, g, layer.stride, layer.padding)


def error(output, exact):
    """norm(output - exact) / norm(exact)."""
    return float((output.double() - exact).norm() / exact.norm())
