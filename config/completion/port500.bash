# bash completion for port500

# The socket given on the line so far, so that names come from the right daemon.
_port500_socket()
{
	local i

	for ((i = 1; i < ${#COMP_WORDS[@]} - 1; i++)); do
		[[ ${COMP_WORDS[i]} == --socket || ${COMP_WORDS[i]} == -s ]] &&
			printf '%s\n' "--socket" "${COMP_WORDS[i + 1]}" && return
	done
}

# Names of connections and of children as CONN/CHILD.
_port500_names()
{
	local -a socket

	mapfile -t socket < <(_port500_socket)
	port500 "${socket[@]}" show policies 2>/dev/null |
		awk 'NR > 1 && $2 == "protect" { split($1, n, "/"); print n[1]; print $1 }' | sort -u
}

_port500()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local options="--socket --json --help" command="" subject="" i skip=""

	case $prev in
	--socket | -s)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--write | -w)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--child)
		mapfile -t COMPREPLY < <(compgen -W "$(_port500_names)" -- "$cur")
		return
		;;
	--timeout | --ike-id | --child-id | --count | --duration | --sample | --snap-len | --port | \
		--peer | --spi | --host | --l4-port)
		return
		;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [[ $skip ]]; then
			skip=""
			continue
		fi
		case ${COMP_WORDS[i]} in
		--socket | -s | --timeout | --ike-id | --child-id | --write | -w | --count | \
			--duration | --sample | --snap-len | --port | --peer | --child | --spi | \
			--host | --l4-port | --lang) skip=1 ;;
		-*) ;;
		*)
			if [[ ! $command ]]; then
				command=${COMP_WORDS[i]}
			else
				subject=${COMP_WORDS[i]}
			fi
			;;
		esac
	done
	case $command in
	doctor) options+=" --probe --evidence --lang" ;;
	up) options+=" --timeout" ;;
	down) options+=" --timeout --ike-id --child-id" ;;
	rekey) options+=" --ike-id --child-id" ;;
	show)
		[[ $subject == drops || $subject == history ]] && options+=" --all"
		[[ $subject == events ]] && options+=" --follow"
		[[ $subject == ports ]] && options+=" --xstats --all"
		;;
	capture)
		options+=" --write --count --duration --sample --snap-len --drops --port --peer"
		options+=" --child --spi --host --l4-port"
		;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
		return
	fi
	case $command in
	"" | help)
		mapfile -t COMPREPLY < <(compgen -W \
			"status doctor show up down rekey reload capture support-bundle version help" -- "$cur")
		;;
	show)
		[[ $subject ]] || mapfile -t COMPREPLY < <(compgen -W \
			"ike child policies routes ports interfaces workers guard refusals \
events ike-headers history drops" \
			-- "$cur")
		;;
	up | down | rekey | doctor)
		[[ $subject ]] || mapfile -t COMPREPLY < <(compgen -W "$(_port500_names)" -- "$cur")
		;;
	esac
}

complete -F _port500 port500
