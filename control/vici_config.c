#include "control/vici_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/redact.h"
#include "control/daemon.h"

enum { PIECE_LEN = 32768 }; // bytes of text in one event

static bool next_piece(struct vici_session *s, struct vici_stream *st)
{
	const char *text = st->snapshot;

	while (st->cursor < st->n) {
		const size_t left = st->n - st->cursor;
		struct vici_builder b = {0};

		if (vici_session_full(s))
			return false;
		vici_kvf(&b, "text", "%.*s", (int)(left < PIECE_LEN ? left : PIECE_LEN),
			 text + st->cursor);
		st->cursor += left < PIECE_LEN ? left : PIECE_LEN;
		vici_session_event(s, VICI_EV_CONFIG_TEXT, &b);
	}
	return true;
}

// The error's own text may quote what stands at that place of the file.
enum vici_outcome vici_run_get_config(struct vici_session *s, const struct vici_request *req,
				      struct vici_builder *reply)
{
	struct vici_stream st = {.next = next_piece};
	struct error err = {0};
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int rc = out ? config_redact_file(s->server->d->config_path, out, &err) : -1;

	(void)req;
	if (out && fclose(out))
		rc = -1;
	if (rc) {
		free(text);
		vici_reply_result(reply, "the configuration file cannot be read as it is now: see "
					 "port500d --check FILE");
		return VICI_REPLY;
	}
	st.snapshot = text;
	st.n = len;
	s->stream = st;
	return vici_session_stream(s);
}
