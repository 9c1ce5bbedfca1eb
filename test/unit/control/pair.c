#include "pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include "lib/log.h"

char *pair_config(char site, const char *conn, const char *child)
{
	static char text[4096];
	char peer = site == 'a' ? 'b' : 'a';

	snprintf(text, sizeof(text),
		 "gateway { ports { wan { device = net_null0\n addrs = %s/24 } } }\n"
		 "connections { lab { version = 2\n local_addrs = %s\n remote_addrs = %s\n"
		 " proposals = aes128gcm16-prfsha256-x25519\n %s\n"
		 " local { auth = psk\n id = gw-%c }\n remote { auth = psk\n id = gw-%c }\n"
		 " children { net { local_ts = 10.%d.0.0/24\n remote_ts = 10.%d.0.0/24\n"
		 "  esp_proposals = aes128gcm16\n %s } } } }\n"
		 "secrets { ike-1 { id-a = gw-a\n id-b = gw-b\n secret = \"s\" } }\n",
		 site == 'a' ? A : B, site == 'a' ? A : B, site == 'a' ? B : A, conn, site, peer,
		 site == 'a' ? 1 : 2, site == 'a' ? 2 : 1, child);
	return text;
}

int pair_setup(void **state)
{
	struct pair *n = calloc(1, sizeof(*n));

	assert_non_null(n);
	log_set_level(getenv("TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	n->base = event_base_new();
	gateway_up(&n->a, n->base, A);
	gateway_up(&n->b, n->base, B);
	*state = n;
	return 0;
}

int pair_teardown(void **state)
{
	struct pair *n = *state;

	wire_hold(false);
	wire_no_route(false);
	gateway_down(&n->a);
	gateway_down(&n->b);
	event_base_loop(n->base, EVLOOP_NONBLOCK); // the end of names still asked for
	event_base_free(n->base);
	free(n);
	return 0;
}

bool pair_joined(struct pair *n)
{
	return has_in(&n->b, out_spi(&n->a, "lab.net")) && has_in(&n->a, out_spi(&n->b, "lab.net"));
}
