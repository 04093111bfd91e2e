#include "lille/chat.h"

#include <fmt/format.h>

#include <memory>
#include <random>

#include "base/interrupt.h"
#include "base/line_reader.h"
#include "base/terminal.h"
#include "cli/chat_input.h"
#include "cli/cli.h"
#include "cli/draft.h"

namespace lille::cli {
namespace {

constexpr std::string_view kHelp =
    "  /help        this list\n"
    "  /reset       forget the conversation\n"
    "  /retry       answer the last question again\n"
    "  /undo        take back the last question and its answer\n"
    "  /save FILE   write the conversation to a file\n"
    "  /load FILE   go on with a saved conversation\n"
    "  /exit        leave; Ctrl-D does too\n"
    "Ctrl-C stops an answer. A line that ends in \\ goes on in the next one; a text of several lines may "
    "stand\n"
    "between \"\"\" and \"\"\". A message that begins with a slash is written with two: //tmp\n";

struct ChatArguments {
  ModelOptions model;
  ComputeOptions compute;
  GenerationOptions generation;
  DraftOptions draft;
  bool no_history = false;
  bool verbose = false;
};

// What the chat says besides answers; dim where colours are welcome.
class Notes {
 public:
  explicit Notes(bool has_colour) : has_colour_(has_colour) {}
  void say(std::string_view text) const {
    note(has_colour_ ? fmt::format("\x1b[2m{}\x1b[0m", text) : std::string(text));
  }
  void fail(std::string_view text) const {
    note(has_colour_ ? fmt::format("\x1b[1;31merror:\x1b[0m {}", text) : fmt::format("error: {}", text));
  }

 private:
  bool has_colour_;
};

// How a chat is held.
struct Manner {
  Interrupts* interrupts = nullptr;  // at a terminal: Ctrl-C stops answers
  bool is_verbose = false;
  bool has_colour = false;
};

class Chat {
 public:
  Chat(ChatSession chat, StreamOptions options, const Manner& manner)
      : chat_(std::move(chat)), options_(std::move(options)), manner_(manner), notes_(manner.has_colour) {}

  // Returns how many messages and commands failed; that does not end the chat.
  int64_t run(const ReadLine& read_line) {
    int64_t n_failed = 0;
    while (true) {
      if (manner_.interrupts != nullptr) manner_.interrupts->forget();
      const ChatInput input = read_chat_input(read_line);
      const bool is_exit = input.kind == ChatInput::Kind::kCommand && input.text == "/exit";
      if (input.kind == ChatInput::Kind::kEnd || is_exit) return n_failed;
      try {
        obey(input);
      } catch (const Error& error) {
        // Nobody can read any more.
        if (is_answering_ && error.code() == ErrorCode::kIo) throw;
        notes_.fail(error.what());
        ++n_failed;
      }
    }
  }

 private:
  void obey(const ChatInput& input) {
    is_answering_ = false;
    if (input.kind == ChatInput::Kind::kCommand) return obey_command(input.text, input.argument);
    if (input.kind == ChatInput::Kind::kInterrupt) {
      if (input.text.empty()) notes_.say("/exit or Ctrl-D leaves the chat");
      return;
    }
    answer([&](StreamOptions options) { return chat_.answer(input.text, std::move(options), show_); });
  }

  void obey_command(const std::string& name, const std::string& argument) {
    if (name == "/help") return print_to_stderr(kHelp);
    if (name == "/retry")
      return answer([&](StreamOptions options) { return chat_.retry(std::move(options), show_); });
    if (name == "/reset") {
      chat_.set_conversation({});
      notes_.say("the conversation is empty");
    } else if (name == "/undo") {
      notes_.say(chat_.undo() ? "the last question and its answer are taken back"
                              : "there is nothing to undo");
    } else if (name == "/save") {
      save_conversation(file_of(name, argument), chat_.conversation());
      notes_.say(fmt::format("saved {}", printable(argument, 200)));
    } else if (name == "/load") {
      chat_.set_conversation(load_conversation(file_of(name, argument)));
      notes_.say(fmt::format("loaded {} messages; the conversation goes on where it was saved",
                             chat_.conversation().messages.size()));
    } else {
      raise(ErrorCode::kInvalidArgument,
            "{}: expected a command, one of those that /help lists. Hint: a message that begins with a slash "
            "is "
            "written with two",
            printable(name));
    }
  }

  static std::filesystem::path file_of(const std::string& command, const std::string& argument) {
    if (argument.empty())
      raise(ErrorCode::kInvalidArgument, "{}: expected the name of a file, as in {} chat.json", command,
            command);
    return argument;
  }

  template <typename Generate>
  void answer(Generate&& generate) {
    is_answering_ = true;
    StreamOptions options = options_;
    // Each answer has random numbers of its own: /retry would repeat the same one.
    options.seed += n_answers_++;
    if (manner_.interrupts != nullptr) options.cancel = manner_.interrupts->token();
    const ChatReply reply = generate(std::move(options));
    print("\n");
    tell(reply);
  }

