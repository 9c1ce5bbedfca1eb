// Captures of real IKE exchanges with their keys and what tshark says of each message; the files
// are in captures/, made by make.py there.
//
// Ownership: capture_load allocates, capture_fini frees; capture_open writes where it is told.
// Errors:    a file that is not as make.py writes it ends the test program; capture_open as
// sk_open.
#pragma once

#include "control/ike/keys.h"
#include "control/ike/message.h"
#include "control/ike/sk.h"

#define CAPTURE_SAS	 4
#define CAPTURE_MESSAGES 64

struct capture_sa {
	uint8_t spi_i[8], spi_r[8];
	struct ike_suite suite;
	struct secret dh; // g^ir
	struct ike_keys keys;
};

struct capture_msg {
	uint8_t *bytes;
	size_t len;
	char *said; // what tshark says, lines
};

struct capture {
	char psk[64]; // "" : certificates
	size_t n_sas, n;
	struct capture_sa sa[CAPTURE_SAS];
	struct capture_msg msg[CAPTURE_MESSAGES];
};

void capture_load(const char *folder, const char *name, struct capture *out);
void capture_fini(struct capture *c);
// The IKE SA of a message, NULL when there is none yet.
const struct capture_sa *capture_sa_of(const struct capture *c, const struct ike_msg *m);
// The keys that its sender sealed it with.
struct sk_keys capture_keys(const struct capture_sa *sa, const struct ike_msg *m);
// Parses a message; one with an Encrypted payload is decrypted into buf[LIMIT_IKE_MESSAGE_LEN] and
// has the payloads inside. Of a fragment *plain and *len are what it holds.
int capture_open(const struct capture *c, const struct ike_crypto *crypto,
		 const struct capture_msg *msg, struct ike_msg *m, uint8_t *buf,
		 const uint8_t **plain, size_t *len);
