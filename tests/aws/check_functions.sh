#!/usr/bin/env bash
# Runs the built functions under emulators: alone, and deployed from template.yaml.
#
#     check_functions.sh BINARIES REGISTRY-COMMAND [EXPECTATIONS]
#
# BINARIES is a folder with the workspace's programs; the rest is described in test_functions.py and test_corpus.py.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
template=$("$here/environment.sh" template)
emulator=$("$here/environment.sh" emulator)
export PYTHONDONTWRITEBYTECODE=1

interface=$("$template/bin/python" "$here/rie.py")

"$emulator/bin/python" "$here/test_functions.py" \
    --binaries "$1" \
    --interface-emulator "$interface" \
    --registry-command "$2" \
    ${3:+--expectations "$3"}
"$emulator/bin/python" "$here/test_corpus.py" --binaries "$1" --interface-emulator "$interface"
