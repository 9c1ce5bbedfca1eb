// DPDK's librte_ipsec as a second opinion on ESP (RFC 4303): another author's encapsulation,
// padding, ESN and replay window. Its cryptography is OpenSSL's (crypto_openssl) wherever that
// driver has the transforms, else intel-ipsec-mb's (crypto_aesni_mb), which is ours as well.
//
// Threads:   one.
// Ownership: ipsec_lib_create's caller destroys.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/esp_sa.h"

struct ipsec_lib;

enum ipsec_lib_way { IPSEC_LIB_IN, IPSEC_LIB_OUT };

// After EAL. False when no crypto driver is there; *why then says what is missing.
bool ipsec_lib_setup(const char **why);
void ipsec_lib_teardown(void);

// One direction of an SA that carries inner packets of one family; an outbound one sends from
// sa->local to sa->remote, as the librte_ipsec of whoever has that SA would. Outbound: `seq` is the
// first number sent; inbound: the highest seen. NULL when no driver has the transforms.
struct ipsec_lib *ipsec_lib_create(const struct esp_sa *sa, enum ipsec_lib_way way, bool inner6,
				   uint64_t seq);
void ipsec_lib_destroy(struct ipsec_lib *s);
// Is the cryptography another than intel-ipsec-mb's?
bool ipsec_lib_independent(const struct ipsec_lib *s);

// Outer packet into `out`, which has room; the length.
size_t ipsec_lib_seal(struct ipsec_lib *s, const uint8_t *inner, size_t len, uint8_t *out);
// Inner packet into `out`; the length, or -1 when it is refused. An SA is found by its SPI, so a
// packet of another one is refused here.
int ipsec_lib_open(struct ipsec_lib *s, const uint8_t *packet, size_t len, uint8_t *out);
