#include "train/own_images.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <unordered_map>

#include "check.h"
#include "eval/annotations.h"
#include "eval/image_finder.h"
#include "eval/write_annotations.h"
#include "image/header.h"
#include "io/file.h"
#include "io/json.h"
#include "train/tagged_text.h"

namespace groma::train {
namespace {

using eval::Annotation;
using eval::Dataset;
using eval::Entry;

constexpr int kLeftOut = -1;

std::string folder_of(const DataSource& source) {
  if (!source.images.empty()) return source.images;
  std::error_code error;
  if (std::filesystem::is_directory(source.path, error)) return source.path;
  return std::filesystem::path(source.path).parent_path().string();
}

/// Width and height of a picture as displayed.
std::pair<int, int> size_of(const std::string& file) {
  const auto mapped = io::MappedFile::open(file);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(mapped->data());
  const auto header = read_image_header({bytes, mapped->size()}, io::quote(file));
  constexpr int kFirstTurned = 5;
  if (header.orientation >= kFirstTurned) return {header.height, header.width};
  return {header.width, header.height};
}

/// Whether a caption's phrases have the boxes, as in Flickr30k Entities. RefCOCO's captions of this
/// form are expressions, and name their set.
bool has_phrases(const Dataset& data, const Entry& entry) {
  const auto set = eval::extra_field(entry.extra, "dataset_name");
  return data.format == eval::Format::kMdetr && (set.empty() || set == R"("flickr")");
}

using Range = std::pair<std::size_t, std::size_t>;  // bytes of a text

/// Where the phrases of a box stand in its caption; `tokens` counts characters of it.
std::vector<Range> ranges_of(const std::string& tokens, const std::string& caption,
                             const std::string& doing) {
  const auto byte_of = eval::character_starts(caption);
  std::vector<Range> ranges;
  for (const auto& item : io::parse_json(tokens.empty() ? "[]" : tokens, doing)) {
    const bool two = item.is_array() && item.size() == 2 && item[0].is_number_unsigned() &&
                     item[1].is_number_unsigned();
    require(two && item[0] < item[1] && item[1] < byte_of.size(), doing, ": ",
            io::quote(item.dump(), 40), " is no range of a caption of ", byte_of.size() - 1,
            " characters; expected [begin, end]");
    ranges.emplace_back(byte_of[item[0].get<size_t>()], byte_of[item[1].get<size_t>()]);
  }
  return ranges;
}

/// Gathers the entries of a data set by picture.
class Gatherer {
 public:
  Gatherer(const DataSource& source, bool with_questions, bool skip_wrong)
      : source_(source),
        with_questions_(with_questions),
        skip_wrong_(skip_wrong),
        finder_({folder_of(source)}) {}

  OwnImages gather(const std::function<void(const std::string&)>& on_note);

 private:
  void add_entry(const Entry& entry, const std::vector<std::uint32_t>& places);
  OwnImage* image_of(const Entry& entry);
  int object_of(OwnImage& image, const Entry& entry, const Annotation& box);
  int add_object(OwnImage& image, std::array<double, 4> xyxy, std::int32_t kind,
                 const std::string& where);
  void ask(OwnImage& image, const Entry& entry, const std::vector<std::uint32_t>& places);
  void ask_categories(OwnImage& image, const Entry& entry,
                      const std::vector<std::uint32_t>& places);
  void describe(OwnImage& image, const Entry& entry, const std::vector<std::uint32_t>& places);
  void converse(OwnImage& image, const Entry& entry);
  Utterance utterance(OwnImage& image, const nlohmann::json& turn, const char* text,
                      const char* boxes, Speaker speaker, const std::string& doing);
  std::string place(const Entry& entry) const {
    return "read " + io::quote(source_.path) + ": entry " +
           (entry.name.empty() ? entry.label() : io::quote(entry.name));
  }

