#include "control/cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "lib/suggest.h"

#define WORDS_MAX 32

enum { VALUE_FIRST = 256 }; // of what getopt_long returns for enum option_value

enum { TIMEOUT_DEFAULT_S = 30, TIMEOUT_MAX_S = 86400 };

static const struct option long_options[] = {
	{"socket", required_argument, NULL, 's'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{"all", no_argument, NULL, 'a'},
	{"timeout", required_argument, NULL, 't'},
	{"ike-id", required_argument, NULL, 'I'},
	{"child-id", required_argument, NULL, 'C'},
	{"drops", no_argument, NULL, 'd'},
	{"xstats", no_argument, NULL, 'x'},
	{"probe", no_argument, NULL, 'p'},
	{"evidence", no_argument, NULL, 'e'},
	{"follow", no_argument, NULL, 'f'},
	{"count", required_argument, NULL, VALUE_FIRST + VALUE_COUNT},
	{"duration", required_argument, NULL, VALUE_FIRST + VALUE_DURATION},
	{"sample", required_argument, NULL, VALUE_FIRST + VALUE_SAMPLE},
	{"snap-len", required_argument, NULL, VALUE_FIRST + VALUE_SNAP_LEN},
	{"port", required_argument, NULL, VALUE_FIRST + VALUE_PORT},
	{"peer", required_argument, NULL, VALUE_FIRST + VALUE_PEER},
	{"child", required_argument, NULL, VALUE_FIRST + VALUE_CHILD},
	{"spi", required_argument, NULL, VALUE_FIRST + VALUE_SPI},
	{"host", required_argument, NULL, VALUE_FIRST + VALUE_HOST},
	{"l4-port", required_argument, NULL, VALUE_FIRST + VALUE_L4_PORT},
	{"write", required_argument, NULL, VALUE_FIRST + VALUE_WRITE},
	{"lang", required_argument, NULL, VALUE_FIRST + VALUE_LANG},
	{NULL, 0, NULL, 0},
};

static const struct {
	unsigned bit;
	const char *name, *help;
} special_options[] = {
	{OPTION_ALL, "--all", "also what has never happened (zero counters)"},
	{OPTION_XSTATS, "--xstats", "also the counters of the ports' drivers"},
	{OPTION_PROBE, "--probe", "ask the peer first: ICMP, IKE to 500 and 4500, hop by hop"},
	{OPTION_EVIDENCE, "--evidence", "one page for the network operator"},
	{OPTION_FOLLOW, "--follow", "go on with what happens from now on, until Ctrl-C"},
	{OPTION_VALUE(VALUE_LANG), "--lang en|zh", "of that page: English (default) or Chinese"},
	{OPTION_TIMEOUT, "--timeout S", "give up waiting after S seconds (default 30)"},
	{OPTION_IKE_ID, "--ike-id N", "the IKE SA with this id (see: port500 show ike)"},
	{OPTION_CHILD_ID, "--child-id N", "the child SA with this id (see: port500 show child)"},
	{OPTION_VALUE(VALUE_WRITE), "--write FILE", "or -w: where to; - is standard output"},
	{OPTION_VALUE(VALUE_COUNT), "--count N", "end after N packets in the file"},
	{OPTION_VALUE(VALUE_DURATION), "--duration S", "end after S seconds (at most 86400)"},
	{OPTION_VALUE(VALUE_SAMPLE), "--sample N", "follow one packet in N"},
	{OPTION_VALUE(VALUE_SNAP_LEN), "--snap-len N", "at most N bytes of each"},
	{OPTION_DROPS, "--drops", "dropped packets only"},
	{OPTION_VALUE(VALUE_PORT), "--port NAME", "in or out by this port"},
	{OPTION_VALUE(VALUE_PEER), "--peer ADDR", "to or from this peer, in ESP or to be"},
	{OPTION_VALUE(VALUE_CHILD), "--child NAME", "of this tunnel: CHILD or CONN/CHILD"},
	{OPTION_VALUE(VALUE_SPI), "--spi HEX", "of this child SA, either way"},
	{OPTION_VALUE(VALUE_HOST), "--host PREFIX", "to or from this address or network"},
	{OPTION_VALUE(VALUE_L4_PORT), "--l4-port N", "to or from this port of TCP, UDP, ..."},
};

#define SPECIAL_OPTIONS (sizeof(special_options) / sizeof(special_options[0]))

const char *options_value_name(enum option_value value)
{
	const struct option *o = long_options;

	while (o->val != VALUE_FIRST + (int)value)
		o++;
	return o->name;
}

static int parse_number(const char *option, const char *text, unsigned long max, uint32_t *out,
			struct error *err)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || v == 0 || v > max)
		return error_set(err, -EINVAL, "%s: '%s' is not a number from 1 to %lu", option,
				 text, max);
	*out = (uint32_t)v;
	return 0;
}

