#!/bin/sh
# Keep for later starts what the environment of the configuration says.
set -u

for name in LANG http_proxy https_proxy no_proxy; do
    eval "value=\${$name-}"
    if [ -n "$value" ] && ! grep -q "^$name=" .env 2>/dev/null; then
        printf '%s=%s\n' "$name" "$value" >>.env
    fi
done
printf '%s\n' "$PATH" >.path
