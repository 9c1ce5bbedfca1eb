// Texts that the tests of config/ load: a whole configuration with a line put in here or there.
#pragma once

#include <stdio.h>
#include <string.h>

#include "config/config.h"

// Lines are counted by the tests: what is put in stands on the line named.
#define CONFIG_TEXT                                                                                \
	"gateway {\n"                                                                              \
	"%s\n" /* line 2 */                                                                        \
	"  ports {\n"                                                                              \
	"%s\n" /* line 4 */                                                                        \
	"    wan { device = net_null0\n"                                                           \
	"%s\n" /* line 6 */                                                                        \
	"    }\n"                                                                                  \
	"  }\n"                                                                                    \
	"}\n"                                                                                      \
	"connections {\n"                                                                          \
	"  a {\n"                                                                                  \
	"%s\n" /* line 12 */                                                                       \
	"    remote_addrs = 198.51.100.1\n"                                                        \
	"    local { auth = psk\n"                                                                 \
	"      id = us\n"                                                                          \
	"%s\n" /* line 16 */                                                                       \
	"    }\n"                                                                                  \
	"    remote { id = peer\n"                                                                 \
	"%s\n" /* line 19 */                                                                       \
	"    }\n"                                                                                  \
	"    children {\n"                                                                         \
	"      n {\n"                                                                              \
	"        remote_ts = 10.2.0.0/24\n"                                                        \
	"%s\n" /* line 24 */                                                                       \
	"      }\n"                                                                                \
	"    }\n"                                                                                  \
	"  }\n"                                                                                    \
	"}\n"                                                                                      \
	"secrets {\n"                                                                              \
	"  ike { secret = x\n"                                                                     \
	"%s\n" /* line 31 */                                                                       \
	"  }\n"                                                                                    \
	"}\n"                                                                                      \
	"%s\n" /* line 34 */

enum place { GATEWAY, PORTS, PORT, CONN, LOCAL, REMOTE, CHILD, PSK, TOP, PLACES };

// The text with `line` at `place`.
static inline char *config_text(enum place place, const char *line)
{
	const char *at[PLACES] = {"", "", "", "", "", "", "", "", ""};
	char *text = NULL;

	at[place] = line;
	if (asprintf(&text, CONFIG_TEXT, at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7],
		     at[8]) < 0)
		return NULL;
	return text;
}
