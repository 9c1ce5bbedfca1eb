#!/bin/sh
# Runs a libFuzzer target for FUZZ_SECONDS (5) from its corpus: run_fuzz.sh TARGET CORPUS
#
# New inputs go to a folder that is thrown away; set FUZZ_KEEP=FOLDER to keep them. A finding is
# left beside the target as TARGET-crash-..., to be added to the corpus once it is fixed.
set -eu
target=$1
corpus=$2
if [ -n "${FUZZ_KEEP:-}" ]; then
	new=$FUZZ_KEEP
	mkdir -p "$new"
else
	new=$(mktemp -d)
	trap 'rm -rf "$new"' EXIT
fi
"$target" -max_total_time="${FUZZ_SECONDS:-5}" -timeout=10 -print_final_stats=1 \
	-artifact_prefix="$target-" "$new" "$corpus"
