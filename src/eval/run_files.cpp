// What a run leaves for other tools.

#include <filesystem>
#include <unordered_map>

#include "eval/clean_caption.h"
#include "eval/error_analysis.h"
#include "eval/json_text.h"
#include "eval/score_protocols.h"
#include "io/file.h"

namespace groma::eval {
namespace {

namespace fs = std::filesystem;

/// Sum of the parts of a text that is written piece by piece.
class Pieces {
 public:
  explicit Pieces(const fs::path& path) : file_(path.string()) {}
  void add(const std::string& text) {
    text_ += text;
    if (text_.size() < (1u << 20)) return;
    file_.write(text_);
    text_.clear();
  }
  void commit() {
    file_.write(text_);
    file_.commit();
  }

 private:
  io::AtomicFile file_;
  std::string text_;
};

void write_detections(const fs::path& path, const Dataset& dataset,
                      const std::vector<Answered>& answers, Protocol protocol) {
  Pieces file(path);
  file.add("[");
  bool first = true;
  const auto add = [&](const Answered& answer, const FloatBox& xyxy, double score) {
    const Entry& entry = dataset.entries[answer.sample->entry];
    const Annotation* truth =
        answer.sample->boxes.empty() ? nullptr : &dataset.annotations[answer.sample->boxes[0]];
    const std::int64_t category = entry.category >= 0 ? entry.category
                                  : truth != nullptr  ? truth->category
                                                      : 1;
    file.add(first ? "\n" : ",\n");
    first = false;
    file.add(json_line({{"image_id", entry.id},
                        {"category_id", category},
                        {"bbox", xywh_of(xyxy)},
                        {"score", score}}));
  };
  for (const Answered& answer : answers) {
    const Prediction& said = *answer.prediction;
    if (protocol == Protocol::kProposals) {
      for (const Candidate& box : said.candidates) add(answer, box.xyxy, box.score);
      continue;
    }
    // A named box has no rank of its own: the original gives every one score 1.
    for (const PredictedRegion& region : said.regions) add(answer, region.xyxy, 1.0);
  }
  file.add("]\n");
  file.commit();
}

void write_captions(const fs::path& path, const Dataset& dataset,
                    const std::vector<Answered>& answers) {
  Pieces file(path);
  file.add("[");
  bool first = true;
  for (const Answered& answer : answers) {
    file.add(first ? "\n" : ",\n");
    first = false;
    file.add(json_line({{"image_id", dataset.entries[answer.sample->entry].id},
                        {"caption", clean_caption(answer.prediction->text)}}));
  }
  file.add("]\n");
  file.commit();
}

}  // namespace

void write_result_lists(const std::string& folder, const Dataset& dataset,
                        const std::vector<Answered>& answers, Protocol protocol) {
  write_detections(fs::path(folder) / "detections.json", dataset, answers, protocol);
  if (protocol == Protocol::kCaption) {
    write_captions(fs::path(folder) / "captions.json", dataset, answers);
  }
}

void write_merged(const std::string& folder, const Dataset& dataset,
                  const std::vector<Answered>& answers, Protocol protocol) {
  Pieces file(fs::path(folder) / "predictions.jsonl");
  for (const Answered& answer : answers) file.add(prediction_line(*answer.prediction));
  file.commit();
  write_result_lists(folder, dataset, answers, protocol);
}

}  // namespace groma::eval
