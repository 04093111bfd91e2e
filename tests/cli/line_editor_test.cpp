#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <termios.h>

#include "cli/program.h"

namespace lille::test {
namespace {

// The program at a terminal of its own.
class Terminal {
 public:
  explicit Terminal(const std::filesystem::path& home, const std::vector<std::string>& more,
                    const std::string& term = "xterm")
      : prompt_(term == "dumb" ? "> " : "\x1b[1;36m>\x1b[0m ") {
    std::vector<std::string> words = {LILLE_PROGRAM, "chat"};
    words.insert(words.end(), more.begin(), more.end());
    RunOptions options;
    // libedit never frees the copies of the names that EL_ADDFN gives it: four texts a process.
    options.environment = {"ASAN_OPTIONS=detect_leaks=0",
                           "HOME=" + home.string(),
                           "TERM=" + term,
                           "NO_COLOR",
                           "LC_ALL",
                           "LANG=C"};
    std::vector<std::string> variables = detail::environment_for(options);
    const std::vector<char*> arguments = detail::pointers(words);
    const std::vector<char*> environment = detail::pointers(variables);
    winsize size = {30, 100, 0, 0};
    pid_ = forkpty(&end_, nullptr, nullptr, &size);
    if (pid_ == 0) {
      execve(arguments.front(), arguments.data(), environment.data());
      _exit(127);
    }
  }
  ~Terminal() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(end_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(std::string_view keys) {
    ASSERT_EQ(write(end_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }

  // Reads until `text` was shown, after what the last call waited for; the test fails if it never is.
  void wait_for(std::string_view text) {
    const auto start = std::chrono::steady_clock::now();
    std::size_t found = shown_.find(text, n_seen_);
    while (found == std::string::npos && detail::seconds_since(start) < 120 && take())
      found = shown_.find(text, n_seen_);
    // A test that waits in vain must not go on waiting.
    if (found == std::string::npos)
      throw std::runtime_error(fmt::format("never shown: {}, but: {}", text, printable_rest()));
    n_seen_ = found + text.size();
  }

  // Until keys are keys: libedit shows the prompt before it takes the terminal over.
  void wait_for_prompt() {
    wait_for(prompt_);
    termios settings = {};
    settings.c_lflag = ICANON;
    while ((settings.c_lflag & ICANON) != 0)
      if (tcgetattr(end_, &settings) != 0) throw std::runtime_error("the program has left the terminal");
  }

  int exit_code() {
    while (take()) continue;
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  const std::string& shown() const { return shown_; }

 private:
  bool take() {
    pollfd ready = {end_, POLLIN, 0};
    if (poll(&ready, 1, 1000) == 0) return true;
    std::array<char, 4096> chunk;
    const ssize_t n_read = read(end_, chunk.data(), chunk.size());
    if (n_read <= 0) return false;
    shown_.append(chunk.data(), static_cast<std::size_t>(n_read));
    return true;
  }

  std::string printable_rest() const {
    return nlohmann::json(shown_.substr(n_seen_))
        .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  }

  std::string prompt_;
  int end_ = -1;
  pid_t pid_ = -1;
  std::string shown_;
  std::size_t n_seen_ = 0;
};

const std::vector<std::string> kShortAnswer = {"--max-tokens", "2", "--temperature", "0"};

class ChatTerminal : public testing::Test {
 protected:
  TemporaryFolder home_;
  std::string file_ = (home_.path() / "chat.json").string();
  std::filesystem::path history_ = home_.path() / ".local/state/lille/chat_history";

  // The user's messages, saved and read.
  std::vector<std::string> questions(Terminal& terminal) {
    terminal.type("/save " + file_ + "\r");
    terminal.wait_for("saved ");
    terminal.wait_for_prompt();
    std::vector<std::string> said;
    const auto saved = nlohmann::json::parse(read_file(file_));
    for (const auto& message : saved["messages"])
      if (message["role"] == "user") said.push_back(message["content"]);
    return said;
  }

  static void leave(Terminal& terminal) {
    terminal.type("\x04");
    EXPECT_EQ(terminal.exit_code(), 0);
  }

  using Said = std::vector<std::string>;
};

TEST_F(ChatTerminal, EditsCharactersOfSeveralBytes) {
  Terminal terminal(home_.path(), kShortAnswer);
  terminal.wait_for_prompt();
  // Backspace over one of two bytes and one of four; to the beginning of the line and back to its end.
  terminal.type(
      "Gr\xC3\xBC\xC3\x9F\xC3\xA4\x7F"
      "e \xF0\x9F\x8E\x89\x7F"
      "K\xC3\xB6ln\x01>\x05!\r");
  terminal.wait_for("max-tokens");
  terminal.wait_for_prompt();
  EXPECT_EQ(questions(terminal), (Said{">Gr\xC3\xBC\xC3\x9F"
                                       "e K\xC3\xB6ln!"}));
  leave(terminal);
}

TEST_F(ChatTerminal, InterruptStopsTheAnswerOnly) {
  Terminal terminal(home_.path(), kLongAnswer);
  terminal.wait_for_prompt();
  terminal.type("Tell me a story\r");
  terminal.wait_for("--------");
  terminal.type("\x03");
  terminal.wait_for("stopped");
  terminal.wait_for_prompt();
  EXPECT_EQ(questions(terminal), (Said{"Tell me a story"}));
  leave(terminal);
}

TEST_F(ChatTerminal, InterruptAtThePromptClearsTheLineAndThenSaysHowToLeave) {
  Terminal terminal(home_.path(), kShortAnswer);
  terminal.wait_for_prompt();
  terminal.type("half a line\x03");
  terminal.wait_for("^C");
  terminal.wait_for_prompt();
  terminal.type("\x03");
  terminal.wait_for("/exit or Ctrl-D leaves");
  terminal.wait_for_prompt();
  EXPECT_EQ(questions(terminal), (Said{}));
  leave(terminal);
}

TEST_F(ChatTerminal, PastedLinesAreOneMessage) {
  Terminal terminal(home_.path(), kShortAnswer);
  terminal.wait_for("\x1b[?2004h");
  terminal.wait_for_prompt();
  terminal.type("see: \x1b[200~one\rtw\xC3\xB6\rthree\r\x1b[201~!\r");
  terminal.wait_for("max-tokens");
  terminal.wait_for_prompt();
  EXPECT_EQ(questions(terminal), (Said{"see: one\ntw\xC3\xB6\nthree!"}));
  leave(terminal);
}

TEST_F(ChatTerminal, HistoryIsKeptForTheUserAlone) {
  {
    Terminal terminal(home_.path(), kShortAnswer);
    terminal.wait_for_prompt();
    terminal.type("Hi K\xC3\xB6ln\r");
    terminal.wait_for("max-tokens");
    terminal.wait_for_prompt();
    leave(terminal);
  }
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(history_).permissions(), perms::owner_read | perms::owner_write);
  EXPECT_EQ(std::filesystem::status(history_.parent_path()).permissions(), perms::owner_all);
  Terminal terminal(home_.path(), kShortAnswer);
  terminal.wait_for_prompt();
  terminal.type("\x1b[A?\r");
  terminal.wait_for("max-tokens");
  terminal.wait_for_prompt();
  EXPECT_EQ(questions(terminal), (Said{"Hi K\xC3\xB6ln?"}));
  leave(terminal);
}

// What another chat is just writing is in nobody's way.
TEST_F(ChatTerminal, HistoriesOfTwoChatsShareNoTemporary) {
  std::filesystem::create_directories(history_.string() + ".new");
  Terminal terminal(home_.path(), kShortAnswer);
  terminal.wait_for_prompt();
  terminal.type("Hi\r");
  terminal.wait_for("max-tokens");
  terminal.wait_for_prompt();
  leave(terminal);
  EXPECT_EQ(terminal.shown().find("could not be kept"), std::string::npos);
  EXPECT_NE(read_file(history_).find("Hi"), std::string::npos);
  const std::filesystem::directory_iterator files(history_.parent_path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 2) << "the temporary has become the history";
}

TEST_F(ChatTerminal, WithoutHistoryAndColoursOnADumbTerminal) {
  Terminal terminal(home_.path(), {"--max-tokens", "2", "--temperature", "0", "--no-history"}, "dumb");
  terminal.wait_for_prompt();
  terminal.type("Hi\r");
  terminal.wait_for("max-tokens");
  terminal.wait_for_prompt();
  EXPECT_EQ(questions(terminal), (Said{"Hi"}));
  leave(terminal);
  EXPECT_FALSE(std::filesystem::exists(history_));
  EXPECT_EQ(terminal.shown().find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace lille::test
