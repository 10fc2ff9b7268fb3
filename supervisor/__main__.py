"""`python -m supervisor` is `supervisor-cli`."""

from supervisor.cli import main

main(prog_name="supervisor-cli")
