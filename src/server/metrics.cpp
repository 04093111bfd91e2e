#include "server/metrics.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace lille {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// To the microsecond: more digits are noise in a log.
double milliseconds(double seconds) { return std::round(1e6 * seconds) / 1e3; }

// "2026-11-26T04:00:00.123Z"
std::string time_text() {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto in_second = now.time_since_epoch().count() % 1000;
  return fmt::format("{:%FT%T}.{:03d}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)), in_second);
}

std::string log_line(const RequestRecord& record) {
  nlohmann::ordered_json line = {{"time", time_text()},
                                 {"request_id", record.id},
                                 {"client", printable(record.client)},
                                 {"method", printable(record.method)},
                                 {"path", record.route},
                                 {"status", record.status},
                                 {"outcome", record.outcome},
                                 {"ms", milliseconds(seconds_since(record.start))}};
  if (record.first_token_s) line["first_token_ms"] = milliseconds(*record.first_token_s);
  if (record.usage.prompt_tokens > 0) {
    line["prompt_tokens"] = record.usage.prompt_tokens;
    line["cached_tokens"] = record.usage.cached_tokens;
    line["completion_tokens"] = record.usage.completion_tokens;
  }
  return json_line(line);
}

std::string metric(std::string_view name, std::string_view type, std::string_view help, double value) {
  return fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, type, value);
}

}  // namespace

void Metrics::Histogram::add(double value) {
  ++counts[static_cast<std::size_t>(std::ranges::lower_bound(kBounds, value) - kBounds.begin())];
  sum += value;
}

std::string Metrics::Histogram::text(std::string_view name, std::string_view help) const {
  std::string text = fmt::format("# HELP {0} {1}\n# TYPE {0} histogram\n", name, help);
  int64_t n_values = 0;
  for (std::size_t idx = 0; idx < kBounds.size(); ++idx) {
    n_values += counts[idx];
    text += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, kBounds[idx], n_values);
  }
  n_values += counts.back();
  return text +
         fmt::format("{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2}\n{0}_count {1}\n", name, n_values, sum);
}

std::shared_ptr<RequestRecord> Metrics::open(RequestRecord record) {
  {
    const std::scoped_lock lock(mutex_);
    ++n_open_;
  }
  return {new RequestRecord(std::move(record)), [this](const RequestRecord* closed) {
            close(*closed);
            delete closed;
          }};
}

int64_t Metrics::n_open() const {
  const std::scoped_lock lock(mutex_);
  return n_open_;
}

void Metrics::close(const RequestRecord& record) {
  {
    const std::scoped_lock lock(mutex_);
    --n_open_;
    ++n_requests_[{record.route, record.status}];
    usage_.prompt_tokens += record.usage.prompt_tokens;
    usage_.cached_tokens += record.usage.cached_tokens;
    usage_.completion_tokens += record.usage.completion_tokens;
    durations_.add(seconds_since(record.start));
    if (record.first_token_s) first_tokens_.add(*record.first_token_s);
  }
  const bool is_good = record.status >= 200 && record.status < 400;
  if (log_ && !(record.is_routine && is_good)) log_(log_line(record));
}

std::string Metrics::text(const SchedulerStats& stats) const {
  const PrefixCache::Stats& prefix = stats.prefix;
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  std::string text =
      metric("lille_queue_length", "gauge", "Answers and readings that wait.", number(stats.n_waiting)) +
      metric("lille_answers_running", "gauge", "Answers that are made.", number(stats.n_running)) +
      metric("lille_refused_total", "counter", "Requests that found the queue full.",
             number(stats.n_refused)) +
      metric("lille_answers_finished_total", "counter", "Answers that came to their end.",
             number(stats.n_finished)) +
      metric("lille_answers_canceled_total", "counter", "Answers that nobody wanted any more.",
             number(stats.n_canceled)) +
      metric("lille_answers_failed_total", "counter", "Answers that ended with an error.",
             number(stats.n_failed)) +
      metric("lille_passes_total", "counter", "Forward passes that made answers.", number(stats.n_passes)) +
      metric("lille_generated_tokens_total", "counter", "Tokens that were generated.",
             number(stats.n_generated_tokens)) +
      metric("lille_prefix_lookups_total", "counter", "Prompts looked up in the prefix cache.",
             number(prefix.n_lookups)) +
      metric("lille_prefix_hits_total", "counter", "Of these, how many had a beginning there.",
             number(prefix.n_hits)) +
      metric("lille_prefix_prompt_tokens_total", "counter", "Tokens of the prompts looked up.",
             number(prefix.n_prompt_tokens)) +
      metric("lille_prefix_reused_tokens_total", "counter", "Of these, tokens that were not read again.",
             number(prefix.n_reused_tokens)) +
      metric("lille_prefix_evicted_blocks_total", "counter", "Blocks that left the prefix cache.",
             number(prefix.n_evicted_blocks)) +
      metric("lille_prefix_bytes", "gauge", "Bytes of the prefix cache.", number(prefix.n_bytes)) +
      metric("lille_step_seconds", "gauge", "How long the step that runs has lasted.", stats.step_s);
  const std::scoped_lock lock(mutex_);
  text += metric("lille_requests_open", "gauge", "Requests that are answered.", number(n_open_));
  text += "# HELP lille_requests_total Requests by path and status.\n# TYPE lille_requests_total counter\n";
  for (const auto& [key, count] : n_requests_)
    text +=
        fmt::format("lille_requests_total{{path=\"{}\",status=\"{}\"}} {}\n", key.first, key.second, count);
  text += metric("lille_prompt_tokens_total", "counter", "Tokens of prompts.", number(usage_.prompt_tokens));
  text += metric("lille_cached_prompt_tokens_total", "counter", "Of these, tokens that were not read again.",
                 number(usage_.cached_tokens));
  text += metric("lille_completion_tokens_total", "counter", "Tokens of answers.",
                 number(usage_.completion_tokens));
  text += durations_.text("lille_request_seconds", "Time from a request to the end of its reply.");
  return text + first_tokens_.text("lille_first_token_seconds", "Time from a request to its first token.");
}

}  // namespace lille
