#include "cli/batch.h"

#include <fmt/format.h>

#include <chrono>
#include <deque>
#include <memory>

#include "base/process.h"
#include "base/terminal.h"
#include "cli/answer.h"
#include "lille/batch.h"

namespace lille::cli {
namespace {

struct BatchArguments {
  std::string input;
  std::string output;
  bool overwrite = false;
  bool verbose = false;
  ModelOptions model;
  ComputeOptions compute;
  GenerationOptions generation;
  BatchOptions batch;
};

// What answers the lines.
struct BatchModel {
  Session& session;
  const Tokenizer& tokenizer;
  const GenerationDefaults& defaults;
};

/// A line that was read and not written yet.
struct Pending {
  int64_t number;
  std::string input_fingerprint;
  nlohmann::json id;  // null: none
  GenerationOptions options = {};
  uint64_t seed = 0;
  int64_t uid = -1;
  WholeAnswer answer = {};
  std::optional<Error> error = {};

  bool is_done() const { return error || answer.last.finish_reason; }
};

/// Lines in, answers out, in the order of the lines.
class Batch {
 public:
  Batch(const BatchArguments& arguments, const BatchModel& model, BatchInput& input, BatchOutput& output)
      : arguments_(arguments),
        input_(input),
        output_(output),
        tokenizer_(model.tokenizer),
        defaults_(model.defaults),
        generator_(model.session, tokenizer_, arguments.batch) {
    try {
      check_chat_template(model.session.model().path());
    } catch (const Error& error) {
      not_chat_ = error;
    }
  }

  void run(ProgressBar& bar, int64_t n_total) {
    while (true) {
      fill();
      for (BatchGenerator::Response& response : generator_.next()) take(response);
      write_done();
      if (n_total > 0) bar.show(n_written_through_, n_total);
      if (has_read_all_ && pending_.empty()) return output_.sync();
    }
  }

  int64_t n_lines() const { return n_lines_; }
  int64_t n_failed() const { return n_failed_; }
  int64_t n_tokens() const { return n_tokens_; }

 private:
  // Answers that wait for one before them: a slow answer must not make the others wait for long, nor memory
  // grow without end.
  static constexpr int64_t kMostPending = 8;

  void fill() {
    const int64_t size = arguments_.batch.completion_batch_size;
    while (!has_read_all_ && generator_.n_sequences() < size &&
           static_cast<int64_t>(pending_.size()) < kMostPending * size) {
      const std::optional<LineReader::Line> line = input_.next();
      if (line)
        start(*line);
      else
        has_read_all_ = true;
    }
  }

  void start(const LineReader::Line& line) {
    Pending& pending = pending_.emplace_back(Pending{line.number, input_.fingerprint(), {}});
    try {
      const nlohmann::json object = parse_batch_line(line);
      if (const auto id = object.find("id"); id != object.end()) pending.id = *id;
      if (not_chat_ && object.contains("messages")) throw *not_chat_;
      BatchRequest request = read_batch_request(object, arguments_.generation, defaults_, tokenizer_);
      StreamOptions options = make_stream_options(request.options, defaults_, tokenizer_);
      const bool has_own_seed = object.contains("seed") && !object.at("seed").is_null();
      if (!has_own_seed) options.seed = output_.run().seed + static_cast<uint64_t>(line.number) - 1;
      pending.options = std::move(request.options);
      pending.seed = options.seed;
      pending.uid = generator_.insert(request.tokens, std::move(options));
    } catch (const Error& error) {
      pending.error = error;
    }
  }

  void take(BatchGenerator::Response& response) {
    const auto pending =
        std::ranges::find_if(pending_, [&](const Pending& one) { return one.uid == response.uid; });
    pending->error = std::move(response.error);
    if (!pending->error) pending->answer.add(std::move(response.response));
  }

  void write_done() {
    for (; !pending_.empty() && pending_.front().is_done(); pending_.pop_front()) {
      const Pending& pending = pending_.front();
      nlohmann::ordered_json content = nlohmann::ordered_json::object();
      if (!pending.id.is_null()) content["id"] = pending.id;
      if (pending.error)
        content["error"] = error_json(*pending.error);
      else
        content.update(answer_json(pending.answer, pending.options, pending.seed, tokenizer_));
      output_.write(pending.number, content, pending.input_fingerprint);
      ++n_lines_;
      n_failed_ += pending.error ? 1 : 0;
      n_tokens_ += static_cast<int64_t>(pending.answer.tokens.size());
      n_written_through_ = pending.number;
    }
  }

