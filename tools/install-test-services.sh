#!/bin/sh
# The tests start servers of their own: PostgreSQL with PostGIS, Redis and Prometheus. This installs the programs where
# they are missing and may be installed. Where they may not, it says what will not be tested.
set -eu

missing=""
if ! { ls /usr/lib/postgresql/*/bin/initdb || command -v initdb; } >/dev/null 2>&1 ||
    ! ls /usr/share/postgresql/*/extension/postgis.control \
        "$(pg_config --sharedir 2>/dev/null)/extension/postgis.control" 2>/dev/null | grep -q .; then
    missing="postgresql postgresql-postgis"
fi
command -v redis-server >/dev/null || missing="$missing redis-server"
command -v promtool >/dev/null || missing="$missing prometheus"
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root="sudo -n"
fi
if command -v apt-get >/dev/null && { [ -z "$as_root" ] || $as_root true 2>/dev/null; }; then
    echo "installing for the tests: $missing"
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then  # we want the programs, not running servers
        $as_root mkdir -p /etc/postgresql-common
        echo "create_main_cluster = false" | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    $as_root mkdir -p /etc/systemd/system
    for unit in redis-server prometheus; do
        case "$missing" in *"$unit"*) $as_root ln -sf /dev/null "/etc/systemd/system/$unit.service" ;; esac
    done
    $as_root apt-get -qq update
    # shellcheck disable=SC2086  # one word for each package
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install --no-install-recommends $missing >/dev/null
else
    echo "NOT RUN: every test that needs a program of $missing,"
    echo "         because it is not installed and may not be installed here. Install it and run again."
fi
