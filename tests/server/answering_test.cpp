#include "server/answering.h"

#include <set>

#include "server/api_client.h"

namespace lille {
namespace {

using nlohmann::json;

class AnsweringTest : public test::ApiClient {
 protected:
  StreamOptions options(const GenerationOptions& said) const {
    return make_stream_options(said, load_generation_defaults(model_.path()), tokenizer_);
  }

  static GenerationOptions said(int64_t max_tokens, uint64_t seed) {
    GenerationOptions options;
    options.max_tokens = max_tokens;
    options.seed = seed;
    return options;
  }

  const json messages_ = json::array({{{"role", "user"}, {"content", "What is a river?"}}});
  std::vector<int32_t> chat() const {
    return tokenizer_.apply_chat_template(std::vector<ChatMessage>{{"user", "What is a river?"}});
  }
};

TEST_F(AnsweringTest, ACompletionIsTheAnswerOfTheLibrary) {
  const WholeAnswer wanted = alone({ids("Once upon a time"), options(said(12, 5))});
  const json reply =
      answer("/v1/completions",
             {{"model", "tiny"}, {"prompt", "Once upon a time"}, {"max_tokens", 12}, {"seed", 5}});
  EXPECT_EQ(reply["object"], "text_completion");
  EXPECT_TRUE(reply["id"].get<std::string>().starts_with("cmpl-"));
  ASSERT_EQ(reply["choices"].size(), 1u);
  EXPECT_EQ(reply["choices"][0], json({{"index", 0},
                                       {"text", wanted.text},
                                       {"logprobs", nullptr},
                                       {"finish_reason", finish_reason_name(*wanted.last.finish_reason)}}));
  EXPECT_EQ(reply["usage"]["prompt_tokens"], wanted.last.prompt_tokens);
  EXPECT_EQ(reply["usage"]["completion_tokens"], wanted.last.generation_tokens);
  EXPECT_EQ(reply["usage"]["total_tokens"], wanted.last.prompt_tokens + wanted.last.generation_tokens);
}

TEST_F(AnsweringTest, AChatIsTheAnswerOfTheLibrary) {
  const WholeAnswer wanted = alone({chat(), options(said(12, 5))});
  const json body = {{"messages", messages_}, {"max_completion_tokens", 12}, {"seed", 5}};
  const json reply = answer("/v1/chat/completions", body);
  EXPECT_EQ(reply["object"], "chat.completion");
  EXPECT_EQ(reply["choices"][0],
            json({{"index", 0},
                  {"message", {{"role", "assistant"}, {"content", wanted.text}, {"refusal", nullptr}}},
                  {"logprobs", nullptr},
                  {"finish_reason", finish_reason_name(*wanted.last.finish_reason)}}));
  EXPECT_EQ(reply["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
  const json repeated = answer("/v1/chat/completions", body);
  EXPECT_EQ(repeated["choices"], reply["choices"]);
  EXPECT_EQ(repeated["usage"]["prompt_tokens_details"]["cached_tokens"], chat().size() - 1);
}

TEST_F(AnsweringTest, EachAnswerOfSeveralHasItsOwnSeed) {
  const json reply = answer(
      "/v1/completions",
      {{"prompt", json::array({"Once upon a time", "A glacier"})}, {"n", 2}, {"max_tokens", 6}, {"seed", 5}});
  ASSERT_EQ(reply["choices"].size(), 4u);
  for (std::size_t idx = 0; idx < 4; ++idx) {
    const WholeAnswer wanted =
        alone({ids(idx < 2 ? "Once upon a time" : "A glacier"), options(said(6, 5 + idx % 2))});
    EXPECT_EQ(reply["choices"][idx]["index"], idx);
    EXPECT_EQ(reply["choices"][idx]["text"], wanted.text) << idx;
  }
  // A prompt is counted once, however many answers it has.
  EXPECT_EQ(reply["usage"]["prompt_tokens"], ids("Once upon a time").size() + ids("A glacier").size());
}

TEST_F(AnsweringTest, TheLikeliestOfBestOfAreGiven) {
  const json all = answer("/v1/completions",
                          {{"prompt", "Once"}, {"n", 4}, {"max_tokens", 5}, {"seed", 1}, {"logprobs", 0}});
  std::vector<std::pair<double, std::string>> means;
  for (const json& choice : all["choices"]) {
    double sum = 0;
    for (const json& logprob : choice["logprobs"]["token_logprobs"]) sum += logprob.get<double>();
    means.emplace_back(-sum / static_cast<double>(choice["logprobs"]["token_logprobs"].size()),
                       choice["text"]);
  }
  std::ranges::stable_sort(means, {}, &std::pair<double, std::string>::first);
  const json best = answer("/v1/completions",
                           {{"prompt", "Once"}, {"n", 2}, {"best_of", 4}, {"max_tokens", 5}, {"seed", 1}});
  ASSERT_EQ(best["choices"].size(), 2u);
  EXPECT_EQ(best["choices"][0]["text"], means[0].second);
  EXPECT_EQ(best["choices"][1]["text"], means[1].second);
}

TEST_F(AnsweringTest, StopStringsEndAnAnswer) {
  const std::string text = alone({ids("Once upon a time"), options(said(20, 5))}).text;
  const std::string stop = text.substr(text.size() / 2, 5);
  for (const json& said : {json(stop), json::array({"never said", stop})}) {
    const json reply = answer(
        "/v1/completions", {{"prompt", "Once upon a time"}, {"max_tokens", 20}, {"seed", 5}, {"stop", said}});
    EXPECT_EQ(reply["choices"][0]["text"], text.substr(0, text.find(stop)));
    EXPECT_EQ(reply["choices"][0]["finish_reason"], "stop");
  }
}

TEST_F(AnsweringTest, OptionsOfTheTableReachTheSampler) {
  GenerationOptions wanted = said(8, 5);
  wanted.temperature = 1.1F;
  wanted.top_p = 0.8F;
  wanted.top_k = 50;
  wanted.min_p = 0.01F;
  wanted.repetition_penalty = 1.3F;
  wanted.logits_processors.presence_penalty = 0.4F;
  wanted.logits_processors.frequency_penalty = 0.3F;
  wanted.logits_processors.logit_bias = {{262, -3.0F}};
  const json reply = answer("/v1/completions", {{"prompt", "Once upon a time"},
                                                {"max_tokens", 8},
                                                {"seed", 5},
                                                {"temperature", 1.1},
                                                {"top_p", 0.8},
                                                {"top_k", 50},
                                                {"min_p", 0.01},
                                                {"repetition_penalty", 1.3},
                                                {"presence_penalty", 0.4},
                                                {"frequency_penalty", 0.3},
                                                {"logit_bias", {{"262", -3}}}});
  EXPECT_EQ(reply["choices"][0]["text"], alone({ids("Once upon a time"), options(wanted)}).text);
}

TEST_F(AnsweringTest, ChatLogprobsHaveBytesAndAlternatives) {
  GenerationOptions wanted_options = said(4, 5);
  wanted_options.top_logprobs = 3;
  const WholeAnswer wanted = alone({chat(), options(wanted_options)});
  const json reply = answer(
      "/v1/chat/completions",
      {{"messages", messages_}, {"max_tokens", 4}, {"seed", 5}, {"logprobs", true}, {"top_logprobs", 3}});
  const json content = reply["choices"][0]["logprobs"]["content"];
  std::size_t idx = 0;
  for (const TokenLogprob& token : wanted.tokens) {
    if (tokenizer_.is_special(token.token)) continue;
    const json& listed = content.at(idx);
    const std::string bytes(tokenizer_.token_bytes(token.token));
    EXPECT_EQ(listed["logprob"].get<float>(), token.logprob);
    EXPECT_EQ(listed["bytes"].get<std::vector<unsigned char>>(),
              std::vector<unsigned char>(bytes.begin(), bytes.end()));
    ASSERT_EQ(listed["top_logprobs"].size(), 3u);
    EXPECT_EQ(listed["top_logprobs"][0]["logprob"].get<float>(), wanted.top_logprobs[idx][0].logprob);
    ++idx;
  }
  EXPECT_EQ(content.size(), idx);
}

TEST_F(AnsweringTest, EchoShowsThePromptAndItsLogprobs) {
  const std::vector<int32_t> prompt = tokenizer_.encode("The river ran to the sea.");
  PromptCache cache(model_);
  const BatchItem item = {prompt, &cache, LogitsFor::kAll};
  const Logits logits = session_.forward({&item, 1});
  std::vector<float> wanted;
  for (std::size_t idx = 1; idx < prompt.size(); ++idx) {
    const std::span<const float> row = logits.row(static_cast<int64_t>(idx) - 1);
    std::vector<float> logprobs(row.begin(), row.end());
    log_softmax(logprobs);
    wanted.push_back(logprobs[static_cast<std::size_t>(prompt[idx])]);
  }

  const json body = {
      {"prompt", prompt}, {"max_tokens", 1}, {"echo", true}, {"logprobs", 1}, {"temperature", 0}};
  const json choice = answer("/v1/completions", body)["choices"][0];
  const json& logprobs = choice["logprobs"];
  EXPECT_TRUE(choice["text"].get<std::string>().starts_with("The river ran to the sea."));
  // One token was generated, as lm-evaluation-harness asks for and leaves out.
  ASSERT_EQ(logprobs["tokens"].size(), prompt.size() + 1);
  EXPECT_EQ(logprobs["token_logprobs"][0], nullptr);
  EXPECT_EQ(logprobs["top_logprobs"][0], nullptr);
  std::size_t n_characters = 0;
  for (std::size_t idx = 0; idx < prompt.size(); ++idx) {
    EXPECT_EQ(logprobs["tokens"][idx], std::string(tokenizer_.token_bytes(prompt[idx])));
    EXPECT_EQ(logprobs["text_offset"][idx], n_characters);
    n_characters += tokenizer_.token_bytes(prompt[idx]).size();
    if (idx == 0) continue;
    EXPECT_EQ(logprobs["token_logprobs"][idx].get<float>(), wanted[idx - 1]);
    EXPECT_TRUE(logprobs["top_logprobs"][idx].contains(std::string(tokenizer_.token_bytes(prompt[idx]))));
  }
  EXPECT_EQ(logprobs["text_offset"].back(), n_characters);
}

TEST_F(AnsweringTest, EchoOfATextLeavesOutWhatTheClientDidNotWrite) {
  const json reply = answer("/v1/completions",
                            {{"prompt", "The river"}, {"max_tokens", 0}, {"echo", true}, {"logprobs", 0}});
  const json& choice = reply["choices"][0];
  EXPECT_EQ(choice["text"], "The river");
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_EQ(choice["logprobs"]["tokens"], json::array({"The", " river"}));
  // <|startoftext|> stands before the first, so that it has a probability.
  EXPECT_TRUE(choice["logprobs"]["token_logprobs"][0].is_number());
  // Without alternatives each token stands there alone.
  EXPECT_EQ(choice["logprobs"]["top_logprobs"].size(), 2u);
  EXPECT_EQ(choice["logprobs"]["top_logprobs"][1],
            json({{" river", choice["logprobs"]["token_logprobs"][1]}}));
  EXPECT_EQ(reply["usage"]["completion_tokens"], 0);
}

// What a stream says of each answer, and in which order.
struct Told {
  std::string text;
  int n_roles = 0;
  int n_ends = 0;
  std::string finish_reason;
  std::size_t n_logprobs = 0;
};

TEST_F(AnsweringTest, AStreamTellsEverythingOnceInOrder) {
  for (const bool is_chat : {true, false})
    for (int n = 1; n <= 4; ++n) {
      const std::string path = is_chat ? "/v1/chat/completions" : "/v1/completions";
      json body = {{"n", n}, {"max_tokens", 7}, {"seed", 3}};
      if (is_chat)
        body["messages"] = messages_;
      else
        body["prompt"] = "Once upon a time";
      const json whole = answer(path, body);
      body["stream"] = true;
      body["stream_options"] = {{"include_usage", true}};
      ApiReply reply = post(path, body.dump());
      const std::vector<std::string> all = events(reply);
      ASSERT_GE(all.size(), 3u);
      EXPECT_EQ(all.back(), "[DONE]");

      std::vector<Told> told(static_cast<std::size_t>(n));
      std::set<std::string> ids;
      for (std::size_t idx = 0; idx + 2 < all.size(); ++idx) {
        const json piece = json::parse(all[idx]);
        ids.insert(piece["id"]);
        EXPECT_EQ(piece["object"], is_chat ? "chat.completion.chunk" : "text_completion");
        EXPECT_EQ(piece["usage"], nullptr);
        ASSERT_EQ(piece["choices"].size(), 1u);
        const json& choice = piece["choices"][0];
        Told& one = told.at(choice["index"]);
        EXPECT_EQ(one.n_ends, 0) << "after its end: " << all[idx];
        if (is_chat && choice["delta"].contains("role")) {
          EXPECT_EQ(one.text, "");
          ++one.n_roles;
        }
        if (is_chat)
          one.text += choice["delta"].value("content", "");
        else
          one.text += choice["text"];
        if (choice["finish_reason"].is_null()) continue;
        ++one.n_ends;
        one.finish_reason = choice["finish_reason"];
      }
      EXPECT_EQ(ids.size(), 1u);
      for (std::size_t idx = 0; idx < told.size(); ++idx) {
        const json& choice = whole["choices"][idx];
        EXPECT_EQ(told[idx].text, is_chat ? choice["message"]["content"] : choice["text"]);
        EXPECT_EQ(told[idx].n_roles, is_chat ? 1 : 0);
        EXPECT_EQ(told[idx].n_ends, 1);
        EXPECT_EQ(told[idx].finish_reason, choice["finish_reason"]);
      }
      const json usage = json::parse(all[all.size() - 2]);
      EXPECT_EQ(usage["choices"], json::array());
      EXPECT_EQ(usage["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
      EXPECT_EQ(usage["usage"]["prompt_tokens"], whole["usage"]["prompt_tokens"]);
    }
}

TEST_F(AnsweringTest, AStreamWithoutUsageHasNone) {
  ApiReply reply = post("/v1/completions", R"({"prompt": "x", "max_tokens": 2, "stream": true})");
  for (const std::string& event : events(reply)) EXPECT_EQ(event.find("usage"), std::string::npos) << event;
  // The log tells of a stream when it has ended.
  ASSERT_EQ(log().size(), 1u);
  EXPECT_EQ(json::parse(log().front())["outcome"], "finished");
}

TEST_F(AnsweringTest, StreamedLogprobsAreThoseOfTheWhole) {
  json body = {{"prompt", "The river"}, {"max_tokens", 6}, {"seed", 3}, {"logprobs", 2}, {"echo", true}};
  const json whole = answer("/v1/completions", body)["choices"][0]["logprobs"];
  body["stream"] = true;
  ApiReply reply = post("/v1/completions", body.dump());
  json told = {{"tokens", json::array()}, {"token_logprobs", json::array()}, {"text_offset", json::array()}};
  for (const std::string& event : events(reply)) {
    if (event == "[DONE]") continue;
    const json choice = json::parse(event)["choices"][0];
    if (choice["logprobs"].is_null()) continue;
    for (auto& [name, list] : told.items())
      for (const json& value : choice["logprobs"][name]) list.push_back(value);
  }
  for (const auto& [name, list] : told.items()) EXPECT_EQ(list, whole[name]) << name;
}

TEST_F(AnsweringTest, AFullQueueIsToldSo) {
  start({}, {.completion_batch_size = 1, .max_queue = 1});
  test::Gate gate(0);
  const auto running = test::block(*scheduler_, gate, {ids("Once"), sampled(1, 2)});
  const auto waiting = scheduler_->answer({{ids("Once"), sampled(1, 1)}});
  for (const std::string body : {R"({"prompt": "x"})", R"({"prompt": "x", "stream": true})",
                                 R"({"prompt": "x", "echo": true, "logprobs": 1})"}) {
    const ApiReply reply = post("/v1/completions", body);
    EXPECT_EQ(reply.status, 429) << body;
    EXPECT_EQ(header(reply, "Retry-After"), "1");
    EXPECT_EQ(json::parse(reply.body)["error"]["type"], "rate_limit_error");
  }
  gate.open();
}

TEST_F(AnsweringTest, WhoHasGoneIsNotAnswered) {
  start({}, {.completion_batch_size = 1});
  test::Gate gate(0);
  const auto running = test::block(*scheduler_, gate, {ids("Once"), sampled(1, 2)});
  const ApiReply reply =
      send({.method = "POST", .path = "/v1/completions", .body = R"({"prompt": "x"})", .is_gone = [] {
              return true;
            }});
  EXPECT_EQ(reply.status, kClientGone);
  EXPECT_EQ(scheduler_->stats().n_waiting, 0);
  EXPECT_EQ(json::parse(log().back())["outcome"], "canceled");
  gate.open();
}

TEST_F(AnsweringTest, AStreamThatIsLetGoFreesItsPlace) {
  ApiReply reply = post("/v1/completions", R"({"prompt": "x", "max_tokens": 500, "stream": true})");
  ASSERT_TRUE(reply.stream->next(test::kLong));
  reply.stream.reset();
  EXPECT_EQ(json::parse(log().back())["outcome"], "canceled");
  // Others are served, and in the end nothing is left.
  answer("/v1/completions", {{"prompt", "y"}, {"max_tokens", 1}});
  while (!scheduler_->is_idle()) std::this_thread::yield();
}

TEST_F(AnsweringTest, WhatTakesTooLongIsGivenUp) {
  start({.request_timeout = 1}, {.completion_batch_size = 1});
  test::Gate gate(0);
  const auto running = test::block(*scheduler_, gate, {ids("Once"), sampled(1, 2)});
  ApiReply stream = post("/v1/completions", R"({"prompt": "x", "stream": true})");
  const ApiReply reply = post("/v1/completions", R"({"prompt": "x"})");
  EXPECT_EQ(reply.status, 504);
  EXPECT_EQ(json::parse(reply.body)["error"]["code"], "timeout");
  const std::vector<std::string> told = events(stream);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(json::parse(told.front())["error"]["code"], "timeout");
  gate.open();
}

TEST_F(AnsweringTest, AStreamThatIsCancelledEndsWithAnError) {
  start({}, {.completion_batch_size = 1});
  test::Gate gate(0);
  const auto running = test::block(*scheduler_, gate, {ids("Once"), sampled(1, 2)});
  ApiReply stream = post("/v1/completions", R"({"prompt": "x", "stream": true})");
  api_->cancel_all();
  gate.open();
  const std::vector<std::string> told = events(stream);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(json::parse(told.front())["error"]["type"], "server_error");
}

}  // namespace
}  // namespace lille
