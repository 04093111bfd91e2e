#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernel_table.h"

namespace lille {

/// Measures how fast memory is read, as it lies: the pages of a file may be better or worse together than
/// those of another by a third.
class ReadRate {
 public:
  /// @param pieces  what is read, in this order; each thread reads a part of equal size.
  explicit ReadRate(std::vector<std::span<const std::byte>> pieces);

  /// Reads everything twice, once as it comes and once asking for memory ahead, on all threads of the pool.
  /// @return the better rate in GB/s (10^9); 0 if there is nothing to read.
  double measure(ThreadPool& pool) const;

 private:
  std::vector<std::span<const std::byte>> pieces_;
  std::size_t n_bytes_ = 0;
};

/// Operations a second, in 10^9, of a unit on all threads of the pool at once; 0 without a kernel.
double peak_gops(ThreadPool& pool, kernels::PeakKernel kernel);

}  // namespace lille
