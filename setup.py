"""Maps the folder kernels/ to the package minigan.kernels and compiles kernels/native; the rest is in pyproject.toml.

kernels/ is half of the project, so it stands beside minigan/ rather than inside it; but a top-level package called
`kernels` would collide with one on PyPI, so it is installed under ours.

kernels/native is compiled once for each level of instructions, and the best one is chosen on import. Every extension is
optional: without a C compiler the installation succeeds, and NumPy computes what C would have.
"""

import copy
import os
import platform
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

NATIVE = Path("kernels/native")
X86, ARM = {"v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"]}, {"baseline": []}
LEVELS = {"x86_64": X86, "amd64": X86, "aarch64": ARM, "arm64": ARM}
FLAGS = ["-O3", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math",
         "-fvisibility=hidden", "-g0"]
LIMITED = sysconfig.get_config_var("Py_GIL_DISABLED") != 1  # a free-threaded Python has no limited API


def machine():
    """The processor that is compiled for. A Python for both kinds of Mac compiles for this one, if not told others."""
    if sys.platform == "darwin" and "ARCHFLAGS" not in os.environ:
        os.environ["ARCHFLAGS"] = f"-arch {platform.machine()}"
    asked = os.environ["ARCHFLAGS"].split()[-1:] if sys.platform == "darwin" else []
    return (asked or [sysconfig.get_platform().rpartition("-")[2]])[0].lower()


class Build(build_ext):
    """Levels side by side: every extension has object files of its own, though their sources are the same."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or True  # one thread for each core: a compiler takes half a minute per level

    def build_extension(self, ext):
        apart = copy.copy(self)
        apart.build_temp = str(Path(self.build_temp) / ext.name)
        super(Build, apart).build_extension(ext)


def extension(name, sources, *flags):
    """One optional module, for any Python from 3.11 on."""
    macros = [("MODULE", name)] + ([("Py_LIMITED_API", "0x030B0000")] if LIMITED else [])
    headers = [path.as_posix() for path in sorted((*NATIVE.glob("*.h"), *NATIVE.glob("*.inc")))]
    return Extension(f"minigan.kernels.native.{name}", [(NATIVE / source).as_posix() for source in sources],
                     depends=headers, extra_compile_args=[*FLAGS, *flags], extra_link_args=["-pthread"],
                     define_macros=macros, py_limited_api=LIMITED, optional=True)


def extensions():
    """The modules of kernels/native; none on Windows, where there are no POSIX threads and `long` is too short."""
    levels = {} if sys.platform == "win32" else LEVELS.get(machine(), {})
    sources = sorted(path.name for path in NATIVE.glob("*.c") if path.name != "features.c")
    asks = [extension("_features", ["features.c"])] if levels else []
    return asks + [extension(f"_{level}", sources, *flags) for level, flags in levels.items()]


setup(
    packages=[
        *find_packages(include=["minigan", "minigan.*"]),
        *("minigan.kernels" + name for name in ["", *("." + sub for sub in find_packages("kernels"))]),
    ],
    package_dir={"minigan": "minigan", "minigan.kernels": "kernels"},
    package_data={"minigan": ["py.typed", "report/*.js"], "minigan.kernels": ["cuda/*.cu", "cuda/*.cuh", "cuda/*.h",
                                                               "cuda/*.cpp", "native/*.c", "native/*.h",
                                                               "native/*.inc"]},
    ext_modules=extensions(),
    cmdclass={"build_ext": Build},
    options={"build_ext": {"parallel": 2}, **({"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED else {})},
)
