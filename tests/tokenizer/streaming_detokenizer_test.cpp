#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "lille/tokenizer.h"
#include "tokenizer/hastings.h"
#include "tokenizer/vectors.h"

namespace lille {
namespace {

using test::hastings;
using test::Ids;

std::string bytes_of(const Ids& ids) { return hastings().decode(ids); }

/// The longest beginning of `text` that can be shown: everything but a last character that more bytes could
/// complete. Found by trying every continuation, as a definition.
std::string_view showable(std::string_view text) {
  for (std::size_t n_held = 3; n_held > 0; --n_held) {
    if (n_held > text.size()) continue;
    std::string end(text.substr(text.size() - n_held));
    for (std::size_t n_more = 1; n_held + n_more <= 4; ++n_more) {
      end += '\x80';
      for (int second = 0x80; second <= 0xbf; ++second) {
        if (n_held == 1) end[1] = static_cast<char>(second);
        if (utf8_char_bytes(end) == n_held + n_more) return text.substr(0, text.size() - n_held);
      }
    }
  }
  return text;
}

void expect_stream_equals_definition(const Ids& ids) {
  StreamingDetokenizer detokenizer(hastings());
  std::string whole;
  std::string shown;
  for (const int32_t id : ids) {
    whole += hastings().token_bytes(id);
    shown += detokenizer.add_token(id);
    ASSERT_EQ(shown, showable(whole));
  }
  shown += detokenizer.finalize();
  ASSERT_EQ(shown, whole);
  ASSERT_EQ(shown, bytes_of(ids));
}

TEST(StreamingDetokenizer, EqualsTheWholeDecodeOnRandomIds) {
  std::mt19937 random(1);
  for (int round = 0; round < 500; ++round) {
    Ids ids(random() % 60);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % 32768);
    expect_stream_equals_definition(ids);
  }
}

TEST(StreamingDetokenizer, EveryTokenThatIsNoUtf8AloneInEveryOrder) {
  Ids broken;
  for (int32_t id = 0; id < 32768; ++id)
    if (!is_valid_utf8(hastings().token_bytes(id))) broken.push_back(id);
  ASSERT_EQ(broken.size(), 247u);  // REFERENCE.md section 3
  for (const int32_t first : broken)
    for (const int32_t second : broken) expect_stream_equals_definition({first, second});
  std::mt19937 random(2);
  for (int round = 0; round < 500; ++round) {
    Ids ids(random() % 60);
    for (int32_t& id : ids)
      id = random() % 4 == 0 ? static_cast<int32_t>(random() % 32768) : broken[random() % broken.size()];
    expect_stream_equals_definition(ids);
  }
}

TEST(StreamingDetokenizer, ShowsWholeCharactersOfValidText) {
  for (const test::TextVector& vector : test::tiktoken_vectors().text) {
    StreamingDetokenizer detokenizer(hastings());
    std::string shown;
    for (const int32_t id : vector.ordinary) {
      const std::string piece = detokenizer.add_token(id);
      ASSERT_TRUE(is_valid_utf8(piece)) << vector.text;
      shown += piece;
    }
    EXPECT_EQ(detokenizer.finalize(), "");
    EXPECT_EQ(shown, vector.text);
  }
}

TEST(StreamingDetokenizer, GivesOutBytesAsSoonAsTheyCanBecomeNoCharacter) {
  const auto id = [](std::string_view byte) { return hastings().encode_piece(byte).at(0); };
  StreamingDetokenizer detokenizer(hastings());
  EXPECT_EQ(detokenizer.add_token(id("\xff")), "\xff");
  EXPECT_EQ(detokenizer.add_token(id("\xed")), "");
  EXPECT_EQ(detokenizer.add_token(id("\xa0")), "\xed\xa0");
  EXPECT_EQ(detokenizer.add_token(id("\xf0")), "");
  EXPECT_EQ(detokenizer.add_token(id("\xf0")), "\xf0");
  EXPECT_EQ(detokenizer.add_token(id("a")),
            "\xf0"
            "a");
  EXPECT_EQ(detokenizer.add_token(id("\xe2")), "");
  EXPECT_EQ(detokenizer.finalize(), "\xe2");
  EXPECT_EQ(detokenizer.finalize(), "");
}

TEST(StreamingDetokenizer, ResetForgetsAndABadIdChangesNothing) {
  const int32_t lead = hastings().encode_piece("\xe2").at(0);
  StreamingDetokenizer detokenizer(hastings());
  EXPECT_EQ(detokenizer.add_token(lead), "");
  test::expect_error(ErrorCode::kInvalidArgument, "32768", [&] { detokenizer.add_token(32768); });
  EXPECT_EQ(detokenizer.finalize(), "\xe2");
  detokenizer.add_token(lead);
  detokenizer.reset();
  EXPECT_EQ(detokenizer.finalize(), "");
}

}  // namespace
}  // namespace lille
