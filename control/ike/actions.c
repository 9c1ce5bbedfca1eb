#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/child.h"
#include "control/ike/refuse.h"
#include "control/ike/sa.h"
#include "lib/bytes.h"

// The next free action, zeroed, or NULL with st->nomem set.
static struct ike_action *action_add(struct step *st, enum ike_action_type type)
{
	struct ike_actions *out = st->out;

	if (out->n == out->cap) {
		size_t cap = out->cap ? 2 * out->cap : 8;
		struct ike_action *a = realloc(out->a, cap * sizeof(*a));

		if (!a) {
			st->nomem = true;
			return NULL;
		}
		out->a = a;
		out->cap = cap;
	}
	out->a[out->n] = (struct ike_action){.type = type};
	return &out->a[out->n++];
}

// The bytes of the IKE message at the beginning, which tells its own length.
static size_t datagram_len(const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	uint32_t told;

	read_bytes(&r, IKE_HEADER_LEN - 4);
	told = read_u32(&r);
	return !r.failed && told >= IKE_HEADER_LEN && told < len ? told : len;
}

static bool send_datagram(struct step *st, const uint8_t *data, size_t len,
			  const struct ike_action *how)
{
	uint8_t *bytes = malloc(len);
	struct ike_action *a = bytes ? action_add(st, IKE_ACT_SEND) : NULL;

	if (!a) {
		free(bytes);
		st->nomem = true;
		return false;
	}
	memcpy(bytes, data, len);
	a->send = how->send;
	a->send.bytes = bytes;
	a->send.len = len;
	return true;
}

static void send_all(struct step *st, const struct octets *message, struct ike_action *a)
{
	uint16_t n = 0;

	for (size_t at = 0; at < message->len; n++)
		at += datagram_len(message->data + at, message->len - at);
	a->send.non_esp_marker = a->send.local.port == IKE_NATT_PORT;
	a->send.fragments = n;
	for (size_t at = 0; at < message->len;) {
		size_t len = datagram_len(message->data + at, message->len - at);

		a->send.fragment++;
		if (!send_datagram(st, message->data + at, len, a))
			return;
		at += len;
	}
}

void act_send(struct step *st, const struct octets *message, uint8_t exchange, uint32_t message_id,
	      bool is_response, bool is_repeat)
{
	const struct ike_sa *sa = st->sa;
	struct ike_action how = {.send = {
					 // RFC 7296 2.11: a response goes back to where the request
					 // came from.
					 .local = is_response ? st->ev->local : sa->local,
					 .remote = is_response ? st->ev->remote : sa->remote,
					 .exchange = exchange,
					 .message_id = message_id,
					 .is_response = is_response,
					 .is_repeat = is_repeat,
				 }};

	send_all(st, message, &how);
}

void act_send_between(struct step *st, const struct octets *request, uint8_t exchange,
		      uint32_t message_id, const struct ip_endpoint *local,
		      const struct ip_endpoint *remote)
{
	struct ike_action how = {.send = {
					 .local = *local,
					 .remote = *remote,
					 .exchange = exchange,
					 .message_id = message_id,
					 .is_repeat = true,
				 }};

	send_all(st, request, &how);
}

void act_arm_timer(struct step *st, uint64_t deadline_ms)
{
	struct ike_action *a = action_add(st, IKE_ACT_ARM_TIMER);

	if (a)
		a->deadline_ms = deadline_ms;
}

static void install_fini(struct ike_child_install *install)
{
	if (!install)
		return;
	esp_sa_fini(&install->in);
	esp_sa_fini(&install->out);
}

bool act_install(struct step *st, struct ike_child_install *install)
{
	struct ike_child_install *copy = malloc(sizeof(*copy));
	struct ike_action *a = copy ? action_add(st, IKE_ACT_INSTALL_CHILD) : NULL;

	if (!a) {
		free(copy);
		install_fini(install);
		st->nomem = true;
		return false;
	}
	*copy = *install; // the secrets move with it
	*install = (struct ike_child_install){0};
	a->install = copy;
	return true;
}

void act_use(struct step *st, struct ike_child *child)
{
	struct ike_child_use *use = malloc(sizeof(*use));
	struct ike_action *a = use ? action_add(st, IKE_ACT_USE_CHILD) : NULL;

	if (!a) {
		free(use);
		st->nomem = true;
		return;
	}
	*use = (struct ike_child_use){child->info.conf, child->info.spi_in, child->out};
	child->out = (struct esp_sa){0}; // the secrets move with it
	child->out_later = false;
	a->use = use;
}

