# What a guest does with what its host gave it: docs/guest-contract.md. The assignments,
# write_signal_functions (signal.sh), network.sh and application.sh stand before this;
# runs once, as root, under dash, bash or busybox. Forks are few on purpose: many guests boot at once on
# few cores.
# shellcheck shell=sh
# shellcheck disable=SC2154  # the assignments are guest/document.py's

set -u
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# Read by root and RUNNER_USER, written by root; its `private` by root only.
GUEST_DIR=/var/lib/github-runner-guest
SIGNAL_PIPE=$GUEST_DIR/private/pipe
RUN_LOG=$GUEST_DIR/private/run.log
FETCH_LIMIT_S=600
FETCH_LIMIT_BLOCKS=4194304 # of 512 bytes: 2 GiB
LINGER_S=20
ADMISSION_LIMIT_S=120
# Longer than a host takes to be started anew.
UNHEARD_LIMIT_S=15
# A hook's 30 seconds, a report, and the 30 that the application takes to end when it is told to.
POLICY_LIMIT_S=75
# A hook comes after the job's actions have been downloaded, for each of which the application takes 20
# minutes at most.
BEGUN_LIMIT_S=1800
BEGUN_LOOK_S=15

reason='the script ended early'
exit_code=
linger=yes

# result_of_job: prints how the job ended, as the application's last such line says; or nothing.
# Its own words are the only ones: a hook is not told.
# shellcheck disable=SC2329  # the trap's
result_of_job() {
    tail -c 4096 "$RUN_LOG" | while IFS= read -r line; do
        case $line in
            *' completed with result: '*) printf '%s\n' "${line##* completed with result: }" ;;
        esac
    done | tail -n 1
}

# shellcheck disable=SC2329  # the trap's
end() {
    trap '' HUP INT TERM
    trap - EXIT
    # The end of the instance says the rest, and is not held up by a host that hangs or errs.
    SIGNAL_LIMIT_S=1
    SIGNAL_ATTEMPTS=1
    if [ -n "$exit_code" ]; then
        # But for how the job ended: one that is being started anew can't know it. No job waits.
        [ -z "$linger" ] || SIGNAL_PATIENCE_S=$UNHEARD_LIMIT_S
        signal "signal=finished
exit-code=$exit_code
$(signal_line result "$(result_of_job)")"
    else
        echo "guest: failed: $reason" >&2
        signal "signal=failed
$(signal_line reason "$reason")"
        # A host that knows reads the logs, which would go with this instance, and then removes it.
        case $linger${signal_status-} in
            yes2??) (trap - HUP INT TERM && exec sleep "$LINGER_S") ;;
        esac
    fi
    # Twice forced and without a sync: systemd then leaves at once, and nothing on this disk will be
    # read again.
    poweroff -n -f -f || poweroff -f || halt -p -f || echo o >/proc/sysrq-trigger
}

fail() {
    reason=$1
    exit 1
}

fetch() {
    (
        ulimit -f "$FETCH_LIMIT_BLOCKS"
        if command -v curl >/dev/null; then
            exec curl -q -sSfL --proto '=http,https' --connect-timeout 20 --retry 2 \
                --max-time "$FETCH_LIMIT_S" -o "$2" "$1"
        elif command -v wget >/dev/null; then
            # No limit of wget's own: the statically linked busybox of Debian 12 crashes at -T.
            exec timeout "$FETCH_LIMIT_S" wget -q -O "$2" "$1"
        else
            exec timeout "$FETCH_LIMIT_S" python3 -c '
import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=20) as source, open(sys.argv[2], "wb") as target:
    shutil.copyfileobj(source, target)
' "$1" "$2"
        fi
    )
}

obtain_application() {
    present=
    if [ -f "$RUNNER_HOME/.sha256" ]; then
        read -r present _ <"$RUNNER_HOME/.sha256"
    fi
    if [ "$present" = "$APPLICATION_SHA256" ]; then
        chown "$RUNNER_USER" "$RUNNER_HOME"
        return
    fi
    [ -n "$JIT_CONFIG" ] || fail "the image does not hold the application"
    tarball=$GUEST_DIR/private/application.tar.gz
    fetch "$APPLICATION_URL" "$tarball" ||
        fail "the application could not be fetched from $APPLICATION_URL"
    sum=$(sha256sum "$tarball")
    sum=${sum%% *}
    [ "$sum" = "$APPLICATION_SHA256" ] ||
        fail "the application's SHA-256 is $sum, wanted $APPLICATION_SHA256"
    unpack_application "$tarball"
    rm -f "$tarball"
}