static int unknown_option(const char *arg, int opt, struct error *err)
{
	const char *names[sizeof(long_options) / sizeof(long_options[0])];
	const char *nearest = NULL;
	char word[64];
	size_t n = 0;

	if (opt == ':')
		return error_set(err, -EINVAL, "%s needs a value", arg);
	for (; long_options[n].name; n++)
		names[n] = long_options[n].name;
	if (strncmp(arg, "--", 2) == 0) {
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
		nearest = suggest_nearest(word, names, n);
	}
	if (nearest)
		return error_set(err, -EINVAL, "%s is not an option; did you mean --%s?", arg,
				 nearest);
	return error_set(err, -EINVAL, "%s is not an option", arg);
}

// Reads the options; *used collects those that only some commands take.
static int read_options(int argc, char **argv, struct options *o, unsigned *used, struct error *err)
{
	int opt, rc = 0;

	optind = 0; // glibc: start afresh and forget the order of an earlier call
	while (rc == 0 && (opt = getopt_long(argc, argv, ":s:jhVw:", long_options, NULL)) != -1) {
		switch (opt) {
		case 's':
			o->socket = optarg;
			break;
		case 'j':
			o->json = true;
			break;
		case 'h':
			o->help = true;
			break;
		case 'V':
			o->version = true;
			break;
		case 'a':
			o->all = true;
			*used |= OPTION_ALL;
			break;
		case 't':
			rc = parse_number("--timeout", optarg, TIMEOUT_MAX_S, &o->timeout_s, err);
			*used |= OPTION_TIMEOUT;
			break;
		case 'I':
			rc = parse_number("--ike-id", optarg, UINT32_MAX, &o->ike_id, err);
			*used |= OPTION_IKE_ID;
			break;
		case 'C':
			rc = parse_number("--child-id", optarg, UINT32_MAX, &o->child_id, err);
			*used |= OPTION_CHILD_ID;
			break;
		case 'd':
			o->drops = true;
			*used |= OPTION_DROPS;
			break;
		case 'x':
			o->xstats = true;
			*used |= OPTION_XSTATS;
			break;
		case 'p':
			o->probe = true;
			*used |= OPTION_PROBE;
			break;
		case 'e':
			o->evidence = true;
			*used |= OPTION_EVIDENCE;
			break;
		case 'f':
			o->follow = true;
			*used |= OPTION_FOLLOW;
			break;
		case 'w':
			o->values[VALUE_WRITE] = optarg;
			*used |= OPTION_VALUE(VALUE_WRITE);
			break;
		default:
			if (opt >= VALUE_FIRST && opt < VALUE_FIRST + OPTION_VALUES) {
				o->values[opt - VALUE_FIRST] = optarg;
				*used |= OPTION_VALUE(opt - VALUE_FIRST);
				break;
			}
			return unknown_option(argv[optind - 1], opt, err);
		}
	}
	return rc;
}

static const struct command *no_such_word(const struct command *commands, const char *word,
					  struct error *err)
{
	const char *words[WORDS_MAX], *nearest;
	size_t n = 0;

	for (const struct command *c = commands; c->word && n < WORDS_MAX; c++)
		words[n++] = c->word;
	nearest = suggest_nearest(word, words, n);
	if (nearest)
		error_set(err, -EINVAL, "there is no command '%s'; did you mean '%s'?", word,
			  nearest);
	else
		error_set(err, -EINVAL, "there is no command '%s'; see 'port500 help'", word);
	return NULL;
}

static const struct command *no_such_subject(const struct command *commands, const char *word,
					     const char *subject, struct error *err)
{
	const char *words[WORDS_MAX], *nearest;
	char list[256] = "";
	size_t n = 0, len = 0;

	for (const struct command *c = commands; c->word && n < WORDS_MAX; c++) {
		if (strcmp(c->word, word) != 0 || len >= sizeof(list))
			continue;
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", n ? ", " : "",
					c->subject);
		words[n++] = c->subject;
	}
	nearest = subject ? suggest_nearest(subject, words, n) : NULL;
	if (!subject)
		error_set(err, -EINVAL, "%s what? One of: %s", word, list);
	else if (nearest)
		error_set(err, -EINVAL, "'%s %s' does not exist; did you mean '%s %s'?", word,
			  subject, word, nearest);
	else
		error_set(err, -EINVAL, "'%s %s' does not exist; one of: %s", word, subject, list);
	return NULL;
}

