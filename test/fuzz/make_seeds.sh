#!/bin/sh
# Writes the seeds real-* of the fuzz targets of IKE anew, from test/vectors/captures:
# make_seeds.sh [BUILD]
#
# Seeds that are the same as another one are left out.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here/../../build}
rm -f "$here"/corpus/*/real-*
"$build/test/fuzz/fuzz_seeds" "$here/../vectors/captures" "$here/corpus"
for folder in ike ike_step fragment; do
	cd "$here/corpus/$folder"
	sha1sum real-* | sort | awk 'seen[$1]++ { print $2 }' | xargs -r rm
done
du -cb "$here"/corpus/*/real-* | tail -1
