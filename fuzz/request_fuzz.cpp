#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "harness.h"
#include "lille/tokenizer.h"
#include "server/answer_json.h"
#include "server/generation_request.h"

// An input is a letter, c (a chat), p (a completion) or s (a completion of a strict server), and the body of
// a request.

namespace {

const lille::ServedModel& served() {
  static const lille::ServedModel model = [] {
    const std::filesystem::path folder = std::filesystem::path(LILLE_SOURCE_DIR) / "models/lille-tiny-8bit";
    return lille::ServedModel{"tiny", lille::Tokenizer::load(folder),
                              lille::ModelArgs::load(folder / "config.json"),
                              lille::load_generation_defaults(folder)};
  }();
  return model;
}

// What is asked of the model is within every bound, whatever was sent.
void check_request(const lille::GenerationRequest& request, const lille::ServedModel& model) {
  lille::fuzz::require(!request.prompts.empty() && request.n >= 1 && request.n <= request.best_of);
  lille::fuzz::require(static_cast<int64_t>(request.prompts.size()) * request.best_of <= lille::kMaxAnswers);
  lille::fuzz::require(request.options.top_logprobs <= lille::kMaxTopLogprobs);
  for (const lille::RequestPrompt& prompt : request.prompts) {
    lille::fuzz::require(!prompt.tokens.empty() && prompt.n_hidden <= prompt.tokens.size() &&
                         static_cast<int64_t>(prompt.tokens.size()) <= model.args.block_size);
    for (const int32_t id : prompt.tokens) lille::fuzz::require(id >= 0 && id < model.args.vocab_size);
  }
  lille::ApiReply reply;
  lille::tell_ignored(reply, request.ignored);
  for (const auto& [name, value] : reply.headers)
    lille::fuzz::require(value.find('\r') == value.npos && value.find('\n') == value.npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  if (n_bytes == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, n_bytes - 1);
  lille::ServedModel model = served();
  model.is_strict = data[0] == 's';
  try {
    const nlohmann::json object = lille::parse_answer_body(body);
    check_request(data[0] == 'c' ? lille::read_chat_request(object, model)
                                 : lille::read_completion_request(object, model),
                  model);
  } catch (const lille::Error& error) {
    lille::fuzz::check_message(error);
    const int status = lille::status_of(error);
    lille::fuzz::require(status == 400 || status == 404);
    lille::fuzz::require(nlohmann::json::accept(lille::error_body(error)));
  }
  return 0;
}
