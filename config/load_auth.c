// How a side authenticates, and by which files: connections.<c>.local and .remote, authorities, and
// the passphrases in secrets (config/loader.h). Files are named here, not opened.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/loader.h"
#include "config/value.h"
#include "lib/http_url.h"
#include "lib/limits.h"
#include "lib/uri.h"

static int add_file(struct loader *l, const struct config_node *key, const char *name,
		    struct config_files *files)
{
	struct config_file *list = realloc(files->file, (files->n + 1) * sizeof(*list));
	char path[CONFIG_PATH_TEXT_MAX];

	if (list == NULL)
		return loader_no_memory(l);
	files->file = list;
	list[files->n] = (struct config_file){
		.name = strdup(name),
		.key = strdup(config_node_path(key, path, sizeof(path))),
		.where = loader_where(l, key),
	};
	files->n++;
	return list[files->n - 1].name != NULL && list[files->n - 1].key != NULL
		       ? 0
		       : loader_no_memory(l);
}

// "a.pem, b.pem"
static int add_list(struct loader *l, const struct config_node *key, struct config_files *files)
{
	const char *text = key != NULL ? key->value : NULL;
	bool too_long = false;
	char item[1024];
	int rc = 0;

	while (rc == 0 && value_next(&text, ",", item, sizeof(item), &too_long) != NULL)
		rc = too_long ? config_node_error(l->err, -EINVAL, key,
						  "a name of a file is too long")
			      : add_file(l, key, item, files);
	return rc;
}

