/* Puts packets on the wire by AF_PACKET, as fast as it takes them or at a rate, from random sources in
 * 100.64.0.0/10 (RFC 6598), 256 to a /24; over IPv6 in 2001:db8:f000::/36, each a /64, 256 to a /48.
 * Usage: flood INTERFACE DESTINATION-MAC DESTINATION KIND SOURCES PACKETS|SECONDSs RATE
 * KIND is syn to port 22, or a query to port 53: dns the same for a name each time; ptr and ptr-walk for the
 * names of 198.18.0.0/16, at random or one after the other; ip6-walk down and along the tree of names below
 * 2001:db8:1::/48. RATE is in packets a second, 0 for no limit. Prints the packets sent and the nanoseconds
 * that it took. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, FRAME_MAX = 192, HEADER = 12 };

static const uint32_t first_source = 0x64400000;
static const uint32_t first_site = 0xf000;

enum kind { SYN, DNS, PTR, PTR_WALK, IP6_WALK };
static const char* const kinds[] = {"syn", "dns", "ptr", "ptr-walk", "ip6-walk"};

/* Recursion desired, one question. */
static const uint8_t query_header[HEADER] = {0x12, 0x34, 1, 0, 0, 1};

static int is_ipv6;
static size_t ip_bytes;

static uint8_t frames[BATCH][FRAME_MAX];
static struct mmsghdr messages[BATCH];
static struct iovec vectors[BATCH];

static void* network_header(uint8_t* frame) { return frame + sizeof(struct ethhdr); }
static void* transport_header(uint8_t* frame) { return frame + sizeof(struct ethhdr) + ip_bytes; }

/* RFC 1071: the words of `data`, on top of what is summed up already. Behind an odd end is a zero. */
static uint32_t sum_words(const void* data, int bytes, uint32_t sum) {
  const uint16_t* words = data;
  for (int i = 0; i < (bytes + 1) / 2; i++) sum += words[i];
  return sum;
}

static uint16_t checksum(const void* data, int bytes, uint32_t sum) {
  sum = sum_words(data, bytes, sum);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static uint8_t* label(uint8_t* at, const char* text) {
  size_t length = strlen(text);
  *at++ = (uint8_t)length;
  memcpy(at, text, length);
  return at + length;
}

/* The names of 198.18.0.0/16. */
static uint8_t* reverse_name(uint8_t* at, uint32_t host) {
  char text[4];
  for (int shift = 0; shift < 16; shift += 8) {
    snprintf(text, sizeof text, "%u", host >> shift & 255);
    at = label(at, text);
  }
  return label(label(label(label(at, "18"), "198"), "in-addr"), "arpa");
}

/* Of 1 to 20 nibbles below 2001:db8:1::/48: all depths in turn, as a walk that follows each branch to its
 * end. */
static uint8_t* reverse6_name(uint8_t* at, uint32_t step) {
  int depth = 1 + (int)(step % 20);
  uint32_t branch = step / 20;
  for (int i = depth - 1; i >= 0; i--) {
    *at++ = 1;
    *at++ = (uint8_t) "0123456789abcdef"[branch >> (i % 8 * 4) & 15];
  }
  for (const char* nibble = "10008bd01002"; *nibble; nibble++) *at++ = 1, *at++ = (uint8_t)*nibble;
  return label(label(at, "ip6"), "arpa");
}

/* Writes the lengths of what is behind the network header. */
static void set_length(uint8_t* frame, size_t bytes) {
  if (is_ipv6)
    ((struct ip6_hdr*)network_header(frame))->ip6_plen = htons((uint16_t)bytes);
  else
    ((struct iphdr*)network_header(frame))->tot_len = htons((uint16_t)(sizeof(struct iphdr) + bytes));
}

/* Writes a query into the frame, whose headers are there already. Returns the bytes of UDP. */
static size_t ask(uint8_t* frame, enum kind kind, uint32_t random, uint32_t step) {
  struct udphdr* udp = transport_header(frame);
  uint8_t *payload = (uint8_t*)(udp + 1), *at = payload + HEADER;
  memcpy(payload, query_header, HEADER);
  uint8_t type = kind == DNS ? 1 : 12;
  if (kind == DNS) at = label(label(at, "example"), "com");
  if (kind == PTR) at = reverse_name(at, random >> 8);
  if (kind == PTR_WALK) at = reverse_name(at, step);
  if (kind == IP6_WALK) at = reverse6_name(at, step);
  memcpy(at, (uint8_t[]){0, 0, type, 0, 1, 0}, 6);
  size_t bytes = sizeof *udp + (size_t)(at + 5 - payload);
  udp->len = htons((uint16_t)bytes);
  set_length(frame, bytes);
  return bytes;
}

/* Returns the bytes behind the network header. */
static size_t prepare(uint8_t* frame, const char* mac_text, const char* to, enum kind kind) {
  struct ethhdr* ethernet = (struct ethhdr*)frame;
  unsigned char* mac = ethernet->h_dest;
  sscanf(mac_text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5);
  ethernet->h_source[0] = 2;
  ethernet->h_proto = htons(is_ipv6 ? ETH_P_IPV6 : ETH_P_IP);
  uint8_t protocol = kind == SYN ? IPPROTO_TCP : IPPROTO_UDP;
  if (is_ipv6) {
    struct ip6_hdr* ip = network_header(frame);
    ip->ip6_flow = htonl(6u << 28);
    ip->ip6_nxt = protocol;
    ip->ip6_hlim = 64;
    inet_pton(AF_INET6, to, &ip->ip6_dst);
  } else {
    struct iphdr* ip = network_header(frame);
    *ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = protocol};
    ip->daddr = inet_addr(to);
  }
  if (kind == SYN) {
    struct tcphdr* tcp = transport_header(frame);
    *tcp = (struct tcphdr){.dest = htons(22), .doff = 5, .syn = 1, .window = htons(1024)};
    set_length(frame, sizeof *tcp);
    return sizeof *tcp;
  }
  struct udphdr* udp = transport_header(frame);
  *udp = (struct udphdr){.dest = htons(53)};
  return ask(frame, kind, 0, 0);
}

