#include "output.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "answer/answer_json.h"
#include "terminal.h"

namespace groma::cli {
namespace {

using Json = nlohmann::ordered_json;

/// "r3   412,88,590,371"
std::string place(int region, const Box& box) {
  char text[160];
  std::snprintf(text, sizeof(text), "r%-3d %.1f,%.1f,%.1f,%.1f", region, box.x1, box.y1, box.x2,
                box.y2);
  return text;
}

}  // namespace

std::string regions_json(const ImageAnswer& answered) {
  return one_line(
      {{"regions", groma::to_json(answered.answer.regions)},
       {"image",
        {{"file", answered.file}, {"width", answered.width}, {"height", answered.height}}}});
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
                   {"memory_bytes", info.memory},
                   {"image_size", info.image_size},
                   {"image_tokens", info.image_tokens},
                   {"queries", info.queries},
                   {"region_tokens", info.region_tokens},
                   {"context", info.context},
                   {"roi_geometry", info.roi_geometry}});
}

bool is_wordless(const ChatResult& answer) {
  return !answer.phrases.empty() && answer.text.find_first_not_of(" \t\r\n") == std::string::npos;
}

std::string words_of(const ChatResult& answer) {
  if (!is_wordless(answer)) return answer.text;
  std::string out;
  for (const auto& phrase : answer.phrases) {
    for (const auto& named : phrase.regions) {
      out += (out.empty() ? "" : "; ") + place(named.region, named.box);
    }
  }
  return out;
}

void list_phrases(std::ostream& out, const ChatResult& answer) {
  const bool wordless = is_wordless(answer);
  for (std::size_t i = 0; i < answer.phrases.size(); ++i) {
    const auto& phrase = answer.phrases[i];
    for (const auto& named : phrase.regions) {
      char numbers[80];
      std::snprintf(numbers, sizeof(numbers), "  score %.2f  p %.2f", named.score,
                    std::exp(named.logprob));
      if (!wordless) {
        out << "  " << coloured(phrase.text.empty() ? "(no words)" : phrase.text, i) << "  ";
      }
      out << place(named.region, named.box) << numbers << '\n';
    }
  }
}

void list_referents(std::ostream& out, const std::vector<Referent>& referents) {
  for (const auto& referent : referents) {
    if (referent.own && referent.next.empty() && referent.fit == 1) continue;  // given as it is
    const auto& box = referent.box;
    char text[160];
    std::snprintf(text, sizeof(text), "%.1f,%.1f,%.1f,%.1f", box.x1, box.y1, box.x2, box.y2);
    out << "  pointed at " << (referent.name.empty() ? "" : referent.name + " ")
        << (referent.own ? "no region, takes " : "") << text;
    if (!referent.own) {
      std::snprintf(text, sizeof(text), "  score %.2f  fit %.2f", referent.score, referent.fit);
      out << text;
    }
    for (std::size_t i = 0; i < referent.next.size(); ++i) {
      std::snprintf(text, sizeof(text), " r%d (%.2f)", referent.next[i].candidate,
                    referent.next[i].fit);
      out << (i == 0 ? "  then" : ",") << text;
    }
    out << '\n';
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
