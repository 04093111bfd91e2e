#include "model/kv_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/dtype.h"
#include "kernels/float_kind.h"
#include "model/access.h"

namespace lille {

KVCache::KVCache(const ModelArgs& args, CacheType type)
    : n_kv_heads_(args.n_kv_heads),
      head_dim_(args.head_dim()),
      capacity_(args.block_size),
      kind_(type == CacheType::kBF16 ? kernels::FloatKind::kBF16 : kernels::FloatKind::kF32),
      element_bytes_(kernels::float_bytes(kind_)),
      keys_(static_cast<std::size_t>(n_kv_heads_ * capacity_ * head_dim_ * element_bytes_)),
      values_(static_cast<std::size_t>(n_kv_heads_ * capacity_ * head_dim_ * element_bytes_)) {}

KVCache::View KVCache::update_and_fetch(ops::Rows keys, ops::Rows values) {
  LILLE_CHECK(keys.n_rows == values.n_rows && keys.n_cols == n_kv_heads_ * head_dim_ &&
              values.n_cols == keys.n_cols);
  LILLE_CHECK(keys.n_rows <= capacity_ - offset_);
  append(keys_.data(), keys);
  append(values_.data(), values);
  offset_ += keys.n_rows;
  return {keys_.data(), values_.data()};
}

void KVCache::append(std::byte* target, ops::Rows rows) const {
  for (int64_t row_idx = 0; row_idx < rows.n_rows; ++row_idx) {
    for (int64_t head_idx = 0; head_idx < n_kv_heads_; ++head_idx) {
      const float* source = rows.row(row_idx) + head_idx * head_dim_;
      std::byte* slot = target + (head_idx * capacity_ + offset_ + row_idx) * head_dim_ * element_bytes_;
      if (kind_ == kernels::FloatKind::kF32) {
        std::memcpy(slot, source, static_cast<std::size_t>(head_dim_ * element_bytes_));
      } else {
        auto* narrow = reinterpret_cast<uint16_t*>(slot);
        std::transform(source, source + head_dim_, narrow, f32_to_bf16);
      }
    }
  }
}

int64_t KVCache::trim(int64_t n_tokens) noexcept {
  const int64_t n_trimmed = std::clamp<int64_t>(n_tokens, 0, offset_);
  offset_ -= n_trimmed;
  return n_trimmed;
}

PromptCache::PromptCache(const Model& model, CacheType type) {
  layers_.reserve(static_cast<std::size_t>(model.args().n_layer));
  for (int64_t layer_idx = 0; layer_idx < model.args().n_layer; ++layer_idx)
    layers_.emplace_back(model.args(), type);
}

PromptCache::~PromptCache() = default;
PromptCache::PromptCache(PromptCache&&) noexcept = default;
PromptCache& PromptCache::operator=(PromptCache&&) noexcept = default;

int64_t PromptCache::offset() const noexcept { return layers_.front().offset(); }

int64_t PromptCache::capacity() const noexcept { return layers_.front().capacity(); }

std::span<KVCache> Access::layers(PromptCache& cache) noexcept { return cache.layers_; }
std::span<const KVCache> Access::layers(const PromptCache& cache) noexcept { return cache.layers_; }

int64_t PromptCache::trim(int64_t n_tokens) noexcept {
  int64_t n_trimmed = 0;
  for (KVCache& layer : layers_) n_trimmed = layer.trim(n_tokens);
  return n_trimmed;
}

}  // namespace lille
