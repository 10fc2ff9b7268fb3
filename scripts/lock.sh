#!/usr/bin/env bash
# Write the lock files, each one file for every Python and platform we support:
#   requirements.lock          what is developed and tested with, from pyproject.toml
#   requirements-runtime.lock  what the daemon runs with, from pyproject.toml
#   requirements-build.lock    what builds our wheel: [build-system] of pyproject.toml
#   charm/requirements.lock    what the charm runs with, from charm/requirements.txt
#   charm/charmcraft.lock      what tests check the charm with; nothing of it is shipped
# The first decides; the three that are shipped have its versions, so that what is tested is what is shipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tool=.cache/lock-venv

[ -x "$tool/bin/uv" ] || {
    "${PYTHON:-python3}" -m venv "$tool"
    "$tool/bin/python" -m pip install --quiet --disable-pip-version-check uv
}

compile() {
    "$tool/bin/uv" pip compile --quiet --universal --python-version 3.10 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-annotate \
        --custom-compile-command 'make lock' "$@"
}

compile --extra sandbox --group dev "$@" pyproject.toml -o requirements.lock
same=(--constraint requirements.lock)
compile "${same[@]}" pyproject.toml -o requirements-runtime.lock
echo hatchling | compile "${same[@]}" - -o requirements-build.lock
compile "${same[@]}" charm/requirements.txt -o charm/requirements.lock
echo charmcraft==4.5.0 | compile "$@" - -o charm/charmcraft.lock
