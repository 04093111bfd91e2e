#include "server/api.h"

#include <algorithm>
#include <ctime>
#include <new>

#include "base/text.h"
#include "server/text_endpoints.h"
#include "server/web.h"

namespace lille {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kModelsPrefix = "/v1/models/";
constexpr std::size_t kMaxIdChars = 64;

int64_t seconds_since_1970() { return static_cast<int64_t>(std::time(nullptr)); }

// A number that looks like none of its neighbours.
uint64_t mixed(uint64_t state) {
  state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9u;
  state = (state ^ (state >> 27)) * 0x94D049BB133111EBu;
  return state ^ (state >> 31);
}

bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= kMaxIdChars && std::ranges::all_of(text, [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  });
}

ApiReply json_reply(const ordered_json& body, int status = 200) {
  ApiReply reply;
  reply.status = status;
  reply.body = json_line(body);
  return reply;
}

}  // namespace

const Api::Route Api::kRoutes[] = {{"/v1/chat/completions", "POST", true, false, &Api::chat_completions},
                                   {"/v1/completions", "POST", true, false, &Api::completions},
                                   {"/v1/embeddings", "POST", true, false, &Api::embeddings},
                                   {"/v1/score", "POST", true, false, &Api::score},
                                   {"/v1/inspect", "POST", true, false, &Api::inspect},
                                   {"/v1/tokenize", "POST", true, false, &Api::tokenize},
                                   {"/v1/detokenize", "POST", true, false, &Api::detokenize},
                                   {"/v1/models", "GET", true, false, &Api::models},
                                   {"/v1/models/{id}", "GET", true, false, &Api::one_model},
                                   {"/health", "GET", false, true, &Api::health},
                                   {"/metrics", "GET", true, true, &Api::metrics},
                                   {kPagePath, "GET", false, true, &Api::page}};

Api::Api(Scheduler& scheduler, ServedModel model, const ServerOptions& options, uint64_t seed,
         LogCallback log)
    : scheduler_(scheduler),
      model_(std::move(model)),
      options_(options),
      access_(options),
      metrics_(options.access_log == "off" ? LogCallback() : std::move(log)),
      seed_(seed),
      start_s_(seconds_since_1970()) {
  check_ranges(options);
  model_.is_strict = options.strict;
  model_.refuses_system = options.system_messages == "refuse";
}

const Api::Route* Api::find_route(const ApiRequest& request) {
  for (const Route& route : kRoutes)
    if (request.path == route.path ||
        (route.endpoint == &Api::one_model && request.path.starts_with(kModelsPrefix)) ||
        (route.endpoint == &Api::page && web_file(request.path)))
      return &route;
  return nullptr;
}

const Api::Route& Api::checked_route(const ApiRequest& request) {
  const Route* route = find_route(request);
  if (route == nullptr)
    throw RefusedRequest(404,
                         fmt::format("[server] there is no {}. Hint: docs/SERVER.md lists what there is",
                                     printable(request.path)),
                         "", "not_found");
  // HEAD is GET without a body.
  if (request.method != route->method && !(request.method == "HEAD" && route->method == "GET"))
    throw RefusedRequest(405,
                         fmt::format("[server] {}: expected {}, got {}", route->path, route->method,
                                     printable(request.method)),
                         "", "method_not_allowed");
  return *route;
}

uint64_t Api::next_number() { return mixed(seed_ + 0x9E3779B97F4A7C15u * ++n_requests_); }

std::shared_ptr<RequestRecord> Api::open_record(const ApiRequest& request) {
  const std::string said = request.header("x-request-id");
  const Route* route = find_route(request);
  return metrics_.open({.id = is_id(said) ? said : fmt::format("{:016x}", next_number()),
                        .client = request.client,
                        .method = request.method,
                        .route = std::string(route == nullptr ? "other" : route->path),
                        .is_routine = options_.access_log == "api" && route != nullptr && route->is_routine,
                        .usage = {},
                        .first_token_s = {}});
}

void Api::check_head(const ApiRequest& request) const {
  const Route* route = find_route(request);
  access_.check(request, route == nullptr || route->needs_key);
  const Route& found = checked_route(request);
  if (is_draining_ && found.endpoint != &Api::health && found.endpoint != &Api::metrics)
    throw RefusedRequest(503, "[server] the server is about to end. Hint: ask another one", "",
                         "shutting_down");
}

std::optional<ApiReply> Api::refuse_head(const ApiRequest& request) {
  try {
    if (!access_.preflight(request)) check_head(request);
    return std::nullopt;
  } catch (const RefusedRequest& error) {
    return refuse(request, error);
  }
}

ApiReply Api::refuse(const ApiRequest& request, const RefusedRequest& error) {
  const std::shared_ptr<RequestRecord> record = open_record(request);
  return finished(error_reply(error, *record), request, *record);
}

