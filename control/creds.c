#include "control/creds.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct load {
	const struct config *config;
	struct cred *cred;
	void (*warn)(void *ctx, const char *text);
	void *ctx;
	struct error *err;
};

typedef int add_fn(struct load *l, void *to, const char *path, struct error *err);

static void warn(struct load *l, const char *text)
{
	if (l->warn)
		l->warn(l->ctx, text);
}

// ---- names of files ----

// The directory that a file stands in, "." when it says none.
static void directory_of(const char *file, char *buf, size_t size)
{
	const char *slash = strrchr(file, '/');

	if (slash)
		snprintf(buf, size, "%.*s", (int)(slash > file ? slash - file : 1), file);
	else
		snprintf(buf, size, ".");
}

static bool found_in(const char *file, const char *sub, const char *name, char *buf, size_t size)
{
	char dir[PATH_MAX];

	directory_of(file, dir, sizeof(dir));
	snprintf(buf, size, "%s/%s/%s", dir, sub, name);
	if (access(buf, F_OK) == 0)
		return true;
	snprintf(buf, size, "%s/%s", dir, name);
	return access(buf, F_OK) == 0;
}

// Next to the file that names it, else next to the main file; `subs` are tried in turn, separated
// by blanks.
static void resolve(const struct load *l, const struct config_file *f, const char *subs, char *buf,
		    size_t size)
{
	const char *places[] = {f->where.file, l->config->files[0]};

	if (f->name[0] == '/' || strncmp(f->name, "pkcs11:", 7) == 0) {
		snprintf(buf, size, "%s", f->name);
		return;
	}
	for (size_t i = 0; i < 2; i++)
		for (const char *p = subs; *p;) {
			char sub[16];
			size_t n = strcspn(p, " ");

			snprintf(sub, sizeof(sub), "%.*s", (int)n, p);
			if (found_in(places[i], sub, f->name, buf, size))
				return;
			p += n + (p[n] == ' ');
		}
	// Not there: the message names where it is expected.
	directory_of(f->where.file, buf, size);
	snprintf(buf + strlen(buf), size - strlen(buf), "/%.*s/%s", (int)strcspn(subs, " "), subs,
		 f->name);
}

static int at(const struct config_file *f, struct error *err, int rc)
{
	return error_prefix(err, rc, "%s:%d: %s", f->where.file, f->where.line, f->key);
}

static int add_files(struct load *l, const struct config_files *files, const char *sub, add_fn *add,
		     void *to)
{
	char path[PATH_MAX];
	int rc;

	for (size_t i = 0; i < files->n; i++) {
		resolve(l, &files->file[i], sub, path, sizeof(path));
		rc = add(l, to, path, l->err);
		if (rc)
			return at(&files->file[i], l->err, rc);
	}
	return 0;
}

// ---- what is added where ----

static int add_ca(struct load *l, void *to, const char *path, struct error *err)
{
	(void)to;
	return cred_add_ca(l->cred, path, err);
}

static int add_cert(struct load *l, void *to, const char *path, struct error *err)
{
	(void)to;
	return cred_add_cert(l->cred, path, err);
}

static int add_crl(struct load *l, void *to, const char *path, struct error *err)
{
	(void)to;
	return cred_add_crl(l->cred, path, err);
}

static int add_responders(struct load *l)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < l->config->n_responders; i++) {
		const struct config_responder *r = &l->config->responders[i];
		int rc;

		resolve(l, &r->ca, "x509ca", path, sizeof(path));
		rc = cred_add_ocsp(l->cred, path, r->url, l->err);
		if (rc)
			return at(&r->ca, l->err, rc);
	}
	return 0;
}

static int add_conn_own(struct load *l, void *to, const char *path, struct error *err)
{
	(void)l;
	return cred_conn_add_own(to, path, err);
}

static int add_conn_pinned(struct load *l, void *to, const char *path, struct error *err)
{
	(void)l;
	return cred_conn_add_pinned(to, path, err);
}

static int add_conn_ca(struct load *l, void *to, const char *path, struct error *err)
{
	(void)l;
	return cred_conn_add_ca(to, path, err);
}

// A key that a section of secrets names is read from there, with its passphrase.
static int add_key(struct load *l, void *to, const char *path, struct error *err)
{
	(void)to;
	for (size_t i = 0; i < l->config->n_keys; i++) {
		char named[PATH_MAX];

		resolve(l, &l->config->keys[i].file, "private rsa ecdsa pkcs8", named,
			sizeof(named));
		if (strcmp(named, path) == 0)
			return 0;
	}
	return cred_add_key(l->cred, path, NULL, err);
}

static int add_named_keys(struct load *l)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < l->config->n_keys; i++) {
		const struct config_key_file *k = &l->config->keys[i];
		int rc;

		resolve(l, &k->file, "private rsa ecdsa pkcs8", path, sizeof(path));
		rc = cred_add_key(l->cred, path, k->passphrase.len ? &k->passphrase : NULL, l->err);
		if (rc)
			return at(&k->file, l->err, rc);
	}
	return 0;
}

