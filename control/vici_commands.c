#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/daemon.h"
#include "control/vici_capture.h"
#include "control/vici_config.h"
#include "control/vici_control.h"
#include "control/vici_doctor.h"
#include "control/vici_guard.h"
#include "control/vici_lists.h"
#include "control/vici_recorder.h"
#include "control/vici_probe.h"
#include "control/vici_refusal.h"
#include "control/vici_session.h"
#include "control/vici_show.h"

#define FROM_FILE                                                                                  \
	"connections and secrets come from the configuration file: edit it, then run "             \
	"'port500 reload'"
#define NO_CERTS                                                                                   \
	"certificates and keys come from files that the configuration names: change them, then "   \
	"run 'port500 reload'"
#define NO_POOLS "address pools are not supported: this is a site-to-site gateway"

// Every command we answer, and those of strongSwan for which a sentence helps more than "unknown".
// docs/api.md describes each.
static const struct vici_command commands[] = {
	{"version", vici_run_version, NULL},
	{"stats", vici_run_stats, NULL},
	{"list-sas", vici_run_list_sas, NULL},
	{"list-conns", vici_run_list_conns, NULL},
	{"list-policies", vici_run_list_policies, NULL},
	{"initiate", vici_run_initiate, NULL},
	{"terminate", vici_run_terminate, NULL},
	{"rekey", vici_run_rekey, NULL},
	{"install", vici_run_install, NULL},
	{"uninstall", vici_run_uninstall, NULL},
	{"get-conns", vici_run_get_conns, NULL},
	{"get-counters", vici_run_get_counters, NULL},
	{"reload-settings", vici_run_reload, NULL},
	// ours
	{"reload", vici_run_reload, NULL},
	{"status", vici_run_status, NULL},
	{"show-conns", vici_run_show_conns, NULL},
	{"show-routes", vici_run_show_routes, NULL},
	{"show-ports", vici_run_show_ports, NULL},
	{"show-interfaces", vici_run_show_interfaces, NULL},
	{"show-workers", vici_run_show_workers, NULL},
	{"show-drops", vici_run_show_drops, NULL},
	{"show-guard", vici_run_show_guard, NULL},
	{"list-refusals", vici_run_list_refusals, NULL},
	{"list-events", vici_run_list_events, NULL},
	{"list-ike-headers", vici_run_list_ike_headers, NULL},
	{"list-seconds", vici_run_list_seconds, NULL},
	{"get-config", vici_run_get_config, NULL},
	{"probe", vici_run_probe, NULL},
	{"doctor", vici_run_doctor, NULL},
	{"capture", vici_run_capture, NULL},
	{"capture-stop", vici_run_capture_stop, NULL},
	// refused with a sentence
	{"load-conn", vici_run_refuse, FROM_FILE},
	{"unload-conn", vici_run_refuse, FROM_FILE},
	{"load-shared", vici_run_refuse, FROM_FILE},
	{"unload-shared", vici_run_refuse, FROM_FILE},
	{"get-shared", vici_run_refuse, FROM_FILE},
	{"clear-creds", vici_run_refuse, FROM_FILE},
	{"load-cert", vici_run_refuse, NO_CERTS},
	{"load-key", vici_run_refuse, NO_CERTS},
	{"unload-key", vici_run_refuse, NO_CERTS},
	{"get-keys", vici_run_refuse, NO_CERTS},
	{"load-token", vici_run_refuse, NO_CERTS},
	{"load-authority", vici_run_refuse, NO_CERTS},
	{"unload-authority", vici_run_refuse, NO_CERTS},
	{"flush-certs", vici_run_refuse, NO_CERTS},
	{"load-pool", vici_run_refuse, NO_POOLS},
	{"unload-pool", vici_run_refuse, NO_POOLS},
	{"redirect", vici_run_refuse, "redirecting (RFC 5685) is not supported"},
	{"reset-counters", vici_run_refuse, "counters are never reset: compare two readings"},
};

const struct vici_command *vici_command_find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	return NULL;
}

void vici_reply_result(struct vici_builder *reply, const char *errmsg)
{
	vici_kv(reply, "success", errmsg ? "no" : "yes");
	if (errmsg)
		vici_kv(reply, "errmsg", errmsg);
}

enum vici_outcome vici_run_refuse(struct vici_session *s, const struct vici_request *req,
				  struct vici_builder *reply)
{
	(void)s;
	vici_reply_result(reply, req->command->refusal);
	return VICI_REPLY;
}

bool vici_request_text(const struct vici_request *req, const char *key, char *buf, size_t size)
{
	int rc = vici_get(req->msg, req->len, key, buf, size);

	if (rc)
		buf[0] = '\0';
	return rc == 0 || rc == -ENOENT;
}

bool vici_request_int(const struct vici_request *req, const char *key, int64_t *value)
{
	char text[32], *end;
	long long v;

	if (!vici_request_text(req, key, text, sizeof(text)))
		return false;
	if (!*text)
		return true;
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || *end)
		return false;
	*value = v;
	return true;
}

bool vici_request_id(const struct vici_request *req, const char *key, uint32_t *id)
{
	int64_t v = *id;

	if (!vici_request_int(req, key, &v) || v < 0 || v > UINT32_MAX)
		return false;
	*id = (uint32_t)v;
	return true;
}

// As strongSwan reads booleans.
bool vici_request_bool(const struct vici_request *req, const char *key)
{
	static const char *const yes[] = {"yes", "true", "1", "enabled"};
	char text[16];

	vici_request_text(req, key, text, sizeof(text));
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (strcasecmp(text, yes[i]) == 0)
			return true;
	return false;
}
