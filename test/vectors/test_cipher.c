// The Encrypted payload's ciphers against known answers; what is altered must not open.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "control/openssl/ike_openssl.h"
#include "lib/secret.h"
#include "test/vectors/hex.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct ike_crypto *c;

static int setup(void **state)
{
	(void)state;
	return ike_openssl_create(&c);
}

static int teardown(void **state)
{
	(void)state;
	ike_openssl_destroy(c);
	return 0;
}

static const struct aead_vector {
	const char *name;
	uint16_t id, key_bits;
	const char *key; // salt included
	const char *iv, *aad, *plain, *cipher, *icv;
} aead_vectors[] = {
#define GCM_KEY "feffe9928665731c6d6a8f9467308308"
#define GCM_PLAIN                                                                                  \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                         \
	"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define GCM_AAD "feedfacedeadbeeffeedfacedeadbeefabaddad2"
	// McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, which NIST took
	// over.
	{"GCM test case 4", ENCR_AES_GCM_16, 128, GCM_KEY "cafebabe", "facedbaddecaf888", GCM_AAD,
	 GCM_PLAIN,
	 "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
	 "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
	 "5bc94fbc3221a5db94fae95ae7121a47"},
	{"GCM test case 4, ICV of 12 octets", ENCR_AES_GCM_12, 128, GCM_KEY "cafebabe",
	 "facedbaddecaf888", GCM_AAD, GCM_PLAIN,
	 "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
	 "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
	 "5bc94fbc3221a5db94fae95a"},
	{"GCM test case 4, ICV of 8 octets", ENCR_AES_GCM_8, 128, GCM_KEY "cafebabe",
	 "facedbaddecaf888", GCM_AAD, GCM_PLAIN,
	 "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
	 "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
	 "5bc94fbc3221a5db"},
	{"GCM test case 10", ENCR_AES_GCM_16, 192,
	 GCM_KEY "feffe9928665731c"
		 "cafebabe",
	 "facedbaddecaf888", GCM_AAD, GCM_PLAIN,
	 "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c"
	 "7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
	 "2519498e80f1478f37ba55bd6d27618c"},
	{"GCM test case 16", ENCR_AES_GCM_16, 256, GCM_KEY GCM_KEY "cafebabe", "facedbaddecaf888",
	 GCM_AAD, GCM_PLAIN,
	 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
	 "76fc6ece0f4e1768cddf8853bb2d551b"},
	{"GCM test case 10, ICV of 8 octets", ENCR_AES_GCM_8, 192,
	 GCM_KEY "feffe9928665731c"
		 "cafebabe",
	 "facedbaddecaf888", GCM_AAD, GCM_PLAIN,
	 "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c"
	 "7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
	 "2519498e80f1478f"},
	{"GCM test case 16, ICV of 12 octets", ENCR_AES_GCM_12, 256, GCM_KEY GCM_KEY "cafebabe",
	 "facedbaddecaf888", GCM_AAD, GCM_PLAIN,
	 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
	 "76fc6ece0f4e1768cddf8853"},
	{"RFC 7634 appendix B", ENCR_CHACHA20_POLY1305, 0,
	 "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3",
	 "1011121314151617", "c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029",
	 "0000000c000040010000000a00", "610394701f8d017f7c12924889",
	 "6b71bfe25236efd7cdc67066906315b2"},
	{"RFC 8439 2.8.2", ENCR_CHACHA20_POLY1305, 0,
	 "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f07000000",
	 "4041424344454647", "50515253c0c1c2c3c4c5c6c7",
	 "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
	 "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
	 "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
	 "637265656e20776f756c642062652069742e",
	 "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
	 "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
	 "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
	 "3ff4def08e4b7a9de576d26586cec64b6116",
	 "1ae10b594f09e26a7e902ecbd0600691"},
	{"RFC 7634 appendix A", ENCR_CHACHA20_POLY1305, 0,
	 "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3",
	 "1011121314151617", "0102030400000005",
	 "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10"
	 "0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
	 "2425262728292a2b2c2d2e2f303132333435363701020204",
	 "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6"
	 "14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3"
	 "cbec163fac469b502773f6fb94e664da9165b82829f641e0",
	 "76aaa8266b7fb0f7b11b369907e1ad43"},
};

struct parts { // of one protected payload
	struct transform encr, integ;
	struct secret encr_key, integ_key;
	uint8_t aad[64], iv[16], data[256], icv[64];
	struct ike_buf aad_buf;
	size_t len, icv_len;
};

static void key_from_hex(struct secret *s, const char *text)
{
	uint8_t key[64];
	size_t len = hex_bytes(text, key, sizeof(key));

	assert_int_equal(secret_set(s, key, len), 0);
}

static void parts_fini(struct parts *p)
{
	secret_fini(&p->encr_key);
	secret_fini(&p->integ_key);
}

