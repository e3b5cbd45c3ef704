"""What the theory of GANs says, as numbers: exact ones, and those that trained networks find.

    exact.py     distributions whose distances are known: mixtures of Gaussians, parallel lines
    measured.py  the same quantities by a trained discriminator or critic
    lines.py     the game on two parallel lines, plain and with noise or a regulariser
    by_hand.py   backprop through a small GAN, derived by hand and written as loops
    variants.py  the problem set with other sizes and numbers, one per seed, with solutions

Few programs need it, so `import minigan` leaves it out: `from minigan.teach import theory`.
"""

from minigan.teach.theory.exact import *
from minigan.teach.theory.lines import *
from minigan.teach.theory.measured import *
