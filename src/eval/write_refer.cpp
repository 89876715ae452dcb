// The original RefCOCO files: a pickle of references and the instances file with their boxes.

#include <filesystem>
#include <map>
#include <sstream>
#include <unordered_map>

#include "check.h"
#include "eval/refer_pickle.h"
#include "eval/write_annotations.h"
#include "io/file.h"
#include "io/json.h"

namespace groma::eval {
namespace {

struct Sentence {
  std::int64_t id;
  std::string text, raw;
  std::vector<std::string> tokens;
};

struct Reference {
  std::int64_t ref_id, ann_id, category, image_id;
  std::string file_name, split;
  std::vector<Sentence> sentences;
};

template <typename Value>
Value parsed(const std::string& text, const char* name) {
  try {
    return io::value_as<Value>(Json::parse(text));
  } catch (const Json::exception&) {
    require(false, "write refs: ", name, ": found ", io::quote(text, 24),
            ", which is of another type than refs(...).p has there");
    throw;
  }
}

std::int64_t number_or(const Extra& extra, const char* name, std::int64_t otherwise) {
  const std::string text = extra_field(extra, name);
  return text.empty() ? otherwise : parsed<std::int64_t>(text, name);
}

std::string text_or(const Extra& extra, const char* name, const std::string& otherwise) {
  const std::string text = extra_field(extra, name);
  return text.empty() ? otherwise : parsed<std::string>(text, name);
}

std::vector<std::string> tokens_of(const Entry& entry) {
  const std::string kept = extra_field(entry.extra, "tokens");
  if (!kept.empty()) return parsed<std::vector<std::string>>(kept, "tokens");
  std::istringstream words(entry.text);
  std::vector<std::string> out;
  for (std::string word; words >> word;) out.push_back(word);
  return out;
}

/// Sorts entries into references and collects their boxes and images.
class Collector {
 public:
  explicit Collector(const Dataset& dataset) : dataset_(dataset) {
    instances_.categories = dataset.categories;
  }

  void add(const Entry& entry, const std::vector<std::uint32_t>& places) {
    require(places.size() == 1, "write refs: entry ", entry.label(), " has ", places.size(),
            " boxes; this form holds exactly one for each expression");
    const Annotation& box = dataset_.annotations[places[0]];
    const std::string query = query_text(dataset_, entry);
    const std::string& text = query.empty() ? box.text : query;
    require(!text.empty(), "write refs: entry ", entry.label(), " has no text");
    const std::int64_t image = image_id(entry);
    const std::int64_t ann_id = number_or(entry.extra, "ann_id", box.id);
    const std::int64_t ref_id = number_or(entry.extra, "ref_id", entry.id);
    const auto [at, fresh] = by_ref_.try_emplace(ref_id, references_.size());
    if (fresh) {
      references_.push_back({ref_id,
                             ann_id,
                             box.category,
                             image,
                             crop_name(entry.image, ref_id),
                             text_or(entry.extra, "split", "val"),
                             {}});
    }
    references_[at->second].sentences.push_back(
        {entry.id, text, text_or(entry.extra, "raw", text), tokens_of(entry)});
    if (boxes_.try_emplace(ann_id, true).second) {
      Annotation own = box;
      own.id = ann_id;
      own.entry = images_.at(image);
      instances_.annotations.push_back(std::move(own));
    }
  }

  std::string pickle() const {
    PickleWriter out;
    out.begin_list();
    for (const Reference& reference : references_) write(reference, out);
    out.end_list();
    return out.finish();
  }

  const Dataset& instances() const { return instances_; }

 private:
  std::int64_t image_id(const Entry& entry) {
    const auto [known, fresh] =
        names_.try_emplace(entry.image, static_cast<std::int64_t>(names_.size()) + 1);
    const std::int64_t id = number_or(entry.extra, "image_id", known->second);
    if (images_.try_emplace(id, instances_.entries.size()).second) {
      Entry image;
      image.id = id;
      image.image = entry.image;
      image.width = entry.width;
      image.height = entry.height;
      instances_.entries.push_back(std::move(image));
    }
    return id;
  }

  /// The original's names carry the number of the crop before the extension.
  static std::string crop_name(const std::string& image, std::int64_t number) {
    const std::filesystem::path path(image);
    return (path.parent_path() / path.stem()).string() + "_" + std::to_string(number % 1'000'000) +
           path.extension().string();
  }

  static void write(const Reference& reference, PickleWriter& out) {
    const auto number = [&](const char* key, std::int64_t value) {
      out.text(key);
      out.integer(value);
    };
    const auto text = [&](const char* key, const std::string& value) {
      out.text(key);
      out.text(value);
    };
    out.begin_dict();
    number("ref_id", reference.ref_id);
    number("ann_id", reference.ann_id);
    number("category_id", reference.category);
    number("image_id", reference.image_id);
    text("file_name", reference.file_name);
    text("split", reference.split);
    out.text("sent_ids");
    out.begin_list();
    for (const Sentence& sentence : reference.sentences) out.integer(sentence.id);
    out.end_list();
    out.text("sentences");
    out.begin_list();
    for (const Sentence& sentence : reference.sentences) {
      out.begin_dict();
      number("sent_id", sentence.id);
      text("sent", sentence.text);
      text("raw", sentence.raw);
      out.text("tokens");
      out.begin_list();
      for (const std::string& token : sentence.tokens) out.text(token);
      out.end_list();
      out.end_dict();
    }
    out.end_list();
    out.end_dict();
  }

  const Dataset& dataset_;
  Dataset instances_;
  std::vector<Reference> references_;
  std::unordered_map<std::int64_t, std::size_t> by_ref_;
  std::unordered_map<std::string, std::int64_t> names_;
  std::unordered_map<std::int64_t, std::uint32_t> images_;
  std::unordered_map<std::int64_t, bool> boxes_;
};

}  // namespace

void write_refer(const Dataset& dataset, const BoxesByEntry& boxes, const std::string& path,
                 const std::string& instances) {
  Collector collector(dataset);
  for (std::size_t i = 0; i < dataset.entries.size(); ++i) {
    collector.add(dataset.entries[i], boxes[i]);
  }
  const std::string beside =
      instances.empty() ? (std::filesystem::path(path).parent_path() / "instances.json").string()
                        : instances;
  write_coco_shaped(collector.instances(), annotations_by_entry(collector.instances()),
                    Format::kCoco, beside);
  io::write_file(path, collector.pickle());
}

}  // namespace groma::eval
