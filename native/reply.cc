#include "reply.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace {

constexpr size_t kUdpBytes = 8;
constexpr size_t kDnsBytes = 12;
constexpr size_t kOptBytes = 11;
constexpr size_t kLongestName = 255;  // RFC 1035, 2.3.4

// What fits everywhere without fragments (the DNS flag day of 2020).
constexpr uint16_t kUdpPayload = 1232;

constexpr uint16_t kResponse = 0x8000, kOpcode = 0x7800, kTruncated = 0x0200, kRecursion = 0x0100,
                   kCheckingDisabled = 0x0010;
constexpr uint16_t kTypeOpt = 41;

uint16_t U16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

void PutU16(uint8_t* at, size_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

struct Span {
  const uint8_t* at;
  size_t length;
};

// The headers of a datagram, and what it carries.
struct Datagram {
  bool v6;
  const uint8_t* source;
  const uint8_t* destination;
  const uint8_t* udp;
  Span payload;
};

// An address that one host can have, as far as that can be told by looking at it.
bool IsUnicast4(const uint8_t* address) { return address[0] != 0 && address[0] != 127 && address[0] < 224; }

bool IsUnicast6(const uint8_t* address) {
  // ::/8 holds the unspecified, loopback and mapped addresses, ff00::/8 multicast.
  return address[0] != 0 && address[0] != 0xff;
}

// Services that answer whatever comes, and would answer us (BIND refuses the same: ns_client_dropport).
bool IsEchoing(uint16_t port) {
  return port == 0 || port == 7 || port == 13 || port == 19 || port == 37 || port == 464;
}

bool ReadUdp(Span packet, size_t header_bytes, Datagram* datagram) {
  if (packet.length < header_bytes + kUdpBytes) return false;
  datagram->udp = packet.at + header_bytes;
  const size_t udp_length = U16(datagram->udp + 4);
  if (udp_length < kUdpBytes || IsEchoing(U16(datagram->udp))) return false;
  const size_t there = packet.length - header_bytes;
  datagram->payload = {datagram->udp + kUdpBytes, std::min(udp_length, there) - kUdpBytes};
  return true;
}

// Fragments are refused: a query is never one.
bool ReadIp(Span packet, Datagram* datagram) {
  const uint8_t* at = packet.at;
  if (packet.length >= 20 && at[0] >> 4 == 4) {
    const size_t header_bytes = size_t{at[0] & 15u} * 4, total = U16(at + 2);
    if (header_bytes < 20 || total < header_bytes || at[9] != IPPROTO_UDP || (U16(at + 6) & 0x3fff) != 0)
      return false;
    *datagram = {false, at + 12, at + 16, nullptr, {}};
    if (!IsUnicast4(datagram->source) || !IsUnicast4(datagram->destination)) return false;
    return ReadUdp({at, std::min(packet.length, total)}, header_bytes, datagram);
  }
  if (packet.length >= 40 && at[0] >> 4 == 6) {
    // No resolver puts extension headers in front of a query.
    if (at[6] != IPPROTO_UDP) return false;
    *datagram = {true, at + 8, at + 24, nullptr, {}};
    if (!IsUnicast6(datagram->source) || !IsUnicast6(datagram->destination)) return false;
    return ReadUdp({at, std::min<size_t>(packet.length, 40 + U16(at + 4))}, 40, datagram);
  }
  return false;
}

// Bytes of the only question behind the header; 0 if it is none, or not all there.
size_t QuestionBytes(Span dns) {
  size_t at = kDnsBytes;
  while (at < dns.length && at - kDnsBytes < kLongestName) {
    const size_t label = dns.at[at];
    // From 64 on it is no label: a query has nothing before its name that a pointer could lead to.
    if (label > 63) return 0;
    at += 1 + label;
    if (label == 0) return at - kDnsBytes <= kLongestName && at + 4 <= dns.length ? at + 4 - kDnsBytes : 0;
  }
  return 0;
}

// Writes the DNS message; returns its length, 0 if `query` cannot be answered.
size_t WriteDns(Span query, uint8_t* reply) {
  if (query.length < kDnsBytes) return 0;
  const uint16_t flags = U16(query.at + 2), additional = U16(query.at + 10);
  // One question, no answers, and of the opcodes only QUERY (0): the others may not be truncated.
  if ((flags & (kResponse | kOpcode)) != 0 || U16(query.at + 4) != 1) return 0;
  if (U16(query.at + 6) != 0 || U16(query.at + 8) != 0) return 0;
  const size_t question = QuestionBytes(query);
  if (question == 0) return 0;

  const uint8_t* opt = query.at + kDnsBytes + question;
  const size_t left = query.length - kDnsBytes - question;
  // With a record that was cut off we cannot know whether it was an OPT.
  if (additional > 0 && left < kOptBytes) return 0;
  const bool has_opt = additional > 0 && opt[0] == 0 && U16(opt + 1) == kTypeOpt;

  memcpy(reply, query.at, kDnsBytes + question);
  PutU16(reply + 2, kResponse | kTruncated | (flags & (kRecursion | kCheckingDisabled)));
  PutU16(reply + 10, has_opt ? 1 : 0);
  const size_t length = kDnsBytes + question;
  if (!has_opt) return length;
  uint8_t* echo = reply + length;
  memset(echo, 0, kOptBytes);
  PutU16(echo + 1, kTypeOpt);
  PutU16(echo + 3, kUdpPayload);
  echo[7] = opt[7] & 0x80;  // DO (RFC 3225, 3)
  return length + kOptBytes;
}

uint32_t Sum(const uint8_t* at, size_t length, uint32_t sum) {
  for (size_t i = 0; i + 1 < length; i += 2) sum += U16(at + i);
  return length % 2 == 0 ? sum : sum + (uint32_t{at[length - 1]} << 8);
}

// The checksum of a UDP datagram between two addresses that lie one behind the other.
uint16_t UdpChecksum(const uint8_t* addresses, size_t bytes, const uint8_t* udp, size_t length) {
  uint32_t sum = Sum(udp, length, Sum(addresses, bytes, static_cast<uint32_t>(length) + IPPROTO_UDP));
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  // 0 would mean that there is none (RFC 768).
  return sum == 0xffff ? 0xffff : static_cast<uint16_t>(~sum);
}

}  // namespace

