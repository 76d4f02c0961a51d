/* The packet path of src/path in C, decision for decision, to see what TypeScript costs. What each part is for
 * stands there. Usage: path PACKETS POLICY (both written by benches/path.ts)
 * For each number on standard input judges all packets so many times over, and prints the nanoseconds of CPU
 * and how many were accepted. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAYS = 3, SLOTS_PER_ENTRY = 2, TAG_MASK = 1023, NO_SERVICE = 64, MARKS = 1 << 16, TCP = 6, UDP = 17 };
enum {
  WITHIN_LIMIT, NO_SUCH_SERVICE, NOT_NEW, LATER_FRAGMENT, FAULT, SOURCE_LIMIT, NETWORK_LIMIT, TOTAL_LIMIT,
  RETRANSMISSION, MALFORMED, SHORT_FRAGMENT, TOO_MANY_HEADERS, REASONS
};
enum { BATCH = 64, FEW_BUCKETS = 8192 };

struct policy {
  uint8_t tcp_ports[65536], udp_ports[65536];
  double interval_ms[NO_SERVICE * 3], tolerance_ms[NO_SERVICE * 3], strike_window_seconds[NO_SERVICE];
  uint8_t strikes[NO_SERVICE];
  uint32_t sources;
};

struct view {
  int family, protocol;
  uint32_t source_high, source_low, sequence;
  uint16_t source_port, destination_port;
  uint8_t flags;
};

/* One cache line. */
struct set {
  double full_at_ms[WAYS];
  uint32_t tags, lows[WAYS], highs[WAYS], strikes[WAYS];
};

struct table {
  struct set *sets;
  uint32_t count;
  double occupied, evictions;
};

struct slot {
  struct set *set;
  int way;
};

static struct policy policy;
static struct table sources, networks;
static double total_full_at_ms[NO_SERVICE];
static double decisions[(NO_SERVICE + 1) * 3 * REASONS], strike_count[NO_SERVICE], promotions;
static struct { double at_ms; uint32_t mark; } marks[MARKS];
static uint32_t seed[3] = {0x243f6a88, 0x85a308d3, 0x13198a2e};

static uint32_t u16(const uint8_t *at) { return (uint32_t)(at[0] << 8 | at[1]); }
static uint32_t u32(const uint8_t *at) { return u16(at) << 16 | u16(at + 2); }

static int decode_ports(struct view *v, const uint8_t *at, const uint8_t *end, int is_fragment) {
  if (v->protocol != TCP && v->protocol != UDP) return NO_SUCH_SERVICE;
  if (at + (v->protocol == TCP ? 14 : 8) > end) return is_fragment ? SHORT_FRAGMENT : MALFORMED;
  v->source_port = (uint16_t)u16(at);
  v->destination_port = (uint16_t)u16(at + 2);
  if (v->protocol == TCP) {
    v->sequence = u32(at + 4);
    v->flags = at[13];
  }
  return WITHIN_LIMIT;
}

static int decode_ipv4(struct view *v, const uint8_t *p, uint32_t length) {
  uint32_t header = (p[0] & 15u) << 2, total = u16(p + 2);
  if (header < 20 || header > length || total < header) return MALFORMED;
  v->family = 4;
  v->protocol = p[9];
  v->source_high = 0;
  v->source_low = u32(p + 12);
  uint32_t fragment = u16(p + 6);
  if (fragment & 0x1fff) return LATER_FRAGMENT;
  return decode_ports(v, p + header, p + (length < total ? length : total), (fragment & 0x2000) != 0);
}

