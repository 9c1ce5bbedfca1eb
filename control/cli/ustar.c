#include "control/cli/ustar.h"

#include <string.h>

enum {
	BLOCK = 512, // bytes
	AT_MODE = 100,
	AT_UID = 108,
	AT_GID = 116,
	AT_SIZE = 124,
	AT_MTIME = 136,
	AT_SUM = 148,
	AT_TYPE = 156,
	AT_MAGIC = 257,
};

void ustar_add(FILE *out, const char *name, const void *data, size_t len, int64_t mtime_s)
{
	static const char zeros[BLOCK];
	char head[BLOCK] = {0};
	unsigned sum = 0;

	snprintf(head, AT_MODE, "%s", name);
	snprintf(head + AT_MODE, 8, "%07o", 0600);
	snprintf(head + AT_UID, 8, "%07o", 0);
	snprintf(head + AT_GID, 8, "%07o", 0);
	snprintf(head + AT_SIZE, 12, "%011llo", (unsigned long long)len);
	snprintf(head + AT_MTIME, 12, "%011llo", (unsigned long long)mtime_s);
	head[AT_TYPE] = '0';
	memcpy(head + AT_MAGIC, "ustar\00000", 8);
	memset(head + AT_SUM, ' ', 8); // what it counts as in its own sum
	for (size_t i = 0; i < sizeof(head); i++)
		sum += (unsigned char)head[i];
	snprintf(head + AT_SUM, 8, "%06o", sum);
	fwrite(head, 1, sizeof(head), out);
	fwrite(data, 1, len, out);
	if (len % BLOCK)
		fwrite(zeros, 1, BLOCK - len % BLOCK, out);
}

void ustar_end(FILE *out)
{
	static const char zeros[2 * BLOCK];

	fwrite(zeros, 1, sizeof(zeros), out);
}
