#include <cctype>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "check.h"
#include "io/file.h"
#include "io/json.h"
#include "train/instruct.h"
#include "train/tagged_text.h"

namespace groma::train {
namespace {

using Json = nlohmann::ordered_json;
using nlohmann::json;

/// Text of the service with every [3] or [1, 2] made <box>, and the boxes that they mean.
struct Placed {
  std::string text;
  Json boxes = Json::array();
};

/// Numbers between brackets at the beginning of `text`, whose length goes to `length`; empty where
/// there is something else. Signs and any number of digits belong to them, to be refused by name.
std::vector<std::string_view> marker(std::string_view text, size_t& length) {
  std::vector<std::string_view> numbers;
  if (text.empty() || text[0] != '[') return {};
  const auto skip = [&](size_t at, const auto& belongs) {
    while (at < text.size() && belongs(static_cast<unsigned char>(text[at]))) ++at;
    return at;
  };
  const auto space = [](unsigned char c) { return c == ' '; };
  for (size_t at = 1;; ++at) {
    const auto begin = at = skip(at, space);
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    const auto end = skip(at, [](unsigned char c) { return std::isdigit(c) != 0; });
    if (end == at) return {};
    numbers.push_back(text.substr(begin, end - begin));
    at = skip(end, space);
    if (at >= text.size()) return {};
    if (text[at] == ']') {
      length = at + 1;
      return numbers;
    }
    if (text[at] != ',') return {};
  }
}

/// A box by the number that a marker gives it.
const json& box_of(std::string_view number, const json& boxes, const std::string& doing) {
  size_t value = 0;
  const auto* end = number.data() + number.size();
  const auto read = std::from_chars(number.data(), end, value);
  const bool whole = read.ec == std::errc() && read.ptr == end;
  require(whole && value >= 1 && value <= boxes.size(), doing, ": names region ",
          number.substr(0, 40), ", the picture has 1 to ", boxes.size());
  return boxes[value - 1];
}

Placed placed(std::string_view text, Speaker speaker, const json& boxes, const std::string& doing) {
  Placed result;
  const bool answers = speaker == Speaker::kAssistant;
  while (!text.empty()) {
    size_t length = 0;
    auto numbers = marker(text, length);
    if (numbers.empty()) {
      result.text += text[0];
      text.remove_prefix(1);
      continue;
    }
    if (answers) result.text += "<roi>";
    for (; !numbers.empty(); numbers = marker(text, length)) {
      for (const auto number : numbers) {
        result.text += "<box>";
        result.boxes.push_back(Json(box_of(number, boxes, doing)));
      }
      text.remove_prefix(length);
    }
    if (answers) result.text += "</roi>";
  }
  return result;
}

/// Checks a turn's text as training will read it.   returns whether it names regions by phrases
bool check_turn(const Placed& side, Speaker speaker, const std::string& doing) {
  std::vector<int> objects(side.boxes.size());
  for (size_t i = 0; i < objects.size(); ++i) objects[i] = static_cast<int>(i);
  const auto utterance = parse_tagged(side.text, speaker, objects, doing);
  bool phrases = false;
  for (const auto& mention : utterance.mentions) {
    const bool words = mention.end > mention.begin;
    require(speaker == Speaker::kUser || !mention.objects.empty(), doing, ": the phrase ",
            io::quote(utterance.text.substr(mention.begin, mention.end - mention.begin)),
            " leads to no region");
    phrases |= words;
  }
  return phrases;
}

/// The JSON in a service's answer, which may stand in a block of code.
json payload(const std::string& content, const std::string& doing) {
  const auto begin = content.find('{'), end = content.rfind('}');
  require(begin != std::string::npos && end != std::string::npos && begin < end, doing,
          ": no JSON in the answer: ", io::quote(content, 60));
  return io::parse_json(content.substr(begin, end + 1 - begin), doing);
}

/// What the service said: of a batch's line, or a plain "content".
std::string content_of(const json& line, const std::string& doing) {
  if (line.contains("content") && line.at("content").is_string()) return line.at("content");
  const json::json_pointer said("/response/body/choices/0/message/content");
  const json::json_pointer status("/response/status_code");
  if (line.contains(status)) {
    require(line.at(status) == 200, doing, ": the service answered with status ",
            io::quote(line.at(status).dump(), 60));
  }
  require(line.contains(said) && line.at(said).is_string(), doing, ": holds no content");
  return line.at(said);
}

Json chat_line(const std::string& id, const json& about, const json& talk,
               const std::string& doing) {
  require(talk.contains("turns") && talk.at("turns").is_array() && !talk.at("turns").empty(), doing,
          ": no \"turns\"");
  Json line;
  line["id"] = id;
  for (const char* key : {"image", "width", "height"}) line[key] = Json(about.at(key));
  line["task"] = "chat";
  line["turns"] = Json::array();
  size_t named = 0;
  const auto& turns = talk.at("turns");
  for (size_t i = 0; i < turns.size(); ++i) {
    const auto place = doing + ", turn " + std::to_string(i + 1);
    const auto side = [&](const char* name, Speaker speaker) {
      require(turns[i].is_object() && turns[i].contains(name) && turns[i].at(name).is_string(),
              place, ": no ", name);
      return placed(turns[i].at(name).get_ref<const std::string&>(), speaker, about.at("boxes"),
                    place + ", " + name);
    };
    const auto question = side("question", Speaker::kUser);
    const auto answer = side("answer", Speaker::kAssistant);
    check_turn(question, Speaker::kUser, place + ", question");
    const bool grounded = check_turn(answer, Speaker::kAssistant, place + ", answer");
    named += question.boxes.size() + answer.boxes.size();
    line["turns"].push_back({{"question", question.text},
                             {"question_boxes", question.boxes},
                             {"answer", answer.text},
                             {"answer_boxes", answer.boxes},
                             {"grounded", grounded}});
  }
  require(named > 0, doing, ": the conversation names no region");
  return line;
}

/// Calls `each(line, place)` for the lines of a file of JSON objects.
template <typename Each>
void for_each_line(const std::string& path, const Each& each) {
  const auto file = io::MappedFile::open(path);
  std::string_view text = file->bytes();
  for (size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    each(std::string(line), path + ":" + std::to_string(number));
  }
}

}  // namespace

InstructResult read_instruct(const std::string& folder, const std::string& answers,
                             const std::string& out,
                             const std::function<void(const std::string&)>& on_refused) {
  std::map<std::string, json> regions;
  for_each_line(folder + "/regions.jsonl", [&](const std::string& line, const std::string& place) {
    auto about = io::parse_json(line, place);
    const bool whole = about.is_object() && about.contains("id") && about["id"].is_string() &&
                       about.contains("image") && about.contains("width") &&
                       about.contains("height") && about.contains("boxes") &&
                       about["boxes"].is_array();
    require(whole, "read ", place, ": no line of regions; take the file that prepare wrote");
    const std::string id = about["id"];
    regions[id] = std::move(about);
  });
  InstructResult result;
  std::set<std::string> answered;
  io::AtomicFile file(out);
  for_each_line(answers, [&](const std::string& text, const std::string& place) {
    ++result.answers;
    try {
      const auto line = io::parse_json(text, place);
      require(line.is_object() && line.contains("custom_id") && line.at("custom_id").is_string(),
              "read ", place, ": no custom_id");
      const std::string id = line.at("custom_id");
      const auto doing = "read " + place + ": answer " + io::quote(id, 40);
      const auto about = regions.find(id);
      require(about != regions.end(), doing, ": no such request in ", folder);
      require(!answered.contains(id), doing, ": came before");
      const auto talk = payload(content_of(line, doing), doing);
      file.write(chat_line(id, about->second, talk, doing).dump() + "\n");
      answered.insert(id);
      ++result.kept;
    } catch (const Error& error) {
      if (on_refused) on_refused(error.what());
    }
  });
  require(result.kept > 0, "read ", io::quote(answers), ": none of ", result.answers,
          " answers holds; nothing was written");
  result.missing = static_cast<std::int64_t>(regions.size() - answered.size());
  file.commit();
  return result;
}

}  // namespace groma::train
