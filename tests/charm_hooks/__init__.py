"""Juju as far as a charm sees it: a unit whose hooks are run, and the tools that they call.

A packed charm is deployed into a directory; its real `dispatch` runs in the environment that Juju
gives, with Juju's hook tools on the PATH. The tools answer from a file and check what they are
given as Juju does. What this proves is the charm's packing, environment, imports and calls. It does
not prove Juju's own part: which event comes when, the permissions of its users, mounts.

The directory needs nothing but Python's standard library, so it can be pushed onto another machine
as it is and used there from a shell: `python3 -m charm_hooks --help`.
"""

from charm_hooks.model import Refused
from charm_hooks.unit import ActionRun, JujuUnit, Run, Status

__all__ = ["ActionRun", "JujuUnit", "Refused", "Run", "Status"]
