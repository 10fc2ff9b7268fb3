# Asks the policy whether the job at hand may run (docs/guest-contract.md). In the runner's
# job-started hook, as its user, before anything of the job's runs. guest/document.py's assignments
# stand before this: POLICY_URL and GUEST_DIR. The environment holds what job-started.sh hands on, no
# more.
#
# Only a 204 lets a job run. Whatever else happens ends in `refuse`, or in silence, which root's
# watch_policy (guest.sh) takes for a refusal.
# shellcheck shell=bash
# shellcheck disable=SC2154  # the assignments are guest/document.py's

set -u +e
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
HOME=/ # jq and curl look for files of theirs there
export PATH LC_ALL HOME

ASK_LIMIT_S=30
READ_LIMIT_S=5
EVENT_LIMIT=26214400 # GitHub has none that is larger than 25 MB
ANSWER_LIMIT=1024
# Longer than the watch waits.
LAST_LIMIT_S=120

# shellcheck source=supervisor/guest/signal.sh
. "$GUEST_DIR/hook.sh"
# shellcheck source=supervisor/guest/refusal.sh
. "$GUEST_DIR/refusal.sh"

# one_line: makes what it reads one short line, in which the runner finds no command of its own.
one_line() {
    head -c "$ANSWER_LIMIT" | tr -s '[:cntrl:]' ' ' | sed 's/##\[/## [/g; s/^ *//; s/ *$//'
}

# tell_watch WORD: opened both ways, as that never blocks.
tell_watch() {
    [[ -p $GUEST_DIR/policy.pipe ]] && printf '%s\n' "$1" 1<>"$GUEST_DIR/policy.pipe"
}

# refuse REASON REMEDY: ends the job, and with it the runner; it never returns.
refuse() {
    local reason
    trap 'exit 1' HUP INT TERM
    rm -rf "${scratch:-}"
    reason=$(printf '%s' "$1" | one_line)
    echo "policy: this job was refused: $reason"
    echo "policy: $2"
    echo "::error title=This job was refused by the policy::${reason//\%/%25}"
    signal "signal=job-refused
$(signal_line reason "$reason")"
    stop_application
    # The application ends this script. If it does not, this machine is powered off meanwhile. Not
    # with this script's output, whose end the application waits for.
    sleep "$LAST_LIMIT_S" >/dev/null 2>&1 &
    wait $!
    exit 1
}

EVENT_REMEDY='Nothing was asked, as GitHub sends no such event. Run the job again, and tell who runs this runner if that does not help.'
SETTINGS_REMEDY='Have the settings of the repository corrected, or the commit approved, as the reason says. Then run the job again.'
SERVICE_REMEDY='That says nothing of the job. Run it again later, and tell who runs this runner if that does not help.'

# The service's path on the first line, the request's body on the second: or `fault` and what is
# wrong. Whatever has a pull request is checked as such: its code may be anybody's.
# shellcheck disable=SC2016  # jq's variables
QUESTION='
def text(what):
    if type == "string" and . != "" and length <= 512 and (test("[[:cntrl:]]") | not) then .
    else error("the event has no usable " + what) end;
def full_name: if type == "object" then .full_name else null end;
def member(name): if type == "object" then .[name] else null end;
def same: type == "string" and ascii_downcase == ($repository | ascii_downcase);
def question:
    if length != 1 or (.[0] | type) != "object" then error("the event is not one JSON object")
    else .[0] end
    | if has("repository") and .repository != null and (.repository | full_name | same | not)
        then error("the event is of another repository than the job") else . end
    | if (.pull_request | type) == "object" then .pull_request
        | if .base | member("repo") | full_name | same | not
            then error("the pull request is another repository'\''s") else . end
        | ["pull_request", {
            repository_name: $repository,
            source_repository_name:
                (.head | member("repo") | full_name | text("source repository: was it deleted?")),
            target_branch_name: (.base | member("ref") | text("target branch")),
            source_branch_name: (.head | member("ref") | text("source branch")),
            commit_sha: (.head | member("sha") | text("commit"))
        }]
    elif has("pull_request") or ($event | startswith("pull_request"))
        or ($ref | startswith("refs/pull/"))
        then error("the event has no pull request, and the job belongs to one")
    else [
        ($event | if . == "push" or . == "schedule" or . == "workflow_dispatch" then .
            else "default" end),
        {repository_name: $repository}
    ] end;
(try question catch ["fault", .]) | .[0], (.[1] | if type == "string" then . else tojson end)'

# patiently OUTPUT COMMAND...: runs it where a trap need not wait for it, with its output in a file. To
# redirect that of this function would redirect the trap's too.
patiently() {
    local output=$1 ended=0
    shift
    # With its input as it is: else it would have none.
    "$@" <&0 >"$output" 2>/dev/null &
    waited_for=$!
    # What the shell may say of how that ended is no line for the log.
    wait "$waited_for" 2>/dev/null || ended=$?
    waited_for=
    return "$ended"
}

