#!/bin/sh
# Register this runner, or with "remove" as the first argument unregister it.
set -u

case $0 in */*) cd "${0%/*}" || exit 1 ;; esac

if [ "$(id -u)" -eq 0 ] && [ -z "${RUNNER_ALLOW_RUNASROOT-}" ]; then
    echo "Must not run with sudo" >&2
    exit 1
fi

if [ "${1-}" = remove ]; then
    exec ./bin/Runner.Listener "$@"
fi
./env.sh
exec ./bin/Runner.Listener configure "$@"
