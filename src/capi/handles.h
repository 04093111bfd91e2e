#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "generate/options.h"
#include "lille.h"
#include "lille/draft.h"
#include "lille/hub.h"
#include "lille/model.h"
#include "lille/tokenizer.h"

/// What stands behind the handles of the C API.

struct lille_options {
  lille::ModelOptions model;  ///< Without the model itself, which lille_model_load is given.
  lille::ComputeOptions compute;
  lille::DraftOptions draft;
  lille::GenerationOptions generation;
  std::string cache_folder;
  std::optional<lille::HubOptions> hub;  ///< Empty: a model is a path.
  lille_warning_callback on_warning = nullptr;
  void* on_warning_data = nullptr;
};

struct lille_tokenizer {
  lille::Tokenizer tokenizer;
  std::optional<lille::Error> template_fault;  ///< Why chats of this tokenizer have another form.
};

struct lille_model {
  lille::Model model;
  std::optional<lille_tokenizer> tokenizer;
  lille::GenerationDefaults defaults;
  std::string form;
};

struct lille_session {
  lille_session(const lille_model& model_handle, const lille_options& options);

  lille_model model;
  lille::Session session;
  lille::PromptCache cache;  ///< What the last answer left, for the next one to begin with.
  std::unique_ptr<lille::Session> draft_session;
  std::unique_ptr<lille::Drafter> drafter;
  lille::DraftOptions draft;
  std::atomic<bool> is_busy = false;
  std::mutex mutex;           ///< Of `cancel`.
  std::stop_source cancel{};  ///< Of the call that runs.
};

namespace lille::capi {

/// Those of the caller, or, for null, options of which none is set.
const lille_options& options_or_none(const lille_options* options) noexcept;

/// Loads a model as these options say.
/// @param name  a path, or with options.hub a name on the hub, too.
Model load_model(const std::string& name, const lille_options& options);

/// A tokenizer with what is to be known of it, from what Model::path names.
lille_tokenizer load_tokenizer(const std::filesystem::path& model);

/// The tokenizer of a model. @throws Error(kNotFound) if it came without one.
const lille_tokenizer& tokenizer_of(const lille_model& model, std::string_view where);

/// A session while one call uses it.
class SessionUse {
 public:
  /// @throws Error(kInvalidArgument) if another call does.
  SessionUse(lille_session& session, std::string_view where);
  ~SessionUse();
  SessionUse(const SessionUse&) = delete;
  SessionUse& operator=(const SessionUse&) = delete;

  /// What lille_session_cancel requests during this call.
  std::stop_token cancel() const { return cancel_.get_token(); }

 private:
  lille_session& session_;
  std::stop_source cancel_;
};

}  // namespace lille::capi
