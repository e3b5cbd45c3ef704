"""Figures that only one example draws: each in a module named after the example's subject.

They are drawn as the library's own figures are, see minigan.report.canvas: equal numbers give equal bytes.
"""
