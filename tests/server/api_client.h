#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/api.h"
#include "server/tiny.h"

namespace lille::test {

/// An Api over the small model, called without sockets.
class ApiClient : public TinyModel {
 protected:
  using json = nlohmann::json;

  /// Makes the server; done by the first request if a test does not.
  void start(const ServerOptions& options = {}, const SchedulerOptions& scheduling = {}) {
    scheduler_ = std::make_unique<Scheduler>(session_, tokenizer_, scheduling);
    api_ = std::make_unique<Api>(*scheduler_, served(), options, 7, [this](std::string_view line) {
      const std::scoped_lock lock(log_mutex_);
      log_.emplace_back(line);
    });
  }

  ServedModel served() const {
    return {"tiny", tokenizer_, model_.args(), load_generation_defaults(model_.path())};
  }

  ApiReply send(ApiRequest request) {
    if (!api_) start();
    request.headers.emplace("host", "127.0.0.1:8080");
    return api_->handle(request);
  }
  ApiReply get(const std::string& path) { return send({.method = "GET", .path = path}); }
  ApiReply post(const std::string& path, const std::string& body) {
    return send({.method = "POST", .path = path, .body = body});
  }

  /// The reply to a request that succeeds.
  json answer(const std::string& path, const json& body) {
    const ApiReply reply = post(path, body.dump());
    EXPECT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.content_type, "application/json");
    return json::parse(reply.body);
  }

  /// Expects that a request is refused with this status, that the error names `param` (empty: no field), and
  /// that its message contains `part`.
  void expect_refused(int status, const std::string& param, const std::string& part, const std::string& path,
                      const std::string& body) {
    const ApiReply reply = post(path, body);
    EXPECT_EQ(reply.status, status) << body;
    ASSERT_TRUE(json::accept(reply.body)) << reply.body;
    const json error = json::parse(reply.body).at("error");
    EXPECT_EQ(error.at("param"), param.empty() ? json() : json(param)) << body << reply.body;
    EXPECT_NE(error.at("message").get<std::string>().find(part), std::string::npos)
        << "expected \"" << part << "\" in " << reply.body;
    EXPECT_TRUE(error.at("type").is_string());
  }

  /// The data of every event of a stream, in order.
  static std::vector<std::string> events(ApiReply& reply) {
    EXPECT_EQ(reply.content_type, "text/event-stream");
    std::string text;
    if (!reply.stream) {
      ADD_FAILURE() << "no stream: " << reply.body;
      return {};
    }
    while (const std::optional<std::string> piece = reply.stream->next(kLong)) text += *piece;
    reply.stream.reset();
    std::vector<std::string> all;
    constexpr std::string_view kData = "data: ";
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = text.find("\n\n", begin);
      EXPECT_EQ(text.substr(begin, kData.size()), kData);
      all.push_back(text.substr(begin + kData.size(), end - begin - kData.size()));
      begin = end + 2;
    }
    return all;
  }

  std::string header(const ApiReply& reply, std::string_view name) const {
    for (const auto& [key, value] : reply.headers)
      if (key == name) return value;
    return "";
  }

  std::vector<std::string> log() {
    const std::scoped_lock lock(log_mutex_);
    return log_;
  }

  std::mutex log_mutex_;
  std::vector<std::string> log_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<Api> api_;
};

}  // namespace lille::test
