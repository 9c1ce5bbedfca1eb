#include "config/value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int value_bool(const char *text, bool *out)
{
	if (value_among(text, "yes true enabled 1"))
		*out = true;
	else if (value_among(text, "no false disabled 0"))
		*out = false;
	else
		return -EINVAL;
	return 0;
}

// Digits of a number; *rest is what follows it.
static int number(const char *text, uint64_t *out, const char **rest)
{
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	const char *digits = base == 16 ? text + 2 : text;
	unsigned long long v;
	char *end;

	// strtoull would take blanks and a sign.
	if (!isxdigit((unsigned char)digits[0]) || (base == 10 && !isdigit((unsigned char)*digits)))
		return -EINVAL;
	errno = 0;
	v = strtoull(digits, &end, base);
	if (errno != 0)
		return -ERANGE;
	*out = v;
	*rest = end;
	return 0;
}

int value_uint(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *rest;
	uint64_t v;
	int rc = number(text, &v, &rest);

	if (rc != 0)
		return rc;
	if (*rest != '\0')
		return -EINVAL;
	if (v < min || v > max)
		return -ERANGE;
	*out = v;
	return 0;
}

// A number and one letter of `letters`, which stands for the factor at its place.
static int scaled(const char *text, const char *letters, const uint64_t *factors, uint64_t none,
		  uint64_t *out)
{
	uint64_t v, factor = none;
	const char *rest, *letter;
	int rc = number(text, &v, &rest);

	if (rc != 0)
		return rc;
	while (*rest == ' ')
		rest++;
	if (*rest != '\0') {
		letter = strchr(letters, tolower((unsigned char)*rest));
		if (letter == NULL || rest[1] != '\0')
			return -EINVAL;
		factor = factors[letter - letters];
	}
	if (__builtin_mul_overflow(v, factor, &v))
		return -ERANGE;
	*out = v;
	return 0;
}

int value_time_ms(const char *text, uint64_t *out)
{
	static const uint64_t factors[] = {1000, 60000, 3600000, 86400000};
	uint64_t ms;
	int rc = scaled(text, "smhd", factors, 1000, &ms);

	if (rc == 0 && ms > UINT64_C(1000) * 86400 * 366 * 100)
		rc = -ERANGE;
	if (rc == 0)
		*out = ms;
	return rc;
}

int value_size(const char *text, uint64_t *out)
{
	static const uint64_t factors[] = {1 << 10, 1 << 20, 1 << 30};

	return scaled(text, "kmg", factors, 1, out);
}

const char *value_next(const char **text, const char *separators, char *buf, size_t size,
		       bool *too_long)
{
	while (*text != NULL) {
		const char *start = *text;
		size_t n = strcspn(start, separators);

		*text = start[n] != '\0' ? start + n + 1 : NULL;
		while (n != 0 && isspace((unsigned char)*start)) {
			start++;
			n--;
		}
		while (n != 0 && isspace((unsigned char)start[n - 1]))
			n--;
		if (n == 0)
			continue;
		if (n >= size) {
			*too_long = true;
			n = 0;
		}
		memcpy(buf, start, n);
		buf[n] = '\0';
		return buf;
	}
	return NULL;
}

bool value_among(const char *word, const char *words)
{
	size_t len = strlen(word);

	if (words == NULL || len == 0)
		return false;
	for (const char *p = words; *p != '\0';) {
		size_t n = strcspn(p, " ");

		if (n == len && memcmp(p, word, n) == 0)
			return true;
		p += n;
		while (*p == ' ')
			p++;
	}
	return false;
}