static int open_parts(struct parts *p)
{
	return c->open(c->ctx, &p->encr, &p->integ, &p->encr_key, &p->integ_key, &p->aad_buf, p->iv,
		       p->data, p->len, p->icv);
}

static int seal_parts(struct parts *p)
{
	return c->seal(c->ctx, &p->encr, &p->integ, &p->encr_key, &p->integ_key, &p->aad_buf, p->iv,
		       p->data, p->len, p->icv);
}

static void aead_parts(struct parts *p, const struct aead_vector *v)
{
	*p = (struct parts){
		.encr = {TRANSFORM_ENCR, v->id, v->key_bits},
		.integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
	};
	key_from_hex(&p->encr_key, v->key);
	p->aad_buf = (struct ike_buf){p->aad, hex_bytes(v->aad, p->aad, sizeof(p->aad))};
	hex_bytes(v->iv, p->iv, sizeof(p->iv));
	p->len = hex_bytes(v->cipher, p->data, sizeof(p->data));
	p->icv_len = hex_bytes(v->icv, p->icv, sizeof(p->icv));
}

// The IV is chosen by seal, so known answers are checked by open; seal is checked against open.
static void test_aead_known_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(aead_vectors); i++) {
		const struct aead_vector *v = &aead_vectors[i];
		uint8_t plain[256];
		size_t plain_len = hex_bytes(v->plain, plain, sizeof(plain));
		struct parts p;

		print_message("# %s\n", v->name);
		aead_parts(&p, v);
		assert_int_equal(p.len, plain_len);
		assert_int_equal(open_parts(&p), 0);
		assert_memory_equal(p.data, plain, plain_len);
		assert_int_equal(seal_parts(&p), 0);
		assert_memory_not_equal(p.data, plain, plain_len);
		assert_int_equal(open_parts(&p), 0);
		assert_memory_equal(p.data, plain, plain_len);
		parts_fini(&p);
	}
}

// Every single altered octet of what is protected is noticed, and the data stays as it came.
static void altered(struct parts *p, uint8_t *octet, const char *what)
{
	uint8_t before[sizeof(p->data)];

	*octet ^= 0x80;
	memcpy(before, p->data, sizeof(before));
	if (open_parts(p) != -EBADMSG)
		fail_msg("an altered %s was accepted", what);
	assert_memory_equal(p->data, before, sizeof(before));
	*octet ^= 0x80;
}

static void all_altered(struct parts *p, size_t iv_len)
{
	for (size_t i = 0; i < p->aad_buf.len; i++)
		altered(p, &p->aad[i], "header");
	for (size_t i = 0; i < iv_len; i++)
		altered(p, &p->iv[i], "IV");
	for (size_t i = 0; i < p->len; i++)
		altered(p, &p->data[i], "ciphertext");
	for (size_t i = 0; i < p->icv_len; i++)
		altered(p, &p->icv[i], "ICV");
}

static void test_aead_alterations(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(aead_vectors); i++) {
		struct parts p;

		aead_parts(&p, &aead_vectors[i]);
		all_altered(&p, 8);
		altered(&p, &p.encr_key.data[0], "key");
		altered(&p, &p.encr_key.data[p.encr_key.len - 1], "salt");
		assert_int_equal(open_parts(&p), 0);
		parts_fini(&p);
	}
}

// ---- CBC and CTR with HMAC ----

