// Answers in words: captions of a region, and descriptions whose phrases have boxes.

#include <algorithm>

#include "eval/box_matching.h"
#include "eval/clean_caption.h"
#include "eval/error_analysis.h"
#include "eval/figures.h"
#include "eval/score_captions.h"
#include "eval/score_protocols.h"

namespace groma::eval {
namespace {

constexpr double kRight = 0.5;  // IoU above which a phrase's box stands for the object

struct Pair {
  std::string text;
  XywhBox box;
};

/// Predicted pairs that hit a truth of their own, best overlap first.
std::size_t count_hits(const std::vector<Pair>& said, const std::vector<Pair>& truth) {
  struct Match {
    double iou;
    std::size_t said, truth;
  };
  std::vector<Match> matches;
  for (std::size_t i = 0; i < said.size(); ++i) {
    for (std::size_t k = 0; k < truth.size(); ++k) {
      const double iou = iou_xywh(said[i].box, truth[k].box);
      if (iou > kRight && names_object(said[i].text, truth[k].text)) matches.push_back({iou, i, k});
    }
  }
  std::stable_sort(matches.begin(), matches.end(),
                   [](const Match& a, const Match& b) { return a.iou > b.iou; });
  std::vector<char> said_taken(said.size(), 0), truth_taken(truth.size(), 0);
  std::size_t hits = 0;
  for (const Match& match : matches) {
    if (said_taken[match.said] || truth_taken[match.truth]) continue;
    said_taken[match.said] = truth_taken[match.truth] = 1;
    ++hits;
  }
  return hits;
}

}  // namespace

std::vector<std::string> naming_words(const std::string& phrase) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : phrase + " ") {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
    if (letter) {
      word += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    } else if (!word.empty()) {
      if (word != "a" && word != "an" && word != "the") words.push_back(word);
      word.clear();
    }
  }
  return words;
}

bool names_object(const std::string& phrase, const std::string& object) {
  const auto said = naming_words(phrase), wanted = naming_words(object);
  return !wanted.empty() &&
         std::search(said.begin(), said.end(), wanted.begin(), wanted.end()) != said.end();
}

void score_grounded_chat(const ScoreInput& input, ScoreReport& report,
                         std::vector<WrongAnswer>& wrong) {
  double hits = 0, said_pairs = 0, true_pairs = 0, phrases = 0, boxless = 0;
  std::vector<double> twice_hits, pairs;  // of each answer
  for (const Answered& answer : input.answers) {
    std::vector<Pair> said, truth;
    for (const PredictedPhrase& phrase : answer.prediction->phrases) {
      ++phrases;
      boxless += phrase.regions.empty();
      for (const int place : phrase.regions) {
        said.push_back({phrase.text, xywh_of(answer.prediction->regions[place].xyxy)});
      }
    }
    for (const std::uint32_t b : answer.sample->boxes) {
      const Annotation& box = input.dataset.annotations[b];
      truth.push_back({box.text, box.bbox});
    }
    const std::size_t found = count_hits(said, truth);
    hits += static_cast<double>(found);
    said_pairs += static_cast<double>(said.size());
    true_pairs += static_cast<double>(truth.size());
    twice_hits.push_back(2 * static_cast<double>(found));
    pairs.push_back(static_cast<double>(said.size() + truth.size()));
    if (found == truth.size()) continue;
    WrongAnswer error{&answer,
                      {},
                      static_cast<double>(found) / static_cast<double>(truth.size()),
                      std::to_string(found) + " of " + std::to_string(truth.size()) + " found"};
    for (const Pair& pair : truth) error.targets.push_back(pair.box);
    wrong.push_back(std::move(error));
  }
  report.figures.push_back(share_figure("precision", hits, said_pairs));
  report.figures.push_back(share_figure("recall", hits, true_pairs));
  // F1 = 2 hits / (pairs said + true pairs), the harmonic mean of the two.
  report.figures.push_back(ratio_figure("f1", twice_hits, pairs));
  report.figures.push_back(share_figure("phrases_without_box", boxless, phrases));
}

void score_captions(const ScoreInput& input, ScoreReport& report, std::vector<WrongAnswer>& wrong) {
  std::vector<RawCaption> captions;
  for (const Answered& answer : input.answers) {
    RawCaption raw{clean_caption(answer.prediction->text), {}};
    for (const std::uint32_t b : answer.sample->boxes) {
      raw.references.push_back(input.dataset.annotations[b].text);
    }
    captions.push_back(std::move(raw));
  }
  const auto likeness = report_captions(captions, false, input.options.java, report);
  double exact = 0;
  for (std::size_t i = 0; i < captions.size(); ++i) {
    const RawCaption& raw = captions[i];
    const bool same = std::find(raw.references.begin(), raw.references.end(), raw.caption) !=
                      raw.references.end();
    exact += same;
    const Answered& answer = input.answers[i];
    const XywhBox box = input.dataset.annotations[answer.sample->boxes[0]].bbox;
    if (!same) wrong.push_back({&answer, {box}, likeness[i], "expected: " + raw.references[0]});
  }
  report.figures.push_back(
      share_figure("exact_match", exact, static_cast<double>(captions.size())));
}

}  // namespace groma::eval
