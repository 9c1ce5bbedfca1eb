// What the RFCs print for the transforms of ESP, as packets from the SPI to the ICV.
//
// `plain` is what is encrypted, trailer included where the RFC has one. RFCs about one cipher print
// no ICV (`without_icv`) and some of them no SPI either, which is then zero. The MACs of RFC 2202,
// RFC 4868 and RFC 3566 are packets with NULL encryption: their data begins with what stands for
// SPI and sequence number. Every text is hexadecimal.
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
#define ESP_RFC_SINGLE	 "53696e676c6520626c6f636b206d7367" // "Single block msg"
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
};
