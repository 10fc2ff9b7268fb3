"""The policy service: a web service of its own that says whether a job may run.

Guests ask it before each job; what it answers depends on the settings of the job's repository. It
runs under gunicorn as a process of its own, and knows neither actors nor the configuration file.
See docs/policy.md.
"""
