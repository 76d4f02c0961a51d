#pragma once

#include <cstddef>
#include <cstdint>

// What an answer can take: headers of IPv6, UDP and DNS, the longest question, and an empty OPT record.
constexpr size_t kReplyMax = 40 + 8 + 12 + 255 + 4 + 11;

// Writes the answer "truncated, ask again over TCP" to the DNS query at `query`, which begins with its IP
// header: a whole IP packet with the addresses and ports swapped, the query's ID, opcode, RD and CD, its
// question, and an OPT record if it had one (RFC 6891, 6.1.1). No record more, so that it is never longer
// than the query: whoever forges the address of a victim gains nothing by us.
//
// Returns the length; 0 if this is no query that may be answered. Reads nothing beyond `length`.
size_t WriteReply(const uint8_t* query, size_t length, uint8_t (&reply)[kReplyMax]);
