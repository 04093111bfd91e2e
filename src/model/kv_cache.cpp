#include "model/kv_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "kernels/weight_kind.h"
#include "model/access.h"
#include "model/cache_type.h"

namespace lille {

KVCache::KVCache(const ModelArgs& args, CacheType type)
    : n_kv_heads_(args.n_kv_heads),
      head_dim_(args.head_dim()),
      capacity_(args.block_size),
      type_(type),
      row_bytes_(kernels::row_bytes(cache_kind(type), head_dim_)),
      keys_(static_cast<std::size_t>(n_kv_heads_ * capacity_ * row_bytes_)),
      values_(static_cast<std::size_t>(n_kv_heads_ * capacity_ * row_bytes_)) {}

KVCache::View KVCache::update_and_fetch(ops::Rows keys, ops::Rows values) {
  LILLE_CHECK(keys.n_rows == values.n_rows && keys.n_cols == n_kv_heads_ * head_dim_ &&
              values.n_cols == keys.n_cols);
  LILLE_CHECK(keys.n_rows <= capacity_ - offset_);
  append(keys_.data(), keys);
  append(values_.data(), values);
  offset_ += keys.n_rows;
  ++n_updates_;
  return {keys_.data(), values_.data()};
}

void KVCache::append(std::byte* target, ops::Rows rows) const {
  for (int64_t row_idx = 0; row_idx < rows.n_rows; ++row_idx) {
    for (int64_t head_idx = 0; head_idx < n_kv_heads_; ++head_idx) {
      const std::span source(rows.row(row_idx) + head_idx * head_dim_, static_cast<std::size_t>(head_dim_));
      store_cache_row(target + (head_idx * capacity_ + offset_ + row_idx) * row_bytes_, source, type_);
    }
  }
}

std::span<const std::byte> KVCache::held(const AlignedBuffer<std::byte>& all,
                                         int64_t head_idx) const noexcept {
  return {all.data() + head_idx * capacity_ * row_bytes_, static_cast<std::size_t>(offset_ * row_bytes_)};
}

void KVCache::assign(int64_t n_tokens, std::span<const std::byte> keys, std::span<const std::byte> values) {
  const auto head_bytes = static_cast<std::size_t>(n_tokens * row_bytes_);
  const auto n_heads = static_cast<std::size_t>(n_kv_heads_);
  LILLE_CHECK(n_tokens >= 0 && n_tokens <= capacity_);
  LILLE_CHECK(keys.size() == n_heads * head_bytes && values.size() == keys.size());
  const auto stride = static_cast<std::size_t>(capacity_ * row_bytes_);
  for (std::size_t head_idx = 0; head_idx < n_heads && head_bytes > 0; ++head_idx) {
    std::memcpy(keys_.data() + head_idx * stride, keys.data() + head_idx * head_bytes, head_bytes);
    std::memcpy(values_.data() + head_idx * stride, values.data() + head_idx * head_bytes, head_bytes);
  }
  offset_ = n_tokens;
  ++n_updates_;
}

int64_t KVCache::trim(int64_t n_tokens) noexcept {
  const int64_t n_trimmed = std::clamp<int64_t>(n_tokens, 0, offset_);
  offset_ -= n_trimmed;
  return n_trimmed;
}

PromptCache::PromptCache(const Model& model, CacheType type) : model_(model) {
  check_cache_type(type, model.args());
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

void Access::append(PromptCache& cache, std::span<const int32_t> tokens, std::string_view kernels) {
  cache.kernels_ = kernels;
  cache.tokens_.insert(cache.tokens_.end(), tokens.begin(), tokens.end());
}

void Access::rewind(PromptCache& cache, int64_t offset) noexcept {
  for (KVCache& layer : cache.layers_) layer.trim(layer.offset() - offset);
  cache.tokens_.resize(std::min(cache.tokens_.size(), static_cast<std::size_t>(offset)));
  if (offset == 0) cache.kernels_.clear();
}

void Access::restore(PromptCache& cache, int32_t token) {
  cache.tokens_.push_back(token);
  for (KVCache& layer : cache.layers_) layer.restore(1);
}

uint64_t Access::n_updates(const PromptCache& cache) noexcept { return cache.layers_.front().n_updates(); }

CacheType PromptCache::type() const noexcept { return layers_.front().type(); }

int64_t PromptCache::trim(int64_t n_tokens) noexcept {
  const int64_t n_trimmed = std::clamp<int64_t>(n_tokens, 0, offset());
  Access::rewind(*this, offset() - n_trimmed);
  return n_trimmed;
}

}  // namespace lille