static const struct {
	const char *name;
	uint16_t id, key_bits;
	const char *key, *iv, *plain, *cipher;
} block_vectors[] = {
	{"RFC 3602 4, case 1", ENCR_AES_CBC, 128, "06a9214036b8a15b512e03d534120006",
	 "3dafba429d9eb430b422da802c9fac41", "53696e676c6520626c6f636b206d7367",
	 "e353779c1079aeb82708942dbe77181a"},
	{"RFC 3602 4, case 2", ENCR_AES_CBC, 128, "c286696d887c9aa0611bbb3e2025a45a",
	 "562e17996d093d28ddb3ba695a2e6f58",
	 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	 "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"},
	{"RFC 3602 4, case 3", ENCR_AES_CBC, 128, "6c3ea0477630ce21a2ce334aa746c2cd",
	 "c782dc4c098c66cbd9cd27d825682c81",
	 "5468697320697320612034382d62797465206d65737361676520286578616374"
	 "6c7920332041455320626c6f636b7329",
	 "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5"
	 "021c19216bad525c8579695d83ba2684"},
	{"RFC 3686 6, test vector 1", ENCR_AES_CTR, 128,
	 "ae6852f8121067cc4bf7a5765577f39e"
	 "00000030",
	 "0000000000000000", "53696e676c6520626c6f636b206d7367",
	 "e4095d4fb7a7b3792d6175a3261311b8"},
	{"RFC 3686 6, test vector 2", ENCR_AES_CTR, 128,
	 "7e24067817fae0d743d6ce1f32539163"
	 "006cb6db",
	 "c0543b59da48d90b", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	 "5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28"},
	{"RFC 3686 6, test vector 3", ENCR_AES_CTR, 128,
	 "7691be035e5020a8ac6e618529f9a0dc"
	 "00e0017b",
	 "27777f3f4a1786f0",
	 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	 "20212223",
	 "c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836d59a5ceaaef31053"
	 "25b2072f"},
	{"RFC 3686 6, test vector 4", ENCR_AES_CTR, 192,
	 "16af5b145fc9f579c175f93e3bfb0eed863d06ccfdb78515"
	 "00000048",
	 "36733c147d6d93cb", "53696e676c6520626c6f636b206d7367",
	 "4b55384fe259c9c84e7935a003cbe928"},
	{"RFC 3686 6, test vector 5", ENCR_AES_CTR, 192,
	 "7c5cb2401b3dc33c19e7340819e0f69c678c3db8e6f6a91a"
	 "0096b03b",
	 "020c6eadc2cb500d", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	 "453243fc609b23327edfaafa7131cd9f8490701c5ad4a79cfc1fe0ff42f4fb00"},
	{"RFC 3686 6, test vector 6", ENCR_AES_CTR, 192,
	 "02bf391ee8ecb159b959617b0965279bf59b60a786d3e0fe"
	 "0007bdfd",
	 "5cbd60278dcc0912",
	 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	 "20212223",
	 "96893fc55e5c722f540b7dd1ddf7e758d288bc95c69165884536c811662f2188"
	 "abee0935"},
	{"RFC 3686 6, test vector 8", ENCR_AES_CTR, 256,
	 "f6d66d6bd52d59bb0796365879eff886c66dd51a5b6a99744b50590c87a23884"
	 "00faac24",
	 "c1585ef15a43d875", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	 "f05e231b3894612c49ee000b804eb2a9b8306b508f839d6a5530831d9344af1c"},
	{"RFC 3686 6, test vector 9", ENCR_AES_CTR, 256,
	 "ff7a617ce69148e4f1726e2f43581de2aa62d9f805532edff1eed687fb54153d"
	 "001cc5b7",
	 "51a51d70a1c11148",
	 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	 "20212223",
	 "eb6c52821d0bbbf7ce7594462aca4faab407df866569fd07f48cc0b583d6071f"
	 "1ec0e6b8"},
	{"RFC 3686 6, test vector 7", ENCR_AES_CTR, 256,
	 "776beff2851db06f4c8a0542c8696f6c6a81af1eec96b4d37fc1d689e6c1c104"
	 "00000060",
	 "db5672c97aa8f0b2", "53696e676c6520626c6f636b206d7367",
	 "145ad01dbf824ec7560863dc71e3e0c0"},
};

static const struct {
	uint16_t id, prf;
	size_t key_len, icv_len;
} integs[] = {
	{INTEG_HMAC_SHA1_96, PRF_HMAC_SHA1, 20, 12},
	{INTEG_HMAC_SHA2_256_128, PRF_HMAC_SHA2_256, 32, 16},
	{INTEG_HMAC_SHA2_384_192, PRF_HMAC_SHA2_384, 48, 24},
	{INTEG_HMAC_SHA2_512_256, PRF_HMAC_SHA2_512, 64, 32},
};

static void test_cbc_and_ctr_known_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(block_vectors); i++) {
		for (size_t k = 0; k < COUNT(integs); k++) {
			uint8_t plain[64], mac[IKE_PRF_MAX];
			size_t mac_len = sizeof(mac), iv_len;
			struct parts p = {
				.encr = {TRANSFORM_ENCR, block_vectors[i].id,
					 block_vectors[i].key_bits},
				.integ = {TRANSFORM_INTEG, integs[k].id, 0},
				.icv_len = integs[k].icv_len,
			};

			print_message("# %s\n", block_vectors[i].name);
			key_from_hex(&p.encr_key, block_vectors[i].key);
			assert_int_equal(secret_alloc(&p.integ_key, integs[k].key_len), 0);
			memset(p.integ_key.data, 0x5a, p.integ_key.len);
			memset(p.aad, 0x77, 32);
			p.aad_buf = (struct ike_buf){p.aad, 32};
			iv_len = hex_bytes(block_vectors[i].iv, p.iv, sizeof(p.iv));
			p.len = hex_bytes(block_vectors[i].cipher, p.data, sizeof(p.data));
			// The ICV by hand: HMAC(header | IV | ciphertext), cut (RFC 7296 3.14).
			struct ike_buf all[] = {p.aad_buf, {p.iv, iv_len}, {p.data, p.len}};
			assert_int_equal(c->prf(c->ctx, integs[k].prf, p.integ_key.data,
						p.integ_key.len, all, 3, mac, &mac_len),
					 0);
			memcpy(p.icv, mac, p.icv_len);
			all_altered(&p, iv_len);
			altered(&p, &p.integ_key.data[0], "integrity key");
			hex_bytes(block_vectors[i].plain, plain, sizeof(plain));
			assert_int_equal(open_parts(&p), 0);
			assert_memory_equal(p.data, plain, p.len);
			assert_int_equal(seal_parts(&p), 0);
			assert_int_equal(open_parts(&p), 0);
			assert_memory_equal(p.data, plain, p.len);
			parts_fini(&p);
		}
	}
}

