# Requests to the server, by curl or else by nc. Sourced.
#
# The token goes by standard input only: arguments can be read by every user of the machine. Each
# request runs in the background, so that a signal ends it at once; the answer lies in a file, which
# the shell reads by itself: a process costs more than a request.

# What the pipe holds: a request that nobody reads must not block us.
most_body=60000

open_channel() { # directory
    channel=$1
    mkdir -p "$channel"
    if command -v curl >/dev/null; then
        program=curl
        return
    fi
    program=nc
    command -v nc >/dev/null || program='busybox nc'
    case $server in https:*) fail "without curl only http:// can be spoken, not $server" ;; esac
    mkfifo "$channel/request"
    # Both ends are ours, so that nc doesn't see an end: it would close before the answer is there.
    exec 4<>"$channel/request"
}

# Ask, and set $status to the HTTP status, 000 where there was no answer. The answer, with its
# headers, is in $channel/answer.
ask() { # method path token [body-file]
    status=000
    : >"$channel/answer"
    if [ "$program" = curl ]; then
        ask_curl "$@"
    else
        ask_nc "$@"
    fi
    wait "$asking"
    asking=
    read -r _ status _ <"$channel/answer" || status=000
}

ask_curl() {
    body=
    [ -z "${4-}" ] || body="data-binary = \"@$4\""
    curl --config - >/dev/null 2>"$channel/error" <<CONFIG &
silent
show-error
include
http1.1
no-progress-meter
max-time = 90
connect-timeout = 10
request = "$1"
url = "$server$2"
output = "$channel/answer"
header = "Authorization: Bearer $3"
header = "Content-Type: text/plain"
header = "Expect:"
$body
CONFIG
    asking=$!
}

ask_nc() {
    address=${server#*://}
    host=${address%:*}
    case $address in
    *:*) port=${address##*:} ;;
    *) port=80 ;;
    esac
    host=${host#[}
    host=${host%]}
    size=0
    [ -z "${4-}" ] || size=$(wc -c <"$4")
    # shellcheck disable=SC2086  # two words, where busybox must be named
    $program "$host" "$port" <"$channel/request" >"$channel/answer" 2>"$channel/error" 4>&- &
    asking=$!
    printf '%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n' \
        "$1" "$2" "$address" "$3" >&4
    printf 'Content-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' \
        "$size" >&4
    [ -z "${4-}" ] || cat "$4" >&4
    # What an nc that found no server has left unread goes with the pipe.
    wait "$asking"
    exec 4>&-
    exec 4<>"$channel/request"
}

# Ask up to a number of times, a pause apart, until there is an answer that isn't the server's fault.
ask_until_answered() { # times method path token [body-file]
    left=$1
    shift
    while :; do
        ask "$@"
        case $status in
        000 | 5??) ;;
        *) return 0 ;;
        esac
        left=$((left - 1))
        { [ "$left" -gt 0 ] && [ -z "$stopping" ]; } || return 1
        pause "$retry_s"
    done
}

pause() { # seconds
    sleep "$1" &
    asking=$!
    wait "$asking"
    asking=
}