  void tell(const ChatReply& reply) const {
    if (reply.n_dropped_turns > 0)
      notes_.say(
          fmt::format("the context was full: the model no longer sees the oldest {}",
                      reply.n_dropped_turns == 1 ? "turn" : fmt::format("{} turns", reply.n_dropped_turns)));
    if (!reply.finish_reason)
      notes_.say("stopped");
    else if (*reply.finish_reason == FinishReason::kLength)
      notes_.say(reply.generation_tokens >= options_.max_tokens ? "the answer was cut at --max-tokens"
                                                                : "the answer was cut: the context is full");
    if (manner_.is_verbose)
      notes_.say(
          fmt::format("{} tokens read, {} from the cache, {:.3f} s to the first token; {} generated, {:.1f} "
                      "tokens/s",
                      reply.prompt_tokens - reply.cached_tokens, reply.cached_tokens, reply.prompt_s,
                      reply.generation_tokens, reply.generation_tps));
    if (manner_.is_verbose && options_.drafter != nullptr)
      notes_.say(draft_text(reply.draft, reply.generation_tokens));
  }

  ChatSession chat_;
  StreamOptions options_;
  Manner manner_;
  Notes notes_;
  bool is_answering_ = false;
  uint64_t n_answers_ = 0;
  ChatSession::OnResponse show_ = [](const GenerationResponse& response) { print(response.text); };
};

// What comes on stdin where nobody edits it.
class PlainLines {
 public:
  LineInput next() {
    std::optional<LineReader::Line> line = reader_.next();
    if (!line) return {};
    if (line->is_too_long) refuse_long_message();
    return {LineInput::Kind::kLine, std::move(line->text)};
  }

 private:
  LineReader reader_ = LineReader(kMaxMessageBytes);
};

void run_chat(const ChatArguments& arguments, const Environment& environment) {
  check_ranges(arguments.generation);
  check_ranges(arguments.draft);
  if (arguments.generation.overflow == overflow_name(Overflow::kTruncateLeft))
    raise(ErrorCode::kInvalidArgument,
          "--overflow: expected trim-turns or error, got {}. Hint: a chat is cut between turns only",
          arguments.generation.overflow);
  const Model model = load_model(arguments.model, environment);
  Tokenizer tokenizer = load_tokenizer(model);
  check_chat_template(model.path());
  Session session = make_session(model, arguments.model, arguments.compute, environment);
  StreamOptions options =
      make_stream_options(arguments.generation, load_generation_defaults(model.path()), tokenizer);
  if (!arguments.generation.seed) options.seed = std::random_device()();
  const Draft draft(arguments.draft, session, tokenizer, arguments.compute, environment);
  draft.use_for(options);

  const bool is_typed = stdin_is_terminal() && (stdout_is_terminal() || stderr_is_terminal());
  Manner manner;
  manner.is_verbose = arguments.verbose;
  manner.has_colour = is_typed && environment.wants_colour;
  const ChatSession::Form form = {.bos = arguments.generation.bos.value_or(true)};
  // Before the first prompt, so that no Ctrl-C finds nobody who waits for it.
  std::optional<Interrupts> interrupts;
  if (is_typed) manner.interrupts = &interrupts.emplace();
  Chat chat(ChatSession(session, std::move(tokenizer), form), std::move(options), manner);
  if (!is_typed) {
    PlainLines lines;
    const int64_t n_failed = chat.run([&lines](std::string_view) { return lines.next(); });
    if (n_failed > 0)
      raise(ErrorCode::kCanceled, "chat: {} of the messages and commands failed; each is told above",
            n_failed);
    return;
  }
  const bool keeps_history = !arguments.no_history && !environment.state_folder.empty();
  LineEditor editor(keeps_history ? environment.state_folder / "chat_history" : std::filesystem::path(),
                    manner.has_colour);
  Notes(manner.has_colour)
      .say(fmt::format("a chat with {}; /help lists the commands, Ctrl-D leaves",
                       printable_path(model.path().filename())));
  chat.run([&editor](std::string_view prompt) { return editor.read(prompt); });
}

}  // namespace

void add_chat(CLI::App& program, const Environment& environment) {
  CLI::App* command =
      program.add_subcommand("chat", "Talks with you; reads one message a line where stdin is no terminal.");
  add_example(*command, "lille chat <<< \"What is a cell?\"");
  const auto arguments = std::make_shared<ChatArguments>();
  arguments->generation.overflow = overflow_name(Overflow::kTrimTurns);
  add_options(*command, arguments->model);
  add_options(*command, arguments->compute);
  add_options(*command, arguments->generation);
  add_options(*command, arguments->draft);
  // They are for programs, which call generate --json.
  for (const char* flag : {"--logprobs", "--top-logprobs"}) command->remove_option(command->get_option(flag));
  command->add_flag("--no-history", arguments->no_history, "Forget the lines you type when the chat ends.");
  command->add_flag("--verbose", arguments->verbose, "Tell the speed of each answer on stderr.");
  command->callback([arguments, environment] { run_chat(*arguments, environment); });
}

}  // namespace lille::cli
