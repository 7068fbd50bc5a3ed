#!/usr/bin/env bash
# Runs the built functions under emulators: alone, and deployed by SAM.
#
#     check_functions.sh BUILD BINARIES REGISTRY-COMMAND [EXPECTATIONS]
#
# BUILD is what build.sh printed, BINARIES a folder with the workspace's other programs; the rest is described in test_functions.py,
# test_deployment.py and test_corpus.py.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
template=$("$here/environment.sh" template)
emulator=$("$here/environment.sh" emulator)
export PYTHONDONTWRITEBYTECODE=1

interface=$("$template/bin/python" "$here/rie.py")
python=$emulator/bin/python
built=(--build "$1" --sam "$template/bin/sam")

"$python" "$here/test_functions.py" "${built[@]}" --interface-emulator "$interface" --registry-command "$3" ${4:+--expectations "$4"}
"$python" "$here/test_deployment.py" "${built[@]}" --registry-command "$3"
"$python" "$here/test_corpus.py" "${built[@]}" --interface-emulator "$interface" --binaries "$2"