ApiReply Api::error_reply(const Error& error, RequestRecord& record) const {
  ApiReply reply;
  reply.status = status_of(error);
  reply.body = error_body(error);
  if (reply.status == 429 || reply.status == 503) reply.headers.emplace_back("Retry-After", "1");
  if (reply.status == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (reply.status == 405) reply.headers.emplace_back("Allow", "GET, POST");
  record.outcome = reply.status == kClientGone ? "canceled"
                   : reply.status == 504       ? "timeout"
                   : reply.status < 500        ? "refused"
                                               : "failed";
  return reply;
}

ApiReply Api::finished(ApiReply reply, const ApiRequest& request, RequestRecord& record) const {
  record.status = reply.status;
  reply.headers.emplace_back("X-Request-Id", record.id);
  for (auto& header : access_.cors_headers(request)) reply.headers.push_back(std::move(header));
  return reply;
}

ApiReply Api::answer(const ApiRequest& request, const std::shared_ptr<RequestRecord>& record) {
  if (std::optional<ApiReply> reply = access_.preflight(request)) return std::move(*reply);
  check_head(request);
  const Exchange exchange = {scheduler_,
                             model_,
                             request,
                             record,
                             record->start + std::chrono::seconds(options_.request_timeout),
                             next_number(),
                             seconds_since_1970()};
  return (this->*checked_route(request).endpoint)(exchange);
}

ApiReply Api::handle(const ApiRequest& request) {
  const std::shared_ptr<RequestRecord> record = open_record(request);
  try {
    return finished(answer(request, record), request, *record);
  } catch (const Error& error) {
    return finished(error_reply(error, *record), request, *record);
  } catch (const std::bad_alloc&) {
    const Error error(ErrorCode::kOutOfMemory, "[server] there is not enough memory for this request");
    return finished(error_reply(error, *record), request, *record);
  } catch (const std::exception& failure) {
    const Error error(ErrorCode::kInternal, "[server] " + printable(failure.what(), 200));
    return finished(error_reply(error, *record), request, *record);
  }
}

ApiReply Api::chat_completions(const Exchange& exchange) {
  const GenerationRequest request = read_chat_request(parse_answer_body(exchange.request.body), model_);
  ApiReply reply = answer_request(exchange, request);
  tell_ignored(reply, request.ignored);
  return reply;
}

ApiReply Api::completions(const Exchange& exchange) {
  const GenerationRequest request = read_completion_request(parse_answer_body(exchange.request.body), model_);
  ApiReply reply = answer_request(exchange, request);
  tell_ignored(reply, request.ignored);
  return reply;
}

ApiReply Api::embeddings(const Exchange& exchange) {
  return embed_texts(exchange, parse_body(exchange.request.body));
}

ApiReply Api::score(const Exchange& exchange) {
  return score_continuations(exchange, parse_body(exchange.request.body));
}

ApiReply Api::inspect(const Exchange& exchange) {
  return inspect_text(exchange, parse_body(exchange.request.body));
}

ApiReply Api::tokenize(const Exchange& exchange) {
  return tokenize_text(exchange, parse_body(exchange.request.body));
}

ApiReply Api::detokenize(const Exchange& exchange) {
  return detokenize_ids(exchange, parse_body(exchange.request.body));
}

namespace {

ordered_json model_json(const ServedModel& model, int64_t created) {
  return {{"id", model.id},
          {"object", "model"},
          {"created", created},
          {"owned_by", "lille"},
          {"max_model_len", model.args.block_size}};
}

}  // namespace

ApiReply Api::models(const Exchange&) {
  ordered_json list = {{"object", "list"}, {"data", ordered_json::array()}};
  list["data"].push_back(model_json(model_, start_s_));
  return json_reply(list);
}

ApiReply Api::one_model(const Exchange& exchange) {
  const std::string id = exchange.request.path.substr(kModelsPrefix.size());
  if (id != model_.id)
    throw RefusedRequest(
        404,
        fmt::format("model: expected \"{}\", the model that is served, got \"{}\"", model_.id, printable(id)),
        "model", "model_not_found");
  return json_reply(model_json(model_, start_s_));
}

// What a balancer is to know: whether a request that comes now would be answered.
ApiReply Api::health(const Exchange&) {
  const SchedulerStats stats = scheduler_.stats();
  const bool is_stuck = stats.step_s > static_cast<double>(options_.stuck_after);
  const char* status = is_draining_ ? "draining" : is_stuck ? "stuck" : "ok";
  ordered_json body = {{"status", status},
                       {"running", stats.n_running},
                       {"waiting", stats.n_waiting},
                       {"step_seconds", stats.step_s}};
  // The next step may be a good one, and no balancer would send it a request if this were no 200.
  if (!stats.fault.empty()) body["last_fault"] = stats.fault;
  return json_reply(body, is_draining_ || is_stuck ? 503 : 200);
}

ApiReply Api::page(const Exchange& exchange) {
  return web_reply(web_file(exchange.request.path).value(), exchange.request);
}

ApiReply Api::metrics(const Exchange&) {
  ApiReply reply;
  reply.content_type = "text/plain; version=0.0.4";
  reply.body = metrics_.text(scheduler_.stats());
  return reply;
}

}  // namespace lille
