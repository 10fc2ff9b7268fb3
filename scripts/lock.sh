#!/usr/bin/env bash
# Write requirements.lock from pyproject.toml: one file for every Python and platform we support.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tool=.cache/lock-venv

[ -x "$tool/bin/uv" ] || {
    "${PYTHON:-python3}" -m venv "$tool"
    "$tool/bin/python" -m pip install --quiet --disable-pip-version-check uv
}
"$tool/bin/uv" pip compile --quiet --universal --python-version 3.10 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-annotate --extra sandbox --group dev \
    --custom-compile-command 'make lock' "$@" pyproject.toml -o requirements.lock
