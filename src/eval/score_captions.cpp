#include "eval/score_captions.h"

#include <unordered_map>

#include "check.h"
#include "eval/figures.h"
#include "eval/java_tools.h"
#include "eval/json_reader.h"
#include "eval/ptb_tokenizer.h"
#include "io/file.h"

namespace groma::eval {
namespace {

constexpr double kMostCider = 10;  // a cosine, times ten

/// Captions by image, in order of first appearance.
struct CaptionTable {
  std::vector<std::string> ids;
  std::unordered_map<std::string, std::vector<std::string>> captions;

  std::vector<std::string>& of(const std::string& id) {
    const auto [entry, fresh] = captions.try_emplace(id);
    if (fresh) ids.push_back(id);
    return entry->second;
  }
};

std::string read_id(JsonReader& json) {
  if (json.peek() == JsonReader::Kind::kString) return json.string();
  return std::to_string(json.integer());
}

/// {"image_id": ..., "caption": ...}
void read_captioned(JsonReader& json, CaptionTable& table) {
  std::string id, caption;
  bool has_id = false, has_caption = false;
  json.object([&](std::string_view key) {
    if (key == "image_id") {
      id = read_id(json);
      has_id = true;
    } else if (key == "caption") {
      caption = json.string();
      has_caption = true;
    }
  });
  json.demand(has_id, "no 'image_id'; every caption needs one");
  json.demand(has_caption, "no 'caption'");
  table.of(id).push_back(caption);
}

/// "...", ["...", ...] or [{"caption": "..."}, ...]
void read_texts(JsonReader& json, std::vector<std::string>& texts) {
  if (json.peek() == JsonReader::Kind::kString) {
    texts.push_back(json.string());
    return;
  }
  json.array([&](std::size_t) {
    if (json.peek() == JsonReader::Kind::kString) {
      texts.push_back(json.string());
      return;
    }
    const std::size_t before = texts.size();
    json.object([&](std::string_view key) {
      if (key == "caption") texts.push_back(json.string());
    });
    json.demand(texts.size() > before, "no 'caption'");
  });
}

CaptionTable read_captions(const std::string& path) {
  const auto file = io::MappedFile::open(path);
  JsonReader json(file->bytes(), path);
  CaptionTable table;
  if (json.peek() == JsonReader::Kind::kArray) {
    json.array([&](std::size_t) { read_captioned(json, table); });
  } else {
    json.object([&](std::string_view key) {
      if (key == "annotations" && json.peek() == JsonReader::Kind::kArray) {
        json.array([&](std::size_t) { read_captioned(json, table); });
      } else if (key != "images" && key != "info" && key != "licenses" && key != "type" &&
                 key != "categories") {
        read_texts(json, table.of(std::string(key)));
      }
    });
  }
  json.finish();
  require(!table.ids.empty(), "read ", io::quote(path), ": the file holds no caption");
  return table;
}

/// differs   of the texts, how many our own tokenizer splits otherwise than the jar
std::vector<CaptionPair> tokenize(const std::vector<RawCaption>& captions, const std::string& jar,
                                  std::size_t& differs) {
  std::vector<CaptionPair> out;
  std::vector<std::string> texts;
  for (const RawCaption& raw : captions) {
    texts.push_back(raw.caption);
    texts.insert(texts.end(), raw.references.begin(), raw.references.end());
  }
  if (jar.empty()) {
    for (std::string& text : texts) text = caption_words(text);
  } else {
    auto theirs = tokenize_with_jar(jar, texts);
    for (std::size_t i = 0; i < texts.size(); ++i) differs += caption_words(texts[i]) != theirs[i];
    texts = std::move(theirs);
  }
  auto next = texts.begin();
  for (const RawCaption& raw : captions) {
    CaptionPair pair;
    pair.caption = *next++;
    for (std::size_t i = 0; i < raw.references.size(); ++i) pair.references.push_back(*next++);
    out.push_back(std::move(pair));
  }
  return out;
}

}  // namespace

std::vector<double> report_captions(const std::vector<RawCaption>& captions, bool tokenized,
                                    const JavaTools& java, ScoreReport& report) {
  std::vector<CaptionPair> pairs;
  if (tokenized) {
    for (const RawCaption& raw : captions) pairs.push_back({raw.caption, raw.references});
  } else {
    std::size_t differs = 0;
    pairs = tokenize(captions, java.tokenizer, differs);
    if (!java.tokenizer.empty()) {
      report.facts.emplace_back("texts_tokenized_otherwise", std::to_string(differs));
    }
  }
  const CaptionScores scores = caption_scores(pairs);
  report.facts.emplace_back("tokenizer", tokenized ? "\"none: texts taken as tokenised\""
                                         : java.tokenizer.empty() ? "\"built in\""
                                                                  : "\"stanford-corenlp\"");
  report.figures.push_back(mean_figure("CIDEr", scores.cider_each, kMostCider));
  for (std::size_t n = 0; n < scores.bleu.size(); ++n) {
    Figure bleu{"BLEU-" + std::to_string(n + 1),
                scores.bleu[n],
                scores.ngrams_right[n],
                scores.ngrams[n],
                std::nullopt,
                ""};
    if (!scores.bleu_low_high.empty()) {
      bleu.interval = {scores.bleu_low_high[0][n], scores.bleu_low_high[1][n]};
      bleu.interval_kind = "bootstrap over captions, 500 draws, seed 0";
    }
    report.figures.push_back(std::move(bleu));
  }
  report.figures.push_back(mean_figure("ROUGE-L", scores.rouge_l_each));
  if (java.meteor.empty()) {
    report.facts.emplace_back(
        "METEOR_note", "\"not computed: METEOR is a Java program; name it with --meteor-jar\"");
    return scores.rouge_l_each;
  }
  const MeteorScores meteor = meteor_with_jar(java.meteor, pairs);
  Figure figure = mean_figure("METEOR", meteor.each);
  // The score of the whole text is not the mean of the captions' scores.
  figure.value = meteor.score;
  report.figures.push_back(std::move(figure));
  return scores.rouge_l_each;
}

ScoreReport score_caption_files(const CaptionFiles& files) {
  CaptionTable references = read_captions(files.references);
  const CaptionTable hypotheses = read_captions(files.hypotheses);
  for (const std::string& id : hypotheses.ids) {
    require(references.captions.contains(id), "read ", io::quote(files.hypotheses), ": image_id ",
            io::quote(id), " has no reference in ", io::quote(files.references));
  }
  ScoreReport report;
  std::vector<RawCaption> captions;
  std::size_t missing = 0;
  for (const std::string& id : references.ids) {
    const auto found = hypotheses.captions.find(id);
    const bool there = found != hypotheses.captions.end() && !found->second.empty();
    missing += !there;
    captions.push_back({there ? found->second.back() : "", std::move(references.captions[id])});
  }
  if (missing > 0) {
    report.warnings.push_back(std::to_string(missing) + " of " + std::to_string(captions.size()) +
                              " images have no hypothesis; counted as empty captions");
  }
  report.facts = {{"metric", "\"caption\""},
                  {"images", std::to_string(captions.size())},
                  {"missing", std::to_string(missing)}};
  report_captions(captions, files.tokenized, files.java, report);
  return report;
}

}  // namespace groma::eval
