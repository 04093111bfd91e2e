#include "server/answer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace lille {
namespace {

using nlohmann::ordered_json;

// JSON has no number for minus infinity; this is what OpenAI's API says for it.
constexpr float kNever = -9999;

ordered_json chat_token(const TokenLogprob& of, const Tokenizer& tokenizer) {
  ordered_json bytes = ordered_json::array();
  for (const char byte : tokenizer.token_bytes(of.token)) bytes.push_back(static_cast<unsigned char>(byte));
  return {{"token", token_text(of.token, tokenizer)},
          {"logprob", finite_logprob(of.logprob)},
          {"bytes", std::move(bytes)},
          {"token_id", of.token}};
}

ordered_json chat_logprobs(const AnswerPart& part, const Tokenizer& tokenizer) {
  ordered_json content = ordered_json::array();
  for (const ListedToken& listed : part.tokens) {
    // The end of a turn is no part of a message.
    if (tokenizer.is_special(listed.token)) continue;
    ordered_json token = chat_token({listed.token, listed.logprob.value_or(kNever)}, tokenizer);
    token["top_logprobs"] = ordered_json::array();
    for (const TokenLogprob& likely : listed.top_logprobs)
      token["top_logprobs"].push_back(chat_token(likely, tokenizer));
    content.push_back(std::move(token));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

ordered_json completion_logprobs(const AnswerPart& part, const Tokenizer& tokenizer) {
  ordered_json tokens = ordered_json::array();
  ordered_json logprobs = ordered_json::array();
  ordered_json tops = ordered_json::array();
  ordered_json offsets = ordered_json::array();
  ordered_json ids = ordered_json::array();
  ordered_json top_ids = ordered_json::array();
  int64_t n_characters = part.n_characters_before;
  for (const ListedToken& listed : part.tokens) {
    tokens.push_back(token_text(listed.token, tokenizer));
    offsets.push_back(n_characters);
    n_characters += count_characters(tokenizer.token_bytes(listed.token));
    logprobs.push_back(listed.logprob ? ordered_json(finite_logprob(*listed.logprob)) : ordered_json());
    ids.push_back(listed.token);
    ordered_json top;
    ordered_json top_id;
    const auto list = [&](int32_t token, float logprob) {
      const std::string text = token_text(token, tokenizer);
      top[text] = finite_logprob(logprob);
      top_id[text] = token;
    };
    if (listed.logprob) {
      for (const TokenLogprob& likely : listed.top_logprobs) list(likely.token, likely.logprob);
      // The token itself stands among them, as in OpenAI's replies, also where none is asked for.
      list(listed.token, *listed.logprob);
    }
    tops.push_back(std::move(top));
    top_ids.push_back(std::move(top_id));
  }
  return {{"tokens", std::move(tokens)},     {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(tops)}, {"text_offset", std::move(offsets)},
          {"token_ids", std::move(ids)},     {"top_token_ids", std::move(top_ids)}};
}

ordered_json logprobs_json(const AnswerForm& form, const AnswerPart& part, const Tokenizer& tokenizer) {
  if (!form.logprobs) return nullptr;
  return form.is_chat ? chat_logprobs(part, tokenizer) : completion_logprobs(part, tokenizer);
}

ordered_json finish_json(const AnswerPart& part) {
  return part.finish_reason ? ordered_json(finish_reason_name(*part.finish_reason)) : ordered_json();
}

ordered_json head(const AnswerForm& form, bool is_piece) {
  const char* object = !form.is_chat ? "text_completion"
                       : is_piece    ? "chat.completion.chunk"
                                     : "chat.completion";
  return {{"id", form.id}, {"object", object}, {"created", form.created}, {"model", form.model}};
}

ordered_json piece_of(const AnswerForm& form, ordered_json choice) {
  ordered_json piece = head(form, true);
  piece["choices"] = ordered_json::array();
  piece["choices"].push_back(std::move(choice));
  if (form.says_usage) piece["usage"] = nullptr;
  return piece;
}

}  // namespace

std::string token_text(int32_t token, const Tokenizer& tokenizer) {
  const std::string_view bytes = tokenizer.token_bytes(token);
  if (is_valid_utf8(bytes)) return std::string(bytes);
  std::string text = "bytes:";
  for (const char byte : bytes) text += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return text;
}

float finite_logprob(float logprob) { return std::isfinite(logprob) ? logprob : kNever; }

int64_t count_characters(std::string_view bytes) {
  return std::ranges::count_if(bytes,
                               [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; });
}

ordered_json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

ordered_json answer_json(const AnswerForm& form, std::span<const AnswerPart> answers, const Usage& usage,
                         const Tokenizer& tokenizer) {
  ordered_json reply = head(form, false);
  reply["choices"] = ordered_json::array();
  for (const AnswerPart& answer : answers) {
    ordered_json choice = {{"index", answer.index}};
    if (form.is_chat)
      choice["message"] = {{"role", "assistant"}, {"content", answer.text}, {"refusal", nullptr}};
    else
      choice["text"] = answer.text;
    choice["logprobs"] = logprobs_json(form, answer, tokenizer);
    choice["finish_reason"] = finish_json(answer);
    reply["choices"].push_back(std::move(choice));
  }
  reply["usage"] = usage_json(usage);
  return reply;
}

ordered_json role_piece(const AnswerForm& form, int64_t index) {
  return piece_of(form, {{"index", index},
                         {"delta", {{"role", "assistant"}, {"content", ""}}},
                         {"logprobs", nullptr},
                         {"finish_reason", nullptr}});
}

ordered_json answer_piece(const AnswerForm& form, const AnswerPart& part, const Tokenizer& tokenizer) {
  ordered_json choice = {{"index", part.index}};
  const bool is_end = part.finish_reason.has_value();
  if (!form.is_chat)
    choice["text"] = part.text;
  else
    choice["delta"] = is_end ? ordered_json::object() : ordered_json{{"content", part.text}};
  choice["logprobs"] = is_end ? ordered_json() : logprobs_json(form, part, tokenizer);
  choice["finish_reason"] = finish_json(part);
  return piece_of(form, std::move(choice));
}

ordered_json usage_piece(const AnswerForm& form, const Usage& usage) {
  ordered_json piece = head(form, true);
  piece["choices"] = ordered_json::array();
  piece["usage"] = usage_json(usage);
  return piece;
}

std::string json_line(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace lille
