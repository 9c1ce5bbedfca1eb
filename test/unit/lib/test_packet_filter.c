// What a capture filter sees in a packet, and that no packet makes it look beyond its end.
#include "check.h"

#include "lib/packet_filter.h"

// 10.1.0.5 -> 10.2.0.7, TCP 40000 -> 443.
static const uint8_t tcp4[] = {
	0x45, 0,    0,	  40,	0, 0, 0, 0, 64, 6, 0, 0, 10, 1, 0, 5, 10, 2, 0, 7,
	0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 0, 0,	0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0,
};
// 192.0.2.1 -> 198.51.100.2, ESP.
static const uint8_t esp4[] = {
	0x45, 0,  0,   32, 0,	 0, 0, 0, 64, 50, 0, 0, 192, 0, 2, 1,
	198,  51, 100, 2,  0xc1, 2, 3, 4, 0,  0,  0, 1, 0,   0, 0, 0,
};
// The same in UDP, from port 1024 to 4500.
static const uint8_t udp_esp4[] = {
	0x45, 0, 0, 0x24, 0,	0,    0, 0,  64, 17, 0,	   0, 192, 0, 2, 1, 198, 51,
	100,  2, 4, 0,	  0x11, 0x94, 0, 16, 0,	 0,  0xc1, 2, 3,   4, 0, 0, 0,	 1,
};
// fd00:a::5 -> fd00:b::7, UDP 53 -> 5353, behind a destination options header.
static const uint8_t udp6[] = {
	0x60, 0, 0,  0, 0, 16,	 60, 64, 0xfd, 0, 0, 10, 0,    0,    0, 0, 0, 0, 0,
	0,    0, 0,  0, 5, 0xfd, 0,  0,	 11,   0, 0, 0,	 0,    0,    0, 0, 0, 0, 0,
	0,    7, 17, 0, 1, 4,	 0,  0,	 0,    0, 0, 53, 0x14, 0xe9, 0, 8, 0, 0,
};

static struct ip_addr addr(const char *text)
{
	struct ip_addr a = {0};

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p = {0};

	assert_int_equal(ip_prefix_parse(text, &p), 0);
	return p;
}

#define VIEW(bytes)                                                                                \
	{                                                                                          \
		.ip = (bytes), .len = sizeof(bytes), .port = 1, .tunnel = 5                        \
	}

