#include "server/text_endpoints.h"

#include <cmath>
#include <map>

#include "lille/logit_lens.h"
#include "lille/multiple_choice.h"
#include "server/api_client.h"

namespace lille {
namespace {

using nlohmann::json;

class TextEndpointsTest : public test::ApiClient {};

TEST_F(TextEndpointsTest, TextsBecomeTokensAndTokensTexts) {
  const std::string text = "A cat sat on the mat. \xc3\xa9<|endoftext|>";
  const json reply = answer("/v1/tokenize", {{"prompt", text}});
  EXPECT_EQ(reply["tokens"], json(ids(text)));
  EXPECT_EQ(reply["count"], ids(text).size());
  EXPECT_EQ(reply["max_model_len"], 512);
  const json plain = answer("/v1/tokenize", {{"prompt", text}, {"bos", false}});
  EXPECT_EQ(plain["tokens"], json(tokenizer_.encode(text)));
  EXPECT_EQ(answer("/v1/detokenize", {{"tokens", plain["tokens"]}})["prompt"], text);
  EXPECT_EQ(answer("/v1/detokenize", {{"tokens", json::array()}})["prompt"], "");
  const json chat = {{{"role", "user"}, {"content", "x"}}};
  EXPECT_EQ(answer("/v1/tokenize", {{"messages", chat}})["tokens"],
            json(tokenizer_.apply_chat_template(std::vector<ChatMessage>{{"user", "x"}})));
  expect_refused(400, "prompt", "neither", "/v1/tokenize", "{}");
  expect_refused(400, "prompt", "got 5", "/v1/tokenize", R"({"prompt": 5})");
  expect_refused(400, "tokens", "got -1", "/v1/detokenize", R"({"tokens": [-1]})");
  expect_refused(400, "tokens", "got none", "/v1/detokenize", "{}");
}

TEST_F(TextEndpointsTest, ScoresAreThoseOfMultipleChoice) {
  const ChoiceItem item = {"The river ran to the", {"sea and was", "moon"}, 0};
  const ChoiceResult wanted = score_choices(session_, tokenizer_, std::vector<ChoiceItem>{item});
  const json reply =
      answer("/v1/score", {{"prompt", item.context}, {"continuations", {" sea and was", " moon"}}});
  ASSERT_EQ(reply["data"].size(), 2u);
  for (std::size_t idx = 0; idx < 2; ++idx) {
    const json& score = reply["data"][idx];
    EXPECT_EQ(score["index"], idx);
    EXPECT_EQ(score["tokens"].size(), static_cast<std::size_t>(wanted.items[0].choices[idx].n_tokens));
    // Those are summed in double from losses, these from log-probabilities in float32.
    EXPECT_NEAR(score["log_likelihood"].get<double>(), wanted.items[0].choices[idx].log_likelihood, 1e-4);
    EXPECT_EQ(score["token_logprobs"].size(), score["tokens"].size());
  }
}

TEST_F(TextEndpointsTest, TheLikeliestTokensAreGreedy) {
  AnswerRequest request = {ids("Once upon a time"), {}};
  request.options.max_tokens = 3;
  const WholeAnswer greedy = alone(request);
  std::vector<int32_t> continuation;
  double sum = 0;
  for (const TokenLogprob& token : greedy.tokens) {
    continuation.push_back(token.token);
    sum += token.logprob;
  }
  json body = {{"prompt", request.prompt}, {"continuations", continuation}};
  json score = answer("/v1/score", body)["data"][0];
  EXPECT_TRUE(score["is_greedy"]);
  EXPECT_NEAR(score["log_likelihood"].get<double>(), sum, 1e-5);
  continuation.back() = continuation.back() == 11 ? 13 : 11;
  score = answer("/v1/score",
                 {{"prompt", request.prompt}, {"continuations", json::array({continuation})}})["data"][0];
  EXPECT_FALSE(score["is_greedy"]);
  expect_refused(400, "continuations", "got none", "/v1/score", R"({"prompt": "x"})");
  expect_refused(400, "continuations", "texts, as prompt is one", "/v1/score",
                 R"({"prompt": "x", "continuations": [[5]]})");
  expect_refused(400, "continuations", "at least one token", "/v1/score",
                 R"({"prompt": "x", "continuations": [""]})");
  expect_refused(
      400, "prompt", "at most 512 tokens", "/v1/score",
      json({{"prompt", std::vector<int>(512, 5)}, {"continuations", json::array({json::array({5})})}})
          .dump());
}

// Of base64, for numbers of four bytes.
std::vector<float> floats_of(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int n_bits = 0;
  for (const char digit : text) {
    if (digit == '=') break;
    bits = bits << 6 | static_cast<uint32_t>(digits.find(digit));
    n_bits += 6;
    if (n_bits < 8) continue;
    n_bits -= 8;
    bytes += static_cast<char>(bits >> n_bits & 255);
  }
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), values.size() * 4);
  return values;
}

