"""The engine's cost in microseconds: an operation on Tensors, less the same kernels or ufuncs on bare arrays.

    python benchmarks/overhead.py [--rounds 40] [--calls 200]

Arrays are tiny, so that the kernels are short. Each figure is the shortest of many rounds, in which all take turns. A
backward step is one operation's part of a backward pass. Its rule consists of operations itself: the last column is
their number, and each has the engine's cost of a forward. The fixed cost of a pass is subtracted and printed below.

The last lines count the engine's work in one training step of DCGAN-32, and multiply by the medians of the table.
"""

import argparse
import collections
import contextlib
import gc
import statistics
import time

import numpy as np

import minigan as mg
from minigan import kernels, ops
from minigan.engine.primitive import Primitive

ONE, NONE = (1, 1), (0, 0)


def normal(*shape):
    return mg.tensor(np.random.default_rng(0).normal(size=shape), dtype=np.float32, requires_grad=True)


def rows():
    """Name, Tensor arguments, the operation, and its forward and backward on arrays: (*arrays), (gy, y, *arrays)."""
    a, b, image, filters = normal(4, 4), normal(4, 4), normal(2, 3, 6, 6), normal(4, 3, 3, 3)
    gamma, beta, channels = normal(3), normal(3), (0, 2, 3)

    def conv_backward(gy, y, x, w):
        return (kernels.conv_transpose2d(gy, w, None, ONE, NONE, ONE, x.shape[2:]),
                kernels.conv2d_weight_grad(x, gy, w.shape[2:], ONE, NONE, ONE))

    def norm_forward(x, gamma, beta):
        moments = kernels.norm_stats(x, "batch", 1e-5)
        return kernels.norm_apply(x, moments.mean, moments.rstd, gamma, beta, None)

    def norm_backward(gy, y, x, gamma, beta):
        return kernels.norm_grad(gy, x, moments.mean, moments.rstd, gamma, "batch", y, None)

    moments = kernels.norm_stats(image.data, "batch", 1e-5)
    return [
        ("add", (a, b), ops.add, np.add, lambda gy, y, a, b: None),
        ("mul", (a, b), ops.mul, np.multiply, lambda gy, y, a, b: (gy * b, gy * a)),
        ("tanh", (a,), ops.tanh, np.tanh, lambda gy, y, a: gy * (1 - y * y)),
        ("relu", (a,), ops.relu, lambda a: kernels.leaky_relu(a, 0.0), lambda gy, y, a: kernels.gate(gy, a, 0.0)),
        ("reshape", (a,), lambda a: ops.reshape(a, shape=(2, 8)), lambda a: np.reshape(a, (2, 8)),
         lambda gy, y, a: np.reshape(gy, (4, 4))),
        ("sum", (image,), lambda x: ops.sum(x, axis=channels), lambda x: np.sum(x, axis=channels),
         lambda gy, y, x: np.broadcast_to(np.reshape(gy, (1, 3, 1, 1)), x.shape)),
        ("matmul", (a, b), ops.matmul, np.matmul, lambda gy, y, a, b: (gy @ b.T, a.T @ gy)),
        ("conv2d", (image, filters), ops.conv2d, lambda x, w: kernels.conv2d(x, w, None, ONE, NONE, ONE),
         conv_backward),
        ("batch_norm", (image, gamma, beta), ops.batch_norm, norm_forward, norm_backward),
    ]


def shortest(functions, options):
    """Microseconds per call of each function: the shortest of the rounds."""
    best = [float("inf")] * len(functions)
    for _ in range(options.rounds):
        for i, function in enumerate(functions):
            start = time.perf_counter()
            for _ in range(options.calls):
                function()
            best[i] = min(best[i], 1e6 * (time.perf_counter() - start) / options.calls)
    return best


def measure(tensors, operation, forward, backward, options):
    """Forward with and without the engine, an empty pass, a pass over the operation, its backward without engine."""
    arrays, y = [t.data for t in tensors], operation(*tensors)
    gy = mg.tensor(np.ones(y.shape, np.float32))
    return shortest([
        lambda: operation(*tensors),
        lambda: forward(*arrays),
        lambda: mg.grad(y, [y], gy, retain_graph=True),
        lambda: mg.grad(y, tensors, gy, retain_graph=True),
        lambda: backward(gy.data, y.data, *arrays),
    ], options)


@contextlib.contextmanager
def counting():
    """Count operations and backward steps by name; operations inside a backward step's rule count as its own."""
    counts = {kind: collections.Counter() for kind in ("forward", "backward", "inside rules")}
    call, vjps, inside = Primitive.__call__, Primitive.vjps, []

    def counted_call(self, *args, **params):
        counts["inside rules" if inside else "forward"][self.name] += 1
        return call(self, *args, **params)

    def counted_vjps(self, *args):
        counts["backward"][self.name] += 1
        inside.append(self)
        try:
            return vjps(self, *args)
        finally:
            inside.pop()

    Primitive.__call__, Primitive.vjps = counted_call, counted_vjps
    try:
        yield counts
    finally:
        Primitive.__call__, Primitive.vjps = call, vjps


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=200)
    options = parser.parse_args()
    print(mg.device_info() + "\n")
    print("| operation | forward | bare | engine | backward | bare | engine | operations in its rule |")
    print(8 * "|---" + "|")
    gc.disable()
    forward, backward, passes = [], [], []
    for name, tensors, operation, *bare in rows():
        with counting() as counts:
            ops.sum(operation(*tensors)).backward()
        inside = counts["inside rules"].total() - 2  # those of the sum
        whole, bare_whole, empty, back, bare_back = measure(tensors, operation, *bare, options)
        forward.append(whole - bare_whole)
        backward.append(back - empty - bare_back)
        passes.append(empty)
        print(f"| {name} | {whole:.1f} | {bare_whole:.1f} | {forward[-1]:.1f} "
              f"| {back - empty:.1f} | {bare_back:.1f} | {backward[-1]:.1f} | {inside} |", flush=True)
    gc.enable()
    typical = {"forward": statistics.median(forward), "backward": statistics.median(backward)}
    print(f"| median | | | {typical['forward']:.1f} | | | {typical['backward']:.1f} | |\n\n"
          f"an empty pass: {statistics.median(passes):.1f}\n\none training step of DCGAN-32:")
    trainer, real = mg.trainers.GAN(*mg.models.dcgan(size=32)), np.zeros((4, 1, 32, 32), np.float32)
    with counting() as counts:
        trainer.step(real)
    for kind, counter in counts.items():
        print(f"  {counter.total()} {kind}: {', '.join(f'{n} {name}' for name, n in counter.most_common())}")
    total = sum(counts[kind].total() * cost for kind, cost in typical.items())
    print(f"  at the medians above, {1e-3 * total:.2f} ms of engine overhead")


if __name__ == "__main__":
    main()
