#include "control/ike/port_choice.h"

uint16_t port_choice_begin(const struct port_choice *c, const struct ip_addr *peer, uint16_t usual)
{
	return c->other && ip_addr_equal(&c->peer, peer) ? c->other : usual;
}

// More or less a fifth, so that many peers behind one filter are not asked at once.
static uint64_t around(uint64_t ms, uint32_t chance)
{
	return ms - ms / 5 + ms * 2 / 5 * (chance % 1024) / 1024;
}

static uint64_t interval_ms(unsigned checks)
{
	const unsigned shift = checks < 16 ? checks : 16;
	const uint64_t ms = (uint64_t)PORT_CHECK_FIRST_MS << shift;

	return ms < PORT_CHECK_MAX_MS ? ms : PORT_CHECK_MAX_MS;
}

void port_choice_blocked(struct port_choice *c, const struct ip_addr *peer, uint16_t other,
			 unsigned silent, uint64_t now_ms, uint32_t chance)
{
	*c = (struct port_choice){
		.peer = *peer,
		.other = other,
		.silent = silent,
		.since_ms = now_ms,
		.check_ms = now_ms + around(PORT_CHECK_FIRST_MS, chance),
	};
}

bool port_choice_silent(struct port_choice *c, uint16_t port)
{
	if (!c->other || c->other != port)
		return false;
	*c = (struct port_choice){0};
	return true;
}

bool port_choice_due(const struct port_choice *c, uint64_t now_ms)
{
	return c->other && now_ms >= c->check_ms;
}

void port_choice_asked(struct port_choice *c, uint64_t now_ms, uint32_t chance)
{
	c->checks++;
	c->asked_ms = now_ms;
	c->check_ms = now_ms + around(interval_ms(c->checks), chance);
}

bool port_choice_healed(struct port_choice *c)
{
	if (!c->other)
		return false;
	*c = (struct port_choice){0};
	return true;
}
