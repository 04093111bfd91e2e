#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/atomic_folder.h"
#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "io/folder_files.h"
#include "io/gguf.h"
#include "io/json.h"
#include "lille/defaults.h"
#include "model/export_tensors.h"
#include "tokenizer/chat_template.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxConfigBytes = 16 << 20;

/// config.json with everything that the source's has, if it has one, and what is known of the copy.
std::string config_text(const ModelSource& source, ModelArgs args, const FolderExportOptions& options,
                        const ExportTensors& tensors) {
  nlohmann::json config = nlohmann::json::object();
  for (const fs::path& path : source.files()) {
    if (path.filename() != kConfigFile) continue;
    const std::string file = printable_path(path);
    config = parse_json_object(read_text_file(path, kMaxConfigBytes), {"load_config", file});
  }
  args.quantization = tensors.quantization();
  if (options.rope_layout) args.rope_layout = options.rope_layout;
  for (const char* key : {"quantization", "quantization_config"}) config.erase(key);
  config.update(nlohmann::json::parse(args.to_json()));
  if (const std::optional<FloatType> type = tensors.float_type()) {
    config["torch_dtype"] = float_type_name(*type);
    // transformers' name for it since version 5.
    if (config.contains("dtype")) config["dtype"] = float_type_name(*type);
  }
  return config.dump(4) + "\n";
}

void write_text(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void copy_if_there(const fs::path& from, const fs::path& to) {
  std::error_code failed;
  if (!fs::is_regular_file(from, failed)) return;
  fs::copy_file(from, to, failed);
  if (failed)
    raise(ErrorCode::kIo, "[write] {}: cannot be copied: {}. Nothing was written. Hint: name another folder",
          printable_path(from), failed.message());
}

// config.json is written anew.
void copy_files(const fs::path& from, const fs::path& to) {
  for (const std::string_view name : kSideFiles)
    if (name != kConfigFile) copy_if_there(from / name, to / name);
  for (const std::string_view name : kOtherCopiedFiles) copy_if_there(from / name, to / name);
}

void warn_of_chat_template(const fs::path& source, bool has_tokenizer, const WarningCallback& on_warning) {
  const std::string fault = chat_template_fault(source);
  if (!fault.empty() && on_warning)
    on_warning(fmt::format("the copy gets {} chat template instead of the model's: {}",
                           has_tokenizer ? "Lille's" : "no", fault));
}

/// The tokenizer and the defaults: what stands beside the weights as it is, and the rest from what the source
/// has in another form.
void write_other_files(const fs::path& source, const fs::path& to, const ModelArgs& args,
                       const WarningCallback& on_warning) {
  std::error_code ignored;
  const bool is_gguf = GgufFile::is_gguf(source);
  if (!is_gguf) copy_files(fs::is_directory(source, ignored) ? source : source.parent_path(), to);
  const bool has_own = fs::exists(to / kVocabFile, ignored) || fs::exists(to / kTokenizerFile, ignored);
  const bool makes_tokenizer = !has_own && Tokenizer::exists(source);
  // tokenizer_config.json is written anew with the tokenizer; a template in a file of its own stays.
  const bool keeps_template = !is_gguf && (!makes_tokenizer || fs::exists(to / kChatTemplateFile, ignored));
  if (!keeps_template) warn_of_chat_template(source, makes_tokenizer, on_warning);
  if (!makes_tokenizer) return;
  const Tokenizer tokenizer = Tokenizer::load(source);
  const GenerationDefaults defaults = load_generation_defaults(source);
  tokenizer.save(to, {args.block_size, defaults.add_bos_token});
  if (!fs::exists(to / kGenerationConfigFile, ignored)) save_generation_defaults(to, defaults, tokenizer);
}

void check_not_quantised(const ModelArgs& args, std::span<const Parameter> parameters,
                         const fs::path& source) {
  std::string found;
  if (args.quantization) found = fmt::format("{}-bit codes", args.quantization->bits);
  for (const Parameter& parameter : parameters)
    for (const StoredTensor& tensor : parameter.tensors)
      if (dtype_block_elements(tensor.weight->dtype) > 1)
        found = fmt::format("{} blocks", dtype_name(tensor.weight->dtype));
  if (found.empty()) return;
  raise(ErrorCode::kInvalidArgument,
        "[quantize] {}: expected weights in float32, float16 or bfloat16, got {}. Hint: quantize the "
        "checkpoint from which this one was made, since both errors would add up; lille convert --format mlx "
        "keeps these integers",
        printable_path(source), found);
}

/// Replacing a folder must not take the source away.
void check_destination(const ModelSource& source, const fs::path& destination) {
  std::error_code failed;
  const fs::path target = fs::weakly_canonical(destination, failed);
  std::vector<fs::path> paths = source.files();
  paths.push_back(source.path());
  for (const fs::path& path : paths) {
    // As it is named, which may be a link in the folder, and where it is.
    const fs::path named =
        fs::weakly_canonical(fs::absolute(path, failed).parent_path(), failed) / path.filename();
    for (const fs::path& place : {named, fs::weakly_canonical(path, failed)}) {
      const auto end = std::mismatch(target.begin(), target.end(), place.begin(), place.end());
      if (end.first == target.end())
        raise(ErrorCode::kInvalidArgument,
              "[write] {}: expected another folder than the source's, got one that holds {}. Hint: name a "
              "new one",
              printable_path(destination), printable_path(path));
    }
  }
}

void check_options(const FolderExportOptions& options) {
  if (options.pack && options.form != FolderForm::kMlx)
    raise(ErrorCode::kInvalidArgument,
          "[write] pack: expected the form of MLX with it, got that of Hugging Face. Hint: choose mlx");
  if (!options.quantization) return;
  check_setting({options.quantization->group_size, options.quantization->bits});
  for (const auto& [name, setting] : options.quantization->layers)
    if (setting) check_setting(*setting);
  if (options.form != FolderForm::kMlx)
    raise(ErrorCode::kInvalidArgument,
          "[write] quantization: expected the form of MLX with it, got that of Hugging Face. Hint: choose "
          "mlx");
}

}  // namespace

