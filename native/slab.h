#pragma once

#include <cstddef>
#include <cstdint>

// The memory that C++ and JavaScript share, one per queue socket. src/kernel/queue.ts has the same
// layout; all numbers are in host order. The slots that datagrams are received into follow the struct.

constexpr uint32_t kBatchMax = 64;

// Words of a packet's descriptor.
enum PacketWord : uint32_t {
  kId,            // in its queue, counting up from 1
  kOffset,        // of the packet's bytes, from the start of the slab
  kLength,        // of the packet's bytes here; 0 if the kernel's message was cut short
  kFullLength,    // of the packet itself
  kQueue,         // queue number
  kHook,          // NF_INET_*
  kFamily,        // AF_INET or AF_INET6
  kInInterface,   // index, 0 for none
  kMark,          // firewall mark
  kTimestamp,     // Unix ms, low 32 bits; 0 if the kernel took no time
  kOutInterface,  // index, 0 for none
  kPacketWords
};

// A verdict besides the kernel's NF_DROP (0) and NF_ACCEPT (1): drop the DNS query, and answer that it be
// asked again over TCP.
constexpr uint8_t kSlip = 2;

// QUEUE_COUNTERS in src/kernel/queue.ts says what each counts.
enum Counter : uint32_t {
  kBatches,
  kPackets,
  kEnobufs,
  kInterrupted,
  kReceiveErrors,
  kTruncated,
  kMalformed,
  kVerdictErrors,
  kVerdictRetries,
  kVerdictsLost,
  kCallbackErrors,
  kReplies,
  kRepliesUnmade,
  kRepliesForbidden,
  kReplyErrors,
  kCounters
};

struct alignas(64) Slab {
  double now_ms;                               // CLOCK_MONOTONIC when this batch was received
  double previous_us;                          // from then to its verdicts sent, of the batch before
  double counters[kCounters];                  // since the queue was opened
  uint32_t packets[kBatchMax * kPacketWords];  // descriptors
  uint8_t verdicts[kBatchMax];                 // NF_DROP, kSlip or, anything else, NF_ACCEPT
};

// Room beside the packet's bytes: netlink and nfnetlink headers and the attributes that the kernel sends
// unasked come to about 200 bytes (nfqnl_build_packet_message).
constexpr size_t kSlotOverhead = 320;

constexpr size_t SlotBytes(size_t copy_bytes) { return (copy_bytes + kSlotOverhead + 63) / 64 * 64; }

constexpr size_t SlabBytes(size_t copy_bytes) { return sizeof(Slab) + kBatchMax * SlotBytes(copy_bytes); }
