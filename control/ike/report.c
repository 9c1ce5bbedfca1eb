#include "control/ike/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_init(struct text *t)
{
	t->len = 0;
	t->s[0] = '\0';
}

void text_add(struct text *t, const char *fmt, ...)
{
	size_t room = sizeof(t->s) - t->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->s + t->len, room, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= room) {
		memcpy(t->s + sizeof(t->s) - 4, "...", 4);
		t->len = sizeof(t->s) - 1;
		return;
	}
	t->len += (size_t)n;
}

void text_add_proposal(struct text *t, const struct proposal *p)
{
	char buf[PROPOSAL_TEXT_MAX];

	text_add(t, "%s", proposal_format(p, buf, sizeof(buf)));
}

void text_add_proposals(struct text *t, const struct proposal_list *list, size_t room)
{
	size_t end = t->len + room;

	if (list->n == 0)
		text_add(t, "none that we understand");
	for (unsigned i = 0; i < list->n; i++) {
		char buf[PROPOSAL_TEXT_MAX];
		size_t left;

		proposal_format(&list->p[i], buf, sizeof(buf));
		left = end > t->len ? end - t->len : 0;
		if (strlen(buf) + 2 > left) {
			if (left > 16)
				text_add(t, "%s%.*s", i ? ", " : "", (int)left - 8, buf);
			text_add(t, "...");
			return;
		}
		text_add(t, "%s%s", i ? ", " : "", buf);
	}
}

void text_add_selectors(struct text *t, const struct selector_list *list)
{
	char buf[SELECTOR_TEXT_MAX];

	if (list->n == 0)
		text_add(t, "nothing");
	for (unsigned i = 0; i < list->n; i++)
		text_add(t, "%s%s", i ? " " : "", selector_format(&list->s[i], buf, sizeof(buf)));
}

void text_add_identity(struct text *t, const struct identity *id)
{
	char buf[IDENTITY_TEXT_MAX];

	if (id->type == ID_ANY)
		text_add(t, "any identity");
	else
		text_add(t, "%s '%s'", identity_type_name(id->type),
			 identity_format(id, buf, sizeof(buf)));
}

const char *ike_report_code_name(enum ike_report_code code)
{
	switch (code) {
	case IKE_REPORT_INFO:
		return "info";
	case IKE_REPORT_INIT_SENT:
		return "init-sent";
	case IKE_REPORT_ESTABLISHED:
		return "established";
	case IKE_REPORT_CHILD_UP:
		return "child-up";
	case IKE_REPORT_CHILD_DOWN:
		return "child-down";
	case IKE_REPORT_CHILD_REKEYED:
		return "child-rekeyed";
	case IKE_REPORT_REKEYED:
		return "rekeyed";
	case IKE_REPORT_EXPIRED:
		return "expired";
	case IKE_REPORT_RETRANSMIT:
		return "retransmit";
	case IKE_REPORT_NO_ANSWER:
		return "I-SILENT";
	case IKE_REPORT_PROPOSAL_MISMATCH:
		return "N-PROPOSAL";
	case IKE_REPORT_KE_MISMATCH:
		return "N-KE";
	case IKE_REPORT_AUTH_FAILED:
		return "N-PSK";
	case IKE_REPORT_PEER_REFUSED_AUTH:
		return "N-PEERSAIDNO";
	case IKE_REPORT_NO_CONNECTION:
		return "N-ID";
	case IKE_REPORT_CERT:
		return "N-CERT";
	case IKE_REPORT_NO_PSK:
		return "N-NOPSK";
	case IKE_REPORT_TS_MISMATCH:
		return "C-TS";
	case IKE_REPORT_ESP_MISMATCH:
		return "C-ESP";
	case IKE_REPORT_INVALID_MESSAGE:
		return "invalid-message";
	case IKE_REPORT_IKE_SILENT:
		return "ike-silent";
	case IKE_REPORT_PORT_BLOCKED:
		return "F-500";
	case IKE_REPORT_PORT_BACK:
		return "port-500-back";
	case IKE_REPORT_MOVED:
		return "moved";
	case IKE_REPORT_PEER_DELETED:
		return "peer-deleted";
	case IKE_REPORT_DEAD_PEER:
		return "dead-peer";
	case IKE_REPORT_CLOSED:
		return "closed";
	}
	return "info";
}
