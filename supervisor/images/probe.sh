# Says which packages of an image apt would bring up to date: `Inst NAME ...`, a line each. Runs as
# root in an instance of the image.
# shellcheck shell=sh
# shellcheck disable=SC2154  # the assignments are work/image_build.py's

set -eu
# shellcheck source=/dev/null
{ set -a && . "$BUILD_DIR/environment" && set +a; }
until grep -Eq '^[^[:space:]]+[[:space:]]+00000000[[:space:]]' /proc/net/route; do
    sleep 1 # for as long as the host lets this instance be
done
apt-get -q -o Acquire::Retries=5 -o APT::Update::Error-Mode=any update
apt-get -q -o APT::Get::Never-Include-Phased-Updates=true --simulate dist-upgrade
