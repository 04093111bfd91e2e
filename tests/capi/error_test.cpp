#include "capi/error.h"

#include <filesystem>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>

#include "base/check.h"
#include "base/error_name.h"
#include "base/utf8.h"
#include "capi/capi.h"

namespace lille::capi {
namespace {

TEST(CapiError, EachCodeHasAStatusOfTheSameName) {
  std::set<lille_status> seen = {LILLE_OK};
  for (int number = 0; number <= static_cast<int>(ErrorCode::kInternal); ++number) {
    const auto code = static_cast<ErrorCode>(number);
    lille_error error;
    const lille_status status = guarded(&error, [&] { throw Error(code, "why"); });
    EXPECT_TRUE(seen.insert(status).second) << status;
    EXPECT_EQ(error.status, status);
    EXPECT_STREQ(error.message, "why");
    EXPECT_EQ(lille_status_name(status), error_code_name(code));
  }
}

TEST(CapiError, NamesEveryNumber) {
  EXPECT_STREQ(lille_status_name(LILLE_OK), "ok");
  EXPECT_STREQ(lille_status_name(LILLE_CORRUPT_FILE), "corrupt_file");
  for (const lille_status status : {-1, LILLE_INTERNAL + 1, INT32_MAX, INT32_MIN})
    EXPECT_STREQ(lille_status_name(status), "unknown");
}

TEST(CapiError, NothingThatIsThrownComesOut) {
  lille_error error;
  EXPECT_EQ(guarded(&error, [] { throw std::bad_alloc(); }), LILLE_OUT_OF_MEMORY);
  EXPECT_STRNE(error.message, "");
  EXPECT_EQ(guarded(&error, [] { throw std::length_error("vector"); }), LILLE_OUT_OF_MEMORY);
  EXPECT_EQ(guarded(&error,
                    [] {
                      throw std::filesystem::filesystem_error(
                          "x", std::make_error_code(std::errc::no_space_on_device));
                    }),
            LILLE_IO);
  EXPECT_EQ(guarded(&error, [] { throw std::runtime_error("odd"); }), LILLE_INTERNAL);
  EXPECT_STREQ(error.message, "odd");
  EXPECT_EQ(guarded(&error, [] { throw 3; }), LILLE_INTERNAL);
  EXPECT_EQ(guarded(nullptr, [] { throw 3; }), LILLE_INTERNAL);
  EXPECT_EQ(guarded(&error, [] {}), LILLE_OK);
  EXPECT_EQ(error.status, LILLE_OK);
  EXPECT_STREQ(error.message, "");
}

// Makes its message when it is asked for, if there is memory.
struct ToldByNeed : std::error_category {
  mutable bool has_memory = true;
  const char* name() const noexcept override { return "told by need"; }
  std::string message(int) const override {
    if (!has_memory) throw std::bad_alloc();
    return "full";
  }
};

TEST(CapiError, ASystemErrorThatCannotBeToldIsAnErrorToo) {
  const ToldByNeed category;
  const std::filesystem::filesystem_error thrown("x", std::error_code(1, category));
  lille_error error;
  EXPECT_EQ(guarded(&error, [&] { throw thrown; }), LILLE_IO);
  EXPECT_STREQ(error.message, "full");
  category.has_memory = false;
  EXPECT_EQ(guarded(&error, [&] { throw thrown; }), LILLE_IO);
  EXPECT_STREQ(error.message, "the operating system refused");
}

TEST(CapiError, LongMessagesAreCutBetweenCharacters) {
  const std::string whole(LILLE_MESSAGE_BYTES - 1, 'x');
  lille_error error;
  guarded(&error, [&] { throw Error(ErrorCode::kIo, whole); });
  EXPECT_EQ(error.message, whole);
  for (std::size_t n_before = 0; n_before < 4; ++n_before) {
    std::string text(n_before, 'x');
    while (text.size() < 2 * LILLE_MESSAGE_BYTES) text += "\U0001F409";
    guarded(&error, [&] { throw Error(ErrorCode::kIo, text); });
    const std::string_view message = error.message;
    EXPECT_TRUE(is_valid_utf8(message));
    EXPECT_TRUE(message.ends_with("..."));
    EXPECT_GE(message.size(), LILLE_MESSAGE_BYTES - 4U);
  }
}

TEST(CapiError, TheVersionIsThatOfTheHeader) { EXPECT_STREQ(lille_version(), LILLE_VERSION); }

}  // namespace
}  // namespace lille::capi
