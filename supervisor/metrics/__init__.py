"""What Prometheus is told: of the present, as the actors publish it, and of what has happened.

Names follow https://prometheus.io/docs/practices/naming/. No label is taken from jobs, runners or
repositories: their number has no bound. What is, is put into one of few classes (`classes.py`).
"""

PREFIX = "github_runner_supervisor"
