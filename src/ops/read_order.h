#pragma once

#include <cstddef>
#include <vector>

#include "base/thread_pool.h"

namespace lille::ops {

/// The jobs of a pass in the order of the last pass, by where their shares begin in memory: while a thread
/// waits, what the next job reads can come into its cache. A wrong guess costs some lines of it.
class ReadOrder {
 public:
  /// Jobs that are remembered, of a pass that never begins again.
  static constexpr std::size_t kMaxJobs = 4096;

  /// Notes a job, known by its first address, and returns the one that came after it last time.
  const ThreadPool::Ahead& after(const ThreadPool::Ahead& job) {
    if (jobs_.empty() || job[0] == jobs_[0][0]) {
      current_ = 0;
    } else if (++current_ < jobs_.size() && job[0] != jobs_[current_][0]) {
      jobs_.resize(current_);
    }
    if (current_ == kMaxJobs) current_ = 0;
    if (current_ >= jobs_.size()) {
      // Here, too, after a job for which there was no memory.
      jobs_.emplace_back();
      current_ = jobs_.size() - 1;
    }
    jobs_[current_] = job;
    return jobs_[(current_ + 1) % jobs_.size()];
  }

 private:
  std::vector<ThreadPool::Ahead> jobs_;
  std::size_t current_ = 0;
};

}  // namespace lille::ops
