#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "server/answer_json.h"
#include "server/scheduler.h"

namespace lille {

/// What became of one request.
struct RequestRecord {
  std::string id;      ///< X-Request-Id.
  std::string client;  ///< The address that it came from, as trusted proxies say.
  std::string method;
  std::string route;                 ///< One of the server's paths; "other" for any other.
  bool is_routine = false;           ///< Is logged only if it fails.
  int status = 0;                    ///< 0: none was sent yet.
  std::string outcome = "finished";  ///< Or "refused", "failed", "canceled" (the client has gone), "timeout".
  Usage usage;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  std::optional<double> first_token_s;  ///< Seconds until the first token was there.
};

/// Receives one line about one request.
using LogCallback = std::function<void(std::string_view line)>;

/// Counts requests, and tells them to a log. Any thread uses it.
class Metrics {
 public:
  /// @param log  may be empty; called by any thread.
  explicit Metrics(LogCallback log) : log_(std::move(log)) {}

  /// A record that is counted and logged when its last owner lets go of it.
  std::shared_ptr<RequestRecord> open(RequestRecord record);
  /// Records that are open.
  int64_t n_open() const;

  /// Everything in Prometheus' text format.
  std::string text(const SchedulerStats& stats) const;

 private:
  // Counts of values up to a bound each, as Prometheus has them.
  struct Histogram {
    static constexpr std::array<double, 14> kBounds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                       1,     2.5,  5,     10,   30,  60,   120};
    std::array<int64_t, kBounds.size() + 1> counts = {};
    double sum = 0;

    void add(double value);
    std::string text(std::string_view name, std::string_view help) const;
  };

  void close(const RequestRecord& record);

  LogCallback log_;
  mutable std::mutex mutex_;  // of the rest
  int64_t n_open_ = 0;
  std::map<std::pair<std::string, int>, int64_t> n_requests_;  // by route and status
  Usage usage_;
  Histogram durations_;
  Histogram first_tokens_;
};

}  // namespace lille
