// What the commands of port500 share: the connection, the questions asked over it, the exit
// statuses.
#pragma once

#include <stdio.h>

#include "control/cli/options.h"
#include "control/cli/tree.h"
#include "control/cli/vici_client.h"

enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1,	// the daemon said no
	STATUS_USAGE = 2,	// the command line is wrong
	STATUS_UNREACHABLE = 3, // no daemon there, or it does not answer
};

struct cli {
	struct options options;
	struct vici_client *client; // connected on first use
	FILE *out;
};

extern const struct command cli_commands[];

// One line on stderr: "port500: ...". Returns `status`.
int cli_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Runs a command of the daemon and adds the response to `into`; its events, if `event` is given,
// become a list of that name. 0, or an exit status with the reason on stderr.
int cli_query(struct cli *cli, const char *command, const char *event,
	      const struct vici_builder *request, struct node *into);
// The same for commands that take time: `progress` (may be NULL) sees each event as it comes.
int cli_query_slow(struct cli *cli, const char *command, const char *event,
		   const struct vici_builder *request, struct node *into, int timeout_ms,
		   void (*progress)(struct cli *cli, const struct node *event));

// The connections of a doctor's answer, in the order in which they are to be probed: the worst first.
// Writes at most `max`, returns how many there are.
size_t doctor_turns(const struct node *list, const struct node **turn, size_t max);

int cli_status(struct cli *cli);
int cli_show(struct cli *cli);
int cli_events(struct cli *cli);
int cli_doctor(struct cli *cli);
int cli_up(struct cli *cli);
int cli_down(struct cli *cli);
int cli_rekey(struct cli *cli);
int cli_reload(struct cli *cli);
int cli_capture(struct cli *cli);
int cli_bundle(struct cli *cli);
int cli_version(struct cli *cli);
int cli_help(struct cli *cli);
