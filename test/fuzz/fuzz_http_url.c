// URLs of a configuration. What is taken fits into a request's lines: no blank, no control
// character, a host, a port, a path that begins with '/'.
#include <stdlib.h>
#include <string.h>

#include "lib/http_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct http_url url;
	struct error err;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (http_url_parse(text, &url, &err) == 0) {
		if (!url.host[0] || url.port == 0 || url.path[0] != '/')
			abort();
		check_text(url.host);
		check_text(url.path);
	}
	free(text);
	return 0;
}
