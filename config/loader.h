// Inside config/: what the files that turn a tree into a struct config share.
//
// The tree has passed schema_check, so that values of the plain forms are well-formed.
// Errors: -errno and "FILE:LINE: KEY: what is wrong".
#pragma once

#include "config/config.h"
#include "config/tree.h"

struct loader {
	struct config *config;
	const struct config_tree *tree;
	struct error *err;
};

// A section and the pattern of its row in the registry.
struct loader_section {
	const struct config_node *node; // NULL: absent, everything has its default
	const char *pattern;
};

int loader_no_memory(struct loader *l);
struct config_where loader_where(struct loader *l, const struct config_node *n);
// Adds "FILE:LINE: PATH: text" to the warnings.
int loader_warn(struct loader *l, const struct config_node *n, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

// The key's node when it has a value that is not empty, else NULL.
const struct config_node *loader_key(const struct loader *l, struct loader_section s,
				     const char *key);
// The value, else the registry's default, else NULL.
const char *loader_text(const struct loader *l, struct loader_section s, const char *key);
bool loader_bool(const struct loader *l, struct loader_section s, const char *key);
uint64_t loader_number(const struct loader *l, struct loader_section s, const char *key);
uint64_t loader_size(const struct loader *l, struct loader_section s, const char *key); // bytes
uint64_t loader_time_ms(const struct loader *l, struct loader_section s, const char *key);
// Where a message about a key points: to the key, else to its section.
const struct config_node *loader_place(const struct loader *l, struct loader_section s,
				       const char *key);

size_t loader_count_sections(const struct config_node *parent);
int loader_copy_name(struct loader *l, const struct config_node *n, char *buf, size_t size,
		     const char *what);
// `patterns`: it may stand for several (identity_is_pattern).
int loader_identity(struct loader *l, const struct config_node *key, bool patterns,
		    struct identity *id);

// A list of proposals, "default" among them.
int loader_proposals(struct loader *l, struct loader_section s, const char *name,
		     enum protocol_id protocol, struct proposal_list *out);

int load_gateway(struct loader *l);	// load_gateway.c
// The name of a section that names an interface of Linux; `what` as in "a port".
int load_device_name(struct loader *l, const struct config_node *n, const char *what);
// The key `addrs`: up to CONFIG_ADDRS_MAX.
int load_device_addrs(struct loader *l, struct loader_section s, struct ip_prefix *addrs,
		      uint8_t *n);

// ---- load_iface.c ----
int load_ifaces(struct loader *l, const struct config_node *gateway);
// The port that a child's policies are of (`interface`), "" for all. Only a name yet.
int load_port_name(struct loader *l, struct loader_section s, char out[CONFIG_PORT_NAME_MAX]);
// if_id_in and if_id_out of a connection or child, which have to agree. 0: none.
int load_if_id(struct loader *l, struct loader_section s, uint32_t *out);
// Gives every child its interface, and finds numbers and names that are used twice or not at all.
int check_ifaces(struct loader *l);

int load_connections(struct loader *l); // load_conn.c
int load_child(struct loader *l, const struct config_node *n, struct config_child *child);
int load_secrets(struct loader *l); // psk.c

// ---- load_outer.c ----
// The keys of a child about the outer header, and tfc_padding with dummy_packets.
int load_outer(struct loader *l, struct loader_section s, struct outer_rule *out);
int load_tfc(struct loader *l, struct loader_section s, struct config_child *child);

// ---- load_auth.c ----
// auth, certs, cacerts and revocation of a side; `node` NULL: absent. side->auth holds the default.
int load_auth(struct loader *l, const struct config_node *node, bool is_local,
	      struct config_side *side);
int load_authorities(struct loader *l);
int load_key_files(struct loader *l);
void config_files_fini(struct config_files *files);

// Semantics, over the whole (check.c). `tree` gives the places of messages.
int config_check(struct loader *l, bool from_file);