# read_event: sets kind and body from the event's file, whatever that is.
read_event() {
    local size
    [[ $GITHUB_REPOSITORY =~ ^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$ ]] ||
        refuse 'the runner names no repository' "$EVENT_REMEDY"
    [[ -n $GITHUB_EVENT_NAME ]] || refuse 'the runner names no event' "$EVENT_REMEDY"
    [[ -f $GITHUB_EVENT_PATH && ! -L $GITHUB_EVENT_PATH ]] ||
        refuse 'the event is not in a file' "$EVENT_REMEDY"
    patiently "$scratch/event" timeout "$READ_LIMIT_S" head -c $((EVENT_LIMIT + 1)) \
        <"$GITHUB_EVENT_PATH" ||
        refuse 'the event could not be read' "$EVENT_REMEDY"
    size=$(wc -c <"$scratch/event")
    ((size <= EVENT_LIMIT)) ||
        refuse "the event is larger than $EVENT_LIMIT bytes" "$EVENT_REMEDY"
    # Where there is a NUL, jq may read less than others do.
    [[ $(tr -d '\000' <"$scratch/event" | wc -c) -eq $size ]] ||
        refuse 'the event is not text' "$EVENT_REMEDY"
    patiently "$scratch/question" timeout "$READ_LIMIT_S" jq --slurp --raw-output \
        --arg repository "$GITHUB_REPOSITORY" --arg event "$GITHUB_EVENT_NAME" \
        --arg ref "$GITHUB_REF" "$QUESTION" "$scratch/event" ||
        refuse 'the event is not JSON that can be read' "$EVENT_REMEDY"
    rm -f "$scratch/event"
    { read -r kind && read -r body; } <"$scratch/question" ||
        refuse 'the event could not be read' "$EVENT_REMEDY"
    [[ $kind != fault ]] || refuse "$body" "$EVENT_REMEDY"
}

# ask: sets status to the answer's, and what curl ended with; the answer itself is in a file.
ask() {
    local left pause=1
    while :; do
        left=$((ASK_LIMIT_S - SECONDS))
        ((left > 0)) || left=1
        status=
        ended=0
        # The token goes over standard input: every argument can be read in the host's /proc.
        (
            ulimit -f 64
            exec curl -q -s --proto '=http,https' --noproxy '*' --connect-timeout 5 \
                --max-time "$left" --max-redirs 0 -o "$scratch/answer" -w '%{http_code}' -K - \
                -H 'Content-Type: application/json' -H 'Expect:' --data-binary "$body" \
                "$POLICY_URL/$kind/check-run"
        ) >"$scratch/status" 2>/dev/null <<END &
header = "Authorization: Bearer $token"
END
        waited_for=$!
        wait "$waited_for" 2>/dev/null || ended=$?
        waited_for=
        read -r status <"$scratch/status"
        # Asked again only where nobody can have taken the token: it is good for once.
        [[ $ended == 6 || $ended == 7 ]] && ((SECONDS + pause < ASK_LIMIT_S)) || return 0
        patiently /dev/null sleep "$pause"
        pause=$((pause * 2))
    done
}

# judge: lets the job run, or refuses it.
judge() {
    local said=
    case $ended in
        0) ;;
        6 | 7) refuse "the policy service can't be reached (curl: $ended)" "$SERVICE_REMEDY" ;;
        28) refuse "the policy service has not answered within $ASK_LIMIT_S s" "$SERVICE_REMEDY" ;;
        *) refuse "the policy service has broken off (curl: $ended)" "$SERVICE_REMEDY" ;;
    esac
    if [[ $status == 204 ]]; then
        return
    fi
    [[ ! -f $scratch/answer ]] || said=$(one_line <"$scratch/answer")
    case $status in
        401) refuse "the policy service does not know this runner's token: $said" "$SERVICE_REMEDY" ;;
        403) refuse "${said:-the policy service gives no reason}" "$SETTINGS_REMEDY" ;;
        *) refuse "the policy service has answered $status: $said" "$SERVICE_REMEDY" ;;
    esac
}

# cancel: a job that GitHub cancels still runs its steps that say `if: always()`. The application
# kills this script 10 seconds after it has told it to end.
# shellcheck disable=SC2329  # the trap's
cancel() {
    [[ -z $waited_for ]] || kill "$waited_for"
    refuse 'the job was cancelled while the policy was asked' "$SERVICE_REMEDY"
}

# Not in the foreground: a trap would wait for it.
waited_for=
trap cancel HUP INT TERM
# The hook has said so already, but not whether somebody can hear it.
tell_watch asking || refuse 'nobody watches over the policy in this machine' "$SERVICE_REMEDY"
for tool in curl head jq mktemp rm sed sleep timeout tr wc; do
    command -v "$tool" >/dev/null ||
        refuse "$tool is missing in this machine's image" "$SERVICE_REMEDY"
done
scratch=$(mktemp -d) || refuse 'nothing can be written in this machine' "$SERVICE_REMEDY"
token=
read -r token 2>/dev/null <"$GUEST_DIR/policy-token"
[[ $token =~ ^[A-Za-z0-9._~+/=-]+$ ]] ||
    refuse 'this runner has no token for the policy service' "$SERVICE_REMEDY"
kind=''
body=''
read_event
ask
judge
rm -rf "$scratch"
tell_watch passed
echo "policy: this job may run: $GITHUB_REPOSITORY, checked for $kind"
exit 0
