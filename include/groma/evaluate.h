#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "groma/error.h"
#include "groma/groma.h"

namespace groma::eval {

/// Kinds of annotation files.
enum class Format {
  kAuto,           ///< told from the content
  kGroma,          ///< COCO-shaped, one entry of `images` per expression (`caption`)
  kMdetr,          ///< the same with `tokens_positive` and `dataset_name`
  kMiniGpt,        ///< a list of img_id, sents, bbox, height, width
  kRefer,          ///< refs(...).p with instances.json
  kCoco,           ///< COCO detection
  kLvis,           ///< LVIS v0.5, v1 and LVIS-Ground
  kCaptions,       ///< COCO-shaped with `caption` in the annotations
  kVisualGenome,   ///< region_descriptions.json
  kJsonl,          ///< our own, one object a line
  kConversations,  ///< a list of records with turns, as LLaVA and Groma-Instruct publish them
  kSegments,       ///< SA-1B: a file for each picture, or a folder of them
  kOpenImages,     ///< boxes of Open Images: a row of CSV each, in parts of the picture's sides
  kGrit,           ///< GRIT: a list of captions, parts of which have boxes in parts of the sides
};

/// groma, mdetr, minigpt, refer, coco, lvis, captions, vg, jsonl, conversations, sa1b, openimages,
/// grit or auto.
///
/// throws    Error that lists these names
Format format_named(const std::string& name);
std::string name_of(Format format);

struct AnnotationFile {
  std::string path;
  Format format = Format::kAuto;
  std::string instances;  ///< instances.json of a refs(...).p; empty: beside it
  std::string split;      ///< of a refs(...).p: val, testA, testB, test, train; empty: all
  bool allow_google =
      false;  ///< refs(google).p shares images between its splits: refused unless set
  bool allow_fractions =
      false;  ///< boxes in parts of a picture whose size is not given: refused unless set
};

struct ConvertResult {
  Format from = Format::kAuto;  ///< as told from the content
  std::size_t entries = 0;
  std::size_t boxes = 0;
  std::vector<std::string> warnings;
};

/// Writes an annotation file in another form; masks are left out, everything else that the form can
/// hold is kept. kRefer also writes `instances` (empty: instances.json beside the file).
///
/// throws    Error naming file, entry and field of a mistake, or what the form cannot hold
ConvertResult convert_annotations(const AnnotationFile& from, Format to, const std::string& path,
                                  const std::string& instances = "");

/// A box as annotation files write it: x, y of the upper left corner, width, height in pixels.
using XywhBox = std::array<double, 4>;

struct BoxCategory {
  std::int64_t id = 0;
  char frequency = 0;  ///< LVIS: 'r', 'c', 'f'; 0: not given
};

struct BoxImage {
  std::int64_t id = 0;
  std::vector<std::int64_t> negative;        ///< LVIS: categories known to be absent
  std::vector<std::int64_t> not_exhaustive;  ///< LVIS: categories of which some are not annotated
};

struct TrueBox {
  std::int64_t id = 0;
  std::int64_t image = 0;     ///< id
  std::int64_t category = 0;  ///< id
  XywhBox bbox{};
  double area = 0;      ///< pixels; of the mask where there is one
  bool ignore = false;  ///< LVIS only: COCO's own tool overwrites this field
  bool crowd = false;   ///< COCO only
};

struct DetectedBox {
  std::int64_t image = 0;     ///< id
  std::int64_t category = 0;  ///< id
  XywhBox bbox{};
  double score = 0;
};

struct BoxTruth {
  std::vector<BoxImage> images;
  std::vector<BoxCategory> categories;
  std::vector<TrueBox> boxes;
};

struct BoxMetricOptions {
  bool use_categories = true;     ///< false: every box is of one class (COCO only)
  bool strict_reference = false;  ///< a truth of id 0 is never found, as in the reference tools
  int threads = 0;                ///< 0: all cores; the result does not depend on it
};

/// A number with what it was made of.
struct Figure {
  std::string name;
  double value = -1;  ///< numerator / denominator; -1: nothing to average
  double numerator = 0;
  double denominator = 0;
  std::optional<std::array<double, 2>> interval;  ///< of 95 % confidence
  std::string interval_kind;                      ///< how it was made, for example "Wilson"
};

/// What pycocotools' COCOeval and lvis' LVISEval compute for boxes.
struct BoxMetrics {
  std::vector<Figure> summary;           ///< 12 numbers of COCO, 15 of LVIS
  std::vector<std::int64_t> categories;  ///< ids, ascending; a single -1 without categories
  std::vector<int> max_detections;       ///< 1, 10, 100 for COCO, 300 for LVIS
  std::array<std::int64_t, 5> shape{};   ///< thresholds, recalls, categories, areas, max_detections
  std::vector<double> precision;         ///< shape T, R, K, A, M; -1: no truth
  std::vector<double> recall;            ///< shape T, K, A, M; -1: no truth
  std::vector<std::string> warnings;
};

/// Average precision and recall by the rules of COCO: AP, AP50, AP75, APs, APm, APl, AR@1, AR@10,
/// AR@100, ARs, ARm, ARl. Equal to pycocotools 2.0.11 to the last rounding of a mean.
///
/// throws    Error when an id is unknown or comes twice, or a number is not finite
BoxMetrics coco_metrics(const BoxTruth& truth, const std::vector<DetectedBox>& detections,
                        const BoxMetricOptions& options = {});

/// The same by the federated rules of LVIS: AP, AP50, AP75, APs, APm, APl, APr, APc, APf, AR, AR50,
/// AR75, ARs, ARm, ARl. Equal to lvis 0.5.3; no detections at all give zeros instead of an error.
BoxMetrics lvis_metrics(const BoxTruth& truth, const std::vector<DetectedBox>& detections,
                        const BoxMetricOptions& options = {});

/// A caption and what it is compared with, both tokenised: words between single spaces.
struct CaptionPair {
  std::string caption;
  std::vector<std::string> references;  ///< at least one
};

/// What pycocoevalcap computes, of all captions and of each.
struct CaptionScores {
  std::array<double, 4> bleu{};  ///< BLEU-1..4 of the whole text, closest reference length
  double rouge_l = 0;
  double cider = 0;  ///< CIDEr-D; 0 by construction for a single caption
  std::vector<double> rouge_l_each;
  std::vector<double> cider_each;
  std::array<double, 4> ngrams_right{};  ///< of the captions' n-grams, those a reference has
  std::array<double, 4> ngrams{};
  std::vector<std::array<double, 4>> bleu_low_high;  ///< bootstrap interval: 2.5 % and 97.5 %
};

/// throws    Error when a caption has no reference
CaptionScores caption_scores(const std::vector<CaptionPair>& pairs);

/// Figures with what has to be said beside them.
struct ScoreReport {
  /// Protocol, rule, counts, lists: name and JSON text, in the order of printing.
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<Figure> figures;
  std::vector<std::string> warnings;