static int decode_ipv6(struct view *v, const uint8_t *p, uint32_t length) {
  if (length < 40) return MALFORMED;
  v->family = 6;
  v->source_high = u32(p + 8);
  v->source_low = u32(p + 12);
  uint32_t payload = u16(p + 4);
  const uint8_t *end = p + (payload == 0 || length < 40 + payload ? length : 40 + payload), *at = p + 40;
  int next = p[6], is_fragment = 0;
  for (int headers = 0; headers <= 8; headers++) {
    switch (next) {
      case 44:
        if (at + 8 > end) return MALFORMED;
        if (u16(at + 2) & 0xfff8) return LATER_FRAGMENT;
        is_fragment = at[3] & 1;
        next = at[0];
        at += 8;
        break;
      case 51:
        if (at + 2 > end) return is_fragment ? SHORT_FRAGMENT : MALFORMED;
        next = at[0];
        at += (at[1] + 2) << 2;
        break;
      case 0: case 43: case 60: case 135: case 139: case 140:
        if (at + 2 > end) return is_fragment ? SHORT_FRAGMENT : MALFORMED;
        next = at[0];
        at += (at[1] + 1) << 3;
        break;
      default:
        v->protocol = next;
        return decode_ports(v, at, end, is_fragment);
    }
  }
  return TOO_MANY_HEADERS;
}

static int decode(struct view *v, const uint8_t *p, uint32_t length) {
  if (length < 20) return MALFORMED;
  if (p[0] >> 4 == 4) return decode_ipv4(v, p, length);
  if (p[0] >> 4 == 6) return decode_ipv6(v, p, length);
  return MALFORMED;
}

static void open_table(struct table *t, uint32_t entries) {
  t->count = (entries * SLOTS_PER_ENTRY + WAYS - 1) / WAYS;
  t->sets = aligned_alloc(64, t->count * sizeof *t->sets);
  memset(t->sets, 0, t->count * sizeof *t->sets);
}

static uint32_t hash_of(uint32_t high, uint32_t low, uint32_t tag) {
  uint32_t hash = (low ^ seed[0]) * 0x9e3779b1u;
  hash = (hash ^ (hash >> 15) ^ high ^ seed[1]) * 0x85ebca6bu;
  hash = (hash ^ (hash >> 13) ^ tag) * 0xc2b2ae35u;
  return hash ^ (hash >> 16);
}

static uint32_t rehash(uint32_t hash) {
  hash = (hash ^ (hash >> 15)) * 0x27d4eb2fu;
  return hash ^ (hash >> 13);
}

static struct set *set_of(const struct table *t, uint32_t hash) {
  return t->sets + ((uint64_t)hash * t->count >> 32);
}

static uint32_t tag_of(const struct set *set, int way) { return set->tags >> (10 * way) & TAG_MASK; }

static int way_of(const struct set *set, uint32_t high, uint32_t low, uint32_t tag) {
  for (int way = 0; way < WAYS; way++) {
    if (set->lows[way] == low && set->highs[way] == high && tag_of(set, way) == tag) return way;
  }
  return WAYS;
}

static inline struct slot find(const struct table *t, uint32_t high, uint32_t low, uint32_t tag) {
  uint32_t hash = hash_of(high, low, tag);
  struct set *set = set_of(t, hash);
  int way = way_of(set, high, low, tag);
  if (way < WAYS) return (struct slot){set, way};
  if (tag_of(set, WAYS - 1) == 0) return (struct slot){NULL, 0};
  set = set_of(t, rehash(hash));
  way = way_of(set, high, low, tag);
  return way < WAYS ? (struct slot){set, way} : (struct slot){NULL, 0};
}

static struct slot victim(struct table *t, uint32_t hash, double now_ms) {
  struct set *first = set_of(t, hash), *second = set_of(t, rehash(hash));
  struct slot victim = {first, 0};
  for (int i = 0; i < 2 * WAYS; i++) {
    struct slot slot = i < WAYS ? (struct slot){first, i} : (struct slot){second, i - WAYS};
    if (tag_of(slot.set, slot.way) == 0) return t->occupied++, slot;
    if (slot.set->full_at_ms[slot.way] < victim.set->full_at_ms[victim.way]) victim = slot;
  }
  if (victim.set->full_at_ms[victim.way] > now_ms) t->evictions++;
  return victim;
}

static struct slot insert(struct table *t, uint32_t high, uint32_t low, uint32_t tag, double now_ms) {
  struct slot slot = victim(t, hash_of(high, low, tag), now_ms);
  struct set *set = slot.set;
  set->tags = (set->tags & ~((uint32_t)TAG_MASK << 10 * slot.way)) | tag << 10 * slot.way;
  set->lows[slot.way] = low, set->highs[slot.way] = high, set->strikes[slot.way] = 0;
  set->full_at_ms[slot.way] = now_ms;
  return slot;
}

