// The sections connections.<c>.children.<child> (config/loader.h).
#include <errno.h>
#include <string.h>

#include "config/loader.h"
#include "config/value.h"

enum { PROTO_ICMP = 1, PROTO_ICMPV6 = 58 };

static int add_selector(struct loader *l, const struct config_node *key, const char *item,
			struct selector_list *list)
{
	char text[CONFIG_SHOWN_MAX];
	struct selector s;

	if (selector_parse(item, &s) != 0)
		return config_node_error(l->err, -EINVAL, key,
					 "'%s' is not a network such as 10.1.0.0/16, "
					 "10.1.0.0/16[tcp/443] or fd00:1::/48",
					 config_shown(item, text, sizeof(text)));
	if (s.proto == (s.family == IP_V4 ? PROTO_ICMPV6 : PROTO_ICMP)) {
		int rc = loader_warn(l, key, "%s is %s, which %s does not carry: write [%s]",
				     config_shown(item, text, sizeof(text)),
				     s.family == IP_V4 ? "ipv6-icmp" : "icmp",
				     s.family == IP_V4 ? "IPv4" : "IPv6",
				     s.family == IP_V4 ? "icmp" : "ipv6-icmp");

		if (rc != 0)
			return rc;
	}
	if (list->n == SELECTORS_MAX)
		return config_node_error(l->err, -EINVAL, key, "more than %d networks",
					 SELECTORS_MAX);
	list->s[list->n++] = s;
	return 0;
}

static int add_dynamic(struct loader *l, const struct config_node *key, const char *item,
		       struct selector_dynamic *dynamic)
{
	char text[CONFIG_SHOWN_MAX];
	struct selector_upper d;

	if (selector_dynamic_parse(item, &d) != 0)
		return config_node_error(
			l->err, -EINVAL, key,
			"'%s' is not dynamic, or dynamic with a protocol and ports "
			"as in dynamic[gre] or dynamic[tcp/179]",
			config_shown(item, text, sizeof(text)));
	if (dynamic->n == DYNAMIC_MAX)
		return config_node_error(l->err, -EINVAL, key, "more than %d times 'dynamic'",
					 DYNAMIC_MAX);
	dynamic->s[dynamic->n++] = d;
	return 0;
}

static int load_selectors(struct loader *l, struct loader_section s, const char *name,
			  struct selector_list *list, struct selector_dynamic *dynamic)
{
	const struct config_node *key = loader_key(l, s, name);
	const char *text = loader_text(l, s, name);
	char item[SELECTOR_TEXT_MAX];
	bool too_long = false;

	if (text == NULL)
		return config_node_error(l->err, -EINVAL, s.node,
					 "%s is missing: which networks are behind the peer?",
					 name);
	while (value_next(&text, ",", item, sizeof(item), &too_long) != NULL) {
		int rc;

		rc = strncmp(item, "dynamic", 7) == 0 ? add_dynamic(l, key, item, dynamic)
						      : add_selector(l, key, item, list);
		if (rc != 0)
			return rc;
	}
	if (list->n == 0 && dynamic->n == 0)
		return config_node_error(l->err, -EINVAL, key, "no network");
	if (list->n + dynamic->n > SELECTORS_MAX) // their places are taken at run time
		return config_node_error(l->err, -EINVAL, key,
					 "more than %d networks with 'dynamic'", SELECTORS_MAX);
	return 0;
}

// strongSwan allows combinations ("trap|start").
static int load_start_action(struct loader *l, struct loader_section s, struct config_child *child)
{
	const struct config_node *key = loader_key(l, s, "start_action");
	const char *text = key != NULL ? key->value : NULL;
	char word[32], shown[CONFIG_SHOWN_MAX];
	bool too_long = false;

	while (value_next(&text, "| ,", word, sizeof(word), &too_long) != NULL) {
		if (value_among(word, "start restart")) {
			child->start_action |= START_START;
		} else if (value_among(word, "trap route")) {
			child->start_action |= START_TRAP;
		} else if (!value_among(word, "none clear")) {
			return config_node_error(l->err, -EINVAL, key,
						 "'%s' is not none, start or trap",
						 config_shown(key->value, shown, sizeof(shown)));
		} else if (!config_mode_has_sa(child->mode)) {
			return loader_warn(l, key,
					   "has no effect: the rule is in force as soon as it is "
					   "loaded");
		}
	}
	return 0;
}

static enum config_dead load_dead_action(struct loader *l, struct loader_section s,
					 const char *name)
{
	const char *text = loader_text(l, s, name);

	if (value_among(text, "start restart"))
		return DEAD_START;
	return value_among(text, "trap route hold") ? DEAD_TRAP : DEAD_CLEAR;
}

static int load_rule_selectors(struct loader *l, struct loader_section s,
			       const struct config_child *child)
{
	const char *name = child->local_dynamic.n ? "local_ts" : "remote_ts";

	if (!child->local_dynamic.n && !child->remote_dynamic.n)
		return 0;
	return config_node_error(
		l->err, -EINVAL, loader_place(l, s, name),
		"a rule with mode = %s names its networks in local_ts and remote_ts; "
		"0.0.0.0/0 and ::/0 are everything",
		child->mode == MODE_PASS ? "pass" : "drop");
}

