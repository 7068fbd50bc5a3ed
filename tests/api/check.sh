#!/usr/bin/env bash
# Compares the running API with its description. `check.sh HEKATE`: the program.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
environment=$("$here/../aws/environment.sh" schemathesis)
PYTHONDONTWRITEBYTECODE=1 "$environment/bin/python" "$here/check.py" "$@"
