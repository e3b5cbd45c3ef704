"""One module per command: `python -m minigan NAME` runs main(arguments) of NAME.py, and --help shows its first line.

A module here is a command by being here. Drawing and measuring stay in the other rooms; a command has the options.
"""
