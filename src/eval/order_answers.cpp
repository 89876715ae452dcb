#include <algorithm>
#include <unordered_set>

#include "check.h"
#include "eval/score_protocols.h"
#include "io/file.h"

namespace groma::eval {

namespace {
constexpr std::size_t kShown = 10;  // keys that a message lists
}

std::string some_of(const std::vector<std::string>& keys) {
  std::string out;
  for (std::size_t i = 0; i < std::min(kShown, keys.size()); ++i) {
    out += (i == 0 ? "" : ", ") + keys[i];
  }
  return out + (keys.size() > kShown ? ", ..." : "");
}

std::vector<Answered> order_answers(const std::vector<const Prediction*>& predictions,
                                    const SampleList& samples, const std::string& where) {
  const auto places = samples.places();
  std::vector<Answered> out;
  out.reserve(predictions.size());
  std::unordered_set<std::string> seen;
  std::vector<std::string> twice, unknown;
  for (const Prediction* prediction : predictions) {
    PredictionKey key = parse_key(prediction->key);
    // A label of the file may itself look like a key.
    if (!places.contains(key.label) && places.contains(prediction->key)) {
      key = {prediction->key, 0, 0};
    }
    const auto sample = places.find(key.label);
    if (sample == places.end()) {
      unknown.push_back(prediction->key);
      continue;
    }
    if (!seen.insert(key.text()).second) twice.push_back(prediction->key);
    out.push_back({&samples.samples[sample->second], prediction, std::move(key)});
  }
  require(twice.empty(), "score ", io::quote(where), ": ", twice.size(),
          " keys come twice: ", some_of(twice), "; the parts overlap, name each once");
  require(unknown.empty(), "score ", io::quote(where), ": ", unknown.size(),
          " keys belong to no sample of the annotation file: ", some_of(unknown));
  std::stable_sort(out.begin(), out.end(), [](const Answered& a, const Answered& b) {
    if (a.sample != b.sample) return a.sample < b.sample;
    if (a.key.seed != b.key.seed) return a.key.seed < b.key.seed;
    return a.key.prompt < b.key.prompt;
  });
  return out;
}

}  // namespace groma::eval
