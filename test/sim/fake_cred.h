// A test double for struct ike_cred: certificates, chains and signatures without OpenSSL, fast,
// deterministic, and of no cryptographic worth (a toy key is its own public half).
//
// It keeps the shape of the real one: a certificate names subject and issuer and carries the
// issuer's signature, a chain is walked to a trusted root in whatever order it came, the signature
// covers every octet, its hash has to be one that was announced (RFC 7427 4), and it allocates, so
// that it can run out of memory.
//
// Ownership: borrows the texts of its spec.
// Errors:    those of struct ike_cred.
#pragma once

#include "control/ike/ike_cred.h"

#define FAKE_CERTS     2 // end entities that one peer may hold, each of its own root
#define FAKE_CHAIN     (LIMIT_IKE_CERTS + 1)
#define FAKE_CERT_MAX  1500 // bytes
#define FAKE_CERT_NAME 64

struct fake_cred_spec {
	const char *id; // subject of the end entities; a text as identity_parse reads it
	const char *ca[FAKE_CERTS]; // roots that vouch for it; NULL: none further
	const char *trusts;	    // the root that the peer has to come from
	unsigned intermediates;	    // between root and end entity
	size_t cert_len;	    // bytes of a certificate, padded; 0: as short as it comes
	unsigned hashes;	    // AUTH_HASH_BITs that we sign with and accept; 0: all of them
	bool classic;		    // sign by method 9 even when the peer announced hashes
};

struct fake_cred {
	struct ike_cred vt; // its ctx is this struct
	struct fake_cred_spec spec;
	struct fake_chain {
		size_t n;
		size_t len[FAKE_CHAIN];
		uint8_t cert[FAKE_CHAIN][FAKE_CERT_MAX];
	} chain[FAKE_CERTS];
	unsigned signs, verifies, refused; // calls, and those of verify that ended in a no
};

void fake_cred_init(struct fake_cred *f, const struct fake_cred_spec *spec);

// AUTH data as the holder of that certificate would make it, by `method`: for a peer that says
// what it likes. False when the bytes are no certificate or the method is none of a signature.
bool fake_cred_sign(const uint8_t *cert, size_t cert_len, uint8_t method, unsigned hash,
		    const struct ike_buf *octets, uint8_t *out, size_t *len);
