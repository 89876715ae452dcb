#include "train/grounded_text.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <climits>

#include "language/prompt.h"
#include "train/worlds/words.h"

namespace groma::train {
namespace {

/// Whether `word` stands in `text` as whole words.
bool says(const std::string& text, const std::string& word) {
  if (word.empty()) return false;
  for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
    const auto end = at + word.size();
    const bool begins = at == 0 || !std::isalpha(static_cast<unsigned char>(text[at - 1]));
    const bool ends = end == text.size() || !std::isalpha(static_cast<unsigned char>(text[end]));
    if (begins && ends) return true;
  }
  return false;
}

/// The words of worlds that a text uses.
std::vector<std::string> words_in(const std::string& text) {
  std::vector<std::string> result;
  for (const auto& group : attribute_words(World::kBoth)) {
    for (const auto& word : group) {
      if (says(text, word)) result.push_back(word);
    }
  }
  return result;
}

/// The words of an object that a text uses, singular or plural.
std::vector<std::string> used_words(const SceneObject& object, const std::string& text) {
  std::vector<std::string> result;
  for (const auto* word : {&object.size, &object.color, &object.texture}) {
    if (says(text, *word)) result.push_back(*word);
  }
  if (object.kind.empty()) return result;  // own data need not name it
  if (says(text, object.kind) || says(text, plural(object.kind))) result.push_back(object.kind);
  return result;
}

void remove_all(std::string& text, const std::string& part) {
  for (auto at = text.find(part); at != text.npos; at = text.find(part))
    text.erase(at, part.size());
}

bool complete(const Utterance& utterance, const std::vector<int64_t>& region_of) {
  for (const auto& mention : utterance.mentions) {
    for (const int object : mention.objects) {
      if (region_of[object] < 0) return false;
    }
  }
  return true;
}

}  // namespace

QuestionWriter::QuestionWriter(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer), first_turn_(tokenizer.encode(conversation({}))) {}

std::vector<int64_t> QuestionWriter::prefix(int64_t image_tokens, int64_t regions,
                                            std::vector<int64_t>& feature_of) const {
  auto expanded = expand_prompt(first_turn_, tokenizer_.special(), image_tokens, regions, {});
  feature_of = std::move(expanded.feature_of);
  return std::move(expanded.ids);
}

std::vector<int64_t> QuestionWriter::word_ids(const std::string& word) const {
  auto ids = tokenizer_.encode({{word, false}});
  ids.erase(ids.begin());  // <s>
  return ids;
}

std::vector<int64_t> QuestionWriter::words_of(const SceneObject& object) const {
  return ids_of({object.size, object.color, object.texture, object.kind});
}

std::vector<int64_t> QuestionWriter::ids_of(const std::vector<std::string>& words) const {
  std::vector<int64_t> result;
  for (const auto& word : words) {
    if (word.empty()) continue;
    const auto ids = word_ids(word);
    result.insert(result.end(), ids.begin(), ids.end());
  }
  return result;
}

void QuestionWriter::add_turn(const Scene& scene, const ChosenTurn& turn,
                              const std::vector<int64_t>& region_of, const std::string& words,
                              QuestionRows& rows) const {
  std::vector<int> rank;
  for (const auto region : region_of) {
    rank.push_back(region < 0 ? INT_MAX : static_cast<int>(region));
  }
  std::vector<int64_t> referred;
  auto asked = tagged(*turn.question, Speaker::kUser, [&](int object) -> std::string {
    referred.push_back(region_of[object]);
    return "<roi><refer_box></roi><refer_feat>";
  });
  if (!turn.marked) {
    for (const char* tag : {"<p>", "</p>"}) remove_all(asked, tag);
  }
  const auto answer = in_order(*turn.answer, rank);
  const auto said = tagged(answer, Speaker::kAssistant, [&](int object) {
    return "<r" + std::to_string(region_of[object]) + ">";
  });
  // Encoded as the engine does: everything before the answer, then with the answer behind it.
  Turn open, closed;
  open.question = {{(turn.grounded ? "[grounding]" : "") + asked, true}};
  closed.question = open.question;
  closed.answer = {{said, true}};
  const auto before = tokenizer_.encode(conversation({open}));
  const auto after = tokenizer_.encode(conversation({closed}));
  TORCH_CHECK(std::equal(before.begin(), before.end(), after.begin()),
              "the answer changes the tokens of its question: ", asked, " / ", said);

  const auto& special = tokenizer_.special();
  std::vector<int> objects;  // in the order in which the answer names them
  std::vector<const Mention*> mention_of;
  for (const auto& mention : answer.mentions) {
    for (const int object : mention.objects) {
      objects.push_back(object);
      mention_of.push_back(&mention);
    }
  }
  const auto text = lower(turn.question->text + " " + words);
  const auto used_ids = [&](size_t index) {
    const auto& mention = *mention_of[index];
    const auto own = lower(answer.text.substr(mention.begin, mention.end - mention.begin));
    return ids_of(used_words(scene.objects[objects[index]], own.empty() ? text : own));
  };
  const auto answer_row =
      static_cast<int64_t>(rows.ids.size() + before.size() - first_turn_.size()) - 1;
  if (turn.finds_nothing) {
    rows.decisions.push_back({answer_row, {}, ids_of(words_in(words))});
  } else if (!answer.mentions.empty() && !turn.question->mentions.empty()) {
    Decision decision{answer_row, {}, used_ids(0)};
    for (const int object : answer.mentions[0].objects) {
      decision.regions.push_back(region_of[object]);
    }
    if (!decision.regions.empty()) rows.decisions.push_back(std::move(decision));
  }
  const auto named_before = static_cast<int64_t>(rows.named.size());
  size_t named = 0, box = 0, feature = 0;
  for (size_t i = first_turn_.size(); i < after.size(); ++i) {
    const bool answers = i >= before.size();
    auto id = after[i];
    int64_t feature_row = -1;
    if (id == special.refer_box) id = special.region_first + referred[box++];
    if (id == special.refer_feat) feature_row = referred[feature++];
    const bool region = id >= special.region_first;
    const auto row = static_cast<int64_t>(rows.ids.size());
    if (answers) rows.targets.back() = id;
    if (answers && region && named < objects.size()) {
      rows.pointers.push_back(
          {row - 1, region_of[objects[named]], false, turn.second_hop, used_ids(named)});
      rows.named.push_back({row, region_of[objects[named]]});
      if (turn.linked && named > 0) rows.links.push_back({row - 1, rows.named[named_before].first});
      ++named;
    }
    // A phrase of the assistant is about the region that follows it.
    if (answers && id == special.phrase_begin && named < objects.size()) {
      rows.pointers.push_back({row, region_of[objects[named]], false, false, {}});
    }
    rows.ids.push_back(id);
    rows.feature_of.push_back(feature_row);
    rows.targets.push_back(-1);
  }
}

