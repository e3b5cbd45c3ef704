"""What a run leaves to look at, as files: grids of samples, curves of losses, one page. Equal runs, equal bytes."""

from minigan.report.compared import *
from minigan.report.curves import *
from minigan.report.diagnosis import *
from minigan.report.domains import *
from minigan.report.grids import *
from minigan.report.live import *
from minigan.report.page import *
from minigan.report.records import *
from minigan.report.runs import *
from minigan.report.strips import *
