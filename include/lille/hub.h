#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace lille {

/// How much of one file of a download is there.
struct HubProgress {
  std::string_view file;  ///< Its name in the repository.
  int64_t n_done = 0;     ///< Bytes, those of an earlier run included.
  int64_t n_total = 0;    ///< Bytes that the hub announced.
};

/// How the Hugging Face hub is reached and where downloads are kept. The environment variables of Python's
/// huggingface_hub are for front ends to read (docs/HUB.md); the library reads none, except that libcurl
/// itself knows the usual ones for proxies.
struct HubOptions {
  std::string endpoint = "https://huggingface.co";  ///< Scheme, host, and port and path if there are any.
  std::string token;  ///< Sent to the scheme, host and port of the endpoint and nowhere else; empty: none.
  std::function<std::string()> find_token =
      {};                              ///< Asked before the first request if `token` is empty; may be empty.
  std::filesystem::path cache_folder;  ///< Holds `models--OWNER--NAME`, shared with Python; never empty.
  std::filesystem::path ca_file;       ///< Trusted certificates, PEM; empty: the system's.
  bool offline = false;                ///< Use what is in the cache and nothing else.
  int64_t n_attempts = 4;              ///< Of a request that fails in a way that may pass; at least 1.
  double first_wait_s = 0.5;           ///< Between the first two; doubled each time.
  double max_wait_s = 60;              ///< The hub may ask for a longer wait, up to this.
  double timeout_s = 15;               ///< For a connection, and of silence within one.
  std::function<void(const HubProgress&)> on_progress;         ///< May be empty.
  std::function<void(std::string_view message)> on_note = {};  ///< One line a user should know; may be empty.
  std::stop_token cancel = {};  ///< Looked at while data come and while a request waits.
};

/// The folder, or the GGUF file, of the model that a user means. What exists here is taken as it is, as is
/// every text that begins with `.`, `/` or `~` or has not the form `OWNER/NAME[@REVISION][:FILE.gguf]`; other
/// texts name a model of the hub, which is looked for in the cache and downloaded where it is missing or has
/// changed. REVISION is a branch, a tag or a commit of 40 hexadecimal digits; `main` if it is not said. A hub
/// that cannot be reached is a note, not an error, if the cache has the model. FILE.gguf is one of several
/// GGUF files of a repository that has no config.json with safetensors; a single one needs no name.
/// @throws Error(kNotFound) that names both readings if there is neither; Error(kIo) if the hub refuses or
///   cannot be reached; Error(kCorruptFile) if what comes is not what the hub announced; Error(kCanceled).
/// Source: huggingface_hub file_download.py and its guide "Understand caching".
std::filesystem::path resolve_model(std::string_view model, const HubOptions& options);

/// Brings `OWNER/NAME[@REVISION]` into the cache, whatever is called so here, and returns what resolve_model
/// does; a hub that cannot be reached is an error unless options.offline asks for the cache alone.
/// @throws Error(kInvalidArgument) unless the text has that form; else as resolve_model.
std::filesystem::path pull_model(std::string_view name, const HubOptions& options);

/// One revision of a model in the cache.
struct CachedModel {
  std::string name;               ///< "OWNER/NAME"
  std::string commit;             ///< Empty if there is only a part of a first download.
  std::vector<std::string> refs;  ///< Branches and tags that were this commit when they were last asked for.
  int64_t n_bytes = 0;            ///< On the disk; content that revisions share counts in each.
  std::filesystem::path folder;  ///< What a model is loaded from; without a commit, the model's cache folder.
};

/// Every model in the cache, also those of other programs, sorted by name. Whether a Lille can be loaded from
/// one is not looked at.
/// @throws Error(kIo) if the cache cannot be read; a cache that is not there has no models.
std::vector<CachedModel> cached_models(const std::filesystem::path& cache_folder);

/// What is to be removed from the cache.
struct ModelRemoval {
  std::string name;                          ///< "OWNER/NAME"
  int64_t n_revisions = 0;                   ///< Snapshots that go.
  int64_t n_bytes = 0;                       ///< What the disk gets back.
  std::vector<std::filesystem::path> paths;  ///< Files, links and folders that go, in the order of removal.
};

/// Finds what belongs to `OWNER/NAME@REVISION` and to no other revision, or, without a revision, to the
/// model. REVISION is a branch, a tag, a commit or at least its first 7 digits.
/// @throws Error(kInvalidArgument) for another form, or digits that begin several commits; Error(kNotFound)
/// if it is not in the cache;
///   Error(kUnsupported) if a link stands where a folder of the cache should, which is never followed.
ModelRemoval plan_removal(std::string_view name, const std::filesystem::path& cache_folder);

/// Removes what plan_removal finds when nobody else writes the model, and returns it: a download that ended
/// since a plan was made counts.
/// @throws Error(kIo) if a download of the model goes on, here or in another process, or if what stands there
///   cannot be removed; else as plan_removal.
ModelRemoval remove_model(std::string_view name, const std::filesystem::path& cache_folder);

}  // namespace lille
