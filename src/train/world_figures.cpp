#include "train/world_figures.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "check.h"
#include "engine.h"
#include "regions/box_iou.h"
#include "regions/boxes.h"
#include "session.h"
#include "train/detection_stage.h"
#include "train/grounded_text.h"
#include "train/region_samples.h"
#include "train/scene_batch.h"
#include "train/worlds/questions.h"
#include "train/worlds/words.h"

namespace groma::train {
namespace {

using Figures = std::map<std::string, WorldFigure>;

constexpr double kMatch = 0.5;

void count(Figures& figures, const std::string& name, bool hit) {
  figures[name].hits += hit ? 1 : 0;
  figures[name].total += 1;
}

/// The words of a text, lower case, without punctuation.
std::vector<std::string> words_in(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : lower(text)) {
    if (std::isalpha(static_cast<unsigned char>(c))) {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

/// The last number word of a text, -1 where there is none.
int number_in(const std::string& text) {
  int number = -1;
  for (const auto& word : words_in(text)) {
    const auto found = std::find(kNumbers.begin(), kNumbers.end(), word);
    if (found != kNumbers.end()) number = static_cast<int>(found - kNumbers.begin());
  }
  return number;
}

/// One scene in conversation with a model.
class Interview {
 public:
  Interview(std::shared_ptr<const Groma::Impl> engine, const Scene& scene, Figures& figures)
      : scene_(scene),
        figures_(figures),
        session_(std::move(engine), Image::from_rgb(scene.rgb.data(), scene.size, scene.size), {}) {
  }

  void proposals();
  void ask(const Question& question);
  /// How improbable the model finds the right answer, where it has the regions to give it.
  void expect(const QuestionWriter& writer, const Question& question);

 private:
  ChatResult answer(const Exchange& turn, bool grounded);
  void refer(const Question& question);
  void describe(const Question& question, const ChatResult& said);
  bool on_target(const Box& box, int object) const {
    return box_iou(box, scene_.objects[object].box) > kMatch;
  }

  const Scene& scene_;
  Figures& figures_;
  Session::Impl session_;
};

void Interview::proposals() {
  Timings timings;
  session_.look(at::zeros({0, 4}), timings);
  Metrics metrics;
  add_proposal_metrics(metrics, session_.proposed_boxes, session_.proposed_scores,
                       truth_boxes(scene_), session_.engine->model->config.select);
  for (const char* name : {"AR50", "AR", "kept AR50", "kept precision"}) {
    figures_[name].hits += metrics[name];
    figures_[name].total += metrics[std::string("n.") + name];
  }
}

ChatResult Interview::answer(const Exchange& turn, bool grounded) {
  std::vector<Box> boxes;
  const auto text = tagged(turn.question, Speaker::kUser, [&](int object) -> std::string {
    boxes.push_back(scene_.objects[object].box);
    return "<roi><refer_box></roi><refer_feat>";
  });
  ChatOptions options;
  options.max_new_tokens = 200;
  session_.turns.clear();
  return session_.ask({{(grounded ? "[grounding]" : "") + text, true}},
                      to_network_boxes(boxes, scene_.size, scene_.size).view({-1, 4}), options);
}

void Interview::refer(const Question& question) {
  const int target = question.targets[0];
  const auto direct = boxes_in(answer(question.turns[0], false));
  const bool right = !direct.empty() && on_target(direct.front(), target);
  count(figures_, "REC " + question.kind, right);
  if (question.turns[0].steps.text.empty()) {
    count(figures_, "REC", right);
    count(figures_, "REC " + scene_.objects[target].size, right);
    return;
  }
  const auto steps = boxes_in(answer(question.turns[0], true));
  const bool found = !steps.empty() && on_target(steps.back(), target);
  count(figures_, "REC " + question.kind + " steps", found);
  count(figures_, "REC", found);
  count(figures_, "REC " + scene_.objects[target].size, found);
  auto& blind = figures_["blind " + question.kind];
  blind.hits += 1 / static_cast<double>(question.blind.size());
  blind.total += 1;
}

void Interview::describe(const Question& question, const ChatResult& said) {
  const auto& truth = question.turns[0].answer;
  struct Part {
    std::string words;
    int object;
    bool found = false;
  };
  std::vector<Part> parts;
  for (const auto& mention : truth.mentions) {
    const auto words =
        joined(words_in(truth.text.substr(mention.begin, mention.end - mention.begin)));
    for (const int object : mention.objects) parts.push_back({words, object});
  }
  double named = 0, hits = 0;
  for (const auto& phrase : said.phrases) {
    const auto words = joined(words_in(phrase.text));
    for (const auto& region : phrase.regions) {
      ++named;
      const auto part = std::find_if(parts.begin(), parts.end(), [&](const Part& one) {
        return !one.found && one.words == words && on_target(region.box, one.object);
      });
      if (part == parts.end()) continue;
      part->found = true;
      ++hits;
    }
  }
  figures_["describe recall"].hits += hits;
  figures_["describe recall"].total += static_cast<double>(parts.size());
  figures_["describe precision"].hits += hits;
  figures_["describe precision"].total += named;
  figures_["describe F1"].hits += 2 * hits;
  figures_["describe F1"].total += static_cast<double>(parts.size()) + named;
}

void Interview::ask(const Question& question) {
  if (question.task == Task::kDialogue) return;
  if (question.task == Task::kRefer) return refer(question);
  const auto said = answer(question.turns[0], question.turns[0].grounded);
  const auto boxes = boxes_in(said);
  switch (question.task) {
    case Task::kGround: {
      double found = 0;
      for (const int object : question.targets) {
        found += std::any_of(boxes.begin(), boxes.end(),
                             [&](const Box& box) { return on_target(box, object); });
      }
      double right = 0;
      for (const auto& box : boxes) {
        right += std::any_of(question.targets.begin(), question.targets.end(),
                             [&](int object) { return on_target(box, object); });
      }
      figures_["ground recall"].hits += found;
      figures_["ground recall"].total += static_cast<double>(question.targets.size());
      figures_["ground precision"].hits += right;
      figures_["ground precision"].total += static_cast<double>(boxes.size());
      break;
    }
    case Task::kCaption:
      count(figures_, "caption",
            joined(words_in(said.text)) == joined(words_in(question.expected)));
      break;
    case Task::kDescribe:
      describe(question, said);
      break;
    case Task::kCount: {
      const int number = number_in(said.text), expected = number_in(question.expected);
      count(figures_, "count", number == expected);
      count(figures_, "count within one", number >= 0 && std::abs(number - expected) <= 1);
      break;
    }
    case Task::kYesNo: {
      const auto words = words_in(said.text);
      count(figures_, "yes/no",
            std::find(words.begin(), words.end(), question.expected) != words.end());
      break;
    }
    case Task::kAbsent: {
      const auto words = words_in(said.text);
      count(figures_, "absent",
            boxes.empty() && std::find(words.begin(), words.end(), "no") != words.end());
      break;
    }
    default:
      break;
  }
}

void Interview::expect(const QuestionWriter& writer, const Question& question) {
  SceneRegions regions;
  regions.boxes_cxcywh = session_.regions.boxes_cxcywh.to(at::kFloat);
  match_objects(regions, truth_boxes(scene_));
  QuestionRows rows;
  if (!writer.write(scene_, question, regions.region_of, false, true, rows)) return;
  ExpandedPrompt whole;
  whole.ids =
      writer.prefix(session_.image_tokens.size(0), regions.boxes_cxcywh.size(0), whole.feature_of);
  const auto first = static_cast<int64_t>(whole.ids.size());
  whole.ids.insert(whole.ids.end(), rows.ids.begin(), rows.ids.end());
  whole.feature_of.insert(whole.feature_of.end(), rows.feature_of.begin(), rows.feature_of.end());
  const auto wanted = at::tensor(rows.targets, at::kLong);
  const auto nats = at::nll_loss(session_.logits_from(whole, first).log_softmax(1), wanted,
                                 /*weight=*/{}, at::Reduction::Sum, /*ignore_index=*/-1);
  figures_["answer nats"].hits += nats.item<double>();
  figures_["answer nats"].total += wanted.ge(0).sum().item<double>();
}

}  // namespace

std::vector<Box> boxes_in(const ChatResult& answer) {
  std::vector<Box> boxes;
  for (const auto& phrase : answer.phrases) {
    for (const auto& region : phrase.regions) boxes.push_back(region.box);
  }
  return boxes;
}

std::map<std::string, WorldFigure> measure(const std::string& directory,
                                           const FigureOptions& options) {
  require(options.scenes >= 1, "measure: ", options.scenes, " scenes; give 1 or more");
  require(options.threads >= 1, "measure: ", options.threads, " threads; give 1 or more");
  LoadOptions load;
  load.threads = 1;
  load.dtype = options.dtype;
  const auto engine = load_engine(directory, load);
  WorldOptions world;
  world.world = options.world;
  world.size = static_cast<int>(engine->model->config.vision.image_size);
  world.test = true;
  const QuestionWriter writer(engine->tokenizer);
  std::vector<Figures> parts(options.threads);
  std::vector<std::exception_ptr> failures(options.threads);
  std::vector<std::thread> threads;
  for (int t = 0; t < options.threads; ++t) {
    threads.emplace_back([&, t] {
      try {
        const CallScope scope(*engine);
        for (int i = t; i < options.scenes; i += options.threads) {
          const auto scene = draw_scene(world, entry_seed(options.seed, i));
          Random random(entry_seed(options.seed ^ 0x6d656173757265ull, i));
          Interview interview(engine, scene, parts[t]);
          interview.proposals();
          for (const auto& question : questions(scene, random, {})) {
            interview.ask(question);
            interview.expect(writer, question);
          }
        }
      } catch (...) {
        failures[t] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  Figures sums;
  for (const auto& part : parts) {
    for (const auto& [name, figure] : part) {
      sums[name].hits += figure.hits;
      sums[name].total += figure.total;
    }
  }
  return sums;
}

}  // namespace groma::train
