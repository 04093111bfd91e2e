#pragma once

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

// llama.cpp as a peer: the CPU library inside npm's node-llama-cpp, loaded at run time. Nothing of it is
// linked.

namespace lille {

/// The part of llama.h's C interface that is used. Parameters are passed whole and by value, and their size
/// differs between versions, so they are a block larger than any; what is set in it stands at its beginning.
struct alignas(16) Params {
  std::array<std::byte, 1024> bytes{};
};

/// Tokens of a call, an element of each array for one.
struct Batch {
  int32_t n_tokens;
  int32_t* token;
  float* embd;
  int32_t* pos;
  int32_t* n_seq_id;
  int32_t** seq_id;
  int8_t* logits;
};

/// The beginning of its parameters of a context.
struct ContextParams {
  uint32_t n_ctx;
  uint32_t n_batch;
  uint32_t n_ubatch;
  uint32_t n_seq_max;
};

/// A loaded library, which stays loaded.
class Library {
 public:
  explicit Library(const std::filesystem::path& path)
      : handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL)) {
    if (handle_ == nullptr) throw std::runtime_error(dlerror());
  }

  template <typename Function>
  Function* find(const char* name) const {
    void* address = dlsym(handle_, name);
    if (address == nullptr) throw std::runtime_error(fmt::format("{} is not in the library", name));
    Function* function;
    std::memcpy(&function, &address, sizeof(function));
    return function;
  }

 private:
  void* handle_;
};

/// The library's file: its name ends in a version.
inline std::filesystem::path library_file(const std::filesystem::path& folder, std::string_view stem) {
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().filename().string().starts_with(stem)) return entry.path();
  throw std::runtime_error(fmt::format("no {}* in {}", stem, folder.string()));
}

/// Both libraries, with the back ends for this processor.
struct Llama {
  Library ggml;
  Library llama;

  explicit Llama(const std::filesystem::path& folder)
      : ggml(library_file(folder, "libggml.")), llama(library_file(folder, "libllama.")) {
    llama.find<void(void (*)(int, const char*, void*), void*)>("llama_log_set")(
        [](int, const char*, void*) {}, nullptr);
    llama.find<void()>("llama_backend_init")();
    ggml.find<void(const char*)>("ggml_backend_load_all_from_path")(folder.c_str());
  }

  Params context_params() const { return llama.find<Params()>("llama_context_default_params")(); }

  void* load(const std::string& path) const {
    const Params params = llama.find<Params()>("llama_model_default_params")();
    void* model = llama.find<void*(const char*, Params)>("llama_model_load_from_file")(path.c_str(), params);
    if (model == nullptr) throw std::runtime_error(fmt::format("llama.cpp cannot load {}", path));
    return model;
  }
  void release(void* model) const { llama.find<void(void*)>("llama_model_free")(model); }
};

/// A token to read: where, of which sequence, and whether it gets logits.
struct PeerToken {
  int32_t id;
  int32_t position;
  int32_t sequence;
  bool wants_logits;
};

/// A context of a model with its threads.
class PeerContext {
 public:
  /// @param params  llama_context_default_params, changed where need be; `sizes` go over their beginning.
  PeerContext(const Llama& llama, void* model, Params params, const ContextParams& sizes, int32_t n_threads)
      : llama_(llama.llama) {
    std::memcpy(params.bytes.data(), &sizes, sizeof(sizes));
    context_ = llama_.find<void*(void*, Params)>("llama_init_from_model")(model, params);
    if (context_ == nullptr) throw std::runtime_error("llama.cpp made no context");
    if (llama_.find<uint32_t(void*)>("llama_n_seq_max")(context_) != sizes.n_seq_max)
      throw std::runtime_error("llama.cpp's parameters of a context begin otherwise than they did");
    llama_.find<void(void*, int32_t, int32_t)>("llama_set_n_threads")(context_, n_threads, n_threads);
  }
  ~PeerContext() { llama_.find<void(void*)>("llama_free")(context_); }
  PeerContext(const PeerContext&) = delete;
  PeerContext& operator=(const PeerContext&) = delete;

  void clear() const {
    llama_.find<void(void*, bool)>("llama_memory_clear")(
        llama_.find<void*(void*)>("llama_get_memory")(context_), false);
  }

  void decode(const std::vector<PeerToken>& tokens) const {
    std::vector<int32_t> ids, positions, sequences;
    std::vector<int8_t> wants_logits;
    for (const PeerToken& token : tokens) {
      ids.push_back(token.id);
      positions.push_back(token.position);
      sequences.push_back(token.sequence);
      wants_logits.push_back(token.wants_logits ? 1 : 0);
    }
    std::vector<int32_t> counts(tokens.size(), 1);
    std::vector<int32_t*> sequence_of;
    for (int32_t& sequence : sequences) sequence_of.push_back(&sequence);
    const Batch batch = {static_cast<int32_t>(tokens.size()),
                         ids.data(),
                         nullptr,
                         positions.data(),
                         counts.data(),
                         sequence_of.data(),
                         wants_logits.data()};
    if (llama_.find<int32_t(void*, Batch)>("llama_decode")(context_, batch) != 0)
      throw std::runtime_error("llama_decode failed");
  }

  /// Of a token of the last decode that wanted them.
  const float* logits(int64_t token_idx) const {
    const float* values = llama_.find<float*(void*, int32_t)>("llama_get_logits_ith")(
        context_, static_cast<int32_t>(token_idx));
    if (values == nullptr)
      throw std::runtime_error(fmt::format("llama.cpp has no logits of token {}", token_idx));
    return values;
  }

 private:
  const Library& llama_;
  void* context_ = nullptr;
};

/// main of a program: what went wrong goes to stderr.
inline int peer_main(const char* name, int (*run)(int, char**), int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& failure) {
    fmt::print(stderr, "{}: {}\n", name, failure.what());
    return 1;
  }
}

}  // namespace lille
