#include "base/atomic_folder.h"

#include "support.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& file, std::string_view text) { std::ofstream(file) << text; }

std::size_t n_entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(AtomicFolder, IsThereAfterCommitAndNotBefore) {
  const test::TemporaryFolder around;
  const fs::path target = around.path() / "model";
  {
    AtomicFolder folder(target / "", IfExists::kRefuse);
    write(folder.path() / "a", "1");
    EXPECT_FALSE(fs::exists(target));
    folder.commit();
  }
  EXPECT_EQ(test::read_file(target / "a"), "1");
  EXPECT_EQ(n_entries(around.path()), 1u);
  EXPECT_NE(fs::status(target).permissions() & fs::perms::owner_exec, fs::perms::none);
}

TEST(AtomicFolder, LeavesNothingWithoutCommit) {
  const test::TemporaryFolder around;
  {
    AtomicFolder folder(around.path() / "model", IfExists::kRefuse);
    write(folder.path() / "a", "1");
  }
  EXPECT_EQ(n_entries(around.path()), 0u);
}

TEST(AtomicFolder, ReplacesOnlyWhatMayBeReplaced) {
  const test::TemporaryFolder around;
  const fs::path target = around.path() / "model";
  fs::create_directory(target);
  const ErrorCode code = ErrorCode::kInvalidArgument;
  test::expect_error(code, "expected no such folder yet, got one",
                     [&] { AtomicFolder(target, IfExists::kRefuse); });
  write(target / "config.json", "{}");
  {
    AtomicFolder folder(target, IfExists::kReplace);
    write(folder.path() / "config.json", "2");
    write(folder.path() / "new", "3");
    EXPECT_EQ(test::read_file(target / "config.json"), "{}");
    folder.commit();
  }
  EXPECT_EQ(test::read_file(target / "config.json"), "2");
  EXPECT_EQ(test::read_file(target / "new"), "3");
  EXPECT_EQ(n_entries(around.path()), 1u);
}

TEST(AtomicFolder, LosesNothingThatIsNotWrittenAnew) {
  const test::TemporaryFolder around;
  const fs::path target = around.path() / "model";
  fs::create_directories(target / "sub");
  const auto replace = [&] {
    AtomicFolder folder(target, IfExists::kReplace);
    write(folder.path() / "config.json", "2");
    write(folder.path() / "sub", "a file of that name");
    folder.commit();
  };
  test::expect_error(ErrorCode::kInvalidArgument, "files that are written anew, got sub", replace);
  fs::remove(target / "sub");
  write(target / "thesis.txt", "mine");
  test::expect_error(ErrorCode::kInvalidArgument, "files that are written anew, got thesis.txt", replace);
  EXPECT_EQ(test::read_file(target / "thesis.txt"), "mine");
  EXPECT_EQ(n_entries(around.path()), 1u);
  fs::remove(target / "thesis.txt");
  replace();
  EXPECT_EQ(test::read_file(target / "config.json"), "2");
}

TEST(AtomicFolder, TellsBeforeTheWorkWhatItWouldLose) {
  const test::TemporaryFolder around;
  const fs::path target = around.path() / "model";
  AtomicFolder folder(target, IfExists::kReplace);
  EXPECT_NO_THROW(folder.check()) << "nothing is there";
  fs::create_directory(target);
  write(target / "a", "1");
  write(target / "b", "2");
  write(folder.path() / "a", "3");
  const std::string_view to_come[] = {"b"};
  EXPECT_NO_THROW(folder.check(to_come));
  test::expect_error(ErrorCode::kInvalidArgument, "written anew, got b", [&] { folder.check(); });
  write(target / "c", "4");
  test::expect_error(ErrorCode::kInvalidArgument, "written anew, got c", [&] { folder.check(to_come); });
  EXPECT_EQ(test::read_file(target / "a"), "1");
}

TEST(AtomicFolder, RefusesFilesAndFoldersThatDoNotExist) {
  const test::TemporaryFolder around;
  const fs::path file = around.write("file", "text");
  test::expect_error(ErrorCode::kInvalidArgument, "expected a folder, got a file",
                     [&] { AtomicFolder(file, IfExists::kReplace); });
  test::expect_error(ErrorCode::kNotFound, "does the folder around it exist",
                     [&] { AtomicFolder(around.path() / "no" / "model", IfExists::kRefuse); });
  for (const char* name : {"", ".", "..", "/"})
    test::expect_error(ErrorCode::kInvalidArgument, "expected the name of a folder to be made",
                       [&] { AtomicFolder(name, IfExists::kReplace); });
}

}  // namespace
}  // namespace lille
