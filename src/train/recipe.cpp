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
      out = io::value_as<T>(object_.at(key));
    } catch (const json::exception&) {
      require(false, where_, ".", key, ": ", io::quote(object_.at(key).dump(), 60),
              " has the wrong type");
    }
  }

  template <typename T>
  void read_positive(const char* key, T& out) {
    read(key, out);
    require(out > 0, where_, ".", key, " is ", out, "; it must be above 0");
  }

  template <typename T>
  void read_not_negative(const char* key, T& out) {
    read(key, out);
    require(out >= 0, where_, ".", key, " is ", out, "; it must be 0 or more");
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
      require(asked_.contains(item.key()), where_, ": unknown key ", io::quote(item.key(), 60),
              "; models/README.md lists those that exist");
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
  in.read_not_negative("warmup", out.warmup);
  in.read_not_negative("decay", out.decay);
  in.read_not_negative("final_share", out.final_share);
  std::string shape = "cosine";
  in.read("shape", shape);
  require(shape == "cosine" || shape == "linear", in.where(), ".shape is ", io::quote(shape, 60),
          "; it is cosine or linear");
  out.cosine = shape == "cosine";
  in.refuse_unknown();
  return out;
}

OptimizerOptions read_optimizer(Reader in) {
  OptimizerOptions out;
  in.read_positive("rate", out.rate);
  in.read("betas", out.betas);
  in.read_positive("epsilon", out.epsilon);
  in.read_not_negative("weight_decay", out.weight_decay);
  in.read_positive("clip", out.clip);
  out.rates = prefix_values(in, "rates");
  in.refuse_unknown();
  return out;
}

LoraOptions read_lora(Reader in) {
  LoraOptions out;
  in.read_positive("rank", out.rank);
  in.read_positive("alpha", out.alpha);
  in.read("targets", out.targets);
  in.refuse_unknown();
  require(!out.targets.empty(), in.where(), ".targets names no matrix; give q_proj, v_proj ...");
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

DataSource read_source(const json& object, const std::string& where) {
  Reader in(object, where);
  DataSource out;
  in.read("path", out.path);
  in.read("images", out.images);
  in.read("format", out.format);
  in.read("split", out.split);
  in.read("world", out.world);
  in.read("share", out.share);
  in.read("segments", out.segments);
  in.refuse_unknown();
  require(out.path.empty() != out.world.empty(), where,
          ": a source has either a \"path\" or a \"world\"");
  require(out.share >= 0, where, ".share is ", out.share,
          "; give a number above 0, or none for as often as there are pictures");
  return out;
}

/// A list of objects, each read by `read_item(object, place)`.
template <typename ReadItem>
void read_list(Reader& in, const char* key, const ReadItem& read_item) {
  if (!in.has(key)) return;
  const auto& list = in.value(key);
  require(list.is_array(), in.where(), ".", key, ": not a list");
  for (size_t i = 0; i < list.size(); ++i) {
    read_item(list[i], in.where() + "." + key + "[" + std::to_string(i) + "]");
  }
}

ScoreHeads score_heads_of(const std::string& name, const std::string& where) {
  if (name == "quality") return ScoreHeads::kQuality;
  require(name == "annotation", where, ".score_heads is ", io::quote(name, 60),
          "; it is quality or annotation");
  return ScoreHeads::kAnnotation;
}

constexpr const char* kStageNames[] = {"detection", "alignment", "instruction"};

StageKind stage_of(const std::string& name, const std::string& where) {
  const auto found = std::find(std::begin(kStageNames), std::end(kStageNames), name);
  require(found != std::end(kStageNames), where, ".stage is ", io::quote(name, 60),
          "; it is detection, alignment or instruction");
  return static_cast<StageKind>(found - std::begin(kStageNames));
}

/// The losses that a stage knows.
std::vector<std::string> losses_of(StageKind stage) {
  if (stage == StageKind::kDetection) return {"detection", "attributes"};
  return {"answer", "copy", "words", "places", "attention", "bag", "detection"};
}

void check_losses(const Recipe& recipe, const std::string& path) {
  const auto known = losses_of(recipe.stage);
  for (const auto& [name, weight] : recipe.losses) {
    require(std::find(known.begin(), known.end(), name) != known.end(), path,
            ".losses: this stage has no loss ", io::quote(name, 60), "; it knows ", listed(known));
    require(weight >= 0, path, ".losses.", name, " is ", weight, "; give a weight of 0 or more");
  }
}

}  // namespace

const char* stage_name(StageKind stage) { return kStageNames[static_cast<int>(stage)]; }

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
  in.read("frozen", out.frozen);
  in.read("zeroed", out.zeroed);
  if (in.has("lora")) out.lora = read_lora(in.section("lora"));
  in.read("ema", out.ema);
  require(out.ema >= 0 && out.ema < 1, path, ".ema is ", out.ema, "; give 0 (none) to below 1");
  in.read("bfloat16", out.bfloat16);
  in.read("autocast", out.autocast);
  if (in.has("schedule")) out.schedule = read_schedule(in.section("schedule"));
  if (in.has("optimizer")) out.optimizer = read_optimizer(in.section("optimizer"));
  in.read_positive("batch", out.batch);
  in.read_positive("accumulate", out.accumulate);
  in.read("losses", out.losses);
  check_losses(out, path);
  read_list(in, "phases", [&](const json& item, const std::string& where) {
    out.phases.push_back(read_phase(item, where));
  });
  read_list(in, "data", [&](const json& item, const std::string& where) {
    out.data.push_back(read_source(item, where));
  });
  read_list(in, "validation_data", [&](const json& item, const std::string& where) {
    out.validation_data.push_back(read_source(item, where));
  });
  std::string heads = "quality";
  in.read("score_heads", heads);
  out.score_heads = score_heads_of(heads, path);
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
  require(!out.trainable.empty() || out.lora.rank > 0, path,
          ".trainable names no parameters; give prefixes");
  return out;
}

std::string recipe_changes(const std::string& before, const std::string& now) {
  const auto old_values = io::parse_json(before, "the recipe before").flatten();
  const auto new_values = io::parse_json(now, "the recipe now").flatten();
  std::set<std::string> keys;
  for (const auto* values : {&old_values, &new_values}) {
    for (const auto& item : values->items()) keys.insert(item.key());
  }
  const auto written = [](const json& values, const std::string& key) {
    return values.contains(key) ? values.at(key).dump() : std::string("none");
  };
  std::string text;
  for (const auto& key : keys) {
    const auto was = written(old_values, key), is = written(new_values, key);
    if (was != is) text += (text.empty() ? "" : "; ") + key + " " + was + ", now " + is;
  }
  return printable(text, /*one_line=*/true);
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

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

bool begins_with_any(const std::string& name, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return name.starts_with(prefix); });
}

}  // namespace groma::train
