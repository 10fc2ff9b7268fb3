#!/bin/sh
# The whole init of the tiny runner image: an address, then the user data, then nothing but waiting.
# It is process 1: it collects orphans, and ends the container when LXD asks for it.

PATH=/bin
export PATH
user_data=/var/lib/user-data/script

# Twice forced and without a sync, as in guest.sh: what a guest wrote goes with it.
trap 'poweroff -n -f' PWR TERM

# In the background, so that the trap works meanwhile. It goes on renewing once it has an address,
# and gives up after a while: the user data's script knows best what to do without a network.
udhcpc -i eth0 -t 100 -T 1 -n -s /etc/dhcp.sh >/dev/null 2>&1 &
dhcp=$!
ip link set lo up
wait $dhcp

# LXD writes it when it creates the instance; its script removes it. A second start has none.
[ -e "$user_data" ] || poweroff -n -f
setsid sh "$user_data" </dev/null >/dev/console 2>&1 &

while :; do
    sleep 86400 &
    wait $!
done
