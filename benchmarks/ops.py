"""Single operations, ours and PyTorch's, measured in turns over the shapes of DCGAN-32, DCGAN-64 and CycleGAN.

    python benchmarks/ops.py                          # every operation and shape
    python benchmarks/ops.py --only conv2d --rounds 9 --json ops.json

Each row is one operation of one layer: convolutions and their two adjoints by themselves, a normalisation with its
ReLU forward and backward, up-convolution forward and backward, Adam on a whole network. The last column is our time
divided by that of the faster of PyTorch eager and PyTorch channels_last: the median of the turns.
"""

import argparse
import os
import statistics
import sys

import turns

CONVOLUTIONS = {  # layer: images, side, channels, filters, kernel, stride, padding
    "DCGAN-32 D1": (64, 32, 1, 64, 4, 2, 1),
    "DCGAN-32 D2": (64, 16, 64, 128, 4, 2, 1),
    "DCGAN-32 D3": (64, 8, 128, 256, 4, 2, 1),
    "DCGAN-64 D1": (64, 64, 3, 64, 4, 2, 1),
    "DCGAN-64 D2": (64, 32, 64, 128, 4, 2, 1),
    "DCGAN-64 D4": (64, 8, 256, 512, 4, 2, 1),
    "CycleGAN first": (1, 134, 3, 64, 7, 1, 0),
    "CycleGAN down": (1, 128, 64, 128, 3, 2, 1),
    "CycleGAN residual": (1, 34, 256, 256, 3, 1, 0),
    "CycleGAN last": (1, 134, 64, 3, 7, 1, 0),
    "CycleGAN-32 residual": (16, 10, 128, 128, 3, 1, 0),
    "PatchGAN 2": (1, 64, 64, 128, 4, 2, 1),
    "PatchGAN 4": (1, 16, 256, 512, 4, 1, 1),
}
UPCONVOLUTIONS = {  # layer: images, side, channels, filters
    "DCGAN-32 G2": (64, 4, 256, 128),
    "DCGAN-32 G3": (64, 8, 128, 64),
    "DCGAN-32 G4": (64, 16, 64, 1),
    "DCGAN-64 G2": (64, 4, 512, 256),
    "DCGAN-64 G5": (64, 32, 64, 3),
}
NORMS = {  # layer: images, side, channels, slope of the (leaky) ReLU
    "batch, DCGAN-32 D2": (64, 8, 128, 0.2),
    "batch, DCGAN-32 G3": (64, 16, 64, 0.0),
    "batch, DCGAN-64 G4": (64, 32, 64, 0.0),
    "instance, CycleGAN first": (1, 128, 64, 0.0),
    "instance, CycleGAN residual": (1, 32, 256, 0.0),
    "instance, CycleGAN-32 residual": (16, 8, 128, 0.0),
}
ADAM = {"DCGAN-32 D": 3, "DCGAN-64 D": 4}  # network: convolutions


def cases():
    """All cases, as "operation | layer"."""
    yield from (f"{op} | {layer}" for op in ("conv2d", "conv_transpose2d", "conv2d_weight_grad")
                for layer in CONVOLUTIONS)
    yield from (f"upconv2d {way} | {layer}" for way in ("forward", "backward") for layer in UPCONVOLUTIONS)
    yield from (f"norm {way} | {layer}" for way in ("forward", "backward") for layer in NORMS)
    yield from (f"adam | {network}" for network in ADAM)


def images(*shape):
    """Random numbers, (N, H, W, C) in memory, indexed (N, C, H, W)."""
    import numpy as np

    return np.random.default_rng(0).standard_normal(shape, np.float32).transpose(0, 3, 1, 2)


def adam_shapes(convolutions):
    """Shapes of the weights of a DCGAN discriminator."""
    return [(64 << i, 32 << i if i else 1, 4, 4) for i in range(convolutions)]