void QuestionWriter::link_verdict(const std::vector<int64_t>& verdicts, QuestionRows& rows) const {
  auto row = static_cast<int64_t>(rows.ids.size()) - 1;
  while (row >= 2 && std::count(verdicts.begin(), verdicts.end(), rows.targets[row]) == 0) --row;
  if (row < 2) return;
  const bool about_region = rows.ids[row - 1] == tokenizer_.special().roi_end;
  const auto stated = rows.ids[about_region ? row - 2 : row - 1];
  int64_t same = -1;
  if (about_region) {
    if (rows.ids[rows.named[0].first] == stated) same = rows.named[0].first;
  } else {
    for (int64_t i = 0; i < row && rows.targets[i] < 0; ++i) {
      if (rows.ids[i] == stated) same = i;
    }
  }
  rows.links.push_back({row, same});
}

bool QuestionWriter::write(const Scene& scene, const Question& question,
                           const std::vector<int64_t>& region_of, bool steps, bool marked,
                           QuestionRows& rows) const {
  std::vector<ChosenTurn> turns;
  const bool refers = question.task == Task::kRefer;
  const bool seeks = refers || question.task == Task::kCount || question.task == Task::kAbsent ||
                     question.kind == "exists";
  for (const auto& turn : question.turns) {
    const bool long_answer = !turn.steps.text.empty() && (steps || !refers);
    const auto& answer = long_answer ? turn.steps : turn.answer;
    if (!complete(turn.question, region_of) || !complete(answer, region_of)) return false;
    turns.push_back({&turn.question, &answer, turn.grounded || (refers && long_answer),
                     refers && !long_answer && !turn.steps.text.empty(), marked,
                     seeks && question.targets.empty(), question.kind == "rel" && long_answer});
  }
  rows = {};
  rows.kind = question.kind;
  if (turns[0].second_hop) rows.kind += " direct";
  for (const auto& turn : turns) add_turn(scene, turn, region_of, question.expression, rows);
  if (turns[0].second_hop) {  // what fits the words comes before what the relation leaves of it
    auto& regions = rows.decisions.at(0).regions;
    regions.clear();
    for (const int object : question.blind) {
      if (region_of[object] >= 0) regions.push_back(region_of[object]);
    }
  }
  if (turns[0].second_hop && question.kind == "rel") {
    const auto anchor = region_of[question.anchors[0]];
    const auto& ids = rows.ids;
    const auto closing = std::find(ids.begin(), ids.end(), tokenizer_.special().phrase_end);
    if (anchor >= 0 && closing != ids.end()) {
      rows.anchors.push_back({closing - ids.begin(), anchor});
    }
  }
  if (question.kind == "property" || question.kind == "side") {
    link_verdict({word_ids("yes")[0], word_ids("no")[0]}, rows);
  }
  for (auto pointer = rows.pointers.rbegin(); pointer != rows.pointers.rend(); ++pointer) {
    if (rows.targets[pointer->position] < tokenizer_.special().region_first) continue;
    pointer->last = true;
    break;
  }
  return true;
}

}  // namespace groma::train
