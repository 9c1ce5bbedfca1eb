#include "control/vici_control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/daemon.h"
#include "control/vici_events.h"
#include "lib/log.h"

static void on_progress(void *ctx, enum ike_report_code code, enum ike_severity severity,
			const char *conn, const char *text)
{
	struct vici_session *s = ctx;
	struct vici_builder b = {0};

	if (vici_report_level(severity) > s->op.level ||
	    !vici_session_wants(s, VICI_EV_CONTROL_LOG))
		return;
	vici_report_build(&b, code, severity, conn, 0, text);
	vici_session_event(s, VICI_EV_CONTROL_LOG, &b);
}

// ike_run's sentence says whether the peer refused, never answered, or the caller's time is over.
static void put_failure(const struct vici_operation *op, struct vici_builder *reply)
{
	char errmsg[1024];

	snprintf(errmsg, sizeof(errmsg), "%s %s failed%s%s",
		 op->terminate ? "terminating" : "establishing", op->what, op->text[0] ? ": " : "",
		 op->text);
	vici_reply_result(reply, errmsg);
}

static void answer(struct vici_operation *op, struct vici_builder *reply)
{
	if (op->terminate) {
		vici_kvf(reply, "matches", "%u", op->matched);
		vici_kvf(reply, "terminated", "%u", op->result == 0 ? op->matched : 0);
	}
	if (op->result)
		put_failure(op, reply);
	else
		vici_reply_result(reply, NULL);
	*op = (struct vici_operation){0};
}

static void on_done(void *ctx, int result, const char *text)
{
	struct vici_session *s = ctx;
	struct vici_builder reply = {0};

	s->op.result = result;
	snprintf(s->op.text, sizeof(s->op.text), "%s", text ? text : "");
	if (s->op.starting) { // the command that started it answers
		s->op.finished = true;
		return;
	}
	answer(&s->op, &reply); // a closed session ignores it
	vici_session_respond(s, &reply);
}

// What initiate and terminate have in common.
struct operation_request {
	char child[CONFIG_NAME_MAX], ike[CONFIG_NAME_MAX]; // "" when absent
	int64_t timeout_ms, level;
};

static bool read_operation(const struct vici_request *req, struct operation_request *r)
{
	*r = (struct operation_request){.level = 1};
	return vici_request_text(req, "child", r->child, sizeof(r->child)) &&
	       vici_request_text(req, "ike", r->ike, sizeof(r->ike)) &&
	       vici_request_int(req, "timeout", &r->timeout_ms) &&
	       vici_request_int(req, "loglevel", &r->level);
}

static void operation_init(struct vici_operation *op, const struct operation_request *r)
{
	*op = (struct vici_operation){
		.timeout_ms = r->timeout_ms,
		.level = r->level > 2 ? 2 : (int)r->level,
	};
}

// A negative timeout asks for an answer at once: then nobody waits.
static void watch_init(struct vici_session *s, struct ike_run_watch *watch)
{
	*watch = (struct ike_run_watch){
		.progress = on_progress,
		.done = on_done,
		.ctx = s,
		.timeout_ms = (uint64_t)s->op.timeout_ms,
	};
	s->op.active = true;
	s->op.starting = true;
}

// After the call into ike_run: what is to be answered now?
static enum vici_outcome operation_started(struct vici_session *s, int rc, const char *errmsg,
					   struct vici_builder *reply)
{
	s->op.starting = false;
	if (rc) {
		s->op = (struct vici_operation){0};
		vici_reply_result(reply, errmsg);
		return VICI_REPLY;
	}
	if (s->op.finished || s->op.timeout_ms < 0) {
		answer(&s->op, reply);
		return VICI_REPLY;
	}
	return VICI_LATER;
}

enum vici_outcome vici_run_initiate(struct vici_session *s, const struct vici_request *req,
				    struct vici_builder *reply)
{
	struct operation_request r;
	struct ike_run_watch watch;
	struct error err = {0};
	int rc;

	if (!read_operation(req, &r) || (!*r.child && !*r.ike)) {
		vici_reply_result(reply, "missing configuration name");
		return VICI_REPLY;
	}
	operation_init(&s->op, &r);
	snprintf(s->op.what, sizeof(s->op.what), "%s '%s'", *r.child ? "CHILD_SA" : "IKE_SA",
		 *r.child ? r.child : r.ike);
	log_info(LOG_API, "initiate %s (client %d, uid %u)", s->op.what, (int)s->pid,
		 (unsigned)s->uid);
	watch_init(s, &watch);
	rc = ike_run_initiate(s->server->d->ike, *r.ike ? r.ike : NULL, *r.child ? r.child : NULL,
			      s->op.timeout_ms < 0 ? NULL : &watch, &err);
	return operation_started(s, rc, err.text, reply);
}

static void describe_selection(char *buf, size_t size, const struct ike_run_select *sel)
{
	if (sel->child_id)
		snprintf(buf, size, "CHILD_SA #%u", sel->child_id);
	else if (sel->child)
		snprintf(buf, size, "CHILD_SA '%s'", sel->child);
	else if (sel->ike_id)
		snprintf(buf, size, "IKE_SA #%u", sel->ike_id);
	else
		snprintf(buf, size, "IKE_SA '%s'", sel->conn);
}

