// What the RFCs print for the transforms of ESP, as packets from the SPI to the ICV.
//
// `plain` is what is encrypted, trailer included where the RFC has one. RFCs about one cipher print
// no ICV (`without_icv`) and some of them no SPI either, which is then zero. The MACs of RFC 2202,
// RFC 4868 and RFC 3566 are packets with NULL encryption: their data begins with what stands for
// SPI and sequence number. Left out is what no packet of ESP can be: data of less than 8 bytes or
// not of whole 4 bytes behind them, and keys of another length than KEYMAT's. Every text is
// hexadecimal.
#pragma once

#include <stdbool.h>

#include "lib/transform.h"

struct esp_rfc_vector {
	const char *name;
	struct transform encr, integ;
	const char *key; // KEYMAT: with the salt
	const char *integ_key;
	const char *plain;
	const char *packet;
	bool without_icv;
};

#define ESP_RFC_SHA1_KEY "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
#define ESP_RFC_16_0B	 "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
#define ESP_RFC_XCBC_KEY "000102030405060708090a0b0c0d0e0f"
#define ESP_RFC_31_ZEROS "00000000000000000000000000000000000000000000000000000000000000"
#define ESP_RFC_248_ZEROS                                                                          \
	ESP_RFC_31_ZEROS ESP_RFC_31_ZEROS ESP_RFC_31_ZEROS ESP_RFC_31_ZEROS ESP_RFC_31_ZEROS       \
		ESP_RFC_31_ZEROS ESP_RFC_31_ZEROS ESP_RFC_31_ZEROS
#define ESP_RFC_992_ZEROS ESP_RFC_248_ZEROS ESP_RFC_248_ZEROS ESP_RFC_248_ZEROS ESP_RFC_248_ZEROS
#define ESP_RFC_SINGLE	  "53696e676c6520626c6f636b206d7367" // "Single block msg"
#define ESP_RFC_SHA1                                                                               \
	{                                                                                          \
		TRANSFORM_INTEG, INTEG_HMAC_SHA1_96, 0                                             \
	}
#define ESP_RFC_XCBC                                                                               \
	{                                                                                          \
		TRANSFORM_INTEG, INTEG_AES_XCBC_96, 0                                              \
	}
#define ESP_RFC_AEAD                                                                               \
	{                                                                                          \
		TRANSFORM_INTEG, INTEG_NONE, 0                                                     \
	}
#define ESP_RFC_NULL                                                                               \
	{                                                                                          \
		TRANSFORM_ENCR, ENCR_NULL, 0                                                       \
	}

