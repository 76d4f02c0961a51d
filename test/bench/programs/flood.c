/* Puts packets on the wire by AF_PACKET, as fast as it takes them or at a rate, from random sources in
 * 100.64.0.0/10 (RFC 6598), 256 to a /24.
 * Usage: flood INTERFACE DESTINATION-MAC DESTINATION-IPV4 syn|dns SOURCES PACKETS|SECONDSs RATE
 * RATE is in packets a second, 0 for no limit. Prints the packets sent and the nanoseconds that it took. */
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

enum { BATCH = 64, FRAME_MAX = 128 };

static const uint32_t first_source = 0x64400000;

/* Header with recursion desired and one question: example.com, type A. */
static const uint8_t query[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07"
                               "example\x03"
                               "com\x00\x00\x01\x00\x01";

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

static void prepare(struct frame *f, const char *mac_text, const char *to, int is_tcp) {
  unsigned char *mac = f->ethernet.h_dest;
  sscanf(mac_text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5);
  f->ethernet.h_source[0] = 2;
  f->ethernet.h_proto = htons(ETH_P_IP);
  int body = is_tcp ? (int)sizeof f->tcp : (int)(sizeof f->udp + sizeof query - 1);
  f->ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = is_tcp ? 6 : 17};
  f->ip.tot_len = htons((uint16_t)(20 + body));
  f->ip.daddr = inet_addr(to);
  if (is_tcp) {
    f->tcp = (struct tcphdr){.dest = htons(22), .doff = 5, .syn = 1, .window = htons(1024)};
  } else {
    /* A checksum of 0 says that there is none (RFC 768). */
    f->udp = (struct udphdr){.dest = htons(53), .len = htons((uint16_t)body)};
    memcpy(&f->udp + 1, query, sizeof query - 1);
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

  int is_tcp = strcmp(argv[4], "syn") == 0;
  /* Another sequence in each run, or sluice would take it for retransmissions. Never 0. */
  uint32_t sources = (uint32_t)atol(argv[5]), random = (uint32_t)now() | 1;
  int is_timed = argv[6][strlen(argv[6]) - 1] == 's';
  int64_t packets = is_timed ? INT64_MAX : atol(argv[6]);
  double rate = atof(argv[7]);
  for (int i = 0; i < BATCH; i++) {
    struct frame *f = (struct frame *)frames[i];
    prepare(f, argv[2], argv[3], is_tcp);
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
      randomize((struct frame *)frames[i], random, sources);
    }
    int done = sendmmsg(fd, messages, (unsigned)count, 0);
    if (done < 0 && errno != ENOBUFS) return perror("sendmmsg"), 1;
    if (done > 0) sent += done;
  }
  printf("%ld %ld\n", (long)sent, (long)(now() - start));
  return 0;
}
