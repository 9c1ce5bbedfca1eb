// Assertions for tests without a framework's macros in their way: the first failure ends the
// running test with file, line and text.
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("%s", #condition);                                                \
	} while (0)
