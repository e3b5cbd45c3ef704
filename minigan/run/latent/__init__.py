"""Looking into a trained generator and its discriminator: `python -m minigan latent RUN interpolate` and others.

    paths.py     points between points: along the line, along the sphere; a walk along one coordinate
    maps.py      noise vectors as a map whose neighbours look alike (t-SNE)
    classes.py   arithmetic on the mean noise vectors of classes
    units.py     units of the generator that a probe ties to a class, switched off
    guided.py    what a discriminator's features look for in real images (guided backpropagation)
    pictures.py  a picture by each of these tools, and the files in RUN/latent/

In all but pictures.py a generator is any function from noise (N, latent) to images (N, C, H, W) in [-1, 1], on NumPy
arrays: what `mg.load_generator(run)` returns, or `trainer.sample`.
"""

from minigan.run.latent.classes import Term, arithmetic, most_typical, parse_terms
from minigan.run.latent.guided import guided_gradients, strongest
from minigan.run.latent.maps import layout, scatter
from minigan.run.latent.paths import between, coordinate_effects, linear, spherical, walk
from minigan.run.latent.units import Probe, probe_units, switched_off

__all__ = ["Probe", "Term", "arithmetic", "between", "coordinate_effects", "guided_gradients", "layout", "linear",
           "most_typical", "parse_terms", "probe_units", "scatter", "spherical", "strongest", "switched_off", "walk"]
