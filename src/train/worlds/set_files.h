#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "train/worlds/questions.h"
#include "train/worlds/scene.h"

namespace groma::train {

/// What the files of a set say of one scene. Boxes are xyxy in pixels.
struct SceneRecord {
  std::string image;  ///< "images/000017.png"
  Scene scene;        ///< without rgb and owner once written
  std::vector<Question> questions;
  std::vector<nlohmann::ordered_json> masks;  ///< COCO run lengths, by object
};

/// Lines of rec.jsonl, caption.jsonl and chat.jsonl about one scene, each ending in a line feed.
///
/// rec       one referring expression a line: "text", its box, "kind" (attr, rel, sup, ord), the
///           "blind" boxes that fit the target's own words, "anchors", "size", "distractors"
/// caption   one box a line and the phrase for it in "text" and "refs"
/// chat      one conversation a line, see chat_line
std::string rec_lines(const SceneRecord& record, std::int64_t& next_id);
std::string caption_lines(const SceneRecord& record, std::int64_t& next_id);
std::string chat_lines(const SceneRecord& record, std::int64_t& next_id);

/// Visible pixels as COCO run lengths: column by column, background first.
nlohmann::ordered_json run_lengths(const Scene& scene, int object);

/// Collects instances.json: a COCO file of all objects with their masks, one category a kind.
class InstancesFile {
 public:
  explicit InstancesFile(World world);
  void add(const SceneRecord& record);
  std::string text() const;

 private:
  std::map<std::string, std::int64_t> categories_;
  nlohmann::ordered_json file_;
};

/// Collects ground.json, in the manner of LVIS v1: each image entry asks for one category, named
/// by a phrase; all its objects are annotated, and categories that the picture does not show but
/// nearly does are its neg_category_ids.
class GroundFile {
 public:
  void add(const SceneRecord& record);
  std::string text() const;

 private:
  std::int64_t category(const std::string& name);

  std::map<std::string, std::int64_t> ids_;
  std::vector<std::string> names_;  ///< by id - 1
  std::vector<std::int64_t> image_count_;
  std::vector<std::int64_t> instance_count_;
  nlohmann::ordered_json images_ = nlohmann::ordered_json::array();
  nlohmann::ordered_json annotations_ = nlohmann::ordered_json::array();
};

}  // namespace groma::train
