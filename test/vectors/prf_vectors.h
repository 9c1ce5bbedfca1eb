// Known answers for the PRFs and prf+. Every text is hexadecimal.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/transform.h"

struct prf_vector {
	const char *name;
	uint16_t prf;
	const char *key, *data, *out;
};

// HMAC test cases of RFC 4231 and RFC 2202. Case 4.6 of RFC 4231 has a truncated output, which no
// PRF has.
static const struct prf_vector prf_vectors[] = {
	{
		.name = "RFC 4231 4.2, PRF_HMAC_SHA2_256",
		.prf = PRF_HMAC_SHA2_256,
		.key = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
		.data = "4869205468657265",
		.out = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
	},
	{
		.name = "RFC 4231 4.2, PRF_HMAC_SHA2_384",
		.prf = PRF_HMAC_SHA2_384,
		.key = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
		.data = "4869205468657265",
		.out = "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c"
		 "faea9ea9076ede7f4af152e8b2fa9cb6",
	},
	{
		.name = "RFC 4231 4.2, PRF_HMAC_SHA2_512",
		.prf = PRF_HMAC_SHA2_512,
		.key = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
		.data = "4869205468657265",
		.out = "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
		 "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
	},
	{
		.name = "RFC 4231 4.3, PRF_HMAC_SHA2_256",
		.prf = PRF_HMAC_SHA2_256,
		.key = "4a656665",
		.data = "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
		.out = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
	},
	{
		.name = "RFC 4231 4.3, PRF_HMAC_SHA2_384",
		.prf = PRF_HMAC_SHA2_384,
		.key = "4a656665",
		.data = "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
		.out = "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
		 "8e2240ca5e69e2c78b3239ecfab21649",
	},
	{
		.name = "RFC 4231 4.3, PRF_HMAC_SHA2_512",
		.prf = PRF_HMAC_SHA2_512,
		.key = "4a656665",
		.data = "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
		.out = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
		 "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
	},
	{
		.name = "RFC 4231 4.4, PRF_HMAC_SHA2_256",
		.prf = PRF_HMAC_SHA2_256,
		.key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		.data = "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
		 "dddddddddddddddddddddddddddddddddddd",
		.out = "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
	},
	{
		.name = "RFC 4231 4.4, PRF_HMAC_SHA2_384",
		.prf = PRF_HMAC_SHA2_384,
		.key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		.data = "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
		 "dddddddddddddddddddddddddddddddddddd",
		.out = "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b"
		 "2a5ab39dc13814b94e3ab6e101a34f27",
	},
	{
		.name = "RFC 4231 4.4, PRF_HMAC_SHA2_512",
		.prf = PRF_HMAC_SHA2_512,
		.key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		.data = "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
		 "dddddddddddddddddddddddddddddddddddd",
		.out = "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39"
		 "bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
	},
	{
		.name = "RFC 4231 4.5, PRF_HMAC_SHA2_256",
		.prf = PRF_HMAC_SHA2_256,
		.key = "0102030405060708090a0b0c0d0e0f10111213141516171819",
		.data = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
		 "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
		.out = "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
	},
	{
		.name = "RFC 4231 4.5, PRF_HMAC_SHA2_384",
		.prf = PRF_HMAC_SHA2_384,
		.key = "0102030405060708090a0b0c0d0e0f10111213141516171819",
		.data = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
		 "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
		.out = "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e"
		 "6801dd23c4a7d679ccf8a386c674cffb",
	},
	{
		.name = "RFC 4231 4.5, PRF_HMAC_SHA2_512",
		.prf = PRF_HMAC_SHA2_512,
		.key = "0102030405060708090a0b0c0d0e0f10111213141516171819",
		.data = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
		 "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
		.out = "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db"
		 "a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
	},
	{
		.name = "RFC 4231 4.7, PRF_HMAC_SHA2_256",
		.prf = PRF_HMAC_SHA2_256,
		.key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaa",
		.data = "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a"
		 "65204b6579202d2048617368204b6579204669727374",
		.out = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
	},
	{
		.name = "RFC 4231 4.7, PRF_HMAC_SHA2_384",
		.prf = PRF_HMAC_SHA2_384,
		.key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaa",
		.data = "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a"
		 "65204b6579202d2048617368204b6579204669727374",
		.out = "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6"
		 "0c2ef6ab4030fe8296248df163f44952",
	},
	{
		.name = "RFC 4231 4.7, PRF_HMAC_SHA2_512",
		.prf = PRF_HMAC_SHA2_512,
		.key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaa",
		.data = "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a"
		 "65204b6579202d2048617368204b6579204669727374",
		.out = "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
		 "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
	},
	{
		.name = "RFC 4231 4.8, PRF_HMAC_SHA2_256",
		.prf = PRF_HMAC_SHA2_256,
		.key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaa",
		.data = "5468697320697320612074657374207573696e672061206c6172676572207468"
		 "616e20626c6f636b2d73697a65206b657920616e642061206c61726765722074"
		 "68616e20626c6f636b2d73697a6520646174612e20546865206b6579206e6565"
		 "647320746f20626520686173686564206265666f7265206265696e6720757365"
		 "642062792074686520484d414320616c676f726974686d2e",
		.out = "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
	},
	{
		.name = "RFC 4231 4.8, PRF_HMAC_SHA2_384",
		.prf = PRF_HMAC_SHA2_384,
		.key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaa",
		.data = "5468697320697320612074657374207573696e672061206c6172676572207468"
		 "616e20626c6f636b2d73697a65206b657920616e642061206c61726765722074"
		 "68616e20626c6f636b2d73697a6520646174612e20546865206b6579206e6565"
		 "647320746f20626520686173686564206265666f7265206265696e6720757365"
		 "642062792074686520484d414320616c676f726974686d2e",
		.out = "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5"
		 "a678cc31e799176d3860e6110c46523e",
	},
	{
		.name = "RFC 4231 4.8, PRF_HMAC_SHA2_512",
		.prf = PRF_HMAC_SHA2_512,
		.key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaa",
		.data = "5468697320697320612074657374207573696e672061206c6172676572207468"
		 "616e20626c6f636b2d73697a65206b657920616e642061206c61726765722074"
		 "68616e20626c6f636b2d73697a6520646174612e20546865206b6579206e6565"
		 "647320746f20626520686173686564206265666f7265206265696e6720757365"
		 "642062792074686520484d414320616c676f726974686d2e",
		.out = "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944"
		 "b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58",
	},
	{
		.name = "RFC 2202 3, case 1",
		.prf = PRF_HMAC_SHA1,
		.key = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
		.data = "4869205468657265",
		.out = "b617318655057264e28bc0b6fb378c8ef146be00",
	},
	{
		.name = "RFC 2202 3, case 2",
		.prf = PRF_HMAC_SHA1,
		.key = "4a656665",
		.data = "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
		.out = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
	},
	{
		.name = "RFC 2202 3, case 3",
		.prf = PRF_HMAC_SHA1,
		.key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		.data = "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
		 "dddddddddddddddddddddddddddddddddddd",
		.out = "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
	},
	{
		.name = "RFC 2202 3, case 4",
		.prf = PRF_HMAC_SHA1,
		.key = "0102030405060708090a0b0c0d0e0f10111213141516171819",
		.data = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
		 "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
		.out = "4c9007f4026250c6bc8414f9bf50c86c2d7235da",
	},
	{
		.name = "RFC 2202 3, case 5",
		.prf = PRF_HMAC_SHA1,
		.key = "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
		.data = "546573742057697468205472756e636174696f6e",
		.out = "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04",
	},
	{
		.name = "RFC 2202 3, case 6",
		.prf = PRF_HMAC_SHA1,
		.key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		.data = "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a"
		 "65204b6579202d2048617368204b6579204669727374",
		.out = "aa4ae5e15272d00e95705637ce8a3b55ed402112",
	},
	{
		.name = "RFC 2202 3, case 7",
		.prf = PRF_HMAC_SHA1,
		.key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		.data = "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a"
		 "65204b657920616e64204c6172676572205468616e204f6e6520426c6f636b2d"
		 "53697a652044617461",
		.out = "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
	},
};

