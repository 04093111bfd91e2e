#include "model.h"

#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <exception>
#include <functional>
#include <mutex>
#include <vector>

#include "base/check.h"
#include "base/text.h"
#include "bindings.h"
#include "cli/hub_environment.h"
#include "computation.h"
#include "conversions.h"
#include "forward.h"
#include "lille/prompt_cache.h"
#include "model/access.h"
#include "model/kv_cache.h"
#include "tokenizer.h"

namespace lille::python {

struct ModelHandle::Pool {
  SessionOptions options;
  std::mutex mutex;
  std::vector<std::unique_ptr<Session>> idle;
};

ModelHandle::ModelHandle(Model model, SessionOptions options)
    : model_(std::move(model)),
      defaults_(load_generation_defaults(model_.path())),
      pool_(std::make_shared<Pool>()) {
  pool_->idle.push_back(std::make_unique<Session>(model_, options));
  pool_->options = std::move(options);
}

std::shared_ptr<Session> ModelHandle::lease() const {
  std::unique_ptr<Session> session;
  {
    const std::lock_guard lock(pool_->mutex);
    if (!pool_->idle.empty()) {
      session = std::move(pool_->idle.back());
      pool_->idle.pop_back();
    }
  }
  if (!session) session = std::make_unique<Session>(model_, pool_->options);
  return {session.release(), [pool = pool_](Session* returned) {
            const std::lock_guard lock(pool->mutex);
            pool->idle.emplace_back(returned);
          }};
}

PromptCache copy_cache(const PromptCache& cache) {
  PromptCache copy = make_prompt_cache(cache.model(), cache.type());
  const std::span<const KVCache> layers = Access::layers(cache);
  for (std::size_t layer_idx = 0; layer_idx < layers.size(); ++layer_idx) {
    const KVCache& layer = layers[layer_idx];
    std::vector<std::byte> keys, values;
    for (int64_t head_idx = 0; head_idx < layer.n_kv_heads(); ++head_idx) {
      keys.insert(keys.end(), layer.keys(head_idx).begin(), layer.keys(head_idx).end());
      values.insert(values.end(), layer.values(head_idx).begin(), layer.values(head_idx).end());
    }
    Access::layers(copy)[layer_idx].assign(cache.offset(), keys, values);
  }
  if (cache.offset() > 0) Access::append(copy, cache.tokens(), cache.kernels());
  return copy;
}

CacheHandle::Use::Use(std::shared_ptr<CacheHandle> handle) : handle_(std::move(handle)) {
  if (handle_ && handle_->is_used_.exchange(true))
    raise(ErrorCode::kInvalidArgument,
          "[prompt_cache] expected one that nobody uses, got one that another thread or answer reads into. "
          "Hint: make one cache for each");
}

CacheHandle::Use::~Use() {
  if (handle_) handle_->is_used_ = false;
}

namespace {

namespace py = pybind11;
namespace fs = std::filesystem;
using ModelPtr = std::shared_ptr<ModelHandle>;
using CachePtr = std::shared_ptr<CacheHandle>;

// Runs work() without the GIL; once that is back, tells what it noted in `warnings`, also if it throws.
void run_with_warnings(Computation& computation, const std::vector<std::string>& warnings,
                       const std::function<void()>& work) {
  std::exception_ptr failure;
  try {
    computation.run(work);
  } catch (...) {
    failure = std::current_exception();
  }
  for (const std::string& warning : warnings) {
    if (PyErr_WarnEx(PyExc_UserWarning, warning.c_str(), 2) == 0) continue;
    if (!failure) throw py::error_already_set();
    // Where warnings are errors, why the load failed says more than the first of them.
    PyErr_Clear();
    break;
  }
  if (failure) std::rethrow_exception(failure);
}

fs::path resolve(const std::string& name) {
  Computation computation;
  std::vector<std::string> notes;
  HubOptions options = cli::read_hub_environment([&](std::string_view note) { notes.emplace_back(note); });
  options.cancel = computation.cancel();
  fs::path path;
  run_with_warnings(computation, notes, [&] { path = resolve_model(name, options); });
  return path;
}

struct LoadArguments {
  std::string rope;
  int64_t threads = 0;
  bool exact = false;
  std::string kernels;
  fs::path cache_folder;
};

ModelPtr load_model(const fs::path& path, const LoadArguments& arguments) {
  LoadOptions options;
  options.rope_layout = rope_layout_from_name(arguments.rope);
  if (!arguments.rope.empty() && !options.rope_layout)
    raise(ErrorCode::kInvalidArgument, "[load] rope: expected interleaved, half or original, got \"{}\"",
          printable(arguments.rope));
  std::vector<std::string> warnings;
  options.cache_folder = arguments.cache_folder;
  options.n_threads = arguments.threads;
  options.kernels = arguments.kernels;
  options.on_warning = [&](std::string_view warning) { warnings.emplace_back(warning); };
  ModelPtr model;
  Computation computation;
  run_with_warnings(computation, warnings, [&] {
    model = std::make_shared<ModelHandle>(
        Model::load(path, options), SessionOptions{arguments.threads, arguments.kernels, arguments.exact});
  });
  return model;
}

TokenizerHandle load_tokenizer(const fs::path& path) {
  return {Tokenizer::load(path), load_generation_defaults(path).add_bos_token};
}

void add_args(py::module_& module) {
  py::class_<ModelArgs>(module, "ModelArgs",
                        "The fields of config.json, and the sizes that follow from them.")
      .def_readonly("model_type", &ModelArgs::model_type)
      .def_readonly("block_size", &ModelArgs::block_size)
      .def_readonly("layer_norm_eps", &ModelArgs::layer_norm_eps)
      .def_readonly("n_embd", &ModelArgs::n_embd)
      .def_readonly("n_head", &ModelArgs::n_head)
      .def_readonly("n_kv_heads", &ModelArgs::n_kv_heads)
      .def_readonly("n_layer", &ModelArgs::n_layer)
      .def_readonly("rope_theta", &ModelArgs::rope_theta)
      .def_readonly("vocab_size", &ModelArgs::vocab_size)
      .def_readonly("tie_word_embeddings", &ModelArgs::tie_word_embeddings)
      .def_property_readonly("head_dim", &ModelArgs::head_dim)
      .def_property_readonly("hidden_dim", &ModelArgs::hidden_dim)
      .def("to_json", &ModelArgs::to_json)
      .def("__repr__", [](const ModelArgs& self) {
        return fmt::format(
            "<lille.ModelArgs n_layer={} n_embd={} n_head={} n_kv_heads={} block_size={} vocab_size={}>",
            self.n_layer, self.n_embd, self.n_head, self.n_kv_heads, self.block_size, self.vocab_size);
      });
  py::class_<GenerationDefaults>(module, "GenerationDefaults", "What a model's files say of its use.")
      .def_readonly("temperature", &GenerationDefaults::temperature)
      .def_readonly("top_p", &GenerationDefaults::top_p)
      .def_readonly("top_k", &GenerationDefaults::top_k)
      .def_readonly("min_p", &GenerationDefaults::min_p)
      .def_readonly("repetition_penalty", &GenerationDefaults::repetition_penalty)
      .def_readonly("add_bos_token", &GenerationDefaults::add_bos_token);
}

// Never an error: whoever shows a cache may be about to tell of another one.
std::string show_cache(CachePtr self) {
  try {
    const CacheHandle::Use cache(std::move(self));
    return fmt::format("<lille.PromptCache {} of {} tokens, {} bits>", cache->offset(), cache->capacity(),
                       kv_bits(cache->type()));
  } catch (const Error&) {
    return "<lille.PromptCache in use>";
  }
}

void add_cache(py::module_& module) {
  const auto copy = [](CachePtr self) {
    return std::make_shared<CacheHandle>(copy_cache(*CacheHandle::Use(std::move(self)).get()));
  };
  py::class_<CacheHandle, CachePtr>(module, "PromptCache",
                                    "Keys and values of one sequence, with its tokens.")
      .def_property_readonly("offset", [](CachePtr self) { return CacheHandle::Use(self)->offset(); })
      .def_property_readonly("capacity", [](CachePtr self) { return CacheHandle::Use(self)->capacity(); })
      .def_property_readonly("kv_bits", [](CachePtr self) { return kv_bits(CacheHandle::Use(self)->type()); })
      .def_property_readonly("tokens",
                             [](CachePtr self) {
                               const CacheHandle::Use cache(self);
                               return std::vector<int32_t>(cache->tokens().begin(), cache->tokens().end());
                             })
      .def(
          "trim",
          [](CachePtr self, int64_t n) { return CacheHandle::Use(self)->trim(std::max<int64_t>(n, 0)); },
          py::arg("num_tokens"), "Forgets the last tokens; returns how many it forgot.")
      .def("copy", copy, "A cache with the same tokens that goes on by itself.")
      .def("__deepcopy__", [copy](CachePtr self, const py::object&) { return copy(std::move(self)); })
      .def("__repr__", show_cache);
  module.def(
      "make_prompt_cache",
      [](const ModelPtr& model, int64_t kv_bits) {
        return std::make_shared<CacheHandle>(make_prompt_cache(model->model(), cache_type_of_bits(kv_bits)));
      },
      py::arg("model"), py::arg("kv_bits") = 32);
  module.def(
      "save_prompt_cache",
      [](const fs::path& path, CachePtr cache) { save_prompt_cache(path, *CacheHandle::Use(cache).get()); },
      py::arg("path"), py::arg("cache"), "Writes a cache to a file, whole or not at all.");
  module.def(
      "load_prompt_cache",
      [](const fs::path& path, const ModelPtr& model) {
        return std::make_shared<CacheHandle>(load_prompt_cache(path, model->model()));
      },
      py::arg("path"), py::arg("model"), "Reads what save_prompt_cache wrote for this model.");
}

}  // namespace

void add_model(py::module_& module) {
  add_args(module);
  add_cache(module);
  py::class_<ModelHandle, ModelPtr>(module, "Model", "A model; any number of threads may use it at once.")
      .def("__call__", logits, py::arg("tokens"), py::arg("cache") = py::none(), "As logits.")
      .def("logits", logits, py::arg("tokens"), py::arg("cache") = py::none(),
           "Logits of each token, float32 (n_tokens, vocab_size), or with rows (n_rows, n_tokens, "
           "vocab_size).")
      .def("hidden_states", hidden_states, py::arg("tokens"), py::arg("cache") = py::none(),
           "The embedding, what each block gives, and the final norm, float32 (n_layer + 2, n_tokens, "
           "n_embd).")
      .def("loglikelihood", loglikelihood, py::arg("context"), py::arg("continuation"),
           py::arg("cache") = py::none(),
           "ln p of a continuation after a context, and whether each of its tokens is the likeliest.")
      .def_property_readonly("args", [](const ModelHandle& self) { return self.args(); })
      .def_property_readonly("generation_defaults", [](const ModelHandle& self) { return self.defaults(); })
      .def_property_readonly("model_type", [](const ModelHandle& self) { return self.args().model_type; })
      .def_property_readonly("path", [](const ModelHandle& self) { return self.model().path(); })
      .def_property_readonly("form", [](const ModelHandle& self) { return self.model().form(); })
      .def_property_readonly(
          "rope_layout",
          [](const ModelHandle& self) { return std::string(rope_layout_name(self.model().rope().layout)); })
      .def_property_readonly("kernels",
                             [](const ModelHandle& self) { return std::string(self.lease()->kernels()); })
      .def_property_readonly("n_threads", [](const ModelHandle& self) { return self.lease()->n_threads(); })
      .def("__repr__", [](const ModelHandle& self) {
        return fmt::format("<lille.Model {} ({})>", printable_path(self.model().path()), self.model().form());
      });
  module.def("resolve_model", resolve, py::arg("name"));
  module.def(
      "load_model",
      [](const fs::path& path, const std::string& rope, int64_t threads, bool exact,
         const std::string& kernels, const fs::path& cache_folder) {
        return load_model(path, {rope, threads, exact, kernels, cache_folder});
      },
      py::arg("path"), py::kw_only(), py::arg("rope"), py::arg("threads"), py::arg("exact"),
      py::arg("kernels"), py::arg("cache_folder"));
  module.def("load_tokenizer", load_tokenizer, py::arg("path"));
}

}  // namespace lille::python
