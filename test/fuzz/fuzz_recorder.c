// The flight recorder's file. The head is put right, so that what is tried is what stands behind a
// checksum that fits; what is read must be written, and read again, as it was.
#include <stdlib.h>
#include <string.h>

#include "control/recorder_file.h"
#include "lib/bytes.h"
#include "lib/siphash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_LEN = 36 };

static size_t count(const struct recorder *r)
{
	struct record_event e;
	size_t n = 0;

	for (uint64_t after = 0; recorder_event_after(r, after, &e); after = e.id) {
		if (e.id <= after || !e.before || strlen(e.text) >= RECORD_TEXT_MAX)
			abort();
		n++;
	}
	for (unsigned i = 0; recorder_second(r, i); i++)
		n++;
	for (size_t i = 0;; i++) {
		struct record_peer p;

		if (recorder_peer(r, i, &p))
			return n + i;
		for (unsigned at = 0; at < p.n; at++, n++)
			if (recorder_peer_header(r, i, at)->fate >= RECORD_FATE_COUNT)
				abort();
	}
}

static void there_and_back(const struct recorder *r)
{
	struct recorder *again = NULL;
	uint8_t *bytes = NULL;
	struct error err;
	size_t len;

	if (recorder_encode(r, &bytes, &len) || recorder_create(&again) ||
	    recorder_decode(again, bytes, len, &err) || count(again) != count(r))
		abort();
	recorder_destroy(again);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[SIPHASH_KEY_LEN] = "flight recorder";
	uint8_t *bytes = malloc(HEAD_LEN + size);
	struct writer w = writer_of(bytes, HEAD_LEN + size);
	struct recorder *r = NULL;
	struct error err;

	if (!bytes || recorder_create(&r))
		abort();
	recorder_decode(r, data, size, &err); // as it is
	recorder_destroy(r);
	write_bytes(&w, "p500rec\n", 8);
	write_u32(&w, 1);
	write_u32(&w, (uint32_t)size);
	siphash(key, data, size, write_reserve(&w, SIPHASH_LEN));
	write_u32(&w, 0);
	write_bytes(&w, data, size);
	if (recorder_create(&r))
		abort();
	if (recorder_decode(r, bytes, w.len, &err) == 0)
		there_and_back(r);
	else if (count(r) != 1) // the place of strangers
		abort();
	recorder_destroy(r);
	free(bytes);
	return 0;
}
