#include "base/heap.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace lille {
namespace {

/// Runs `check` in a child, since the heap is the whole process's; returns what it returned.
template <typename Check>
bool holds_in_child(Check&& check) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(check() ? 0 : 1);
  int status = 1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int n_heaps() {
  char* text = nullptr;
  std::size_t n_bytes = 0;
  std::FILE* file = ::open_memstream(&text, &n_bytes);
  ::malloc_info(0, file);
  std::fclose(file);
  const std::string info(text, n_bytes);
  std::free(text);
  int n_found = 0;
  for (std::size_t place = 0; (place = info.find("<heap nr=", place)) != std::string::npos; ++place)
    ++n_found;
  return n_found;
}

// Allocates in many threads that are all there at once.
void use_many_threads() {
  constexpr int kThreads = 12;
  std::latch has_allocated(kThreads);
  std::vector<std::jthread> threads;
  for (int idx = 0; idx < kThreads; ++idx)
    threads.emplace_back([&] {
      const auto block = std::make_unique<volatile char[]>(5000);
      block[0] = 1;
      has_allocated.arrive_and_wait();
    });
}

// A block that the compiler cannot leave out.
void* take_block(std::size_t n_bytes) {
  void* block = std::malloc(n_bytes);
  *static_cast<volatile char*>(block) = 1;
  return block;
}

// Whether a block of kMappedBlockBytes has a mapping of its own, after a much larger one was freed.
bool maps_after_large_block() {
  std::free(take_block(64 * kMappedBlockBytes));
  const std::size_t n_before = ::mallinfo2().hblks;
  void* block = take_block(kMappedBlockBytes);
  const bool is_mapped = ::mallinfo2().hblks == n_before + 1;
  std::free(block);
  return is_mapped && ::mallinfo2().hblks == n_before;
}

TEST(Heap, ThreadsShareAFew) {
  EXPECT_TRUE(holds_in_child([] {
    keep_heap_tight();
    use_many_threads();
    return n_heaps() <= kSharedHeaps;
  }));
}

TEST(Heap, LargeBlocksGoBack) {
  EXPECT_FALSE(holds_in_child(maps_after_large_block))
      << "glibc does so by itself: keep_heap_tight has no use";
  EXPECT_TRUE(holds_in_child([] {
    keep_heap_tight();
    return maps_after_large_block();
  }));
}

}  // namespace
}  // namespace lille
