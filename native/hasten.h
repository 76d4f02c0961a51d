#pragma once

#include <cstdint>

// Has the calling thread scheduled before others: with `nice` (nice(2)), unless it has a better one, and
// turns of `turn_us` (sched_setattr(2)), so that it is let in at once when it wakes up. Returns an errno;
// what was permitted holds.
int Hasten(int32_t nice, uint32_t turn_us);