static bool read_selection(const struct vici_request *req, const struct operation_request *r,
			   struct ike_run_select *sel)
{
	*sel = (struct ike_run_select){
		.conn = *r->ike ? r->ike : NULL,
		.child = *r->child ? r->child : NULL,
	};
	return vici_request_id(req, "ike-id", &sel->ike_id) &&
	       vici_request_id(req, "child-id", &sel->child_id) &&
	       (sel->conn || sel->child || sel->ike_id || sel->child_id);
}

enum vici_outcome vici_run_terminate(struct vici_session *s, const struct vici_request *req,
				     struct vici_builder *reply)
{
	struct operation_request r;
	struct ike_run_select sel;
	struct ike_run_watch watch;
	struct error err = {0};
	unsigned matched = 0;
	int rc;

	if (!read_operation(req, &r) || !read_selection(req, &r, &sel)) {
		vici_reply_result(reply, "missing terminate selector");
		return VICI_REPLY;
	}
	operation_init(&s->op, &r);
	s->op.terminate = true;
	// strongSwan's meaning: without waiting for the peer, unless a time to wait is given.
	if (vici_request_bool(req, "force") && s->op.timeout_ms == 0)
		s->op.timeout_ms = -1;
	describe_selection(s->op.what, sizeof(s->op.what), &sel);
	log_info(LOG_API, "terminate %s (client %d, uid %u)", s->op.what, (int)s->pid,
		 (unsigned)s->uid);
	watch_init(s, &watch);
	rc = ike_run_terminate(s->server->d->ike, &sel, s->op.timeout_ms < 0 ? NULL : &watch,
			       &matched, &err);
	s->op.matched = matched;
	if (rc == -ENOENT) {
		vici_kv(reply, "matches", "0");
		vici_kv(reply, "terminated", "0");
		return operation_started(s, rc, "no matching SAs to terminate found", reply);
	}
	return operation_started(s, rc, err.text, reply);
}

enum vici_outcome vici_run_rekey(struct vici_session *s, const struct vici_request *req,
				 struct vici_builder *reply)
{
	struct operation_request r;
	struct ike_run_select sel;
	struct error err = {0};
	char what[CONFIG_NAME_MAX + 32];
	unsigned matched = 0;
	int rc;

	if (!read_operation(req, &r) || !read_selection(req, &r, &sel)) {
		vici_reply_result(reply, "missing rekey selector");
		return VICI_REPLY;
	}
	describe_selection(what, sizeof(what), &sel);
	log_info(LOG_API, "rekey %s (client %d, uid %u)", what, (int)s->pid, (unsigned)s->uid);
	rc = ike_run_rekey(s->server->d->ike, &sel, vici_request_bool(req, "reauth"), &matched,
			   &err);
	vici_kvf(reply, "matches", "%u", matched);
	vici_reply_result(reply, rc == -ENOENT ? "no matching SAs to rekey found"
				 : rc	       ? err.text
					       : NULL);
	return VICI_REPLY;
}

static enum vici_outcome trap(struct vici_session *s, const struct vici_request *req, bool on,
			      struct vici_builder *reply)
{
	char child[CONFIG_NAME_MAX], ike[CONFIG_NAME_MAX];
	struct error err = {0};

	if (!vici_request_text(req, "child", child, sizeof(child)) ||
	    !vici_request_text(req, "ike", ike, sizeof(ike)) || !*child) {
		vici_reply_result(reply, "missing configuration name");
		return VICI_REPLY;
	}
	log_info(LOG_API, "%s '%s' (client %d, uid %u)", on ? "install" : "uninstall", child,
		 (int)s->pid, (unsigned)s->uid);
	if (ike_run_trap(s->server->d->ike, *ike ? ike : NULL, child, on, &err))
		vici_reply_result(reply, err.text);
	else
		vici_reply_result(reply, NULL);
	return VICI_REPLY;
}

enum vici_outcome vici_run_install(struct vici_session *s, const struct vici_request *req,
				   struct vici_builder *reply)
{
	return trap(s, req, true, reply);
}

enum vici_outcome vici_run_uninstall(struct vici_session *s, const struct vici_request *req,
				     struct vici_builder *reply)
{
	return trap(s, req, false, reply);
}

enum vici_outcome vici_run_reload(struct vici_session *s, const struct vici_request *req,
				  struct vici_builder *reply)
{
	struct error summary = {0}, err = {0};

	(void)req;
	log_info(LOG_API, "reload (client %d, uid %u)", (int)s->pid, (unsigned)s->uid);
	if (daemon_reload(s->server->d, &summary, &err)) {
		vici_reply_result(reply, err.text);
		return VICI_REPLY;
	}
	vici_reply_result(reply, NULL);
	vici_kv(reply, "message", summary.text);
	vici_kvf(reply, "generation", "%" PRIu64, s->server->d->generation);
	vici_list(reply, "warnings");
	for (size_t i = 0; i < s->server->d->config->n_warnings && i < 100; i++)
		vici_item(reply, s->server->d->config->warnings[i]);
	vici_list_end(reply);
	return VICI_REPLY;
}
