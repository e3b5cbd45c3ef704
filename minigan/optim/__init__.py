"""Optimisers, exactly as published, and schedules of the learning rate. A step changes parameters in place.

    schedules.py   step count to a factor of the learning rate
    rules.py       what a step does; SGD, RMSProp, Adam, AdamW: the formulas
    parameters.py  parameters in groups of equal options, with the arrays kept for each; their state
    options.py     the values that options may have, and options as attributes
    clocks.py      the number of steps of each parameter
"""

from minigan.optim.rules import SGD, Adam, AdamW, Optimizer, OptimizerFactory, RMSProp, RMSprop
from minigan.optim.schedules import SCHEDULES, Schedule, constant, linear_decay, schedule, step_decay, warmup

__all__ = ["SCHEDULES", "SGD", "Adam", "AdamW", "Optimizer", "OptimizerFactory", "RMSProp", "RMSprop", "Schedule",
           "constant", "linear_decay", "schedule", "step_decay", "warmup"]
