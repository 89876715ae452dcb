// Run folders -> metrics.json: finds the parts of a run, puts them in order, scores them.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "check.h"
#include "eval/annotations.h"
#include "eval/clean_caption.h"
#include "eval/error_analysis.h"
#include "eval/figures.h"
#include "eval/html_report.h"
#include "eval/run_record.h"
#include "eval/score_protocols.h"
#include "io/file.h"
#include "io/sha256.h"

namespace groma::eval {
namespace {

namespace fs = std::filesystem;

/// One folder that holds predictions.jsonl.
struct Part {
  std::string folder;
  std::optional<RunRecord> record;
  std::vector<Prediction> predictions;
};

/// The folder itself, or its sub-folders shard-i-of-n.
std::vector<std::string> parts_of(const std::string& folder) {
  if (fs::exists(fs::path(folder) / "predictions.jsonl")) return {folder};
  std::vector<std::string> parts;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const bool shard = entry.path().filename().string().rfind("shard-", 0) == 0;
    if (shard && fs::exists(entry.path() / "predictions.jsonl")) {
      parts.push_back(entry.path().string());
    }
  }
  require(!parts.empty(), "score ", io::quote(folder),
          ": no predictions.jsonl there; name folders that groma eval run wrote");
  std::sort(parts.begin(), parts.end());
  return parts;
}

std::vector<Part> read_parts(const std::vector<std::string>& folders) {
  std::vector<Part> parts;
  for (const std::string& folder : folders) {
    for (const std::string& path : parts_of(folder)) {
      Part part;
      part.folder = path;
      const fs::path record = fs::path(path) / "run.json";
      if (fs::exists(record)) part.record = read_run_record(record.string());
      const std::string file = (fs::path(path) / "predictions.jsonl").string();
      part.predictions = read_predictions(io::MappedFile::open(file)->bytes(), file);
      parts.push_back(std::move(part));
    }
  }
  return parts;
}

/// Parts of one run differ in nothing but shard, seed, and what moves only last bits.
void check_same_run(const std::vector<Part>& parts) {
  for (const Part& part : parts) {
    if (!part.record || !parts[0].record) continue;
    const std::string difference = first_difference(
        parts[0].record->identity, part.record->identity, {"seed", "threads", "batch", "build"});
    require(difference.empty(), "score ", io::quote(parts[0].folder), " and ",
            io::quote(part.folder), ": they are parts of different runs, ", difference,
            "; score them one by one");
  }
}

/// All parts of a run, put together.
class Merged {
 public:
  Merged(std::vector<Part> parts, const RunScoreOptions& options) : parts_(std::move(parts)) {
    check_same_run(parts_);
    const bool recorded = parts_[0].record.has_value();
    require(recorded || (options.protocol && options.annotations), "score ",
            io::quote(parts_[0].folder), ": no run.json there; name --protocol and --annotations");
    protocol_ = options.protocol ? *options.protocol : parts_[0].record->protocol();
    const AnnotationFile file =
        options.annotations ? *options.annotations : parts_[0].record->annotations;
    dataset_ = read_annotations(file);
    resolve_categories(dataset_);
    annotation_sum_ = io::sha256_of_path(file.path);
    if (recorded) check_annotations(file);
    samples_ = list_samples(dataset_, protocol_, recorded ? parts_[0].record->limit() : 0);
    gather();
    check_complete();
  }

  const Dataset& dataset() const { return dataset_; }
  const SampleList& samples() const { return samples_; }
  const std::vector<Answered>& answers() const { return answers_; }
  Protocol protocol() const { return protocol_; }
  const std::string& annotation_sum() const { return annotation_sum_; }
  const std::vector<Part>& parts() const { return parts_; }

