#include "ops/linear.h"

#include <algorithm>

#include "kernels/choose_scales_q8.h"
#include "kernels/weight_kind.h"
#include "ops/parallel.h"
#include "ops/shape.h"

namespace lille::ops {
namespace {

/// Outputs of a task come in multiples of this, a multiple of every kernel's tile.
constexpr int64_t kOutTile = 16;

/// Steps of a task that is worth claiming. The threads have run long before.
constexpr int64_t kMinTaskWork = 20 * 1024;

using Products = std::span<const Product>;

/// Outputs for each task: enough tasks that a thread held up by others on its core does not hold up the rest,
/// none so small that claiming it costs more than computing it.
int64_t outs_per_task(int64_t n_rows, Products products, int64_t n_threads) noexcept {
  const int64_t work_per_out = std::max<int64_t>(1, n_rows * products[0].weight->n_in);
  const int64_t outs_worth_a_task = (kMinTaskWork + work_per_out - 1) / work_per_out;
  int64_t n_out = 0;
  for (const Product& product : products) n_out += product.weight->n_out;
  const int64_t n_ranges = 8 * n_threads;
  const int64_t even_share = (n_out + n_ranges - 1) / n_ranges;
  return (std::max(outs_worth_a_task, even_share) + kOutTile - 1) / kOutTile * kOutTile;
}

/// The tasks of a job: the outputs of one product after the other, outs_per_task() at a time.
class OutRanges {
 public:
  OutRanges(int64_t n_rows, Products products, int64_t n_threads)
      : products_(products), n_outs_(outs_per_task(n_rows, products, n_threads)) {
    for (const Product& product : products) n_tasks_ += tasks_of(product);
  }

  int64_t n_tasks() const noexcept { return n_tasks_; }
  /// use(product, out_begin, out_end)
  template <typename Use>
  auto with(int64_t task_idx, Use use) const {
    const Product* product = products_.data();
    for (; task_idx >= tasks_of(*product); ++product) task_idx -= tasks_of(*product);
    return use(*product, task_idx * n_outs_, std::min(product->weight->n_out, (task_idx + 1) * n_outs_));
  }

 private:
  int64_t tasks_of(const Product& product) const noexcept {
    return (product.weight->n_out + n_outs_ - 1) / n_outs_;
  }

  Products products_;
  int64_t n_outs_;
  int64_t n_tasks_ = 0;
};

void grow_scratch(Device& device, int64_t n_floats) {
  device.scratch.resize(static_cast<std::size_t>(device.pool.n_threads()));
  for (std::vector<float>& scratch : device.scratch)
    if (scratch.size() < static_cast<std::size_t>(n_floats))
      scratch.resize(static_cast<std::size_t>(n_floats));
}

// At least n elements, which keep their address until there must be more.
template <typename T>
T* grown(std::vector<T>& buffer, int64_t n) {
  if (buffer.size() < static_cast<std::size_t>(n)) buffer.resize(static_cast<std::size_t>(n));
  return buffer.data();
}

// x rounded to 8 bits, for a matrix of codes.
kernels::Q8Rows quantize(Device& device, Rows x, int64_t group_size, Rounding rounding) {
  const int64_t n_blocks = x.n_cols / kernels::kQ8Block;
  const int64_t stride = (x.n_cols + kernels::kQ8Padding - 1) / kernels::kQ8Padding * kernels::kQ8Padding;
  const bool is_close = rounding == Rounding::kClose;
  // An odd number of cache lines: the values of one row then lie in sets of a cache that differ.
  const int64_t block_stride = x.n_rows == 1 ? 1 : ((x.n_rows + 15) / 16 | 1) * 16;
  const kernels::Q8Rows rows = {grown(device.q8.codes, x.n_rows * stride),
                                device.kernels.q8_words ? grown(device.q8.words, x.n_rows * stride) : nullptr,
                                stride,
                                block_stride,
                                grown(device.q8.scales, block_stride * n_blocks),
                                grown(device.q8.sums, block_stride * n_blocks),
                                grown(device.q8.group_sums, block_stride * (x.n_cols / group_size))};
  const int64_t work = x.n_cols * (is_close ? kernels::kScaleTriesQ8 : 1);
  for_row_ranges(device, x.n_rows, work, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      device.kernels.quantize_q8(rows.from(row), x.row(row), x.n_cols, group_size);
      if (is_close) kernels::choose_scales_q8(rows.from(row), x.row(row), x.n_cols, group_size);
    }
  });
  return rows;
}

// Where the threads' shares begin among the weights.
ThreadPool::Ahead shares_of(const OutRanges& ranges, int64_t n_shares) {
  ThreadPool::Ahead begins = {};
  for (int64_t idx = 0; idx < n_shares; ++idx) {
    const int64_t task_idx = ThreadPool::share_begin(ranges.n_tasks(), idx, n_shares);
    begins[static_cast<std::size_t>(idx)] = ranges.with(task_idx, [](const Product& product, int64_t out,
                                                                     int64_t) {
      return static_cast<const std::byte*>(product.weight->data) + out * kernels::row_bytes(*product.weight);
    });
  }
  return begins;
}

