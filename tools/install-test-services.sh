#!/bin/sh
# The tests start a PostgreSQL server of their own; this installs the programs where they are missing and may be
# installed. Where they may not, it says what will not be tested.
set -eu

if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null; then
    if ls /usr/share/postgresql/*/extension/postgis.control "$(pg_config --sharedir 2>/dev/null)/extension/postgis.control" >/dev/null 2>&1; then
        exit 0
    fi
fi

as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root="sudo -n"
fi
if command -v apt-get >/dev/null && { [ -z "$as_root" ] || $as_root true 2>/dev/null; }; then
    echo "installing PostgreSQL with PostGIS for the tests"
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then  # we want the programs, not a running server
        $as_root mkdir -p /etc/postgresql-common
        echo "create_main_cluster = false" | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    $as_root apt-get -qq update
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends \
        postgresql postgresql-postgis >/dev/null
else
    echo "NOT RUN: every test on PostgreSQL, because it is not installed and may not be installed here."
    echo "         Install PostgreSQL 13 or later with PostGIS and run again."
fi
