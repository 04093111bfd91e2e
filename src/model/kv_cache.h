#pragma once

#include <cstddef>
#include <cstdint>

#include "base/aligned_buffer.h"
#include "lille/model.h"
#include "ops/ops.h"

namespace lille {

/// Keys and values of one sequence in one layer: (n_kv_heads, capacity, head_dim), position 0 first, the
/// head_dim elements stored as the type says.
/// The cache owns the position, so that layers have no state.
/// Source: mlx_lm/models/cache.py KVCache.
class KVCache {
 public:
  KVCache(const ModelArgs& args, CacheType type);

  /// Tokens held: the position of the next one.
  int64_t offset() const noexcept { return offset_; }
  int64_t capacity() const noexcept { return capacity_; }
  int64_t n_kv_heads() const noexcept { return n_kv_heads_; }
  int64_t head_dim() const noexcept { return head_dim_; }
  CacheType type() const noexcept { return type_; }
  /// Bytes of head_dim elements: one token's keys, or values, in one head.
  int64_t row_bytes() const noexcept { return row_bytes_; }

  /// All keys and values of the sequence after an update.
  struct View {
    const void* keys = nullptr;    ///< (n_kv_heads, capacity, head_dim)
    const void* values = nullptr;  ///< the same
  };

  /// Appends rows, rounded to the cache's type, and returns everything from position 0 on.
  /// @param keys, values  (n_tokens, n_kv_heads * head_dim); n_tokens must fit (Session::forward checks it).
  View update_and_fetch(ops::Rows keys, ops::Rows values);

  /// The keys and values of one head at the positions that are held: (offset, head_dim), as bytes.
  std::span<const std::byte> keys(int64_t head_idx) const noexcept { return held(keys_, head_idx); }
  std::span<const std::byte> values(int64_t head_idx) const noexcept { return held(values_, head_idx); }

  /// Holds n_tokens tokens, whatever it held before.
  /// @param n_tokens      from 0 to capacity().
  /// @param keys, values  (n_kv_heads, n_tokens, head_dim) of the cache's type, as bytes at any address.
  void assign(int64_t n_tokens, std::span<const std::byte> keys, std::span<const std::byte> values);

  /// Forgets the last n_tokens tokens, or all if there are fewer; returns how many it forgot.
  int64_t trim(int64_t n_tokens) noexcept;

  /// Takes back that trim() forgot the next n_tokens tokens. Nothing may have been written since, which
  /// n_updates() tells.
  void restore(int64_t n_tokens) noexcept { offset_ += n_tokens; }

  /// How often keys and values were written.
  uint64_t n_updates() const noexcept { return n_updates_; }

 private:
  void append(std::byte* target, ops::Rows rows) const;
  std::span<const std::byte> held(const AlignedBuffer<std::byte>& all, int64_t head_idx) const noexcept;

  int64_t n_kv_heads_;
  int64_t head_dim_;
  int64_t capacity_;
  CacheType type_;
  int64_t row_bytes_;
  int64_t offset_ = 0;
  uint64_t n_updates_ = 0;
  AlignedBuffer<std::byte> keys_;
  AlignedBuffer<std::byte> values_;
};

}  // namespace lille
