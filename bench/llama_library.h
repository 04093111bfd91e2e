#pragma once

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

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

  void* load(const std::string& path) const {
    const Params params = llama.find<Params()>("llama_model_default_params")();
    void* model = llama.find<void*(const char*, Params)>("llama_model_load_from_file")(path.c_str(), params);
    if (model == nullptr) throw std::runtime_error(fmt::format("llama.cpp cannot load {}", path));
    return model;
  }
  void release(void* model) const { llama.find<void(void*)>("llama_model_free")(model); }
};

}  // namespace lille
