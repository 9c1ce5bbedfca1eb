#include "control/vici_capture.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/daemon.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/pcapng.h"

enum {
	DRAIN_MS = 10,
	SIGN_OF_LIFE_MS = 1000, // without anything to send
	PIECE_LEN = 60000,	// bytes of a file in one event
	FLUSH_LEN = 128 * 1024,
	NAME_LEN = 128,
	ROUND_MAX = 20000, // packets at a time: IKE waits meanwhile
};

// An interface of the file: a port, a side of the crypto, and so on.
struct file_iface {
	enum dp_capture_point point; // the first of those that share it
	unsigned number;
	bool ethernet;
	uint64_t packets, lost;
};

struct vici_capture {
	struct vici_session *s;
	struct dp *dp;
	struct event *timer;
	uint64_t count, end_ms; // count 0: no limit
	uint64_t packets, lost;
	uint64_t started_ms, started_ns, said_ms;
	uint32_t snap_len;
	const char *ended; // why; NULL: it goes on
	struct file_iface *ifaces;
	uint32_t n_ifaces, cap_ifaces;
	struct writer out;
	uint8_t buf[FLUSH_LEN + PCAPNG_BLOCK_MAX(LIMIT_CAPTURE_SNAP_LEN)];
};

// ---- what the client asks for ----

static int find_port(const struct daemon *d, const char *name, unsigned *port, struct error *err)
{
	char list[256] = "";
	struct dp_port_info p;
	size_t len = 0;

	for (unsigned i = 0; dp_port_info(d->dp, i, &p) == 0; i++) {
		if (strcmp(p.name, name) == 0) {
			*port = i;
			return 0;
		}
		if (len < sizeof(list))
			len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s",
						len ? ", " : "", p.name);
	}
	return error_set(err, -ENOENT, "no port '%s'; there are: %s", name, list);
}

static int read_number(const struct vici_request *req, const char *key, int64_t max, uint64_t *out,
		       struct error *err)
{
	int64_t v = (int64_t)*out;

	if (!vici_request_int(req, key, &v) || v < 0 || v > max)
		return error_set(err, -EINVAL, "%s: not a number from 0 to %" PRId64, key, max);
	*out = (uint64_t)v;
	return 0;
}

static int read_text(const struct vici_request *req, const char *key, char text[NAME_LEN],
		     struct error *err)
{
	if (!vici_request_text(req, key, text, NAME_LEN))
		return error_set(err, -EINVAL, "%s: too long, or no text", key);
	return 0;
}

static int read_spi(const char *text, uint32_t *spi, struct error *err)
{
	char *end;
	unsigned long v = strtoul(text, &end, 16);

	if (*end || v < 256 || v > UINT32_MAX)
		return error_set(err, -EINVAL,
				 "spi: '%s' is not a hexadecimal number from 100 to ffffffff (see: "
				 "port500 show child)",
				 text);
	*spi = (uint32_t)v;
	return 0;
}

static int read_tunnel(const struct daemon *d, const struct vici_request *req,
		       struct packet_filter *f, struct error *err)
{
	char ike[CONFIG_NAME_MAX], child[CONFIG_NAME_MAX];

	if (!vici_request_text(req, "ike", ike, sizeof(ike)) ||
	    !vici_request_text(req, "child", child, sizeof(child)))
		return error_set(err, -EINVAL, "ike, child: too long, or no text");
	if (!*child)
		return *ike ? error_set(err, -EINVAL, "ike needs a child: a tunnel is one child")
			    : 0;
	f->by_tunnel = true;
	return ike_run_tunnel(d->ike, *ike ? ike : NULL, child, &f->tunnel, err);
}

static int read_filter(const struct daemon *d, const struct vici_request *req,
		       struct packet_filter *f, struct error *err)
{
	static const char *const keys[] = {"port", "peer", "host", "spi"};
	uint64_t l4_port = 0;
	char text[NAME_LEN];
	int rc = read_tunnel(d, req, f, err);

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && !rc; i++) {
		rc = read_text(req, keys[i], text, err);
		if (rc || !*text)
			continue;
		if (i == 0) {
			f->by_port = true;
			rc = find_port(d, text, &f->port, err);
		} else if (i == 1 && ip_addr_parse(text, &f->peer)) {
			rc = error_set(err, -EINVAL, "peer: '%s' is not an address", text);
		} else if (i == 2 && ip_prefix_parse(text, &f->host)) {
			rc = error_set(err, -EINVAL,
				       "host: '%s' is neither an address nor a prefix", text);
		} else if (i == 3) {
			rc = read_spi(text, &f->spi, err);
		}
	}
	if (!rc)
		rc = read_number(req, "l4-port", UINT16_MAX, &l4_port, err);
	f->l4_port = (uint16_t)l4_port;
	return rc;
}

