#include "eval/prediction.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "check.h"
#include "eval/json_reader.h"
#include "eval/json_text.h"
#include "io/file.h"

namespace groma::eval {
namespace {

constexpr std::int64_t kMostRegions = 1'000'000;

template <typename Number>
void append(std::string& out, Number value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  out.append(text, end);
}

template <typename List, typename Write>
void append_list(std::string& out, const List& list, Write write) {
  out += '[';
  bool first = true;
  for (const auto& item : list) {
    if (!first) out += ',';
    first = false;
    write(item);
  }
  out += ']';
}

template <typename List>
void append_numbers(std::string& out, const List& list) {
  append_list(out, list, [&](auto value) { append(out, value); });
}

void append_text(std::string& out, const char* key, const std::string& value) {
  out += ",\"";
  out += key;
  out += "\":";
  out += json_line(value);
}

void append_regions(std::string& out, const std::vector<PredictedRegion>& regions) {
  append_list(out, regions, [&](const PredictedRegion& region) {
    out += "{\"region\":";
    append(out, region.region);
    out += ",\"cxcywh\":";
    append_numbers(out, region.cxcywh);
    out += ",\"xyxy\":";
    append_numbers(out, region.xyxy);
    out += ",\"score\":";
    append(out, region.score);
    out += ",\"logprob\":";
    append(out, region.logprob);
    out += '}';
  });
}

/// [x1, y1, x2, y2, score], ...
void append_candidates(std::string& out, const char* key,
                       const std::vector<Candidate>& candidates) {
  if (candidates.empty()) return;
  out += ",\"";
  out += key;
  out += "\":";
  append_list(out, candidates, [&](const Candidate& candidate) {
    const auto& b = candidate.xyxy;
    append_numbers(out, std::array{b[0], b[1], b[2], b[3], candidate.score});
  });
}

FloatBox read_box(JsonReader& json) {
  FloatBox box{};
  std::size_t count = 0;
  json.array([&](std::size_t i) {
    box[std::min<std::size_t>(i, 3)] = json.float_number();
    ++count;
  });
  json.demand(count == 4, "found ", count, " numbers, expected 4");
  return box;
}

PredictedRegion read_region(JsonReader& json) {
  PredictedRegion out;
  unsigned seen = 0;
  json.object([&](std::string_view key) {
    if (key == "region") {
      out.region = static_cast<int>(json.integer());
    } else if (key == "cxcywh") {
      out.cxcywh = read_box(json);
      seen |= 1;
    } else if (key == "xyxy") {
      out.xyxy = read_box(json);
      seen |= 2;
    } else if (key == "score") {
      out.score = json.float_number();
    } else if (key == "logprob") {
      out.logprob = json.float_number();
    }
  });
  json.demand(seen == 3, "a region needs 'cxcywh' and 'xyxy'");
  return out;
}

std::vector<Candidate> read_candidates(JsonReader& json) {
  std::vector<Candidate> out;
  json.array([&](std::size_t) {
    std::array<float, 5> values{};
    std::size_t count = 0;
    json.array([&](std::size_t i) {
      values[std::min<std::size_t>(i, 4)] = json.float_number();
      ++count;
    });
    json.demand(count == 5, "found ", count, " numbers, expected [x1, y1, x2, y2, score]");
    out.push_back({{values[0], values[1], values[2], values[3]}, values[4]});
  });
  return out;
}

std::vector<PredictedPhrase> read_phrases(JsonReader& json) {
  std::vector<PredictedPhrase> out;
  json.array([&](std::size_t) {
    PredictedPhrase phrase;
    json.object([&](std::string_view key) {
      if (key == "text") phrase.text = json.string();
      if (key == "regions") {
        for (const std::int64_t place : json.integers()) {
          json.demand(place >= 0 && place <= kMostRegions, "found ", place, ", expected 0 to ",
                      kMostRegions);
          phrase.regions.push_back(static_cast<int>(place));
        }
      }
    });
    out.push_back(std::move(phrase));
  });
  return out;
}

/// The number after the last slash, which is cut off.
template <typename Number>
std::optional<Number> take_number(std::string_view& text) {
  const std::size_t slash = text.rfind('/');
  if (slash == std::string_view::npos || slash + 1 == text.size()) return std::nullopt;
  Number value{};
  const auto result = std::from_chars(text.data() + slash + 1, text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  text = text.substr(0, slash);
  return value;
}

}  // namespace

std::string PredictionKey::text() const {
  return label + '/' + std::to_string(prompt) + '/' + std::to_string(seed);
}

PredictionKey parse_key(std::string_view text) {
  std::string_view rest = text;
  const auto seed = take_number<std::uint64_t>(rest);
  const auto prompt = seed ? take_number<int>(rest) : std::nullopt;
  if (!prompt) return {std::string(text), 0, 0};
  return {std::string(rest), *prompt, *seed};
}

std::string prediction_line(const Prediction& prediction) {
  std::string out = "{\"key\":" + json_line(prediction.key);
  out += ",\"image_id\":";
  append(out, prediction.image_id);
  append_text(out, "image", prediction.image);
  append_text(out, "prompt", prediction.prompt);
  out += ",\"ids\":";
  append_numbers(out, prediction.ids);
  append_text(out, "text", prediction.text);
  out += ",\"regions_kept\":";
  append(out, prediction.regions_kept);
  out += ",\"regions\":";
  append_regions(out, prediction.regions);
  if (!prediction.phrases.empty()) {
    out += ",\"phrases\":";
    append_list(out, prediction.phrases, [&](const PredictedPhrase& phrase) {
      out += "{\"text\":" + json_line(phrase.text) + ",\"regions\":";
      append_numbers(out, phrase.regions);
      out += '}';
    });
  }
  append_candidates(out, "candidates", prediction.candidates);
  append_candidates(out, "proposals", prediction.proposals);
  if (prediction.error.empty()) {
    out += ",\"error\":null";
  } else {
    append_text(out, "error", prediction.error);
  }
  if (prediction.skipped) out += ",\"skipped\":true";
  return out + "}\n";
}

bool all_finite(const Prediction& prediction) {
  const auto finite = [](const auto& values) {
    return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
  };
  const auto good_candidate = [&](const Candidate& box) {
    return finite(box.xyxy) && std::isfinite(box.score);
  };
  const auto good_region = [&](const PredictedRegion& region) {
    return finite(region.cxcywh) && finite(region.xyxy) && std::isfinite(region.score) &&
           std::isfinite(region.logprob);
  };
  return std::all_of(prediction.regions.begin(), prediction.regions.end(), good_region) &&
         std::all_of(prediction.candidates.begin(), prediction.candidates.end(), good_candidate) &&
         std::all_of(prediction.proposals.begin(), prediction.proposals.end(), good_candidate);
}

Prediction parse_prediction(std::string_view line, const std::string& name) {
  JsonReader json(line, name);
  Prediction out;
  bool has_key = false, has_regions = false;
  json.object([&](std::string_view key) {
    if (key == "key") {
      out.key =
          json.peek() == JsonReader::Kind::kString ? json.string() : std::to_string(json.integer());
      has_key = true;
    } else if (key == "image_id") {
      if (json.peek() == JsonReader::Kind::kNumber) out.image_id = json.integer();
    } else if (key == "image") {
      out.image = json.string();
    } else if (key == "prompt") {
      out.prompt = json.string();
    } else if (key == "ids") {
      out.ids = json.integers();
    } else if (key == "text") {
      out.text = json.string();
    } else if (key == "regions_kept") {
      const std::int64_t kept = json.integer();
      json.demand(kept >= 0 && kept <= kMostRegions, "found ", kept, ", expected 0 to ",
                  kMostRegions);
      out.regions_kept = static_cast<int>(kept);
    } else if (key == "regions") {
      json.array([&](std::size_t) { out.regions.push_back(read_region(json)); });
      has_regions = true;
    } else if (key == "phrases") {
      out.phrases = read_phrases(json);
    } else if (key == "candidates") {
      out.candidates = read_candidates(json);
    } else if (key == "proposals") {
      out.proposals = read_candidates(json);
    } else if (key == "error") {
      if (json.peek() == JsonReader::Kind::kString) out.error = json.string();
    } else if (key == "skipped") {
      out.skipped = json.flag();
    }
  });
  json.finish();
  json.demand(has_key, "no 'key'; every line needs one");
  json.demand(has_regions || !out.error.empty(),
              "no 'regions'; every line without error needs them");
  for (const PredictedPhrase& phrase : out.phrases) {
    for (const int place : phrase.regions) {
      json.demand(place >= 0 && place < static_cast<int>(out.regions.size()), "phrases: place ",
                  place, " is not one of the ", out.regions.size(), " regions");
    }
  }
  return out;
}

std::vector<Prediction> read_predictions(std::string_view text, const std::string& name,
                                         std::size_t* whole_bytes) {
  std::vector<Prediction> out;
  std::size_t at = 0, number = 0;
  for (std::size_t end; (end = text.find('\n', at)) != std::string_view::npos; at = end + 1) {
    out.push_back(
        parse_prediction(text.substr(at, end - at), name + ":" + std::to_string(++number)));
  }
  if (whole_bytes != nullptr) *whole_bytes = at;
  return out;
}

}  // namespace groma::eval
