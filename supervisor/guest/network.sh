# What a guest does with what its host told it of the network: a part of guest.sh's script, which has
# the functions that network.py makes (write_network_files, print_...) before it.
# Wanted: fail; home, uid and gid of the application's user.
# shellcheck shell=sh
# shellcheck disable=SC2154  # what is wanted

SNAPD_SOCKET=/run/snapd.socket
SYSTEMD_DIR=/run/systemd/system # is there where systemd runs
SNAP_LIMIT_S=60
SNAP_INSTALL_LIMIT_S=240
DOCKER_LIMIT_S=120
APROXY_LIMIT_S=10

network_proxies=${http_proxy-}${https_proxy-}
docker_changed=
network_work=

# set_up_network: returns when this script itself can use the network as it is told to. What others
# need takes longer, and goes on until finish_network.
set_up_network() {
    write_network_files
    [ -z "${APROXY_PROXY-}" ] || start_aproxy
    if [ -n "$docker_changed$network_proxies" ]; then
        (
            restart_docker || exit
            [ -z "$network_proxies" ] || tell_snapd ||
                echo "guest: snapd could not be told of the proxies" >&2
        ) &
        network_work=$!
    fi
}

finish_network() {
    [ -z "$network_work" ] || wait "$network_work" ||
        fail "Docker could not be restarted with what it is told of the network"
}

# guest_file replace|add|merge MODE PATH [OWNER]: writes the file from standard input.
guest_file() {
    (umask 022 && mkdir -p "${3%/*}") || fail "the directory of $3 could not be made"
    case $1 in
        replace) cat >"$3" ;;
        add)
            # The image's last line may have no end.
            [ -z "$(tail -c 1 "$3" 2>/dev/null)" ] || echo >>"$3"
            cat >>"$3"
            ;;
        merge) merge_json "$3" ;;
    esac || fail "$3 could not be written"
    chmod "$2" "$3"
    [ -z "${4-}" ] || chown "$4" "${3%/*}" "$3"
    case $3 in
        */docker.service.d/* | /etc/docker/*) docker_changed=yes ;;
    esac
}

# merge_json PATH: puts the keys of standard input into a JSON file, which keeps its others.
merge_json() {
    if [ ! -s "$1" ]; then
        cat >"$1"
    else
        python3 -c '
import json, sys
def merged(old, new):
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
with open(sys.argv[1], "r+", encoding="utf-8") as file:
    text = json.dumps(merged(json.load(file), json.load(sys.stdin)), indent=2)
    file.seek(0)
    file.truncate()
    file.write(text + "\n")
' "$1"
    fi
}

# tell_snapd: as `snap set system` would, but no argument shows a password.
tell_snapd() {
    snap_configuration=$(print_snap_configuration)
    if [ -z "$snap_configuration" ] || ! command -v snap >/dev/null; then
        return 0
    fi
    timeout "$SNAP_LIMIT_S" snap wait system seed.loaded || return
    snap_change=$(
        timeout "$SNAP_LIMIT_S" python3 -c '
import http.client, json, socket, sys
class Snapd(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
snapd = Snapd("localhost")
kind = {"Content-Type": "application/json"}
snapd.request("PUT", "/v2/snaps/system/conf", sys.stdin.read(), kind)
answer = json.load(snapd.getresponse())
if "change" not in answer:
    sys.exit("guest: snapd says: " + answer["result"]["message"])
print(answer["change"])
' "$SNAPD_SOCKET" <<END
$snap_configuration
END
    ) && timeout "$SNAP_LIMIT_S" snap watch "$snap_change" >/dev/null
}

restart_docker() {
    if [ -z "$docker_changed" ] || [ ! -d "$SYSTEMD_DIR" ]; then
        return 0
    fi
    timeout "$DOCKER_LIMIT_S" systemctl daemon-reload || return
    # One that does not run yet, or that a job installs, reads it when it starts.
    case $(systemctl is-active docker.service) in
        active | activating | reloading)
            timeout "$DOCKER_LIMIT_S" systemctl restart docker.service
            ;;
    esac
}

# start_aproxy: whatever is missing ends the guest, which would reach nothing, or go around the proxy.
start_aproxy() {
    command -v nft >/dev/null || fail "nft is missing, which redirects what is sent to aproxy"
    command -v snap >/dev/null || fail "snap is missing, by which aproxy is had"
    timeout "$SNAP_LIMIT_S" snap wait system seed.loaded || fail "snapd does not come up"
    if ! snap list aproxy >/dev/null 2>&1; then
        tell_snapd || fail "snapd could not be told of the proxy by which aproxy is had"
        timeout "$SNAP_INSTALL_LIMIT_S" snap install aproxy --edge >&2 ||
            fail "the snap aproxy could not be installed"
    fi
    timeout "$SNAP_LIMIT_S" snap set aproxy "proxy=$APROXY_PROXY" "listen=:$APROXY_PORT" ||
        fail "the snap aproxy could not be configured"
    aproxy_tries=$((5 * APROXY_LIMIT_S))
    until aproxy_listens; do
        aproxy_tries=$((aproxy_tries - 1))
        [ "$aproxy_tries" -gt 0 ] || fail "aproxy does not listen on port $APROXY_PORT"
        sleep 0.2
    done
    print_aproxy_rules | nft -f - || fail "the rules that redirect to aproxy could not be loaded"
}

aproxy_listens() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        grep -q "$(printf ':%04X [0-9A-F]*:0000 0A' "$APROXY_PORT")"
}