static void test_addresses(void **state)
{
	static const struct {
		const char *host;
		bool v6, matches;
		const char *why;
	} rows[] = {
		{"10.1.0.5/32", false, true, "source"},
		{"10.2.0.7/32", false, true, "destination"},
		{"10.2.0.0/16", false, true, "network of the destination"},
		{"10.3.0.0/16", false, false, "another network"},
		{"10.1.0.4/32", false, false, "a neighbour"},
		{"0.0.0.0/0", false, true, "all of IPv4"},
		{"::/0", false, false, "all of IPv6"},
		{"fd00:a::/32", true, true, "source of IPv6"},
		{"fd00:b::7/128", true, true, "destination of IPv6"},
		{"fd00:b::8/128", true, false, "another one of IPv6"},
		{"0.0.0.0/0", true, false, "IPv4"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct packet_filter f = {.host = prefix(rows[i].host)};
		const struct packet_view v4 = VIEW(tcp4), v6 = VIEW(udp6);

		CHECK_INT(packet_filter_match(&f, rows[i].v6 ? &v6 : &v4), rows[i].matches,
			  rows[i].why);
	}
}

static void test_ports_of_the_packet(void **state)
{
	const struct packet_view tcp = VIEW(tcp4), udp = VIEW(udp6), esp = VIEW(esp4);
	uint8_t later[sizeof(tcp4)];
	struct packet_view fragment = VIEW(later);
	struct packet_filter f = {.l4_port = 443};

	(void)state;
	memcpy(later, tcp4, sizeof(later));
	later[7] = 1; // fragment offset
	assert_true(packet_filter_match(&f, &tcp));
	assert_false(packet_filter_match(&f, &udp));
	assert_false(packet_filter_match(&f, &fragment));
	f.l4_port = 40000;
	assert_true(packet_filter_match(&f, &tcp));
	f.l4_port = 5353;
	assert_true(packet_filter_match(&f, &udp));
	f.l4_port = 0xc102; // ESP has none: that is its SPI
	assert_false(packet_filter_match(&f, &esp));
}

static void test_spi_and_peer(void **state)
{
	const struct packet_view esp = VIEW(esp4), udp = VIEW(udp_esp4);
	struct packet_view inner = VIEW(tcp4);
	struct packet_filter f = {.spi = 0xc1020304};
	static const uint8_t peer[] = {198, 51, 100, 2};

	(void)state;
	assert_int_equal(packet_esp_spi(esp4, sizeof(esp4)), 0xc1020304);
	assert_int_equal(packet_esp_spi(udp_esp4, sizeof(udp_esp4)), 0xc1020304);
	assert_int_equal(packet_esp_spi(tcp4, sizeof(tcp4)), 0);
	assert_true(packet_filter_match(&f, &esp));
	assert_true(packet_filter_match(&f, &udp));
	assert_false(packet_filter_match(&f, &inner));
	inner.spi = 0xc1020304; // its SA is known
	assert_true(packet_filter_match(&f, &inner));
	inner.spi = 0xc1020305;
	assert_false(packet_filter_match(&f, &inner));

	f = (struct packet_filter){.peer = addr("198.51.100.2")};
	assert_true(packet_filter_match(&f, &esp));
	assert_false(packet_filter_match(&f, &inner));
	inner.peer = peer;
	inner.peer_len = 4;
	assert_true(packet_filter_match(&f, &inner));
	f.peer = addr("198.51.100.3");
	assert_false(packet_filter_match(&f, &esp));
	assert_false(packet_filter_match(&f, &inner));
}

static void test_all_conditions_have_to_hold(void **state)
{
	struct packet_filter f = {
		.by_port = true,
		.port = 1,
		.by_tunnel = true,
		.tunnel = 5,
		.host = prefix("10.1.0.5/32"),
		.l4_port = 443,
	};
	struct packet_view v = VIEW(tcp4);

	(void)state;
	assert_true(packet_filter_match(&f, &v));
	v.port = 0;
	assert_false(packet_filter_match(&f, &v));
	v.port = 1;
	v.tunnel = PACKET_NO_TUNNEL;
	assert_false(packet_filter_match(&f, &v));
	v.tunnel = 5;
	f.l4_port = 444;
	assert_false(packet_filter_match(&f, &v));
	f.l4_port = 443;
	f.host = prefix("10.9.0.0/16");
	assert_false(packet_filter_match(&f, &v));
}

static void test_what_is_no_ip(void **state)
{
	struct packet_view v = {.ip = NULL, .port = 0, .tunnel = PACKET_NO_TUNNEL};
	struct packet_filter f = {0};

	(void)state;
	assert_true(packet_filter_match(&f, &v)); // ARP is seen when nothing is asked for
	f.host = prefix("0.0.0.0/0");
	assert_false(packet_filter_match(&f, &v));
}

static void test_frames(void **state)
{
	static const struct {
		uint8_t type[10];
		size_t tags;
		bool ip;
		const char *why;
	} rows[] = {
		{{0x08, 0x00}, 0, true, "IPv4"},
		{{0x86, 0xdd}, 0, true, "IPv6"},
		{{0x08, 0x06}, 0, false, "ARP"},
		{{0x81, 0x00, 0, 7, 0x08, 0x00}, 1, true, "behind a VLAN tag"},
		{{0x88, 0xa8, 0, 7, 0x81, 0x00, 0, 8, 0x86, 0xdd}, 2, true, "behind two"},
		{{0x81, 0x00, 0, 7, 0x08, 0x06}, 1, false, "ARP behind one"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const size_t len = 14 + 4 * rows[i].tags;
		uint8_t frame[64] = {0};
		size_t ip_len = 0;
		const uint8_t *ip;

		memcpy(frame + 12, rows[i].type, 2 + 4 * rows[i].tags);
		ip = packet_in_frame(frame, sizeof(frame), &ip_len);
		CHECK_INT(ip != NULL, rows[i].ip, rows[i].why);
		if (ip) {
			assert_ptr_equal(ip, frame + len);
			assert_int_equal(ip_len, sizeof(frame) - len);
		}
		for (size_t cut = 0; cut < len; cut++)
			assert_null(packet_in_frame(frame, cut, &ip_len));
	}
}

// Every packet cut at every length, in memory that ends there: the sanitizers watch.
static void test_nothing_is_read_beyond_the_end(void **state)
{
	const struct {
		const uint8_t *ip;
		size_t len;
	} packets[] = {
		{tcp4, sizeof(tcp4)},
		{esp4, sizeof(esp4)},
		{udp_esp4, sizeof(udp_esp4)},
		{udp6, sizeof(udp6)},
	};
	const struct packet_filter f = {.spi = 1, .l4_port = 1, .host = prefix("0.0.0.0/0")};

	(void)state;
	for (size_t i = 0; i < COUNT(packets); i++)
		for (size_t len = 0; len < packets[i].len; len++) {
			uint8_t *copy = malloc(len ? len : 1);
			struct packet_view v = {.ip = copy, .len = len};

			assert_non_null(copy);
			memcpy(copy, packets[i].ip, len);
			assert_false(packet_filter_match(&f, &v));
			packet_esp_spi(copy, len);
			free(copy);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_ports_of_the_packet),
		cmocka_unit_test(test_spi_and_peer),
		cmocka_unit_test(test_all_conditions_have_to_hold),
		cmocka_unit_test(test_what_is_no_ip),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_nothing_is_read_beyond_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
