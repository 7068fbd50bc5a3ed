#!/usr/bin/env bash
# Makes the virtual environment NAME from requirements-NAME.txt at the top of the repository and prints its path.
# An environment that was made from the same requirements is used as it is.
#
#     environment.sh template|checkov|emulator|deny|pypi-attestations|schemathesis
#
# The requirements of what other verifiers need are in ../compare, those of what asks the API in ../api.
# requirements-NAME.txt is made from requirements-NAME.in:
#     uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-annotate --no-header \
#         requirements-NAME.in -o requirements-NAME.txt
# One environment each: aws-sam-cli, checkov and ministack pin different versions of the same libraries.
set -euo pipefail

name=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
for folder in "$here" "$here/../compare" "$here/../api"; do
    requirements=$folder/requirements-$name.txt
    if [ -f "$requirements" ]; then
        break
    fi
done
environment=$top/.venv-$name
installer=$top/.venv-installer

if ! cmp --silent "$requirements" "$environment/installed-from.txt"; then
    if [ ! -x "$installer/bin/uv" ]; then
        python3 -m venv "$installer"
        "$installer/bin/pip" install --quiet --require-hashes --requirement "$here/requirements-installer.txt" >&2
    fi
    "$installer/bin/uv" venv --quiet --clear --python "$(command -v python3)" "$environment"
    "$installer/bin/uv" pip install --quiet --python "$environment" --require-hashes --requirement "$requirements" >&2
    cp "$requirements" "$environment/installed-from.txt"
fi
printf '%s\n' "$environment"