// Calls multiply(product, out_begin, out_end, scratch) for ranges of outputs, on all threads.
template <typename Multiply>
void for_out_ranges(Device& device, int64_t n_rows, Products products, Multiply multiply) {
  const OutRanges ranges(n_rows, products, device.pool.n_threads());
  if (ranges.n_tasks() == 0) return;
  const ThreadPool::Ahead next = device.read_order.after(shares_of(ranges, device.pool.n_shares()));
  device.pool.run(
      ranges.n_tasks(),
      [&](int64_t task_idx, int64_t thread_idx) {
        float* scratch = device.scratch[static_cast<std::size_t>(thread_idx)].data();
        ranges.with(task_idx, [&](const Product& product, int64_t begin, int64_t end) {
          multiply(product, begin, end, scratch);
        });
      },
      next);
}

void linear_exact(Device& device, Products products, Rows x) {
  grow_scratch(device, device.kernels.matmul_scratch_floats(x.n_cols));
  for_out_ranges(device, x.n_rows, products,
                 [&](const Product& product, int64_t begin, int64_t end, float* scratch) {
                   device.kernels.matmul({.out = product.out.data,
                                          .out_stride = product.out.stride,
                                          .x = x.data,
                                          .x_stride = x.stride,
                                          .n_rows = x.n_rows,
                                          .weight = *product.weight,
                                          .out_begin = begin,
                                          .out_end = end,
                                          .scratch = scratch});
                 });
}

// x rounded to bfloat16, group by group.
void round_bf16(Device& device, std::byte* to, int64_t stride, Rows x) {
  const kernels::Bf16Kernels& bf16 = device.kernels.bf16;
  const int64_t n_groups = (x.n_rows + bf16.group_rows - 1) / bf16.group_rows;
  const int64_t work = std::min(x.n_rows, bf16.group_rows) * x.n_cols;
  for_row_ranges(device, n_groups, work, [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group) {
      const int64_t row = group * bf16.group_rows;
      bf16.round(to + row * stride * bf16.x_bytes, stride, x.row(row), x.stride,
                 std::min(bf16.group_rows, x.n_rows - row), x.n_cols);
    }
  });
}

void linear_bf16(Device& device, Products products, Rows x) {
  const kernels::Bf16Kernels& bf16 = device.kernels.bf16;
  grow_scratch(device, device.kernels.matmul_scratch_floats(x.n_cols));
  const int64_t stride =
      (x.n_cols + kernels::kBf16Padding - 1) / kernels::kBf16Padding * kernels::kBf16Padding;
  const auto n_bytes = static_cast<std::size_t>(x.n_rows * stride * bf16.x_bytes);
  if (device.bf16.size() < n_bytes) device.bf16 = AlignedBuffer<std::byte>(n_bytes);
  std::byte* rounded = device.bf16.data();
  round_bf16(device, rounded, stride, x);
  for_out_ranges(device, x.n_rows, products,
                 [&](const Product& product, int64_t begin, int64_t end, float* scratch) {
                   bf16.matmul({.out = product.out.data,
                                .out_stride = product.out.stride,
                                .x = rounded,
                                .x_stride = stride,
                                .n_rows = x.n_rows,
                                .weight = *product.weight,
                                .out_begin = begin,
                                .out_end = end,
                                .scratch = scratch});
                 });
}

void linear_q8(Device& device, Products products, Rows x, Rounding rounding) {
  grow_scratch(device, device.kernels.matmul_q8_scratch_floats(x.n_cols));
  const int64_t group_size = kernels::group_size_of(*products[0].weight);
  const kernels::Q8Rows rows = quantize(device, x, group_size, rounding);
  for_out_ranges(device, x.n_rows, products,
                 [&](const Product& product, int64_t begin, int64_t end, float* scratch) {
                   device.kernels.matmul_q8({.out = product.out.data,
                                             .out_stride = product.out.stride,
                                             .x = rows,
                                             .n_rows = x.n_rows,
                                             .weight = *product.weight,
                                             .out_begin = begin,
                                             .out_end = end,
                                             .scratch = scratch});
                 });
}

// What x has to be for a matrix.
struct XForm {
  enum Kind { kFloat, kBf16, kQ8 } kind = kFloat;
  int64_t group_size = 0;  // Of kQ8.

  bool operator==(const XForm&) const = default;
};

XForm form_for(const Device& device, const kernels::WeightMatrix& weight) {
  if (device.exact) return {};
  if (kernels::takes_q8(weight.kind)) return {XForm::kQ8, kernels::group_size_of(weight)};
  return {weight.kind == kernels::WeightKind::kBF16 ? XForm::kBf16 : XForm::kFloat};
}

}  // namespace

void linear(Device& device, Products products, Rows x, Rounding rounding) {
  for (const Product& product : products) {
    check_rows("linear", "x", x, x.n_rows, product.weight->n_in);
    check_rows("linear", "out", product.out, x.n_rows, product.weight->n_out);
  }
  if (x.n_rows == 0) return;
  while (!products.empty()) {
    const XForm form = form_for(device, *products[0].weight);
    std::size_t n = 1;
    while (n < products.size() && form_for(device, *products[n].weight) == form) ++n;
    const Products together = products.first(n);
    products = products.subspan(n);
    switch (form.kind) {
      case XForm::kFloat:
        linear_exact(device, together, x);
        break;
      case XForm::kBf16:
        linear_bf16(device, together, x);
        break;
      case XForm::kQ8:
        linear_q8(device, together, x, rounding);
        break;
    }
  }
}

}  // namespace lille::ops
