#include "groma/formats.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "answer/answer_json.h"
#include "answer/file_stems.h"

namespace groma {
namespace {

using Json = nlohmann::ordered_json;
using Answers = std::vector<ImageAnswer>;

/// Labels in the order of their first appearance, each with its number.
class Labels {
 public:
  int number(const std::string& label) {
    const auto [at, fresh] = number_of_.insert({label, static_cast<int>(names_.size())});
    if (fresh) names_.push_back(label);
    return at->second;
  }
  const std::vector<std::string>& names() const { return names_; }

 private:
  std::map<std::string, int> number_of_;
  std::vector<std::string> names_;
};

/// White space and control characters as one space: labels and lines stay lines.
std::string in_one_line(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool blank = static_cast<unsigned char>(c) <= 0x20 || c == 0x7f;
    if (!blank) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string label_of(const Phrase& phrase, const std::string& wordless) {
  const auto words = in_one_line(phrase.text);
  return words.empty() ? wordless : words;
}

std::vector<std::string> names_of(const Answers& answers) {
  std::vector<std::string> files;
  for (const auto& answered : answers) files.push_back(answered.file);
  return files;
}

template <typename Visit>
void for_each_box(const ChatResult& answer, const Visit& visit) {
  for (const auto& phrase : answer.phrases) {
    for (const auto& named : phrase.regions) visit(phrase, named);
  }
}

/// The mask of a named region; null where there is none.
const Mask* mask_of(const ImageAnswer& answered, const NamedRegion& named) {
  const auto found = answered.masks.find(named.region);
  return found == answered.masks.end() ? nullptr : &found->second;
}

float outline_area(const std::vector<Point>& outline) {
  float twice = 0;
  for (std::size_t i = 0; i < outline.size(); ++i) {
    const auto &a = outline[i], &b = outline[(i + 1) % outline.size()];
    twice += a.x * b.y - b.x * a.y;
  }
  return std::abs(twice) / 2;
}

TextFile json_lines(const Answers& answers) {
  TextFile file{"answers.jsonl", ""};
  for (const auto& answered : answers) file.text += one_line(to_json(answered)) + '\n';
  return file;
}

TextFile coco(const Answers& answers, const std::string& wordless) {
  Labels labels;
  Json images = Json::array(), annotations = Json::array(), categories = Json::array();
  for (const auto& answered : answers) {
    const auto image = images.size() + 1;
    images.push_back({{"id", image},
                      {"file_name", answered.file},
                      {"width", answered.width},
                      {"height", answered.height}});
    for_each_box(answered.answer, [&](const Phrase& phrase, const NamedRegion& named) {
      const float width = named.box.x2 - named.box.x1, height = named.box.y2 - named.box.y1;
      const auto confidence = answered.calibration.confidence(named);
      const auto score = std::isnan(confidence) ? named.score : confidence;
      Json annotation = {
          {"id", annotations.size() + 1},
          {"image_id", image},
          {"category_id", labels.number(label_of(phrase, wordless)) + 1},
          {"bbox", {decimal(named.box.x1), decimal(named.box.y1), decimal(width), decimal(height)}},
          {"area", decimal(width * height)},
          {"iscrowd", 0},
          {"score", decimal(score)}};
      if (const auto* mask = mask_of(answered, named)) {
        annotation["area"] = area_of(*mask);
        annotation["segmentation"] = to_json(*mask);
      }
      annotations.push_back(std::move(annotation));
    });
  }
  for (std::size_t i = 0; i < labels.names().size(); ++i) {
    categories.push_back({{"id", i + 1}, {"name", labels.names()[i]}});
  }
  return {"annotations.json", one_line({{"info", {{"description", "Boxes found by groma"}}},
                                        {"images", std::move(images)},
                                        {"annotations", std::move(annotations)},
                                        {"categories", std::move(categories)}}) +
                                  '\n'};
}

/// A line of numbers as parts of the sides: the box, or the outline of a mask's largest part.
std::string yolo_line(int label, const ImageAnswer& answered, const NamedRegion& named) {
  std::vector<float> numbers;
  const auto w = static_cast<float>(answered.width), h = static_cast<float>(answered.height);
  if (const auto* mask = mask_of(answered, named)) {
    const auto outlines = outlines_of(*mask);
    const auto largest = std::max_element(
        outlines.begin(), outlines.end(),
        [](const auto& a, const auto& b) { return outline_area(a) < outline_area(b); });
    if (largest != outlines.end()) {
      for (const auto& at : *largest) numbers.insert(numbers.end(), {at.x / w, at.y / h});
    }
  }
  if (numbers.empty()) {
    const auto& box = named.box;
    numbers = {(box.x1 + box.x2) / 2 / w, (box.y1 + box.y2) / 2 / h, (box.x2 - box.x1) / w,
               (box.y2 - box.y1) / h};
  }
  std::string line = std::to_string(label);
  for (const float number : numbers) {
    char text[32];
    std::snprintf(text, sizeof(text), " %.6f", number);
    line += text;
  }
  return line + '\n';
}

std::vector<TextFile> yolo(const Answers& answers, const std::string& wordless) {
  Labels labels;
  std::vector<TextFile> files;
  const auto names = file_stems(names_of(answers));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    std::string lines;
    for_each_box(answers[i].answer, [&](const Phrase& phrase, const NamedRegion& named) {
      lines += yolo_line(labels.number(label_of(phrase, wordless)), answers[i], named);
    });
    files.push_back({"labels/" + names[i] + ".txt", lines});
  }
  std::string classes;
  for (const auto& name : labels.names()) classes += name + '\n';
  files.push_back({"classes.txt", classes});
  // A list in JSON is one in YAML.
  files.push_back({"data.yaml", "nc: " + std::to_string(labels.names().size()) +
                                    "\nnames: " + one_line(Json(labels.names())) + "\n"});
  return files;
}

std::vector<TextFile> labelme(const Answers& answers, const std::string& wordless) {
  std::vector<TextFile> files;
  const auto names = file_stems(names_of(answers));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    Json shapes = Json::array();
    for_each_box(answers[i].answer, [&](const Phrase& phrase, const NamedRegion& named) {
      const auto add = [&](const char* kind, const Json& points) {
        shapes.push_back({{"label", label_of(phrase, wordless)},
                          {"points", points},
                          {"group_id", named.region},
                          {"description", "r" + std::to_string(named.region)},
                          {"shape_type", kind},
                          {"flags", Json::object()}});
      };
      if (const auto* mask = mask_of(answers[i], named)) {
        for (const auto& outline : outlines_of(*mask)) {
          Json points = Json::array();
          for (const auto& at : outline) points.push_back({decimal(at.x), decimal(at.y)});
          add("polygon", points);
        }
        return;
      }
      const auto& box = named.box;
      const Json from = {decimal(box.x1), decimal(box.y1)}, to = {decimal(box.x2), decimal(box.y2)};
      add("rectangle", {from, to});
    });
    const Json document = {{"version", "5.5.0"},
                           {"flags", Json::object()},
                           {"shapes", std::move(shapes)},
                           {"imagePath", answers[i].file},
                           {"imageData", nullptr},
                           {"imageHeight", answers[i].height},
                           {"imageWidth", answers[i].width}};
    files.push_back({names[i] + ".json", one_line(document) + '\n'});
  }
  return files;
}

/// RFC 4180.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

/// A comma and the number; the comma alone where there is none.
std::string csv_number(float value) {
  char text[32] = "";
  if (!std::isnan(value)) std::snprintf(text, sizeof(text), "%.4f", value);
  return std::string(",") + text;
}

TextFile csv(const Answers& answers, const std::string& wordless) {
  TextFile file{"answers.csv", "image,phrase,region,x1,y1,x2,y2,score,probability,confidence\n"};
  for (const auto& answered : answers) {
    for_each_box(answered.answer, [&](const Phrase& phrase, const NamedRegion& named) {
      char numbers[160];
      std::snprintf(numbers, sizeof(numbers), ",%d,%.2f,%.2f,%.2f,%.2f", named.region, named.box.x1,
                    named.box.y1, named.box.x2, named.box.y2);
      file.text += csv_field(answered.file) + ',' + csv_field(label_of(phrase, wordless)) +
                   numbers + csv_number(named.score) + csv_number(std::exp(named.logprob)) +
                   csv_number(answered.calibration.confidence(named)) + '\n';
    });
  }
  return file;
}

/// Place of a coordinate among `bins` equal parts of a side.
int bin(float at, int side, int bins) {
  const float part = std::floor(at / static_cast<float>(side) * static_cast<float>(bins));
  return static_cast<int>(std::clamp(part, 0.f, static_cast<float>(bins - 1)));
}

/// Words of an answer: text in the tags of other models would be read as theirs.
std::string plain(std::string text) {
  std::replace(text.begin(), text.end(), '<', '(');
  std::replace(text.begin(), text.end(), '>', ')');
  return in_one_line(text);
}

/// Source: Peng et al. 2023, Kosmos-2, section 3; patch of the upper left and the lower right
/// corner.
std::string kosmos_box(const Box& box, const ImageAnswer& image) {
  constexpr int kSide = 32;
  char text[64];
  const auto patch = [&](float x, float y) {
    return bin(y, image.height, kSide) * kSide + bin(x, image.width, kSide);
  };
  std::snprintf(text, sizeof(text), "<patch_index_%04d><patch_index_%04d>", patch(box.x1, box.y1),
                patch(box.x2, box.y2));
  return text;
}

std::string kosmos_text(const ImageAnswer& answered, const std::string& wordless) {
  const auto& answer = answered.answer;
  std::string out;
  std::size_t at = 0;
  const auto add = [&out](const std::string& words) {
    const bool sticks = words.empty() || std::string(".,;:!?)").find(words[0]) != words.npos;
    out += (out.empty() || sticks ? "" : " ") + words;
  };
  for (const auto& phrase : answer.phrases) {
    if (phrase.regions.empty()) continue;
    add(plain(answer.text.substr(at, phrase.begin - at)));
    at = phrase.end;
    std::string boxes;
    for (const auto& named : phrase.regions) {
      boxes +=
          (boxes.empty() ? "" : "</delimiter_of_multi_objects/>") + kosmos_box(named.box, answered);
    }
    add("<phrase>" + plain(label_of(phrase, wordless)) + "</phrase><object>" + boxes + "</object>");
  }
  add(plain(answer.text.substr(at)));
  return "<grounding>" + out;
}

/// Source: Xiao et al. 2023, Florence-2, section 3: a thousand parts of each side.
std::string florence_text(const ImageAnswer& answered, const std::string& wordless) {
  constexpr int kBins = 1000;
  std::string out;
  for (const auto& phrase : answered.answer.phrases) {
    if (phrase.regions.empty()) continue;
    out += plain(label_of(phrase, wordless));
    for (const auto& named : phrase.regions) {
      const auto& box = named.box;
      for (const int place :
           {bin(box.x1, answered.width, kBins), bin(box.y1, answered.height, kBins),
            bin(box.x2, answered.width, kBins), bin(box.y2, answered.height, kBins)}) {
        out += "<loc_" + std::to_string(place) + ">";
      }
    }
  }
  return out;
}

/// A line an image; where there are several, each begins with the name and a tab.
template <typename Line>
TextFile text_lines(const std::string& name, const Answers& answers, const Line& line) {
  TextFile file{name, ""};
  for (const auto& answered : answers) {
    if (answers.size() > 1) file.text += in_one_line(answered.file) + '\t';
    file.text += line(answered) + '\n';
  }
  return file;
}

}  // namespace

void add_masks(ImageAnswer& answered, const Image& image) {
  for_each_box(answered.answer, [&](const Phrase&, const NamedRegion& named) {
    if (answered.masks.count(named.region) == 0) {
      answered.masks[named.region] = segment(image, named.box);
    }
  });
}

std::vector<TextFile> to_format(const Answers& answers, Format format,
                                const std::string& wordless) {
  switch (format) {
    case Format::kJson:
      return {json_lines(answers)};
    case Format::kCoco:
      return {coco(answers, wordless)};
    case Format::kYolo:
      return yolo(answers, wordless);
    case Format::kLabelMe:
      return labelme(answers, wordless);
    case Format::kCsv:
      return {csv(answers, wordless)};
    case Format::kKosmos:
      return {text_lines("kosmos.txt", answers,
                         [&](const auto& one) { return kosmos_text(one, wordless); })};
    case Format::kFlorence:
      return {text_lines("florence.txt", answers,
                         [&](const auto& one) { return florence_text(one, wordless); })};
  }
  return {};
}

}  // namespace groma
