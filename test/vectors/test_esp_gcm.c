// The ESP packets of esp_gcm_vectors.h, built and taken apart with OpenSSL: the vectors that the
// dataplane is tested with are right.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>

#include "lib/bytes.h"
#include "test/vectors/esp_gcm_vectors.h"
#include "test/vectors/hex.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void gcm(const struct esp_gcm_vector *v, const uint8_t *aad, size_t aad_len, uint8_t *data,
		size_t len, uint8_t tag[16])
{
	uint8_t key[32], nonce[12];
	size_t key_len = hex_bytes(v->key, key, sizeof(key));
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0;

	assert_non_null(c);
	hex_bytes(v->salt, nonce, 4);
	hex_bytes(v->iv, nonce + 4, 8);
	assert_int_equal(EVP_EncryptInit_ex2(c,
					     key_len == 16   ? EVP_aes_128_gcm()
					     : key_len == 24 ? EVP_aes_192_gcm()
							     : EVP_aes_256_gcm(),
					     key, nonce, NULL),
			 1);
	assert_int_equal(EVP_EncryptUpdate(c, NULL, &n, aad, (int)aad_len), 1);
	assert_int_equal(EVP_EncryptUpdate(c, data, &n, data, (int)len), 1);
	assert_int_equal(EVP_EncryptFinal_ex(c, data + n, &n), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, tag), 1);
	EVP_CIPHER_CTX_free(c);
}

static void test_packets(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(esp_gcm_vectors); i++) {
		const struct esp_gcm_vector *v = &esp_gcm_vectors[i];
		uint8_t packet[256], want[256], aad[12], iv[8];
		struct writer w = writer_of(packet, sizeof(packet));
		struct writer a = writer_of(aad, sizeof(aad));
		size_t want_len = hex_bytes(v->packet, want, sizeof(want));
		size_t len;

		print_message("# %s\n", v->name);
		write_u32(&w, v->spi);
		write_u32(&w, (uint32_t)v->seq);
		write_bytes(&w, iv, hex_bytes(v->iv, iv, sizeof(iv)));
		len = hex_bytes(v->plaintext, packet + w.len, sizeof(packet) - w.len);
		// RFC 4106 5: SPI | sequence number, all 64 bits of it with ESN.
		write_u32(&a, v->spi);
		if (v->esn)
			write_u64(&a, v->seq);
		else
			write_u32(&a, (uint32_t)v->seq);
		gcm(v, aad, a.len, packet + w.len, len, packet + w.len + len);
		assert_int_equal(w.len + len + 16, want_len);
		assert_memory_equal(packet, want, want_len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_packets)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
