#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "eval/dataset.h"

namespace groma::eval {

inline constexpr std::array<std::pair<std::string_view, Task>, 5> kTaskNames = {
    {{"rec", Task::kRec},
     {"ground", Task::kGround},
     {"caption", Task::kCaption},
     {"chat", Task::kChat},
     {"detect", Task::kDetect}}};

inline std::optional<Task> task_named(std::string_view name) {
  for (const auto& [known, task] : kTaskNames) {
    if (name == known) return task;
  }
  return std::nullopt;
}

inline std::string_view name_of(Task task) {
  for (const auto& [name, known] : kTaskNames) {
    if (task == known) return name;
  }
  return "";
}

}  // namespace groma::eval
