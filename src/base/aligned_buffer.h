#pragma once

#include <cstddef>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include "base/check.h"

namespace lille {

/// An owned array of trivially copyable T on a 64-byte boundary, not initialised: pages that nobody writes
/// cost no memory, so a buffer for the longest context may be reserved at once.
template <typename T>
class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 64;

  AlignedBuffer() = default;

  /// @throws Error(kOutOfMemory) if n_elements do not fit in memory.
  explicit AlignedBuffer(std::size_t n_elements) : n_elements_(n_elements) {
    if (n_elements == 0) return;
    if (n_elements > (std::numeric_limits<std::size_t>::max() - kAlignment) / sizeof(T))
      raise(ErrorCode::kOutOfMemory, "[AlignedBuffer] {} elements of {} bytes do not fit", n_elements,
            sizeof(T));
    const std::size_t n_bytes = (n_elements * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    data_.reset(static_cast<T*>(std::aligned_alloc(kAlignment, n_bytes)));
    if (data_ == nullptr) raise(ErrorCode::kOutOfMemory, "[AlignedBuffer] could not get {} bytes", n_bytes);
  }

  /// The buffer that gives its memory away is empty.
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::move(other.data_)), n_elements_(std::exchange(other.n_elements_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(n_elements_, other.n_elements_);
    return *this;
  }

  T* data() noexcept { return data_.get(); }
  const T* data() const noexcept { return data_.get(); }
  std::size_t size() const noexcept { return n_elements_; }
  std::span<T> span() noexcept { return {data_.get(), n_elements_}; }
  std::span<const T> span() const noexcept { return {data_.get(), n_elements_}; }

 private:
  struct Free {
    void operator()(T* address) const noexcept { std::free(address); }
  };

  std::unique_ptr<T, Free> data_;
  std::size_t n_elements_ = 0;
};

}  // namespace lille
