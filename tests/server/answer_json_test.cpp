#include "server/answer_json.h"

#include <cmath>

#include "server/tiny.h"

namespace lille {
namespace {

using nlohmann::ordered_json;

class AnswerJsonTest : public test::TinyModel {
 protected:
  // A token of this one byte, which is no UTF-8 alone.
  int32_t byte_token(char byte) const {
    for (int32_t id = 0; id < tokenizer_.vocab_size(); ++id)
      if (tokenizer_.token_bytes(id) == std::string_view(&byte, 1)) return id;
    ADD_FAILURE() << "no such token";
    return 0;
  }
};

TEST_F(AnswerJsonTest, CharactersAreCountedWhereTheyBegin) {
  EXPECT_EQ(count_characters(""), 0);
  EXPECT_EQ(count_characters("abc"), 3);
  EXPECT_EQ(count_characters("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), 3);
  EXPECT_EQ(count_characters("\xa9"), 0);
}

TEST_F(AnswerJsonTest, PartsOfCharactersHaveNamesOfTheirOwn) {
  AnswerPart part;
  part.tokens = {{byte_token('\xe2'), -0.5F, {{byte_token('\xe2'), -0.5F}, {byte_token('\x82'), -INFINITY}}}};
  part.text = "\xe2";
  AnswerForm form;
  form.logprobs = true;
  const ordered_json completion =
      ordered_json::parse(json_line(answer_json(form, std::vector{part}, {}, tokenizer_)))["choices"][0];
  EXPECT_EQ(completion["text"], "\xEF\xBF\xBD");
  EXPECT_EQ(completion["logprobs"]["tokens"][0], "bytes:\\xe2");
  EXPECT_EQ(completion["logprobs"]["top_logprobs"][0]["bytes:\\x82"], -9999);
  form.is_chat = true;
  const ordered_json chat = answer_json(form, std::vector{part}, {}, tokenizer_)["choices"][0];
  EXPECT_EQ(chat["logprobs"]["content"][0]["bytes"], ordered_json({0xe2}));
  EXPECT_EQ(chat["logprobs"]["content"][0]["top_logprobs"].size(), 2u);
  // The way back that is exact.
  EXPECT_EQ(completion["logprobs"]["token_ids"], ordered_json({byte_token('\xe2')}));
  EXPECT_EQ(completion["logprobs"]["top_token_ids"][0]["bytes:\\x82"], byte_token('\x82'));
  EXPECT_EQ(chat["logprobs"]["content"][0]["token_id"], byte_token('\xe2'));
  EXPECT_EQ(chat["logprobs"]["content"][0]["top_logprobs"][1]["token_id"], byte_token('\x82'));
}

TEST_F(AnswerJsonTest, TheEndOfATurnIsListedInCompletionsOnly) {
  AnswerPart part;
  part.tokens = {{tokenizer_.eos_token_id(), -0.1F, {}}};
  part.finish_reason = FinishReason::kStop;
  AnswerForm form;
  form.logprobs = true;
  EXPECT_EQ(answer_json(form, std::vector{part}, {}, tokenizer_)["choices"][0]["logprobs"]["tokens"].size(),
            1u);
  form.is_chat = true;
  EXPECT_EQ(answer_json(form, std::vector{part}, {}, tokenizer_)["choices"][0]["logprobs"]["content"].size(),
            0u);
}

TEST_F(AnswerJsonTest, UsageAddsUp) {
  EXPECT_EQ(usage_json({7, 5, 3}), ordered_json::parse(R"({"prompt_tokens": 7, "completion_tokens": 5,
      "total_tokens": 12, "prompt_tokens_details": {"cached_tokens": 3}})"));
}

}  // namespace
}  // namespace lille
