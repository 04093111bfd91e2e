#include "io/gguf_model_args.h"

#include <fmt/ranges.h>

#include <cmath>

#include "base/check.h"
#include "base/text.h"
#include "io/gguf_file_types.h"
#include "io/model_args_checks.h"

namespace lille {
namespace {

constexpr std::string_view kLoadGgufArgs = "load_gguf";
constexpr std::string_view kArchitectureKey = "general.architecture";
constexpr std::string_view kFeedForwardKey = "llama.feed_forward_length";
constexpr std::string_view kEpsilonKey = "llama.attention.layer_norm_rms_epsilon";
constexpr std::string_view kFreqBaseKey = "llama.rope.freq_base";
constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kGgufHint = "is this a GGUF file of a Lille model?";
constexpr double kDefaultFreqBase = 10000;

/// Reads the metadata of one file into ModelArgs; every fault names the file and the key.
class MetadataReader {
 public:
  explicit MetadataReader(const GgufFile& file) : file_(file) {}

  ModelArgs read() const {
    check_architecture();
    check_nothing_is_missing();
    ModelArgs args;
    args.model_type = "lille-130m";
    for (const SizeKey& key : kSizeKeys) args.*key.member = read_size(key, args);
    args.layer_norm_eps = static_cast<float>(read_real(kEpsilonKey, 0, 1));
    if (!(args.layer_norm_eps > 0)) fail(kEpsilonKey, "a number above 0 (as float32) and at most 1", "0");
    args.rope_theta = read_rope_theta();
    args.rope_layout = read_rope_layout();
    check_sizes(args);
    check_other_models(args);
    return args;
  }

 private:
  [[noreturn]] void fail(std::string_view key, std::string_view expected, std::string_view found,
                         std::string_view hint = kGgufHint, ErrorCode code = ErrorCode::kCorruptFile) const {
    raise(code, "[{}] {}: {}: expected {}, got {}. Hint: {}", kLoadGgufArgs, printable_path(file_.path()),
          key, expected, found, hint);
  }

  void check_architecture() const {
    const std::optional<std::string_view> architecture = file_.text(kArchitectureKey);
    if (!architecture) fail(kArchitectureKey, "\"llama\"", "none");
    if (*architecture != "llama")
      fail(kArchitectureKey, "\"llama\"", fmt::format("\"{}\"", printable(*architecture)),
           "Lille files are of the llama architecture; this program runs no other model",
           ErrorCode::kUnsupported);
  }

  static bool is_optional(const SizeKey& key) {
    return key.member == &ModelArgs::n_kv_heads || key.member == &ModelArgs::vocab_size;
  }

  void check_nothing_is_missing() const {
    std::vector<std::string_view> missing;
    for (const SizeKey& key : kSizeKeys)
      if (!is_optional(key) && file_.value(key.gguf_name) == nullptr) missing.emplace_back(key.gguf_name);
    for (const std::string_view key : {kFeedForwardKey, kEpsilonKey})
      if (file_.value(key) == nullptr) missing.push_back(key);
    if (file_.value("llama.vocab_size") == nullptr && file_.value(kTokensKey) == nullptr)
      missing.emplace_back("llama.vocab_size or tokenizer.ggml.tokens");
    if (!missing.empty())
      raise(ErrorCode::kCorruptFile, "[{}] {}: expected all keys of a Lille model, got none for {}. Hint: {}",
            kLoadGgufArgs, printable_path(file_.path()), fmt::join(missing, ", "), kGgufHint);
  }

  int64_t read_size(const SizeKey& key, const ModelArgs& args) const {
    const std::optional<uint64_t> found = file_.whole(key.gguf_name);
    if (!found && key.member == &ModelArgs::n_kv_heads) return args.n_head;
    const bool is_counted = !found && key.member == &ModelArgs::vocab_size;
    const uint64_t size = is_counted ? file_.array(kTokensKey, GgufType::kString)->size() : *found;
    if (size < 1 || size > static_cast<uint64_t>(key.max))
      fail(is_counted ? kTokensKey : key.gguf_name, fmt::format("a whole number from 1 to {}", key.max),
           fmt::format("{}", size), key.hint == nullptr ? kGgufHint : std::string_view(key.hint));
    return static_cast<int64_t>(size);
  }

