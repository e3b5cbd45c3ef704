"""What lessons and their readers use: the derivation of a graph, exercises, the theory of GANs in numbers."""
