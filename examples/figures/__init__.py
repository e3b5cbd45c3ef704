"""Figures that only one example draws, each in a module of that example's subject.

They draw on minigan.report.canvas as the library's own pictures do: equal numbers give equal bytes.
"""