  /// The n-th answer to every sample; one list where each was asked once.
  std::vector<std::vector<Answered>> replicates() const {
    std::vector<std::vector<Answered>> out;
    std::size_t place = 0;
    for (std::size_t i = 0; i < answers_.size(); ++i) {
      place = i > 0 && answers_[i].sample == answers_[i - 1].sample ? place + 1 : 0;
      if (out.size() <= place) out.resize(place + 1);
      out[place].push_back(answers_[i]);
    }
    return out;
  }

 private:
  void check_annotations(const AnnotationFile& file) const {
    const std::string expected = parts_[0].record->identity.value("annotations_sha256", "");
    require(expected.empty() || expected == annotation_sum_, "score ", io::quote(parts_[0].folder),
            ": ", io::quote(file.path),
            " is not the annotation file of the run, its SHA-256 differs; name the right one with "
            "--annotations");
  }

  void gather() {
    std::vector<const Prediction*> predictions;
    for (const Part& part : parts_) {
      for (const Prediction& prediction : part.predictions) predictions.push_back(&prediction);
    }
    answers_ = order_answers(predictions, samples_, parts_[0].folder);
  }

  /// Every sample has as many answers as were asked for, of every seed.
  void check_complete() const {
    std::set<std::uint64_t> seeds;
    for (const Answered& answer : answers_) seeds.insert(answer.key.seed);
    if (parts_[0].record) {
      for (const Part& part : parts_) {
        if (part.record) seeds.insert(part.record->seed());
      }
    }
    if (seeds.empty()) seeds.insert(0);
    const std::size_t each = parts_[0].record ? parts_[0].record->prompts_each() : 0;
    std::map<std::pair<const Sample*, std::uint64_t>, std::size_t> counts;
    for (const Answered& answer : answers_) ++counts[{answer.sample, answer.key.seed}];
    std::size_t most = std::max<std::size_t>(each, 1);
    for (const auto& [key, count] : counts) most = std::max(most, count);
    std::vector<std::string> missing;
    for (const Sample& sample : samples_.samples) {
      for (const std::uint64_t seed : seeds) {
        const auto found = counts.find({&sample, seed});
        const std::size_t count = found == counts.end() ? 0 : found->second;
        if (count < most) missing.push_back(sample.label + "/*/" + std::to_string(seed));
      }
    }
    require(missing.empty(), "score ", io::quote(parts_[0].folder), ": ", missing.size(), " of ",
            samples_.samples.size() * seeds.size(), " samples are missing: ", some_of(missing),
            "; finish the run with --resume, or name all its shards");
  }

