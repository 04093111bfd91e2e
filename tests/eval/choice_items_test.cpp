#include <gtest/gtest.h>

#include "lille/multiple_choice.h"
#include "support.h"

namespace lille {
namespace {

class ChoiceItems : public testing::Test {
 protected:
  ChoiceItem item(const std::string& line) const {
    const std::vector<ChoiceItem> items = read_choice_items(folder_.write("items.jsonl", line + "\n"));
    EXPECT_EQ(items.size(), 1u);
    return items.at(0);
  }

  void expect_refused(const std::string& line, std::string_view part) const {
    const std::filesystem::path path = folder_.write("items.jsonl", "\n" + line);
    test::expect_error(ErrorCode::kCorruptFile, "items.jsonl, line 2: " + std::string(part),
                       [&] { read_choice_items(path); });
  }

  using Texts = std::vector<std::string>;
  test::TemporaryFolder folder_;
};

TEST_F(ChoiceItems, PlainOnesAreTakenAsTheyStand) {
  const ChoiceItem plain =
      item(R"({"context": " The sky is ", "choices": ["blue", " [x]  y"], "answer": 1, "id": 7})");
  EXPECT_EQ(plain.context, " The sky is ");
  EXPECT_EQ(plain.choices, (Texts{"blue", " [x]  y"}));
  EXPECT_EQ(plain.answer, 1);
}

// The expected texts are those of preprocess and process_docs in lm_eval/tasks/hellaswag/utils.py, run by
// Python.
TEST_F(ChoiceItems, HellaSwagLosesItsMarks) {
  const ChoiceItem swag = item(
      R"({"ind": 4, "activity_label": "Removing ice", "ctx_a": "Then, the man writes.", "ctx_b": "then, THE \u00c9tude [title] Sets",)"
      R"( "ctx": "unused", "endings": [" [header] One [title] two [step] three  four.", "a[b", "x   y    z", "\u00a0a [q]]  b\n[c\nd]"],)"
      R"( "label": "2", "source_id": "wikihow~1"})");
  EXPECT_EQ(swag.context, "Removing ice: Then, the man writes. Then, the \u00e9tude. sets");
  EXPECT_EQ(swag.choices, (Texts{" One. two three four.", "a[b", "x  y  z", "a ] b\n[c\nd]"}));
  EXPECT_EQ(swag.answer, 2);
  const ChoiceItem whole =
      item(R"({"ctx": "A man is  running. he", "endings": ["stops.", "falls."], "label": 0})");
  EXPECT_EQ(whole.context, "A man is running. he");
  EXPECT_EQ(whole.answer, 0);
}

TEST_F(ChoiceItems, ArcIsAQuestion) {
  const ChoiceItem arc = item(
      R"({"id": "M_1", "question": "Which is hot?", "choices": {"text": ["ice", "fire", "fog"], "label": ["A", "B", "C"]},)"
      R"( "answerKey": "B"})");
  EXPECT_EQ(arc.context, "Question: Which is hot?\nAnswer:");
  EXPECT_EQ(arc.choices, (Texts{"ice", "fire", "fog"}));
  EXPECT_EQ(arc.answer, 1);
  EXPECT_EQ(
      item(R"({"question": "q", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"})")
          .answer,
      1);
}

TEST_F(ChoiceItems, PiqaHasTwoSolutions) {
  const ChoiceItem piqa =
      item(R"({"goal": "To boil an egg,", "sol1": "heat water.", "sol2": "freeze it.", "label": 0})");
  EXPECT_EQ(piqa.context, "Question: To boil an egg,\nAnswer:");
  EXPECT_EQ(piqa.choices, (Texts{"heat water.", "freeze it."}));
  EXPECT_EQ(piqa.answer, 0);
}

TEST_F(ChoiceItems, BlankLinesAreNone) {
  const auto path =
      folder_.write("items.jsonl",
                    "\r\n  \n{\"context\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 0}\r\n\n"
                    "{\"goal\": \"a\", \"sol1\": \"b\", \"sol2\": \"c\", \"label\": 1}");
  EXPECT_EQ(read_choice_items(path).size(), 2u);
  test::expect_error(ErrorCode::kCorruptFile,
                     "none.jsonl: expected at least one line with a JSON object, got none",
                     [&] { read_choice_items(folder_.write("none.jsonl", "\n \n")); });
}

TEST_F(ChoiceItems, FaultsNameLineAndField) {
  expect_refused("{", "expected JSON");
  expect_refused("[1]", "expected a JSON object, got an array");
  expect_refused("{\"id\": 1}", "expected a field context (with choices and answer), endings (HellaSwag)");
  expect_refused(std::string(17 << 20, ' '), "expected a line of at most 16777216 bytes, got more");
  const auto plain = [](const std::string& rest) { return "{\"context\": \"a\", " + rest + "}"; };
  expect_refused("{\"context\": 1, \"choices\": [\"b\", \"c\"], \"answer\": 0}",
                 "context: expected a text, got 1");
  expect_refused(plain("\"answer\": 0"), "choices: expected a value, got none");
  expect_refused(plain("\"choices\": \"b\", \"answer\": 0"),
                 "choices: expected an array of texts, got \"b\"");
  expect_refused(plain("\"choices\": [\"b\"], \"answer\": 0"), "choices: expected at least two texts, got 1");
  expect_refused(plain("\"choices\": [\"b\", 2], \"answer\": 0"), "choices[1]: expected a text, got 2");
  expect_refused(plain("\"choices\": [\"b\", \"\"], \"answer\": 0"),
                 "choices[1]: expected a text, got an empty one");
  for (const char* answer : {"2", "-1", "\"2\"", "\"b\"", "0.0", "true", "null", "[0]", "\"00\""})
    expect_refused(plain(std::string("\"choices\": [\"b\", \"c\"], \"answer\": ") + answer),
                   "answer: expected an index from 0 to 1, got ");
  expect_refused(plain("\"choices\": [\"b\", \"c\"]"), "answer: expected a value, got none");
  expect_refused(R"({"endings": ["a", "b"], "label": 0})", "ctx: expected a value, got none");
  expect_refused(R"({"ctx": "a", "endings": ["b", "[c]"], "label": 0})",
                 "endings[1]: expected a text, got an empty one");
  expect_refused(R"({"ctx": "a", "endings": ["b", "c"], "label": ""})",
                 "label: expected an index from 0 to 1, got \"\"");
  const std::string arc = R"({"question": "q", "choices": )";
  expect_refused(arc + "[1]}", "choices: expected an object with text and label, got an array");
  expect_refused(arc + R"({"text": ["a", "b"], "label": ["A"]}, "answerKey": "A"})",
                 "choices.label: expected 2 labels, one for each text, got 1");
  expect_refused(arc + R"({"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "C"})",
                 "answerKey: expected one of choices.label, got C");
  expect_refused(R"({"goal": "a", "sol1": "b", "label": 0})", "sol2: expected a value, got none");
  expect_refused(R"({"goal": "a", "sol1": "b", "sol2": "c", "label": -1})",
                 "label: expected an index from 0 to 1, got -1");
}

TEST_F(ChoiceItems, AMissingFile) {
  test::expect_error(ErrorCode::kNotFound, "no such file", [&] { read_choice_items(folder_.path() / "no"); });
}

}  // namespace
}  // namespace lille
