// port500: the command-line client of port500d. It speaks vici (docs/api.md) and nothing else.
#include <stdio.h>
#include <string.h>
#include <errno.h>

#include "control/cli/cli.h"

static int run(int argc, char **argv)
{
	struct cli cli = {.out = stdout};
	struct error err = {0};
	int status;

	if (options_parse(argc, argv, cli_commands, &cli.options, &err))
		return cli_fail(STATUS_USAGE, "%s", err.text);
	if (cli.options.version) {
		printf("port500 %s\n", PORT500_VERSION);
		return STATUS_OK;
	}
	if (!cli.options.command) {
		options_usage(cli.options.help ? stdout : stderr, cli_commands);
		return cli.options.help ? STATUS_OK : STATUS_USAGE;
	}
	if (cli.options.help) {
		options_help(stdout, cli.options.command);
		return STATUS_OK;
	}
	status = cli.options.command->run(&cli);
	vici_client_close(cli.client);
	return status;
}

int main(int argc, char **argv)
{
	int status = run(argc, argv);

	// A full disk must not pass for success.
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "port500: cannot write the output: %s\n", strerror(errno));
		return status ? status : STATUS_FAILED;
	}
	return status;
}
