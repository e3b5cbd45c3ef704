"""Maps the top-level folder kernels/ to the package minigan.kernels; everything else is in pyproject.toml.

kernels/ is half of the project, so it stands beside minigan/ rather than inside it; but a top-level package called
`kernels` would collide with one on PyPI, so it is installed under ours.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["minigan", "minigan.*"]),
        *("minigan.kernels" + name for name in ["", *("." + sub for sub in find_packages("kernels"))]),
    ],
    package_dir={"minigan": "minigan", "minigan.kernels": "kernels"},
    package_data={"minigan": ["py.typed"], "minigan.kernels": ["cuda/*.cu", "cuda/*.cuh", "cuda/*.h", "cuda/*.cpp"]},
)
