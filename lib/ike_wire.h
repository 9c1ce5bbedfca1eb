// Numbers of IKE's wire format that more than the protocol core needs (RFC 7296 3.1, 3.2).
#pragma once

#define IKE_PORT	   500	// UDP
#define IKE_NATT_PORT	   4500 // with ESP (RFC 3948)
#define IKE_HEADER_LEN	   28	// bytes
#define IKE_PAYLOAD_LEN	   4	// bytes of a generic payload header
#define IKE_VERSION	   0x20 // major 2, minor 0
#define IKE_FLAG_INITIATOR 0x08
#define IKE_FLAG_RESPONSE  0x20

enum ike_exchange { // RFC 7296 3.1
	EXCHANGE_IKE_SA_INIT = 34,
	EXCHANGE_IKE_AUTH = 35,
	EXCHANGE_CREATE_CHILD_SA = 36,
	EXCHANGE_INFORMATIONAL = 37,
};

enum ike_payload_type { // RFC 7296 3.2
	PAYLOAD_NONE = 0,
	PAYLOAD_SA = 33,
	PAYLOAD_KE = 34,
	PAYLOAD_IDI = 35,
	PAYLOAD_IDR = 36,
	PAYLOAD_CERT = 37,
	PAYLOAD_CERTREQ = 38,
	PAYLOAD_AUTH = 39,
	PAYLOAD_NONCE = 40,
	PAYLOAD_NOTIFY = 41,
	PAYLOAD_DELETE = 42,
	PAYLOAD_VENDOR = 43,
	PAYLOAD_TSI = 44,
	PAYLOAD_TSR = 45,
	PAYLOAD_SK = 46,
	PAYLOAD_CP = 47,
	PAYLOAD_EAP = 48,
	PAYLOAD_SKF = 53, // RFC 7383 2.5
};
