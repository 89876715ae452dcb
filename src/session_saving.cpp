#include <ATen/ATen.h>

#include <array>
#include <nlohmann/json.hpp>

#include "check.h"
#include "io/json.h"
#include "io/sha256.h"
#include "session.h"

// A conversation as text. Regions keep their numbers and, to the last bit, their places; features
// and what the decoder remembers are computed anew.

namespace groma {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "groma-session-1";

std::string checksum(const Image& image) {
  const auto bytes = std::size_t{3} * image.width() * image.height();
  return io::sha256(std::to_string(image.width()) + "x" + std::to_string(image.height()) + " " +
                    std::string(reinterpret_cast<const char*>(image.data()), bytes));
}

Json json_of(const std::vector<TextPiece>& pieces) {
  Json list = Json::array();
  for (const auto& piece : pieces) list.push_back({{"text", piece.text}, {"tagged", piece.tagged}});
  return list;
}

std::vector<TextPiece> pieces_from(const nlohmann::json& json) {
  std::vector<TextPiece> pieces;
  for (const auto& piece : json) {
    pieces.push_back({piece.at("text").get<std::string>(), piece.at("tagged").get<bool>()});
  }
  return pieces;
}

/// Lengths of runs, outside first, row by row.
Json json_of(const Mask& mask) {
  Json runs = Json::array();
  std::size_t at = 0;
  for (bool inside = false; at < mask.inside.size(); inside = !inside) {
    const auto from = at;
    while (at < mask.inside.size() && (mask.inside[at] != 0) == inside) ++at;
    runs.push_back(at - from);
  }
  return runs;
}

Mask mask_from(const nlohmann::json& runs, const Image& image) {
  Mask mask{image.width(), image.height(), {}};
  const auto all = static_cast<std::size_t>(mask.width) * mask.height;
  bool inside = false;
  for (const auto& run : runs) {
    const auto length = run.get<std::size_t>();
    require(length <= all - mask.inside.size(),
            "restore the session: a mask has more pixels than "
            "the picture; the file is damaged");
    mask.inside.resize(mask.inside.size() + length, inside ? 1 : 0);
    inside = !inside;
  }
  mask.inside.resize(all, 0);
  return mask;
}

}  // namespace

std::string Session::Impl::save() const {
  Json regions_json = Json::array(), turns_json = Json::array();
  if (regions.tokens.defined()) {
    const auto boxes = regions.boxes_cxcywh.to(at::kCPU, at::kFloat).contiguous();
    const auto scores = regions.scores.to(at::kCPU, at::kFloat).contiguous();
    for (int64_t k = 0; k < boxes.size(0); ++k) {
      const auto* box = boxes.const_data_ptr<float>() + 4 * k;
      Json region = {{"cxcywh", {box[0], box[1], box[2], box[3]}},
                     {"score", scores.const_data_ptr<float>()[k]},
                     {"given", static_cast<bool>(regions.given[k])}};
      const auto mask = regions.masks.find(static_cast<int>(k));
      if (mask != regions.masks.end()) region["mask"] = json_of(mask->second);
      regions_json.push_back(std::move(region));
    }
  }
  for (const auto& turn : turns) {
    turns_json.push_back({{"question", json_of(turn.question)},
                          {"answer", json_of(turn.answer)},
                          {"regions", turn.regions}});
  }
  const Json all = {{"format", kFormat},
                    {"image_sha256", checksum(image)},
                    {"regions", std::move(regions_json)},
                    {"turns", std::move(turns_json)}};
  return all.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

void Session::Impl::restore(const std::string& saved) {
  const auto json = io::parse_json(saved, "session");
  std::vector<float> boxes, scores;
  std::vector<bool> given;
  std::map<int, Mask> masks;
  std::vector<Turn> before;
  std::string problem, format, sum;
  try {
    format = json.at("format").get<std::string>();
    sum = json.at("image_sha256").get<std::string>();
  } catch (const nlohmann::json::exception& error) {
    problem = error.what();
  }
  require(problem.empty() && format == kFormat,
          "restore the session: ", problem.empty() ? "the format is '" + format + "'" : problem,
          ", expected '", kFormat, "'; give a file that this program saved");
  require(sum == checksum(image),
          "restore the session: it was about another picture; open that one");
  try {
    for (const auto& region : json.at("regions")) {
      for (const auto& value : region.at("cxcywh").get<std::array<float, 4>>()) {
        problem = value >= -1 && value <= 2 ? problem : "a box far outside of the picture";
        boxes.push_back(value);
      }
      if (region.contains("mask")) {
        masks[static_cast<int>(scores.size())] = mask_from(region["mask"], image);
      }
      scores.push_back(region.at("score").get<float>());
      given.push_back(region.at("given").get<bool>());
    }
    for (const auto& turn : json.at("turns")) {
      before.push_back({pieces_from(turn.at("question")), pieces_from(turn.at("answer")),
                        turn.at("regions").get<std::vector<int64_t>>()});
    }
  } catch (const nlohmann::json::exception& error) {
    problem = error.what();
  }
  for (const auto& turn : before) {
    for (const auto region : turn.regions) {
      if (region < 0 || region >= static_cast<int64_t>(scores.size())) {
        problem = "a turn speaks of a region that does not exist";
      }
    }
  }
  require(problem.empty(), "restore the session: ", problem, "; the file is damaged");
  clear();
  if (scores.empty()) return;
  choose(at::tensor(boxes, at::kFloat).view({-1, 4}), at::tensor(scores, at::kFloat),
         std::move(given), std::move(masks));
  turns = std::move(before);
}

std::string Session::save() const { return impl_->save(); }

void Session::restore(const std::string& saved) try {
  const CallScope scope(*impl_->engine);
  impl_->restore(saved);
} catch (...) {
  rethrow_with_advice("restore the session");
}

}  // namespace groma
