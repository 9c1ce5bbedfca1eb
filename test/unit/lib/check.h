// What every unit test of lib/ includes: cmocka, and checks that name the row they stand in.
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

// `why` is the reason that the row gives for its expectation.
#define CHECK_ROW(condition, why)                                                                  \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("%s: %s", (why), #condition);                                     \
	} while (0)

#define CHECK_TEXT(got, want, why)                                                                 \
	do {                                                                                       \
		if (strcmp((got), (want)))                                                         \
			fail_msg("%s: got \"%s\", expected \"%s\"", (why), (got), (want));         \
	} while (0)

#define CHECK_INT(got, want, why)                                                                  \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		if (got_ != want_)                                                                 \
			fail_msg("%s: %s is %lld, expected %lld", (why), #got, got_, want_);       \
	} while (0)
