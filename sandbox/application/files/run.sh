#!/bin/sh
# Run the listener, and again where its exit code asks for that.
#
# As with the real one, the exit code says nothing about the job: 0 also stands for a fatal error
# and for a session conflict. With RUNNER_MANUALLY_TRAP_SIG it is the listener's own, mapped.
set -u

case $0 in */*) cd "${0%/*}" || exit 1 ;; esac

if [ "$(id -u)" -eq 0 ] && [ -z "${RUNNER_ALLOW_RUNASROOT-}" ]; then
    echo "Must not run interactively with sudo" >&2
    exit 1
fi

listener=
stopping=
stop() {
    stopping=1
    [ -z "$listener" ] || kill -s TERM "$listener" 2>/dev/null
}
trap stop INT TERM

while :; do
    # In the background, so that a signal is passed on at once.
    ./bin/Runner.Listener run "$@" &
    listener=$!
    wait "$listener"
    code=$?
    while kill -s 0 "$listener" 2>/dev/null; do
        wait "$listener"
        code=$?
    done
    listener=
    case $code in
    0) echo "Runner listener exit with 0 return code, stop the service, no retry needed." ;;
    1) echo "Runner listener exit with terminated error, stop the service, no retry needed." ;;
    2)
        if [ -z "$stopping" ]; then
            echo "Runner listener exit with retryable error, re-launch runner in 5 seconds."
            sleep 5 &
            wait $!
        fi
        [ -n "$stopping" ] || continue
        ;;
    5) echo "Runner listener exit with Session Conflict error, stop the service, no retry needed." ;;
    7)
        echo "Runner listener exit with version deprecated error, stop the service."
        exit 7
        ;;
    *) echo "Exiting with unknown error code: $code" ;;
    esac
    exit 0
done
