// libFuzzer: a packet from whomever, for which an answer may be made.

#include <cstdlib>
#include <cstring>

#include "../../native/reply.h"

namespace {

uint32_t U16(const uint8_t* at) { return static_cast<uint32_t>(at[0] << 8 | at[1]); }

void Must(bool holds) {
  if (!holds) abort();
}

// Folded, the sum of a datagram with its checksum and of its pseudo header is all ones (RFC 1071).
bool ChecksumHolds(const uint8_t* addresses, size_t address_bytes, const uint8_t* udp, size_t length) {
  uint32_t sum = static_cast<uint32_t>(length) + 17;
  for (size_t i = 0; i < address_bytes; i += 2) sum += U16(addresses + i);
  for (size_t i = 0; i < length; i++) sum += i % 2 == 0 ? static_cast<uint32_t>(udp[i]) << 8 : udp[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum == 0xffff && U16(udp + 6) != 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The packet ends where the memory does: a byte further is a finding of AddressSanitizer.
  auto* query = static_cast<uint8_t*>(malloc(size + (size == 0)));
  if (size > 0) memcpy(query, data, size);
  uint8_t reply[kReplyMax];
  memset(reply, 0xaa, sizeof reply);
  const size_t length = WriteReply(query, size, reply);
  if (length > 0) {
    Must(length <= size && length <= kReplyMax);
    const bool v6 = query[0] >> 4 == 6;
    const size_t address_bytes = v6 ? 16 : 4, first = v6 ? 8 : 12, query_ip = v6 ? 40 : (query[0] & 15) * 4u;
    Must(reply[0] == (v6 ? 0x60 : 0x45));
    Must(memcmp(reply + first, query + first + address_bytes, address_bytes) == 0);
    Must(memcmp(reply + first + address_bytes, query + first, address_bytes) == 0);
    const uint8_t *asked = query + query_ip, *udp = reply + (v6 ? 40 : 20);
    const size_t udp_bytes = length - (v6 ? 40 : 20);
    Must(memcmp(udp, asked + 2, 2) == 0 && memcmp(udp + 2, asked, 2) == 0 && U16(udp + 4) == udp_bytes);
    Must(ChecksumHolds(reply + first, 2 * address_bytes, udp, udp_bytes));
    // Same ID; an answer, truncated, without an error; one question, no record but at most one OPT.
    Must(memcmp(udp + 8, asked + 8, 2) == 0);
    Must((U16(udp + 10) & 0xfeef) == 0x8200);
    Must(U16(udp + 12) == 1 && U16(udp + 14) == 0 && U16(udp + 16) == 0 && U16(udp + 18) <= 1);
  }
  free(query);
  return 0;
}
