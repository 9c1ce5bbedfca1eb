#include "lib/selector.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PORT_MAX 65535

enum { IPPROTO_ICMP_ = 1, IPPROTO_TCP_ = 6, IPPROTO_UDP_ = 17, IPPROTO_ICMPV6_ = 58 };

struct named {
	const char *name;
	uint16_t number;
};

// The first name of a number is the one that is printed.
static const struct named protocols[] = {
	{"icmp", IPPROTO_ICMP_},
	{"igmp", 2},
	{"ipencap", 4},
	{"tcp", IPPROTO_TCP_},
	{"udp", IPPROTO_UDP_},
	{"dccp", 33},
	{"ipv6", 41},
	{"gre", 47},
	{"esp", 50},
	{"ah", 51},
	{"ipv6-icmp", IPPROTO_ICMPV6_},
	{"icmpv6", IPPROTO_ICMPV6_},
	{"eigrp", 88},
	{"ospf", 89},
	{"pim", 103},
	{"vrrp", 112},
	{"l2tp", 115},
	{"sctp", 132},
	{"udplite", 136},
};

// A table of our own: /etc/services is not there on every machine, nor the same.
static const struct named services[] = {
	{"ftp", 21},	       {"ssh", 22},	    {"telnet", 23},	     {"smtp", 25},
	{"domain", 53},	       {"bootps", 67},	    {"bootpc", 68},	     {"tftp", 69},
	{"http", 80},	       {"kerberos", 88},    {"pop3", 110},	     {"sunrpc", 111},
	{"ntp", 123},	       {"imap2", 143},	    {"snmp", 161},	     {"snmp-trap", 162},
	{"bgp", 179},	       {"ldap", 389},	    {"https", 443},	     {"isakmp", 500},
	{"syslog", 514},       {"submission", 587}, {"ldaps", 636},	     {"imaps", 993},
	{"pop3s", 995},	       {"l2f", 1701},	    {"l2tp", 1701},	     {"radius", 1812},
	{"radius-acct", 1813}, {"nfs", 2049},	    {"ms-wbt-server", 3389}, {"mysql", 3306},
	{"ipsec-nat-t", 4500}, {"sip", 5060},	    {"postgresql", 5432},
};

static const struct named *find_name(const struct named *t, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcasecmp(t[i].name, name))
			return &t[i];
	return NULL;
}

static const char *find_number(const struct named *t, size_t n, uint16_t number)
{
	for (size_t i = 0; i < n; i++)
		if (t[i].number == number)
			return t[i].name;
	return NULL;
}

static bool is_icmp(uint8_t proto)
{
	return proto == IPPROTO_ICMP_ || proto == IPPROTO_ICMPV6_;
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP_ || proto == IPPROTO_UDP_ || proto == 33 || proto == 132 ||
	       proto == 136;
}

struct selector selector_from_prefix(const struct ip_prefix *p)
{
	struct selector s = {.family = p->addr.family, .port_hi = PORT_MAX};

	ip_prefix_range(p, &s.lo, &s.hi);
	return s;
}

struct selector selector_from_host(const struct ip_addr *a)
{
	return (struct selector){.family = a->family, .port_hi = PORT_MAX, .lo = *a, .hi = *a};
}

// --- parsing ----------------------------------------------------------------------------------

static int parse_number(const char *text, unsigned max, uint16_t *out)
{
	unsigned v = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		v = v * 10 + (unsigned)(*text - '0');
		if (v > max)
			return -EINVAL;
	}
	*out = (uint16_t)v;
	return 0;
}

// "8", "3(1)" (type, code) as strongSwan prints them, or both in one number, "2048". A number below
// 256 is a type: as both in one it could only name a code of the echo reply, which has none.
static int parse_icmp(char *text, uint16_t *port)
{
	char *code_text = strchr(text, '(');
	uint16_t type, code = 0;

	if (!code_text) {
		if (parse_number(text, PORT_MAX, &type))
			return -EINVAL;
		if (type < 256)
			type = (uint16_t)(type << 8);
		*port = type;
		return 0;
	}
	*code_text++ = 0;
	if (!*code_text || code_text[strlen(code_text) - 1] != ')')
		return -EINVAL;
	code_text[strlen(code_text) - 1] = 0;
	if (parse_number(text, 255, &type) || parse_number(code_text, 255, &code))
		return -EINVAL;
	*port = (uint16_t)(type << 8 | code);
	return 0;
}

static int parse_port(char *text, uint8_t proto, uint16_t *port)
{
	const struct named *service;

	if (is_icmp(proto))
		return parse_icmp(text, port);
	service = find_name(services, COUNT(services), text);
	if (service) {
		*port = service->number;
		return 0;
	}
	return parse_number(text, PORT_MAX, port);
}

