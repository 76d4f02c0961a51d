#pragma once

#include <string>

// Sends one datagram to the Unix socket `path`, where a leading "@" means the abstract name space
// (sd_notify(3)). Returns an errno.
int Notify(const std::string& path, const std::string& state);
