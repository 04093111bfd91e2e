#include <chrono>
#include <memory>
#include <optional>

#include "cli/cli.h"
#include "cli/hub_environment.h"

namespace lille::cli {
namespace {

/// The bar of the file that is under way, and lines that do not run into it.
class Display {
 public:
  void progress(const HubProgress& progress) {
    if (file_ != progress.file) {
      file_ = progress.file;
      bar_.emplace(printable(file_, 40));
      last_shown_ = {};
    }
    const auto moment = std::chrono::steady_clock::now();
    if (progress.n_done < progress.n_total && moment - last_shown_ < std::chrono::milliseconds(100)) return;
    last_shown_ = moment;
    bar_->show_bytes(progress.n_done, progress.n_total);
  }

  void tell(std::string_view message) {
    bar_.reset();
    file_.clear();
    note(message);
  }

 private:
  std::string file_;
  std::optional<ProgressBar> bar_;
  std::chrono::steady_clock::time_point last_shown_;
};

}  // namespace

HubOptions read_hub_options() {
  HubOptions options = read_hub_environment(note);
  const auto display = std::make_shared<Display>();
  options.on_progress = [display](const HubProgress& progress) { display->progress(progress); };
  options.on_note = [display](std::string_view message) { display->tell(message); };
  return options;
}

}  // namespace lille::cli
