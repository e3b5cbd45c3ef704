"""Files of weights, and of the whole state of a run: always complete, and verified by a checksum when read.

    atomic.py    writes a file completely or not at all
    weights.py   named arrays as safetensors, under PyTorch's names and layouts
    torchfile.py PyTorch's own files, .pth and .pt
    pickled.py   the description in those files, read as data: no pickle is run
    state.py     any nesting of dicts, lists, arrays and numbers, in the same format
    inside.py    reads, writes and deletes in a folder that may come from a stranger
    series.py    the checkpoints of one run: the newest few and the best; damaged ones are reported and skipped
"""

from minigan.checkpoint.atomic import remove_leftovers, write_atomically
from minigan.checkpoint.series import Series
from minigan.checkpoint.state import load_state, save_state
from minigan.checkpoint.weights import load_metadata, load_weights, save_weights

__all__ = ["Series", "load_metadata", "load_state", "load_weights", "remove_leftovers", "save_state", "save_weights",
           "write_atomically"]
