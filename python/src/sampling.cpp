#include "sampling.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "bindings.h"
#include "conversions.h"
#include "lille/random.h"

namespace lille::python {
namespace {

namespace py = pybind11;

using FloatArray = py::array_t<float, py::array::c_style | py::array::forcecast>;

std::string described(py::handle object) { return printable(py::repr(object).cast<std::string>(), 80); }

py::array_t<float> row_of(std::span<const float> values) {
  return copy_array(values, {1, static_cast<py::ssize_t>(values.size())});
}

// What a caller gives as an array. (`ensure` takes numpy's own error away.)
FloatArray floats_of(py::handle object, std::string_view where) {
  FloatArray array = FloatArray::ensure(object);
  if (!array) raise(ErrorCode::kInvalidArgument, "{}: expected numbers, got {}", where, described(object));
  return array;
}

// (vocab_size) or (1, vocab_size) numbers of a caller.
std::vector<float> read_row(py::handle object, std::string_view where) {
  const FloatArray array = floats_of(object, where);
  if (array.ndim() < 1 || array.ndim() > 2 || (array.ndim() == 2 && array.shape(0) != 1))
    raise(ErrorCode::kInvalidArgument, "{}: expected (vocab_size) or (1, vocab_size), got {}", where,
          py::str(array.attr("shape")).cast<std::string>());
  return {array.data(), array.data() + array.size()};
}

int32_t read_token(const py::object& returned) {
  py::object token = returned;
  if (py::hasattr(token, "item")) token = token.attr("item")();
  if (!PyIndex_Check(token.ptr()))
    raise(ErrorCode::kInvalidArgument, "[sampler] expected a token id from the callable, got {}",
          described(returned));
  PyObject* index = PyNumber_Index(token.ptr());
  if (index == nullptr) throw py::error_already_set();
  const auto number = py::reinterpret_steal<py::int_>(index);
  int overflow = 0;
  const long value = PyLong_AsLongAndOverflow(number.ptr(), &overflow);
  if (overflow != 0 || value != static_cast<int32_t>(value))
    raise(ErrorCode::kInvalidArgument, "[sampler] expected a token id from the callable, got {}",
          described(returned));
  return static_cast<int32_t>(value);
}

void take_logits(const py::object& returned, std::span<float> logits) {
  const FloatArray array = floats_of(returned, "[logits_processors] what the callable returned");
  if (array.size() != static_cast<py::ssize_t>(logits.size()))
    raise(ErrorCode::kInvalidShape,
          "[logits_processors] expected logits of shape (1, {}) from the callable, got {}", logits.size(),
          py::str(array.attr("shape")).cast<std::string>());
  std::copy_n(array.data(), array.size(), logits.data());
}

std::unique_ptr<LogitsProcessor> wrap(SharedCallable callable, std::shared_ptr<Computation> computation) {
  return make_processor([callable = std::move(callable), computation = std::move(computation)](
                            std::span<const int32_t> tokens, std::span<float> logits) {
    computation->call_python([&] {
      const py::array_t<int32_t> ids(static_cast<py::ssize_t>(tokens.size()), tokens.data());
      const py::object array = row_of(logits);
      const py::object returned = (*callable)(ids, array);
      take_logits(returned.is_none() ? array : returned, logits);
    });
  });
}

std::unique_ptr<LogitsProcessor> wrap(LogitsProcessors processors) {
  return make_processor(
      [processors = std::move(processors)](std::span<const int32_t> tokens, std::span<float> logits) mutable {
        processors.process(tokens, logits);
      });
}

int32_t sample(const SamplerHandle& self, const py::object& logprobs, RandomState* random) {
  std::vector<float> row = read_row(logprobs, "[sampler] logprobs");
  RandomState new_one(random == nullptr ? std::random_device()() : 0);
  return make_sampler(self.options, static_cast<int64_t>(row.size()))(row,
                                                                      random == nullptr ? new_one : *random);
}

py::array_t<float> process(const ProcessorHandle& self, const py::object& tokens, const py::object& logits) {
  std::vector<float> row = read_row(logits, "[logits_processors] logits");
  const std::vector<int32_t> ids = read_ids(tokens, "[logits_processors] tokens");
  make_logits_processors(self.options, static_cast<int64_t>(row.size())).process(ids, row);
  const auto n = static_cast<py::ssize_t>(row.size());
  return make_array(std::move(row), {1, n});
}

SamplerHandle checked(SamplerOptions options) {
  // Ids are compared with the vocabulary once the model is known.
  make_sampler(options, INT32_MAX);
  return {std::move(options)};
}

// One handle for each processor that is on, in the order in which they run.
std::vector<ProcessorHandle> separate(const LogitsProcessorOptions& options) {
  // Checks all but whether the model has the ids.
  const auto last = options.logit_bias.rbegin();
  make_logits_processors(options,
                         last == options.logit_bias.rend() ? 1 : std::max<int64_t>(last->first, 0) + 1);
  std::vector<ProcessorHandle> handles;
  const auto add = [&handles](bool is_on, auto copy) {
    if (is_on) copy(handles.emplace_back().options);
  };
  add(!options.logit_bias.empty(), [&](LogitsProcessorOptions& one) { one.logit_bias = options.logit_bias; });
  add(options.repetition_penalty != 0, [&](LogitsProcessorOptions& one) {
    one.repetition_penalty = options.repetition_penalty;
    one.repetition_context_size = options.repetition_context_size;
  });
  add(options.presence_penalty != 0, [&](LogitsProcessorOptions& one) {
    one.presence_penalty = options.presence_penalty;
    one.presence_context_size = options.presence_context_size;
  });
  add(options.frequency_penalty != 0, [&](LogitsProcessorOptions& one) {
    one.frequency_penalty = options.frequency_penalty;
    one.frequency_context_size = options.frequency_context_size;
  });
  return handles;
}

}  // namespace

std::optional<Sampler> read_sampler(py::handle object, int64_t vocab_size,
                                    const std::shared_ptr<Computation>& computation) {
  if (object.is_none()) return std::nullopt;
  if (py::isinstance<SamplerHandle>(object))
    return make_sampler(object.cast<const SamplerHandle&>().options, vocab_size);
  if (PyCallable_Check(object.ptr()) == 0)
    raise(ErrorCode::kInvalidArgument, "[generate] sampler: expected a callable, got {}", described(object));
  const SharedCallable callable = share_callable(py::reinterpret_borrow<py::object>(object));
  return make_custom_sampler(
      [callable, computation](std::span<const float> logprobs) {
        int32_t token = 0;
        computation->call_python([&] { token = read_token((*callable)(row_of(logprobs))); });
        return token;
      },
      vocab_size);
}

LogitsProcessors read_processors(py::handle object, int64_t vocab_size,
                                 const std::shared_ptr<Computation>& computation) {
  LogitsProcessors processors;
  if (object.is_none()) return processors;
  for (const py::handle each : object) {
    if (py::isinstance<ProcessorHandle>(each))
      processors.add(wrap(make_logits_processors(each.cast<const ProcessorHandle&>().options, vocab_size)));
    else if (PyCallable_Check(each.ptr()) != 0)
      processors.add(wrap(share_callable(py::reinterpret_borrow<py::object>(each)), computation));
    else
      raise(ErrorCode::kInvalidArgument, "[generate] logits_processors: expected callables, got {}",
            described(each));
  }
  return processors;
}

void add_sampling(py::module_& module) {
  py::class_<RandomState>(module, "RandomState",
                          "Random numbers of one sequence: equal seeds give equal draws.")
      .def(py::init<uint64_t>(), py::arg("seed"));
  py::class_<SamplerHandle>(module, "Sampler",
                            "What make_sampler gives. Generation draws with the answer's own random numbers.")
      .def("__call__", sample, py::arg("logprobs"), py::arg("random") = py::none());
  py::class_<ProcessorHandle>(module, "LogitsProcessor", "What make_logits_processors gives.")
      .def("__call__", process, py::arg("tokens"), py::arg("logits"));

  // A test compares the names with those of the table of options.
  const SamplerOptions sampler;
  module.def(
      "make_sampler",
      [](float temp, float top_p, float min_p, int64_t min_tokens_to_keep, int64_t top_k,
         float xtc_probability, float xtc_threshold, const std::optional<std::vector<int32_t>>& special) {
        return checked({temp, top_p, min_p, min_tokens_to_keep, top_k, xtc_probability, xtc_threshold,
                        special.value_or(std::vector<int32_t>())});
      },
      py::arg("temp") = sampler.temperature, py::arg("top_p") = sampler.top_p,
      py::arg("min_p") = sampler.min_p, py::arg("min_tokens_to_keep") = sampler.min_tokens_to_keep,
      py::arg("top_k") = sampler.top_k, py::arg("xtc_probability") = sampler.xtc_probability,
      py::arg("xtc_threshold") = sampler.xtc_threshold, py::arg("xtc_special_tokens") = py::none(),
      "How tokens are drawn (docs/SAMPLING.md).");

  const LogitsProcessorOptions processors;
  using Biases = std::map<int32_t, float>;
  using Penalty = std::optional<float>;
  module.def(
      "make_logits_processors",
      [](const std::optional<Biases>& logit_bias, Penalty repetition_penalty, int64_t repetition_context_size,
         Penalty presence_penalty, int64_t presence_context_size, Penalty frequency_penalty,
         int64_t frequency_context_size) {
        return separate({logit_bias.value_or(Biases()), repetition_penalty.value_or(0),
                         repetition_context_size, presence_penalty.value_or(0), presence_context_size,
                         frequency_penalty.value_or(0), frequency_context_size});
      },
      py::arg("logit_bias") = py::none(), py::arg("repetition_penalty") = py::none(),
      py::arg("repetition_context_size") = processors.repetition_context_size,
      py::arg("presence_penalty") = py::none(),
      py::arg("presence_context_size") = processors.presence_context_size,
      py::arg("frequency_penalty") = py::none(),
      py::arg("frequency_context_size") = processors.frequency_context_size,
      "What changes logits before a token is drawn (docs/SAMPLING.md).");
}

}  // namespace lille::python
