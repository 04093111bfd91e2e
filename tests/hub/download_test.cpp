#include "hub/download.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/file_lock.h"
#include "hub/fake_hub.h"

namespace lille {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::FakeHub;
using test::kFirstCommit;
using test::Reply;
using test::repo_of;
using test::Request;

const std::string kContent = repo_of().files.at("model.safetensors");
const std::string kEtag = FakeHub::etag_of("model.safetensors", kContent);

/// A cache and a client of one hub.
struct Fixture {
  explicit Fixture(FakeHub::Misbehave misbehave = {}) : hub(repo_of(), std::move(misbehave)) {
    options.endpoint = hub.endpoint();
    options.first_wait_s = 0.01;
    options.n_attempts = 3;
    options.timeout_s = 120;  // of silence: a machine may have other things to do
    options.on_progress = [this](const HubProgress& progress) { progressed.push_back(progress.n_done); };
    options.on_note = [this](std::string_view message) { notes += std::string(message) + "\n"; };
  }

  void download(HubFile file = {.name = "model.safetensors",
                                .etag = kEtag,
                                .n_bytes = static_cast<int64_t>(kContent.size())}) {
    HubClient client(options, options.n_attempts);
    download_file(client, cache, kFirstCommit, file, options);
  }

  /// Nothing of the file may be there, under whatever name.
  void expect_nothing_kept() const {
    EXPECT_FALSE(fs::exists(cache.blob(kEtag)));
    EXPECT_FALSE(fs::exists(cache.incomplete_blob(kEtag)));
    EXPECT_FALSE(cache.has(kFirstCommit, "model.safetensors"));
  }

  void expect_whole() const {
    EXPECT_EQ(test::read_file(cache.snapshot(kFirstCommit) / "model.safetensors"), kContent);
    EXPECT_FALSE(fs::exists(cache.incomplete_blob(kEtag)));
  }

  std::vector<std::string> ranges() const {
    std::vector<std::string> ranges;
    for (const Request& request : hub.server().requests()) ranges.push_back(request.header("range"));
    return ranges;
  }

  void leave_incomplete(std::string_view content) const {
    cache.make_folders(kFirstCommit);
    std::ofstream(cache.incomplete_blob(kEtag), std::ios::binary) << content;
  }

