#include "control/openssl/cred_file.h"

#include <errno.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#include "lib/uri.h"

enum { EMPTY_MAX = 64 }; // looks without an object, before a file counts as read

struct asked {
	const struct secret *passphrase;
	bool asked;
};

static int give_passphrase(char *buf, int size, int writing, void *arg)
{
	struct asked *a = arg;

	(void)writing;
	a->asked = true;
	if (!a->passphrase || a->passphrase->len == 0 || a->passphrase->len > (size_t)size)
		return -1;
	memcpy(buf, a->passphrase->data, a->passphrase->len);
	return (int)a->passphrase->len;
}

static const char *reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = code ? ERR_reason_error_string(code) : NULL;

	return text ? text : "OpenSSL does not say why";
}

// Takes one object over. False when out of memory.
static bool take(OSSL_STORE_INFO *info, struct cred_found *out)
{
	switch (OSSL_STORE_INFO_get_type(info)) {
	case OSSL_STORE_INFO_CERT: {
		X509 *x = OSSL_STORE_INFO_get1_CERT(info);

		if (x && sk_X509_push(out->certs, x) > 0)
			return true;
		X509_free(x);
		return false;
	}
	case OSSL_STORE_INFO_CRL: {
		X509_CRL *crl = OSSL_STORE_INFO_get1_CRL(info);

		if (crl && sk_X509_CRL_push(out->crls, crl) > 0)
			return true;
		X509_CRL_free(crl);
		return false;
	}
	case OSSL_STORE_INFO_PKEY:
		if (!out->key)
			out->key = OSSL_STORE_INFO_get1_PKEY(info);
		return out->key != NULL;
	default:
		return true; // public keys, parameters, names in a directory
	}
}

static bool is_token(const char *path)
{
	return strncmp(path, "pkcs11:", 7) == 0;
}

// A token needs a provider, which openssl.cnf may have activated already. Without a PIN it would
// ask at the terminal for one, past the callback; nobody sits there.
static int provide(const char *path, struct error *err)
{
	if (!is_token(path))
		return 0;
	UI_set_default_method(UI_null());
	if (OSSL_PROVIDER_available(NULL, "pkcs11"))
		return 0;
	if (OSSL_PROVIDER_try_load(NULL, "pkcs11", 1))
		return 0;
	error_set(
		err, -ENOTSUP,
		"%s: OpenSSL's provider 'pkcs11' is not there (%s); install it and activate it in "
		"openssl.cnf",
		path, reason());
	ERR_clear_error();
	return -ENOTSUP;
}

// OSSL_STORE says little about a file that is not there.
static int check_readable(const char *path, struct error *err)
{
	BIO *bio;
	int rc = 0;

	if (is_token(path))
		return 0;
	errno = 0;
	bio = BIO_new_file(path, "rb");
	if (!bio)
		rc = errno ? -errno : -EIO;
	BIO_free(bio);
	ERR_clear_error();
	return rc ? error_set(err, rc, "cannot read %s: %s", path, strerror(-rc)) : 0;
}

// It was asked for a passphrase, and no key came. A token does not say whether it is the PIN that
// it does not take or the object that it does not have.
static int no_key(const char *path, bool has_passphrase, struct error *err)
{
	if (is_token(path) && has_passphrase)
		return error_set(err, -ENOKEY,
				 "%s: the token does not take our PIN, or has no such object",
				 path);
	if (is_token(path))
		return error_set(err, -ENOKEY,
				 "%s: the token wants a PIN and none is configured; write secrets "
				 "{ private { file = \"pkcs11:...\" secret = PIN } }",
				 path);
	if (has_passphrase)
		return error_set(err, -ENOKEY, "%s is encrypted, with another passphrase than ours",
				 path);
	return error_set(err, -ENOKEY,
			 "%s is encrypted and no passphrase is configured; write secrets { private "
			 "{ file = ... secret = \"...\" } }",
			 path);
}

static int read_all(const char *path, const char *shown, UI_METHOD *ui, struct asked *asked,
		    struct cred_found *f, struct error *err)
{
	OSSL_STORE_CTX *store;
	int rc = 0;

	ERR_clear_error();
	store = OSSL_STORE_open(path, ui, asked, NULL, NULL);
	if (!store)
		return error_set(err, -EIO, "cannot open %s: %s%s", shown, reason(),
				 is_token(path) ? "; openssl.cnf has to name the token's module, "
						  "pkcs11-module-path"
						: "");
	for (unsigned empty = 0; !rc && empty < EMPTY_MAX && !OSSL_STORE_eof(store);) {
		OSSL_STORE_INFO *info = OSSL_STORE_load(store);

		if (info && !take(info, f))
			rc = error_set(err, -ENOMEM, "%s: out of memory", shown);
		else if (!info && asked->asked && !f->key)
			rc = no_key(shown, asked->passphrase, err);
		else if (!info && ERR_peek_last_error()) // its own flag is also set at the end
			rc = error_set(err, -EBADMSG, "%s: %s", shown, reason());
		empty += !info;
		OSSL_STORE_INFO_free(info);
	}
	OSSL_STORE_close(store);
	ERR_clear_error();
	return rc;
}

int cred_file_read(const char *path, const struct secret *passphrase, struct cred_found *out,
		   struct error *err)
{
	struct asked asked = {.passphrase = passphrase};
	struct cred_found f = {.certs = sk_X509_new_null(), .crls = sk_X509_CRL_new_null()};
	UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(give_passphrase, 0);
	int rc = check_readable(path, err);
	char shown[512]; // a token's URI may have a PIN in it

	uri_shown(path, shown, sizeof(shown));
	if (!rc && (!f.certs || !f.crls || !ui))
		rc = error_set(err, -ENOMEM, "%s: out of memory", shown);
	if (!rc)
		rc = provide(shown, err);
	if (!rc)
		rc = read_all(path, shown, ui, &asked, &f, err);
	if (!rc && !f.key && sk_X509_num(f.certs) == 0 && sk_X509_CRL_num(f.crls) == 0)
		rc = error_set(err, -EBADMSG, "%s holds no certificate, key or CRL", shown);
	UI_destroy_method(ui);
	if (rc)
		cred_found_fini(&f);
	else
		*out = f;
	return rc;
}

void cred_found_fini(struct cred_found *f)
{
	sk_X509_pop_free(f->certs, X509_free);
	sk_X509_CRL_pop_free(f->crls, X509_CRL_free);
	EVP_PKEY_free(f->key);
	*f = (struct cred_found){0};
}
