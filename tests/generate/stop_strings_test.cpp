#include "generate/stop_strings.h"

#include <gtest/gtest.h>

#include <random>

#include "support.h"

namespace lille {
namespace {

struct Ended {
  std::string text;
  std::string stop;
  bool operator==(const Ended&) const = default;
};

// The rule itself, by looking at every end: the first that completes a stop string counts, and there the
// longest.
Ended naive(std::string_view text, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    const std::string_view head = text.substr(0, end);
    std::string longest;
    for (const std::string& stop : stops)
      if (head.ends_with(stop) && stop.size() > longest.size()) longest = stop;
    if (!longest.empty()) return {std::string(head.substr(0, end - longest.size())), longest};
  }
  return {std::string(text), ""};
}

Ended streamed(const std::vector<std::string>& pieces, const std::vector<std::string>& stops) {
  StopStrings matcher(stops);
  Ended ended;
  for (const std::string& piece : pieces) ended.text += matcher.add(piece);
  ended.text += matcher.finalize();
  if (const std::string* stop = matcher.matched()) ended.stop = *stop;
  return ended;
}

TEST(StopStrings, NothingOfAStopStringIsShown) {
  StopStrings matcher(std::vector<std::string>{"###"});
  EXPECT_EQ(matcher.add("one #"), "one ");
  EXPECT_EQ(matcher.add("# two"), "## two");
  EXPECT_EQ(matcher.add(" #"), " ");
  EXPECT_EQ(matcher.add("##three"), "");
  ASSERT_NE(matcher.matched(), nullptr);
  EXPECT_EQ(*matcher.matched(), "###");
  EXPECT_EQ(matcher.add("four"), "");
  EXPECT_EQ(matcher.finalize(), "");
}

TEST(StopStrings, TheBeginningOfOneAtTheEndIsText) {
  StopStrings matcher(std::vector<std::string>{"stop here"});
  EXPECT_EQ(matcher.add("do not stop"), "do not ");
  EXPECT_EQ(matcher.finalize(), "stop");
  EXPECT_EQ(matcher.matched(), nullptr);
}

TEST(StopStrings, BeginAndEndInsidePieces) {
  EXPECT_EQ(streamed({"xxEN", "D of iteyy"}, {"END of it"}), (Ended{"xx", "END of it"}));
  // The match begins inside what looked like another beginning.
  EXPECT_EQ(streamed({"aab", "aabaac"}, {"aabaac"}), (Ended{"aab", "aabaac"}));
}

TEST(StopStrings, TheFirstToBeCompleteEndsAndOfSeveralTheLongest) {
  EXPECT_EQ(streamed({"abcd"}, {"abcd", "bc"}), (Ended{"a", "bc"}));
  EXPECT_EQ(streamed({"abcd"}, {"bcd", "d", "cd"}), (Ended{"a", "bcd"}));
  EXPECT_EQ(streamed({"abcd"}, {"x", "a", "ab"}), (Ended{"", "a"}));
}

TEST(StopStrings, WithoutAnyTextPasses) {
  EXPECT_EQ(streamed({"a", "", "b"}, {}), (Ended{"ab", ""}));
  EXPECT_EQ(streamed({}, {"a"}), (Ended{"", ""}));
}

TEST(StopStrings, RandomTextsOverTwoLettersInRandomPieces) {
  std::mt19937 random(1);
  const auto word = [&](std::size_t n_most) {
    std::string letters(1 + random() % n_most, 'a');
    for (char& letter : letters) letter = static_cast<char>('a' + random() % 2);
    return letters;
  };
  int n_ended = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::string> stops;
    for (unsigned n = 1 + random() % 4; n > 0; --n) stops.push_back(word(9));
    const std::string text = word(60);
    std::vector<std::string> pieces;
    for (std::size_t begin = 0; begin < text.size();) {
      pieces.push_back(text.substr(begin, random() % 5));
      begin += pieces.back().size();
    }
    const Ended ended = streamed(pieces, stops);
    ASSERT_EQ(ended, naive(text, stops)) << text << " until " << stops.front();
    n_ended += !ended.stop.empty();
  }
  EXPECT_GT(n_ended, 2000);
  EXPECT_LT(n_ended, 19990);
}

TEST(StopStrings, HoldsBackLessThanTheLongest) {
  const std::vector<std::string> stops = {std::string(100, 'a') + "b", "aaac"};
  StopStrings matcher(stops);
  std::size_t n_in = 0;
  std::size_t n_out = 0;
  for (int piece = 0; piece < 500; ++piece) {
    n_in += 7;
    n_out += matcher.add("aaaaaaa").size();
    EXPECT_LE(n_in - n_out, 100u);
  }
}

TEST(StopStrings, OneOfFourKilobytes) {
  std::string stop;
  for (int idx = 0; stop.size() < 4096; ++idx) stop += std::to_string(idx) + " ";
  EXPECT_EQ(streamed({"before", stop.substr(0, 2000), stop.substr(2000), "after"}, {stop}),
            (Ended{"before", stop}));
  const std::string nearly = stop.substr(0, stop.size() - 1);
  EXPECT_EQ(streamed({"before", nearly, "!"}, {stop}), (Ended{"before" + nearly + "!", ""}));
}

TEST(StopStrings, AHundred) {
  std::vector<std::string> stops;
  for (int idx = 0; idx < 100; ++idx)
    stops.push_back(std::string("<").append(std::to_string(idx)).append(">"));
  EXPECT_EQ(streamed({"a<1", "00><9", "9>b"}, stops), (Ended{"a<100>", "<99>"}));
}

// A pattern that falls back at every byte is where a quadratic matcher would show: 4 MB against 4 KB.
TEST(StopStrings, TimeIsLinear) {
  const std::vector<std::string> stops = {std::string(4095, 'a') + "b"};
  StopStrings matcher(stops);
  const std::string piece = std::string(4094, 'a') + "c";
  std::size_t n_shown = 0;
  for (int idx = 0; idx < 1000; ++idx) n_shown += matcher.add(piece).size();
  EXPECT_EQ(n_shown, 1000 * piece.size());
}

TEST(StopStrings, BadOnes) {
  const auto refused = [](std::string_view part, std::vector<std::string> stops) {
    test::expect_error(ErrorCode::kInvalidArgument, part, [&] { StopStrings matcher(stops); });
  };
  refused("stop: expected strings of at least one character, got an empty one", {"a", ""});
  refused("stop: expected UTF-8 text, got \"a\\xff\"", {"a\xff"});
  refused("stop: expected UTF-8 text", {"\xa9"});
}

TEST(StopStrings, CharactersOfSeveralBytesAndNul) {
  EXPECT_EQ(streamed({"caf\xc3\xa8, caf\xc3\xa9!"}, {"\xc3\xa9"}), (Ended{"caf\xc3\xa8, caf", "\xc3\xa9"}));
  const std::string nul("a\0b", 3);
  EXPECT_EQ(streamed({nul, "c"}, {std::string("\0b", 2)}), (Ended{"a", std::string("\0b", 2)}));
}

}  // namespace
}  // namespace lille
