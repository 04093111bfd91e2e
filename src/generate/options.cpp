#include "generate/options.h"

#include <algorithm>

namespace lille {

std::string flag_of(std::string_view option_name) {
  std::string flag = "--" + std::string(option_name);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

Sampler make_sampler(const GenerationOptions& options, const GenerationDefaults& defaults,
                     int64_t vocab_size) {
  SamplerOptions sampler_options;
  sampler_options.temperature = options.temperature.value_or(defaults.temperature);
  sampler_options.top_p = options.top_p.value_or(defaults.top_p);
  return make_sampler(sampler_options, vocab_size);
}

}  // namespace lille
