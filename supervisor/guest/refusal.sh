# How a job is kept from running: read by the job-started hook, whatever shell that is in, and by
# policy.sh. Only a shell's own commands, as a machine without memory or processes may run no
# others.
# Wanted: signal and signal_line (signal.sh), and GUEST_DIR.
# shellcheck shell=sh
# shellcheck disable=SC2154  # GUEST_DIR is the reader's

# stop_application: a failed hook alone does not keep steps from running that say `if: always()`,
# nor what actions do before their steps. An application that was told to stop begins no step any
# more, tells GitHub that the job has failed, with its log, and ends.
stop_application() {
    stop_pid=$PPID
    while [ "${stop_pid:-0}" -gt 1 ]; do
        stop_name=
        stop_parent=
        while read -r stop_key stop_value; do
            case $stop_key in
                Name:) stop_name=$stop_value ;;
                PPid:) stop_parent=$stop_value ;;
            esac
        done 2>/dev/null <"/proc/$stop_pid/status"
        if [ "$stop_name" = Runner.Listener ]; then
            kill -s TERM "$stop_pid"
            return
        fi
        stop_pid=$stop_parent
    done
    echo "policy: the runner application was not found; this machine is powered off instead"
}

# refuse_unasked: for a hook that ends without having asked; it never returns.
refuse_unasked() {
    trap 'exit 1' HUP INT TERM
    trap - EXIT
    echo "policy: this job was refused: the policy could not be asked"
    echo "policy: That says nothing of the job. Run it again later, and tell who runs this runner if that does not help."
    stop_application
    # Best effort: the application ends this script meanwhile.
    signal "signal=job-refused
$(signal_line reason "the policy could not be asked")"
    # Opened both ways it never ends; nobody writes here where there is curl.
    read -r _ <>"$GUEST_DIR/pipe.answer"
    exit 1
}
