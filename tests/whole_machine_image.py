"""An image of a machine that runners are to be deployed on: Debian, systemd, a LXD of its own.

It is for privileged containers with nesting, on a LXD of this machine's.
"""

from debian_image import DebianImage

# Nothing can be fetched from inside: all that an installation asks for is there.
_PACKAGES = (
    *("systemd-sysv", "dbus", "iproute2", "udev", "kmod", "procps", "ca-certificates"),
    *("lxd", "lxd-client", "dnsmasq-base", "nftables", "btrfs-progs", "python3"),
)
# Where control groups are of the first version this machine may have mounted these two one by one,
# while systemd mounts them together, as most do. LXD's containers look for either by itself.
_CONTROLLERS = """\
#!/bin/sh
set -e
[ -d /sys/fs/cgroup/cpu,cpuacct ] || exit 0
mount -o remount,rw /sys/fs/cgroup
for name in cpu cpuacct; do
    directory=/sys/fs/cgroup/$name
    ! mountpoint -q $directory || continue
    rm -f $directory
    mkdir -p $directory
    mount -t cgroup -o $name cgroup $directory
done
"""
_LOOP_DEVICES = 64
_FILES = {
    "etc/systemd/network/eth0.network": "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n",
    # What is asked for by name is refused at once, and nobody outside is asked.
    "etc/resolv.conf": "nameserver 127.0.0.1\n",
    "usr/local/sbin/mount-controllers": _CONTROLLERS,
    "etc/systemd/system/lxd.service.d/controllers.conf": (
        "[Service]\nExecStartPre=/usr/local/sbin/mount-controllers\n"
    ),
    # No udev makes them in a container.
    "etc/tmpfiles.d/loop.conf": "c! /dev/loop-control 0660 root disk - 10:237\n"
    + "".join(f"b! /dev/loop{n} 0660 root disk - 7:{n}\n" for n in range(_LOOP_DEVICES)),
}
IMAGE = DebianImage(
    name="machine",
    packages=_PACKAGES,
    files=_FILES,
    programs=("usr/local/sbin/mount-controllers",),
    commands=(
        ("systemctl", "enable", "systemd-networkd"),
        ("systemctl", "mask", "systemd-binfmt.service"),
    ),
)
