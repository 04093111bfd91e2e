#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support.h"

namespace lille::test {

/// What a run of the program left behind.
struct Finished {
  int exit_code = -1;  ///< -1 if a signal ended it.
  int signal = 0;      ///< 0 if it ended by itself.
  std::string out;     ///< stdout, where it was a pipe.
  std::string err;     ///< stderr.
};

/// How the program is run.
struct RunOptions {
  std::string stdin_text;                ///< Given to it as a pipe.
  std::vector<std::string> environment;  ///< "NAME=VALUE", or "NAME" to take it away.
  double limit_s = 280;                  ///< Then it is killed and the test fails.
  std::string stdout_file;               ///< Opened for writing as its stdout instead of a pipe; "-": closed.
  bool has_small_pipe = false;  ///< Its stdout is a pipe that holds a page: kLongAnswer has to wait for us.
  std::size_t stop_reading_after = SIZE_MAX;  ///< Close our end of its stdout after so many bytes.
  std::function<void(pid_t)> on_first_out;    ///< Called once when the first bytes of stdout came.
  std::vector<std::string> wrapper;           ///< Command and arguments that run before the program's path.
};

namespace detail {

struct Pipe {
  int read_end = -1;
  int write_end = -1;

  Pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe for the test");
    read_end = ends[0];
    write_end = ends[1];
  }
  ~Pipe() {
    close_end(read_end);
    close_end(write_end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  static void close_end(int& end) {
    if (end >= 0) close(end);
    end = -1;
  }
};

inline std::string name_of(const std::string& variable) { return variable.substr(0, variable.find('=')); }

// This process's environment with the changes that `options` asks for; nothing of the user's may matter.
inline std::vector<std::string> environment_for(const RunOptions& options) {
  std::vector<std::string> changes = {"LILLE_FORCE_ISA",
                                      "XDG_CACHE_HOME",
                                      "XDG_STATE_HOME",
                                      "HOME=/nonexistent",
                                      "HF_HOME",
                                      "HF_HUB_CACHE",
                                      "HUGGINGFACE_HUB_CACHE",
                                      "HF_TOKEN",
                                      "HUGGING_FACE_HUB_TOKEN",
                                      "HF_TOKEN_PATH",
                                      "HF_HUB_OFFLINE",
                                      "CURL_CA_BUNDLE",
                                      "SSL_CERT_FILE",
                                      "http_proxy",
                                      "https_proxy",
                                      "all_proxy",
                                      "HTTPS_PROXY",
                                      "ALL_PROXY",
                                      "HF_ENDPOINT=http://127.0.0.1:1"};
  changes.insert(changes.end(), options.environment.begin(), options.environment.end());
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  for (const std::string& change : changes) {
    std::erase_if(variables,
                  [&](const std::string& variable) { return name_of(variable) == name_of(change); });
    if (change.find('=') != std::string::npos) variables.push_back(change);
  }
  return variables;
}

inline std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> addresses;
  for (std::string& text : texts) addresses.push_back(text.data());
  addresses.push_back(nullptr);
  return addresses;
}

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// A started program and the pipes to it.
class Running {
 public:
  Running(const std::vector<std::string>& arguments, const RunOptions& options) : options_(options) {
    std::vector<std::string> words = options.wrapper;
    words.emplace_back(LILLE_PROGRAM);
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<std::string> variables = environment_for(options);
    if (options.has_small_pipe && fcntl(out_.write_end, F_SETPIPE_SZ, 1) > kSmallPipeBytes)
      throw std::runtime_error("the system has no pipe as small as the test needs it");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in_.read_end, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err_.write_end, STDERR_FILENO);
    if (options.stdout_file.empty()) {
      posix_spawn_file_actions_adddup2(&actions, out_.write_end, STDOUT_FILENO);
    } else if (options.stdout_file == "-") {
      posix_spawn_file_actions_addclose(&actions, STDOUT_FILENO);
    } else {
      posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, options.stdout_file.c_str(), O_WRONLY, 0);
    }
    const int failure = posix_spawnp(&pid_, words.front().c_str(), &actions, nullptr, pointers(words).data(),
                                     pointers(variables).data());
    posix_spawn_file_actions_destroy(&actions);
    if (failure != 0) throw std::runtime_error("cannot start " + words.front());
    Pipe::close_end(in_.read_end);
    Pipe::close_end(out_.write_end);
    Pipe::close_end(err_.write_end);
    fcntl(in_.write_end, F_SETFL, O_NONBLOCK);
  }

