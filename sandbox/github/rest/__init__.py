"""GitHub's REST API, one module for each of its chapters."""
