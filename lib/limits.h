// Every limit on what a peer or a user can make us hold or do, in one place.
#pragma once

enum {
	LIMIT_IKE_MESSAGE_LEN = 32768,	     // bytes of one IKE message, its fragments put together
	LIMIT_IKE_FRAGMENTS = 128,	     // of one message; one each way and IKE SA (RFC 7383)
	LIMIT_IKE_PAYLOADS = 64,	     // payloads of one message
	LIMIT_IKE_ADDRS = 8, // further addresses of one side (RFC 4555 3.4); as strongSwan sends
	LIMIT_IKE_NONCE_MIN = 16,	     // bytes (RFC 7296 2.10)
	LIMIT_IKE_NONCE_MAX = 256,	     // bytes (RFC 7296 2.10)
	LIMIT_IKE_KE_SECRET_MAX = 1024,	     // bytes of g^ir (MODP 8192)
	LIMIT_IKE_COOKIE_MAX = 64,	     // bytes (RFC 7296 2.6)
	LIMIT_IKE_COOKIE_ROUNDS = 3,	     // COOKIE or INVALID_KE_PAYLOAD answers to one initiation
	// Responder IKE SAs before authentication: defaults of gateway.ike, and what it may say at
	// most. A source is an IPv4 address or the /64 of an IPv6 address.
	LIMIT_IKE_HALF_OPEN = 16384, // in total
	LIMIT_IKE_HALF_OPEN_MAX = 1000000,
	LIMIT_IKE_HALF_OPEN_PER_SOURCE = 16, // of a source that has not shown a cookie
	LIMIT_IKE_COOKIE_THRESHOLD = 30,     // so many in total, and cookies are asked for
	LIMIT_IKE_COOKIE_THRESHOLD_PER_SOURCE = 3,
	LIMIT_IKE_HALF_OPEN_MS = 30000, // life of such an SA
	LIMIT_IKE_HALF_OPEN_MS_MAX = 300000,
	LIMIT_IKE_RETRANSMIT_TRIES_MAX = 20,
	LIMIT_GUARD_RATE = 1000000,	     // messages a second of gateway.guard
	LIMIT_IKE_AUTH_FAILURES = 3,	     // on one half-open SA (RFC 7296 2.21.2)
	LIMIT_IKE_CERTS = 8,		     // certificates that a peer may send, or we send
	LIMIT_IKE_CERT_LEN = 4096,	     // bytes of one of them
	// CRLs that authorities name by http.
	LIMIT_CRL_URLS = 64,
	LIMIT_CRL_LEN = 8 * 1024 * 1024, // bytes of one
	LIMIT_HTTP_HEADERS_LEN = 16384,	 // bytes of an answer's headers
	LIMIT_CRL_FETCH_S = 30,		 // for one attempt
	LIMIT_CRL_RETRY_S = 60,		 // after a failure; never sooner after a success either
	LIMIT_CRL_REFRESH_S = 21600,	 // never later
	// Whether a peer's certificate is revoked, asked of the servers that it or its authority names.
	LIMIT_IKE_PARKED_MS = 5000,	// that an IKE_AUTH waits for that
	LIMIT_OCSP_LEN = 16384,		// bytes of a response
	LIMIT_OCSP_FETCH_MS = 2500,	// for one attempt: there has to be time for a CRL afterwards
	LIMIT_OCSP_SKEW_S = 300,	// that a responder's clock may be ahead
	LIMIT_OCSP_LIFE_S = 300,	// of a response that says none
	LIMIT_OCSP_URIS = 64,		// of authorities
	LIMIT_OCSP_ANSWERS = 4096,	// kept
	LIMIT_CRL_ANSWERS = 64,		// kept
	LIMIT_REVOCATION_URIS = 4,	// of one kind tried for one certificate
	LIMIT_REVOCATION_RETRY_S = 30,	// after a failure
	LIMIT_REVOCATION_ASKED = 512,	// questions under way
	LIMIT_REVOCATION_FETCHES = 32,	// of these, at once
	LIMIT_REVOCATION_WAITS = 1024,	// IKE_AUTHs that wait
	LIMIT_IKE_CERTREQ_CAS = 24,	     // CAs that we name in one CERTREQ
	// Why negotiations failed: candidates and certificates of one refusal; refusals kept; those
	// explained in full to responders' unauthenticated peers, by source and in total, in a time.
	LIMIT_IKE_REFUSAL_CANDIDATES = 8,
	LIMIT_IKE_REFUSAL_CERTS = 4,
	LIMIT_IKE_REFUSALS = 128,	   // of configured peers
	LIMIT_IKE_REFUSALS_STRANGERS = 32, // of all others
	LIMIT_IKE_REFUSAL_MS = 10000,
	LIMIT_IKE_REFUSALS_PER_SOURCE = 8,
	LIMIT_IKE_REFUSALS_EXPLAINED = 200,
	LIMIT_PEER_NOTES = 16384, // addresses of which control counts messages
	// The flight recorder.
	LIMIT_RECORD_EVENTS = 4096,		   // of configured peers and of the gateway itself
	LIMIT_RECORD_EVENTS_LEN = 1024 * 1024,	   // bytes of them
	LIMIT_RECORD_EVENTS_STRANGERS = 256,	   // of all others
	LIMIT_RECORD_EVENTS_STRANGERS_LEN = 65536, // bytes of them
	LIMIT_RECORD_PEERS = 2048,		   // addresses whose IKE headers are kept
	LIMIT_RECORD_HEADERS = 32,	 // of one of them, both directions together
	LIMIT_RECORD_LOST = 16,		 // the same of messages that did not come through
	LIMIT_RECORD_SECONDS = 600,
	LIMIT_RECORD_FILE_LEN = 16 * 1024 * 1024, // bytes that a new daemon reads
	LIMIT_RECORD_SAVE_S = 60,		  // so old may the file be
	LIMIT_IPV6_EXT_HEADERS = 8,	     // of one packet, to find what it carries (RFC 8200 4)
	// Probes of "port500 doctor --probe", to configured peers only.
	LIMIT_PROBES = 4,	     // at once
	LIMIT_PROBE_PACKETS = 80,    // of one
	LIMIT_PROBE_BUCKET = 160,    // packets to one peer at once,
	LIMIT_PROBE_PER_MINUTE = 60, // earned back
	LIMIT_PROBE_PEERS = 64,	     // whose buckets are not full
	LIMIT_PROBE_SPACING_US = 20000,
	LIMIT_VICI_MESSAGE_LEN = 512 * 1024, // bytes (strongSwan's)
	LIMIT_VICI_CLIENTS = 64,
	LIMIT_VICI_DEPTH = 16, // nested sections
	LIMIT_CAPTURE_S = 86400,	  // of one capture
	LIMIT_CAPTURE_SNAP_LEN = 65535,	  // bytes of one packet
	LIMIT_CONFIG_DEPTH = 16,	     // nested sections and includes
	LIMIT_CONFIG_FILE_LEN = 64 * 1024 * 1024, // bytes
};
