#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "support.h"

namespace lille::test {

/// A self-signed certificate of 127.0.0.1 and its key, as PEM files.
class TestCertificate {
 public:
  /// @param bits  0: a key on the curve P-256; else of RSA with so many bits.
  explicit TestCertificate(unsigned int bits = 0)
      : key_(bits == 0 ? EVP_EC_gen("P-256") : EVP_RSA_gen(bits), EVP_PKEY_free),
        certificate_(X509_new(), X509_free) {
    X509* made = certificate_.get();
    X509_set_version(made, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), -86400);
    X509_gmtime_adj(X509_getm_notAfter(made), 86400);
    X509_set_pubkey(made, key_.get());
    X509_NAME* name = X509_get_subject_name(made);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("lille test"),
                               -1, -1, 0);
    X509_set_issuer_name(made, name);
    X509_EXTENSION* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(made, names, -1);
    X509_EXTENSION_free(names);
    if (X509_sign(made, key_.get(), EVP_sha256()) == 0)
      throw std::runtime_error("cannot make a certificate for the test");
    folder_.write("cert.pem", certificate_text());
    folder_.write("key.pem", key_text());
  }

  std::string certificate_path() const { return (folder_.path() / "cert.pem").string(); }
  std::string key_path() const { return (folder_.path() / "key.pem").string(); }

  std::string certificate_text() const {
    return text_of([&](BIO* out) { PEM_write_bio_X509(out, certificate_.get()); });
  }
  /// @param passphrase  empty: not encrypted.
  std::string key_text(const std::string& passphrase = "") const {
    return text_of([&](BIO* out) {
      PEM_write_bio_PKCS8PrivateKey(out, key_.get(), passphrase.empty() ? nullptr : EVP_aes_256_cbc(),
                                    passphrase.data(), static_cast<int>(passphrase.size()), nullptr, nullptr);
    });
  }

 private:
  template <typename Write>
  static std::string text_of(Write&& write) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
    write(out.get());
    char* bytes = nullptr;
    const long n_bytes = BIO_get_mem_data(out.get(), &bytes);
    return {bytes, static_cast<std::size_t>(n_bytes)};
  }

  TemporaryFolder folder_;
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
  std::unique_ptr<X509, decltype(&X509_free)> certificate_;
};

}  // namespace lille::test