/* The sum of the pseudo header: both addresses, the protocol and the length (RFC 9293, 3.1; RFC 8200, 8.1).
 */
static uint32_t pseudo_header(uint8_t* frame, uint8_t protocol, size_t bytes) {
  uint32_t sum = htons(protocol) + htons((uint16_t)bytes);
  if (is_ipv6) return sum_words(&((struct ip6_hdr*)network_header(frame))->ip6_src, 32, sum);
  return sum_words(&((struct iphdr*)network_header(frame))->saddr, 8, sum);
}

/* Another source address and port; `bytes` are those behind the network header. */
static void randomize(uint8_t* frame, enum kind kind, uint32_t random, uint32_t sources, size_t bytes) {
  uint32_t source = random % sources;
  if (is_ipv6) {
    struct in6_addr from = {.s6_addr = {0x20, 1, 0x0d, 0xb8, [15] = 1}};
    uint16_t site = htons((uint16_t)(first_site + (source >> 8))), subnet = htons(source & 255);
    memcpy(&from.s6_addr[4], &site, 2);
    memcpy(&from.s6_addr[6], &subnet, 2);
    ((struct ip6_hdr*)network_header(frame))->ip6_src = from;
  } else {
    struct iphdr* ip = network_header(frame);
    ip->saddr = htonl(first_source + source);
    ip->check = 0;
    ip->check = checksum(ip, sizeof *ip, 0);
  }
  uint16_t port = htons((uint16_t)(1024 + (random >> 16) % 60000));
  if (kind != SYN) {
    struct udphdr* udp = transport_header(frame);
    udp->source = port;
    udp->check = 0;
    /* A checksum of 0 says that there is none (RFC 768), which IPv6 does not know. */
    if (is_ipv6) udp->check = checksum(udp, (int)bytes, pseudo_header(frame, IPPROTO_UDP, bytes));
    return;
  }
  struct tcphdr* tcp = transport_header(frame);
  tcp->source = port;
  tcp->seq = random;
  /* Conntrack takes a packet with a wrong checksum for invalid: it would not be queued. */
  tcp->check = 0;
  tcp->check = checksum(tcp, (int)bytes, pseudo_header(frame, IPPROTO_TCP, bytes));
}

int main(int argc, char** argv) {
  if (argc != 8) return 64;
  int fd = socket(AF_PACKET, SOCK_RAW, 0), on = 1;
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1])};
  if (fd < 0 || bind(fd, (struct sockaddr*)&to, sizeof to) < 0) return perror("AF_PACKET"), 1;
  setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);

  enum kind kind = SYN;
  while (kind <= IP6_WALK && strcmp(argv[4], kinds[kind]) != 0) kind++;
  if (kind > IP6_WALK) return 64;
  /* Another sequence in each run, or sluice would take it for retransmissions. Never 0. */
  uint32_t sources = (uint32_t)atol(argv[5]), random = (uint32_t)now() | 1;
  int is_timed = argv[6][strlen(argv[6]) - 1] == 's';
  int64_t packets = is_timed ? INT64_MAX : atol(argv[6]);
  double rate = atof(argv[7]);
  is_ipv6 = strchr(argv[3], ':') != NULL;
  ip_bytes = is_ipv6 ? sizeof(struct ip6_hdr) : sizeof(struct iphdr);
  size_t before = sizeof(struct ethhdr) + ip_bytes, bytes = 0;
  for (int i = 0; i < BATCH; i++) {
    bytes = prepare(frames[i], argv[2], argv[3], kind);
    vectors[i] = (struct iovec){frames[i], before + bytes};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  }

  int64_t start = now(), sent = 0;
  int64_t end = is_timed ? start + (int64_t)(atof(argv[6]) * 1e9) : INT64_MAX;
  while (sent < packets && now() < end) {
    if (rate > 0 && (double)sent > (double)(now() - start) * rate / 1e9) {
      /* Sleep, so that a flood below what the machine takes leaves it its CPU. */
      nanosleep(&(struct timespec){0, 50000}, NULL);
      continue;
    }
    int count = packets - sent < BATCH ? (int)(packets - sent) : BATCH;
    for (int i = 0; i < count; i++) {
      random ^= random << 13, random ^= random >> 17, random ^= random << 5;
      if (kind > DNS) {
        bytes = ask(frames[i], kind, random, (uint32_t)sent + (uint32_t)i);
        vectors[i].iov_len = before + bytes;
      }
      randomize(frames[i], kind, random, sources, bytes);
    }
    int done = sendmmsg(fd, messages, (unsigned)count, 0);
    if (done < 0 && errno != ENOBUFS) return perror("sendmmsg"), 1;
    if (done > 0) sent += done;
  }
  printf("%ld %ld\n", (long)sent, (long)(now() - start));
  return 0;
}
