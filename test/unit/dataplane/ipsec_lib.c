#include "ipsec_lib.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <rte_crypto.h>
#include <rte_cryptodev.h>
#include <rte_dev.h>
#include <rte_ip.h>
#include <rte_ipsec.h>
#include <rte_malloc.h>
#include <rte_udp.h>

#include "fake_dp.h"

#define IV_OFFSET (sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_sym_op))
#define N_DRIVERS 2

// The one whose cryptography is not ours comes first.
static const char *const driver_name[N_DRIVERS] = {"crypto_openssl", "crypto_aesni_mb"};
static int driver_id[N_DRIVERS] = {-1, -1};
static struct rte_mempool *sessions, *ops;

// crypto_openssl keeps contexts of OpenSSL beyond their sessions; nothing else here makes some.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libcrypto.so\n";
}

struct ipsec_lib {
	struct rte_ipsec_session session;
	enum ipsec_lib_way way;
	unsigned driver;
	uint32_t spi_be;
	uint8_t outer_len; // bytes in front of ESP
	size_t len_min;	   // of a packet with a trailer
};

static bool start_driver(unsigned i)
{
	const struct rte_cryptodev_qp_conf queue = {.nb_descriptors = 128, .mp_session = sessions};
	struct rte_cryptodev_config conf = {.nb_queue_pairs = 1};

	conf.socket_id = rte_cryptodev_socket_id((uint8_t)driver_id[i]);
	return rte_cryptodev_configure((uint8_t)driver_id[i], &conf) == 0 &&
	       rte_cryptodev_queue_pair_setup((uint8_t)driver_id[i], 0, &queue, conf.socket_id) ==
		       0 &&
	       rte_cryptodev_start((uint8_t)driver_id[i]) == 0;
}

bool ipsec_lib_setup(const char **why)
{
	unsigned size = 0, n = 0;

	for (unsigned i = 0; i < N_DRIVERS; i++) {
		if (rte_eal_hotplug_add("vdev", driver_name[i], "") != 0)
			continue;
		driver_id[i] = rte_cryptodev_get_dev_id(driver_name[i]);
		if (driver_id[i] >= 0)
			size = RTE_MAX(size, rte_cryptodev_sym_get_private_session_size(
						     (uint8_t)driver_id[i]));
	}
	sessions = rte_cryptodev_sym_session_pool_create("ipsec-sessions", 64, size, 0, 0,
							 SOCKET_ID_ANY);
	ops = rte_crypto_op_pool_create("ipsec-ops", RTE_CRYPTO_OP_TYPE_SYMMETRIC, 63, 0, 32,
					SOCKET_ID_ANY);
	if (sessions == NULL || ops == NULL) {
		*why = "librte_ipsec: no memory for sessions and operations";
		return false;
	}
	for (unsigned i = 0; i < N_DRIVERS; i++) {
		if (driver_id[i] >= 0 && !start_driver(i))
			driver_id[i] = -1;
		n += driver_id[i] >= 0;
	}
	*why = "neither crypto_openssl nor crypto_aesni_mb of DPDK is there (devtools/setup)";
	return n > 0;
}

void ipsec_lib_teardown(void)
{
	for (unsigned i = 0; i < N_DRIVERS; i++) {
		if (driver_id[i] < 0)
			continue;
		rte_cryptodev_stop((uint8_t)driver_id[i]);
		rte_eal_hotplug_remove("vdev", driver_name[i]);
	}
	rte_mempool_free(sessions);
	rte_mempool_free(ops);
}

// ---- what the registry calls a transform, as DPDK calls it ----

static void set_aead(struct rte_crypto_sym_xform *x, const struct esp_sa *sa, bool out)
{
	x->type = RTE_CRYPTO_SYM_XFORM_AEAD;
	x->aead = (struct rte_crypto_aead_xform){
		.op = out ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT,
		.algo = sa->encr.id == ENCR_CHACHA20_POLY1305 ? RTE_CRYPTO_AEAD_CHACHA20_POLY1305
							      : RTE_CRYPTO_AEAD_AES_GCM,
		.key = {sa->encr_key.data, (uint16_t)(sa->encr_key.len - 4)},
		.iv = {IV_OFFSET, 12},
		.digest_length = sa->encr.id == ENCR_AES_GCM_8	  ? 8
				 : sa->encr.id == ENCR_AES_GCM_12 ? 12
								  : 16,
		.aad_length = sa->esn ? 12 : 8,
	};
}

