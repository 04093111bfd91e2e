#include "io/torch_state.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"
#include "io/pickle.h"
#include "io/tensor_view.h"

namespace lille {
namespace {

using Kind = PickleValue::Kind;
using Use = PickleGlobal::Use;

/// Far above the two of a weight matrix.
constexpr std::size_t kMaxTorchDimensions = 8;
constexpr std::size_t kMaxKeysNamed = 8;
constexpr std::string_view kStateDict = "model_state_dict";

struct StorageClass {
  std::string_view name;
  DType dtype;
};

constexpr std::array kStorageClasses = {
    StorageClass{"FloatStorage", DType::kF32},     StorageClass{"HalfStorage", DType::kF16},
    StorageClass{"BFloat16Storage", DType::kBF16}, StorageClass{"DoubleStorage", DType::kF64},
    StorageClass{"LongStorage", DType::kI64},      StorageClass{"IntStorage", DType::kI32},
    StorageClass{"ShortStorage", DType::kI16},     StorageClass{"CharStorage", DType::kI8},
    StorageClass{"ByteStorage", DType::kU8},       StorageClass{"BoolStorage", DType::kBool},
};

constexpr PickleGlobal kOrderedDict = {"collections", "OrderedDict", Use::kOrderedDict};
constexpr PickleGlobal kRebuildTensor = {"torch._utils", "_rebuild_tensor_v2", Use::kCall};
constexpr PickleGlobal kRebuildParameter = {"torch._utils", "_rebuild_parameter", Use::kCall};

constexpr auto make_globals() {
  std::array<PickleGlobal, kStorageClasses.size() + 3> globals;
  for (std::size_t idx = 0; idx < kStorageClasses.size(); ++idx)
    globals[idx] = {"torch", kStorageClasses[idx].name, Use::kName};
  globals[kStorageClasses.size()] = kOrderedDict;
  globals[kStorageClasses.size() + 1] = kRebuildTensor;
  globals[kStorageClasses.size() + 2] = kRebuildParameter;
  return globals;
}

constexpr auto kGlobals = make_globals();

bool is_call_of(const PickleValue& value, const PickleGlobal& global) {
  return value.kind == Kind::kCall && value.global->name == global.name;
}

/// The arguments of a call: at least n_arguments.
std::span<const PickleItem> arguments_of(const PickleValue& call) { return call.items[0].value->items; }

/// Reads one entry of a state dict; every fault names the file and the entry.
class TensorReader {
 public:
  TensorReader(const std::string& source, std::string_view name) : source_(source), name_(name) {}

  TorchTensor read(const PickleValue& value) const {
    const PickleValue& call = is_call_of(value, kRebuildParameter) ? tensor_of_parameter(value) : value;
    if (!is_call_of(call, kRebuildTensor)) fail(ErrorCode::kUnsupported, "a tensor", call.kind_name());
    const auto arguments = arguments_of(call);
    if (arguments.size() < 4)
      fail(ErrorCode::kCorruptFile, "a tensor of a storage, an offset, a shape and strides",
           fmt::format("{} of the four", arguments.size()));
    TorchTensor tensor = {.name = std::string(name_)};
    read_storage(tensor, *arguments[0].value);
    tensor.offset = read_size(*arguments[1].value, "an offset");
    tensor.shape = read_sizes(*arguments[2].value, "a shape");
    tensor.strides = read_sizes(*arguments[3].value, "strides");
    check_window(tensor);
    return tensor;
  }

 private:
  [[noreturn]] void fail(ErrorCode code, std::string_view expected, std::string_view found) const {
    raise(code, "[load_torch] {}: \"{}\": expected {}, got {}. Hint: was the file written by torch.save?",
          source_, printable(name_), expected, found);
  }

  const PickleValue& tensor_of_parameter(const PickleValue& call) const {
    if (arguments_of(call).empty()) fail(ErrorCode::kCorruptFile, "a parameter of a tensor", "none");
    return *arguments_of(call)[0].value;
  }

