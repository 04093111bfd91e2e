#include <fmt/format.h>

#include <set>
#include <sstream>

#include "base/utf8.h"
#include "cli/program.h"
#include "io/safetensors.h"
#include "io/torch_archive.h"

namespace lille::test {
namespace {

using nlohmann::json;

std::vector<json> parsed(const std::string& text) {
  std::vector<json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(json::parse(line));
  return lines;
}

class BatchCommand : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::filesystem::path input_ = folder_.path() / "in.jsonl";
  std::filesystem::path output_ = folder_.path() / "out.jsonl";

  void write_prompts(int n_lines, int max_tokens) const {
    std::string text;
    for (int idx = 0; idx < n_lines; ++idx)
      text += json{{"prompt", "Story " + std::to_string(idx)}, {"max_tokens", max_tokens + idx % 7}}.dump() +
              "\n";
    folder_.write("in.jsonl", text);
  }

  std::vector<std::string> command(std::initializer_list<std::string> more = {}) const {
    std::vector<std::string> arguments = {"batch", input_, "--output", output_};
    arguments.insert(arguments.end(), more);
    return arguments;
  }
};

std::vector<json> answers(const std::string& stdin_text, std::vector<std::string> more = {}) {
  RunOptions options;
  options.stdin_text = stdin_text;
  more.insert(more.begin(), {"batch", "-"});
  const Finished finished = run_lille(more, options);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_TRUE(is_valid_utf8(finished.out));
  return parsed(finished.out);
}

TEST_F(BatchCommand, EachAnswerIsThatOfGenerate) {
  const std::vector<json> lines = answers(
      "{\"prompt\": \"The cell is\", \"id\": {\"a\": [1]}}\r\n\n{\"prompt\": \"A glacier\", \"max_tokens\": "
      "9, "
      "\"seed\": 5, \"stop\": \"e\", \"top_logprobs\": 2, \"id\": \"x\"}",
      {"--seed", "40", "--max-tokens", "12"});
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["line"], 1);
  EXPECT_EQ(lines[0]["id"], json::parse(R"({"a": [1]})"));
  EXPECT_EQ(lines[1]["line"], 3) << "blank lines count and have no answer";
  EXPECT_EQ(lines[1]["id"], "x");
  const json first =
      json::parse(output_of({"generate", "The cell is", "--seed", "40", "--max-tokens", "12", "--json"}));
  const json second = json::parse(output_of({"generate", "A glacier", "--seed", "5", "--max-tokens", "9",
                                             "--stop", "e", "--top-logprobs", "2", "--json"}));
  const std::set<std::string> only_there = {"cached_tokens", "prompt_tps", "prompt_s", "generation_tps",
                                            "peak_memory_bytes"};
  for (const auto& [wanted, ours] : {std::pair(first, lines[0]), std::pair(second, lines[1])})
    for (const auto& [key, value] : wanted.items())
      EXPECT_TRUE(only_there.contains(key) || ours[key] == value) << key;
}

TEST_F(BatchCommand, TheSeedOfALineIsItsNumberAfterTheFirst) {
  const std::vector<json> lines =
      answers("{\"prompt\": \"a\"}\n\n{\"prompt\": \"a\"}\n", {"--seed", "7", "--max-tokens", "1"});
  EXPECT_EQ(lines[0]["seed"], 7);
  EXPECT_EQ(lines[1]["seed"], 9);
}

TEST_F(BatchCommand, MessagesAreAChat) {
  const std::vector<json> lines =
      answers(R"({"messages": [{"role": "user", "content": "<|user|>"}], "max_tokens": 1})");
  // <|startoftext|><|user|>, the text's own characters, <|assistant|>
  EXPECT_GT(lines[0]["prompt_tokens"], 4) << "the text is no control token";
}