static const struct esp_rfc_vector esp_rfc_vectors[] = {
	{
		.name = "RFC 3602 4, case 1",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CBC, 128},
		.integ = ESP_RFC_SHA1,
		.key = "06a9214036b8a15b512e03d534120006",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = ESP_RFC_SINGLE,
		.packet = "0000000000000000"
			  "3dafba429d9eb430b422da802c9fac41"
			  "e353779c1079aeb82708942dbe77181a",
		.without_icv = true,
	},
	{
		.name = "RFC 3602 4, case 2",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CBC, 128},
		.integ = ESP_RFC_SHA1,
		.key = "c286696d887c9aa0611bbb3e2025a45a",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.packet = "0000000000000000"
			  "562e17996d093d28ddb3ba695a2e6f58"
			  "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
		.without_icv = true,
	},
	{
		.name = "RFC 3602 4, case 3",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CBC, 128},
		.integ = ESP_RFC_SHA1,
		.key = "6c3ea0477630ce21a2ce334aa746c2cd",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "5468697320697320612034382d62797465206d65737361676520286578616374"
			 "6c7920332041455320626c6f636b7329",
		.packet = "0000000000000000"
			  "c782dc4c098c66cbd9cd27d825682c81d0a02b3836451753d493665d33f0e886"
			  "2dea54cdb293abc7506939276772f8d5021c19216bad525c8579695d83ba2684",
		.without_icv = true,
	},
	{
		.name = "RFC 3602 4, case 4",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CBC, 128},
		.integ = ESP_RFC_SHA1,
		.key = "56e47a38c5598974bc46903dba290349",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
			 "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
		.packet = "0000000000000000"
			  "8ce82eefbea0da3c44699ed7db51b7d9c30e32ffedc0774e6aff6af0869f71aa"
			  "0f3af07a9a31a9c684db207eb0ef8e4e35907aa632c3ffdf868bb7b29d3d46ad"
			  "83ce9f9a102ee99d49a53e87f4c3da55",
		.without_icv = true,
	},
	{
		.name = "RFC 3602 4, case 5: an ESP packet",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CBC, 128},
		.integ = ESP_RFC_SHA1,
		.key = "90d382b410eeba7ad938c46cec1a82bf",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f1011121314151617"
			 "18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637"
			 "0102030405060708090a0b0c0d0e0e01",
		.packet = "0000432100000001e96e8c08ab465763fd098d45dd3ff893"
			  "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856"
			  "a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a"
			  "a269add047ad2d5913ac19b7cfbad4a6",
		.without_icv = true,
	},
	{
		.name = "RFC 3602 4, case 6: an ESP packet",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CBC, 128},
		.integ = ESP_RFC_SHA1,
		.key = "90d382b410eeba7ad938c46cec1a82bf",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "0800b5e8a80a0500a69c083d0b660e0077777777777777777777777701020201",
		.packet = "0000432100000008"
			  "69d08df7d203329db093fc4924e5bd80f51995881ec4e0c4488987ce742e8109"
			  "689bb379d2d750c0d915dca346a89f75",
		.without_icv = true,
	},
	{
		.name = "RFC 3602 4, case 7: an ESP packet",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CBC, 128},
		.integ = ESP_RFC_SHA1,
		.key = "0123456789abcdef0123456789abcdef",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d"
			 "02a2040008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
			 "2425262728292a2b2c2d2e2f30313233343536370102030405060708090a0a04",
		.packet = "0000876500000002"
			  "f4e765244f6407adf13dc1380f673f37773b5241a4c449225e4f3ce5ed611b0c"
			  "237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c6"
			  "47752e94a859352b8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a"
			  "109e0ca1e4dfe9d5a100b842f1c22f0d",
		.without_icv = true,
	},
	{
		.name = "RFC 3602 4, case 8: an ESP packet",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CBC, 128},
		.integ = ESP_RFC_SHA1,
		.key = "0123456789abcdef0123456789abcdef",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083d"
			 "a3de0300ffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
			 "ffffffff0102030405060708090a0a04",
		.packet = "0000876500000005"
			  "85d47224b5f3dd5d2101d4ea8dffab2215b92683819596a8047232cc00f7048f"
			  "e45318e11f8a0f62ede3c3fc61203bb50f980a08c9843fd3a1b06d5c07ff9639"
			  "b7eb7dfb3512e5de435e7207ed971ef3d2726d9b5ef6affc6d17a0decbb13892",
		.without_icv = true,
	},
	{
		.name = "RFC 3686 6, vector 1",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CTR, 128},
		.integ = ESP_RFC_SHA1,
		.key = "ae6852f8121067cc4bf7a5765577f39e00000030",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = ESP_RFC_SINGLE,
		.packet = "00000000000000000000000000000000"
			  "e4095d4fb7a7b3792d6175a3261311b8",
		.without_icv = true,
	},
	{
		.name = "RFC 3686 6, vector 2",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CTR, 128},
		.integ = ESP_RFC_SHA1,
		.key = "7e24067817fae0d743d6ce1f32539163006cb6db",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.packet = "0000000000000000c0543b59da48d90b"
			  "5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28",
		.without_icv = true,
	},
	{
		.name = "RFC 3686 6, vector 4",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CTR, 192},
		.integ = ESP_RFC_SHA1,
		.key = "16af5b145fc9f579c175f93e3bfb0eed863d06ccfdb7851500000048",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = ESP_RFC_SINGLE,
		.packet = "000000000000000036733c147d6d93cb"
			  "4b55384fe259c9c84e7935a003cbe928",
		.without_icv = true,
	},
	{
		.name = "RFC 3686 6, vector 7",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CTR, 256},
		.integ = ESP_RFC_SHA1,
		.key = "776beff2851db06f4c8a0542c8696f6c6a81af1eec96b4d37fc1d689e6c1c104"
		       "00000060",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = ESP_RFC_SINGLE,
		.packet = "0000000000000000db5672c97aa8f0b2"
			  "145ad01dbf824ec7560863dc71e3e0c0",
		.without_icv = true,
	},
	{
		.name = "RFC 3686 6, vector 3",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CTR, 128},
		.integ = ESP_RFC_SHA1,
		.key = "7691be035e5020a8ac6e618529f9a0dc00e0017b",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
			 "20212223",
		.packet = "0000000000000000"
			  "27777f3f4a1786f0c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836"
			  "d59a5ceaaef3105325b2072f",
		.without_icv = true,
	},
	{
		.name = "RFC 3686 6, vector 5",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CTR, 192},
		.integ = ESP_RFC_SHA1,
		.key = "7c5cb2401b3dc33c19e7340819e0f69c678c3db8e6f6a91a0096b03b",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.packet = "0000000000000000"
			  "020c6eadc2cb500d453243fc609b23327edfaafa7131cd9f8490701c5ad4a79c"
			  "fc1fe0ff42f4fb00",
		.without_icv = true,
	},
	{
		.name = "RFC 3686 6, vector 6",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CTR, 192},
		.integ = ESP_RFC_SHA1,
		.key = "02bf391ee8ecb159b959617b0965279bf59b60a786d3e0fe0007bdfd",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
			 "20212223",
		.packet = "0000000000000000"
			  "5cbd60278dcc091296893fc55e5c722f540b7dd1ddf7e758d288bc95c6916588"
			  "4536c811662f2188abee0935",
		.without_icv = true,
	},
	{
		.name = "RFC 3686 6, vector 8",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CTR, 256},
		.integ = ESP_RFC_SHA1,
		.key = "f6d66d6bd52d59bb0796365879eff886c66dd51a5b6a99744b50590c87a23884"
		       "00faac24",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.packet = "0000000000000000"
			  "c1585ef15a43d875f05e231b3894612c49ee000b804eb2a9b8306b508f839d6a"
			  "5530831d9344af1c",
		.without_icv = true,
	},
	{
		.name = "RFC 3686 6, vector 9",
		.encr = {TRANSFORM_ENCR, ENCR_AES_CTR, 256},
		.integ = ESP_RFC_SHA1,
		.key = "ff7a617ce69148e4f1726e2f43581de2aa62d9f805532edff1eed687fb54153d"
		       "001cc5b7",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
			 "20212223",
		.packet = "0000000000000000"
			  "51a51d70a1c11148eb6c52821d0bbbf7ce7594462aca4faab407df866569fd07"
			  "f48cc0b583d6071f1ec0e6b8",
		.without_icv = true,
	},
	{
		.name = "RFC 7634 A: an ESP packet",
		.encr = {TRANSFORM_ENCR, ENCR_CHACHA20_POLY1305, 0},
		.integ = ESP_RFC_AEAD,
		.key = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
		       "a0a1a2a3",
		.integ_key = "",
		.plain = "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10"
			 "0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
			 "2425262728292a2b2c2d2e2f303132333435363701020204",
		.packet = "01020304000000051011121314151617"
			  "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6"
			  "14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3"
			  "cbec163fac469b502773f6fb94e664da9165b82829f641e0"
			  "76aaa8266b7fb0f7b11b369907e1ad43",
	},
	{
		.name = "draft-mcgrew-gcm-test: AES-GMAC (RFC 4543)",
		.encr = {TRANSFORM_ENCR, ENCR_NULL_AUTH_AES_GMAC, 128},
		.integ = ESP_RFC_AEAD,
		.key = "4c80cdefbb5d10da906ac73c3613a63422433c64",
		.integ_key = "",
		.plain = "45000030da3a00008001df3bc0a80005c0a800010800c6cd0200070061626364"
			 "65666768696a6b6c6d6e6f707172737401020201",
		.packet = "00004321000000070000000000000000"
			  "45000030da3a00008001df3bc0a80005c0a800010800c6cd0200070061626364"
			  "65666768696a6b6c6d6e6f707172737401020201"
			  "f2a9a836e155106aa8dcd618e4099aaa",
	},
	{
		.name = "RFC 2202 3, case 1, cut by RFC 2404",
		.encr = ESP_RFC_NULL,
		.integ = ESP_RFC_SHA1,
		.key = "",
		.integ_key = ESP_RFC_SHA1_KEY,
		.plain = "",
		.packet = "4869205468657265" // "Hi There"
			  "b617318655057264e28bc0b6",
	},
	{
		.name = "RFC 4868 2.7.2.1, AUTH256-1",
		.encr = ESP_RFC_NULL,
		.integ = {TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0},
		.key = "",
		.integ_key = ESP_RFC_16_0B ESP_RFC_16_0B,
		.plain = "",
		.packet = "4869205468657265"
			  "198a607eb44bfbc69903a0f1cf2bbdc5",
	},
	{
		.name = "RFC 4868 2.7.2.2, AUTH384-1",
		.encr = ESP_RFC_NULL,
		.integ = {TRANSFORM_INTEG, INTEG_HMAC_SHA2_384_192, 0},
		.key = "",
		.integ_key = ESP_RFC_16_0B ESP_RFC_16_0B ESP_RFC_16_0B,
		.plain = "",
		.packet = "4869205468657265"
			  "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973",
	},
	{
		.name = "RFC 4868 2.7.2.3, AUTH512-1",
		.encr = ESP_RFC_NULL,
		.integ = {TRANSFORM_INTEG, INTEG_HMAC_SHA2_512_256, 0},
		.key = "",
		.integ_key = ESP_RFC_16_0B ESP_RFC_16_0B ESP_RFC_16_0B ESP_RFC_16_0B,
		.plain = "",
		.packet = "4869205468657265"
			  "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
	},
	{
		.name = "RFC 2202 3, case 5, digest-96",
		.encr = ESP_RFC_NULL,
		.integ = ESP_RFC_SHA1,
		.key = "",
		.integ_key = "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
		.plain = "68205472756e636174696f6e",
		.packet = "5465737420576974"
			  "68205472756e636174696f6e4c1a03424b55e07fe7f27be1",
	},
	{
		.name = "RFC 4868 2.7.2.1, AUTH256-2",
		.encr = ESP_RFC_NULL,
		.integ = {TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0},
		.key = "",
		.integ_key = "4a6566654a6566654a6566654a6566654a6566654a6566654a6566654a656665",
		.plain = "79612077616e7420666f72206e6f7468696e673f",
		.packet = "7768617420646f20"
			  "79612077616e7420666f72206e6f7468696e673f167f928588c5cc2eef8e3093"
			  "caa0e87c",
	},
	{
		.name = "RFC 4868 2.7.2.2, AUTH384-2",
		.encr = ESP_RFC_NULL,
		.integ = {TRANSFORM_INTEG, INTEG_HMAC_SHA2_384_192, 0},
		.key = "",
		.integ_key = "4a6566654a6566654a6566654a6566654a6566654a6566654a6566654a656665"
			     "4a6566654a6566654a6566654a656665",
		.plain = "79612077616e7420666f72206e6f7468696e673f",
		.packet = "7768617420646f20"
			  "79612077616e7420666f72206e6f7468696e673f2c7353974f1842fd66d53c45"
			  "2ca42122b28c0b594cfb184d",
	},
	{
		.name = "RFC 4868 2.7.2.3, AUTH512-2",
		.encr = ESP_RFC_NULL,
		.integ = {TRANSFORM_INTEG, INTEG_HMAC_SHA2_512_256, 0},
		.key = "",
		.integ_key = "4a6566654a6566654a6566654a6566654a6566654a6566654a6566654a656665"
			     "4a6566654a6566654a6566654a6566654a6566654a6566654a6566654a656665",
		.plain = "79612077616e7420666f72206e6f7468696e673f",
		.packet = "7768617420646f20"
			  "79612077616e7420666f72206e6f7468696e673fcb370917ae8a7ce28cfd1d8f"
			  "4705d6141c173b2a9362c15df235dfb251b15454",
	},
	{
		.name = "RFC 3566 4.6, case 3",
		.encr = ESP_RFC_NULL,
		.integ = ESP_RFC_XCBC,
		.key = "",
		.integ_key = ESP_RFC_XCBC_KEY,
		.plain = "08090a0b0c0d0e0f",
		.packet = "000102030405060708090a0b0c0d0e0f"
			  "d2a246fa349b68a79998a439",
	},
	{
		.name = "RFC 3566 4.6, case 4",
		.encr = ESP_RFC_NULL,
		.integ = ESP_RFC_XCBC,
		.key = "",
		.integ_key = ESP_RFC_XCBC_KEY,
		.plain = "08090a0b0c0d0e0f10111213",
		.packet = "000102030405060708090a0b0c0d0e0f10111213"
			  "47f51b4564966215b8985c63",
	},
	{
		.name = "RFC 3566 4.6, case 5",
		.encr = ESP_RFC_NULL,
		.integ = ESP_RFC_XCBC,
		.key = "",
		.integ_key = ESP_RFC_XCBC_KEY,
		.plain = "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		.packet = "0001020304050607"
			  "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1ff54f0ec8d2b9f3d3"
			  "6807734b",
	},
	{
		.name = "RFC 3566 4.6, case 7",
		.encr = ESP_RFC_NULL,
		.integ = ESP_RFC_XCBC,
		.key = "",
		.integ_key = ESP_RFC_XCBC_KEY,
		.plain = ESP_RFC_992_ZEROS,
		.packet = ESP_RFC_992_ZEROS "0000000000000000"
					    "f0dafee895db30253761103b",
	},
};