namespace {

/// Calls use(tensors) with what would be written.
template <typename Use>
auto with_planned(const fs::path& source, const FolderExportOptions& options, Use use) {
  check_options(options);
  const std::unique_ptr<const ModelSource> opened = ModelSource::open(source);
  const ModelArgs args = opened->args();
  const StoredParameters parameters(*opened, args, {});
  if (options.quantization) check_not_quantised(args, parameters.all(), source);
  return use(ExportTensors(*opened, args, parameters.all(), options));
}

}  // namespace

std::vector<CodesPlan> plan_codes(const fs::path& source, const FolderExportOptions& options) {
  return with_planned(source, options, [](const ExportTensors& tensors) { return tensors.planned_codes(); });
}

FolderExportReport plan_report(const fs::path& source, const FolderExportOptions& options) {
  return with_planned(source, options, [](const ExportTensors& tensors) { return tensors.report(); });
}

kernels::WeightMatrix weight_of(const CodesPlan& plan, const AffineMatrix& codes) noexcept {
  return {.kind = kernels::WeightKind::kAffine,
          .data = codes.codes.data(),
          .n_out = plan.n_out,
          .n_in = plan.n_in,
          .bits = plan.setting.bits,
          .scales = codes.scales.data(),
          .biases = codes.biases.data(),
          .scale_kind = plan.scale_kind,
          .group_size = plan.setting.group_size};
}

FolderExportReport export_folder(const fs::path& source, const fs::path& destination,
                                 const FolderExportOptions& options) {
  return export_folder_with(source, destination, options,
                            [](const std::vector<CodesPlan>&) { return CodesByName(); });
}

FolderExportReport export_folder_with(const fs::path& source, const fs::path& destination,
                                      const FolderExportOptions& options, MakeCodes make) {
  check_options(options);
  const std::unique_ptr<const ModelSource> opened = ModelSource::open(source);
  check_destination(*opened, destination);
  AtomicFolder folder(destination, options.overwrite ? IfExists::kReplace : IfExists::kRefuse);
  const ModelArgs args = opened->args();
  const StoredParameters parameters(*opened, args, options.on_warning);
  if (options.quantization) check_not_quantised(args, parameters.all(), source);

  ExportTensors tensors(*opened, args, parameters.all(), options);
  const FolderExportReport report = tensors.report();
  if (options.quantization && report.n_quantised == 0)
    raise(ErrorCode::kInvalidArgument,
          "[quantize] {}: expected rows that groups of {} divide, got none. Hint: choose a smaller group",
          printable_path(source), options.quantization->group_size);
  if (options.pack && (!tensors.quantization() || tensors.quantization()->packed_scales.empty()))
    raise(
        ErrorCode::kInvalidArgument,
        "[pack] {}: expected matrices of codes, got only floats. Hint: quantise them, to 8 bits for example",
        printable_path(source));
  // What takes no time comes first, so that what is wrong with it is known at once.
  write_text(folder.path() / kConfigFile, config_text(*opened, args, options, tensors));
  write_text(folder.path() / kWeightIndexFile, tensors.index_text());
  write_other_files(source, folder.path(), args, options.on_warning);
  folder.check(std::array{std::string_view(kWeightFile)});
  tensors.use(make(tensors.planned_codes()));
  SafetensorsWriter weights(folder.path() / kWeightFile, tensors.tensors(),
                            {{"format", options.form == FolderForm::kMlx ? "mlx" : "pt"}});
  tensors.write(weights);
  weights.commit();
  folder.commit();
  return report;
}

}  // namespace lille
