// Notify message types (RFC 7296 3.10.1) that we send or understand.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum ike_notify_type {
	N_UNSUPPORTED_CRITICAL_PAYLOAD = 1,
	N_INVALID_IKE_SPI = 4,
	N_INVALID_MAJOR_VERSION = 5,
	N_INVALID_SYNTAX = 7,
	N_INVALID_MESSAGE_ID = 9,
	N_INVALID_SPI = 11,
	N_NO_PROPOSAL_CHOSEN = 14,
	N_INVALID_KE_PAYLOAD = 17,
	N_AUTHENTICATION_FAILED = 24,
	N_SINGLE_PAIR_REQUIRED = 34,
	N_NO_ADDITIONAL_SAS = 35,
	N_INTERNAL_ADDRESS_FAILURE = 36,
	N_FAILED_CP_REQUIRED = 37,
	N_TS_UNACCEPTABLE = 38,
	N_INVALID_SELECTORS = 39,
	N_TEMPORARY_FAILURE = 43,
	N_CHILD_SA_NOT_FOUND = 44,
	N_STATUS = 16384, // from here on nothing is an error
	N_INITIAL_CONTACT = 16384,
	N_NAT_DETECTION_SOURCE_IP = 16388,
	N_NAT_DETECTION_DESTINATION_IP = 16389,
	N_COOKIE = 16390,
	N_CHILDLESS_IKEV2_SUPPORTED = 16418, // RFC 6023
	N_SIGNATURE_HASH_ALGORITHMS = 16431, // RFC 7427
};

// "NO_PROPOSAL_CHOSEN", or "error"/"status" with the number for one that we do not know; buf is
// used for that.
#define NOTIFY_TEXT_MAX 40
const char *notify_name(uint16_t type, char *buf, size_t size);