// The part after the slash: "80", "500-510", "http", "%any".
static int parse_ports(char *text, struct selector *s)
{
	char *dash;

	if (!strcmp(text, "%any"))
		return 0;
	if (!has_ports(s->proto) && !is_icmp(s->proto))
		return -EINVAL;
	if (!is_icmp(s->proto) && find_name(services, COUNT(services), text))
		dash = NULL; // "ms-wbt-server" is one name
	else
		dash = strchr(text, '-');
	if (dash)
		*dash++ = 0;
	if (parse_port(text, s->proto, &s->port_lo))
		return -EINVAL;
	if (!dash)
		s->port_hi = s->port_lo;
	else if (parse_port(dash, s->proto, &s->port_hi))
		return -EINVAL;
	return s->port_lo <= s->port_hi ? 0 : -EINVAL;
}

// What stands between the brackets.
static int parse_upper(char *text, struct selector *s)
{
	char *slash = strchr(text, '/');
	const struct named *protocol;
	uint16_t number = 0;

	if (slash)
		*slash++ = 0;
	protocol = find_name(protocols, COUNT(protocols), text);
	if (protocol)
		number = protocol->number;
	else if (strcmp(text, "%any") && parse_number(text, 255, &number))
		return -EINVAL;
	s->proto = (uint8_t)number;
	return slash ? parse_ports(slash, s) : 0;
}

static int parse_range(char *text, struct selector *s)
{
	char *dash = strchr(text, '-');
	struct ip_prefix p;

	if (!dash) {
		if (ip_prefix_parse(text, &p))
			return -EINVAL;
		*s = selector_from_prefix(&p);
		return 0;
	}
	*dash++ = 0;
	*s = (struct selector){.port_hi = PORT_MAX};
	if (ip_addr_parse(text, &s->lo) || ip_addr_parse(dash, &s->hi) ||
	    s->lo.family != s->hi.family || ip_addr_compare(&s->lo, &s->hi) > 0)
		return -EINVAL;
	s->family = s->lo.family;
	return 0;
}

int selector_parse(const char *text, struct selector *out)
{
	char copy[SELECTOR_TEXT_MAX], *bracket;
	size_t n = strlen(text);
	struct selector s;

	if (n >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, n + 1);
	bracket = strchr(copy, '[');
	if (bracket) {
		if (copy[n - 1] != ']')
			return -EINVAL;
		copy[n - 1] = 0;
		*bracket++ = 0;
	}
	if (parse_range(copy, &s) || (bracket && parse_upper(bracket, &s)))
		return -EINVAL;
	*out = s;
	return 0;
}

#define DYNAMIC "dynamic"

int selector_dynamic_parse(const char *text, struct selector_upper *out)
{
	const size_t word = strlen(DYNAMIC), n = strlen(text);
	struct selector s = {.port_hi = PORT_MAX};
	char upper[SELECTOR_TEXT_MAX];

	if (strncmp(text, DYNAMIC, word) != 0 || n >= sizeof(upper))
		return -EINVAL;
	if (n > word) {
		if (text[word] != '[' || text[n - 1] != ']')
			return -EINVAL;
		memcpy(upper, text + word + 1, n - word - 1);
		upper[n - word - 2] = '\0';
		if (parse_upper(upper, &s))
			return -EINVAL;
	}
	*out = (struct selector_upper){s.proto, s.port_lo, s.port_hi};
	return 0;
}

static struct selector with_address(const struct selector_upper *d, const struct ip_addr *a)
{
	struct selector s = selector_from_host(a);

	s.proto = d->proto;
	s.port_lo = d->port_lo;
	s.port_hi = d->port_hi;
	return s;
}

void selector_dynamic_add(const struct selector_dynamic *d, const struct ip_addr *a,
			  struct selector_list *list)
{
	for (unsigned i = 0; i < d->n && list->n < SELECTORS_MAX && a->family != IP_NONE; i++)
		list->s[list->n++] = with_address(&d->s[i], a);
}

bool selector_dynamic_equal(const struct selector_dynamic *a, const struct selector_dynamic *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (a->s[i].proto != b->s[i].proto || a->s[i].port_lo != b->s[i].port_lo ||
		    a->s[i].port_hi != b->s[i].port_hi)
			return false;
	return true;
}

// --- printing ---------------------------------------------------------------------------------

// True and the length when lo..hi is exactly one prefix.
static bool as_prefix(const struct selector *s, struct ip_prefix *p)
{
	size_t bits = ip_addr_len(&s->lo) * 8, len = 0;
	struct ip_addr lo, hi;

	while (len < bits && !((s->lo.bytes[len / 8] ^ s->hi.bytes[len / 8]) >> (7 - len % 8) & 1))
		len++;
	*p = (struct ip_prefix){.addr = s->lo, .len = (uint8_t)len};
	ip_prefix_range(p, &lo, &hi);
	return ip_addr_equal(&lo, &s->lo) && ip_addr_equal(&hi, &s->hi);
}

static void format_port(uint8_t proto, uint16_t port, char *buf, size_t size)
{
	const char *name = NULL;

	if (is_icmp(proto) && port & 0xff)
		snprintf(buf, size, "%d(%d)", port >> 8, port & 0xff);
	else if (is_icmp(proto))
		snprintf(buf, size, "%d", port >> 8);
	else if (has_ports(proto) && (name = find_number(services, COUNT(services), port)))
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "%u", port);
}