size_t WriteReply(const uint8_t* query, size_t length, uint8_t (&reply)[kReplyMax]) {
  Datagram datagram;
  if (!ReadIp({query, length}, &datagram)) return 0;
  const size_t ip_bytes = datagram.v6 ? 40 : 20, address_bytes = datagram.v6 ? 16 : 4;
  uint8_t* udp = reply + ip_bytes;
  const size_t dns_bytes = WriteDns(datagram.payload, udp + kUdpBytes);
  if (dns_bytes == 0) return 0;
  const size_t udp_bytes = kUdpBytes + dns_bytes;

  memset(reply, 0, ip_bytes);
  if (datagram.v6) {
    reply[0] = 0x60;
    PutU16(reply + 4, udp_bytes);
    reply[6] = IPPROTO_UDP;
    reply[7] = 64;
  } else {
    // The kernel fills in the identification and the checksum (raw(7)).
    reply[0] = 0x45;
    PutU16(reply + 2, ip_bytes + udp_bytes);
    reply[8] = 64;
    reply[9] = IPPROTO_UDP;
  }
  uint8_t* addresses = reply + (datagram.v6 ? 8 : 12);
  memcpy(addresses, datagram.destination, address_bytes);
  memcpy(addresses + address_bytes, datagram.source, address_bytes);
  memcpy(udp, datagram.udp + 2, 2);
  memcpy(udp + 2, datagram.udp, 2);
  PutU16(udp + 4, udp_bytes);
  PutU16(udp + 6, 0);
  PutU16(udp + 6, UdpChecksum(addresses, 2 * address_bytes, udp, udp_bytes));
  return ip_bytes + udp_bytes;
}