// The `file` of each section of that kind: cert<suffix> { file = ... }.
static int add_sections(struct loader *l, const struct config_node *side, const char *prefix,
			const char *pattern, struct config_files *files)
{
	for (const struct config_node *n = side->first; n != NULL; n = n->next) {
		struct loader_section s = {n, pattern};
		const struct config_node *key;
		int rc;

		if (n->kind != NODE_SECTION || strncmp(n->name, prefix, strlen(prefix)) != 0)
			continue;
		key = loader_key(l, s, "file");
		if (key == NULL)
			return config_node_error(l->err, -EINVAL, n, "the file is missing");
		rc = add_file(l, key, key->value, files);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int load_rule(struct loader *l, struct loader_section s, struct auth_rule *rule)
{
	const struct config_node *key = loader_key(l, s, "auth");
	struct error why;
	int rc;

	if (key == NULL)
		return 0;
	rc = auth_rule_parse(key->value, rule, &why);
	return rc != 0 ? config_node_error(l->err, rc, key, "%s", why.text) : 0;
}

static enum config_revocation load_revocation(struct loader *l, struct loader_section s)
{
	const char *text = loader_text(l, s, "revocation");

	if (strcmp(text, "strict") == 0)
		return REVOKED_STRICT;
	return strcmp(text, "ifuri") == 0 ? REVOKED_IFURI : REVOKED_RELAXED;
}

int load_auth(struct loader *l, const struct config_node *node, bool is_local,
	      struct config_side *side)
{
	struct loader_section s = {node,
				   is_local ? "connections.*.local*" : "connections.*.remote*"};
	int rc = load_rule(l, s, &side->auth);

	if (rc == 0)
		rc = add_list(l, loader_key(l, s, "certs"), &side->certs);
	if (rc == 0 && node != NULL)
		rc = add_sections(l, node, "cert",
				  is_local ? "connections.*.local*.cert*"
					   : "connections.*.remote*.cert*",
				  &side->certs);
	if (rc != 0 || is_local)
		return rc;
	side->revocation = load_revocation(l, s);
	rc = add_list(l, loader_key(l, s, "cacerts"), &side->cacerts);
	if (rc == 0 && node != NULL)
		rc = add_sections(l, node, "cacert", "connections.*.remote*.cacert*",
				  &side->cacerts);
	return rc;
}

// ---- authorities ----

// Another place than http is a warning, as strongSwan's configurations may name ldap as well.
static int add_crl_url(struct loader *l, const struct config_node *key, const char *text)
{
	struct http_url url;
	struct error why;
	char shown[256];
	int rc = http_url_parse(text, &url, &why);

	if (rc == -ENOTSUP)
		return loader_warn(l, key,
				   "'%.200s' is not fetched: name an http:// or file:// URL here, "
				   "or put the CRL into x509crl/",
				   uri_shown(text, shown, sizeof(shown)));
	if (rc != 0)
		return config_node_error(l->err, rc, key, "%s", why.text);
	if (l->config->crl_urls.n == LIMIT_CRL_URLS)
		return config_node_error(l->err, -E2BIG, key, "more than %d URLs of CRLs",
					 LIMIT_CRL_URLS);
	return add_file(l, key, text, &l->config->crl_urls);
}

static int load_crl_uris(struct loader *l, const struct config_node *key)
{
	const char *text = key != NULL ? key->value : NULL;
	bool too_long = false;
	char item[1024];
	int rc = 0;

	while (rc == 0 && value_next(&text, ",", item, sizeof(item), &too_long) != NULL) {
		if (strncmp(item, "file://", 7) == 0)
			rc = add_file(l, key, item + 7, &l->config->crls);
		else
			rc = add_crl_url(l, key, item);
	}
	return rc;
}

// `ca` is the key that names the authority's certificate.
static int add_responder(struct loader *l, const struct config_node *key,
			 const struct config_node *ca, const char *text)
{
	struct config *c = l->config;
	struct config_responder *list, *r;
	char path[CONFIG_PATH_TEXT_MAX];
	struct http_url url;
	struct error why;
	char shown[256];
	int rc = http_url_parse(text, &url, &why);

	if (rc == -ENOTSUP)
		return loader_warn(l, key, "'%.200s' is not asked: name an http:// URL here",
				   uri_shown(text, shown, sizeof(shown)));
	if (rc != 0)
		return config_node_error(l->err, rc, key, "%s", why.text);
	if (c->n_responders == LIMIT_OCSP_URIS)
		return config_node_error(l->err, -E2BIG, key, "more than %d OCSP responders",
					 LIMIT_OCSP_URIS);
	list = realloc(c->responders, (c->n_responders + 1) * sizeof(*list));
	if (list == NULL)
		return loader_no_memory(l);
	c->responders = list;
	r = &list[c->n_responders++];
	*r = (struct config_responder){
		.ca = {.name = strdup(ca->value),
		       .key = strdup(config_node_path(ca, path, sizeof(path))),
		       .where = loader_where(l, ca)},
		.url = strdup(text),
	};
	return r->ca.name != NULL && r->ca.key != NULL && r->url != NULL ? 0 : loader_no_memory(l);
}

static int load_ocsp_uris(struct loader *l, const struct config_node *key,
			  const struct config_node *ca)
{
	const char *text = key != NULL ? key->value : NULL;
	bool too_long = false;
	char item[1024];
	int rc = 0;

	while (rc == 0 && value_next(&text, ",", item, sizeof(item), &too_long) != NULL)
		rc = add_responder(l, key, ca, item);
	return rc;
}

int load_authorities(struct loader *l)
{
	const struct config_node *all =
		config_node_find(l->tree, l->tree->root, NODE_SECTION, "authorities");

	for (const struct config_node *n = all != NULL ? all->first : NULL; n != NULL;
	     n = n->next) {
		struct loader_section s = {n, "authorities.*"};
		const struct config_node *ca, *file;
		int rc = 0;

		if (n->kind != NODE_SECTION)
			continue;
		ca = loader_key(l, s, "cacert");
		file = loader_key(l, s, "file");
		if (ca == NULL && file == NULL)
			return config_node_error(l->err, -EINVAL, n,
						 "the certificate is missing; write cacert = FILE");
		if (ca != NULL)
			rc = add_file(l, ca, ca->value, &l->config->cacerts);
		if (rc == 0 && file != NULL)
			rc = add_file(l, file, file->value, &l->config->cacerts);
		if (rc == 0)
			rc = load_crl_uris(l, loader_key(l, s, "crl_uris"));
		if (rc == 0)
			rc = load_ocsp_uris(l, loader_key(l, s, "ocsp_uris"),
					    ca != NULL ? ca : file);
		if (rc != 0)
			return rc;
	}
	return 0;
}

// ---- passphrases of private keys ----

static bool is_key_section(const struct config_node *n)
{
	static const char *const kinds[] = {"private", "rsa", "ecdsa", "pkcs8"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (n->kind == NODE_SECTION && strncmp(n->name, kinds[i], strlen(kinds[i])) == 0)
			return true;
	}
	return false;
}

static int load_key_file(struct loader *l, const struct config_node *n, struct config_key_file *k)
{
	struct loader_section s = {n, "secrets.private*"};
	const struct config_node *file = loader_key(l, s, "file");
	const struct config_node *secret = loader_key(l, s, "secret");
	char path[CONFIG_PATH_TEXT_MAX];

	if (file == NULL)
		return config_node_error(l->err, -EINVAL, n,
					 "the file is missing; write file = NAME, or file = "
					 "\"pkcs11:...\" for a key on a token");
	k->file.name = strdup(file->value);
	k->file.key = strdup(config_node_path(file, path, sizeof(path)));
	k->file.where = loader_where(l, file);
	if (k->file.name == NULL || k->file.key == NULL ||
	    (secret != NULL &&
	     secret_set(&k->passphrase, secret->value, strlen(secret->value)) != 0))
		return loader_no_memory(l);
	return 0;
}

int load_key_files(struct loader *l)
{
	const struct config_node *secrets =
		config_node_find(l->tree, l->tree->root, NODE_SECTION, "secrets");
	size_t n = 0;

	for (const struct config_node *c = secrets != NULL ? secrets->first : NULL; c; c = c->next)
		n += is_key_section(c);
	if (n == 0)
		return 0;
	l->config->keys = calloc(n, sizeof(*l->config->keys));
	if (l->config->keys == NULL)
		return loader_no_memory(l);
	for (const struct config_node *c = secrets->first; c != NULL; c = c->next) {
		int rc;

		if (!is_key_section(c))
			continue;
		rc = load_key_file(l, c, &l->config->keys[l->config->n_keys++]);
		if (rc != 0)
			return rc;
	}
	return 0;
}

// ---- end ----

void config_files_fini(struct config_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		free(files->file[i].name);
		free(files->file[i].key);
	}
	free(files->file);
	*files = (struct config_files){0};
}

bool config_files_equal(const struct config_files *a, const struct config_files *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->file[i].name, b->file[i].name) != 0)
			return false;
	}
	return true;
}

bool config_uses_certs(const struct config *c)
{
	for (size_t i = 0; i < c->n_conns; i++) {
		if (config_conn_uses_certs(&c->conns[i]))
			return true;
	}
	return false;
}

bool config_conn_uses_certs(const struct config_conn *conn)
{
	for (size_t i = 0; i < conn->n_children; i++) {
		if (config_mode_has_sa(conn->children[i].mode))
			return conn->local_side.auth.kind == AUTH_BY_SIGNATURE ||
			       conn->remote_side.auth.kind == AUTH_BY_SIGNATURE;
	}
	return false;
}
