// Every limit on what a peer or a user can make us hold or do, in one place.
#pragma once

enum {
	LIMIT_IKE_MESSAGE_LEN = 8192,	     // bytes of one IKE message
	LIMIT_IKE_PAYLOADS = 64,	     // payloads of one message
	LIMIT_IKE_NONCE_MIN = 16,	     // bytes (RFC 7296 2.10)
	LIMIT_IKE_NONCE_MAX = 256,	     // bytes (RFC 7296 2.10)
	LIMIT_IKE_COOKIE_MAX = 64,	     // bytes (RFC 7296 2.6)
	LIMIT_IKE_COOKIE_ROUNDS = 3,	     // COOKIE or INVALID_KE_PAYLOAD answers to one initiation
	LIMIT_IKE_HALF_OPEN = 1024,	     // responder IKE SAs before authentication, in total
	LIMIT_IKE_HALF_OPEN_PER_SOURCE = 16, // the same from one address
	LIMIT_IKE_HALF_OPEN_MS = 30000,	     // life of such an SA
	LIMIT_IKE_AUTH_FAILURES = 3,	     // on one half-open SA (RFC 7296 2.21.2)
	LIMIT_IKE_CERTS = 8,		     // certificates that a peer may send, or we send
	LIMIT_IKE_CERT_LEN = 4096,	     // bytes of one of them
	LIMIT_IKE_CERTREQ_CAS = 24,	     // CAs that we name in one CERTREQ
	LIMIT_VICI_MESSAGE_LEN = 512 * 1024, // bytes (strongSwan's)
	LIMIT_VICI_CLIENTS = 64,
	LIMIT_VICI_DEPTH = 16, // nested sections
	LIMIT_CONFIG_DEPTH = 16,	     // nested sections and includes
	LIMIT_CONFIG_FILE_LEN = 64 * 1024 * 1024, // bytes
};