  FakeHub hub;
  test::TemporaryFolder folder;
  RepoCache cache{folder.path(), {.owner = "owner", .name = "name"}};
  HubOptions options;
  std::vector<int64_t> progressed;
  std::string notes;
};

/// Each answer ends after so many bytes of what it should send.
FakeHub::Misbehave cuts_after(std::size_t n_bytes) {
  return [n_bytes](const Request&, const Reply& usual) {
    Reply reply = usual;
    reply.cut_after = n_bytes;
    return reply;
  };
}

TEST(Download, PlacesTheFile) {
  Fixture fixture;
  fixture.download();
  fixture.expect_whole();
  EXPECT_EQ(fs::read_symlink(fixture.cache.snapshot(kFirstCommit) / "model.safetensors"),
            fs::path("../../blobs") / kEtag);
  ASSERT_FALSE(fixture.progressed.empty());
  EXPECT_TRUE(std::is_sorted(fixture.progressed.begin(), fixture.progressed.end()));
  EXPECT_EQ(fixture.progressed.back(), static_cast<int64_t>(kContent.size()));
}

TEST(Download, GoesOnAfterACut) {
  Fixture fixture(cuts_after(100'000));
  fixture.download();
  fixture.expect_whole();
  EXPECT_EQ(fixture.ranges(),
            (std::vector<std::string>{"", "bytes=100000-", "bytes=200000-", "bytes=300000-"}));
}

TEST(Download, GoesOnWhereAnEarlierProcessEnded) {
  Fixture fixture;
  fixture.leave_incomplete(kContent.substr(0, 12'345));
  fixture.download();
  fixture.expect_whole();
  EXPECT_EQ(fixture.ranges(), (std::vector<std::string>{"bytes=12345-"}));
}

TEST(Download, AWholeIncompleteFileIsOnlyVerified) {
  Fixture fixture;
  fixture.leave_incomplete(kContent);
  fixture.download();
  fixture.expect_whole();
  EXPECT_TRUE(fixture.ranges().empty());
}

TEST(Download, BeginsAnewWhereTheEarlierFileIsTooLong) {
  Fixture fixture;
  fixture.leave_incomplete(kContent + "more");
  fixture.download();
  fixture.expect_whole();
  EXPECT_EQ(fixture.ranges(), (std::vector<std::string>{""}));
}

TEST(Download, NoticesThatTheEarlierFileWasAnother) {
  Fixture fixture;
  fixture.leave_incomplete(std::string(1000, 'X'));
  expect_error(ErrorCode::kCorruptFile, "expected a content with the SHA-256 " + kEtag,
               [&] { fixture.download(); });
  fixture.expect_nothing_kept();
  fixture.download();
  fixture.expect_whole();
}

TEST(Download, TakesTheWholeFromAHubWithoutRanges) {
  Fixture fixture([](const Request&, const Reply&) { return Reply{.body = kContent}; });
  fixture.leave_incomplete(std::string(1000, 'X'));
  fixture.download();
  fixture.expect_whole();
}

TEST(Download, TakesNoOtherPartThanItAskedFor) {
  Fixture fixture([](const Request& request, const Reply& usual) -> std::optional<Reply> {
    if (request.header("range").empty()) return usual;
    return Reply{.status = 206,
                 .headers = {{"Content-Range", "bytes 0-9/" + std::to_string(kContent.size())}},
                 .body = std::string(10, 'X')};
  });
  fixture.leave_incomplete(kContent.substr(0, 1000));
  fixture.download();
  fixture.expect_whole();
  EXPECT_EQ(fixture.ranges(), (std::vector<std::string>{"bytes=1000-", ""}));
}

TEST(Download, BeginsAnewWhereARangeIsRefused) {
  Fixture fixture([](const Request& request, const Reply& usual) -> std::optional<Reply> {
    if (request.header("range").empty()) return usual;
    return Reply{.status = 416};
  });
  fixture.leave_incomplete(kContent.substr(0, 1000));
  fixture.download();
  fixture.expect_whole();
}

TEST(Download, RefusesAWrongHash) {
  Fixture fixture([](const Request&, const Reply& usual) {
    Reply reply = usual;
    reply.body[1000] = 'X';
    return reply;
  });
  expect_error(ErrorCode::kCorruptFile,
               "owner/name: model.safetensors: expected a content with the SHA-256 " + kEtag,
               [&] { fixture.download(); });
  fixture.expect_nothing_kept();
}

TEST(Download, RefusesAWrongGitHash) {
  Fixture fixture([](const Request&, const Reply&) { return Reply{.body = "[]"}; });
  const std::string etag = FakeHub::etag_of("vocab.json", "{}");
  expect_error(ErrorCode::kCorruptFile, "expected a content with the git hash " + etag,
               [&] { fixture.download({.name = "vocab.json", .etag = etag, .n_bytes = 2}); });
  EXPECT_FALSE(fixture.cache.has(kFirstCommit, "vocab.json"));
}

TEST(Download, RefusesAWrongSize) {
  for (const bool has_length : {true, false}) {
    for (const std::string& content : {kContent.substr(1), kContent + "x"}) {
      Fixture fixture(
          [&](const Request&, const Reply&) { return Reply{.body = content, .has_length = has_length}; });
      expect_error(ErrorCode::kCorruptFile, "expected 300003 bytes as announced, got",
                   [&] { fixture.download(); });
      fixture.expect_nothing_kept();
    }
  }
}

TEST(Download, WritesNoMoreThanAnnounced) {
  Fixture fixture([](const Request&, const Reply&) { return Reply{.body = std::string(50 << 20, 'x')}; });
  expect_error(ErrorCode::kCorruptFile, "got at least", [&] { fixture.download(); });
  EXPECT_LE(fixture.progressed.empty() ? 0 : fixture.progressed.back(),
            static_cast<int64_t>(kContent.size()));
}

TEST(Download, GivesUpWhereNothingMoreComesAndKeepsWhatIsThere) {
  Fixture fixture([](const Request& request, const Reply& usual) {
    Reply reply = usual;
    reply.cut_after = request.header("range").empty() ? 100'000 : 0;
    return reply;
  });
  expect_error(ErrorCode::kIo, "owner/name: model.safetensors: expected an answer",
               [&] { fixture.download(); });
  EXPECT_EQ(fs::file_size(fixture.cache.incomplete_blob(kEtag)), 100'000u);
  EXPECT_FALSE(fixture.cache.has(kFirstCommit, "model.safetensors"));
  EXPECT_EQ(fixture.ranges().size(), 3u);
}

TEST(Download, AContentWithoutHashIsNeverPutTogether) {
  Fixture fixture([](const Request&, const Reply&) { return Reply{.body = "1234567890"}; });
  fixture.cache.make_folders(kFirstCommit);
  std::ofstream(fixture.cache.incomplete_blob("some-etag")) << "abc";
  fixture.download({.name = "vocab.json", .etag = "some-etag", .n_bytes = 10});
  EXPECT_EQ(test::read_file(fixture.cache.snapshot(kFirstCommit) / "vocab.json"), "1234567890");
  EXPECT_EQ(fixture.ranges(), (std::vector<std::string>{""}));
}

TEST(Download, WeightsWithoutHashAreToldOf) {
  Fixture fixture([](const Request&, const Reply&) { return Reply{.body = "1234567890"}; });
  fixture.download({.name = "model.safetensors", .etag = "some-etag", .n_bytes = 10});
  EXPECT_EQ(fixture.notes,
            "warning: model.safetensors of owner/name: the hub tells no hash of it, so only its size was "
            "checked\n");
}

TEST(Download, AnEmptyFileNeedsNoRequest) {
  Fixture fixture;
  const std::string etag = FakeHub::etag_of("merges.txt", "");
  fixture.download({.name = "merges.txt", .etag = etag, .n_bytes = 0});
  EXPECT_TRUE(fixture.cache.has(kFirstCommit, "merges.txt"));
  EXPECT_TRUE(fixture.ranges().empty());
}

TEST(Download, UsesABlobThatIsThereUnlessItIsCut) {
  Fixture fixture;
  fixture.cache.make_folders(kFirstCommit);
  std::ofstream(fixture.cache.blob(kEtag), std::ios::binary) << kContent;
  fixture.download();
  fixture.expect_whole();
  EXPECT_TRUE(fixture.ranges().empty());
  fs::resize_file(fixture.cache.blob(kEtag), 5);
  fixture.download();
  fixture.expect_whole();
}

TEST(Download, WaitsForAnotherProcessAndThenHasNothingToDo) {
  Fixture fixture;
  fixture.cache.make_folders(kFirstCommit);
  std::optional<FileLock> other = FileLock::try_lock(fixture.cache.lock(kEtag));
  fixture.options.on_note = [&](std::string_view message) {
    fixture.notes += std::string(message) + "\n";
    std::ofstream(fixture.cache.blob(kEtag), std::ios::binary) << kContent;
    other.reset();
  };
  fixture.download();
  fixture.expect_whole();
  EXPECT_EQ(fixture.notes, "another process downloads model.safetensors of owner/name; waiting for it\n");
  EXPECT_TRUE(fixture.ranges().empty());
}

TEST(Download, TwoAtOnceFetchItOnce) {
  Fixture fixture([](const Request&, const Reply& usual) {
    Reply reply = usual;
    reply.chunk_wait_s = 0.02;
    return reply;
  });
  HubOptions options = fixture.options;
  options.on_progress = {};
  options.on_note = {};
  const HubFile file{
      .name = "model.safetensors", .etag = kEtag, .n_bytes = static_cast<int64_t>(kContent.size())};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        HubClient client(options, 3);
        download_file(client, fixture.cache, kFirstCommit, file, options);
      });
  }
  fixture.expect_whole();
  EXPECT_EQ(fixture.hub.server().count("GET", "model.safetensors"), 1);
}

TEST(Download, IsCanceledAndGoesOnLater) {
  std::atomic<bool> is_cut = true;
  Fixture fixture([&](const Request&, const Reply& usual) {
    Reply reply = usual;
    if (is_cut) reply.cut_after = 6000;
    reply.stays_open = is_cut;
    return reply;
  });
  std::stop_source source;
  fixture.options.cancel = source.get_token();
  fixture.options.on_progress = [&](const HubProgress& progress) {
    if (progress.n_done > 5000) source.request_stop();
  };
  expect_error(ErrorCode::kCanceled, "canceled", [&] { fixture.download(); });
  const auto n_kept = fs::file_size(fixture.cache.incomplete_blob(kEtag));
  EXPECT_GT(n_kept, 5000u);
  EXPECT_LE(n_kept, 6000u);
  is_cut = false;
  fixture.options.cancel = {};
  fixture.options.on_progress = {};
  fixture.download();
  fixture.expect_whole();
  EXPECT_EQ(fixture.ranges().back(), "bytes=" + std::to_string(n_kept) + "-");
}

}  // namespace
}  // namespace lille