  const DataSource& source_;
  bool with_questions_, skip_wrong_;
  eval::ImageFinder finder_;
  Dataset data_;
  OwnImages result_;
  std::unordered_map<std::string, std::size_t> known_;
  std::unordered_map<std::int64_t, std::int32_t> kind_of_;  // category -> index of kinds
  std::size_t narrow_ = 0, clipped_ = 0, wrong_ = 0;
  std::string first_wrong_;
};

OwnImage* Gatherer::image_of(const Entry& entry) {
  const auto [at, fresh] = known_.emplace(entry.image, result_.images.size());
  if (!fresh) return &result_.images[at->second];
  try {
    const auto file = finder_.find(entry.image);
    require(file.has_value(), place(entry), ": no picture ", io::quote(entry.image), " in ",
            io::quote(folder_of(source_)), "; name its folder with --images");
    OwnImage image;
    image.file = *file;
    image.where = place(entry);
    image.width = entry.width;
    image.height = entry.height;
    if (image.width == 0 || image.height == 0) {
      std::tie(image.width, image.height) = size_of(*file);
    }
    result_.images.push_back(std::move(image));
  } catch (const Error&) {
    known_.erase(at);
    throw;
  }
  return &result_.images.back();
}

int Gatherer::add_object(OwnImage& image, std::array<double, 4> xyxy, std::int32_t kind,
                         const std::string& where) {
  constexpr double kLeast = 1;  // pixel, as in mmdet's CocoDataset
  const double limit[4] = {1.0 * image.width, 1.0 * image.height, 1.0 * image.width,
                           1.0 * image.height};
  require(xyxy[0] < limit[0] && xyxy[1] < limit[1] && xyxy[2] > 0 && xyxy[3] > 0, where,
          ": the box ", xyxy[0], ", ", xyxy[1], ", ", xyxy[2], ", ", xyxy[3],
          " lies outside its picture of ", image.width, " x ", image.height,
          " pixels; mend it or give --skip-wrong");
  OwnObject object;
  object.kind = kind;
  for (int i = 0; i < 4; ++i) {
    if (xyxy[i] < -1 || xyxy[i] > limit[i] + 1) ++clipped_;
    object.xyxy[i] = static_cast<float>(std::clamp(xyxy[i], 0.0, limit[i]));
  }
  if (object.xyxy[2] - object.xyxy[0] < kLeast || object.xyxy[3] - object.xyxy[1] < kLeast) {
    ++narrow_;
    return kLeftOut;
  }
  const auto same = std::find_if(image.objects.begin(), image.objects.end(),
                                 [&](const OwnObject& one) { return one.xyxy == object.xyxy; });
  if (same != image.objects.end()) {
    if (same->kind < 0) same->kind = kind;
    return static_cast<int>(same - image.objects.begin());
  }
  image.objects.push_back(object);
  return static_cast<int>(image.objects.size()) - 1;
}

int Gatherer::object_of(OwnImage& image, const Entry& entry, const Annotation& box) {
  if (box.crowd || box.ignore) return kLeftOut;
  const auto kind = kind_of_.find(box.category);
  const double across = data_.fractions ? image.width : 1,
               down = data_.fractions ? image.height : 1;
  return add_object(image,
                    {box.bbox[0] * across, box.bbox[1] * down, (box.bbox[0] + box.bbox[2]) * across,
                     (box.bbox[1] + box.bbox[3]) * down},
                    kind == kind_of_.end() ? -1 : kind->second,
                    place(entry) + ", annotation " + std::to_string(box.id));
}

void Gatherer::ask_categories(OwnImage& image, const Entry& entry,
                              const std::vector<std::uint32_t>& places) {
  std::map<std::int64_t, std::vector<int>> by_category;
  std::vector<std::int64_t> unsure = entry.not_exhaustive;
  for (const auto p : places) {
    const auto& box = data_.annotations[p];
    const int object = object_of(image, entry, box);
    if (object == kLeftOut) {
      unsure.push_back(box.category);  // a crowd: not all of the category have boxes
    } else {
      by_category[box.category].push_back(object);
    }
  }
  if (!with_questions_) return;
  for (auto& [category, objects] : by_category) {
    if (std::find(unsure.begin(), unsure.end(), category) != unsure.end()) continue;
    const auto kind = kind_of_.find(category);
    const bool named = kind != kind_of_.end();
    if (entry.text.empty() && !named) continue;
    OwnQuestion question{Task::kGround,
                         entry.text.empty() ? result_.kinds[kind->second] : entry.text,
                         std::move(objects),
                         {}};
    check_plain(question.text, place(entry) + ": category");
    image.questions.push_back(std::move(question));
  }
}

Utterance Gatherer::utterance(OwnImage& image, const nlohmann::json& turn, const char* text,
                              const char* boxes, Speaker speaker, const std::string& doing) {
  const auto where = doing + "." + text;
  require(turn.contains(text) && turn.at(text).is_string(), where, ": missing or no text");
  std::vector<int> objects;
  if (turn.contains(boxes)) {
    const auto& list = turn.at(boxes);
    const auto box_place = doing + "." + boxes;
    require(list.is_array(), box_place, ": not a list of boxes");
    for (const auto& item : list) {
      const bool four = item.is_array() && item.size() == 4 &&
                        std::all_of(item.begin(), item.end(), [](const nlohmann::json& number) {
                          return number.is_number() && std::isfinite(number.get<double>());
                        });
      require(four, box_place, ": ", item.dump(),
              " is no box; expected [x1, y1, x2, y2] in pixels");
      const int object = add_object(image, item.get<std::array<double, 4>>(), -1, box_place);
      require(object != kLeftOut, box_place, ": ", item.dump(), " is narrower than a pixel");
      objects.push_back(object);
    }
  }
  return parse_tagged(turn.at(text).get<std::string>(), speaker, objects, where);
}

void Gatherer::describe(OwnImage& image, const Entry& entry,
                        const std::vector<std::uint32_t>& places) {
  const auto doing = place(entry) + ": caption";
  check_plain(entry.text, doing);
  std::map<Range, std::vector<int>> phrases;
  for (const auto p : places) {
    const auto& box = data_.annotations[p];
    const int object = object_of(image, entry, box);
    if (object == kLeftOut) continue;
    for (const auto& range :
         ranges_of(eval::extra_field(box.extra, "tokens_positive"), entry.text,
                   place(entry) + ", annotation " + std::to_string(box.id) + ": tokens_positive")) {
      auto& objects = phrases[range];
      if (std::find(objects.begin(), objects.end(), object) == objects.end()) {
        objects.push_back(object);
      }
    }
  }
  Exchange turn;
  turn.answer.text = entry.text;
  std::size_t end = 0;
  for (auto& [range, objects] : phrases) {
    require(range.first >= end, doing, ": two phrases overlap at byte ", range.first,
            "; mend it or give --skip-wrong");
    end = range.second;
    turn.answer.mentions.push_back(
        {static_cast<int>(range.first), static_cast<int>(range.second), std::move(objects)});
  }
  if (phrases.empty() || !with_questions_) return;
  image.questions.push_back({Task::kDescribe, "", {}, {std::move(turn)}});
}

void Gatherer::converse(OwnImage& image, const Entry& entry) {
  const auto raw = eval::extra_field(entry.extra, "turns");
  require(!raw.empty(), place(entry),
          ": a conversation without \"turns\"; models/README.md says "
          "what a line holds");
  const auto turns = io::parse_json(raw, place(entry) + ".turns");
  require(turns.is_array() && !turns.empty(), place(entry), ".turns: no list of turns");
  OwnQuestion question;
  question.task = Task::kDialogue;
  for (size_t i = 0; i < turns.size(); ++i) {
    const auto& turn = turns[i];
    const auto doing = place(entry) + ".turns[" + std::to_string(i) + "]";
    require(turn.is_object(), doing, ": not an object with question and answer");
    Exchange exchange;
    exchange.question = utterance(image, turn, "question", "question_boxes", Speaker::kUser, doing);
    exchange.answer = utterance(image, turn, "answer", "answer_boxes", Speaker::kAssistant, doing);
    if (turn.contains("steps")) {
      exchange.steps = utterance(image, turn, "steps", "steps_boxes", Speaker::kAssistant, doing);
    }
    const auto grounded = turn.value("grounded", nlohmann::json(false));
    require(grounded.is_boolean(), doing, ".grounded: expected true or false");
    exchange.grounded = grounded.get<bool>();
    question.turns.push_back(std::move(exchange));
  }
  if (with_questions_) image.questions.push_back(std::move(question));
}

void Gatherer::ask(OwnImage& image, const Entry& entry, const std::vector<std::uint32_t>& places) {
  using eval::Task;
  if (entry.task == Task::kDetect || entry.task == Task::kGround) {
    return ask_categories(image, entry, places);
  }
  if (entry.task == Task::kChat) {
    for (const auto p : places) object_of(image, entry, data_.annotations[p]);
    return converse(image, entry);
  }
  if (has_phrases(data_, entry)) return describe(image, entry, places);
  require(!places.empty(), place(entry), ": no box; mend it or give --skip-wrong");
  for (const auto p : places) {
    const auto& box = data_.annotations[p];
    const bool caption = entry.task == Task::kCaption;
    const auto& text = caption ? box.text : entry.text;
    check_plain(text, place(entry) + (caption ? ": caption" : ": expression"));
    const int object = object_of(image, entry, box);
    if (object == kLeftOut || !with_questions_) continue;
    const auto task = caption ? train::Task::kCaption : train::Task::kRefer;
    image.questions.push_back({task, text, {object}, {}});
    if (!caption) break;  // the first box is what an expression means
  }
}

void Gatherer::add_entry(const Entry& entry, const std::vector<std::uint32_t>& places) {
  if (!skip_wrong_) {
    ask(*image_of(entry), entry, places);
    return;
  }
  const auto before = result_.images.size();
  try {
    auto& image = *image_of(entry);
    const auto objects = image.objects.size(), questions = image.questions.size();
    try {
      ask(image, entry, places);
    } catch (const Error&) {
      image.objects.resize(objects);
      image.questions.resize(questions);
      throw;
    }
  } catch (const Error& error) {
    if (wrong_++ == 0) first_wrong_ = error.what();
    if (result_.images.size() == before) return;
    known_.erase(entry.image);
    result_.images.pop_back();
  }
}

OwnImages Gatherer::gather(const std::function<void(const std::string&)>& on_note) {
  eval::AnnotationFile file;
  file.path = source_.path;
  file.format = eval::format_named(source_.format);
  file.split = source_.split;
  file.allow_fractions = true;
  data_ = eval::read_annotations(file);
  const auto boxes = eval::annotations_by_entry(data_);
  for (const auto& category : data_.categories) {
    const auto name = eval::spoken_category(category.name);
    if (name.empty() || (data_.categories.size() == 1 && name == "object")) continue;
    kind_of_[category.id] = static_cast<std::int32_t>(result_.kinds.size());
    result_.kinds.push_back(name);
  }
  result_.complete = data_.format == eval::Format::kCoco;
  result_.segments = data_.format == eval::Format::kSegments;
  for (size_t i = 0; i < data_.entries.size(); ++i) add_entry(data_.entries[i], boxes[i]);
  std::erase_if(result_.images, [&](const OwnImage& image) {
    return image.objects.empty() && image.questions.empty();
  });
  require(!result_.images.empty(), "read ", io::quote(source_.path),
          ": no picture with a box in it", wrong_ ? "; the first mistake: " + first_wrong_ : "");
  if (on_note) {
    for (const auto& warning : data_.warnings) on_note(warning);
    std::size_t questions = 0, objects = 0;
    for (const auto& image : result_.images) {
      questions += image.questions.size();
      objects += image.objects.size();
    }
    std::string note = source_.path + " (" + eval::name_of(data_.format) +
                       "): " + std::to_string(result_.images.size()) + " pictures, " +
                       std::to_string(objects) + " boxes, " + std::to_string(questions) +
                       " questions; pictures found: " + finder_.summary();
    if (clipped_) note += "; " + std::to_string(clipped_) + " box sides cut at the picture's edge";
    if (narrow_) note += "; " + std::to_string(narrow_) + " boxes below a pixel left out";
    if (wrong_) {
      note += "; " + std::to_string(wrong_) + " wrong entries left out, the first: " + first_wrong_;
    }
    on_note(note);
  }
  return std::move(result_);
}

}  // namespace

OwnImages read_own_images(const DataSource& source, bool with_questions, bool skip_wrong,
                          const std::function<void(const std::string&)>& on_note) {
  return Gatherer(source, with_questions, skip_wrong).gather(on_note);
}

}  // namespace groma::train
