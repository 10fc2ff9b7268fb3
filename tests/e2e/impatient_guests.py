"""The daemon, with guests that go on soon where nobody hears that they are ready."""

import sys

from supervisor.cli import main
from supervisor.guest import document

_PATIENT, _IMPATIENT = "UNHEARD_LIMIT_S=15\n", "UNHEARD_LIMIT_S=1\n"


if __name__ == "__main__":
    body = document.body()
    assert _PATIENT in body
    document.body = lambda: body.replace(_PATIENT, _IMPATIENT)
    sys.exit(main(sys.argv[1:], prog_name="supervisor-cli"))
