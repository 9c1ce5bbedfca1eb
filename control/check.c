#include "control/check.h"

#include <inttypes.h>
#include <string.h>

#include "lib/addr.h"

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void report_gateway(FILE *out, const struct config_gateway *gw)
{
	static const char *const hugepages[] = {
		[HUGEPAGES_AUTO] = "if there are any",
		[HUGEPAGES_ON] = "yes",
		[HUGEPAGES_OFF] = "no",
	};

	fprintf(out, "\ngateway\n");
	fprintf(out, "  workers    %u (%s)", gw->workers,
		gw->poll == POLL_BUSY ? "busy" : "adaptive");
	for (unsigned i = 0; i < gw->n_cpus; i++)
		fprintf(out, "%s%u", i ? "," : ", on CPU ", gw->cpus[i]);
	fprintf(out, "\n  memory     %u MB, hugepages: %s\n", gw->memory_mb,
		hugepages[gw->hugepages]);
	fprintf(out, "  API        %s\n", gw->socket ? gw->socket : "none");
	for (size_t i = 0; i < gw->n_ports; i++) {
		const struct config_port *p = &gw->ports[i];
		char text[IP_PREFIX_TEXT_MAX];

		fprintf(out, "  port %-5s %s, mtu %u", p->name, p->device, p->mtu);
		if (p->vlan)
			fprintf(out, ", VLAN %u", p->vlan);
		for (unsigned k = 0; k < p->n_addrs; k++)
			fprintf(out, ", %s", ip_prefix_format(&p->addrs[k], text, sizeof(text)));
		fprintf(out, "%s\n", p->n_addrs ? "" : ", no address");
	}
	for (size_t i = 0; i < gw->n_ifaces; i++) {
		const struct config_iface *p = &gw->ifaces[i];
		char text[IP_PREFIX_TEXT_MAX], mtu[16];

		snprintf(mtu, sizeof(mtu), "%u", p->mtu);
		fprintf(out, "  interface %s: if_id %u, mtu %s", p->name, p->if_id,
			p->mtu ? mtu : "auto");
		for (unsigned k = 0; k < p->n_addrs; k++)
			fprintf(out, ", %s", ip_prefix_format(&p->addrs[k], text, sizeof(text)));
		fprintf(out, "\n");
	}
}

static void print_selectors(FILE *out, const struct selector_list *list,
			    const struct selector_dynamic *dynamic)
{
	char text[SELECTOR_TEXT_MAX];

	for (unsigned i = 0; i < list->n; i++)
		fprintf(out, "%s%s", i ? ", " : "",
			selector_format(&list->s[i], text, sizeof(text)));
	for (unsigned i = 0; i < dynamic->n; i++)
		fprintf(out, "%s%s", i || list->n ? ", " : "",
			selector_dynamic_format(&dynamic->s[i], text, sizeof(text)));
}

static void print_proposals(FILE *out, const struct proposal_list *list)
{
	char text[PROPOSAL_TEXT_MAX];

	for (unsigned i = 0; i < list->n; i++)
		fprintf(out, "%s%s", i ? ", " : "",
			proposal_format(&list->p[i], text, sizeof(text)));
}

static void print_duration(FILE *out, const char *what, uint64_t ms)
{
	if (ms)
		fprintf(out, ", %s %" PRIu64 " s", what, ms / 1000);
}

// What the outer header has that it does not have by default.
static void report_outer(FILE *out, const struct outer_rule *r)
{
	const struct outer_rule usual = {.ttl = OUTER_TTL_DEFAULT};
	static const char *const df[] = {
		[OUTER_DF_COPY] = "", [OUTER_DF_CLEAR] = ", DF clear", [OUTER_DF_SET] = ", DF set"};
	static const char *const label[] = {[OUTER_LABEL_NONE] = "",
					    [OUTER_LABEL_TUNNEL] = ", one flow label",
					    [OUTER_LABEL_FLOW] = ", a flow label for each flow"};
	const bool in = r->copy_dscp == OUTER_DSCP_IN || r->copy_dscp == OUTER_DSCP_BOTH;

	if (outer_rule_equal(r, &usual))
		return;
	if (r->copy_dscp == OUTER_DSCP_OUT || r->copy_dscp == OUTER_DSCP_BOTH)
		fprintf(out, "      outer        DSCP copied");
	else
		fprintf(out, "      outer        DSCP %u", r->dscp);
	fprintf(out, "%s%s%s%s", in ? ", taken over inside" : "",
		r->ecn == OUTER_ECN_COMPAT ? ", without ECN" : "", df[r->df], label[r->label]);
	if (r->ttl != usual.ttl)
		fprintf(out, ", TTL %u", r->ttl);
	fprintf(out, "\n");
}

