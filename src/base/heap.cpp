#include "base/heap.h"

#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace lille {

void keep_heap_tight() noexcept {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, kSharedHeaps);
  // Any value that is set holds, where the default one follows what is freed.
  mallopt(M_MMAP_THRESHOLD, static_cast<int>(kMappedBlockBytes));
  mallopt(M_TRIM_THRESHOLD, static_cast<int>(kMappedBlockBytes));
#endif
}

}  // namespace lille
