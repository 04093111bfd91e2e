#include <pybind11/stl.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/process.h"
#include "base/text.h"
#include "bindings.h"
#include "computation.h"
#include "conversions.h"
#include "generate/options.h"
#include "lille/batch.h"
#include "model.h"
#include "sampling.h"
#include "tokenizer.h"

namespace lille::python {
namespace {

namespace py = pybind11;
using ModelPtr = std::shared_ptr<ModelHandle>;
using CachePtr = std::shared_ptr<CacheHandle>;
using ComputationPtr = std::shared_ptr<Computation>;

// How an answer is made, as Python says it; names and defaults are those of StreamOptions.
struct Arguments {
  StreamOptions options;
  std::optional<int64_t> max_tokens = options.max_tokens;  // empty: as many as the context holds
  std::string overflow = std::string(overflow_name(options.overflow));
  std::string json_schema;
  std::string grammar;
  py::object sampler = py::none();
  py::object logits_processors = py::none();
  py::object prompt_progress_callback = py::none();
  CachePtr prompt_cache;
  std::optional<int64_t> kv_bits;  // empty: what the prompt cache has, or 32
  ModelPtr draft_model;
};

double peak_memory_gb() { return static_cast<double>(peak_memory_bytes()) / 1e9; }

void check_kv_bits(const PromptCache& cache, std::optional<int64_t> wanted) {
  if (!wanted || cache_type_of_bits(*wanted) == cache.type()) return;
  raise(ErrorCode::kInvalidArgument,
        "[generate] kv_bits: expected {}, as the prompt cache has, got {}. Hint: make_prompt_cache(model, "
        "kv_bits={})",
        kv_bits(cache.type()), *wanted, *wanted);
}

// The caller's cache, or one of its own for an answer that asks for a type; null: the library's own.
CachePtr cache_of(const Arguments& arguments, const Model& model) {
  if (arguments.prompt_cache) {
    check_kv_bits(*CacheHandle::Use(arguments.prompt_cache).get(), arguments.kv_bits);
    return arguments.prompt_cache;
  }
  if (!arguments.kv_bits) return nullptr;
  return std::make_shared<CacheHandle>(make_prompt_cache(model, cache_type_of_bits(*arguments.kv_bits)));
}

// All but prompt_cache and drafter, which belong to whom the answer belongs to, and what add_grammar adds.
StreamOptions stream_options(const Arguments& arguments, const ModelArgs& args,
                             const ComputationPtr& computation) {
  StreamOptions options = arguments.options;
  options.max_tokens = arguments.max_tokens.value_or(args.block_size);
  options.sampler = read_sampler(arguments.sampler, args.vocab_size, computation);
  options.logits_processors = read_processors(arguments.logits_processors, args.vocab_size, computation);
  options.cancel = computation->cancel();
  const std::optional<Overflow> overflow = overflow_from_name(arguments.overflow);
  if (!overflow)
    raise(ErrorCode::kInvalidArgument,
          "[generate] overflow: expected error, truncate-left or trim-turns, got \"{}\"",
          printable(arguments.overflow));
  options.overflow = *overflow;
  if (!arguments.grammar.empty() && !arguments.json_schema.empty())
    raise(ErrorCode::kInvalidArgument, "[generate] grammar: expected none beside json_schema, got both");
  if (!arguments.prompt_progress_callback.is_none())
    options.prompt_progress_callback = [callable = share_callable(arguments.prompt_progress_callback),
                                        computation](int64_t n_processed, int64_t n_prompt) {
      computation->call_python([&] { (*callable)(n_processed, n_prompt); });
    };
  return options;
}

// What an answer is made with; it goes after the answer.
struct Setup {
  Setup(const ModelPtr& model, const Arguments& arguments)
      : session(model->lease()), cache(cache_of(arguments, model->model())) {
    options = stream_options(arguments, model->args(), computation);
    if (!arguments.draft_model) return;
    draft_session = arguments.draft_model->lease();
    drafter = make_model_drafter(*draft_session, model->model());
    options.drafter = drafter.get();
  }

