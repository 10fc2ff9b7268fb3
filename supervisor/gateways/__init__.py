"""The edges: one module for each outside thing, all blocking calls are here."""
