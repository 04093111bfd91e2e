#include "model/session.h"

#include <algorithm>
#include <thread>

#include "base/check.h"
#include "base/text.h"
#include "kernels/weight_kind.h"
#include "model/cache_type.h"
#include "model/visit_matrices.h"

namespace lille {
namespace {

// Puts every cache back to where it was unless a pass finishes.
class CacheRollback {
 public:
  explicit CacheRollback(std::span<const BatchItem> batch) : batch_(batch) {
    for (const BatchItem& item : batch) offsets_.push_back(item.cache->offset());
  }
  ~CacheRollback() {
    if (kept_) return;
    for (std::size_t idx = 0; idx < batch_.size(); ++idx) Access::rewind(*batch_[idx].cache, offsets_[idx]);
  }
  CacheRollback(const CacheRollback&) = delete;
  CacheRollback& operator=(const CacheRollback&) = delete;
  void keep() noexcept { kept_ = true; }

 private:
  std::span<const BatchItem> batch_;
  std::vector<int64_t> offsets_;
  bool kept_ = false;
};

void check_batch(std::span<const BatchItem> batch, const ModelParts& parts, std::string_view kernels) {
  const ModelArgs& args = parts.args;
  if (batch.empty()) raise(ErrorCode::kInvalidArgument, "[forward] expected at least one sequence, got none");
  for (std::size_t item_idx = 0; item_idx < batch.size(); ++item_idx) {
    const BatchItem& item = batch[item_idx];
    const BatchItem& first = batch.front();
    if (item.cache == nullptr)
      raise(ErrorCode::kInvalidArgument, "[forward] item {}: expected a cache, got none", item_idx);
    if (const std::string fault = cache_fault(*item.cache, item.cache->offset(), parts, kernels);
        !fault.empty())
      raise(ErrorCode::kInvalidArgument, "[forward] item {}: {}", item_idx, fault);
    if (item.cache->type() != first.cache->type())
      raise(ErrorCode::kInvalidArgument, "[forward] item {}: expected all caches of a pass to have one type",
            item_idx);
    if (item.tokens.empty())
      raise(ErrorCode::kInvalidArgument, "[forward] item {}: expected at least one token, got none",
            item_idx);
    const int64_t n_free = args.block_size - item.cache->offset();
    if (static_cast<int64_t>(item.tokens.size()) > n_free)
      raise(ErrorCode::kInvalidArgument,
            "[forward] item {}: {} tokens after {} do not fit the context of block_size {}", item_idx,
            item.tokens.size(), item.cache->offset(), args.block_size);
    for (const int32_t id : item.tokens)
      if (id < 0 || id >= args.vocab_size)
        raise(ErrorCode::kInvalidArgument, "[forward] item {}: expected token ids from 0 to {}, got {}",
              item_idx, args.vocab_size - 1, id);
    for (std::size_t other = 0; other < item_idx; ++other)
      if (batch[other].cache == item.cache)
        raise(ErrorCode::kInvalidArgument, "[forward] items {} and {} share a cache", other, item_idx);
  }
}

// How activations are rounded that meet some matrix, as Session::kernels() tells it.
std::string roundings(const Transformer& transformer) {
  bool has_q8 = false;
  bool has_bf16 = false;
  const auto look_at = [&](const kernels::WeightMatrix& weight) {
    has_q8 = has_q8 || kernels::takes_q8(weight.kind);
    has_bf16 = has_bf16 || weight.kind == kernels::WeightKind::kBF16;
  };
  look_at(transformer.tok_embeddings.weight);
  visit_matrices(transformer, [&](std::string_view, const std::vector<LinearPart>& parts) {
    for (const LinearPart& part : parts) look_at(part.weight);
  });
  return std::string(has_q8 ? " q8" : "") + (has_bf16 ? " bf16" : "");
}

}  // namespace

Session::State::State(Model model_handle, RopeLayout layout, const SessionOptions& options)
    : model(std::move(model_handle)),
      rope_layout(layout),
      pool(thread_count(options.n_threads)),
      device{.kernels = kernels::select_kernel_table(options.kernels),
             .pool = pool,
             .scratch = {},
             .exact = options.exact},
      kernels(device.kernels.name),
      cache_type(options.cache_type) {
  check_cache_type(cache_type, model.args());
  if (options.exact) return;
  kernels += roundings(Access::parts(model).transformer);
}

Session::Session(Model model, const SessionOptions& options) {
  const RopeLayout layout = model.rope().layout;
  state_ = std::make_unique<State>(std::move(model), layout, options);
}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

const Model& Session::model() const noexcept { return state_->model; }

int64_t Session::n_threads() const noexcept { return state_->pool.n_threads(); }

std::string_view Session::kernels() const noexcept { return state_->kernels; }

CacheType Session::cache_type() const noexcept { return state_->cache_type; }

Logits Session::forward(std::span<const BatchItem> batch, const ForwardOptions& options) {
  return forward_pass(Access::parts(state_->model), *state_, batch, options);
}

std::vector<double> Session::cross_entropy(const Logits& logits, std::span<const int32_t> targets) {
  // ops::Rows are written by other ops; this one only reads them.
  const ops::Rows rows = {const_cast<float*>(logits.values.data()), logits.n_rows, logits.vocab_size,
                          logits.vocab_size};
  return ops::cross_entropy(state_->device, rows, targets);
}

std::string cache_fault(const PromptCache& cache, int64_t n_kept, const ModelParts& parts,
                        std::string_view kernels) {
  if (Access::layers(cache).empty()) return "expected a cache, got one that was moved from";
  if (&Access::parts(cache.model()) != &parts)
    return fmt::format(
        "expected a cache of this session's model, got one that was made for the model of {}. Hint: make it "
        "with make_prompt_cache(session)",
        printable_path(cache.model().path()));
  if (n_kept > 0 && cache.kernels() != kernels)
    return fmt::format(
        "expected a cache filled by {} kernels, as this session has, got one filled by {}. Hint: kernels "
        "differ in the last places; start with an empty cache",
        kernels, printable(cache.kernels()));
  return "";
}

Pass make_pass(const ModelParts& parts, SessionState& state, std::span<const BatchItem> batch,
               const ForwardOptions& options) {
  Pass pass = {
      parts.args, state.rope_layout, parts.rope_table, state.device, state.workspace, batch, {}, {}, {}, {},
      options};
  for (const BatchItem& item : batch) {
    const int64_t first_row = static_cast<int64_t>(pass.ids.size());
    const auto n_tokens = static_cast<int64_t>(item.tokens.size());
    pass.ids.insert(pass.ids.end(), item.tokens.begin(), item.tokens.end());
    for (int64_t token_idx = 0; token_idx < n_tokens; ++token_idx) {
      pass.positions.push_back(item.cache->offset() + token_idx);
      const bool is_last = token_idx == n_tokens - 1;
      if (item.logits == LogitsFor::kAll || (item.logits == LogitsFor::kLast && is_last))
        pass.logit_rows.push_back(first_row + token_idx);
    }
  }
  pass.visible.resize(pass.ids.size());
  return pass;
}

Logits forward_pass(const ModelParts& parts, SessionState& state, std::span<const BatchItem> batch,
                    const ForwardOptions& options) {
  check_batch(batch, parts, state.kernels);
  Pass pass = make_pass(parts, state, batch, options);
  const auto n_logit_rows = static_cast<int64_t>(pass.logit_rows.size());
  state.workspace.resize(parts.args, static_cast<int64_t>(pass.ids.size()), n_logit_rows);
  CacheRollback rollback(batch);
  parts.transformer.forward(pass);
  for (const BatchItem& item : batch) Access::append(*item.cache, item.tokens, state.kernels);
  rollback.keep();
  const ops::Rows logits = state.workspace.logits;
  return {{logits.data, static_cast<std::size_t>(n_logit_rows * logits.n_cols)}, n_logit_rows, logits.n_cols};
}

void Observer::hidden_state(int64_t, std::span<const float>) {}
bool Observer::wants_attention_weights() const { return false; }
void Observer::attention_weights(int64_t, int64_t, std::span<const float>) {}

}  // namespace lille
