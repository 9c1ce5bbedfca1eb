// ICMP as a probe hears it: of anybody, cut and twisted.
//
// Input: one byte (odd: ICMPv6), then what the raw socket gives.
#include <stdlib.h>
#include <string.h>

#include "control/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct probe_params params = {
		.local = {IP_V4, {192, 0, 2, 1}},
		.remote = {IP_V4, {198, 51, 100, 1}},
		.mtu = 1500,
		.smallest = 300,
	};
	struct probe_icmp icmp;
	uint64_t now = 1;
	struct probe *p;
	int rc;

	if (size == 0)
		return 0;
	rc = data[0] & 1 ? probe_icmp6_parse(data + 1, size - 1, &icmp)
			 : probe_icmp4_parse(data + 1, size - 1, &icmp);
	if (rc)
		return 0;
	if (!icmp.echo_reply && icmp.why == DOCTOR_ICMP_NONE)
		abort();
	p = malloc(sizeof(*p));
	if (!p)
		return 0;
	probe_init(p, &params, now);
	for (unsigned i = 0; i < 20; i++, now += LIMIT_PROBE_SPACING_US)
		probe_next(p, now);
	probe_on_icmp(p, &icmp, &params.remote, now);
	free(p);
	return 0;
}
