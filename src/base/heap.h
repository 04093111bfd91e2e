#pragma once

#include <cstddef>

namespace lille {

/// Blocks of this many bytes and more have a mapping of their own after keep_heap_tight().
inline constexpr std::size_t kMappedBlockBytes = std::size_t{128} << 10;
/// Heaps that all threads share after keep_heap_tight().
inline constexpr int kSharedHeaps = 4;

/// For programs that run for long and have many threads, never called by the library: call it before the
/// first thread. Blocks of kMappedBlockBytes and more go back to the system when they are freed, and there
/// are at most kSharedHeaps heaps. glibc, left alone, puts larger and larger blocks into heaps, up to 32 MiB,
/// once one of that size was freed, and makes eight heaps a processor for threads; each of them keeps the
/// holes of its own worst moment, which looks like memory that grows for hours. Goes before MALLOC_ARENA_MAX
/// and GLIBC_TUNABLES. With another C library than glibc it does nothing.
void keep_heap_tight() noexcept;

}  // namespace lille
