"""The daemon, with builds of images that take seconds: a short script, which does with busybox.

What the real script installs takes minutes. All else is the daemon's own: the builder, the trial of
what was built, the choice, the logs.
"""

import sys
from datetime import timedelta
from importlib.resources import files

from supervisor import daemon
from supervisor.actors import image, image_errands
from supervisor.cli import main
from supervisor.work import image as image_work

_PROVISIONING = r"""
set -eu
fail() { echo "$1" >&2; exit 1; }
GUEST_DIR=$BUILD_DIR
mkdir -p "$BUILD_DIR/private"
echo "step: unpack the application"
find_runner_user || { make_runner_user && find_runner_user; }
unpack_application "$BUILD_DIR/application.tar.gz"
echo "$APPLICATION_SHA256" >"$RUNNER_HOME/.sha256"
echo "$EXTRA_PACKAGES" >/etc/extra-packages
if [ -f "$BUILD_DIR/script" ]; then
    echo "step: run the operator's script"
    "$BUILD_DIR/script"
fi
rm -rf "$BUILD_DIR"
"""


def _quick() -> str:
    application = files("supervisor").joinpath("guest/application.sh")
    return application.read_text(encoding="utf-8") + _PROVISIONING


if __name__ == "__main__":
    image_work.provisioning_script = _quick
    image._MINUTE = timedelta(seconds=3)
    # How long an image that was used a moment ago is kept.
    image_errands._UNREAD = timedelta(seconds=4)
    # A LXD on a machine with much else to do takes its time to remove a builder.
    daemon._ABANDON_LIMIT = timedelta(seconds=30)
    sys.exit(main(sys.argv[1:], prog_name="supervisor-cli"))
