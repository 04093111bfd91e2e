#include <cstdint>
#include <string_view>

#include "harness.h"
#include "hub/client.h"
#include "hub/model_files.h"

/// The input is what a hub answers to the question for a model.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t n_bytes) {
  const std::string_view answer(reinterpret_cast<const char*>(data), n_bytes);
  const lille::HubName name{.owner = "owner", .name = "name"};
  try {
    const lille::HubListing listing = lille::read_listing(answer, name);
    lille::fuzz::require(lille::is_commit(listing.commit));
    for (const std::string& file : listing.files) lille::fuzz::require(lille::is_safe_file_name(file));
    for (const std::string& file : lille::first_files(listing.files))
      lille::fuzz::require(lille::is_safe_file_name(file));
  } catch (const lille::Error& error) {
    lille::fuzz::check_refusal(error);
  }
  return 0;
}