# What a hook does that asks the policy, before anything else and at its end. A hook that ends on its
# way there has the application stopped; and one that is killed has told the watch.
print_policy_hook_start() {
    echo "echo asking 1<>$GUEST_DIR/policy.pipe || :"
    echo ". $GUEST_DIR/hook.sh"
    echo "GUEST_DIR=$GUEST_DIR"
    echo ". $GUEST_DIR/refusal.sh"
    echo 'trap refuse_unasked EXIT HUP INT TERM'
}

# The policy's script has nothing of the job's environment but this. Where it can't be begun, bash
# goes on, having forgotten the traps; other shells end.
print_policy_hook_end() {
    # shellcheck disable=SC2016  # the hook's variable
    echo '[ -z "${BASH_VERSION:-}" ] || shopt -s execfail'
    echo "exec /usr/bin/env -i PATH=$PATH \\"
    for variable in GITHUB_EVENT_NAME GITHUB_EVENT_PATH GITHUB_REF GITHUB_REPOSITORY; do
        echo "    $variable=\"\${$variable:-}\" \\"
    done
    echo "    bash -p $GUEST_DIR/policy.sh"
    echo refuse_unasked
}

# Tells the watch that the application has begun a job, of which it makes a log: for a hook that can't
# say so, as its shell does not start.
tell_of_begun_job() {
    while :; do
        for log in "$RUNNER_HOME"/_diag/Worker_*; do
            if [ -e "$log" ]; then
                echo begun 1<>"$GUEST_DIR/policy.pipe"
                return
            fi
        done
        sleep "$BEGUN_LOOK_S"
    done
}

# end_after SECONDS: ends this guest then, unless it is told otherwise; adds to timers.
end_after() {
    (
        sleep "$1"
        reason='the job may not run, and the application has not ended'
        linger=
        end
    ) &
    timers="$timers $!"
}

# Runs as root beside the application: a hook that asks the policy must say before long that the job
# may run, or the application must have ended. Once said it stands: a job may write here too.
watch_policy() {
    trap - EXIT HUP INT TERM
    timers=
    heard=
    # Where the image has such a log already, it tells nothing.
    set -- "$RUNNER_HOME"/_diag/Worker_*
    [ -e "$1" ] || tell_of_begun_job &
    while read -r word; do
        case $heard:$word in
            passed:*) ;;
            *:begun) end_after "$BEGUN_LIMIT_S" ;;
            :asking)
                heard=asking
                end_after "$POLICY_LIMIT_S"
                ;;
            *:passed)
                heard=passed
                for timer in $timers; do
                    kill "$timer" 2>/dev/null
                done
                ;;
        esac
    done <>"$GUEST_DIR/policy.pipe"
}

# Says `ready` until the host has answered it with the runner's token for the policy service: without
# it each job would be refused. A guest without a policy needs none, and goes on though nobody hears
# it. But the host may have a policy meanwhile: so one that is being started anew is waited for, and
# one that does not know this guest yet, or can't admit it, is asked until it can.
be_admitted() {
    refused=
    limit=$UNHEARD_LIMIT_S
    waited=0
    pause=1
    [ -z "$POLICY_URL" ] || {
        SIGNAL_ATTEMPTS=1
        SIGNAL_ANSWER=$GUEST_DIR/private/answer
        refused='given no token for the policy service'
        limit=$ADMISSION_LIMIT_S
    }
    while :; do
        signal signal=ready
        case ${POLICY_URL:+asks}$signal_status in
            asks200) break ;;
            asks204) fail "the host has no policy any more, and this guest was told to ask one" ;;
            asks401) ;;
            asks4[013]?) fail "the host has answered $signal_status to ready" ;;
            200) fail "the host has a policy, which this guest was not told of" ;;
            204) return ;;
            401 | 503)
                refused='not admitted this guest'
                limit=$ADMISSION_LIMIT_S
                ;;
            [2-5]??) [ -n "$refused" ] || return 0 ;;
        esac
        [ "$waited" -lt "$limit" ] || {
            [ -n "$refused" ] || return 0
            fail "the host has $refused within $limit s"
        }
        SIGNAL_ATTEMPTS=1
        sleep "$pause"
        waited=$((waited + pause))
        pause=$((pause < 8 ? pause * 2 : 10))
    done
    token=
    read -r token <"$SIGNAL_ANSWER"
    case $token in
        '' | *[!A-Za-z0-9._~+/=-]*) fail "the host's answer to ready is no token" ;;
    esac
    umask 027
    printf '%s\n' "$token" >"$GUEST_DIR/policy-token"
    umask 022
    chown "0:$gid" "$GUEST_DIR/policy-token"
    rm -f "$SIGNAL_ANSWER"
    watch_policy &
}

check_policy_tools() {
    for tool in bash curl /usr/bin/env head jq mktemp sed timeout tr wc; do
        command -v "$tool" >/dev/null || fail "the policy is on, and $tool is missing in the image"
    done
}