static int is_empty(double *full_at_ms, double now_ms, int limit) {
  double latest = now_ms + policy.tolerance_ms[limit], most = latest + policy.interval_ms[limit];
  if (*full_at_ms <= latest) return 0;
  if (*full_at_ms > most) *full_at_ms = most;
  return 1;
}

static void take(double *full_at_ms, double now_ms, int limit) {
  *full_at_ms = (*full_at_ms > now_ms ? *full_at_ms : now_ms) + policy.interval_ms[limit];
}

static uint32_t tag_of_view(const struct view *v, int service) {
  return (uint32_t)service << 1 | (v->family == 6 ? 0x101 : 0x100);
}

static uint32_t network_of(const struct view *v) { return v->source_low & (v->family == 4 ? 0xffffff00 : 0xffff0000); }

static struct slot refused_slot;

static int admit(const struct view *v, int service, double now_ms) {
  int limit = service * 3;
  uint32_t tag = tag_of_view(v, service), network_low = network_of(v);
  struct slot source = {NULL, 0}, network = {NULL, 0};
  if (policy.interval_ms[limit] != 0) {
    source = find(&sources, v->source_high, v->source_low, tag);
    if (source.set && is_empty(&source.set->full_at_ms[source.way], now_ms, limit)) {
      return refused_slot = source, SOURCE_LIMIT;
    }
  }
  if (policy.interval_ms[limit + 1] != 0) {
    network = find(&networks, v->source_high, network_low, tag);
    if (network.set && is_empty(&network.set->full_at_ms[network.way], now_ms, limit + 1)) return NETWORK_LIMIT;
  }
  if (policy.interval_ms[limit + 2] != 0) {
    if (is_empty(&total_full_at_ms[service], now_ms, limit + 2)) return TOTAL_LIMIT;
    take(&total_full_at_ms[service], now_ms, limit + 2);
  }
  if (policy.interval_ms[limit + 1] != 0) {
    if (!network.set) network = insert(&networks, v->source_high, network_low, tag, now_ms);
    take(&network.set->full_at_ms[network.way], now_ms, limit + 1);
  }
  if (policy.interval_ms[limit] != 0) {
    if (!source.set) source = insert(&sources, v->source_high, v->source_low, tag, now_ms);
    take(&source.set->full_at_ms[source.way], now_ms, limit);
  }
  return WITHIN_LIMIT;
}

static uint32_t mark_of(const struct view *v) {
  uint32_t mark = (v->sequence ^ seed[2]) * 0x9e3779b1u;
  mark = (mark ^ (mark >> 15) ^ v->source_low) * 0x85ebca6bu;
  mark = (mark ^ (mark >> 13) ^ v->source_high) * 0xc2b2ae35u;
  mark = (mark ^ (mark >> 16) ^ ((uint32_t)v->source_port << 16 | v->destination_port)) * 0x27d4eb2fu;
  return mark ^ (mark >> 15);
}

static int is_retransmission(const struct view *v, double now_ms) {
  uint32_t mark = mark_of(v), at = mark & (MARKS - 1);
  int is_repeat = marks[at].mark == mark && now_ms - marks[at].at_ms < 66000;
  marks[at].mark = mark;
  marks[at].at_ms = now_ms;
  return is_repeat;
}

static void strike(int service, double now_ms) {
  uint32_t *word = &refused_slot.set->strikes[refused_slot.way];
  uint32_t second = (uint32_t)(now_ms / 1000) & 0xffffff, count = *word & 0xff, first = *word >> 8;
  int is_open = count > 0 && ((second - first) & 0xffffff) < policy.strike_window_seconds[service];
  uint32_t next = is_open ? (count < 255 ? count + 1 : 255) : 1;
  *word = (is_open ? first : second) << 8 | next;
  strike_count[service]++;
  if (policy.strikes[service] == 0 || next < policy.strikes[service]) return;
  *word = 0;
  promotions++;
}

