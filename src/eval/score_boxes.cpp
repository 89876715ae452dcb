#include <charconv>

#include "eval/annotations.h"
#include "io/file.h"

namespace groma::eval {
namespace {

std::string shortest(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  return {text, end};
}

template <typename Values>
void write_list(io::AtomicFile& file, const Values& values) {
  std::string text = "[";
  for (const auto& value : values) {
    if (text.size() > 1) text += ',';
    if (text.size() > (1u << 16)) {
      file.write(text);
      text = ' ';  // never empty, so that the comma is still written
    }
    text += shortest(static_cast<double>(value));
  }
  text += ']';
  file.write(text);
}

/// {"shape": [T, R, K, A, M], "categories", "max_detections", "precision": [...], "recall": [...]}.
void write_arrays(const std::string& path, const BoxMetrics& metrics) {
  io::AtomicFile file(path);
  file.write("{\"shape\":");
  write_list(file, metrics.shape);
  file.write(",\"categories\":");
  write_list(file, metrics.categories);
  file.write(",\"max_detections\":");
  write_list(file, metrics.max_detections);
  file.write(",\"precision\":");
  write_list(file, metrics.precision);
  file.write(",\"recall\":");
  write_list(file, metrics.recall);
  file.write("}\n");
  file.commit();
}

}  // namespace

ScoreReport score_box_files(BoxMetric metric, const AnnotationFile& annotations,
                            const std::string& detections, const BoxMetricOptions& options,
                            const std::string& arrays) {
  AnnotationFile file = annotations;
  const bool lvis = metric == BoxMetric::kLvis;
  // The federated fields are read as such even where the file has none of them.
  if (file.format == Format::kAuto && lvis) file.format = Format::kLvis;
  Dataset dataset = read_annotations(file);
  const BoxTruth truth = box_truth(dataset);
  const auto found = read_detections(io::MappedFile::open(detections)->bytes(), detections);
  BoxMetrics metrics =
      lvis ? lvis_metrics(truth, found, options) : coco_metrics(truth, found, options);
  if (!arrays.empty()) write_arrays(arrays, metrics);

  ScoreReport report;
  report.facts = {{"metric", lvis ? "\"lvis\"" : "\"coco\""},
                  {"strict_reference", options.strict_reference ? "true" : "false"},
                  {"use_categories", options.use_categories ? "true" : "false"},
                  {"images", std::to_string(truth.images.size())},
                  {"categories", std::to_string(truth.categories.size())},
                  {"truths", std::to_string(truth.boxes.size())},
                  {"detections", std::to_string(found.size())}};
  report.figures = std::move(metrics.summary);
  report.warnings = std::move(dataset.warnings);
  report.warnings.insert(report.warnings.end(), metrics.warnings.begin(), metrics.warnings.end());
  return report;
}

}  // namespace groma::eval
