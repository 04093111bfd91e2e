#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/check.h"
#include "base/file.h"
#include "base/process.h"
#include "model/rope_choice.h"

namespace lille {
namespace {

constexpr std::size_t kMaxFileBytes = 1 << 20;
constexpr std::size_t kMaxEntries = 256;

nlohmann::json read_entries(const std::filesystem::path& file) {
  try {
    nlohmann::json entries = nlohmann::json::parse(read_text_file(file, kMaxFileBytes), nullptr, false);
    return entries.is_array() ? std::move(entries) : nlohmann::json::array();
  } catch (const Error&) {
    return nlohmann::json::array();
  }
}

nlohmann::json identities(std::span<const std::filesystem::path> files) {
  nlohmann::json all = nlohmann::json::array();
  for (const std::filesystem::path& file : files) {
    const FileIdentity identity = file_identity(file);
    all.push_back({{"path", identity.path}, {"n_bytes", identity.n_bytes}, {"mtime_ns", identity.mtime_ns}});
  }
  return all;
}

// The path that an entry is about; null if it is no entry.
nlohmann::json first_path(const nlohmann::json& entry) {
  const nlohmann::json* files = entry.is_object() && entry.contains("files") ? &entry["files"] : nullptr;
  const bool is_entry =
      files != nullptr && files->is_array() && !files->empty() && files->front().is_object();
  return is_entry ? files->front().value("path", nlohmann::json()) : nlohmann::json();
}

RopeChoice choice_from_json(const nlohmann::json& entry) {
  RopeChoice choice;
  choice.source = entry.at("is_clear").get<bool>() ? RopeSource::kRemembered : RopeSource::kDefault;
  choice.layout = rope_layout_from_name(entry.at("rope_layout").get<std::string>()).value();
  choice.n_tokens = entry.at("n_tokens").get<int64_t>();
  for (const RopeLayout layout : kRopeLayouts) {
    // JSON has no NaN; it is written as null.
    const nlohmann::json& measured = entry.at("perplexities").at(std::string(rope_layout_name(layout)));
    choice.perplexities.push_back(
        {layout, measured.is_null() ? std::numeric_limits<double>::quiet_NaN() : measured.get<double>()});
  }
  return choice;
}

}  // namespace

RopeMemory::RopeMemory(std::filesystem::path folder) {
  if (!folder.empty()) file_ = folder / "rope_layouts.json";
}

std::optional<RopeChoice> RopeMemory::recall(std::span<const std::filesystem::path> files) const {
  if (file_.empty()) return std::nullopt;
  const nlohmann::json wanted = identities(files);
  for (const nlohmann::json& entry : read_entries(file_)) {
    if (!entry.is_object() || !entry.contains("files") || entry["files"] != wanted) continue;
    try {
      return choice_from_json(entry);
    } catch (const nlohmann::json::exception&) {
      return std::nullopt;
    } catch (const std::bad_optional_access&) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

void RopeMemory::remember(std::span<const std::filesystem::path> files, const RopeChoice& choice) const {
  if (file_.empty()) return;
  nlohmann::json perplexities = nlohmann::json::object();
  for (const RopePerplexity& measured : choice.perplexities)
    perplexities[std::string(rope_layout_name(measured.layout))] = measured.perplexity;
  const nlohmann::json newest = {{"files", identities(files)},
                                 {"rope_layout", rope_layout_name(choice.layout)},
                                 {"is_clear", choice.source == RopeSource::kMeasured},
                                 {"n_tokens", choice.n_tokens},
                                 {"perplexities", perplexities}};
  nlohmann::json entries = nlohmann::json::array({newest});
  for (const nlohmann::json& entry : read_entries(file_)) {
    const nlohmann::json path = first_path(entry);
    if (!path.is_null() && path != first_path(newest) && entries.size() < kMaxEntries)
      entries.push_back(entry);
  }
  try {
    std::error_code ignored;
    std::filesystem::create_directories(file_.parent_path(), ignored);
    AtomicFile file(file_);
    file.write(entries.dump(1) + "\n");
    file.commit();
  } catch (const Error&) {
  } catch (const nlohmann::json::exception&) {
    // A path that is no UTF-8 cannot be written as JSON; the next load measures again.
  }
}

}  // namespace lille
