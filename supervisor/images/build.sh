# What makes a base image's instance a builder of runners' images: docs/image.md. The assignments and
# guest/application.sh stand before this; runs as root, again if it must, under dash or bash.
# shellcheck shell=sh
# shellcheck disable=SC2154  # the assignments are work/image_build.py's

set -eu
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin
DEBIAN_FRONTEND=noninteractive
export PATH DEBIAN_FRONTEND RUNNER_USER RUNNER_HOME
# From BUILD_DIR, which only root may enter: the proxies may hold credentials.
set -a
# shellcheck source=/dev/null
. "$BUILD_DIR/environment"
set +a
# guest/application.sh's, and not a guest's own, which tells a first start from a second.
GUEST_DIR=$BUILD_DIR

BOOT_LIMIT_S=300
NETWORK_LIMIT_S=60
SNAP_LIMIT_S=600
# What pip and npm recommend for building is named, as what all recommend is a desktop.
PACKAGES='docker.io npm python3-pip shellcheck jq wget curl git bash sudo nftables ca-certificates tar gzip
build-essential python3-dev'
# What guest.sh and its parts take from an image, and what jobs are promised.
TOOLS='bash curl env head jq mktemp sed timeout tr wc sha256sum tar gzip mkfifo python3 nft
docker git npm pip3 shellcheck sudo wget yarn yq'

step() {
    echo "step: $1"
}

fail() {
    echo "$1" >&2
    exit 1
}

wait_for_system() {
    step 'wait for the system to come up'
    ! command -v cloud-init >/dev/null || timeout "$BOOT_LIMIT_S" cloud-init status --wait >/dev/null ||
        echo 'cloud-init did not end well: going on'
    waited=0
    until grep -Eq '^[^[:space:]]+[[:space:]]+00000000[[:space:]]' /proc/net/route; do
        [ "$waited" -lt "$NETWORK_LIMIT_S" ] || fail "no route to anywhere within $NETWORK_LIMIT_S s"
        sleep 1
        waited=$((waited + 1))
    done
}

# Updates that are rolled out by the machine's identity would be there in one instance and not in the
# next: left out, until all get them.
apt() {
    apt-get -qy -o Acquire::Retries=5 -o DPkg::Lock::Timeout="$BOOT_LIMIT_S" \
        -o APT::Get::Never-Include-Phased-Updates=true -o Dpkg::Options::=--force-confold "$@"
}

install_packages() {
    step 'update the packages'
    command -v apt-get >/dev/null || fail 'the base image has no apt-get: it must be of Debian or Ubuntu'
    # They would run beside jobs, and hold apt's lock when a job wants it.
    systemctl disable --now apt-daily.timer apt-daily-upgrade.timer >/dev/null 2>&1 || :
    apt update
    apt dist-upgrade
    step 'install packages'
    # shellcheck disable=SC2086  # a list
    apt install --no-install-recommends $PACKAGES $EXTRA_PACKAGES
}

prepare_snapd() {
    command -v snap >/dev/null || return 0
    step 'wait for snapd'
    timeout "$SNAP_LIMIT_S" snap wait system seed.loaded || fail 'snapd does not come up'
    for scheme in http https; do
        eval "proxy=\${${scheme}_proxy-}"
        # Not those with credentials: arguments can be seen by all.
        case $proxy in
            '' | *@*) ;;
            *) snap set system "proxy.$scheme=$proxy" ;;
        esac
    done
}

install_yarn() {
    step 'install yarn'
    command -v yarn >/dev/null || npm install --global --no-fund --no-audit yarn
}

# install_yq: the distribution's, or else the snap, or else Python's.
install_yq() {
    step 'install yq'
    ! command -v yq >/dev/null || return 0
    if apt-cache show yq >/dev/null 2>&1; then
        apt install --no-install-recommends yq
        echo 'yq is of the distribution'
        return
    fi
    if command -v snap >/dev/null && timeout "$SNAP_LIMIT_S" snap install yq && command -v yq >/dev/null; then
        echo 'yq is a snap'
        return
    fi
    PIP_BREAK_SYSTEM_PACKAGES=1 pip3 install --no-input --root-user-action=ignore yq ||
        pip3 install --no-input yq
    echo "yq is of Python's package index"
}