  const BatchArguments& arguments_;
  BatchInput& input_;
  BatchOutput& output_;
  const Tokenizer& tokenizer_;
  const GenerationDefaults& defaults_;
  BatchGenerator generator_;
  std::optional<Error> not_chat_;  // why lines with messages cannot be answered
  std::deque<Pending> pending_;
  bool has_read_all_ = false;
  int64_t n_lines_ = 0;
  int64_t n_failed_ = 0;
  int64_t n_tokens_ = 0;
  int64_t n_written_through_ = 0;
};

// For the bar, so only where it is seen and the input can be read twice; else 0.
int64_t count_lines(const std::string& path) {
  std::error_code ignored;
  if (!stderr_is_terminal() || !std::filesystem::is_regular_file(path, ignored)) return 0;
  LineReader reader(path, BatchInput::kMaxLineBytes);
  int64_t n_lines = 0;
  while (reader.next()) ++n_lines;
  return n_lines;
}

void check_arguments(const BatchArguments& arguments) {
  check_ranges(arguments.generation);
  check_ranges(arguments.batch);
  std::error_code ignored;
  if (std::filesystem::equivalent(arguments.input, arguments.output, ignored) ||
      (arguments.input == "-" && stdin_is_file(arguments.output)))
    raise(ErrorCode::kInvalidArgument, "--output: expected another file than the input, got {}",
          printable_path(arguments.output));
  const bool is_stdout = arguments.output.empty() || arguments.output == "-";
  if (arguments.overwrite && is_stdout)
    raise(ErrorCode::kInvalidArgument, "--overwrite: expected --output FILE beside it");
}

void tell(const Batch& batch, double elapsed_s, const BatchArguments& arguments, const Session& session,
          uint64_t seed) {
  if (batch.n_failed() > 0)
    note(fmt::format("{} of {} lines have an error instead of an answer", batch.n_failed(), batch.n_lines()));
  if (!arguments.verbose) return;
  note(fmt::format("{} lines, {} tokens generated, {:.1f} tokens/s, {} at once", batch.n_lines(),
                   batch.n_tokens(), static_cast<double>(batch.n_tokens()) / elapsed_s,
                   arguments.batch.completion_batch_size));
  note(fmt::format("seed {}, {} threads, {} kernels, peak memory {:.1f} MB", seed, session.n_threads(),
                   session.kernels(), static_cast<double>(peak_memory_bytes()) / 1e6));
}

void run_batch(const BatchArguments& arguments, const Environment& environment) {
  check_arguments(arguments);
  BatchInput input(arguments.input);
  const Model model = load_model(arguments.model, environment);
  Session session = make_session(model, arguments.model, arguments.compute, environment);
  // What is wrong on the command line is no fault of a line.
  const GenerationDefaults defaults = load_generation_defaults(model.path());
  const Tokenizer tokenizer = load_tokenizer(model);
  make_stream_options(arguments.generation, defaults, tokenizer);

  BatchOutput output(arguments.output,
                     settings_fingerprint(arguments.generation, defaults, tokenizer, session),
                     arguments.generation.seed, arguments.overwrite);
  output.begin(input);
  if (output.n_done() > 0) note(fmt::format("going on after line {} of the input", output.n_done()));

  Batch batch(arguments, {session, tokenizer, defaults}, input, output);
  const auto start = std::chrono::steady_clock::now();
  {
    ProgressBar bar("batch");
    batch.run(bar, count_lines(arguments.input));
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  tell(batch, elapsed.count(), arguments, session, output.run().seed);
}

}  // namespace

void add_batch(CLI::App& program, const Environment& environment) {
  CLI::App* command = program.add_subcommand(
      "batch", "Answers every line of a file of JSON Lines, several at once; goes on where it was stopped.");
  add_example(*command, "lille batch - <<< '{\"prompt\": \"A glacier is\"}'");
  const auto arguments = std::make_shared<BatchArguments>();
  command
      ->add_option("input", arguments->input,
                   "A file with an object in each line: {\"prompt\": ...} or {\"messages\": [{\"role\": ..., "
                   "\"content\": ...}]}, \"id\", and any of the options below by name; - reads stdin.")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--output", arguments->output,
                   "Where the answers go, a line for each in the same order. If it has answers of the same "
                   "run, the rest follows. Default: stdout.")
      ->type_name("FILE");
  command->add_flag("--overwrite", arguments->overwrite, "Begin anew, whatever stands in --output.");
  add_options(*command, arguments->model);
  add_options(*command, arguments->compute);
  add_options(*command, arguments->generation);
  add_options(*command, arguments->batch);
  command->add_flag("--verbose", arguments->verbose, "Tell speed, seed and memory on stderr.");
  command->callback([arguments, environment] { run_batch(*arguments, environment); });
}

}  // namespace lille::cli