static void test_lengths_and_keys_refused(void **state)
{
	struct parts p = {
		.encr = {TRANSFORM_ENCR, ENCR_AES_CBC, 128},
		.integ = {TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0},
		.len = 17,
	};

	(void)state;
	assert_int_equal(secret_alloc(&p.encr_key, 16), 0);
	assert_int_equal(secret_alloc(&p.integ_key, 32), 0);
	assert_int_equal(seal_parts(&p), -EINVAL); // no whole blocks
	assert_int_equal(open_parts(&p), -EBADMSG);
	p.len = 0;
	assert_int_equal(open_parts(&p), -EBADMSG); // at least the pad length is there
	p.len = 16;
	assert_int_equal(secret_alloc(&p.encr_key, 15), 0);
	assert_int_equal(seal_parts(&p), -EINVAL);
	assert_int_equal(secret_alloc(&p.encr_key, 16), 0);
	assert_int_equal(secret_alloc(&p.integ_key, 31), 0);
	assert_int_equal(seal_parts(&p), -EINVAL);
	p.integ.id = INTEG_NONE; // never without integrity (RFC 7296 3.3.3)
	assert_int_equal(seal_parts(&p), -ENOTSUP);
	p.encr.id = ENCR_NULL;
	p.encr.key_bits = 0;
	assert_int_equal(seal_parts(&p), -ENOTSUP);
	p.encr = (struct transform){TRANSFORM_ENCR, ENCR_AES_CBC, 111};
	assert_int_equal(seal_parts(&p), -ENOTSUP);
	parts_fini(&p);
}

// ---- IVs ----

static void seal_one(struct ike_crypto *crypto, uint16_t id, uint16_t bits, size_t key_len,
		     uint8_t iv[16])
{
	struct transform encr = {TRANSFORM_ENCR, id, bits};
	struct transform integ = {TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0};
	struct secret encr_key = {0}, integ_key = {0};
	uint8_t data[16] = {0}, icv[64];
	struct ike_buf aad = {data, 0};

	assert_int_equal(secret_alloc(&encr_key, key_len), 0);
	assert_int_equal(secret_alloc(&integ_key, 32), 0);
	assert_int_equal(crypto->seal(crypto->ctx, &encr, &integ, &encr_key, &integ_key, &aad, iv,
				      data, sizeof(data), icv),
			 0);
	secret_fini(&encr_key);
	secret_fini(&integ_key);
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, 8);
}

// Two instances take turns: no IV may come twice, whoever gives it out.
static void test_gcm_ivs_never_repeat(void **state)
{
	enum { N = 2000 };
	static uint8_t ivs[N][8];
	struct ike_crypto *second = NULL;
	uint8_t iv[16];

	(void)state;
	assert_int_equal(ike_openssl_create(&second), 0);
	for (size_t i = 0; i < N; i++) {
		seal_one(i % 2 ? c : second, ENCR_AES_GCM_16, 128, 20, iv);
		memcpy(ivs[i], iv, 8);
	}
	qsort(ivs, N, sizeof(ivs[0]), by_bytes);
	for (size_t i = 1; i < N; i++)
		assert_memory_not_equal(ivs[i - 1], ivs[i], 8);
	ike_openssl_destroy(second);
}

static void test_cbc_ivs_are_not_a_counter(void **state)
{
	uint8_t a[16], b[16];
	unsigned same = 0;

	(void)state;
	seal_one(c, ENCR_AES_CBC, 128, 16, a);
	seal_one(c, ENCR_AES_CBC, 128, 16, b);
	for (size_t i = 0; i < 16; i++)
		same += a[i] == b[i];
	assert_true(same < 8); // 15 of 16 for a counter; 8 or more by chance: 1 in 10^15
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aead_known_answers),
		cmocka_unit_test(test_aead_alterations),
		cmocka_unit_test(test_cbc_and_ctr_known_answers),
		cmocka_unit_test(test_lengths_and_keys_refused),
		cmocka_unit_test(test_gcm_ivs_never_repeat),
		cmocka_unit_test(test_cbc_ivs_are_not_a_counter),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