// As a chat without the token, and as the same tokens of a plain prompt have it.
TEST_F(BatchCommand, AChatBeginsWithoutBosWhereThatIsSaid) {
  const std::string messages = R"("messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1)";
  const std::vector<json> lines =
      answers("{" + messages + "}\n{" + messages + ", \"bos\": false}\n{" + messages + ", \"bos\": true}\n");
  EXPECT_EQ(lines[1]["prompt_tokens"].get<int>() + 1, lines[0]["prompt_tokens"].get<int>());
  EXPECT_EQ(lines[2]["prompt_tokens"], lines[0]["prompt_tokens"]);
  EXPECT_EQ(answers("{" + messages + "}", {"--no-bos"})[0]["prompt_tokens"], lines[1]["prompt_tokens"]);
}

TEST_F(BatchCommand, AFaultOfTheCommandLineIsNotOneOfALine) {
  write_prompts(1, 1);
  expect_failure(kWrongUsage, "--stop: expected strings of at least one character", command({"--stop", ""}));
  EXPECT_FALSE(std::filesystem::exists(output_));
}

TEST_F(BatchCommand, ABadLineIsAnErrorForThatLineOnly) {
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"{", "line 1: expected JSON"},
      {"[1]", "expected a JSON object"},
      {"{\"prompt\": \"\xff\"}", "line 3: expected JSON"},
      {R"({"prompt": 1})", "prompt: expected a text, got 1"},
      {R"({"prompt": "a", "prompt": "b"})", "twice"},
      {R"({"id": 1})", "expected prompt or messages, one of them, got none"},
      {R"({"prompt": "a", "messages": []})", "got both"},
      {R"({"prompt": "a", "temprature": 1})", "temprature: unknown field"},
      {R"({"prompt": "a", "top_p": 2})", "top_p: expected a number from 0 to 1, got 2"},
      {R"({"prompt": "a", "stop": ""})", "stop: expected strings of at least one character"},
      {R"({"prompt": "", "bos": false})", "expected a text, got an empty one"},
      {R"({"messages": []})", "messages: expected an array"},
      {R"({"messages": [1]})", "messages[0]: expected an object"},
      {R"({"messages": [{"role": "user"}]})", "messages[0].content: expected a text, got none"},
      {R"({"messages": [{"role": "system", "content": "x"}]})", "system"},
      {R"({"messages": [{"role": "user", "content": "x", "name": "y"}]})", "got name"},
      {R"({"messages": [{"role": "assistant", "content": "x"}]})", "expected the last of them from the user"},
      {"{\"prompt\": \"" + std::string(20'000, '7') + "\"}", "more than the context of 512 tokens"},
      {"{\"prompt\": \"" + std::string(17 << 20, 'x') + "\"}", "expected at most 16777216 bytes"}};
  std::string text;
  for (const auto& [line, part] : bad) text += line + "\n";
  const std::vector<json> lines =
      answers(text + R"({"prompt": "The cell is", "id": 0})", {"--max-tokens", "3"});
  ASSERT_EQ(lines.size(), bad.size() + 1);
  for (std::size_t idx = 0; idx < bad.size(); ++idx) {
    const auto message = lines[idx]["error"]["message"].get<std::string>();
    EXPECT_NE(message.find(bad[idx].second), std::string::npos) << bad[idx].second << " in " << message;
    EXPECT_EQ(lines[idx]["error"]["code"], "invalid_argument");
    EXPECT_FALSE(lines[idx].contains("text"));
  }
  EXPECT_EQ(lines[5]["id"], 1) << "an error has its line's id";
  EXPECT_EQ(lines.back()["id"], 0);
  EXPECT_EQ(lines.back()["tokens"].size(), 3U);
}

TEST_F(BatchCommand, AnEmptyInputGivesAnEmptyOutput) {
  folder_.write("in.jsonl", "");
  EXPECT_EQ(output_of(command()), "");
  EXPECT_EQ(read_file(output_), "");
  folder_.write("in.jsonl", "\n \r\n");
  EXPECT_EQ(output_of(command()), "");
}