static int read_request(struct vici_capture *c, const struct vici_request *req,
			struct dp_capture_params *p, struct error *err)
{
	const struct daemon *d = c->s->server->d;
	uint64_t duration_s = LIMIT_CAPTURE_S, sample = 1, snap_len = 0;
	int rc = read_filter(d, req, &p->filter, err);

	if (!rc)
		rc = read_number(req, "count", INT64_MAX, &c->count, err);
	if (!rc)
		rc = read_number(req, "duration", LIMIT_CAPTURE_S, &duration_s, err);
	if (!rc)
		rc = read_number(req, "sample", UINT32_MAX, &sample, err);
	if (!rc)
		rc = read_number(req, "snap-len", LIMIT_CAPTURE_SNAP_LEN, &snap_len, err);
	if (rc)
		return rc;
	p->only_drops = vici_request_bool(req, "drops");
	p->sample = sample ? (uint32_t)sample : 1;
	c->snap_len = p->snap_len = snap_len ? (uint32_t)snap_len : LIMIT_CAPTURE_SNAP_LEN;
	c->end_ms = c->started_ms + 1000 * (duration_s ? duration_s : LIMIT_CAPTURE_S);
	return 0;
}

// ---- the file ----

static void flush(struct vici_capture *c)
{
	for (size_t at = 0; at < c->out.len; at += PIECE_LEN) {
		const size_t n = c->out.len - at < PIECE_LEN ? c->out.len - at : PIECE_LEN;
		struct vici_builder msg = {0};

		vici_kv_bytes(&msg, "data", c->buf + at, n);
		vici_session_event(c->s, VICI_EV_CAPTURE, &msg);
		c->said_ms = daemon_now_ms();
	}
	c->out = writer_of(c->buf, sizeof(c->buf));
}

// Those points whose packets are seen at the same place share an interface.
static enum dp_capture_point place_of(enum dp_capture_point point)
{
	switch (point) {
	case DP_CAPTURE_TX:
		return DP_CAPTURE_RX;
	case DP_CAPTURE_TO_LINUX:
		return DP_CAPTURE_FROM_LINUX;
	case DP_CAPTURE_PLAIN_IN:
		return DP_CAPTURE_PLAIN_OUT;
	default:
		return point;
	}
}

static const char *number_name(const struct dp *dp, unsigned number)
{
	struct dp_port_info p;
	const char *name = NULL;

	if (number >= DP_IFACE_FIRST)
		name = dp_iface_name(dp, number);
	else if (dp_port_info(dp, number, &p) == 0)
		name = p.name;
	return name ? name : "?";
}

static void describe_iface(struct vici_capture *c, const struct file_iface *f)
{
	const char *where = number_name(c->dp, f->number), *what = "";
	char name[NAME_LEN];

	snprintf(name, sizeof(name), "%s", where);
	switch (f->point) {
	case DP_CAPTURE_RX:
		what = "the wire";
		break;
	case DP_CAPTURE_FROM_LINUX:
		snprintf(name, sizeof(name), "%s:linux", where);
		what = "between Linux and the gateway";
		break;
	case DP_CAPTURE_PLAIN_OUT:
		snprintf(name, sizeof(name), "plain");
		what = "before encryption and after decryption";
		break;
	case DP_CAPTURE_ESP_OUT:
		snprintf(name, sizeof(name), "esp");
		what = "after encryption";
		break;
	default:
		snprintf(name, sizeof(name), "%s", f->ethernet ? "drop:frames" : "drop");
		what = "dropped packets";
		break;
	}
	pcapng_interface(&c->out, f->ethernet ? PCAPNG_ETHERNET : PCAPNG_RAW_IP, c->snap_len, name,
			 what);
}

// The place of a packet's interface in the file, described on first use. NULL: out of memory.
static struct file_iface *iface_of(struct vici_capture *c, const struct dp_capture_packet *p)
{
	const enum dp_capture_point point = place_of(p->point);
	const bool by_number = point == DP_CAPTURE_RX || point == DP_CAPTURE_FROM_LINUX;
	const unsigned number = by_number ? p->number : 0;
	struct file_iface *f;

