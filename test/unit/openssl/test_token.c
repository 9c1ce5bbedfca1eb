// Keys and certificates on a token (PKCS#11): SoftHSM as the token, pkcs11-provider as the way of
// OpenSSL to it. Skipped where one of them is not installed; Debian 12 has no pkcs11-provider.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "control/openssl/cred.h"
#include "test/certs/certs.h"

#define SOFTHSM "/usr/lib/softhsm/libsofthsm2.so"
#define PIN	"4711"

static char dir[64];
static struct certs_cert root;
static struct secret pin, wrong_pin;

static const char *in(const char *name)
{
	static char paths[4][128];
	static unsigned at;
	char *path = paths[at++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static void ok(int rc, const struct error *err)
{
	if (rc)
		fail_msg("%s", err->text);
}

static void sh(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(in(name), "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

// Before OpenSSL is used for the first time, because it reads OPENSSL_CONF once.
static void make_token(void)
{
	char text[1024];

	certs_dir_make(dir);
	snprintf(text, sizeof(text), "directories.tokendir = %s\nobjectstore.backend = file\n",
		 dir);
	write_file("softhsm2.conf", text);
	// SoftHSM uses OpenSSL itself and may be unloaded after it: the provider's manual tells to
	// leave it alone at the end.
	snprintf(text, sizeof(text),
		 "openssl_conf = init\n[init]\nproviders = all\n"
		 "[all]\ndefault = software\npkcs11 = token\n"
		 "[software]\nactivate = 1\n"
		 "[token]\nactivate = 1\npkcs11-module-path = %s\n"
		 "pkcs11-module-quirks = no-deinit\n",
		 SOFTHSM);
	write_file("openssl.cnf", text);
	setenv("SOFTHSM2_CONF", in("softhsm2.conf"), 1);
	setenv("OPENSSL_CONF", in("openssl.cnf"), 1);
	sh("softhsm2-util --init-token --free --label t --pin %s --so-pin 12345678 >%s", PIN,
	   in("log"));
}

static int setup(void **state)
{
	(void)state;
	root = certs_make(&(struct certs_spec){.cn = "Root", .ca = true}, NULL);
	certs_write(&root, dir, "root", NULL);
	assert_int_equal(secret_set(&pin, PIN, strlen(PIN)), 0);
	assert_int_equal(secret_set(&wrong_pin, "0815", 4), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	certs_fini(&root);
	secret_fini(&pin);
	secret_fini(&wrong_pin);
	certs_dir_remove(dir);
	return 0;
}

// DIR/NAME.pem has the certificate; its key is on the token alone, as object NAME.
static void make_own(const char *name, const char *kind)
{
	struct certs_spec spec = {.cn = name, .sans = "DNS:gw-a.example", .key = kind};
	struct certs_cert own = certs_make(&spec, &root);
	static unsigned objects;
	char file[32];

	snprintf(file, sizeof(file), "%s.key", name);
	certs_write(&own, dir, name, NULL);
	certs_write_key(&own, in(file), NULL, false);
	sh("softhsm2-util --import %s --token t --label %s --id A%u --pin %s >>%s", in(file), name,
	   objects++, PIN, in("log"));
	assert_int_equal(unlink(in(file)), 0);
	certs_fini(&own);
}

static struct cred_conn *connection(struct cred *c)
{
	struct cred_conn_params params = {.name = "c"};
	struct cred_conn *conn;
	struct error err;

	assert_int_equal(identity_parse("gw-a.example", &params.local_id), 0);
	assert_int_equal(auth_rule_parse("pubkey", &params.local, &err), 0);
	assert_int_equal(auth_rule_parse("pubkey", &params.remote, &err), 0);
	ok(cred_conn_add(c, &params, &conn), &err);
	ok(cred_add_ca(c, in("root.pem"), &err), &err);
	return conn;
}

// We sign with the key on the token, and a peer that has but the CA is asked whether it believes
// it.
static void signs(const char *cert, const char *key)
{
	static const uint8_t octets[] = "what is signed";
	struct ike_buf what = {octets, sizeof(octets)};
	uint8_t data[IKE_SIGNATURE_MAX];
	size_t len = sizeof(data);
	struct ike_signature sig = {.octets = what, .peer_hashes = AUTH_HASHES};
	struct error err, warning;
	struct cred *own, *peer;
	struct cred_conn *conn;
	struct ike_certs certs;
	struct identity id;

	assert_int_equal(cred_create(&own), 0);
	conn = connection(own);
	ok(cred_conn_add_own(conn, cert, &err), &err);
	ok(cred_add_key(own, key, &pin, &err), &err);
	ok(cred_conn_finish(conn, &warning, &err), &err);
	assert_string_equal(warning.text, "");
	ok(cred_table(own)->chain(own, "c", NULL, 0, &certs, &err), &err);
	ok(cred_table(own)->sign(own, "c", &certs, AUTH_HASHES, &what, &sig.method, data, &len,
				 &err),
	   &err);
	sig.data = (struct ike_buf){data, len};

	assert_int_equal(cred_create(&peer), 0);
	connection(peer);
	assert_int_equal(identity_parse("gw-a.example", &id), 0);
	ok(cred_table(peer)->verify(peer, "c", &id, &certs, &sig, NULL, &err), &err);
	data[len - 1] ^= 1;
	assert_int_not_equal(cred_table(peer)->verify(peer, "c", &id, &certs, &sig, NULL, &err), 0);
	cred_destroy(peer);
	cred_destroy(own);
}

static void test_keys(void **state)
{
	(void)state;
	make_own("ec", "p256");
	signs(in("ec.pem"), "pkcs11:token=t;object=ec;type=private");
	make_own("rsa", "rsa");
	signs(in("rsa.pem"), "pkcs11:token=t;object=rsa;type=private");
	make_own("ed", "ed25519");
	signs(in("ed.pem"), "pkcs11:token=t;object=ed;type=private");
}

static void test_certificate(void **state)
{
	(void)state;
	make_own("both", "p384");
	sh("openssl x509 -in %s -outform DER -out %s", in("both.pem"), in("both.der"));
	sh("pkcs11-tool --module " SOFTHSM " --token-label t --login --pin %s --label both --id AF "
	   "--type cert --write-object %s >>%s 2>&1",
	   PIN, in("both.der"), in("log"));
	signs("pkcs11:token=t;object=both;type=cert", "pkcs11:token=t;object=both;type=private");
}

static void test_errors(void **state)
{
	const char *uri = "pkcs11:token=t;object=locked;type=private";
	struct error err;
	struct cred *c;

	(void)state;
	make_own("locked", "p256");
	assert_int_equal(cred_create(&c), 0);
	assert_int_equal(cred_add_key(c, uri, NULL, &err), -ENOKEY);
	assert_non_null(strstr(err.text, "object=locked;type=private: the token wants a PIN and "
					 "none is configured"));
	assert_int_equal(cred_add_key(c, uri, &wrong_pin, &err), -ENOKEY);
	assert_non_null(strstr(err.text, "the token does not take our PIN"));
	assert_null(strstr(err.text, "0815"));
	ok(cred_add_key(c, uri, &pin, &err), &err);
	assert_int_equal(cred_add_key(c, "pkcs11:token=t;object=none;type=private", &pin, &err),
			 -EBADMSG);
	assert_non_null(strstr(err.text, "object=none;type=private holds no"));
	cred_destroy(c);
}

static const char *missing(void)
{
	static char provider[256];

	snprintf(provider, sizeof(provider), "%s/pkcs11.so",
		 OPENSSL_info(OPENSSL_INFO_MODULES_DIR));
	if (access(provider, R_OK) < 0)
		return "OpenSSL's provider pkcs11 is not installed";
	if (access(SOFTHSM, R_OK) < 0 || system("softhsm2-util --version >/dev/null 2>&1") != 0)
		return "SoftHSM is not installed";
	if (system("command -v pkcs11-tool >/dev/null") != 0)
		return "pkcs11-tool (opensc) is not installed";
	return NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors), // first: once logged in, the provider stays it
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_certificate),
	};

	if (missing()) {
		printf("1..0 # SKIP %s\n", missing());
		return 0;
	}
	make_token();
	return cmocka_run_group_tests(tests, setup, teardown);
}
