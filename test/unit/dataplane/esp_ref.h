// ESP packets of every transform, made and taken apart with OpenSSL and nothing of the code under
// test (but the registry's sizes): what the dataplane is compared with.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/esp_sa.h"

#define ESP_REF_SUITES_MAX 64

struct esp_ref_suite {
	struct transform encr, integ;
};

// Every pair of transforms that the registry says ESP has. Returns how many.
unsigned esp_ref_suites(struct esp_ref_suite *out, unsigned max);
// "AES_CBC-128/HMAC_SHA1_96", in a static buffer.
const char *esp_ref_name(const struct transform *encr, const struct transform *integ);

unsigned esp_ref_head_len(const struct esp_sa *sa); // SPI, number, IV
unsigned esp_ref_icv_len(const struct esp_sa *sa);
unsigned esp_ref_align(const struct esp_sa *sa);
// `packet`: SPI, number, IV (all filled in), `text_len` bytes of text, room for the ICV. `seq` is
// the whole number. Encrypts in place and writes the ICV.
void esp_ref_seal(const struct esp_sa *sa, uint8_t *packet, size_t text_len, uint64_t seq);
// The other way round. False when the ICV is wrong; the text is then left as it is.
bool esp_ref_open(const struct esp_sa *sa, uint8_t *packet, size_t text_len, uint64_t seq);
// AES-XCBC-MAC (RFC 3566 4), all 16 bytes.
void esp_ref_xcbc(const uint8_t key[16], const uint8_t *data, size_t len, uint8_t mac[16]);
