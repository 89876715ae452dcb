#include "train/worlds/turns.h"

#include <algorithm>
#include <array>

#include "train/worlds/things.h"
#include "train/worlds/utterance.h"
#include "train/worlds/words.h"

namespace groma::train {
namespace {

// The first ones of each table are the instructions that evaluation protocols use for Groma.
constexpr std::array<const char*, 9> kReferPatterns{
    "Locate {} in the image.",
    "Can you spot {} in the photograph?",
    "Identify where {} is located in the picture.",
    "Please detect {} in the picture.",
    "Which region matches the description {}?",
    "Please identify the object that corresponds to {}.",
    "Where is {}?",
    "Find {}.",
    "Show me {}."};
constexpr std::array<const char*, 8> kGroundPatterns{
    "Locate all {} in this image.",
    "Identify all instances of {} in the photo.",
    "Find all instances of {} in the image.",
    "Point out all the {} visible in this picture.",
    "Detect and list each {} that appears in this photo.",
    "What is the position of each {} in the image?",
    "Where are the {}?",
    "Show me all {}."};
constexpr std::array<const char*, 5> kCaptionPatterns{
    "What is {}?", "Please briefly describe {}.", "Provide a short description for {}.",
    "Please give a concise description of region {}.", "Describe {}."};
constexpr std::array<const char*, 4> kDescribePatterns{
    "Describe the image.", "What do you see in the picture?", "What is in the image?",
    "Describe everything in the picture."};
constexpr std::array<const char*, 4> kGroupPatterns{
    "Summarize the image.", "Which kinds of {} are there?", "List the kinds of {} in the picture.",
    "Give a short summary of the picture."};
constexpr std::array<const char*, 3> kCountPatterns{
    "How many {} are there?", "How many {} do you see in the image?", "Count the {}."};
constexpr std::array<const char*, 3> kExistsPatterns{"Is there {} in the image?", "Do you see {}?",
                                                     "Does the picture show {}?"};

constexpr int kTries = 12;

/// What all of a category is asked for by: "each star", "all stars", and as evaluation protocols
/// put a category's name into any sentence, "all star".
std::string category_name(std::string_view pattern, const std::string& name, Random& random) {
  const bool each = pattern.find("each") != std::string_view::npos;
  const bool own = pattern.starts_with("Where") || pattern.starts_with("Show");
  const bool as_protocol = !own && random.chance(0.5);
  return each || as_protocol ? name : plural(name);
}

using Item = std::pair<std::string, std::vector<int>>;  // words and what they stand for

/// "two stars", "a star".
std::string counted(const std::string& words, std::size_t count) {
  if (count == 1) return with_article(words);
  return std::string(kNumbers[count]) + " " + plural(words);
}

/// "I see a, b and c.", of which a, b and c may change places.
Utterance enumeration(std::string_view opening, const std::vector<Item>& items) {
  Speech speech;
  speech.say(opening);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) speech.say(i + 1 == items.size() ? " and " : ", ");
    speech.mention(items[i].first, items[i].second);
  }
  return speech.say(".").list();
}

/// Objects by kind, in order of their first one.
std::vector<Item> groups_of(const Scene& scene) {
  std::vector<Item> groups;
  for (std::size_t i = 0; i < scene.objects.size(); ++i) {
    const std::string& kind = scene.objects[i].kind;
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const Item& known) { return known.first == kind; });
    if (group == groups.end()) group = groups.insert(groups.end(), {kind, {}});
    group->second.push_back(static_cast<int>(i));
  }
  return groups;
}

bool is_empty(const Words& words) {
  return words.kind.empty() && words.color.empty() && words.texture.empty() && words.size.empty();
}

/// Words of some object with one or two of them exchanged.
Words changed_words(const Scene& scene, Random& random) {
  const auto count = static_cast<int>(scene.objects.size());
  Words words = some_words(scene, random.below(count), random);
  const SceneObject& other = random.pick(scene.objects);
  const bool shapes = scene.world == World::kShapes;
  if (!words.kind.empty() && random.chance(0.5)) {
    words.kind = shapes ? std::string(random.pick(kShapeKinds)) : random.pick(thing_kinds());
    // Few things have a colour that can be named: of an unknown one none is named.
    if (!shapes) words.color.clear();
  }
  if (!words.color.empty() && random.chance(0.7)) {
    words.color = random.chance(0.5) && !other.color.empty() ? other.color
                                                             : std::string(random.pick(kColors));
  }
  if (!words.texture.empty() && random.chance(0.7)) words.texture = random.pick(kTextures);
  if (!words.size.empty() && random.chance(0.3)) words.size = random.pick(kSizes);
  return words;
}

}  // namespace

