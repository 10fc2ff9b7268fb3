#!/usr/bin/env bash
# Fill DIRECTORY with everything that the packed charm holds but its metadata:
#   dispatch, src/, systemd/, icon.svg, LICENSE, README.md
#   venv/     what the charm's own Python code imports (charm/requirements.lock)
#   payload/  wheels of the daemon and of all that it needs, so that no unit asks an index
# The packages are those of the Python that runs this and of its machine: a charm is packed on the
# base that it is for. What is downloaded is kept in .cache, by the lock files.
set -euo pipefail
[ $# -eq 1 ] || {
    echo "usage: $0 DIRECTORY" >&2
    exit 2
}
content=$(realpath -m "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Hooks are run by the system's own Python, and not by one that stands first on somebody's PATH.
python=${PYTHON:-/usr/bin/python3}
minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
cache=$PWD/.cache/charm/$minor-$(uname -m)
log=$cache/pip.log
mkdir -p "$cache"
# Two that run at a time would fill the same cache.
exec 9>"$cache/lock"
flock 9

pip() {
    "$cache/builder/bin/python" -m pip --disable-pip-version-check --no-input "$@" \
        >"$log" 2>&1 </dev/null || {
        tail -n 30 "$log" >&2
        echo "charm-content: 'pip $1' failed, see above" >&2
        exit 1
    }
}

# kept NAME LOCK COMMAND...: has COMMAND fill the directory $cache/NAME, unless it was filled for
# these very contents of LOCK. It is moved into place when complete, so a killed one is made again.
kept() {
    local name=$1 lock=$2 directory
    shift 2
    cmp --silent "$lock" "$cache/$name.lock" && [ -d "$cache/$name" ] && return
    directory=$(mktemp -d "$cache/$name.XXXXXX")
    "$@" "$directory"
    rm -rf "${cache:?}/$name" "$cache/$name.lock"
    chmod 755 "$directory"
    mv "$directory" "$cache/$name"
    cp "$lock" "$cache/$name.lock"
}

download_payload() {
    pip download --only-binary=:all: --require-hashes -r requirements-runtime.lock --dest "$1"
}

install_site_packages() {
    pip install --only-binary=:all: --require-hashes -r charm/requirements.lock \
        --no-compile --target "$1"
    # Programs of packages, which hooks don't run; their first line tells where we were packed.
    rm -rf "${1:?}/bin"
    sed -i '\|^\.\./\.\./bin/|d' "$1"/*.dist-info/RECORD
}

# A virtual environment does not survive a move: this one is made where it stays.
if ! cmp --silent requirements-build.lock "$cache/builder.lock"; then
    "$python" -m venv --clear "$cache/builder"
    pip install --only-binary=:all: --require-hashes -r requirements-build.lock
    cp requirements-build.lock "$cache/builder.lock"
fi
kept payload requirements-runtime.lock download_payload
kept site-packages charm/requirements.lock install_site_packages

rm -rf "${content:?}"/{src,venv,payload,systemd}
mkdir -p "$content/venv/lib/python$minor"
cp -R charm/src systemd "$content/"
cp charm/dispatch charm/icon.svg LICENSE README.md "$content/"
chmod 755 "$content/dispatch" "$content/src/charm.py"
cp -R "$cache/site-packages" "$content/venv/lib/python$minor/site-packages"
cp -R "$cache/payload" "$content/payload"
pip wheel --no-deps --no-build-isolation --wheel-dir "$content/payload" .
find "$content/src" -name __pycache__ -prune -exec rm -rf {} +
