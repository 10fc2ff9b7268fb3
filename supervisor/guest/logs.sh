# What a guest that failed can tell of it, run in it by its host and written to standard output: the
# end of each log. Nothing of it may hang or be large, but who made it so may have changed the programs
# too: the host has limits of its own.
# Arguments: the runner application's directory, and how many bytes of one log.
# shellcheck shell=sh

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
home=$1
bytes=$2
exec </dev/null 2>&1

# show FILE: its end, if it is a file and not a link to another one.
show() {
    if [ -f "$1" ] && [ ! -L "$1" ]; then
        printf '\n== %s ==\n' "$1"
        tail -c "$bytes" "$1"
    fi
}

show /var/log/cloud-init-output.log
show /var/lib/github-runner-guest/private/run.log
# The newest come first: of the application's two processes, the one that ran the job and the listener.
# shellcheck disable=SC2012  # busybox's find can't sort by time; an odd name is no file of ours
ls -t "$home"/_diag/*.log 2>/dev/null | head -n 3 | while IFS= read -r log; do
    show "$log"
done
if command -v journalctl >/dev/null; then
    printf '\n== journal ==\n'
    journalctl -b -q --no-pager | tail -c "$((2 * bytes))"
fi
