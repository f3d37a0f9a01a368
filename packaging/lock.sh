#!/usr/bin/env bash
# Writes the locked requirements anew from pyproject.toml: versions with hashes, without any index address.
# Needs uv (`pip install uv`). With --upgrade it takes the newest versions; without, it keeps those that still fit.
set -eu
cd "$(dirname "$0")/.."

lock() {
    local file=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --custom-compile-command packaging/lock.sh "$@" --output-file "$file"
}

lock requirements.txt "$@" pyproject.toml
lock requirements-build.txt "$@" --group build
lock requirements-dev.txt "$@" --constraint requirements.txt --constraint requirements-build.txt \
    --extra dev --group build pyproject.toml
lock requirements-bench.txt "$@" --constraint requirements-dev.txt --group bench
