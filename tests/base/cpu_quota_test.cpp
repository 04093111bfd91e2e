#include "base/cpu_quota.h"

#include <gtest/gtest.h>

#include "support.h"

namespace lille {
namespace {

/// A folder that stands for "/".
class Root : public test::TemporaryFolder {
 public:
  void write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories((path() / name).parent_path());
    test::TemporaryFolder::write(name, content);
  }
};

TEST(CpuQuota, NothingIsNoLimit) {
  const Root root;
  EXPECT_EQ(cpu_quota(root.path()), std::nullopt);
  root.write("proc/self/cgroup", "0::/\n");
  EXPECT_EQ(cpu_quota(root.path()), std::nullopt);
  root.write("sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_EQ(cpu_quota(root.path()), std::nullopt);
}

TEST(CpuQuota, IsRoundedUp) {
  const Root root;
  root.write("proc/self/cgroup", "0::/\n");
  const std::pair<const char*, int64_t> cases[] = {
      {"100000 100000", 1}, {"100001 100000", 2}, {"1000 100000", 1}, {"150000 50000", 3}, {"1 1", 1}};
  for (const auto& [text, expected] : cases) {
    root.write("sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(cpu_quota(root.path()), expected) << text;
  }
}

TEST(CpuQuota, TheSmallestOfAllGroupsAboveCounts) {
  const Root root;
  root.write("proc/self/cgroup", "0::/system.slice/lille.service\n");
  root.write("sys/fs/cgroup/system.slice/lille.service/cpu.max", "max 100000");
  root.write("sys/fs/cgroup/system.slice/cpu.max", "300000 100000");
  EXPECT_EQ(cpu_quota(root.path()), 3);
  root.write("sys/fs/cgroup/system.slice/lille.service/cpu.max", "200000 100000");
  EXPECT_EQ(cpu_quota(root.path()), 2);
  root.write("sys/fs/cgroup/system.slice/cpu.max", "100000 100000");
  EXPECT_EQ(cpu_quota(root.path()), 1);
}

TEST(CpuQuota, AContainerSeesItsGroupAtTheMount) {
  const Root root;
  root.write("sys/fs/cgroup/cpu.max", "200000 100000");
  for (const char* name : {"/../../docker/0123", "/..", "/docker/0123", "/.", "", "/docker/../../.."}) {
    root.write("proc/self/cgroup", std::string("0::") + name + "\n");
    EXPECT_EQ(cpu_quota(root.path()), 2) << name;
  }
}

TEST(CpuQuota, Version1HasFilesOfItsOwn) {
  const Root root;
  root.write("proc/self/cgroup", "5:cpuset:/x\n4:cpuacct,cpu:/batch/job\n1:name=systemd:/y\n");
  root.write("sys/fs/cgroup/cpu/batch/job/cpu.cfs_quota_us", "-1\n");
  root.write("sys/fs/cgroup/cpu/batch/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpu_quota(root.path()), std::nullopt);
  root.write("sys/fs/cgroup/cpu/batch/cpu.cfs_quota_us", "250000\n");
  root.write("sys/fs/cgroup/cpu/batch/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpu_quota(root.path()), 3);
}

TEST(CpuQuota, FilesThatAreDamagedLimitNothing) {
  const Root root;
  root.write("proc/self/cgroup", "no colons\n0:one\n0::/\n::::\n");
  for (const char* text :
       {"", "-5 100000", "100000", "100000 0", "100000 -1", "x y", "99999999999999999999999 1"}) {
    root.write("sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(cpu_quota(root.path()), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace lille
