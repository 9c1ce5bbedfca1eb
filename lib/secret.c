#include "lib/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void wipe(void *data, size_t len)
{
	if (len > 0)
		explicit_bzero(data, len);
}

bool bytes_equal_ct(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff = (uint8_t)(diff | (x[i] ^ y[i]));
	return diff == 0;
}

int secret_alloc(struct secret *s, size_t len)
{
	uint8_t *data = calloc(1, len > 0 ? len : 1);

	if (!data)
		return -ENOMEM;
	secret_fini(s);
	s->data = data;
	s->len = len;
	return 0;
}

int secret_set(struct secret *s, const void *data, size_t len)
{
	struct secret fresh = {0};
	int err = secret_alloc(&fresh, len);

	if (err)
		return err;
	if (len > 0)
		memcpy(fresh.data, data, len); // data may lie in s
	secret_move(s, &fresh);
	return 0;
}

void secret_move(struct secret *to, struct secret *from)
{
	struct secret moved = *from;

	if (to == from)
		return;
	*from = (struct secret){0};
	secret_fini(to);
	*to = moved;
}

void secret_fini(struct secret *s)
{
	if (!s)
		return;
	wipe(s->data, s->len);
	free(s->data);
	*s = (struct secret){0};
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
	return a->len == b->len && bytes_equal_ct(a->data, b->data, a->len);
}
