#include "answer/answer_json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <sstream>

#include "check.h"
#include "io/file.h"
#include "io/json.h"

namespace groma {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<const char*, 3> kFinishNames = {"stop", "length", "cancelled"};

Json json_of(const Phrase& phrase, const ImageAnswer& answered) {
  Json regions = Json::array();
  for (const auto& named : phrase.regions) {
    const auto confidence = answered.calibration.confidence(named);
    regions.push_back({{"region", named.region},
                       {"box", to_json(named.box)},
                       {"score", decimal(named.score)},
                       {"logprob", decimal(named.logprob)},
                       {"confidence", decimal(confidence)}});
    const auto mask = answered.masks.find(named.region);
    if (mask != answered.masks.end()) regions.back()["mask"] = to_json(mask->second);
  }
  return {
      {"text", phrase.text}, {"span", {phrase.begin, phrase.end}}, {"regions", std::move(regions)}};
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

Json json_of(const Referent& referent) {
  Json next = Json::array();
  for (const auto& fit : referent.next) {
    next.push_back({{"region", fit.candidate}, {"fit", decimal(fit.fit)}});
  }
  return {{"name", referent.name},        {"box", to_json(referent.box)},
          {"own", referent.own},          {"score", decimal(referent.score)},
          {"fit", decimal(referent.fit)}, {"next", std::move(next)}};
}

using Read = nlohmann::json;

/// Not finite numbers were written as null.
float number_from(const Read& json) { return json.is_null() ? NAN : json.get<float>(); }

Box box_from(const Read& json) {
  const auto sides = json.get<std::array<Read, 4>>();
  return {number_from(sides[0]), number_from(sides[1]), number_from(sides[2]),
          number_from(sides[3])};
}

Phrase phrase_from(const Read& json) {
  Phrase phrase;
  phrase.text = json.at("text").get<std::string>();
  phrase.begin = io::value_as<std::size_t>(json.at("span").at(0));
  phrase.end = io::value_as<std::size_t>(json.at("span").at(1));
  for (const auto& named : json.at("regions")) {
    phrase.regions.push_back({io::value_as<int>(named.at("region")), box_from(named.at("box")),
                              number_from(named.at("score")), number_from(named.at("logprob"))});
  }
  return phrase;
}

ImageAnswer answer_from(const Read& json) {
  ImageAnswer read;
  read.file = json.at("image").at("file").get<std::string>();
  read.width = io::value_as<int>(json.at("image").at("width"));
  read.height = io::value_as<int>(json.at("image").at("height"));
  read.prompt = json.at("prompt").get<std::string>();
  auto& answer = read.answer;
  answer.text = json.at("text").get<std::string>();
  for (const auto& phrase : json.at("phrases")) answer.phrases.push_back(phrase_from(phrase));
  for (const auto& region : json.at("regions")) {
    answer.regions.push_back({box_from(region.at("box")), number_from(region.at("score")),
                              region.at("given").get<bool>()});
  }
  answer.tagged = json.at("tagged").get<std::string>();
  answer.prompt_ids = io::value_as<std::vector<std::int64_t>>(json.at("prompt_ids"));
  answer.generated_ids = io::value_as<std::vector<std::int64_t>>(json.at("generated_ids"));
  const auto finish = json.at("finish").get<std::string>();
  for (std::size_t i = 0; i < kFinishNames.size(); ++i) {
    if (finish == kFinishNames[i]) answer.finish = static_cast<Finish>(i);
  }
  return read;
}

/// Whether every span lies in its text and every region of a phrase exists.
bool is_sound(const ImageAnswer& read) {
  bool sound = read.width > 0 && read.height > 0;
  for (const auto& phrase : read.answer.phrases) {
    sound &= phrase.begin <= phrase.end && phrase.end <= read.answer.text.size();
    for (const auto& named : phrase.regions) {
      sound &=
          named.region >= 0 && static_cast<std::size_t>(named.region) < read.answer.regions.size();
    }
  }
  return sound;
}

}  // namespace

Json decimal(float value) {
  if (!std::isfinite(value)) return nullptr;
  char text[64];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  double result = 0;
  std::from_chars(text, end, result);
  return result;
}

Json to_json(const std::vector<Region>& regions) {
  Json list = Json::array();
  for (const auto& region : regions) {
    list.push_back(
        {{"box", to_json(region.box)}, {"score", decimal(region.score)}, {"given", region.given}});
  }
  return list;
}

Json to_json(const Box& box) {
  return {decimal(box.x1), decimal(box.y1), decimal(box.x2), decimal(box.y2)};
}

Json to_json(const Mask& mask) {
  return {{"size", {mask.height, mask.width}}, {"counts", to_coco_rle(mask)}};
}

Json to_json(const ImageAnswer& answered) {
  const auto& answer = answered.answer;
  Json phrases = Json::array();
  for (const auto& phrase : answer.phrases) phrases.push_back(json_of(phrase, answered));
  Json referents = Json::array();
  for (const auto& referent : answered.referents) referents.push_back(json_of(referent));
  return {
      {"text", answer.text},
      {"phrases", std::move(phrases)},
      {"regions", to_json(answer.regions)},
      {"tagged", answer.tagged},
      {"prompt_ids", answer.prompt_ids},
      {"generated_ids", answer.generated_ids},
      {"finish", kFinishNames[static_cast<std::size_t>(answer.finish)]},
      {"prompt", answered.prompt},
      {"referents", std::move(referents)},
      {"image", {{"file", answered.file}, {"width", answered.width}, {"height", answered.height}}},
      {"timings", json_of(answer.timings)}};
}

std::string one_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<ImageAnswer> read_answers(const std::string& json_lines, const std::string& name) {
  std::vector<ImageAnswer> answers;
  std::istringstream lines(json_lines);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto where = name + ", line " + std::to_string(++number);
    const auto json = io::parse_json(line, where);
    std::string problem = "a span or a region that does not exist";
    try {
      answers.push_back(answer_from(json));
      if (is_sound(answers.back())) problem.clear();
    } catch (const nlohmann::json::exception& error) {
      problem = io::reason_of(error);
    }
    require(problem.empty(), "read answers: ", io::quote(where), ": ", problem,
            "; expected lines as --format json writes them");
  }
  return answers;
}

}  // namespace groma
