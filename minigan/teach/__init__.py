"""What lessons and their readers use, and no program that trains: derivations, exercises, theory in numbers.

    explain/     the derivation of a graph: mg.explain
    exercise.py  a derivation of your own beside the truth; exercises without their solutions
    mistakes.py  what kind of mistake a wrong array shows
    lesson.py    a lesson as a notebook
    theory/      what the theory of GANs says, exactly and as trained networks show it; gradients derived by hand

Nothing below imports this room; `import minigan` brings explain alone.
"""
