#include "eval/questions.h"

#include <unordered_map>

#include "check.h"
#include "eval/prediction.h"
#include "eval/write_annotations.h"

namespace groma::eval {
namespace {

constexpr std::string_view kPlace = "{}";
constexpr const char* kReferredBox = "<roi><refer_box></roi><refer_feat>";

/// A number that depends on its arguments alone, on every machine: FNV-1a, then splitmix64.
std::uint64_t mixed(std::string_view text, std::uint64_t seed) {
  std::uint64_t x = 0xcbf29ce484222325 ^ seed;
  for (const char c : text) x = (x ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

}  // namespace

const std::vector<std::string>& instructions(Protocol protocol, bool detailed) {
  static const std::vector<std::string> kRec = {
      "Locate {} in the image.",
      "Can you spot {} in the photograph?",
      "Identify where {} is located in the picture.",
      "Please detect {} in the picture.",
      "Which region matches the description {}?",
      "Please identify the object that corresponds to {}."};
  static const std::vector<std::string> kGround = {
      "Locate all {} in this image.",
      "Identify all instances of {} in the photo.",
      "Find all instances of {} in the image.",
      "Point out all the {} visible in this picture.",
      "Detect and list each {} that appears in this photo.",
      "What is the position of each {} in the image?"};
  static const std::vector<std::string> kBrief = {
      "What is {}?", "Please briefly describe {}.", "Provide a short description for {}.",
      "Please give a concise description of region {}."};
  static const std::vector<std::string> kDetailed = {
      "Can you provide me with a detailed description of {}?", "Please describe {} in details.",
      "I'm curious about {} in the photo. Can you describe it in detail?",
      "Please give a comprehensive description of the object {}.",
      "What does the object {} in the picture look like? Could you give me a detailed "
      "description?"};
  static const std::vector<std::string> kAsItStands = {std::string(kPlace)};
  switch (protocol) {
    case Protocol::kRec:
      return kRec;
    case Protocol::kLvisGround:
      return kGround;
    case Protocol::kCaption:
      return detailed ? kDetailed : kBrief;
    default:
      return kAsItStands;
  }
}

int answer_length(Protocol protocol) {
  switch (protocol) {
    case Protocol::kRec:
      return 3;
    case Protocol::kLvisGround:
      return 10;
    case Protocol::kCaption:
      return 100;
    default:
      return 512;
  }
}

std::vector<TextPiece> question_of(const Dataset& dataset, const Sample& sample, Protocol protocol,
                                   const std::string& instruction) {
  const Entry& entry = dataset.entries[sample.entry];
  const std::size_t place = instruction.find(kPlace);
  std::string before = instruction.substr(0, place);
  std::string after = instruction.substr(place + kPlace.size());
  if (protocol == Protocol::kCaption) return {{before + kReferredBox + after, true}};
  if (protocol == Protocol::kGroundedChat) {
    require(!entry.text.empty(), "ask about entry ", entry.label(),
            ": it has no question; give it a 'text'");
    return {{"[grounding]" + before, true}, {entry.text, false}, {after, true}};
  }
  return {{before + "<p>", true}, {query_text(dataset, entry), false}, {"</p>" + after, true}};
}

std::string text_of(const std::vector<TextPiece>& pieces) {
  std::string out;
  for (const TextPiece& piece : pieces) out += piece.text;
  return out;
}

std::vector<Ask> plan_asks(const Dataset& dataset, const SampleList& list, int prompts,
                           const RunOptions& options) {
  std::vector<std::vector<std::uint32_t>> by_image;
  std::unordered_map<std::string_view, std::size_t> place_of;
  for (std::uint32_t j = options.shard; j < list.samples.size(); j += options.shards) {
    const std::string& image = dataset.entries[list.samples[j].entry].image;
    const auto [place, fresh] = place_of.emplace(image, by_image.size());
    if (fresh) by_image.emplace_back();
    by_image[place->second].push_back(j);
  }
  std::vector<Ask> out;
  const auto add = [&](std::uint32_t sample, int prompt) {
    const std::string key = PredictionKey{list.samples[sample].label, prompt, options.seed}.text();
    const bool shuffle = !options.by_score && options.protocol != Protocol::kProposals;
    out.push_back({sample, prompt, key, std::nullopt});
    if (shuffle) out.back().shuffle_seed = mixed(key, 1);
  };
  for (const auto& samples : by_image) {
    for (const std::uint32_t sample : samples) {
      const std::string& label = list.samples[sample].label;
      if (options.prompt_index == kAllPrompts) {
        for (int prompt = 0; prompt < prompts; ++prompt) add(sample, prompt);
      } else if (options.prompt_index == kRandomPrompt) {
        add(sample, static_cast<int>(mixed(label, options.seed) % prompts));
      } else {
        add(sample, options.prompt_index);
      }
    }
  }
  return out;
}

}  // namespace groma::eval