	for (uint32_t i = 0; i < c->n_ifaces; i++) {
		f = &c->ifaces[i];
		if (f->point == point && f->number == number && f->ethernet == p->ethernet)
			return f;
	}
	if (c->n_ifaces == c->cap_ifaces) {
		const uint32_t cap = c->cap_ifaces ? c->cap_ifaces * 2 : 16;

		f = realloc(c->ifaces, cap * sizeof(*f));
		if (!f)
			return NULL;
		c->ifaces = f;
		c->cap_ifaces = cap;
	}
	f = &c->ifaces[c->n_ifaces++];
	*f = (struct file_iface){.point = point, .number = number, .ethernet = p->ethernet};
	describe_iface(c, f);
	return f;
}

static enum pcapng_direction direction_of(enum dp_capture_point point)
{
	switch (point) {
	case DP_CAPTURE_RX:
	case DP_CAPTURE_FROM_LINUX:
	case DP_CAPTURE_PLAIN_IN:
		return PCAPNG_INBOUND;
	case DP_CAPTURE_TX:
	case DP_CAPTURE_TO_LINUX:
	case DP_CAPTURE_PLAIN_OUT:
	case DP_CAPTURE_ESP_OUT:
		return PCAPNG_OUTBOUND;
	case DP_CAPTURE_DROP:
		break;
	}
	return PCAPNG_NO_DIRECTION;
}

// What the packet itself does not say. "" for nothing.
static void comment_of(const struct vici_capture *c, const struct dp_capture_packet *p, char *buf,
		       size_t size)
{
	static const char *const points[] = {
		[DP_CAPTURE_PLAIN_OUT] = "before encryption",
		[DP_CAPTURE_ESP_OUT] = "after encryption",
		[DP_CAPTURE_PLAIN_IN] = "after decryption",
		[DP_CAPTURE_DROP] = "",
	};
	const char *tunnel = dp_tunnel_name(c->dp, p->tunnel);
	size_t len = 0;

	buf[0] = '\0';
	if (p->point == DP_CAPTURE_DROP)
		len += (size_t)snprintf(buf, size, "dropped: %s (%s), came in by %s",
					dp_drop_name(p->reason), dp_drop_help(p->reason),
					number_name(c->dp, p->number));
	else if (points[p->point])
		len += (size_t)snprintf(buf, size, "%s", points[p->point]);
	if (tunnel && len < size)
		len += (size_t)snprintf(buf + len, size - len, "%schild %s", len ? ", " : "",
					tunnel);
	if (p->spi && len < size)
		snprintf(buf + len, size - len, "%sSPI %08" PRIx32, len ? ", " : "", p->spi);
}

