// Conversations about pictures: the lists of LLaVA and ShareGPT4V, and that of Groma-Instruct,
// whose answers name boxes.
//
// source    LLaVA docs/Finetune_Custom_Data.md; Groma groma/data/datasets/llava.py and groma.py

#include <algorithm>

#include "check.h"
#include "eval/annotations.h"
#include "eval/json_fields.h"
#include "eval/json_reader.h"
#include "eval/json_text.h"
#include "io/file.h"

namespace groma::eval {
namespace {

struct Turn {
  std::string speaker;  ///< human or gpt; empty: not given
  std::string text;
  std::vector<std::int64_t> boxes;  ///< places in the record's list
};

struct Record {
  Entry entry;
  std::vector<Turn> turns;  ///< of the user and of the assistant by turns
  std::vector<XywhBox> boxes;
  bool grounded = false;  ///< has a list of boxes
};

void trim(std::string& text) {
  constexpr const char* kBlanks = " \t\r\n";
  text.erase(text.find_last_not_of(kBlanks) + 1);
  text.erase(0, text.find_first_not_of(kBlanks));
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// What LLaVA's texts are to a model: without the mark of the picture, on one line.
std::string llava_text(std::string text, bool asks) {
  constexpr std::string_view kPicture = "<image>";
  for (std::size_t at = 0; asks && (at = text.find(kPicture, at)) != text.npos;) {
    text.erase(at, kPicture.size());
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  trim(text);
  return text;
}

/// Groma-Instruct's marks as we write them: <box> for a box, no blanks inside of tags.
std::string groma_text(std::string_view rest, bool asks) {
  if (asks) take(rest, "[grounding]");
  std::string text;
  const auto skip_blanks = [&] {
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  };
  const auto close = [&](std::string_view tag) {
    text.erase(text.find_last_not_of(' ') + 1);
    text += tag;
  };
  while (!rest.empty()) {
    if (take(rest, "<p>")) {
      text += "<p>";
      skip_blanks();
    } else if (take(rest, "<roi>")) {
      text += "<roi>";
      skip_blanks();
    } else if (take(rest, "<ground_box>")) {
      text += "<box>";
      skip_blanks();
    } else if (take(rest, "</p>")) {
      close("</p>");
    } else if (take(rest, "</roi>")) {
      close("</roi>");
    } else {
      text += rest[0];
      rest.remove_prefix(1);
    }
  }
  trim(text);
  return text;
}

Turn read_turn(JsonReader& json) {
  Turn turn;
  bool has_text = false;
  json.object([&](std::string_view key) {
    if (key == "from") {
      turn.speaker = json.string();
    } else if (key == "value") {
      turn.text = json.string();
      has_text = true;
    } else if (key == "box_inds" && json.peek() != JsonReader::Kind::kNull) {
      turn.boxes = json.integers();
    }
  });
  json.demand(has_text, "no 'value'; every turn needs one");
  return turn;
}

Record read_record(JsonReader& json) {
  Record record;
  json.object([&](std::string_view key) {
    if (key == "image" || key == "file_name") {
      if (json.peek() != JsonReader::Kind::kNull) record.entry.image = json.string();
    } else if (key == "width") {
      record.entry.width = read_side(json);
    } else if (key == "height") {
      record.entry.height = read_side(json);
    } else if (key == "boxes") {
      record.grounded = true;
      json.array([&](std::size_t) { record.boxes.push_back(read_xywh(json)); });
    } else if (key == "conversations" || key == "conversation") {
      json.array([&](std::size_t) { record.turns.push_back(read_turn(json)); });
    }
  });
  return record;
}

void check_turns(const JsonReader& json, const Record& record) {
  json.demand(!record.turns.empty() && record.turns.size() % 2 == 0, "found ", record.turns.size(),
              " turns in 'conversations', expected pairs of human and gpt");
  for (std::size_t i = 0; i < record.turns.size(); ++i) {
    const std::string& speaker = record.turns[i].speaker;
    const char* expected = i % 2 == 0 ? "human" : "gpt";
    json.demand(speaker.empty() || speaker == expected, "turn ", i, ": from: found ",
                io::quote(speaker, 40), ", expected ", expected, "; human and gpt speak by turns");
  }
}

/// `"question": ..., "question_boxes": ...` as a line of JSONL has them.
std::string turn_json(const JsonReader& json, const Record& record, std::size_t place) {
  const Turn& turn = record.turns[place];
  const bool asks = place % 2 == 0;
  const std::string name = asks ? "question" : "answer";
  const std::string text =
      record.grounded ? groma_text(turn.text, asks) : llava_text(turn.text, asks);
  std::string boxes;
  for (const std::int64_t index : turn.boxes) {
    json.demand(index >= 0 && index < static_cast<std::int64_t>(record.boxes.size()), "turn ",
                place, ": box_inds: found ", index, ", the record has ", record.boxes.size(),
                " boxes, counted from 0");
    const XywhBox& box = record.boxes[index];
    boxes += boxes.empty() ? "[" : ",[";
    boxes += json_line(box[0]) + "," + json_line(box[1]) + "," + json_line(box[0] + box[2]) + "," +
             json_line(box[1] + box[3]) + "]";
  }
  return "\"" + name + "\":" + json_line(text) + ",\"" + name + "_boxes\":[" + boxes + "]";
}

/// The turns as text: a tree of them would not survive a lack of memory.
std::string turns_json(const JsonReader& json, const Record& record) {
  std::string turns;
  for (std::size_t i = 0; i < record.turns.size(); i += 2) {
    turns += turns.empty() ? "[{" : ",{";
    turns += turn_json(json, record, i) + "," + turn_json(json, record, i + 1) +
             (record.grounded ? ",\"grounded\":true}" : "}");
  }
  return turns + "]";
}

}  // namespace

Dataset read_conversations(std::string_view text, const std::string& name) {
  JsonReader json(text, name);
  Dataset data;
  std::size_t pictureless = 0;
  json.array([&](std::size_t index) {
    Record record = read_record(json);
    if (record.entry.image.empty()) {
      ++pictureless;
      return;
    }
    check_turns(json, record);
    Entry& entry = record.entry;
    entry.id = static_cast<std::int64_t>(index);
    entry.task = Task::kChat;
    entry.extra.emplace_back("turns", turns_json(json, record));
    for (const XywhBox& bbox : record.boxes) add_box(data, entry.id, bbox);
    data.entries.push_back(std::move(entry));
  });
  json.finish();
  require(pictureless == 0 || !data.entries.empty(), "read ", io::quote(name), ": none of the ",
          pictureless, " records has an 'image'; expected conversations about pictures");
  if (pictureless > 0) {
    data.warnings.push_back(io::quote(name) + ": " + std::to_string(pictureless) +
                            " records without a picture left out");
  }
  data.format = Format::kConversations;
  data.categories.push_back({1, "object", 0, {}});
  finish_dataset(data, name, {"records", "boxes", false});
  return data;
}

}  // namespace groma::eval
