// What the harness of a benchmark and the devices of a gateway under test share.
//
// bench_device.so is preloaded (LD_PRELOAD) into an unmodified program of DPDK: port500d, testpmd,
// ipsec-secgw. Behind each of its net_null ports it puts a source and a sink, in the thread that
// polls the port: no second CPU, no copy by a kernel, and the same for every program. The files
// that PORT500_BENCH names a prefix for:
//
//   PREFIX.ctl        struct bench_ctl, mapped by both sides
//   PREFIX.N.play     struct bench_packets: what port N receives
//   PREFIX.N.record   the same: where the ESP that port N sends can be kept
//   PREFIX.N.in, .out struct bench_wire: everything but ESP, such as ARP and IKE, between two
//   gateways
//
// All but .ctl may be missing. test/bench/bench_device.py has the same layouts.
//
// Threads:   the harness writes `ask`, the thread that polls the ports everything else. One thread
//            polls all ports of a program.
// Ownership: the harness makes the files, and their size, before the program starts.
// Errors:    of the preloaded side end the program with a sentence: no part of the product.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define BENCH_PORTS	   2
#define BENCH_PACKETS_MAX  (1u << 20)
#define BENCH_BYTES_MAX	   (256u << 20)
#define BENCH_WIRE_SLOTS   256
#define BENCH_WIRE_LEN	   2040
#define BENCH_QUEUE	   1024 // packets that a paced source holds, as a NIC's queue does
#define BENCH_HISTOGRAM	   2048 // 32 steps for each doubling of a time in TSC cycles
#define BENCH_HISTOGRAM_LG 5

// Packets one after the other, each at a multiple of 64 bytes.
struct bench_packets {
	_Atomic uint32_t n;
	uint32_t pad[15];
	uint32_t at[BENCH_PACKETS_MAX]; // in units of 64 bytes of `data`
	uint16_t len[BENCH_PACKETS_MAX];
	uint8_t data[BENCH_BYTES_MAX];
};

struct bench_wire {
	_Atomic uint32_t head; // written so far
	uint32_t pad1[15];
	_Atomic uint32_t tail; // read so far
	uint32_t pad2[15];
	struct {
		uint32_t pad, len;
		uint8_t data[BENCH_WIRE_LEN];
	} slot[BENCH_WIRE_SLOTS];
};

enum bench_source {
	BENCH_NONE,
	BENCH_LOOP,  // over and over, as many as are asked for
	BENCH_ONCE,  // from the first to the last
	BENCH_PACED, // over and over, each at its time; `pace` apart
};

// Written together: all of them at one moment of the polling thread.
struct bench_stamp {
	uint64_t tsc, cpu_ns; // of the thread that polls
	uint64_t rx[BENCH_PORTS], tx[BENCH_PORTS], tx_bytes[BENCH_PORTS];
	uint64_t missed;   // by a paced source, whose queue was full
	uint64_t no_mbufs; // for packets that a source had
};

struct bench_ctl {
	struct {
		_Atomic uint32_t turn; // changes with each request; written last
		uint32_t source[BENCH_PORTS];
		uint32_t record; // ports whose ESP is kept, as bits
		uint64_t pace;	 // 2^-16 TSC cycles between two packets
	} ask;
	uint32_t pad[8];
	_Atomic uint32_t turn; // the request that is carried out
	_Atomic uint32_t done; // every source of it is at its end, and what it gave was worked on
	uint64_t tsc_hz;
	uint32_t tid; // of the thread that polls
	uint32_t pad2;
	_Atomic uint32_t version; // of `now`; odd: being written
	uint32_t pad3;
	struct bench_stamp begin; // of the request
	struct bench_stamp now;
	// Of a paced source: from a packet's time to when it was sent.
	uint64_t took[BENCH_HISTOGRAM];
};