  double read_real(std::string_view key, double min, double max) const {
    const double number = *file_.real(key);
    if (!(number >= min && number <= max))
      fail(key, fmt::format("a number from {} to {}", min, max), fmt::format("{}", number));
    return number;
  }

  double read_rope_theta() const {
    const bool has_base = file_.value(kFreqBaseKey) != nullptr;
    const double base = has_base ? read_real(kFreqBaseKey, kMinRopeTheta, kMaxRopeTheta) : kDefaultFreqBase;
    if (file_.value(kRopeThetaKey) == nullptr) return base;
    const double theta = read_real(kRopeThetaKey, kMinRopeTheta, kMaxRopeTheta);
    if (static_cast<float>(theta) != static_cast<float>(base))
      fail(kRopeThetaKey, fmt::format("{}, as {} says", base, kFreqBaseKey), fmt::format("{}", theta),
           "remove the one that is wrong");
    return theta;
  }

  std::optional<RopeLayout> read_rope_layout() const {
    const std::optional<std::string_view> name = file_.text(kRopeLayoutKey);
    if (!name) return std::nullopt;
    const std::optional<RopeLayout> layout = rope_layout_from_name(*name);
    if (!layout)
      fail(kRopeLayoutKey, "\"interleaved\", \"half\" or \"original\"",
           fmt::format("\"{}\"", printable(*name)),
           "docs/ROPE.md explains them; without the key the layout is measured");
    return layout;
  }

  void check_sizes(const ModelArgs& args) const {
    const std::optional<SizeFault> fault = find_size_fault(args);
    if (!fault) return;
    for (const SizeKey& key : kSizeKeys)
      if (key.member == fault->member)
        fail(key.gguf_name, fault->expected, fault->found, fault->hint.empty() ? kGgufHint : fault->hint);
  }

  /// What a file of the llama architecture may hold and no Lille does.
  void check_other_models(const ModelArgs& args) const {
    const auto check = [this](std::string_view key, int64_t expected, std::string_view hint) {
      const std::optional<uint64_t> found = file_.whole(key);
      if (found && std::cmp_not_equal(*found, expected))
        fail(key, fmt::format("{}", expected), fmt::format("{}", *found), hint, ErrorCode::kUnsupported);
    };
    check(kFeedForwardKey, args.hidden_dim(),
          "Lille's MLP has 256 * round(int(8 * n_embd / 3) / 256) columns; the author's exporter rounds up, "
          "which differs at some widths");
    constexpr std::string_view kWidth = "all heads of a Lille are n_embd / n_head wide and turned as a whole";
    check("llama.rope.dimension_count", args.head_dim(), kWidth);
    check("llama.attention.key_length", args.head_dim(), kWidth);
    check("llama.attention.value_length", args.head_dim(), kWidth);
    check("llama.expert_count", 0, "no Lille is a mixture of experts");
    const std::optional<std::string_view> scaling = file_.text("llama.rope.scaling.type");
    if (scaling && *scaling != "none")
      fail("llama.rope.scaling.type", "\"none\" or nothing", fmt::format("\"{}\"", printable(*scaling)),
           "no Lille was trained with scaled rotary positions", ErrorCode::kUnsupported);
  }

  const GgufFile& file_;
};

}  // namespace

ModelArgs model_args_from_gguf(const GgufFile& file) { return MetadataReader(file).read(); }

bool has_permuted_qk(const GgufFile& file) { return file.boolean(kQkPermutedKey).value_or(true); }

std::string_view gguf_file_type_name(const GgufFile& file) {
  const std::optional<uint64_t> file_type = file.whole("general.file_type");
  for (const GgufFileTypeRow& row : kGgufFileTypes)
    if (file_type == row.number) return row.name;
  return {};
}

}  // namespace lille
