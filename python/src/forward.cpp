#include "forward.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <vector>

#include "base/check.h"
#include "computation.h"
#include "conversions.h"
#include "lille/prompt_cache.h"

namespace lille::python {
namespace {

namespace py = pybind11;

// Tokens of one pass: bounds the scratch memory that a session keeps, and changes no number.
constexpr int64_t kMaxPassTokens = 128;

// What one pass reads: some tokens of some rows.
struct Piece {
  int64_t first_row;
  int64_t n_rows;
  int64_t begin;     // the first token
  int64_t n_tokens;  // of each row
};

using RunPiece = std::function<void(const Piece& piece, std::span<const BatchItem> batch)>;

// Reads the rows of `group` side by side, a piece after the other, each row into its own of `caches`.
void read_group(const TokenRows& rows, Piece group, std::span<PromptCache* const> caches, LogitsFor logits,
                const RunPiece& run_piece) {
  const int64_t n_of_row = kMaxPassTokens / group.n_rows;
  for (; group.begin < rows.n_tokens; group.begin += group.n_tokens) {
    group.n_tokens = std::min(n_of_row, rows.n_tokens - group.begin);
    std::vector<BatchItem> batch;
    for (int64_t idx = 0; idx < group.n_rows; ++idx)
      batch.push_back({rows.slice(group.first_row + idx, group.begin, group.n_tokens),
                       caches[static_cast<std::size_t>(idx)], logits});
    run_piece(group, batch);
  }
}

// Reads all rows, as many at a time as a pass may have tokens. If it throws, a caller's cache is as it was.
void read_in_pieces(const Model& model, const TokenRows& rows, PromptCache* caller_cache, LogitsFor logits,
                    const RunPiece& run_piece) {
  if (caller_cache != nullptr) {
    const int64_t offset = caller_cache->offset();
    try {
      return read_group(rows, {0, 1, 0, 0}, std::span(&caller_cache, 1), logits, run_piece);
    } catch (...) {
      caller_cache->trim(caller_cache->offset() - offset);
      throw;
    }
  }
  std::vector<PromptCache> own;
  std::vector<PromptCache*> caches;
  const int64_t n_caches = std::min(rows.n_rows, kMaxPassTokens);
  own.reserve(static_cast<std::size_t>(n_caches));
  for (int64_t idx = 0; idx < n_caches; ++idx) caches.push_back(&own.emplace_back(make_prompt_cache(model)));
  for (int64_t first_row = 0; first_row < rows.n_rows; first_row += n_caches) {
    for (PromptCache* cache : caches) cache->trim(cache->offset());
    const int64_t n_rows = std::min(n_caches, rows.n_rows - first_row);
    read_group(rows, {first_row, n_rows, 0, 0}, caches, logits, run_piece);
  }
}

void check_rows(const ModelHandle& model, const TokenRows& rows, const PromptCache* cache) {
  if (rows.n_rows == 0 || rows.n_tokens == 0)
    raise(ErrorCode::kInvalidArgument, "[Model] tokens: expected at least one, got none");
  if (cache != nullptr && rows.n_rows != 1)
    raise(ErrorCode::kInvalidArgument, "[Model] cache: expected one row of tokens beside it, got {}",
          rows.n_rows);
  // Before memory is taken for the result.
  const int64_t n_cached = cache == nullptr ? 0 : cache->offset();
  if (rows.n_tokens > model.args().block_size - n_cached)
    raise(ErrorCode::kInvalidArgument,
          "[Model] tokens: expected at most {} (block_size {} without {} in the cache), got {}",
          model.args().block_size - n_cached, model.args().block_size, n_cached, rows.n_tokens);
}

// Rows of a pass, row after row of tokens, into their places in (n_rows, n_tokens, n_columns).
void place(std::span<const float> values, const TokenRows& rows, const Piece& piece, int64_t n_columns,
           float* out) {
  const auto n_values = static_cast<std::size_t>(piece.n_tokens * n_columns);
  for (int64_t idx = 0; idx < piece.n_rows; ++idx)
    std::memcpy(out + ((piece.first_row + idx) * rows.n_tokens + piece.begin) * n_columns,
                values.data() + static_cast<std::size_t>(idx) * n_values, n_values * sizeof(float));
}

std::vector<py::ssize_t> shape_of(const TokenRows& rows, std::optional<int64_t> n_first, int64_t n_columns) {
  std::vector<py::ssize_t> shape;
  if (n_first) shape.push_back(*n_first);
  if (rows.is_matrix) shape.push_back(rows.n_rows);
  shape.push_back(rows.n_tokens);
  shape.push_back(n_columns);
  return shape;
}

// Puts each hidden state of a pass in its place.
class HiddenStates : public Observer {
 public:
  HiddenStates(const TokenRows& rows, int64_t n_embd, float* out) : rows_(rows), n_embd_(n_embd), out_(out) {}

  void set_piece(const Piece& piece) { piece_ = piece; }
  void hidden_state(int64_t hidden_idx, std::span<const float> values) override {
    place(values, rows_, piece_, n_embd_, out_ + hidden_idx * rows_.n_rows * rows_.n_tokens * n_embd_);
  }

