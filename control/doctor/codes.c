#include "control/doctor/doctor.h"

static const struct {
	const char *name, *help;
	enum doctor_rung rung;
} codes[DOCTOR_CODE_COUNT] = {
	[DOCTOR_OK] = {"ok", "nothing is wrong", RUNG_COUNT},
	[DOCTOR_NO_DATA] = {"unknown", "nothing is known that could tell", RUNG_COUNT},
#define X(id, name, rung, help) [DOCTOR_##id] = {name, help, RUNG_##rung},
	DOCTOR_CODES(X)
#undef X
};

static const struct {
	const char *name, *title, *replaces;
} rungs[RUNG_COUNT] = {
#define X(id, name, title, replaces) [RUNG_##id] = {name, title, replaces},
	DOCTOR_RUNGS(X)
#undef X
};

const char *doctor_code_name(enum doctor_code code)
{
	return codes[code].name;
}

const char *doctor_code_help(enum doctor_code code)
{
	return codes[code].help;
}

enum doctor_rung doctor_code_rung(enum doctor_code code)
{
	return codes[code].rung;
}

const char *doctor_rung_name(enum doctor_rung rung)
{
	return rungs[rung].name;
}

const char *doctor_rung_title(enum doctor_rung rung)
{
	return rungs[rung].title;
}

const char *doctor_rung_replaces(enum doctor_rung rung)
{
	return rungs[rung].replaces;
}

const char *doctor_state_name(enum doctor_state state)
{
	static const char *const names[] = {
		[DOCTOR_NOT_REACHED] = "not-reached",
		[DOCTOR_PASS] = "pass",
		[DOCTOR_WARN] = "warn",
		[DOCTOR_FAIL] = "fail",
		[DOCTOR_CANNOT_TELL] = "unknown",
	};

	return names[state];
}

const char *doctor_owner_name(enum doctor_owner owner)
{
	static const char *const names[] = {
		[DOCTOR_NOBODY] = "none",     [DOCTOR_US] = "us",
		[DOCTOR_CARRIER] = "carrier", [DOCTOR_PEER] = "peer",
		[DOCTOR_BOTH] = "both",	      [DOCTOR_OWNER_UNKNOWN] = "unknown",
	};

	return names[owner];
}

const char *doctor_confidence_name(enum doctor_confidence confidence)
{
	static const char *const names[] = {
		[DOCTOR_NO_CONFIDENCE] = "none",
		[DOCTOR_LOW] = "low",
		[DOCTOR_MEDIUM] = "medium",
		[DOCTOR_HIGH] = "high",
	};

	return names[confidence];
}

const char *doctor_status_name(enum doctor_status status)
{
	static const char *const names[] = {
		[DOCTOR_HEALTHY] = "healthy",
		[DOCTOR_DEGRADED] = "degraded",
		[DOCTOR_DOWN] = "down",
		[DOCTOR_COULD_NOT_TELL] = "unknown",
	};

	return names[status];
}
