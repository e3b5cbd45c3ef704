"""One training step, ours and its peers', measured in turns on this machine.

    python benchmarks/step.py --peers all                      # DCGAN-32, batch 64
    python benchmarks/step.py --work all --json steps.json     # all works, see below
    python benchmarks/step.py --work cyclegan --peers eager,jax --rounds 5
    python benchmarks/step.py --work all --precision fp32      # without our fast algorithms for convolutions
    python benchmarks/step.py --work all --check               # only check that all systems compute the same losses

Works     dcgan           a discriminator and a generator step of DCGAN (--size, --upsample)
          wgan_gp         a critic step with gradient penalty on networks of that shape
          cyclegan        both generators and both discriminators, 3x128x128, 64 filters, 6 blocks, batch 1
          cyclegan_mnist  the same for 1x32x32, 32 filters, batch 16
          dcgan64         dcgan for 3x64x64, batch 128
Peers     eager, channels_last, compile, compile_channels_last (PyTorch), jax

Every system has the same networks, weights, batch, dtype and number of threads; the losses of its first two steps are
compared with ours. Peers are optional (`pip install torch jax`): one that is not installed is skipped.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import turns

DEFAULTS = {  # sizes of each work
    "dcgan": {"batch": 64, "size": 32, "channels": 1, "width": 64},
    "wgan_gp": {"batch": 64, "size": 32, "channels": 1, "width": 64},
    "cyclegan": {"batch": 1, "size": 128, "channels": 3, "width": 64},
    "cyclegan_mnist": {"batch": 16, "size": 32, "channels": 1, "width": 32},
    "dcgan64": {"batch": 128, "size": 64, "channels": 3, "width": 64},
}


def ours(work, options):
    """A step in minigan, and a line that describes the device."""
    import works

    import minigan

    minigan.device.set_precision(options.precision)
    return works.work(work, options).step, f"{minigan.device_info()}, precision {options.precision}"


def pytorch(**variant):
    """A function that builds PyTorch's step."""
    def make(work, options):
        import torch_twin

        return torch_twin.work(work, options, **variant)
    return make


def jax(work, options):
    """The same in JAX."""
    import jax_twin

    return jax_twin.work(work, options)


PEERS = {
    "eager": pytorch(),
    "channels_last": pytorch(channels_last=True),
    "compile": pytorch(compiled=True),
    "compile_channels_last": pytorch(channels_last=True, compiled=True),
    "jax": jax,
}
SYSTEMS = {turns.OURS: ours, **PEERS}


def parse():
    """Parse the command line; restarts the program if OpenBLAS has faster kernels for this CPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default="dcgan", choices=(*DEFAULTS, "all"))
    parser.add_argument("--peers", default="all", help=f"all, none, or a list from {','.join(PEERS)}")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--size", type=int, help="side of the images")
    parser.add_argument("--width", type=int, help="channels of the first layers")
    parser.add_argument("--upsample", default="upconv", choices=("upconv", "deconv"), help="in DCGAN's generator")
    parser.add_argument("--precision", default="fast", choices=("fast", "fp32"), help="of minigan, as in the example "
                        "scripts; the peers multiply in float32 either way")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each system")
    parser.add_argument("--steps", type=int, help="steps per turn; by default as many as fit in a second")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", metavar="PATH", help="write the results and a description of the machine")
    parser.add_argument("--check", action="store_true", help="compare losses only, without timing")
    parser.add_argument("--no-blas-tuning", dest="blas_tuning", action="store_false", help="run minigan with "
                        "the kernels that OpenBLAS chooses itself")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--start", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = {"all": list(PEERS), "none": []}.get(options.peers, options.peers.split(","))
    if unknown := set(names) - set(PEERS):
        parser.error(f"--peers: {', '.join(sorted(unknown))} unknown; there are {', '.join(PEERS)}")
    options.systems = [turns.OURS, *names]
    if options.blas_tuning and not options.worker:  # a peer's process need not import minigan
        from minigan import run as command_line

        command_line.tune_blas()  # as our example scripts do; workers inherit what it sets
    return options


def sized(work, options):
    """The options, with the work's own sizes where none are given."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    return argparse.Namespace(**{**vars(options), **DEFAULTS[work], **given})


def run(work, options):
    """Measure one work in fresh processes."""
    import works

    with tempfile.TemporaryDirectory() as folder:
        start = str(Path(folder) / "start.npz")
        works.save_start(start, work, options)
        workers = {name: turns.Worker([sys.executable, __file__, *sys.argv[1:], "--start", start, "--worker", name])
                   for name in options.systems}
        try:
            return turns.measure(workers, work, 0 if options.check else options.rounds)
        finally:
            for worker in workers.values():
                worker.close()


def main():
    options = parse()
    if options.worker:
        return turns.serve(lambda work: SYSTEMS[options.worker](work, sized(work, options)), options.steps)
    results = []
    for work in DEFAULTS if options.work == "all" else [options.work]:
        own = sized(work, options)
        result = run(work, own)
        names = (*DEFAULTS[work], "upsample", "precision", "threads", "rounds")
        result["options"] = {name: getattr(own, name) for name in names}
        results.append(result)
        print(f"\n{work}: {', '.join(f'{name} {value}' for name, value in result['options'].items())}\n")
        print(turns.table(result), flush=True)
    if options.json:
        turns.save(options.json, results)
    if wrong := {name for result in results for name in turns.disagreeing(result)}:
        print(f"\nLosses of the first two steps differ from ours by more than {turns.TOLERANCES}: "
              f"{', '.join(sorted(wrong))}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
