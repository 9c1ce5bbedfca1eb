// The daemon's log: one line per event on stderr, "time level [group] text".
//
// Threads: any but workers, which never log.
#pragma once

#include <stdarg.h>
#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

// Where a line comes from; strongSwan's three-letter groups where one fits.
enum log_group { LOG_DMN, LOG_CFG, LOG_IKE, LOG_CHD, LOG_NET, LOG_KNL, LOG_ESP, LOG_API, LOG_GROUPS };

// Lines above `level` are dropped. Default: LOG_LEVEL_INFO.
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
// Receives every line instead of stderr (tests, event streams); NULL restores stderr.
void log_set_sink(void (*sink)(void *ctx, enum log_level, enum log_group, const char *text),
		  void *ctx);
void log_write(enum log_level level, enum log_group group, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(group, ...) log_write(LOG_LEVEL_ERROR, group, __VA_ARGS__)
#define log_warn(group, ...) log_write(LOG_LEVEL_WARN, group, __VA_ARGS__)
#define log_notice(group, ...) log_write(LOG_LEVEL_NOTICE, group, __VA_ARGS__)
#define log_info(group, ...) log_write(LOG_LEVEL_INFO, group, __VA_ARGS__)
#define log_debug(group, ...) log_write(LOG_LEVEL_DEBUG, group, __VA_ARGS__)