static void set_gmac(struct rte_crypto_sym_xform *x, const struct esp_sa *sa, bool out)
{
	x->type = RTE_CRYPTO_SYM_XFORM_AUTH;
	x->auth = (struct rte_crypto_auth_xform){
		.op = out ? RTE_CRYPTO_AUTH_OP_GENERATE : RTE_CRYPTO_AUTH_OP_VERIFY,
		.algo = RTE_CRYPTO_AUTH_AES_GMAC,
		.key = {sa->encr_key.data, (uint16_t)(sa->encr_key.len - 4)},
		.iv = {IV_OFFSET, 12},
		.digest_length = 16,
	};
}

static void set_auth(struct rte_crypto_sym_xform *x, const struct esp_sa *sa, bool out)
{
	static const struct {
		uint16_t id;
		enum rte_crypto_auth_algorithm algo;
		uint16_t icv_len;
	} known[] = {
		{INTEG_HMAC_SHA1_96, RTE_CRYPTO_AUTH_SHA1_HMAC, 12},
		{INTEG_HMAC_SHA2_256_128, RTE_CRYPTO_AUTH_SHA256_HMAC, 16},
		{INTEG_HMAC_SHA2_384_192, RTE_CRYPTO_AUTH_SHA384_HMAC, 24},
		{INTEG_HMAC_SHA2_512_256, RTE_CRYPTO_AUTH_SHA512_HMAC, 32},
		{INTEG_AES_XCBC_96, RTE_CRYPTO_AUTH_AES_XCBC_MAC, 12},
	};
	unsigned i = 0;

	while (i < RTE_DIM(known) && known[i].id != sa->integ.id)
		i++;
	assert_true(i < RTE_DIM(known));
	x->type = RTE_CRYPTO_SYM_XFORM_AUTH;
	x->auth = (struct rte_crypto_auth_xform){
		.op = out ? RTE_CRYPTO_AUTH_OP_GENERATE : RTE_CRYPTO_AUTH_OP_VERIFY,
		.algo = known[i].algo,
		.key = {sa->integ_key.data, (uint16_t)sa->integ_key.len},
		.digest_length = known[i].icv_len,
	};
}

static void set_cipher(struct rte_crypto_sym_xform *x, const struct esp_sa *sa, bool out)
{
	const bool ctr = sa->encr.id == ENCR_AES_CTR;

	x->type = RTE_CRYPTO_SYM_XFORM_CIPHER;
	x->cipher = (struct rte_crypto_cipher_xform){
		.op = out ? RTE_CRYPTO_CIPHER_OP_ENCRYPT : RTE_CRYPTO_CIPHER_OP_DECRYPT,
		.algo = sa->encr.id == ENCR_NULL ? RTE_CRYPTO_CIPHER_NULL
			: ctr			 ? RTE_CRYPTO_CIPHER_AES_CTR
						 : RTE_CRYPTO_CIPHER_AES_CBC,
		.key = {sa->encr_key.data, (uint16_t)(sa->encr_key.len - (ctr ? 4u : 0u))},
		.iv = {IV_OFFSET, 16},
	};
}

// Fills one or two of x[], linked in the order librte_ipsec wants. Returns the first one that a
// driver has to be told of: with NULL encryption that is the integrity algorithm alone.
static struct rte_crypto_sym_xform *set_xforms(struct rte_crypto_sym_xform x[2],
					       const struct esp_sa *sa, bool out)
{
	struct rte_crypto_sym_xform *auth = &x[out ? 1 : 0], *cipher = &x[out ? 0 : 1];

	memset(x, 0, 2 * sizeof(*x));
	if (sa->encr.id == ENCR_NULL_AUTH_AES_GMAC) {
		set_gmac(x, sa, out);
	} else if (sa->integ.id == INTEG_NONE) {
		set_aead(x, sa, out);
	} else {
		set_auth(auth, sa, out);
		set_cipher(cipher, sa, out);
		x[0].next = &x[1];
	}
	return x;
}