TEST_F(BatchCommand, KilledAndRunAgainItGivesTheSameBytes) {
  write_prompts(24, 5);
  const auto whole = output_of({"batch", input_, "--seed", "3", "--completion-batch-size", "1"});
  for (const int n_lines : {4, 16}) {
    std::filesystem::remove(output_);
    // It waits for more input when it is killed, so it cannot have come to its end.
    RunOptions killed;
    killed.wrapper = {"/bin/sh", "-c",
                      fmt::format("mkfifo '{0}/more'; \"$0\" \"$@\" < '{0}/more' & p=$!; exec 3> '{0}/more'; "
                                  "head -n {1} '{2}' >&3; "
                                  "until [ \"$(wc -l 2>&- < '{3}')\" = {1} ]; do sleep 0.02; done; "
                                  "rm '{0}/more'; kill -9 $p; wait $p",
                                  folder_.path().string(), n_lines, input_.string(), output_.string())};
    run_lille({"batch", "-", "--output", output_, "--seed", "3", "--completion-batch-size", "1"}, killed);
    const std::string part = read_file(output_);
    ASSERT_EQ(std::ranges::count(part, '\n'), n_lines);
    ASSERT_EQ(whole.substr(0, part.size()), part);
    std::filesystem::resize_file(output_, part.size() - 7);
    // A line cut in the middle is made again.
    EXPECT_EQ(run_lille(command({"--threads", "2"})).exit_code, 0) << "the seed is the first run's";
    EXPECT_EQ(read_file(output_), whole);
    EXPECT_EQ(run_lille(command()).exit_code, 0);
    EXPECT_EQ(read_file(output_), whole) << "there was nothing left to do";
  }
}

TEST_F(BatchCommand, AnOutputOfAnotherRunIsRefused) {
  write_prompts(4, 2);
  output_of(command({"--seed", "3"}));
  const std::string before = read_file(output_);
  const auto refused = [&](std::string_view part, std::initializer_list<std::string> more) {
    expect_failure(kWrongUsage, part, command(more));
    EXPECT_EQ(read_file(output_), before);
  };
  refused("its answers have seed 3, not 4", {"--seed", "4"});
  refused("other options, another model", {"--temp", "0.7"});
  refused("other options, another model", {"--stop", "x"});
  refused("other options, another model", {"--rope", "half"});
  const std::string text = read_file(input_);
  folder_.write("in.jsonl", "{\"prompt\": \"x\"}\n" + text);
  refused("its answers are to another input", {});
  folder_.write("in.jsonl", text.substr(0, text.find('\n') + 1));
  refused("the input has fewer lines", {});
  // Lines that were added to the input are answered.
  folder_.write("in.jsonl", text + "{\"prompt\": \"x\", \"max_tokens\": 1}\n");
  EXPECT_EQ(run_lille(command()).exit_code, 0);
  EXPECT_TRUE(read_file(output_).starts_with(before));
  EXPECT_EQ(parsed(read_file(output_)).size(), 5U);
  EXPECT_EQ(output_of(command({"--seed", "4", "--overwrite"})), "");
  EXPECT_EQ(parsed(read_file(output_)).front()["seed"], 4);
}

// Whatever lies beside the model decides no answer; weights, tokenizer and defaults do, in every form.
TEST_F(BatchCommand, OnlyWhatDecidesAnswersIsPartOfARun) {
  write_prompts(2, 2);
  const std::filesystem::path model = copy_model(tiny_model(), folder_.path() / "model");
  const auto run = [&] { return run_lille(command({"--model", model})); };
  const auto expect_refused = [&](const char* what) {
    const std::string before = read_file(output_);
    const Finished finished = run();
    EXPECT_EQ(finished.exit_code, kWrongUsage) << what << finished.err;
    EXPECT_NE(finished.err.find("another model"), std::string::npos) << what << finished.err;
    EXPECT_EQ(read_file(output_), before) << what;
  };
  output_ = model / "answers.json";
  ASSERT_EQ(run().exit_code, 0);
  const std::string answers = read_file(output_);
  std::ofstream(model / "notes.txt") << "x";
  std::filesystem::resize_file(output_, answers.size() - 3);
  EXPECT_EQ(run().exit_code, 0) << "the output stands in the model's folder, and so do notes";
  EXPECT_EQ(read_file(output_), answers);

  const std::string defaults = read_file(model / "generation_config.json");
  std::ofstream(model / "generation_config.json") << R"({"temperature": 0.25})";
  expect_refused("generation_config.json");
  std::ofstream(model / "generation_config.json") << defaults;
  const std::string config = read_file(model / "config.json");
  nlohmann::json shorter = json::parse(config);
  shorter["block_size"] = 300;
  std::ofstream(model / "config.json") << shorter.dump();
  expect_refused("block_size");
  std::ofstream(model / "config.json") << config;
  EXPECT_EQ(run().exit_code, 0);
  std::string weights = read_file(model / "model.safetensors");
  weights.back() = static_cast<char>(weights.back() ^ 1);
  std::ofstream(model / "model.safetensors", std::ios::binary) << weights;
  expect_refused("model.safetensors");
}