const struct command *options_find(const struct command *commands, const char *word,
				   const char *subject, struct error *err)
{
	bool has_subjects = false;

	for (const struct command *c = commands; c->word; c++) {
		if (strcmp(c->word, word) != 0)
			continue;
		if (!c->subject || (subject && strcmp(c->subject, subject) == 0))
			return c;
		has_subjects = true;
	}
	if (has_subjects)
		return no_such_subject(commands, word, subject, err);
	return no_such_word(commands, word, err);
}

static int check_fit(const struct options *o, unsigned used, struct error *err)
{
	const struct command *c = o->command;

	for (size_t i = 0; i < SPECIAL_OPTIONS; i++)
		if (used & special_options[i].bit & ~c->options)
			return error_set(err, -EINVAL, "'%s%s%s' does not take %.*s", c->word,
					 c->subject ? " " : "", c->subject ? c->subject : "",
					 (int)strcspn(special_options[i].name, " "),
					 special_options[i].name);
	if (o->n_args > c->max_args)
		return error_set(err, -EINVAL, "'%s' is too much; see 'port500 help %s'",
				 o->args[c->max_args], c->word);
	return 0;
}

static bool is_word(const struct command *commands, const char *word)
{
	for (const struct command *c = commands; c->word; c++)
		if (strcmp(c->word, word) == 0)
			return true;
	return false;
}

int options_parse(int argc, char **argv, const struct command *commands, struct options *out,
		  struct error *err)
{
	struct options o = {.timeout_s = TIMEOUT_DEFAULT_S};
	const char *env = getenv("PORT500_SOCKET");
	unsigned used = 0;
	int rc;

	o.socket = env && *env ? env : SOCKET_DEFAULT;
	rc = read_options(argc, argv, &o, &used, err);
	if (rc)
		return rc;
	o.args = argv + optind;
	o.n_args = argc - optind;
	if (o.n_args == 0) {
		if (used)
			return error_set(err, -EINVAL, "no command; see 'port500 help'");
		*out = o;
		return 0;
	}
	// "port500 show --help" is a fair question: the list of commands answers it.
	if (o.help && o.n_args == 1 && is_word(commands, o.args[0]) &&
	    !options_find(commands, o.args[0], NULL, NULL)) {
		*out = o;
		return 0;
	}
	o.command = options_find(commands, o.args[0], o.n_args > 1 ? o.args[1] : NULL, err);
	if (!o.command)
		return -EINVAL;
	o.args += o.command->subject ? 2 : 1;
	o.n_args -= o.command->subject ? 2 : 1;
	rc = o.help ? 0 : check_fit(&o, used, err);
	if (!rc)
		*out = o;
	return rc;
}

static void print_general(FILE *out)
{
	fputs("Options of every command:\n"
	      "  --socket PATH    the daemon's socket (default $PORT500_SOCKET or " SOCKET_DEFAULT
	      ")\n"
	      "  --json           one JSON object instead of text\n"
	      "  --help           help for the command\n"
	      "\n"
	      "Exit status: 0 done, 1 it failed, 2 wrong usage, 3 the daemon cannot be reached;\n"
	      "doctor has its own.\n",
	      out);
}

void options_usage(FILE *out, const struct command *commands)
{
	fputs("Usage: port500 [--socket PATH] [--json] COMMAND\n\nCommands:\n", out);
	for (const struct command *c = commands; c->word; c++) {
		char words[64];

		snprintf(words, sizeof(words), "%s%s%s%s%s", c->word, c->subject ? " " : "",
			 c->subject ? c->subject : "", *c->arguments ? " " : "", c->arguments);
		fprintf(out, "  %-28s %s\n", words, c->summary);
	}
	putc('\n', out);
	print_general(out);
}

void options_help(FILE *out, const struct command *c)
{
	bool any = false;

	fprintf(out, "Usage: port500 %s%s%s%s%s", c->word, c->subject ? " " : "",
		c->subject ? c->subject : "", *c->arguments ? " " : "", c->arguments);
	for (size_t i = 0; i < SPECIAL_OPTIONS && !(c->options & OPTION_DROPS); i++)
		if (c->options & special_options[i].bit)
			fprintf(out, " [%s]", special_options[i].name);
	fprintf(out, "\n\n%s: %s.\n%s\n", c->word, c->summary, c->help);
	for (size_t i = 0; i < SPECIAL_OPTIONS; i++) {
		if (!(c->options & special_options[i].bit))
			continue;
		if (!any)
			fputs("Options:\n", out);
		any = true;
		fprintf(out, "  %-16s %s\n", special_options[i].name, special_options[i].help);
	}
	if (any)
		putc('\n', out);
	print_general(out);
}
