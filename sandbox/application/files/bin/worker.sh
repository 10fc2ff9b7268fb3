# One job, from its text to its report. Sourced.

# Split the answer into the job's fields and its script.
read_job() {
    {
        while IFS= read -r line && [ "$line" != "$end_of_headers" ]; do :; done
        while IFS= read -r line && [ -n "$line" ]; do
            value=${line#*=}
            case $line in
            id=*) job_id=$value ;;
            run-id=*) run_id=$value ;;
            repository=*) repository=$value ;;
            workflow=*) workflow=$value ;;
            job=*) job_name=$value ;;
            event=*) event=$value ;;
            sha=*) sha=$value ;;
            ref=*) ref=$value ;;
            head-ref=*) head_ref=$value ;;
            base-ref=*) base_ref=$value ;;
            actor=*) actor=$value ;;
            always=*) always=$value ;;
            esac
        done
        # The shell has read no further than the empty line.
        cat >"$temp/steps.sh"
    } <"$channel/answer"
    base64 -d >"$temp/always.sh" <<ALWAYS
$always
ALWAYS
}

run_job() {
    worker_log=_diag/Worker_$stamp-utc.log
    job_log=$temp/job.log
    : >"$job_log"
    say "Running job: $job_name"
    echo "[$now INFO Worker] job $job_id of run $run_id in $repository" >>"$worker_log"
    ask_until_answered 5 POST "/_runner/job/$job_id/started" "$token"
    if [ "$status" != 204 ]; then
        echo "[$now ERR Worker] the server refused the job's start: $status" >>"$worker_log"
        return 1
    fi
    (keep_lease) </dev/null >/dev/null 2>&1 4>&- &
    lease=$!
    prepare_job
    result=success
    if fetch_event; then
        run_hook "${ACTIONS_RUNNER_HOOK_JOB_STARTED-}" "Set up runner"
        run_steps
        [ -n "$stopping" ] ||
            run_hook "${ACTIONS_RUNNER_HOOK_JOB_COMPLETED-}" "Complete runner"
    fi
    end_lease
    report_job
}

# As with the real one, what failed before, a hook too, doesn't keep those steps from running that
# say "if: always()". A runner that was told to stop begins no step any more, and no hook.
run_steps() {
    [ -z "$stopping" ] || result=failure
    [ "$result" = failure ] || run_part Run sh -e "$temp/steps.sh"
    if [ -s "$temp/always.sh" ] && [ -z "$stopping" ]; then
        run_part "Run always" sh -e "$temp/always.sh"
    fi
}

prepare_job() {
    project=${repository#*/}
    workspace=$root/$work/$project/$project
    event_file=$root/$work/_temp/_github_workflow/event.json
    mkdir -p "$workspace" "${event_file%/*}"
    : >"$temp/env"
    : >"$temp/path"
    : >"$temp/output"
    export CI=true GITHUB_ACTIONS=true
    export GITHUB_REPOSITORY="$repository" GITHUB_REPOSITORY_OWNER="${repository%%/*}"
    export GITHUB_WORKFLOW="$workflow" GITHUB_RUN_ID="$run_id" GITHUB_RUN_ATTEMPT=1
    export GITHUB_RUN_NUMBER="$run_id" GITHUB_EVENT_NAME="$event" GITHUB_JOB="$job_name"
    ref_name=${ref#refs/heads/}
    ref_name=${ref_name#refs/tags/}
    ref_type=branch
    case $ref in refs/tags/*) ref_type=tag ;; esac
    export GITHUB_SHA="$sha" GITHUB_REF="$ref" GITHUB_REF_NAME="${ref_name#refs/pull/}"
    export GITHUB_REF_TYPE="$ref_type" GITHUB_HEAD_REF="$head_ref" GITHUB_BASE_REF="$base_ref"
    export GITHUB_ACTOR="$actor" GITHUB_TRIGGERING_ACTOR="$actor"
    export GITHUB_WORKSPACE="$workspace" GITHUB_EVENT_PATH="$event_file"
    export GITHUB_SERVER_URL="$server" GITHUB_API_URL="$server"
    export GITHUB_ENV="$temp/env" GITHUB_PATH="$temp/path" GITHUB_OUTPUT="$temp/output"
    export RUNNER_NAME="$name" RUNNER_OS=Linux RUNNER_ARCH=X64 RUNNER_ENVIRONMENT=self-hosted
    export RUNNER_TEMP="$root/$work/_temp" RUNNER_WORKSPACE="$root/$work/$project"
}

# The real one gets it with the job; ours asks for it apart, as it can be anything, and megabytes.
fetch_event() {
    ask_until_answered 5 GET "/_runner/job/$job_id/event" "$token"
    if [ "$status" != 200 ]; then
        echo "Error: The event's payload was not to be had: $status" >>"$job_log"
        result=failure
        return 1
    fi
    {
        while IFS= read -r line && [ "$line" != "$end_of_headers" ]; do :; done
        cat >"$event_file"
    } <"$channel/answer"
}

# Run a hook if there is one; a hook that fails or is missing fails the job.
run_hook() { # file title
    [ -n "$1" ] || return 0
    if [ ! -f "$1" ]; then
        echo "Error: File doesn't exist: $1" >>"$job_log"
        result=failure
        return
    fi
    if command -v bash >/dev/null; then
        run_part "$2" bash -e "$1"
    else
        run_part "$2" sh -e "$1"
    fi
    load_variables "$temp/env"
    while IFS= read -r line; do PATH=$line:$PATH; done <"$temp/path"
}

run_part() { # title command...
    title=$1
    shift
    echo "[INFO Worker] $title" >>"$worker_log"
    (
        cd "$workspace" || exit 1
        umask "$usual_umask"
        exec "$@"
    ) </dev/null >>"$job_log" 2>&1 4>&- &
    step=$!
    wait "$step"
    code=$?
    while kill -s 0 "$step" 2>/dev/null; do
        wait "$step"
        code=$?
    done
    # A signal may have ended the wait just before the step ended: its own code comes with another.
    if [ "$code" -gt 128 ]; then
        wait "$step" 2>/dev/null
        own=$?
        [ "$own" -eq 127 ] || code=$own
    fi
    step=
    if [ "$code" -ne 0 ]; then
        echo "Error: Process completed with exit code $code." >>"$job_log"
        echo "[ERR Worker] $title ended with $code" >>"$worker_log"
        result=failure
    fi
}

# Tell the server now and then that the job goes on, through a channel of our own.
keep_lease() {
    trap - EXIT
    while :; do
        sleep "$lease_s" &
        echo $! >"$temp/lease.pid"
        wait $!
        [ "$channel" = "$temp/lease" ] || open_channel "$temp/lease"
        ask POST "/_runner/job/$job_id/renew" "$token"
    done
}

# Not by TERM: a shell's child loses a signal that arrives before it has set its own traps.
end_lease() {
    kill -s KILL "$lease" 2>/dev/null
    sleeper=
    [ ! -s "$temp/lease.pid" ] || read -r sleeper <"$temp/lease.pid"
    [ -z "$sleeper" ] || kill "$sleeper" 2>/dev/null
}

report_job() {
    {
        echo "result=$result"
        sed 's/^/log=/' "$job_log" | tail -c "$most_body"
    } >"$temp/report"
    ask_until_answered 30 POST "/_runner/job/$job_id/completed" "$token" "$temp/report"
    outcome=Succeeded
    [ "$result" = success ] || outcome=Failed
    say "Job $job_name completed with result: $outcome"
    echo "[$now INFO Worker] Job result: $outcome, told the server: $status" >>"$worker_log"
}