  /// ('storage', torch.FloatStorage, key, location, n_elements)
  void read_storage(TorchTensor& tensor, const PickleValue& value) const {
    if (value.kind != Kind::kPersistent) fail(ErrorCode::kCorruptFile, "a storage", value.kind_name());
    const PickleValue& id = *value.items[0].value;
    if (id.kind != Kind::kTuple || id.items.size() != 5 || id.items[0].value->text != "storage" ||
        id.items[1].value->kind != Kind::kGlobal || id.items[2].value->kind != Kind::kString)
      fail(ErrorCode::kCorruptFile, "('storage', class, key, location, number of elements)", id.kind_name());
    const PickleGlobal& global = *id.items[1].value->global;
    const auto storage_class = std::ranges::find(kStorageClasses, global.name, &StorageClass::name);
    if (storage_class == kStorageClasses.end())
      fail(ErrorCode::kCorruptFile, "a class of storages of torch", global.name);
    tensor.dtype = storage_class->dtype;
    tensor.storage = id.items[2].value->text;
    tensor.n_storage = read_size(*id.items[4].value, "a number of elements");
  }

  int64_t read_size(const PickleValue& value, std::string_view what) const {
    if (value.kind != Kind::kInteger || value.integer < 0)
      fail(ErrorCode::kCorruptFile, fmt::format("{} of whole numbers from 0", what),
           value.kind == Kind::kInteger ? fmt::format("{}", value.integer) : std::string(value.kind_name()));
    return value.integer;
  }

  std::vector<int64_t> read_sizes(const PickleValue& value, std::string_view what) const {
    if (value.kind != Kind::kTuple) fail(ErrorCode::kCorruptFile, what, value.kind_name());
    if (value.items.size() > kMaxTorchDimensions)
      fail(ErrorCode::kCorruptFile, fmt::format("{} of at most {} dimensions", what, kMaxTorchDimensions),
           fmt::format("one of {}", value.items.size()));
    std::vector<int64_t> sizes;
    for (const PickleItem& item : value.items) sizes.push_back(read_size(*item.value, what));
    return sizes;
  }

  /// The last element must lie in the storage, which must hold as many elements as the tensor. That some
  /// share a place does no harm to a reader.
  void check_window(const TorchTensor& tensor) const {
    const auto text = [&] {
      return fmt::format("offset {}, shape {} and strides {} in {} elements", tensor.offset,
                         shape_text(tensor.shape), shape_text(tensor.strides), tensor.n_storage);
    };
    if (tensor.shape.size() != tensor.strides.size())
      fail(ErrorCode::kCorruptFile, "as many strides as dimensions", text());
    int64_t n_elements = 1;
    int64_t end = tensor.offset;
    bool fits = true;
    for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
      int64_t step = 0;
      fits = fits && !__builtin_mul_overflow(n_elements, tensor.shape[axis], &n_elements) &&
             !__builtin_mul_overflow(std::max<int64_t>(tensor.shape[axis], 1) - 1, tensor.strides[axis],
                                     &step) &&
             !__builtin_add_overflow(end, step, &end);
    }
    // An empty dimension hides an overflow of the others: such a shape is of no use either.
    fits = fits && (n_elements == 0 ? tensor.offset <= tensor.n_storage : end < tensor.n_storage);
    if (!fits) fail(ErrorCode::kCorruptFile, "a tensor inside its storage", text());
    if (n_elements > tensor.n_storage)
      fail(ErrorCode::kUnsupported, "elements that each have a place of their own",
           fmt::format("{}, an expanded tensor", text()));
  }

