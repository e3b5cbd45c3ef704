"""What is kept on disk: weights, and the whole state of a run; whole or not at all, and known to be unchanged.

    atomic.py    a file appears under its name when it is complete, or not
    weights.py   named arrays as safetensors, under PyTorch's names and layouts
    state.py     any nesting of dicts, lists, arrays and numbers, in the same container
    series.py    the checkpoints of one run: the newest few and the best; a damaged one is named and passed over
"""

from minigan.checkpoint.atomic import remove_leftovers, write_atomically
from minigan.checkpoint.series import Series
from minigan.checkpoint.state import load_state, save_state
from minigan.checkpoint.weights import load_metadata, load_weights, save_weights

__all__ = ["Series", "load_metadata", "load_state", "load_weights", "remove_leftovers", "save_state", "save_weights",
           "write_atomically"]
