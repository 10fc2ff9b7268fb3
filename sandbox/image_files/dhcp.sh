#!/bin/sh
# Called by udhcpc with what it learnt in its environment.
# shellcheck disable=SC2154  # ip, subnet, router, dns, domain, interface are udhcpc's

case $1 in
    bound | renew)
        ifconfig "$interface" "$ip" netmask "$subnet"
        route add default gw "${router%% *}" dev "$interface" 2>/dev/null
        {
            [ -z "${domain-}" ] || echo "search $domain"
            for server in ${dns-}; do
                echo "nameserver $server"
            done
        } >/etc/resolv.conf
        ;;
esac
