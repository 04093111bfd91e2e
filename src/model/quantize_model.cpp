#include <algorithm>
#include <array>

#include "base/check.h"
#include "lille/quantize.h"
#include "model/export_codes.h"
#include "model/quantizer.h"

namespace lille {
namespace {

constexpr std::array<std::string_view, 3> kMethodNames = {"rtn", "weighted", "gptq"};

void check_calibration(const ModelArgs& args, std::span<const int32_t> ids) {
  const int64_t n_least = kMinCalibrationWindows * args.block_size;
  if (static_cast<int64_t>(ids.size()) < n_least)
    raise(ErrorCode::kInvalidArgument,
          "[quantize] calibration: expected at least {} tokens ({} windows of block_size), got {}. Hint: use "
          "a longer text or more samples",
          n_least, kMinCalibrationWindows, ids.size());
  for (const int32_t id : ids)
    if (id < 0 || id >= args.vocab_size)
      raise(ErrorCode::kInvalidArgument, "[quantize] calibration: expected token ids from 0 to {}, got {}",
            args.vocab_size - 1, id);
}

}  // namespace

std::string_view quantization_method_name(QuantizationMethod method) noexcept {
  return kMethodNames[static_cast<std::size_t>(method)];
}

std::optional<QuantizationMethod> quantization_method_from_name(std::string_view name) noexcept {
  const auto found = std::ranges::find(kMethodNames, name);
  if (found == kMethodNames.end()) return std::nullopt;
  return static_cast<QuantizationMethod>(found - kMethodNames.begin());
}

FolderExportReport quantize_model(const Model& model, const std::filesystem::path& destination,
                                  const QuantizeOptions& options) {
  FolderExportOptions folder = {
      .form = FolderForm::kMlx, .dtype = options.dtype, .quantization = options.setting};
  folder.overwrite = options.overwrite;
  folder.n_threads = options.n_threads;
  folder.on_warning = options.on_warning;
  if (model.rope().source != RopeSource::kDefault) folder.rope_layout = model.rope().layout;
  if (options.method == QuantizationMethod::kRtn) {
    folder.on_progress = options.on_progress;
    return export_folder(model.path(), destination, folder);
  }
  check_calibration(model.args(), options.calibration);
  QuantizeOptions whole_windows = options;
  const auto block_size = static_cast<std::size_t>(model.args().block_size);
  whole_windows.calibration = options.calibration.first(options.calibration.size() / block_size * block_size);
  return export_folder_with(model.path(), destination, folder, [&](const std::vector<CodesPlan>& plans) {
    return make_codes(model, whole_windows, plans);
  });
}

}  // namespace lille
