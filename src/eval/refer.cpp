// The original RefCOCO files: refs(...).p, a pickle, and instances.json beside it.

#include <filesystem>
#include <set>
#include <unordered_map>

#include "check.h"
#include "eval/annotations.h"
#include "eval/json_text.h"
#include "eval/refer_pickle.h"
#include "io/file.h"

namespace groma::eval {
namespace {

namespace fs = std::filesystem;

/// COCO_train2014_000000581857_16.jpg is crop 16 of COCO_train2014_000000581857.jpg.
std::string without_crop(const std::string& file_name) {
  const std::size_t dot = file_name.rfind('.');
  const std::size_t bar = file_name.rfind('_', dot);
  if (dot == std::string::npos || bar == std::string::npos || bar + 1 == dot) return file_name;
  for (std::size_t i = bar + 1; i < dot; ++i) {
    if (file_name[i] < '0' || file_name[i] > '9') return file_name;
  }
  // The image's own number has twelve digits.
  if (dot - bar > 10) return file_name;
  return file_name.substr(0, bar) + file_name.substr(dot);
}

std::string json_list(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "[" : ",") + json_line(text);
  return out.empty() ? "[]" : out + "]";
}

/// A pickle may say that all its references are one and the same: a small file could ask for any
/// amount of memory. Real ones need less than this many times their size.
constexpr std::size_t kMostCopies = 64;

class Reader {
 public:
  Reader(const AnnotationFile& file, Dataset instances, std::size_t bytes)
      : file_(file), instances_(std::move(instances)), room_(kMostCopies * (bytes + 1024)) {
    for (std::uint32_t i = 0; i < instances_.annotations.size(); ++i) {
      boxes_[instances_.annotations[i].id] = i;
    }
  }

  Dataset read(const PickleCursor& refs) {
    for (std::size_t i = 0; i < refs.size(); ++i) read_ref(refs.at(i));
    require(!data_.entries.empty() || file_.split.empty(), "read ", io::quote(file_.path),
            ": no reference belongs to split ", io::quote(file_.split), "; the file has ",
            splits());
    data_.format = Format::kRefer;
    data_.categories = instances_.categories;
    finish_dataset(data_, file_.path, {"sentences", "sentences"});
    return std::move(data_);
  }

 private:
  void read_ref(const PickleCursor& ref) {
    const std::string split = ref.field("split").text();
    charge(split.size());
    splits_.insert(split);
    if (!file_.split.empty() && split != file_.split) return;
    const std::int64_t ann_id = ref.field("ann_id").integer();
    const auto found = boxes_.find(ann_id);
    require(found != boxes_.end(), "read ", io::quote(file_.path), ": reference ",
            ref.field("ref_id").integer(), ": ann_id ", ann_id, " is not in the instances file ",
            io::quote(instances_.path), "; take both from one data set");
    const Annotation& box = instances_.annotations[found->second];
    const Entry& image = instances_.entries[box.entry];
    const std::int64_t image_id = ref.field("image_id").integer();
    require(image_id == image.id, "read ", io::quote(file_.path), ": reference ",
            ref.field("ref_id").integer(), ": image_id ", image_id, ", but its ann_id ", ann_id,
            " is on image ", image.id);
    const std::string name = without_crop(ref.field("file_name").text());
    const auto sentences = ref.field("sentences");
    for (std::size_t i = 0; i < sentences.size(); ++i) {
      const auto sentence = sentences.at(i);
      Entry entry;
      entry.id = sentence.field("sent_id").integer();
      entry.image = name;
      entry.width = image.width;
      entry.height = image.height;
      entry.text = sentence.field("sent").text();
      entry.category = box.category;
      entry.task = Task::kRec;
      entry.extra = {{"ref_id", std::to_string(ref.field("ref_id").integer())},
                     {"ann_id", std::to_string(ann_id)},
                     {"image_id", std::to_string(image_id)},
                     {"split", json_line(split)}};
      if (sentence.has("raw")) {
        entry.extra.emplace_back("raw", json_line(sentence.field("raw").text()));
      }
      if (sentence.has("tokens")) {
        entry.extra.emplace_back("tokens", json_list(sentence.field("tokens").texts()));
      }
      std::size_t extra = 0;
      for (const auto& [field, text] : entry.extra) extra += field.size() + text.size();
      charge(sizeof(Entry) + sizeof(Annotation) + name.size() + entry.text.size() + extra);
      Annotation own = box;
      own.id = static_cast<std::int64_t>(data_.annotations.size()) + 1;
      own.entry_id = entry.id;
      data_.entries.push_back(std::move(entry));
      data_.annotations.push_back(std::move(own));
    }
  }

  /// Takes account of memory that a reference makes us fill.
  void charge(std::size_t bytes) {
    require(bytes <= room_, "read ", io::quote(file_.path), ": its references take more than ",
            kMostCopies, " times the memory of the file; the file is damaged or hostile");
    room_ -= bytes;
  }

  std::string splits() const {
    std::string all;
    for (const std::string& split : splits_) all += (all.empty() ? "" : ", ") + split;
    return all;
  }

  const AnnotationFile& file_;
  Dataset instances_;
  std::unordered_map<std::int64_t, std::uint32_t> boxes_;
  std::set<std::string> splits_;
  Dataset data_;
  std::size_t room_;  // bytes that may still be taken
};

}  // namespace

Dataset read_refer(std::string_view pickle, const AnnotationFile& file) {
  const bool google = fs::path(file.path).filename().string().find("google") != std::string::npos;
  require(!google || file.allow_google, "read ", io::quote(file.path),
          ": the google split of RefCOCOg has no test set and shares images between train and val; "
          "use refs(umd).p, or --allow-google if that is what you want");
  const std::string beside = file.instances.empty()
                                 ? (fs::path(file.path).parent_path() / "instances.json").string()
                                 : file.instances;
  std::error_code error;
  require(fs::exists(beside, error), "read ", io::quote(file.path), ": its boxes are in ",
          io::quote(beside), ", which does not exist; name the file with --instances");
  const auto mapped = io::MappedFile::open(beside);
  Dataset instances = read_coco_shaped(mapped->bytes(), beside, Format::kCoco);
  const Pickle refs = read_pickle(pickle, file.path);
  Dataset data = Reader(file, std::move(instances), pickle.size() + mapped->size())
                     .read({*refs.root, file.path, "refs"});
  data.path = file.path;
  return data;
}

}  // namespace groma::eval
