#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>

#include "base/descriptor_limit.h"
#include "base/heap.h"
#include "base/interrupt.h"
#include "cli/cli.h"
#include "server/http_server.h"
#include "server/scheduler.h"
#include "server/tls.h"
#include "server/trusted_proxies.h"

namespace lille::cli {
namespace {

struct ServeArguments {
  ServerOptions server;
  ModelOptions model;
  ComputeOptions compute;
};

uint64_t random_seed() {
  std::random_device source;
  return uint64_t{source()} << 32 | source();
}

// "lille-tiny-8bit" for .../models/lille-tiny-8bit, OWNER/NAME for a model of the hub.
std::string model_id(const ServeArguments& arguments, const Model& model) {
  if (!arguments.server.model_id.empty()) return arguments.server.model_id;
  std::error_code ignored;
  const std::string& named = arguments.model.model;
  if (!named.empty() && !std::filesystem::exists(named, ignored)) return named;
  std::filesystem::path path = model.path().lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return printable_path(path.filename());
}

SchedulerOptions scheduler_options(const ServerOptions& options) {
  return {.completion_batch_size = options.batch.completion_batch_size,
          .prefill_batch_size = options.batch.prefill_batch_size,
          .prefill_step_size = options.prefill_step_size,
          .max_queue = options.max_queue,
          .prefix_cache_bytes = options.prefix_cache_mib << 20};
}

// Whether a server still listens, as its threads tell.
class Listening {
 public:
  void fail() {
    const std::scoped_lock lock(mutex_);
    has_failed_ = true;
    changed_.notify_all();
  }
  // Returns at a signal, or whether the server has failed.
  bool wait_for(const std::stop_token& signal) {
    std::unique_lock lock(mutex_);
    return changed_.wait(lock, signal, [this] { return has_failed_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool has_failed_ = false;
};

// Descriptors beside those of connections: the listening socket, files of the model, standard streams.
constexpr int64_t kOtherDescriptors = 32;

void check_descriptors(const ServerOptions& options) {
  const int64_t limit = raise_descriptor_limit();
  const int64_t wanted = options.max_connections + kOtherDescriptors;
  if (limit >= wanted) return;
  warn(fmt::format(
      "--max-connections {}: the system lets this process have {} open files (ulimit -Hn), which is enough "
      "for {} connections. Hint: LimitNOFILE={} in a systemd unit, or fewer connections",
      options.max_connections, limit, std::max<int64_t>(limit - kOtherDescriptors, 0), wanted));
}

void run_serve(const ServeArguments& arguments, const Environment& environment) {
  check_ranges(arguments.server);
  keep_heap_tight();
  check_descriptors(arguments.server);
  // Before anything is loaded.
  const AccessRules rules(arguments.server);
  make_tls_context(arguments.server);
  const TrustedProxies proxies(arguments.server.trusted_proxy);
  Interrupts interrupts(Interrupts::Signals::kInterruptAndTerminate);
  const Model model = load_model(arguments.model, environment);
  check_chat_template(model.path());
  ServedModel served = {model_id(arguments, model), load_tokenizer(model), model.args(),
                        load_generation_defaults(model.path())};
  Session session = make_session(model, arguments.model, arguments.compute, environment);
  Scheduler scheduler(session, served.tokenizer, scheduler_options(arguments.server));
  Api api(scheduler, std::move(served), arguments.server, random_seed(),
          [](std::string_view line) { print_to_stderr(std::string(line) + "\n"); });
  // Outlives the server, whose threads tell it.
  Listening listening;
  HttpServer server(api, arguments.server);
  server.start([&listening] { listening.fail(); });
  print(server.url() + "\n");
  if (listening.wait_for(interrupts.token()))
    raise(ErrorCode::kIo, "[serve] {}: the system gives no more connections. Hint: start it again",
          server.url());
  interrupts.forget();
  note(fmt::format("stopping; requests under way have {} s. A second signal ends them at once",
                   arguments.server.grace));
  server.stop(static_cast<double>(arguments.server.grace), interrupts.token());
}

}  // namespace

void add_serve(CLI::App& program, const Environment& environment) {
  CLI::App* command = program.add_subcommand(
      "serve",
      "Answers requests of OpenAI's HTTP API, many at once, until a signal (SIGINT, SIGTERM) ends it.");
  const auto arguments = std::make_shared<ServeArguments>();
  add_options(*command, arguments->server);
  add_options(*command, arguments->model);
  add_options(*command, arguments->compute);
  add_example(*command, "lille serve --port 0");
  command->callback([arguments, environment] { run_serve(*arguments, environment); });
}

}  // namespace lille::cli
