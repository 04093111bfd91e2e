#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "io/json.h"
#include "io/safetensors.h"

namespace lille {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::string_view kLoadCheckpoint = "load_checkpoint";
constexpr std::size_t kMaxIndexBytes = 100'000'000;
constexpr std::size_t kMaxFaultsNamed = 5;

/// Tensor name to the name of the shard that holds it.
using WeightMap = std::map<std::string, std::string>;

/// What cannot be asked about is not there for this program.
bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

WeightMap read_index(const fs::path& path) {
  const std::string file = printable_path(path);
  const json index =
      parse_json_object(read_text_file(path, kMaxIndexBytes), {.action = kLoadCheckpoint, .file = file});
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object())
    raise(ErrorCode::kCorruptFile,
          "[{}] {}: expected an object weight_map, got {}. Hint: is the download complete?", kLoadCheckpoint,
          file, map == index.end() ? "none" : describe(*map));
  WeightMap weight_map;
  for (const auto& [name, shard] : map->items()) {
    if (!shard.is_string() || !is_plain_file_name(shard.get_ref<const std::string&>()))
      raise(ErrorCode::kCorruptFile,
            "[{}] {}: weight_map: \"{}\": expected the name of a file in the same folder, got {}. Hint: an "
            "index may "
            "not lead out of its folder",
            kLoadCheckpoint, file, printable(name), describe(shard));
    weight_map.emplace(name, shard.get<std::string>());
  }
  return weight_map;
}

/// Sorted, each once.
std::vector<std::string> shard_names(const WeightMap& weight_map) {
  std::set<std::string> shards;
  for (const auto& [name, shard] : weight_map) shards.insert(shard);
  return {shards.begin(), shards.end()};
}

std::vector<SafetensorsFile> open_shards(const fs::path& folder, std::span<const std::string> shards) {
  std::vector<std::string> missing;
  for (const std::string& shard : shards)
    if (!is_there(folder / shard)) missing.push_back(printable(shard));
  if (!missing.empty())
    raise(ErrorCode::kNotFound,
          "[{}] {}: expected the shards that {} names, got none called {}. Hint: is the download complete?",
          kLoadCheckpoint, printable_path(folder), kWeightIndexFile, fmt::join(missing, ", "));
  std::vector<SafetensorsFile> files;
  for (const std::string& shard : shards) files.emplace_back(folder / shard);
  return files;
}

/// Every tensor of the index must stand in its shard, and every tensor of a shard in the index.
void check_index(const fs::path& folder, const WeightMap& weight_map, std::span<const std::string> shards,
                 std::span<const SafetensorsFile> files) {
  std::vector<std::string> faults;
  for (std::size_t shard_idx = 0; shard_idx < shards.size(); ++shard_idx)
    for (const TensorView& tensor : files[shard_idx].tensors()) {
      const auto entry = weight_map.find(tensor.name);
      if (entry == weight_map.end() || entry->second != shards[shard_idx])
        faults.push_back(fmt::format("\"{}\" of {} is not in the index under it", printable(tensor.name),
                                     printable(shards[shard_idx])));
    }
  for (const auto& [name, shard] : weight_map) {
    const auto shard_idx = static_cast<std::size_t>(std::ranges::lower_bound(shards, shard) - shards.begin());
    if (!files[shard_idx].contains(name))
      faults.push_back(fmt::format("\"{}\" is not in {}", printable(name), printable(shard)));
  }
  if (faults.empty()) return;
  const std::size_t n_named = std::min(faults.size(), kMaxFaultsNamed);
  raise(ErrorCode::kCorruptFile,
        "[{}] {}: expected the index and the shards to name the same tensors, got {} faults: {}{}. Hint: do "
        "all files "
        "come from one download?",
        kLoadCheckpoint, printable_path(folder / kWeightIndexFile), faults.size(),
        fmt::join(faults.begin(), faults.begin() + static_cast<std::ptrdiff_t>(n_named), "; "),
        faults.size() > n_named ? " and more" : "");
}

void check_folder(const fs::path& folder) {
  std::error_code ignored;
  const fs::file_status status = fs::status(folder, ignored);
  if (fs::is_directory(status)) return;
  if (fs::exists(status))
    raise(ErrorCode::kNotFound,
          "[{}] {}: expected a folder, got a file. Hint: name the folder that holds config.json",
          kLoadCheckpoint, printable_path(folder));
  raise(ErrorCode::kNotFound, "[{}] {}: no such folder. Hint: check the path", kLoadCheckpoint,
        printable_path(folder));
}

}  // namespace

std::vector<std::string> weight_file_names(const fs::path& folder) {
  if (is_there(folder / kWeightIndexFile)) {
    const WeightMap weight_map = read_index(folder / kWeightIndexFile);
    if (!weight_map.empty()) return shard_names(weight_map);
  }
  return {kWeightFile};
}

Checkpoint::Checkpoint(const fs::path& folder) {
  check_folder(folder);
  const std::vector<std::string> single{kWeightFile};
  std::vector<std::string> shards = single;
  WeightMap weight_map;
  if (is_there(folder / kWeightIndexFile)) {
    weight_map = read_index(folder / kWeightIndexFile);
    if (!weight_map.empty()) shards = shard_names(weight_map);
  } else if (!is_there(folder / kWeightFile)) {
    raise(
        ErrorCode::kNotFound,
        "[{}] {}: expected {} or {}, got neither. Hint: name the folder of a Hugging Face or MLX checkpoint",
        kLoadCheckpoint, printable_path(folder), kWeightFile, kWeightIndexFile);
  }
  files_ = open_shards(folder, shards);
  // mlx-lm writes an index beside a single file too, which says nothing that the file does not say.
  if (shards != single) check_index(folder, weight_map, shards, files_);
  for (const SafetensorsFile& file : files_)
    tensors_.insert(tensors_.end(), file.tensors().begin(), file.tensors().end());
}

}  // namespace lille