static void *open_session(struct ipsec_lib *s, struct rte_crypto_sym_xform *x, bool null_cipher)
{
	struct rte_crypto_sym_xform alone = *x;

	if (null_cipher) {
		if (x->type == RTE_CRYPTO_SYM_XFORM_CIPHER)
			alone = *x->next;
		alone.next = NULL;
		x = &alone;
	}
	for (s->driver = 0; s->driver < N_DRIVERS; s->driver++) {
		void *session = NULL;

		if (driver_id[s->driver] >= 0)
			session = rte_cryptodev_sym_session_create((uint8_t)driver_id[s->driver], x,
								   sessions);
		if (session != NULL)
			return session;
	}
	return NULL;
}

// ---- SAs ----

// The outer header without UDP, lengths left open.
static uint8_t set_outer(uint8_t out[40], const struct esp_sa *sa)
{
	const uint8_t proto = sa->udp_encap ? IPPROTO_UDP : IPPROTO_ESP;
	struct rte_ipv4_hdr ip = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.time_to_live = 64,
		.next_proto_id = proto,
	};

	memset(out, 0, 40);
	if (sa->local.addr.family == IP_V6) {
		out[0] = 0x60;
		out[6] = proto;
		out[7] = 64;
		memcpy(out + 8, sa->local.addr.bytes, 16);
		memcpy(out + 24, sa->remote.addr.bytes, 16);
		return 40;
	}
	ip.src_addr = rte_cpu_to_be_32(ip_addr_to_v4(&sa->local.addr));
	ip.dst_addr = rte_cpu_to_be_32(ip_addr_to_v4(&sa->remote.addr));
	memcpy(out, &ip, sizeof(ip));
	return sizeof(ip);
}

static struct rte_ipsec_sa_prm parameters(const struct esp_sa *sa, bool out, bool inner6,
					  uint64_t seq)
{
	struct rte_ipsec_sa_prm p = {0};

	p.ipsec_xform.spi = sa->spi;
	if (sa->encr_key.len >= 4) // the last four are the salt, where there is one
		memcpy(&p.ipsec_xform.salt, sa->encr_key.data + sa->encr_key.len - 4, 4);
	p.ipsec_xform.options.esn = sa->esn;
	// Inbound, UDP is but a longer outer header (ipsec_lib_open): DPDK 22.11 knows no such SAs.
	p.ipsec_xform.options.udp_encap = out && sa->udp_encap;
	p.ipsec_xform.udp.sport = rte_cpu_to_be_16(sa->local.port);
	p.ipsec_xform.udp.dport = rte_cpu_to_be_16(sa->remote.port);
	p.ipsec_xform.direction =
		out ? RTE_SECURITY_IPSEC_SA_DIR_EGRESS : RTE_SECURITY_IPSEC_SA_DIR_INGRESS;
	p.ipsec_xform.proto = RTE_SECURITY_IPSEC_SA_PROTO_ESP;
	p.ipsec_xform.mode = RTE_SECURITY_IPSEC_SA_MODE_TUNNEL;
	p.ipsec_xform.tunnel.type = sa->local.addr.family == IP_V6 ? RTE_SECURITY_IPSEC_TUNNEL_IPV6
								   : RTE_SECURITY_IPSEC_TUNNEL_IPV4;
	p.ipsec_xform.replay_win_sz = sa->replay_window;
	p.ipsec_xform.esn.value = seq;
	p.tun.next_proto = inner6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
	return p;
}

// Bytes of the smallest ESP packet: header, IV, a block that has a trailer, ICV.
static size_t esp_min(const struct esp_sa *sa)
{
	const struct transform_info *encr = transform_find(&sa->encr);
	const struct transform_info *icv = encr->aead ? encr : transform_find(&sa->integ);

	return 8u + encr->iv_len + RTE_MAX(encr->block_len, 4u) + icv->icv_len;
}

