"""The actors, one module each. What they share is in `parts`."""