static void write_packet(struct vici_capture *c, const struct dp_capture_packet *p)
{
	struct file_iface *f = iface_of(c, p);
	char comment[PCAPNG_COMMENT_MAX];

	c->lost += p->lost;
	if (!f) { // one copy less: that is the same
		c->lost++;
		return;
	}
	comment_of(c, p, comment, sizeof(comment));
	pcapng_packet(&c->out, &(struct pcapng_packet){
				       .iface = (uint32_t)(f - c->ifaces),
				       .time_ns = p->time_ns,
				       .id = p->id,
				       .direction = direction_of(p->point),
				       .lost = p->lost,
				       .comment = *comment ? comment : NULL,
				       .data = p->data,
				       .cap_len = p->cap_len,
				       .len = p->len,
			       });
	f->packets++;
	f->lost += p->lost;
	c->packets++;
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void write_end(struct vici_capture *c)
{
	const uint64_t now = clock_ns();

	for (uint32_t i = 0; i < c->n_ifaces; i++) {
		pcapng_statistics(&c->out, i, now, c->started_ns, c->ifaces[i].packets,
				  c->ifaces[i].lost);
		if (c->out.len >= FLUSH_LEN)
			flush(c);
	}
	flush(c);
}

// ---- running ----

static void capture_free(struct vici_capture *c)
{
	dp_capture_end(c->dp);
	c->s->server->capture = NULL;
	c->s->capture = NULL;
	if (c->timer)
		event_free(c->timer);
	free(c->ifaces);
	free(c);
}

void vici_capture_abandon(struct vici_session *s)
{
	log_info(LOG_API, "capture of client %d ended with it", (int)s->pid);
	capture_free(s->capture);
}

static bool is_complete(const struct vici_capture *c)
{
	return c->count && c->packets >= c->count;
}

// Takes what there is, as far as the client takes it. True when nothing is left.
static bool drain(struct vici_capture *c)
{
	struct dp_capture_packet p;
	bool more = true;

	for (unsigned n = 0; n < ROUND_MAX && !is_complete(c) && !vici_session_full(c->s); n++) {
		more = dp_capture_next(c->dp, &p);
		if (!more)
			break;
		write_packet(c, &p);
		if (c->out.len >= FLUSH_LEN)
			flush(c);
	}
	flush(c);
	return !more || is_complete(c);
}

static void answer(struct vici_capture *c)
{
	struct vici_session *s = c->s;
	const uint64_t lost = dp_capture_lost(c->dp);
	struct vici_builder reply = {0};

	write_end(c);
	vici_reply_result(&reply, NULL);
	vici_kvf(&reply, "packets", "%" PRIu64, c->packets);
	vici_kvf(&reply, "lost", "%" PRIu64, lost > c->lost ? lost : c->lost);
	vici_kvf(&reply, "ms", "%" PRIu64, daemon_now_ms() - c->started_ms);
	vici_kv(&reply, "ended-by", c->ended);
	log_info(LOG_API, "capture of client %d ended (%s): %" PRIu64 " packets", (int)s->pid,
		 c->ended, c->packets);
	capture_free(c);
	vici_session_respond(s, &reply);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct vici_capture *c = ctx;
	struct vici_builder empty = {0};
	bool all;

	(void)fd;
	(void)what;
	if (c->s->dead) // about to be reaped
		return;
	all = drain(c);
	if (!c->ended && is_complete(c))
		c->ended = "count";
	if (!c->ended && daemon_now_ms() >= c->end_ms)
		c->ended = "duration";
	if (c->ended) {
		dp_capture_stop(c->dp);
		if (all || drain(c))
			answer(c);
		return;
	}
	if (daemon_now_ms() - c->said_ms >= SIGN_OF_LIFE_MS) {
		vici_session_event(c->s, VICI_EV_CAPTURE, &empty);
		c->said_ms = daemon_now_ms();
	}
}

static int start(struct vici_capture *c, const struct vici_request *req, struct error *err)
{
	static const struct timeval every = {.tv_usec = DRAIN_MS * 1000};
	struct daemon *d = c->s->server->d;
	struct dp_capture_params params = {0};
	int rc = read_request(c, req, &params, err);

	if (rc)
		return rc;
	c->timer = event_new(d->base, -1, EV_PERSIST, on_timer, c);
	if (!c->timer || event_add(c->timer, &every))
		return error_set(err, -ENOMEM, "out of memory");
	rc = dp_capture_start(d->dp, &params, err);
	if (rc)
		return rc;
	pcapng_section(&c->out, "port500d " PORT500_VERSION, "Linux");
	return 0;
}

enum vici_outcome vici_run_capture(struct vici_session *s, const struct vici_request *req,
				   struct vici_builder *reply)
{
	struct vici_capture *c;
	struct error err = {0};

	if (s->server->capture) {
		error_set(&err, -EBUSY, "client %d is capturing: one capture at a time",
			  (int)s->server->capture->s->pid);
		vici_reply_result(reply, err.text);
		return VICI_REPLY;
	}
	if (!vici_session_wants(s, VICI_EV_CAPTURE)) {
		vici_reply_result(reply, "register for the event 'capture' first: the packets "
					 "come with it");
		return VICI_REPLY;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		vici_reply_result(reply, "out of memory");
		return VICI_REPLY;
	}
	c->s = s;
	c->dp = s->server->d->dp;
	c->out = writer_of(c->buf, sizeof(c->buf));
	c->started_ms = c->said_ms = daemon_now_ms();
	c->started_ns = clock_ns();
	s->capture = s->server->capture = c;
	if (start(c, req, &err)) {
		vici_reply_result(reply, err.text);
		capture_free(c);
		return VICI_REPLY;
	}
	log_notice(LOG_API, "client %d (uid %u) captures packets", (int)s->pid, (unsigned)s->uid);
	flush(c);
	return VICI_LATER;
}

enum vici_outcome vici_run_capture_stop(struct vici_session *s, const struct vici_request *req,
					struct vici_builder *reply)
{
	(void)req;
	if (s->server->capture && !s->server->capture->ended)
		s->server->capture->ended = "stop";
	vici_reply_result(reply, s->server->capture ? NULL : "no capture is under way");
	return VICI_REPLY;
}
