#include "train/worlds/set_files.h"

#include <algorithm>

namespace groma::train {
namespace {

using Json = nlohmann::ordered_json;

Json xyxy(const Box& box) {
  return Json::array({static_cast<int>(box.x1), static_cast<int>(box.y1), static_cast<int>(box.x2),
                      static_cast<int>(box.y2)});
}

Json xywh(const Box& box) {
  return Json::array({static_cast<int>(box.x1), static_cast<int>(box.y1),
                      static_cast<int>(box.x2 - box.x1), static_cast<int>(box.y2 - box.y1)});
}

Json boxes_of(const Scene& scene, const std::vector<int>& objects) {
  Json boxes = Json::array();
  for (const int object : objects) boxes.push_back(xyxy(scene.objects[object].box));
  return boxes;
}

std::int64_t mask_area(const Json& mask) {
  std::int64_t area = 0;
  const Json& counts = mask["counts"];
  for (std::size_t i = 1; i < counts.size(); i += 2) area += counts[i].get<std::int64_t>();
  return area;
}

/// What every line begins with.
Json line_of(const SceneRecord& record, std::int64_t id, const char* task) {
  Json line;
  line["id"] = id;
  line["image"] = record.image;
  line["width"] = record.scene.size;
  line["height"] = record.scene.size;
  line["task"] = task;
  return line;
}

void add_boxes(Json& line, const Scene& scene, const std::vector<int>& objects) {
  line["boxes"] = boxes_of(scene, objects);
  line["box_format"] = "xyxy";
  line["box_unit"] = "px";
}

int others_of_kind(const Scene& scene, int object) {
  const auto alike = std::count_if(
      scene.objects.begin(), scene.objects.end(),
      [&](const SceneObject& other) { return other.kind == scene.objects[object].kind; });
  return static_cast<int>(alike) - 1;
}

Json refer_line(const SceneRecord& record, const Question& question, std::int64_t id) {
  const SceneObject& target = record.scene.objects[question.targets[0]];
  Json line = line_of(record, id, "rec");
  line["text"] = question.expression;
  add_boxes(line, record.scene, question.targets);
  line["kind"] = question.kind;
  line["blind"] = boxes_of(record.scene, question.blind);
  line["anchors"] = boxes_of(record.scene, question.anchors);
  line["size"] = target.size;
  line["visible"] = target.visible;
  line["distractors"] = others_of_kind(record.scene, question.targets[0]);
  return line;
}

std::string with_placeholders(const Utterance& utterance, Speaker speaker) {
  return tagged(utterance, speaker, [](int) { return std::string("<box>"); });
}

/// A turn: text in which "<box>" stands for the next of its boxes.
Json turn_of(const Scene& scene, const Exchange& turn) {
  Json result;
  result["question"] = with_placeholders(turn.question, Speaker::kUser);
  result["question_boxes"] = boxes_of(scene, mentioned(turn.question));
  result["answer"] = with_placeholders(turn.answer, Speaker::kAssistant);
  result["answer_boxes"] = boxes_of(scene, mentioned(turn.answer));
  if (!turn.steps.text.empty()) {
    result["steps"] = with_placeholders(turn.steps, Speaker::kAssistant);
    result["steps_boxes"] = boxes_of(scene, mentioned(turn.steps));
  }
  result["grounded"] = turn.grounded;
  return result;
}

const char* chat_kind(Task task) {
  switch (task) {
    case Task::kDescribe:
      return "describe";
    case Task::kCount:
      return "count";
    case Task::kYesNo:
      return "yes_no";
    case Task::kAbsent:
      return "absent";
    default:
      return "dialogue";
  }
}

/// The first answer's boxes and, beside each, the phrase for it; then all turns.
Json chat_line(const SceneRecord& record, const Question& question, std::int64_t id) {
  Json line = line_of(record, id, "chat");
  const Exchange& first = question.turns[0];
  line["kind"] = chat_kind(question.task);
  line["about"] = question.kind;
  line["text"] = with_placeholders(first.question, Speaker::kUser);
  add_boxes(line, record.scene, mentioned(first.answer));
  Json phrases = Json::array();
  for (const auto& mention : first.answer.mentions) {
    const auto words = first.answer.text.substr(mention.begin, mention.end - mention.begin);
    for (std::size_t i = 0; i < mention.objects.size(); ++i) phrases.push_back(words);
  }
  line["phrases"] = phrases;
  if (!question.expected.empty()) line["expected"] = question.expected;
  line["turns"] = Json::array();
  for (const auto& turn : question.turns) line["turns"].push_back(turn_of(record.scene, turn));
  return line;
}

char frequency(std::int64_t images) {
  if (images > 100) return 'f';
  return images > 10 ? 'c' : 'r';
}

}  // namespace

std::string rec_lines(const SceneRecord& record, std::int64_t& next_id) {
  std::string lines;
  for (const auto& question : record.questions) {
    if (question.task != Task::kRefer) continue;
    lines += refer_line(record, question, next_id++).dump() + "\n";
  }
  return lines;
}

std::string caption_lines(const SceneRecord& record, std::int64_t& next_id) {
  std::string lines;
  for (const auto& question : record.questions) {
    if (question.task != Task::kCaption) continue;
    Json line = line_of(record, next_id++, "caption");
    line["text"] = question.expected;
    add_boxes(line, record.scene, question.targets);
    line["refs"] = Json::array({question.expected});
    lines += line.dump() + "\n";
  }
  return lines;
}

std::string chat_lines(const SceneRecord& record, std::int64_t& next_id) {
  std::string lines;
  for (const auto& question : record.questions) {
    const Task task = question.task;
    if (task == Task::kRefer || task == Task::kGround || task == Task::kCaption) continue;
    lines += chat_line(record, question, next_id++).dump() + "\n";
  }
  return lines;
}

Json run_lengths(const Scene& scene, int object) {
  Json counts = Json::array();
  const auto size = static_cast<std::size_t>(scene.size);
  bool inside = false;
  std::int64_t run = 0;
  for (std::size_t x = 0; x < size; ++x) {
    for (std::size_t y = 0; y < size; ++y) {
      const bool is_object = scene.owner[y * size + x] == object + 1;
      if (is_object != inside) {
        counts.push_back(run);
        run = 0;
        inside = is_object;
      }
      ++run;
    }
  }
  counts.push_back(run);
  Json mask;
  mask["size"] = Json::array({scene.size, scene.size});
  mask["counts"] = std::move(counts);
  return mask;
}

InstancesFile::InstancesFile(World world) {
  file_["info"] = {{"description", "Synthetic scenes of groma synth"}};
  file_["licenses"] = Json::array();
  file_["images"] = Json::array();
  file_["annotations"] = Json::array();
  file_["categories"] = Json::array();
  const std::vector<std::string> kinds = attribute_words(world)[3];
  for (const auto& kind : kinds) {
    const auto id = static_cast<std::int64_t>(categories_.size()) + 1;
    categories_[kind] = id;
    file_["categories"].push_back({{"id", id}, {"name", kind}, {"supercategory", "object"}});
  }
}

void InstancesFile::add(const SceneRecord& record) {
  const Scene& scene = record.scene;
  const auto image = static_cast<std::int64_t>(file_["images"].size()) + 1;
  file_["images"].push_back(
      {{"id", image}, {"file_name", record.image}, {"width", scene.size}, {"height", scene.size}});
  for (std::size_t i = 0; i < scene.objects.size(); ++i) {
    const SceneObject& object = scene.objects[i];
    Json annotation;
    annotation["id"] = static_cast<std::int64_t>(file_["annotations"].size()) + 1;
    annotation["image_id"] = image;
    annotation["category_id"] = categories_.at(object.kind);
    annotation["bbox"] = xywh(object.box);
    annotation["area"] = mask_area(record.masks[i]);
    annotation["iscrowd"] = 0;
    annotation["segmentation"] = record.masks[i];
    annotation["full_bbox"] = xywh(object.full_box);
    annotation["visible"] = object.visible;
    annotation["size"] = object.size;
    if (!object.color.empty()) annotation["color"] = object.color;
    if (!object.texture.empty()) annotation["texture"] = object.texture;
    file_["annotations"].push_back(std::move(annotation));
  }
}

std::string InstancesFile::text() const { return file_.dump() + "\n"; }

std::int64_t GroundFile::category(const std::string& name) {
  const auto [place, is_new] = ids_.try_emplace(name, static_cast<std::int64_t>(ids_.size()) + 1);
  if (is_new) {
    names_.push_back(name);
    image_count_.push_back(0);
    instance_count_.push_back(0);
  }
  return place->second;
}

void GroundFile::add(const SceneRecord& record) {
  Json absent = Json::array();
  for (const auto& question : record.questions) {
    if (question.task == Task::kAbsent) absent.push_back(category(question.expression));
  }
  for (const auto& question : record.questions) {
    if (question.task != Task::kGround) continue;
    const std::int64_t id = category(question.expression);
    const auto image = static_cast<std::int64_t>(images_.size()) + 1;
    images_.push_back({{"id", image},
                       {"file_name", record.image},
                       {"coco_url", record.image},
                       {"width", record.scene.size},
                       {"height", record.scene.size},
                       {"neg_category_ids", absent},
                       {"not_exhaustive_category_ids", Json::array()}});
    ++image_count_[id - 1];
    for (const int object : question.targets) {
      ++instance_count_[id - 1];
      annotations_.push_back({{"id", static_cast<std::int64_t>(annotations_.size()) + 1},
                              {"image_id", image},
                              {"category_id", id},
                              {"bbox", xywh(record.scene.objects[object].box)},
                              {"area", mask_area(record.masks[object])},
                              {"segmentation", record.masks[object]}});
    }
  }
}

std::string GroundFile::text() const {
  Json file;
  file["info"] = {{"description", "Category grounding on synthetic scenes of groma synth"}};
  file["licenses"] = Json::array();
  file["images"] = images_;
  file["annotations"] = annotations_;
  file["categories"] = Json::array();
  for (std::size_t i = 0; i < names_.size(); ++i) {
    file["categories"].push_back({{"id", i + 1},
                                  {"name", names_[i]},
                                  {"synset", ""},
                                  {"synonyms", Json::array({names_[i]})},
                                  {"def", ""},
                                  {"frequency", std::string(1, frequency(image_count_[i]))},
                                  {"image_count", image_count_[i]},
                                  {"instance_count", instance_count_[i]}});
  }
  return file.dump() + "\n";
}

}  // namespace groma::train