def ours(op, layer, threads):
    """A function that runs the operation once in minigan."""
    import minigan as mg

    mg.set_threads(threads)
    ops = mg.ops
    if op in ("conv2d", "conv_transpose2d", "conv2d_weight_grad"):
        n, side, c, o, k, s, p = CONVOLUTIONS[layer]
        out = (side + 2 * p - k) // s + 1
        x, g = mg.tensor(images(n, side, side, c)), mg.tensor(images(n, out, out, o))
        w = mg.nn.Conv2d(c, o, k).weight.detach()
        return {"conv2d": lambda: ops.conv2d(x, w, stride=s, padding=p),
                "conv_transpose2d": lambda: ops.conv_transpose2d(g, w, stride=s, padding=p, output_size=(side, side)),
                "conv2d_weight_grad": lambda: ops.conv2d_weight_grad(x, g, kernel_size=k, stride=s, padding=p)}[op]
    if op == "adam":
        import numpy as np

        parameters = [mg.nn.Parameter(np.zeros(shape, np.float32)) for shape in adam_shapes(ADAM[layer])]
        for parameter in parameters:
            parameter.grad = mg.tensor(np.ones(parameter.shape, np.float32))
        return mg.optim.Adam(parameters, 2e-4).step
    if op.startswith("upconv2d"):
        n, side, c, o = UPCONVOLUTIONS[layer]
        x = mg.tensor(images(n, side, side, c), requires_grad=True)
        inputs = [x, mg.nn.UpConv2d(c, o).weight]
        compute = lambda: ops.upconv2d(*inputs)
    else:
        n, side, c, slope = NORMS[layer]
        x = mg.tensor(images(n, side, side, c), requires_grad=True)
        norm = mg.nn.BatchNorm2d(c) if layer.startswith("batch") else mg.nn.InstanceNorm2d(c)
        inputs = [x, *norm.parameters()]
        compute = lambda: norm(x, slope)
    if op.endswith("forward"):
        return mg.no_grad()(compute)
    y = compute()
    gy = mg.tensor(images(*(y.shape[i] for i in (0, 2, 3, 1))))
    return lambda: mg.grad(y, inputs, gy, retain_graph=True)


def pytorch(op, layer, threads, channels_last):
    """The same in PyTorch."""
    import numpy as np
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    make = lambda *shape: torch.from_numpy(np.ascontiguousarray(images(*shape))).contiguous(
        memory_format=layout)
    if op in ("conv2d", "conv_transpose2d", "conv2d_weight_grad"):
        n, side, c, o, k, s, p = CONVOLUTIONS[layer]
        out = (side + 2 * p - k) // s + 1
        x, g = make(n, side, side, c), make(n, out, out, o)
        w = nn.Conv2d(c, o, k, bias=False).to(memory_format=layout).weight.detach()

        def gradient(mask):
            return torch.ops.aten.convolution_backward(g, x, w, None, [s, s], [p, p], [1, 1], False, [0, 0], 1, mask)

        return {"conv2d": lambda: F.conv2d(x, w, None, s, p),
                "conv_transpose2d": lambda: gradient([True, False, False]),
                "conv2d_weight_grad": lambda: gradient([False, True, False])}[op]
    if op == "adam":
        parameters = [nn.Parameter(torch.zeros(shape)) for shape in adam_shapes(ADAM[layer])]
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        return torch.optim.Adam(parameters, 2e-4, fused=True).step
    if op.startswith("upconv2d"):
        n, side, c, o = UPCONVOLUTIONS[layer]
        x = make(n, side, side, c).requires_grad_()
        w = nn.Conv2d(c, o, 3).to(memory_format=layout).weight
        inputs = [x, w]
        compute = lambda: F.conv2d(F.interpolate(x, scale_factor=2), w, padding=1)
    else:
        n, side, c, slope = NORMS[layer]
        x = make(n, side, side, c).requires_grad_()
        norm = (nn.BatchNorm2d if layer.startswith("batch") else nn.InstanceNorm2d)(c)
        inputs = [x, *norm.parameters()]
        compute = lambda: F.leaky_relu(norm(x), slope, inplace=True)
    if op.endswith("forward"):
        return torch.no_grad()(compute)
    y = compute()
    gy = make(*(y.shape[i] for i in (0, 2, 3, 1)))
    return lambda: torch.autograd.grad(y, inputs, gy, retain_graph=True)


SYSTEMS = {turns.OURS: ours, "eager": lambda *case: pytorch(*case, False),
           "channels_last": lambda *case: pytorch(*case, True)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="calls per turn; by default as many as fit in 0.2 s")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", metavar="PATH")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        def prepare(case):
            do = SYSTEMS[options.worker](*case.split(" | "), options.threads)
            return lambda: (do(), ())[1], options.worker

        return turns.serve(prepare, options.steps, seconds=0.2)
    from minigan import run

    run.tune_blas()  # as our example scripts do; workers inherit what it sets
    workers = {name: turns.Worker([sys.executable, __file__, *sys.argv[1:], "--worker", name]) for name in SYSTEMS}
    results = []
    print("| operation | layer | ours, ms | eager | channels_last | ours / faster |\n|---|---|---|---|---|---|")
    for case in cases():
        if options.only in case:
            results.append(turns.measure(workers, case, options.rounds, retries=0))
            print(row(results[-1]), flush=True)
    for worker in workers.values():
        worker.close()
    if options.json:
        turns.save(options.json, results)
    return 0


def row(result):
    """One line of the table."""
    systems = result["systems"]
    cells = [f"{statistics.median(systems[name]['turns']):.2f}" if name in systems else "-" for name in SYSTEMS]
    ratio = statistics.median(systems[result["fastest"]]["ratios"]) if result["fastest"] else None
    return f"| {result['case']} | {' | '.join(cells)} | {'-' if ratio is None else format(ratio, '.2f')} |"


if __name__ == "__main__":
    sys.exit(main())