struct prf_plus_vector {
	uint16_t prf;
	size_t len;	       // bytes
	const char *key, *seed;
	const char *first;     // octets
	const char *last;      // octets
};

// Made with Python's hmac module:
//   def prf_plus(h, key, seed, n):
//       out = t = b""; i = 1
//       while len(out) < n:
//           t = hmac.new(key, t + seed + bytes([i]), h).digest(); out += t; i += 1
//       return out[:n]
// with key = bytes(range(32)) and seed = bytes(range(100, 180)).
static const struct prf_plus_vector prf_plus_vectors[] = {
	{
		.prf = PRF_HMAC_SHA1,
		.len = 20,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "9ff0352a8197cb51b89efb9ca9fc6c19",
		.last = "8197cb51b89efb9ca9fc6c198a788344",
	},
	{
		.prf = PRF_HMAC_SHA1,
		.len = 21,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "9ff0352a8197cb51b89efb9ca9fc6c19",
		.last = "97cb51b89efb9ca9fc6c198a788344d0",
	},
	{
		.prf = PRF_HMAC_SHA1,
		.len = 200,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "9ff0352a8197cb51b89efb9ca9fc6c19",
		.last = "d37de6d906187c435383fbaf153286c2",
	},
	{
		.prf = PRF_HMAC_SHA1,
		.len = 5100,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "9ff0352a8197cb51b89efb9ca9fc6c19",
		.last = "528b59d30464334a6b80f8a50f66f5a5",
	},
	{
		.prf = PRF_HMAC_SHA2_256,
		.len = 32,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "dc9b15991806e7effbe418fc6db98886",
		.last = "598a7a4c6fe55cd6eb710fa8a0c55f04",
	},
	{
		.prf = PRF_HMAC_SHA2_256,
		.len = 33,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "dc9b15991806e7effbe418fc6db98886",
		.last = "8a7a4c6fe55cd6eb710fa8a0c55f049b",
	},
	{
		.prf = PRF_HMAC_SHA2_256,
		.len = 200,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "dc9b15991806e7effbe418fc6db98886",
		.last = "dd63cf563e9bec6c187dba179707b6f6",
	},
	{
		.prf = PRF_HMAC_SHA2_256,
		.len = 8160,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "dc9b15991806e7effbe418fc6db98886",
		.last = "221e042df5746e2e06ef88fbe4c68fcf",
	},
	{
		.prf = PRF_HMAC_SHA2_384,
		.len = 48,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "01c8631a87361328105406bd6af760d3",
		.last = "a4e94c96c26e475cfbacd437fec2cb18",
	},
	{
		.prf = PRF_HMAC_SHA2_384,
		.len = 49,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "01c8631a87361328105406bd6af760d3",
		.last = "e94c96c26e475cfbacd437fec2cb182b",
	},
	{
		.prf = PRF_HMAC_SHA2_384,
		.len = 200,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "01c8631a87361328105406bd6af760d3",
		.last = "ee8a1f70841468f1a580e2dbf70fb119",
	},
	{
		.prf = PRF_HMAC_SHA2_384,
		.len = 12240,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "01c8631a87361328105406bd6af760d3",
		.last = "c7b70009b4b2c81f9e125c40eb0e76ae",
	},
	{
		.prf = PRF_HMAC_SHA2_512,
		.len = 64,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "17ce935095749faa69078db88a65acf6",
		.last = "9d6c2b0c5dd58e086d49956657ec22fc",
	},
	{
		.prf = PRF_HMAC_SHA2_512,
		.len = 65,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "17ce935095749faa69078db88a65acf6",
		.last = "6c2b0c5dd58e086d49956657ec22fc18",
	},
	{
		.prf = PRF_HMAC_SHA2_512,
		.len = 200,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "17ce935095749faa69078db88a65acf6",
		.last = "a0e2ad86b1c3c97d11833c2d45e01b86",
	},
	{
		.prf = PRF_HMAC_SHA2_512,
		.len = 16320,
		.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.seed = "6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
		 "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"
		 "a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
		.first = "17ce935095749faa69078db88a65acf6",
		.last = "ccbd84d9ca4933789ecc2849d9cf47a1",
	},
};