  std::vector<Part> parts_;
  Protocol protocol_ = Protocol::kRec;
  Dataset dataset_;
  std::string annotation_sum_;
  SampleList samples_;
  std::vector<Answered> answers_;
};

void score_once(const Merged& run, const std::vector<Answered>& answers,
                const RunScoreOptions& options, ScoreReport& report,
                std::vector<WrongAnswer>& wrong) {
  const ScoreInput input{run.dataset(), run.samples(), answers, options};
  switch (run.protocol()) {
    case Protocol::kRec:
      return score_rec(input, report, wrong);
    case Protocol::kLvisGround:
      return score_lvis_ground(input, report, wrong);
    case Protocol::kCaption:
      return score_captions(input, report, wrong);
    case Protocol::kProposals:
      return score_proposals(input, report, wrong);
    case Protocol::kGroundedChat:
      return score_grounded_chat(input, report, wrong);
  }
}

/// A figure in each repetition of a run that has it: one may lack what it had no truth or answer
/// for.
std::vector<Figure> repeated(const std::vector<ScoreReport>& each, const std::string& name) {
  std::vector<Figure> out;
  for (const ScoreReport& one : each) {
    for (const Figure& figure : one.figures) {
      if (figure.name == name && figure.denominator > 0) out.push_back(figure);
    }
  }
  return out;
}

/// Means and deviations of figures over repetitions of a run with other prompts or seeds.
void report_spread(const std::vector<ScoreReport>& each, ScoreReport& report) {
  Json spread = Json::object();
  for (const Figure& known : report.figures) {
    std::vector<double> values;
    for (const Figure& figure : repeated(each, known.name)) values.push_back(figure.value);
    if (values.empty()) continue;
    const double mean = pairwise_sum(values) / static_cast<double>(values.size());
    double squares = 0;
    for (const double value : values) squares += (value - mean) * (value - mean);
    const double free = std::max(1.0, static_cast<double>(values.size()) - 1);
    spread[known.name] = {
        {"mean", mean}, {"standard_deviation", std::sqrt(squares / free)}, {"runs", values.size()}};
  }
  report.facts.emplace_back("over_runs", spread.dump());
}

void score_all(const Merged& run, const RunScoreOptions& options, ScoreReport& report,
               std::vector<WrongAnswer>& wrong) {
  const auto replicates = run.replicates();
  if (replicates.size() == 1) return score_once(run, run.answers(), options, report, wrong);
  std::vector<ScoreReport> each(replicates.size());
  for (std::size_t i = 0; i < replicates.size(); ++i) {
    std::vector<WrongAnswer> ignored;
    score_once(run, replicates[i], options, each[i], ignored);
  }
  const bool by_sample =
      run.protocol() == Protocol::kRec || run.protocol() == Protocol::kGroundedChat;
  if (by_sample) {
    score_once(run, run.answers(), options, report, wrong);
    // The same samples asked again are no new samples, so the pooled interval would be too narrow.
    for (Figure& figure : report.figures) figure.interval.reset();
  } else {
    report.figures = each[0].figures;
    for (Figure& figure : report.figures) {
      std::vector<double> values;
      figure.numerator = figure.denominator = 0;
      for (const Figure& one : repeated(each, figure.name)) {
        values.push_back(one.value);
        figure.numerator += one.numerator;
        figure.denominator += one.denominator;
      }
      if (!values.empty()) {
        figure.value = pairwise_sum(values) / static_cast<double>(values.size());
      }
      figure.interval.reset();
    }
    report.warnings = each[0].warnings;
  }
  report_spread(each, report);
}

/// Whether a sample got no answer of the kind that its protocol asks for.
bool is_missing(const Prediction& said, Protocol protocol) {
  if (!said.error.empty() || said.skipped) return false;
  if (protocol == Protocol::kProposals) return said.candidates.empty();
  if (protocol == Protocol::kCaption) return clean_caption(said.text).empty();
  return said.regions.empty();
}

/// How the samples were asked, which numbers that are compared with others have to say.
void add_asked(const Merged& run, ScoreReport& report) {
  if (!run.parts()[0].record) return;
  std::set<std::uint64_t> seeds;
  for (const Part& part : run.parts()) {
    if (part.record) seeds.insert(part.record->seed());
  }
  report.facts.emplace_back("seeds", Json(seeds).dump());
  const Json& identity = run.parts()[0].record->identity;
  for (const char* name : {"prompt_index", "box_order"}) {
    if (identity.contains(name)) report.facts.emplace_back(name, identity.at(name).dump());
  }
}

void add_counts(const Merged& run, ScoreReport& report) {
  std::size_t missing = 0, failed = 0, skipped = 0;
  for (const Answered& answer : run.answers()) {
    const Prediction& said = *answer.prediction;
    skipped += said.skipped;
    failed += !said.skipped && !said.error.empty();
    missing += is_missing(said, run.protocol());
  }
  const SampleList& samples = run.samples();
  Json excluded = Json::array();
  for (const auto& [label, reason] : samples.excluded) {
    excluded.push_back({{"sample", label}, {"reason", reason}});
  }
  report.facts.emplace_back("samples", std::to_string(samples.samples.size()));
  report.facts.emplace_back("answers", std::to_string(run.answers().size()));
  report.facts.emplace_back("missing", std::to_string(missing));
  report.facts.emplace_back("failed", std::to_string(failed));
  report.facts.emplace_back("skipped", std::to_string(skipped));
  report.facts.emplace_back("repeated", std::to_string(samples.repeated));
  report.facts.emplace_back("other_tasks", std::to_string(samples.other_tasks));
  report.facts.emplace_back("excluded", excluded.dump());
}

/// What run.json says of all parts together.
RunRecord merged_record(const std::vector<Part>& parts) {
  RunRecord out = *parts[0].record;
  out.shard = 0;
  out.shards = 1;
  for (const Part& part : parts) {
    if (!part.record) continue;
    out.start = std::min(out.start, part.record->start);
    out.end = std::max(out.end, part.record->end);
  }
  return out;
}

const char* rule_text(RecRule rule) {
  switch (rule) {
    case RecRule::kMdetr:
      return "\"mdetr: generalised IoU >= 0.5\"";
    case RecRule::kFerret:
      return "\"ferret: box cut to whole pixels, IoU >= 0.5\"";
    default:
      return "\"groma: IoU > 0.5\"";
  }
}

}  // namespace