  Finished wait() {
    while (out_.read_end >= 0 || err_.read_end >= 0 || in_.write_end >= 0) {
      if (seconds_since(start_) > options_.limit_s) {
        ADD_FAILURE() << "still running after " << options_.limit_s << " s";
        kill(pid_, SIGKILL);
        break;
      }
      turn();
    }
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status)) finished_.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) finished_.signal = WTERMSIG(status);
    return finished_;
  }

 private:
  // Moves what can be moved, waiting a little if nothing can.
  void turn() {
    if (n_given_ == options_.stdin_text.size()) Pipe::close_end(in_.write_end);
    std::array<pollfd, 3> ends = {pollfd{out_.read_end, POLLIN, 0}, pollfd{err_.read_end, POLLIN, 0},
                                  pollfd{in_.write_end, POLLOUT, 0}};
    poll(ends.data(), ends.size(), 50);
    if (ends[0].revents != 0) take(out_.read_end, finished_.out);
    if (ends[1].revents != 0) take(err_.read_end, finished_.err);
    if (ends[2].revents != 0) give();
    if (options_.on_first_out && !finished_.out.empty()) std::exchange(options_.on_first_out, nullptr)(pid_);
    if (finished_.out.size() >= options_.stop_reading_after) Pipe::close_end(out_.read_end);
  }

  void take(int& end, std::string& text) const {
    std::array<char, 65536> chunk;
    const std::size_t n_wanted = std::min(chunk.size(), options_.stop_reading_after);
    const ssize_t n_read = read(end, chunk.data(), n_wanted);
    if (n_read > 0)
      text.append(chunk.data(), static_cast<std::size_t>(n_read));
    else
      Pipe::close_end(end);
  }

  // A program that does not read all of its stdin must not end the test by SIGPIPE.
  void give() {
    const auto before = std::signal(SIGPIPE, SIG_IGN);
    const ssize_t n_written =
        write(in_.write_end, options_.stdin_text.data() + n_given_, options_.stdin_text.size() - n_given_);
    std::signal(SIGPIPE, before);
    if (n_written > 0)
      n_given_ += static_cast<std::size_t>(n_written);
    else if (errno != EAGAIN)
      Pipe::close_end(in_.write_end);
  }

  static constexpr int kSmallPipeBytes = 4096;

  RunOptions options_;
  Pipe in_;
  Pipe out_;
  Pipe err_;
  pid_t pid_ = 0;
  std::size_t n_given_ = 0;
  Finished finished_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace detail

/// Runs the program to its end.
inline Finished run_lille(const std::vector<std::string>& arguments, const RunOptions& options = {}) {
  return detail::Running(arguments, options).wait();
}

/// Expects success with nothing on stderr and returns stdout.
inline std::string output_of(const std::vector<std::string>& arguments, const RunOptions& options = {}) {
  const Finished finished = run_lille(arguments, options);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(finished.signal, 0);
  EXPECT_EQ(finished.err, "");
  return finished.out;
}

/// Makes generate's answer 25 KB long, each token 64 dashes. Neither a small pipe nor a terminal holds it, so
/// that a program whose reader has stopped, for however long, has not come to its end.
inline const std::vector<std::string> kLongAnswer = {"--temperature", "0",  "--logit-bias", "10097:1000",
                                                     "--max-tokens",  "400"};

/// Every command, in the order of the help.
inline const std::vector<std::string> kCommands = {
    "generate",   "chat",   "batch",      "serve",      "bench",   "info",     "tokenize",
    "detokenize", "logits", "perplexity", "eval",       "convert", "quantize", "diff",
    "verify",     "pull",   "models",     "completion", "man"};

/// Expects that the program refuses: this exit code, nothing on stdout, one line on stderr that contains
/// `part`.
inline void expect_failure(int exit_code, std::string_view part, const std::vector<std::string>& arguments,
                           const RunOptions& options = {}) {
  const Finished finished = run_lille(arguments, options);
  EXPECT_EQ(finished.exit_code, exit_code) << finished.err;
  EXPECT_EQ(finished.signal, 0);
  EXPECT_EQ(finished.out, "");
  EXPECT_TRUE(finished.err.starts_with("lille: error: ")) << finished.err;
  EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
  EXPECT_NE(finished.err.find(part), std::string::npos) << "expected \"" << part << "\" in: " << finished.err;
}

inline constexpr int kFailed = 1;
inline constexpr int kWrongUsage = 2;

/// The model that comes with the program.
inline std::filesystem::path tiny_model() { return source_path("models/lille-tiny-8bit"); }
/// A small model of 512 tokens without a tokenizer.
inline std::filesystem::path toy_model() { return source_path("tests/golden/mlx/toy"); }

/// Copies the files of one folder into another, which is made.
inline std::filesystem::path copy_model(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::create_directories(to);
  for (const auto& entry : std::filesystem::directory_iterator(from))
    std::filesystem::copy_file(entry.path(), to / entry.path().filename());
  return to;
}

/// Writes a NaN over the first element of an F32 tensor of a safetensors file.
inline void put_nan(const std::filesystem::path& file, const std::string& tensor) {
  std::string bytes = read_file(file);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  const auto header = nlohmann::json::parse(bytes.substr(sizeof(header_bytes), header_bytes));
  const auto offset = header.at(tensor).at("data_offsets").at(0).get<std::size_t>();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  bytes.replace(sizeof(header_bytes) + header_bytes + offset, sizeof(nan),
                reinterpret_cast<const char*>(&nan), sizeof(nan));
  std::ofstream(file, std::ios::binary) << bytes;
}

}  // namespace lille::test
