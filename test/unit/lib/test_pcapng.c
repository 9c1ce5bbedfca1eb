// The bytes of pcapng blocks as draft-ietf-opsawg-pcapng has them. tshark and scapy read what the
// gateway writes in test/netns/test_capture.py.
#include "check.h"

#include "lib/pcapng.h"

static void expect(const struct writer *w, const void *bytes, size_t len)
{
	assert_false(w->failed);
	assert_int_equal(w->len, len);
	assert_memory_equal(w->data, bytes, len);
}

static void test_section(void **state)
{
	static const uint8_t want[] = {
		0x0a, 0x0d, 0x0d, 0x0a, 0x00, 0x00, 0x00, 0x30, // type, length
		0x1a, 0x2b, 0x3c, 0x4d, 0x00, 0x01, 0x00, 0x00, // byte order magic, version 1.0
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // length of the section: not known
		0x00, 0x03, 0x00, 0x02, 0x6f, 0x73, 0x00, 0x00, // shb_os
		0x00, 0x04, 0x00, 0x03, 0x61, 0x70, 0x70, 0x00, // shb_userappl
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x30, // end of options, length
	};
	uint8_t buf[256];
	struct writer w = writer_of(buf, sizeof(buf));

	(void)state;
	pcapng_section(&w, "app", "os");
	expect(&w, want, sizeof(want));
}

static void test_interface(void **state)
{
	static const uint8_t want[] = {
		0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x30, // type, length
		0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x60, // Ethernet, snap length
		0x00, 0x02, 0x00, 0x03, 0x77, 0x61, 0x6e, 0x00, // if_name
		0x00, 0x03, 0x00, 0x03, 0x64, 0x65, 0x76, 0x00, // if_description
		0x00, 0x09, 0x00, 0x01, 0x09, 0x00, 0x00, 0x00, // if_tsresol: 10^-9 s
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x30, // end of options, length
	};
	uint8_t buf[256];
	struct writer w = writer_of(buf, sizeof(buf));

	(void)state;
	pcapng_interface(&w, PCAPNG_ETHERNET, 96, "wan", "dev");
	expect(&w, want, sizeof(want));
}

static const uint8_t data[] = {1, 2, 3, 4, 5};
static const struct pcapng_packet full = {
	.iface = 2,
	.time_ns = 0x1122334455667788,
	.id = 256,
	.direction = PCAPNG_OUTBOUND,
	.lost = 7,
	.comment = "hi",
	.data = data,
	.cap_len = 5,
	.len = 9,
};

static void test_packet(void **state)
{
	static const uint8_t want[] = {
		0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x54, // type, length
		0x00, 0x00, 0x00, 0x02, 0x11, 0x22, 0x33, 0x44, // interface, time: upper half
		0x55, 0x66, 0x77, 0x88, 0x00, 0x00, 0x00, 0x05, // lower half, bytes captured
		0x00, 0x00, 0x00, 0x09, 0x01, 0x02, 0x03, 0x04, // bytes of the packet, data
		0x05, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x02, // data and padding, opt_comment
		0x68, 0x69, 0x00, 0x00, 0x00, 0x02, 0x00, 0x04, // its text, epb_flags
		0x00, 0x00, 0x00, 0x02, 0x00, 0x04, 0x00, 0x08, // outbound, epb_dropcount
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, // 7
		0x00, 0x05, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, // epb_packetid
		0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, // 256, end of options
		0x00, 0x00, 0x00, 0x54,				// length
	};
	uint8_t buf[256];
	struct writer w = writer_of(buf, sizeof(buf));

	(void)state;
	pcapng_packet(&w, &full);
	expect(&w, want, sizeof(want));
}

static void test_packet_of_which_nothing_is_known(void **state)
{
	static const uint8_t want[] = {
		0x00, 0x00, 0x00, 0x06,
		0x00, 0x00, 0x00, 0x24, // type, length
		0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, // interface, time: upper half
		0x00, 0x00, 0x00, 0x01,
		0x00, 0x00, 0x00, 0x00, // lower half, bytes captured
		0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, // bytes of the packet, end of options
		0x00, 0x00, 0x00, 0x24, // length
	};
	const struct pcapng_packet p = {.time_ns = 1};
	uint8_t buf[256];
	struct writer w = writer_of(buf, sizeof(buf));

	(void)state;
	pcapng_packet(&w, &p);
	expect(&w, want, sizeof(want));
}

static void test_statistics(void **state)
{
	static const uint8_t want[] = {
		0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x40, // type, length
		0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, // interface, time: upper half
		0x00, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x08, // lower half, isb_starttime
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, // 2
		0x00, 0x04, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, // isb_ifrecv
		0x00, 0x00, 0x00, 0x0a, 0x00, 0x05, 0x00, 0x08, // 10, isb_ifdrop
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, // 4
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, // end of options, length
	};
	uint8_t buf[256];
	struct writer w = writer_of(buf, sizeof(buf));

	(void)state;
	pcapng_statistics(&w, 1, 3, 2, 10, 4);
	expect(&w, want, sizeof(want));
}

static void test_without_room_there_is_no_part_of_a_block(void **state)
{
	uint8_t buf[512];
	struct writer w = writer_of(buf, sizeof(buf));
	size_t whole;

	(void)state;
	pcapng_packet(&w, &full);
	whole = w.len;
	for (size_t room = 0; room < whole; room++) {
		w = writer_of(buf, 4 + room);
		write_u32(&w, 1);
		pcapng_packet(&w, &full);
		assert_true(w.failed);
		assert_int_equal(w.len, 4);
	}
}

static void test_a_long_comment_is_cut_and_fits_what_is_promised(void **state)
{
	static char comment[70000];
	static uint8_t packet[65535], buf[PCAPNG_BLOCK_MAX(sizeof(packet))];
	struct pcapng_packet p = full;
	struct writer w = writer_of(buf, sizeof(buf));

	(void)state;
	memset(comment, 'x', sizeof(comment) - 1);
	p.comment = comment;
	p.data = packet;
	p.cap_len = p.len = sizeof(packet);
	pcapng_packet(&w, &p);
	assert_false(w.failed);
	assert_true(w.len > sizeof(packet) + PCAPNG_COMMENT_MAX);
	assert_int_equal(w.len % 4, 0);
	assert_int_equal(buf[28 + 65536], 0); // opt_comment
	assert_int_equal(buf[28 + 65536 + 2] << 8 | buf[28 + 65536 + 3], PCAPNG_COMMENT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_section),
		cmocka_unit_test(test_interface),
		cmocka_unit_test(test_packet),
		cmocka_unit_test(test_packet_of_which_nothing_is_known),
		cmocka_unit_test(test_statistics),
		cmocka_unit_test(test_without_room_there_is_no_part_of_a_block),
		cmocka_unit_test(test_a_long_comment_is_cut_and_fits_what_is_promised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
