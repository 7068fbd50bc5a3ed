#!/usr/bin/env bash
# Checks template.yaml: its syntax and schema, known bad practice, and what the expanded template grants and sets.
# Needs python3 and the package registries' ordinary clients; no account, no network beyond the installation.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."

template=$("$here/environment.sh" template)
checkov=$("$here/environment.sh" checkov)

# A region is asked for and not used; no credentials are.
export AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 PYTHONDONTWRITEBYTECODE=1

echo "sam validate --lint"
"$template/bin/sam" validate --lint --template template.yaml
echo "cfn-lint"
"$template/bin/cfn-lint" --include-checks I --template template.yaml
echo "checkov"
"$checkov/bin/checkov" --config-file "$here/checkov.yaml" --file template.yaml
echo "test_template"
"$template/bin/python" -m unittest discover --start-directory "$here" --pattern test_template.py --verbose
