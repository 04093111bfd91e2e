#pragma once

/// Before a loop over a tile: its arrays live in registers only if every index is a constant.
#if defined(__clang__)
#define LILLE_UNROLL _Pragma("unroll")
#define LILLE_UNROLL_TWICE _Pragma("unroll 2")
#else
#define LILLE_UNROLL _Pragma("GCC unroll 16")
#define LILLE_UNROLL_TWICE _Pragma("GCC unroll 2")
#endif
