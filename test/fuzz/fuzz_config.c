// The configuration loader on any bytes. What loads must be consistent: equal to itself, found by
// its names, and free of unset strings.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/diff.h"

#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *c = NULL;
	struct error err = {""};
	char what[64];

	if (config_load_text("fuzz.conf", (const char *)data, size, &c, &err) != 0) {
		REQUIRE(c == NULL && strncmp(err.text, "fuzz.conf:", 10) == 0);
		return 0;
	}
	REQUIRE(c->gateway.n_ports > 0 && c->gateway.socket[0] == '/' && c->gateway.workers > 0);
	REQUIRE(!config_gateway_differs(&c->gateway, &c->gateway, what, sizeof(what)));
	for (size_t i = 0; i < c->gateway.n_ports; i++)
		REQUIRE(c->gateway.ports[i].name[0] != '\0' && c->gateway.ports[i].device != NULL);
	for (size_t i = 0; i < c->n_conns; i++) {
		const struct config_conn *conn = &c->conns[i];

		REQUIRE(config_conn_find(c, conn->name) == conn);
		REQUIRE(config_conn_equal(conn, conn) && conn->ike.n > 0);
		REQUIRE(config_conn_fits(conn, conn));
		for (size_t k = 0; k < conn->n_children; k++) {
			const struct config_child *child = &conn->children[k];
			const struct config_iface *iface =
				config_iface_find(&c->gateway, child->iface);

			REQUIRE(child->iface[0] == '\0' ||
				(iface != NULL && iface->if_id == child->if_id &&
				 child->if_id != 0 && config_mode_has_sa(child->mode)));

			REQUIRE(child->name[0] != '\0' && child->esp.n > 0);
			REQUIRE(child->remote_ts.n > 0 || child->remote_dynamic.n > 0);
			REQUIRE(!config_mode_has_sa(child->mode) || c->n_psks > 0);
		}
	}
	for (size_t i = 0; i < c->n_psks; i++)
		REQUIRE(c->psks[i].key.len > 0);
	config_destroy(c);
	return 0;
}
