#include "lib/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LOG_TEXT_MAX = 2048, LOG_STAMP_MAX = 32, LOG_HEAD_MAX = 64 };

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

void log_set_sink(void (*fn)(void *ctx, enum log_level, enum log_group, const char *text),
		  void *ctx)
{
	sink = fn;
	sink_ctx = ctx;
}

// "2026-01-31T12:00:00.000", in at least LOG_STAMP_MAX bytes. The part before the point is kept:
// the lines of one second are many when there are many at all.
static void stamp(char *buf)
{
	static _Thread_local struct {
		time_t second;
		char text[20];
	} last;
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != last.second || !last.text[0]) {
		localtime_r(&now.tv_sec, &tm);
		strftime(last.text, sizeof(last.text), "%Y-%m-%dT%H:%M:%S", &tm);
		last.second = now.tv_sec;
	}
	snprintf(buf, LOG_STAMP_MAX, "%s.%03ld", last.text, now.tv_nsec / 1000000);
}

void log_write(enum log_level level, enum log_group group, const char *fmt, ...)
{
	char line[LOG_HEAD_MAX + LOG_TEXT_MAX + 1], when[LOG_STAMP_MAX];
	size_t head = 0, len;
	va_list ap;

	if (!log_enabled(level))
		return;
	if (!sink) {
		stamp(when);
		head = (size_t)snprintf(line, LOG_HEAD_MAX, "%s %-6s [%s] ", when,
					level_names[level], group_names[group]);
	}
	va_start(ap, fmt);
	vsnprintf(line + head, LOG_TEXT_MAX, fmt, ap);
	va_end(ap);
	// One event is one line, whatever a peer put into a name.
	for (char *p = line + head; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	if (sink) {
		sink(sink_ctx, level, group, line);
		return;
	}
	// In one piece: stderr has no buffer, and other threads may write as well.
	len = strlen(line);
	line[len] = '\n';
	fwrite(line, 1, len + 1, stderr);
}