  // Calls make(session, options) while nobody else uses the prompt cache.
  template <typename Make>
  void begin(Make&& make) {
    const CacheHandle::Use use(cache);
    options.prompt_cache = use.get();
    make(*session, std::move(options));
  }

  // The same for the next token. Reading a prompt takes long, a token does not.
  void step(const std::function<void()>& next) {
    const CacheHandle::Use use(cache);
    if (std::exchange(is_first, false))
      computation->run(next);
    else
      computation->run_here(next);
  }

  ComputationPtr computation = std::make_shared<Computation>();
  std::shared_ptr<Session> session;
  std::shared_ptr<Session> draft_session;
  std::unique_ptr<Drafter> drafter;
  CachePtr cache;
  StreamOptions options;
  bool is_first = true;
};

py::array_t<float> vector_of(std::span<const float> values) {
  return copy_array(values, {static_cast<py::ssize_t>(values.size())});
}

// Tokens on their way.
class Steps {
 public:
  Steps(const ModelPtr& model, const py::object& prompt, const Arguments& arguments)
      : setup_(model, arguments) {
    const std::vector<int32_t> ids = read_ids(prompt, "[generate] prompt");
    setup_.begin([&](Session& session, GenerateStepOptions options) {
      steps_.emplace(session, ids, std::move(options));
    });
  }

  // Token and log-probabilities, or None after the last one.
  py::object next() {
    std::optional<GenerateStepResult> step;
    setup_.step([&] { step = steps_->next(); });
    if (!step) return py::none();
    return py::make_tuple(step->token, vector_of(step->logprobs));
  }

 private:
  Setup setup_;
  std::optional<GenerateStep> steps_;
};

// An answer on its way.
class Stream {
 public:
  Stream(const ModelPtr& model, const TokenizerHandle& tokenizer, const py::object& prompt,
         const Arguments& arguments)
      : setup_(model, arguments) {
    const std::vector<int32_t> ids = read_ids(prompt, "[generate] prompt");
    add_grammar(setup_.options.logits_processors, arguments.grammar, arguments.json_schema,
                tokenizer.tokenizer);
    setup_.begin([&](Session& session, StreamOptions options) {
      stream_.emplace(session, tokenizer.tokenizer, ids, std::move(options));
    });
  }

  // The fields of GenerationResponse in their order, or None after the last one.
  py::object next() {
    std::optional<GenerationResponse> response;
    setup_.step([&] { response = stream_->next(); });
    // With max_tokens 0 the prompt is read, and there is nothing to tell.
    if (!response || !response->token) return py::none();
    return py::make_tuple(
        make_text(response->text), *response->token, vector_of(response->logprobs), response->from_draft,
        response->prompt_tokens, response->prompt_tps, response->generation_tokens, response->generation_tps,
        peak_memory_gb(),
        response->finish_reason ? py::cast(finish_reason_name(*response->finish_reason)) : py::none());
  }

 private:
  Setup setup_;
  std::optional<StreamGenerate> stream_;
};

// What batch_generate was told, of all prompts.
struct BatchArguments {
  std::vector<std::vector<int32_t>> prompts;
  std::vector<CachePtr> prompt_caches;  // one, maybe null, for each prompt, or none at all
  std::vector<int64_t> max_tokens;
  BatchOptions options;
  bool keeps_caches = false;
  py::object on_finished;
};

// Answers many prompts and takes the time.
class Batch {
 public:
  Batch(const ModelPtr& model, const TokenizerHandle& tokenizer, const Arguments& arguments,
        BatchArguments batch)
      : model_(model),
        tokenizer_(tokenizer.tokenizer),
        kv_bits_(arguments.kv_bits),
        batch_(std::move(batch)) {
    options_ = stream_options(arguments, model->args(), computation_);
    add_grammar(options_.logits_processors, arguments.grammar, arguments.json_schema, tokenizer_);
    batch_.options.cancel = computation_->cancel();
    answers_.resize(batch_.prompts.size());
    caches_.resize(answers_.size());
    for (const CachePtr& cache : batch_.prompt_caches)
      if (cache) check_kv_bits(*CacheHandle::Use(cache).get(), kv_bits_);
    if (!batch_.on_finished.is_none()) on_finished_ = share_callable(std::move(batch_.on_finished));
  }

