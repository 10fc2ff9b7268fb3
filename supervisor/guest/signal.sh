# How a guest tells its host something. Written to the guest's disk by guest.sh, sourced by it and by
# the job hooks, so it must do under dash, busybox and bash.
# Wanted: SIGNAL_URL, SIGNAL_TOKEN, and SIGNAL_PIPE: $SIGNAL_PIPE.request and $SIGNAL_PIPE.answer are
# FIFOs that the caller may read and write. Optional: SIGNAL_ANSWER, a file that curl writes what the
# host answers into.
# shellcheck shell=sh

# Seconds that one attempt may take, and attempts where the host refuses at once or errs. An attempt
# that ran into its limit isn't repeated: a host that hangs must not hold up a job.
SIGNAL_LIMIT_S=3
SIGNAL_ATTEMPTS=3
# Seconds for which a host that is being started anew is asked again after those attempts: nothing
# listens there, or it answers 503. For a report that nothing waits for.
SIGNAL_PATIENCE_S=0

# signal_line KEY VALUE: prints KEY=VALUE on one line, whatever the value holds; nothing if empty.
signal_line() {
    case $2 in
        '') ;;
        *[[:cntrl:]]*) printf '%s=%.400s\n' "$1" "$(printf '%s' "$2" | tr -d '[:cntrl:]')" ;;
        *) printf '%s=%.400s\n' "$1" "$2" ;;
    esac
}

# signal BODY: posts it; 0 if the host took it or refused it for good.
signal() {
    signal_attempts=$SIGNAL_ATTEMPTS
    signal_waited=0
    while :; do
        signal_status=
        signal_rc=0
        # The token goes over standard input only: every argument can be read in the host's /proc.
        if command -v curl >/dev/null; then
            signal_by_curl "$1"
        elif command -v nc >/dev/null; then
            signal_by_nc "$1"
        else
            signal_by_python "$1"
        fi
        case $signal_status in
            [234]??) return 0 ;;
        esac
        case $signal_rc in
            28 | 124 | 143) return 1 ;; # over its limit: curl, timeout, busybox's timeout
        esac
        signal_attempts=$((signal_attempts - 1))
        if [ "$signal_attempts" -gt 0 ]; then
            sleep 0.3
            continue
        fi
        [ "$signal_waited" -lt "$SIGNAL_PATIENCE_S" ] || return 1
        case $signal_status:$signal_rc in
            503:* | *:7) ;; # 7: nothing listens, in curl's words
            *) return 1 ;;
        esac
        sleep 1
        signal_waited=$((signal_waited + 1))
    done
}

signal_by_curl() {
    signal_status=$(
        curl -q -s -o "${SIGNAL_ANSWER:-/dev/null}" -w '%{http_code}' --max-time "$SIGNAL_LIMIT_S" --noproxy '*' -K - \
            -H 'Content-Type: text/plain' --data-binary "$1" "$SIGNAL_URL" <<END
header = "Authorization: Bearer $SIGNAL_TOKEN"
END
    ) || signal_rc=$?
}

signal_by_nc() {
    signal_rest=${SIGNAL_URL#*://}
    signal_host=${signal_rest%%/*}
    signal_port=80
    case $signal_host in
        *:*) signal_port=${signal_host##*:} ;;
    esac
    # busybox's nc closes its half of the connection at the end of its input, which many servers take
    # for a client that has gone: so the pipe is held open for writing and has no end. Others then
    # go on after the answer: so they are ended once its first line is there.
    exec 3<>"$SIGNAL_PIPE.request" || return
    {
        printf 'POST /%s HTTP/1.0\r\nHost: %s\r\n' "${signal_rest#*/}" "$signal_host"
        printf 'Authorization: Bearer %s\r\nConnection: close\r\n' "$SIGNAL_TOKEN"
        printf 'Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s' "${#1}" "$1"
    } >&3
    timeout "$SIGNAL_LIMIT_S" nc "${signal_host%:*}" "$signal_port" \
        <&3 3>&- >"$SIGNAL_PIPE.answer" 2>/dev/null &
    signal_answer=
    read -r signal_answer <"$SIGNAL_PIPE.answer"
    exec 3>&-
    if [ -n "$signal_answer" ]; then
        kill $! 2>/dev/null
        wait $! 2>/dev/null # a shell may say that it was ended
    else
        wait $! || signal_rc=$?
        [ "$signal_rc" -ne 1 ] || signal_rc=7 # not connected
    fi
    signal_answer=${signal_answer#HTTP/* }
    signal_status=${signal_answer%%[!0-9]*}
}

signal_by_python() {
    signal_status=$(
        python3 -c '
import sys, urllib.error, urllib.request
token, body = sys.stdin.read()[:-1].split("\n", 1)
headers = {"Authorization": "Bearer " + token, "Content-Type": "text/plain"}
request = urllib.request.Request(sys.argv[1], body.encode(errors="surrogateescape"), headers)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    print(opener.open(request, timeout=float(sys.argv[2])).status)
except urllib.error.HTTPError as error:
    print(error.code)
except TimeoutError:
    sys.exit(28)
except urllib.error.URLError as error:
    sys.exit(28 if isinstance(error.reason, TimeoutError) else 7)
' "$SIGNAL_URL" "$SIGNAL_LIMIT_S" <<END
$SIGNAL_TOKEN
$1
END
    ) || signal_rc=$?
}
