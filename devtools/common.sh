# Shared by devtools/lab, devtools/test and devtools/peers: become root, install what is missing, build.
# Sourced, with $0 and "$@" of the caller.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Debian's own python3: its packages (scapy, pytest) belong to it.
python=/usr/bin/python3

need_root() {
	[ "$(id -u)" -eq 0 ] && return
	if ! command -v sudo >/dev/null; then
		echo "$0: needs root (network namespaces, packages), and there is no sudo: run it as root." >&2
		exit 1
	fi
	# sudo drops the environment; what our scripts read from it goes along.
	local keep=() name
	for name in PYTEST_ARGS FUZZ_SECONDS PORT500_PEERS PORT500_PEERS_DIR; do
		[ -z "${!name:-}" ] || keep+=("$name=${!name}")
	done
	exec sudo -- env "${keep[@]}" "$top/devtools/$(basename "$0")" "$@"
}

# configure DIR OPTIONS...: sets a meson build directory up, or again when its options changed.
configure() {
	local dir=$1
	shift
	if [ -f "$dir/.configured" ] && [ "$(cat "$dir/.configured")" = "$*" ]; then
		return
	fi
	rm -rf "$dir"
	if ! meson setup "$dir" "$top" "$@" >"$dir.log" 2>&1; then
		tail -n 20 "$dir.log" >&2
		echo "$0: meson setup $dir failed; the whole output is in $dir.log" >&2
		exit 1
	fi
	mv "$dir.log" "$dir/setup.log"
	echo "$*" >"$dir/.configured"
}

# build DIR [TARGETS...]: compiles, printing only what went wrong.
build() {
	local dir=$1
	shift
	if ! ninja -C "$dir" "$@" >"$dir/build.log" 2>&1; then
		grep -A12 -E 'error|FAILED|warning' "$dir/build.log" | head -n 60 >&2
		echo "$0: building $dir failed; the whole output is in $dir/build.log" >&2
		exit 1
	fi
}

# What was built through sudo belongs to whoever called sudo.
give_back() {
	if [ -n "${SUDO_UID:-}" ]; then
		chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$@" 2>/dev/null || true
	fi
}