static void format_upper(const struct selector *s, char *buf, size_t size)
{
	const char *name = find_number(protocols, COUNT(protocols), s->proto);
	char proto[16] = "%any", lo[24], hi[24];

	if (s->proto == 0 && s->port_lo == 0 && s->port_hi == PORT_MAX) {
		buf[0] = 0;
		return;
	}
	if (s->proto && name)
		snprintf(proto, sizeof(proto), "%s", name);
	else if (s->proto)
		snprintf(proto, sizeof(proto), "%u", s->proto);
	format_port(s->proto, s->port_lo, lo, sizeof(lo));
	format_port(s->proto, s->port_hi, hi, sizeof(hi));
	if (s->port_lo == PORT_MAX && s->port_hi == 0)
		snprintf(buf, size, "[%s/OPAQUE]", proto); // RFC 4301 4.4.1.1
	else if (s->port_lo == 0 && s->port_hi == PORT_MAX)
		snprintf(buf, size, "[%s]", proto);
	else if (s->port_lo == s->port_hi)
		snprintf(buf, size, "[%s/%s]", proto, lo);
	else if (is_icmp(s->proto))
		snprintf(buf, size, "[%s/%s-%s]", proto, lo, hi);
	else
		snprintf(buf, size, "[%s/%u-%u]", proto, s->port_lo, s->port_hi);
}

char *selector_dynamic_format(const struct selector_upper *d, char *buf, size_t size)
{
	static const struct ip_addr nowhere;
	struct selector s = with_address(d, &nowhere);
	char upper[72];

	format_upper(&s, upper, sizeof(upper));
	snprintf(buf, size, DYNAMIC "%s", upper);
	return buf;
}

char *selector_format(const struct selector *s, char *buf, size_t size)
{
	char lo[IP_ADDR_TEXT_MAX], hi[IP_ADDR_TEXT_MAX], upper[72];
	struct ip_prefix p;

	format_upper(s, upper, sizeof(upper));
	if (as_prefix(s, &p))
		snprintf(buf, size, "%s/%u%s", ip_addr_format(&s->lo, lo, sizeof(lo)), p.len,
			 upper);
	else
		snprintf(buf, size, "%s..%s%s", ip_addr_format(&s->lo, lo, sizeof(lo)),
			 ip_addr_format(&s->hi, hi, sizeof(hi)), upper);
	return buf;
}

// --- comparing --------------------------------------------------------------------------------

bool selector_equal(const struct selector *a, const struct selector *b)
{
	return a->family == b->family && a->proto == b->proto && a->port_lo == b->port_lo &&
	       a->port_hi == b->port_hi && ip_addr_equal(&a->lo, &b->lo) &&
	       ip_addr_equal(&a->hi, &b->hi);
}

bool selector_intersect(const struct selector *a, const struct selector *b, struct selector *out)
{
	struct selector s;

	if (a->family != b->family || (a->proto && b->proto && a->proto != b->proto))
		return false;
	s.family = a->family;
	s.proto = a->proto ? a->proto : b->proto;
	s.port_lo = a->port_lo > b->port_lo ? a->port_lo : b->port_lo;
	s.port_hi = a->port_hi < b->port_hi ? a->port_hi : b->port_hi;
	s.lo = ip_addr_compare(&a->lo, &b->lo) > 0 ? a->lo : b->lo;
	s.hi = ip_addr_compare(&a->hi, &b->hi) < 0 ? a->hi : b->hi;
	if (s.port_lo > s.port_hi || ip_addr_compare(&s.lo, &s.hi) > 0)
		return false;
	*out = s;
	return true;
}

bool selector_contains(const struct selector *outer, const struct selector *inner)
{
	struct selector common;

	return selector_intersect(outer, inner, &common) && selector_equal(&common, inner);
}

bool selector_match(const struct selector *s, const struct ip_addr *a, uint8_t proto, uint16_t port)
{
	return s->family == a->family && (!s->proto || s->proto == proto) && port >= s->port_lo &&
	       port <= s->port_hi && ip_addr_compare(a, &s->lo) >= 0 &&
	       ip_addr_compare(a, &s->hi) <= 0;
}

// Bits needed to count the addresses after the first: the length of hi - lo in bits.
static unsigned range_bits(const struct selector *s)
{
	size_t len = ip_addr_len(&s->lo);
	uint8_t diff[16] = {0};
	int borrow = 0;

	for (size_t i = len; i-- > 0;) {
		int d = s->hi.bytes[i] - s->lo.bytes[i] - borrow;

		borrow = d < 0;
		diff[i] = (uint8_t)d;
	}
	for (size_t i = 0; i < len; i++)
		for (unsigned bit = 8; diff[i] && bit-- > 0;)
			if (diff[i] >> bit & 1)
				return (unsigned)(len - 1 - i) * 8 + bit + 1;
	return 0;
}

unsigned selector_specificity(const struct selector *s)
{
	unsigned fixed = (unsigned)ip_addr_len(&s->lo) * 8 - range_bits(s);
	unsigned ports = (unsigned)(s->port_hi - s->port_lo) & PORT_MAX;

	fixed += s->proto ? 8 : 0;
	fixed += 16;
	for (; ports; ports >>= 1)
		fixed--;
	return fixed;
}
