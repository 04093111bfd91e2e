#include "model/calibration.h"

#include <algorithm>
#include <functional>

#include "base/check.h"

namespace lille {
namespace {

/// Shows the inputs of a linear layer to somebody and adds nothing to its outputs.
class InputTap : public LinearAdapter {
 public:
  using Show = std::function<void(ops::Device& device, ops::Rows x)>;

  explicit InputTap(Show show) : show_(std::move(show)) {}
  void add_to(ops::Device& device, ops::Rows, ops::Rows x) const override { show_(device, x); }

 private:
  Show show_;
};

/// A copy of a block that shows its four inputs, in the order of LinearInput.
Block tapped(Block block,
             const std::function<void(LinearInput input, ops::Device& device, ops::Rows x)>& show) {
  const auto tap = [&show](Linear& linear, LinearInput input) {
    linear.adapter = std::make_shared<InputTap>(
        [&show, input](ops::Device& device, ops::Rows x) { show(input, device, x); });
  };
  tap(block.attention.qkv_proj, LinearInput::kAttnNormed);
  tap(block.attention.out_proj, LinearInput::kAttnHeads);
  tap(block.feed_forward.gate_proj, LinearInput::kFfnNormed);
  tap(block.feed_forward.down_proj, LinearInput::kGate);
  return block;
}

/// (n_cols, n_rows)
std::vector<float> transposed(ops::Rows rows) {
  std::vector<float> columns(static_cast<std::size_t>(rows.n_rows * rows.n_cols));
  for (int64_t row_idx = 0; row_idx < rows.n_rows; ++row_idx)
    for (int64_t col_idx = 0; col_idx < rows.n_cols; ++col_idx)
      columns[static_cast<std::size_t>(col_idx * rows.n_rows + row_idx)] = rows.row(row_idx)[col_idx];
  return columns;
}

/// sums (n, n) += a^T * b, both given as (n, n_tokens). The kernels of a linear layer do the work: products
/// of a window in float32, sums over windows in double.
void add_product(ops::Device& device, std::vector<double>& sums, std::vector<float>& a,
                 const std::vector<float>& b, int64_t n_tokens) {
  const int64_t n = static_cast<int64_t>(a.size()) / n_tokens;
  std::vector<float> product(static_cast<std::size_t>(n * n));
  ops::linear(device, {product.data(), n, n, n}, {a.data(), n, n_tokens, n_tokens},
              {.kind = kernels::WeightKind::kF32, .data = b.data(), .n_out = n, .n_in = n_tokens});
  sums.resize(product.size());
  for (std::size_t idx = 0; idx < sums.size(); ++idx) sums[idx] += product[idx];
}

void copy_rows(ops::Rows to, const float* from) {
  for (int64_t row_idx = 0; row_idx < to.n_rows; ++row_idx)
    std::copy_n(from + row_idx * to.n_cols, to.n_cols, to.row(row_idx));
}

void copy_rows(float* to, ops::Rows from) {
  for (int64_t row_idx = 0; row_idx < from.n_rows; ++row_idx)
    std::copy_n(from.row(row_idx), from.n_cols, to + row_idx * from.n_cols);
}

/// Adds up the products of what the last norm gives.
class OutputInputs : public Observer {
 public:
  OutputInputs(ops::Device& device, int64_t n_layer, int64_t n_embd)
      : device_(device), last_(n_layer + 1), n_embd_(n_embd) {}

  void hidden_state(int64_t hidden_idx, std::span<const float> values) override {
    if (hidden_idx != last_) return;
    std::vector<float> rows(values.begin(), values.end());
    const int64_t n_tokens = static_cast<int64_t>(rows.size()) / n_embd_;
    std::vector<float> columns = transposed({rows.data(), n_tokens, n_embd_, n_embd_});
    add_product(device_, sums_, columns, columns, n_tokens);
  }

  std::vector<double> take() { return std::move(sums_); }

