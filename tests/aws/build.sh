#!/usr/bin/env bash
# `sam build` of template.yaml for this host, and prints the folder with what it built.
#
# An emulator runs the functions as processes of this host, and a test wants them soon: this host's instruction set, and the tests' own
# profile. An operator types `sam build`, which builds the release profile for the architecture of the template.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
template=$("$here/environment.sh" template)

case $(uname -m) in
    x86_64) architecture=x86_64 ;;
    aarch64 | arm64) architecture=arm64 ;;
    *)
        printf 'no function runs on %s\n' "$(uname -m)" >&2
        exit 1
        ;;
esac

cd "$top"
# cargo-lambda and the linker that it brings stand beside sam.
PATH=$template/bin:$PATH SAM_BUILD_MODE=debug SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 \
    "$template/bin/sam" build --parameter-overrides "Architecture=$architecture" >&2
printf '%s\n' "$top/.aws-sam/build"
