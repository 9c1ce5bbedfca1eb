// The command line of port500: which command, with which options and arguments.
//
// Errors: -EINVAL with a sentence that names the nearest known word.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/error.h"

#define SOCKET_DEFAULT "/run/port500.vici"

enum { // options that only some commands take
	OPTION_ALL = 1 << 0,
	OPTION_TIMEOUT = 1 << 1,
	OPTION_IKE_ID = 1 << 2,
	OPTION_CHILD_ID = 1 << 3,
	OPTION_DROPS = 1 << 4,
	OPTION_XSTATS = 1 << 5,
	OPTION_PROBE = 1 << 6,
	OPTION_EVIDENCE = 1 << 7,
	OPTION_FOLLOW = 1 << 30, // those between are OPTION_VALUE
};

// Options whose value the daemon looks at: they are keys of the command capture, up to
// --write, which is its own.
enum option_value {
	VALUE_COUNT,
	VALUE_DURATION,
	VALUE_SAMPLE,
	VALUE_SNAP_LEN,
	VALUE_PORT,
	VALUE_PEER,
	VALUE_CHILD,
	VALUE_SPI,
	VALUE_HOST,
	VALUE_L4_PORT,
	VALUE_WRITE,
	VALUE_LANG,
	OPTION_VALUES,
};

#define OPTION_VALUE(v) (1u << (8 + (v)))
#define OPTION_CAPTURE	(OPTION_DROPS | (OPTION_VALUE(VALUE_WRITE + 1) - OPTION_VALUE(0)))

struct cli;

struct command {
	const char *word, *subject;  // subject NULL where there is none
	unsigned options;	     // enum above
	int max_args;		     // after word and subject
	int (*run)(struct cli *cli); // returns the exit status
	const char *arguments;	     // for the usage line
	const char *summary;	     // one line
	const char *help;	     // some lines
};

struct options {
	const struct command *command; // NULL: none was given
	const char *socket;
	bool json, help, version, all, drops, xstats, probe, evidence, follow;
	unsigned timeout_s;
	uint32_t ike_id, child_id; // 0: not given
	const char *values[OPTION_VALUES]; // NULL: not given
	char **args;		   // borrowed from argv
	int n_args;
};

// `commands` ends with a row whose word is NULL. Rearranges argv.
int options_parse(int argc, char **argv, const struct command *commands, struct options *out,
		  struct error *err);
// The row of a word and subject, or an error with the nearest one.
const struct command *options_find(const struct command *commands, const char *word,
				   const char *subject, struct error *err);
// Its name, without the dashes.
const char *options_value_name(enum option_value value);
void options_usage(FILE *out, const struct command *commands);
void options_help(FILE *out, const struct command *command);
