#include <cmath>

#include "eval/annotations.h"
#include "eval/clean_caption.h"
#include "eval/prediction.h"
#include "eval/ptb_tokenizer.h"
#include "eval/run_record.h"
#include "eval/write_annotations.h"
#include "fuzz/support.h"
#include "fuzz/targets.h"
#include "io/file.h"

namespace groma::fuzz {
namespace {

void check_dataset(const eval::Dataset& data) {
  for (const auto& box : data.annotations) {
    promise(box.entry < data.entries.size(), "every annotation has its entry");
    for (const double side : box.bbox) promise(std::isfinite(side), "boxes are made of numbers");
    promise(box.bbox[2] >= 0 && box.bbox[3] >= 0, "boxes are not reversed");
  }
  for (const auto& entry : data.entries) {
    promise(entry.width >= 0 && entry.height >= 0, "pictures have sizes");
  }
}

}  // namespace

/// The kind of file, the file, and after two zero bytes the instances.json of a refs(...).p.
void annotations(std::string_view input) {
  const auto kind = take_byte(input) % 14;
  std::string_view text = input, instances;
  constexpr std::string_view kSeparator("\0\0{", 3);
  if (const auto at = input.rfind(kSeparator); at != input.npos) {
    text = input.substr(0, at);
    instances = input.substr(at + 2);
  }
  const MemoryFile beside(instances);
  accepted([&] {
    eval::AnnotationFile file;
    file.path = "fuzz";
    file.format = static_cast<eval::Format>(kind);
    file.instances = beside.path();
    file.allow_fractions = true;
    auto data = eval::read_annotations(text, file);
    check_dataset(data);
    eval::resolve_categories(data);
    if (memory_runs_out()) return;
    eval::AnnotationFile ours;
    ours.path = scratch_folder() + "/ours.jsonl";
    ours.format = eval::Format::kJsonl;
    eval::write_annotations(data, ours.format, ours.path, "");
    const auto again = eval::read_annotations(ours);
    promise(again.entries.size() == data.entries.size() &&
                again.annotations.size() == data.annotations.size(),
            "annotations survive being written");
  });
}

/// What a run leaves and scoring reads: predictions.jsonl, run.json or a list of detections.
void records(std::string_view input) {
  const auto kind = take_byte(input) % 3;
  accepted([&] {
    if (kind == 0) {
      std::size_t whole = 0;
      const auto read = eval::read_predictions(input, "fuzz", &whole);
      promise(whole <= input.size(), "no more is kept than there is");
      for (const auto& prediction : read) {
        eval::parse_key(prediction.key);
        if (memory_runs_out()) continue;
        const auto line = eval::prediction_line(prediction);
        const auto again = eval::parse_prediction(line.substr(0, line.size() - 1), "again");
        promise(eval::prediction_line(again) == line, "a prediction survives being written");
      }
    } else if (kind == 1 && !memory_runs_out()) {
      const MemoryFile memory(input);
      const auto record = eval::read_run_record(memory.path());
      record.protocol();
      record.seed();
      record.limit();
      record.prompts_each();
      eval::first_difference(record.identity, record.to_json(), {"seed"});
    } else {
      eval::read_detections(input, "fuzz");
    }
  });
}

/// A caption and, after a zero byte, its reference.
void captions(std::string_view input) {
  const std::string caption(take_part(input, std::string_view("\0", 1)));
  const std::string reference(input);
  eval::clean_caption(caption);
  eval::without_punctuation(eval::caption_words(reference));
  std::size_t letters = 0;
  for (const auto& token : eval::ptb_tokens(caption)) {
    promise(!token.empty(), "tokens are not empty");
    letters += token.size();
  }
  promise(letters <= 8 * caption.size() + 8, "tokens are not longer than their text");
  const auto scores = eval::caption_scores(
      {{eval::caption_words(caption), {eval::caption_words(reference), "a cat"}}});
  promise(std::isfinite(scores.cider) && scores.rouge_l >= 0 && scores.rouge_l <= 1,
          "scores are numbers");
}

}  // namespace groma::fuzz