// ---- directories ----

static int is_file(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

// A file that cannot be used is a warning: who needs it says so.
static void add_directory(struct load *l, const char *dir, const char *sub, add_fn *add)
{
	char path[PATH_MAX];
	struct dirent **names;
	int n;

	snprintf(path, sizeof(path), "%s/%s", dir, sub);
	n = scandir(path, &names, is_file, alphasort);
	if (n < 0) {
		if (errno != ENOENT && errno != ENOTDIR) {
			char text[PATH_MAX + 64];

			snprintf(text, sizeof(text), "cannot read %s: %s", path, strerror(errno));
			warn(l, text);
		}
		return;
	}
	for (int i = 0; i < n; i++) {
		struct error why = {""};

		snprintf(path, sizeof(path), "%s/%s/%s", dir, sub, names[i]->d_name);
		if (add(l, NULL, path, &why))
			warn(l, why.text);
		free(names[i]);
	}
	free(names);
}

static void add_directories(struct load *l)
{
	static const struct {
		const char *sub;
		add_fn *add;
	} kinds[] = {{"x509ca", add_ca},   {"x509", add_cert}, {"x509crl", add_crl},
		     {"private", add_key}, {"rsa", add_key},   {"ecdsa", add_key},
		     {"pkcs8", add_key}};
	char dir[PATH_MAX], before[PATH_MAX];

	for (size_t i = 0; i < l->config->n_files; i++) {
		bool seen = false;

		directory_of(l->config->files[i], dir, sizeof(dir));
		for (size_t k = 0; k < i && !seen; k++) {
			directory_of(l->config->files[k], before, sizeof(before));
			seen = strcmp(before, dir) == 0;
		}
		for (size_t k = 0; !seen && k < sizeof(kinds) / sizeof(kinds[0]); k++)
			add_directory(l, dir, kinds[k].sub, kinds[k].add);
	}
}

// ---- connections ----

static int add_conn(struct load *l, const struct config_conn *conn)
{
	static const enum cred_revocation revocations[] = {
		[REVOKED_RELAXED] = REVOCATION_RELAXED,
		[REVOKED_IFURI] = REVOCATION_IFURI,
		[REVOKED_STRICT] = REVOCATION_STRICT,
	};
	struct cred_conn_params params = {
		.name = conn->name,
		.local = conn->local_side.auth,
		.remote = conn->remote_side.auth,
		.local_id = conn->local_side.id,
		.revocation = revocations[conn->remote_side.revocation],
	};
	struct cred_conn *to;
	struct error odd;
	int rc = cred_conn_add(l->cred, &params, &to);

	if (rc)
		return error_set(l->err, rc, "%s: out of memory", conn->name);
	if (conn->local_side.auth.kind == AUTH_BY_SIGNATURE)
		rc = add_files(l, &conn->local_side.certs, "x509", add_conn_own, to);
	if (!rc && conn->remote_side.auth.kind == AUTH_BY_SIGNATURE)
		rc = add_files(l, &conn->remote_side.certs, "x509", add_conn_pinned, to);
	if (!rc && conn->remote_side.auth.kind == AUTH_BY_SIGNATURE)
		rc = add_files(l, &conn->remote_side.cacerts, "x509ca", add_conn_ca, to);
	if (rc)
		return rc;
	rc = cred_conn_finish(to, &odd, l->err);
	if (rc && conn->local_side.certs.n > 0)
		return at(&conn->local_side.certs.file[0], l->err, rc);
	if (!rc && odd.text[0] && conn->local_side.certs.n > 0) {
		at(&conn->local_side.certs.file[0], &odd, 0);
		warn(l, odd.text);
	}
	return rc;
}

int creds_load(const struct config *config, void (*warn_fn)(void *ctx, const char *text), void *ctx,
	       struct cred **out, struct error *err)
{
	struct load l = {.config = config, .warn = warn_fn, .ctx = ctx, .err = err};
	int rc;

	if (!config_uses_certs(config)) {
		*out = NULL;
		return 0;
	}
	rc = cred_create(&l.cred);
	if (rc)
		return error_set(err, rc, "out of memory");
	add_directories(&l);
	rc = add_named_keys(&l);
	if (!rc)
		rc = add_files(&l, &config->cacerts, "x509ca", add_ca, NULL);
	if (!rc)
		rc = add_files(&l, &config->crls, "x509crl", add_crl, NULL);
	if (!rc)
		rc = add_responders(&l);
	for (size_t i = 0; i < config->n_conns && !rc; i++)
		if (config_conn_uses_certs(&config->conns[i]))
			rc = add_conn(&l, &config->conns[i]);
	if (rc)
		cred_destroy(l.cred);
	else
		*out = l.cred;
	return rc;
}