TEST_F(TextEndpointsTest, EmbeddingsAreMeansInEitherFormat) {
  const auto wanted = [&](const std::vector<int32_t>& tokens) {
    Session session(model_, {1, ""});
    Scheduler scheduler(session, tokenizer_);
    return scheduler.read({.tokens = tokens, .wants_hidden = true})->wait(test::kLong)->mean_hidden;
  };
  const json reply = answer("/v1/embeddings", {{"input", {"A cat", "The sea"}}, {"model", "tiny"}});
  ASSERT_EQ(reply["data"].size(), 2u);
  EXPECT_EQ(reply["data"][0]["embedding"].get<std::vector<float>>(), wanted(ids("A cat")));
  EXPECT_EQ(reply["data"][1]["embedding"].get<std::vector<float>>(), wanted(ids("The sea")));
  EXPECT_EQ(reply["usage"]["prompt_tokens"], ids("A cat").size() + ids("The sea").size());
  for (const std::size_t n_tokens : {1, 2, 3}) {
    const std::vector<int32_t> tokens(n_tokens, 11);
    const json packed = answer("/v1/embeddings", {{"input", tokens}, {"encoding_format", "base64"}});
    EXPECT_EQ(floats_of(packed["data"][0]["embedding"]), wanted(tokens));
  }
  expect_refused(400, "input", "got none", "/v1/embeddings", "{}");
  expect_refused(400, "dimensions", "those of the model", "/v1/embeddings",
                 R"({"input": "x", "dimensions": 3})");
  expect_refused(400, "encoding_format", "\"int\"", "/v1/embeddings",
                 R"({"input": "x", "encoding_format": "int"})");
  expect_refused(400, "input", "at most 64", "/v1/embeddings",
                 json({{"input", std::vector<std::string>(65, "x")}}).dump());
}

class Insides : public Observer {
 public:
  void hidden_state(int64_t, std::span<const float> values) override {
    states.emplace_back(values.begin(), values.end());
  }
  bool wants_attention_weights() const override { return true; }
  void attention_weights(int64_t layer_idx, int64_t row_idx, std::span<const float> weights) override {
    attention[{layer_idx, row_idx}].assign(weights.begin(), weights.end());
  }
  std::vector<std::vector<float>> states;
  std::map<std::pair<int64_t, int64_t>, std::vector<float>> attention;
};

TEST_F(TextEndpointsTest, InspectionShowsEachBlocksPredictionsAndAttention) {
  const std::vector<int32_t> tokens = ids("The river ran down to the sea, where the boats were.");
  const ModelArgs& args = model_.args();
  Insides insides;
  ForwardOptions options;
  options.observer = &insides;
  PromptCache cache(model_);
  const BatchItem item = {tokens, &cache, LogitsFor::kNone};
  session_.forward({&item, 1}, options);

  const json reply = answer("/v1/inspect", {{"prompt", tokens}, {"position", 5}, {"top_logprobs", 2}});
  EXPECT_EQ(reply["object"], "inspection");
  EXPECT_EQ(reply["position"], 5);
  ASSERT_EQ(reply["tokens"].size(), tokens.size());
  EXPECT_EQ(reply["tokens"][1], json({{"token", "The"}, {"token_id", tokens[1]}}));
  ASSERT_EQ(reply["layers"].size(), static_cast<std::size_t>(args.n_layer));
  for (int64_t hidden_idx = 0; hidden_idx <= args.n_layer; ++hidden_idx) {
    const json& layer = hidden_idx == 0 ? reply["embedding"] : reply["layers"][hidden_idx - 1];
    const Logits logits = logit_lens(session_, insides.states[static_cast<std::size_t>(hidden_idx)]);
    ASSERT_EQ(layer["predictions"].size(), tokens.size());
    for (std::size_t idx = 0; idx < tokens.size(); ++idx) {
      const std::span<const float> row = logits.row(static_cast<int64_t>(idx));
      const json& likeliest = layer["predictions"][idx];
      ASSERT_EQ(likeliest.size(), 2u);
      EXPECT_EQ(likeliest[0]["token_id"], std::ranges::max_element(row) - row.begin());
      double sum = 0;
      for (const float logit : row) sum += std::exp(double{logit});
      EXPECT_NEAR(likeliest[0]["logprob"].get<double>(), std::ranges::max(row) - std::log(sum), 1e-4);
    }
    if (hidden_idx == 0) continue;
    ASSERT_EQ(layer["attention"].size(), static_cast<std::size_t>(args.n_head));
    std::vector<float> heads;
    for (const json& head : layer["attention"])
      for (const json& weight : head) heads.push_back(weight.get<float>());
    EXPECT_EQ(heads, (insides.attention[{hidden_idx - 1, 5}]));
  }
}

TEST_F(TextEndpointsTest, InspectionLooksFromTheLastTokenOfAConversation) {
  const json chat = {{{"role", "user"}, {"content", "x"}}};
  const json reply = answer("/v1/inspect", {{"messages", chat}});
  const std::size_t n_tokens = tokenizer_.apply_chat_template(std::vector<ChatMessage>{{"user", "x"}}).size();
  EXPECT_EQ(reply["position"], n_tokens - 1);
  EXPECT_EQ(reply["tokens"].size(), n_tokens);
  EXPECT_EQ(reply["usage"]["prompt_tokens"], n_tokens);
  EXPECT_EQ(reply["embedding"]["predictions"][0].size(), 5u);
  for (const json& head : reply["layers"][0]["attention"]) {
    ASSERT_EQ(head.size(), n_tokens);
    double sum = 0;
    for (const json& weight : head) sum += weight.get<double>();
    EXPECT_NEAR(sum, 1, 1e-5);
  }
  expect_refused(400, "prompt", "neither", "/v1/inspect", "{}");
  expect_refused(400, "position", "0 to 1", "/v1/inspect", R"({"prompt": [1, 2], "position": 2})");
  expect_refused(400, "top_logprobs", "1 to 20", "/v1/inspect", R"({"prompt": "x", "top_logprobs": 0})");
  // 512 tokens and 13 blocks have 6,656 places.
  const json longest = {{"prompt", std::vector<int32_t>(512, 11)}, {"top_logprobs", 10}};
  expect_refused(400, "top_logprobs", "at most 9, with which 6656 tokens", "/v1/inspect", longest.dump());
}

}  // namespace
}  // namespace lille
