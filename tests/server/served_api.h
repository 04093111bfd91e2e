#pragma once

#include <memory>
#include <string>

#include "server/api_client.h"
#include "server/http_server.h"

namespace lille::test {

/// The small model behind a port of this machine.
class ServedApi : public ApiClient {
 protected:
  static constexpr const char* kClose = "Connection: close\r\n";
  static constexpr const char* kBody = R"({"prompt": "x", "max_tokens": 2, "seed": 1})";

  void serve(ServerOptions options = {}, const SchedulerOptions& scheduling = {}) {
    options.port = 0;
    // One that served before uses what is about to go.
    server_.reset();
    start(options, scheduling);
    server_ = std::make_unique<HttpServer>(*api_, options);
    server_->start();
  }

  static std::string head(const std::string& first, const std::string& headers = "") {
    return first + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n";
  }
  static std::string post_text(const std::string& path, const std::string& body,
                               const std::string& headers = "") {
    return head("POST " + path, headers + "Content-Length: " + std::to_string(body.size()) + "\r\n") + body;
  }

  std::unique_ptr<HttpServer> server_;
};

}  // namespace lille::test
