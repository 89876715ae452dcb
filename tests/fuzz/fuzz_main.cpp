#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "fuzz/targets.h"

// One program for all targets: GROMA_FUZZ_TARGET names the one to run. See scripts/fuzz.sh.

namespace {

void (*chosen)(std::string_view) = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* const name = std::getenv("GROMA_FUZZ_TARGET");
  for (const auto& target : groma::fuzz::kTargets) {
    if (name != nullptr && target.name == name) chosen = target.run;
  }
  if (chosen == nullptr) {
    std::fprintf(stderr, "GROMA_FUZZ_TARGET must be one of:\n");
    for (const auto& target : groma::fuzz::kTargets) {
      std::fprintf(stderr, "%s\n", std::string(target.name).c_str());
    }
    std::exit(2);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  chosen({reinterpret_cast<const char*>(data), size});
  return 0;
}
