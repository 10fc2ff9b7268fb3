"""Where GitHub is, what is said to it, and what its answers mean.

No network, no threads, only plain data.
"""
