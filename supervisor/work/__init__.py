"""What workers do in their threads: calls that block and return what came of it.

One module for each thing that is worked on. None of it holds anything that changes, and none raises
an error of LXD, of the kernel or of the disk: those come back as facts, for an actor to act upon.
"""
