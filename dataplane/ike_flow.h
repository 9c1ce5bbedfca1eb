// A receive queue for IKE on a NIC: RSS spreads over the queues before it, and rules of the NIC
// (rte_flow) send UDP 500 there, so that a flood of forged IKE has descriptors of its own.
//
// UDP 4500 stays with the others: it is mostly ESP, and no NIC is asked to look for the marker.
//
// Threads: control only, at start.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Has the driver rules at all, and a table of RSS that can leave a queue out? Before the device is
// configured, for a queue of that number.
bool ike_flow_offered(uint16_t id, uint16_t queue, uint16_t reta_size);
// Started, with `queue` its last queue: makes the rules. False: the NIC would not, and what comes
// to the queue, if anything does, is as on the others. *why is the driver's word for it.
bool ike_flow_start(uint16_t id, uint16_t queue, uint16_t reta_size, const char **why);
