/* An honest client, and the server that it comes to.
 * Usage: knock listen PORT                                  accepts and closes
 *        knock connect ADDRESS PORT CONNECTIONS MICROSECONDS  one connection each so many microseconds;
 * prints for each the nanoseconds from SYN to SYN-ACK, or -1 where it failed. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int serve(const struct sockaddr_in *address) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)address, sizeof *address) < 0 || listen(listener, 1024) < 0) {
    return perror("listen"), 1;
  }
  printf("ready\n");
  fflush(stdout);
  for (;;) close(accept(listener, NULL, NULL));
}

static int visit(const struct sockaddr_in *address, int connections, long pause_ns) {
  const struct linger reset = {1, 0};
  /* It stands for another machine: it must not wait for a processor of this one. */
  if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){1}) < 0) return perror("SCHED_FIFO"), 1;
  long start = now();
  for (int i = 0; i < connections; i++) {
    long wait = start + i * pause_ns - now();
    if (wait > 0) nanosleep(&(struct timespec){wait / 1000000000L, wait % 1000000000L}, NULL);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    /* No connection of it lingers, or its ports would run out. */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    long sent = now();
    int failed = connect(fd, (const struct sockaddr *)address, sizeof *address);
    printf("%ld\n", failed ? -1 : now() - sent);
    close(fd);
  }
  return 0;
}

int main(int argc, char **argv) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  if (argc == 3 && strcmp(argv[1], "listen") == 0) {
    address.sin_port = htons((uint16_t)atoi(argv[2]));
    return serve(&address);
  }
  if (argc != 6) return 64;
  address.sin_addr.s_addr = inet_addr(argv[2]);
  address.sin_port = htons((uint16_t)atoi(argv[3]));
  return visit(&address, atoi(argv[4]), atol(argv[5]) * 1000L);
}