Utterance yes_or_no(bool yes) { return Speech().say(yes ? "Yes." : "No."); }

std::optional<Words> shared_words(const Scene& scene, int least, int most, Random& random) {
  for (int i = 0; i < kTries; ++i) {
    const int object = random.below(static_cast<int>(scene.objects.size()));
    const Words words = some_words(scene, object, random);
    const auto count = static_cast<int>(fitting(scene, words).size());
    if (!is_empty(words) && count >= least && count <= most) return words;
  }
  return {};
}

std::optional<Words> absent_words(const Scene& scene, Random& random) {
  for (int i = 0; i < kTries; ++i) {
    const Words words = changed_words(scene, random);
    if (!is_empty(words) && fitting(scene, words).empty()) return words;
  }
  return {};
}

Exchange refer_turn(const std::string& expression, int target, const Utterance& steps,
                    Random& random) {
  return {fill(random.pick(kReferPatterns), expression), Speech().regions({target}), steps};
}

Exchange absent_turn(const Scene& scene, const Words& words, bool all, Random& random) {
  const std::string name = phrase(scene, words);
  const std::string_view pattern = all ? random.pick(kGroundPatterns) : random.pick(kReferPatterns);
  const std::string asked = all ? category_name(pattern, name, random) : "the " + name;
  return {fill(pattern, asked), Speech().say("There is no " + name + "."), {}};
}

Exchange ground_turn(const Scene& scene, const Words& words, Random& random) {
  const std::string_view pattern = random.pick(kGroundPatterns);
  const std::string name = phrase(scene, words);
  return {fill(pattern, category_name(pattern, name, random)),
          Speech().regions(fitting(scene, words)),
          {}};
}

Exchange caption_turn(const Scene& scene, int object, Random& random) {
  const std::string_view pattern = random.pick(kCaptionPatterns);
  const std::string words = phrase(scene, words_of(scene.objects[object]));
  return {fill(pattern, "", {object}), Speech().say(with_article(words)), {}};
}

Exchange ground_turn(const std::string& category, std::vector<int> objects, Random& random) {
  constexpr int kOfProtocols = 6;  // the first ones, which leave the category's name as it is
  const std::string_view pattern = kGroundPatterns[random.below(kOfProtocols)];
  return {fill(pattern, category), Speech().regions(std::move(objects)), {}};
}

Exchange caption_turn(const std::string& caption, int object, Random& random) {
  return {fill(random.pick(kCaptionPatterns), "", {object}), Speech().say(caption), {}};
}

Exchange describe_turn(const Scene& scene, Random& random) {
  std::vector<Item> items;
  for (std::size_t i = 0; i < scene.objects.size(); ++i) {
    const std::string words = phrase(scene, words_of(scene.objects[i]));
    items.push_back({with_article(words), {static_cast<int>(i)}});
  }
  const std::string_view pattern = random.pick(kDescribePatterns);
  return {Speech().say(pattern), enumeration("I see ", items), {}, true};
}

Exchange describe_turn(Utterance caption, Random& random) {
  return {Speech().say(random.pick(kDescribePatterns)), std::move(caption), {}, true};
}

Exchange groups_turn(const Scene& scene, Random& random) {
  std::vector<Item> groups = groups_of(scene);
  for (auto& [words, objects] : groups) words = counted(words, objects.size());
  std::string question = random.pick(kGroupPatterns);
  if (question.find("{}") != std::string::npos) {
    question = fill_text(question, plural(generic_kind(scene)));
  }
  return {Speech().say(question), enumeration("There are ", groups), {}, true};
}

Exchange count_turn(const Scene& scene, const Words& words, Random& random) {
  const std::vector<int> found = fitting(scene, words);
  const std::string many = plural(phrase(scene, words));
  const std::string number(kNumbers[found.size()]);
  Exchange turn;
  turn.question = fill(random.pick(kCountPatterns), many);
  turn.answer = Speech().say(found.size() == 1 ? "There is " : "There are ").say(number + ".");
  if (!found.empty()) {
    turn.steps = Speech().mention(many, found).say(": " + number + ".");
  }
  return turn;
}

Exchange exists_turn(const Scene& scene, const Words& words, Random& random) {
  const std::vector<int> found = fitting(scene, words);
  const std::string name = phrase(scene, words);
  Exchange turn;
  turn.question = fill(random.pick(kExistsPatterns), with_article(name));
  turn.answer = yes_or_no(!found.empty());
  if (!found.empty()) {
    turn.steps = Speech().say("Yes, ").mention(counted(name, found.size()), found).say(".");
  }
  return turn;
}

}  // namespace groma::train
