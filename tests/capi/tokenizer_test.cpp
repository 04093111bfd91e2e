#include "lille/tokenizer.h"

#include <cstring>
#include <type_traits>

#include "capi/capi.h"

namespace lille::test {
namespace {

constexpr int32_t kUnread = -7;

// What a call that gives tokens gave.
template <typename Call>
std::vector<int32_t> tokens_of(Call&& call) {
  int32_t* tokens = nullptr;
  int64_t n_tokens = kUnread;
  expect_ok([&](lille_error* error) { return call(&tokens, &n_tokens, error); });
  return taken(tokens, n_tokens);
}

std::vector<int32_t> tokenized(const lille_tokenizer* tokenizer, std::string_view text) {
  return tokens_of([&](int32_t** tokens, int64_t* n_tokens, lille_error* error) {
    return lille_tokenize(tokenizer, text.data(), static_cast<int64_t>(text.size()), tokens, n_tokens, error);
  });
}

// Expects that a call refuses to give tokens, and gives none.
template <typename Call>
void expect_no_tokens(std::string_view part, Call&& call) {
  int32_t* tokens = nullptr;
  int64_t n_tokens = 0;
  expect_status(LILLE_INVALID_ARGUMENT, part, [&](lille_error* error) {
    tokens = reinterpret_cast<int32_t*>(1);
    n_tokens = kUnread;
    const lille_status status = call(&tokens, &n_tokens, error);
    EXPECT_EQ(tokens, nullptr);
    EXPECT_EQ(n_tokens, 0);
    return status;
  });
}

class CapiTokenizer : public TinyCapi {
 protected:
  Tokenizer twin_ = Tokenizer::load(path_);
  Handle<lille_tokenizer> tokenizer_ = tokenizer_of(model_.get());
};

TEST_F(CapiTokenizer, GivesTheTokenizersIdsAndBytes) {
  using namespace std::string_view_literals;
  for (const std::string_view text :
       {"A cat sat on the mat."sv, ""sv, "a\0b"sv, "\xff\xfe"sv, "<|user|>"sv, "\u00e4\u00f6 \U0001F409"sv}) {
    const std::vector<int32_t> tokens = tokenized(tokenizer_.get(), text);
    EXPECT_EQ(tokens, twin_.encode(text));
    char* bytes = nullptr;
    int64_t n_bytes = kUnread;
    expect_ok([&](lille_error* error) {
      return lille_detokenize(tokenizer_.get(), tokens.data() == nullptr ? &kUnread : tokens.data(),
                              static_cast<int64_t>(tokens.size()), &bytes, &n_bytes, error);
    });
    ASSERT_NE(bytes, nullptr);
    EXPECT_EQ(std::string_view(bytes, static_cast<std::size_t>(n_bytes)), text);
    EXPECT_EQ(bytes[n_bytes], '\0');
    lille_free(bytes);
  }
  EXPECT_EQ(lille_tokenizer_vocab_size(tokenizer_.get()), 32768);
  EXPECT_EQ(lille_tokenizer_special_token(tokenizer_.get(), "<|startoftext|>"), twin_.bos_token_id());
  EXPECT_EQ(lille_tokenizer_special_token(tokenizer_.get(), "<|endoftext|>"), twin_.eos_token_id());
}

TEST_F(CapiTokenizer, LoadsAloneAndOutlivesTheModel) {
  lille_tokenizer* alone = nullptr;
  expect_ok([&](lille_error* error) { return lille_tokenizer_load(path_.c_str(), &alone, error); });
  const Handle<lille_tokenizer> owner(alone);
  model_.reset();
  EXPECT_EQ(tokenized(alone, "A cat"), tokenized(tokenizer_.get(), "A cat"));
}

TEST_F(CapiTokenizer, PromptsBeginAsOptionsAndModelSay) {
  const auto encoded = [&](const lille_options* options, std::string_view text) {
    return tokens_of([&](int32_t** tokens, int64_t* n_tokens, lille_error* error) {
      return lille_encode_prompt(model_.get(), options, text.data(), static_cast<int64_t>(text.size()),
                                 tokens, n_tokens, error);
    });
  };
  std::vector<int32_t> wanted = twin_.encode("A cat");
  const auto plain = options_with({{"bos", "false"}});
  EXPECT_EQ(encoded(plain.get(), "A cat"), wanted);
  wanted.insert(wanted.begin(), twin_.bos_token_id());
  EXPECT_EQ(encoded(nullptr, "A cat"), wanted);
  EXPECT_EQ(encoded(nullptr, ""), std::vector<int32_t>{twin_.bos_token_id()});
  expect_no_tokens("bos", [&](int32_t** tokens, int64_t* n_tokens, lille_error* error) {
    return lille_encode_prompt(model_.get(), plain.get(), "", 0, tokens, n_tokens, error);
  });
  for (const int64_t n : {int64_t{-1}, kLowest, kHuge})
    expect_no_tokens("text", [&](int32_t** tokens, int64_t* n_tokens, lille_error* error) {
      return lille_encode_prompt(model_.get(), nullptr, "x", n, tokens, n_tokens, error);
    });
  expect_no_tokens("model", [&](int32_t** tokens, int64_t* n_tokens, lille_error* error) {
    return lille_encode_prompt(nullptr, nullptr, "x", 1, tokens, n_tokens, error);
  });
  expect_no_tokens("text", [&](int32_t** tokens, int64_t* n_tokens, lille_error* error) {
    return lille_encode_prompt(model_.get(), nullptr, nullptr, 1, tokens, n_tokens, error);
  });
}

// Whichever of two results has no place, the other one is nothing.
TEST_F(CapiTokenizer, ResultsAreNothingWhateverIsMissing) {
  const lille_chat_message message = {"user", "Hi"};
  const int32_t token = 5;
  const auto expect_nothing = [](auto* result, auto&& call) {
    using Result = std::remove_pointer_t<decltype(result)>;
    expect_status(LILLE_INVALID_ARGUMENT, "NULL", [&](lille_error* error) {
      std::memset(result, 0x55, sizeof *result);
      const lille_status status = call(error);
      EXPECT_EQ(*result, Result{});
      return status;
    });
  };
  int32_t* tokens = nullptr;
  int64_t n = 0;
  for (const bool has_tokens : {true, false}) {
    int32_t** to = has_tokens ? &tokens : nullptr;
    int64_t* n_to = has_tokens ? nullptr : &n;
    const auto expect_none = [&](auto&& call) {
      if (has_tokens)
        expect_nothing(to, call);
      else
        expect_nothing(n_to, call);
    };
    expect_none(
        [&](lille_error* error) { return lille_tokenize(tokenizer_.get(), "x", 1, to, n_to, error); });
    expect_none([&](lille_error* error) {
      return lille_encode_prompt(model_.get(), nullptr, "x", 1, to, n_to, error);
    });
    expect_none([&](lille_error* error) {
      return lille_apply_chat_template(tokenizer_.get(), &message, 1, to, n_to, error);
    });
  }
  expect_nothing(&n, [&](lille_error* error) {
    return lille_detokenize(tokenizer_.get(), &token, 1, nullptr, &n, error);
  });
}

TEST_F(CapiTokenizer, ChatsHaveTheFormOfTheModel) {
  const std::vector<lille_chat_message> messages = {
      {"user", "Hi"}, {"assistant", "Hello <|user|>"}, {"user", "Bye"}};
  const auto chat = [&](int32_t** tokens, int64_t* n_tokens, lille_error* error) {
    return lille_apply_chat_template(tokenizer_.get(), messages.data(), 3, tokens, n_tokens, error);
  };
  const std::vector<ChatMessage> twins = {{"user", "Hi"}, {"assistant", "Hello <|user|>"}, {"user", "Bye"}};
  EXPECT_EQ(tokens_of(chat), twin_.apply_chat_template(twins));

  const auto refused = [&](std::string_view part, const lille_chat_message* some, int64_t n_messages) {
    expect_no_tokens(part, [&](int32_t** tokens, int64_t* n_tokens, lille_error* error) {
      return lille_apply_chat_template(tokenizer_.get(), some, n_messages, tokens, n_tokens, error);
    });
  };
  for (const lille_chat_message& wrong : {lille_chat_message{"system", "x"}, lille_chat_message{nullptr, "x"},
                                          lille_chat_message{"user", nullptr}})
    refused("", &wrong, 1);
  refused("messages", nullptr, 1);
  for (const int64_t n : {int64_t{-1}, kLowest, kHuge}) refused("messages", messages.data(), n);
  expect_no_tokens("tokenizer", [&](int32_t** tokens, int64_t* n_tokens, lille_error* error) {
    return lille_apply_chat_template(nullptr, messages.data(), 3, tokens, n_tokens, error);
  });
}

TEST_F(CapiTokenizer, AChatTemplateOfAnotherFormIsRefusedAndTheRestWorks) {
  const TemporaryFolder folder;
  for (const char* name : {"vocab.json", "merges.txt"})
    std::filesystem::copy(path_ / name, folder.path() / name);
  folder.write("chat_template.jinja", "{{ messages[0].content }}");
  lille_tokenizer* loaded = nullptr;
  expect_ok([&](lille_error* error) { return lille_tokenizer_load(folder.path().c_str(), &loaded, error); });
  const Handle<lille_tokenizer> owner(loaded);
  EXPECT_EQ(tokenized(loaded, "A cat"), twin_.encode("A cat"));
  const lille_chat_message message = {"user", "Hi"};
  int32_t* tokens = nullptr;
  int64_t n_tokens = 0;
  expect_status(LILLE_UNSUPPORTED, "chat_template.jinja", [&](lille_error* error) {
    return lille_apply_chat_template(loaded, &message, 1, &tokens, &n_tokens, error);
  });
}

TEST_F(CapiTokenizer, RefusesWhatIsNoTokenizerTextOrToken) {
  lille_tokenizer* none = nullptr;
  expect_status(LILLE_NOT_FOUND, "no-such-folder",
                [&](lille_error* error) { return lille_tokenizer_load("no-such-folder", &none, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "path",
                [&](lille_error* error) { return lille_tokenizer_load(nullptr, &none, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "tokenizer",
                [&](lille_error* error) { return lille_tokenizer_load("x", nullptr, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "model",
                [&](lille_error* error) { return lille_tokenizer_of_model(nullptr, &none, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "tokenizer",
                [&](lille_error* error) { return lille_tokenizer_of_model(model_.get(), nullptr, error); });
  for (const int64_t n : {int64_t{-1}, kLowest, kHuge})
    expect_no_tokens("text", [&](int32_t** tokens, int64_t* n_tokens, lille_error* error) {
      return lille_tokenize(tokenizer_.get(), "x", n, tokens, n_tokens, error);
    });
  expect_no_tokens("text", [&](int32_t** tokens, int64_t* n_tokens, lille_error* error) {
    return lille_tokenize(tokenizer_.get(), nullptr, 1, tokens, n_tokens, error);
  });
  expect_no_tokens("tokenizer", [&](int32_t** tokens, int64_t* n_tokens, lille_error* error) {
    return lille_tokenize(nullptr, "x", 1, tokens, n_tokens, error);
  });
  int64_t n_tokens = 0;
  int32_t* tokens = nullptr;
  expect_status(LILLE_INVALID_ARGUMENT, "tokens", [&](lille_error* error) {
    return lille_tokenize(tokenizer_.get(), "x", 1, nullptr, &n_tokens, error);
  });
  expect_status(LILLE_INVALID_ARGUMENT, "n_tokens", [&](lille_error* error) {
    return lille_tokenize(tokenizer_.get(), "x", 1, &tokens, nullptr, error);
  });
  for (const char* name : {"", "<|system|>", "cat"})
    EXPECT_EQ(lille_tokenizer_special_token(tokenizer_.get(), name), -1);
  EXPECT_EQ(lille_tokenizer_special_token(tokenizer_.get(), nullptr), -1);
  EXPECT_EQ(lille_tokenizer_special_token(nullptr, "<|pad|>"), -1);
  EXPECT_EQ(lille_tokenizer_vocab_size(nullptr), -1);
  lille_tokenizer_free(nullptr);
}

TEST_F(CapiTokenizer, RefusesToDecodeWhatIsNoToken) {
  char* text = nullptr;
  int64_t n_bytes = 0;
  const auto decode = [&](const int32_t* tokens, int64_t n_tokens) {
    return [&, tokens, n_tokens](lille_error* error) {
      text = reinterpret_cast<char*>(1);
      n_bytes = kUnread;
      const lille_status status =
          lille_detokenize(tokenizer_.get(), tokens, n_tokens, &text, &n_bytes, error);
      EXPECT_EQ(text, nullptr);
      EXPECT_EQ(n_bytes, 0);
      return status;
    };
  };
  const int32_t fine = 1;
  for (const int32_t id : {-1, 32768, INT32_MAX, INT32_MIN})
    expect_status(LILLE_INVALID_ARGUMENT, std::to_string(id), decode(&id, 1));
  for (const int64_t n : {int64_t{-1}, kLowest, kHuge})
    expect_status(LILLE_INVALID_ARGUMENT, "tokens", decode(&fine, n));
  expect_status(LILLE_INVALID_ARGUMENT, "tokens", decode(nullptr, 1));
  expect_status(LILLE_INVALID_ARGUMENT, "text", [&](lille_error* error) {
    return lille_detokenize(tokenizer_.get(), &fine, 1, nullptr, &n_bytes, error);
  });
  expect_status(LILLE_INVALID_ARGUMENT, "tokenizer", [&](lille_error* error) {
    return lille_detokenize(nullptr, &fine, 1, &text, &n_bytes, error);
  });
  EXPECT_EQ(lille_detokenize(tokenizer_.get(), &fine, 1, &text, nullptr, nullptr), LILLE_OK);
  lille_free(text);
}

}  // namespace
}  // namespace lille::test
