#!/usr/bin/env bash
# Runs the built functions under emulators: alone, and deployed from template.yaml.
#
#     check_functions.sh BINARIES REGISTRY-COMMAND [EXPECTATIONS]
#
# BINARIES is a folder with verify-api, batch-verifier and sweeper; the rest is described in test_functions.py.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
template=$("$here/environment.sh" template)
emulator=$("$here/environment.sh" emulator)
export PYTHONDONTWRITEBYTECODE=1

"$emulator/bin/python" "$here/test_functions.py" \
    --binaries "$1" \
    --interface-emulator "$("$template/bin/python" "$here/rie.py")" \
    --registry-command "$2" \
    ${3:+--expectations "$3"}
