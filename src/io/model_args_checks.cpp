#include "io/model_args_checks.h"

#include <fmt/format.h>

namespace lille {

std::optional<SizeFault> find_size_fault(const ModelArgs& args) {
  const auto head_width = [&args] {
    return fmt::format("n_embd / n_head = {} / {} = {}", args.n_embd, args.n_head, args.head_dim());
  };
  if (args.n_embd % args.n_head != 0)
    return SizeFault{&ModelArgs::n_head, fmt::format("a divisor of n_embd, {}", args.n_embd),
                     fmt::format("{}", args.n_head), ""};
  if (args.n_head % args.n_kv_heads != 0)
    return SizeFault{&ModelArgs::n_kv_heads, fmt::format("a divisor of n_head, {}", args.n_head),
                     fmt::format("{}", args.n_kv_heads), ""};
  if (args.head_dim() % 2 != 0)
    return SizeFault{&ModelArgs::n_head, "an even width of a head, since rotary positions turn pairs",
                     head_width(), ""};
  if (args.head_dim() > ModelArgs::kMaxHeadDim)
    return SizeFault{&ModelArgs::n_head,
                     fmt::format("a width of a head of at most {}", ModelArgs::kMaxHeadDim), head_width(),
                     ""};
  if (args.hidden_dim() == 0)
    return SizeFault{&ModelArgs::n_embd, "at least 49", fmt::format("{}", args.n_embd),
                     "hidden_dim = 256 * round(int(8 * n_embd / 3) / 256), the nearest multiple of 256 with "
                     "halves to the even one, is 0 here, an MLP without width"};
  return std::nullopt;
}

}  // namespace lille
