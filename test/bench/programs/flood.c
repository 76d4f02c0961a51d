/* Puts packets on the wire by AF_PACKET, as fast as it takes them or at a rate, from random sources in
 * 100.64.0.0/10 (RFC 6598), 256 to a /24.
 * Usage: flood INTERFACE DESTINATION-MAC DESTINATION-IPV4 KIND SOURCES PACKETS|SECONDSs RATE
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

enum kind { SYN, DNS, PTR, PTR_WALK, IP6_WALK };
static const char *const kinds[] = {"syn", "dns", "ptr", "ptr-walk", "ip6-walk"};

/* Recursion desired, one question. */
static const uint8_t query_header[HEADER] = {0x12, 0x34, 1, 0, 0, 1};

struct frame {
  struct ethhdr ethernet;
  struct iphdr ip;
  union {
    struct tcphdr tcp;
    struct udphdr udp;
  };
} __attribute__((packed));

static uint8_t frames[BATCH][FRAME_MAX];
static struct mmsghdr messages[BATCH];
static struct iovec vectors[BATCH];

/* RFC 1071, on top of what is summed up already. */
static uint16_t checksum(const void *data, int bytes, uint32_t sum) {
  const uint16_t *words = data;
  for (int i = 0; i < bytes / 2; i++) sum += words[i];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static uint8_t *label(uint8_t *at, const char *text) {
  size_t length = strlen(text);
  *at++ = (uint8_t)length;
  memcpy(at, text, length);
  return at + length;
}

/* The names of 198.18.0.0/16. */
static uint8_t *reverse_name(uint8_t *at, uint32_t host) {
  char text[4];
  for (int shift = 0; shift < 16; shift += 8) {
    snprintf(text, sizeof text, "%u", host >> shift & 255);
    at = label(at, text);
  }
  return label(label(label(label(at, "18"), "198"), "in-addr"), "arpa");
}

/* Of 1 to 20 nibbles below 2001:db8:1::/48: all depths in turn, as a walk that follows each branch to its
 * end. */
static uint8_t *reverse6_name(uint8_t *at, uint32_t step) {
  int depth = 1 + (int)(step % 20);
  uint32_t branch = step / 20;
  for (int i = depth - 1; i >= 0; i--) {
    *at++ = 1;
    *at++ = (uint8_t)"0123456789abcdef"[branch >> (i % 8 * 4) & 15];
  }
  for (const char *nibble = "10008bd01002"; *nibble; nibble++) *at++ = 1, *at++ = (uint8_t)*nibble;
  return label(label(at, "ip6"), "arpa");
}

/* Writes a query into the frame, whose headers are there already. */
static void ask(struct frame *f, enum kind kind, uint32_t random, uint32_t step) {
  uint8_t *payload = (uint8_t *)(&f->udp + 1), *at = payload + HEADER;
  memcpy(payload, query_header, HEADER);
  uint8_t type = kind == DNS ? 1 : 12;
  if (kind == DNS) at = label(label(at, "example"), "com");
  if (kind == PTR) at = reverse_name(at, random >> 8);
  if (kind == PTR_WALK) at = reverse_name(at, step);
  if (kind == IP6_WALK) at = reverse6_name(at, step);
  memcpy(at, (uint8_t[]){0, 0, type, 0, 1}, 5);
  uint16_t bytes = (uint16_t)(sizeof f->udp + (size_t)(at + 5 - payload));
  f->udp.len = htons(bytes);
  f->ip.tot_len = htons((uint16_t)(20 + bytes));
}

static void prepare(struct frame *f, const char *mac_text, const char *to, enum kind kind) {
  unsigned char *mac = f->ethernet.h_dest;
  sscanf(mac_text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5);
  f->ethernet.h_source[0] = 2;
  f->ethernet.h_proto = htons(ETH_P_IP);
  f->ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = kind == SYN ? 6 : 17};
  f->ip.daddr = inet_addr(to);
  if (kind == SYN) {
    f->ip.tot_len = htons(40);
    f->tcp = (struct tcphdr){.dest = htons(22), .doff = 5, .syn = 1, .window = htons(1024)};
  } else {
    /* A checksum of 0 says that there is none (RFC 768). */
    f->udp = (struct udphdr){.dest = htons(53)};
    ask(f, kind, 0, 0);
  }
}

static void randomize(struct frame *f, uint32_t random, uint32_t sources) {
  f->ip.saddr = htonl(first_source + random % sources);
  f->ip.check = 0;
  f->ip.check = checksum(&f->ip, 20, 0);
  uint16_t port = htons((uint16_t)(1024 + (random >> 16) % 60000));
  if (f->ip.protocol == 17) {
    f->udp.source = port;
    return;
  }
  f->tcp.source = port;
  f->tcp.seq = random;
  /* Conntrack takes a packet with a wrong checksum for invalid: it would not be queued. The pseudo header
   * is the two addresses, the protocol and the length. */
  uint32_t pseudo = htons(6) + htons(20);
  f->tcp.check = 0;
  f->tcp.check = checksum(&f->tcp, 20, (uint16_t)~checksum(&f->ip.saddr, 8, pseudo));
}

int main(int argc, char **argv) {
  if (argc != 8) return 64;
  int fd = socket(AF_PACKET, SOCK_RAW, 0), on = 1;
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1])};
  if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0) return perror("AF_PACKET"), 1;
  setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);

  enum kind kind = SYN;
  while (kind <= IP6_WALK && strcmp(argv[4], kinds[kind]) != 0) kind++;
  if (kind > IP6_WALK) return 64;
  /* Another sequence in each run, or sluice would take it for retransmissions. Never 0. */
  uint32_t sources = (uint32_t)atol(argv[5]), random = (uint32_t)now() | 1;
  int is_timed = argv[6][strlen(argv[6]) - 1] == 's';
  int64_t packets = is_timed ? INT64_MAX : atol(argv[6]);
  double rate = atof(argv[7]);
  for (int i = 0; i < BATCH; i++) {
    struct frame *f = (struct frame *)frames[i];
    prepare(f, argv[2], argv[3], kind);
    vectors[i] = (struct iovec){f, sizeof f->ethernet + ntohs(f->ip.tot_len)};
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
      struct frame *f = (struct frame *)frames[i];
      if (kind > DNS) {
        ask(f, kind, random, (uint32_t)sent + (uint32_t)i);
        vectors[i].iov_len = sizeof f->ethernet + ntohs(f->ip.tot_len);
      }
      randomize(f, random, sources);
    }
    int done = sendmmsg(fd, messages, (unsigned)count, 0);
    if (done < 0 && errno != ENOBUFS) return perror("sendmmsg"), 1;
    if (done > 0) sent += done;
  }
  printf("%ld %ld\n", (long)sent, (long)(now() - start));
  return 0;
}
