#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "hub/blob_hash.h"
#include "hub/test_server.h"
#include "support.h"

namespace lille::test {

inline constexpr const char* kFirstCommit = "1111111111111111111111111111111111111111";
inline constexpr const char* kSecondCommit = "2222222222222222222222222222222222222222";

inline std::string hash_of(HashKind kind, std::string_view content) {
  BlobHash hash(kind, static_cast<int64_t>(content.size()));
  hash.update(std::as_bytes(std::span(content.data(), content.size())));
  return hash.finish();
}

/// The files of one repository as the hub tells of them.
struct FakeRepo {
  std::string repo = "owner/name";
  std::string commit = kFirstCommit;
  std::map<std::string, std::string> files = {};
};

/// A repository with the files of a folder, or, without one, with small files of the right names.
inline FakeRepo repo_of(const std::filesystem::path& folder = {}) {
  FakeRepo repo;
  repo.files = {{"config.json", "{\"model_type\": \"lille-130m\"}"},
                {"model.safetensors", std::string(300'000, 'w') + "end"},
                {"merges.txt", "#version"},
                {"vocab.json", "{}"},
                {"README.md", "not needed"}};
  if (folder.empty()) return repo;
  repo.files.clear();
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    repo.files[entry.path().filename()] = read_file(entry.path());
  return repo;
}

/// A hub on loopback: weights are large files, which it sends as such, the rest small ones. A test makes it
/// misbehave with `misbehave`, which answers instead where it returns something.
class FakeHub {
 public:
  using Misbehave = std::function<std::optional<Reply>(const Request&, const Reply& usual)>;

  explicit FakeHub(FakeRepo repo = repo_of(), Misbehave misbehave = {}, std::string path = "")
      : path_(std::move(path)), repo_(std::move(repo)), misbehave_(std::move(misbehave)) {}

  std::string endpoint() const { return server_.url() + path_; }
  const TestServer& server() const { return server_; }

  void set_repo(FakeRepo repo) {
    const std::lock_guard lock(mutex_);
    repo_ = std::move(repo);
  }

  static bool is_large(const std::string& file) { return file.ends_with(".safetensors"); }
  static std::string etag_of(const std::string& file, const std::string& content) {
    return hash_of(is_large(file) ? HashKind::kSha256 : HashKind::kGitBlob, content);
  }

 private:
  Reply answer(const Request& request) {
    FakeRepo repo;
    {
      const std::lock_guard lock(mutex_);
      repo = repo_;
    }
    const Reply usual = usual_answer(request, repo);
    if (!misbehave_) return usual;
    return misbehave_(request, usual).value_or(usual);
  }

  Reply usual_answer(const Request& request, const FakeRepo& repo) const {
    const std::string listing = path_ + "/api/models/" + repo.repo + "/revision/";
    const std::string resolve = path_ + "/" + repo.repo + "/resolve/" + repo.commit + "/";
    if (request.target == listing + "main" || request.target == listing + repo.commit) {
      nlohmann::json siblings = nlohmann::json::array();
      for (const auto& [name, content] : repo.files) siblings.push_back({{"rfilename", name}});
      return {.body = nlohmann::json{{"sha", repo.commit}, {"siblings", siblings}}.dump()};
    }
    if (request.target.starts_with(listing))
      return {.status = 404, .headers = {{"X-Error-Code", "RevisionNotFound"}}};
    if (!request.target.starts_with(resolve))
      return {.status = 404, .headers = {{"X-Error-Code", "RepoNotFound"}}};
    const auto file = repo.files.find(request.target.substr(resolve.size()));
    if (file == repo.files.end()) return {.status = 404, .headers = {{"X-Error-Code", "EntryNotFound"}}};
    return content_answer(request, repo, file->first, file->second);
  }

  static Reply content_answer(const Request& request, const FakeRepo& repo, const std::string& name,
                              const std::string& content) {
    Reply reply{.headers = {{"X-Repo-Commit", repo.commit}}, .body = content};
    const std::string etag = "\"" + etag_of(name, content) + "\"";
    if (is_large(name)) {
      reply.headers.push_back({"X-Linked-Etag", etag});
      reply.headers.push_back({"X-Linked-Size", std::to_string(content.size())});
    } else {
      reply.headers.push_back({"ETag", etag});
    }
    const std::string range = request.header("range");
    if (!range.starts_with("bytes=")) return reply;
    const std::size_t first = std::stoul(range.substr(6));
    if (first >= content.size()) return {.status = 416};
    reply.status = 206;
    reply.body = content.substr(first);
    reply.headers.push_back({"Content-Range", "bytes " + std::to_string(first) + "-" +
                                                  std::to_string(content.size() - 1) + "/" +
                                                  std::to_string(content.size())});
    return reply;
  }

  std::string path_;
  std::mutex mutex_;
  FakeRepo repo_;
  Misbehave misbehave_;
  TestServer server_{[this](const Request& request) { return answer(request); }};
};

}  // namespace lille::test
