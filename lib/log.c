#include "lib/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static _Atomic int max_level = LOG_LEVEL_INFO;
static void (*sink)(void *, enum log_level, enum log_group, const char *);
static void *sink_ctx;

static const char *const level_names[] = {"error", "warn", "notice", "info", "debug"};
static const char *const group_names[LOG_GROUPS] = {"DMN", "CFG", "IKE", "CHD",
						    "NET", "KNL", "ESP", "API"};

void log_set_level(enum log_level level)
{
	max_level = (int)level;
}

bool log_enabled(enum log_level level)
{
	return (int)level <= max_level;
}

void log_set_sink(void (*fn)(void *ctx, enum log_level, enum log_group, const char *text), void *ctx)
{
	sink = fn;
	sink_ctx = ctx;
}

void log_write(enum log_level level, enum log_group group, const char *fmt, ...)
{
	char text[2048], stamp[32];
	struct timespec now;
	struct tm tm;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	// One event is one line, whatever a peer put into a name.
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	if (sink) {
		sink(sink_ctx, level, group, text);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(stderr, "%s.%03ld %-6s [%s] %s\n", stamp, now.tv_nsec / 1000000, level_names[level],
		group_names[group], text);
}
