#include "output.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "terminal.h"

namespace groma::cli {
namespace {

using Json = nlohmann::ordered_json;

/// The double whose shortest decimals are those of `value`: 0.87 stays 0.87 in JSON.
double decimal(float value) {
  if (!std::isfinite(value)) return std::numeric_limits<double>::quiet_NaN();  // null in JSON
  char text[64];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  double result = 0;
  std::from_chars(text, end, result);
  return result;
}

Json json_of(const Box& box) {
  return {decimal(box.x1), decimal(box.y1), decimal(box.x2), decimal(box.y2)};
}

Json json_of(const Image& image) { return {{"width", image.width()}, {"height", image.height()}}; }

Json json_of(const Phrase& phrase) {
  Json regions = Json::array();
  for (const auto& named : phrase.regions) {
    regions.push_back({{"region", named.region},
                       {"box", json_of(named.box)},
                       {"score", decimal(named.score)},
                       {"logprob", decimal(named.logprob)}});
  }
  return {
      {"text", phrase.text}, {"span", {phrase.begin, phrase.end}}, {"regions", std::move(regions)}};
}

Json json_of(const std::vector<Region>& regions) {
  Json list = Json::array();
  for (const auto& region : regions) {
    list.push_back(
        {{"box", json_of(region.box)}, {"score", decimal(region.score)}, {"given", region.given}});
  }
  return list;
}

/// Milliseconds to the microsecond.
double rounded(double milliseconds) { return std::round(1000 * milliseconds) / 1000; }

Json json_of(const Timings& timings) {
  return {{"preprocess_ms", rounded(timings.preprocess_ms)},
          {"vision_ms", rounded(timings.vision_ms)},
          {"proposer_ms", rounded(timings.proposer_ms)},
          {"regions_ms", rounded(timings.regions_ms)},
          {"prefill_ms", rounded(timings.prefill_ms)},
          {"decode_ms", rounded(timings.decode_ms)},
          {"prompt_positions", timings.prompt_positions},
          {"reused_positions", timings.reused_positions},
          {"generated_tokens", timings.generated_tokens}};
}

const char* name_of(Finish finish) {
  switch (finish) {
    case Finish::kStop:
      return "stop";
    case Finish::kLength:
      return "length";
    case Finish::kCancelled:
      return "cancelled";
  }
  return "";
}

std::string one_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// "r3   412,88,590,371"
std::string place(int region, const Box& box) {
  char text[160];
  std::snprintf(text, sizeof(text), "r%-3d %.1f,%.1f,%.1f,%.1f", region, box.x1, box.y1, box.x2,
                box.y2);
  return text;
}

}  // namespace

std::string to_json(const ChatResult& answer, const Image& image) {
  Json phrases = Json::array();
  for (const auto& phrase : answer.phrases) phrases.push_back(json_of(phrase));
  return one_line({{"text", answer.text},
                   {"phrases", std::move(phrases)},
                   {"regions", json_of(answer.regions)},
                   {"tagged", answer.tagged},
                   {"prompt_ids", answer.prompt_ids},
                   {"generated_ids", answer.generated_ids},
                   {"finish", name_of(answer.finish)},
                   {"image", json_of(image)},
                   {"timings", json_of(answer.timings)}});
}

std::string to_json(const std::vector<Region>& regions, const Image& image) {
  return one_line({{"regions", json_of(regions)}, {"image", json_of(image)}});
}

std::string to_json(const ModelInfo& info) {
  Json stages = Json::array();
  for (const auto& stage : info.stages) {
    stages.push_back({{"name", stage.name}, {"parameters", stage.parameters}});
  }
  return one_line({{"parameters", info.parameters},
                   {"stages", std::move(stages)},
                   {"file_dtype", info.file_dtype},
                   {"compute_dtype", info.compute_dtype},
                   {"image_size", info.image_size},
                   {"image_tokens", info.image_tokens},
                   {"queries", info.queries},
                   {"region_tokens", info.region_tokens},
                   {"context", info.context},
                   {"roi_geometry", info.roi_geometry}});
}

void list_phrases(std::ostream& out, const ChatResult& answer) {
  for (std::size_t i = 0; i < answer.phrases.size(); ++i) {
    const auto& phrase = answer.phrases[i];
    for (const auto& named : phrase.regions) {
      char numbers[80];
      std::snprintf(numbers, sizeof(numbers), "  score %.2f  p %.2f", named.score,
                    std::exp(named.logprob));
      out << "  " << coloured(phrase.text.empty() ? "(no words)" : phrase.text, i) << "  "
          << place(named.region, named.box) << numbers << '\n';
    }
  }
}

void list_regions(std::ostream& out, const std::vector<Region>& regions) {
  for (std::size_t i = 0; i < regions.size(); ++i) {
    char score[32];
    std::snprintf(score, sizeof(score), "  %.3f", regions[i].score);
    out << place(static_cast<int>(i), regions[i].box) << score
        << (regions[i].given ? "  given" : "") << '\n';
  }
}

}  // namespace groma::cli
