#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/connection.h"
#include "server/patience.h"
#include "server/server_options.h"

namespace lille {

/// A server's certificate and key, and what of TLS it speaks: versions 1.2 and 1.3 with HTTP/1.1 inside; no
/// renegotiation, no resumption of earlier sessions. It does not change, and any number of threads use it.
class TlsContext {
 public:
  /// @param certificate  PEM: the server's certificate, then those of who signed it, without the root.
  /// @param key          PEM: the certificate's private key, without a passphrase.
  /// @throws Error(kNotFound) or Error(kIo) if a file cannot be read; Error(kInvalidArgument) that names the
  ///   option and the file if it holds something else, or the key is that of another certificate.
  TlsContext(const std::filesystem::path& certificate, const std::filesystem::path& key);

  SSL_CTX* get() const noexcept { return context_.get(); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
};

/// What --tls-cert and --tls-key say; empty if neither is given.
/// @throws Error(kInvalidArgument) if only one is given, and as TlsContext does.
std::optional<TlsContext> make_tls_context(const ServerOptions& options);

/// The server's side of TLS on one connection. OpenSSL works in memory; every byte comes and goes through the
/// Connection, so that each call ends by its time as those of the Connection do. One thread uses it.
class TlsSession {
 public:
  enum class Handshake { kDone, kPlainHttp, kFailed };

  /// @param connection  outlives this object.
  TlsSession(const TlsContext& context, Connection& connection) noexcept;
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  /// Agrees with the client on keys. kPlainHttp: it sent a request of HTTP as it is, and nothing was
  /// answered.
  Handshake shake_hands(Connection::Time until) noexcept;
  /// As Connection::read.
  std::size_t read(char* bytes, std::size_t max_bytes, Connection::Time until) noexcept;
  /// Sends some bytes, at least one, unless the connection breaks or the patience with it is over.
  /// @return how many; 0 if it is.
  std::size_t write(const char* bytes, std::size_t n_bytes, Patience& patience) noexcept;
  /// As Connection::wait_readable.
  bool wait_readable(Connection::Time until) noexcept;
  /// Whether the client has said that it sends no more, as far as its bytes are there.
  bool has_ended() noexcept;
  /// Tells the client that nothing more comes, unless the session broke before.
  void end(Connection::Time until) noexcept;

 private:
  struct Free {
    void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
  };

  bool goes_on(int result, Connection::Time until) noexcept;
  std::size_t send_some(Connection::Time until) noexcept;
  bool send_all(Connection::Time until) noexcept;
  bool take_some(Connection::Time until) noexcept;

  Connection& connection_;
  std::unique_ptr<SSL, Free> ssl_;
  BIO* incoming_ = nullptr;  // of ssl_, as is outgoing_
  BIO* outgoing_ = nullptr;
  std::size_t n_sent_ = 0;  // of what is in outgoing_
  bool is_open_ = false;    // hands are shaken and nothing broke
};

}  // namespace lille