install_aproxy() {
    step 'install aproxy'
    if ! command -v snap >/dev/null; then
        [ -z "$NEEDS_APROXY" ] || fail 'use-aproxy is set, and the base image has no snapd'
        echo 'no snapd: no aproxy'
    elif ! snap list aproxy >/dev/null 2>&1 && ! timeout "$SNAP_LIMIT_S" snap install aproxy --edge; then
        [ -z "$NEEDS_APROXY" ] || fail 'the snap aproxy could not be installed, and use-aproxy is set'
        echo 'no aproxy, which is not needed'
    fi
}

prepare_users() {
    step 'prepare the users'
    find_runner_user || { make_runner_user && find_runner_user; } ||
        fail "the user $RUNNER_USER could not be made"
    [ "$uid" -ne 0 ] || fail "the user $RUNNER_USER is root"
    for group in docker microk8s; do
        getent group "$group" >/dev/null || groupadd --system "$group"
        for user in "$RUNNER_USER" ubuntu; do
            ! getent passwd "$user" >/dev/null || usermod --append --groups "$group" "$user"
        done
    done
    # As on GitHub's own runners: workflows are written for it.
    printf '%s ALL=(ALL) NOPASSWD:ALL\n' "$RUNNER_USER" >/etc/sudoers.d/github-runner
    chmod 440 /etc/sudoers.d/github-runner
    visudo -cqf /etc/sudoers.d/github-runner || fail 'sudo takes no rule for the runner'
}

# Docker drops what it does not forward itself, LXD's and other bridges' packets in the guest too.
# https://docs.docker.com/engine/network/packet-filtering-firewalls/
prepare_docker() {
    step 'prepare Docker'
    mkdir -p /etc/systemd/system/docker.service.d
    cat >/etc/systemd/system/docker.service.d/github-runner-accept.conf <<'END'
[Service]
ExecStartPost=-/bin/sh -c 'iptables -C DOCKER-USER -j ACCEPT 2>/dev/null || iptables -I DOCKER-USER -j ACCEPT'
END
}

install_application() {
    step 'unpack the runner application'
    sum=$(sha256sum "$BUILD_DIR/application.tar.gz")
    sum=${sum%% *}
    [ "$sum" = "$APPLICATION_SHA256" ] ||
        fail "the application's SHA-256 is $sum, wanted $APPLICATION_SHA256"
    unpack_application "$BUILD_DIR/application.tar.gz"
    [ -x "$RUNNER_HOME/run.sh" ] || fail 'the application has no run.sh'
    if [ -x "$RUNNER_HOME/bin/installdependencies.sh" ]; then
        step 'install what the runner application needs'
        "$RUNNER_HOME/bin/installdependencies.sh" </dev/null
    fi
    # Whatever the archive has of that name: a link would lead elsewhere.
    rm -rf "$RUNNER_HOME/.sha256"
    printf '%s\n' "$sum" >"$RUNNER_HOME/.sha256"
}

run_own_script() {
    [ -f "$BUILD_DIR/script" ] || return 0
    step 'run image-script'
    code=0
    (cd / && exec "$BUILD_DIR/script" </dev/null) || code=$?
    [ "$code" -eq 0 ] || fail "image-script has ended with $code"
}

check_tools() {
    step 'check the tools'
    for tool in $TOOLS; do
        command -v "$tool" >/dev/null || fail "$tool is missing after all"
    done
}

# What one instance must not have of another, and what costs space. The seed stays: it is the new
# instance's own, which LXD writes before it starts.
clean_up() {
    step 'clean up'
    if command -v snap >/dev/null; then
        snap unset system proxy.http proxy.https 2>/dev/null || :
    fi
    apt-get -q clean
    rm -rf /var/lib/apt/lists/* /root/.npm /root/.cache /root/.bash_history
    rm -f /etc/ssh/ssh_host_*
    ! command -v cloud-init >/dev/null || cloud-init clean
    : >/etc/machine-id
    [ -L /var/lib/dbus/machine-id ] || rm -f /var/lib/dbus/machine-id
    rm -f /var/lib/docker/engine-id /var/lib/systemd/random-seed
    ! command -v journalctl >/dev/null || journalctl --quiet --rotate --vacuum-size=1 2>/dev/null || :
    find /var/log -type f -exec truncate -s 0 {} +
    find /tmp /var/tmp -mindepth 1 -delete 2>/dev/null || :
    rm -rf "$BUILD_DIR"
    sync
}

trap 'rm -rf "$BUILD_DIR"' EXIT
mkdir -p "$GUEST_DIR/private"
wait_for_system
install_packages
prepare_snapd
install_yarn
install_yq
install_aproxy
prepare_users
prepare_docker
install_application
run_own_script
check_tools
clean_up
step 'done'
