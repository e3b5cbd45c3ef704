"""The live part of a run's page: its generator, or its translators, as programs that a browser runs.

    program.py   a network as a list of steps, and its numbers
    looks.py     directions in which pictures change most, units without which they do
    playing.py   all that the page of a run needs, in RUN/latent/play.json; and a page of its own

The browser's side is minigan/report: kernels.js, worker.js, play.js.
"""

from minigan.run.play.looks import directions, effects
from minigan.run.play.playing import play_data, play_page, write_play
from minigan.run.play.program import Numbers, Program

__all__ = ["Numbers", "Program", "directions", "effects", "play_data", "play_page", "write_play"]
