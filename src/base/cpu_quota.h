#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace lille {

/// Processors that the control groups of this process let it use: of the group itself and of every group
/// above it the smallest quota / period, rounded up, since they limit time, not processors. Nothing without a
/// limit, or where the system tells nothing.
/// @param root  where /proc and /sys are looked for: "/" but in tests.
/// Source: Documentation/admin-guide/cgroup-v2.rst (cpu.max), cgroup-v1/cpu accounting (cpu.cfs_quota_us).
std::optional<int64_t> cpu_quota(const std::filesystem::path& root = "/");

}  // namespace lille
