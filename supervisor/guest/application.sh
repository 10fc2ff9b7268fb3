# The runner application and the user it belongs to: a part of guest.sh's script, and of the one that
# builds images (../images/build.sh).
# Wanted: fail; RUNNER_USER, RUNNER_HOME; GUEST_DIR, with a directory `private` of root's in it.
# shellcheck shell=sh
# shellcheck disable=SC2154  # what is wanted
# shellcheck disable=SC2034  # what is found, for the script that this is a part of

find_runner_user() {
    while IFS=: read -r name _ uid gid _ home _; do
        if [ "$name" = "$RUNNER_USER" ]; then
            return 0
        fi
    done </etc/passwd
    return 1
}

make_runner_user() {
    if command -v useradd >/dev/null; then
        useradd --create-home --shell /bin/sh "$RUNNER_USER"
    elif command -v adduser >/dev/null; then
        adduser -D -s /bin/sh "$RUNNER_USER"
    else
        echo "guest: neither useradd nor adduser" >&2
        return 1
    fi
}

# as_runner COMMAND: runs it by a shell of the unprivileged user, in RUNNER_HOME.
# start-stop-daemon takes the same options from dpkg and busybox and, unlike su, opens no session;
# dpkg's goes to / first, busybox's does not. No quotes: guest/document.py knows that none are
# needed.
as_runner() {
    set -- "cd $RUNNER_HOME && $1"
    if command -v start-stop-daemon >/dev/null; then
        HOME=$home USER=$RUNNER_USER LOGNAME=$RUNNER_USER SHELL=/bin/sh \
            start-stop-daemon -S -q -p "$GUEST_DIR/private/none" -c "$RUNNER_USER" \
            -a /bin/sh -- -c "$1"
    else
        su -s /bin/sh -c "$1" "$RUNNER_USER"
    fi
}

# unpack_application TARBALL: in place of what is in RUNNER_HOME.
unpack_application() {
    rm -rf "$RUNNER_HOME"
    mkdir -p "$RUNNER_HOME"
    # The directories above may be new, and were made with this script's umask.
    chmod 755 "${RUNNER_HOME%/*}" "$RUNNER_HOME"
    chown "$RUNNER_USER" "$RUNNER_HOME"
    # Unpacked by the unprivileged user: whatever names it holds, nothing of root's is touched.
    (umask 022 && as_runner 'exec tar -xzf -' <"$1") ||
        fail "the application could not be unpacked"
}