  /// The facts, then every figure as "name": {"value", "numerator", "denominator", "interval",
  /// "interval_kind"}, then "warnings". Holds no time and no path: equal results are equal bytes.
  std::string json() const;

  /// A line a figure, for people.
  std::string table() const;
};

enum class BoxMetric { kCoco, kLvis };

/// Scores a results list [{"image_id", "category_id", "bbox", "score"}, ...] against annotations.
///
/// arrays    file to write the whole precision and recall arrays to, as JSON; empty: none
/// throws    Error naming file, entry and field of a mistake
ScoreReport score_box_files(BoxMetric metric, const AnnotationFile& annotations,
                            const std::string& detections, const BoxMetricOptions& options = {},
                            const std::string& arrays = "");

/// Programs in Java that pycocoevalcap brings along; used when named, run as `java -jar`.
struct JavaTools {
  std::string tokenizer;  ///< stanford-corenlp-3.4.1.jar; empty: our own tokenizer
  std::string meteor;     ///< meteor-1.5.jar; empty: METEOR is not computed
};

struct CaptionFiles {
  std::string references;  ///< COCO captions, a list of image_id and caption, or {"id": ["..."]}
  std::string
      hypotheses;  ///< a list of image_id and caption (the last of an id wins), or {"id": "..."}
  bool tokenized = false;  ///< the texts are words between single spaces, compared as they are
  JavaTools java;
};

/// CIDEr, BLEU-1..4, ROUGE-L, and METEOR where its program is there. A reference without hypothesis
/// counts as an empty caption.
///
/// throws    Error naming file, entry and field of a mistake
ScoreReport score_caption_files(const CaptionFiles& files);

enum class Protocol { kRec, kLvisGround, kCaption, kProposals, kGroundedChat };

/// rec, lvis-ground, caption, proposals or grounded-chat.
///
/// throws    Error that lists these names
Protocol protocol_named(const std::string& name);
std::string name_of(Protocol protocol);

/// Which of a protocol's instructions a sample is asked with.
inline constexpr int kRandomPrompt = -1;  ///< one, by sample and seed
inline constexpr int kAllPrompts = -2;    ///< each in turn, a prediction of each

/// When a box counts as right.
enum class RecRule {
  kGroma,   ///< IoU > 0.5 with the target clipped to the image
  kMdetr,   ///< generalised IoU >= 0.5
  kFerret,  ///< the answered box cut to whole pixels, IoU >= 0.5
};

/// What to ask a model, about what, and where the answers go.
struct RunOptions {
  Protocol protocol = Protocol::kRec;
  AnnotationFile annotations;
  std::vector<std::string> images;  ///< roots; empty: the folder of the annotation file
  std::string model;                ///< checkpoint directory
  LoadOptions load;
  std::string out;                   ///< run folder
  std::uint64_t seed = 0;            ///< of prompts and the order of regions
  int prompt_index = kRandomPrompt;  ///< from 0; or one of the two above
  bool detailed = false;             ///< captions: ask "in detail", as for RefCOCOg
  bool by_score = false;             ///< number regions by score instead of in random order
  bool constrain = false;            ///< as ChatOptions; the original does not
  RegionOptions regions;             ///< `resize` and `shuffle_seed` are set by the protocol
  std::size_t limit = 0;             ///< ask the first so many samples alone; 0: all
  int shard = 0;                     ///< take samples j with j mod shards == shard
  int shards = 1;
  int batch = 1;    ///< answers generated together
  int loaders = 2;  ///< threads that read pictures ahead; changes no result
  bool resume = false;
  bool skip_missing = false;       ///< go on where pictures are missing; they count as wrong
  RecRule rule = RecRule::kGroma;  ///< the figures at the end, as RunScoreOptions; so the next two
  bool as_many_cut = true;
  int report_errors = 0;
};

struct RunProgress {
  std::size_t done = 0, total = 0;  ///< answers of this shard
  double per_second = 0;            ///< since this process began
  double seconds_left = 0;          ///< estimated
};

/// What happens on the way; each may be empty.
struct RunHooks {
  std::function<void(const std::string&)> on_note;      ///< a line for people
  std::function<bool(const RunProgress&)> on_progress;  ///< false ends the run; it can go on
};

struct RunResult {
  std::size_t answers = 0, failed = 0, skipped = 0;
  bool stopped = false;  ///< on_progress asked for it
  std::optional<ScoreReport>
      report;  ///< of a run that is whole: not stopped, and not one of shards
};

/// Asks a model every sample of an annotation file and writes a run folder: run.json,
/// predictions.jsonl, timings.jsonl, detections.json (captions.json), metrics.json and, where asked
/// for, report.html.
///
/// Each answer is on the disk before the next is begun: a process that was killed loses the one it
/// was at (with `batch`, those). With `resume` the run goes on and ends with the same bytes.
///
/// throws    Error when a file is wrong, pictures are missing, the folder holds another run, or a
///           resumed run would give other results
RunResult run_evaluation(const RunOptions& options, const RunHooks& hooks = {});

struct RunScoreOptions {
  std::optional<RecRule> rule;      ///< none: that of run.json, or kGroma
  std::optional<bool> as_many_cut;  ///< lvis-ground: AR, AR50, ... of the first k boxes (false: of
                                    ///< all); none: as run.json says, or true
  bool strict_reference = false;
  std::optional<AnnotationFile> annotations;  ///< instead of those that run.json names
  std::optional<Protocol> protocol;           ///< where a folder has no run.json
  JavaTools java;
  std::string out;                  ///< folder for the merged files; empty: the first run's own
  int report_errors = 0;            ///< errors shown in report.html; 0: no report
  std::vector<std::string> images;  ///< roots that the report finds pictures in; else run.json's
};

/// Sorts run folders into runs that are scored together: one protocol, one annotation file.
std::vector<std::vector<std::string>> group_runs(const std::vector<std::string>& folders);

/// Merges run folders (shards, seeds) of one annotation file and scores them. Writes metrics.json,
/// and, unless the output folder is one of the parts, the merged predictions.jsonl, run.json,
/// detections.json and captions.json.
///
/// Each folder holds predictions.jsonl, or sub-folders shard-i-of-n that do.
/// throws    Error when samples are missing or come twice, naming their keys
ScoreReport score_runs(const std::vector<std::string>& folders,
                       const RunScoreOptions& options = {});

}  // namespace groma::eval
