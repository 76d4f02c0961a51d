#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "record.h"

// What tells a TCP connection from all others that conntrack has now: its original direction, as the client
// sees it. JavaScript keeps it, at most 64 bytes, and hands it back to ask for the connection again.
struct FlowTuple {
  uint8_t source[16];       // network order; IPv4 in the first four bytes
  uint8_t destination[16];  // before any DNAT
  uint16_t source_port;
  uint16_t destination_port;
  uint16_t zone;   // CTA_ZONE; 0 for none
  uint8_t family;  // AF_INET or AF_INET6
  uint8_t unused;
};

static_assert(sizeof(FlowTuple) == 40);

// A TCP connection as conntrack knows it, on its way to JavaScript; src/kernel/flows.ts has the same layout.
// All numbers are in host order.
struct Flow {
  FlowTuple tuple;
  uint32_t id;        // CTA_ID
  uint8_t state;      // enum tcp_conntrack; 0 if the message did not say
  uint8_t destroyed;  // 1: the kernel has forgotten it, and these are its last numbers
  uint16_t unused;
  double start_ms;  // Unix time; 0 without nf_conntrack_timestamp
  double stop_ms;   // when it was destroyed; 0 if it is not
  double to_server_packets;
  double to_server_bytes;
  double to_client_packets;
  double to_client_bytes;
};

static_assert(sizeof(Flow) == 96);

// Reads an IPCTNL_MSG_CT_NEW or _DELETE; false unless it tells of an assured TCP flow and names both its
// ends.
bool ReadFlow(const nlmsghdr* message, Flow* flow);

// Bit n % 8 of byte n / 8 stands for destination port n.
constexpr size_t kPortSetBytes = 65536 / 8;

// Every assured TCP flow of both families to a port of `ports`, a port set.
Answer<std::vector<Flow>> AssuredFlows(const std::vector<uint8_t>& ports);

// Those of `tuples` that conntrack still has and that are assured, in their order. The kernel looks at
// nothing else, while each pass over its table takes a lock for each bucket.
Answer<std::vector<Flow>> FlowsOf(const std::vector<FlowTuple>& tuples);

// Writes the request for one flow; null if `tuple` is of no family.
constexpr size_t kFlowRequestMax = 128;
nlmsghdr* PutFlowRequest(const FlowTuple& tuple, uint32_t seq, uint8_t* buffer);
