#include "groma/confidence.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "check.h"
#include "io/file.h"
#include "io/json.h"

namespace groma {
namespace {

/// Probabilities of exactly 0 and 1 are rounded ones.
double logit(double probability) {
  constexpr double kLeast = 1e-6;
  const double p = std::clamp(probability, kLeast, 1 - kLeast);
  return std::log(p / (1 - p));
}

}  // namespace

Calibration Calibration::read(const std::string& directory) {
  Calibration calibration;
  const auto path = (std::filesystem::path(directory) / "confidence.json").string();
  if (!std::filesystem::exists(path)) return calibration;
  const auto json = io::read_json(path);
  for (const auto& [key, value] : {std::pair<const char*, double*>{"bias", &calibration.bias},
                                   {"score", &calibration.score},
                                   {"token", &calibration.token}}) {
    require(json.is_object() && json.contains(key) && json[key].is_number(), "read ",
            io::quote(path), ": '", key,
            "' is missing or no number; write the file with scripts/measure_beyond_boxes.py");
    *value = json[key].get<double>();
  }
  return calibration;
}

float Calibration::confidence(double proposal, double probability) const {
  const double sum = bias + score * logit(proposal) + token * logit(probability);
  return static_cast<float>(1 / (1 + std::exp(-sum)));
}

float Calibration::confidence(const NamedRegion& named) const {
  return confidence(named.score, std::exp(named.logprob));
}

void drop_unsure(ChatResult& answer, const Calibration& calibration, float least) {
  for (auto& phrase : answer.phrases) {
    std::erase_if(phrase.regions,
                  [&](const NamedRegion& named) { return calibration.confidence(named) < least; });
  }
}

}  // namespace groma