// RFC 4301 4.1: transport mode is for what the two gateways say to each other.
static int check_ends(struct loader *l, struct loader_section s, const char *name,
		      const struct selector_list *list, const char *whose)
{
	char text[SELECTOR_TEXT_MAX];

	for (unsigned i = 0; i < list->n; i++)
		if (!ip_addr_equal(&list->s[i].lo, &list->s[i].hi))
			return config_node_error(
				l->err, -EINVAL, loader_place(l, s, name),
				"%s is a network: with mode = transport a child carries only what "
				"the two gateways say to each other. Write 'dynamic' or %s, as in "
				"%s[gre], or mode = tunnel",
				selector_format(&list->s[i], text, sizeof(text)), whose,
				list->s[i].family == IP_V6 ? "2001:db8::1" : "192.0.2.1");
	return 0;
}

// strongSwan's defaults: an SA lives a tenth longer than it should, and may be replaced that much
// earlier. Where a limit says nothing, `life` is 0.
static struct config_limit limit_of(uint64_t rekey, const uint64_t *life, const uint64_t *rand)
{
	struct config_limit m = {.rekey = rekey};

	if (life)
		m.life = *life;
	else if (__builtin_add_overflow(rekey, rekey / 10, &m.life))
		m.life = UINT64_MAX;
	m.rand = rand ? *rand : m.life > rekey ? m.life - rekey : 0;
	if (m.rand > rekey)
		m.rand = rekey;
	return m;
}

static int warn_short_life(struct loader *l, struct loader_section s, const char *name,
			   const char *rekey_name, const struct config_limit *m)
{
	if (m->life == 0 || m->rekey == 0 || m->life > m->rekey)
		return 0;
	return loader_warn(l, loader_place(l, s, name),
			   "is not %s than %s: the SA ends before it is replaced",
			   strcmp(name, "life_time") == 0 ? "longer" : "more", rekey_name);
}

static int load_times(struct loader *l, struct loader_section s, struct config_child *child)
{
	const uint64_t life = loader_time_ms(l, s, "life_time");
	const uint64_t rand = loader_time_ms(l, s, "rand_time");
	const struct config_limit m = limit_of(loader_time_ms(l, s, "rekey_time"),
					       loader_key(l, s, "life_time") ? &life : NULL,
					       loader_key(l, s, "rand_time") ? &rand : NULL);

	child->inactivity_ms = loader_time_ms(l, s, "inactivity");
	child->rekey_time_ms = m.rekey;
	child->life_time_ms = m.life;
	child->rand_time_ms = m.rand;
	return warn_short_life(l, s, "life_time", "rekey_time", &m);
}

// The keys of one kind of volume: rekey_bytes, life_bytes, rand_bytes.
static int load_volume(struct loader *l, struct loader_section s, const char *const name[3],
		       uint64_t (*number)(const struct loader *, struct loader_section,
					  const char *),
		       struct config_limit *out)
{
	const uint64_t life = number(l, s, name[1]), rand = number(l, s, name[2]);

	*out = limit_of(number(l, s, name[0]), loader_key(l, s, name[1]) ? &life : NULL,
			loader_key(l, s, name[2]) ? &rand : NULL);
	return warn_short_life(l, s, name[1], name[0], out);
}

static int load_limits(struct loader *l, struct loader_section s, struct config_child *child)
{
	static const char *const bytes[] = {"rekey_bytes", "life_bytes", "rand_bytes"};
	static const char *const packets[] = {"rekey_packets", "life_packets", "rand_packets"};
	int rc = load_times(l, s, child);

	if (rc == 0)
		rc = load_volume(l, s, bytes, loader_size, &child->bytes);
	if (rc == 0)
		rc = load_volume(l, s, packets, loader_number, &child->packets);
	return rc;
}

int load_child(struct loader *l, const struct config_node *n, struct config_child *child)
{
	struct loader_section s = {n, "connections.*.children.*"};
	const char *mode = loader_text(l, s, "mode");
	int rc;

	rc = loader_copy_name(l, n, child->name, sizeof(child->name), "child");
	if (rc != 0)
		return rc;
	child->where = loader_where(l, n);
	child->mode = strcmp(mode, "pass") == 0	       ? MODE_PASS
		      : strcmp(mode, "drop") == 0      ? MODE_DROP
		      : strcmp(mode, "transport") == 0 ? MODE_TRANSPORT
						       : MODE_TUNNEL;
	child->dpd_action = load_dead_action(l, s, "dpd_action");
	child->close_action = load_dead_action(l, s, "close_action");
	child->replay_window = (uint32_t)loader_number(l, s, "replay_window");
	child->priority = (uint32_t)loader_number(l, s, "priority");
	rc = load_port_name(l, s, child->port);
	if (rc == 0)
		rc = load_if_id(l, s, &child->if_id);
	if (rc == 0)
		rc = load_outer(l, s, &child->outer);
	if (rc == 0)
		rc = load_tfc(l, s, child);
	if (rc == 0)
		rc = load_limits(l, s, child);
	if (rc == 0)
		rc = load_start_action(l, s, child);
	if (rc == 0)
		rc = load_selectors(l, s, "local_ts", &child->local_ts, &child->local_dynamic);
	if (rc == 0)
		rc = load_selectors(l, s, "remote_ts", &child->remote_ts, &child->remote_dynamic);
	if (rc == 0 && !config_mode_has_sa(child->mode))
		rc = load_rule_selectors(l, s, child);
	if (rc == 0 && child->mode == MODE_TRANSPORT)
		rc = check_ends(l, s, "local_ts", &child->local_ts, "our own address");
	if (rc == 0 && child->mode == MODE_TRANSPORT)
		rc = check_ends(l, s, "remote_ts", &child->remote_ts, "the peer's address");
	if (rc == 0)
		rc = loader_proposals(l, s, "esp_proposals", PROTO_ESP, &child->esp);
	return rc;
}