  py::dict run() {
    computation_->run([this] { generate(); });
    py::list texts, tokens, logprobs, caches;
    int64_t n_prompt_tokens = 0;
    int64_t n_generated = 0;
    for (const WholeAnswer& answer : answers_) {
      texts.append(make_text(answer.text));
      py::list ids, of_ids;
      const bool has_end_token = answer.last.finish_reason == FinishReason::kStop && answer.last.stop.empty();
      for (const TokenLogprob& token : std::span(answer.tokens).first(answer.tokens.size() - has_end_token)) {
        ids.append(token.token);
        of_ids.append(token.logprob);
      }
      tokens.append(ids);
      logprobs.append(of_ids);
      n_prompt_tokens += answer.last.prompt_tokens;
      n_generated += answer.last.generation_tokens;
    }
    if (batch_.keeps_caches)
      for (std::unique_ptr<PromptCache>& cache : caches_)
        caches.append(std::make_shared<CacheHandle>(std::move(*cache)));
    using namespace py::literals;
    return py::dict("texts"_a = texts, "token_ids"_a = tokens, "logprobs"_a = logprobs, "caches"_a = caches,
                    "prompt_tokens"_a = n_prompt_tokens, "generation_tokens"_a = n_generated,
                    "prompt_time"_a = prompt_s_, "generation_time"_a = generation_s_,
                    "peak_memory"_a = peak_memory_gb());
  }

 private:
  using Clock = std::chrono::steady_clock;

  void generate() {
    const std::shared_ptr<Session> session = model_->lease();
    BatchGenerator generator(*session, tokenizer_, batch_.options);
    std::size_t n_inserted = 0;
    while (true) {
      while (n_inserted < answers_.size() && generator.n_sequences() < batch_.options.completion_batch_size)
        insert(generator, n_inserted++);
      if (generator.n_sequences() == 0) return;
      const Clock::time_point begin = Clock::now();
      const std::vector<BatchGenerator::Response> responses = generator.next();
      const double pass_s = std::chrono::duration<double>(Clock::now() - begin).count();
      // A pass that reads a prompt gives no token or somebody's first one.
      bool reads_prompt = responses.empty();
      for (const BatchGenerator::Response& response : responses)
        reads_prompt = reads_prompt || response.response.generation_tokens <= 1;
      (reads_prompt ? prompt_s_ : generation_s_) += pass_s;
      for (const BatchGenerator::Response& response : responses) take(response);
    }
  }

  // Uids count from 0, in the order of the prompts.
  void insert(BatchGenerator& generator, std::size_t prompt_idx) {
    StreamOptions options = options_;
    options.seed += prompt_idx;
    const int64_t max_tokens = batch_.max_tokens[prompt_idx];
    options.max_tokens = max_tokens == -1 ? model_->args().block_size : max_tokens;
    caches_[prompt_idx] = make_cache(prompt_idx);
    options.prompt_cache = caches_[prompt_idx].get();
    generator.insert(batch_.prompts[prompt_idx], std::move(options));
  }

  // What the answer reads into: a copy of the caller's, an empty one, or null.
  std::unique_ptr<PromptCache> make_cache(std::size_t prompt_idx) const {
    if (!batch_.prompt_caches.empty() && batch_.prompt_caches[prompt_idx]) {
      const CacheHandle::Use given(batch_.prompt_caches[prompt_idx]);
      return std::make_unique<PromptCache>(copy_cache(*given.get()));
    }
    if (!batch_.keeps_caches && !kv_bits_) return nullptr;
    return std::make_unique<PromptCache>(
        make_prompt_cache(model_->model(), cache_type_of_bits(kv_bits_.value_or(32))));
  }

  void take(const BatchGenerator::Response& response) {
    if (response.error) throw Error(*response.error);
    WholeAnswer& answer = answers_[static_cast<std::size_t>(response.uid)];
    answer.add(response.response);
    if (!answer.last.finish_reason) return;
    if (!batch_.keeps_caches) caches_[static_cast<std::size_t>(response.uid)].reset();
    if (!on_finished_) return;
    computation_->call_python([&] { (*on_finished_)(++n_finished_); });
  }

