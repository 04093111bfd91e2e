#pragma once

/// Before a loop over a tile: its arrays live in registers only if every index is a constant.
#if defined(__clang__)
#define LILLE_UNROLL _Pragma("unroll")
#else
#define LILLE_UNROLL _Pragma("GCC unroll 16")
#endif
