#include "train/worlds/set_statistics.h"

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

namespace groma::train {
namespace {

const char* name_of(Task task) {
  switch (task) {
    case Task::kRefer:
      return "refer";
    case Task::kGround:
      return "ground";
    case Task::kCaption:
      return "caption";
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

}  // namespace

void SetStatistics::add(const SceneRecord& record) {
  const Scene& scene = record.scene;
  ++scenes_;
  for (const auto& object : scene.objects) {
    ++objects_;
    ++sizes_[object.size];
    const float longest = std::max(object.box.x2 - object.box.x1, object.box.y2 - object.box.y1);
    if (longest * 9 < static_cast<float>(scene.size)) ++below_ninth_;
    if (object.visible < kPartlyHidden) ++partly_hidden_;
  }
  for (const auto& question : record.questions) {
    ++tasks_[name_of(question.task)];
    if (question.expected == "yes") ++yes_;
    if (question.task != Task::kRefer) continue;
    ++all_refers_;
    Refers& refers = refers_[question.kind];
    ++refers.count;
    refers.blind += 1.0 / static_cast<double>(question.blind.size());
    const std::string& kind = scene.objects[question.targets[0]].kind;
    const auto alike =
        std::count_if(scene.objects.begin(), scene.objects.end(),
                      [&](const SceneObject& object) { return object.kind == kind; });
    if (alike >= 3) ++crowded_refers_;
  }
}

double SetStatistics::share(std::int64_t part, std::int64_t whole) const {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

SetStatistics::Refers SetStatistics::relational() const {
  Refers sum;
  for (const auto& [kind, refers] : refers_) {
    if (kind == "attr") continue;
    sum.count += refers.count;
    sum.blind += refers.blind;
  }
  return sum;
}

nlohmann::ordered_json SetStatistics::json() const {
  nlohmann::ordered_json result;
  result["scenes"] = scenes_;
  result["objects"] = objects_;
  result["objects_by_size"] = sizes_;
  result["below_ninth_of_side"] = share(below_ninth_, objects_);
  result["partly_hidden"] = share(partly_hidden_, objects_);
  result["questions"] = tasks_;
  for (const auto& [kind, refers] : refers_) result["refer"][kind] = refers.count;
  result["refer_relational"] = share(relational().count, all_refers_);
  result["refer_two_distractors_of_kind"] = share(crowded_refers_, all_refers_);
  for (const auto& [kind, refers] : refers_) {
    if (kind == "attr") continue;
    result["blind_baseline"][kind] = refers.blind / static_cast<double>(refers.count);
  }
  const auto yes_no = tasks_.find("yes_no");
  result["yes_share"] = yes_no == tasks_.end() ? 0 : share(yes_, yes_no->second);
  return result;
}

std::string SetStatistics::text() const {
  std::ostringstream out;
  out << std::fixed << std::setprecision(1);
  out << scenes_ << " scenes, " << objects_ << " objects: " << 100 * share(below_ninth_, objects_)
      << " % below 1/9 of the picture's side, " << 100 * share(partly_hidden_, objects_)
      << " % partly hidden\n";
  out << all_refers_ << " referring expressions: " << 100 * share(relational().count, all_refers_)
      << " % need a relation, superlative or ordinal, " << 100 * share(crowded_refers_, all_refers_)
      << " % have two or more distractors of the same kind\n";
  out << std::setprecision(3) << "blind baselines:";
  for (const auto& [kind, refers] : refers_) {
    if (kind == "attr") continue;
    out << " " << kind << " " << refers.blind / static_cast<double>(refers.count);
  }
  out << "\n";
  return out.str();
}

}  // namespace groma::train
