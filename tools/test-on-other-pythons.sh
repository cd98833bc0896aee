#!/bin/sh
# Run the tests, but those marked `once`, on every Python from 3.11 on that this machine has, save the one on which
# all have just run ($PYTHON).
set -eu

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

tested="$(version_of "$PYTHON")"
siblings="$("$PYTHON" -c 'import sys; print(sys.base_prefix)')/.."  # where pyenv and uv keep all their versions
for minor in 11 12 13 14; do
    version="3.$minor"
    [ "$version" = "$tested" ] && continue
    for candidate in "$(command -v "python$version" || true)" "$siblings"/*"$version".*/bin/python; do
        [ "$(version_of "$candidate" || true)" = "$version" ] || continue
        echo "testing on Python $version"
        venv=".venv-$version"
        [ -x "$venv/bin/python" ] || "$candidate" -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements.lock --editable .
        "$venv/bin/python" -m pytest -n auto --dist loadscope -p no:cacheprovider -m "not once"
        break
    done
done
