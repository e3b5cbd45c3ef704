"""Beside other libraries: `mg.interop.torch` and `mg.interop.pictures`, imported when they are used.

    torch.py     tensors and networks to PyTorch and back, with gradients
    pictures.py  images to Pillow and matplotlib and back
"""

from typing import TYPE_CHECKING

from minigan import errors

errors.import_late(__name__, "pictures", "torch")
if TYPE_CHECKING:
    from minigan.run.interop import pictures as pictures, torch as torch  # isort: skip

__all__ = ["pictures", "torch"]