 private:
  const TokenRows& rows_;
  int64_t n_embd_;
  float* out_;
  Piece piece_ = {};
};

bool is_likeliest(std::span<const float> logits, int32_t token) {
  return std::ranges::max_element(logits) - logits.begin() == token;
}

// What is read and what is predicted of a context and its continuation.
struct Scored {
  std::vector<int32_t> tokens;  // the context, cut if need be, and the continuation without its last token
  std::vector<int32_t> continuation;  // predicted
};

Scored make_scored(std::vector<int32_t> context, std::vector<int32_t> continuation, int64_t block_size) {
  const auto n_continuation = static_cast<int64_t>(continuation.size());
  if (context.empty())
    raise(ErrorCode::kInvalidArgument, "[loglikelihood] context: expected at least one token, got none");
  if (n_continuation < 1 || n_continuation > block_size)
    raise(ErrorCode::kInvalidArgument,
          "[loglikelihood] continuation: expected 1 to {} tokens (block_size), got {}", block_size,
          n_continuation);
  const int64_t n_surplus = static_cast<int64_t>(context.size()) + n_continuation - 1 - block_size;
  if (n_surplus > 0) context.erase(context.begin(), context.begin() + n_surplus);
  context.insert(context.end(), continuation.begin(), continuation.end() - 1);
  return {std::move(context), std::move(continuation)};
}

std::pair<double, bool> score(Session& session, PromptCache& cache, const Scored& scored,
                              const std::stop_token& cancel) {
  const std::size_t n_context = scored.tokens.size() - scored.continuation.size();
  const std::span<const int32_t> tokens = scored.tokens;
  // Exactly the context's beginning stays: the rest is wanted with logits.
  reuse_prefix(cache, tokens.first(n_context + 1));
  const auto n_held = static_cast<std::size_t>(cache.offset());
  if (n_held < n_context) {
    const BatchItem rest = {tokens.subspan(n_held, n_context - n_held), &cache, LogitsFor::kNone};
    session.forward(std::span(&rest, 1), {cancel, {}, nullptr});
  }
  const BatchItem item = {tokens.subspan(n_context), &cache, LogitsFor::kAll};
  const Logits logits = session.forward(std::span(&item, 1), {cancel, {}, nullptr});
  std::pair<double, bool> result = {0, true};
  for (const double loss : session.cross_entropy(logits, scored.continuation)) result.first -= loss;
  for (int64_t row_idx = 0; row_idx < logits.n_rows; ++row_idx)
    result.second = result.second &&
                    is_likeliest(logits.row(row_idx), scored.continuation[static_cast<std::size_t>(row_idx)]);
  return result;
}

}  // namespace

py::array_t<float> logits(const ModelHandle& model, const py::object& tokens,
                          std::shared_ptr<CacheHandle> cache) {
  const TokenRows rows = read_token_rows(tokens, "[Model] tokens");
  const CacheHandle::Use use(std::move(cache));
  check_rows(model, rows, use.get());
  const int64_t vocab_size = model.args().vocab_size;
  std::vector<float> values(static_cast<std::size_t>(rows.n_rows * rows.n_tokens * vocab_size));
  Computation computation;
  computation.run([&] {
    const std::shared_ptr<Session> session = model.lease();
    read_in_pieces(model.model(), rows, use.get(), LogitsFor::kAll,
                   [&](const Piece& piece, std::span<const BatchItem> batch) {
                     const Logits logits = session->forward(batch, {computation.cancel(), {}, nullptr});
                     place(logits.values, rows, piece, vocab_size, values.data());
                   });
  });
  return make_array(std::move(values), shape_of(rows, std::nullopt, vocab_size));
}

py::array_t<float> hidden_states(const ModelHandle& model, const py::object& tokens,
                                 std::shared_ptr<CacheHandle> cache) {
  const TokenRows rows = read_token_rows(tokens, "[Model] tokens");
  const CacheHandle::Use use(std::move(cache));
  check_rows(model, rows, use.get());
  const int64_t n_embd = model.args().n_embd;
  const int64_t n_hidden = model.args().n_layer + 2;
  std::vector<float> values(static_cast<std::size_t>(n_hidden * rows.n_rows * rows.n_tokens * n_embd));
  Computation computation;
  computation.run([&] {
    const std::shared_ptr<Session> session = model.lease();
    HiddenStates hidden(rows, n_embd, values.data());
    read_in_pieces(model.model(), rows, use.get(), LogitsFor::kNone,
                   [&](const Piece& piece, std::span<const BatchItem> batch) {
                     hidden.set_piece(piece);
                     session->forward(batch, {computation.cancel(), {}, &hidden});
                   });
  });
  return make_array(std::move(values), shape_of(rows, n_hidden, n_embd));
}

std::pair<double, bool> loglikelihood(const ModelHandle& model, const py::object& context,
                                      const py::object& continuation, std::shared_ptr<CacheHandle> cache) {
  const Scored scored =
      make_scored(read_ids(context, "[loglikelihood] context"),
                  read_ids(continuation, "[loglikelihood] continuation"), model.args().block_size);
  const CacheHandle::Use use(std::move(cache));
  Computation computation;
  std::pair<double, bool> result;
  computation.run([&] {
    const std::shared_ptr<Session> session = model.lease();
    std::optional<PromptCache> own;
    if (use.get() == nullptr) own.emplace(make_prompt_cache(model.model()));
    result = score(*session, own ? *own : *use.get(), scored, computation.cancel());
  });
  return result;
}

}  // namespace lille::python