  ModelPtr model_;
  Tokenizer tokenizer_;
  std::optional<int64_t> kv_bits_;
  BatchArguments batch_;
  ComputationPtr computation_ = std::make_shared<Computation>();
  StreamOptions options_;
  SharedCallable on_finished_;
  std::vector<std::unique_ptr<PromptCache>> caches_;  // of each prompt, from its beginning to its end
  std::vector<WholeAnswer> answers_;
  int64_t n_finished_ = 0;
  double prompt_s_ = 0;
  double generation_s_ = 0;
};

// A property of Arguments that is a field of its options.
template <typename Class, typename Field>
void add_option(py::class_<Arguments>& arguments, const char* name, Field Class::*field) {
  arguments.def_property(
      name, [field](const Arguments& self) { return self.options.*field; },
      [field](Arguments& self, Field value) { self.options.*field = std::move(value); });
}

void add_arguments(py::module_& module) {
  py::class_<Arguments> arguments(module, "StreamArguments");
  arguments.def(py::init<>())
      .def_readwrite("max_tokens", &Arguments::max_tokens)
      .def_readwrite("overflow", &Arguments::overflow)
      .def_readwrite("json_schema", &Arguments::json_schema)
      .def_readwrite("grammar", &Arguments::grammar)
      .def_readwrite("sampler", &Arguments::sampler)
      .def_readwrite("logits_processors", &Arguments::logits_processors)
      .def_readwrite("prompt_progress_callback", &Arguments::prompt_progress_callback)
      .def_readwrite("prompt_cache", &Arguments::prompt_cache)
      .def_readwrite("kv_bits", &Arguments::kv_bits)
      .def_readwrite("draft_model", &Arguments::draft_model);
  add_option(arguments, "seed", &GenerateStepOptions::seed);
  add_option(arguments, "stop", &StreamOptions::stop);
  add_option(arguments, "reuse_prefix", &GenerateStepOptions::reuse_prefix);
  add_option(arguments, "prefill_step_size", &GenerateStepOptions::prefill_step_size);
  add_option(arguments, "num_draft_tokens", &GenerateStepOptions::num_draft_tokens);
  add_option(arguments, "adaptive_draft", &GenerateStepOptions::adaptive_draft);
}

}  // namespace

void add_generation(py::module_& module) {
  add_arguments(module);
  py::class_<Steps>(module, "Steps")
      .def(py::init<const ModelPtr&, const py::object&, const Arguments&>(), py::arg("model"),
           py::arg("prompt"), py::arg("arguments"))
      .def("next", &Steps::next);
  py::class_<Stream>(module, "Stream")
      .def(py::init<const ModelPtr&, const TokenizerHandle&, const py::object&, const Arguments&>(),
           py::arg("model"), py::arg("tokenizer"), py::arg("prompt"), py::arg("arguments"))
      .def("next", &Stream::next);
  py::class_<BatchOptions>(module, "BatchOptions")
      .def(py::init<>())
      .def_readwrite("completion_batch_size", &BatchOptions::completion_batch_size)
      .def_readwrite("prefill_batch_size", &BatchOptions::prefill_batch_size);
  module.def(
      "batch_generate",
      [](const ModelPtr& model, const TokenizerHandle& tokenizer, const py::list& prompts,
         std::vector<CachePtr> prompt_caches, std::vector<int64_t> max_tokens, const Arguments& arguments,
         BatchOptions options, bool keeps_caches, py::object on_finished) {
        BatchArguments batch = {{},           std::move(prompt_caches), std::move(max_tokens), options,
                                keeps_caches, std::move(on_finished)};
        for (const py::handle prompt : prompts)
          batch.prompts.push_back(read_ids(prompt, "[generate] prompt"));
        return Batch(model, tokenizer, arguments, std::move(batch)).run();
      },
      py::arg("model"), py::arg("tokenizer"), py::arg("prompts"), py::arg("prompt_caches"),
      py::arg("max_tokens"), py::arg("arguments"), py::arg("options"), py::arg("keeps_caches"),
      py::arg("on_finished"));
}

}  // namespace lille::python
