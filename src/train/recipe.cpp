#include "train/recipe.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <set>

#include "check.h"
#include "io/file.h"
#include "io/json.h"

namespace groma::train {
namespace {

using nlohmann::json;

/// An object of a recipe that knows which of its keys have been asked for.
class Reader {
 public:
  Reader(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    require(object_.is_object(), where_, ": not an object");
  }

  template <typename T>
  void read(const char* key, T& out) {
    asked_.insert(key);
    if (!object_.contains(key)) return;
    try {
      object_.at(key).get_to(out);
    } catch (const json::exception&) {
      require(false, where_, ".", key, ": ", object_.at(key).dump(), " has the wrong type");
    }
  }

  template <typename T>
  void read_positive(const char* key, T& out) {
    read(key, out);
    require(out > 0, where_, ".", key, " is ", out, "; it must be above 0");
  }

  bool has(const char* key) {
    asked_.insert(key);
    return object_.contains(key);
  }
  Reader section(const char* key) {
    asked_.insert(key);
    return Reader(object_.at(key), where_ + "." + key);
  }
  const json& value(const char* key) const { return object_.at(key); }
  const std::string& where() const { return where_; }

  void refuse_unknown() const {
    for (const auto& item : object_.items()) {
      require(asked_.contains(item.key()), where_, ".", item.key(),
              ": unknown key; models/README.md lists those that exist");
    }
  }

 private:
  const json& object_;
  std::string where_;
  std::set<std::string> asked_;
};

std::vector<PrefixValue> prefix_values(Reader& in, const char* key) {
  std::map<std::string, double> values;
  in.read(key, values);
  std::vector<PrefixValue> result;
  for (const auto& [prefix, value] : values) result.push_back({prefix, value});
  return result;
}

Schedule read_schedule(Reader in) {
  Schedule out;
  in.read_positive("steps", out.steps);
  out.decay = out.steps;
  in.read("warmup", out.warmup);
  in.read("decay", out.decay);
  in.read("final_share", out.final_share);
  std::string shape = "cosine";
  in.read("shape", shape);
  require(shape == "cosine" || shape == "linear", in.where(), ".shape is '", shape,
          "'; it is cosine or linear");
  out.cosine = shape == "cosine";
  in.refuse_unknown();
  return out;
}

OptimizerOptions read_optimizer(Reader in) {
  OptimizerOptions out;
  in.read_positive("rate", out.rate);
  in.read("betas", out.betas);
  in.read_positive("epsilon", out.epsilon);
  in.read("weight_decay", out.weight_decay);
  in.read_positive("clip", out.clip);
  out.rates = prefix_values(in, "rates");
  in.refuse_unknown();
  return out;
}

Phase read_phase(const json& object, const std::string& where) {
  Reader in(object, where);
  Phase out;
  in.read_positive("until", out.until);
  in.read_positive("max_objects", out.max_objects);
  in.read("questions", out.questions);
  in.refuse_unknown();
  return out;
}

StageKind stage_of(const std::string& name, const std::string& where) {
  if (name == "detection") return StageKind::kDetection;
  if (name == "alignment") return StageKind::kAlignment;
  require(name == "instruction", where, ".stage is '", name,
          "'; it is detection, alignment or instruction");
  return StageKind::kInstruction;
}

}  // namespace

double Schedule::at(int64_t step) const {
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
  const auto begin = steps - decay;
  if (step < begin) return 1;
  const double done = std::min(1.0, static_cast<double>(step - begin) / static_cast<double>(decay));
  const double fall = cosine ? 0.5 * (1 + std::cos(std::numbers::pi * done)) : 1 - done;
  return final_share + (1 - final_share) * fall;
}

double Recipe::loss(const std::string& name) const {
  const auto found = losses.find(name);
  return found == losses.end() ? 0 : found->second;
}

Recipe read_recipe(const std::string& path) {
  constexpr std::size_t kMostBytes = 1 << 20;
  Recipe out;
  out.text = io::read_text_file(path, kMostBytes);
  const auto document = io::parse_json(out.text, path);
  Reader in(document, path);
  std::string stage = "detection";
  in.read("stage", stage);
  out.stage = stage_of(stage, path);
  in.read("trainable", out.trainable);
  in.read("bfloat16", out.bfloat16);
  in.read("autocast", out.autocast);
  if (in.has("schedule")) out.schedule = read_schedule(in.section("schedule"));
  if (in.has("optimizer")) out.optimizer = read_optimizer(in.section("optimizer"));
  in.read_positive("batch", out.batch);
  in.read_positive("accumulate", out.accumulate);
  in.read("losses", out.losses);
  if (in.has("phases")) {
    const auto& list = in.value("phases");
    for (size_t i = 0; i < list.size(); ++i) {
      out.phases.push_back(read_phase(list[i], path + ".phases[" + std::to_string(i) + "]"));
    }
  }
  in.read_positive("questions_per_image", out.questions_per_image);
  in.read("image_token_share", out.image_token_share);
  in.read("marked_share", out.marked_share);
  in.read("oracle_features", out.oracle_features);
  in.read("world", out.world);
  in.read("small_share", out.small_share);
  in.read("hidden_share", out.hidden_share);
  in.read_positive("validate_every", out.validate_every);
  in.read("validation_scenes", out.validation_scenes);
  in.read("checkpoint_minutes", out.checkpoint_minutes);
  in.refuse_unknown();
  require(!out.trainable.empty(), path, ".trainable names no parameters; give prefixes");
  return out;
}

double value_for(const std::vector<PrefixValue>& values, const std::string& name, double fallback) {
  size_t longest = 0;
  for (const auto& [prefix, value] : values) {
    if (prefix.size() >= longest && name.starts_with(prefix)) {
      longest = prefix.size();
      fallback = value;
    }
  }
  return fallback;
}

bool begins_with_any(const std::string& name, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return name.starts_with(prefix); });
}

}  // namespace groma::train