static int classify(const struct view *v, int *service) {
  *service = (v->protocol == TCP ? policy.tcp_ports : policy.udp_ports)[v->destination_port];
  if (*service == NO_SERVICE) return NO_SUCH_SERVICE;
  return v->protocol == TCP && (v->flags & 0x12) != 0x02 ? NOT_NEW : WITHIN_LIMIT;
}

/* ReadAhead: what a batch will look at. */
static const void *expected[3 * BATCH];
static uint32_t expected_count;
static int last_is_refused;

/* Pipeline.expect */
static void expect(const uint8_t *packet, uint32_t length) {
  struct view v;
  int service;
  if (decode(&v, packet, length) != WITHIN_LIMIT || classify(&v, &service) != WITHIN_LIMIT) return;
  uint32_t tag = tag_of_view(&v, service);
  expected[expected_count++] = set_of(&sources, hash_of(v.source_high, v.source_low, tag));
  expected[expected_count++] = set_of(&networks, hash_of(v.source_high, network_of(&v), tag));
  if (last_is_refused && v.protocol == TCP) expected[expected_count++] = &marks[mark_of(&v) & (MARKS - 1)];
}

/* Pipeline.fetch */
static void fetch(void) {
  for (uint32_t i = 0; i < expected_count; i++) __builtin_prefetch(expected[i]);
  expected_count = 0;
}

static int judge(const uint8_t *packet, uint32_t length, double now_ms) {
  struct view v;
  int service = NO_SERVICE, reason = decode(&v, packet, length);
  if (reason == WITHIN_LIMIT) reason = classify(&v, &service);
  if (reason == WITHIN_LIMIT) reason = admit(&v, service, now_ms);
  if (reason >= SOURCE_LIMIT && service != NO_SERVICE && v.protocol == TCP) {
    if (is_retransmission(&v, now_ms)) reason = RETRANSMISSION;
    else if (reason == SOURCE_LIMIT) strike(service, now_ms);
  }
  int is_refused = reason >= SOURCE_LIMIT;
  decisions[(service * 3 + is_refused) * REASONS + reason]++;
  last_is_refused = is_refused;
  return is_refused;
}

static void *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) perror(path), exit(1);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  void *bytes = malloc(*size);
  if (fread(bytes, 1, *size, file) != *size) perror(path), exit(1);
  fclose(file);
  return bytes;
}

static void read_policy(const char *path) {
  size_t size;
  uint8_t *at = read_file(path, &size);
  const uint8_t *start = at;
#define READ(field) (memcpy(&policy.field, at, sizeof policy.field), at += sizeof policy.field)
  READ(tcp_ports), READ(udp_ports), READ(interval_ms), READ(tolerance_ms), READ(strike_window_seconds);
  READ(strikes), READ(sources);
  if ((size_t)(at - start) != size) fprintf(stderr, "%s: not as long as it should be\n", path), exit(1);
}

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  size_t size;
  const uint32_t *file = read_file(argv[1], &size);
  const uint32_t count = file[0], *index = file + 1;
  const uint8_t *bytes = (const uint8_t *)(index + 2 * (size_t)count);
  read_policy(argv[2]);
  open_table(&sources, policy.sources);
  open_table(&networks, (policy.sources + 7) / 8);

  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("ready\n");
  double now_ms = 1e6;
  long passes;
  while (scanf("%ld", &passes) == 1) {
    struct timespec start, end;
    long accepted = 0;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    for (long pass = 0; pass < passes; pass++) {
      for (uint32_t first = 0; first < count; first += BATCH) {
        const uint32_t end = first + BATCH < count ? first + BATCH : count;
        /* A million packets a second, 64 with the same time. */
        now_ms += BATCH / 1000.0;
        if (sources.occupied > FEW_BUCKETS) {
          for (uint32_t i = first; i < end; i++) expect(bytes + index[2 * i], index[2 * i + 1]);
          fetch();
        }
        for (uint32_t i = first; i < end; i++) accepted += !judge(bytes + index[2 * i], index[2 * i + 1], now_ms);
      }
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    printf("%ld %ld\n", (end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec, accepted);
  }
  return 0;
}
