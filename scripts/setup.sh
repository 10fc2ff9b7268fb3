#!/usr/bin/env bash
# Make the Python environment in .venv, from the lock file and this machine's own python3.
# With "test" as its argument it also installs the Debian packages that the tests need.
# Where nothing has changed since the last time, it does nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What the tests run beside Python: whatever is missing is installed, and nothing is skipped.
test_packages=(btrfs-progs curl dash dpkg-dev iproute2 mmdebstrap netcat-openbsd nftables
    python3-apt python3-venv systemd tinyproxy-bin wget)
debian_test_packages=(lxd lxd-client dnsmasq-base squashfs-tools
    qemu-system-x86 qemu-utils ovmf genisoimage)

python=${PYTHON:-python3}
venv=.venv
# Where that environment is activated, it must not be made anew by the very interpreter it holds.
PATH=":$PATH:"
PATH=${PATH//":$PWD/$venv/bin:"/:}
PATH=${PATH#:}
PATH=${PATH%:}
stamp=$venv/.installed
log=$PWD/.cache/setup.log

now_ms() {
    local now=${EPOCHREALTIME//[!0-9]/}
    echo $((now / 1000))
}

# step TEXT COMMAND...: runs it quietly, says how long it took, and shows its output if it fails.
step() {
    local text=$1 began took
    shift
    printf 'setup: %s ... ' "$text"
    began=$(now_ms)
    if ! "$@" >"$log" 2>&1 </dev/null; then
        printf 'failed\n'
        tail -n 30 "$log" >&2
        exit 1
    fi
    took=$(($(now_ms) - began))
    printf '%d.%d s\n' $((took / 1000)) $((took % 1000 / 100))
}

die() {
    echo "setup: $*" >&2
    exit 1
}

can_be_root() {
    [ "$EUID" -eq 0 ] || sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null; }
}

as_root() {
    if [ "$EUID" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

# apt NAME...: the lists of packages may be missing on a fresh machine, or old.
apt() {
    as_root apt-get install -y -q --no-install-recommends "$@" ||
        { as_root apt-get update -q && as_root apt-get install -y -q --no-install-recommends "$@"; }
}

install_debian() {
    command -v apt-get >/dev/null || die "$* is missing, and there is no apt-get; install it"
    can_be_root || die "$* is missing, and we are neither root nor have sudo; install it"
    # Asked here, where it can be read: the installation itself writes to the log.
    [ "$EUID" -eq 0 ] || sudo true
    step "installing $*" apt "$@"
}

check_python() {
    command -v "$python" >/dev/null || install_debian python3 python3-venv
    # The version is part of the stamp: a machine that was upgraded has another one.
    version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
    case $version in
        3.10.* | 3.11.* | 3.12.* | 3.13.*) ;;
        *) die "$python is $version; it takes 3.10 to 3.13 (name another one as PYTHON=...)" ;;
    esac
}

make_environment() {
    local wanted
    wanted=$(
        {
            echo "$version $(command -v "$python") $PWD"
            cat requirements.lock pyproject.toml
        } | sha256sum
    )
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_debian python3-venv
    rm -f "$stamp"
    step "making $venv with Python $version" "$python" -m venv --clear "$venv"
    local pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input install --quiet)
    step "installing the locked packages" "${pip[@]}" --require-hashes -r requirements.lock
    step "installing the project" "${pip[@]}" --no-deps --no-build-isolation --editable .
    echo "$wanted" >"$stamp"
}

install_for_tests() {
    command -v dpkg-query >/dev/null || return 0
    local wanted=("${test_packages[@]}") installed missing=() name busybox=busybox-static
    if ! grep -q '^ID=ubuntu' /etc/os-release; then
        wanted+=("${debian_test_packages[@]}")
        busybox=busybox
    fi
    # Either of its two packages will do, and installing one removes the other.
    command -v busybox >/dev/null || wanted+=("$busybox")
    # Its status is not zero where one is unknown; what it lists is what counts.
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null) ||
        true
    for name in "${wanted[@]}"; do
        [[ $'\n'$installed$'\n' == *$'\n'"$name installed"$'\n'* ]] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    install_debian "${missing[@]}"
}

download_prometheus() {
    (cd "$1" && apt-get download -q prometheus) ||
        { as_root apt-get update -q && (cd "$1" && apt-get download -q prometheus); }
}

# unpack_prometheus: its programs, without the package's service, which would start.
unpack_prometheus() {
    local place=.cache/prometheus
    # The chain ends at the first that fails: `step` takes no part in "set -e".
    rm -rf "$place" && mkdir -p "$place/download" && download_prometheus "$place/download" &&
        dpkg-deb -x "$place"/download/prometheus_*.deb "$place/unpacked" &&
        mv "$place/unpacked/usr/share/prometheus" "$place/share" &&
        mv "$place/unpacked/usr/bin" "$place/bin" &&
        rm -r "$place/unpacked" "$place/download"
}

get_prometheus() {
    [ ! -x .cache/prometheus/bin/promtool ] || return 0
    command -v apt-get >/dev/null || die "promtool is missing, and there is no apt-get to get it"
    step "getting prometheus" unpack_prometheus
}

mkdir -p .cache
check_python
make_environment
if [ "${1:-}" = test ]; then
    install_for_tests
    get_prometheus
fi
