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

nlohmann::json identity_json(const FileIdentity& identity) {
  return {{"path", identity.path}, {"n_bytes", identity.n_bytes}, {"mtime_ns", identity.mtime_ns}};
}

std::optional<RopeChoice> choice_from_json(const nlohmann::json& entry) {
  RopeChoice choice;
  choice.source = RopeSource::kRemembered;
  const auto layout = rope_layout_from_name(entry.value("rope_layout", ""));
  if (!layout) return std::nullopt;
  choice.layout = *layout;
  choice.n_tokens = entry.value("n_tokens", int64_t{0});
  for (const RopeLayout measured : kRopeLayouts)
    choice.perplexities.push_back(
        {measured, entry.at("perplexities").at(std::string(rope_layout_name(measured)))});
  return choice;
}

}  // namespace

RopeMemory::RopeMemory(std::filesystem::path folder) {
  if (!folder.empty()) file_ = folder / "rope_layouts.json";
}

std::optional<RopeChoice> RopeMemory::recall(const std::filesystem::path& weights) const {
  if (file_.empty()) return std::nullopt;
  const nlohmann::json wanted = identity_json(file_identity(weights));
  for (const nlohmann::json& entry : read_entries(file_)) {
    if (!entry.is_object() || !entry.contains("file") || entry["file"] != wanted) continue;
    try {
      return choice_from_json(entry);
    } catch (const nlohmann::json::exception&) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

void RopeMemory::remember(const std::filesystem::path& weights, const RopeChoice& choice) const {
  if (file_.empty()) return;
  const nlohmann::json identity = identity_json(file_identity(weights));
  nlohmann::json entries = nlohmann::json::array();
  nlohmann::json perplexities = nlohmann::json::object();
  for (const RopePerplexity& measured : choice.perplexities)
    perplexities[std::string(rope_layout_name(measured.layout))] = measured.perplexity;
  entries.push_back({{"file", identity},
                     {"rope_layout", rope_layout_name(choice.layout)},
                     {"n_tokens", choice.n_tokens},
                     {"perplexities", perplexities}});
  for (const nlohmann::json& entry : read_entries(file_)) {
    const bool is_other = entry.is_object() && entry.contains("file") && entry["file"].is_object() &&
                          entry["file"].value("path", nlohmann::json()) != identity["path"];
    if (is_other && entries.size() < kMaxEntries) entries.push_back(entry);
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