std::vector<std::vector<std::string>> group_runs(const std::vector<std::string>& folders) {
  std::vector<std::pair<std::string, std::vector<std::string>>> groups;
  for (const std::string& folder : folders) {
    const fs::path record = fs::path(parts_of(folder)[0]) / "run.json";
    std::string sign;
    if (fs::exists(record)) {
      const Json identity = read_run_record(record.string()).identity;
      sign = identity.value("protocol", "") + ' ' + identity.value("annotations_sha256", "");
    }
    auto known = std::find_if(groups.begin(), groups.end(),
                              [&](const auto& group) { return group.first == sign; });
    if (known == groups.end()) known = groups.insert(known, {sign, {}});
    known->second.push_back(folder);
  }
  std::vector<std::vector<std::string>> out;
  for (auto& [sign, members] : groups) out.push_back(std::move(members));
  return out;
}

ScoreReport score_runs(const std::vector<std::string>& folders, const RunScoreOptions& given) {
  require(!folders.empty(), "score runs: no folder is named");
  const Merged run(read_parts(folders), given);
  RunScoreOptions options = given;
  const RunRecord recorded = run.parts()[0].record.value_or(RunRecord{});
  if (!options.rule) options.rule = recorded.rule;
  if (!options.as_many_cut) options.as_many_cut = recorded.as_many_cut;
  ScoreReport report;
  report.facts.emplace_back("protocol", '"' + name_of(run.protocol()) + '"');
  if (run.protocol() == Protocol::kRec) report.facts.emplace_back("rule", rule_text(*options.rule));
  report.facts.emplace_back("annotations_sha256", '"' + run.annotation_sum() + '"');
  add_asked(run, report);
  add_counts(run, report);
  std::vector<WrongAnswer> wrong;
  score_all(run, options, report, wrong);
  report.warnings.insert(report.warnings.begin(), run.dataset().warnings.begin(),
                         run.dataset().warnings.end());

  const std::string out = options.out.empty() ? folders[0] : options.out;
  io::make_folder(out);
  // A shard's own folder keeps the shard: merged files go elsewhere.
  const bool is_part = std::any_of(run.parts().begin(), run.parts().end(), [&](const Part& part) {
    return fs::weakly_canonical(part.folder) == fs::weakly_canonical(out);
  });
  if (!is_part) {
    write_merged(out, run.dataset(), run.answers(), run.protocol());
    if (run.parts()[0].record) {
      write_run_record(merged_record(run.parts()), (fs::path(out) / "run.json").string());
    }
  }
  io::write_file((fs::path(out) / "metrics.json").string(), report.json());
  if (options.report_errors > 0) {
    std::vector<std::string> images = options.images;
    if (images.empty() && run.parts()[0].record) images = run.parts()[0].record->images;
    write_html_report((fs::path(out) / "report.html").string(), report, run.dataset(),
                      std::move(wrong), images, options.report_errors);
  }
  return report;
}

}  // namespace groma::eval