TEST_F(BatchCommand, WeightsOfPyTorchArePartOfARun) {
  LILLE_NEED_SHARED();
  write_prompts(1, 1);
  const std::filesystem::path source = shared_path("checkpoints/lille-tiny-original");
  for (const char* name : {"vocab.json", "merges.txt"})
    std::filesystem::copy_file(source / name, folder_.path() / name);
  std::string weights = read_file(source / "model.safetensors");
  const std::filesystem::path model = folder_.path() / "best_model.pt";
  const auto run = [&] {
    const SafetensorsFile file(folder_.write("weights", weights));
    folder_.write("best_model.pt",
                  torch_checkpoint(file.tensors(), model_args_opcodes(read_file(source / "config.json"))));
    return run_lille(command({"--model", model, "--rope", "original"}));
  };
  EXPECT_EQ(run().exit_code, 0);
  EXPECT_EQ(run().exit_code, 0);
  weights.back() = static_cast<char>(weights.back() ^ 1);
  const Finished finished = run();
  EXPECT_EQ(finished.exit_code, kWrongUsage);
  EXPECT_NE(finished.err.find("another model"), std::string::npos) << finished.err;
}

// The beginning of a line that a kill left is the file's until the run is known to fit.
TEST_F(BatchCommand, ARefusedRunCutsNothingOff) {
  write_prompts(3, 2);
  output_of(command({"--seed", "3"}));
  std::filesystem::resize_file(output_, read_file(output_).size() - 3);
  const std::string before = read_file(output_);
  folder_.write("in.jsonl", "{\"prompt\": \"x\"}\n{\"prompt\": \"y\"}\n");
  expect_failure(kWrongUsage, "its answers are to another input", command());
  EXPECT_EQ(read_file(output_), before);
}

TEST_F(BatchCommand, AFileOfSomebodyElseIsKept) {
  write_prompts(1, 1);
  for (const char* text : {"my notes", "my notes\n", "{\"line\":1}\n", "{\"text\"", "[]\n"}) {
    folder_.write("out.jsonl", text);
    expect_failure(kWrongUsage, "expected answers of lille batch to go on with", command());
    EXPECT_EQ(read_file(output_), text);
  }
  expect_failure(kWrongUsage, "expected another file than the input",
                 {"batch", input_, "--output", input_, "--overwrite"});
  const std::string text = read_file(input_);
  RunOptions from_input;
  from_input.wrapper = {"/bin/sh", "-c", "exec \"$0\" \"$@\" < '" + input_.string() + "'"};
  expect_failure(kWrongUsage, "expected another file than the input",
                 {"batch", "-", "--output", input_, "--overwrite"}, from_input);
  EXPECT_EQ(read_file(input_), text);
  expect_failure(kFailed, "no such file", {"batch", folder_.path() / "no"});
  expect_failure(kWrongUsage, "got a folder", {"batch", folder_.path()});
  expect_failure(kWrongUsage, "--completion-batch-size: expected a number from 1 to 1024, got 0",
                 command({"--completion-batch-size", "0"}));
}

}  // namespace
}  // namespace lille::test
