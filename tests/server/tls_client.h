#pragma once

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "server/certificate.h"

namespace lille::test {

/// The client's side of TLS on a connected socket, which stays the caller's. It trusts one certificate.
class TlsClient {
 public:
  TlsClient(int socket, const TestCertificate& trusted)
      : context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free), ssl_(nullptr, SSL_free) {
    SSL_CTX_load_verify_locations(context_.get(), trusted.certificate_path().c_str(), nullptr);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    // Versions that the server must refuse are to be refused by it.
    SSL_CTX_set_security_level(context_.get(), 0);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), socket);
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), "127.0.0.1");
  }

  void use_version(int version) {
    SSL_set_min_proto_version(ssl_.get(), version);
    SSL_set_max_proto_version(ssl_.get(), version);
  }
  bool shake_hands() { return SSL_connect(ssl_.get()) == 1; }
  SSL* ssl() { return ssl_.get(); }

  bool send(std::string_view bytes) {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
  }
  /// Takes what comes until `text` stands in it, or to the end. All that came so far.
  const std::string& read_until(std::string_view text) {
    std::array<char, 4096> chunk;
    while (received_.find(text) == std::string::npos) {
      const int n_read = SSL_read(ssl_.get(), chunk.data(), static_cast<int>(chunk.size()));
      if (n_read <= 0) break;
      received_.append(chunk.data(), static_cast<std::size_t>(n_read));
    }
    return received_;
  }
  /// Everything up to the end of the session.
  const std::string& read_all() { return read_until(std::string_view("\0never sent", 11)); }
  void forget() { received_.clear(); }
  /// Whether the server has said that nothing more comes, rather than gone away.
  bool was_ended() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }

 private:
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  std::string received_;
};

}  // namespace lille::test
