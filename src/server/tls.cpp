#include "server/tls.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"

namespace lille {
namespace {

constexpr std::size_t kMaxPemBytes = 1 << 20;
// The most that a record of TLS holds.
constexpr std::size_t kMaxRecordBytes = 16 << 10;

struct FreeBio {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
struct FreeCertificate {
  void operator()(X509* certificate) const noexcept { X509_free(certificate); }
};
using Certificate = std::unique_ptr<X509, FreeCertificate>;

// A passphrase is never asked for: a server starts without a person beside it.
int no_passphrase(char*, int, int, void*) { return -1; }

// Why the last call of OpenSSL failed, as it says.
std::string openssl_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason == nullptr ? "OpenSSL does not say why" : reason;
}

std::string read_pem(std::string_view option, const std::filesystem::path& path) {
  try {
    return read_text_file(path, kMaxPemBytes);
  } catch (const Error& error) {
    raise(error.code(), "{}: {}", option, error.what());
  }
}

std::unique_ptr<BIO, FreeBio> reader_of(const std::string& text) {
  std::unique_ptr<BIO, FreeBio> reader(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (reader == nullptr) throw std::bad_alloc();
  return reader;
}

Certificate next_certificate(BIO* reader) {
  return Certificate(PEM_read_bio_X509(reader, nullptr, no_passphrase, nullptr));
}

void use_certificates(SSL_CTX* context, const std::filesystem::path& path) {
  const std::string text = read_pem("--tls-cert", path);
  const auto reader = reader_of(text);
  const Certificate own = next_certificate(reader.get());
  if (own == nullptr)
    raise(ErrorCode::kInvalidArgument,
          "--tls-cert: {}: expected a certificate in PEM form (BEGIN CERTIFICATE), got none that can be "
          "read",
          printable_path(path));
  if (SSL_CTX_use_certificate(context, own.get()) != 1)
    raise(ErrorCode::kInvalidArgument,
          "--tls-cert: {}: expected a certificate that TLS can use, got one that OpenSSL refuses: {}",
          printable_path(path), openssl_reason());
  while (const Certificate issuer = next_certificate(reader.get()))
    if (SSL_CTX_add1_chain_cert(context, issuer.get()) != 1)
      raise(ErrorCode::kInvalidArgument,
            "--tls-cert: {}: expected certificates that TLS can use, got one that OpenSSL refuses: {}",
            printable_path(path), openssl_reason());
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
    raise(
        ErrorCode::kInvalidArgument,
        "--tls-cert: {}: expected certificates in PEM form, got one after the first that cannot be read: {}",
        printable_path(path), openssl_reason());
}

void use_key(SSL_CTX* context, const std::filesystem::path& path, const std::filesystem::path& certificate) {
  std::string text = read_pem("--tls-key", path);
  std::unique_ptr<EVP_PKEY, FreeKey> key(
      PEM_read_bio_PrivateKey(reader_of(text).get(), nullptr, no_passphrase, nullptr));
  const bool is_encrypted = text.find("ENCRYPTED") != std::string::npos;
  OPENSSL_cleanse(text.data(), text.size());
  if (key == nullptr && is_encrypted)
    raise(ErrorCode::kInvalidArgument,
          "--tls-key: {}: expected a private key without a passphrase, got an encrypted one. Hint: openssl "
          "pkey "
          "-in FILE -out PLAIN_FILE writes it without",
          printable_path(path));
  if (key == nullptr)
    raise(ErrorCode::kInvalidArgument,
          "--tls-key: {}: expected a private key in PEM form (BEGIN PRIVATE KEY), got none that can be read",
          printable_path(path));
  if (X509_check_private_key(SSL_CTX_get0_certificate(context), key.get()) != 1)
    raise(ErrorCode::kInvalidArgument,
          "--tls-key: {}: expected the key of the certificate in {}, got another's", printable_path(path),
          printable_path(certificate));
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1)
    raise(ErrorCode::kInvalidArgument,
          "--tls-key: {}: expected a key that TLS can use, got one that OpenSSL refuses: {}",
          printable_path(path), openssl_reason());
}

// Clients that would speak HTTP/2 as well are told that it is HTTP/1.1.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* n_chosen, const unsigned char* offered,
                    unsigned int n_offered, void*) {
  constexpr std::string_view kHttp = "http/1.1";
  for (unsigned int pos = 0; pos < n_offered; pos += 1U + offered[pos]) {
    const std::string_view name(reinterpret_cast<const char*>(offered + pos + 1), offered[pos]);
    if (name != kHttp) continue;
    *chosen = offered + pos + 1;
    *n_chosen = offered[pos];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

TlsContext::TlsContext(const std::filesystem::path& certificate, const std::filesystem::path& key)
    : context_(SSL_CTX_new(TLS_server_method())) {
  if (context_ == nullptr) throw std::bad_alloc();
  ERR_clear_error();
  SSL_CTX_set_min_proto_version(get(), TLS1_2_VERSION);
  SSL_CTX_set_options(get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_num_tickets(get(), 0);
  SSL_CTX_set_session_cache_mode(get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(get(), choose_protocol, nullptr);
  use_certificates(get(), certificate);
  ERR_clear_error();
  use_key(get(), key, certificate);
}

std::optional<TlsContext> make_tls_context(const ServerOptions& options) {
  if (options.tls_cert.empty() && options.tls_key.empty()) return std::nullopt;
  if (options.tls_cert.empty())
    raise(ErrorCode::kInvalidArgument, "--tls-key: expected --tls-cert with it, got none");
  if (options.tls_key.empty())
    raise(ErrorCode::kInvalidArgument, "--tls-cert: expected --tls-key with it, got none");
  return std::make_optional<TlsContext>(options.tls_cert, options.tls_key);
}

TlsSession::TlsSession(const TlsContext& context, Connection& connection) noexcept
    : connection_(connection), ssl_(SSL_new(context.get())) {
  if (ssl_ == nullptr) return;
  incoming_ = BIO_new(BIO_s_mem());
  outgoing_ = BIO_new(BIO_s_mem());
  if (incoming_ == nullptr || outgoing_ == nullptr) {
    BIO_free(incoming_);
    BIO_free(outgoing_);
    ssl_.reset();
    return;
  }
  SSL_set_bio(ssl_.get(), incoming_, outgoing_);
  SSL_set_accept_state(ssl_.get());
}

// Sends a part of what OpenSSL has for the client, of which there is something. Returns how many bytes; 0 if
// the connection broke or the time is over.
std::size_t TlsSession::send_some(Connection::Time until) noexcept {
  char* bytes = nullptr;
  const auto n_bytes = static_cast<std::size_t>(BIO_get_mem_data(outgoing_, &bytes));
  const std::size_t n_more = connection_.write(bytes + n_sent_, n_bytes - n_sent_, until);
  if (n_more == 0) is_open_ = false;
  n_sent_ += n_more;
  if (n_sent_ == n_bytes) {
    BIO_reset(outgoing_);
    n_sent_ = 0;
  }
  return n_more;
}

bool TlsSession::send_all(Connection::Time until) noexcept {
  while (BIO_pending(outgoing_) > 0)
    if (send_some(until) == 0) return false;
  return true;
}

// Gives OpenSSL what the client has sent. The time is looked at also where bytes never cease: not all of them
// are counted elsewhere.
bool TlsSession::take_some(Connection::Time until) noexcept {
  std::array<char, kMaxRecordBytes> bytes;
  const std::size_t n_bytes = connection_.read(bytes.data(), bytes.size(), until);
  if (n_bytes == 0) return false;
  return BIO_write(incoming_, bytes.data(), static_cast<int>(n_bytes)) == static_cast<int>(n_bytes);
}

// After a call of OpenSSL that did not succeed: whether it is worth another, since more has come.
bool TlsSession::goes_on(int result, Connection::Time until) noexcept {
  const int reason = SSL_get_error(ssl_.get(), result);
  if (reason == SSL_ERROR_WANT_READ)
    return send_all(until) && std::chrono::steady_clock::now() < until && take_some(until);
  if (reason != SSL_ERROR_ZERO_RETURN) {
    is_open_ = false;
    // The client is told what was wrong with what it said.
    if (ERR_GET_REASON(ERR_peek_error()) != SSL_R_HTTP_REQUEST) send_all(until);
  }
  return false;
}

TlsSession::Handshake TlsSession::shake_hands(Connection::Time until) noexcept {
  if (ssl_ == nullptr) return Handshake::kFailed;
  while (true) {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) break;
    if (goes_on(result, until)) continue;
    return ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST ? Handshake::kPlainHttp
                                                                  : Handshake::kFailed;
  }
  is_open_ = true;
  return send_all(until) ? Handshake::kDone : Handshake::kFailed;
}

std::size_t TlsSession::read(char* bytes, std::size_t max_bytes, Connection::Time until) noexcept {
  while (is_open_) {
    ERR_clear_error();
    std::size_t n_read = 0;
    const int result = SSL_read_ex(ssl_.get(), bytes, max_bytes, &n_read);
    if (result == 1) return send_all(until) ? n_read : 0;
    if (!goes_on(result, until)) break;
  }
  return 0;
}

bool TlsSession::wait_readable(Connection::Time until) noexcept {
  char byte = 0;
  while (is_open_) {
    ERR_clear_error();
    std::size_t n_seen = 0;
    const int result = SSL_peek_ex(ssl_.get(), &byte, 1, &n_seen);
    if (result == 1) return true;
    const bool has_ended = SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ;
    if (!goes_on(result, until)) return has_ended;
  }
  return true;
}

std::size_t TlsSession::write(const char* bytes, std::size_t n_bytes, Patience& patience) noexcept {
  if (!is_open_) return 0;
  ERR_clear_error();
  std::size_t n_taken = 0;
  // To memory, so nothing is left over.
  if (SSL_write_ex(ssl_.get(), bytes, std::min(n_bytes, kMaxRecordBytes), &n_taken) != 1) {
    is_open_ = false;
    return 0;
  }
  while (BIO_pending(outgoing_) > 0) {
    if (patience.spend([this](Patience::Time deadline) { return send_some(deadline); }) == 0) return 0;
  }
  return n_taken;
}

bool TlsSession::has_ended() noexcept {
  char byte = 0;
  // A piece of what has come, if it takes one; and none while what that had OpenSSL answer is not sent, so
  // that a client cannot have answers pile up.
  for (bool has_taken = false; is_open_; has_taken = true) {
    ERR_clear_error();
    std::size_t n_seen = 0;
    const int result = SSL_peek_ex(ssl_.get(), &byte, 1, &n_seen);
    // A request that already waits behind this one is left where it is.
    if (result == 1) return false;
    const int reason = SSL_get_error(ssl_.get(), result);
    if (reason == SSL_ERROR_ZERO_RETURN) return true;
    if (reason != SSL_ERROR_WANT_READ) is_open_ = false;
    if (is_open_ && (has_taken || BIO_pending(outgoing_) > 0 || !take_some(std::chrono::steady_clock::now())))
      return false;
  }
  return true;
}

void TlsSession::end(Connection::Time until) noexcept {
  if (!is_open_) return;
  is_open_ = false;
  ERR_clear_error();
  if (SSL_shutdown(ssl_.get()) >= 0) send_all(until);
}

}  // namespace lille