# The hooks and their token: a job may read them, as they run as its user; it can report on its own
# runner with it and nothing else. The names after GITHUB_ are GitHub's, in every step's environment.
write_hooks() {
    umask 007
    mkfifo "$GUEST_DIR/pipe.request" "$GUEST_DIR/pipe.answer"
    umask 027
    printf '%s\n' "$SIGNAL_URL" "$SIGNAL_TOKEN" >"$GUEST_DIR/endpoint"
    {
        echo '#!/bin/sh'
        echo 'set +e'
        echo 'LC_ALL=C'
        echo "PATH=$PATH"
        echo "SIGNAL_PIPE=$GUEST_DIR/pipe"
        echo "{ read -r SIGNAL_URL; read -r SIGNAL_TOKEN; } <$GUEST_DIR/endpoint"
        echo ". $GUEST_DIR/signal.sh"
    } >"$GUEST_DIR/hook.sh"
    # The policy has the first word and the last.
    begin=". $GUEST_DIR/hook.sh"
    judge='exit 0'
    if [ -n "$POLICY_URL" ]; then
        begin=$(print_policy_hook_start)
        judge=$(print_policy_hook_end)
        write_refusal_functions >"$GUEST_DIR/refusal.sh"
        write_policy_script >"$GUEST_DIR/policy.sh"
        umask 007
        mkfifo "$GUEST_DIR/policy.pipe"
        umask 027
    fi
    cat >"$GUEST_DIR/job-started.sh" <<END
#!/bin/sh
$begin
signal "signal=job-started
\$(
    signal_line repository "\${GITHUB_REPOSITORY:-}"
    signal_line workflow "\${GITHUB_WORKFLOW:-}"
    signal_line run-id "\${GITHUB_RUN_ID:-}"
    signal_line event "\${GITHUB_EVENT_NAME:-}"
    signal_line job "\${GITHUB_JOB:-}"
)"
$judge
END
    cat >"$GUEST_DIR/job-completed.sh" <<END
#!/bin/sh
. $GUEST_DIR/hook.sh
signal signal=job-finished
exit 0
END
    umask 022
    chown "0:$gid" "$GUEST_DIR" "$GUEST_DIR"/*
    chmod 750 "$GUEST_DIR" "$GUEST_DIR"/*.sh
}

trap end EXIT
trap 'reason="stopped by a signal"; linger=; exit 1' HUP INT TERM

# An instance that was started a second time (a host that lost its power) has spent what it was given.
mkdir -p "${GUEST_DIR%/*}"
first_start=yes
mkdir "$GUEST_DIR" 2>/dev/null || first_start=
mkdir -p "$GUEST_DIR/private"
[ -p "$SIGNAL_PIPE.answer" ] || mkfifo "$SIGNAL_PIPE.request" "$SIGNAL_PIPE.answer"
write_signal_functions >"$GUEST_DIR/signal.sh"
# shellcheck source=supervisor/guest/signal.sh
. "$GUEST_DIR/signal.sh"
[ -n "$first_start" ] || {
    linger=
    fail "the instance was started a second time"
}

# Neither this file nor the seed it came from is needed again, and a seed may be readable by all.
# (A shell goes on reading a file that has no name any more.)
case $0 in
    */*) rm -f "$0" /var/lib/cloud/seed/nocloud-net/user-data ;;
esac

find_runner_user || { make_runner_user && find_runner_user; } ||
    fail "the user $RUNNER_USER could not be made"
[ "$uid" -ne 0 ] || fail "the user $RUNNER_USER is root"
[ -z "$POLICY_URL" ] || check_policy_tools
set_up_network
obtain_application
[ -x "$RUNNER_HOME/run.sh" ] || fail "the application has no run.sh"
write_hooks || fail "the hooks could not be written"
{
    echo "ACTIONS_RUNNER_HOOK_JOB_STARTED=$GUEST_DIR/job-started.sh"
    echo "ACTIONS_RUNNER_HOOK_JOB_COMPLETED=$GUEST_DIR/job-completed.sh"
    print_runner_environment
} >"$RUNNER_HOME/.env"
finish_network

# A guest that only tries its image has no job: it is as ready as others are, but for a token.
[ -n "$JIT_CONFIG" ] || POLICY_URL=
be_admitted
exit_code=0
if [ -n "$JIT_CONFIG" ]; then
    ACTIONS_RUNNER_INPUT_JITCONFIG=$JIT_CONFIG as_runner 'exec ./run.sh'
else
    as_runner 'exec ./bin/Runner.Listener --version'
fi </dev/null >"$RUN_LOG" 2>&1 || exit_code=$?
[ -z "$TRIAL_VERSION" ] || [ "$exit_code" -ne 0 ] || grep -qFx -e "$TRIAL_VERSION" "$RUN_LOG" || {
    exit_code=
    fail "the application does not say that its version is $TRIAL_VERSION"
}
exit 0
