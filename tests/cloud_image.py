"""An image of a stock system: this machine's own distribution, systemd and real cloud-init."""

from pathlib import Path

from debian_image import DebianImage

CURL = "/opt/curl"
"""curl, for jobs alone: the script has to do with the Python that cloud-init brings."""

PACKAGES = (
    *("systemd-sysv", "cloud-init", "dbus", "iproute2", "udev"),
    *("ca-certificates", "curl", "jq", "nftables", "redsocks"),
)
# snapd's store can't be reached where tests run: its aproxy is another transparent proxy.
SNAP = """\
#!/bin/sh
[ "$1 $2" = "set aproxy" ] || exit 0
proxy=${3#proxy=}
cat >/etc/redsocks.conf <<END
base {
    daemon = on;
    redirector = iptables;
    log = "file:/var/log/redsocks.log";
}
redsocks {
    type = http-connect;
    local_ip = 0.0.0.0;
    local_port = ${4#listen=:};
    ip = ${proxy%:*};
    port = ${proxy#*:};
}
END
exec redsocks -c /etc/redsocks.conf
"""
# It shows what systemd gives it, and how often it was started.
DOCKER = """\
[Service]
ExecStart=/bin/sh -c 'umask 022; echo started >>/run/docker-starts; env >/run/docker-environment; \
    exec sleep infinity'
[Install]
WantedBy=multi-user.target
"""
FILES = {
    "etc/systemd/network/eth0.network": "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n",
    "etc/cloud/cloud.cfg.d/99-test.cfg": (
        "datasource_list: [NoCloud]\nlocale: false\nnetwork: {config: disabled}\n"
    ),
    "etc/systemd/system/docker.service": DOCKER,
    "etc/docker/daemon.json": '{"log-level": "warn"}\n',
    "usr/bin/snap": SNAP,
    "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
}
# As the images of LXD's own server have them.
TEMPLATES = {
    "/var/lib/cloud/seed/nocloud-net/meta-data": (
        "instance-id: {{ container.name }}\nlocal-hostname: {{ container.name }}\n"
    ),
    "/var/lib/cloud/seed/nocloud-net/user-data": '{{ config_get("cloud-init.user-data", "") }}',
}
IMAGE = DebianImage(
    name="cloud-init",
    packages=PACKAGES,
    files=FILES,
    programs=("usr/sbin/policy-rc.d", "usr/bin/snap"),
    commands=(
        ("mv", "/usr/bin/curl", CURL),
        ("systemctl", "enable", "systemd-networkd", "docker"),
        ("systemctl", "mask", "redsocks"),
        ("systemctl", "mask", "systemd-binfmt.service"),
    ),
    templates=TEMPLATES,
)


def build_cloud_image() -> tuple[Path, Path]:
    """Return metadata and rootfs, built unless this very recipe was built before."""
    return IMAGE.build()