struct ipsec_lib *ipsec_lib_create(const struct esp_sa *sa, enum ipsec_lib_way way, bool inner6,
				   uint64_t seq)
{
	const bool out = way == IPSEC_LIB_OUT;
	struct rte_ipsec_sa_prm p = parameters(sa, out, inner6, seq);
	struct rte_crypto_sym_xform x[2];
	struct ipsec_lib *s = rte_zmalloc("ipsec", sizeof(*s), RTE_CACHE_LINE_SIZE);
	uint8_t outer[40];
	int size;

	assert_non_null(s);
	s->way = way;
	s->spi_be = rte_cpu_to_be_32(sa->spi);
	s->session.type = RTE_SECURITY_ACTION_TYPE_NONE;
	s->session.crypto.ses = open_session(s, set_xforms(x, sa, out), sa->encr.id == ENCR_NULL);
	if (s->session.crypto.ses == NULL) {
		rte_free(s);
		return NULL;
	}
	s->session.crypto.dev_id = (uint8_t)driver_id[s->driver];
	p.crypto_xform = x;
	p.tun.hdr = outer;
	p.tun.hdr_len = set_outer(outer, sa);
	s->outer_len = (uint8_t)(p.tun.hdr_len + (sa->udp_encap ? 8 : 0));
	s->len_min = s->outer_len + esp_min(sa);
	size = rte_ipsec_sa_size(&p);
	assert_true(size > 0);
	s->session.sa = rte_zmalloc("ipsec-sa", (size_t)size, RTE_CACHE_LINE_SIZE);
	assert_non_null(s->session.sa);
	assert_int_equal(rte_ipsec_sa_init(s->session.sa, &p, (uint32_t)size), size);
	assert_int_equal(rte_ipsec_session_prepare(&s->session), 0);
	return s;
}

void ipsec_lib_destroy(struct ipsec_lib *s)
{
	if (s == NULL)
		return;
	rte_ipsec_sa_fini(s->session.sa);
	rte_free(s->session.sa);
	assert_int_equal(
		rte_cryptodev_sym_session_free(s->session.crypto.dev_id, s->session.crypto.ses), 0);
	rte_free(s);
}

bool ipsec_lib_independent(const struct ipsec_lib *s)
{
	return s->driver == 0;
}

// ---- packets ----

// One packet through the device. False when librte_ipsec or the device refused it.
static bool run(struct ipsec_lib *s, struct rte_mbuf **m)
{
	struct rte_crypto_op *op = rte_crypto_op_alloc(ops, RTE_CRYPTO_OP_TYPE_SYMMETRIC), *done;
	bool good = false;

	assert_non_null(op);
	if (rte_ipsec_pkt_crypto_prepare(&s->session, m, &op, 1) == 1) {
		assert_int_equal(rte_cryptodev_enqueue_burst(s->session.crypto.dev_id, 0, &op, 1),
				 1);
		while (rte_cryptodev_dequeue_burst(s->session.crypto.dev_id, 0, &done, 1) == 0)
			;
		assert_ptr_equal(done, op);
		if (op->status != RTE_CRYPTO_OP_STATUS_SUCCESS) // as rte_ipsec_pkt_crypto_group
			(*m)->ol_flags |= RTE_MBUF_F_RX_SEC_OFFLOAD_FAILED;
		good = rte_ipsec_pkt_process(&s->session, m, 1) == 1;
	}
	rte_crypto_op_free(op);
	return good;
}

static size_t copy_out(struct rte_mbuf *m, uint8_t *out)
{
	const size_t len = m->data_len;

	assert_int_equal(m->data_len, m->pkt_len);
	memcpy(out, rte_pktmbuf_mtod(m, void *), len);
	return len;
}

size_t ipsec_lib_seal(struct ipsec_lib *s, const uint8_t *inner, size_t len, uint8_t *out)
{
	struct rte_mbuf *m = mbuf_of(inner, len);
	size_t n;

	assert_int_equal(s->way, IPSEC_LIB_OUT);
	assert_true(run(s, &m));
	n = copy_out(m, out);
	rte_pktmbuf_free(m);
	return n;
}

int ipsec_lib_open(struct ipsec_lib *s, const uint8_t *packet, size_t len, uint8_t *out)
{
	struct rte_mbuf *m;
	int n = -1;

	assert_int_equal(s->way, IPSEC_LIB_IN);
	// What has no block at all librte_ipsec gives to the driver, and of AES-CBC with XCBC
	// intel-ipsec-mb 1.3 then decrypts without an end.
	if (len < s->len_min || memcmp(packet + s->outer_len, &s->spi_be, 4) != 0)
		return -1;
	m = mbuf_of(packet, len);
	m->l3_len = s->outer_len & RTE_LEN2MASK(RTE_MBUF_L3_LEN_BITS, uint16_t);
	if (run(s, &m))
		n = (int)copy_out(m, out);
	rte_pktmbuf_free(m);
	return n;
}
