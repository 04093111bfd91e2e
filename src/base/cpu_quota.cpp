#include "base/cpu_quota.h"

#include <algorithm>
#include <fstream>
#include <string>

namespace lille {
namespace {

namespace fs = std::filesystem;

struct Limit {
  int64_t quota = 0;  // Microseconds in each period; not positive: none.
  int64_t period = 0;
};

// Version 2: "max 100000" or "150000 100000".
Limit read_unified(const fs::path& group) {
  Limit limit;
  std::ifstream file(group / "cpu.max");
  if (!(file >> limit.quota >> limit.period)) return {};
  return limit;
}

// Version 1: a quota of -1 is none.
Limit read_version_1(const fs::path& group) {
  Limit limit;
  std::ifstream quota(group / "cpu.cfs_quota_us");
  std::ifstream period(group / "cpu.cfs_period_us");
  if (!(quota >> limit.quota) || !(period >> limit.period)) return {};
  return limit;
}

using ReadLimit = Limit (*)(const fs::path& group);

// The group `name` below `mount` and all above it. In a container the name may be one that the container does
// not see ("/../x", or no folder): then the mount itself is the container's group.
void look_at_groups(const fs::path& mount, const fs::path& name, ReadLimit read,
                    std::optional<int64_t>& cpus) {
  std::error_code ignored;
  const fs::path below = name.relative_path().lexically_normal();
  fs::path group = below.empty() || below == "." || *below.begin() == ".." ? mount : mount / below;
  if (!fs::is_directory(group, ignored)) group = mount;
  for (;; group = group.parent_path()) {
    const Limit limit = read(group);
    if (limit.quota > 0 && limit.period > 0) {
      const int64_t n = (limit.quota - 1) / limit.period + 1;
      cpus = std::min(cpus.value_or(n), n);
    }
    if (group == mount || group == group.parent_path()) return;
  }
}

bool names_cpu(const std::string& controllers) {
  return ("," + controllers + ",").find(",cpu,") != std::string::npos;
}

}  // namespace

std::optional<int64_t> cpu_quota(const fs::path& root) {
  std::optional<int64_t> cpus;
  // Lines "hierarchy:controllers:group", where version 2 is "0::group".
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == line.npos ? first : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = line.substr(second + 1);
    if (controllers.empty()) look_at_groups(root / "sys/fs/cgroup", group, read_unified, cpus);
    if (names_cpu(controllers)) look_at_groups(root / "sys/fs/cgroup/cpu", group, read_version_1, cpus);
  }
  return cpus;
}

}  // namespace lille