  const std::string& source_;
  std::string_view name_;
};

bool is_tensor(const PickleValue& value) {
  return is_call_of(value, kRebuildTensor) || is_call_of(value, kRebuildParameter);
}

std::string keys_of(const PickleValue& dict) {
  std::string keys;
  for (std::size_t idx = 0; idx < std::min(dict.items.size(), kMaxKeysNamed); ++idx)
    keys += fmt::format("{}\"{}\"", idx == 0 ? "" : ", ", printable(dict.items[idx].key->text, 40));
  return dict.items.empty() ? "none" : keys + (dict.items.size() > kMaxKeysNamed ? " and more" : "");
}

/// The dict of names and tensors.
const PickleValue& state_dict_of(const PickleValue& root, const std::string& source) {
  if (const PickleValue* state = root.find(kStateDict)) {
    if (state->kind == Kind::kDict) return *state;
    raise(ErrorCode::kCorruptFile,
          "[load_torch] {}: {}: expected a dict, got {}. Hint: was the file written by "
          "Lille's train.py?",
          source, kStateDict, state->kind_name());
  }
  if (std::ranges::any_of(root.items, [](const PickleItem& item) { return is_tensor(*item.value); }))
    return root;
  raise(ErrorCode::kUnsupported,
        "[load_torch] {}: expected a dict with {}, or one of tensors, got one with the keys {}. Hint: save "
        "model.state_dict() under that key",
        source, kStateDict, keys_of(root));
}

nlohmann::json json_of(const PickleValue& value) {
  if (value.kind == Kind::kBool) return value.integer != 0;
  if (value.kind == Kind::kInteger && value.integer >= 0) return static_cast<uint64_t>(value.integer);
  if (value.kind == Kind::kInteger) return value.integer;
  if (value.kind == Kind::kFloat) return value.real;
  if (value.kind == Kind::kString) return std::string(value.text);
  return nullptr;
}

/// `model_args` as a config.json: what the training code leaves open gets the value that it then takes.
std::optional<std::string> model_args_of(const PickleValue& root, const std::string& source) {
  const PickleValue* args = root.find("model_args");
  if (args == nullptr) return std::nullopt;
  if (args->kind != Kind::kDict)
    raise(ErrorCode::kCorruptFile,
          "[load_torch] {}: model_args: expected a dict, got {}. Hint: was the file "
          "written by Lille's train.py?",
          source, args->kind_name());
  nlohmann::json config = nlohmann::json::object();
  for (const PickleItem& item : args->items)
    if (item.key->kind == Kind::kString) config[std::string(item.key->text)] = json_of(*item.value);
  const auto heads = config.contains("n_heads") ? config.find("n_heads") : config.find("n_head");
  if (config.contains("n_kv_heads") && config["n_kv_heads"].is_null() && heads != config.end())
    config["n_kv_heads"] = *heads;
  if (!config.contains("model_type")) config["model_type"] = "lille-130m";
  return config.dump();
}

}  // namespace

int64_t TorchTensor::n_elements() const noexcept {
  int64_t n = 1;
  for (const int64_t extent : shape) n *= extent;
  return n;
}

bool TorchTensor::is_contiguous() const noexcept {
  if (n_elements() == 0) return true;
  int64_t expected = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] != 1 && strides[axis] != expected) return false;
    expected *= shape[axis];
  }
  return true;
}

TorchState read_torch_state(std::string_view text, const std::string& source) {
  const Pickle pickle = parse_pickle(text, source, kGlobals);
  const PickleValue& root = pickle.root();
  if (root.kind != Kind::kDict)
    raise(ErrorCode::kUnsupported,
          "[load_torch] {}: expected a dict with {}, got {}. Hint: save {{\"{}\": model.state_dict(), "
          "\"model_args\": ...}}",
          source, kStateDict, root.kind_name(), kStateDict);
  TorchState state;
  for (const PickleItem& item : state_dict_of(root, source).items) {
    if (item.key->kind != Kind::kString)
      raise(ErrorCode::kCorruptFile,
            "[load_torch] {}: {}: expected names as keys, got {}. Hint: was the file written by torch.save?",
            source, kStateDict, item.key->kind_name());
    state.tensors.push_back(TensorReader(source, item.key->text).read(*item.value));
  }
  state.model_args = model_args_of(root, source);
  return state;
}

}  // namespace lille
