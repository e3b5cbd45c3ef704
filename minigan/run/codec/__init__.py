"""A trained codec as files: pictures to bytes and back.

    prior.py      how probable each number of a code is, given its neighbours: counted, in whole numbers
    coder.py      a code as bytes, by range coding
    container.py  the file: magic, version, the model's hash, the picture's size, a checksum, the bytes of the code
    saved.py      the codec of a run

The networks compute in floating point, which may round differently on another machine; what is entropy-coded are whole
numbers and what decodes it are counts, so that a file gives the same code on any machine.
"""

from minigan.run.codec.container import HEADER, Container, pack, unpack
from minigan.run.codec.prior import Prior
from minigan.run.codec.saved import SavedCodec, load_codec, save_prior

__all__ = ["HEADER", "Container", "Prior", "SavedCodec", "load_codec", "pack", "save_prior", "unpack"]
