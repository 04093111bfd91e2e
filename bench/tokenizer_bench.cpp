// tokenizer_bench TEXT_FILE TOKENIZER_FOLDER... [--benchmark_...]: how fast the tokenizer loads, encodes and
// decodes.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "lille/error.h"
#include "lille/tokenizer.h"

namespace {

constexpr std::size_t kMegabyte = 1'000'000;

void set_throughput(benchmark::State& state, std::size_t text_bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text_bytes));
}

void encode(benchmark::State& state, const lille::Tokenizer& tokenizer, const std::string& text) {
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer.encode(text));
  set_throughput(state, text.size());
}

void decode(benchmark::State& state, const lille::Tokenizer& tokenizer, const std::string& text) {
  const std::vector<int32_t> ids = tokenizer.encode(text);
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer.decode(ids));
  set_throughput(state, text.size());
}

void stream(benchmark::State& state, const lille::Tokenizer& tokenizer, const std::string& text) {
  const std::vector<int32_t> ids = tokenizer.encode(text);
  lille::StreamingDetokenizer detokenizer(tokenizer);
  for (auto _ : state)
    for (const int32_t id : ids) benchmark::DoNotOptimize(detokenizer.add_token(id));
  set_throughput(state, text.size());
}

std::string repeated(std::string_view unit) {
  std::string text;
  while (text.size() < kMegabyte) text += unit;
  return text;
}

std::string random_word() {
  std::mt19937 random(1);
  std::string text(kMegabyte, '\0');
  for (char& letter : text) letter = static_cast<char>('a' + random() % 26);
  return text;
}

void add_benchmarks(const std::string& english, const std::vector<std::string>& folders) {
  static const lille::Tokenizer tokenizer = lille::Tokenizer::load(folders.front());
  for (const std::string& folder : folders)
    benchmark::RegisterBenchmark(("load/" + folder).c_str(), [folder](benchmark::State& state) {
      for (auto _ : state) benchmark::DoNotOptimize(lille::Tokenizer::load(folder));
    })->Unit(benchmark::kMillisecond);
  const std::vector<std::pair<std::string, std::string>> texts = {
      {"english", english},
      {"one letter", repeated("a")},
      {"spaces", repeated(" ")},
      {"dashes", repeated("-")},
      {"carets", repeated("^")},
      {"combining marks", repeated("\u0301")},
      {"one word", random_word()},
      {"one word, words", repeated("theandofthatinformation")},
      {"digits", repeated("1029384756")}};
  for (const auto& [name, text] : texts)
    benchmark::RegisterBenchmark(("encode/" + name).c_str(), [text](benchmark::State& state) {
      encode(state, tokenizer, text);
    })->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("decode/english", [english](benchmark::State& state) {
    decode(state, tokenizer, english);
  })->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("stream/english", [english](benchmark::State& state) {
    stream(state, tokenizer, english);
  })->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc < 3) {
    fmt::print(stderr, "usage: tokenizer_bench TEXT_FILE TOKENIZER_FOLDER... [--benchmark_...]\n");
    return 2;
  }
  try {
    add_benchmarks(lille::read_text_file(argv[1], std::size_t{1} << 30), {argv + 2, argv + argc});
  } catch (const lille::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
}
