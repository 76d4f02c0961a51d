#include "hasten.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace {

// struct sched_attr of sched_setattr(2) as it was at first, which every kernel takes: some C libraries define
// it and some do not, and the kernel's header is at odds with those that do.
struct Scheduling {
  uint32_t size = sizeof(Scheduling);
  uint32_t policy = 0;  // SCHED_OTHER
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime_ns = 0;
  uint64_t deadline_ns = 0;
  uint64_t period_ns = 0;
};

static_assert(sizeof(Scheduling) == 48);

}  // namespace

int Hasten(int32_t nice, uint32_t turn_us) {
  const int before = getpriority(PRIO_PROCESS, 0);
  const bool refused = before > nice && setpriority(PRIO_PROCESS, 0, nice) != 0;
  const int error = refused ? errno : 0;
  Scheduling scheduling;
  scheduling.nice = refused ? before : std::min(before, nice);
  // The length of a turn since Linux 6.12; older ones take no notice of it.
  scheduling.runtime_ns = turn_us * uint64_t{1000};
  return syscall(SYS_sched_setattr, 0, &scheduling, 0) != 0 ? errno : error;
}