 private:
  ops::Device& device_;
  int64_t last_;
  int64_t n_embd_;
  std::vector<double> sums_;
};

}  // namespace

Calibration::Calibration(const Model& model, std::span<const int32_t> ids, int64_t n_threads,
                         std::stop_token cancel)
    : state_(model, model.rope().layout, {.n_threads = n_threads, .exact = true}),
      parts_(Access::parts(state_.model)),
      ids_(ids),
      cancel_(std::move(cancel)),
      working_(parts_.transformer) {
  LILLE_CHECK(static_cast<int64_t>(ids.size()) % parts_.args.block_size == 0);
}

int64_t Calibration::n_windows() const noexcept {
  return static_cast<int64_t>(ids_.size()) / parts_.args.block_size;
}

std::span<const int32_t> Calibration::window(int64_t window_idx) const noexcept {
  const auto n = static_cast<std::size_t>(parts_.args.block_size);
  return ids_.subspan(static_cast<std::size_t>(window_idx) * n, n);
}

std::vector<double> Calibration::output_products() {
  OutputInputs inputs(state_.device, parts_.args.n_layer, parts_.args.n_embd);
  for (int64_t window_idx = 0; window_idx < n_windows(); ++window_idx) {
    PromptCache cache = make_prompt_cache(state_.model);
    const BatchItem item = {window(window_idx), &cache, LogitsFor::kNone};
    forward_pass(parts_, state_, std::span(&item, 1), {cancel_, {}, &inputs});
  }
  return inputs.take();
}

void Calibration::embed() {
  const int64_t n_embd = parts_.args.n_embd;
  const auto n_tokens = static_cast<int64_t>(ids_.size());
  hidden_.resize(static_cast<std::size_t>(n_tokens * n_embd));
  working_hidden_.resize(hidden_.size());
  parts_.transformer.tok_embeddings.forward(state_.device, {hidden_.data(), n_tokens, n_embd, n_embd}, ids_);
  working_.tok_embeddings.forward(state_.device, {working_hidden_.data(), n_tokens, n_embd, n_embd}, ids_);
}

void Calibration::run(const Block& block, int64_t window_idx, std::vector<float>& hidden, bool keep) {
  if (cancel_.stop_requested()) raise(ErrorCode::kCanceled, "[quantize] canceled by the caller");
  PromptCache cache = make_prompt_cache(state_.model);
  const BatchItem item = {window(window_idx), &cache, LogitsFor::kNone};
  const ForwardOptions options;
  Pass pass = make_pass(parts_, state_, std::span(&item, 1), options);
  state_.workspace.resize(parts_.args, parts_.args.block_size, 0);
  const ops::Rows x = state_.workspace.x;
  float* const rows = hidden.data() + window_idx * parts_.args.block_size * parts_.args.n_embd;
  copy_rows(x, rows);
  block.forward(pass, x);
  if (keep) copy_rows(rows, x);
}

std::array<InputProducts, kLinearInputs> Calibration::block_products(int64_t layer_idx) {
  const int64_t n_tokens = parts_.args.block_size;
  std::array<InputProducts, kLinearInputs> products;
  std::array<std::vector<float>, kLinearInputs> inputs;
  const auto keep_inputs = [&](LinearInput input, ops::Device&, ops::Rows x) {
    inputs[static_cast<std::size_t>(input)] = transposed(x);
  };
  const auto add_products = [&](LinearInput input, ops::Device& device, ops::Rows y) {
    std::vector<float>& difference = inputs[static_cast<std::size_t>(input)];
    InputProducts& sums = products[static_cast<std::size_t>(input)];
    std::vector<float> columns = transposed(y);
    for (std::size_t idx = 0; idx < columns.size(); ++idx) difference[idx] -= columns[idx];
    add_product(device, sums.d_y, difference, columns, n_tokens);
    add_product(device, sums.y_y, columns, columns, n_tokens);
  };
  const std::function<void(LinearInput, ops::Device&, ops::Rows)> keep = keep_inputs;
  const std::function<void(LinearInput, ops::Device&, ops::Rows)> add = add_products;
  const Block block = tapped(parts_.transformer.layers[static_cast<std::size_t>(layer_idx)], keep);
  const Block working_block = tapped(working_.layers[static_cast<std::size_t>(layer_idx)], add);
  for (int64_t window_idx = 0; window_idx < n_windows(); ++window_idx) {
    run(block, window_idx, hidden_, true);
    run(working_block, window_idx, working_hidden_, false);
  }
  return products;
}

void Calibration::advance(int64_t layer_idx) {
  for (int64_t window_idx = 0; window_idx < n_windows(); ++window_idx)
    run(working_.layers[static_cast<std::size_t>(layer_idx)], window_idx, working_hidden_, true);
}

}  // namespace lille
