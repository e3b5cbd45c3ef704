"""How good is a generator? Measures without downloads: a digit classifier trained here stands in for Inception.

`python -m minigan metrics RUN` scores a finished run. Few programs need it, so `import minigan` leaves it out:
`from minigan import metrics`. SciPy and scikit-learn are imported by the measures that use them.
"""

from minigan.metrics.classifier import *
from minigan.metrics.clusters import *
from minigan.metrics.compressed import *
from minigan.metrics.coverage import *
from minigan.metrics.distances import *
from minigan.metrics.images import *
from minigan.metrics.pictures import *
from minigan.metrics.scorer import *
from minigan.metrics.svm import *
from minigan.metrics.textures import *
from minigan.metrics.translation import *