void act_child_failed(struct step *st, const struct child_request *r, uint16_t notify)
{
	struct ike_action *a = action_add(st, IKE_ACT_CHILD_FAILED);

	if (!a)
		return;
	a->failed.conf = r->conf;
	a->failed.spi_in = r->replaces;
	a->failed.notify = notify;
}

bool act_successor(struct step *st, struct ike_sa *successor)
{
	struct ike_action *a = action_add(st, IKE_ACT_SUCCESSOR);

	if (!a) {
		ike_sa_destroy(successor);
		return false;
	}
	a->successor = successor;
	return true;
}

void act_port(struct step *st, unsigned silent)
{
	struct ike_action *a = action_add(st, IKE_ACT_PORT);

	if (!a)
		return;
	a->port.remote = st->sa->remote;
	a->port.silent = silent;
}

bool act_wait(struct step *st, uint32_t wait)
{
	struct ike_action *a = action_add(st, IKE_ACT_WAIT);

	if (a)
		a->wait = wait;
	return a != NULL;
}

void act_only_sa(struct step *st)
{
	action_add(st, IKE_ACT_ONLY_SA);
}

void act_adopt(struct step *st, struct ike_sa *from, struct ike_sa *to)
{
	struct ike_action *a = action_add(st, IKE_ACT_ADOPT);

	if (!a)
		return;
	a->adopt.from = from;
	a->adopt.to = to;
}

bool act_remove(struct step *st, const struct ike_child *child, bool peer_gone)
{
	struct ike_action *a = action_add(st, IKE_ACT_REMOVE_CHILD);

	if (!a)
		return false;
	a->remove.spi_in = child->info.spi_in;
	a->remove.spi_out = child->info.spi_out;
	a->remove.conf = child->info.conf;
	a->remove.peer_gone = peer_gone;
	a->remove.linger = child->replacement != 0;
	return true;
}

void act_move(struct step *st, uint32_t spi_in, uint32_t spi_out, const struct ip_endpoint *local,
	      const struct ip_endpoint *remote)
{
	struct ike_action *a = action_add(st, IKE_ACT_MOVE_CHILD);

	if (!a)
		return;
	a->move.spi_in = spi_in;
	a->move.spi_out = spi_out;
	a->move.local = *local;
	a->move.remote = *remote;
}

static struct ike_action *report(struct step *st, enum ike_report_code code,
				 enum ike_severity severity, const char *text)
{
	char *copy = strdup(text);
	struct ike_action *a = copy ? action_add(st, IKE_ACT_REPORT) : NULL;

	if (!a) {
		free(copy);
		st->nomem = true;
		return NULL;
	}
	a->report.code = code;
	a->report.severity = severity;
	a->report.text = copy;
	return a;
}

void act_report(struct step *st, enum ike_report_code code, enum ike_severity severity,
		const char *fmt, ...)
{
	char text[IKE_REPORT_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	report(st, code, severity, text);
}

void act_refusal(struct step *st, struct ike_refusal *r)
{
	char text[IKE_REPORT_TEXT_MAX];
	struct ike_action *a;

	if (!r)
		return;
	a = report(st, r->code, IKE_SEV_ERROR, refusal_text(r, text));
	if (a)
		a->report.refusal = r;
	else
		free(r);
}

void act_close(struct step *st, bool peer_gone, const char *why)
{
	struct ike_sa *sa = st->sa;

	if (sa->phase == PHASE_CLOSED)
		return;
	children_remove_all(st, peer_gone);
	child_request_fini(sa);
	sa->phase = PHASE_CLOSED;
	act_report(st, IKE_REPORT_CLOSED, IKE_SEV_INFO, "IKE SA closed: %s", why);
}

void act_closed(struct step *st)
{
	action_add(st, IKE_ACT_CLOSED);
}

void ike_actions_fini(struct ike_actions *acts)
{
	if (!acts)
		return;
	for (size_t i = 0; i < acts->n; i++) {
		struct ike_action *a = &acts->a[i];

		if (a->type == IKE_ACT_SEND)
			free(a->send.bytes);
		if (a->type == IKE_ACT_REPORT) {
			free(a->report.text);
			free(a->report.refusal);
		}
		if (a->type == IKE_ACT_INSTALL_CHILD) {
			install_fini(a->install);
			free(a->install);
		}
		if (a->type == IKE_ACT_USE_CHILD && a->use) {
			esp_sa_fini(&a->use->out);
			free(a->use);
		}
		if (a->type == IKE_ACT_SUCCESSOR)
			ike_sa_destroy(a->successor);
	}
	free(acts->a);
	*acts = (struct ike_actions){0};
}
