#include "saved_session.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "check.h"
#include "io/file.h"
#include "io/json.h"
#include "io/sha256.h"

namespace groma {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "groma-session-1";
constexpr const char* kDoing = "restore the session: ";
constexpr const char* kDamaged = "; the file is damaged";

std::string checksum(const Image& image) {
  const auto bytes = std::size_t{3} * image.width() * image.height();
  io::Sha256 sum;
  sum.add(std::to_string(image.width()) + "x" + std::to_string(image.height()) + " ");
  sum.add({reinterpret_cast<const char*>(image.data()), bytes});
  return sum.hex();
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
    const auto length = io::value_as<std::size_t>(run);
    require(length <= all - mask.inside.size(), kDoing, "a mask has more pixels than the picture",
            kDamaged);
    mask.inside.resize(mask.inside.size() + length, inside ? 1 : 0);
    inside = !inside;
  }
  mask.inside.resize(all, 0);
  return mask;
}

SavedSession::Region region_from(const nlohmann::json& json, const Image& image) {
  SavedSession::Region region;
  region.cxcywh = json.at("cxcywh").get<std::array<float, 4>>();
  for (const float value : region.cxcywh) {
    require(value >= -1 && value <= 2, kDoing, "a box lies far outside of the picture", kDamaged);
  }
  require(region.cxcywh[2] >= 0 && region.cxcywh[3] >= 0, kDoing, "a box is reversed", kDamaged);
  region.score = json.at("score").get<float>();
  require(std::isfinite(region.score), kDoing, "a score is too large", kDamaged);
  region.given = json.at("given").get<bool>();
  if (json.contains("mask")) region.mask = mask_from(json["mask"], image);
  return region;
}

SavedSession session_from(const nlohmann::json& json, const Image& image) {
  const auto format = json.at("format").get<std::string>();
  require(format == kFormat, kDoing, "the format is ", io::quote(format), ", expected '", kFormat,
          "'; give a file that this program saved");
  require(json.at("image_sha256").get<std::string>() == checksum(image), kDoing,
          "it was about another picture; open that one");
  SavedSession session;
  std::size_t mask_pixels = 0;
  for (const auto& region : json.at("regions")) {
    session.regions.push_back(region_from(region, image));
    mask_pixels += session.regions.back().mask.inside.size();
    require(mask_pixels <= kMostSavedMaskPixels, kDoing, "its masks have more than ",
            kMostSavedMaskPixels, " pixels together; use fewer masks or a smaller picture");
  }
  for (const auto& turn : json.at("turns")) {
    session.turns.push_back({pieces_from(turn.at("question")), pieces_from(turn.at("answer")),
                             io::value_as<std::vector<std::int64_t>>(turn.at("regions"))});
    for (const auto region : session.turns.back().regions) {
      require(region >= 0 && region < static_cast<int64_t>(session.regions.size()), kDoing,
              "a turn speaks of a region that does not exist", kDamaged);
    }
  }
  return session;
}

}  // namespace

std::string to_json(const SavedSession& session, const Image& image) {
  Json regions = Json::array(), turns = Json::array();
  for (const auto& region : session.regions) {
    Json json = {{"cxcywh", region.cxcywh}, {"score", region.score}, {"given", region.given}};
    if (region.mask.width > 0) json["mask"] = json_of(region.mask);
    regions.push_back(std::move(json));
  }
  for (const auto& turn : session.turns) {
    turns.push_back({{"question", json_of(turn.question)},
                     {"answer", json_of(turn.answer)},
                     {"regions", turn.regions}});
  }
  const Json all = {{"format", kFormat},
                    {"image_sha256", checksum(image)},
                    {"regions", std::move(regions)},
                    {"turns", std::move(turns)}};
  return all.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

SavedSession parse_saved_session(const std::string& saved, const Image& image,
                                 const std::string& name) {
  const auto json = io::parse_json(saved, name);
  SavedSession session;
  std::string problem;
  try {
    session = session_from(json, image);
  } catch (const nlohmann::json::exception& error) {
    problem = io::reason_of(error);
  }
  require(problem.empty(), kDoing, problem, kDamaged);
  return session;
}

}  // namespace groma