// What hides sizes and times.
static void report_tfc(FILE *out, const struct config_child *child)
{
	if (child->tfc_padding == 0 && child->dummies == 0)
		return;
	fprintf(out, "      hidden       ");
	if (child->tfc_padding == ESP_TFC_MTU)
		fprintf(out, "packets padded to the MTU");
	else if (child->tfc_padding != 0)
		fprintf(out, "packets padded to %u bytes", child->tfc_padding);
	if (child->dummies != 0)
		fprintf(out, "%s%" PRIu32 " dummy packets a second",
			child->tfc_padding != 0 ? ", " : "", child->dummies);
	fprintf(out, "\n");
}

static void report_child(FILE *out, const struct config_child *child)
{
	static const char *const modes[] = {
		[MODE_TUNNEL] = "tunnel",
		[MODE_TRANSPORT] = "transport",
		[MODE_PASS] = "pass in clear",
		[MODE_DROP] = "drop",
	};

	fprintf(out, "    child %-8s %s: ", child->name, modes[child->mode]);
	print_selectors(out, &child->local_ts, &child->local_dynamic);
	fprintf(out, " === ");
	print_selectors(out, &child->remote_ts, &child->remote_dynamic);
	fprintf(out, "%s%s", child->iface[0] ? ", what is routed to " : "", child->iface);
	fprintf(out, "%s%s\n", child->port[0] ? ", on port " : "", child->port);
	if (!config_mode_has_sa(child->mode))
		return;
	fprintf(out, "      proposals    ");
	print_proposals(out, &child->esp);
	fprintf(out, "\n      start        %s", config_start_name(child->start_action));
	print_duration(out, "renewed after", child->rekey_time_ms);
	print_duration(out, "ends after", child->life_time_ms);
	fprintf(out, "\n");
	report_outer(out, &child->outer);
	report_tfc(out, child);
}

static void print_endpoints(FILE *out, const struct config_endpoint *e, unsigned n)
{
	char text[ENDPOINT_TEXT_MAX];

	if (n == 0)
		fprintf(out, "%%any");
	for (unsigned i = 0; i < n; i++)
		fprintf(out, "%s%s", i ? ", " : "", endpoint_format(&e[i], text, sizeof(text)));
}

static const char *id_text(const struct identity *id, char *buf, size_t size)
{
	return id->type == ID_ANY ? "%any" : identity_format(id, buf, size);
}

static void report_conn(FILE *out, const struct config_conn *conn)
{
	char text[IDENTITY_TEXT_MAX], auth[AUTH_RULE_TEXT_MAX];

	fprintf(out, "\nconnection %s\n  addresses    ", conn->name);
	print_endpoints(out, conn->local, conn->n_local);
	fprintf(out, " ... ");
	print_endpoints(out, conn->remote, conn->n_remote);
	fprintf(out, "%s\n", conn->encap ? ", always in UDP" : "");
	if (conn->local_side.id.type == ID_ANY && conn->local_side.certs.n > 0)
		fprintf(out, "  identities   subject of %s ... ",
			conn->local_side.certs.file[0].name);
	else
		fprintf(out, "  identities   %s ... ",
			id_text(&conn->local_side.id, text, sizeof(text)));
	fprintf(out, "%s\n", id_text(&conn->remote_side.id, text, sizeof(text)));
	fprintf(out, "  proofs       %s ... ",
		auth_rule_format(&conn->local_side.auth, auth, sizeof(auth)));
	fprintf(out, "%s\n", auth_rule_format(&conn->remote_side.auth, auth, sizeof(auth)));
	fprintf(out, "  proposals    ");
	print_proposals(out, &conn->ike);
	fprintf(out, "\n");
	for (size_t i = 0; i < conn->n_children; i++)
		report_child(out, &conn->children[i]);
}

void check_report(FILE *out, const char *path, const struct config *config)
{
	size_t children = 0;

	for (size_t i = 0; i < config->n_conns; i++)
		children += config->conns[i].n_children;
	fprintf(out, "%s: %zu port%s, %zu connection%s, %zu child%s, %zu secret%s\n", path,
		config->gateway.n_ports, plural(config->gateway.n_ports), config->n_conns,
		plural(config->n_conns), children, children == 1 ? "" : "ren", config->n_psks,
		plural(config->n_psks));
	report_gateway(out, &config->gateway);
	for (size_t i = 0; i < config->n_conns; i++)
		report_conn(out, &config->conns[i]);
	if (config->n_warnings)
		fprintf(out, "\n");
	for (size_t i = 0; i < config->n_warnings; i++)
		fprintf(out, "warning: %s\n", config->warnings[i]);
	if (config->n_warnings)
		fprintf(out, "\nThe configuration is good, with %zu warning%s.\n",
			config->n_warnings, plural(config->n_warnings));
	else
		fprintf(out, "\nThe configuration is good.\n");
}
